"""MobileNetV1 0.25 of MLPerf Tiny, quantised in int8 with a scale for each output channel."""

from __future__ import annotations

import onnx

from weft.zoo import mobilenet_v1_025
from weft.zoo._net import Net
from weft.zoo._qdq import Scheme, quantised

DESCRIPTION = (
    "MobileNetV1 0.25 of MLPerf Tiny, QDQ, per channel, visual wake words, 1x3x96x96, 7.49 M MACs (Banbury et al. 2021)"
)


def build(net: Net) -> onnx.ModelProto:
    """The float network of the library between quantisers."""
    return quantised(net, mobilenet_v1_025.build, Scheme("int8", per_channel=True))

"""DS-CNN of MLPerf Tiny, quantised with activations in uint8 from the smallest value to the largest."""

from __future__ import annotations

import onnx

from weft.zoo import ds_cnn
from weft.zoo._net import Net
from weft.zoo._qdq import Scheme, quantised

DESCRIPTION = (
    "DS-CNN of MLPerf Tiny, QDQ, uint8 activations, keyword spotting, 1x1x49x10, 2.66 M MACs (Banbury et al. 2021)"
)


def build(net: Net) -> onnx.ModelProto:
    """The float network of the library between quantisers."""
    return quantised(net, ds_cnn.build, Scheme("uint8"))

"""ResNet-8 of MLPerf Tiny, quantised in int8, one scale per tensor."""

from __future__ import annotations

import onnx

from weft.zoo import resnet8
from weft.zoo._net import Net
from weft.zoo._qdq import Scheme, quantised

DESCRIPTION = "ResNet-8 of MLPerf Tiny, QDQ, int8, image classification, 1x3x32x32, 12.5 M MACs (Banbury et al. 2021)"


def build(net: Net) -> onnx.ModelProto:
    """The float network of the library between quantisers."""
    return quantised(net, resnet8.build, Scheme("int8"))

"""MobileNetV1 of MLPerf Tiny: a quarter of the width, is a person in the picture."""

from __future__ import annotations

import onnx

from weft.zoo._net import Net
from weft.zoo.mobilenet_v1 import separable

DESCRIPTION = "MobileNetV1 0.25 of MLPerf Tiny, visual wake words, 1x3x96x96, 7.49 M MACs (Banbury et al. 2021)"


def build(net: Net) -> onnx.ModelProto:
    """The network with batch normalisation folded and TensorFlow's padding, as its TFLite model has it."""
    x = separable(net, net.input("input", 3), 8, strided_pads=(0, 0, 1, 1))
    x = net.add("AveragePool", "pool", [x], kernel_shape=[3, 3], strides=[3, 3])
    x = net.add("Flatten", "flatten", [x], axis=1)
    x = net.add("Softmax", "softmax", [net.gemm("classifier", x, 256, 2)], axis=-1)
    return net.model({"input": (1, 3, 96, 96)}, x, (1, 2))

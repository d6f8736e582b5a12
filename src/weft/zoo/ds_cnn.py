"""DS-CNN of MLPerf Tiny: a keyword in one second of sound, seen as 49 frames of 10 coefficients."""

from __future__ import annotations

import onnx

from weft.zoo._net import Net

DESCRIPTION = "DS-CNN of MLPerf Tiny, keyword spotting, 1x1x49x10, 2.66 M MACs (Banbury et al. 2021)"


def build(net: Net) -> onnx.ModelProto:
    """One convolution, four depthwise-separable blocks; batch normalisation folded, as its TFLite model has it."""
    x = net.relu("relu", net.conv("conv", net.input("input", 1), 64, (10, 4), 2, pads=(4, 1, 5, 1)))
    for block in range(1, 5):
        x = net.conv(f"block{block}.depthwise", x, 64, 3, pads=1, groups=64)
        x = net.conv(f"block{block}.pointwise", net.relu(f"block{block}.relu1", x), 64, 1)
        x = net.relu(f"block{block}.relu2", x)
    x = net.add("AveragePool", "pool", [x], kernel_shape=[25, 5], strides=[25, 5])
    x = net.add("Flatten", "flatten", [x], axis=1)
    x = net.add("Softmax", "softmax", [net.gemm("dense", x, 64, 12)], axis=-1)
    return net.model({"input": (1, 1, 49, 10)}, x, (1, 12))

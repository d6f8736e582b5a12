"""ResNet-8 of MLPerf Tiny: CIFAR-10 in three stages of one residual block each."""

from __future__ import annotations

import onnx

from weft.zoo._net import Net, Pads

DESCRIPTION = "ResNet-8 of MLPerf Tiny, image classification, 1x3x32x32, 12.5 M MACs (Banbury et al. 2021)"

_SAME: Pads = (1, 1, 1, 1)
_SAME_STRIDED: Pads = (0, 0, 1, 1)  # TensorFlow pads an even input at its end only


def build(net: Net) -> onnx.ModelProto:
    """The network with batch normalisation folded, as its TFLite model has it."""
    x = net.relu("relu", net.conv("conv", net.input("input", 3), 16, 3, pads=_SAME))
    for stage, width in enumerate((16, 32, 64), start=1):
        strided = stage > 1
        y = net.conv(f"stage{stage}.conv1", x, width, 3, 2 if strided else 1, pads=_SAME_STRIDED if strided else _SAME)
        y = net.conv(f"stage{stage}.conv2", net.relu(f"stage{stage}.relu1", y), width, 3, pads=_SAME)
        shortcut = net.conv(f"stage{stage}.shortcut", x, width, 1, 2) if strided else x
        x = net.relu(f"stage{stage}.relu2", net.add("Add", f"stage{stage}.add", [shortcut, y]))
    x = net.add("AveragePool", "pool", [x], kernel_shape=[8, 8], strides=[8, 8])
    x = net.add("Flatten", "flatten", [x], axis=1)
    x = net.add("Softmax", "softmax", [net.gemm("dense", x, 64, 10)], axis=-1)
    return net.model({"input": (1, 3, 32, 32)}, x, (1, 10))

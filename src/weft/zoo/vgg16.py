"""VGG-16 for ImageNet: thirteen 3x3 convolutions and three linear layers, which hold nine tenths of its weights."""

from __future__ import annotations

import onnx

from weft.zoo._net import Net

DESCRIPTION = "VGG-16, image classification, 1x3x224x224, 15.5 G MACs (Simonyan and Zisserman 2015)"


def build(net: Net) -> onnx.ModelProto:
    """Configuration D of the paper; Dropout stays in, as a training export has it."""
    x = net.input("input", 3)
    for stage, (width, count) in enumerate(((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)), start=1):
        for index in range(1, count + 1):
            x = net.relu(f"relu{stage}_{index}", net.conv(f"conv{stage}_{index}", x, width, 3, pads=1))
        x = net.add("MaxPool", f"pool{stage}", [x], kernel_shape=[2, 2], strides=[2, 2])
    x = net.add("Flatten", "flatten", [x], axis=1)
    for index, inputs in ((6, 512 * 7 * 7), (7, 4096)):
        x = net.relu(f"relu{index}", net.gemm(f"fc{index}", x, inputs, 4096))
        x = net.add("Dropout", f"dropout{index}", [x])
    return net.model({"input": (1, 3, 224, 224)}, net.gemm("fc8", x, 4096, 1000), (1, 1000))

"""AlexNet for ImageNet in the one-column form of torchvision."""

from __future__ import annotations

import onnx

from weft.zoo._net import Net

DESCRIPTION = "AlexNet, image classification, 1x3x224x224, 714 M MACs (Krizhevsky 2014, as torchvision has it)"


def build(net: Net) -> onnx.ModelProto:
    """Five convolutions, three pools, three linear layers; Dropout stays in, as a training export has it."""
    x = net.input("input", 3)
    for i, (width, kernel, stride, pads, pooled) in enumerate(
        (
            (64, 11, 4, 2, True),
            (192, 5, 1, 2, True),
            (384, 3, 1, 1, False),
            (256, 3, 1, 1, False),
            (256, 3, 1, 1, True),
        ),
        start=1,
    ):
        x = net.relu(f"relu{i}", net.conv(f"conv{i}", x, width, kernel, stride, pads))
        if pooled:
            x = net.add("MaxPool", f"pool{i}", [x], kernel_shape=[3, 3], strides=[2, 2])
    x = net.add("Flatten", "flatten", [x], axis=1)
    for i, (inputs, outputs) in enumerate(((256 * 6 * 6, 4096), (4096, 4096)), start=6):
        x = net.gemm(f"fc{i}", net.add("Dropout", f"dropout{i}", [x]), inputs, outputs)
        x = net.relu(f"relu{i}", x)
    return net.model({"input": (1, 3, 224, 224)}, net.gemm("fc8", x, 4096, 1000), (1, 1000))

"""Tiny YOLOv2 for the twenty classes of Pascal VOC: nine convolutions, up to the grid of boxes."""

from __future__ import annotations

import onnx

from weft.zoo._net import Net

DESCRIPTION = "Tiny YOLOv2 (VOC), object detection, 1x3x416x416, 3.49 G MACs (Redmon and Farhadi 2017)"

BOXES, CLASSES = 5, 20


def build(net: Net) -> onnx.ModelProto:
    """The network with batch normalisation folded.

    Each of 13x13 cells gives 5 boxes: place, size, confidence and a score per class. Decoding them and dropping
    duplicates depends on the values and is left to the host.
    """
    x = net.input("input", 3)
    for index, width in enumerate((16, 32, 64, 128, 256, 512, 1024, 1024)):
        x = net.add("LeakyRelu", f"leaky{index}", [net.conv(f"conv{index}", x, width, 3, pads=1)], alpha=0.1)
        if index < 5:
            x = net.add("MaxPool", f"pool{index}", [x], kernel_shape=[2, 2], strides=[2, 2])
        elif index == 5:  # keeps 13x13: padded at the end only
            x = net.add("MaxPool", f"pool{index}", [x], kernel_shape=[2, 2], pads=[0, 0, 1, 1], strides=[1, 1])
    channels = BOXES * (5 + CLASSES)
    return net.model({"input": (1, 3, 416, 416)}, net.conv("boxes", x, channels, 1), (1, channels, 13, 13))

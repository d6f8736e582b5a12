"""MobileNetV1, width 1.0, for ImageNet: thirteen depthwise-separable convolutions."""

from __future__ import annotations

import onnx

from weft.zoo._net import Net, Pads

DESCRIPTION = "MobileNetV1 1.0, image classification, 1x3x224x224, 569 M MACs (Howard et al. 2017)"

_BLOCKS = ((2, 1), (4, 2), (4, 1), (8, 2), (8, 1), (16, 2), *[(16, 1)] * 5, (32, 2), (32, 1))
"""(output channels over those of the stem, stride): table 1 of the paper; its last stride is 1, whatever it says, since
the picture stays 7x7."""


def build(net: Net) -> onnx.ModelProto:
    """The network with batch normalisation folded."""
    x = separable(net, net.input("input", 3), 32, strided_pads=(1, 1, 1, 1))
    x = net.add("Flatten", "flatten", [net.add("GlobalAveragePool", "pool", [x])], axis=1)
    return net.model({"input": (1, 3, 224, 224)}, net.gemm("classifier", x, 1024, 1000), (1, 1000))


def separable(net: Net, source: str, stem: int, strided_pads: Pads) -> str:
    """All convolutions of a MobileNetV1 whose first has `stem` outputs."""
    x = net.relu("stem.relu", net.conv("stem.conv", source, stem, 3, 2, strided_pads))
    for index, (widening, stride) in enumerate(_BLOCKS):
        at, inputs = f"block{index}", net.channels[x]
        x = net.conv(f"{at}.depthwise", x, inputs, 3, stride, strided_pads if stride > 1 else 1, groups=inputs)
        x = net.conv(f"{at}.pointwise", net.relu(f"{at}.relu1", x), stem * widening, 1)
        x = net.relu(f"{at}.relu2", x)
    return x

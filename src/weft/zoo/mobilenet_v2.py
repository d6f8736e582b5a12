"""MobileNetV2, width 1.0, for ImageNet: inverted residuals with depthwise convolutions."""

from __future__ import annotations

import onnx

from weft.zoo._net import Net

DESCRIPTION = "MobileNetV2 1.0, image classification, 1x3x224x224, 301 M MACs (Sandler et al. 2018)"

_STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""(expansion, output channels, blocks, stride of the first): table 2 of the paper."""


def build(net: Net) -> onnx.ModelProto:
    """The network with batch normalisation folded; ReLU6 is Clip, as exporters write it."""
    x = _relu6(net, "stem.relu6", net.conv("stem.conv", net.input("input", 3), 32, 3, 2, 1))
    block = 0
    for expansion, width, count, first_stride in _STAGES:
        for repeat in range(count):
            at = f"block{block}"
            inputs = net.channels[x]
            stride = first_stride if repeat == 0 else 1
            y = x
            if expansion > 1:
                y = _relu6(net, f"{at}.expand.relu6", net.conv(f"{at}.expand", y, inputs * expansion, 1))
            hidden = inputs * expansion
            y = net.conv(f"{at}.depthwise", y, hidden, 3, stride, 1, groups=hidden)
            y = net.conv(f"{at}.project", _relu6(net, f"{at}.depthwise.relu6", y), width, 1)
            x = net.add("Add", f"{at}.add", [x, y]) if stride == 1 and inputs == width else y
            block += 1
    x = _relu6(net, "head.relu6", net.conv("head.conv", x, 1280, 1))
    x = net.add("Flatten", "flatten", [net.add("GlobalAveragePool", "pool", [x])], axis=1)
    x = net.gemm("classifier", net.add("Dropout", "dropout", [x]), 1280, 1000)
    return net.model({"input": (1, 3, 224, 224)}, x, (1, 1000))


def _relu6(net: Net, name: str, source: str) -> str:
    return net.add("Clip", name, [source, net.constant("zero", 0.0), net.constant("six", 6.0)])

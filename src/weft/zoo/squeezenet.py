"""SqueezeNet 1.1 for ImageNet: eight fire modules, no linear layer."""

from __future__ import annotations

import onnx

from weft.zoo._net import Net

DESCRIPTION = (
    "SqueezeNet 1.1, image classification, 1x3x224x224, 349 M MACs (Iandola et al. 2016, as torchvision has it)"
)

_FIRES = ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256))
"""(channels after squeezing, channels of each expansion)."""


def build(net: Net) -> onnx.ModelProto:
    """The network; Dropout stays in, as a training export has it."""
    x = _pool(net, 1, net.relu("relu", net.conv("conv", net.input("input", 3), 64, 3, 2)))
    for index, (squeezed, expanded) in enumerate(_FIRES, start=2):
        at = f"fire{index}"
        x = net.relu(f"{at}.squeeze.relu", net.conv(f"{at}.squeeze", x, squeezed, 1))
        one = net.relu(f"{at}.expand1x1.relu", net.conv(f"{at}.expand1x1", x, expanded, 1))
        three = net.relu(f"{at}.expand3x3.relu", net.conv(f"{at}.expand3x3", x, expanded, 3, pads=1))
        x = net.add("Concat", f"{at}.concat", [one, three], channels=2 * expanded, axis=1)
        if index in (3, 5):
            x = _pool(net, index, x)
    x = net.relu("classifier.relu", net.conv("classifier", net.add("Dropout", "dropout", [x]), 1000, 1))
    x = net.add("Flatten", "flatten", [net.add("GlobalAveragePool", "pool", [x])], axis=1)
    return net.model({"input": (1, 3, 224, 224)}, x, (1, 1000))


def _pool(net: Net, after: int, source: str) -> str:
    return net.add("MaxPool", f"pool{after}", [source], ceil_mode=1, kernel_shape=[3, 3], strides=[2, 2])

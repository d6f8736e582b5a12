"""ResNet-20 for CIFAR-10: nineteen 3x3 convolutions in three stages, shortcuts without parameters."""

from __future__ import annotations

import onnx

from weft.zoo._net import Net

DESCRIPTION = "ResNet-20, image classification, 1x3x32x32, 40.6 M MACs (He et al. 2016, CIFAR-10, option A)"


def build(net: Net) -> onnx.ModelProto:
    """The network with batch normalisation folded; a shortcut that shrinks drops every other pixel and adds channels
    of zeros (the paper's option A).
    """
    x = net.relu("relu", net.conv("conv", net.input("input", 3), 16, 3, pads=1))
    for stage, width in enumerate((16, 32, 64), start=1):
        for block in range(3):
            at = f"stage{stage}.{block}"
            shrinks = stage > 1 and block == 0
            y = net.relu(f"{at}.relu1", net.conv(f"{at}.conv1", x, width, 3, 2 if shrinks else 1, 1))
            y = net.conv(f"{at}.conv2", y, width, 3, pads=1)
            x = net.relu(f"{at}.relu2", net.add("Add", f"{at}.add", [y, _subsampled(net, at, x) if shrinks else x]))
    x = net.add("Flatten", "flatten", [net.add("GlobalAveragePool", "pool", [x])], axis=1)
    return net.model({"input": (1, 3, 32, 32)}, net.gemm("dense", x, 64, 10), (1, 10))


def _subsampled(net: Net, at: str, source: str) -> str:
    channels = net.channels[source]
    bounds = [
        net.integers("first", 0, 0),
        net.integers("end", 32, 32),
        net.integers("height_and_width", 2, 3),
        net.integers("every_other", 2, 2),
    ]
    half = net.add("Slice", f"{at}.shortcut.slice", [source, *bounds])
    front, back = channels // 2, channels - channels // 2
    pads = net.integers(f"pad_{channels}", 0, front, 0, 0, 0, back, 0, 0)
    return net.add("Pad", f"{at}.shortcut.pad", [half, pads, net.constant("zero", 0.0)], channels=2 * channels)

"""ResNet-18 for ImageNet, with the node names that torchvision's export gives."""

from __future__ import annotations

import onnx

from weft.zoo._net import Net

DESCRIPTION = "ResNet-18, image classification, 1x3x224x224, 1.81 G MACs (He et al. 2016, as torchvision has it)"


def build(net: Net) -> onnx.ModelProto:
    """The network with batch normalisation folded into convolutions, as exported for inference."""
    x = net.relu("/relu/Relu", net.conv("/conv1/Conv", net.input("input", 3), 64, 7, 2, 3))
    x = net.add("MaxPool", "/maxpool/MaxPool", [x], kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2])
    for layer, width in enumerate((64, 128, 256, 512), start=1):
        for block in range(2):
            at = f"/layer{layer}/layer{layer}.{block}"
            shrinks = layer > 1 and block == 0
            y = net.relu(f"{at}/relu/Relu", net.conv(f"{at}/conv1/Conv", x, width, 3, 2 if shrinks else 1, 1))
            y = net.conv(f"{at}/conv2/Conv", y, width, 3, 1, 1)
            shortcut = net.conv(f"{at}/downsample/downsample.0/Conv", x, width, 1, 2) if shrinks else x
            x = net.relu(f"{at}/relu_1/Relu", net.add("Add", f"{at}/Add", [y, shortcut]))
    x = net.add("GlobalAveragePool", "/avgpool/GlobalAveragePool", [x])
    x = net.gemm("/fc/Gemm", net.add("Flatten", "/Flatten", [x], axis=1), 512, 1000)
    return net.model({"input": (1, 3, 224, 224)}, x, (1, 1000))

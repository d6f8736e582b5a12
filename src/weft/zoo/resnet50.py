"""ResNet-50 for ImageNet, with the node names that torchvision's export gives."""

from __future__ import annotations

import onnx

from weft.zoo._net import Net

DESCRIPTION = "ResNet-50, image classification, 1x3x224x224, 4.09 G MACs (He et al. 2016, as torchvision has it)"


def build(net: Net) -> onnx.ModelProto:
    """The network with batch normalisation folded; the 3x3 convolution of a block has its stride, as in torchvision."""
    x = net.relu("/relu/Relu", net.conv("/conv1/Conv", net.input("input", 3), 64, 7, 2, 3))
    x = net.add("MaxPool", "/maxpool/MaxPool", [x], kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2])
    for layer, (width, blocks) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3)), start=1):
        for block in range(blocks):
            at = f"/layer{layer}/layer{layer}.{block}"
            stride = 2 if layer > 1 and block == 0 else 1
            y = net.relu(f"{at}/relu/Relu", net.conv(f"{at}/conv1/Conv", x, width, 1))
            y = net.relu(f"{at}/relu_1/Relu", net.conv(f"{at}/conv2/Conv", y, width, 3, stride, 1))
            y = net.conv(f"{at}/conv3/Conv", y, 4 * width, 1)
            shortcut = x if block else net.conv(f"{at}/downsample/downsample.0/Conv", x, 4 * width, 1, stride)
            x = net.relu(f"{at}/relu_2/Relu", net.add("Add", f"{at}/Add", [y, shortcut]))
    x = net.add("GlobalAveragePool", "/avgpool/GlobalAveragePool", [x])
    x = net.gemm("/fc/Gemm", net.add("Flatten", "/Flatten", [x], axis=1), 2048, 1000)
    return net.model({"input": (1, 3, 224, 224)}, x, (1, 1000))

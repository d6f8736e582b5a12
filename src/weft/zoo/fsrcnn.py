"""FSRCNN super-resolution at 960x540, with its last layer in sub-pixel form."""

from __future__ import annotations

import onnx

from weft.zoo._net import Net

DESCRIPTION = "FSRCNN (d 56, s 12, m 4), super-resolution of luma 1x1x540x960, 8.29 G MACs (Dong et al. 2016)"


def build(net: Net) -> onnx.ModelProto:
    """Feature extraction, shrinking, four mappings, expansion, 16 sub-pixel planes.

    The paper's transposed convolution is here a 3x3 convolution that makes the planes of a 4x enlargement, as
    accelerators are given this network; interleaving the planes is left to whatever displays them.
    """
    x = _prelu(net, "feature", net.conv("feature", net.input("input", 1), 56, 5, pads=2))
    x = _prelu(net, "shrink", net.conv("shrink", x, 12, 1))
    for i in range(4):
        x = _prelu(net, f"map{i}", net.conv(f"map{i}", x, 12, 3, pads=1))
    x = _prelu(net, "expand", net.conv("expand", x, 56, 1))
    x = net.conv("subpixel", x, 16, 3, pads=1)
    return net.model({"input": (1, 1, 540, 960)}, x, (1, 16, 540, 960))


def _prelu(net: Net, name: str, source: str) -> str:
    slope = net.weight(f"{name}.slope", (net.channels[source], 1, 1), 32)
    return net.add("PRelu", f"{name}.prelu", [source, slope])

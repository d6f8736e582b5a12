"""The deep autoencoder of MLPerf Tiny: does a machine sound as it should, told by how well its sound is rebuilt."""

from __future__ import annotations

from itertools import pairwise

import onnx

from weft.zoo._net import Net

DESCRIPTION = "Deep autoencoder of MLPerf Tiny, anomaly detection, 1x640, 264 k MACs (Banbury et al. 2021)"


def build(net: Net) -> onnx.ModelProto:
    """Ten linear layers, 640 values through 8 and back; batch normalisation folded, as its TFLite model has it."""
    widths = (640, 128, 128, 128, 128, 8, 128, 128, 128, 128, 640)
    x = net.input("input", 640)
    for index, (inputs, outputs) in enumerate(pairwise(widths)):
        x = net.gemm(f"dense{index}", x, inputs, outputs)
        if index < 9:
            x = net.relu(f"relu{index}", x)
    return net.model({"input": (1, 640)}, x, (1, 640))

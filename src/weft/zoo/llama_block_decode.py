"""A block of Llama 3.2 1B making one token behind a cache of 1024."""

from __future__ import annotations

import onnx

from weft.zoo._llama import block
from weft.zoo._net import Net

DESCRIPTION = (
    "One block of Llama 3.2 1B making one token after 1024, language, 1x1x2048, 65.0 M MACs (Grattafiori et al. 2024)"
)


def build(net: Net) -> onnx.ModelProto:
    """Every product has one row: as many weights are read as multiplied. The cache is copied as it grows, as exporters
    write it.
    """
    return block(net, tokens=1, past=1024)

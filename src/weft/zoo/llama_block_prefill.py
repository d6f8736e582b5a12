"""A block of Llama 3.2 1B reading a prompt of 512 tokens at once."""

from __future__ import annotations

import onnx

from weft.zoo._llama import block
from weft.zoo._net import Net

DESCRIPTION = (
    "One block of Llama 3.2 1B reading 512 tokens, language, 1x512x2048, 32.2 G MACs (Grattafiori et al. 2024)"
)


def build(net: Net) -> onnx.ModelProto:
    """Every product has 512 rows; scores of later tokens are computed and masked, as exporters write it."""
    return block(net, tokens=512, past=0)

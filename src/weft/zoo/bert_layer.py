"""One encoder layer of BERT-base at 128 tokens: attention and feed-forward, each with its norm behind it."""

from __future__ import annotations

import onnx

from weft.zoo._net import Net
from weft.zoo._transformer import gelu, join_heads, layer_norm, linear, split_heads

DESCRIPTION = "One layer of BERT-base, language, 1x128x768, 931 M MACs (Devlin et al. 2019)"

TOKENS, WIDTH, HEADS, HIDDEN = 128, 768, 12, 3072


def build(net: Net) -> onnx.ModelProto:
    """The layer, given its input and what is added to the attention scores: 0 where a token counts, else -10000."""
    x, mask = net.input("input", WIDTH), net.input("attention_mask", 1)
    q, k, v = (linear(net, part, x, WIDTH, WIDTH) for part in ("query", "key", "value"))
    head = WIDTH // HEADS
    q = split_heads(net, "query", q, TOKENS, HEADS, head, (0, 2, 1, 3))
    k = split_heads(net, "key", k, TOKENS, HEADS, head, (0, 2, 3, 1))
    v = split_heads(net, "value", v, TOKENS, HEADS, head, (0, 2, 1, 3))
    scores = net.add("Div", "scale", [net.add("MatMul", "scores", [q, k]), net.constant("sqrt_head", head**0.5)])
    scores = net.add("Softmax", "softmax", [net.add("Add", "mask", [scores, mask])], axis=-1)
    mixed = join_heads(net, "mixed", net.add("MatMul", "mix", [scores, v]), TOKENS, WIDTH)
    x = _add_norm(net, "attention", linear(net, "attention.out", mixed, WIDTH, WIDTH), x)
    hidden = gelu(net, "gelu", linear(net, "intermediate", x, WIDTH, HIDDEN))
    x = _add_norm(net, "output", linear(net, "output.dense", hidden, HIDDEN, WIDTH), x)
    inputs = {"input": (1, TOKENS, WIDTH), "attention_mask": (1, 1, 1, TOKENS)}
    return net.model(inputs, x, (1, TOKENS, WIDTH))


def _add_norm(net: Net, name: str, made: str, source: str) -> str:
    return layer_norm(net, f"{name}.norm", net.add("Add", f"{name}.residual", [made, source]), WIDTH, 1e-12)

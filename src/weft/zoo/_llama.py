"""One block of Llama 3.2 1B: RMS norm, rotary positions, grouped queries, a gated feed-forward, a growing cache."""

from __future__ import annotations

import onnx

from weft.zoo._net import Net, Shape
from weft.zoo._transformer import join_heads, linear, split_heads

WIDTH, HEADS, KV_HEADS, HEAD, HIDDEN = 2048, 32, 8, 64, 8192
"""Of the published configuration of Llama 3.2 1B, which has 16 such blocks."""


def block(net: Net, tokens: int, past: int) -> onnx.ModelProto:
    """The block for `tokens` new tokens behind `past` cached ones.

    Inputs are the tokens, cosine and sine of their positions, the cached keys and values (where there are any), and,
    where several tokens come at once, what is added to the scores so that none sees a later one. Outputs are the tokens
    and the keys and values so far.
    """
    total = past + tokens
    inputs: dict[str, Shape] = {"input": (1, tokens, WIDTH), "cos": (1, tokens, HEAD), "sin": (1, tokens, HEAD)}
    if past:
        inputs |= dict.fromkeys(("past_key", "past_value"), (1, KV_HEADS, past, HEAD))
    if tokens > 1:
        inputs |= {"attention_mask": (1, 1, tokens, total)}
    for name, shape in inputs.items():
        net.input(name, shape[-1])
    x = _rms_norm(net, "norm1", "input")
    q = _heads(net, "query", x, tokens, HEADS)
    k = _heads(net, "key", x, tokens, KV_HEADS)
    v = _heads(net, "value", x, tokens, KV_HEADS)
    cos, sin = (net.add("Unsqueeze", f"{part}.row", [part, net.integers("heads_axis", 1)]) for part in ("cos", "sin"))
    q, k = _rotated(net, "query", q, cos, sin), _rotated(net, "key", k, cos, sin)
    if past:
        k = net.add("Concat", "key.cache", ["past_key", k], axis=2)
        v = net.add("Concat", "value.cache", ["past_value", v], axis=2)
    each_k = net.add("Transpose", "key.columns", [_repeated(net, "key", k, total)], perm=[0, 1, 3, 2])
    scores = net.add("MatMul", "scores", [q, each_k])
    scores = net.add("Mul", "scale", [scores, net.constant("scale_by", HEAD**-0.5)])
    if tokens > 1:
        scores = net.add("Add", "mask", [scores, "attention_mask"])
    mixed = net.add(
        "MatMul", "mix", [net.add("Softmax", "softmax", [scores], axis=-1), _repeated(net, "value", v, total)]
    )
    mixed = join_heads(net, "mixed", mixed, tokens, WIDTH)
    x = net.add("Add", "residual1", ["input", linear(net, "out", mixed, WIDTH, WIDTH, bias=False)])
    y = _rms_norm(net, "norm2", x)
    gate = linear(net, "gate", y, WIDTH, HIDDEN, bias=False)
    gate = net.add("Mul", "silu", [gate, net.add("Sigmoid", "sigmoid", [gate])])
    y = net.add("Mul", "gated", [gate, linear(net, "up", y, WIDTH, HIDDEN, bias=False)])
    x = net.add("Add", "residual2", [x, linear(net, "down", y, HIDDEN, WIDTH, bias=False)])
    cache = (1, KV_HEADS, total, HEAD)
    return net.model(inputs, x, (1, tokens, WIDTH), {"present_key": (k, cache), "present_value": (v, cache)})


def _rms_norm(net: Net, name: str, source: str) -> str:
    """x / sqrt(mean x^2 + 1e-5), scaled."""
    mean = net.add("Pow", f"{name}.square", [source, net.constant("two", 2.0)])
    mean = net.add("ReduceMean", f"{name}.mean", [mean], axes=[-1], keepdims=1)
    root = net.add("Sqrt", f"{name}.root", [net.add("Add", f"{name}.add", [mean, net.constant("epsilon", 1e-5)])])
    normed = net.add("Mul", f"{name}.mul", [source, net.add("Reciprocal", f"{name}.reciprocal", [root])])
    return net.add("Mul", f"{name}.scale", [net.weight(f"{name}.weight", (WIDTH,), 2), normed])


def _heads(net: Net, name: str, source: str, tokens: int, heads: int) -> str:
    made = linear(net, name, source, WIDTH, heads * HEAD, bias=False)
    return split_heads(net, name, made, tokens, heads, HEAD, (0, 2, 1, 3))


def _rotated(net: Net, name: str, source: str, cos: str, sin: str) -> str:
    """x cos + (-second half, first half) sin, the halves along each head."""
    bounds = {"low": (0, HEAD // 2), "high": (HEAD // 2, HEAD)}
    low, high = (
        net.add(
            "Slice",
            f"{name}.{half}",
            [source, net.integers(f"at_{start}", start), net.integers(f"at_{end}", end), net.integers("last_axis", 3)],
        )
        for half, (start, end) in bounds.items()
    )
    turned = net.add("Concat", f"{name}.turned", [net.add("Neg", f"{name}.neg", [high]), low], axis=-1)
    straight = net.add("Mul", f"{name}.cos", [source, cos])
    return net.add("Add", f"{name}.rotated", [straight, net.add("Mul", f"{name}.sin", [turned, sin])])


def _repeated(net: Net, name: str, source: str, total: int) -> str:
    """Each key and value head once per query head of its group."""
    group = HEADS // KV_HEADS
    x = net.add("Unsqueeze", f"{name}.group", [source, net.integers("group_axis", 2)])
    x = net.add("Expand", f"{name}.expand", [x, net.integers("grouped", 1, KV_HEADS, group, total, HEAD)])
    return net.add("Reshape", f"{name}.repeated", [x, net.integers("repeated", 1, HEADS, total, HEAD)])

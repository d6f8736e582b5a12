"""What transformers share, in the primitives that exporters write at this operator set."""

from __future__ import annotations

import math

from weft.zoo._net import Net


def linear(net: Net, name: str, source: str, inputs: int, outputs: int, bias: bool = True) -> str:
    """A linear layer of a sequence: MatMul with weights [inputs, outputs], and the Add of its bias."""
    product = net.add("MatMul", f"{name}.matmul", [source, net.weight(f"{name}.weight", (inputs, outputs), inputs)])
    return net.add("Add", f"{name}.add", [net.weight(f"{name}.bias", (outputs,), 100), product]) if bias else product


def layer_norm(net: Net, name: str, source: str, width: int, epsilon: float) -> str:
    """LayerNormalization over the last axis, with scale and shift."""
    scale, shift = net.weight(f"{name}.weight", (width,), 2), net.weight(f"{name}.bias", (width,), 100)
    return net.add("LayerNormalization", name, [source, scale, shift], axis=-1, epsilon=epsilon)


def gelu(net: Net, name: str, source: str) -> str:
    """x (1 + erf(x / sqrt 2)) / 2, step by step."""
    inner = net.add(
        "Erf", f"{name}.erf", [net.add("Div", f"{name}.div", [source, net.constant("sqrt2", math.sqrt(2))])]
    )
    inner = net.add("Add", f"{name}.add", [inner, net.constant("one", 1.0)])
    return net.add("Mul", f"{name}.half", [net.add("Mul", f"{name}.mul", [source, inner]), net.constant("half", 0.5)])


def split_heads(net: Net, name: str, source: str, tokens: int, heads: int, head: int, order: tuple[int, ...]) -> str:
    """[1, tokens, heads x head] as [1, tokens, heads, head], then its axes in `order`."""
    shape = net.integers(f"split_{tokens}_{heads}_{head}", 1, tokens, heads, head)
    return net.add(
        "Transpose", f"{name}.transpose", [net.add("Reshape", f"{name}.split", [source, shape])], perm=[*order]
    )


def join_heads(net: Net, name: str, source: str, tokens: int, width: int) -> str:
    """[1, heads, tokens, head] back to [1, tokens, heads x head]."""
    rows = net.add("Transpose", f"{name}.transpose", [source], perm=[0, 2, 1, 3])
    return net.add("Reshape", f"{name}.join", [rows, net.integers(f"join_{tokens}_{width}", 1, tokens, width)])

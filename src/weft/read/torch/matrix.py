"""Matrix products and attention of aten as ONNX nodes."""

from __future__ import annotations

import math
from typing import Any

from weft.read.torch.net import Net
from weft.read.torch.program import Call


def linear(net: Net, call: Call) -> None:
    """A fully connected layer: a Gemm over all but the last axis at once, as PyTorch's own decomposition has it."""
    data, weight = net.tensor(call, "input"), net.tensor(call, "weight")
    shape = net.shape(data)
    rows = math.prod(shape[:-1])
    flat = net.reshaped(call, data, (rows, shape[-1]), "rows")
    net.shaped(call, "Gemm", [flat, weight, net.optional(call, "bias")], (rows, net.shape(weight)[0]), transB=1)


def mm(net: Net, call: Call) -> None:
    """A product of two matrices."""
    net.emit(call, "Gemm", [net.tensor(call), net.tensor(call, "mat2")])


def addmm(net: Net, call: Call) -> None:
    """A product of two matrices and an addend."""
    factors = {"alpha": float(net.number(call, "alpha", 1)), "beta": float(net.number(call, "beta", 1))}
    given = {name: value for name, value in factors.items() if value != 1}
    net.emit(call, "Gemm", [net.tensor(call, "mat1"), net.tensor(call, "mat2"), net.tensor(call)], **given)


def matmul(net: Net, call: Call) -> None:
    """matmul, bmm, mv, dot: a product with broadcast batch axes."""
    second = next((name for name in ("other", "mat2", "vec", "tensor") if name in call.arguments), "other")
    net.emit(call, "MatMul", [net.tensor(call), net.tensor(call, second)])


def baddbmm(net: Net, call: Call) -> None:
    """A batch of products, scaled, and an addend, scaled."""
    out = net.output(call)
    made = net.part(call, "product", "MatMul", [net.tensor(call, "batch1"), net.tensor(call, "batch2")], net.meta(out))
    terms = []
    for name, tensor in (("alpha", made), ("beta", net.tensor(call))):
        factor = net.number(call, name, 1)
        if factor != 1:
            scale = net.scalar(call, f"{name}.factor", factor, net.dtype(tensor))
            tensor = net.part(call, name, "Mul", [tensor, scale], net.shape(tensor))
        terms.append(tensor)
    net.emit(call, "Add", terms)


def outer(net: Net, call: Call) -> None:
    """Every element of one vector times every element of another."""
    left, right = net.tensor(call), net.tensor(call, "vec2" if "vec2" in call.arguments else "other")
    net.emit(call, "Mul", [net.reshaped(call, left, (*net.shape(left), 1), "column"), right])


def einsum(net: Net, call: Call) -> None:
    """A sum of products by its equation."""
    equation = net.given(call, "equation")
    if not isinstance(equation, str):
        raise net.refuse(call, "an einsum must have an equation")
    net.emit(call, "Einsum", net.tensors(call, "tensors"), equation=equation.replace(" ", ""))


def attention(net: Net, call: Call) -> None:
    """Scaled dot-product attention as ONNX's, which has a batch axis and an axis of heads.

    Heads of keys and values that several heads of queries share stay shared; a mask is added, or chooses by booleans.
    """
    if net.number(call, "dropout_p", 0):
        raise net.refuse(call, "dropout must be off", "call eval() before exporting")
    names = [net.tensor(call, name) for name in ("query", "key", "value")]
    sources = [
        net.reshaped(call, tensor, _with_heads(net.shape(tensor)), part)
        for tensor, part in zip(names, ("query", "key", "value"), strict=True)
    ]
    mask = net.optional(call, "attn_mask")
    if mask and net.dtype(mask) != "bool":
        mask = net.cast(call, mask, net.dtype(names[0]), "mask_cast")
    if mask and len(net.shape(mask)) > 2:
        own = net.shape(mask)
        # one axis in front is that of the heads, where queries have it
        spread = (1, *own) if len(own) == 3 and len(net.shape(names[0])) > 3 else _with_heads(own)
        mask = net.reshaped(call, mask, spread, "mask_heads")
    attributes: dict[str, Any] = {"is_causal": int(net.flag(call, "is_causal"))}
    if net.given(call, "scale") is not None:
        attributes["scale"] = float(net.number(call, "scale"))
    shape = (*net.shape(sources[0])[:3], net.shape(sources[2])[3])
    net.shaped(call, "Attention", [*sources, mask], shape, **attributes)


def _with_heads(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Batch, heads, positions, features: batch axes as one, and one head where there is no axis of heads."""
    heads = shape[-3] if len(shape) > 3 else 1
    return math.prod(shape[:-3]) if len(shape) > 3 else math.prod(shape[:-2]), heads, *shape[-2:]

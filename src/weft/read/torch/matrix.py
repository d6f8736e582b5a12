"""Matrix products and attention of aten as ONNX nodes."""

from __future__ import annotations

import math

import numpy as np

from weft.read.torch.net import Net
from weft.read.torch.program import Call, Meta


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
    """Scaled dot-product attention as what it computes: two products with scale, mask and softmax between.

    Heads of keys and values that several heads of queries share are broadcast, not repeated.
    """
    query, key, value = (net.tensor(call, name) for name in ("query", "key", "value"))
    q, k, v = net.shape(query), net.shape(key), net.shape(value)
    shared = q[-3] // k[-3] if len(q) > 3 and q[-3] != k[-3] else 1
    if shared > 1:
        query = net.reshaped(call, query, (*q[:-3], k[-3], shared, *q[-2:]), "query")
        key = net.reshaped(call, key, (*k[:-2], 1, *k[-2:]), "key")
        value = net.reshaped(call, value, (*v[:-2], 1, *v[-2:]), "value")
    lines, keys = q[-2], k[-2]
    heads = net.shape(query)[:-2]
    rank = len(net.shape(key))
    turned = net.part(
        call,
        "key_t",
        "Transpose",
        [key],
        (*net.shape(key)[:-2], k[-1], keys),
        perm=[*range(rank - 2), rank - 1, rank - 2],
    )
    shape = (*heads, lines, keys)
    scores = net.part(call, "scores", "MatMul", [query, turned], shape)
    scale = net.scalar(call, "factor", net.number(call, "scale", 1 / math.sqrt(q[-1])), net.dtype(query))
    scores = net.part(call, "scale", "Mul", [scores, scale], shape)
    mask = net.optional(call, "attn_mask")
    if net.flag(call, "is_causal"):
        mask = net.constant(call, "causal", np.triu(np.full((lines, keys), -np.inf, np.float32), 1), net.dtype(query))
        net.note(call, f"causal mask read as a constant of {lines} x {keys} that is added: masked scores are computed")
    if mask:
        scores = _masked(net, call, scores, mask, shape, shared)
    weights = net.part(call, "softmax", "Softmax", [scores], shape, axis=-1)
    net.shaped(call, "MatMul", [weights, value], (*heads, lines, v[-1]))


def _masked(net: Net, call: Call, scores: str, mask: str, shape: tuple[int, ...], shared: int) -> str:
    """Scores with the mask applied: added, or chosen by where it is one of booleans."""
    own = net.shape(mask)
    if shared > 1 and len(own) > 2:
        split = (shape[-4], shared) if own[-3] > 1 else (1, 1)
        mask = net.reshaped(call, mask, (*own[:-3], *split, *own[-2:]), "mask")
    if net.dtype(mask) != "bool":
        return net.part(call, "masked", "Add", [scores, net.cast(call, mask, net.dtype(scores), "mask_cast")], shape)
    least = net.scalar(call, "least", -np.inf, net.dtype(scores))
    return net.part(call, "masked", "Where", [mask, scores, least], Meta(shape, net.dtype(scores)))

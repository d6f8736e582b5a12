"""Operators of ONNX Runtime's own domain, each written as the standard operators that it fuses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx.helper
import onnx.numpy_helper

from weft.errors import ModelError
from weft.read.onnx.graph import Info, Node

OPSET = 24
"""The operator set that the definitions below are written in: the first with Attention, RMSNormalization and Swish."""

_DOMAIN = "com.microsoft::"


class _Body:
    """Standard nodes in place of one node; tensors that it makes have names of their own."""

    def __init__(self, node: Node, infos: Mapping[str, Info], declared: Mapping[str, Info]) -> None:
        self.node = node
        self.infos = infos
        self.declared = declared
        self.nodes: list[Any] = []
        self.remarks: list[str] = []

    def shape(self, position: int) -> tuple[int, ...]:
        return self.infos[self.node.inputs[position]].shape

    def has(self, position: int) -> bool:
        return bool(self.node.given(position))

    def input(self, position: int) -> str:
        """The body's name of an input; "" where it is left out."""
        return f"in{position}" if self.has(position) else ""

    def add(self, op_type: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """A node; its output's name, or a list of several."""
        names = [f"t{len(self.nodes)}" + (f"_{i}" if i else "") for i in range(outputs)]
        given = {name: value for name, value in attributes.items() if value is not None}
        self.nodes.append(onnx.helper.make_node(op_type, list(inputs), names, **given))
        return names[0] if outputs == 1 else names

    def constant(self, value: Any) -> str:
        made: str = self.add("Constant", value=onnx.numpy_helper.from_array(np.asarray(value)))
        return made

    def attribute(self, name: str, default: Any = None) -> Any:
        value = self.node.attributes.get(name)
        return default if value is None else value

    def refuse(self, what: str, remedy: str) -> ModelError:
        return ModelError(f"{self.node.op_type} must {what}", remedy=remedy)


def definition(node: Node, infos: Mapping[str, Info], declared: Mapping[str, Info]) -> Any:
    """What a node of that domain is made of, a FunctionProto; None where weft does not say.

    What it leaves out of the operator, and still prices, is in the function's doc string.

    Args:    infos: its inputs.   declared: shapes that the file states, by tensor.
    Errors: ModelError for a form of the operator that has no standard twin.
    """
    write = DEFINED.get(node.key)
    if write is None:
        return None
    body = _Body(node, infos, declared)
    results = [
        name if index < len(node.outputs) and node.outputs[index] else "" for index, name in enumerate(write(body))
    ]
    for index, name in enumerate(results):
        if name:
            body.nodes.append(onnx.helper.make_node("Identity", [name], [f"out{index}"]))
    outputs = [f"out{index}" if name else "" for index, name in enumerate(results)]
    inputs = [f"in{index}" for index in range(len(node.inputs))]
    opsets = [onnx.helper.make_opsetid("", OPSET)]
    return onnx.helper.make_function(
        node.domain, node.op_type, inputs, outputs, body.nodes, opsets, doc_string="; ".join(body.remarks)
    )


def _activated(body: _Body, tensor: str) -> str:
    """`tensor` behind the activation that the node names."""
    name = body.node.text("activation", "")
    if not name:
        return tensor
    parameters = body.attribute("activation_params") or []
    if name in ("LeakyRelu", "Elu", "ThresholdedRelu"):
        alpha = body.attribute("activation_alpha", parameters[0] if parameters else None)
        return str(body.add(name, tensor, alpha=alpha))
    if name == "Clip":
        return str(body.add(name, tensor, *(body.constant(np.float32(value)) for value in parameters)))
    if name == "HardSigmoid":
        alpha, beta = parameters or (0.2, 0.5)
        return str(body.add(name, tensor, alpha=alpha, beta=beta))
    return str(body.add("Swish" if name == "SiLU" else name, tensor))


def _fused_conv(body: _Body) -> list[str]:
    names = ("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides")
    kept = {name: body.attribute(name) for name in names}
    made = body.add("Conv", *(body.input(i) for i in range(3 if body.has(2) else 2)), **kept)
    if body.has(3):
        made = body.add("Add", made, body.input(3))
    return [_activated(body, made)]


def _nhwc_conv(body: _Body) -> list[str]:
    rank = len(body.shape(0))
    names = ("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides")
    kept = {name: body.attribute(name) for name in names}
    order = [0, rank - 1, *range(1, rank - 1)]
    data = body.add("Transpose", body.input(0), perm=order)
    weights = body.add("Transpose", body.input(1), perm=order)
    bias = [body.input(2)] if body.has(2) else []
    made = body.add("Conv", data, weights, *bias, **kept)
    return [body.add("Transpose", made, perm=[0, *range(2, rank), 1])]


def _fused_gemm(body: _Body) -> list[str]:
    kept = {name: body.attribute(name) for name in ("alpha", "beta", "transA", "transB")}
    return [_activated(body, body.add("Gemm", *(body.input(i) for i in range(3 if body.has(2) else 2)), **kept))]


def _fused_matmul(body: _Body) -> list[str]:
    if body.attribute("transBatchA", 0) or body.attribute("transBatchB", 0):
        raise body.refuse("have its batch axes in front", "export the network without operator fusion")
    sides = []
    for position, name in enumerate(("transA", "transB")):
        side = body.input(position)
        rank = len(body.shape(position))
        if body.attribute(name, 0) and rank > 1:
            side = body.add("Transpose", side, perm=[*range(rank - 2), rank - 1, rank - 2])
        sides.append(side)
    made = body.add("MatMul", *sides)
    alpha = float(body.attribute("alpha", 1.0))
    if alpha != 1.0:
        made = body.add("Mul", made, body.constant(np.float32(alpha)))
    return [_activated(body, made)]


def _skip_norm(body: _Body) -> list[str]:
    """Sum of input, skip and bias, normalised; the sum is the fourth output."""
    simplified = body.node.op_type == "SkipSimplifiedLayerNormalization"
    total = body.add("Add", body.input(0), body.input(1))
    bias = 3 if simplified else 4
    if body.has(bias):
        total = body.add("Add", total, body.input(bias))
    epsilon = body.attribute("epsilon")
    if simplified:
        return [body.add("RMSNormalization", total, body.input(2), epsilon=epsilon), "", "", total]
    beta = [body.input(3)] if body.has(3) else []
    return [body.add("LayerNormalization", total, body.input(2), *beta, epsilon=epsilon), "", "", total]


def _simplified_norm(body: _Body) -> list[str]:
    kept = {name: body.attribute(name) for name in ("axis", "epsilon", "stash_type")}
    return [body.add("RMSNormalization", body.input(0), body.input(1), **kept)]


def _embed_norm(body: _Body) -> list[str]:
    """Words, positions and segments looked up, added and normalised."""
    batch, length = body.shape(0)
    positions = body.input(8) or body.constant(np.tile(np.arange(length, dtype=np.int64), (batch, 1)))
    total = body.add(
        "Add", body.add("Gather", body.input(2), body.input(0)), body.add("Gather", body.input(3), positions)
    )
    if body.has(4) and body.has(1):
        total = body.add("Add", total, body.add("Gather", body.input(4), body.input(1)))
    epsilon = body.attribute("epsilon")
    made = body.add("LayerNormalization", total, body.input(5), body.input(6), epsilon=epsilon)
    counts = ""
    if body.has(7):
        counts = body.add("ReduceSum", body.input(7), body.constant(np.asarray([1], np.int64)), keepdims=0)
    return [made, counts, total]


def _gelu(body: _Body) -> list[str]:
    """Gelu, FastGelu, BiasGelu, QuickGelu: a bias that is added first, where there is one."""
    data = body.input(0)
    if body.has(1):
        data = body.add("Add", data, body.input(1))
    if body.node.op_type == "QuickGelu":
        return [body.add("Swish", data, alpha=float(body.attribute("alpha", 1.702)))]
    return [body.add("Gelu", data, approximate="tanh" if body.node.op_type == "FastGelu" else "none")]


def _bias_add(body: _Body) -> list[str]:
    made = body.add("Add", body.input(0), body.input(1))
    return [body.add("Add", made, body.input(2)) if body.has(2) else made]


def _bias_softmax(body: _Body) -> list[str]:
    rank = len(body.shape(0))
    axis = int(body.attribute("axis", 1)) % rank
    bias = body.input(1)
    if not body.attribute("is_inner_broadcast", 1) and len(body.shape(1)) < rank:
        own = len(body.shape(1))
        axes = np.arange(own - (rank - axis), own - (rank - axis) + rank - own, dtype=np.int64)
        bias = body.add("Unsqueeze", bias, body.constant(axes))
    made = body.add("Add", body.input(0), bias)
    shape = body.shape(0)
    if axis == rank - 1:
        return [body.add("Softmax", made, axis=-1)]
    flat = body.add("Reshape", made, body.constant(np.asarray([*shape[:axis], -1], np.int64)))
    return [body.add("Reshape", body.add("Softmax", flat, axis=-1), body.constant(np.asarray(shape, np.int64)))]


def _group_norm(body: _Body) -> list[str]:
    rank = len(body.shape(0))
    last = bool(body.attribute("channels_last", 1))
    data = body.add("Transpose", body.input(0), perm=[0, rank - 1, *range(1, rank - 1)]) if last else body.input(0)
    kept = {"epsilon": body.attribute("epsilon"), "num_groups": int(body.attribute("groups", 1))}
    made = body.add("GroupNormalization", data, body.input(1), body.input(2), **kept)
    if body.attribute("activation", 0):
        made = body.add("Swish", made)
    return [body.add("Transpose", made, perm=[0, *range(2, rank), 1]) if last else made]


def _trilu(body: _Body) -> list[str]:
    return [body.add("Trilu", *(body.input(i) for i in range(len(body.node.inputs))), upper=body.attribute("upper"))]


def _padding(body: _Body, mask: str, rank: int, bias: str) -> str:
    """A mask of padding [batch, keys], added to the bias of the scores; one over the scores stays as it is."""
    if not mask:
        return bias
    if rank == 2:
        mask = body.add("Unsqueeze", mask, body.constant(np.asarray([1, 2], np.int64)))
    elif rank == 3:
        mask = body.add("Unsqueeze", mask, body.constant(np.asarray([1], np.int64)))
    elif rank != 4:
        raise body.refuse("mask padding by element, not by length", "export the network with a mask [batch, keys]")
    kind = body.infos[body.node.inputs[0]].dtype
    hidden = body.constant(np.float16(0) if kind == "float16" else np.float32(0))
    least = body.constant(np.float16(-1e4) if kind == "float16" else np.float32(-1e4))
    made = str(body.add("Where", body.add("Cast", mask, to=int(onnx.TensorProto.BOOL)), hidden, least))
    return str(body.add("Add", bias, made)) if bias else made


def _multi_head(body: _Body) -> list[str]:
    """MultiHeadAttention with queries, keys and values of their own."""
    heads = int(body.attribute("num_heads", 1))
    if not body.has(1) or not body.has(2) or len(body.shape(1)) != len(body.shape(0)):
        raise body.refuse(
            "have queries, keys and values as tensors alike", "export the network without operator fusion"
        )
    sides = [body.input(i) for i in range(3)]
    if body.has(3):
        sizes = np.asarray([body.shape(0)[2], body.shape(1)[2], body.shape(2)[2]], np.int64)
        parts = body.add("Split", body.input(3), body.constant(sizes), outputs=3, axis=0)
        sides = [str(body.add("Add", side, part)) for side, part in zip(sides, parts, strict=True)]
    mask = _padding(body, body.input(4), len(body.shape(4)) if body.has(4) else 0, body.input(5))
    return _attend(
        body, sides, mask, body.input(6), body.input(7), heads, heads, int(body.attribute("unidirectional", 0))
    )


def _attend(
    body: _Body, sides: list[str], mask: str, past_key: str, past_value: str, heads: int, key_heads: int, causal: int
) -> list[str]:
    made: list[str] = body.add(
        "Attention",
        *sides,
        mask,
        past_key,
        past_value,
        outputs=3,
        q_num_heads=heads,
        kv_num_heads=key_heads,
        is_causal=causal,
        scale=body.attribute("scale") or None,
        softcap=body.attribute("softcap") or None,
    )
    return made


def _packed_attention(body: _Body) -> list[str]:
    """Attention of that domain: one product makes queries, keys and values."""
    if body.has(4):
        raise body.refuse("have no past", "export the network without operator fusion")
    heads = int(body.attribute("num_heads", 1))
    whole = body.shape(1)[1]
    sizes = body.attribute("qkv_hidden_sizes") or [whole // 3] * 3
    made = body.add("MatMul", body.input(0), body.input(1))
    if body.has(2):
        made = body.add("Add", made, body.input(2))
    sides = body.add("Split", made, body.constant(np.asarray(sizes, np.int64)), outputs=3, axis=-1)
    mask = _padding(body, body.input(3), len(body.shape(3)) if body.has(3) else 0, body.input(5))
    return _attend(body, sides, mask, "", "", heads, heads, int(body.attribute("unidirectional", 0)))[:1]


def _grouped_query(body: _Body) -> list[str]:
    """GroupQueryAttention: turned queries and keys, then attention behind the past.

    A past that is as long as the present is a buffer: the new keys go into it, and all of it is attended to.
    """
    heads, key_heads = int(body.attribute("num_heads", 1)), int(body.attribute("kv_num_heads", 1))
    batch, length, width = body.shape(0)
    if body.has(1):
        sides = [body.input(i) for i in range(3)]
    else:
        size = width // (heads + 2 * key_heads)
        sizes = np.asarray([heads * size, key_heads * size, key_heads * size], np.int64)
        sides = body.add("Split", body.input(0), body.constant(sizes), outputs=3, axis=-1)
    past = body.shape(3)[2] if body.has(3) else 0
    window = int(body.attribute("local_window_size", -1))
    if window >= 0:
        body.remarks.append(f"keys outside its window of {window} count like others")
    if body.attribute("do_rotary", 0):
        start = 0 if length > 1 else past
        numbers = np.tile(np.arange(start, start + length, dtype=np.int64), (batch, 1))
        at = body.input(9) or body.constant(np.minimum(numbers, body.shape(7)[0] - 1))
        kept = {
            "interleaved": body.attribute("rotary_interleaved"),
            "rotary_embedding_dim": _turned(body.shape(7)[1], width, body.has(1), heads, key_heads),
        }
        for index, count in ((0, heads), (1, key_heads)):
            turned = (sides[index], body.input(7), body.input(8), at)
            sides[index] = body.add("RotaryEmbedding", *turned, num_heads=count, **kept)
    stated = body.declared.get((*body.node.outputs, "")[1])
    if past and stated is not None and stated.shape[2] == past:
        return _into_buffer(body, sides, heads, key_heads)
    causal = int(body.attribute("causal", 1))
    return _attend(body, sides, body.input(10), body.input(3), body.input(4), heads, key_heads, causal)


def _turned(pairs: int, width: int, apart: bool, heads: int, key_heads: int) -> int | None:
    """Features that are turned, where they are not all."""
    size = width // (heads if apart else heads + 2 * key_heads)
    return 2 * pairs if 2 * pairs < size else None


def _into_buffer(body: _Body, sides: list[str], heads: int, key_heads: int) -> list[str]:
    batch, _, length, size = body.shape(3)
    body.remarks.append(f"all {length} keys of its buffer count, filled or not")
    at = body.add("Cast", body.add("Reshape", body.input(5), body.constant(np.asarray([batch], np.int64))), to=7)
    buffers = []
    for index in (1, 2):
        apart = body.add("Reshape", sides[index], body.constant(np.asarray([0, 0, key_heads, size], np.int64)))
        ordered = body.add("Transpose", apart, perm=[0, 2, 1, 3])
        buffers.append(body.add("TensorScatter", body.input(2 + index), ordered, at))
    query = body.add("Reshape", sides[0], body.constant(np.asarray([0, 0, heads, size], np.int64)))
    query = body.add("Transpose", query, perm=[0, 2, 1, 3])
    made = body.add(
        "Attention",
        query,
        *buffers,
        body.input(10),
        scale=body.attribute("scale") or None,
        softcap=body.attribute("softcap") or None,
    )
    back = body.add("Transpose", made, perm=[0, 2, 1, 3])
    return [body.add("Reshape", back, body.constant(np.asarray([0, 0, heads * size], np.int64))), *buffers]


def _rotary(body: _Body) -> list[str]:
    """RotaryEmbedding of that domain: positions come second; one alone is where the sequence starts."""
    shape = body.shape(0)
    length = shape[1] if len(shape) == 3 else shape[2]
    at = body.input(1)
    if len(body.shape(1)) != 2:
        at = body.constant(np.tile(np.arange(length, dtype=np.int64), (shape[0], 1)))
    size = 2 * body.shape(2)[1]
    turned = int(body.attribute("rotary_embedding_dim", 0)) or None
    heads = int(body.attribute("num_heads", 0)) or (shape[2] // size if len(shape) == 3 else shape[1])
    kept = {"interleaved": body.attribute("interleaved"), "num_heads": heads, "rotary_embedding_dim": turned}
    return [body.add("RotaryEmbedding", body.input(0), body.input(2), body.input(3), at, **kept)]


DEFINED: dict[str, Callable[[_Body], list[str]]] = {
    f"{_DOMAIN}FusedConv": _fused_conv,
    f"{_DOMAIN}NhwcConv": _nhwc_conv,
    f"{_DOMAIN}FusedGemm": _fused_gemm,
    **dict.fromkeys((f"{_DOMAIN}FusedMatMul", f"{_DOMAIN}FusedMatMulActivation"), _fused_matmul),
    f"{_DOMAIN}TransposeMatMul": _fused_matmul,
    **dict.fromkeys((f"{_DOMAIN}SkipLayerNormalization", f"{_DOMAIN}SkipSimplifiedLayerNormalization"), _skip_norm),
    **dict.fromkeys(("SimplifiedLayerNormalization", f"{_DOMAIN}SimplifiedLayerNormalization"), _simplified_norm),
    f"{_DOMAIN}EmbedLayerNormalization": _embed_norm,
    **dict.fromkeys((f"{_DOMAIN}{name}" for name in ("Gelu", "FastGelu", "BiasGelu", "QuickGelu")), _gelu),
    f"{_DOMAIN}BiasAdd": _bias_add,
    f"{_DOMAIN}BiasSoftmax": _bias_softmax,
    f"{_DOMAIN}GroupNorm": _group_norm,
    f"{_DOMAIN}Trilu": _trilu,
    f"{_DOMAIN}MultiHeadAttention": _multi_head,
    f"{_DOMAIN}Attention": _packed_attention,
    f"{_DOMAIN}GroupQueryAttention": _grouped_query,
    f"{_DOMAIN}RotaryEmbedding": _rotary,
}
"""How each operator is written in standard ones: the outputs of the body, "" where weft has none."""

"""Attention as the passes it is: scores, mask, softmax, weighted sum; keys and values are read for all their queries.

Loops of the two products: B batch, B2 heads of keys, M2 queries' heads per head of keys, M queries; then N keys and K
features for the scores, N features and K keys for the sum. The result is named as the node is, the rest
`<node>.scores`, `.softcap`, `.mask`, `.softmax`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from weft.errors import ModelError
from weft.model.workload import Axis, Note, Op, Tensor, View
from weft.read.dtypes import dtype_bits
from weft.read.onnx.elementwise import NORM_PASSES, broadcast, loop_dims
from weft.read.onnx.graph import Emitted, Graph, Info, Node, axis, elements, operand
from weft.read.onnx.pick import plain


@dataclass(frozen=True, slots=True)
class _Heads:
    """Queries, keys, values or the result: [batch, heads, length, size], or [batch, length, heads x size] when flat."""

    tensor: str
    flat: bool
    batch: int
    heads: int
    length: int
    size: int

    @property
    def shape(self) -> tuple[int, ...]:
        if self.flat:
            return self.batch, self.length, self.heads * self.size
        return self.batch, self.heads, self.length, self.size

    def axes(self, head: Sequence[tuple[str, int]], at: str, feature: str) -> tuple[Axis, ...]:
        """The map from loops: batch B, `head` terms, position `at`, `feature`."""
        batch, place = axis(self.batch, "B"), axis(self.length, at)
        if not self.flat:
            return batch, axis(self.heads, *head), place, axis(self.size, feature)
        terms = [(name, coefficient * self.size) for name, coefficient in head]
        return batch, place, axis(self.heads * self.size, *terms, feature)


def attention(graph: Graph, node: Node) -> Emitted:
    """ONNX's Attention, with its past (copied in front of the new keys and values) and its present.

    Errors: ModelError for heads that do not divide.
    """
    query, key, value = _operands(graph, node)
    made = Emitted()
    notes: list[Note] = []
    for position, new in enumerate((key, value)):
        past, present = node.given(4 + position), (*node.outputs, "", "")[1 + position]
        if past and not elements(graph.shape(past)):
            past = ""
        if not past and not graph.is_used(present):
            continue
        whole, emitted = _with_past(graph, node, "kv"[position], new, past, present)
        made = _joined(made, emitted)
        key, value = (whole, value) if position == 0 else (key, whole)
    group = query.heads // key.heads
    dtype = graph.infos[node.outputs[0]].dtype
    shape = (query.batch, query.heads, query.length, key.length)
    steps = ["scores"]
    if node.number("softcap", 0.0):
        steps.append("softcap")
    mask = node.given(3)
    if mask:
        steps.append("mask")
    steps.append("softmax")
    tensors = {
        step: Tensor(f"{node.outputs[0]}.{step}", shape, dtype_bits(dtype), "intermediate", dtype) for step in steps
    }
    product = (("B", query.batch), ("B2", key.heads), ("M2", group), ("M", query.length))
    head = (("B2", group), ("M2", 1))
    square = (
        axis(query.batch, "B"), axis(query.heads, *head), axis(query.length, "M"), axis(key.length, "N"),
    )  # fmt: skip
    ops = [
        Op(
            f"{node.name}.scores",
            "matmul",
            node.op_type,
            (*product, ("N", key.length), ("K", query.size)),
            (
                operand("A", "I", query.tensor, query.axes(head, "M", "K")),
                operand("B", "W", key.tensor, key.axes((("B2", 1),), "N", "K")),
                operand("O", "O", tensors["scores"].name, square),
            ),
            nodes=(node.name,),
        )
    ]
    for before, step in pairwise(steps):
        ops.append(_on_scores(graph, node, step, tensors[before], tensors[step], mask if step == "mask" else ""))
    result = _Heads(node.outputs[0], query.flat, query.batch, query.heads, query.length, value.size)
    weights = (*square[:3], axis(key.length, "K"))
    ops.append(
        Op(
            node.name,
            "matmul",
            node.op_type,
            (*product, ("N", value.size), ("K", key.length)),
            (
                operand("A", "I", tensors["softmax"].name, weights),
                operand("B", "W", value.tensor, value.axes((("B2", 1),), "K", "N")),
                operand("O", "O", result.tensor, result.axes(head, "M", "N")),
            ),
            nodes=(node.name,),
        )
    )
    notes.append(
        Note(node.name, f"Attention as {len(ops)} ops: {', '.join(op.name for op in ops)}; its scale not priced")
    )
    hidden = [name for name, there in (("causal", node.integer("is_causal", 0)), ("padding", node.given(6))) if there]
    windows = [name for name in ("left_window_size", "right_window_size") if node.integer(name, -1) >= 0]
    if hidden + windows:
        what = ", ".join(hidden + windows)
        notes.append(
            Note(node.name, f"scores that a mask by position hides ({what}) are computed and count like others")
        )
    return _joined(made, Emitted(tuple(ops), (), tuple(tensors.values()), tuple(notes)))


def attended(node: Node, infos: Mapping[str, Info], at: str) -> tuple[Info, ...]:
    """The result, and keys and values as they are for the next step."""
    query, key, value = _heads(node, [infos[name].shape for name in node.inputs[:3]], at)
    dtype = infos[query.tensor].dtype
    past = infos[node.inputs[4]].shape[2] if node.given(4) else 0
    result = _Heads("", query.flat, query.batch, query.heads, query.length, value.size)
    present = [(side.batch, side.heads, past + side.length, side.size) for side in (key, value)]
    return Info(result.shape, dtype), Info(present[0], dtype), Info(present[1], dtype)


def _operands(graph: Graph, node: Node) -> tuple[_Heads, _Heads, _Heads]:
    return _heads(node, [graph.shape(name) for name in node.inputs[:3]], graph.at(node))


def _heads(node: Node, shapes: Sequence[tuple[int, ...]], at: str) -> tuple[_Heads, _Heads, _Heads]:
    counts = [node.integer("q_num_heads", 0), *[node.integer("kv_num_heads", 0)] * 2]
    found = []
    for name, shape, stated in zip(node.inputs[:3], shapes, counts, strict=True):
        if len(shape) == 4:
            found.append(_Heads(name, False, *shape))
        elif len(shape) == 3 and stated > 0 and shape[2] % stated == 0:
            found.append(_Heads(name, True, shape[0], stated, shape[1], shape[2] // stated))
        else:
            raise ModelError(
                f"'{name}' must be [batch, heads, length, size], or [batch, length, heads x size] with its number of "
                f"heads given, not {list(shape)} with {stated}",
                where=at,
                remedy="export the network again",
            )
    query, key, value = found
    if query.heads % key.heads or key.heads != value.heads or query.size != key.size or key.length != value.length:
        raise ModelError(
            f"queries, keys and values must agree in heads, size and length, not {[list(shape) for shape in shapes]}",
            where=at,
            remedy="export the network again",
        )
    return query, key, value


def _with_past(graph: Graph, node: Node, letter: str, new: _Heads, past: str, present: str) -> tuple[_Heads, Emitted]:
    """Keys or values behind those of the past, in the tensor that is the present one; copied part by part."""
    before = graph.shape(past)[2] if past else 0
    used = graph.is_used(present)
    name = present if used else f"{node.name}.{letter}"
    whole = _Heads(name, False, new.batch, new.heads, before + new.length, new.size)
    if not past and not new.flat:
        note = Note(node.name, f"'{present}' read as a view: no data moves")
        return new, Emitted(views=(View(present, new.tensor, "reshape", node.name),), notes=(note,))
    parts = [(new, before)]
    if past:
        parts.insert(0, (_Heads(past, False, new.batch, new.heads, before, new.size), 0))
    ops = []
    for index, (part, offset) in enumerate(parts):
        dims = (("B", part.batch), ("G", part.heads), ("OY", part.length), ("OX", part.size))
        written = (axis(part.batch, "B"), axis(part.heads, "G"), axis(whole.length, "OY", offset=offset))
        operands = (
            operand("I", "I", part.tensor, part.axes((("G", 1),), "OY", "OX")),
            operand("O", "O", name, (*written, axis(part.size, "OX"))),
        )
        ops.append(Op(f"{node.name}.{letter}{index}", "copy", node.op_type, dims, operands, nodes=(node.name,)))
    dtype = graph.infos[new.tensor].dtype
    tensors = () if used else (Tensor(name, whole.shape, dtype_bits(dtype), "intermediate", dtype),)
    return whole, Emitted(tuple(ops), tensors=tensors)


def _on_scores(graph: Graph, node: Node, step: str, before: Tensor, after: Tensor, mask: str) -> Op:
    """One pass over the scores: an elementwise one, or the softmax."""
    dims = loop_dims(before.shape)
    operands = [operand("I", "I", before.name, plain(before.shape, dims))]
    if mask:
        shape = graph.shape(mask)
        aligned = dims[4 - len(shape) :]
        seen = tuple(axis(n) if n == 1 else axis(n, name) for n, (name, _) in zip(shape, aligned, strict=True))
        operands.append(operand("I2", "W", mask, seen))
    operands.append(operand("O", "O", after.name, broadcast(after.shape, dims, 4)))
    if step == "softmax":
        passes = (*dims, ("P", NORM_PASSES["Softmax"]))
        whole = frozenset({dims[-1][0]})
        return Op(f"{node.name}.softmax", "softmax", "Softmax", passes, tuple(operands), whole, nodes=(node.name,))
    onnx = "Add" if step == "mask" else "Tanh"
    return Op(f"{node.name}.{step}", "elementwise", onnx, dims, tuple(operands), nodes=(node.name,))


def _joined(first: Emitted, second: Emitted) -> Emitted:
    return Emitted(
        first.ops + second.ops,
        first.views + second.views,
        first.tensors + second.tensors,
        first.notes + second.notes,
    )

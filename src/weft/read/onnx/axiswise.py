"""Along one axis: running sums, sorting, repetition, masks by position, sequences of numbers."""

from __future__ import annotations

from weft.model.workload import Axis, Note, Op, View
from weft.read.onnx.elementwise import binary_op, broadcast, loop_dims, sources_of
from weft.read.onnx.graph import Emitted, Graph, Node, axis, elements, operand
from weft.read.onnx.pick import plain


def cumulative(graph: Graph, node: Node) -> Emitted:
    """CumSum, CumProd: one visit per element; each waits for the one before it, so the axis stays whole."""
    data, output = node.inputs[0], node.outputs[0]
    shape = graph.shape(data)
    dims = loop_dims(shape)
    stated = graph.value(node.inputs[1]) if node.given(1) else None
    if stated is None:
        whole = frozenset(name for name, _ in dims)
        notes: tuple[Note, ...] = (
            Note(node.name, f"the axis of {node.op_type} is no constant: every axis stays whole"),
        )
    else:
        whole, notes = frozenset({dims[int(stated.reshape(-1)[0]) % len(dims)][0]}), ()
    axes = broadcast(shape, dims, len(shape))
    op = Op(
        node.name,
        "elementwise",
        node.op_type,
        dims,
        (operand("I", "I", data, axes), operand("O", "O", output, axes)),
        whole,
        nodes=(node.name,),
    )
    return Emitted((op,), notes=notes)


def top_k(graph: Graph, node: Node) -> Emitted:
    """TopK as a selection: each of the k ranks looks through the axis; indices, where used, by an op of their own."""
    data = node.inputs[0]
    shape = graph.shape(data)
    where = node.integer("axis", -1) % len(shape)
    ops = []
    for suffix, output in zip(("", ".indices"), node.outputs, strict=False):
        if not graph.is_used(output):
            continue
        result = graph.shape(output)
        ranks = loop_dims(result)
        dims = (*ranks, ("C" if "C" not in dict(ranks) else "C2", shape[where]))
        read = list(plain(shape, ranks))
        read[where] = axis(shape[where], dims[-1][0])
        ops.append(
            Op(
                f"{node.name}{suffix}",
                "reduce",
                node.op_type,
                dims,
                (operand("I", "I", data, read), operand("O", "O", output, plain(result, ranks))),
                nodes=(node.name,),
            )
        )
    notes = [Note(node.name, f"TopK as a selection: {graph.shape(node.outputs[0])[where]} passes over its axis")]
    if len(ops) > 1:
        notes.append(Note(node.name, f"values and indices selected by an op each, {ops[0].name} and {ops[1].name}"))
    return Emitted(tuple(ops), notes=tuple(notes))


def tile(graph: Graph, node: Node) -> Emitted:
    """Tile: a copy; output index = repeat x size + index. A view where nothing is repeated."""
    data, output = node.inputs[0], node.outputs[0]
    shape, result = graph.shape(data), graph.shape(output)
    if shape == result:
        note = Note(node.name, "Tile read as a view: no data moves")
        return Emitted(views=(View(output, data, "reshape", node.name),), notes=(note,))
    dims = loop_dims(shape)
    repeats: list[tuple[str, int]] = []
    written: list[Axis] = []
    for size, total, (name, _) in zip(shape, result, dims, strict=False):
        if total == size:
            written.append(axis(size, name))
            continue
        repeats.append((f"R{name}", total // size))
        written.append(axis(total, (f"R{name}", size), name))
    op = Op(
        node.name,
        "copy",
        node.op_type,
        (*repeats, *dims),
        (operand("I", "I", data, plain(shape, dims[: len(shape)])), operand("O", "O", output, written)),
        nodes=(node.name,),
    )
    return Emitted((op,))


def trilu(graph: Graph, node: Node) -> Emitted:
    """Trilu: a copy; the half that becomes zero counts like the other."""
    data, output = node.inputs[0], node.outputs[0]
    shape = graph.shape(output)
    dims = loop_dims(shape)
    axes = broadcast(shape, dims, len(shape))
    operands = (operand("I", "I", data, axes), operand("O", "O", output, axes))
    op = Op(node.name, "copy", node.op_type, dims, operands, nodes=(node.name,))
    return Emitted((op,), notes=(Note(node.name, "Trilu: the half that becomes zero counts like the other"),))


def generate(graph: Graph, node: Node) -> Emitted:
    """Range, ConstantOfShape: one visit per element made; what it is made from are scalars."""
    output = node.outputs[0]
    shape = graph.shape(output)
    op = binary_op(node.name, node, node.op_type, sources_of(graph, node.inputs[:1]), output, shape)
    more = len([name for name in node.inputs[1:] if name])
    text = f"{node.op_type}: {elements(shape)} elements made in place"
    return Emitted((op,), notes=(Note(node.name, f"{text}; {more} more scalars not priced" if more else text),))

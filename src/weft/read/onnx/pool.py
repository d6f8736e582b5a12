"""Windows and reductions without weights: pools, global pools, ReduceMean and its kin."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

from weft.errors import ModelError
from weft.model.workload import Note, Op
from weft.read.onnx.graph import Emitted, Graph, Node, axis, elements, letters, operand, spatial
from weft.read.onnx.window import Window, windows


def pool(graph: Graph, node: Node) -> Emitted:
    """MaxPool, AveragePool, LpPool: loops B G, output pixels, window taps."""
    shape = graph.shape(node.inputs[0])
    kernel = node.ints("kernel_shape", ())
    axes = windows(node, shape[2:], kernel, graph.at(node))
    made = _pool(graph, node, axes, graph.shape(node.outputs[0])[2:])
    if len(node.outputs) < 2 or not graph.is_used(node.outputs[1]):
        return made
    again = replace(node, name=f"{node.name}.indices", outputs=node.outputs[1:])
    where = replace(_pool(graph, again, axes, graph.shape(node.outputs[1])[2:]).ops[0], nodes=(node.name,))
    note = Note(node.name, f"the places of the maxima are found by an op of its own, {where.name}")
    return Emitted((*made.ops, where), notes=(note,))


def pooled_shape(node: Node, shape: tuple[int, ...], at: str) -> tuple[int, ...]:
    """Output shape of a pool over an input of `shape`.

    Rounding up drops a window that would start in the trailing padding, as ONNX Runtime does; ONNX's own inference
    keeps it in older operator sets.
    """
    if len(shape) < 3:
        raise _rank_error(node, shape, at)
    axes = windows(node, shape[2:], node.ints("kernel_shape", ()), at)
    ceil = node.integer("ceil_mode", 0) != 0 and node.text("auto_pad", "NOTSET") == "NOTSET"
    return (*shape[:2], *(window.out(ceil) for window in axes))


def global_pool(graph: Graph, node: Node) -> Emitted:
    """GlobalAveragePool, GlobalMaxPool, GlobalLpPool: one window that is the whole input."""
    shape = graph.shape(node.inputs[0])
    if len(shape) < 3:
        raise _rank_error(node, shape, graph.at(node))
    _has_elements(graph, node, shape)
    axes = tuple(Window(size, size, 1, 1, 0, 0) for size in shape[2:])
    return _pool(graph, node, axes, (1,) * len(axes))


def _pool(graph: Graph, node: Node, axes: tuple[Window, ...], sizes: tuple[int, ...]) -> Emitted:
    data, output = node.inputs[0], node.outputs[0]
    batch, channels = graph.shape(data)[:2]
    outs, taps = spatial(len(axes), "O"), spatial(len(axes), "F")
    front = [axis(batch, "B"), axis(channels, "G")]
    op = Op(
        name=node.name,
        kind="pool",
        onnx=node.op_type,
        dims=(
            ("B", batch),
            ("G", channels),
            *zip(outs, sizes, strict=True),
            *((tap, window.kernel) for tap, window in zip(taps, axes, strict=True)),
        ),
        operands=(
            operand(
                "I",
                "I",
                data,
                front
                + [
                    axis(w.size, (out, w.stride), (tap, w.dilation), offset=-w.pad_begin)
                    for out, tap, w in zip(outs, taps, axes, strict=True)
                ],
            ),
            operand("O", "O", output, front + [axis(size, out) for out, size in zip(outs, sizes, strict=True)]),
        ),
        nodes=(node.name,),
    )
    return Emitted((op,))


def reduce(graph: Graph, node: Node) -> Emitted:
    """ReduceMean, ReduceSum, ReduceMax, ArgMax, ...: kept loops, then reduced ones (FY and FX of an image)."""
    data, output = node.inputs[0], node.outputs[0]
    shape = graph.shape(data)
    rank = len(shape)
    keep = node.integer("keepdims", 1) != 0
    if node.op_type in ("ArgMax", "ArgMin"):
        reduced = {node.integer("axis", 0) % max(1, rank)}
    else:
        reduced = _reduced_axes(graph, node, shape, keep)
    _has_elements(graph, node, shape)
    names = [reduced_letter(letter) if i in reduced else letter for i, letter in enumerate(letters(rank))]
    sized = list(zip(names, shape, strict=True))
    kept_dims = [item for i, item in enumerate(sized) if i not in reduced]
    reduced_dims = [item for i, item in enumerate(sized) if i in reduced]
    out_axes = []
    for i, (name, size) in enumerate(sized):
        if i not in reduced:
            out_axes.append(axis(size, name))
        elif keep:
            out_axes.append(axis(1))
    op = Op(
        name=node.name,
        kind="reduce",
        onnx=node.op_type,
        dims=(*kept_dims, *reduced_dims) or (("G", 1),),
        operands=(
            operand("I", "I", data, [axis(size, name) for name, size in sized]),
            operand("O", "O", output, out_axes),
        ),
        nodes=(node.name,),
    )
    return Emitted((op,))


def _has_elements(graph: Graph, node: Node, shape: tuple[int, ...]) -> None:
    if not elements(shape):
        raise ModelError(
            f"what is reduced must have elements, and '{node.inputs[0]}' is {list(shape)}",
            where=graph.at(node),
            remedy="check the sizes of the input",
        )


def _reduced_axes(graph: Graph, node: Node, shape: tuple[int, ...], keep: bool) -> set[int]:
    """The axes that go: stated, or, where they are known only at run time, those that the output's shape leaves out.

    Errors: ModelError where they are known only at run time and more than one choice has that shape.
    """
    rank = len(shape)
    if "axes" in node.attributes or not node.given(1) or graph.is_constant(node.inputs[1]):
        stated = node.ints("axes", ()) if "axes" in node.attributes else graph.constant_ints(node, 1, "the axes")
        if stated:
            return {i % rank for i in stated}
        return set() if node.integer("noop_with_empty_axes", 0) else set(range(rank))
    result = graph.shape(node.outputs[0])
    if keep:
        return {i for i in range(rank) if result[i] != shape[i]}
    large = [i for i in range(rank) if shape[i] > 1]  # an axis of size 1 may go or stay
    target = tuple(size for size in result if size > 1)
    choices = [
        set(gone)
        for gone in combinations(large, len(large) - len(target))
        if tuple(shape[i] for i in large if i not in gone) == target
    ]
    if len(choices) != 1:
        graph.constant_ints(node, 1, "the axes")
    ones = [i for i in range(rank) if shape[i] == 1]
    return choices[0] | set(ones[: rank - len(result) - len(choices[0])])


def reduced_letter(letter: str) -> str:
    """The loop letter of an axis that is summed away.

    >>> reduced_letter("OY"), reduced_letter("G"), reduced_letter("B")
    ('FY', 'C', 'FB')
    """
    if letter == "G":
        return "C"
    return "FB" if letter == "B" else "F" + letter[1:]


def _rank_error(node: Node, shape: tuple[int, ...], at: str) -> ModelError:
    return ModelError(
        f"the input of {node.op_type} must have rank 3 or more, not {len(shape)}",
        where=at,
        remedy="export the network again",
    )

"""Views (no data moves) and copies (data moves under an affine map): Reshape to SpaceToDepth."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from weft.errors import ModelError
from weft.model.workload import Axis, Note, Op, View
from weft.read.dtypes import dtype_bits
from weft.read.onnx.elementwise import binary_op, broadcast, loop_dims, sources_of
from weft.read.onnx.graph import Emitted, Graph, Node, axis, elements, operand

Dims = tuple[tuple[str, int], ...]


def reshape(graph: Graph, node: Node) -> Emitted:
    """Same elements in the same row-major order."""
    data, output = node.inputs[0], node.outputs[0]
    if elements(graph.shape(data)) != elements(graph.shape(output)):
        raise ModelError(
            f"a reshape must keep the number of elements, not turn {list(graph.shape(data))} "
            f"into {list(graph.shape(output))}",
            where=graph.at(node),
            remedy="export the network again",
        )
    return _view(node, data, output, "reshape")


def dropout(graph: Graph, node: Node) -> Emitted:
    """Dropout does nothing at inference."""
    view = View(node.outputs[0], node.inputs[0], "reshape", node.name)
    return Emitted(views=(view,), notes=(Note(node.name, "Dropout dropped: it does nothing at inference"),))


def cast(graph: Graph, node: Node) -> Emitted:
    """A view where both types have one width, else an elementwise op: the bits move."""
    data, output = node.inputs[0], node.outputs[0]
    before, after = graph.infos[data].dtype, graph.infos[output].dtype
    if dtype_bits(before) == dtype_bits(after):
        return _view(node, data, output, "reshape")
    shape = graph.shape(output)
    op = binary_op(node.name, node, node.op_type, sources_of(graph, (data,)), output, shape)
    return Emitted((op,))


def transpose(graph: Graph, node: Node) -> Emitted:
    """Axes in another order."""
    rank = len(graph.shape(node.inputs[0]))
    order = node.ints("perm", tuple(reversed(range(rank))))
    if sorted(order) != list(range(rank)):
        raise ModelError(
            f"perm must name each of {rank} axes once, not {list(order)}",
            where=graph.at(node),
            remedy="export the network again",
        )
    return _view(node, node.inputs[0], node.outputs[0], "transpose", order)


def _view(
    node: Node, source: str, tensor: str, kind: Literal["reshape", "transpose"], order: tuple[int, ...] = ()
) -> Emitted:
    view = View(tensor, source, kind, node.name, order)
    return Emitted(views=(view,), notes=(Note(node.name, f"{node.op_type} read as a view: no data moves"),))


def _copy(
    node: Node,
    name: str,
    dims: Dims,
    read: tuple[str, Iterable[Axis]],
    written: tuple[str, Iterable[Axis]],
    barrier: Iterable[str] = (),
) -> Op:
    return Op(
        name,
        "copy",
        node.op_type,
        dims,
        (operand("I", "I", read[0], tuple(read[1])), operand("O", "O", written[0], tuple(written[1]))),
        barrier=frozenset(barrier),
        nodes=(node.name,),
    )


def _axes(dims: Dims, rank: int) -> list[Axis]:
    return [axis(size, name) for name, size in dims[:rank]]


def concat(graph: Graph, node: Node) -> Emitted:
    """One copy per input, each writing its slice; named `<node>.<i>`."""
    output = node.outputs[0]
    shape = graph.shape(output)
    where = node.integer("axis", 1) % len(shape)
    if len(node.inputs) == 1:
        return _view(node, node.inputs[0], output, "reshape")
    ops = []
    offset = 0
    for index, name in enumerate(node.inputs):
        part = graph.shape(name)
        if not elements(part):
            continue  # an empty constant, as exporters start a list
        dims = loop_dims(part)
        written = _axes(dims, len(part))
        written[where] = axis(shape[where], dims[where][0], offset=offset)
        ops.append(_copy(node, f"{node.name}.{index}", dims, (name, _axes(dims, len(part))), (output, written)))
        offset += part[where]
    return Emitted(tuple(ops))


def split(graph: Graph, node: Node) -> Emitted:
    """One copy per output, each reading its slice; named `<node>.<i>`."""
    data = node.inputs[0]
    shape = graph.shape(data)
    where = node.integer("axis", 0) % len(shape)
    ops = []
    offset = 0
    for index, name in enumerate(node.outputs):
        part = graph.shape(name)
        if not elements(part):
            continue
        dims = loop_dims(part)
        read = _axes(dims, len(part))
        read[where] = axis(shape[where], dims[where][0], offset=offset)
        ops.append(_copy(node, f"{node.name}.{index}", dims, (data, read), (name, _axes(dims, len(part)))))
        offset += part[where]
    return Emitted(tuple(ops))


def pad(graph: Graph, node: Node) -> Emitted:
    """A copy that reads shifted by the padding; what falls outside is filled. All-zero pads are a view.

    Modes that repeat inside values (reflect, edge, wrap) read each padded axis whole.
    """
    data, output = node.inputs[0], node.outputs[0]
    shape, result = graph.shape(data), graph.shape(output)
    rank = len(shape)
    stated = graph.constant_ints(node, 1, "the pads") if len(node.inputs) > 1 else node.ints("pads", ())
    axes = graph.constant_ints(node, 3, "the axes") or tuple(range(rank))
    half = len(stated or ()) // 2
    begins = [0] * rank
    for i, begin in zip(axes, (stated or ())[:half], strict=True):
        begins[i % rank] = begin
    if shape == result and not any(begins):
        return _view(node, data, output, "reshape")
    dims = loop_dims(result)
    read = [axis(n, d, offset=-b) for n, (d, _), b in zip(shape, dims, begins, strict=True)]
    inside = node.text("mode", "constant") != "constant"
    barrier = [d for n, b, (d, size) in zip(shape, begins, dims, strict=True) if inside and (b or n != size)]
    return Emitted((_copy(node, node.name, dims, (data, read), (output, _axes(dims, rank)), barrier),))


def slice_(graph: Graph, node: Node) -> Emitted:
    """A copy that reads from `starts` at `steps`; a negative step keeps its axis whole."""
    data, output = node.inputs[0], node.outputs[0]
    shape, result = graph.shape(data), graph.shape(output)
    rank = len(shape)
    if "starts" in node.attributes:
        starts: tuple[int, ...] = node.ints("starts", ())
        axes = node.ints("axes", tuple(range(len(starts))))
        steps = (1,) * len(starts)
    else:
        starts = graph.constant_ints(node, 1, "the starts") or ()
        axes = graph.constant_ints(node, 3, "the axes") or tuple(range(len(starts)))
        steps = graph.constant_ints(node, 4, "the steps") or (1,) * len(starts)
    if shape == result and all(step > 0 for step in steps):
        return _view(node, data, output, "reshape")
    dims = loop_dims(result)
    read = _axes(dims, rank)
    barrier = []
    for start, i, step in zip(starts, (a % rank for a in axes), steps, strict=True):
        size, (letter, count) = shape[i], dims[i]
        first = max(0, start + size if start < 0 else min(start, size if step > 0 else size - 1))
        if step < 0:
            first += step * (count - 1)
            barrier.append(letter)
        read[i] = axis(size, (letter, abs(step)), offset=first)
    return Emitted((_copy(node, node.name, dims, (data, read), (output, _axes(dims, rank)), barrier),))


def expand(graph: Graph, node: Node) -> Emitted:
    """A copy that reads broadcast axes again and again; a view where nothing is repeated."""
    data, output = node.inputs[0], node.outputs[0]
    shape, result = graph.shape(data), graph.shape(output)
    if elements(shape) == elements(result):
        return _view(node, data, output, "reshape")
    dims = loop_dims(result)
    read = broadcast(shape, dims, len(result))
    return Emitted((_copy(node, node.name, dims, (data, read), (output, _axes(dims, len(result)))),))


def depth_to_space(graph: Graph, node: Node) -> Emitted:
    """Channels to pixels: output pixel OY x block + SY reads channel (SY, SX, G), or (G, SY, SX) in mode CRD."""
    data, output = node.inputs[0], node.outputs[0]
    batch, depth, height, width = graph.shape(data)
    block = node.integer("blocksize", 1)
    channels = depth // block**2
    if node.text("mode", "DCR") == "DCR":
        terms: tuple[tuple[str, int], ...] = (("SY", block * channels), ("SX", channels), ("G", 1))
    else:
        terms = (("G", block**2), ("SY", block), ("SX", 1))
    dims = (("B", batch), ("G", channels), ("OY", height), ("OX", width), ("SY", block), ("SX", block))
    front = axis(batch, "B")
    read = [front, axis(depth, *terms), axis(height, "OY"), axis(width, "OX")]
    written = [front, axis(channels, "G")]
    written += [axis(height * block, ("OY", block), "SY"), axis(width * block, ("OX", block), "SX")]
    return Emitted((_copy(node, node.name, dims, (data, read), (output, written), ("SY", "SX")),))


def space_to_depth(graph: Graph, node: Node) -> Emitted:
    """Pixels to channels: output channel (SY, SX, G), or (G, SY, SX) in mode CRD, reads pixel OY x block + SY."""
    data, output = node.inputs[0], node.outputs[0]
    batch, channels, height, width = graph.shape(data)
    block = node.integer("blocksize", 1)
    rows, columns, depth = height // block, width // block, channels * block**2
    dims = (("B", batch), ("G", channels), ("OY", rows), ("OX", columns), ("SY", block), ("SX", block))
    front = axis(batch, "B")
    read = [front, axis(channels, "G"), axis(height, ("OY", block), "SY"), axis(width, ("OX", block), "SX")]
    if node.text("mode", "DCR") == "DCR":
        terms: tuple[tuple[str, int], ...] = (("SY", block * channels), ("SX", channels), ("G", 1))
    else:
        terms = (("G", block**2), ("SY", block), ("SX", 1))
    written = [front, axis(depth, *terms)]
    written += [axis(rows, "OY"), axis(columns, "OX")]
    return Emitted((_copy(node, node.name, dims, (data, read), (output, written), ("G", "SY", "SX")),))

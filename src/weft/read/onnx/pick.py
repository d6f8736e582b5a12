"""Data-dependent access: what is read, or where it is written, is known only at run time.

Reads pick elements of a *scattered* axis: any element may be the one, and each pick counts as one. Writes leave the
order of the output alone (each element is written once, from old data or an update): the axes in question stay whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from weft.errors import ModelError
from weft.model.workload import Axis, Note, Op, Operand, Tensor, Term, View
from weft.read.dtypes import dtype_bits
from weft.read.onnx.elementwise import broadcast, loop_dims
from weft.read.onnx.graph import Emitted, Graph, Node, axis, elements, operand

Dims = tuple[tuple[str, int], ...]


def rows(dims: Sequence[tuple[str, int]]) -> tuple[Term, ...]:
    """Terms of an index that counts through `dims` in row-major order.

    >>> [str(term.coefficient) + term.dim for term in rows((("B", 2), ("G", 5)))]
    ['5B', '1G']
    """
    step, terms = 1, list[Term]()
    for name, size in reversed(dims):
        terms.append(Term(name, step))
        step *= size
    return tuple(reversed(terms))


def scattered(size: int, dims: Sequence[tuple[str, int]] = ()) -> Axis:
    """An axis of which each point of `dims` picks one element at run time."""
    return Axis(size, rows(dims), scattered=True)


def plain(shape: Sequence[int], dims: Sequence[tuple[str, int]]) -> tuple[Axis, ...]:
    """Each axis indexed by the loop in its place, as far as the axis goes."""
    return tuple(axis(size, name) for size, (name, _) in zip(shape, dims[: len(shape)], strict=True))


def gather(graph: Graph, node: Node) -> Emitted:
    """A copy of the rows that the indices name; a plain slice where they are constant and evenly spaced."""
    data, indices, output = node.inputs[0], node.inputs[1], node.outputs[0]
    shape, picked, result = graph.shape(data), graph.shape(indices), graph.shape(output)
    where = node.integer("axis", 0) % len(shape)
    dims = loop_dims(result)
    chosen = dims[where : where + len(picked)]
    slice_ = _even(graph, node, indices, shape[where], chosen)
    read = [*plain(shape[:where], dims[:where]), slice_ or scattered(shape[where], chosen)]
    read += plain(shape[where + 1 :], dims[where + len(picked) : len(result)])
    if slice_:
        return Emitted((_op(node, node.name, dims, ((data, read),), output, result),))
    op = _op(node, node.name, dims, _ordered(graph, (data, read), (indices, plain(picked, chosen))), output, result)
    return Emitted((op,), notes=(_note(node, graph, indices),))


def _even(graph: Graph, node: Node, indices: str, size: int, chosen: Dims) -> Axis | None:
    """The picked axis where the indices are constant and evenly spaced in one row; None where they are not."""
    values = graph.value(indices)
    if values is None or values.ndim > 1:
        return None
    picked = [int(v) % size if -size <= int(v) < size else -1 for v in np.asarray(values).reshape(-1)]
    if -1 in picked:
        raise ModelError(
            f"the indices of {node.op_type} must be less than {size}, not {list(map(int, values.reshape(-1)))}",
            where=graph.at(node),
            remedy="export the network again",
        )
    steps = {b - a for a, b in pairwise(picked)}
    if len(steps) > 1 or any(step < 1 for step in steps):
        return None
    if not values.ndim:
        return axis(size, offset=picked[0])
    return axis(size, (chosen[0][0], max(steps, default=1)), offset=picked[0])


def gather_elements(graph: Graph, node: Node) -> Emitted:
    """A copy that along one axis reads where the indices say, element by element."""
    data, indices, output = node.inputs[0], node.inputs[1], node.outputs[0]
    shape, result = graph.shape(data), graph.shape(output)
    where = node.integer("axis", 0) % len(shape)
    dims = loop_dims(result)
    read = list(plain(shape, dims))
    read[where] = scattered(shape[where], dims[where : where + 1])
    op = _op(node, node.name, dims, _ordered(graph, (data, read), (indices, plain(result, dims))), output, result)
    return Emitted((op,), notes=(_note(node, graph, indices),))


def gather_nd(graph: Graph, node: Node) -> Emitted:
    """A copy of the slices whose first coordinates the indices hold; an op of its own computes their addresses."""
    data, indices, output = node.inputs[0], node.inputs[1], node.outputs[0]
    shape, named, result = graph.shape(data), graph.shape(indices), graph.shape(output)
    batch = node.integer("batch_dims", 0)
    depth, count = named[-1], len(named) - 1
    dims = loop_dims(result)
    at = address(graph, node, indices)
    read = [*plain(shape[:batch], dims[:batch]), scattered(shape[batch], dims[batch:count])]
    read += [scattered(size) for size in shape[batch + 1 : batch + depth]]
    read += plain(shape[batch + depth :], dims[count : len(result)])
    op = _op(node, node.name, dims, _ordered(graph, (data, read), (at.name, plain(at.shape, dims))), output, result)
    return at.then(op, _note(node, graph, indices))


def reverse_sequence(graph: Graph, node: Node) -> Emitted:
    """A copy that reads time backwards as far as each sequence goes."""
    data, lengths, output = node.inputs[0], node.inputs[1], node.outputs[0]
    shape = graph.shape(data)
    dims = loop_dims(shape)
    time, batch = node.integer("time_axis", 0) % len(shape), node.integer("batch_axis", 1) % len(shape)
    read = list(plain(shape, dims))
    read[time] = scattered(shape[time], dims[time : time + 1])
    sources = _ordered(graph, (data, read), (lengths, (axis(shape[batch], dims[batch][0]),)))
    return Emitted((_op(node, node.name, dims, sources, output, shape),), notes=(_note(node, graph, lengths),))


def scatter_elements(graph: Graph, node: Node) -> Emitted:
    """A copy of the data in which updates stand where the indices say along one axis, which stays whole."""
    data, indices, updates, output = *node.inputs[:3], node.outputs[0]
    shape, given = graph.shape(data), graph.shape(updates)
    for position in (1, 2):
        graph.check_rank(node, position, len(shape))
    dims = loop_dims(shape)
    where = node.integer("axis", 0) % len(shape)
    sources = ((data, plain(shape, dims)), (updates, plain(given, dims)), (indices, plain(given, dims)))
    return _scatter(node, dims, sources, output, shape, dims[where : where + 1])


def tensor_scatter(graph: Graph, node: Node) -> Emitted:
    """A copy of a cache in which the update stands from a run-time position on along one axis, which stays whole."""
    data, update, output = node.inputs[0], node.inputs[1], node.outputs[0]
    shape, given = graph.shape(data), graph.shape(update)
    dims = loop_dims(shape)
    where = node.integer("axis", -2) % len(shape)
    sources = [(data, plain(shape, dims)), (update, plain(given, dims))]
    if node.given(2):
        sources.append((node.inputs[2], plain(shape[:1], dims[:1])))
    return _scatter(node, dims, sources, output, shape, dims[where : where + 1])


def scatter_nd(graph: Graph, node: Node) -> Emitted:
    """A copy of the data in which slices are replaced; the axes that the indices are about stay whole."""
    data, indices, updates, output = *node.inputs[:3], node.outputs[0]
    shape, given = graph.shape(data), graph.shape(updates)
    dims = loop_dims(shape)
    depth, count = graph.shape(indices)[-1], len(graph.shape(indices)) - 1
    picked = dims[:depth]
    at = address(graph, node, indices)
    slices = elements(given[:count])
    flat = _part(graph, f"{output}.updates", (slices, *given[count:]), updates)
    flat_at = Tensor(f"{output}.at", (slices,), at.bits, "intermediate", at.dtype)
    views = (
        View(flat.name, updates, "reshape", node.name),
        View(flat_at.name, at.name, "reshape", node.name),
    )
    sources = (
        (data, plain(shape, dims)),
        (flat.name, (Axis(slices, rows(picked)), *plain(given[count:], dims[depth : len(shape)]))),
        (flat_at.name, (Axis(slices, rows(picked)),)),
    )
    made = _scatter(node, dims, sources, output, shape, picked)
    return at.before(replace(made, views=views, tensors=(flat, flat_at)))


def max_unpool(graph: Graph, node: Node) -> Emitted:
    """Zeros in which the pooled values stand where the indices say; images stay whole."""
    data, indices, output = node.inputs[0], node.inputs[1], node.outputs[0]
    shape, result = graph.shape(data), graph.shape(output)
    dims = loop_dims(result)
    pixels = elements(shape[2:])
    flat = [_part(graph, f"{output}.{what}", (*shape[:2], pixels), source) for what, source in _sides(data, indices)]
    views = [View(part.name, source, "reshape", node.name) for part, source in zip(flat, (data, indices), strict=True)]
    axes = (*plain(shape[:2], dims[:2]), Axis(pixels, rows(dims[2:])))
    made = _scatter(node, dims, [(part.name, axes) for part in flat], output, result, dims[2:])
    return replace(made, views=tuple(views), tensors=tuple(flat))


def _sides(data: str, indices: str) -> tuple[tuple[str, str], ...]:
    return (("values", data), ("at", indices))


def one_hot(graph: Graph, node: Node) -> Emitted:
    """One visit per element of the output, which compares with the index of its row; its two values cost nothing."""
    indices, output = node.inputs[0], node.outputs[0]
    shape, result = graph.shape(indices), graph.shape(output)
    dims = loop_dims(result)
    where = node.integer("axis", -1) % len(result)
    rest = dims[:where] + dims[where + 1 : len(result)]
    op = _op(node, node.name, dims, ((indices, plain(shape, rest)),), output, result)
    note = Note(node.name, "OneHot: its two values held in the instruction, not priced")
    return Emitted((replace(op, kind="elementwise"),), notes=(note,))


@dataclass(frozen=True, slots=True)
class Address:
    """Where something lies, one number per place: computed from coordinates by `ops`, or they themselves."""

    name: str
    shape: tuple[int, ...]
    bits: int
    dtype: str
    made: Emitted

    def then(self, op: Op, *notes: Note) -> Emitted:
        """The address, and the op that uses it."""
        return self.before(Emitted((op,), notes=notes))

    def before(self, emitted: Emitted) -> Emitted:
        """The address, and what uses it."""
        return Emitted(
            self.made.ops + emitted.ops,
            self.made.views + emitted.views,
            self.made.tensors + emitted.tensors,
            self.made.notes + emitted.notes,
        )


def address(graph: Graph, node: Node, coordinates: str) -> Address:
    """The addresses that a tensor [..., k] of coordinates stands for: a view where k is 1, else an op that adds up."""
    shape, dtype = graph.shape(coordinates), graph.infos[coordinates].dtype
    name = f"{node.outputs[0]}.address"
    tensor = Tensor(name, shape[:-1], dtype_bits(dtype), "intermediate", dtype)
    if shape[-1] == 1:
        made = Emitted(views=(View(name, coordinates, "reshape", node.name),), tensors=(tensor,))
        return Address(name, shape[:-1], tensor.bits, dtype, made)
    dims = (*loop_dims(shape[:-1]), ("C", shape[-1]))
    if len(shape) == 1:
        dims = (("C", shape[-1]),)
    dims = tuple((f"{d}1" if d == "C" and i < len(dims) - 1 else d, n) for i, (d, n) in enumerate(dims))
    op = Op(
        f"{node.name}.address",
        "reduce",
        node.op_type,
        dims,
        (
            operand("I", "I", coordinates, plain(shape, dims)),
            operand("O", "O", name, plain(shape[:-1], dims[: len(shape) - 1])),
        ),
        nodes=(node.name,),
    )
    note = Note(node.name, f"addresses computed from {shape[-1]} coordinates each by an op of its own, {op.name}")
    return Address(name, shape[:-1], tensor.bits, dtype, Emitted((op,), tensors=(tensor,), notes=(note,)))


def _part(graph: Graph, name: str, shape: tuple[int, ...], like: str) -> Tensor:
    dtype = graph.infos[like].dtype
    return Tensor(name, shape, dtype_bits(dtype), "intermediate", dtype)


def _ordered(
    graph: Graph, data: tuple[str, Sequence[Axis]], other: tuple[str, Sequence[Axis]]
) -> tuple[tuple[str, Sequence[Axis]], ...]:
    """Data and indices in the order of their slots: constants are the second (W)."""
    return (other, data) if graph.is_constant(data[0]) and not graph.is_constant(other[0]) else (data, other)


def _op(
    node: Node,
    name: str,
    dims: Dims,
    sources: Sequence[tuple[str, Sequence[Axis]]],
    output: str,
    shape: tuple[int, ...],
    barrier: Dims = (),
) -> Op:
    """A copy that reads `sources` and writes each element of the output once."""
    read: list[Operand] = []
    for index, (tensor, axes) in enumerate(sources):
        label = "I" if not index else f"I{index + 1}"
        read.append(operand(label, "W" if index == 1 else "I", tensor, tuple(axes)))
    written = operand("O", "O", output, broadcast(shape, dims, len(shape)))
    whole = frozenset(dim for dim, _ in barrier)
    return Op(name, "copy", node.op_type, dims, (*read, written), whole, nodes=(node.name,))


def _scatter(
    node: Node,
    dims: Dims,
    sources: Sequence[tuple[str, Sequence[Axis]]],
    output: str,
    shape: tuple[int, ...],
    barrier: Dims,
) -> Emitted:
    op = _op(node, node.name, dims, sources, output, shape, barrier)
    text = f"{node.op_type}: where it writes is known only at run time; the whole output is written, not in place"
    return Emitted((op,), notes=(Note(node.name, text),))


def _note(node: Node, graph: Graph, indices: str) -> Note:
    when = "are constants without a pattern" if graph.is_constant(indices) else "are known only at run time"
    return Note(node.name, f"{node.op_type}: its indices {when}; any element may be read, each pick counts as one")

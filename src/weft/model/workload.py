"""The workload: ops (iteration spaces), the tensors they touch, and the affine maps between the two."""

from __future__ import annotations

import math
from collections.abc import Iterator
from collections.abc import Mapping as Map
from dataclasses import dataclass, replace
from typing import Literal

from weft.model.tensor_type import TensorType

Kind = Literal["conv", "gemm", "matmul", "pool", "elementwise", "reduce", "softmax", "norm", "copy"]
KINDS: tuple[Kind, ...] = ("conv", "gemm", "matmul", "pool", "elementwise", "reduce", "softmax", "norm", "copy")
MAC_KINDS: frozenset[str] = frozenset({"conv", "gemm", "matmul"})

Slot = Literal["I", "W", "O"]
SLOTS: tuple[Slot, ...] = ("I", "W", "O")

Range = tuple[int, int]
Box = tuple[Range, ...]
"""A box: one half-open range per axis."""


def volume(box: Box) -> int:
    """Elements in a box; 0 where any range is empty."""
    return math.prod(max(0, stop - start) for start, stop in box)


def intersect(a: Box, b: Box) -> Box | None:
    """The common part of two boxes of one rank, or None where they do not meet."""
    common = tuple((max(p, r), min(q, s)) for (p, q), (r, s) in zip(a, b, strict=True))
    return None if any(start >= stop for start, stop in common) else common


@dataclass(frozen=True, slots=True)
class Term:
    """`coefficient` x the loop index of `dim`."""

    dim: str
    coefficient: int = 1

    def __post_init__(self) -> None:
        if self.coefficient < 1:
            raise ValueError(f"coefficient must be positive, not {self.coefficient}")


@dataclass(frozen=True, slots=True)
class Axis:
    """One tensor axis seen from the loops: index = sum of terms + offset; outside 0..size-1 is padding.

    No terms: the axis is not indexed by any loop (its only index is `offset`).
    `scattered`: the index is known only at run time. Each point of the terms picks one element, and any element of the
    axis may be the one.
    """

    size: int
    terms: tuple[Term, ...] = ()
    offset: int = 0
    scattered: bool = False

    def reach(self, ranges: Map[str, Range]) -> Range:
        """The smallest range that holds every index touched while each dim runs over its range, clipped to the axis."""
        if self.scattered:
            return 0, self.size
        low = high = self.offset
        for term in self.terms:
            start, stop = ranges[term.dim]
            low += term.coefficient * start
            high += term.coefficient * (stop - 1)
        start = min(self.size, max(0, low))
        return start, max(start, min(self.size, high + 1))


@dataclass(frozen=True, slots=True)
class Operand:
    """A tensor as one op sees it.

    Args:
        name:   the operand's letter (I W O; A B O for matmul; I I2 O for elementwise).
        slot:   which of a core's three kinds of room it takes: I (first input), W (weights or second input), O.
        tensor: name of the tensor in the workload.
        axes:   one affine map per tensor axis. Each dim appears in at most one axis.
    """

    name: str
    slot: Slot
    tensor: str
    axes: tuple[Axis, ...]

    def __post_init__(self) -> None:
        dims = [term.dim for axis in self.axes for term in axis.terms]
        if len(dims) != len(set(dims)):
            raise ValueError(f"each dim may index one axis of {self.name}, not {dims}")

    @property
    def dims(self) -> frozenset[str]:
        """The dims that index this operand (the relevant ones)."""
        return frozenset(term.dim for axis in self.axes for term in axis.terms)

    def box(self, ranges: Map[str, Range]) -> Box:
        """The tensor box touched while the op's dims run over `ranges` (halo included, padding left out)."""
        return tuple(axis.reach(ranges) for axis in self.axes)


@dataclass(frozen=True, slots=True)
class Op:
    """One node of the workload: named loops and the operands they index.

    Args:
        name:    the ONNX node's name, `<op_type>_<index>` where that is empty or repeated.
        kind:    what a core must support to run it.
        onnx:    the ONNX operator it came from ("Conv").
        dims:    (name, size) of each loop, in canonical order.
        operands: inputs first, the output last.
        barrier: dims of the output that may not be cut into tiles (a softmax needs its whole axis).
        folded:  names of the nodes that this op does on the way out (activation, batch normalisation).
        nodes:   names of all ONNX nodes it stands for.
    """

    name: str
    kind: Kind
    onnx: str
    dims: tuple[tuple[str, int], ...]
    operands: tuple[Operand, ...]
    barrier: frozenset[str] = frozenset()
    folded: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        known = dict(self.dims)
        if any(size < 1 for size in known.values()):
            raise ValueError(f"dims must be positive: {self.dims}")
        for operand in self.operands:
            if not operand.dims <= set(known):
                raise ValueError(
                    f"{operand.name} of {self.name} is indexed by unknown dims {operand.dims - set(known)}"
                )
        if self.operands[-1].slot != "O" or any(operand.slot == "O" for operand in self.operands[:-1]):
            raise ValueError("the last operand, and only that, is the output")

    @property
    def size(self) -> dict[str, int]:
        """Loop sizes by name."""
        return dict(self.dims)

    @property
    def output(self) -> Operand:
        return self.operands[-1]

    @property
    def inputs(self) -> tuple[Operand, ...]:
        return self.operands[:-1]

    @property
    def iterations(self) -> int:
        """Points of the iteration space."""
        return math.prod(size for _, size in self.dims)

    @property
    def macs(self) -> int:
        """Multiply-accumulates: the iterations of convolutions and matrix products, 0 for all else."""
        return self.iterations if self.kind in MAC_KINDS else 0

    @property
    def reduction(self) -> frozenset[str]:
        """Dims that do not index the output: partial sums accumulate over them."""
        return frozenset(name for name, _ in self.dims) - self.output.dims

    @property
    def cuttable(self) -> tuple[str, ...]:
        """Dims along which the op may be cut into independent tiles."""
        return tuple(name for name, size in self.dims if size > 1 and name in self.output.dims - self.barrier)

    def whole(self) -> dict[str, Range]:
        """The whole iteration space as ranges."""
        return {name: (0, size) for name, size in self.dims}

    def tile(self, ranges: Map[str, Range]) -> Op:
        """The part of this op in a box of its iteration space, as an op of its own (indices count from 0 there)."""
        moved = []
        for operand in self.operands:
            axes = tuple(
                replace(axis, offset=axis.offset + sum(t.coefficient * ranges[t.dim][0] for t in axis.terms))
                for axis in operand.axes
            )
            moved.append(Operand(operand.name, operand.slot, operand.tensor, axes))
        dims = tuple((name, ranges[name][1] - ranges[name][0]) for name, _ in self.dims)
        return Op(self.name, self.kind, self.onnx, dims, tuple(moved), self.barrier, self.folded, self.nodes)

    def alone(self, ranges: Map[str, Range]) -> Op:
        """`tile`, of tensors that are no larger than what it touches: tiles alike are then equal."""
        part = self.tile(ranges)
        sizes = part.whole()

        def cut(axis: Axis) -> Axis:
            if axis.scattered:
                return axis
            start, stop = axis.reach(sizes)
            return replace(axis, size=stop - start, offset=axis.offset - start)

        return replace(part, operands=tuple(replace(it, axes=tuple(map(cut, it.axes))) for it in part.operands))

    def counted(self) -> Op:
        """This op as it is priced: of a scattered axis as many elements as are picked, one per point of its terms."""
        if not any(axis.scattered for operand in self.operands for axis in operand.axes):
            return self
        sizes = self.size

        def priced(axis: Axis) -> Axis:
            picks = 1 + sum(term.coefficient * (sizes[term.dim] - 1) for term in axis.terms)
            return Axis(picks, axis.terms) if axis.scattered else axis

        return replace(
            self, operands=tuple(replace(item, axes=tuple(map(priced, item.axes))) for item in self.operands)
        )

    def __str__(self) -> str:
        return f"{self.name} {self.kind} " + " ".join(f"{name}{size}" for name, size in self.dims)


TensorRole = Literal["input", "weight", "intermediate", "output"]


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor of the network.

    Args:
        bits:  per element, as priced.   dtype: as the model declares it.
        type:  its elements, where the model gives them a width of their own (quantised, or to be quantised next).
    """

    name: str
    shape: tuple[int, ...]
    bits: int
    role: TensorRole
    dtype: str = "float32"
    type: TensorType | None = None

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def size_bits(self) -> int:
        return self.elements * self.bits

    def whole(self) -> Box:
        return tuple((0, size) for size in self.shape)


@dataclass(frozen=True, slots=True)
class View:
    """A tensor that is another one under a new index map: no data moves.

    Args:
        tensor: the view's tensor name.    source: the tensor it shows (may itself be a view).
        kind:   "reshape" (same row-major order) or "transpose" (axis i of the view is axis order[i] of the source).
        node:   the ONNX node it came from.
    """

    tensor: str
    source: str
    kind: Literal["reshape", "transpose"]
    node: str
    order: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Note:
    """Something the reader did that a user should know: a folded node, a free view, an unpriced bias."""

    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class Workload:
    """A network as weft schedules it.

    `ops` are in topological order; a tensor has one or more producing ops, disjoint in what they write.
    `nodes` are all nodes of the file, by name and ONNX operator: each is in an op, a view or a note.
    """

    name: str
    tensors: tuple[Tensor, ...]
    ops: tuple[Op, ...]
    views: tuple[View, ...] = ()
    notes: tuple[Note, ...] = ()
    nodes: tuple[tuple[str, str], ...] = ()

    def tensor(self, name: str) -> Tensor:
        return self._by_name()[name]

    def _by_name(self) -> dict[str, Tensor]:
        return {tensor.name: tensor for tensor in self.tensors}

    @property
    def macs(self) -> int:
        return sum(op.macs for op in self.ops)

    def root(self, name: str) -> str:
        """The tensor that `name` is a view of, or itself."""
        source = {view.tensor: view.source for view in self.views}
        while name in source:
            name = source[name]
        return name

    def root_box(self, name: str, box: Box) -> Box:
        """`box` of tensor `name` as a box of its root tensor.

        The smallest covering one where a reshape does not keep boxes.
        """
        views = {view.tensor: view for view in self.views}
        shapes = {tensor.name: tensor.shape for tensor in self.tensors}
        while name in views:
            view = views[name]
            if view.kind == "transpose":
                moved: list[Range] = [(0, 0)] * len(box)
                for axis, source_axis in enumerate(view.order):
                    moved[source_axis] = box[axis]
                box = tuple(moved)
            else:
                box = reshape_box(box, shapes[name], shapes[view.source])
            name = view.source
        return box


def reshape_box(box: Box, shape: tuple[int, ...], target: tuple[int, ...]) -> Box:
    """The smallest box of a row-major tensor of shape `target` that holds `box` of the same data with shape `shape`.

    Axes are matched in groups of equal product, so a box stays exact where its group is whole or untouched.
    >>> reshape_box(((0, 1), (0, 8)), (1, 16), (1, 4, 2, 2))
    ((0, 1), (0, 2), (0, 2), (0, 2))
    """
    result: list[Range] = []
    for ours, theirs in reshape_groups(shape, target):
        result += _reshape_group(box[ours], shape[ours], target[theirs])
    return tuple(result)


def reshape_groups(shape: tuple[int, ...], target: tuple[int, ...]) -> Iterator[tuple[slice, slice]]:
    """Axes of `shape` and of `target` that match, in groups of equal product."""
    i = j = 0
    while i < len(shape) or j < len(target):
        i0, j0, left, right = i, j, 1, 1
        while True:
            if left == right and (i > i0 or j > j0) and left > 1:
                break
            if left <= right and i < len(shape):
                left *= shape[i]
                i += 1
            elif j < len(target):
                right *= target[j]
                j += 1
            elif i < len(shape):
                left *= shape[i]
                i += 1
            else:
                break
        yield slice(i0, i), slice(j0, j)


def _reshape_group(box: Box, shape: tuple[int, ...], target: tuple[int, ...]) -> list[Range]:
    first = last = 0
    for (start, stop), size in zip(box, shape, strict=True):
        first = first * size + start
        last = last * size + stop - 1
    low, high = list[int](), list[int]()
    for size in reversed(target):
        low.append(first % size)
        high.append(last % size)
        first, last = first // size, last // size
    low.reverse()
    high.reverse()
    ranges: list[Range] = []
    split = False
    for size, a, b in zip(target, low, high, strict=True):
        ranges.append((0, size) if split else (a, b + 1))
        split = split or a != b
    return ranges

"""Which pieces of which tensors every tile reads and writes: the dependencies of a plan, as ranges of cells.

A search asks again and again about plans that differ in one op: what a cut touches, and the grid of a tensor, is kept
for as long as the arrays of tiles it follows from are the same objects.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from weft.model.workload import SLOTS, Tensor, Workload
from weft.schedule.kernels import CHUNK_BITS
from weft.schedule.pieces import Cells, Grid, make_grid
from weft.schedule.places import FIRST, GIVEN, KEPT, SHAPE
from weft.schedule.plan import Cut
from weft.schedule.touches import Roots, touched

Ints = np.ndarray[Any, np.dtype[np.int64]]
Small = np.ndarray[Any, np.dtype[np.int32]]
T = TypeVar("T")

MOST_KEPT = 1 << 22
"""Tiles whose touches are kept between plans."""


@dataclass(frozen=True, eq=False)
class Dependencies:
    """What a plan's tiles touch, ready for the kernels (`places.Tiles`, `places.Board`).

    Args:
        names:  of the tensors touched or kept, as they are numbered.     grids: of each.
        tensor: [tensors, 3 + 2 axes].     piece_bits: [pieces].
        touch:  [touches, 2 axes].         row: [ops + 1]: each op's first touch.
        operand: [operands, 2]: tensor, slot.     first: [ops + 1]: each op's first operand.
        cells:  [touches]: pieces of each.
    """

    names: tuple[str, ...]
    grids: tuple[Grid, ...]
    tensor: Ints
    piece_bits: Ints
    touch: Small
    row: Ints
    operand: Ints
    first: Ints
    cells: Ints


class Depend:
    """Dependencies of plans over one workload."""

    def __init__(self, workload: Workload) -> None:
        self.workload = workload
        self.roots = Roots(workload)
        self.axes = max([1, *(len(tensor.shape) for tensor in workload.tensors)])
        self.tensors = {tensor.name: tensor for tensor in workload.tensors}
        self.kept = {self.roots.root[t.name] for t in workload.tensors if t.role == "output"}
        touching: dict[str, list[tuple[int, int]]] = {}
        for index, op in enumerate(workload.ops):
            for number, operand in enumerate(op.operands):
                touching.setdefault(self.roots.root[operand.tensor], []).append((index, number))
        # an output as it is, read by no op, is a tensor of its own that nothing touches
        self.touching = {
            name: touching.get(name, [])
            for name, tensor in self.tensors.items()
            if name in touching or (name in self.kept and tensor.role in ("input", "weight"))
        }
        self.number = {name: number for number, name in enumerate(self.touching)}
        slots = {slot: number for number, slot in enumerate(SLOTS)}
        self.operand = np.array(
            [(self.number[self.roots.root[o.tensor]], slots[o.slot]) for op in workload.ops for o in op.operands],
            np.int64,
        ).reshape(-1, 2)
        self.first = np.cumsum([0, *(len(op.operands) for op in workload.ops)], dtype=np.int64)
        self._kept: OrderedDict[object, tuple[tuple[Ints, ...], object]] = OrderedDict()
        self._size = 0

    def of(self, cuts: Sequence[Cut]) -> Dependencies:
        """What the tiles of all cuts (one per op, in the workload's order) touch."""
        found = [
            self._remembered(
                ("tensor", name), tuple(cuts[index].tiles for index, _ in touching), self._pieces(name, cuts)
            )
            for name, touching in self.touching.items()
        ]
        ranges = dict(zip(self.touching, (item[1] for item in found), strict=True))
        touch = [
            self._remembered(("touch", index), self._around(index, cuts), self._stacked(index, cuts[index], ranges))
            for index in range(len(cuts))
        ]
        tensor = np.zeros((len(found), SHAPE + 2 * self.axes), np.int64)
        volumes = [item[2] for item in found]
        sizes = [len(item) for item in volumes]
        tensor[:, FIRST] = np.cumsum([0, *sizes[:-1]])
        for number, (name, (grid, _, _)) in enumerate(zip(self.touching, found, strict=True)):
            role = self.tensors[name].role
            tensor[number, GIVEN] = role in ("input", "weight")
            tensor[number, KEPT] = name in self.kept
            shape = (1,) * (self.axes - len(grid.edges)) + grid.shape
            tensor[number, SHAPE : SHAPE + self.axes] = shape
            tensor[number, SHAPE + self.axes :] = np.cumprod([1, *shape[:0:-1]])[::-1]
        return Dependencies(
            tuple(self.touching),
            tuple(item[0] for item in found),
            tensor,
            np.concatenate(volumes),
            np.concatenate([item for item, _ in touch]),
            np.cumsum([0, *(len(item) for item, _ in touch)], dtype=np.int64),
            self.operand,
            self.first,
            np.concatenate([cells for _, cells in touch]),
        )

    def _pieces(self, name: str, cuts: Sequence[Cut]) -> Callable[[], tuple[Grid, list[tuple[Cells, Cells]], Ints]]:
        """A tensor's grid, what each that touches it covers there, and bits of pieces."""

        def make() -> tuple[Grid, list[tuple[Cells, Cells]], Ints]:
            tensor = self.tensors[name]
            boxes = [
                self._remembered(
                    ("boxes", index, number), (cuts[index].tiles,), self._boxes(index, number, cuts[index])
                )
                for index, number in self.touching[name]
            ]
            grid, ranges = make_grid(tensor.shape, [*boxes, _chunks(tensor)])
            ranges.pop()
            return grid, ranges, grid.volumes() * tensor.bits

        return make

    def _boxes(self, index: int, number: int, cut: Cut) -> Callable[[], Ints]:
        op = self.workload.ops[index]
        operand = op.operands[number]
        return lambda: self.roots.boxes(operand.tensor, touched(op, operand, cut.tiles))

    def _around(self, index: int, cuts: Sequence[Cut]) -> tuple[Ints, ...]:
        """The tiles that what one op touches follows from: its own, and all others' that touch a tensor of its."""
        names = (self.roots.root[operand.tensor] for operand in self.workload.ops[index].operands)
        return tuple(cuts[other].tiles for other in sorted({op for name in names for op, _ in self.touching[name]}))

    def _stacked(
        self, index: int, cut: Cut, ranges: dict[str, list[tuple[Cells, Cells]]]
    ) -> Callable[[], tuple[Small, Ints]]:
        """[tiles x operands, 2 axes]: the touches of one op; axes that a tensor lacks come first and have one cell.
        And how many pieces are in each."""

        def make() -> tuple[Small, Ints]:
            operands = self.workload.ops[index].operands
            touch = np.zeros((len(cut.tiles), len(operands), 2 * self.axes), np.int32)
            touch[:, :, self.axes :] = 1
            for number, operand in enumerate(operands):
                name = self.roots.root[operand.tensor]
                low, high = ranges[name][self.touching[name].index((index, number))]
                lacks = self.axes - low.shape[1]
                touch[:, number, lacks : self.axes] = low
                touch[:, number, self.axes + lacks :] = high
            rows: Small = touch.reshape(-1, 2 * self.axes)
            return rows, np.prod(rows[:, self.axes :] - rows[:, : self.axes], axis=1, dtype=np.int64)

        return make

    def _remembered(self, what: object, tiles: tuple[Ints, ...], make: Callable[[], T]) -> T:
        """What `make` gives, kept for the same tiles until too much is kept."""
        key = (what, *map(id, tiles))
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key][1]  # type: ignore[return-value]
        made = make()
        self._kept[key] = tiles, made  # the tiles themselves, so that their ids are not given to others
        self._size += sum(map(len, tiles))
        while self._size > MOST_KEPT and len(self._kept) > 1:
            _, (old, _) = self._kept.popitem(last=False)
            self._size -= sum(map(len, old))
        return made


def _chunks(tensor: Tensor) -> Ints:
    """[chunks, axes, 2]: a weight in slabs along its first axis that is not 1, each of about half a chunk; or none."""
    axis = next((axis for axis, size in enumerate(tensor.shape) if size > 1), None)
    if axis is None or tensor.role != "weight" or tensor.size_bits <= CHUNK_BITS:
        return np.empty((0, len(tensor.shape), 2), np.int64)
    size = tensor.shape[axis]
    edges = np.arange(0, size, max(1, CHUNK_BITS // 2 * size // tensor.size_bits))
    slabs = np.array([tensor.whole()] * len(edges), np.int64)
    slabs[:, axis, 0], slabs[:, axis, 1] = edges, np.append(edges[1:], size)
    return slabs

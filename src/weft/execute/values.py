"""What lies in the memories while a schedule is executed: arrays by residency, there from when they are valid until
they end; whatever else is read is poison."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from weft.model.schedule import Schedule
from weft.model.workload import Box, View, Workload, intersect, reshape_box, volume

Array: TypeAlias = npt.NDArray[Any]


class Poisoned(Exception):
    """Something was read that is not there: who reads, of what tensor, which box, in which memory, how much of it."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """The elements of a box; `there` says which of them are known, None for all."""

    array: Array
    there: npt.NDArray[np.bool_] | None = None


class Memories:
    """The contents of every memory at one moment, which only goes forward.

    A residency is readable from `valid_from` until `end`; its contents vanish with it.
    """

    def __init__(
        self,
        workload: Workload,
        schedule: Schedule,
        viewed: Callable[[View, Array], Array],
        dtype: Callable[[str], npt.DTypeLike],
    ) -> None:
        """`viewed` turns the elements of a view's source into those of the view; `dtype` tells a tensor's type."""
        self._converted, self._dtype = viewed, dtype
        self.residencies = {residency.id: residency for residency in schedule.residencies}
        self._shapes = {tensor.name: tensor.shape for tensor in workload.tensors}
        self._views = {view.tensor: view for view in workload.views}
        self._held: dict[int, tuple[int, Numbers]] = {}
        self._ends: list[tuple[int, int]] = []

    def put(self, number: int, tensor: str, memory: str, box: Box, numbers: Numbers, ready: int) -> None:
        """What a maker has made of a box of `tensor` in `memory`, there from cycle `ready` on, as a residency.

        What the residency is not of is lost, and what it has beyond that is poison.
        """
        residency = self.residencies[number]
        common = intersect(residency.box, box)
        if (residency.tensor, residency.memory) != (tensor, memory) or common is None:
            return
        made = part(numbers, box, common)
        if common != residency.box:
            made = joined(residency.box, [(common, made)], made.array.dtype)
        self._held[number] = max(ready, residency.valid_from), made
        heapq.heappush(self._ends, (residency.end, number))

    def now(self, cycle: int) -> None:
        """Let go of what has ended by `cycle`."""
        while self._ends and self._ends[0][0] <= cycle:
            self._held.pop(heapq.heappop(self._ends)[1], None)

    def read(
        self, who: str, tensor: str, memory: str, box: Box, sources: Sequence[int], start: int, end: int
    ) -> Numbers:
        """The elements of `box` that the residencies `sources` hold in `memory` over [start, end); all else is poison.

        Args:    who: names the reader where the residencies cannot be read at all.
        """
        if not volume(box):  # an operand that lies in the padding altogether
            return Numbers(np.zeros([max(0, stop - start) for start, stop in box], self._dtype(tensor)))
        pieces = [self._piece(number, tensor, memory, box, start, end) for number in sources]
        found = [piece for piece in pieces if piece is not None]
        if not found:
            raise Poisoned(f"{who} reads {shown(tensor, box)} in {memory} at cycle {start}, where none of it lies")
        common, numbers = found[0]
        if common == box:
            return numbers
        return joined(box, found, numbers.array.dtype)

    def _piece(
        self, number: int, tensor: str, memory: str, box: Box, start: int, end: int
    ) -> tuple[Box, Numbers] | None:
        """What one residency gives of a box; None where it holds nothing of it then and there."""
        residency = self.residencies[number]
        ready, numbers = self._held.get(number, (0, None))
        there = residency.tensor == tensor and residency.memory == memory
        if not there or numbers is None or not ready <= start <= end <= residency.end:
            return None
        common = intersect(residency.box, box)
        if common is None:
            return None
        return common, part(numbers, residency.box, common)

    def operand(self, who: str, tensor: str, box: Box, root: Numbers, held: Box) -> Array:
        """`box` of a tensor that may be a view, from `held`, the box of its root that was read.

        Errors: Poisoned where an element of it is not there.
        """
        numbers = self._seen(tensor, box, root, held)
        if numbers.there is not None and not numbers.there.all():
            missing = int(numbers.there.size - numbers.there.sum())
            raise Poisoned(
                f"{who} reads {shown(tensor, box)}, of which {missing} of {numbers.there.size} elements are not there"
            )
        return numbers.array

    def _seen(self, tensor: str, box: Box, root: Numbers, held: Box) -> Numbers:
        way: list[View] = []
        name, boxes = tensor, [box]
        while name in self._views:
            view = self._views[name]
            way.append(view)
            boxes.append(self._through(view, boxes[-1]))
            name = view.source
        sizes = {volume(item) for item in boxes}
        if len(sizes) == 1 and intersect(boxes[-1], held) == boxes[-1]:
            seen = part(root, held, boxes[-1])
            for view, target in zip(reversed(way), reversed(boxes[:-1]), strict=True):
                seen = self._viewed(seen, view, tuple(stop - start for start, stop in target))
            return seen
        whole = tuple((0, size) for size in self._shapes[name])
        seen = joined(whole, [(held, root)], root.array.dtype)
        for view in reversed(way):
            seen = self._viewed(seen, view, self._shapes[view.tensor])
        return part(seen, tuple((0, size) for size in self._shapes[tensor]), box)

    def _viewed(self, numbers: Numbers, view: View, shape: Sequence[int]) -> Numbers:
        def turned(array: Array) -> Array:
            return array.transpose(view.order) if view.kind == "transpose" else array.reshape(shape)

        there = None if numbers.there is None else turned(numbers.there)
        return Numbers(self._converted(view, turned(numbers.array)), there)

    def _through(self, view: View, box: Box) -> Box:
        """The smallest box of a view's source that holds `box` of the view."""
        if view.kind == "reshape":
            return reshape_box(box, self._shapes[view.tensor], self._shapes[view.source])
        moved: list[tuple[int, int]] = [(0, 0)] * len(box)
        for axis, source_axis in enumerate(view.order):
            moved[source_axis] = box[axis]
        return tuple(moved)

    def root_box(self, tensor: str, box: Box) -> Box:
        """The smallest box of the root of `tensor` that holds `box` of it."""
        while tensor in self._views:
            box = self._through(self._views[tensor], box)
            tensor = self._views[tensor].source
        return box


def part(numbers: Numbers, of: Box, box: Box) -> Numbers:
    """`box`, which lies in the box `of` that the numbers fill."""
    if box == of:
        return numbers
    place = place_of(box, of)
    return Numbers(numbers.array[place], None if numbers.there is None else numbers.there[place])


def joined(box: Box, pieces: Iterable[tuple[Box, Numbers]], dtype: npt.DTypeLike) -> Numbers:
    """A box filled from pieces of it; what none of them fills is poison."""
    sizes = [stop - start for start, stop in box]
    array, there = np.zeros(sizes, dtype), np.zeros(sizes, np.bool_)
    if array.dtype.kind == "f":
        array[...] = np.nan
    for common, numbers in pieces:
        place = place_of(common, box)
        array[place] = numbers.array
        there[place] = True if numbers.there is None else numbers.there
    return Numbers(array, None if there.all() else there)


def place_of(box: Box, of: Box) -> tuple[slice, ...]:
    """Where `box` lies in an array that starts where `of` does."""
    return tuple(slice(start - first, stop - first) for (start, stop), (first, _) in zip(box, of, strict=True))


def shown(tensor: str, box: Box) -> str:
    """A box of a tensor as text: `x[0:1, 3:5]`."""
    return f"{tensor}[{', '.join(f'{start}:{stop}' for start, stop in box)}]"

"""What every tile touches: boxes of root tensors, for all tiles of an op at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from weft.model.workload import Axis, Op, Operand, Workload, reshape_groups

Counts = np.ndarray[Any, np.dtype[np.int64]]


class Roots:
    """Boxes of tensors as boxes of their root tensors: `Workload.root_box` on arrays."""

    def __init__(self, workload: Workload) -> None:
        self.views = {view.tensor: view for view in workload.views}
        self.shapes = {tensor.name: tensor.shape for tensor in workload.tensors}
        self.root = {tensor.name: self._root(tensor.name) for tensor in workload.tensors}

    def _root(self, name: str) -> str:
        while name in self.views:
            name = self.views[name].source
        return name

    def boxes(self, name: str, boxes: Counts) -> Counts:
        """[boxes, axes of the root, 2] of boxes [boxes, axes, 2] of a tensor."""
        while name in self.views:
            view = self.views[name]
            if view.kind == "transpose":
                moved = np.empty_like(boxes)
                moved[:, list(view.order)] = boxes
                boxes = moved
            else:
                boxes = _reshaped(boxes, self.shapes[name], self.shapes[view.source])
            name = view.source
        return boxes


def touched(op: Op, operand: Operand, tiles: Counts) -> Counts:
    """`Operand.box` of many tiles.

    Args:    tiles: [tiles, dims, 2] in the op's order of dims.
    Returns: [tiles, axes, 2], of the operand's own tensor.
    """
    number = {name: index for index, (name, _) in enumerate(op.dims)}
    boxes = np.empty((len(tiles), len(operand.axes), 2), np.int64)
    for index, axis in enumerate(operand.axes):
        boxes[:, index, 0], boxes[:, index, 1] = _reach(axis, number, tiles)
    return boxes


def _reach(axis: Axis, number: dict[str, int], tiles: Counts) -> tuple[Counts | int, Counts | int]:
    if axis.scattered:
        return 0, axis.size
    low = np.full(len(tiles), axis.offset, np.int64)
    high = low.copy()
    for term in axis.terms:
        low += term.coefficient * tiles[:, number[term.dim], 0]
        high += term.coefficient * (tiles[:, number[term.dim], 1] - 1)
    start = np.clip(low, 0, axis.size)
    return start, np.maximum(start, np.minimum(axis.size, high + 1))


def _reshaped(boxes: Counts, shape: tuple[int, ...], target: tuple[int, ...]) -> Counts:
    """`reshape_box` on arrays."""
    made = np.empty((len(boxes), len(target), 2), np.int64)
    for ours, theirs in reshape_groups(shape, target):
        made[:, theirs] = _reshaped_group(boxes[:, ours], shape[ours], target[theirs])
    return made


def _reshaped_group(boxes: Counts, shape: Sequence[int], target: Sequence[int]) -> Counts:
    first = np.zeros(len(boxes), np.int64)
    last = first.copy()
    for axis, size in enumerate(shape):
        first = first * size + boxes[:, axis, 0]
        last = last * size + boxes[:, axis, 1] - 1
    made = np.empty((len(boxes), len(target), 2), np.int64)
    for axis in range(len(target) - 1, -1, -1):
        made[:, axis, 0], made[:, axis, 1] = first % target[axis], last % target[axis]
        first, last = first // target[axis], last // target[axis]
    split = np.zeros(len(boxes), np.bool_)
    for axis, size in enumerate(target):
        differs = made[:, axis, 0] != made[:, axis, 1]
        made[:, axis, 0] = np.where(split, 0, made[:, axis, 0])
        made[:, axis, 1] = np.where(split, size, made[:, axis, 1] + 1)
        split |= differs
    return made

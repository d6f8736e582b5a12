"""What tiles touch of an operand, for many tiles at once: affine maps, then the views between tensor and root."""

from __future__ import annotations

import numpy as np

from weft.model.columns import Large, Small
from weft.model.workload import Axis, Op, Operand, Workload, reshape_groups


def needed_boxes(workload: Workload, op: Op, operand: Operand, tile: Small, rank: int) -> Small:
    """[tiles, rank, 2]: `Operand.box` of each tile as a box of the operand's root tensor.

    Args: tile: [tiles, dims, 2], in the order of the op's dims.
    """
    dims = {name: number for number, (name, _) in enumerate(op.dims)}
    box = [_reach(axis, dims, tile) for axis in operand.axes]
    views = {view.tensor: view for view in workload.views}
    name = operand.tensor
    while name in views:
        view = views[name]
        if view.kind == "transpose":
            moved = list(box)
            for axis, source_axis in enumerate(view.order):
                moved[source_axis] = box[axis]
            box = moved
        else:
            box = _reshaped(box, workload.tensor(name).shape, workload.tensor(view.source).shape)
        name = view.source
    found = np.empty((len(tile), rank, 2), np.int32)
    found[:, :, 0], found[:, :, 1] = 0, 1
    for axis, (start, stop) in enumerate(box):
        found[:, axis, 0], found[:, axis, 1] = start, stop
    return found


Side = tuple[Large, Large]
"""Starts and stops along one axis."""


def _reach(axis: Axis, dims: dict[str, int], tile: Small) -> Side:
    """`Axis.reach` of each tile."""
    low = np.full(len(tile), axis.offset, np.int64)
    if axis.scattered:
        return np.zeros_like(low), np.full_like(low, axis.size)
    high = low.copy()
    for term in axis.terms:
        low += term.coefficient * tile[:, dims[term.dim], 0].astype(np.int64)
        high += term.coefficient * (tile[:, dims[term.dim], 1].astype(np.int64) - 1)
    start = np.clip(low, 0, axis.size)
    return start, np.maximum(start, np.minimum(axis.size, high + 1))


def _reshaped(box: list[Side], shape: tuple[int, ...], target: tuple[int, ...]) -> list[Side]:
    """`workload.reshape_box` of each box."""
    result: list[Side] = []
    for ours, theirs in reshape_groups(shape, target):
        first = last = np.zeros_like(box[0][0]) if box else np.zeros(1, np.int64)
        for (start, stop), size in zip(box[ours], shape[ours], strict=True):
            first, last = first * size + start, last * size + stop - 1
        digits: list[Side] = []
        for size in reversed(target[theirs]):
            digits.append((first % size, last % size))
            first, last = first // size, last // size
        split = np.zeros(len(first), np.bool_)
        for size, (a, b) in zip(target[theirs], reversed(digits), strict=True):
            result.append((np.where(split, 0, a), np.where(split, size, b + 1)))
            split |= a != b
    return result

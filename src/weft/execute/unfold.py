"""Tensors seen from the loops, and back: affine index maps as strided views of a tile's boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from weft.execute.values import Array
from weft.model.workload import Axis, Operand, Range


def unfold(operand: Operand, ranges: Mapping[str, Range], array: Array, dims: Sequence[str], fill: Any = 0) -> Array:
    """The elements that a tile touches, indexed by its loops.

    Args:    array: the operand's box for these ranges.   dims: the loops, one axis each (of size 1 where the operand
             does not have it).   fill: what stands outside the tensor.
    Returns: a read-only view of the box, padded where the tile reaches outside the tensor.
    """
    pads = [_beyond(axis, ranges) for axis in operand.axes]
    if any(before or after for before, after in pads):
        array = np.pad(array, pads, constant_values=fill)
    strides = {
        term.dim: term.coefficient * array.strides[place]
        for place, axis in enumerate(operand.axes)
        for term in axis.terms
    }
    sizes = [ranges[dim][1] - ranges[dim][0] if dim in strides else 1 for dim in dims]
    return as_strided(array, sizes, [strides.get(dim, 0) for dim in dims], writeable=False)


def fold_back(operand: Operand, ranges: Mapping[str, Range], values: Array, dims: Sequence[str]) -> Array:
    """The operand's box with `values`, indexed by `dims`, at the places that the loops index.

    The loops must reach every element of the box: a tile that leaves some out is none of the op's.
    """
    box = operand.box(ranges)
    pads = [_beyond(axis, ranges) for axis in operand.axes]
    sizes = [stop - start + sum(pad) for (start, stop), pad in zip(box, pads, strict=True)]
    array = np.zeros(sizes, values.dtype)
    strides = {
        term.dim: term.coefficient * array.strides[place]
        for place, axis in enumerate(operand.axes)
        for term in axis.terms
    }
    shape = [ranges[dim][1] - ranges[dim][0] for dim in dims]
    as_strided(array, shape, [strides[dim] for dim in dims])[...] = values
    inside = tuple(slice(before, size - after) for (before, after), size in zip(pads, sizes, strict=True))
    return array[inside]


def _beyond(axis: Axis, ranges: Mapping[str, Range]) -> tuple[int, int]:
    """How far the indices of a tile go beyond its box along one axis: before its first element, behind its last."""
    if axis.scattered:
        return 0, 0
    low = high = axis.offset
    for term in axis.terms:
        start, stop = ranges[term.dim]
        low += term.coefficient * start
        high += term.coefficient * (stop - 1)
    start, stop = axis.reach(ranges)
    if start >= stop:
        return high + 1 - low, 0
    return start - low, high + 1 - stop

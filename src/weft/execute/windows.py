"""Pools of a tile: the taps of each window as axes of a strided view."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from weft.execute.tile import Tile
from weft.execute.values import Array
from weft.model.workload import Operand
from weft.read.onnx.window import windows


def pooled(tile: Tile) -> Array:
    """MaxPool, AveragePool, LpPool, and their global kin."""
    kind = tile.node.op_type.removeprefix("Global")
    if kind == "MaxPool":
        return _maximum(tile)
    return _mean(tile) if kind == "AveragePool" else _norm(tile)


def _taps(tile: Tile) -> tuple[list[str], tuple[int, ...]]:
    """Every loop, the output's first, and the places of the taps."""
    dims = [*tile.output_dims, *tile.summed_dims]
    return dims, tuple(range(len(tile.output_dims), len(dims)))


def _maximum(tile: Tile) -> Array:
    """The largest number in each window, or where it lies in the whole tensor: equal integers are equal numbers."""
    (data,) = tile.op.inputs
    array = tile.read[data.name]
    low = np.iinfo(array.dtype).min if array.dtype.kind in "iu" else -np.inf
    dims, taps = _taps(tile)
    seen = tile.loops(data, array, dims, low)
    if len(tile.node.outputs) < 2 or tile.op.output.tensor != tile.node.outputs[1]:
        return tile.written(seen.max(axis=taps), tile.output_dims)
    flat = seen.reshape(*seen.shape[: taps[0]], -1).argmax(axis=-1)
    return tile.written(_places(tile, data, dims, flat), tile.output_dims)


def _places(tile: Tile, data: Operand, dims: list[str], taps: Array) -> Array:
    """Row-major places (column-major ones where the node says so) of the elements at taps of each output."""
    counts = [tile.size(dim) for dim in tile.summed_dims]
    of_tap = dict(zip(tile.summed_dims, np.unravel_index(taps, counts), strict=True))
    column_major = tile.node.integer("storage_order", 0) != 0
    order = range(len(data.axes))
    order_of_spatial = list(order[2:])[:: -1 if not column_major else 1]
    result = np.zeros(taps.shape, np.int64)
    step = 1
    for place in (*order_of_spatial, 1, 0):
        axis = data.axes[place]
        index: npt.NDArray[np.int64] = np.full(taps.shape, axis.offset, np.int64)
        for term in axis.terms:
            if term.dim in of_tap:
                index = index + term.coefficient * of_tap[term.dim]
            else:
                at = tile.output_dims.index(term.dim)
                own = np.arange(*tile.ranges[term.dim])
                index = index + term.coefficient * own.reshape([-1 if i == at else 1 for i in range(taps.ndim)])
        result += index * step
        step *= axis.size
    return result


def _counts(tile: Tile) -> Array:
    """Taps of each window that count: those inside the tensor, or, where the node says so, in its padding too."""
    (data,) = tile.op.inputs
    padded = tile.node.integer("count_include_pad", 0) and "kernel_shape" in tile.node.attributes
    ends = [0] * len(data.axes)
    if padded:
        sizes = tuple(axis.size for axis in data.axes[2:])
        found = windows(tile.node, sizes, tile.node.ints("kernel_shape", ()), tile.op.name)
        ends[2:] = [window.pad_end for window in found]
    result: Array = np.ones((), np.float32)
    for axis, end in zip(data.axes, ends, strict=True):
        names = [term.dim for term in axis.terms]
        index = np.full((), axis.offset, np.int64)
        for number, term in enumerate(axis.terms):
            own = np.arange(*tile.ranges[term.dim]) * term.coefficient
            index = index + own.reshape([-1 if i == number else 1 for i in range(len(names))])
        counts = index < axis.size + end if padded else (index >= 0) & (index < axis.size)
        summed = tuple(i for i, name in enumerate(names) if name in tile.summed_dims)
        if summed:
            shape = [tile.size(dim) if dim in names else 1 for dim in tile.output_dims]
            result = result * counts.sum(axis=summed).reshape(shape)
    return result


def _mean(tile: Tile) -> Array:
    (data,) = tile.op.inputs
    dims, taps = _taps(tile)
    array = tile.real(data)
    wide = array.astype(np.float32) if array.dtype.itemsize < 4 else array
    total = tile.loops(data, wide, dims).sum(axis=taps)
    return tile.written((total / _counts(tile)).astype(wide.dtype), tile.output_dims)


def _norm(tile: Tile) -> Array:
    (data,) = tile.op.inputs
    dims, taps = _taps(tile)
    p = tile.node.integer("p", 2)
    powers = np.abs(tile.loops(data, tile.real(data), dims)) ** p
    return tile.written(powers.sum(axis=taps) ** np.float32(1 / p), tile.output_dims)

"""Convolutions and matrix products of a tile: strided views of its boxes, multiplied and summed over the rest."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from weft.execute.nodes import NoArithmetic
from weft.execute.tile import Tile
from weft.execute.values import Array
from weft.model.workload import Operand

MOST_COPIED = 1 << 23
"""Elements that are laid out for one product; larger ones are made part by part."""

_INTEGERS = "iu"


def is_integer(tile: Tile) -> bool:
    """Whether both operands are integers on grids, or plain ones, so that the sum is an int32."""
    return all(tile.read[item.name].dtype.kind in _INTEGERS for item in tile.op.inputs[:2])


def accumulated(tile: Tile) -> Array:
    """The int32 sums of the products of whole numbers, zero points taken off; exact in float64 on the way."""
    one, other = (_whole(tile, item, place).astype(np.float64) for place, item in enumerate(tile.op.inputs[:2]))
    return product(tile, one, other).astype(np.int64).astype(np.int32)


def _whole(tile: Tile, item: Operand, place: int) -> Array:
    if tile.grid(item) is not None:
        return tile.shifted(item)
    array = tile.read[item.name].astype(np.int32)
    own = tile.meaning.own_node(tile.op)
    zero = own.given(2 + place) if own.op_type in ("ConvInteger", "MatMulInteger") else ""
    if not zero:
        return array
    value = tile.meaning.constant(zero)
    if value is None or value.size > 1:
        raise NoArithmetic("zero points known only at run time, or several")
    return array - value.astype(np.int32).reshape(())


def multiplied(tile: Tile) -> Array:
    """The sums of the products of numbers, in float32 or, of such a model, float64."""
    one, other = (tile.real(item) for item in tile.op.inputs[:2])
    wide = np.result_type(one.dtype, other.dtype)
    if (wide.kind == "f" and wide.itemsize < 4) or wide.kind not in "fiu":
        wide = np.dtype(np.float32)
    return product(tile, one.astype(wide, copy=False), other.astype(wide, copy=False))


def product(tile: Tile, one: Array, other: Array) -> Array:
    """Two boxes multiplied and summed: the box of the output, its axes in their order."""
    first, second = tile.op.inputs[:2]
    out = tile.output_dims
    batch = [dim for dim in out if dim in first.dims and dim in second.dims]
    rows = [dim for dim in out if dim in first.dims and dim not in second.dims]
    columns = [dim for dim in out if dim in second.dims and dim not in first.dims]
    summed = [dim for dim in tile.summed_dims if dim in first.dims or dim in second.dims]
    if any(dim not in (*batch, *rows, *columns) and tile.size(dim) > 1 for dim in out):
        raise NoArithmetic("an output loop that indexes no operand")
    order = (*batch, *rows, *columns)
    left = tile.loops(first, one, (*batch, *rows, *summed))
    right = tile.loops(second, other, (*batch, *summed, *columns))
    sizes = {dim: tile.size(dim) for dim in order}
    made = np.zeros([sizes[dim] for dim in order], one.dtype)
    shared = math.prod(tile.size(dim) for dim in summed)
    widest = max(rows, key=lambda dim: sizes[dim], default=None)
    total = math.prod(sizes[dim] for dim in (*batch, *rows)) * shared
    parts = min(-(-total // MOST_COPIED), sizes[widest]) if widest else 1
    for number in range(parts):
        place: list[slice] = [slice(None)] * (len(batch) + len(rows))
        if widest and parts > 1:
            count = sizes[widest]
            at = slice(count * number // parts, count * (number + 1) // parts)
            place[len(batch) + rows.index(widest)] = at
        piece = left[tuple(place)]
        a = _matrices(piece, len(batch), len(rows))
        b = _matrices(right, len(batch), len(summed))
        result = np.matmul(a, b)
        made[tuple(place)] = result.reshape(made[tuple(place)].shape)
    places = {dim: i for i, dim in enumerate(order)}
    extra = [dim for dim in out if dim not in places]
    turned = made.transpose([places[dim] for dim in out if dim in places])
    for dim in extra:
        turned = np.expand_dims(turned, out.index(dim))
    return tile.written(turned, out)


def _matrices(array: Array, batch: int, rows: int) -> Array:
    """A stack of matrices: the first axes count them, the next are their rows, the rest their columns.

    What is laid out anew is written along the axis that is contiguous already, rows or columns.
    """
    shape = array.shape
    split = batch + rows
    sizes = (*shape[:batch], math.prod(shape[batch:split]), math.prod(shape[split:]))
    nearest = min(range(len(shape)), key=lambda i: abs(array.strides[i]) if shape[i] > 1 else 1 << 62, default=0)
    if batch <= nearest < split:
        flipped = array.transpose(*range(batch), *range(split, len(shape)), *range(batch, split))
        return flipped.reshape(*shape[:batch], sizes[-1], sizes[-2]).swapaxes(-1, -2)
    return array.reshape(sizes)


def scales(tile: Tile) -> Array:
    """What one accumulated unit is worth, shaped for the output's box: the product of both operands' scales.

    Errors: NoArithmetic for scales that differ along what is summed.
    """
    result = np.ones((), np.float32)
    for item in tile.op.inputs[:2]:
        grid = tile.grid(item)
        if grid is None:
            continue
        if grid.axis is None:
            result = result * grid.scale.reshape(())
            continue
        axis = item.axes[grid.axis]
        start, stop = axis.reach(tile.ranges)
        outs = tile.op.output.axes
        place = next((i for i, out in enumerate(outs) if {t.dim for t in axis.terms} & {t.dim for t in out.terms}), -1)
        if place < 0 or {t.dim for t in outs[place].terms} != {t.dim for t in axis.terms}:
            raise NoArithmetic("scales along what is summed")
        result = result * grid.scale.reshape(-1)[start:stop].reshape(
            [-1 if i == place else 1 for i in range(len(outs))]
        )
    return result


def along_channels(tile: Tile, values: Array, dims: Sequence[str]) -> Array:
    """A bias of one number for each output channel, shaped for the output's box."""
    output = tile.op.output
    place = next(i for i, axis in enumerate(output.axes) if {term.dim for term in axis.terms} & set(dims))
    start, stop = tile.box[place]
    return values.reshape(-1)[start:stop].reshape([-1 if i == place else 1 for i in range(len(output.axes))])

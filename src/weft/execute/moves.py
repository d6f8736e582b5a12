"""Ops of a tile that move numbers and compute none: what their affine maps say, and the little that they do not."""

from __future__ import annotations

import numpy as np

from weft.execute.tile import Tile
from weft.execute.values import Array


def moved(tile: Tile) -> Array:
    """The input's elements where the output's loops put them, as they are stored; outside it stands a fill.

    A quantised tensor stays on its grid: the tile is computed in its integers.
    """
    (data,) = tile.op.inputs
    dims = tile.output_dims
    array = tile.read[data.name]
    made = tile.written(tile.loops(data, array, dims, _fill(tile)), dims)
    if tile.node.op_type == "Slice":
        return np.flip(made, _backwards(tile)) if _backwards(tile) else made
    return _half(tile, made) if tile.node.op_type == "Trilu" else made


def _fill(tile: Tile) -> np.generic | int:
    """What a Pad writes around its input; 0, or the integer that stands for it."""
    (data,) = tile.op.inputs
    grid = tile.grid(data)
    value: Array | None = None
    if tile.node.op_type == "Pad":
        stated = tile.constant(2)
        value = np.asarray(tile.node.number("value", 0.0)) if stated is None else stated
    if grid is None:
        return 0 if value is None else value.astype(tile.read[data.name].dtype).reshape(-1)[0]
    number = 0.0 if value is None else float(value.reshape(-1)[0])
    return int(np.clip(np.rint(number / grid.scale.reshape(-1)[0]) + grid.zero.reshape(-1)[0], grid.low, grid.high))


def _backwards(tile: Tile) -> tuple[int, ...]:
    """Axes that a Slice goes through in steps below 0; they are whole in every tile."""
    steps = tile.constant(4)
    if steps is None:
        return ()
    axes = tile.constant(3)
    where = range(steps.size) if axes is None else axes.reshape(-1)
    rank = len(tile.op.output.axes)
    return tuple(int(i) % rank for i, step in zip(where, steps.reshape(-1), strict=True) if step < 0)


def _half(tile: Tile, made: Array) -> Array:
    """The half above or below a diagonal; the rest is 0."""
    shift = tile.constant(1)
    (first, last), (start, stop) = tile.box[-2:]
    above = np.arange(start, stop)[None, :] - np.arange(first, last)[:, None] - (0 if shift is None else int(shift))
    kept = above >= 0 if tile.node.integer("upper", 1) else above <= 0
    return np.where(kept, made, np.zeros((), made.dtype))

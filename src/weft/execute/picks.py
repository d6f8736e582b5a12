"""GatherND and ScatterND of a tile: coordinates as addresses, slices that are picked, slices that are replaced."""

from __future__ import annotations

import math

import numpy as np

from weft.execute.nodes import NoArithmetic
from weft.execute.tile import Tile
from weft.execute.values import Array

_REDUCTIONS = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}


def picked(tile: Tile) -> Array:
    """One op of a GatherND or ScatterND."""
    if tile.op.name.endswith(".address"):
        return _addresses(tile)
    return _gathered(tile) if tile.node.op_type == "GatherND" else _scattered(tile)


def _named(tile: Tile) -> tuple[tuple[int, ...], int]:
    """(sizes of the axes that coordinates name, axes before them)."""
    graph = tile.meaning.graph
    data, indices = (graph.shape(name) for name in tile.node.inputs[:2])
    batch = tile.node.integer("batch_dims", 0)
    return data[batch : batch + indices[-1]], batch


def _addresses(tile: Tile) -> Array:
    """The row-major address that a row of coordinates stands for; one below 0 counts from the end."""
    sizes, _ = _named(tile)
    coordinates = tile.read[tile.op.inputs[0].name]
    steps = [math.prod(sizes[i + 1 :]) for i in range(len(sizes))]
    return np.asarray((np.mod(coordinates, np.asarray(sizes)) * np.asarray(steps)).sum(axis=-1))


def _gathered(tile: Tile) -> Array:
    sizes, batch = _named(tile)
    data = tile.operand(tile.node.inputs[0])
    assert data is not None
    (at,) = (tile.read[item.name] for item in tile.op.inputs if item is not data)
    array = tile.read[data.name]
    places = np.unravel_index(np.mod(at, math.prod(sizes)), sizes)
    grids = np.ix_(*(np.arange(size) for size in at.shape[:batch])) if batch else ()
    ahead = tuple(grid.reshape(*grid.shape, *[1] * (at.ndim - batch)) for grid in grids)
    return np.asarray(array[(*ahead, *places)])


def _scattered(tile: Tile) -> Array:
    sizes, _ = _named(tile)
    data, updates, at = (tile.read[item.name] for item in tile.op.inputs)
    graph = tile.meaning.graph
    if at.size != math.prod(graph.shape(tile.node.inputs[1])[:-1]):
        raise NoArithmetic("more updates than places")
    made = data.reshape(math.prod(sizes), *data.shape[len(sizes) :]).copy()
    places = np.mod(at, len(made))
    reduction = tile.node.text("reduction", "none")
    if reduction == "none":
        made[places] = updates
    else:
        _REDUCTIONS[reduction].at(made, places, updates)
    return np.asarray(made.reshape(data.shape))

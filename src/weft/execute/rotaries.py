"""RotaryEmbedding of a tile: pairs of features turned by an angle whose cosine and sine stand in tables."""

from __future__ import annotations

import numpy as np

from weft.execute.tile import Tile
from weft.execute.values import Array


def turned(tile: Tile) -> Array:
    """Each member of a pair: itself times the cosine, less or plus the other one times the sine."""
    data, cosine, sine, *places = tile.op.inputs
    wide = np.result_type(tile.read[data.name].dtype, np.float32)
    dims = [name for name, _ in tile.op.dims if name not in ("R", "C")]
    pair = tile.loops(data, tile.real(data).astype(wide), [*dims, "C"])
    own, other = (_table(tile, table.name, dims, bool(places)).astype(wide) for table in (cosine, sine))
    members = [pair[..., 0] * own - pair[..., 1] * other, pair[..., 1] * own + pair[..., 0] * other]
    written = np.stack([members[number] for number in range(*tile.ranges["R"])], axis=-1)
    return tile.written(np.moveaxis(written, -1, 3), [*dims[:3], "R", *dims[3:]])


def _table(tile: Tile, name: str, dims: list[str], picked: bool) -> Array:
    """A table's numbers by loops; its rows are picked where positions are given."""
    operand = next(item for item in tile.op.inputs if item.name == name)
    array = tile.read[name]
    if not picked:
        return tile.loops(operand, array, dims)
    (places,) = (item for item in tile.op.inputs if item.name == "I4")
    rows = tile.loops(places, tile.read["I4"], [dim for dim in dims if dim != "D"])
    return array[rows]

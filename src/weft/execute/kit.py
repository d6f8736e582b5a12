"""What the rules of all operators share: a tile's result, numbers on grids, and evaluators that are kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from weft.execute.meaning import Grid, Meaning
from weft.execute.nodes import Evaluator, NoArithmetic
from weft.execute.tile import Tile
from weft.execute.values import Array
from weft.read.onnx.graph import Node


@dataclass(frozen=True, slots=True)
class Made:
    """A tile's result before it is written: numbers, or integers on a grid.

    `folded`: what is folded into the op is done.   `final`: it is written as it is.   `exact`: another core that does
    the same has the same integers; without it, ones that lie half way may fall to the other side.
    """

    array: Array
    grid: Grid | None = None
    folded: bool = False
    final: bool = False
    exact: bool = True


class Kit:
    """What is prepared once for a node: its evaluator; of a Resize, what each output position is mixed from."""

    def __init__(self, meaning: Meaning) -> None:
        self.meaning = meaning
        self.mixing: dict[str, list[Array | None]] = {}
        self._evaluators: dict[tuple[str, str], Evaluator] = {}

    def evaluate(self, tile: Tile, node: Node, inputs: list[Array | None], variant: str = "") -> dict[str, Array]:
        """The outputs of a node on any inputs of its ranks."""
        key = (node.name, variant)
        if key not in self._evaluators:
            self._evaluators[key] = Evaluator(node)
        try:
            return self._evaluators[key](inputs)
        except (NotImplementedError, RuntimeError, TypeError, ValueError, IndexError) as error:
            raise NoArithmetic(f"ONNX's evaluator fails on {node.op_type}: {error}") from error


Rule = Callable[[Kit, Tile], Made]
"""What computes a tile of an op."""


def real_of(array: Array, grid: Grid, tile: Tile) -> Array:
    """What integers of the output's box stand for."""
    start, stop = tile.box[grid.axis] if grid.axis is not None else (0, 0)
    zero, scale = (grid.along(item, array.ndim, start, stop) for item in (grid.zero, grid.scale))
    return np.asarray((array.astype(np.int32) - zero).astype(np.float32) * scale)


def on_grid(array: Array, grid: Grid, tile: Tile) -> Array:
    """Numbers rounded half to even to the integers of a grid."""
    start, stop = tile.box[grid.axis] if grid.axis is not None else (0, 0)
    zero, scale = (grid.along(item, array.ndim, start, stop) for item in (grid.zero, grid.scale))
    with np.errstate(all="ignore"):
        integers = rounded(array.astype(np.float32) / scale) + zero
        return np.asarray(np.clip(integers, grid.low, grid.high).astype(grid.dtype))


def rounded(numbers: Array) -> Array:
    """The nearest whole numbers, halves to the even one."""
    return np.rint(numbers)

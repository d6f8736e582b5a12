"""A plan: into which tiles every op is cut, what runs each tile, and in which order the engine places them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from weft.mapper import Mapped
from weft.model.chip import Route
from weft.model.mapping import Problem
from weft.model.workload import Op, Range, volume

Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a tile runs on one core; all tiles alike share one.

    Args:
        core:     the core's name.
        problem:  the tile as a mapper's problem (an op of its own, its indices counted from 0).
        mapped:   its mapping and price.
        homes:    for each operand the memory it rests in, and whether it is streamed from there.
        routes:   the ways that streamed operands take.
        duration: base cycles.
    """

    core: str
    problem: Problem
    mapped: Mapped
    homes: tuple[tuple[str, str, bool], ...]
    routes: tuple[tuple[str, Route], ...]
    duration: int

    def bits(self, operand: str) -> int:
        """Bits of what a tile touches of an operand."""
        tile = self.problem.op
        box = next(item.box(tile.whole()) for item in tile.operands if item.name == operand)
        return volume(box) * self.problem.width(operand)


@dataclass(frozen=True, eq=False)
class Cut:
    """One op cut into tiles that together are all of it, none of it twice.

    Args:
        op:      the op.
        tiles:   [tiles, dims, 2]: half-open ranges along each dim, in the op's order of dims.
        recipes: [tiles]: what runs each, as a number into the plan's recipes.
    """

    op: Op
    tiles: Counts
    recipes: Counts

    def ranges(self, tile: int) -> tuple[tuple[str, Range], ...]:
        """A tile as named ranges."""
        return tuple(
            (name, (int(start), int(stop)))
            for (name, _), (start, stop) in zip(self.op.dims, self.tiles[tile], strict=True)
        )


@dataclass(frozen=True, eq=False)
class Plan:
    """All that the engine is told.

    Args:
        cuts:    one per op, in the workload's order.
        recipes: what runs tiles.
        order:   [tiles of all ops]: numbers of tiles (first op's first, as in `cuts`) in the order in which they are
                 placed. A tile comes after all tiles that make what it reads.
        groups:  ops that are run together, tile by tile; each op is in one.
    """

    cuts: tuple[Cut, ...]
    recipes: tuple[Recipe, ...]
    order: Counts
    groups: tuple[tuple[str, ...], ...] = ()

    @cached_property
    def first(self) -> Counts:
        """[ops + 1]: number of each op's first tile, and of tiles in all."""
        return np.cumsum([0, *(len(cut.recipes) for cut in self.cuts)])

    @cached_property
    def used(self) -> tuple[int, ...]:
        """Numbers of the recipes that tiles have."""
        return tuple(np.unique(np.concatenate([cut.recipes for cut in self.cuts])).tolist())

    def recipes_of(self, op: int) -> tuple[Recipe, ...]:
        """The different recipes of an op, in the order of its tiles."""
        return tuple(self.recipes[number] for number in dict.fromkeys(self.cuts[op].recipes.tolist()))

    def at(self, number: int) -> tuple[int, int]:
        """(op, tile of it) of a tile's number."""
        op = int(np.searchsorted(self.first, number, side="right")) - 1
        return op, number - int(self.first[op])

"""What runs tiles: a recipe for each shape of tile, core, and way of holding operands, made once."""

from __future__ import annotations

import math

import numpy as np

from weft.mapper import Mapped
from weft.model.chip import Chip, Core, Route
from weft.model.mapping import Problem
from weft.model.schedule import Infeasible
from weft.model.workload import Op, Range
from weft.schedule.plan import Counts, Recipe
from weft.schedule.settings import hub_memory, setting_for
from weft.schedule.shared import Mapper


class Recipes:
    """Recipes of one run, by what makes tiles alike."""

    def __init__(self, mapper: Mapper) -> None:
        self.mapper = mapper
        self.all: list[Recipe] = []
        self._number: dict[tuple[object, ...], int | Infeasible] = {}

    def of(self, op: Op, tiles: Counts, core: Core, stream: bool, divisor: int) -> Counts | Infeasible:
        """The recipe of each tile, as a number into `all`; or why some tile has none.

        Args:    tiles: [tiles, dims, 2].   stream: whether all operands are streamed, or only what does not fit.
                 divisor: how many cores share the path of what is streamed.
        """
        shapes = np.concatenate([shapes_of(op, tiles), self._held(op, tiles)], axis=1)
        _, alike, which = np.unique(shapes, axis=0, return_index=True, return_inverse=True)
        numbers = np.empty(len(alike), np.int64)
        for row, tile in enumerate(alike):
            key = (op.name, shapes[tile].tobytes(), core.name, stream, divisor)
            if key not in self._number:
                made = self._make(op, tiles[tile], core, stream, divisor)
                if isinstance(made, Recipe):
                    self.all.append(made)
                    self._number[key] = len(self.all) - 1
                else:
                    self._number[key] = made
            found = self._number[key]
            if isinstance(found, Infeasible):
                return found
            numbers[row] = found
        return numbers[which.reshape(-1)]

    def _held(self, op: Op, tiles: Counts) -> Counts:
        """[tiles, operands that are views]: bits that are held, which may differ between tiles of one size."""
        views = [item for item in op.operands if self.mapper.workload.root(item.tensor) != item.tensor]
        named = [_named(op, tile) for tile in tiles] if views else []
        bits = [[self.mapper.box_bits(item, ranges) for item in views] for ranges in named]
        return np.array(bits, np.int64).reshape(len(tiles), len(views))

    def _make(self, op: Op, tile: Counts, core: Core, stream: bool, divisor: int) -> Recipe | Infeasible:
        """As much as fits rests on chip (the largest boxes are streamed first), or all is streamed."""
        mapper, chip = self.mapper, self.mapper.chip
        ranges = _named(op, tile)
        bits = {operand.name: mapper.box_bits(operand, ranges) for operand in op.operands}
        home = {operand.name: hub_memory(core, chip, operand.slot) for operand in op.operands}
        streamed = {name for name, memory in home.items() if memory is None or (stream and memory != chip.outermost)}
        order = sorted((name for name in bits if name not in streamed), key=lambda name: (-bits[name], name))
        alone = op.alone(ranges)
        why: Infeasible | None = None
        for drop in range(len(order) + 1):
            now = frozenset(streamed | set(order[:drop]))
            free: dict[str, int] = {}
            for name in bits:
                memory = home[name]
                if memory is not None and name not in now:
                    free[memory] = free.get(memory, chip.memory(memory).size_bits) - bits[name]
            if any(left < 0 for left in free.values()):
                continue
            problem = mapper.problem(alone, setting_for(alone, core, chip, now, free, divisor if now else 1))
            mapped = mapper.map(problem)
            if isinstance(mapped, Infeasible):
                why = mapped
                continue
            return _recipe(chip, core, problem, mapped, home, now)
        return why or Infeasible(f"{op.name} on {core.name}", "its operands do not fit")


def _named(op: Op, tile: Counts) -> dict[str, Range]:
    return {name: (int(start), int(stop)) for (name, _), (start, stop) in zip(op.dims, tile, strict=True)}


def shapes_of(op: Op, tiles: Counts) -> Counts:
    """[tiles, n]: rows that are equal where tiles are alike: of one size, and at the same edges of their tensors."""
    at = {name: number for number, (name, _) in enumerate(op.dims)}
    columns = [tiles[:, :, 1] - tiles[:, :, 0]]
    for operand in op.operands:
        for axis in operand.axes:
            if axis.scattered or not axis.terms:
                continue
            low = np.full(len(tiles), axis.offset, np.int64)
            high = low.copy()
            for term in axis.terms:
                low += term.coefficient * tiles[:, at[term.dim], 0]
                high += term.coefficient * (tiles[:, at[term.dim], 1] - 1)
            before = np.minimum(low, 0)
            after = np.maximum(high + 1 - axis.size, 0)
            columns.append(np.stack([before, after], axis=1))
    return np.ascontiguousarray(np.concatenate(columns, axis=1))


def _recipe(
    chip: Chip, core: Core, problem: Problem, mapped: Mapped, home: dict[str, str | None], streamed: frozenset[str]
) -> Recipe:
    homes: list[tuple[str, str, bool]] = []
    routes: list[tuple[str, Route]] = []
    for operand in problem.op.operands:
        memory = home[operand.name]
        outside = operand.name in streamed and (memory != chip.outermost)
        homes.append((operand.name, chip.outermost if outside else str(memory), outside))
        if outside:
            top = core.chain(operand.slot)[-1].memory
            routes.append((operand.name, chip.routes(chip.outermost, top)[0]))
    cycles = math.ceil(mapped.price.latency_cycles * chip.base_clock_hz / core.clock_hz)
    return Recipe(core.name, problem, mapped, tuple(homes), tuple(routes), cycles)

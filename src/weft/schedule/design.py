"""A design: what is decided of a schedule before tiles are placed; `compose` turns it into a plan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from weft.model.chip import Chip
from weft.model.schedule import Infeasible
from weft.model.workload import Op, Workload
from weft.schedule.fuse import Steps, steps_of
from weft.schedule.plan import Counts, Cut, Plan
from weft.schedule.recipes import Recipes


@dataclass(frozen=True, slots=True)
class Placement:
    """Where an op runs.

    Args:
        cores:  one or several.
        split:  (dim, ways) along which each step is split over the cores, as many parts as cores; empty: a step on
                one core.
        stream: whether its operands pass by (from and to the outermost memory) while it runs, or rest in the core as
                far as they fit.
    """

    cores: tuple[str, ...]
    split: tuple[tuple[str, int], ...] = ()
    stream: bool = False

    @property
    def dims(self) -> frozenset[str]:
        """The dims that are split."""
        return frozenset(dim for dim, _ in self.split)

    def __str__(self) -> str:
        ways = " ".join(f"{dim}/{ways}" for dim, ways in self.split)
        where = f"{ways} on {self.cores[0]}.." if self.split else self.cores[0]
        return where + (" streamed" if self.stream else "")


@dataclass(frozen=True, slots=True)
class Group:
    """Ops that are run together, step by step.

    Args:
        ops:   numbers of ops, one after another in the workload's order.
        axis:  dim of the last op along which steps are taken; None for one step.
        steps: how many.
    """

    ops: tuple[int, ...]
    axis: str | None = None
    steps: int = 1


@dataclass(frozen=True, slots=True)
class Design:
    """Groups in order, and a placement for each op."""

    groups: tuple[Group, ...]
    placements: tuple[Placement, ...]


class Composer:
    """Turns designs into plans; what groups and ops have in common with earlier designs is kept."""

    def __init__(self, workload: Workload, chip: Chip, recipes: Recipes) -> None:
        self.workload, self.chip, self.recipes = workload, chip, recipes
        self._cores = {core.name: core for core in chip.cores}
        self._steps: dict[Group, tuple[Steps, ...]] = {}
        self._cuts: dict[tuple[int, Steps, Placement], tuple[Cut, Counts] | Infeasible] = {}

    def plan(self, design: Design) -> Plan | Infeasible:
        """The plan of a design, or why some tile cannot run where it says."""
        cuts: list[Cut] = []
        rounds: list[Counts] = []
        for group in design.groups:
            steps = self.steps(group)
            for op, along in zip(group.ops, steps, strict=True):
                made = self.cut(op, along, design.placements[op])
                if isinstance(made, Infeasible):
                    return made
                cuts.append(made[0])
                rounds.append(made[1])
        order: list[Counts] = []
        first = np.cumsum([0, *(len(cut.recipes) for cut in cuts)])
        for group in design.groups:
            numbers = np.concatenate([np.arange(first[op], first[op + 1]) for op in group.ops])
            order.append(numbers[np.argsort(np.concatenate([rounds[op] for op in group.ops]), kind="stable")])
        names = tuple(tuple(self.workload.ops[op].name for op in group.ops) for group in design.groups)
        return Plan(tuple(cuts), tuple(self.recipes.all), np.concatenate(order), names)

    def steps(self, group: Group) -> tuple[Steps, ...]:
        """How the ops of a group go along with its steps."""
        if group not in self._steps:
            ops = [self.workload.ops[op] for op in group.ops]
            self._steps[group] = steps_of(self.workload, ops, group.axis, group.steps)
        return self._steps[group]

    def cut(self, op: int, steps: Steps, placement: Placement) -> tuple[Cut, Counts] | Infeasible:
        """An op's tiles with their recipes, and in which step each is."""
        key = (op, steps, placement)
        if key not in self._cuts:
            self._cuts[key] = self._cut(self.workload.ops[op], steps, placement)
        return self._cuts[key]

    def _cut(self, op: Op, steps: Steps, placement: Placement) -> tuple[Cut, Counts] | Infeasible:
        tiles, cores, rounds = tiles_of(op, steps, placement)
        recipes = np.empty(len(tiles), np.int64)
        for number, name in enumerate(placement.cores):
            here = np.flatnonzero(cores == number)
            if not len(here):
                continue
            found = self.recipes.of(op, tiles[here], self._cores[name], placement.stream, len(placement.cores))
            if isinstance(found, Infeasible):
                return found
            recipes[here] = found
        return Cut(op, tiles, recipes), rounds


def tiles_of(op: Op, steps: Steps, placement: Placement) -> tuple[Counts, Counts, Counts]:
    """[tiles, dims, 2] of an op, and for each tile the number of its core in the placement, and its step."""
    at = {name: number for number, (name, _) in enumerate(op.dims)}
    rounds = np.array([step for step, rows in enumerate(steps.ranges) if rows is not None], np.int64)
    tiles = np.repeat(np.array([[(0, size) for _, size in op.dims]], np.int64), len(rounds), axis=0)
    if steps.dim is not None:
        tiles[:, at[steps.dim]] = [rows for rows in steps.ranges if rows is not None]
    cores = np.zeros_like(rounds) if placement.split else rounds % len(placement.cores)
    for dim, count in placement.split:
        number = np.tile(np.arange(count), len(tiles))
        tiles, cores, rounds = (np.repeat(item, count, axis=0) for item in (tiles, cores, rounds))
        cores = cores * count + number
        # near-equal parts of each, as `even` cuts them; none where a part has nothing in it
        start, size = tiles[:, at[dim], 0].copy(), tiles[:, at[dim], 1] - tiles[:, at[dim], 0]
        tiles[:, at[dim], 0] = start + size * number // count
        tiles[:, at[dim], 1] = start + size * (number + 1) // count
        some = tiles[:, at[dim], 0] < tiles[:, at[dim], 1]
        tiles, cores, rounds = tiles[some], cores[some], rounds[some]
    return tiles, cores, rounds

"""Packs one problem under one spatial choice into the arrays of the label search, runs it, and reads the nest back."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np

from weft.cost.kernels import Floats, Ints
from weft.cost.price import active_pj_per_cycle
from weft.cost.tables import BUSY, EXPOSED, CutTable, Tables, build, crossings
from weft.cost.units import op_pj, passes
from weft.mapper.kernels import reachable_least, search
from weft.mapper.space import compute_cycles, lattice, successors
from weft.model.mapping import Loop, Mapping, Problem, Rest, Unroll


@dataclass(frozen=True, slots=True)
class Packed:
    """A problem as the label search sees it; shapes as in `kernels.search`.

    Args:
        whole:    the lattice has every candidate (it was not thinned).
        memories: names of the columns of room.
    """

    problem: Problem
    spatial: tuple[Unroll, ...]
    tables: Tables
    whole: bool
    memories: tuple[str, ...]
    digits: Ints
    stage_of: Ints
    grow: tuple[Ints, Ints]
    cut_start: Ints
    cut_upper: Ints
    cut_table: Ints
    states: Ints
    allowed: Ints
    cost: Floats
    room: Ints
    least: Floats
    comes: Ints
    start: Floats
    capacity: Ints
    compute: float
    active: float

    @property
    def size(self) -> int:
        """States x stages."""
        return len(self.states) * len(self.digits)

    def column_of(self, table: CutTable) -> int:
        """Which memory a cut fills: a column of room, or -1 at the array's own cut."""
        if table.lower < 0:
            return -1
        return self.memories.index(self.problem.setting.of(table.operand)[table.lower].memory)


@dataclass(frozen=True, slots=True)
class Found:
    """What one search found.

    Args:
        mapping: the best, or None.     value: the objective as the tables have it (infinite where there is none).
        floor:   nothing that the beam left out is better than this (infinite if nothing was left out).
        made:    labels.
    """

    mapping: Mapping | None
    value: float
    floor: float
    made: int


def pack(problem: Problem, spatial: tuple[Unroll, ...], most: int, optimistic: bool = False) -> Packed:
    """The arrays of one spatial choice on a lattice of at most `most` states.

    optimistic: halo re-use as if it came along every dim at once, else as if there were none.
    """
    op = problem.op
    sizes, whole = lattice(op, spatial, most)
    tables = build(problem, spatial, sizes, optimistic)
    operands = [operand.name for operand in op.operands]
    places = [problem.setting.of(name) for name in operands]
    memories = sorted({place.memory for chain in places for place in chain[:-1]})
    free = dict(problem.setting.free_bits)
    capacity = np.array([free.get(name, problem.chip.memory(name).size_bits) for name in memories], np.int64)
    fields = BUSY + len(tables.resources) + len(memories) + 1

    # Stages: which place each operand has reached, the array being 0.
    digits = np.array(list(itertools.product(*(range(len(chain) + 1) for chain in places))), np.int64)
    number = {tuple(row): index for index, row in enumerate(digits.tolist())}
    depth = max(len(chain) for chain in places)
    stage_of = np.full((len(digits), len(operands), depth), -1, np.int64)
    for index, row in enumerate(digits.tolist()):
        for x in range(len(operands)):
            for reached in range(row[x], len(places[x])):
                stage_of[index, x, reached] = number[(*row[:x], reached + 1, *row[x + 1 :])]

    cut_start = np.zeros((len(operands), depth + 2), np.int64)
    cut_upper: list[int] = []
    cut_table: list[int] = []
    by_cut = {(table.operand, table.lower, table.upper): index for index, table in enumerate(tables.cuts)}
    for x, name in enumerate(operands):
        options = crossings(places[x])
        for digit in range(depth + 1):
            cut_start[x, digit] = len(cut_table)
            for lower, upper in options:
                if lower + 1 == digit:
                    cut_upper.append(upper)
                    cut_table.append(by_cut[name, lower, upper])
        cut_start[x, depth + 1] = len(cut_table)

    states = sizes.states()
    allowed = _allowed(problem, tables, states)
    start = np.zeros(fields, np.float64)
    start[0] = op_pj(problem) * op.iterations
    start[2] = problem.core.launch_cycles
    start[EXPOSED] = _skew_of_one_fold(problem)
    grow = _growth(tables)
    return Packed(
        problem,
        spatial,
        tables,
        whole,
        tuple(memories),
        digits,
        stage_of,
        grow,
        cut_start,
        np.array(cut_upper, np.int64),
        np.array(cut_table, np.int64),
        states,
        allowed,
        np.stack([table.cost for table in tables.cuts]),
        np.stack([table.room for table in tables.cuts]),
        _least(problem, tables, allowed, capacity, memories, grow),
        _comes(problem, digits, memories),
        start,
        capacity,
        float(compute_cycles(op, spatial) * passes(problem)),
        active_pj_per_cycle(problem),
    )


def find(packed: Packed, objective: int, beam: int, limit: float) -> Found:
    """The best chain of cuts, as a mapping. `objective`: its number; `limit`: what is worse is left out."""
    problem, tables = packed.problem, packed.tables
    cuts = tables.cuts
    record, parents, closed_cut, closed_at, made, reached, floor = search(
        len(packed.states),
        packed.digits,
        packed.stage_of,
        *packed.grow,
        packed.cut_start,
        packed.cut_upper,
        packed.cut_table,
        packed.allowed,
        packed.cost,
        packed.room,
        np.stack([table.partial for table in cuts]),
        np.array([problem.width(table.operand) for table in cuts], np.int64),
        np.array([max(problem.width(table.operand), problem.core.accumulator_bits) for table in cuts], np.int64),
        np.array([packed.column_of(table) for table in cuts], np.int64),
        packed.capacity,
        np.array([int(operand.slot == "O") for operand in problem.op.operands], np.int64),
        packed.least,
        packed.comes,
        packed.start,
        packed.compute,
        packed.active,
        objective,
        beam,
        limit,
        len(tables.resources),
    )
    if record < 0:
        return Found(None, math.inf, floor, made)
    closed: list[tuple[int, int]] = []
    while record >= 0:
        closed.append((int(closed_cut[record]), int(closed_at[record])))
        record = parents[record]
    closed.reverse()
    return Found(_mapping(problem, packed.spatial, tables, packed.states, closed), reached, floor, made)


def _skew_of_one_fold(problem: Problem) -> int:
    """Skew of a systolic array in which nothing comes to rest: an op without that operand, or one that only streams."""
    core = problem.core
    if core.systolic is None:
        return 0
    for operand in problem.op.operands:
        if operand.slot == core.systolic.stationary and len(problem.setting.of(operand.name)) > 1:
            return 0
    sides = {side.name: side.size for side in core.array}
    return sides[core.systolic.rows] + sides[core.systolic.columns] - 2


def _allowed(problem: Problem, tables: Tables, states: Ints) -> Ints:
    """int64[N, S]: the array's own cut may be raised only over loops that do not index the operand, O's not at all."""
    base = states[0]
    dims = tables.lattice.dims
    result = np.ones((len(tables.cuts), len(states)), np.int64)
    for row, table in enumerate(tables.cuts):
        if table.lower >= 0:
            continue
        operand = next(item for item in problem.op.operands if item.name == table.operand)
        fixed = [d for d, dim in enumerate(dims) if operand.slot == "O" or dim in operand.dims]
        result[row] = np.all(states[:, fixed] == base[fixed], axis=1)
    return result


def _least(
    problem: Problem, tables: Tables, allowed: Ints, capacity: Ints, memories: list[str], grow: tuple[Ints, Ints]
) -> Floats:
    """float64[X, L + 1, S, 3 + R]: the least that an operand still adds once it has reached a place, from a state on.

    Each column by itself, so it is admissible; tiles that alone are more than a memory has are left out.
    """
    chains = [(operand.name, problem.setting.of(operand.name)) for operand in problem.op.operands]
    states, columns = tables.cuts[0].cost.shape
    least = np.full((len(chains), max(len(places) for _, places in chains) + 1, states, columns), math.inf)
    for x, (name, places) in enumerate(chains):
        least[x, len(places)] = 0.0
        for reached in range(len(places) - 1, -1, -1):
            for row, table in enumerate(tables.cuts):
                if table.operand != name or table.lower + 1 != reached:
                    continue
                fits = allowed[row] == 1
                if table.lower >= 0:
                    bits = table.room * problem.width(name)
                    fits &= bits <= capacity[memories.index(places[table.lower].memory)]
                through = np.where(fits[:, None], table.cost + least[x, table.upper + 1], math.inf)
                least[x, reached] = np.minimum(least[x, reached], through)
            reachable_least(least[x, reached], *grow)
    return least


def _comes(problem: Problem, digits: Ints, memories: list[str]) -> Ints:
    """int64[G, M]: 1 where an operand may still come to rest in a memory after a stage."""
    found = np.zeros((len(digits), len(memories)), np.int64)
    for x, operand in enumerate(problem.op.operands):
        for number, place in enumerate(problem.setting.of(operand.name)[:-1]):
            # A place is filled when the cut above it is closed, while it is the one reached.
            found[digits[:, x] <= number + 1, memories.index(place.memory)] = 1
    return found


def _growth(tables: Tables) -> tuple[Ints, Ints]:
    """Successor states of every state, CSR: int64[S + 1], int64[E]."""
    steps = successors(tables.lattice)
    lengths = [len(sizes) for sizes in tables.lattice.sizes]
    number = np.arange(math.prod(lengths))
    sources, targets = [], []
    for d, per_dim in enumerate(steps):
        stride = math.prod(lengths[d + 1 :])
        choice = (number // stride) % lengths[d]
        for c, following in enumerate(per_dim):
            here = number[choice == c]
            for j in following:
                sources.append(here)
                targets.append(here + (j - c) * stride)
    if not sources:
        return np.zeros(2, np.int64), np.zeros(0, np.int64)
    source, target = np.concatenate(sources), np.concatenate(targets)
    order = np.argsort(source, kind="stable")
    start = np.concatenate([[0], np.cumsum(np.bincount(source, minlength=len(number)))])
    return start.astype(np.int64), target[order].astype(np.int64)


def _mapping(
    problem: Problem,
    spatial: tuple[Unroll, ...],
    tables: Tables,
    states: Ints,
    closed: list[tuple[int, int]],
) -> Mapping:
    """The loop nest whose cuts are closed at the given states, in that order.

    Between two states, loops that do not index the operand closed at the first come first: its tile then rests longer.
    """
    dims, op = tables.lattice.dims, problem.op
    dims_of = {operand.name: operand.dims for operand in op.operands}
    here = states[0]
    loops: list[Loop] = []
    rests: list[Rest] = []
    last: frozenset[str] = frozenset()
    for cut, state in [*closed, (-1, len(states) - 1)]:
        target = states[state]
        grown = []
        for d, dim in enumerate(dims):
            if target[d] == here[d]:
                continue
            whole = target[d] == states[-1][d]
            factor = math.ceil(op.size[dim] / here[d]) if whole else target[d] // here[d]
            grown.append(Loop(dim, int(factor)))
        loops += sorted(grown, key=lambda loop: (loop.dim in last, dims.index(loop.dim)))
        here = target
        if cut < 0:
            continue
        table = tables.cuts[cut]
        last = dims_of[table.operand]
        if table.lower >= 0:
            rests.append(Rest(table.operand, problem.setting.of(table.operand)[table.lower].memory, len(loops)))
    for operand in op.operands:
        rests.append(Rest(operand.name, problem.setting.of(operand.name)[-1].memory, len(loops)))
    order = [operand.name for operand in op.operands]
    rests.sort(key=lambda rest: (rest.inside, order.index(rest.operand)))
    return Mapping(spatial, tuple(loops), tuple(rests))

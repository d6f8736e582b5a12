"""Packs a problem into arrays for the kernels: every cut of every operand at every state of a tile-size lattice."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from weft.cost.cuts import Cut, served
from weft.cost.kernels import CLASSES, Floats, Ints, axis_profiles, cut_rows
from weft.cost.traffic import Pipe, pipes, shift_cycles
from weft.model.mapping import Mapping, Place, Problem, Unroll
from weft.model.workload import Operand

ENERGY, EXPOSED, ENDS, BUSY = 0, 1, 2, 3
"""Columns of a cut's table; busy cycles of resource r are in column BUSY + r."""


@dataclass(frozen=True, slots=True)
class Lattice:
    """Tile sizes that a search may use: for each dim its candidates, smallest (the array's) first, whole last.

    A state is one candidate per dim, numbered with the last dim fastest.
    """

    dims: tuple[str, ...]
    sizes: tuple[tuple[int, ...], ...]

    @property
    def num_states(self) -> int:
        return math.prod(len(sizes) for sizes in self.sizes)

    def states(self) -> Ints:
        """int64[S, D]: the tile sizes of every state."""
        grid = np.meshgrid(*(np.array(sizes, np.int64) for sizes in self.sizes), indexing="ij")
        return np.stack([axis.ravel() for axis in grid], axis=1)


Numbers = tuple[int, ...]
Wanted = tuple[int, int, Numbers, tuple[Numbers, ...], Numbers, Numbers, Numbers, Numbers, Numbers]
"""What the profiles of one axis are made of, as `_profiles` takes it."""


@dataclass(frozen=True, slots=True)
class Visiting:
    """How often one tile crosses a cut, at every choice of sizes of the dims that do not index the operand.

    Args:
        visits:    int64[V].
        repeats:   int64[V, W]: visits with each way of transfer.
        instances: int64[V, W, 2]: active instances below and above, summed over those visits.
    """

    visits: Ints
    repeats: Ints
    instances: Ints


@dataclass(frozen=True, slots=True)
class CutTable:
    """One cut of one operand on a lattice: rows by the dims that index the operand, `visiting` by the others.

    Whatever a cut costs is a sum of products of the two, so neither is ever multiplied out over the whole lattice.

    Args:
        lower, upper: place numbers of the operand (lower -1: the array).
        energy:  float64[S, W, 2]: pJ of one active instance below and above.
        busy:    float64[S, W, R]: cycles per resource.
        waits:   float64[S, W]: cycles in which the array waits for a memory with one copy.
        skew:    float64[S]: of a systolic array, per visit.
        ends:    float64[S]: fill or drain cycles, once.
        steps, tile, fresh: int64[S]: steps of one visit, elements of a tile, of its next increment.
        doubled: the memory below keeps a second copy.
        moved:   int64[S, P, 3]: bits and accesses in one active instance, busy cycles, of each pipe of each way.
        ways:    (way, number in `traffic.pipes`, upwards) of each pipe.
    """

    operand: str
    lower: int
    upper: int
    energy: Floats
    busy: Floats
    waits: Floats
    skew: Floats
    ends: Floats
    steps: Ints
    tile: Ints
    fresh: Ints
    doubled: bool
    exposes: bool
    visiting: Visiting
    moved: Ints
    ways: tuple[tuple[int, int, bool], ...]

    def cost(self, row: Ints, visit: int) -> Floats:
        """float64[len(row), 3 + R]: energy, exposed, fill or drain, busy cycles at rows of one visiting."""
        repeats = self.visiting.repeats[visit].astype(np.float64)
        instances = self.visiting.instances[visit].astype(np.float64)
        out = np.empty((len(row), BUSY + self.busy.shape[2]), np.float64)
        out[:, ENERGY] = (self.energy[row] * instances).sum(axis=(1, 2))
        out[:, EXPOSED] = self.skew[row] * self.visiting.visits[visit]
        if self.exposes:
            out[:, EXPOSED] += self.waits[row] @ repeats - self.ends[row]
        out[:, ENDS] = self.ends[row]
        out[:, BUSY:] = np.einsum("swr,w->sr", self.busy[row], repeats)
        return out

    def room(self, row: Ints, visit: int) -> Ints:
        """int64[len(row)]: elements reserved below, copies included."""
        again = self.steps[row] * self.visiting.visits[visit] > 1
        return self.tile[row] + np.where(again & self.doubled, self.fresh[row], 0)


@dataclass(frozen=True, slots=True)
class Tables:
    """Everything a search over one spatial choice needs. `resources` names the busy columns."""

    lattice: Lattice
    resources: tuple[str, ...]
    cuts: tuple[CutTable, ...]


def crossings(places: tuple[Place, ...]) -> list[tuple[int, int]]:
    """(lower, upper) place numbers of every cut that some mapping may have, given which places may be passed."""
    found: list[tuple[int, int]] = []
    for lower in range(-1, len(places) - 1):
        for upper in range(lower + 1, len(places)):
            if all(place.optional for place in places[lower + 1 : upper]):
                found.append((lower, upper))
    return found


def build(problem: Problem, spatial: tuple[Unroll, ...], lattice: Lattice) -> Tables:
    """All tables of one problem under one spatial choice, without re-use of halos."""
    array = Mapping(spatial, (), ())
    names: dict[str, int] = {}
    kept: list[CutTable] = []
    jobs: list[tuple[Operand, int, int, Cut]] = []
    for operand in problem.op.operands:
        places = problem.setting.of(operand.name)
        for lower, upper in crossings(places):
            cut = Cut(operand, lower + 1, places[lower] if lower >= 0 else None, places[upper], (), None)
            for up in (False, True) if operand.slot == "O" else (False,):
                for pipe in pipes(problem, cut, up):
                    names.setdefault(pipe.port if pipe.flow == "link" else f"{pipe.name}.{pipe.port}", len(names))
            jobs.append((operand, lower, upper, cut))
    for operand, lower, upper, cut in jobs:
        kept.append(table_of(problem, array, lattice, names, operand, lower, upper, cut))
    return Tables(lattice, tuple(names), tuple(kept))


def table_of(
    problem: Problem,
    array: Mapping,
    lattice: Lattice,
    names: dict[str, int],
    operand: Operand,
    lower: int,
    upper: int,
    cut: Cut,
) -> CutTable:
    """The table of one cut on a lattice; `cut.state` is not looked at, `cut.run` holds for all rows."""
    core = problem.core
    below, above = served(problem, array, cut.lower), served(problem, array, cut.upper)
    output = operand.slot == "O"
    finished = problem.width(operand.name)
    sums = max(finished, core.accumulator_bits)
    # Ways of transfer: an input comes down; an output goes up finished, goes up and comes down as sums.
    directions = ((finished, True), (sums, True), (sums, False)) if output else ((finished, False),)
    least = shift_cycles(problem, Cut(operand, 1, cut.lower, cut.upper, (), None)) if lower == 0 else 0
    found: list[Pipe] = []
    ways: list[tuple[int, int, bool]] = []
    table: list[tuple[int, int, int, int, int]] = []
    for way, (bits, upward) in enumerate(directions):
        used = pipes(problem, cut, upward)
        table.append((bits, len(found), len(found) + len(used), sum(p.latency_cycles for p in used), least))
        ways += [(way, number, upward) for number in range(len(used))]
        found += used
    packed = np.array(
        [(p.rate.numerator, p.rate.denominator, p.access_bits, p.above, p.flow == "link") for p in found], np.int64
    ).reshape(-1, 5)
    rows, profiles = _rows(problem, array, lattice, operand, below, above, cut)
    num_rows = len(rows)
    moved = np.zeros((num_rows, len(found), 3), np.int64)
    spent = np.zeros((num_rows, len(directions)), np.int64)
    shape = np.zeros((num_rows, 4), np.int64)
    run_axis = next(
        (
            number
            for number, axis in enumerate(axis for axis in operand.axes if axis.terms)
            if cut.run and any(term.dim == cut.run[0] for term in axis.terms)
        ),
        -1,
    )
    kinds_room = _most(rows, profiles.steps_count)
    sets_room = max(_most(rows, profiles.lower_count), _most(rows, profiles.upper_count))
    cut_rows(
        rows,
        profiles.steps,
        profiles.steps_count,
        profiles.lower,
        profiles.lower_count,
        profiles.upper,
        profiles.upper_count,
        profiles.ends,
        2 if output else 0,
        run_axis,
        np.array(table, np.int64),
        packed,
        kinds_room,
        sets_room,
        moved,
        spent,
        shape,
    )
    energy = np.zeros((num_rows, len(directions), 2), np.float64)
    busy = np.zeros((num_rows, len(directions), len(names)), np.float64)
    for q, (pipe, (way, _, _)) in enumerate(zip(found, ways, strict=True)):
        link = pipe.flow == "link"
        priced = moved[:, q, 0] if link else moved[:, q, 1] * pipe.access_bits
        energy[:, way, int(pipe.above)] += priced * pipe.pj_per_bit
        busy[:, way, names[pipe.port if link else f"{pipe.name}.{pipe.port}"]] += moved[:, q, 2]
    buffering = problem.chip.memory(cut.lower.memory).buffering if cut.lower is not None else "pipelined"
    inner, fold = lower >= 0, 0
    if core.systolic is not None and lower == 0 and operand.slot == core.systolic.stationary:
        sides = {dim.name: dim.size for dim in core.array}
        fold = sides[core.systolic.rows] + sides[core.systolic.columns] - 2
    return CutTable(
        operand=operand.name,
        lower=lower,
        upper=upper,
        energy=energy,
        busy=busy,
        waits=spent.astype(np.float64),
        skew=fold * shape[:, 1].astype(np.float64),
        ends=shape[:, 0].astype(np.float64) * inner,
        steps=shape[:, 1],
        tile=shape[:, 2],
        fresh=shape[:, 3],
        doubled=buffering == "double",
        exposes=inner and buffering == "single",
        visiting=_visiting(
            tuple(
                (problem.op.size[dim], array.unrolled(dim), below[dim], above[dim], sizes)
                for dim, sizes in zip(lattice.dims, lattice.sizes, strict=True)
                if dim not in operand.dims
            ),
            output,
        ),
        moved=moved,
        ways=tuple(ways),
    )


def _most(rows: Ints, counts: Ints) -> int:
    """The largest product over a row's axes of how many kinds each has."""
    return int(counts[rows].prod(axis=1).max(initial=1)) if rows.shape[1] else 1


@lru_cache(maxsize=2048)
def _visiting(lines: tuple[tuple[int, int, int, int, Numbers], ...], output: bool) -> Visiting:
    """`cuts.visits` at every choice of sizes of the dims that do not index the operand; kept: many cuts share it.

    Args: lines: of each such dim its size, how much is unrolled, what an instance below and above serves, its choices.
    """
    visits = np.ones(1, np.int64)
    every, first, last = (np.ones((1, 2), np.int64) for _ in range(3))
    for n, unrolled, below, above, sizes in lines:
        tiles = np.array(sizes, np.int64)
        counts = -(-n // tiles)
        here = np.zeros((3, len(sizes), 2), np.int64)
        for side, served_part in enumerate((below, above)):
            starts = np.arange(unrolled // served_part, dtype=np.int64) * served_part
            at_first = (starts < n).sum()
            at_last = ((counts - 1)[:, None] * tiles[:, None] + starts < n).sum(axis=1)
            here[:, :, side] = at_first * (counts - 1) + at_last, np.full(len(sizes), at_first), at_last
        visits = (visits[:, None] * counts).ravel()
        every, first, last = (
            (so_far[:, None] * new).reshape(-1, 2) for so_far, new in zip((every, first, last), here, strict=True)
        )
    if not output:
        return Visiting(visits, visits[:, None], every[:, None])
    repeats = np.stack([np.ones_like(visits), visits - 1, visits - 1], axis=1)
    return Visiting(visits, repeats, np.stack([last, every - last, every - first], axis=1))


def _rows(
    problem: Problem,
    array: Mapping,
    lattice: Lattice,
    operand: Operand,
    below: dict[str, int],
    above: dict[str, int],
    cut: Cut,
) -> tuple[Ints, _Profiles]:
    """int64[S, A]: the profile of each axis for every choice of sizes of the operand's dims; and the profiles."""
    axes = [axis for axis in operand.axes if axis.terms]
    sizes = {dim: choices for dim, choices in zip(lattice.dims, lattice.sizes, strict=True) if dim in operand.dims}
    order = {dim: position for position, dim in enumerate(sizes)}
    wanted = tuple(
        (
            axis.size,
            axis.offset,
            tuple(problem.op.size[term.dim] for term in axis.terms),
            tuple(sizes[term.dim] for term in axis.terms),
            tuple(array.unrolled(term.dim) for term in axis.terms),
            tuple(below[term.dim] for term in axis.terms),
            tuple(above[term.dim] for term in axis.terms),
            tuple(term.coefficient for term in axis.terms),
            tuple(cut.run[1] if cut.run and cut.run[0] == term.dim else 0 for term in axis.terms),
        )
        for axis in axes
    )
    lengths = tuple(map(len, sizes.values()))
    return _numbers(lengths, tuple(tuple(order[term.dim] for term in axis.terms) for axis in axes)), _joined(wanted)


@lru_cache(maxsize=256)
def _numbers(lengths: Numbers, axes: tuple[Numbers, ...]) -> Ints:
    """int64[S, A]: for every choice of sizes, the last dim fastest, the choice along each axis, all axes numbered on.

    Args: lengths: choices of each dim.   axes: the dims of each axis.
    """
    number = np.arange(math.prod(lengths))
    found = np.zeros((len(number), len(axes)), np.int64)
    made = 0
    for position, dims in enumerate(axes):
        for dim in dims:
            choice = (number // math.prod(lengths[dim + 1 :])) % lengths[dim]
            found[:, position] = found[:, position] * lengths[dim] + choice
        found[:, position] += made
        made += math.prod(lengths[dim] for dim in dims)
    return found


@lru_cache(maxsize=512)
def _joined(wanted: tuple[Wanted, ...]) -> _Profiles:
    """Profiles of several axes under one another."""
    profiles = [_profiles(*of_axis) for of_axis in wanted]
    steps, lower, upper = (_stack([getattr(item, name) for item in profiles]) for name in ("steps", "lower", "upper"))
    steps_count, lower_count, upper_count = (
        np.concatenate([np.zeros(0, np.int64), *(getattr(item, name) for item in profiles)])
        for name in ("steps_count", "lower_count", "upper_count")
    )
    ends = np.concatenate([np.zeros((0, 6), np.int64), *(item.ends for item in profiles)])
    return _Profiles(steps, steps_count, lower, lower_count, upper, upper_count, ends)


@dataclass(frozen=True, slots=True)
class _Profiles:
    """The profiles of one axis for every choice of its tile sizes; shapes as `kernels.axis_profiles` gives them."""

    steps: Ints
    steps_count: Ints
    lower: Ints
    lower_count: Ints
    upper: Ints
    upper_count: Ints
    ends: Ints


@lru_cache(maxsize=2048)
def _profiles(
    size: int,
    offset: int,
    extents: Numbers,
    options: tuple[Numbers, ...],
    unrolled: Numbers,
    below: Numbers,
    above: Numbers,
    coefficients: Numbers,
    run: Numbers,
) -> _Profiles:
    """Profiles of one axis for every choice of tile sizes, with tables as long as they need to be; kept: many cuts,
    choices and ops ask for the same."""
    rows, room = math.prod(map(len, options)), CLASSES
    while True:
        found = _Profiles(
            np.zeros((rows, room, 3), np.int64),
            np.zeros(rows, np.int64),
            np.zeros((rows, room, 2), np.int64),
            np.zeros(rows, np.int64),
            np.zeros((rows, room, 2), np.int64),
            np.zeros(rows, np.int64),
            np.zeros((rows, 6), np.int64),
        )
        if axis_profiles(
            np.array(extents, np.int64),
            np.array(list(itertools.product(*options)), np.int64),
            np.array(unrolled, np.int64),
            np.array(below, np.int64),
            np.array(above, np.int64),
            np.array(coefficients, np.int64),
            np.array(run, np.int64),
            offset,
            size,
            found.steps,
            found.steps_count,
            found.lower,
            found.lower_count,
            found.upper,
            found.upper_count,
            found.ends,
        ):
            return found
        room *= 2


def _stack(tables: list[Ints]) -> Ints:
    """Tables of several axes under one another, padded to the longest."""
    longest = max([1, *(table.shape[1] for table in tables)])
    stacked = np.zeros((sum(map(len, tables)), longest, tables[0].shape[2] if tables else 2), np.int64)
    row = 0
    for table in tables:
        stacked[row : row + len(table), : table.shape[1]] = table
        row += len(table)
    return stacked

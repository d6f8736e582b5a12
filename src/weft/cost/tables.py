"""Packs a problem into arrays for the kernels: every cut of every operand at every state of a tile-size lattice."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace

import numpy as np

from weft.cost.cuts import Cut, served
from weft.cost.kernels import CLASSES, Floats, Ints, axis_profiles, cut_tables
from weft.cost.traffic import pipes, shift_cycles
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


@dataclass(frozen=True, slots=True)
class CutTable:
    """One cut of one operand at every state.

    Args:
        lower, upper: place numbers of the operand (lower -1: the array).
        cost:    float64[S, 3 + R]: energy, exposed, fill or drain cycles, busy cycles per resource.
        room:    int64[S]: elements reserved below, copies included.
        partial: int64[S]: 1 where partial sums come back across this cut.
        moved:   int64[S, P down + P up, 3]: bits, accesses, busy cycles of each pipe (`traffic.pipes`).
    """

    operand: str
    lower: int
    upper: int
    cost: Floats
    room: Ints
    partial: Ints
    moved: Ints


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


def build(problem: Problem, spatial: tuple[Unroll, ...], lattice: Lattice, optimistic: bool = False) -> Tables:
    """All tables of one problem under one spatial choice.

    Along which dim halos are re-used is a matter of loop order, which a state does not tell. So re-use is left out,
    and the tables bound from above; or, `optimistic`, each column is the least that re-use along any dim makes of it.
    """
    array = Mapping(spatial, (), ())
    names: dict[str, int] = {}
    kept: list[CutTable] = []
    states = lattice.states()
    jobs: list[tuple[Operand, int, int, Cut]] = []
    for operand in problem.op.operands:
        places = problem.setting.of(operand.name)
        for lower, upper in crossings(places):
            index = 0 if lower < 0 else lower + 1
            cut = Cut(operand, index, places[lower] if lower >= 0 else None, places[upper], (), None)
            for up in (False, True) if operand.slot == "O" else (False,):
                for pipe in pipes(problem, cut, up):
                    names.setdefault(pipe.port if pipe.flow == "link" else f"{pipe.name}.{pipe.port}", len(names))
            jobs.append((operand, lower, upper, cut))
    for operand, lower, upper, cut in jobs:
        table = table_of(problem, array, lattice, states, names, operand, lower, upper, cut)
        for dim in _halo_dims(problem, cut) if optimistic else ():
            # A run as long as the whole dim re-uses at least what any shorter one does.
            run = replace(cut, run=(dim, problem.op.size[dim] + 1))
            other = table_of(problem, array, lattice, states, names, operand, lower, upper, run)
            table = replace(table, cost=np.minimum(table.cost, other.cost), room=np.minimum(table.room, other.room))
        kept.append(table)
    return Tables(lattice, tuple(names), tuple(kept))


def _halo_dims(problem: Problem, cut: Cut) -> tuple[str, ...]:
    """Dims along which consecutive tiles may overlap: those that index an axis together."""
    if cut.lower is None or cut.operand.slot == "O" or not problem.chip.memory(cut.lower.memory).halo_reuse:
        return ()
    return tuple(term.dim for axis in cut.operand.axes if len(axis.terms) > 1 for term in axis.terms)


def _pack_pipes(problem: Problem, cut: Cut, up: bool, names: dict[str, int]) -> tuple[Ints, Floats]:
    found = pipes(problem, cut, up)
    whole = np.zeros((len(found), 6), np.int64)
    energy = np.zeros((len(found), 2), np.float64)
    for row, pipe in enumerate(found):
        link = pipe.flow == "link"
        name = pipe.port if link else f"{pipe.name}.{pipe.port}"
        whole[row] = (
            pipe.rate.numerator,
            pipe.rate.denominator,
            pipe.access_bits,
            int(pipe.above),
            names[name],
            int(link),
        )
        energy[row] = (pipe.pj_per_bit, pipe.latency_cycles)
    return whole, energy


def table_of(
    problem: Problem,
    array: Mapping,
    lattice: Lattice,
    states: Ints,
    names: dict[str, int],
    operand: Operand,
    lower: int,
    upper: int,
    cut: Cut,
) -> CutTable:
    """The table of one cut at every state of a lattice; `cut.state` is not looked at, `cut.run` holds for all."""
    op, core = problem.op, problem.core
    below, above = served(problem, array, cut.lower), served(problem, array, cut.upper)
    axes = [axis for axis in operand.axes if axis.terms]
    column = {dim: number for number, dim in enumerate(lattice.dims)}
    strides = [math.prod(len(sizes) for sizes in lattice.sizes[d + 1 :]) for d in range(len(lattice.dims))]
    number = np.arange(lattice.num_states)
    choice = {dim: (number // strides[d]) % len(lattice.sizes[d]) for dim, d in column.items()}

    axis_of_state = np.zeros((lattice.num_states, len(axes)), np.int64)
    profiles: list[_Profiles] = []
    made = 0
    for position, axis in enumerate(axes):
        dims = [term.dim for term in axis.terms]
        options = [lattice.sizes[column[dim]] for dim in dims]
        local = np.zeros(lattice.num_states, np.int64)
        for dim, sizes in zip(dims, options, strict=True):
            local = local * len(sizes) + choice[dim]
        axis_of_state[:, position] = local + made
        profiles.append(
            _profiles(
                axis.size,
                axis.offset,
                np.array([op.size[dim] for dim in dims], np.int64),
                np.array(list(itertools.product(*options)), np.int64),
                np.array([array.unrolled(dim) for dim in dims], np.int64),
                np.array([below[dim] for dim in dims], np.int64),
                np.array([above[dim] for dim in dims], np.int64),
                np.array([term.coefficient for term in axis.terms], np.int64),
                np.array([cut.run[1] if cut.run and cut.run[0] == dim else 0 for dim in dims], np.int64),
            )
        )
        made += len(profiles[-1].ends)
    steps, lows, ups = (_stack([getattr(item, name) for item in profiles]) for name in ("steps", "lower", "upper"))
    steps_count, lows_count, ups_count = (
        np.concatenate([np.zeros(0, np.int64), *(getattr(item, name) for item in profiles)])
        for name in ("steps_count", "lower_count", "upper_count")
    )
    ends = np.concatenate([np.zeros((0, 6), np.int64), *(item.ends for item in profiles)])

    output = operand.slot == "O"
    down, down_pj = _pack_pipes(problem, cut, False, names)
    up, up_pj = _pack_pipes(problem, cut, output, names)
    width = problem.width(operand.name)
    buffering = problem.chip.memory(cut.lower.memory).buffering if cut.lower is not None else "pipelined"
    folds = 0
    if core.systolic is not None and lower == 0 and operand.slot == core.systolic.stationary:
        sides = {dim.name: dim.size for dim in core.array}
        folds = sides[core.systolic.rows] + sides[core.systolic.columns] - 2
    first_cut = Cut(operand, 1 if lower == 0 else cut.index, cut.lower, cut.upper, (), None)
    cost = np.zeros((lattice.num_states, BUSY + len(names)), np.float64)
    moved = np.zeros((lattice.num_states, len(down) + len(up) * output, 3), np.int64)
    room = np.zeros(lattice.num_states, np.int64)
    partial = np.zeros(lattice.num_states, np.int64)
    as_array = [np.array([table[dim] for dim in lattice.dims], np.int64) for table in (op.size, below, above)]
    cut_tables(
        states,
        as_array[0],
        np.array([array.unrolled(dim) for dim in lattice.dims], np.int64),
        as_array[1],
        as_array[2],
        np.array([int(dim in operand.dims) for dim in lattice.dims], np.int64),
        axis_of_state,
        steps,
        steps_count,
        lows,
        lows_count,
        ups,
        ups_count,
        ends,
        output,
        width,
        max(width, core.accumulator_bits) if output else width,
        down,
        down_pj,
        up,
        up_pj,
        buffering == "single",
        buffering == "double",
        lower >= 0,
        shift_cycles(problem, first_cut) if lower == 0 else 0,
        folds,
        next((i for i, axis in enumerate(axes) if cut.run and any(t.dim == cut.run[0] for t in axis.terms)), -1),
        moved,
        cost,
        room,
        partial,
    )
    return CutTable(operand.name, lower, upper, cost, room, partial, moved)


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


def _profiles(
    size: int,
    offset: int,
    extents: Ints,
    tiles: Ints,
    unrolled: Ints,
    below: Ints,
    above: Ints,
    coefficients: Ints,
    run: Ints,
) -> _Profiles:
    """Profiles of one axis, with tables as long as they need to be."""
    rows, room = len(tiles), CLASSES
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
            extents,
            tiles,
            unrolled,
            below,
            above,
            coefficients,
            run,
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

"""The best mapping of one op tile on one core: spatial choice, lattice, tables, label search, price."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from weft.cost.kernels import Floats, Ints
from weft.cost.legal import broken
from weft.cost.price import active_pj_per_cycle, price
from weft.cost.result import Price
from weft.cost.tables import BUSY, Tables, build, crossings
from weft.mapper.kernels import EDP, ENERGY, LATENCY, search
from weft.mapper.space import STATE_LIMIT, compute_cycles, fixed_spatial, free_spatial, lattice, successors
from weft.model.mapping import Loop, Mapping, Problem, Rest, Unroll
from weft.model.schedule import Infeasible

Objective = Literal["latency", "energy", "edp"]
OBJECTIVES: dict[Objective, int] = {"latency": LATENCY, "energy": ENERGY, "edp": EDP}

BEAM = 4
"""Labels kept per node that do not dominate one another. Where more would be kept, the result is not proved optimal."""

FIRST_STATES = 192
"""States of the small lattice that is searched first."""


@dataclass(frozen=True, slots=True)
class Mapped:
    """A mapping with its price and what is known about how good it is.

    Args:
        optimal: no mapping in `space` is better (no label was dropped that another did not dominate).
        bound:   no mapping of the searched spatial choices is better than this [unit of the objective].
        space:   what was searched, in words;   space_size: states x stages of it.
        evaluated: labels made.
    """

    mapping: Mapping
    price: Price
    objective: Objective
    optimal: bool
    bound: float
    space: str
    space_size: int
    evaluated: int


def value(priced: Price, objective: Objective) -> tuple[float, float]:
    """(objective, tie-breaker) of a price."""
    if objective == "latency":
        return priced.latency_cycles, priced.energy_pj
    if objective == "energy":
        return priced.energy_pj, priced.latency_cycles
    return priced.edp, priced.latency_cycles


def best_mapping(
    problem: Problem,
    objective: Objective = "edp",
    spatial: Literal["fixed", "free"] = "fixed",
    beam: int = BEAM,
    states: int = STATE_LIMIT,
) -> Mapped | Infeasible:
    """The best mapping found for a problem, or why there is none.

    A first search on a small lattice gives a mapping to beat; the search on the whole one then leaves out every label
    that cannot lead to a better one.

    Args:    problem: op tile, core and setting.   objective: what to minimise.
             spatial: the core's declared dataflow, or any loop on any side.   beam: labels kept per node.
             states: most states of a lattice.
    Returns: `Mapped`, priced by the readable formula and legal; or `Infeasible` with what was needed and there is.
    """
    core, op = problem.core, problem.op
    choices = (fixed_spatial(op, core),) if spatial == "fixed" else free_spatial(op, core)
    best: Mapped | None = None
    optimal, size, evaluated, bound = True, 0, 0, math.inf
    whole_space = True
    for choice in choices:
        for width, limit in ((1, FIRST_STATES), (beam, states)):
            outcome = _search(problem, choice, objective, width, min(limit, states), best)
            evaluated += outcome.evaluated
            if outcome.mapping is not None:
                priced = price(problem, outcome.mapping)
                if best is None or value(priced, objective) < value(best.price, objective):
                    best = Mapped(outcome.mapping, priced, objective, False, 0.0, "", 0, 0)
            if outcome.complete and outcome.whole:
                break
        whole_space &= outcome.whole
        optimal &= outcome.complete
        size += outcome.space_size
        bound = min(bound, outcome.bound)
    if best is None:
        return why_not(problem)
    sizes = "divisors and ceil(n/k)" if whole_space else "a thinned choice of divisors"
    space = f"{spatial} dataflow ({len(choices)}), tile sizes: {sizes}, uneven per operand"
    reached = value(best.price, objective)[0]
    return Mapped(
        best.mapping,
        best.price,
        objective,
        optimal,
        reached if optimal else min(bound, reached),
        space,
        size,
        evaluated,
    )


@dataclass(frozen=True, slots=True)
class _Outcome:
    mapping: Mapping | None
    complete: bool
    whole: bool
    bound: float
    space_size: int
    evaluated: int


def _search(
    problem: Problem, spatial: tuple[Unroll, ...], objective: Objective, beam: int, most: int, best: Mapped | None
) -> _Outcome:
    op = problem.op
    sizes, whole = lattice(op, spatial, most)
    tables = build(problem, spatial, sizes)
    operands = [operand.name for operand in op.operands]
    places = [problem.setting.of(name) for name in operands]
    num_resources = len(tables.resources)
    memories = sorted({place.memory for chain in places for place in chain[:-1]})
    free = dict(problem.setting.free_bits)
    capacity = np.array([free.get(name, problem.chip.memory(name).size_bits) for name in memories], np.int64)
    fields = BUSY + num_resources + len(memories) + 1

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
    cost = np.stack([table.cost for table in tables.cuts])
    rest = _rest(digits, places, operands, tables, allowed, fields)
    start = np.zeros(fields, np.float64)
    start[0] = problem.core.op_pj * op.iterations
    start[2] = problem.core.launch_cycles
    grow_start, grow_to = _growth(tables)
    compute = float(compute_cycles(op, spatial))
    active = active_pj_per_cycle(problem)
    bound = _root_bound(start, rest[0], compute, active, num_resources, objective)
    space_size = sizes.num_states * len(digits)
    limit = math.inf if best is None else value(best.price, objective)[0]
    if bound > limit:
        return _Outcome(None, True, whole, bound, space_size, 0)
    record, parents, cuts, at, _, made, dropped, _ = search(
        sizes.num_states,
        digits,
        stage_of,
        grow_start,
        grow_to,
        cut_start,
        np.array(cut_upper, np.int64),
        np.array(cut_table, np.int64),
        allowed,
        cost,
        np.stack([table.room for table in tables.cuts]),
        np.stack([table.partial for table in tables.cuts]),
        np.array([problem.width(table.operand) for table in tables.cuts], np.int64),
        np.array([max(problem.width(t.operand), problem.core.accumulator_bits) for t in tables.cuts], np.int64),
        np.array([_memory_column(problem, table.operand, table.lower, memories) for table in tables.cuts], np.int64),
        capacity,
        np.array([int(operand.slot == "O") for operand in op.operands], np.int64),
        rest,
        start,
        compute,
        active,
        OBJECTIVES[objective],
        beam,
        limit,
        num_resources,
    )
    if record < 0:
        return _Outcome(None, dropped == 0, whole, bound, space_size, made)
    closed: list[tuple[int, int]] = []
    while record >= 0:
        closed.append((int(cuts[record]), int(at[record])))
        record = parents[record]
    closed.reverse()
    mapping = _mapping(problem, spatial, tables, states, closed)
    return _Outcome(mapping, dropped == 0, whole, bound, space_size, made)


def _memory_column(problem: Problem, operand: str, lower: int, memories: list[str]) -> int:
    return -1 if lower < 0 else memories.index(problem.setting.of(operand)[lower].memory)


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


def _rest(
    digits: Ints,
    places: Sequence[Sequence[object]],
    operands: list[str],
    tables: Tables,
    allowed: Ints,
    fields: int,
) -> Floats:
    """float64[G, F]: the least that the cuts not yet closed will add, column by column (admissible for each)."""
    chains: list[list[Floats]] = []
    for name, chain in zip(operands, places, strict=True):
        least = [np.full(fields, math.inf) for _ in range(len(chain) + 1)]
        least[len(chain)] = np.zeros(fields)
        for reached in range(len(chain) - 1, -1, -1):
            for row, table in enumerate(tables.cuts):
                if table.operand == name and table.lower + 1 == reached:
                    cheapest = np.zeros(fields)
                    open_states = allowed[row].astype(bool)
                    cheapest[: table.cost.shape[1]] = table.cost[open_states].min(axis=0)
                    least[reached] = np.minimum(least[reached], cheapest + least[table.upper + 1])
        chains.append(least)
    return np.array([sum(chains[x][digit] for x, digit in enumerate(row)) for row in digits.tolist()])


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


def _root_bound(
    start: Floats,
    rest: Floats,
    compute: float,
    active: float,
    num_resources: int,
    objective: Objective,
) -> float:
    total = start + rest
    steady = max([compute + total[1], *total[BUSY : BUSY + num_resources].tolist()])
    latency = steady + total[2]
    energy = total[0] + active * latency
    return float({"latency": latency, "energy": energy, "edp": latency * energy}[objective])


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


def why_not(problem: Problem) -> Infeasible:
    """The memory in which even the smallest tiles do not fit, or the closest to it."""
    spatial = fixed_spatial(problem.op, problem.core)
    smallest = Mapping(
        spatial,
        tuple(
            Loop(dim, math.ceil(size / Mapping(spatial, (), ()).unrolled(dim)))
            for dim, size in problem.op.dims
            if size > Mapping(spatial, (), ()).unrolled(dim)
        ),
        tuple(
            Rest(operand.name, place.memory, 0)
            for operand in problem.op.operands
            for place in problem.setting.of(operand.name)[:-1]
            if not place.optional
        ),
    )
    loops = len(smallest.loops)
    tops = tuple(Rest(item.name, problem.setting.of(item.name)[-1].memory, loops) for item in problem.op.operands)
    for finding in broken(problem, Mapping(smallest.spatial, smallest.loops, smallest.rests + tops)):
        needs, has = int(finding.needs.split()[0]), int(finding.has.split()[0])
        return Infeasible(
            f"{problem.op.name} on {problem.setting.core}",
            "its smallest tiles do not fit",
            needs,
            has,
            finding.subject.split("'")[1],
            "cut the op into smaller tiles, stream an operand, or enlarge the memory",
        )
    return Infeasible(f"{problem.op.name} on {problem.setting.core}", "no legal chain of tile sizes was found")

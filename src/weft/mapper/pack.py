"""Packs one problem under one spatial choice into the arrays of the label search, runs it, and reads the nest back."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from weft.cost.cuts import cuts
from weft.cost.kernels import Floats, Ints
from weft.cost.price import active_pj_per_cycle
from weft.cost.tables import BUSY, ENDS, EXPOSED, CutTable, Tables, build
from weft.cost.units import op_pj, passes
from weft.mapper.kernels import ENERGY, LATENCY, ROOM, least_to_come, search
from weft.mapper.runs import Nodes, Rows, num_nodes, rows_of, states_of
from weft.mapper.space import compute_cycles, lattice, successors
from weft.model.mapping import Loop, Mapping, Problem, Rest, Unroll
from weft.model.workload import Operand

MOST_NODES = 1 << 20
"""Most nodes of a search; where halos are re-used, a lattice with more is thinned."""

UNLIMITED = int(np.iinfo(np.int64).max)
"""Room for anything [bits]."""


@dataclass(frozen=True, slots=True)
class Packed:
    """A problem as the label search sees it; shapes as in `kernels.search`.

    Args:
        nodes:    tile sizes, and where halos are re-used the loop that comes next.
        whole:    the lattice has every candidate (it was not thinned).
        memories: names of the columns of room.
        terms:    what crosses a cut, a row for each choice of sizes of the dims that index its operand: energy per
                  active instance (finished, up as sums, down as sums; each below and above the cut), cycles that the
                  array waits (per first, per second kind of visit), skew per visit, what of the end is not waited for,
                  cycles at the end, busy cycles of each resource (per first, per second kind of visit).
        tiles:    elements of a tile, of its second copy, steps of one visit.
        factors:  how often, for each choice of the other sizes: active instances in the order of `terms`; visits of
                  the first and second kind (of an input all and none; of an output the last and those before), visits.
    """

    problem: Problem
    spatial: tuple[Unroll, ...]
    tables: Tables
    nodes: Nodes
    whole: bool
    memories: tuple[str, ...]
    digits: Ints
    stage_of: Ints
    grow: tuple[Ints, Ints]
    row_of: Ints
    visit_of: Ints
    cuts: Ints
    terms: Floats
    tiles: Ints
    factors: Floats
    least: Floats
    first_least: Ints
    comes: Ints
    start: Floats
    capacity: Ints
    compute: float
    active: float
    joint: Floats
    unit: tuple[float, float, float]

    @property
    def size(self) -> int:
        """Nodes x stages."""
        return len(self.nodes.choice) * len(self.digits)

    def column_of(self, table: CutTable) -> int:
        """Which memory a cut fills: a column of room, or -1 at the array's own cut."""
        if table.lower < 0:
            return -1
        return self.memories.index(self.problem.setting.of(table.operand)[table.lower].memory)


@dataclass(frozen=True, slots=True)
class Total:
    """A mapping's price as the tables add it up.

    Args:
        array_cycles: compute, exposed and skew.   busy: cycles of each port and link.
    """

    energy_pj: float
    latency_cycles: float
    array_cycles: float
    busy: tuple[tuple[str, float], ...]

    @property
    def edp(self) -> float:
        """Energy-delay product [pJ x cycles]."""
        return self.energy_pj * self.latency_cycles


@dataclass(frozen=True, slots=True)
class Found:
    """What one search found.

    Args:
        mapping: the best, or None.     value: its label's objective (infinite where there is none).
        floor:   nothing that the beam left out is better than this (infinite if nothing was left out).
        made:    labels.
    """

    mapping: Mapping | None
    value: float
    floor: float
    made: int


def pack(
    problem: Problem,
    spatial: tuple[Unroll, ...],
    most: int,
    objective: int = ROOM,
    beaten: Total | None = None,
    roomy: bool = False,
    deadline: float = math.inf,
) -> Packed:
    """The arrays of one spatial choice on a lattice of at most `most` states.

    Args: objective: its number.   beaten: a mapping's total, near which bounds shall be tight; or None.
          roomy:     memories hold anything.   deadline: cycles that a mapping may take.
    """
    op = problem.op
    sizes, whole = lattice(op, spatial, most)
    while (there := num_nodes(problem, sizes)) > max(MOST_NODES, 2 * sizes.num_states):
        fewer, whole = lattice(op, spatial, sizes.num_states * MOST_NODES // there)
        if fewer == sizes:
            break
        sizes = fewer
    tables = build(problem, spatial, sizes)
    rows = tuple(rows_of(problem, spatial, tables, operand, _growth_of(tables, operand)) for operand in op.operands)
    tables = replace(tables, cuts=tuple(table for item in rows for table in item.tables))
    operands = [operand.name for operand in op.operands]
    places = [problem.setting.of(name) for name in operands]
    memories = sorted({place.memory for chain in places for place in chain[:-1]})
    free = dict(problem.setting.free_bits)
    capacity = np.array([free.get(name, problem.chip.memory(name).size_bits) for name in memories], np.int64)
    if roomy:
        capacity[:] = UNLIMITED
    columns = BUSY + len(tables.resources)

    digits, stage_of = stages(tuple(map(len, places)))
    row_of, visit_of = _coordinates(problem, tables)
    nodes, row_of = states_of(sizes, row_of, rows, growth(sizes.sizes))
    visit_of = visit_of[:, nodes.choice]
    compute = compute_cycles(op, spatial) * passes(problem)
    active = active_pj_per_cycle(problem)
    joint = _joint(tables.resources, compute, active, objective, beaten, deadline)
    tabled = (
        _cuts(problem, tables, memories),
        np.concatenate([_terms(table) for table in tables.cuts]),
        np.concatenate([_tiles(table) for table in tables.cuts]),
        np.concatenate([_factors(table) for table in tables.cuts]),
    )
    least, first_least = _least(problem, rows, tabled, capacity, joint, len(tables.resources))
    start = np.zeros(columns + len(memories) + 1 + len(joint), np.float64)
    start[0] = op_pj(problem) * op.iterations
    start[2] = problem.core.launch_cycles
    start[EXPOSED] = _skew_of_one_fold(problem)
    start[len(start) - len(joint) :] = joint[:, :-1] @ start[:columns] + joint[:, -1]
    return Packed(
        problem,
        spatial,
        tables,
        nodes,
        whole,
        tuple(memories),
        digits,
        stage_of,
        nodes.grow,
        row_of,
        visit_of,
        *tabled,
        least,
        first_least,
        _comes(problem, digits, memories),
        start,
        capacity,
        float(compute),
        active,
        joint,
        (*((beaten.energy_pj, beaten.latency_cycles) if beaten else (1.0, 1.0)), deadline),
    )


MOST_LABELS = 1 << 21
"""Labels that a search holds at a time, some 200 bytes each."""


PATIENCE, NARROW = 1 << 26, 64
"""Labels compared without a beam, a second or two; then the beam for the rest, so that every search ends."""


def find(packed: Packed, objective: int, beam: int, limit: float, beside: float = math.inf) -> Found:
    """The best chain of cuts, as a mapping.

    Args: objective: its number.   beam: labels kept per node, 0 for all.
          limit: what is worse is left out; so is what ties with it, above the tie-breaker `beside`.
    """
    problem, tables = packed.problem, packed.tables
    record, history, made, reached, floor = search(
        packed.digits,
        packed.stage_of,
        *packed.grow,
        packed.row_of,
        packed.visit_of,
        packed.cuts,
        packed.terms,
        packed.tiles,
        packed.factors,
        packed.capacity,
        packed.least,
        packed.first_least,
        packed.comes,
        packed.start,
        packed.compute,
        packed.active,
        packed.joint,
        packed.unit,
        objective,
        beam,
        MOST_LABELS,
        PATIENCE,
        NARROW,
        (limit, beside),
        len(tables.resources),
    )
    if record < 0:
        return Found(None, math.inf, floor, made)
    closed: list[tuple[int, int]] = []
    while record >= 0:
        record, cut, state = history[record].tolist()
        closed.append((cut, state))
    closed.reverse()
    return Found(_mapping(problem, packed.spatial, tables, packed.nodes, closed), reached, floor, int(made))


def total(packed: Packed, mapping: Mapping) -> Total:
    """What the tables say of a mapping whose tile sizes are on the lattice, where no halos are re-used.

    Its tiles may rest longer than a label says that led to it: then it costs less than that label.
    """
    lattice, columns = packed.tables.lattice, BUSY + len(packed.tables.resources)
    by_cut = {(table.operand, table.lower, table.upper): n for n, table in enumerate(packed.tables.cuts)}
    sums = packed.start[:columns].copy()
    for cut in cuts(packed.problem, mapping):
        places = packed.problem.setting.of(cut.operand.name)
        lower = places.index(cut.lower) if cut.lower else -1
        number = by_cut[cut.operand.name, lower, places.index(cut.upper)]
        row = visit = 0
        for (_, size), sizes, dim in zip(cut.state, lattice.sizes, lattice.dims, strict=True):
            position = sizes.index(min(size, sizes[-1]))
            if dim in cut.operand.dims:
                row = row * len(sizes) + position
            else:
                visit = visit * len(sizes) + position
        sums += packed.tables.cuts[number].cost(np.array([row]), visit)[0]
    energy, exposed, ends, *busy = sums.tolist()
    array = packed.compute + exposed
    latency = max(array, *busy) + ends
    loads = tuple(zip(packed.tables.resources, busy, strict=True))
    return Total(energy + packed.active * latency, latency, array, loads)


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


def _coordinates(problem: Problem, tables: Tables) -> tuple[Ints, Ints]:
    """int64[X, S] twice: each state's row in an operand's tables, and its visiting."""
    lattice = tables.lattice
    lengths = [len(sizes) for sizes in lattice.sizes]
    choices = np.indices(lengths).reshape(len(lengths), -1) if lengths else np.zeros((0, 1), np.int64)
    rows: list[Ints] = []
    visits: list[Ints] = []
    for operand in problem.op.operands:
        for found, indexing in ((rows, True), (visits, False)):
            number = np.zeros(choices.shape[1], np.int64)
            for dim, length, choice in zip(lattice.dims, lengths, choices, strict=True):
                if (dim in operand.dims) == indexing:
                    number = number * length + choice
            found.append(number)
    return np.stack(rows), np.stack(visits)


def _cuts(problem: Problem, tables: Tables, memories: list[str]) -> Ints:
    """int64[N, 9]: the cuts as `kernels` names their columns."""
    operands = {operand.name: x for x, operand in enumerate(problem.op.operands)}
    found: list[tuple[int, ...]] = []
    first_row = first_visit = 0
    for table in tables.cuts:
        x, places, width = operands[table.operand], problem.setting.of(table.operand), problem.width(table.operand)
        memory = memories.index(places[table.lower].memory) if table.lower >= 0 else -1
        sums = max(width, problem.core.accumulator_bits) if problem.op.operands[x].slot == "O" else 0
        goes_on = int(table.upper < len(places) - 1)
        found.append((x, table.lower + 1, table.upper, first_row, first_visit, memory, width, sums, goes_on))
        first_row += len(table.tile)
        first_visit += len(table.visiting.visits)
    return np.array(found, np.int64)


def _terms(table: CutTable) -> Floats:
    """float64[S, 11 + 2 R], see `Packed`."""
    rows, ways, resources = table.busy.shape
    terms = np.zeros((rows, 11 + 2 * resources), np.float64)
    terms[:, : 2 * ways] = table.energy.reshape(rows, 2 * ways)
    if table.exposes:
        terms[:, 6] = table.waits[:, 0]
        terms[:, 7] = table.waits[:, 1:].sum(axis=1)
        terms[:, 9] = table.ends
    terms[:, 8] = table.skew
    terms[:, 10] = table.ends
    terms[:, 11 : 11 + resources] = table.busy[:, 0]
    terms[:, 11 + resources :] = table.busy[:, 1:].sum(axis=1)
    return terms


def _tiles(table: CutTable) -> Ints:
    """int64[S, 3], see `Packed`."""
    return np.stack([table.tile, table.fresh * table.doubled, table.steps], axis=1)


def _factors(table: CutTable) -> Floats:
    """float64[V, 9], see `Packed`."""
    visiting = table.visiting
    count, ways = visiting.repeats.shape
    factors = np.zeros((count, 9), np.float64)
    factors[:, : 2 * ways] = visiting.instances.reshape(count, 2 * ways)
    factors[:, 6] = visiting.repeats[:, 0]
    factors[:, 7] = visiting.repeats[:, 1] if ways > 1 else 0
    factors[:, 8] = visiting.visits
    return factors


BUSIEST = 3
"""How many of the busiest resources are weighed against energy and against one another."""


PRICES = (1.0, 0.125)
"""What a cycle saved may cost under a deadline, as parts of the energy per cycle of a known mapping."""


def _joint(
    resources: tuple[str, ...], compute: int, active: float, objective: int, beaten: Total | None, deadline: float
) -> Floats:
    """float64[K, 4 + R]: sums of columns that bound the objective, tight where the busiest of `beaten` are busy.

    Latency is at least the ends and any mean of the array's time and the resources' busy times. So a row is the least
    of such a mean (latency), with energy as far as it takes power (energy), or with energy in units of `beaten` (EDP).
    Under a deadline D, energy is at least energy + price x (latency - D) at any price of a cycle.
    """
    columns = BUSY + len(resources)
    timed = objective == ENERGY and deadline < math.inf
    if beaten is None or objective >= ROOM or (objective == ENERGY and not active and not timed):
        return np.zeros((0, columns + 1), np.float64)
    busy = dict(beaten.busy)
    loads = [(busy.get(name, 0.0), name) for name in resources]
    ranked = sorted([(beaten.array_cycles, ""), *loads], key=lambda item: -item[0])
    chosen = [name for _, name in ranked[:BUSIEST]]
    means = [[name] for name in chosen] + [chosen[:count] for count in range(2, len(chosen) + 1)]
    rows = []
    for names in means:
        row = np.zeros(columns + 1, np.float64)
        row[ENDS] = 1.0
        for name in names:
            part = 1.0 / len(names)
            if name:
                row[BUSY + resources.index(name)] += part
            else:
                row[EXPOSED] += part
                row[columns] += part * compute
        if timed:
            for part in PRICES:
                price = part * beaten.energy_pj / beaten.latency_cycles
                rows.append(row * (active + price))
                rows[-1][0] = 1.0
                rows[-1][columns] -= price * deadline
            continue
        if objective == ENERGY:
            row *= active
            row[0] = 1.0
        elif objective != LATENCY:
            row *= 1.0 / beaten.latency_cycles + active / beaten.energy_pj
            row[0] = 1.0 / beaten.energy_pj
        rows.append(row)
    return np.stack(rows)


def _growth_of(tables: Tables, operand: Operand) -> tuple[Ints, Ints]:
    """How choices of the sizes of the dims that index an operand lead to one another."""
    pairs = zip(tables.lattice.dims, tables.lattice.sizes, strict=True)
    return growth(tuple(sizes for dim, sizes in pairs if dim in operand.dims))


def _least(
    problem: Problem,
    by_operand: tuple[Rows, ...],
    tabled: tuple[Ints, Floats, Ints, Floats],
    capacity: Ints,
    joint: Floats,
    resources: int,
) -> tuple[Floats, Ints]:
    """float64[., 3 + R + K] and int64[X, L + 2]: the least that an operand adds once it has reached a place, by row.

    Args: tabled: cuts, terms, tiles and factors, as the search gets them.
    """
    chains = [problem.setting.of(operand.name) for operand in problem.op.operands]
    first = np.full((len(chains), max(map(len, chains)) + 2), -1, np.int64)
    made = 0
    for x, (places, own) in enumerate(zip(chains, by_operand, strict=True)):
        first[x, : len(places) + 1] = made + np.arange(len(places) + 1) * len(own.nodes.choice)
        made += len(own.nodes.choice) * (len(places) + 1)
    least = np.full((made, BUSY + resources + len(joint)), math.inf)
    for x, (places, own) in enumerate(zip(chains, by_operand, strict=True)):
        last_visit = len(own.tables[0].visiting.visits) - 1
        least_to_come(least, first, x, len(places), last_visit, *tabled, joint, capacity, *own.nodes.grow, resources)
    return least, first


def _comes(problem: Problem, digits: Ints, memories: list[str]) -> Ints:
    """int64[G, M]: 1 where an operand may still come to rest in a memory after a stage."""
    found = np.zeros((len(digits), len(memories)), np.int64)
    for x, operand in enumerate(problem.op.operands):
        for number, place in enumerate(problem.setting.of(operand.name)[:-1]):
            # A place is filled when the cut above it is closed, while it is the one reached.
            found[digits[:, x] <= number + 1, memories.index(place.memory)] = 1
    return found


@lru_cache(maxsize=256)
def stages(lengths: tuple[int, ...]) -> tuple[Ints, Ints]:
    """int64[G, X]: which place each operand has reached, the array being 0; int64[G, X, L]: the stage after it reaches
    a later one, or -1.

    Args: lengths: places of each operand.
    """
    digits = np.array(list(itertools.product(*(range(length + 1) for length in lengths))), np.int64)
    number = {tuple(row): index for index, row in enumerate(digits.tolist())}
    stage_of = np.full((len(digits), len(lengths), max(lengths)), -1, np.int64)
    for row, index in number.items():
        for x, length in enumerate(lengths):
            for reached in range(row[x], length):
                stage_of[index, x, reached] = number[(*row[:x], reached + 1, *row[x + 1 :])]
    return digits, stage_of


@lru_cache(maxsize=256)
def growth(options: tuple[tuple[int, ...], ...]) -> tuple[Ints, Ints]:
    """Successors of every choice of sizes, the last dim fastest, CSR: int64[S + 1], int64[E]."""
    lengths = [len(sizes) for sizes in options]
    count = math.prod(lengths)
    so_far = np.zeros(count, np.int64)
    edges: list[tuple[Ints, Ints, Ints]] = []
    stride = count
    for length, per_dim in zip(lengths, successors(options), strict=True):
        stride //= length
        pairs = [(low, high, place) for low, following in enumerate(per_dim) for place, high in enumerate(following)]
        if not pairs:
            continue
        low, high, place = np.array(pairs, np.int64).T[:, None, :, None]
        outer = np.arange(0, count, length * stride)[:, None, None]
        source = outer + low * stride + np.arange(stride)
        edges.append((source, source + (high - low) * stride, so_far[source] + place))
        so_far += np.tile(np.repeat([len(following) for following in per_dim], stride), count // (length * stride))
    start = np.concatenate([np.zeros(1, np.int64), np.cumsum(so_far)])
    to = np.empty(start[-1], np.int64)
    for source, target, place in edges:
        to[start[source] + place] = target
    return start, to


def _mapping(
    problem: Problem,
    spatial: tuple[Unroll, ...],
    tables: Tables,
    nodes: Nodes,
    closed: list[tuple[int, int]],
) -> Mapping:
    """The loop nest whose cuts are closed at the given nodes, in that order.

    Between two nodes, loops that do not index the operand closed at the first come first: its tile then rests longer.
    But the loop that a node says comes next does.
    """
    dims, op = tables.lattice.dims, problem.op
    dims_of = {operand.name: operand.dims for operand in op.operands}
    sizes = tables.lattice.sizes
    shape = tuple(map(len, sizes))
    here, next_one = tuple(options[0] for options in sizes), -1
    loops: list[Loop] = []
    rests: list[Rest] = []
    last: frozenset[str] = frozenset()

    def at(choice: int) -> tuple[int, ...]:
        return tuple(options[int(i)] for options, i in zip(sizes, np.unravel_index(choice, shape), strict=True))

    def grow(target: tuple[int, ...]) -> None:
        grown = []
        for d, dim in enumerate(dims):
            if target[d] == here[d]:
                continue
            whole = target[d] == sizes[d][-1]
            factor = math.ceil(op.size[dim] / here[d]) if whole else target[d] // here[d]
            grown.append(Loop(dim, int(factor)))
        loops.extend(sorted(grown, key=lambda loop: (loop.dim in last, dims.index(loop.dim))))

    for cut, node in [*closed, (-1, len(nodes.choice) - 1)]:
        target = at(nodes.choice[node])
        if next_one >= 0 and target != here:
            ahead = at(nodes.choice[next_one])
            grow(ahead)
            here = ahead
        grow(target)
        here, next_one = target, nodes.leads[node]
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

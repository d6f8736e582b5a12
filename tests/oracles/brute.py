"""Every nest of a small problem, priced by running its loops: what no mapper may beat and a proved one must reach.

Shares nothing with `weft.mapper` but the tile sizes it is asked to use. Every order of loops is run by the loop oracle
once; each operand then rests in every way that its places allow, and all ways of all operands are put together. (An
operand's transfers do not depend on where the others rest, so they are counted for each operand alone.)
"""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tests.oracles.loops import Run, Transfer, _pj_per_operation, _Sums
from tests.oracles.nests import interleavings, rest_chains
from tests.oracles.world import (
    GHZ,
    broadcast_add,
    build,
    conv_row,
    depthwise,
    matmul,
    memory,
    pool,
    wire,
)
from weft.model.chip import BUFFERINGS, ROLES, Systolic
from weft.model.mapping import Mapping, Problem, Rest, Unroll
from weft.model.workload import Op

Floats = np.ndarray[Any, np.dtype[np.float64]]
Sizes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Nests:
    """All nests of one problem under one spatial choice, legal or not.

    Args:
        columns: what the rows of `rooms` count, by memory name.     capacity: what each has.
        values:  float64[N, 2]: latency and energy.                   rooms: float64[N, M].
    """

    columns: tuple[str, ...]
    capacity: Floats
    values: Floats
    rooms: Floats

    @property
    def legal(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        return np.asarray(np.all(self.rooms <= self.capacity, axis=1))

    def best(self, objective: str) -> tuple[float, float] | None:
        """(objective, tie-breaker) of the best legal nest, or None where there is none."""
        if not self.legal.any():
            return None
        latency, energy = self.values[self.legal].T
        first = {"latency": latency, "energy": energy, "edp": latency * energy}[objective]
        second = latency if objective == "energy" else energy
        ties = first <= first.min() * (1 + 1e-12)
        return float(first.min()), float(second[ties].min())

    def least_room(self, name: str, given: frozenset[str] = frozenset()) -> float:
        """The least bits any nest needs of a memory among those that fit in the memories `given`."""
        others = [i for i, column in enumerate(self.columns) if column in given]
        fit = np.all(self.rooms[:, others] <= self.capacity[others], axis=1)
        return float(self.rooms[fit, self.columns.index(name)].min(initial=np.inf))


def tile_chains(sizes: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """All factors that lead from the smallest size to the last by multiples; the last step rounds up."""
    whole = sizes[-1]
    if sizes[0] == whole:
        yield ()
        return
    yield (-(-whole // sizes[0]),)
    for number, size in enumerate(sizes[1:-1], 1):
        if size % sizes[0] == 0:
            for rest in tile_chains(sizes[number:]):
                yield (size // sizes[0], *rest)


def orders(sizes: Sizes) -> Iterator[Mapping]:
    """All nests over these tile sizes, without rests or spatial part."""
    for chains in itertools.product(*(list(tile_chains(options)) for options in sizes.values())):
        for loops in interleavings(dict(zip(sizes, chains, strict=True))):
            yield Mapping((), loops, ())


def all_nests(problem: Problem, spatial: tuple[Unroll, ...], sizes: Sizes) -> Nests:
    """Runs every nest. `sizes`: the tile sizes that each dim may have, the array's first, the whole last."""
    memories = sorted({place.memory for _, chain in problem.setting.places for place in chain[:-1]})
    free = dict(problem.setting.free_bits)
    capacity = np.array([free.get(name, problem.chip.memory(name).size_bits) for name in memories], float)
    resources = _resources(problem)
    values, rooms = [], []
    known: _Known = ({}, {})
    for bare in orders(sizes):
        run = _run(problem, replace(bare, spatial=spatial), known)
        parts = [_ways(run, name, memories, resources) for name in _names(problem)]
        total = parts[0]
        for part in parts[1:]:
            total = (total[:, None, :] + part[None, :, :]).reshape(-1, total.shape[1])
        compute = float(np.prod([-(-n // Mapping(spatial, (), ()).unrolled(dim)) for dim, n in problem.op.dims]))
        compute *= Run(problem, Mapping((), (), ())).passes()
        steady = np.maximum(compute + total[:, 1], total[:, 3 + len(memories) :].max(axis=1))
        latency = problem.core.launch_cycles + total[:, 2] + steady
        chip, core = problem.chip, problem.core
        static = core.active_pj_per_cycle + chip.static_pj_per_cycle * chip.base_clock_hz / core.clock_hz
        energy = _pj_per_operation(problem) * problem.op.iterations + total[:, 0] + static * latency
        values.append(np.stack([latency, energy], axis=1))
        rooms.append(total[:, 3 : 3 + len(memories)])
    return Nests(tuple(memories), capacity, np.concatenate(values), np.concatenate(rooms))


def _names(problem: Problem) -> list[str]:
    return [operand.name for operand in problem.op.operands]


def _resources(problem: Problem) -> list[str]:
    chip = problem.chip
    ports = [f"{item.name}.{port.name}" for item in chip.memories for port in item.ports]
    return ports + [f"{link.name}{way}" for link in chip.links for way in ("", "<", ">")]


_Known = tuple[dict[Any, int], dict[Any, Any]]
"""What iterations touch, and which are held where: the same for all orders of loops under one spatial choice."""


def _run(problem: Problem, bare: Mapping, known: _Known) -> Run:
    """The loops of a nest, run once, whatever rests where."""
    loops = len(bare.loops)
    tops = tuple(Rest(name, problem.setting.of(name)[-1].memory, loops) for name in _names(problem))
    run = Run(problem, replace(bare, rests=tops))
    run._elements, run._iterations = known
    return run


def _ways(run: Run, name: str, memories: list[str], resources: list[str]) -> Floats:
    """float64[ways, 3 + M + R] of one operand: energy, exposed, ends, room of each memory, busy of each resource.

    What crosses a cut, and what it takes below, is counted once for each position that the cut is raised to.
    """
    problem, loops = run.problem, len(run.mapping.loops)
    operand = next(item for item in problem.op.operands if item.name == name)
    places = {place.memory: place for place in problem.setting.of(name)}
    known: dict[tuple[object, ...], tuple[float, float, float, dict[str, int]]] = {}
    room: dict[tuple[object, ...], int] = {}
    rows: list[Floats] = []
    for rests in rest_chains(name, problem.setting.of(name), loops):
        run.chain[name] = [places[rest.memory] for rest in rests]
        run.inside[name] = [rest.inside for rest in rests]
        at = [run.position(operand, cut) for cut in range(len(rests))]
        row = np.zeros(3 + len(memories) + len(resources))
        for cut in range(len(rests)):
            below = rests[cut - 1].memory if cut else ""
            key = (cut == 1, below, rests[cut].memory, at[cut])
            if key not in known:
                known[key] = _cut(run, problem, name, cut)
            energy, exposed, ends, busy = known[key]
            row[:3] += (energy, exposed, ends)
            for resource, cycles in busy.items():
                row[3 + len(memories) + resources.index(resource)] += cycles
            if cut:
                held = (below, at[cut], at[cut - 1])
                if held not in room:
                    room[held] = run.room(operand, cut)
                row[3 + memories.index(below)] += room[held]
        if problem.core.systolic is not None and operand.slot == problem.core.systolic.stationary:
            row[1] += run.skew()
        rows.append(row)
    return np.stack(rows)


def _cut(run: Run, problem: Problem, name: str, cut: int) -> tuple[float, float, float, dict[str, int]]:
    """Energy, exposed cycles, those at the end, busy cycles of what crosses a cut; like transfers are booked once."""
    operand = next(item for item in problem.op.operands if item.name == name)
    chip, sums = problem.chip, _Sums()
    crossing = list(run.transfers(operand, cut))
    time_of: dict[Transfer, int] = {}
    for transfer, times in Counter(crossing).items():
        one = _Sums()
        time_of[transfer] = run.book(operand, cut, transfer, one)
        for flow, counted in one.flows.items():
            sums.flows[flow] = [a + times * b for a, b in zip(sums.flows[flow], counted, strict=True)]
        for resource, cycles in one.busy.items():
            sums.busy[resource] += times * cycles
    energy = 0.0
    for (_, _, where, port_name, flow), (bits, accesses, _) in sums.flows.items():
        if flow == "link":
            energy += bits * chip.link(where).pj_per_bit
            continue
        store = chip.memory(where)
        port = next(port for port in store.ports if port.name == port_name)
        per_access = store.read_pj if flow in ("to_below", "to_above") else store.write_pj
        energy += accesses * port.access_bits / port.bandwidth_bits * per_access
    if cut == 0:
        return energy, 0.0, 0.0, dict(sums.busy)
    ends = time_of[crossing[-1 if operand.slot == "O" else 0]]
    waited = sum(time_of[transfer] for transfer in crossing) - ends
    single = chip.memory(run.chain[name][cut - 1].memory).buffering == "single"
    return energy, float(waited if single else 0), float(ends), dict(sums.busy)


def random_op(rng: random.Random) -> Op:
    """A small op of any sort, sizes ragged more often than not."""

    def some(most: int, least: int = 1) -> int:
        return rng.randint(least, most)

    made = rng.choice(("matmul", "matmul", "row", "depthwise", "pool", "add"))
    if made == "matmul":
        return matmul(some(7, 2), some(4), some(5, 2))
    if made == "row":
        pad = (rng.randint(0, 1), rng.randint(0, 1))
        return conv_row(some(7, 2), some(3), some(3), rng.randint(1, 2), rng.randint(1, 2), pad)
    if made == "depthwise":
        return depthwise(some(3), some(6, 2), some(3), (rng.randint(0, 1), 0))
    if made == "pool":
        return pool(some(3), some(5), some(3), rng.randint(1, 3))
    return broadcast_add(some(7), some(5))


def small_problem(seed: int, halo: bool = False, op: Op | None = None) -> Problem:
    """A problem small enough to try every nest of (`op`, or any), on a chip whose memories are often too small.

    Holds: ragged sizes, shared and separate memories, places that may be passed, partial sums, all bufferings,
    streamed and own outermost memories, several array dims, clocks apart, systolic arrays.
    """
    rng = random.Random(seed)
    drawn = random_op(rng)
    op = op or drawn
    array = {f"D{n + 1}": rng.choice((1, 2, 2, 3, 4)) for n in range(rng.randint(0, 2))} or {"D1": 1}
    served: list[str] = []
    levels = []
    depth = rng.choice((1, 1, 2))
    for number in range(depth):
        served += [side for side in array if side not in served and rng.random() < 0.5]
        groups = rng.choice((["IWO"], ["IW", "O"], ["I", "WO"], ["I", "W", "O"], ["O"], ["IO"], ["WI"]))
        for slots in groups:
            access = rng.choice((1, 4, 8))
            store = memory(
                f"m{number}{slots.lower()}",
                rng.choice(("rw", "r+w", "split")),
                rng.choice(BUFFERINGS),
                halo and rng.random() < 0.7,
                rng.choice((GHZ, GHZ, GHZ // 2)),
                (access * rng.randint(1, 3), access),
            )
            size = 1 << 30 if rng.random() < 0.2 else rng.choice((12, 24, 40, 60, 90, 130, 200, 300, 500))
            levels.append((replace(store, size_bits=size), slots, " ".join(served)))
    links, present = [], {slot for _, slots, _ in levels for slot in slots}
    if present >= {operand.slot for operand in op.operands} and rng.random() < 0.4:
        link = wire(levels[-1][0].name, "dram", "bus", rng.choice((4, 8, 24)), latency_cycles=rng.randint(0, 4))
        links = [replace(link, a=frozenset(item.name for item, _, _ in levels), half_duplex=rng.random() < 0.5)]
    resting = next((item.name for item, slots, _ in levels if "W" in slots), None)
    systolic = None
    if len(array) > 1 and len(op.operands) == 3 and resting and rng.random() < 0.4:
        systolic = Systolic("D1", "D2", "W")
    optional = [item.name for item, _, _ in levels if rng.random() < 0.4 and not (systolic and item.name == resting)]
    problem = build(
        op,
        array,
        levels,
        memory("dram", rng.choice(("rw", "r+w")), widths=(rng.choice((8, 24)), 8)),
        links=links,
        divisor=rng.randint(1, 2),
        optional=" ".join(optional),
        widths=(rng.randint(2, 8), rng.randint(2, 8), rng.randint(2, 8)),
        accumulator=rng.randint(4, 16),
        clock_hz=rng.choice((GHZ, GHZ, 2 * GHZ)),
        systolic=systolic,
        launch=rng.randint(0, 5),
    )
    core = problem.core
    sides = tuple(
        replace(side, roles=tuple(rng.sample(ROLES, k=len(ROLES))), shares=rng.random() < 0.5) for side in core.array
    )
    return replace(problem, chip=replace(problem.chip, cores=(replace(core, array=sides),)))


def num_runs(problem: Problem, sizes: Sizes) -> int:
    """A measure of the work: orders of loops x array steps of each x ways to rest (counted up to a limit)."""
    steps = int(np.prod([-(-options[-1] // options[0]) for options in sizes.values()]))
    ways = sum(len(list(rest_chains(name, problem.setting.of(name), len(sizes)))) for name in _names(problem))
    return steps * ways * sum(1 for _ in itertools.islice(orders(sizes), 400))

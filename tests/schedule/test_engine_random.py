"""Random networks on random chips: what `solve` gives is proved valid, adds up, and is the same every time."""

from __future__ import annotations

import hashlib
import math
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.schedule.worlds import make_chip, make_workload
from weft.model.chip import Chip
from weft.model.schedule import Infeasible, Schedule, Transfer
from weft.model.workload import Range, Workload
from weft.run.proof import prove
from weft.run.run import streaming_problem
from weft.schedule import GOALS, Solution, solve
from weft.schedule.plan import Plan, Recipe
from weft.schedule.shared import Mapper

BLOCK = 30
"""Worlds per test."""
BUDGET = 6


def solved(seed: int) -> tuple[Workload, Chip, Solution | Infeasible]:
    workload, chip = make_workload(seed), make_chip(seed)
    return workload, chip, solve(workload, chip, GOALS[seed % len(GOALS)], budget=BUDGET, seed=seed)


def fingerprint(seed: int) -> str:
    found = solved(seed)[2]
    return hashlib.sha256(repr(found if isinstance(found, Infeasible) else found.schedule).encode()).hexdigest()


# -- what must hold of every solution ----------------------------------------------------------------------------------


def wrong_with(workload: Workload, chip: Chip, solution: Solution) -> Iterator[str]:
    """Every way in which a solution is not what it says."""
    proof = prove(workload, chip, solution)
    yield from map(str, proof.violations)
    yield from proof.replay_differences
    schedule, limit = solution.schedule, solution.bounds
    if limit.latency_cycles > schedule.latency_cycles:
        yield f"bound {limit.latency_cycles} is above the latency {schedule.latency_cycles}"
    if limit.energy_pj > solution.energy_pj * (1 + 1e-9):
        yield f"bound {limit.energy_pj} is above the energy {solution.energy_pj}"
    if not math.isclose(solution.energy_pj, _energy(chip, solution), rel_tol=1e-9):
        yield f"energy {solution.energy_pj} is not the sum of its parts {_energy(chip, solution)}"
    if [cut.op.name for cut in solution.plan.cuts] != [op.name for op in workload.ops]:
        yield "one cut per op, in order"
    for memory, bits in solution.peaks:
        if not 0 <= bits <= chip.memory(memory).size_bits:
            yield f"peak of {bits} bits in {memory}"
    yield from _unbooked(chip, solution)


def _recipes(plan: Plan) -> dict[tuple[str, tuple[tuple[str, Range], ...]], Recipe]:
    """What runs each tile, by op and ranges."""
    return {
        (cut.op.name, cut.ranges(tile)): plan.recipes[number]
        for cut in plan.cuts
        for tile, number in enumerate(cut.recipes.tolist())
    }


def _energy(chip: Chip, solution: Solution) -> float:
    """Operations, accesses and links of every mapping; accesses and links of every transfer; static power."""
    total = chip.static_pj_per_cycle * solution.schedule.latency_cycles
    for recipe in _recipes(solution.plan).values():
        price, core = recipe.mapped.price, chip.core(recipe.core)
        total += price.op_pj + core.active_pj_per_cycle * price.latency_cycles + sum(f.pj for f in price.flows)
    return total + sum(_transfer_energy(chip, transfer) for transfer in solution.schedule.transfers)


def _transfer_energy(chip: Chip, transfer: Transfer) -> float:
    """A link once per sender and lane; each memory entered is written once, each that sends is read once."""
    sent = {(here, name, chip.link(name).lane(here, there)) for here, name, there in transfer.hops}
    total = sum(transfer.bits * chip.link(name).pj_per_bit for _, name, _ in sent)
    written = {there for _, _, there in transfer.hops}
    for load in transfer.ports:
        memory = chip.memory(load.memory)
        port = next(port for port in memory.ports if port.name == load.port)
        accesses = -(-transfer.bits // port.access_bits)
        writes = load.memory in written  # what passes is written before it is read
        written.discard(load.memory)
        per_width = memory.write_pj if writes else memory.read_pj
        total += accesses * port.access_bits * per_width / port.bandwidth_bits
    return total


def _unbooked(chip: Chip, solution: Solution) -> Iterator[str]:
    """What a mapping moves over links and shared ports, and its task does not book for as long as it runs."""
    recipes = _recipes(solution.plan)
    for task in solution.schedule.tasks:
        recipe = recipes[task.op, task.ranges]
        cycles = task.end - task.start
        booked = {(load.link, load.lane): load.rate for load in task.lanes}
        booked |= {(load.memory, load.port): load.rate for load in task.ports}
        homes = {use.memory for use in (*task.reads, task.writes) if not use.streamed}
        homes |= {name for _, route in recipe.routes for name in route.memories[:-1]}
        moved: Counter[tuple[str, str]] = Counter()
        for flow in recipe.mapped.price.flows:
            if flow.flow == "link" or flow.memory in homes:
                moved[flow.memory, flow.port] += flow.bits
        for at, bits in moved.items():
            if bits > booked.get(at, 0) * cycles:
                yield f"task {task.id} moves {bits} bits over {at}, books {booked.get(at, 0)} for {cycles} cycles"


def may_be_true(workload: Workload, chip: Chip, reason: Infeasible) -> bool:
    """Whether an op has no core on which its smallest tiles fit; else one op after another could be streamed."""
    mapper = Mapper(workload, chip, "latency", "fixed")
    for op in workload.ops:
        problems = [streaming_problem(mapper, op, core, chip) for core in chip.cores_for(op.kind)]
        if all(isinstance(mapper.map(problem), Infeasible) for problem in problems):
            return reason.memory is None or (reason.needs_bits or 0) > (reason.has_bits or 0)
    return False


# -- what the worlds exercise ------------------------------------------------------------------------------------------


def features(workload: Workload, chip: Chip, solution: Solution) -> set[str]:
    """What happens in a schedule."""
    schedule = solution.schedule
    kept = {workload.root(tensor.name) for tensor in workload.tensors if tensor.role != "intermediate"}
    alone = {link.name for link in chip.links if link.exclusive}
    duplex = {link.name for link in chip.links if not link.half_duplex}
    users = Counter(lane.lane for event in _events(schedule) for lane in event.lanes if lane.link in alone)
    on: dict[str, list[str]] = {}
    for task in schedule.tasks:
        on.setdefault(task.op, []).append(task.core)
    places = Counter((held.memory, held.tensor, held.box) for held in schedule.residencies)
    found = {
        "written back": any(chip.outermost in m.targets and m.tensor not in kept for m in schedule.transfers),
        "streamed": any(use.streamed for task in schedule.tasks for use in (*task.reads, task.writes)),
        "resident": any(not use.streamed for task in schedule.tasks for use in task.reads),
        "fetched again": any(count > 1 for count in places.values()),
        "tiles": any(len(set(cores)) < len(cores) for cores in on.values()),
        "split": any(len(set(cores)) > 1 for cores in on.values()),
        "fused": any(len(group) > 1 for group in solution.plan.groups),
        "core to core": any(chip.outermost not in (move.source, *move.targets) for move in schedule.transfers),
        "multicast": any(len(move.routes) > 1 for move in schedule.transfers),
        "several hops": any(len(route.links) > 1 for move in schedule.transfers for route in move.routes),
        "streamed over hops": any(
            len(route.links) > 1 for recipe in _recipes(solution.plan).values() for _, route in recipe.routes
        ),
        "exclusive": any(count > 1 for count in users.values()),
        "full duplex": any(lane.link in duplex for event in _events(schedule) for lane in event.lanes),
        "engines": chip.transfer_engines is not None and len(schedule.transfers) > chip.transfer_engines,
        "set-up": any(move.setup_cycles for move in schedule.transfers),
        "in parallel": any(
            a.start < b.end and b.start < a.end for a in schedule.tasks for b in schedule.tasks if a.id < b.id
        ),
    }
    return {name for name, there in found.items() if there}


def _events(schedule: Schedule) -> Iterator[Transfer]:
    yield from schedule.tasks  # type: ignore[misc]
    yield from schedule.transfers


SHARES = {
    "written back": 0.25,
    "streamed": 0.6,
    "resident": 0.7,
    "fetched again": 0.06,
    "tiles": 0.15,
    "split": 0.2,
    "fused": 0.2,
    "core to core": 0.3,
    "multicast": 0.04,
    "several hops": 0.2,
    "streamed over hops": 0.12,
    "exclusive": 0.25,
    "full duplex": 0.5,
    "engines": 0.3,
    "set-up": 0.4,
    "in parallel": 0.35,
}
"""About the part of many worlds in which each happens; a block of a few must have a third of it, of many half."""


def look_at(seeds: range) -> Counter[str]:
    """Solves the worlds of some seeds; returns how often each feature appears in them."""
    seen: Counter[str] = Counter()
    wrong: list[str] = []
    for seed in seeds:
        workload, chip, found = solved(seed)
        if isinstance(found, Infeasible):
            seen["infeasible"] += 1
            if not may_be_true(workload, chip, found):
                wrong.append(f"seed {seed}: {found}, but every op can be streamed")
            continue
        wrong += [f"seed {seed}: {text}" for text in wrong_with(workload, chip, found)]
        if found.tried > BUDGET + 1:
            wrong.append(f"seed {seed}: tried {found.tried} of {BUDGET}")
        seen.update(features(workload, chip, found))
    assert not wrong, "\n".join(wrong[:20])
    return seen


@pytest.mark.parametrize("block", range(4))
def test_every_solution_is_valid_and_adds_up(block: int) -> None:
    seen = look_at(range(block * BLOCK, (block + 1) * BLOCK))
    missing = {name: seen[name] for name, share in SHARES.items() if seen[name] < share * BLOCK / 3}
    assert not missing, f"these no longer happen often enough to be tested: {missing}"


@pytest.mark.verify
@pytest.mark.parametrize("block", range(20))
def test_many_solutions_are_valid_and_add_up(block: int) -> None:
    seeds = range(10_000 + 100 * block, 10_000 + 100 * (block + 1))
    seen = look_at(seeds)
    missing = {name: seen[name] for name, share in SHARES.items() if seen[name] < share * len(seeds) / 2}
    assert not missing, f"these no longer happen often enough to be tested: {missing}"


@pytest.mark.parametrize("seed", [2, 3, 4, 7])
def test_the_same_seed_gives_the_same_schedule(seed: int) -> None:
    first, again = (solved(seed)[2] for _ in range(2))
    assert isinstance(first, Solution)
    assert isinstance(again, Solution)
    assert (first.schedule, first.energy_pj, first.peaks) == (again.schedule, again.energy_pj, again.peaks)


def test_the_schedule_does_not_depend_on_how_strings_hash() -> None:
    seeds = [2, 3, 4, 6, 7, 8, 9, 10]
    script = f"from tests.schedule.test_engine_random import fingerprint\nprint(*map(fingerprint, {seeds}))"
    printed = []
    for hash_seed in ("1", "2"):
        env = {**os.environ, "PYTHONHASHSEED": hash_seed}
        run = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True)
        printed.append(run.stdout.split())
    assert printed[0] == printed[1]
    assert len(set(printed[0])) == len(seeds), "different worlds have different schedules"

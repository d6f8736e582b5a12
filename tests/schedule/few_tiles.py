"""Random small cases: networks of 8 to 14 tiles on chips of 2 to 4 cores of 2 or 3 types, memories about as large as
what one tile touches; each from a seed."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from tests.oracles.cpsat import Instance, Job
from tests.schedule.small import ALL, Node, network
from weft.execute.replay import orders, replay
from weft.model.chip import ArrayDim, Chip, Core, Flow, Level, Link, Memory, Port
from weft.model.rules import check
from weft.model.schedule import Infeasible, Task
from weft.model.workload import Kind, Slot, Workload
from weft.schedule.design import Composer, Placement
from weft.schedule.engine import Placed, place
from weft.schedule.fabric import Fabric
from weft.schedule.fuse import Steps, even, whole_at
from weft.schedule.plan import Cut, Plan
from weft.schedule.recipes import Recipes
from weft.schedule.shared import Mapper

TABLE = Path(__file__).parents[1] / "data" / "few_tiles.txt"

PRODUCTS: frozenset[Kind] = frozenset({"conv"})
EVERY: frozenset[Kind] = frozenset({"conv", "pool", "elementwise", "copy"})


@dataclass(frozen=True)
class Case:
    """A small case.

    Args:
        plan:    its tiles, each on the core that is done with it first, in the order of ops.
        recipes: for each tile (numbered as in the plan) by core: which of the plan's recipes runs it there.
        composer: made them.
    """

    workload: Workload
    fabric: Fabric
    plan: Plan
    recipes: tuple[dict[str, int], ...]
    composer: Composer

    @property
    def options(self) -> list[tuple[int, ...]]:
        """The recipes that may run each tile."""
        return [tuple(found.values()) for found in self.recipes]


def make_case(seed: int) -> Case:
    rng = random.Random(f"few tiles {seed}")
    while True:
        workload, steps = _network(rng)
        if 8 <= sum(sum(rows is not None for rows in step.ranges) for step in steps) <= 14:
            break
    shapes = _cores(rng, rng.choice((2, 2, 3)))
    room = rng.choice((1.0, 1.1, 1.3, 1.6, 2.2))
    # first with room for everything, to see what a tile touches on each core
    wide = _chip(rng.randint(0, 10**9), shapes, dict.fromkeys(range(len(shapes)), 10**6))
    most = dict.fromkeys(range(len(shapes)), 0)
    for cut, core, recipe in _recipes(workload, wide, steps)[1]:
        held = dict.fromkeys((op.tensor, recipe.bits(op.name)) for op in cut.op.operands)
        most[core] = max(most[core], sum(bits for _, bits in held))
    sizes = {core: int(-(-most[core] * room // 64) * 64) + 512 for core in most}
    if rng.random() < 0.25:
        sizes = dict.fromkeys(sizes, max(sizes.values()))
    chip = _chip(rng.randint(0, 10**9), shapes, sizes)
    composer, _ = _recipes(workload, chip, steps)
    cuts: list[Cut] = []
    options: list[dict[str, int]] = []
    for op, step in zip(workload.ops, steps, strict=True):
        made: dict[str, Cut] = {}
        for core in chip.cores_for(op.kind):
            found = composer.cut(workload.ops.index(op), step, Placement((core.name,)))
            assert not isinstance(found, Infeasible), found
            made[core.name] = found[0]
        first = next(iter(made.values()))
        mine = [{core: int(cut.recipes[tile]) for core, cut in made.items()} for tile in range(len(first.recipes))]
        options += mine
        best = [min(of.values(), key=lambda number: composer.recipes.all[number].duration) for of in mine]
        cuts.append(replace(first, recipes=np.array(best, np.int64)))
    plan = Plan(tuple(cuts), tuple(composer.recipes.all), np.arange(len(options), dtype=np.int64))
    return Case(workload, Fabric(chip, set(range(1, len(chip.cores) + 1))), plan, tuple(options), composer)


def instance(case: Case, **given: Any) -> Instance:
    """The case for the oracle: what tiles cost on each core is read off tasks that the engine placed there."""
    jobs: list[dict[str, Task]] = [{} for _ in case.recipes]
    for core in case.fabric.chip.cores:
        cuts = []
        for number, cut in enumerate(case.plan.cuts):
            first = case.plan.first[number]
            mine = [case.recipes[first + tile] for tile in range(len(cut.recipes))]
            cuts.append(replace(cut, recipes=np.array([of.get(core.name, next(iter(of.values()))) for of in mine])))
        roomy = _roomy(case.fabric)
        placed = place(case.workload, roomy, replace(case.plan, cuts=tuple(cuts)))
        assert not isinstance(placed, Infeasible), placed
        tasks = {(task.op, task.ranges): task for task in placed.schedule().tasks}
        for number, of in enumerate(case.recipes):
            op, tile = case.plan.at(number)
            task = tasks[case.plan.cuts[op].op.name, case.plan.cuts[op].ranges(tile)]
            if core.name in of:
                jobs[number][core.name] = replace(task, start=0, end=task.end - task.start)
    return Instance(case.workload, case.fabric.chip, tuple(Job(of) for of in jobs), **given)


def _roomy(fabric: Fabric) -> Fabric:
    memories = tuple(replace(memory, size_bits=10**9) for memory in fabric.chip.memories)
    return Fabric(replace(fabric.chip, memories=memories), set(range(1, len(fabric.chip.cores) + 1)))


def _recipes(workload: Workload, chip: Chip, steps: list[Steps]) -> tuple[Composer, list[Any]]:
    composer = Composer(workload, chip, Recipes(Mapper(workload, chip, "latency", "fixed", quick=True)))
    found = []
    for number, (op, step) in enumerate(zip(workload.ops, steps, strict=True)):
        for place_, core in enumerate(chip.cores):
            if op.kind in core.ops:
                made = composer.cut(number, step, Placement((core.name,)))
                assert not isinstance(made, Infeasible), made
                found += [(made[0], place_, composer.recipes.all[recipe]) for recipe in set(made[0].recipes.tolist())]
    return composer, found


def _network(rng: random.Random) -> tuple[Workload, list[Steps]]:
    """Convolutions, sums and activations on images of 12 channels and 4 x 4, and in how many rows each is cut."""
    nodes: list[Node] = []
    weights: dict[str, tuple[int, ...]] = {}
    made = ["x"]
    unread: list[str] = []

    def pick() -> str:
        return rng.choice(unread) if unread and rng.random() < 0.6 else rng.choice(made[-3:])

    for number in range(rng.randint(4, 8)):
        name, source = f"n{number}", pick()
        kind = rng.choice(("one", "one", "one", "three", "add", "add", "relu"))
        other = pick()
        if kind in ("one", "three"):
            side = 1 if kind == "one" else 3
            weights[f"w{number}"] = (12, 12, side, side)
            given = {"kernel_shape": [side] * 2, "pads": [side // 2] * 4}
            nodes.append(("Conv", name, [source, f"w{number}"], f"t{number}", given))
        elif kind == "add" and other != source:
            nodes.append(("Add", name, [source, other], f"t{number}", {}))
        else:
            nodes.append(("Relu", name, [source], f"t{number}", {}))
        unread = [tensor for tensor in unread if tensor not in nodes[-1][2]] + [f"t{number}"]
        made.append(f"t{number}")
    shape = (1, 12, 4, 4)
    workload = network(nodes, {"x": shape}, weights, dict.fromkeys(unread, shape))
    steps = []
    for op in workload.ops:
        halo = any(op.size.get(dim, 1) > 1 for dim in ("FX", "FY"))
        dim = rng.choice((None, "OY", "OY")) if not halo else None
        if dim is None and "K" in op.cuttable and rng.random() < 0.3:
            dim = "K"
        steps.append(whole_at(0, 1) if dim is None else Steps(dim, even(op.size[dim], 2)))
    return workload, steps


Shape = tuple[frozenset[Kind], int, int, float, int]
"""Kinds, rows, columns, energy of an operation [pJ], how many times slower than the base clock."""


def _cores(rng: random.Random, types: int) -> list[Shape]:
    """2 to 4 cores of so many types; the first takes everything."""
    drawn: list[Shape] = [(EVERY, rng.choice((2, 4)), rng.choice((4, 6)), 1.0, 1)]
    while len(drawn) < types:
        kinds = rng.choice((PRODUCTS, EVERY, EVERY - PRODUCTS))
        drawn.append((kinds, rng.choice((4, 6, 12)), rng.choice((4, 6)), rng.choice((0.5, 2.0)), rng.choice((1, 1, 2))))
    again = [rng.choice(drawn) for _ in range(rng.choice((0, 0, 1, 4 - types)))]
    return sorted(drawn + again, key=str)


def _chip(seed: int, shapes: list[Shape], sizes: dict[int, int]) -> Chip:
    """Cores on memories of their own, with ports for what moves and for what tasks read and write."""

    def flows(*names: Flow) -> frozenset[tuple[Slot, Flow]]:
        return frozenset((slot, flow) for slot in ALL for flow in names)

    memories, cores = [], []
    for number, (kinds, rows, columns, pj, slower) in enumerate(shapes):
        ports = (
            Port("fill", "write", 256, 8, flows("from_above")),
            Port("drain", "read", 256, 8, flows("to_above")),
            Port("inside", "read_write", 256, 8, flows("to_below", "from_below")),
        )
        memories.append(Memory(f"m{number}", sizes[number], ports, 1.0, 1.0))
        memories.append(
            Memory(f"acc{number}", 128, (Port("rw", "read_write", 64, 8),), 0.1, 0.1, buffering="pipelined")
        )
        sides = (
            ArrayDim("D1", rows, ("output_channel",)),
            ArrayDim("D2", columns, ("reduction_channel",)),
        )
        levels = (
            Level(f"acc{number}", frozenset({"O"}), frozenset({"D2"})),
            Level(f"m{number}", ALL, frozenset({"D1", "D2"})),
        )
        cores.append(Core(f"core{number}", kinds, sides, pj, levels, accumulator_bits=16, clock_hz=10**9 // slower))
    homes = frozenset(f"m{number}" for number in range(len(shapes)))
    rng = random.Random(seed)
    dram = Memory("dram", 10**8, (Port("r", "read", 256, 8), Port("w", "write", 256, 8)), 20.0, 20.0)
    width = rng.choice((8, 16, 16, 32))
    alone = rng.random() < 0.95
    every = homes | {"dram"}
    links: tuple[Link, ...]
    if rng.random() < 0.4:
        links = (Link("bus", every, every, width, exclusive=alone, pj_per_bit=0.1),)
    else:
        links = (
            Link("channel", frozenset({"dram"}), homes, width, half_duplex=rng.random() < 0.5, exclusive=alone),
            Link("net", homes, homes, rng.choice((16, 32)), exclusive=alone, pj_per_bit=0.1),
        )
    return Chip(
        "few",
        tuple(cores),
        (dram, *memories),
        links,
        "dram",
        static_pj_per_cycle=rng.choice((0.0, 2.0)),
        transfer_engines=rng.choice((None, None, 2)),
    )


def wrong_with(case: Case, placed: Placed) -> list[str]:
    """Rules that do not hold of what was placed, and times that a replay does not reach."""
    schedule, chip = placed.settled().schedule(), case.fabric.chip
    wrong = [str(violation) for violation in check(case.workload, chip, schedule).violations]
    times = {event.id: (event.start, event.end) for event in (*schedule.tasks, *schedule.transfers)}
    return wrong + (["the replay reaches other times"] if replay(orders(schedule, chip), chip) != times else [])


@cache
def optima() -> dict[int, int]:
    """By seed: the least latency, as CP-SAT proved it [base cycles]."""
    rows = (line.split() for line in TABLE.read_text().splitlines() if not line.startswith("#"))
    return {int(seed): int(cycles) for seed, cycles in rows}

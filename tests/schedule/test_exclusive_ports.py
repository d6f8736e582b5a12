"""An exclusive port serves one transfer at a time, and none while a task works from its memory."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from tests.schedule.small import network
from tests.schedule.test_engine_random import wrong_with
from tests.schedule.worlds import make_chip, make_workload
from weft.execute.replay_columns import check_replay_columns
from weft.model.chip import ArrayDim, Chip, Core, Level, Link, Memory, Port, check_chip
from weft.model.packing import to_columns
from weft.model.rules import check
from weft.model.rules.columns import check_columns
from weft.model.schedule import Infeasible
from weft.model.workload import Workload
from weft.schedule import solve

CHANNELS = 16
BITS = 8 * CHANNELS * CHANNELS
"""Of the weights of one op."""


def two_products() -> Workload:
    return network(
        [("MatMul", "first", ["x", "v"], "y", {}), ("MatMul", "second", ["y", "w"], "z", {})],
        {"x": (CHANNELS, CHANNELS)},
        {"v": (CHANNELS, CHANNELS), "w": (CHANNELS, CHANNELS)},
        {"z": (CHANNELS, CHANNELS)},
    )


def chip_with(exclusive: bool) -> Chip:
    """One MAC per cycle; activations and weights in memories of their own, filled over links of their own."""
    both = (Port("r", "read", 64, 8), Port("w", "write", 64, 8))
    shut = (Port("r", "read", 64, 8), Port("w", "write", 64, 8, exclusive=exclusive))
    sides = (ArrayDim("D1", 1, ("output_channel",)),)
    levels = (
        Level("cells", frozenset({"W"}), frozenset({"D1"})),
        Level("l1", frozenset({"I", "O"}), frozenset({"D1"})),
    )
    chip = Chip(
        "shut",
        (Core("array", frozenset({"matmul"}), sides, 1.0, levels, accumulator_bits=8),),
        (
            Memory("dram", 10**6, (Port("rw", "read_write", 64, 8),), 1.0, 1.0),
            Memory("cells", 2 * BITS, shut, 1.0, 1.0),
            Memory("l1", 10**5, both, 1.0, 1.0),
        ),
        (
            Link("data", frozenset({"dram"}), frozenset({"l1"}), 8),
            Link("weights", frozenset({"dram"}), frozenset({"cells"}), 8),
        ),
        "dram",
    )
    assert check_chip(chip) == []
    return chip


@pytest.mark.parametrize("exclusive", [False, True])
def test_weights_pass_an_exclusive_port_before_or_after_a_task_not_beside_it(exclusive: bool) -> None:
    workload, chip = two_products(), chip_with(exclusive)
    found = solve(workload, chip, "energy", budget=20)
    assert not isinstance(found, Infeasible)
    assert not list(wrong_with(workload, chip, found))
    loads = [(it.start, it.end) for it in found.schedule.transfers if it.targets == ("cells",)]
    tasks = [(it.start, it.end) for it in found.schedule.tasks]
    assert sum(end - start for start, end in loads) >= 2 * BITS // 8
    beside = [load for load in loads for task in tasks if load[0] < task[1] and task[0] < load[1]]
    assert bool(beside) != exclusive
    held = {(load.memory, load.port): load.rate for task in found.schedule.tasks for load in task.ports}
    assert (held.get(("cells", "w")) == 64) == exclusive


def shut(chip: Chip, seed: int) -> Chip:
    """Some ports exclusive."""
    rng = random.Random(f"ports {seed}")
    memories = tuple(
        replace(memory, ports=tuple(replace(port, exclusive=rng.random() < 0.4) for port in memory.ports))
        for memory in chip.memories
    )
    return replace(chip, memories=memories)


@pytest.mark.parametrize("first", range(0, 24, 8))
def test_random_schedules_keep_to_exclusive_ports(first: int) -> None:
    solved = held = 0
    for seed in range(first, first + 8):
        workload, chip = make_workload(seed), shut(make_chip(seed), seed)
        found = solve(workload, chip, "edp", budget=3, seed=seed)
        if isinstance(found, Infeasible):
            continue
        solved += 1
        assert not list(wrong_with(workload, chip, found)), seed
        columns = to_columns(workload, chip, found.schedule)
        assert check_replay_columns(workload, chip, columns).ok
        assert check_columns(workload, chip, columns).checked == check(workload, chip, found.schedule).checked
        alone = {(m.name, p.name) for m in chip.memories for p in m.ports if p.exclusive}
        held += any((load.memory, load.port) in alone for task in found.schedule.tasks for load in task.ports)
    assert solved >= 6
    assert held >= 4

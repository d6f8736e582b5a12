"""Whole solves: what is guaranteed of a result, what cannot be scheduled and why, what stays on chip, what is split."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest

from tests.schedule.small import array_core, bus_chip, memory, network
from weft.model.chip import Chip, check_chip
from weft.model.schedule import Infeasible
from weft.model.workload import Workload
from weft.run.proof import prove
from weft.schedule import GOALS, Goal, Solution, solve
from weft.schedule.choices import choices_of
from weft.schedule.design import Composer
from weft.schedule.fabric import Fabric
from weft.schedule.recipes import Recipes
from weft.schedule.search import Search
from weft.schedule.shared import Mapper
from weft.schedule.solve import figures, keys, starts

BIG = 10**7
ONE_CORE = bus_chip((array_core("a", "ma"),), (memory("ma", BIG, 256),))


def quad(size: int = BIG, width: int = 1024, **given: object) -> Chip:
    """Four equal cores on a bus."""
    names = "abcd"
    cores = tuple(array_core(name, f"m{name}") for name in names)
    return bus_chip(cores, tuple(memory(f"m{name}", size, 1024) for name in names), width=width, **given)


def residual() -> Workload:
    """Two convolutions, and what went into the second added to what comes out."""
    return network(
        [
            ("Conv", "first", ["x", "w1"], "y", {}),
            ("Conv", "second", ["y", "w2"], "z", {"pads": [1] * 4}),
            ("Add", "sum", ["y", "z"], "out", {}),
        ],
        {"x": (1, 4, 8, 8)},
        {"w1": (8, 4, 1, 1), "w2": (8, 8, 3, 3)},
        {"out": (1, 8, 8, 8)},
    )


def deep() -> Workload:
    """Four convolutions, each with as much to do."""
    nodes = [("Conv", f"c{i}", [f"t{i}", f"w{i}"], f"t{i + 1}", {"pads": [1] * 4}) for i in range(4)]
    weights = {f"w{i}": (8, 8, 3, 3) for i in range(4)}
    return network(nodes, {"t0": (1, 8, 8, 8)}, weights, {"t4": (1, 8, 8, 8)})


def solution(workload: Workload, chip: Chip, goal: Goal = "latency", budget: int = 40, fuse: bool = True) -> Solution:
    found = solve(workload, chip, goal, budget=budget, fuse=fuse)
    assert not isinstance(found, Infeasible), found
    assert prove(workload, chip, found).ok
    return found


def measure(found: Solution, chip: Chip, goal: Goal) -> float:
    latency = found.schedule.latency_cycles
    on_chip = sum(bits for name, bits in found.peaks if name != chip.outermost)
    return {"latency": latency, "energy": found.energy_pj, "edp": latency * found.energy_pj, "memory": on_chip}[goal]


# -- what is guaranteed ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("goal", GOALS)
@pytest.mark.parametrize("size", [6_000, BIG])
def test_a_result_is_no_worse_than_any_start_by_its_own_measure(goal: Goal, size: int) -> None:
    """What a search guarantees: the best of its starts, or better. (Its last careful mapping is kept only if it is no
    worse; starting things earlier in the end may let more of them be held at once.)"""
    workload, chip = residual(), quad(size, 64)
    mapper = Mapper(workload, chip, "edp" if goal == "memory" else goal, "fixed", quick=True)
    composer = Composer(workload, chip, Recipes(mapper))
    known = [figures(composer, number, choices_of(mapper, op))[0] for number, op in enumerate(workload.ops)]
    search = Search(composer, Fabric(chip, {1, 2, 3, 4}), [[it.choice for it in found] for found in known], goal, 100)
    trials = [trial for start in starts(known, keys(goal)) if (trial := search.attempt(start)) is not None]
    assert trials
    found = solution(workload, chip, goal, budget=30)
    assert measure(found, chip, goal) <= min(trial.score for trial in trials)[0]


@pytest.mark.parametrize("size", [6_000, BIG])
@pytest.mark.parametrize("make", [residual, deep])
def test_no_goal_is_beaten_by_far_at_its_own_measure(make: object, size: int) -> None:
    """Not guaranteed, as a search may end anywhere; so it is asked of small networks only."""
    workload, chip = make(), quad(size, 64)  # type: ignore[operator]
    found = {goal: solution(workload, chip, goal, budget=120) for goal in GOALS}
    for goal in ("latency", "energy", "edp"):
        mine = measure(found[goal], chip, goal)
        assert all(mine <= 1.05 * measure(other, chip, goal) for other in found.values()), goal


@pytest.mark.parametrize("budget", [1, 2, 5, 10, 25])
def test_no_more_schedules_are_tried_than_the_budget_and_the_last_careful_one(budget: int) -> None:
    assert solution(deep(), quad(), budget=budget).tried <= budget + 1


def test_progress_is_told_for_mapping_and_scheduling() -> None:
    told: list[tuple[str, int, int]] = []
    solve(residual(), ONE_CORE, budget=8, progress=lambda *step: told.append(step))
    assert [step for step in told if step[0] == "mapping"] == [("mapping", i, 3) for i in range(3)]
    tries = [done for stage, done, of in told if stage == "scheduling" and of == 8]
    assert tries == sorted(tries)
    assert max(tries) <= 8


def test_another_seed_may_search_another_way_but_proves_all_the_same() -> None:
    for seed in range(3):
        found = solve(deep(), quad(6_000, 64), "edp", budget=30, seed=seed)
        assert not isinstance(found, Infeasible)
        assert prove(deep(), quad(6_000, 64), found).ok


# -- what cannot be scheduled ------------------------------------------------------------------------------------------


def test_an_op_that_no_core_takes_is_named_with_its_kind_and_operator() -> None:
    chip = replace(ONE_CORE, cores=(array_core("a", "ma", ops=frozenset({"conv"})),))
    found = solve(residual(), chip)
    assert isinstance(found, Infeasible)
    assert str(found) == (
        "sum: no core of 'small' takes elementwise ops (Add); add the kind to a core's ops, or a core that takes it"
    )


def test_a_memory_too_small_for_the_smallest_tile_is_named_with_what_it_needs_and_has() -> None:
    chip = bus_chip((array_core("a", "ma"),), (memory("ma", 100, 256),))
    found = solve(residual(), chip)
    assert isinstance(found, Infeasible)
    assert (found.subject, found.memory, found.has_bits) == ("first on a", "ma", 100)
    # one pixel of 4 channels in, 4 x 4 weights, 4 partial sums of 16 bits, all twice but for what has no successor
    assert found.needs_bits is not None
    assert 8 * 4 + 8 * 16 + 8 * 4 <= found.needs_bits <= 2 * (8 * 4 + 8 * 16 + 16 * 4)
    assert solve(residual(), bus_chip((array_core("a", "ma"),), (memory("ma", found.needs_bits, 256),))) != found


def test_an_outermost_memory_that_cannot_hold_the_network_is_named() -> None:
    chip = bus_chip((array_core("a", "ma"),), (memory("ma", BIG, 256),), dram_bits=4_000)
    found = solve(residual(), chip)
    assert isinstance(found, Infeasible)
    assert found.memory == "dram"
    assert found.has_bits == 4_000
    assert found.needs_bits is not None
    assert found.needs_bits > 4_000


def test_a_core_that_no_link_leads_to_is_refused_with_the_chip() -> None:
    chip = replace(ONE_CORE, cores=(*ONE_CORE.cores, array_core("b", "mb")))
    chip = replace(chip, memories=(*chip.memories, memory("mb", BIG)))
    assert check_chip(chip) == ["a link must lead from 'dram' to 'mb' of core 'b'"] * 3


def test_an_input_that_is_an_output_and_that_no_op_reads_stays_where_it_is() -> None:
    workload = network(
        [("Conv", "c", ["x", "w"], "y", {}), ("Reshape", "r", ["through", "flat"], "out", {})],
        {"x": (1, 4, 4, 4), "through": (1, 2, 2)},
        {"w": (2, 4, 1, 1)},
        {"y": (1, 2, 4, 4), "out": (4,)},
        {"flat": [4]},
    )
    found = solution(workload, ONE_CORE)
    assert not [transfer for transfer in found.schedule.transfers if transfer.tensor == "through"]


# -- what stays, what is split -----------------------------------------------------------------------------------------


def test_with_room_nothing_crosses_to_the_outermost_memory_but_what_must() -> None:
    workload = residual()
    found = solution(workload, ONE_CORE, "energy")
    moved = Counter[tuple[str, ...]]()
    for move in found.schedule.transfers:
        moved[move.tensor, move.source, *move.targets] += move.bits
    assert moved == {
        ("x", "dram", "ma"): 8 * 4 * 64,
        ("w1", "dram", "ma"): 8 * 8 * 4,
        ("w2", "dram", "ma"): 8 * 8 * 8 * 9,
        ("out", "ma", "dram"): 8 * 8 * 64,
    }
    assert not any(use.streamed for task in found.schedule.tasks for use in (*task.reads, task.writes))


def test_without_room_for_a_residual_it_is_written_back_and_read_again_unless_rows_pass_on() -> None:
    """8 x 8 x 8 x 8 bits of it are half the memory. Step by step, three of its eight rows are enough."""
    chip = bus_chip((array_core("a", "ma"),), (memory("ma", 9_000, 256),))
    apart, together = (solution(residual(), chip, "energy", fuse=fuse) for fuse in (False, True))
    for found, written in ((apart, {"y", "out"}), (together, {"out"})):
        tensors = {m.tensor for m in found.schedule.transfers if m.targets == ("dram",)}
        tensors |= {t.writes.tensor for t in found.schedule.tasks if t.writes.streamed}
        assert tensors == written
    assert together.plan.groups == (("first", "second", "sum"),)
    assert together.energy_pj < apart.energy_pj


def test_four_equal_cores_share_work_that_computing_bounds() -> None:
    workload = network(
        [("Conv", "c", ["x", "w"], "y", {"pads": [1] * 4})],
        {"x": (1, 16, 16, 16)},
        {"w": (32, 16, 3, 3)},
        {"y": (1, 32, 16, 16)},
    )
    alone = solution(workload, replace(quad(), cores=quad().cores[:1])).schedule.latency_cycles
    found = solution(workload, quad())
    assert found.schedule.latency_cycles < 0.5 * alone
    assert {task.core for task in found.schedule.tasks} == {"a", "b", "c", "d"}


def test_independent_branches_run_side_by_side() -> None:
    nodes = [("Conv", f"c{i}", ["x", f"w{i}"], f"y{i}", {"pads": [1] * 4}) for i in range(2)]
    workload = network(
        nodes,
        {"x": (1, 8, 3, 3)},
        {f"w{i}": (4, 8, 3, 3) for i in range(2)},
        {f"y{i}": (1, 4, 3, 3) for i in range(2)},
    )
    two = replace(quad(), cores=quad().cores[:2])
    alone = solution(workload, replace(quad(), cores=quad().cores[:1])).schedule.latency_cycles
    assert solution(workload, two).schedule.latency_cycles < 0.75 * alone


def test_the_search_is_seeded_by_its_own_generator_only() -> None:
    first = solution(deep(), quad(6_000, 64))
    random.seed(7)
    assert solution(deep(), quad(6_000, 64)).schedule == first.schedule

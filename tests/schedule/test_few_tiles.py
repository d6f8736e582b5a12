"""Small cases, of each of which CP-SAT proves the best schedule: no bound is above it, no schedule below it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from tests.oracles.cpsat import Best, best
from tests.schedule.few_tiles import Case, instance, make_case, optima
from weft.model.rules import check
from weft.model.schedule import Infeasible
from weft.schedule.bounds import bounds
from weft.schedule.engine import place

LIMIT = 2.0
"""Deterministic time that CP-SAT has for each of its two ways; it needs a fifth of it."""

FEW = [3, 5, 8, 10, 11, 13, 17, 22, 23, 33, 35, 36]
"""Seeds of which the best is proved in half a second each."""


def default(case: Case) -> int | None:
    """Latency of the tiles in the order of ops, each on the core that is done with it first; None: it does not fit."""
    placed = place(case.workload, case.fabric, case.plan)
    return None if isinstance(placed, Infeasible) else placed.settled().latency_cycles


def proved(case: Case) -> Best:
    found = best(instance(case), default(case) or 30_000, LIMIT)
    assert found is not None
    assert found.proved
    return found


def look_at(seeds: Iterable[int]) -> list[int]:
    """Proves each again, and asks the rules; returns the seeds of which the default is the best."""
    good = []
    for seed in seeds:
        case = make_case(seed)
        found, chip = proved(case), case.fabric.chip
        assert found.value == optima()[seed]
        assert found.schedule.latency_cycles == found.value
        assert not check(case.workload, chip, found.schedule).violations, seed
        assert bounds(case.workload, chip, "fixed").latency_cycles <= found.value, seed
        start = default(case)
        assert start is None or start >= found.value
        if start == found.value:
            good.append(seed)
    return good


def test_cases_are_small_and_of_many_kinds() -> None:
    cases = [make_case(seed) for seed in FEW]
    assert all(8 <= len(case.recipes) <= 14 for case in cases)
    types = [{(core.ops, core.array, core.clock_hz) for core in case.fabric.chip.cores} for case in cases]
    assert {len(found) for found in types} == {2, 3}
    assert {len(case.fabric.chip.links) for case in cases} == {1, 2}
    assert {case.fabric.chip.transfer_engines for case in cases} == {None, 2}


def test_what_cpsat_proves_is_a_schedule_and_no_bound_is_above_it() -> None:
    pytest.importorskip("ortools", reason="the oracle is CP-SAT")
    assert len(look_at(FEW)) <= len(FEW) // 2


@pytest.mark.verify
@pytest.mark.parametrize("block", range(10))
def test_what_cpsat_proves_of_all_cases(block: int) -> None:
    pytest.importorskip("ortools", reason="the oracle is CP-SAT")
    seeds = [seed for number, seed in enumerate(optima()) if number % 10 == block]
    assert len(look_at(seeds)) <= len(seeds) / 2


def test_a_tile_that_takes_no_time_is_found_out() -> None:
    """The oracle's answer follows what it is told: with one tile's duration halved it is another, and no later."""
    pytest.importorskip("ortools", reason="the oracle is CP-SAT")
    case = make_case(35)
    whole = instance(case)
    jobs = tuple(
        replace(job, on={core: replace(task, end=(task.end + 1) // 2) for core, task in job.on.items()})
        for job in whole.jobs
    )
    found = best(replace(whole, jobs=jobs), 30_000, LIMIT)
    assert found is not None
    assert found.value < optima()[35]

"""Schedules of the engine, changed by the least: the rules or the replay catch every one."""

from __future__ import annotations

import pytest

from tests.oracles.mutants import mutants, order_mutants
from tests.schedule.worlds import make_chip, make_workload
from weft.execute.replay import check_replay, orders, replay
from weft.model.rules import check
from weft.model.schedule import Infeasible
from weft.schedule import solve

SEEDS = (2, 6, 11, 16, 23, 36)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_mutant_of_an_engine_schedule_is_caught(seed: int) -> None:
    workload, chip = make_workload(seed), make_chip(seed)
    found = solve(workload, chip, "edp", budget=4, seed=seed)
    assert not isinstance(found, Infeasible)
    assert check(workload, chip, found.schedule).ok
    missed = [
        mutant.name
        for mutant in mutants(workload, chip, found.schedule, seed=seed, limit=80)
        if check(workload, mutant.chip, mutant.schedule).ok and check_replay(mutant.schedule, mutant.chip).ok
    ]
    assert not missed


@pytest.mark.parametrize("seed", SEEDS[:3])
def test_every_exchange_of_neighbours_changes_the_times(seed: int) -> None:
    workload, chip = make_workload(seed), make_chip(seed)
    found = solve(workload, chip, "edp", budget=4, seed=seed)
    assert not isinstance(found, Infeasible)
    given = orders(found.schedule, chip)
    times = {event.id: (event.start, event.end) for event in (*found.schedule.tasks, *found.schedule.transfers)}
    assert replay(given, chip) == times
    missed = [name for name, other in order_mutants(given, times, seed=seed, limit=40) if replay(other, chip) == times]
    assert not missed

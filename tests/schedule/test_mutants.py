"""Schedules changed by the least: the rules or the replay catch every one.

Wrong by one cycle, bit, row or order are 800 copies of schedules that the engine makes, 350 of the multicast and 240 of
the little schedule made by hand (`test_replay.py`); 200 more are orders with two neighbours exchanged. Violations made
by hand are 170: `tests/model/test_rules.py` and `test_rules_multicast.py`.
"""

from __future__ import annotations

import functools

from tests.model import test_rules, test_rules_multicast
from tests.oracles import cast
from tests.oracles.mutants import Mutant, mutants, order_mutants
from tests.schedule.placed import placed_worlds
from tests.schedule.worlds import make_chip, make_workload
from weft.execute.replay import check_replay, orders, replay
from weft.model.chip import Chip
from weft.model.rules import check
from weft.model.schedule import Infeasible, Schedule
from weft.model.workload import Workload
from weft.schedule import solve

SEEDS = (2, 6, 11, 16, 23, 36, 41, 47)


@functools.cache
def of_the_engine(seed: int) -> tuple[Workload, Chip, Schedule]:
    workload, chip = make_workload(seed), make_chip(seed)
    found = solve(workload, chip, "edp", budget=4, seed=seed)
    assert not isinstance(found, Infeasible)
    return workload, chip, found.schedule


def missed(workload: Workload, wrong: list[Mutant]) -> list[str]:
    """Mutants in which neither the rules nor the replay find anything wrong."""
    return [
        mutant.name
        for mutant in wrong
        if check(workload, mutant.chip, mutant.schedule).ok and check_replay(mutant.schedule, mutant.chip).ok
    ]


def test_every_mutant_of_an_engine_schedule_is_caught() -> None:
    tried = 0
    for seed in SEEDS:
        workload, chip, schedule = of_the_engine(seed)
        assert check(workload, chip, schedule).ok
        wrong = list(mutants(workload, chip, schedule, seed=seed, limit=100))
        assert not missed(workload, wrong), seed
        tried += len(wrong)
    assert tried >= 700


def test_every_mutant_of_a_multicast_is_caught() -> None:
    wrong = list(mutants(cast.WORKLOAD, cast.CHIP, cast.SCHEDULE))
    assert len(wrong) >= 350
    assert not missed(cast.WORKLOAD, wrong)


def test_every_mutant_of_multicasts_that_the_engine_makes_is_caught() -> None:
    tried = 0
    for seed, workload, placed in placed_worlds(range(24), fused=True):
        schedule, chip = placed.settled().schedule(), placed.engine.fabric.chip
        if not any(len(move.routes) > 1 for move in schedule.transfers):
            continue
        wrong = list(mutants(workload, chip, schedule, seed=seed, limit=30))
        assert not missed(workload, wrong), seed
        tried += len(wrong)
    assert tried >= 60


def test_violations_made_by_hand_are_many() -> None:
    assert len(test_rules.BROKEN) >= 130
    assert len(test_rules_multicast.BROKEN) >= 39


def exchanged(schedule: Schedule, chip: Chip, seed: int = 0, limit: int | None = None) -> int:
    """How many exchanges of neighbours were tried; all must change the times."""
    given = orders(schedule, chip)
    times = {event.id: (event.start, event.end) for event in (*schedule.tasks, *schedule.transfers)}
    assert replay(given, chip) == times
    wrong = list(order_mutants(given, times, seed=seed, limit=limit))
    assert not [name for name, other in wrong if replay(other, chip) == times]
    return len(wrong)


def test_every_exchange_of_neighbours_changes_the_times() -> None:
    schedules = {seed: of_the_engine(seed) for seed in SEEDS}
    assert sum(exchanged(found, chip, seed, 40) for seed, (_, chip, found) in schedules.items()) >= 150


def test_every_exchange_of_neighbours_changes_the_times_of_a_multicast() -> None:
    assert exchanged(cast.SCHEDULE, cast.CHIP) >= 45

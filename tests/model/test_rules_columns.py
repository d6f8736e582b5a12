"""Rules told on columns find what the rules on nouns find: the same facts, the same violations, in the same words."""

from __future__ import annotations

import resource
import time
from collections import Counter
from typing import Any

import pytest

from tests.model import test_rules, test_rules_multicast
from tests.oracles import cast, little
from tests.oracles.edits import World, broken_in
from tests.oracles.mutants import mutants
from tests.oracles.rows import make_rows, make_world
from tests.oracles.spoilt import spoilt
from tests.schedule.worlds import make_chip, make_workload
from weft.execute.replay import check_replay
from weft.model.packing import to_columns, to_schedule
from weft.model.rules import RULES, check
from weft.model.rules.columns import check_columns
from weft.model.rules.columns.table import OF_A_KIND_OF_TASKS, OF_A_KIND_OF_TRANSFERS, PACKED
from weft.model.schedule import Infeasible, Violation
from weft.schedule import solve

BY_HAND: dict[str, tuple[Any, tuple[Any, ...]]] = {
    **{name: (little, edits) for name, (_, edits) in test_rules.BROKEN.items()},
    **{name: (cast, edits) for name, (_, edits) in test_rules_multicast.BROKEN.items()},
}
NOT_IN_COLUMNS = {
    "a task of an unknown op",
    "a task on an unknown core",
    "a use lies in an unknown memory",
    "a transfer over an unknown link",
    "a transfer through an unknown memory",
    "a lane that its half-duplex link does not have",
    "a port that its memory does not have",
    "a workspace in an unknown memory",
    "an unknown memory among the receivers",
    "a tile without one of its dims",
    "a tile that names a dim twice",
    "a box with an axis too few",
}
"""What a column cannot hold: it is found all the same, but columns do not know what it was."""


def both(world: World) -> tuple[Counter[Any], Counter[Any], int, int]:
    workload, chip, schedule = world
    ours = check(workload, chip, schedule)
    theirs = check_columns(workload, chip, to_columns(workload, chip, schedule))
    return Counter(ours.violations), Counter(theirs.violations), ours.checked, theirs.checked


def agree(world: World) -> bool:
    ours, theirs, facts, others = both(world)
    return ours == theirs and facts == others


def test_every_rule_is_told_on_columns_once() -> None:
    told = [*PACKED, *OF_A_KIND_OF_TASKS, *OF_A_KIND_OF_TRANSFERS]
    assert Counter(told) == Counter(rule.facts for rule in RULES)


@pytest.mark.parametrize("world", [little, cast], ids=["little", "cast"])
def test_both_tellings_look_at_the_same_facts(world: Any) -> None:
    ours, theirs, facts, others = both((world.WORKLOAD, world.CHIP, world.SCHEDULE))
    assert ours == theirs == Counter()
    assert facts == others > 200


@pytest.mark.parametrize("name", BY_HAND)
def test_both_tellings_find_what_is_broken_by_hand(name: str) -> None:
    origin, edits = BY_HAND[name]
    world = broken_in((origin.WORKLOAD, origin.CHIP, origin.SCHEDULE), edits)[0]
    ours, theirs, facts, others = both(world)
    assert facts == others
    if name in NOT_IN_COLUMNS:
        assert ours != theirs
        ours, theirs = (Counter(map(told, found.elements())) for found in (ours, theirs))
    assert ours == theirs != Counter()


@pytest.mark.parametrize("world", [little, cast], ids=["little", "cast"])
def test_both_tellings_find_the_same_in_every_mutant(world: Any) -> None:
    for mutant in mutants(world.WORKLOAD, world.CHIP, world.SCHEDULE):
        assert agree((world.WORKLOAD, mutant.chip, mutant.schedule)), mutant.name


@pytest.mark.parametrize("seed", [2, 6, 11, 16, 23, 36, 41, 47])
def test_both_tellings_find_the_same_in_random_worlds_and_their_mutants(seed: int) -> None:
    workload, chip = make_workload(seed), make_chip(seed)
    found = solve(workload, chip, "edp", budget=2, seed=seed)
    assert not isinstance(found, Infeasible)
    assert agree((workload, chip, found.schedule))
    for mutant in mutants(workload, chip, found.schedule, seed=seed, limit=30):
        assert agree((workload, mutant.chip, mutant.schedule)), mutant.name


@pytest.mark.parametrize("block", range(6))
@pytest.mark.parametrize("world", [little, cast], ids=["little", "cast"])
def test_both_tellings_find_the_same_in_schedules_spoilt_at_random(world: Any, block: int) -> None:
    lawful = 0
    for seed in range(100 * block, 100 * (block + 1)):
        schedule = spoilt(world.SCHEDULE, seed)
        ours, theirs, facts, others = both((world.WORKLOAD, world.CHIP, schedule))
        assert facts == others, seed
        # columns do not know the names that do not exist, nor boxes that are none
        assert {told(item) for item in ours} == {told(item) for item in theirs}, seed
        lawful += not ours
    assert lawful < 20


def told(violation: Violation) -> tuple[str, str, int]:
    return violation.rule, violation.subject, violation.at_cycle


def test_the_rows_are_lawful_by_both_tellings_and_the_replay() -> None:
    workload, chip = make_world(24)
    columns = make_rows(24)
    schedule = to_schedule(workload, chip, columns)
    result = check_columns(workload, chip, columns)
    assert result == check(workload, chip, schedule)
    assert result.ok
    assert check_replay(schedule, chip).ok


def seconds_for(rows: int) -> float:
    workload, chip = make_world(rows)
    columns = make_rows(rows)
    before = time.process_time()
    result = check_columns(workload, chip, columns)
    taken = time.process_time() - before
    assert result.ok
    assert result.checked > 180 * rows
    return taken


def test_a_hundred_thousand_tiles_take_no_time_to_speak_of() -> None:
    seconds_for(1_000)  # compiles
    assert seconds_for(50_000) < 3


@pytest.mark.verify
def test_a_million_tiles_take_seconds_and_time_grows_with_them() -> None:
    seconds_for(1_000)
    quarter = seconds_for(125_000)
    assert seconds_for(500_000) < min(10, 8 * quarter)
    # in KiB; the columns themselves, and what else this process has held so far, within
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 4 * 2**20

"""The proof prices every task again: one that lasts, costs, books or reserves other than its mapping is a violation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from weft.model.schedule import Task
from weft.run import RunResult, proof, run
from weft.run.proof import mispriced, underbooked


@pytest.fixture(scope="module")
def result() -> RunResult:
    # Four like cores share their searches: mappings are carried over by name.
    found = run("resnet8", "tpu_like_quad", budget=1)
    assert isinstance(found, RunResult)
    return found


def test_every_task_lasts_and_costs_what_the_formula_says(result: RunResult) -> None:
    plan = result.solution.plan
    assert len({plan.recipes[number].core for number in plan.used}) > 3
    assert mispriced(result.chip, plan, result.schedule.tasks) == []


def test_one_cycle_less_and_one_picojoule_more_are_seen(result: RunResult) -> None:
    first, second, *rest = result.schedule.tasks
    short = replace(first, end=first.end - 1)
    dear = replace(second, energy_pj=second.energy_pj + 1)
    wrong = mispriced(result.chip, result.solution.plan, [short, dear, *rest])
    assert sorted((item.rule, item.subject) for item in wrong) == [
        ("a task costs what its mapping does", f"task {second.id}"),
        ("a task lasts as long as its mapping", f"task {first.id}"),
    ]


def test_a_recipe_that_was_made_for_another_tile_is_seen(result: RunResult) -> None:
    plan = result.solution.plan
    cut = next(cut for cut in plan.cuts if len(set(cut.recipes.tolist())) > 1)
    turned = replace(cut, recipes=np.roll(cut.recipes, 1))
    cuts = tuple(turned if item is cut else item for item in plan.cuts)
    rules = {item.rule for item in mispriced(result.chip, replace(plan, cuts=cuts), result.schedule.tasks)}
    assert "a task is the tile that its mapping is for" in rules


def test_every_task_books_what_its_mapping_moves_and_keeps(result: RunResult) -> None:
    assert underbooked(result.chip, result.solution.plan, result.schedule.tasks) == []


def told(result: RunResult, change: Callable[[Task], Task]) -> list[str]:
    tasks = [change(task) for task in result.schedule.tasks]
    return [item.rule for item in underbooked(result.chip, result.solution.plan, tasks)]


def test_a_rate_that_is_the_least_too_small_is_seen_on_every_port_and_lane(result: RunResult) -> None:
    less = Fraction(999, 1000)
    ports = told(result, lambda task: replace(task, ports=tuple(replace(p, rate=p.rate * less) for p in task.ports)))
    assert len(ports) > len(result.schedule.tasks)
    assert set(ports) == {"a task books what its mapping moves"}
    streaming = [task for task in result.schedule.tasks if task.lanes]
    lanes = told(result, lambda task: replace(task, lanes=()))
    assert len(lanes) >= len(streaming)


def test_a_workspace_that_is_one_bit_too_small_is_seen(result: RunResult) -> None:
    def smaller(task: Task) -> Task:
        return replace(task, workspace=tuple((memory, bits - 1) for memory, bits in task.workspace))

    working = [task for task in result.schedule.tasks if any(bits for _, bits in task.workspace)]
    assert told(result, smaller).count("a task reserves what its mapping keeps") >= len(working)


def test_many_events_are_checked_on_columns_with_the_same_result(
    result: RunResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    early = replace(result.schedule, tasks=tuple(replace(t, start=t.start - 1) for t in result.schedule.tasks))
    huge = replace(early, residencies=(replace(early.residencies[0], bits=2**70), *early.residencies[1:]))
    for schedule in (result.schedule, early, huge):
        monkeypatch.setattr(proof, "MANY", 10**9)
        ours, our_replay = proof.checked(result.workload, result.chip, schedule)
        monkeypatch.setattr(proof, "MANY", 0)
        theirs, their_replay = proof.checked(result.workload, result.chip, schedule)
        assert our_replay == their_replay
        assert ours.checked == theirs.checked
        assert Counter(ours.violations) == Counter(theirs.violations)
        assert ours.ok == (schedule is result.schedule)

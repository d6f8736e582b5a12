"""The proof prices every task again: one that lasts or costs otherwise than its mapping does is a violation."""

from __future__ import annotations

from dataclasses import replace

import pytest

from weft.run import RunResult, run
from weft.run.proof import mispriced


@pytest.fixture(scope="module")
def result() -> RunResult:
    # Four like cores share their searches: mappings are carried over by name.
    found = run("resnet8", "tpu_like_quad", budget=1)
    assert isinstance(found, RunResult)
    return found


def test_every_task_lasts_and_costs_what_the_formula_says(result: RunResult) -> None:
    parts = [part for option in result.solution.options for part in option.parts]
    assert len({part.core for part in parts}) > 3
    assert mispriced(result.chip, parts, result.schedule.tasks) == []


def test_one_cycle_less_and_one_picojoule_more_are_seen(result: RunResult) -> None:
    parts = [part for option in result.solution.options for part in option.parts]
    first, second, *rest = result.schedule.tasks
    short = replace(first, end=first.end - 1)
    dear = replace(second, energy_pj=second.energy_pj + 1)
    wrong = mispriced(result.chip, parts, [short, dear, *rest])
    assert sorted((item.rule, item.subject) for item in wrong) == [
        ("a task costs what its mapping does", f"task {second.id}"),
        ("a task lasts as long as its mapping", f"task {first.id}"),
    ]

"""The proof prices every task again: one that lasts or costs otherwise than its mapping does is a violation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
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

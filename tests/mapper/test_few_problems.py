"""A few small problems, each against all its nests at once: the quick part of `test_mapper`, problem by problem."""

from __future__ import annotations

from functools import cache

import pytest

from tests.mapper.test_mapper import OBJECTIVES, wrong_with
from tests.oracles.brute import Nests, all_nests, num_runs, small_problem
from weft.mapper import Objective, solve
from weft.mapper.space import fixed_spatial, lattice
from weft.model.mapping import Problem

PLAIN = range(24)
HALO = range(2000, 2012)
WORK = 800


@cache
def known(seed: int, halo: bool) -> tuple[Problem, Nests] | None:
    """A small problem and all its nests as the loops count them, or None where these are too many."""
    problem = small_problem(seed, halo)
    spatial = fixed_spatial(problem.op, problem.core)
    sizes, _ = lattice(problem.op, spatial)
    per_dim = dict(zip(sizes.dims, sizes.sizes, strict=True))
    return (problem, all_nests(problem, spatial, per_dim)) if num_runs(problem, per_dim) <= WORK else None


CASES = [(seed, seeds is HALO) for seeds in (PLAIN, HALO) for seed in seeds if known(seed, seeds is HALO)]


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_best_of_all_nests_is_found_and_proved(case: tuple[int, bool], objective: Objective) -> None:
    found = known(*case)
    assert found is not None
    outcome, wrong = wrong_with(*found, objective, 0)
    assert wrong == []
    assert outcome in ("optimal", "refused")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_it_is_found_near_a_known_mapping_too(case: tuple[int, bool], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solve, "RUNGS", (1,))
    found = known(*case)
    assert found is not None
    for beam in (0, 1, 4):
        outcome, wrong = wrong_with(*found, "edp", beam)
        assert wrong == []
        assert beam or outcome in ("optimal", "refused")


def test_there_are_enough_of_either_kind() -> None:
    assert sum(halo for _, halo in CASES) >= 4
    assert sum(not halo for _, halo in CASES) >= 8

"""Deadlines and energy-latency fronts against every nest of small problems."""

from __future__ import annotations

import numpy as np
import pytest

from tests.mapper.test_mapper import SAME, SEEDS, tried
from tests.oracles import smalls
from weft.mapper import Mapped, best_mapping, solve
from weft.mapper.front import Front, front
from weft.model.schedule import Infeasible

CASES = [case for seed in SEEDS if (case := tried(seed)) is not None and case[1].legal.any()]


def true_front(values: np.ndarray) -> list[tuple[float, float]]:
    """(latency, least energy of all that are no slower), where that is less than before."""
    found: list[tuple[float, float]] = []
    for latency, energy in sorted(map(tuple, values.tolist())):
        if not found or energy < found[-1][1] * (1 - SAME):
            found.append((latency, energy))
    return found


def test_under_a_deadline_the_least_energy_of_all_nests_is_found() -> None:
    checked = 0
    for problem, nests in CASES:
        legal = nests.values[nests.legal]
        for deadline in sorted({int(value) for value in np.quantile(legal[:, 0], (0.0, 0.1, 0.5))}):
            found = best_mapping(problem, "energy", deadline=deadline)
            assert isinstance(found, Mapped)
            assert found.optimal
            assert found.price.latency_cycles <= deadline
            in_time = legal[legal[:, 0] <= deadline]
            assert abs(found.price.energy_pj - in_time[:, 1].min()) <= SAME * found.price.energy_pj
            checked += 1
    assert checked >= 100


def test_a_deadline_that_nothing_keeps_is_refused_with_the_fastest() -> None:
    for problem, nests in CASES[:20]:
        least = int(nests.values[nests.legal][:, 0].min())
        found = best_mapping(problem, "edp", deadline=least - 1)
        assert isinstance(found, Infeasible)
        assert found.reason == f"no mapping takes at most {least - 1:,} cycles: the fastest takes {least:,}"


def test_the_front_is_that_of_all_nests() -> None:
    whole = 0
    for problem, nests in CASES:
        found = front(problem, most=8)
        assert isinstance(found, Front)
        truth = true_front(nests.values[nests.legal])
        points = [(point.price.latency_cycles, point.price.energy_pj) for point in found.points]
        for latency, energy in points:
            assert any(latency == at and abs(energy - least) <= SAME * least for at, least in truth)
        assert (points[0][0], points[-1][0]) == (truth[0][0], truth[-1][0])
        if found.whole:
            assert len(points) == len(truth)
            whole += 1
    assert whole >= len(CASES) // 2


def test_no_point_has_the_energy_of_a_faster_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search that ends on a small lattice may find the slower of two mappings with the least energy."""
    monkeypatch.setattr(solve, "RUNGS", (1,))
    made = smalls.case(10_112)
    slowest = best_mapping(made.problem, "energy")
    assert isinstance(slowest, Mapped)
    found = front(made.problem)
    assert isinstance(found, Front)
    points = [(point.price.latency_cycles, point.price.energy_pj) for point in found.points]
    assert points == true_front(made.nests.values[made.nests.legal])
    assert points[-1][0] <= slowest.price.latency_cycles

"""Laws of the optimum: more of anything never hurts, and what is turned round has the same best answer.

They are laws of what is best, so they are asked where the mapper proves that; its bounds must obey them everywhere.
"""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from tests.oracles import turned
from tests.oracles.brute import small_problem
from tests.oracles.change import enlarged, widened, without_systolic
from tests.oracles.world import make_op, matmul, plain, slide
from weft.mapper import Mapped, Objective, best_mapping
from weft.mapper.solve import OBJECTIVES, value
from weft.model.mapping import Problem
from weft.model.schedule import Infeasible
from weft.model.workload import Op

PROBLEMS = 40
MORE_PROBLEMS = 400
ROUNDING = 1e-9


def optimum(problem: Problem, objective: Objective) -> tuple[float, float, bool]:
    """(least possible, reached, proved); both infinite where nothing fits."""
    found = best_mapping(problem, objective, beam=16)
    if isinstance(found, Infeasible):
        return float("inf"), float("inf"), True
    return found.bound, value(found.price, objective)[0], found.optimal


def never_worse_with_more(seeds: range) -> tuple[int, int]:
    """(comparisons in which both optima were proved, comparisons)."""
    proved = compared = 0
    for seed in seeds:
        problem = small_problem(seed)
        memories = [memory.name for memory in problem.chip.memories]
        links = [link.name for link in problem.chip.links]
        changed = [enlarged(problem, name) for name in memories] + [widened(problem, name) for name in memories + links]
        for objective in OBJECTIVES:
            least, reached, sure = optimum(problem, objective)
            for other in changed:
                least_then, reached_then, sure_then = optimum(other, objective)
                assert least_then <= reached * (1 + ROUNDING)
                if sure and sure_then:
                    assert reached_then <= reached * (1 + ROUNDING)
                    proved += 1
                compared += 1
                assert least <= reached
    return proved, compared


def test_more_room_or_bandwidth_never_worsens_the_optimum() -> None:
    proved, compared = never_worse_with_more(range(PROBLEMS // 2))
    print(f"{proved} of {compared} comparisons proved")
    assert proved > 0.8 * compared


@pytest.mark.verify
def test_more_room_or_bandwidth_never_worsens_many_optima() -> None:
    never_worse_with_more(range(PROBLEMS // 2, MORE_PROBLEMS))


def window(rng: random.Random) -> Op:
    """A small convolution over rows and columns of an image, not square."""
    sizes = {"K": rng.randint(1, 3), "OY": rng.randint(1, 3), "OX": rng.randint(2, 5), "FY": rng.randint(1, 2)}
    sizes["FX"] = rng.randint(1, 3)
    y, x = (
        slide(out, kernel, sizes, rng.randint(1, 2), 1, (rng.randint(0, 1), 0))
        for out, kernel in (("OY", "FY"), ("OX", "FX"))
    )
    k, pixels = plain("K", sizes), (plain("OY", sizes), plain("OX", sizes))
    kernel = (plain("FY", sizes), plain("FX", sizes))
    return make_op("conv", sizes, ("I", "I", (y, x)), ("W", "W", (k, *kernel)), ("O", "O", (k, *pixels)))


def same_optimum(problem: Problem, other: Problem, objective: Objective) -> bool:
    """Whether both optima were proved; then they are equal, and else neither beats the other's bound."""
    one, two = optimum(problem, objective), optimum(other, objective)
    assert one[0] <= two[1] * (1 + ROUNDING)
    assert two[0] <= one[1] * (1 + ROUNDING)
    if one[2] and two[2]:
        assert one[1] == pytest.approx(two[1], rel=ROUNDING)
    return one[2] and two[2]


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_turned_image_has_the_same_optimum(objective: Objective) -> None:
    proved = 0
    for seed in range(PROBLEMS):
        problem = small_problem(seed, op=window(random.Random(seed)))
        proved += same_optimum(problem, turned.image(problem), objective)
    assert proved > 0.6 * PROBLEMS


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_turned_matrix_product_has_the_same_optimum(objective: Objective) -> None:
    proved = 0
    for seed in range(PROBLEMS):
        rng = random.Random(seed)
        op = matmul(rng.randint(2, 8), rng.randint(2, 8), rng.randint(2, 8))
        problem = small_problem(seed, op=op)
        problem = replace(problem, chip=without_systolic(problem))
        proved += same_optimum(problem, turned.product(problem), objective)
    assert proved > 0.6 * PROBLEMS


def test_what_is_mapped_stays_mapped_with_more_room() -> None:
    for seed in range(PROBLEMS):
        problem = small_problem(seed)
        if isinstance(best_mapping(problem, "latency"), Mapped):
            for memory in problem.chip.memories:
                assert isinstance(best_mapping(enlarged(problem, memory.name), "latency"), Mapped)

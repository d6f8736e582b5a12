"""No random mapping of the named space beats what is proved best, and none of any integers by much: five ops on library
chips."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache

import pytest

from tests.oracles.draws import legal_mappings
from weft.cost import price, traffic
from weft.cost.cuts import Cut
from weft.cost.traffic import CutTraffic
from weft.mapper import Mapped, Objective, best_mapping
from weft.mapper.solve import OBJECTIVES, value
from weft.mapper.space import fixed_spatial, lattice
from weft.model.mapping import Mapping, Problem
from weft.model.workload import Op
from weft.read.chip import read_chip
from weft.run.run import prepared, streaming_problem
from weft.schedule.shared import Mapper

FEW, SHARDS, EACH = 1_000, 10, 10_000

LEFT_OUT = 1e-3
"""Other integers as tile sizes may be better by this part: of the pool one in 20,000 is, by 4e-6 of its energy."""

CASES: dict[str, tuple[str, str, Callable[[Op], bool]]] = {
    "convolution": ("resnet18", "tpu_like", lambda op: op.kind == "conv" and op.size.get("K") == 256),
    "depthwise": ("mobilenet_v2", "eyeriss_like", lambda op: op.kind == "conv" and op.size.get("G", 1) > 1),
    "matrix product": ("vit_tiny", "meta_prototype", lambda op: op.kind in ("gemm", "matmul")),
    "pool": ("resnet18", "hetero_quad", lambda op: op.kind == "pool"),
    "elementwise": ("resnet18", "simba", lambda op: op.kind == "elementwise"),
}


@cache
def problem_of(case: str) -> Problem:
    network, chip_name, wanted = CASES[case]
    chip = read_chip(chip_name)
    workload, _ = prepared(network, chip, None, "chip")
    op = next(op for op in workload.ops if wanted(op))
    return streaming_problem(Mapper(workload, chip, "edp", "fixed"), op, chip.cores_for(op.kind)[0], chip)


@cache
def best_of(case: str, objective: Objective) -> float:
    """What is proved to be the best with the declared dataflow."""
    found = best_mapping(problem_of(case), objective)
    assert isinstance(found, Mapped)
    assert found.optimal
    return value(found.price, objective)[0]


def beaten(case: str, draws: int, seed: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Random mappings that are better than what is proved best; the formula looks at each cut of a layout once."""
    problem, known = problem_of(case), {}
    plain = traffic.cut_traffic

    def once(problem: Problem, mapping: Mapping, cut: Cut) -> CutTraffic:
        key = (cut.operand.name, cut.lower and cut.lower.memory, cut.upper.memory, cut.state, cut.run)
        if key not in known:
            known[key] = plain(problem, mapping, cut)
        return known[key]

    monkeypatch.setattr(traffic, "cut_traffic", once)
    spatial = fixed_spatial(problem.op, problem.core)
    found: list[str] = []
    least = {objective: float("inf") for objective in OBJECTIVES}
    for _, mapping in zip(range(draws), legal_mappings(problem, random.Random(seed), spatial), strict=False):
        told = price(problem, mapping)
        for objective in OBJECTIVES:
            reached, best = value(told, objective)[0], best_of(case, objective)
            least[objective] = min(least[objective], reached / best)
            if reached < best * (1 - (1e-12 if in_space(problem, mapping) else LEFT_OUT)):
                found.append(f"{objective}: {reached} of {mapping} is better than {best}")
    print(case, problem.op, draws, least)
    return found


def in_space(problem: Problem, mapping: Mapping) -> bool:
    """Whether all its tile sizes are of the space that the optimum is proved in."""
    sizes, _ = lattice(problem.op, mapping.spatial)
    tiles = [mapping.tile(position) for position in range(len(mapping.loops) + 1)]
    return all(
        tile.get(dim, 1) in options or tile.get(dim, 1) >= options[-1]
        for dim, options in zip(sizes.dims, sizes.sizes, strict=True)
        for tile in tiles
    )


@pytest.mark.parametrize("case", CASES)
def test_no_random_mapping_beats_the_optimum(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert beaten(case, FEW, 0, monkeypatch) == []


@pytest.mark.verify
@pytest.mark.parametrize("shard", range(1, SHARDS + 1))
@pytest.mark.parametrize("case", CASES)
def test_none_of_a_hundred_thousand_mappings_beats_the_optimum(
    case: str, shard: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert beaten(case, EACH, shard, monkeypatch) == []

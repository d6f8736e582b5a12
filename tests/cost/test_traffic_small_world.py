"""Every telling of the cost model counts what the loops count: the small world completely, then large random nests."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from tests.oracles.loops import count
from tests.oracles.miscounts import MISCOUNTS
from tests.oracles.tellings import TELLINGS, differences
from tests.oracles.world import random_large, small_world, templates
from weft.cost.legal import broken
from weft.model.chip import check_chip
from weft.model.mapping import Mapping, Problem, parse_mapping

WORKERS = 2
SLICE = 20
LARGE = 24


def compare(nests: Iterable[tuple[str, Problem, Mapping]]) -> tuple[int, int, list[str]]:
    """(nests, nests x operands compared, the first differences)."""
    num_nests = num_pairs = 0
    found: list[str] = []
    for name, problem, mapping in nests:
        counted = count(problem, mapping)
        for who, telling in TELLINGS.items():
            for line in differences(telling(problem, mapping), counted):
                if len(found) < 20:
                    found.append(f"{who}, {name}: {mapping}: {line}")
        num_nests += 1
        num_pairs += len(problem.op.operands)
    return num_nests, num_pairs, found


def compare_share(share: int) -> tuple[int, int, list[str]]:
    return compare(small_world(WORKERS, share))


def compare_large(seeds: Iterable[int]) -> tuple[int, int, list[str]]:
    return compare((f"seed {seed}", *random_large(seed)) for seed in seeds)


def test_a_slice_of_the_small_world_is_told_as_the_loops_count_it() -> None:
    nests, pairs, found = compare(small_world(SLICE))
    print(f"{nests} nests, {pairs} nests x operands")
    assert not found, "\n".join(found)
    assert pairs >= 100_000 // SLICE


@pytest.mark.parametrize("name", list(templates()))
def test_the_chip_of_every_template_holds(name: str) -> None:
    problem = templates()[name]
    # An operand may stream to the array, past all memories of the core.
    assert [line for line in check_chip(problem.chip) if "must have a memory for" not in line] == []


def test_every_nest_of_the_world_is_legal_and_reads_back_from_its_text() -> None:
    for _, problem, mapping in small_world(10 * SLICE, 3):
        assert broken(problem, mapping) == []
        again = parse_mapping(str(mapping))
        assert (again.spatial, again.loops) == (mapping.spatial, mapping.loops)
        assert {rest.operand: again.chain(rest.operand) for rest in mapping.rests} == {
            rest.operand: mapping.chain(rest.operand) for rest in mapping.rests
        }


def test_large_random_nests_are_told_as_the_loops_count_them() -> None:
    _, _, found = compare_large(range(LARGE))
    assert not found, "\n".join(found)


@pytest.mark.parametrize("name", list(MISCOUNTS))
def test_the_small_world_shows_a_classic_mistake(name: str) -> None:
    miscount = MISCOUNTS[name]
    assert any(
        differences(miscount(problem, mapping), count(problem, mapping)) for _, problem, mapping in small_world(97)
    )


@pytest.mark.verify
def test_the_whole_small_world_is_told_as_the_loops_count_it() -> None:
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool:
        shares = list(pool.map(compare_share, range(WORKERS)))
    found = [line for _, _, lines in shares for line in lines]
    pairs = sum(pairs for _, pairs, _ in shares)
    print(f"{sum(nests for nests, _, _ in shares)} nests, {pairs} nests x operands")
    assert not found, "\n".join(found)
    assert pairs >= 100_000


@pytest.mark.verify
def test_a_thousand_large_random_nests_are_told_as_the_loops_count_them() -> None:
    seeds = [range(LARGE + share, LARGE + 1000, WORKERS) for share in range(WORKERS)]
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool:
        found = [line for _, _, lines in pool.map(compare_large, seeds) for line in lines]
    assert not found, "\n".join(found)

"""Orders of tiles: what priorities are, and what a search from a plan may and may not do."""

from __future__ import annotations

import random

import numpy as np
import pytest

from tests.schedule.few_tiles import Case, make_case, wrong_with
from weft.model.schedule import Infeasible
from weft.schedule.engine import Placed, place
from weft.schedule.orders import Graph, Orders, graph_of

DIAMOND = Graph(np.array([0, 2, 3, 4, 4]), np.array([1, 2, 3, 3]))
"""Tile 0 is read by 1 and 2, both by 3."""

TWO_CHAINS = Graph(np.array([0, 1, 1, 2, 2]), np.array([1, 3]))
"""0 > 1 and 2 > 3."""


def start(case: Case) -> Placed:
    placed = place(case.workload, case.fabric, case.plan)
    assert not isinstance(placed, Infeasible), placed
    return placed.retimed()


def cycles(placed: Placed) -> tuple[float, ...]:
    return placed.latency_cycles, placed.energy_pj


def searched(seed: int, schedules: int) -> Orders:
    case = make_case(seed)
    search = Orders(case.workload, case.fabric, case.plan, start(case), case.options, cycles)
    search.run(schedules, random.Random(seed))
    return search


def test_priorities_are_what_they_say() -> None:
    remaining, newest, level, soonest = TWO_CHAINS.priorities([1, 1, 1, 9], [0, 0, 0, 1])
    assert remaining == [2, 3, 0, 1]  # 1 + 9 cycles are to come from 2 on, 1 + 1 from 0 on
    assert newest == [0, 1, 2, 3]  # on with the chain that was begun
    assert level == [0, 2, 1, 3]
    assert soonest == [2, 3, 0, 1]  # at 0: 2, with more to come than 0; at 1: 3 on its own core, and 0


def test_of_a_diamond_every_priority_puts_makers_first() -> None:
    for order in DIAMOND.priorities([1, 5, 2, 1], [0, 0, 1, 0]):
        assert order[0] == 0
        assert order[3] == 3
        assert sorted(order) == [0, 1, 2, 3]


@pytest.mark.parametrize("seed", [3, 10, 36])
def test_the_graph_is_who_reads_what_who_makes(seed: int) -> None:
    case = make_case(seed)
    placed = start(case)
    schedule = placed.settled().schedule()
    number = {}
    for tile in range(len(case.recipes)):
        op, within = case.plan.at(tile)
        number[case.plan.cuts[op].op.name, case.plan.cuts[op].ranges(within)] = tile
    edges = set()
    for reader in schedule.tasks:
        for use in reader.reads:
            for maker in schedule.tasks:
                meet = maker.writes.tensor == use.tensor and any(
                    all(max(a, c) < min(b, d) for (a, b), (c, d) in zip(one, other, strict=True))
                    for one in maker.writes.boxes
                    for other in use.boxes
                )
                if meet:
                    edges.add((number[maker.op, maker.ranges], number[reader.op, reader.ranges]))
    graph = graph_of(placed)
    assert {(tile, reader) for tile, readers in enumerate(graph.readers) for reader in readers} == edges
    assert {(maker, tile) for tile, makers in enumerate(graph.makers) for maker in makers} == edges


@pytest.mark.parametrize("seed", [3, 10, 36])
def test_a_search_keeps_to_its_number_and_gives_no_worse(seed: int) -> None:
    before = cycles(start(make_case(seed)))
    search = searched(seed, 60)
    assert search.tried == 60
    assert search.best == cycles(search.placed) < before
    assert sorted(search.plan.order.tolist()) == list(range(len(search.plan.order)))
    assert not wrong_with(make_case(seed), search.placed)


def test_the_same_seed_gives_the_same_order() -> None:
    first, again = searched(3, 40), searched(3, 40)
    assert first.best == again.best
    assert first.plan.order.tolist() == again.plan.order.tolist()


def test_tiles_with_one_option_stay_on_their_cores() -> None:
    case = make_case(3)
    own = [(number,) for cut in case.plan.cuts for number in cut.recipes.tolist()]
    search = Orders(case.workload, case.fabric, case.plan, start(case), own, cycles)
    search.run(40, random.Random(0))
    assert [cut.recipes.tolist() for cut in search.plan.cuts] == [cut.recipes.tolist() for cut in case.plan.cuts]

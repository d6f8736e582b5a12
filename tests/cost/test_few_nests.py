"""A few nests of every kind are told as the loops count them: part of the small world, and hand-made corners."""

from __future__ import annotations

from functools import cache

import pytest

from tests.oracles.loops import Counted, count
from tests.oracles.tellings import TELLINGS, differences
from tests.oracles.world import (
    build,
    conv_row,
    make_op,
    matmul,
    memory,
    plain,
    random_large,
    small_world,
    templates,
    wire,
)
from weft.cost import price
from weft.cost.legal import broken
from weft.model.chip import Systolic
from weft.model.mapping import Mapping, Problem, parse_mapping

EVERY = 499
LARGE = (0, 1, 2, 3, 5, 8, 13)


def one_dim_on_two_sides() -> tuple[Problem, str]:
    """Six of seven rows of a product lie on two sides; a memory serves one of them, the next both."""
    levels = [(memory("r", "rw", "single"), "IWO", "D1"), (memory("l1", "r+w"), "IWO", "D1 D2")]
    problem = build(matmul(7, 3, 5), {"D1": 2, "D2": 3}, levels, memory("dram", "rw"))
    rests = "A@r B@r O@r K5 A@l1 B@l1 O@l1 N3 M2 A@dram B@dram O@dram"
    return problem, f"D1:M2 D2:M3 | {rests}"


def a_window_on_two_sides() -> tuple[Problem, str]:
    """The pixels of a row lie on two sides, three times two; registers re-use their halo, and serve one side."""
    levels = [(memory("r", "rw", "double", halo=True), "I", "D1"), (memory("l1", "rw", halo=True), "IWO", "D1 D2")]
    problem = build(conv_row(23, 3), {"D1": 3, "D2": 2}, levels, memory("dram", "rw"))
    return problem, "D1:OX3 D2:OX2 | I@r OX4 FX3 W@l1 I@l1 O@l1 W@dram I@dram O@dram"


def two_ragged_reductions() -> tuple[Problem, str]:
    """Sums over two dims, each of five on three units of a side: fewer units have a last part to add than a first."""
    sizes = {"M": 2, "R": 5, "S": 5}
    m, r, s = (plain(dim, sizes) for dim in sizes)
    op = make_op("matmul", sizes, ("A", "I", (m, r, s)), ("B", "W", (r, s)), ("O", "O", (m,)))
    problem = build(op, {"D1": 3, "D2": 3}, [(memory("ro", "rw", "single"), "O", "")], memory("dram", "rw"))
    return problem, "D1:R3 D2:S3 | O@ro M2 R2 S2 A@dram B@dram O@dram"


def straight_to_the_array() -> tuple[Problem, str]:
    """No memory in the core: all operands come and go over a link with a lane for either direction."""
    links = [wire("edge", "dram", "pins", 12, half_duplex=False, latency_cycles=3)]
    problem = build(matmul(3, 2, 4), {"D1": 2}, [], memory("dram", "rw"), links=links, widths=(7, 5, 6))
    return problem, "D1:M2 | K4 M2 N2 A@dram B@dram O@dram"


def weights_shift_along_the_second_side() -> tuple[Problem, str]:
    """Rows are the second side of the array: a load of weights takes as many cycles as it is long."""
    levels = [(memory("rw", "rw", "single", widths=(1024, 8)), "W", "")]
    problem = build(
        matmul(3, 2, 4), {"D1": 2, "D2": 9}, levels, memory("dram", "rw"), systolic=Systolic("D2", "D1", "W")
    )
    return problem, "D1:N2 D2:K4 | B@rw M3 A@dram B@dram O@dram"


CORNERS = {
    make.__name__.replace("_", " "): make
    for make in (
        one_dim_on_two_sides,
        a_window_on_two_sides,
        two_ragged_reductions,
        straight_to_the_array,
        weights_shift_along_the_second_side,
    )
}


@cache
def nests(kind: str) -> tuple[tuple[Problem, Mapping, Counted], ...]:
    """Nests of a kind, with what the loops count."""
    if kind in CORNERS:
        problem, text = CORNERS[kind]()
        drawn = [(problem, parse_mapping(text))]
    elif kind.startswith("large"):
        drawn = [random_large(int(kind.removeprefix("large ")))]
    else:
        drawn = [(problem, mapping) for name, problem, mapping in small_world(EVERY) if name == kind]
    return tuple((problem, mapping, count(problem, mapping)) for problem, mapping in drawn)


KINDS = (*CORNERS, *templates(), *(f"large {seed}" for seed in LARGE))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("telling", list(TELLINGS))
def test_every_telling_agrees_with_the_loops(kind: str, telling: str) -> None:
    for problem, mapping, counted in nests(kind):
        assert differences(TELLINGS[telling](problem, mapping), counted) == [], str(mapping)


@pytest.mark.parametrize("kind", KINDS)
def test_each_operand_s_room_in_a_memory_is_told_once(kind: str) -> None:
    for problem, mapping, counted in nests(kind):
        rooms = [(room.operand, room.memory) for room in price(problem, mapping).room]
        assert sorted(rooms) == sorted(counted.room)
        assert len(set(rooms)) == len(rooms)


@pytest.mark.parametrize("kind", KINDS)
def test_these_nests_keep_the_rules(kind: str) -> None:
    for problem, mapping, _ in nests(kind):
        assert broken(problem, mapping) == []
        assert broken(problem, mapping, price(problem, mapping).room) == []

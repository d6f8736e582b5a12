"""Addresses by first fit: worked by hand, against a twin that marks every bit, and never below what is held."""

from __future__ import annotations

import random

import pytest

from tests.oracles.little import CHIP, SCHEDULE
from weft.execute.addresses import Fragmentation, Span, first_fit, fragmentation


def naive(spans: list[Span]) -> tuple[int, int]:
    """Bit by bit: a map of who lies where."""
    lying: dict[int, range] = {}
    most = reach = 0
    moments = sorted({cycle for start, end, _ in spans for cycle in (start, end)})
    for now in moments:
        lying = {number: place for number, place in lying.items() if spans[number][1] > now}
        for number, (start, _, bits) in enumerate(spans):
            if start != now:
                continue
            taken = {bit for place in lying.values() for bit in place}
            first = next(a for a in range(10**6) if not taken & set(range(a, a + bits)))
            lying[number] = range(first, first + bits)
            reach = max(reach, first + bits)
        most = max(most, sum(map(len, lying.values())))
    return most, reach


def test_a_hole_that_is_too_small_stays_empty() -> None:
    assert first_fit([(0, 4, 8), (0, 9, 4), (4, 9, 12)]) == (16, 8 + 4 + 12)


def test_neighbours_that_leave_make_one_hole() -> None:
    assert first_fit([(0, 4, 8), (0, 4, 4), (0, 9, 4), (4, 9, 12)]) == (16, 16)


def test_a_hole_at_the_end_grows() -> None:
    assert first_fit([(0, 9, 8), (0, 4, 4), (4, 9, 12)]) == (20, 20)


def test_what_leaves_makes_room_for_what_comes_in_the_same_cycle() -> None:
    assert first_fit([(0, 4, 8), (4, 8, 8), (8, 9, 8)]) == (8, 8)


def test_nothing_reaches_nowhere() -> None:
    assert first_fit([]) == (0, 0)


@pytest.mark.parametrize("seed", range(150))
def test_random_boxes_lie_where_a_map_of_all_bits_puts_them(seed: int) -> None:
    rng = random.Random(seed)
    spans = []
    for _ in range(rng.randint(1, 25)):
        start = rng.randrange(30)
        spans.append((start, start + rng.randint(1, 15), rng.randint(1, 9)))
    found = first_fit(spans)
    assert found == naive(spans)
    assert found[0] <= found[1]


def test_the_little_schedule_lies_without_holes() -> None:
    # m0 fills to its last bit: w, two boxes of x, two of y, and the second task's workspace where the first one's was
    assert fragmentation(SCHEDULE, CHIP) == (
        Fragmentation("dram", 160 + 192 + 128 + 128, 608, 8192),
        Fragmentation("m0", 624, 192 + 96 + 64 + 128 + 16 + 128, 624),
        Fragmentation("m1", 384, 384, 384),
    )
    assert all(found.fits for found in fragmentation(SCHEDULE, CHIP))

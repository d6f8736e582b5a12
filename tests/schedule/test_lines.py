"""Time lines against twins that look at every cycle by itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft.schedule.lines import RateLine, SpaceLine

HORIZON = 200
"""No test books past this cycle, so from here on every twin is as it will be for ever."""


class EveryCycle:
    """What is taken in each cycle, one number per cycle."""

    def __init__(self, capacity: int, exclusive: bool = False) -> None:
        self.capacity = capacity
        self.exclusive = exclusive
        self.used = [0] * (2 * HORIZON)

    def has_room(self, cycle: int, amount: int) -> bool:
        if self.exclusive:
            return self.used[cycle] == 0
        return self.used[cycle] + amount <= self.capacity

    def earliest(self, start: int, duration: int, amount: int) -> int:
        begin = start
        while not all(self.has_room(cycle, amount) for cycle in range(begin, begin + duration)):
            begin += 1
        return begin

    def earliest_for_ever(self, start: int, amount: int) -> int | None:
        if not self.has_room(len(self.used) - 1, amount):
            return None
        begin = len(self.used)
        while begin > start and self.has_room(begin - 1, amount):
            begin -= 1
        return begin

    def book(self, start: int, end: int, amount: int) -> None:
        for cycle in range(start, end):
            self.used[cycle] += amount


def level(times: list[int], used: list[int], cycle: int) -> int:
    """The step function of a line at one cycle."""
    return max((time, amount) for time, amount in zip(times, used, strict=True) if time <= cycle)[1]


CAPACITY = st.integers(1, 8)
ASKS = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 12), st.integers(1, 8)), max_size=12)


@given(CAPACITY, st.booleans(), ASKS)
def test_a_rate_goes_in_at_the_first_cycle_from_which_it_is_free_throughout(
    capacity: int, exclusive: bool, asks: list[tuple[int, int, int]]
) -> None:
    line, twin = RateLine(capacity, exclusive), EveryCycle(capacity, exclusive)
    for start, duration, asked in asks:
        rate = min(asked, capacity)
        found = line.earliest(start, duration, rate)
        assert found == twin.earliest(start, duration, rate)
        line.book(found, found + duration, rate)
        twin.book(found, found + duration, rate)
        assert [level(line.times, line.used, cycle) for cycle in range(HORIZON)] == twin.used[:HORIZON]


@given(CAPACITY, ASKS)
def test_a_rate_line_never_takes_more_than_there_is_and_is_empty_at_both_ends(
    capacity: int, asks: list[tuple[int, int, int]]
) -> None:
    line = RateLine(capacity)
    for start, duration, asked in asks:
        rate = min(asked, capacity)
        found = line.earliest(start, duration, rate)
        line.book(found, found + duration, rate)
    assert max(line.used) <= capacity
    assert line.used[-1] == 0
    assert line.times == sorted(set(line.times))


@given(st.integers(1, 40), st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20), st.integers(1, 40)), max_size=12))
def test_space_is_found_at_the_first_cycle_from_which_it_is_free_for_ever(
    capacity: int, asks: list[tuple[int, int, int]]
) -> None:
    """As the engine does: a box is taken for ever, and given back later where its end is known."""
    line, twin = SpaceLine(capacity), EveryCycle(capacity)
    for start, lasts, bits in asks:
        found = line.earliest(start, bits)
        assert found == twin.earliest_for_ever(start, bits)
        if found is None or found > HORIZON // 2:
            continue
        line.change(found, bits)
        twin.book(found, len(twin.used), bits)
        if lasts < 18:  # the others stay
            line.change(found + lasts, -bits)
            twin.book(found + lasts, len(twin.used), -bits)
        assert [level(line.times, line.used, cycle) for cycle in range(HORIZON)] == twin.used[:HORIZON]
        assert line.peak == max(twin.used)
        assert line.finally_used == twin.used[-1]


def test_an_exclusive_line_takes_no_second_user_however_little_it_asks() -> None:
    line = RateLine(8, exclusive=True)
    line.book(4, 10, 1)
    assert line.earliest(0, 4, 1) == 0
    assert line.earliest(0, 5, 1) == 10
    assert RateLine(8).earliest(0, 5, 1) == 0


def test_a_rate_passes_over_gaps_that_are_too_short() -> None:
    line = RateLine(4)
    line.book(2, 4, 3)
    line.book(7, 9, 3)
    assert [line.earliest(0, duration, 2) for duration in (1, 2, 3, 4)] == [0, 0, 4, 9]
    assert line.earliest(0, 100, 1) == 0


@pytest.mark.parametrize(("bits", "found"), [(2, 0), (3, 6), (8, None)])
def test_space_that_comes_back_for_a_while_only_is_not_taken(bits: int, found: int | None) -> None:
    line = SpaceLine(10)
    line.change(0, 3)  # stays
    line.change(2, 5)
    line.change(3, -5)  # a gap of one cycle, not for ever
    line.change(4, 5)
    line.change(6, -5)
    assert line.earliest(0, bits) == found

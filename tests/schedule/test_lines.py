"""Time lines against twins that look at every cycle by itself."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.schedule.lines import COUNT, TIME, USED, add, earliest_rate, earliest_room, empty_lines, finally_used

HORIZON = 200
"""No test books past this cycle, so from here on every twin is as it will be for ever."""

FOR_EVER = -1


class Line:
    """One line of its own."""

    def __init__(self, capacity: int, exclusive: bool = False, look_back: int = 64) -> None:
        self.line, self.step = empty_lines(np.array([capacity]), np.array([int(exclusive)]), look_back)

    def earliest(self, start: int, duration: int, amount: int) -> int:
        return int(earliest_rate(self.line, self.step, 0, start, duration, amount))

    def earliest_for_ever(self, start: int, amount: int) -> int | None:
        found = int(earliest_room(self.line, self.step, 0, start, amount))
        return None if found < 0 else found

    def add(self, start: int, end: int, amount: int) -> None:
        add(self.line, self.step, 0, start, end, amount)

    @property
    def steps(self) -> list[tuple[int, int]]:
        """(time, taken from then on)."""
        return [(int(step[TIME]), int(step[USED])) for step in self.step[0, : self.line[0, COUNT]]]

    @property
    def finally_used(self) -> int:
        return int(finally_used(self.line, self.step, 0))

    def each_cycle(self) -> list[int]:
        return [max((time, used) for time, used in self.steps if time <= cycle)[1] for cycle in range(HORIZON)]


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


CAPACITY = st.integers(1, 8)
ASKS = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 12), st.integers(1, 8)), max_size=12)


@settings(deadline=None)  # kernels may have to be compiled
@given(CAPACITY, st.booleans(), ASKS)
def test_a_rate_goes_in_at_the_first_cycle_from_which_it_is_free_throughout(
    capacity: int, exclusive: bool, asks: list[tuple[int, int, int]]
) -> None:
    line, twin = Line(capacity, exclusive), EveryCycle(capacity, exclusive)
    for start, duration, asked in asks:
        rate = min(asked, capacity)
        found = line.earliest(start, duration, rate)
        assert found == twin.earliest(start, duration, rate)
        line.add(found, found + duration, rate)
        twin.book(found, found + duration, rate)
        assert line.each_cycle() == twin.used[:HORIZON]


@settings(deadline=None)  # kernels may have to be compiled
@given(CAPACITY, ASKS)
def test_steps_of_a_line_differ_from_their_neighbours_and_never_pass_what_there_is(
    capacity: int, asks: list[tuple[int, int, int]]
) -> None:
    line = Line(capacity)
    for start, duration, asked in asks:
        rate = min(asked, capacity)
        found = line.earliest(start, duration, rate)
        line.add(found, found + duration, rate)
    times, used = zip(*line.steps, strict=True)
    assert max(used) <= capacity
    assert used[-1] == 0
    assert list(times) == sorted(set(times))
    assert all(a != b for a, b in itertools.pairwise(used))


@settings(deadline=None)  # kernels may have to be compiled
@given(st.integers(1, 40), st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20), st.integers(1, 40)), max_size=12))
def test_space_is_found_at_the_first_cycle_from_which_it_is_free_for_ever(
    capacity: int, asks: list[tuple[int, int, int]]
) -> None:
    """As the engine does: a box is taken for ever, and given back later where its end is known."""
    line, twin = Line(capacity), EveryCycle(capacity)
    for start, lasts, bits in asks:
        found = line.earliest_for_ever(start, bits)
        assert found == twin.earliest_for_ever(start, bits)
        if found is None or found > HORIZON // 2:
            continue
        line.add(found, FOR_EVER, bits)
        twin.book(found, len(twin.used), bits)
        if lasts < 18:  # the others stay
            line.add(found + lasts, FOR_EVER, -bits)
            twin.book(found + lasts, len(twin.used), -bits)
        assert line.each_cycle() == twin.used[:HORIZON]
        assert line.finally_used == twin.used[-1]


@settings(deadline=None)  # kernels may have to be compiled
@given(CAPACITY, st.lists(st.tuples(st.integers(0, 400), st.integers(1, 12), st.integers(1, 8)), max_size=60))
def test_a_line_that_forgets_gives_later_times_but_never_more_than_there_is(
    capacity: int, asks: list[tuple[int, int, int]]
) -> None:
    line, twin = Line(capacity, look_back=12), EveryCycle(capacity)
    twin.used = [0] * 2000
    for start, duration, asked in asks:
        rate = min(asked, capacity)
        found = line.earliest(start, duration, rate)
        assert found >= twin.earliest(start, duration, rate)
        line.add(found, found + duration, rate)
        twin.book(found, found + duration, rate)
        assert max(twin.used) <= capacity
        assert len(line.steps) <= 12


def test_room_given_back_before_what_is_remembered_is_there_from_then_on() -> None:
    line = Line(8, look_back=12)
    line.add(0, FOR_EVER, 8)
    for time in range(1, 40):
        line.add(time, FOR_EVER, -1 if time % 2 else 1)
    oldest = line.steps[0][0]
    assert oldest > 20
    line.add(5, FOR_EVER, -4)
    assert line.earliest_for_ever(0, 4) == oldest


def test_an_exclusive_line_takes_no_second_user_however_little_it_asks() -> None:
    line = Line(8, exclusive=True)
    line.add(4, 10, 1)
    assert line.earliest(0, 4, 1) == 0
    assert line.earliest(0, 5, 1) == 10
    assert Line(8).earliest(0, 5, 1) == 0


def test_a_rate_passes_over_gaps_that_are_too_short() -> None:
    line = Line(4)
    line.add(2, 4, 3)
    line.add(7, 9, 3)
    assert [line.earliest(0, duration, 2) for duration in (1, 2, 3, 4)] == [0, 0, 4, 9]
    assert line.earliest(0, 100, 1) == 0

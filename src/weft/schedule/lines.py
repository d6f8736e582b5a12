"""Time lines on arrays: how much of a rate or of a memory is taken, and the earliest time at which more fits.

A line is a step function: a step's amount holds from its time to that of the next step, the last one's for ever.
Neighbours differ, so that a stretch that is taken whole is one step. A line keeps its latest LOOK_BACK steps at most;
what is asked for before the oldest of them is given from there on.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from weft._jit import kernel_in_place

Ints = np.ndarray[Any, np.dtype[np.int64]]

LOOK_BACK = 1024
"""Steps of the past that a line remembers. With less, prefetching cannot reach as far back; with more, searching and
moving steps takes longer."""

MARGIN = 8
"""Steps that must be free before a search: what is found by it can then be booked without forgetting."""

COUNT, CAPACITY, ALONE = range(3)
"""Columns of `line` [lines, 3]: its steps, what there is, whether it takes one user at a time."""

TIME, USED = range(2)
"""Columns of `step` [lines, LOOK_BACK, 2]."""


def empty_lines(capacity: Ints, alone: Ints, look_back: int = LOOK_BACK) -> tuple[Ints, Ints]:
    """(line, step) of lines of which nothing is taken."""
    step = np.empty((len(capacity), look_back, 2), np.int64)
    step[:, 0] = 0
    return np.stack([np.ones_like(capacity), capacity, alone], axis=1), step


@kernel_in_place
def make_margin(line: Ints, step: Ints, at: int) -> None:
    """Forget the older half of a line's steps where few more would fit."""
    count = line[at, COUNT]
    if count + MARGIN > step.shape[1]:
        drop = count // 2
        for k in range(drop, count):
            step[at, k - drop, TIME] = step[at, k, TIME]
            step[at, k - drop, USED] = step[at, k, USED]
        line[at, COUNT] = count - drop


@kernel_in_place
def step_at(line: Ints, step: Ints, at: int, time: int) -> int:
    """The last step that begins at `time` or before it; the first one if none does."""
    low, high = 0, line[at, COUNT]
    if step[at, high - 1, TIME] <= time:
        return int(high - 1)
    while high - low > 1:
        middle = (low + high) // 2
        if step[at, middle, TIME] <= time:
            low = middle
        else:
            high = middle
    return int(low)


@kernel_in_place
def earliest_rate(line: Ints, step: Ints, at: int, start: int, duration: int, amount: int) -> int:
    """The first time >= start from which `amount` is free for `duration` cycles, as far back as is known."""
    make_margin(line, step, at)
    count = line[at, COUNT]
    room = 0 if line[at, ALONE] else line[at, CAPACITY] - amount
    begin = max(start, step[at, 0, TIME])
    k = step_at(line, step, at, begin)
    while True:
        if step[at, k, USED] > room:
            k += 1
            begin = step[at, k, TIME]
            continue
        last = k
        fits = True
        while last + 1 < count and step[at, last + 1, TIME] < begin + duration:
            last += 1
            if step[at, last, USED] > room:
                fits = False
                break
        if fits:
            return int(begin)
        k = last


@kernel_in_place
def earliest_room(line: Ints, step: Ints, at: int, start: int, amount: int) -> int:
    """The first time >= start from which `amount` is free for ever, as far back as is known; -1 where it never is."""
    make_margin(line, step, at)
    room = line[at, CAPACITY] - amount
    k = line[at, COUNT] - 1
    if step[at, k, USED] > room:
        return -1
    while k > 0 and step[at, k, TIME] > start and step[at, k - 1, USED] <= room:
        k -= 1
    return int(max(start, step[at, k, TIME]))


@kernel_in_place
def finally_used(line: Ints, step: Ints, at: int) -> int:
    """What is taken by all that has no end yet."""
    return int(step[at, line[at, COUNT] - 1, USED])


@kernel_in_place
def add(line: Ints, step: Ints, at: int, start: int, end: int, amount: int) -> None:
    """Take `amount` (give it back, if negative) over [start, end), for ever where end < 0."""
    make_margin(line, step, at)
    start = max(start, step[at, 0, TIME])
    if 0 <= end <= start:
        return
    first = _split(line, step, at, start)
    last = line[at, COUNT] if end < 0 else _split(line, step, at, end)
    for k in range(first, last):
        step[at, k, USED] += amount
    if last < line[at, COUNT] and step[at, last, USED] == step[at, last - 1, USED]:
        _join(line, step, at, last)
    if first > 0 and step[at, first, USED] == step[at, first - 1, USED]:
        _join(line, step, at, first)


@kernel_in_place
def _split(line: Ints, step: Ints, at: int, time: int) -> int:
    """The step that begins at `time`, made where there is none."""
    k = step_at(line, step, at, time)
    if step[at, k, TIME] == time:
        return k
    for other in range(line[at, COUNT], k + 1, -1):
        step[at, other, TIME] = step[at, other - 1, TIME]
        step[at, other, USED] = step[at, other - 1, USED]
    step[at, k + 1, TIME] = time
    step[at, k + 1, USED] = step[at, k, USED]
    line[at, COUNT] += 1
    return k + 1


@kernel_in_place
def _join(line: Ints, step: Ints, at: int, k: int) -> None:
    """Make one of step k and the one before it."""
    for other in range(k, line[at, COUNT] - 1):
        step[at, other, TIME] = step[at, other + 1, TIME]
        step[at, other, USED] = step[at, other + 1, USED]
    line[at, COUNT] -= 1

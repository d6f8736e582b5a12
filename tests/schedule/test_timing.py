"""Timing: everything as early as the orders allow, and no earlier."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.schedule.placed import placed_worlds
from weft.execute.replay import orders, replay
from weft.schedule.engine import Placed

SEEDS = range(24)


def replayed(placed: Placed) -> dict[int, tuple[int, int]]:
    """What the independent replay makes of its orders."""
    chip = placed.engine.fabric.chip
    return replay(orders(placed.schedule(), chip), chip)


def times(placed: Placed) -> dict[int, tuple[int, int]]:
    return {number: (int(a), int(b)) for number, (a, b) in enumerate(zip(placed.start, placed.end, strict=True))}


def stretched(placed: Placed) -> Placed:
    """Everything far later than it could be, in the same orders."""
    start = 3 * placed.start + 5
    return replace(placed, start=start, end=start + placed.end - placed.start)


def test_every_event_comes_when_the_replay_says() -> None:
    for _, _, placed in placed_worlds(SEEDS):
        late = stretched(placed)
        assert (late.retimed().start < late.start).all()
        assert times(late.retimed()) == replayed(late)
        assert times(placed.retimed()) == replayed(placed)


def test_nothing_ever_comes_later_and_what_is_settled_stays() -> None:
    for _, _, placed in placed_worlds(SEEDS):
        once, settled = placed.retimed(), placed.settled()
        assert (once.start <= placed.start).all()
        assert (settled.start <= once.start).all()
        assert np.array_equal(settled.retimed().start, settled.start)
        assert times(settled) == replayed(settled)


def test_what_is_put_off_comes_when_it_can() -> None:
    for _, _, placed in placed_worlds(SEEDS):
        assert np.array_equal(stretched(placed.settled()).settled().start, placed.settled().start)


def test_orders_that_wait_for_each_other_are_our_fault() -> None:
    """A reader before what it reads, on one core."""
    caught = 0
    for _, _, placed in placed_worlds(SEEDS):
        tasks = [number for number in range(len(placed.start)) if placed.event[number, 0] >= 0]
        if len(tasks) < 2:
            continue
        start = placed.start.copy()
        start[tasks] = start[tasks][::-1]
        turned = replace(placed, start=start, end=start + placed.end - placed.start)
        if len(replayed(turned)) < len(start):
            with pytest.raises(AssertionError, match="the engine's orders wait for each other"):
                turned.retimed()
            caught += 1
    assert caught > 3


def test_a_box_that_comes_again_waits_until_the_copy_before_has_left() -> None:
    again = 0
    for _, _, placed in placed_worlds(range(120)):
        settled = placed.settled()
        for event, earlier in settled.wait.tolist():
            assert settled.start[event] >= settled.held[earlier, 2]
            again += 1
    assert again > 3


@pytest.mark.parametrize("seed", [2, 11])
def test_timing_again_gives_the_same(seed: int) -> None:
    for _, _, placed in placed_worlds(range(seed, seed + 1)):
        assert np.array_equal(placed.settled().start, placed.settled().start)

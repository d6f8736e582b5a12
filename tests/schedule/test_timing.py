"""Timing: everything as early as the orders allow, and no earlier."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from tests.oracles.little import CHAN, CHIP, SCHEDULE, WORKLOAD, X_HALO
from tests.oracles.mutants import moved, settled
from weft.execute.replay import check_replay
from weft.model.chip import Route
from weft.model.schedule import LaneLoad, PortLoad, Residency, Schedule, Transfer
from weft.schedule.timing import retime, settle


def test_a_schedule_that_is_as_early_as_it_can_be_stays() -> None:
    assert retime(SCHEDULE, CHIP) == SCHEDULE
    assert settle(SCHEDULE, CHIP) == SCHEDULE


@pytest.mark.parametrize("late", [7, 8, 9])
def test_an_event_that_came_late_comes_when_it_can(late: int) -> None:
    changed = settled(WORKLOAD, CHIP, moved(WORKLOAD, CHIP, SCHEDULE, late, 1))
    assert changed != SCHEDULE
    found = settle(changed, CHIP)
    assert found.latency_cycles <= SCHEDULE.latency_cycles
    assert check_replay(found, CHIP).ok


def test_orders_that_wait_for_each_other_are_our_fault() -> None:
    with pytest.raises(AssertionError, match="wait for each other"):
        retime(moved(WORKLOAD, CHIP, SCHEDULE, 9, -7), CHIP)


def fetch(id: int, start: int, made: int) -> Transfer:
    """32 bits of x at 16 bits a cycle."""
    return Transfer(
        id, "x", X_HALO, (Route(("dram", "m0"), ("chan",)),), start, start + 2, 32, CHAN, 0, (0,), (made,),
        (PortLoad("dram", "rw", CHAN), PortLoad("m0", "w", CHAN)), (LaneLoad("chan", "chan", CHAN),), 1.0,
    )  # fmt: skip


def pass_on(id: int, start: int, source: int, made: int) -> Transfer:
    """The same on to m1: 4 bits a cycle and two cycles of latency."""
    rate = Fraction(4)
    ports = (("m0", "r"), ("hub", "rw"), ("hub", "rw"), ("m1", "w"))
    return Transfer(
        id, "x", X_HALO, (Route(("m0", "hub", "m1"), ("up", "down")),), start, start + 10, 32, rate, 2, (source,),
        (made,),
        tuple(PortLoad(memory, port, rate) for memory, port in ports),
        (LaneLoad("up", "up>", rate), LaneLoad("down", "down>", rate)), 1.0,
    )  # fmt: skip


def held(id: int, memory: str, start: int, valid_from: int, end: int, writer: int) -> Residency:
    return Residency(id, memory, "x", X_HALO, 32, start, valid_from, end, writer)


def test_what_is_fetched_again_waits_until_the_copy_before_has_left() -> None:
    whole = replace(SCHEDULE.residencies[0], id=0, tensor="x", end=32)
    given = Schedule(
        "little",
        "pair",
        (),
        (fetch(0, 0, 1), pass_on(1, 2, 1, 2), fetch(2, 30, 3)),
        (whole, held(1, "m0", 0, 2, 12, 0), held(2, "m1", 2, 12, 12, 1), held(3, "m0", 30, 32, 32, 2)),
    )
    found = settle(given, CHIP)
    # the channel and m0 are free from cycle 2 on, but the first copy is read until 12
    assert [transfer.start for transfer in found.transfers] == [0, 2, 12]
    assert check_replay(found, CHIP).ok


def test_a_lane_that_a_route_uses_twice_carries_the_rate_twice() -> None:
    """Two transfers at half a lane's rate run side by side, unless each crosses it twice."""
    half = CHAN / 2
    once = tuple(
        replace(fetch(number, 4 * number, number + 1), rate=half, end=4 * number + 4, ports=(),
                lanes=(LaneLoad("up", "up>", half / 2),))
        for number in range(2)
    )  # fmt: skip
    boxes = (((0, 2), (0, 2)), ((0, 2), (2, 4)))
    once = tuple(replace(move, box=box) for move, box in zip(once, boxes, strict=True))
    whole = replace(SCHEDULE.residencies[0], id=0, tensor="x", end=8)
    made = tuple(replace(held(n + 1, "m0", 4 * n, 4 * n + 4, 4 * n + 4, n), box=box) for n, box in enumerate(boxes))
    side_by_side = settle(Schedule("little", "pair", (), once, (whole, *made)), CHIP)
    assert [move.start for move in side_by_side.transfers] == [0, 0]
    twice = tuple(replace(move, lanes=move.lanes * 2) for move in once)
    in_turn = settle(Schedule("little", "pair", (), twice, (whole, *made)), CHIP)
    assert [move.start for move in in_turn.transfers] == [0, 4]

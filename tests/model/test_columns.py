"""Columns and nouns say the same: there and back nothing is lost."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from tests.oracles.little import CHIP, SCHEDULE, WORKLOAD
from tests.schedule.worlds import make_chip, make_workload
from weft.model.columns import lanes_of, ports_of
from weft.model.packing import to_columns, to_schedule
from weft.model.schedule import Infeasible
from weft.schedule import solve


def test_the_little_schedule_comes_back_from_its_columns() -> None:
    columns = to_columns(WORKLOAD, CHIP, SCHEDULE)
    assert to_schedule(WORKLOAD, CHIP, columns) == SCHEDULE
    assert columns.latency_cycles == SCHEDULE.latency_cycles
    # rates in thirds and halves of a bit
    assert columns.scale == 6
    assert columns.tasks.tile.shape == (4, 4, 2)
    assert columns.uses.box.shape == (3 + 4 + 2 + 2, 3, 2)
    # conv's two tiles, softmax's two, fetches into m0, hops, and the way home
    assert len(columns.bookings.ports_first) - 1 == 1 + 2 + 1 + 1 + 1
    assert len(columns.ways.routes_first) - 1 == 3


def test_ports_and_lanes_are_numbered_as_the_chip_lists_them() -> None:
    assert ports_of(CHIP) == (
        ("dram", "rw"), ("m0", "r"), ("m0", "w"), ("hub", "rw"), ("m1", "r"), ("m1", "w"),
    )  # fmt: skip
    assert lanes_of(CHIP) == (("chan", "chan"), ("up", "up>"), ("up", "up<"), ("down", "down>"), ("down", "down<"))


@pytest.mark.parametrize("seed", [2, 6, 11, 16])
def test_schedules_of_random_worlds_come_back_from_their_columns(seed: int) -> None:
    workload, chip = make_workload(seed), make_chip(seed)
    found = solve(workload, chip, "edp", budget=1, seed=seed)
    assert not isinstance(found, Infeasible)
    assert to_schedule(workload, chip, to_columns(workload, chip, found.schedule)) == found.schedule


def test_a_name_that_does_not_exist_is_minus_one_and_a_box_of_another_rank_is_empty() -> None:
    tasks = (replace(SCHEDULE.tasks[0], core="c9"), *SCHEDULE.tasks[1:])
    held = (replace(SCHEDULE.residencies[0], box=((0, 2),)), *SCHEDULE.residencies[1:])
    columns = to_columns(WORKLOAD, CHIP, replace(SCHEDULE, tasks=tasks, residencies=held))
    assert columns.tasks.core.tolist() == [-1, 0, 1, 1]
    assert columns.residencies.box[0].tolist() == [[0, 0], [0, 1], [0, 1]]
    assert np.all(columns.residencies.box[1:, :, 0] < columns.residencies.box[1:, :, 1])


def test_what_does_not_fit_into_a_column_is_refused() -> None:
    def moved(**changes: object) -> None:
        moves = (replace(SCHEDULE.transfers[0], **changes), *SCHEDULE.transfers[1:])  # type: ignore[arg-type]
        to_columns(WORKLOAD, CHIP, replace(SCHEDULE, transfers=moves))

    with pytest.raises(OverflowError, match="ids and positions must be at most 2147483647, not 2147483648"):
        moved(id=2**31)
    with pytest.raises(OverflowError, match=f"bits, cycles and scaled rates must be at most {2**62}"):
        moved(bits=2**63)
    with pytest.raises(OverflowError, match="scaled rates"):
        moved(rate=Fraction(1, 2**61 - 1) + 16)

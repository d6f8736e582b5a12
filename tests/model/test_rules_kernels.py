"""Kernels that look for what is wrong, against naive twins that enumerate."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest

from tests.model.test_rules_sweeps import elements, random_boxes
from tests.schedule.worlds import make_workload
from weft.model.rules.columns.kernels import alike, at_one_time, in_order, overlapping, peaks, short_of
from weft.model.rules.columns.needs import needed_boxes
from weft.model.rules.sweep import peaks as peaks_of_one
from weft.model.workload import Axis, Box, Op, Operand, Tensor, Term, View, Workload


def packed(boxes: list[Box], rank: int) -> np.ndarray:
    return np.array([list(box) for box in boxes], np.int32).reshape(-1, rank, 2)


@pytest.mark.parametrize("most", [1, 7, 2**11, 2**40])
def test_rows_come_in_the_order_of_their_keys_and_equal_ones_as_they_were(most: int) -> None:
    rng = np.random.default_rng(most)
    keys = rng.integers(0, most, 500)
    order = rng.permutation(500)
    assert in_order(keys, order).tolist() == sorted(order.tolist(), key=lambda row: keys[row])
    assert in_order(keys[:0], order[:0]).tolist() == []


def test_equal_rows_have_one_first() -> None:
    rng = np.random.default_rng(0)
    rows = rng.integers(-1, 3, (400, 3)).astype(np.int32)
    seen: dict[tuple[int, ...], int] = {}
    naive = [seen.setdefault(tuple(row), number) for number, row in enumerate(rows.tolist())]
    assert alike(rows).tolist() == naive
    assert 3 < len(seen) < 65


@pytest.mark.parametrize("seed", range(80))
def test_of_each_group_with_overlapping_boxes_one_is_marked_and_of_others_none(seed: int) -> None:
    rng = random.Random(seed)
    rank, count = rng.randint(1, 4), rng.randint(0, 60)
    boxes = random_boxes(rng, rank, count, rng.choice((4, 9, 30)))
    groups = [rng.randrange(rng.choice((1, 9))) for _ in boxes]
    order = np.array(sorted(range(count), key=lambda row: groups[row]), np.int64)
    first = np.searchsorted(np.array(groups, np.int64)[order], np.arange(10))
    marked = overlapping(packed(boxes, rank), order, first)
    for group in range(9):
        mine = [row for row in range(count) if groups[row] == group]
        crossing = {
            row for a, b in itertools.combinations(mine, 2) if elements(boxes[a]) & elements(boxes[b]) for row in (a, b)
        }
        found = {row for row in mine if marked[row]}
        assert found <= crossing
        assert bool(found) == bool(crossing)


def test_a_pinwheel_falls_apart_nowhere_and_is_disjoint() -> None:
    pinwheel: list[Box] = [((0, 2), (0, 1)), ((2, 3), (0, 2)), ((1, 3), (2, 3)), ((0, 1), (1, 3))]
    order, first = np.arange(4), np.array([0, 4])
    assert not overlapping(packed(pinwheel, 2), order, first).any()
    pinwheel[0] = ((0, 2), (0, 2))
    assert overlapping(packed(pinwheel, 2), order, first).any()


def test_of_each_owner_one_runs_at_a_time() -> None:
    start, end = np.array([0, 4, 2, 3, 6]), np.array([4, 9, 5, 4, 7])
    owner = np.array([0, 0, 1, 1, 0])
    order = in_order(start, np.arange(5))
    assert at_one_time(order, owner, start, end).tolist() == [-1, -1, -1, 2, 1]


@pytest.mark.parametrize("seed", range(60))
def test_peaks_of_many_resources_are_those_of_each(seed: int) -> None:
    rng = random.Random(seed)
    resources, bookings, count = rng.randint(1, 4), rng.randint(1, 5), rng.randint(0, 30)
    entries = [
        [(rng.randrange(resources), rng.randint(0, 4)) for _ in range(rng.randint(0, 3))] for _ in range(bookings)
    ]
    booking = [rng.randrange(bookings) for _ in range(count)]
    start = [rng.randrange(20) for _ in range(count)]
    end = [begin + rng.randint(0, 6) for begin in start]
    most = [rng.randint(1, 12) for _ in range(resources)]
    flat = [entry for row in entries for entry in row]
    first = np.cumsum([0, *map(len, entries)])
    starts, ends, every = np.array(start, np.int64), np.array(end, np.int64), np.arange(count)
    checked, found = peaks(
        in_order(starts, every),
        in_order(ends, every),
        starts,
        ends,
        np.array(booking, np.int64),
        first.astype(np.int64),
        np.array([what for what, _ in flat], np.int32),
        np.array([amount for _, amount in flat], np.int64),
        np.array(most, np.int64),
    )
    looked, passed = 0, []
    for which in range(resources):
        holds = [
            (start[row], end[row], amount)
            for row in range(count)
            for what, amount in entries[booking[row]]
            if what == which
        ]
        facts = list(peaks_of_one(holds, most[which]))
        looked += len(facts)
        passed += [(which, *fact) for fact in facts if fact is not None]
    assert checked == looked
    assert sorted(map(tuple, found.tolist())) == sorted(passed)


def test_what_is_missing_of_a_box_and_how_much_is_there() -> None:
    needed = packed([((0, 4), (0, 4)), ((0, 4), (0, 4))], 2)
    box = packed([((0, 4), (0, 2)), ((0, 4), (3, 9)), ((1, 1), (0, 4))], 2)
    missing, held = short_of(needed, np.array([0, 1]), np.array([0, 2, 3]), box)
    assert missing.tolist() == [16 - 8 - 4, 16]
    assert held.tolist() == [8 + 24, 0]


def tiles_of(op: Op, rng: random.Random, count: int) -> np.ndarray:
    tiles = []
    for _ in range(count):
        starts = [rng.randrange(size) for _, size in op.dims]
        tiles.append([(start, rng.randint(start + 1, size)) for start, (_, size) in zip(starts, op.dims, strict=True)])
    return np.array(tiles, np.int32).reshape(count, len(op.dims), 2)


def told(workload: Workload, op: Op, operand: Operand, tiles: np.ndarray, rank: int) -> list[Box]:
    ranges = [dict(zip(op.size, map(tuple, tile), strict=True)) for tile in tiles.tolist()]
    boxes = [workload.root_box(operand.tensor, operand.box(item)) for item in ranges]
    return [(*box, *((0, 1),) * (rank - len(box))) for box in boxes]


@pytest.mark.parametrize("seed", range(25))
def test_what_many_tiles_need_is_what_each_needs(seed: int) -> None:
    workload, rng = make_workload(seed), random.Random(seed)
    for op in workload.ops:
        tiles = tiles_of(op, rng, 12)
        for operand in op.operands:
            found = needed_boxes(workload, op, operand, tiles, 6)
            assert found.tolist() == packed(told(workload, op, operand, tiles, 6), 6).tolist()


def test_views_of_views_and_picked_elements_are_followed() -> None:
    axes = (Axis(6, (Term("M"),)), Axis(4, (Term("N"),), scattered=True))
    op = Op(
        "op", "copy", "Gather", (("M", 6), ("N", 4)), (Operand("I", "I", "c", axes), Operand("O", "O", "out", axes))
    )
    workload = Workload(
        "views",
        (
            Tensor("a", (2, 3, 4), 8, "input"),
            Tensor("b", (4, 6), 8, "intermediate"),
            Tensor("c", (6, 4), 8, "intermediate"),
            Tensor("out", (6, 4), 8, "output"),
        ),
        (op,),
        (View("b", "a", "reshape", "r"), View("c", "b", "transpose", "t", (1, 0))),
    )
    tiles = tiles_of(op, random.Random(1), 40)
    for operand in op.operands:
        found = needed_boxes(workload, op, operand, tiles, 3)
        assert found.tolist() == packed(told(workload, op, operand, tiles, 3), 3).tolist()

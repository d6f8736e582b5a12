"""Tensors in pieces: every element is in one piece, every box is made of whole pieces, joined boxes lose nothing."""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.model.workload import Box, Range, intersect, volume
from weft.schedule import pieces
from weft.schedule.kernels import take_box
from weft.schedule.pieces import Grid, make_grid

Cell = tuple[int, ...]


def elements(box: Box) -> list[tuple[int, ...]]:
    return list(itertools.product(*(range(start, stop) for start, stop in box)))


def cells(low: Cell, high: Cell) -> list[Cell]:
    return list(itertools.product(*map(range, low, high)))


def grid_of(shape: tuple[int, ...], boxes: list[Box]) -> tuple[Grid, list[tuple[Cell, Cell]]]:
    """The grid, and each box as its first cell and the one after its last."""
    grid, ((low, high),) = make_grid(shape, [np.array(boxes, np.int64).reshape(len(boxes), len(shape), 2)])
    return grid, [(tuple(map(int, a)), tuple(map(int, b))) for a, b in zip(low, high, strict=True)]


def piece(grid: Grid, cell: Cell) -> Box:
    return grid.box(cell, tuple(c + 1 for c in cell))


@st.composite
def tensors(draw: st.DrawFn) -> tuple[tuple[int, ...], list[Box]]:
    shape = tuple(draw(st.lists(st.integers(1, 6), min_size=0, max_size=3)))

    def one() -> Box:
        ranges: list[Range] = []
        for size in shape:
            start = draw(st.integers(0, size))
            ranges.append((start, draw(st.integers(start, size))))
        return tuple(ranges)

    return shape, [one() for _ in range(draw(st.integers(1, 4)))]


@given(tensors())
def test_every_element_is_in_exactly_one_piece(world: tuple[tuple[int, ...], list[Box]]) -> None:
    shape, boxes = world
    grid, _ = grid_of(shape, boxes)
    every = list(itertools.product(*map(range, grid.shape)))
    held = Counter(element for cell in every for element in elements(piece(grid, cell)))
    assert held == Counter(elements(tuple((0, size) for size in shape)))
    assert grid.volumes().tolist() == [volume(piece(grid, cell)) for cell in every]


@given(tensors(), st.booleans())
def test_the_pieces_of_a_box_are_the_box(world: tuple[tuple[int, ...], list[Box]], sparse: bool) -> None:
    shape, boxes = world
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "SPARSE", -1 if sparse else 1 << 20)
        grid, ranges = grid_of(shape, boxes)
    for box, (low, high) in zip(boxes, ranges, strict=True):
        found = cells(low, high)
        assert Counter(element for cell in found for element in elements(piece(grid, cell))) == Counter(elements(box))
        if volume(box):
            assert grid.box(low, high) == box


@given(tensors())
def test_two_boxes_share_pieces_exactly_where_they_meet(world: tuple[tuple[int, ...], list[Box]]) -> None:
    shape, boxes = world
    grid, ranges = grid_of(shape, boxes)
    for (a, in_a), (b, in_b) in itertools.combinations(zip(boxes, ranges, strict=True), 2):
        shared = set(cells(*in_a)) & set(cells(*in_b))
        common = intersect(a, b)
        assert sum(volume(piece(grid, cell)) for cell in shared) == (volume(common) if common is not None else 0)


def test_a_halo_is_a_piece_of_its_own() -> None:
    grid, ranges = grid_of((10,), [((0, 6),), ((4, 10),)])
    assert [edges.tolist() for edges in grid.edges] == [[0, 4, 6, 10]]
    assert ranges == [((0,), (2,)), ((1,), (3,))]


def joined(extent: tuple[int, ...], wanted: set[Cell]) -> list[tuple[Cell, Cell]]:
    """The boxes into which the engine joins cells of a box."""
    mask = np.array([0 if cell in wanted else -1 for cell in cells((0,) * len(extent), extent)], np.int32)
    box = np.zeros((2, 2 * len(extent)), np.int32)
    found = []
    first = 0
    while True:
        first = take_box(mask, len(mask), first, np.array(extent), box, np.zeros(len(mask), np.int64))
        if first < 0:
            assert (mask < 0).all()
            return found
        row = [int(c) for c in box[0]]
        found.append((tuple(row[: len(extent)]), tuple(row[len(extent) :])))


@settings(deadline=None)  # kernels may have to be compiled
@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_joined_boxes_hold_the_same_pieces_once(extent: list[int], rng: random.Random) -> None:
    every = cells((0,) * len(extent), tuple(extent))
    wanted = {cell for cell in every if rng.random() < 0.6}
    held = Counter(cell for low, high in joined(tuple(extent), wanted) for cell in cells(low, high))
    assert held == Counter(wanted)


@settings(deadline=None)  # kernels may have to be compiled
@given(st.lists(st.integers(1, 5), min_size=1, max_size=4))
def test_the_pieces_of_one_box_join_to_that_box(extent: list[int]) -> None:
    every = set(cells((0,) * len(extent), tuple(extent)))
    assert joined(tuple(extent), every) == [((0,) * len(extent), tuple(extent))]
    assert math.prod(extent) == len(every)


@pytest.mark.parametrize(
    ("wanted", "boxes"),
    [
        ([], []),
        ([(0, 0), (0, 1), (1, 0), (1, 1)], [((0, 0), (2, 2))]),
        ([(0, 0), (1, 1)], [((0, 0), (1, 1)), ((1, 1), (2, 2))]),
        ([(0, 0), (0, 1), (1, 0)], [((0, 0), (1, 2)), ((1, 0), (2, 1))]),
    ],
)
def test_pieces_are_joined_into_few_boxes(wanted: list[Cell], boxes: list[tuple[Cell, Cell]]) -> None:
    assert joined((2, 2), set(wanted)) == boxes


def test_pieces_of_other_kinds_are_not_joined() -> None:
    mask = np.array([0, 0, 1, 1], np.int32)
    box = np.zeros((2, 2), np.int32)
    assert take_box(mask, 4, 0, np.array([4]), box, np.zeros(4, np.int64)) == 0
    assert box[0].tolist() == [0, 2]
    assert take_box(mask, 4, 0, np.array([4]), box, np.zeros(4, np.int64)) == 2
    assert box[0].tolist() == [2, 4]

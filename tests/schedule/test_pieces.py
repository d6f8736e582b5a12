"""Tensors in pieces: every element is in one piece, every box is made of whole pieces, joined boxes lose nothing."""

from __future__ import annotations

import itertools
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft.model.workload import Box, Range, intersect, volume
from weft.schedule.pieces import Cell, Grid, make_grid


def elements(box: Box) -> list[tuple[int, ...]]:
    return list(itertools.product(*(range(start, stop) for start, stop in box)))


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


def all_cells(grid: Grid) -> list[Cell]:
    return list(itertools.product(*(range(len(edges) - 1) for edges in grid.edges)))


@given(tensors())
def test_every_element_is_in_exactly_one_piece(world: tuple[tuple[int, ...], list[Box]]) -> None:
    shape, boxes = world
    grid = make_grid(shape, boxes)
    whole = tuple((0, size) for size in shape)
    held = Counter(element for cell in all_cells(grid) for element in elements(grid.box([cell])))
    assert held == Counter(elements(whole))
    assert sorted(grid.cells(whole)) == sorted(all_cells(grid))


@given(tensors())
def test_the_pieces_of_a_box_are_the_box(world: tuple[tuple[int, ...], list[Box]]) -> None:
    shape, boxes = world
    grid = make_grid(shape, boxes)
    for box in boxes:
        cells = grid.cells(box)
        held = Counter(element for cell in cells for element in elements(grid.box([cell])))
        assert held == Counter(elements(box))
        assert sum(volume(grid.box([cell])) for cell in cells) == volume(box)
        if cells:
            assert grid.box(cells) == box


@given(tensors(), st.randoms(use_true_random=False))
def test_joined_boxes_hold_the_same_elements_once(world: tuple[tuple[int, ...], list[Box]], rng: random.Random) -> None:
    shape, boxes = world
    grid = make_grid(shape, boxes)
    cells = [cell for cell in all_cells(grid) if rng.random() < 0.6]
    rng.shuffle(cells)
    joined = grid.boxes(cells)
    held = Counter(element for box, _ in joined for element in elements(box))
    assert held == Counter(element for cell in cells for element in elements(grid.box([cell])))
    for box, group in joined:
        assert sorted(grid.cells(box)) == sorted(group)
    assert joined == grid.boxes(sorted(cells)), "boxes follow from the pieces, not from their order"


@given(tensors())
def test_the_pieces_of_one_box_join_to_that_box(world: tuple[tuple[int, ...], list[Box]]) -> None:
    shape, boxes = world
    grid = make_grid(shape, boxes)
    for box in boxes:
        if volume(box):
            assert [found for found, _ in grid.boxes(grid.cells(box))] == [box]


@given(tensors())
def test_two_boxes_share_pieces_exactly_where_they_meet(world: tuple[tuple[int, ...], list[Box]]) -> None:
    shape, boxes = world
    grid = make_grid(shape, boxes)
    for a, b in itertools.combinations(boxes, 2):
        shared = set(grid.cells(a)) & set(grid.cells(b))
        common = intersect(a, b)
        assert sum(volume(grid.box([cell])) for cell in shared) == (volume(common) if common is not None else 0)


def test_a_halo_is_a_piece_of_its_own() -> None:
    grid = make_grid((10,), [((0, 6),), ((4, 10),)])
    assert grid.edges == ((0, 4, 6, 10),)
    assert grid.cells(((0, 6),)) == [(0,), (1,)]
    assert grid.cells(((4, 10),)) == [(1,), (2,)]


@pytest.mark.parametrize(
    ("cells", "boxes"),
    [
        ([], []),
        ([(0, 0), (0, 1), (1, 0), (1, 1)], [((0, 4), (0, 4))]),
        ([(0, 0), (1, 1)], [((0, 2), (0, 2)), ((2, 4), (2, 4))]),
        ([(0, 0), (0, 1), (1, 0)], [((0, 2), (0, 4)), ((2, 4), (0, 2))]),
    ],
)
def test_pieces_are_joined_into_few_boxes(cells: list[Cell], boxes: list[Box]) -> None:
    grid = Grid(((0, 2, 4), (0, 2, 4)))
    assert [box for box, _ in grid.boxes(cells)] == boxes

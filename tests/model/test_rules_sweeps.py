"""Boxes and sweeps against naive twins that enumerate elements and cycles."""

from __future__ import annotations

import itertools
import random
from fractions import Fraction

import pytest

from weft.model.rules.boxes import common_volume, missing_volume, overlaps
from weft.model.rules.sweep import Hold, peaks, rate_peaks
from weft.model.workload import Box


def elements(box: Box) -> set[tuple[int, ...]]:
    return set(itertools.product(*(range(start, stop) for start, stop in box)))


def random_boxes(rng: random.Random, rank: int, count: int, size: int = 7) -> list[Box]:
    boxes = []
    for _ in range(count):
        starts = [rng.randrange(size) for _ in range(rank)]
        boxes.append(tuple((start, rng.randint(start + 1, min(size, start + 3))) for start in starts))
    return boxes


def disjoint_boxes(rng: random.Random, rank: int, count: int, size: int = 7) -> list[Box]:
    kept: list[Box] = []
    for box in random_boxes(rng, rank, count, size):
        if not any(elements(box) & elements(other) for other in kept):
            kept.append(box)
    return kept


@pytest.mark.parametrize("seed", range(60))
def test_overlaps_names_a_true_pair_for_each_box_that_is_not_disjoint(seed: int) -> None:
    rng = random.Random(seed)
    boxes = random_boxes(rng, rng.randint(1, 4), rng.randint(0, 40), rng.choice((5, 12)))
    pairs = overlaps(boxes)
    for a, b in pairs:
        assert a != b
        assert elements(boxes[a]) & elements(boxes[b])
    disjoint = not any(elements(a) & elements(b) for a, b in itertools.combinations(boxes, 2))
    assert disjoint == (not pairs)
    # without the boxes that it names second, the others are disjoint
    rest = [box for position, box in enumerate(boxes) if position not in {b for _, b in pairs}]
    assert not any(elements(a) & elements(b) for a, b in itertools.combinations(rest, 2))


def test_boxes_that_no_plane_tells_apart_are_disjoint_all_the_same() -> None:
    pinwheel: list[Box] = [((0, 2), (0, 1)), ((2, 3), (0, 2)), ((1, 3), (2, 3)), ((0, 1), (1, 3))]
    assert overlaps(pinwheel) == []
    assert overlaps([*pinwheel, ((1, 2), (1, 2))]) == []
    assert len(overlaps([*pinwheel, ((1, 2), (1, 3))])) == 1


def test_scalars_overlap_where_there_are_two() -> None:
    assert overlaps([()]) == []
    assert overlaps([(), ()]) == [(0, 1)]
    assert missing_volume([()], []) == 1
    assert missing_volume([()], [()]) == 0


@pytest.mark.parametrize("seed", range(60))
def test_missing_volume_counts_the_elements_that_are_not_held(seed: int) -> None:
    rng = random.Random(seed)
    rank = rng.randint(1, 3)
    needed = disjoint_boxes(rng, rank, rng.choice((1, 3, 30)))
    held = disjoint_boxes(rng, rank, rng.choice((0, 3, 60)))
    if rng.random() < 0.3:
        held = needed + [box for box in held if not any(elements(box) & elements(other) for other in needed)]
    elif rng.random() < 0.5:  # some of what is needed exactly, some in part, some not
        some = [box for box in needed if rng.random() < 0.5]
        held = some + [box for box in held if not any(elements(box) & elements(other) for other in some)]
    there = set().union(*(elements(box) for box in held)) if held else set()
    assert missing_volume(needed, held) == sum(len(elements(box) - there) for box in needed)


def test_common_volume_counts_shared_elements() -> None:
    rng = random.Random(0)
    for _ in range(200):
        a, b = random_boxes(rng, 3, 2, 4)
        assert common_volume(a, b) == len(elements(a) & elements(b))


@pytest.mark.parametrize("seed", range(60))
def test_peaks_are_where_holds_first_pass_what_there_is(seed: int) -> None:
    rng = random.Random(seed)
    holds: list[Hold] = []
    for _ in range(rng.randint(0, 12)):
        start = rng.randrange(20)
        holds.append((start, start + rng.randint(0, 6), rng.randint(1, 4)))
    most = rng.randint(1, 12)
    level = [sum(amount for start, end, amount in holds if start <= cycle < end) for cycle in range(-1, 30)]
    crossings = [
        (cycle, level[cycle + 1]) for cycle in range(0, 29) if level[cycle + 1] > most and level[cycle] <= most
    ]
    assert [peak for peak in peaks(holds, most) if peak is not None] == crossings


def test_rates_that_sum_to_the_whole_are_exact() -> None:
    thirds = [(0, 5, Fraction(1, 3)), (0, 5, Fraction(1, 3)), (2, 5, Fraction(1, 3))]
    assert [peak for peak in rate_peaks(thirds, Fraction(1)) if peak] == []
    # a seventh of a millionth too much is seen
    more = [*thirds, (4, 6, Fraction(1, 7_000_000))]
    assert [peak for peak in rate_peaks(more, Fraction(1)) if peak] == [(4, 1 + Fraction(1, 7_000_000))]

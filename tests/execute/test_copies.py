"""Earlier copies of a box: against the definition, which looks at all pairs."""

from __future__ import annotations

import random
import time
from dataclasses import replace

import pytest

from tests.oracles.little import SCHEDULE, Y0
from weft.execute.copies import earlier_copies, last_sharing
from weft.model.rules.boxes import common_volume
from weft.model.schedule import Residency
from weft.model.workload import Box


def random_boxes(rng: random.Random) -> list[Box]:
    rank = rng.randint(0, 3)
    boxes = []
    for _ in range(rng.randint(0, 30)):
        starts = [rng.randrange(8) for _ in range(rank)]
        boxes.append(tuple((start, start + rng.choice((1, 1, 2, 3, 8))) for start in starts))
    return boxes


@pytest.mark.parametrize("seed", range(80))
def test_waiting_for_the_last_copies_is_waiting_for_all(seed: int) -> None:
    boxes = random_boxes(random.Random(seed))
    waits: list[set[int]] = []
    for place, found in enumerate(last_sharing(boxes)):
        all_earlier = {early for early in range(place) if common_volume(boxes[early], boxes[place])}
        assert set(found) <= all_earlier
        # each copy has left before the next one comes, so what a copy waited for has left before it as well
        waits.append(set(found).union(*(waits[early] for early in found)))
        assert all_earlier <= waits[place]
        # nothing is named twice: the copies named do not share a part
        assert not any(common_volume(boxes[a], boxes[b]) for a in found for b in found if a < b)


def test_each_copy_waits_for_the_one_before_it() -> None:
    copies = [Residency(20 + i, "m1", "y", Y0, 128, 100 + 10 * i, 100 + 10 * i, 105 + 10 * i, -1) for i in range(3)]
    schedule = replace(SCHEDULE, residencies=(*SCHEDULE.residencies, *copies))
    assert earlier_copies(schedule) == {20: (7,), 21: (20,), 22: (21,)}


def test_copies_in_other_memories_and_of_other_tensors_do_not_wait() -> None:
    assert earlier_copies(SCHEDULE) == {}


@pytest.mark.parametrize(
    "kind", ["rows that overlap", "one box again and again", "a grid with halos", "one whole, many tiles"]
)
def test_twenty_thousand_boxes_take_no_time_to_speak_of(kind: str) -> None:
    boxes: list[Box]
    if kind == "rows that overlap":
        boxes = [((4 * i, 4 * i + 6),) for i in range(20_000)]
    elif kind == "one box again and again":
        boxes = [((0, 4), (0, 4))] * 20_000
    elif kind == "a grid with halos":
        boxes = [((4 * i, 4 * i + 6), (4 * j, 4 * j + 6)) for i in range(140) for j in range(140)]
    else:
        boxes = [((0, 80_000),), *(((4 * i, 4 * i + 4),) for i in range(20_000))]
    clock = time.process_time()
    found = sum(map(len, last_sharing(boxes)))
    assert found < 4 * len(boxes)
    assert time.process_time() - clock < 5  # comparing all pairs would take minutes

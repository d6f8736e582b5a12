"""Which copy of a box must have left a memory before the next one may come."""

from __future__ import annotations

import heapq
import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence

from weft.model.rules.boxes import common_volume
from weft.model.schedule import Residency, Schedule
from weft.model.workload import Box, volume

Cell = tuple[int, ...]


def earlier_copies(schedule: Schedule) -> dict[int, tuple[int, ...]]:
    """For each residency the earlier ones, of its tensor in its memory, that must have been released before it comes.

    These are the ones that began before it and share a part of its box, without those that a later one of them had to
    wait for already. Where a box comes and goes many times, each copy waits for the one before it alone.
    """
    groups: defaultdict[tuple[str, str], list[Residency]] = defaultdict(list)
    for residency in schedule.residencies:
        groups[residency.memory, residency.tensor].append(residency)
    earlier: dict[int, tuple[int, ...]] = {}
    for group in groups.values():
        group.sort(key=lambda residency: (residency.start, residency.id))
        boxes = [residency.box for residency in group]
        for place, found in enumerate(last_sharing(boxes)):
            if found:
                earlier[group[place].id] = tuple(sorted(group[early].id for early in found))
    return earlier


def last_sharing(boxes: Sequence[Box]) -> Iterator[list[int]]:
    """For each box the positions of those before it that share a part with it, latest first.

    A box is left out where it shares a part with one that is named already: that one comes later and waits for it.
    So once the boxes named hold the whole box, nothing before them can matter, and the search ends. Boxes are filed
    under the cells of a grid as wide as they are on average, so that only neighbours are compared.

    >>> list(last_sharing([((0, 4),), ((2, 6),), ((6, 8),), ((0, 4),)]))
    [[], [0], [], [1]]
    """
    if not boxes:
        return
    widths = [
        max(1, sum(stop - start for start, stop in extents) // len(boxes)) for extents in zip(*boxes, strict=True)
    ]
    filed: defaultdict[Cell, list[int]] = defaultdict(list)
    for place, box in enumerate(boxes):
        cells = list(_cells(box, widths))
        found: list[int] = []
        missing = volume(box)
        seen = -1
        for early in heapq.merge(*(reversed(filed[cell]) for cell in cells), reverse=True):
            if not missing:
                break
            if early == seen:
                continue  # filed under several of these cells
            seen = early
            shared = common_volume(boxes[early], box)
            if shared and not any(common_volume(boxes[early], boxes[other]) for other in found):
                found.append(early)
                missing -= shared
        yield found
        for cell in cells:
            filed[cell].append(place)


def _cells(box: Box, widths: Sequence[int]) -> Iterator[Cell]:
    return itertools.product(
        *(range(start // width, (stop - 1) // width + 1) for (start, stop), width in zip(box, widths, strict=True))
    )

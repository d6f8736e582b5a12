"""Sets of boxes: do they overlap, do they hold what is needed. Near-linear for what tiling produces.

Boxes of one tile grid fall apart at planes that no box crosses, so both questions recurse along such planes and
compare pairs only among boxes that no plane tells apart.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from weft.model.workload import Box, volume

PAIRS_WORTH_SORTING = 64
"""Below this many pairs, comparing them all is faster than sorting first (measured, not critical)."""


def common_volume(a: Box, b: Box) -> int:
    """Elements that two boxes of one rank share.

    >>> common_volume(((0, 4), (0, 4)), ((2, 6), (1, 2)))
    2
    """
    size = 1
    for (start, stop), (first, last) in zip(a, b, strict=True):
        low = start if start > first else first
        high = stop if stop < last else last
        if low >= high:
            return 0
        size *= high - low
    return size


def missing_volume(needed: Sequence[Box], held: Sequence[Box]) -> int:
    """Elements of `needed` that no box of `held` holds; both are sets of disjoint boxes.

    Where `held` overlaps itself the answer may be too small, so whoever asks checks `overlaps(held)` as well.

    >>> missing_volume([((0, 4), (0, 4))], [((0, 4), (0, 2)), ((0, 4), (3, 9))])
    4
    """
    total = sum(volume(box) for box in needed)
    if len(needed) * len(held) > PAIRS_WORTH_SORTING:
        there = set(held)
        total -= sum(volume(box) for box in set(needed) & there)
        rest = [box for box in needed if box not in there]
        return max(0, total - _shared_by_sweep(rest, held)) if rest else 0
    return max(0, total - sum(common_volume(box, piece) for box in needed for piece in held))


def _shared_by_sweep(needed: Sequence[Box], held: Sequence[Box]) -> int:
    if not held or not held[0]:
        return sum(common_volume(box, piece) for box in needed for piece in held)
    axis = max(range(len(held[0])), key=lambda axis: len({piece[axis][0] for piece in held}))
    ordered = sorted(held, key=lambda piece: piece[axis][0])
    starts = [piece[axis][0] for piece in ordered]
    longest = max(piece[axis][1] - piece[axis][0] for piece in held)
    shared = 0
    for box in needed:
        start, stop = box[axis]
        # a piece that reaches into [start, stop) begins after start - longest and before stop
        for piece in ordered[bisect_right(starts, start - longest) : bisect_left(starts, stop)]:
            shared += common_volume(box, piece)
    return shared


def overlaps(boxes: Sequence[Box]) -> list[tuple[int, int]]:
    """Pairs of positions whose boxes overlap: for every box that overlaps an earlier one, one such pair.

    No box may be empty. Any box counts as overlapping itself listed twice.

    >>> overlaps([((0, 2), (0, 2)), ((2, 4), (0, 2)), ((1, 3), (1, 2))])
    [(0, 2), (2, 1)]
    """
    if len(boxes) < 2:
        return []
    rank = len(boxes[0])
    found: list[tuple[int, int]] = []
    groups = [(list(range(len(boxes))), 0)]
    while groups:
        group, first_axis = groups.pop()
        for step in range(rank):
            axis = (first_axis + step) % rank
            parts = _apart(boxes, group, axis)
            if len(parts) > 1:
                groups.extend((part, axis + 1) for part in parts if len(part) > 1)
                break
        else:
            found += _overlaps_by_sweep(boxes, group)
    return found


def _apart(boxes: Sequence[Box], group: list[int], axis: int) -> list[list[int]]:
    """The group cut at every plane across `axis` that none of its boxes crosses."""
    ordered = sorted(group, key=lambda position: boxes[position][axis][0])
    parts: list[list[int]] = []
    reach = boxes[ordered[0]][axis][0]
    for position in ordered:
        start, stop = boxes[position][axis]
        if start >= reach:
            parts.append([])
        parts[-1].append(position)
        reach = max(reach, stop)
    return parts


def _overlaps_by_sweep(boxes: Sequence[Box], group: list[int]) -> list[tuple[int, int]]:
    rank = len(boxes[group[0]])
    if rank == 0:
        return [(group[0], position) for position in group[1:]]
    axis = max(range(rank), key=lambda axis: len({boxes[position][axis][0] for position in group}))
    found = []
    active: list[int] = []
    for position in sorted(group, key=lambda position: boxes[position][axis]):
        box = boxes[position]
        active = [other for other in active if boxes[other][axis][1] > box[axis][0]]
        hit = next((other for other in active if common_volume(boxes[other], box)), None)
        if hit is not None:
            found.append((hit, position))
        active.append(position)
    return found

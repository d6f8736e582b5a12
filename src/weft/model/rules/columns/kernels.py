"""Kernels that look for what is wrong in columns. Each gets validated arrays, raises nothing, and only points at rows.

Shapes: n rows; a `box` is [n, rank, 2] of starts and stops; row r of a `first` column owns [first[r], first[r + 1]).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from weft._jit import kernel
from weft.model.columns import Large, Small

Marks = NDArray[np.bool_]

DIGIT = 11
"""Bits of a key that one pass of `in_order` looks at: two passes sort most times, 2,048 counters stay in a cache."""

FORTY = (1 << 40) - 1
"""Bits kept while rows are mixed: times 1,000,003, a prime, still within 63."""


@kernel
def in_order(keys: Large, order: Large) -> Large:
    """`order`, sorted by `keys` (not negative), equal ones as they were: ceil(bits / DIGIT) passes."""
    most = 0
    for key in keys:
        most = max(most, key)
    shift = 0
    mask = (1 << DIGIT) - 1
    ours, theirs = order.copy(), np.empty_like(order)
    while most >> shift:
        counts = np.zeros(mask + 2, np.int64)
        for row in ours:
            counts[((keys[row] >> shift) & mask) + 1] += 1
        for digit in range(mask + 1):
            counts[digit + 1] += counts[digit]
        for row in ours:
            digit = (keys[row] >> shift) & mask
            theirs[counts[digit]] = row
            counts[digit] += 1
        ours, theirs = theirs, ours
        shift += DIGIT
    return ours


@kernel
def volumes(box: Small) -> Large:
    """Elements of each box."""
    found = np.ones(len(box), np.int64)
    for row in range(len(box)):
        for axis in range(box.shape[1]):
            found[row] *= max(0, np.int64(box[row, axis, 1]) - box[row, axis, 0])
    return found


@kernel
def unsound(box: Small, kind: Small, sizes: Large) -> Marks:
    """Boxes that are empty or reach beyond `sizes[kind]`."""
    found = np.zeros(len(box), np.bool_)
    for row in range(len(box)):
        for axis in range(box.shape[1]):
            start, stop = box[row, axis, 0], box[row, axis, 1]
            if not (0 <= start < stop <= sizes[kind[row], axis]):
                found[row] = True
    return found


@kernel
def common(a: Small, p: int, b: Small, q: int) -> int:
    """Elements that box p of `a` and box q of `b` share."""
    size = np.int64(1)
    for axis in range(a.shape[1]):
        low = max(a[p, axis, 0], b[q, axis, 0])
        high = min(a[p, axis, 1], b[q, axis, 1])
        if low >= high:
            return 0
        size *= high - low
    return int(size)


@kernel
def alike(rows: Small) -> Large:
    """For each row the first one that is equal to it."""
    n, width = rows.shape
    slots = 16
    while slots < 2 * n:
        slots *= 2
    table = np.full(slots, -1, np.int64)
    first = np.empty(n, np.int64)
    for row in range(n):
        mixed = 0
        for column in range(width):
            mixed = ((mixed ^ (int(rows[row, column]) & 0xFFFFFFFF)) * 1_000_003) & FORTY
        slot = (mixed >> 12) & (slots - 1)  # the upper bits depend on all that went in
        while True:
            other = table[slot]
            if other < 0:
                table[slot] = row
                first[row] = row
                break
            same = True
            for column in range(width):
                if rows[row, column] != rows[other, column]:
                    same = False
                    break
            if same:
                first[row] = other
                break
            slot = (slot + 1) & (slots - 1)
    return first


@kernel
def at_one_time(order: Large, owner: Large, start: Large, end: Large) -> Large:
    """For each row, the one with its owner that came before it in `order` and has not ended when it starts, or -1.

    Of those before, the one that ends last is looked at.
    """
    found = np.full(len(owner), -1, np.int64)
    last = np.full(len(owner) + 1, -1, np.int64)
    for row in order:
        before = last[owner[row]]
        if before >= 0 and end[before] > start[row]:
            found[row] = before
        if before < 0 or end[row] > end[before]:
            last[owner[row]] = row
    return found


@kernel
def overlapping(box: Small, order: Large, first: Large) -> Marks:
    """Boxes that share an element with another of their group; group g is order[first[g]:first[g + 1]].

    Not all of those that overlap are marked, but one of every group that has any. No box may be empty.

    Groups fall apart at planes that no box crosses; pairs are compared only where no plane tells boxes apart.
    """
    rank = box.shape[1]
    found = np.zeros(len(box), np.bool_)
    rows = order.copy()
    # parts of two rows at least, none within another: never more than half as many as there are rows
    most_parts = len(rows) // 2 + len(first)
    begins, ends, axes = np.empty(most_parts, np.int64), np.empty(most_parts, np.int64), np.empty(most_parts, np.int64)
    depth = 0
    for group in range(len(first) - 1):
        begins[depth], ends[depth], axes[depth] = first[group], first[group + 1], 0
        depth += 1
    while depth:
        depth -= 1
        begin, end, first_axis = begins[depth], ends[depth], axes[depth]
        if end - begin < 2:
            continue
        apart = False
        best, most = 0, -1
        for step in range(rank):
            axis = (first_axis + step) % rank
            low = high = box[rows[begin], axis, 0]
            for place in range(begin, end):
                low, high = min(low, box[rows[place], axis, 0]), max(high, box[rows[place], axis, 0])
            if low == high:
                continue
            keys = np.empty(end - begin, np.int64)
            for place in range(begin, end):
                keys[place - begin] = box[rows[place], axis, 0] - low
            part = rows[begin:end].copy()
            sorting = in_order(keys, np.arange(end - begin))
            for place in range(begin, end):
                rows[place] = part[sorting[place - begin]]
            reach = box[rows[begin], axis, 1]
            since = begin
            different = 0
            for place in range(begin + 1, end):
                start = box[rows[place], axis, 0]
                different += start != box[rows[place - 1], axis, 0]
                if start >= reach:
                    apart = True
                    if place - since > 1:
                        begins[depth], ends[depth], axes[depth] = since, place, axis + 1
                        depth += 1
                    since = place
                reach = max(reach, box[rows[place], axis, 1])
            if apart:
                if end - since > 1:
                    begins[depth], ends[depth], axes[depth] = since, end, axis + 1
                    depth += 1
                break
            if different > most:
                best, most = axis, different
        if not apart:
            _sweep_boxes(box, rows[begin:end], best, found)
    return found


@kernel
def _sweep_boxes(box: Small, rows: Large, axis: int, found: Marks) -> None:
    """Marks boxes of `rows` that overlap one before them along `axis`."""
    keys = np.empty(len(rows), np.int64)
    low = np.int64(box[rows[0], axis, 0])
    for row in rows:
        low = min(low, box[row, axis, 0])
    for place in range(len(rows)):
        keys[place] = box[rows[place], axis, 0] - low
    active = np.empty(len(rows), np.int64)
    count = 0
    for place in in_order(keys, np.arange(len(rows))):
        row = rows[place]
        kept = 0
        for other in active[:count]:
            if box[other, axis, 1] > box[row, axis, 0]:
                active[kept] = other
                kept += 1
        count = kept
        for other in active[:count]:
            if common(box, other, box, row):
                found[row] = True
                break
        active[count] = row
        count += 1


@kernel
def short_of(needed: Small, uses: Large, boxes_first: Large, box: Small) -> tuple[Large, Large]:
    """For each use the elements of `needed` that its boxes do not hold (below 0 where these overlap), and the elements
    of its boxes."""
    missing, held = np.zeros(len(uses), np.int64), np.zeros(len(uses), np.int64)
    for row in range(len(uses)):
        total = np.int64(1)
        for axis in range(needed.shape[1]):
            total *= max(0, np.int64(needed[row, axis, 1]) - needed[row, axis, 0])
        for place in range(boxes_first[uses[row]], boxes_first[uses[row] + 1]):
            total -= common(needed, row, box, place)
            held[row] += common(box, place, box, place)
        missing[row] = total
    return missing, held


@kernel
def not_held(
    tensor: Small,
    memory: Small,
    boxes_first: Large,
    box: Small,
    held_first: Large,
    held: Large,
    of_tensor: Small,
    in_memory: Small,
    its_box: Small,
) -> Marks:
    """Readers that name a residency twice, one of another tensor or memory, or too few to hold their boxes.

    `held` are rows of residencies, and so of `of_tensor`, `in_memory`, `its_box`.
    """
    found = np.zeros(len(tensor), np.bool_)
    seen = np.full(len(of_tensor), -1, np.int64)
    for row in range(len(tensor)):
        for place in range(held_first[row], held_first[row + 1]):
            source = held[place]
            if seen[source] == row or of_tensor[source] != tensor[row] or in_memory[source] != memory[row]:
                found[row] = True
            seen[source] = row
        missing = np.int64(0)
        for place in range(boxes_first[row], boxes_first[row + 1]):
            missing += common(box, place, box, place)
            for at in range(held_first[row], held_first[row + 1]):
                missing -= common(box, place, its_box, held[at])
        if missing > 0:
            found[row] = True
    return found


@kernel
def not_made(
    uses: Large,
    tensor: Small,
    boxes_first: Large,
    box: Small,
    held_first: Large,
    held: Large,
    of_tensor: Small,
    its_box: Small,
) -> Marks:
    """Uses whose boxes are not exactly those of the residencies of their tensor that they make."""
    found = np.zeros(len(uses), np.bool_)
    for row in range(len(uses)):
        use = uses[row]
        written = made = shared = np.int64(0)
        for place in range(boxes_first[use], boxes_first[use + 1]):
            written += common(box, place, box, place)
        for at in range(held_first[use], held_first[use + 1]):
            if of_tensor[held[at]] != tensor[use]:
                continue
            made += common(its_box, held[at], its_box, held[at])
            for place in range(boxes_first[use], boxes_first[use + 1]):
                shared += common(box, place, its_box, held[at])
        found[row] = made != written or shared < written
    return found


@kernel
def latest(rows: Large, cycles: Large, count: int) -> Large:
    """The latest of the cycles of each of `count` rows, -1 where it has none."""
    found = np.full(count, -1, np.int64)
    for place in range(len(rows)):
        found[rows[place]] = max(found[rows[place]], cycles[place])
    return found


@kernel
def summed(kind: Small, amount: Large, count: int) -> Large:
    """The sum of the amounts of each of `count` kinds."""
    found = np.zeros(count, np.int64)
    for row in range(len(kind)):
        found[kind[row]] += amount[row]
    return found


@kernel
def peaks(
    starting: Large,
    ending: Large,
    start: Large,
    end: Large,
    booking: Large,
    first: Large,
    resource: Small,
    amount: Large,
    most: Large,
) -> tuple[int, Large]:
    """Moments at which something starts on a resource, and those at which what it holds first passes `most`.

    `sweep.peaks` for all resources at once. Row r holds, from start[r] until end[r], the amounts of its booking:
    amount[p] of resource[p] for p in [first[booking[r]], first[booking[r] + 1]).

    Args:    starting, ending: rows in the order of their starts and ends.
    Returns: how many moments were looked at; (resource, cycle, held) of each that passes.
    """
    held = np.zeros(len(most), np.int64)
    above, started = np.zeros(len(most), np.bool_), np.zeros(len(most), np.bool_)
    touched = np.zeros(len(most), np.bool_)
    changed = np.empty(len(most), np.int64)
    found = np.empty((16, 3), np.int64)
    count = checked = 0
    i = j = 0
    while j < len(ending):
        now = end[ending[j]]
        if i < len(starting):
            now = min(now, start[starting[i]])
        number = 0
        while j < len(ending) and end[ending[j]] == now:
            which = booking[ending[j]]
            for place in range(first[which], first[which + 1]):
                here = resource[place]
                held[here] -= amount[place]
                if not touched[here]:
                    touched[here] = True
                    changed[number] = here
                    number += 1
            j += 1
        while i < len(starting) and start[starting[i]] == now:
            which = booking[starting[i]]
            for place in range(first[which], first[which + 1]):
                here = resource[place]
                held[here] += amount[place]
                started[here] |= amount[place] > 0
                if not touched[here]:
                    touched[here] = True
                    changed[number] = here
                    number += 1
            i += 1
        for place in range(number):
            here = changed[place]
            over = held[here] > most[here]
            if started[here]:
                checked += 1
                if over and not above[here]:
                    if count == len(found):
                        found = np.concatenate((found, np.empty_like(found)))
                    found[count, 0], found[count, 1], found[count, 2] = here, now, held[here]
                    count += 1
            above[here] = over
            touched[here] = started[here] = False
    return checked, found[:count].copy()

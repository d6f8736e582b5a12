"""The price of every cut at every state of the tile-size lattice, on arrays: the fast telling of docs/cost.md.

Shapes: D dims, A axes of the operand, T terms of an axis, P pipes of a transfer, R ports and links of the problem.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from weft._jit import kernel

Ints = np.ndarray[Any, np.dtype[np.int64]]
Floats = np.ndarray[Any, np.dtype[np.float64]]

CLASSES = 16
"""Kinds of step, and extents, that the table of one axis has room for at first (it is doubled where that is short)."""


@kernel
def axis_profile(
    n: Ints,
    s: Ints,
    u: Ints,
    below: Ints,
    above: Ints,
    coefficient: Ints,
    run: Ints,
    offset: int,
    size: int,
    stamps: Ints,
    steps: Ints,
    lower: Ints,
    upper: Ints,
) -> tuple[int, int, int, int, int, int, int]:
    """`cuts.profile` of one axis, by listing what every instance touches.

    Args:
        n, s, u, below, above, coefficient: int64[T]: sizes, tiles, unrolling, what an instance below and above serves.
        run:    int64[T]: steps along a dim in which consecutive tiles re-use their overlap, 0 for none.
        stamps: int64[2, size], zeroed: scratch.
        steps:  int64[CLASSES, 3], out: (extent below, extent above, count).
        lower, upper: int64[size + 1], zeroed, out: number of (instance, step) pairs by extent.
    Returns: (kinds of step, first below, first above, last below, last above, tile, largest increment),
            kinds -1 if there are too many.
    """
    terms = n.size
    total_steps = 1
    for k in range(terms):
        total_steps *= (n[k] + s[k] - 1) // s[k]
    step = np.zeros(terms, np.int64)
    coordinate = np.zeros(terms, np.int64)
    kinds = 0
    stamp = 0
    first_below = first_above = last_below = last_above = tile = fresh = 0
    before = np.zeros(terms, np.int64)
    for index in range(total_steps):
        rest = index
        for k in range(terms - 1, -1, -1):
            count = (n[k] + s[k] - 1) // s[k]
            step[k] = rest % count
            rest //= count
        inside_run = False
        for k in range(terms):
            before[k] = step[k]
            if run[k] > 0 and step[k] % run[k] != 0:
                before[k] = step[k] - 1
                inside_run = True
        most_below = most_above = 0
        for side in range(2):
            instances = 1
            for k in range(terms):
                instances *= u[k] // (above[k] if side else below[k])
            for instance in range(instances):
                rest = instance
                points = 1
                for k in range(terms - 1, -1, -1):
                    part = above[k] if side else below[k]
                    across = u[k] // part
                    coordinate[k] = rest % across
                    rest //= across
                    points *= (s[k] // u[k]) * part
                stamp += 1
                extent = moved = 0
                # Where a run goes on, first mark what the instance held in the step before.
                for pass_ in range(0 if inside_run else 1, 2):
                    for number in range(points):
                        rest = number
                        inside = True
                        element = offset
                        for k in range(terms - 1, -1, -1):
                            part = above[k] if side else below[k]
                            held = (s[k] // u[k]) * part
                            local = rest % held
                            rest //= held
                            at = step[k] if pass_ else before[k]
                            x = at * s[k] + (local // part) * u[k] + coordinate[k] * part + local % part
                            if x >= n[k]:
                                inside = False
                                break
                            element += coefficient[k] * x
                        if not inside or element < 0 or element >= size or stamps[pass_, element] == stamp:
                            continue
                        stamps[pass_, element] = stamp
                        if pass_:
                            extent += 1
                            if not inside_run or stamps[0, element] != stamp:
                                moved += 1
                if moved > 0:
                    if side:
                        upper[moved] += 1
                    else:
                        lower[moved] += 1
                if side:
                    most_above = max(most_above, moved)
                else:
                    most_below = max(most_below, moved)
                    tile = max(tile, extent)
                    if inside_run:
                        fresh = max(fresh, moved)
        if index == 0:
            first_below, first_above = most_below, most_above
        if index == total_steps - 1:
            last_below, last_above = most_below, most_above
        found = False
        for kind in range(kinds):
            if steps[kind, 0] == most_below and steps[kind, 1] == most_above:
                steps[kind, 2] += 1
                found = True
                break
        if not found:
            if kinds == steps.shape[0]:
                return -1, 0, 0, 0, 0, 0, 0
            steps[kinds, 0] = most_below
            steps[kinds, 1] = most_above
            steps[kinds, 2] = 1
            kinds += 1
    return kinds, first_below, first_above, last_below, last_above, tile, fresh


@kernel
def axis_profiles(
    n: Ints,
    tiles: Ints,
    u: Ints,
    below: Ints,
    above: Ints,
    coefficient: Ints,
    run: Ints,
    offset: int,
    size: int,
    steps: Ints,
    steps_count: Ints,
    lower: Ints,
    lower_count: Ints,
    upper: Ints,
    upper_count: Ints,
    ends: Ints,
) -> bool:
    """`axis_profile` for every row of `tiles` (int64[N, T]), compressed; False where a table is too short.

    Args: steps: int64[N, C, 3], lower, upper: int64[N, C, 2], their counts int64[N], ends: int64[N, 6], all out.
    """
    stamps = np.zeros((2, size), np.int64)
    low = np.zeros(size + 1, np.int64)
    high = np.zeros(size + 1, np.int64)
    for row in range(tiles.shape[0]):
        stamps[:, :] = 0
        low[:] = 0
        high[:] = 0
        kinds, b0, a0, b1, a1, tile, fresh = axis_profile(
            n, tiles[row], u, below, above, coefficient, run, offset, size, stamps, steps[row], low, high
        )
        if kinds < 0:
            return False
        steps_count[row] = kinds
        ends[row, 0] = b0
        ends[row, 1] = a0
        ends[row, 2] = b1
        ends[row, 3] = a1
        ends[row, 4] = tile
        ends[row, 5] = fresh
        for extent in range(1, size + 1):
            if low[extent] > 0:
                if lower_count[row] == lower.shape[1]:
                    return False
                lower[row, lower_count[row], 0] = extent
                lower[row, lower_count[row], 1] = low[extent]
                lower_count[row] += 1
            if high[extent] > 0:
                if upper_count[row] == upper.shape[1]:
                    return False
                upper[row, upper_count[row], 0] = extent
                upper[row, upper_count[row], 1] = high[extent]
                upper_count[row] += 1
    return True


@kernel
def cut_rows(
    axis_of_row: Ints,
    steps: Ints,
    steps_count: Ints,
    lower: Ints,
    lower_count: Ints,
    upper: Ints,
    upper_count: Ints,
    ends: Ints,
    end: int,
    run_axis: int,
    ways: Ints,
    pipes: Ints,
    kinds_room: int,
    sets_room: int,
    moved: Ints,
    spent: Ints,
    shape: Ints,
) -> None:
    """What the steps of one cut move at every choice of tile sizes of the dims that index its operand.

    Args:
        axis_of_row: int64[S, A] profile number of each axis.
        steps: int64[N, C, 3] and its counts, lower/upper: int64[N, C, 2] and theirs, ends: int64[N, 6] of all profiles.
        end:   column of `ends` with the extents of the transfer at the end: 0 the first step, 2 the last.
        run_axis: the axis along which tiles re-use their overlap, or -1.
        ways:  int64[W, 5]: width [bit], first and last + 1 of its pipes, latency of its links, least cycles. Ways are
               the kinds of transfer: of an input down; of an output up finished, up as partial sums, and back down.
        pipes: int64[P, 5]: rate numerator, rate denominator, access bits, above, link.
        kinds_room, sets_room: most kinds of step, and of extents, that any row may have.
        moved: int64[S, P, 3], out: bits and accesses in one active instance, busy cycles, all of one visit.
        spent: int64[S, W], out: cycles of all transfers of one visit.
        shape: int64[S, 4], zeroed, out: cycles of the end transfer, steps of one visit, elements of a tile, of its next
               increment.
    """
    axes = axis_of_row.shape[1]
    combined = np.zeros((kinds_room, 3), np.int64)
    spare = np.zeros((kinds_room, 3), np.int64)
    instances = np.zeros((sets_room, 2), np.int64)
    spare2 = np.zeros((sets_room, 2), np.int64)
    for row in range(axis_of_row.shape[0]):
        kinds = 1
        combined[0, 0] = combined[0, 1] = combined[0, 2] = 1
        tile = fresh = 1
        end_b = end_a = 1
        for a in range(axes):
            p = axis_of_row[row, a]
            tile *= ends[p, 4]
            fresh *= ends[p, 5] if a == run_axis else ends[p, 4]
            end_b *= ends[p, end]
            end_a *= ends[p, end + 1]
            more = 0
            for i in range(kinds):
                for j in range(steps_count[p]):
                    spare[more, 0] = combined[i, 0] * steps[p, j, 0]
                    spare[more, 1] = combined[i, 1] * steps[p, j, 1]
                    spare[more, 2] = combined[i, 2] * steps[p, j, 2]
                    more += 1
            combined, spare = spare, combined
            kinds = more
        distinct = 0
        for i in range(kinds):
            distinct += combined[i, 2]
        shape[row, 1] = distinct
        shape[row, 2] = tile
        shape[row, 3] = fresh
        for w in range(ways.shape[0]):
            bits, first, last = ways[w, 0], ways[w, 1], ways[w, 2]
            # Time: kinds of step.
            for i in range(kinds):
                longest = ways[w, 4]
                for q in range(first, last):
                    load = combined[i, 1] if pipes[q, 3] else combined[i, 0]
                    cycles = (load * bits * pipes[q, 1] + pipes[q, 0] - 1) // pipes[q, 0]
                    moved[row, q, 2] += cycles * combined[i, 2]
                    longest = max(longest, cycles)
                if max(combined[i, 0], combined[i, 1]) > 0:
                    spent[row, w] += (longest + ways[w, 3]) * combined[i, 2]
            if w == 0 and max(end_a, end_b) > 0:
                longest = ways[w, 4]
                for q in range(first, last):
                    load = end_a if pipes[q, 3] else end_b
                    longest = max(longest, (load * bits * pipes[q, 1] + pipes[q, 0] - 1) // pipes[q, 0])
                shape[row, 0] = longest + ways[w, 3]
        # Energy: instances of each extent.
        for side in range(2):
            needed = False
            for q in range(pipes.shape[0]):
                if pipes[q, 3] == side:
                    needed = True
            if not needed:
                continue
            sets = 1
            instances[0, 0] = instances[0, 1] = 1
            for a in range(axes):
                p = axis_of_row[row, a]
                more = 0
                kinds_here = upper_count[p] if side else lower_count[p]
                for i in range(sets):
                    for j in range(kinds_here):
                        extent = upper[p, j, 0] if side else lower[p, j, 0]
                        count = upper[p, j, 1] if side else lower[p, j, 1]
                        spare2[more, 0] = instances[i, 0] * extent
                        spare2[more, 1] = instances[i, 1] * count
                        more += 1
                instances, spare2 = spare2, instances
                sets = more
            for w in range(ways.shape[0]):
                for q in range(ways[w, 1], ways[w, 2]):
                    if pipes[q, 3] != side:
                        continue
                    for i in range(sets):
                        load = instances[i, 0] * ways[w, 0]
                        moved[row, q, 0] += load * instances[i, 1]
                        if not pipes[q, 4]:
                            moved[row, q, 1] += (load + pipes[q, 2] - 1) // pipes[q, 2] * instances[i, 1]

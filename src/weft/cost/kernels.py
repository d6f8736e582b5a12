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
def active_instances(n: int, s: int, u: int, part: int, step: int) -> int:
    """Instances with any iteration of one dim in one step (`part` of the unrolling is served by one instance)."""
    active = 0
    for a in range(u // part):
        if step * s + a * part < n:
            active += 1
    return active


@kernel
def cut_tables(
    state_sizes: Ints,
    dim_sizes: Ints,
    unrolled: Ints,
    below: Ints,
    above: Ints,
    relevant: Ints,
    axis_of_state: Ints,
    steps: Ints,
    steps_count: Ints,
    lower: Ints,
    lower_count: Ints,
    upper: Ints,
    upper_count: Ints,
    ends: Ints,
    is_output: bool,
    width: int,
    sums: int,
    down: Ints,
    down_pj: Floats,
    up: Ints,
    up_pj: Floats,
    exposes: bool,
    doubled: bool,
    inner: bool,
    least: int,
    folds: int,
    run_axis: int,
    moved: Ints,
    out: Floats,
    room: Ints,
    partial: Ints,
) -> None:
    """Energy, exposed and end cycles, and busy cycles of one cut at every state.

    Args:
        state_sizes: int64[S, D] tile sizes of each state.      relevant: int64[D], 1 where the dim indexes the operand.
        axis_of_state: int64[S, A] profile number of each axis.
        steps: int64[N, C, 3] and its counts, lower/upper: int64[N, C, 2] and theirs, ends: int64[N, 6] of all profiles.
        down, up: int64[P, 6]: rate numerator, rate denominator, access bits, above, resource, link; *_pj: float64[P, 2]
                  (pJ per bit, latency cycles).
        exposes: the memory below has one copy.  doubled: it is double.  inner: the cut is not the array's own.
        least: least cycles of one transfer.     folds: skew cycles for each step (systolic), else 0.
        run_axis: the axis along which tiles re-use their overlap, or -1.
        moved: int64[S, P down + P up, 3], out: bits, accesses and busy cycles of each pipe.
        out: float64[S, 3 + R]: energy pJ, exposed cycles, fill or drain cycles, busy cycles per resource.
        room: int64[S] elements reserved below, copies included.   partial: int64[S] 1 where partial sums come back.
    """
    axes = axis_of_state.shape[1]
    dims = dim_sizes.size
    combined = np.zeros((4096, 3), np.int64)
    spare = np.zeros((4096, 3), np.int64)
    instances = np.zeros((4096, 2), np.int64)
    spare2 = np.zeros((4096, 2), np.int64)
    for state in range(state_sizes.shape[0]):
        # Visits over dims that do not index the operand.
        visits = 1
        every_b = every_a = first_b = first_a = last_b = last_a = 1
        for d in range(dims):
            if relevant[d]:
                continue
            s = state_sizes[state, d]
            count = (dim_sizes[d] + s - 1) // s
            visits *= count
            b0 = active_instances(dim_sizes[d], s, unrolled[d], below[d], 0)
            b1 = active_instances(dim_sizes[d], s, unrolled[d], below[d], count - 1)
            a0 = active_instances(dim_sizes[d], s, unrolled[d], above[d], 0)
            a1 = active_instances(dim_sizes[d], s, unrolled[d], above[d], count - 1)
            every_b *= b0 * (count - 1) + b1
            every_a *= a0 * (count - 1) + a1
            first_b *= b0
            first_a *= a0
            last_b *= b1
            last_a *= a1
        # Kinds of step, multiplied over axes.
        kinds = 1
        combined[0, 0] = combined[0, 1] = combined[0, 2] = 1
        tile = fresh = 1
        end_b = end_a = 1
        which = 2 if is_output else 0
        for a in range(axes):
            p = axis_of_state[state, a]
            tile *= ends[p, 4]
            fresh *= ends[p, 5] if a == run_axis else ends[p, 4]
            end_b *= ends[p, which]
            end_a *= ends[p, which + 1]
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
        total_steps = distinct * visits
        partial[state] = 1 if (is_output and visits > 1) else 0
        room[state] = tile + fresh if (doubled and total_steps > 1) else tile
        for f in range(out.shape[1]):
            out[state, f] = 0.0
        moved[state] = 0
        exposed = 0
        ends_cycles = 0
        # Way: 0 inputs down; 1 outputs up, last visit; 2 outputs up, earlier visits; 3 partial sums down.
        for way in range(4):
            if is_output != (way > 0):
                continue
            if way == 0:
                pipes, pj, bits, repeats, inst_b, inst_a = down, down_pj, width, visits, every_b, every_a
            elif way == 1:
                pipes, pj, bits, repeats, inst_b, inst_a = up, up_pj, width, 1, last_b, last_a
            elif way == 2:
                pipes, pj, bits, repeats = up, up_pj, sums, visits - 1
                inst_b, inst_a = every_b - last_b, every_a - last_a
            else:
                pipes, pj, bits, repeats = down, down_pj, sums, visits - 1
                inst_b, inst_a = every_b - first_b, every_a - first_a
            if repeats == 0:
                continue
            first_pipe = down.shape[0] if way == 1 or way == 2 else 0
            latency = 0
            for q in range(pipes.shape[0]):
                latency += int(pj[q, 1])
            # Time: kinds of step.
            for i in range(kinds):
                longest = least if way == 0 else 0
                for q in range(pipes.shape[0]):
                    load = combined[i, 1] if pipes[q, 3] else combined[i, 0]
                    cycles = (load * bits * pipes[q, 1] + pipes[q, 0] - 1) // pipes[q, 0]
                    moved[state, first_pipe + q, 2] += cycles * combined[i, 2] * repeats
                    longest = max(longest, cycles)
                if max(combined[i, 0], combined[i, 1]) > 0:
                    exposed += (longest + latency) * combined[i, 2] * repeats
            if way <= 1:
                longest = least if way == 0 else 0
                for q in range(pipes.shape[0]):
                    load = end_a if pipes[q, 3] else end_b
                    longest = max(longest, (load * bits * pipes[q, 1] + pipes[q, 0] - 1) // pipes[q, 0])
                if max(end_a, end_b) > 0:
                    ends_cycles = longest + latency
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
                    p = axis_of_state[state, a]
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
                active = inst_a if side else inst_b
                for q in range(pipes.shape[0]):
                    if pipes[q, 3] != side:
                        continue
                    for i in range(sets):
                        load = instances[i, 0] * bits
                        moved[state, first_pipe + q, 0] += load * instances[i, 1] * active
                        if not pipes[q, 5]:
                            accesses = (load + pipes[q, 2] - 1) // pipes[q, 2]
                            moved[state, first_pipe + q, 1] += accesses * instances[i, 1] * active
        for q in range(moved.shape[1]):
            upward = q >= down.shape[0]
            pipe = up[q - down.shape[0]] if upward else down[q]
            pj_per_bit = up_pj[q - down.shape[0], 0] if upward else down_pj[q, 0]
            priced = moved[state, q, 0] if pipe[5] else moved[state, q, 1] * pipe[2]
            out[state, 0] += float(priced) * pj_per_bit
            out[state, 3 + pipe[4]] += float(moved[state, q, 2])
        if inner:
            out[state, 2] = float(ends_cycles)
            if exposes:
                out[state, 1] += float(exposed - ends_cycles)
        if folds > 0:
            out[state, 1] += float(folds * total_steps)

"""Label setting over (state, stage): the search kernel. Shapes are given where arrays come in; it raises nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from weft._jit import kernel
from weft.cost.kernels import Floats, Ints

Chain = np.ndarray[Any, np.dtype[np.int32]]
Flags = np.ndarray[Any, np.dtype[np.uint8]]

LATENCY, ENERGY, EDP, ROOM = 0, 1, 2, 3
"""Objective numbers; ROOM + m is the bits that tiles reserve in memory m."""

OPERAND, BELOW, ABOVE, FIRST_ROW, FIRST_VISIT, MEMORY, WIDTH, SUMS, GOES_ON = 0, 1, 2, 3, 4, 5, 6, 7, 8
"""Columns of a cut: its operand; the place below it + 1 and the one above; where its rows and visitings begin in the
tables; the column of the memory below, or -1 for the array, whose cut closes only while the tile is the array's; bits
per element finished and, of an output, as partial sums (else 0); 1 where the place above is not the operand's last."""

USED, FREE, COMPARED, RECORDS, MADE, NODE, MORE = 0, 1, 2, 3, 4, 5, 6
"""What a search counts: labels ever used, the first of those free again, comparisons, records, labels made; and the
next node, and how many labels and records may come of it."""


TIED = 2e-12
"""What is at most this part below the limit ties with what the limit was made of."""


@kernel
def objective_value(
    labels: Floats,
    label: int,
    rest: Floats,
    compute: float,
    active: float,
    num_resources: int,
    objective: int,
    num_joint: int,
    unit: tuple[float, float, float],
) -> tuple[float, float]:
    """(objective, tie-breaker) of a label plus what at least remains; infinite where that takes longer than unit[2].
    Columns: energy, exposed, ends, busy..., room..., partial sums, `num_joint` weighed sums of the first ones.

    Each column's least may come of another way to go on; of a weighed sum the least is of one way, and stands in
    `rest` behind the busy columns. For EDP a sum is energy / unit[0] + a part of latency / unit[1].
    """
    steady = compute + labels[label, 1] + rest[1]
    for r in range(num_resources):
        steady = max(steady, labels[label, 3 + r] + rest[3 + r])
    latency = steady + labels[label, 2] + rest[2]
    energy = labels[label, 0] + rest[0] + active * latency
    room = labels[label, num_resources + objective]
    together = 0.0
    for k in range(num_joint):
        together = max(together, labels[label, labels.shape[1] - num_joint + k] + rest[3 + num_resources + k])
    value, beside = max(latency, together), energy
    if objective == ENERGY:
        value, beside = max(energy, together), latency
    elif objective == EDP:
        x, y = energy / unit[0], latency / unit[1]
        value, beside = energy * latency, energy
        if together > x + y:
            # Of all points above and right of (x, y) with this sum at least, an end of the line has the least product.
            value = unit[0] * unit[1] * min(x * (together - x), y * (together - y))
    elif objective >= ROOM:
        value = room
    if latency > unit[2]:
        value = beside = np.inf
    return value, beside


@kernel
def search(
    stage_digits: Ints,
    stage_of: Ints,
    grow_start: Ints,
    grow_to: Ints,
    row_of: Ints,
    visit_of: Ints,
    cuts: Ints,
    terms: Floats,
    tiles: Ints,
    factors: Floats,
    capacity: Ints,
    least: Floats,
    first_least: Ints,
    comes: Ints,
    start: Floats,
    compute: float,
    active: float,
    joint: Floats,
    unit: tuple[float, float, float],
    objective: int,
    beam: int,
    most: int,
    patience: int,
    narrow: int,
    limit: tuple[float, float],
    num_resources: int,
) -> tuple[int, Ints, int, float, float]:
    """Best chain of cuts.

    A node is (state, stage); a stage says for each operand which place its tile has reached. Labels move to a larger
    state (free) or close a cut of one operand at their state (the cut's cost). Kept per node: the labels that no other
    dominates in every column. A column that no later cut asks for is cleared: room where nothing more can come,
    partial sums of an output that has reached its last place.
    Args:
        stage_digits: int64[G, X] place reached + 1 per operand.   stage_of: int64[G, X, L] stage after operand x
            reaches place l, or -1.   grow_start/grow_to: successor states, CSR.
        row_of, visit_of: int64[X, S] a state's row and visiting in the tables of operand x.
        cuts: int64[N, 9], columns as named above.
        terms: float64[., 11 + 2 R], tiles: int64[., 3], factors: float64[., 9]: see `mapper.pack`.
        capacity: int64[M].
        least: float64[., 3 + R + K], first_least: int64[X, L + 2]: least still to come for an operand that has reached
            a place, by its row (infinite where nothing fits).   comes: int64[G, M] 1 where room may still be taken.
        start: float64[F] first label.   joint: float64[K, 4 + R], weights of columns in each sum, the last a constant.
        unit: see `objective_value`.
        beam: most labels of a node, 0 for any number, but `narrow` once `patience` labels were compared.
        most: labels of all nodes together.
        limit: prune above this, and of what ties with it above this tie-breaker.
    Returns: (record of the best label or -1; int64[., 3] of each record: the one before, the cut closed, the state;
            labels made; its objective; the least that a label which was left out for want of room could have led to:
            both infinite where there is none).
    """
    num_stages = stage_digits.shape[0]
    num_states = row_of.shape[1]
    # Most nodes have few labels and many none: labels lie in one pool, in a list per node (0: its end).
    size = 1 << 10
    labels = np.empty((size, start.size), np.float64)
    keys = np.empty((size, 2), np.float64)
    records = np.empty(size, np.int64)
    follows = np.zeros(size, np.int32)
    history = np.empty((size, 3), np.int64)
    head = np.zeros(num_states * num_stages, np.int32)
    reached = np.zeros(num_states, np.uint8)
    counts = np.zeros(7, np.int64)
    crossed = np.empty(least.shape[1], np.float64)
    rest = np.empty(least.shape[1], np.float64)
    floor = np.inf
    labels[1] = start
    records[1] = -1
    head[0] = reached[0] = counts[USED] = 1
    while counts[NODE] < head.size:
        while counts[USED] + counts[MORE] >= size and size <= most:
            labels, keys, records, follows = enlarged(labels, keys, records, follows)
            size *= 2
        while counts[RECORDS] + counts[MORE] > history.shape[0]:
            history = longer(history)
        lost = expand(
            stage_digits,
            stage_of,
            grow_start,
            grow_to,
            row_of,
            visit_of,
            cuts,
            terms,
            tiles,
            factors,
            capacity,
            least,
            first_least,
            comes,
            compute,
            active,
            joint,
            unit,
            objective,
            beam,
            most,
            patience,
            narrow,
            limit,
            num_resources,
            labels,
            keys,
            records,
            follows,
            history,
            head,
            reached,
            counts,
            crossed,
            rest,
        )
        floor = min(floor, lost)
    best = head[head.size - 1]
    if not best:
        return -1, history, counts[MADE], np.inf, floor
    here = follows[best]
    while here:
        if (keys[here, 0], keys[here, 1]) < (keys[best, 0], keys[best, 1]):
            best = here
        here = follows[here]
    return records[best], history, counts[MADE], keys[best, 0], floor


@kernel
def expand(
    stage_digits: Ints,
    stage_of: Ints,
    grow_start: Ints,
    grow_to: Ints,
    row_of: Ints,
    visit_of: Ints,
    cuts: Ints,
    terms: Floats,
    tiles: Ints,
    factors: Floats,
    capacity: Ints,
    least: Floats,
    first_least: Ints,
    comes: Ints,
    compute: float,
    active: float,
    joint: Floats,
    unit: tuple[float, float, float],
    objective: int,
    beam: int,
    most: int,
    patience: int,
    narrow: int,
    limit: tuple[float, float],
    num_resources: int,
    labels: Floats,
    keys: Floats,
    records: Ints,
    follows: Chain,
    history: Ints,
    head: Chain,
    reached: Flags,
    counts: Ints,
    crossed: Floats,
    rest: Floats,
) -> float:
    """Hands the labels of a node on: to later stages, by each cut that may be closed here, and to the next states.

    A label is made in row 0 of the pool, which is nobody's. It is added unless one there is no worse; those that it is
    no worse than leave. Of a full node the worst goes; a full pool takes no more.
    (Arrays are indexed in place, never reassigned, and go to kernels with one way out: else each reference to them is
    counted, which takes longer than the search.)
    Args:    as in `search`; `crossed` and `rest` are scratch.   counts: where it goes on, and stops for want of room.
    Returns: the least that a label which was left out could have led to.
    """
    num_stages, num_memories, num_joint = stage_digits.shape[0], capacity.size, joint.shape[0]
    columns, compared = 3 + num_resources, 4 + num_resources + num_memories
    floor = np.inf
    tied = limit[0] * (1 - TIED)
    while counts[NODE] < head.size:
        source = counts[NODE]
        state, stage = source // num_stages, source % num_stages
        if not reached[state] or not head[source]:
            counts[NODE] += 1 if reached[state] else num_stages
            continue
        # Each label may close every cut and grow to every next state.
        num_ways = cuts.shape[0] + grow_start[state + 1] - grow_start[state]
        counts[MORE] = length(follows, head[source]) * num_ways
        short = counts[USED] + counts[MORE] >= records.size and records.size <= most
        if short or counts[RECORDS] + counts[MORE] > history.shape[0]:
            break
        if not beam and counts[COMPARED] > patience:
            beam = narrow
        for way in range(num_ways):
            closes = way < cuts.shape[0]
            memory, output, partial_after, elements = -1, False, 0.0, 0
            state_there, stage_there = state, stage
            if closes:
                x = cuts[way, OPERAND]
                output = cuts[way, SUMS] > 0
                memory = cuts[way, MEMORY]
                inside = row_of[x, state] > 0 or (output and visit_of[x, state] > 0)
                if stage_digits[stage, x] != cuts[way, BELOW] or (memory < 0 and inside):
                    continue
                stage_there = stage_of[stage, x, cuts[way, ABOVE]]
                row = cuts[way, FIRST_ROW] + row_of[x, state]
                visit = cuts[way, FIRST_VISIT] + visit_of[x, state]
                visits = factors[visit, 8]
                crossing(crossed, terms, row, factors, visit, joint, num_resources)
                elements = tiles[row, 0] + (tiles[row, 1] if tiles[row, 2] * visits > 1 else 0)
                partial_after = 1.0 if output and cuts[way, GOES_ON] and visits > 1 else 0.0
            else:
                state_there = grow_to[grow_start[state] + way - cuts.shape[0]]
            possible = remaining(rest, least, first_least, stage_digits, stage_there, row_of, state_there)
            there = state_there * num_stages + stage_there
            here = head[source] if possible else 0
            while here:
                label = here
                here = follows[here]
                # To a larger state a label may have come another way.
                if not closes and holds(records, follows, head[there], records[label]):
                    continue
                for f in range(labels.shape[1]):
                    labels[0, f] = labels[label, f]
                if closes:
                    for f in range(columns):
                        labels[0, f] += crossed[f]
                    for k in range(num_joint):
                        labels[0, compared + k] += crossed[columns + k]
                    if memory >= 0:
                        partial = output and labels[label, compared - 1] > 0
                        labels[0, columns + memory] += float(elements * cuts[way, SUMS if partial else WIDTH])
                        if labels[0, columns + memory] > capacity[memory]:
                            continue
                    if output:
                        labels[0, compared - 1] = partial_after
                    for m in range(num_memories):
                        if not comes[stage_there, m]:
                            labels[0, columns + m] = 0.0
                first, second = objective_value(
                    labels, 0, rest, compute, active, num_resources, objective, num_joint, unit
                )
                if first > limit[0] or first == np.inf or (first > tied and second > limit[1]):
                    continue
                counts[MADE] += closes
                # Compare it with those there.
                before = count = worst = taken = 0
                beaten = False
                other = head[there]
                while other and not beaten:
                    counts[COMPARED] += 1
                    after = follows[other]
                    beaten = no_worse(labels, other, 0, compared)
                    if not beaten and no_worse(labels, 0, other, compared):
                        if before:
                            follows[before] = after
                        else:
                            head[there] = after
                        follows[other] = counts[FREE]
                        counts[FREE] = other
                    else:
                        count += 1
                        if beam and (not worst or (keys[other, 0], keys[other, 1]) > (keys[worst, 0], keys[worst, 1])):
                            worst = other
                        before = other
                    other = after
                if beaten:
                    continue
                # Find a row for it.
                if beam and count >= beam:
                    if (first, second) >= (keys[worst, 0], keys[worst, 1]):
                        floor = min(floor, first)
                        continue
                    floor = min(floor, keys[worst, 0])
                    taken = worst
                else:
                    taken = counts[FREE]
                    if taken:
                        counts[FREE] = follows[taken]
                    elif counts[USED] == most:
                        floor = min(floor, first)
                        continue
                    else:
                        counts[USED] += 1
                        taken = counts[USED]
                    follows[taken] = 0
                    if before:
                        follows[before] = taken
                    else:
                        head[there] = taken
                for f in range(labels.shape[1]):
                    labels[taken, f] = labels[0, f]
                keys[taken, 0] = first
                keys[taken, 1] = second
                records[taken] = records[label]
                reached[state_there] = 1
                if closes:
                    records[taken] = counts[RECORDS]
                    history[counts[RECORDS], 0] = records[label]
                    history[counts[RECORDS], 1] = way
                    history[counts[RECORDS], 2] = state
                    counts[RECORDS] += 1
        counts[NODE] += 1
        if counts[NODE] < head.size:
            release(head, follows, counts, source)
    return floor


@kernel
def no_worse(labels: Floats, one: int, other: int, compared: int) -> bool:
    """Whether a label is at most another in each of the first `compared` columns."""
    f = 0
    while f < compared and labels[one, f] <= labels[other, f]:
        f += 1
    return f == compared


@kernel
def crossing(
    out: Floats, terms: Floats, row: int, factors: Floats, visit: int, joint: Floats, num_resources: int
) -> None:
    """What a cut adds to energy, exposed, ends, busy columns and their weighed sums: products of terms and factors."""
    columns = 3 + num_resources
    out[0] = 0.0
    for k in range(6):
        out[0] += terms[row, k] * factors[visit, k]
    first, second, visits = factors[visit, 6], factors[visit, 7], factors[visit, 8]
    out[1] = terms[row, 6] * first + terms[row, 7] * second + terms[row, 8] * visits - terms[row, 9]
    out[2] = terms[row, 10]
    for r in range(num_resources):
        out[3 + r] = terms[row, 11 + r] * first + terms[row, 11 + num_resources + r] * second
    for k in range(joint.shape[0]):
        out[columns + k] = 0.0
        for f in range(columns):
            out[columns + k] += joint[k, f] * out[f]


@kernel
def longer(history: Ints) -> Ints:
    """The same records with twice the room."""
    more = np.empty((2 * history.shape[0], history.shape[1]), np.int64)
    more[: history.shape[0]] = history
    return more


@kernel
def enlarged(labels: Floats, keys: Floats, records: Ints, follows: Chain) -> tuple[Floats, Floats, Ints, Chain]:
    """The pool of labels with twice the room."""
    size = records.size
    more_labels = np.empty((2 * size, labels.shape[1]), np.float64)
    more_keys = np.empty((2 * size, 2), np.float64)
    more_records = np.empty(2 * size, np.int64)
    more_follows = np.zeros(2 * size, np.int32)
    more_labels[:size] = labels
    more_keys[:size] = keys
    more_records[:size] = records
    more_follows[:size] = follows
    return more_labels, more_keys, more_records, more_follows


@kernel
def remaining(out: Floats, least: Floats, first: Ints, digits: Ints, stage: int, row_of: Ints, state: int) -> bool:
    """The least that all operands still add after one node, column by column; False where one cannot go on."""
    for f in range(out.size):
        out[f] = 0.0
    for x in range(digits.shape[1]):
        row = first[x, digits[stage, x]] + row_of[x, state]
        for f in range(out.size):
            out[f] += least[row, f]
    return bool(out[0] < np.inf)


@kernel
def least_to_come(
    least: Floats,
    first: Ints,
    operand: int,
    num_places: int,
    last_visit: int,
    cuts: Ints,
    terms: Floats,
    tiles: Ints,
    factors: Floats,
    joint: Floats,
    capacity: Ints,
    grow_start: Ints,
    grow_to: Ints,
    num_resources: int,
) -> None:
    """The least that an operand adds once it has reached a place, for each row of its tables.

    Each column by itself, so it is admissible; tiles that alone are more than a memory has are left out. No choice of
    the dims that do not index the operand costs less than all of each inside: then every tile is visited once. (The
    array's own cut of an output is closed where nothing is inside.)
    Args:
        least:  float64[., 3 + R + K], out, infinite.   first: int64[X, L + 2]: its first row for operand and place.
        last_visit: the visiting with all of each other dim inside.   grow_start/grow_to: how rows lead on, CSR.
        The rest as in `search`.
    """
    num_rows, columns = grow_start.size - 1, least.shape[1]
    crossed = np.empty(columns, np.float64)
    least[first[operand, num_places] : first[operand, num_places] + num_rows] = 0.0
    for place in range(num_places - 1, -1, -1):
        here = first[operand, place]
        for cut in range(cuts.shape[0]):
            if cuts[cut, OPERAND] != operand or cuts[cut, BELOW] != place:
                continue
            memory, after = cuts[cut, MEMORY], first[operand, cuts[cut, ABOVE] + 1]
            visit = cuts[cut, FIRST_VISIT] + (0 if memory < 0 and cuts[cut, SUMS] else last_visit)
            for number in range(num_rows if memory >= 0 else 1):
                row = cuts[cut, FIRST_ROW] + number
                elements = tiles[row, 0] + (tiles[row, 1] if tiles[row, 2] * factors[visit, 8] > 1 else 0)
                if memory >= 0 and elements * cuts[cut, WIDTH] > capacity[memory]:
                    continue
                crossing(crossed, terms, row, factors, visit, joint, num_resources)
                for f in range(columns):
                    least[here + number, f] = min(least[here + number, f], crossed[f] + least[after + number, f])
        for number in range(num_rows - 1, -1, -1):
            for g in range(grow_start[number], grow_start[number + 1]):
                for f in range(columns):
                    least[here + number, f] = min(least[here + number, f], least[here + grow_to[g], f])


@kernel
def holds(records: Ints, follows: Chain, here: int, record: int) -> bool:
    """Whether a list of labels has one of a record."""
    while here and records[here] != record:
        here = follows[here]
    return here > 0


@kernel
def length(follows: Chain, here: int) -> int:
    """How many labels a list has."""
    count = 0
    while here:
        count += 1
        here = follows[here]
    return count


@kernel
def release(head: Chain, follows: Chain, counts: Ints, node: int) -> None:
    """Gives back the labels of a node that is done with."""
    here = head[node]
    while here:
        after = follows[here]
        follows[here] = counts[FREE]
        counts[FREE] = here
        here = after
    head[node] = 0

"""Label setting over (state, stage): the search kernel. Shapes are given where arrays come in; it raises nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from weft._jit import kernel
from weft.cost.kernels import Floats, Ints

Chain = np.ndarray[Any, np.dtype[np.int32]]

LATENCY, ENERGY, EDP, ROOM = 0, 1, 2, 3
"""Objective numbers; ROOM + m is the bits that tiles reserve in memory m."""


@kernel
def objective_value(
    vector: Floats,
    rest: Floats,
    compute: float,
    active: float,
    num_resources: int,
    objective: int,
    joint: Floats,
    unit: tuple[float, float, float],
) -> tuple[float, float]:
    """(objective, tie-breaker) of a label plus what at least remains; infinite where that takes longer than unit[2].
    Columns: energy, exposed, ends, busy...

    Each column's least may come of another way to go on. A row of `joint` weighs columns against one another: float64
    [K, 4 + R], the last a constant; of its sum the least is of one way, and stands in `rest` behind the columns. For
    EDP it is energy / unit[0] + a part of latency / unit[1].
    """
    steady = compute + vector[1] + rest[1]
    for r in range(num_resources):
        steady = max(steady, vector[3 + r] + rest[3 + r])
    latency = steady + vector[2] + rest[2]
    if latency > unit[2]:
        return np.inf, np.inf
    energy = vector[0] + rest[0] + active * latency
    if objective >= ROOM:
        return vector[num_resources + objective], energy
    columns = 3 + num_resources
    together = 0.0
    for k in range(joint.shape[0]):
        total = joint[k, columns] + rest[columns + k]
        for f in range(columns):
            total += joint[k, f] * vector[f]
        together = max(together, total)
    if objective == 0:
        return max(latency, together), energy
    if objective == 1:
        return max(energy, together), latency
    x, y = energy / unit[0], latency / unit[1]
    if together <= x + y:
        return energy * latency, latency
    # Of all points above and right of (x, y) with this sum at least, the product is least at an end of the line.
    return unit[0] * unit[1] * min(x * (together - x), y * (together - y)), latency


@kernel
def search(
    stage_digits: Ints,
    stage_of: Ints,
    grow_start: Ints,
    grow_to: Ints,
    row_of: Ints,
    visit_of: Ints,
    cut_start: Ints,
    cut_upper: Ints,
    cut_table: Ints,
    first_row: Ints,
    first_visit: Ints,
    terms: Floats,
    tiles: Ints,
    factors: Floats,
    cut_width: Ints,
    cut_sums: Ints,
    cut_memory: Ints,
    capacity: Ints,
    is_output: Ints,
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
    limit: float,
    num_resources: int,
) -> tuple[int, Ints, Ints, Ints, int, float, float]:
    """Best chain of cuts.

    A node is (state, stage); a stage says for each operand which place its tile has reached. Labels move to a larger
    state (free) or close a cut of one operand at their state (the cut's cost). Kept per node: the labels that no other
    dominates in every column. A column that no later cut asks for is cleared: room where nothing more can come,
    partial sums of an output that has reached its last place.
    Args:
        stage_digits: int64[G, X] place reached + 1 per operand.   stage_of: int64[G, X, L] stage after operand x
            reaches place l, or -1.   grow_start/grow_to: successor states, CSR.
        row_of, visit_of: int64[X, S] a state's row and visiting in the tables of operand x.
        cut_start: int64[X, L + 2] into cut_upper, cut_table by (operand, place reached + 1).
        first_row, first_visit: int64[N] where the rows and visitings of a cut begin in
            terms: float64[., 11 + 2 R], tiles: int64[., 3] and factors: float64[., 9] (see `mapper.pack`).
        cut_width, cut_sums: bits per element finished and as partial sums.   cut_memory: column of the memory below,
            or -1 for the array, whose cut closes only while the tile is the array's.   capacity: int64[M].
        least: float64[., 3 + R + K], first_least: int64[X, L + 2]: least still to come for an operand that has reached
            a place, by its row (infinite where nothing fits).   comes: int64[G, M] 1 where room may still be taken.
        start: float64[F] first label.   joint, unit: see `objective_value`.
        beam: most labels of a node, 0 for any number, but `narrow` once `patience` labels were compared.
        most: labels of all nodes together.
        limit: prune above this.
    Returns: (record of the best label or -1, parents, cut numbers, states, labels made, its objective, the least that
            a label which was left out for want of room could have led to: both infinite where there is none).
    """
    num_stages, num_operands = stage_digits.shape
    num_states = row_of.shape[1]
    fields = start.size
    # Most nodes have few labels and many none: labels lie in one pool, in a list per node (0: its end).
    labels = np.empty((1 << 10, fields), np.float64)
    keys = np.empty((1 << 10, 2), np.float64)
    records = np.empty(1 << 10, np.int64)
    follows = np.zeros(1 << 10, np.int32)
    head = np.zeros(num_states * num_stages, np.int32)
    reached = np.zeros(num_states, np.uint8)
    pool = np.zeros(3, np.int64)  # labels ever used, first of those free again, labels compared
    size = 1 << 12
    parents = np.empty(size, np.int64)
    cuts = np.empty(size, np.int64)
    states = np.empty(size, np.int64)
    num_records = 0
    made = 0
    floor = np.inf
    vector = np.empty(fields, np.float64)
    rest = np.empty(least.shape[1], np.float64)
    remaining(rest, least, first_least, stage_digits[0], row_of, 0)
    insert(
        labels,
        keys,
        records,
        follows,
        head,
        pool,
        0,
        start,
        objective_value(start, rest, compute, active, num_resources, objective, joint, unit),
        -1,
        0,
        most,
    )
    reached[0] = 1
    for state in range(num_states):
        if not reached[state]:
            continue
        if not beam and pool[2] > patience:
            beam = narrow
        for stage in range(num_stages):
            here = head[state * num_stages + stage]
            while here:
                # Close a cut here.
                for x in range(num_operands):
                    digit = stage_digits[stage, x]
                    for c in range(cut_start[x, digit], cut_start[x, digit + 1]):
                        number = cut_table[c]
                        memory = cut_memory[number]
                        if memory < 0 and (row_of[x, state] > 0 or (is_output[x] and visit_of[x, state] > 0)):
                            continue
                        row = first_row[number] + row_of[x, state]
                        visit = first_visit[number] + visit_of[x, state]
                        visits = factors[visit, 8]
                        for f in range(3 + num_resources, fields):
                            vector[f] = labels[here, f]
                        if memory >= 0:
                            bits = cut_width[number]
                            if is_output[x] and labels[here, fields - 1] > 0:
                                bits = cut_sums[number]
                            elements = tiles[row, 0]
                            if tiles[row, 2] * visits > 1:
                                elements += tiles[row, 1]
                            column = 3 + num_resources + memory
                            vector[column] += float(elements * bits)
                            if vector[column] > capacity[memory]:
                                continue
                        cross(vector, labels[here], terms[row], factors[visit], num_resources)
                        target_stage = stage_of[stage, x, cut_upper[c]]
                        if is_output[x]:
                            place = stage_digits[target_stage, x]
                            goes_on = cut_start[x, place] < cut_start[x, place + 1]
                            vector[fields - 1] = 1.0 if goes_on and visits > 1 else 0.0
                        for m in range(capacity.size):
                            if not comes[target_stage, m]:
                                vector[3 + num_resources + m] = 0.0
                        if not remaining(rest, least, first_least, stage_digits[target_stage], row_of, state):
                            continue
                        key = objective_value(vector, rest, compute, active, num_resources, objective, joint, unit)
                        if key[0] > limit or key[0] == np.inf:
                            continue
                        made += 1
                        if num_records == size:
                            parents, cuts, states = longer(parents), longer(cuts), longer(states)
                            size *= 2
                        if pool[0] + 1 == records.size:
                            labels, keys, records, follows = enlarged(labels, keys, records, follows)
                        added, lost = insert(
                            labels,
                            keys,
                            records,
                            follows,
                            head,
                            pool,
                            state * num_stages + target_stage,
                            vector,
                            key,
                            num_records,
                            beam,
                            most,
                        )
                        floor = min(floor, lost)
                        if added:
                            parents[num_records] = records[here]
                            cuts[num_records] = number
                            states[num_records] = state
                            num_records += 1
                # Grow to the next states.
                for g in range(grow_start[state], grow_start[state + 1]):
                    if not remaining(rest, least, first_least, stage_digits[stage], row_of, grow_to[g]):
                        continue
                    key = objective_value(labels[here], rest, compute, active, num_resources, objective, joint, unit)
                    if key[0] > limit or key[0] == np.inf:
                        continue
                    if pool[0] + 1 == records.size:
                        labels, keys, records, follows = enlarged(labels, keys, records, follows)
                    added, lost = insert(
                        labels,
                        keys,
                        records,
                        follows,
                        head,
                        pool,
                        grow_to[g] * num_stages + stage,
                        labels[here],
                        key,
                        records[here],
                        beam,
                        most,
                    )
                    reached[grow_to[g]] |= added
                    floor = min(floor, lost)
                here = follows[here]
        if state < num_states - 1:
            for stage in range(num_stages):
                release(head, follows, pool, state * num_stages + stage)
    best = head[num_states * num_stages - 1]
    if not best:
        return -1, parents, cuts, states, made, np.inf, floor
    here = follows[best]
    while here:
        if (keys[here, 0], keys[here, 1]) < (keys[best, 0], keys[best, 1]):
            best = here
        here = follows[here]
    return records[best], parents, cuts, states, made, keys[best, 0], floor


@kernel
def cross(out: Floats, label: Floats, terms: Floats, factors: Floats, num_resources: int) -> None:
    """Energy, exposed, ends and busy columns of a label after a cut: what it had and products of terms and factors."""
    energy = label[0]
    for k in range(6):
        energy += terms[k] * factors[k]
    out[0] = energy
    out[1] = label[1] + terms[6] * factors[6] + terms[7] * factors[7] + terms[8] * factors[8] - terms[9]
    out[2] = label[2] + terms[10]
    for r in range(num_resources):
        out[3 + r] = label[3 + r] + terms[11 + r] * factors[6] + terms[11 + num_resources + r] * factors[7]


@kernel
def longer(values: Ints) -> Ints:
    """The same values with twice the room."""
    more = np.empty(2 * values.size, np.int64)
    more[: values.size] = values
    return more


@kernel
def enlarged(labels: Floats, keys: Floats, records: Ints, follows: Chain) -> tuple[Floats, Floats, Ints, Chain]:
    """The pool of labels with twice the room."""
    size = records.size
    more_labels = np.empty((2 * size, labels.shape[1]), np.float64)
    more_keys = np.empty((2 * size, 2), np.float64)
    more_follows = np.zeros(2 * size, np.int32)
    more_labels[:size] = labels
    more_keys[:size] = keys
    more_follows[:size] = follows
    return more_labels, more_keys, longer(records), more_follows


@kernel
def remaining(out: Floats, least: Floats, first: Ints, digits: Ints, row_of: Ints, state: int) -> bool:
    """The least that all operands still add after one node, column by column; False where one cannot go on."""
    for f in range(out.size):
        out[f] = 0.0
    for x in range(digits.size):
        row = first[x, digits[x]] + row_of[x, state]
        if least[row, 0] == np.inf:
            return False
        for f in range(out.size):
            out[f] += least[row, f]
    return True


@kernel
def reachable_least(values: Floats, grow_start: Ints, grow_to: Ints) -> None:
    """In place, float64[S, F]: the least of each column over a row and all larger ones that lead on from it."""
    for row in range(values.shape[0] - 1, -1, -1):
        for g in range(grow_start[row], grow_start[row + 1]):
            for f in range(values.shape[1]):
                values[row, f] = min(values[row, f], values[grow_to[g], f])


@kernel
def insert(
    labels: Floats,
    keys: Floats,
    records: Ints,
    follows: Chain,
    head: Chain,
    pool: Ints,
    node: int,
    vector: Floats,
    key: tuple[float, float],
    record: int,
    beam: int,
    most: int,
) -> tuple[bool, float]:
    """Add a label to a node unless one there is no worse; those that it is no worse than leave.

    Args:
        labels, keys, records, follows: float64[P, F], float64[P, 2], int64[P], int32[P]: the pool, with room for one.
        head: int32[nodes]: each node's first label.
        pool: int64[3]: labels ever used, first of those free again, compared.
        beam, most: of a full node the worst goes; a full pool takes no more.
    Returns: (whether it was added, the objective of a label left out for want of room or infinity).
    """
    before = count = worst = 0
    here = head[node]
    while here:
        pool[2] += 1
        better = worse = False
        for f in range(vector.size):
            if labels[here, f] < vector[f]:
                better = True
            elif labels[here, f] > vector[f]:
                worse = True
            if better and worse:
                break
        if not worse:
            return False, np.inf
        if better:
            count += 1
            if not worst or (keys[here, 0], keys[here, 1]) > (keys[worst, 0], keys[worst, 1]):
                worst = here
            before, here = here, follows[here]
            continue
        after = follows[here]
        if before:
            follows[before] = after
        else:
            head[node] = after
        follows[here] = pool[1]
        pool[1] = here
        here = after
    lost = np.inf
    if beam and count >= beam:
        if (key[0], key[1]) >= (keys[worst, 0], keys[worst, 1]):
            return False, key[0]
        here = worst
        lost = keys[worst, 0]
    else:
        here = pool[1]
        if here:
            pool[1] = follows[here]
        elif pool[0] == most:
            return False, key[0]
        else:
            pool[0] += 1
            here = pool[0]
        if before:
            follows[before] = here
        else:
            head[node] = here
        follows[here] = 0
    labels[here] = vector
    keys[here, 0] = key[0]
    keys[here, 1] = key[1]
    records[here] = record
    return True, lost


@kernel
def release(head: Chain, follows: Chain, pool: Ints, node: int) -> None:
    """Gives back the labels of a node that is done with."""
    here = head[node]
    while here:
        after = follows[here]
        follows[here] = pool[1]
        pool[1] = here
        here = after
    head[node] = 0

"""Label setting over (state, stage): the search kernel. Shapes are given where arrays come in; it raises nothing."""

from __future__ import annotations

import numpy as np

from weft._jit import kernel
from weft.cost.kernels import Floats, Ints

LATENCY, ENERGY, EDP, ROOM = 0, 1, 2, 3
"""Objective numbers; ROOM + m is the bits that tiles reserve in memory m."""


@kernel
def objective_value(
    vector: Floats, rest: Floats, compute: float, active: float, num_resources: int, objective: int
) -> tuple[float, float]:
    """(objective, tie-breaker) of a label plus what at least remains. Columns: energy, exposed, ends, busy..."""
    steady = compute + vector[1] + rest[1]
    for r in range(num_resources):
        steady = max(steady, vector[3 + r] + rest[3 + r])
    latency = steady + vector[2] + rest[2]
    energy = vector[0] + rest[0] + active * latency
    if objective == 0:
        return latency, energy
    if objective == 1:
        return energy, latency
    if objective >= ROOM:
        return vector[num_resources + objective], energy
    return energy * latency, latency


@kernel
def search(
    num_states: int,
    stage_digits: Ints,
    stage_of: Ints,
    grow_start: Ints,
    grow_to: Ints,
    cut_start: Ints,
    cut_upper: Ints,
    cut_table: Ints,
    allowed: Ints,
    cost: Floats,
    room: Ints,
    partial: Ints,
    cut_width: Ints,
    cut_sums: Ints,
    cut_memory: Ints,
    capacity: Ints,
    is_output: Ints,
    least: Floats,
    comes: Ints,
    start: Floats,
    compute: float,
    active: float,
    objective: int,
    beam: int,
    limit: float,
    num_resources: int,
) -> tuple[int, Ints, Ints, Ints, int, float, float]:
    """Best chain of cuts.

    A node is (state, stage); a stage says for each operand which place its tile has reached. Labels move to a larger
    state (free) or close a cut of one operand at their state (the cut's cost). Kept per node: at most `beam` labels
    that no other dominates in every column. A column that no later cut asks for is cleared: room where nothing more
    can come, partial sums of an output that has reached its last place.
    Args:
        stage_digits: int64[G, X] place reached + 1 per operand.   stage_of: int64[G, X, L] stage after operand x
            reaches place l, or -1.   grow_start/grow_to: successor states, CSR.
        cut_start: int64[X, L + 2] into cut_upper, cut_table by (operand, place reached + 1).
        allowed: int8-like int64[N, S] 1 where the cut may be closed at the state.   cost: float64[N, S, 3 + R].
        room, partial: int64[N, S].   cut_width, cut_sums: bits per element finished and as partial sums.
        cut_memory: column of the memory below, or -1.   capacity: int64[M].   is_output: int64[X].
        least: float64[X, L + 1, S, 3 + R] least cost still to come for an operand that has reached a place, from a
            state on (infinite where nothing fits).   comes: int64[G, M] 1 where room may still be taken after a stage.
        start: float64[F] first label.   limit: prune above this.
    Returns: (record of the best label or -1, parents, cut numbers, states, labels made, its objective, the least that
            a label which the beam left out could have led to: both infinite where there is none).
    """
    num_stages, num_operands = stage_digits.shape
    fields = start.size
    num_nodes = num_states * num_stages
    # Most nodes have few labels and many none: labels lie in one pool, and a node knows where its own are.
    labels = np.empty((1 << 12, fields), np.float64)
    keys = np.empty((1 << 12, 2), np.float64)
    records = np.empty(1 << 12, np.int64)
    slots = np.empty((num_nodes, beam), np.int32)
    count = np.zeros(num_nodes, np.int64)
    owned = np.zeros(num_nodes, np.int64)
    pooled = 1
    size = 1 << 16
    parents = np.empty(size, np.int64)
    cuts = np.empty(size, np.int64)
    states = np.empty(size, np.int64)
    num_records = 0
    made = 0
    floor = np.inf
    vector = np.empty(fields, np.float64)
    rest = np.empty((num_nodes, least.shape[3]), np.float64)
    known = np.zeros(num_nodes, np.uint8)
    labels[0] = start
    remaining(rest[0], known, 0, least, stage_digits[0], 0)
    key = objective_value(start, rest[0], compute, active, num_resources, objective)
    keys[0, 0], keys[0, 1] = key
    records[0] = -1
    slots[0, 0] = 0
    count[0] = owned[0] = 1
    for state in range(num_states):
        for stage in range(num_stages):
            node = state * num_stages + stage
            for slot in range(count[node]):
                here = slots[node, slot]
                # Close a cut here.
                for x in range(num_operands):
                    digit = stage_digits[stage, x]
                    for c in range(cut_start[x, digit], cut_start[x, digit + 1]):
                        number = cut_table[c]
                        if not allowed[number, state]:
                            continue
                        target_stage = stage_of[stage, x, cut_upper[c]]
                        fits = True
                        for f in range(3 + num_resources):
                            vector[f] = labels[here, f] + cost[number, state, f]
                        for f in range(3 + num_resources, fields):
                            vector[f] = labels[here, f]
                        memory = cut_memory[number]
                        if memory >= 0:
                            bits = cut_width[number]
                            if is_output[x] and labels[here, fields - 1] > 0:
                                bits = cut_sums[number]
                            column = 3 + num_resources + memory
                            vector[column] += float(room[number, state] * bits)
                            fits = vector[column] <= capacity[memory]
                        if not fits:
                            continue
                        if is_output[x]:
                            reached = stage_digits[target_stage, x]
                            goes_on = cut_start[x, reached] < cut_start[x, reached + 1]
                            vector[fields - 1] = float(partial[number, state]) if goes_on else 0.0
                        for m in range(capacity.size):
                            if not comes[target_stage, m]:
                                vector[3 + num_resources + m] = 0.0
                        target = state * num_stages + target_stage
                        remaining(rest[target], known, target, least, stage_digits[target_stage], state)
                        if rest[target, 0] == np.inf:
                            continue
                        key = objective_value(vector, rest[target], compute, active, num_resources, objective)
                        if key[0] > limit:
                            continue
                        made += 1
                        if num_records == size:
                            size *= 2
                            more = np.empty(size, np.int64)
                            more[:num_records] = parents
                            parents = more
                            more = np.empty(size, np.int64)
                            more[:num_records] = cuts
                            cuts = more
                            more = np.empty(size, np.int64)
                            more[:num_records] = states
                            states = more
                        if pooled == records.size:
                            labels, keys, records = enlarged(labels, keys, records)
                        added, lost, pooled = insert(
                            labels, keys, records, slots, count, owned, target, vector, key, num_records, pooled
                        )
                        floor = min(floor, lost)
                        if added:
                            parents[num_records] = records[here]
                            cuts[num_records] = number
                            states[num_records] = state
                            num_records += 1
                # Grow to the next states.
                for g in range(grow_start[state], grow_start[state + 1]):
                    target = grow_to[g] * num_stages + stage
                    remaining(rest[target], known, target, least, stage_digits[stage], grow_to[g])
                    if rest[target, 0] == np.inf:
                        continue
                    key = objective_value(labels[here], rest[target], compute, active, num_resources, objective)
                    if key[0] > limit:
                        continue
                    if pooled == records.size:
                        labels, keys, records = enlarged(labels, keys, records)
                    _, lost, pooled = insert(
                        labels, keys, records, slots, count, owned, target, labels[here], key, records[here], pooled
                    )
                    floor = min(floor, lost)
    last = num_nodes - 1
    best = -1
    for slot in range(count[last]):
        here = slots[last, slot]
        if best < 0 or (keys[here, 0], keys[here, 1]) < (keys[best, 0], keys[best, 1]):
            best = here
    if best < 0:
        return -1, parents, cuts, states, made, np.inf, floor
    return records[best], parents, cuts, states, made, keys[best, 0], floor


@kernel
def enlarged(labels: Floats, keys: Floats, records: Ints) -> tuple[Floats, Floats, Ints]:
    """The pool of labels with twice the room."""
    size = records.size
    more_labels = np.empty((2 * size, labels.shape[1]), np.float64)
    more_keys = np.empty((2 * size, 2), np.float64)
    more_records = np.empty(2 * size, np.int64)
    more_labels[:size] = labels
    more_keys[:size] = keys
    more_records[:size] = records
    return more_labels, more_keys, more_records


@kernel
def remaining(out: Floats, known: Ints, node: int, least: Floats, digits: Ints, state: int) -> None:
    """The least that all operands still add after one node, column by column; computed when first asked for."""
    if known[node]:
        return
    known[node] = 1
    for f in range(out.size):
        out[f] = 0.0
        for x in range(digits.size):
            out[f] += least[x, digits[x], state, f]


@kernel
def reachable_least(values: Floats, grow_start: Ints, grow_to: Ints) -> None:
    """In place, float64[S, F]: the least of each column over a state and all larger ones that lead on from it."""
    for state in range(values.shape[0] - 1, -1, -1):
        for g in range(grow_start[state], grow_start[state + 1]):
            for f in range(values.shape[1]):
                values[state, f] = min(values[state, f], values[grow_to[g], f])


@kernel
def insert(
    labels: Floats,
    keys: Floats,
    records: Ints,
    slots: Ints,
    count: Ints,
    owned: Ints,
    node: int,
    vector: Floats,
    key: tuple[float, float],
    record: int,
    pooled: int,
) -> tuple[bool, float, int]:
    """Add a label to a node, in place of the worst where the beam is full.

    Args:
        labels, keys, records: float64[P, F], float64[P, 2], int64[P]: the pool, with room for one more.
        slots: int32[nodes, beam]: where the labels of a node lie; of the `owned` ones the first `count` are in use.
        pooled: labels of the pool that nodes own.
    Returns: (whether it was added, the objective of a label left out for want of room or infinity, pooled).
    """
    beam = slots.shape[1]
    slot = 0
    while slot < count[node]:
        here = slots[node, slot]
        better = worse = False
        for f in range(vector.size):
            if labels[here, f] < vector[f]:
                better = True
            elif labels[here, f] > vector[f]:
                worse = True
            if better and worse:
                break
        if not worse:
            return False, np.inf, pooled
        if not better:
            last = count[node] - 1
            slots[node, slot] = slots[node, last]
            slots[node, last] = here
            count[node] = last
            continue
        slot += 1
    place = count[node]
    lost = np.inf
    if place == beam:
        place = 0
        for slot in range(1, beam):
            here, worst = slots[node, slot], slots[node, place]
            if keys[here, 0] > keys[worst, 0] or (keys[here, 0] == keys[worst, 0] and keys[here, 1] > keys[worst, 1]):
                place = slot
        worst = slots[node, place]
        if key[0] > keys[worst, 0] or (key[0] == keys[worst, 0] and key[1] >= keys[worst, 1]):
            return False, key[0], pooled
        lost = keys[worst, 0]
    else:
        count[node] = place + 1
        if place == owned[node]:
            owned[node] = place + 1
            slots[node, place] = pooled
            pooled += 1
    here = slots[node, place]
    labels[here] = vector
    keys[here, 0] = key[0]
    keys[here, 1] = key[1]
    records[here] = record
    return True, lost, pooled

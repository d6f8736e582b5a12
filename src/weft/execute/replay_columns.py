"""The replay on columns: `replay.check_replay` for schedules of a million tiles.

What an event waits for is the same: its data, its turn on every resource it takes, units left there, and earlier copies
gone. `arrays_of` takes every time out of the columns but for the orders; `replayed` starts everything as early as these
allow. Where the two do not come to the same times, the replay on nouns says why.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from weft._jit import kernel
from weft.execute.copies import last_sharing
from weft.execute.replay import ReplayResult, check_replay
from weft.model.chip import Chip
from weft.model.columns import Columns, Large, Small, lanes_of, ports_of
from weft.model.packing import to_schedule
from weft.model.rules.columns.case import Ids, owners
from weft.model.rules.columns.kernels import alike, in_order, overlapping
from weft.model.workload import Workload

Marks = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Arrays:
    """Orders without times: E events, H holdings (residencies), R resources (cores, engines, lanes, ports, memories).

    Args:
        duration: [E].
        reads_first, reads: holdings that each event reads.     makes_first, makes: those that it makes.
        after_first, after: holdings that must have left before it starts.
        takes_first, takes, units, back: resources that it takes, units of each, and how many of these come back at its
            end; the others come back with the holdings that it makes.
        queue_first, queue: events of each resource, in its order.     free: [R] units.
        memory, bits: resource and bits of each holding.     given: it is there from the start.     stays: for ever.
    """

    duration: Large
    reads_first: Large
    reads: Large
    makes_first: Large
    makes: Large
    after_first: Large
    after: Large
    takes_first: Large
    takes: Small
    units: Large
    back: Large
    queue_first: Large
    queue: Small
    free: Large
    memory: Large
    bits: Large
    given: Marks
    stays: Marks


def check_replay_columns(workload: Workload, chip: Chip, columns: Columns) -> ReplayResult:
    """Replay a schedule in columns from its orders and compare the times."""
    arrays = arrays_of(workload, chip, columns)
    if arrays is not None:
        scheduled = np.concatenate((columns.tasks.start, columns.transfers.start))
        if np.array_equal(replayed(*(getattr(arrays, name) for name in Arrays.__slots__)), scheduled):
            return ReplayResult(True, ())
    result = check_replay(to_schedule(workload, chip, columns), chip)
    assert arrays is None or not result.ok, "the two replays disagree"
    return result


def arrays_of(workload: Workload, chip: Chip, columns: Columns) -> Arrays | None:
    """The orders of some columns, or None where a name in them stands for nothing."""
    tasks, uses, moves, held = columns.tasks, columns.uses, columns.transfers, columns.residencies
    ids = Ids(held.id)
    in_uses, sources, made = ids.rows(uses.held), ids.rows(moves.source), ids.rows(moves.made)
    table = columns.bookings
    numbers = (in_uses, sources, made, held.memory, tasks.core, table.port, table.lane, table.work_memory)
    if any((rows < 0).any() for rows in numbers):
        return None
    use = owners(uses.held_first)
    writes = np.zeros(len(uses.operand), np.bool_)
    writes[tasks.uses_first[1:] - 1] = True
    task_of = owners(tasks.uses_first)[use]
    inputs, outputs = ~writes[use], writes[use]
    num_tasks = len(tasks.id)
    reads_first, reads = _joined(task_of[inputs], in_uses[inputs], num_tasks, moves.sources_first, sources)
    makes_first, makes = _joined(task_of[outputs], in_uses[outputs], num_tasks, moves.made_first, made)
    start = np.concatenate((tasks.start, moves.start))
    by_id = in_order(np.concatenate((tasks.id, moves.id)).astype(np.int64), np.arange(len(start)))
    order = in_order(start, by_id)
    after_first, after = _after(columns, len(workload.tensors), makes_first, makes)
    booked = _bookings(chip, columns)
    memory = _first_memory(chip) + held.memory.astype(np.int64)
    own = np.concatenate(
        (tasks.core, np.full(len(moves.id), len(chip.cores) if chip.transfer_engines else -1, np.int32))
    )
    booking = np.concatenate((tasks.booking, moves.booking)).astype(np.int64)
    takes_first, takes, units, back = takings(*booked, booking, own, makes_first, makes, memory, held.bits)
    free = _units(chip, columns.scale)
    queue_first, queue = queues(order, takes_first, takes, len(free))
    outermost = [memory.name for memory in chip.memories].index(chip.outermost)
    return Arrays(
        np.concatenate((tasks.end, moves.end)) - start,
        reads_first,
        reads,
        makes_first,
        makes,
        after_first,
        after,
        takes_first,
        takes,
        units,
        back,
        queue_first,
        queue,
        free,
        memory,
        held.bits,
        held.writer == -1,
        (held.memory == outermost) & (held.end >= columns.latency_cycles),
    )


def _joined(task_of: Large, of_tasks: Large, num_tasks: int, first: Large, of_moves: Large) -> tuple[Large, Large]:
    """(first, rows) by event: those of tasks, then those of transfers."""
    counts = np.bincount(task_of, minlength=num_tasks)
    return np.concatenate((np.zeros(1, np.int64), np.cumsum(counts), len(of_tasks) + first[1:])), np.concatenate(
        (of_tasks, of_moves)
    )


def _first_memory(chip: Chip) -> int:
    """The number of the first memory: behind cores, engines, lanes and ports, these twice (rates, users of exclusive
    ones)."""
    return len(chip.cores) + 1 + 2 * len(lanes_of(chip)) + 2 * len(ports_of(chip))


def _units(chip: Chip, scale: int) -> Large:
    """Units of every resource."""
    links = [chip.link(link) for link, _ in lanes_of(chip)]
    return np.array(
        [1] * len(chip.cores)
        + [chip.transfer_engines or 0]
        + [int(chip.lane_rate(link) * scale) for link in links]
        + [1 for _ in links]
        + [int(chip.port_rate(memory, port) * scale) for memory in chip.memories for port in memory.ports]
        + [1 for _ in ports_of(chip)]
        + [memory.size_bits for memory in chip.memories],
        np.int64,
    )


def _bookings(chip: Chip, columns: Columns) -> tuple[Large, Small, Large]:
    """(first, resource, units) of each booking, each resource once."""
    table, lanes = columns.bookings, lanes_of(chip)
    alone = [chip.link(link).exclusive for link, _ in lanes]
    held = [port.exclusive for memory in chip.memories for port in memory.ports]
    first_lane, first_port = len(chip.cores) + 1, len(chip.cores) + 1 + 2 * len(lanes)
    first, resources, units = [0], list[int](), list[int]()
    for number in range(len(table.ports_first) - 1):
        mine: dict[int, int] = {}
        for at in range(table.lanes_first[number], table.lanes_first[number + 1]):
            lane = int(table.lane[at])
            mine[first_lane + lane] = mine.get(first_lane + lane, 0) + int(table.lane_rate[at])
            if alone[lane]:
                mine[first_lane + len(lanes) + lane] = 1
        for at in range(table.ports_first[number], table.ports_first[number + 1]):
            port = first_port + int(table.port[at])
            mine[port] = mine.get(port, 0) + int(table.port_rate[at])
            if held[table.port[at]]:
                mine[port + len(held)] = 1
        for at in range(table.work_first[number], table.work_first[number + 1]):
            memory = _first_memory(chip) + int(table.work_memory[at])
            mine[memory] = mine.get(memory, 0) + int(table.work_bits[at])
        resources += mine
        units += mine.values()
        first.append(len(resources))
    return np.array(first, np.int64), np.array(resources, np.int32), np.array(units, np.int64)


def _after(columns: Columns, num_tensors: int, makes_first: Large, makes: Large) -> tuple[Large, Large]:
    """(first, holdings) by event: earlier copies of what it makes that must have left, as `copies` says which."""
    held = columns.residencies
    by_id = in_order(held.id.astype(np.int64), np.arange(len(held.id)))
    group = held.memory.astype(np.int64) * num_tensors + held.tensor
    order = in_order(group, in_order(held.start, by_id))
    equal = alike(np.column_stack((group.astype(np.int32), held.box.reshape(len(held.box), -1))))
    later, earlier = _one_after_another(order, equal)
    different = order[equal[order] == order]
    first = np.flatnonzero(np.diff(group[different], prepend=-1))
    crossing = np.unique(group[overlapping(held.box, different, np.append(first, len(different)))])
    if len(crossing):
        apart = ~np.isin(group[later], crossing)
        pairs = [(later[apart], earlier[apart])]
        for number in crossing.tolist():
            mine = order[group[order] == number]
            boxes = [tuple((a, b) for a, b in box) for box in held.box[mine].tolist()]
            found = [(place, other) for place, others in enumerate(last_sharing(boxes)) for other in others]
            pairs.append((mine[[place for place, _ in found]], mine[[other for _, other in found]]))
        later, earlier = (np.concatenate(part) for part in zip(*pairs, strict=True))
    by_later = in_order(later, np.arange(len(later)))
    per_holding = np.searchsorted(later[by_later], np.arange(len(held.id) + 1))
    return gathered(makes_first, makes, per_holding, earlier[by_later])


def _one_after_another(order: Large, equal: Large) -> tuple[Large, Large]:
    """(row, the one before it in `order` that is equal to it), for each row that has one."""
    by_kind = order[in_order(equal[order], np.arange(len(order)))]
    again = equal[by_kind[1:]] == equal[by_kind[:-1]]
    return by_kind[1:][again], by_kind[:-1][again]


@kernel
def gathered(first: Large, rows: Large, inner_first: Large, inner: Large) -> tuple[Large, Large]:
    """(first, entries): for each owner the entries of its rows."""
    total = 0
    for row in rows:
        total += inner_first[row + 1] - inner_first[row]
    found_first, found = np.zeros(len(first), np.int64), np.empty(total, np.int64)
    count = 0
    for owner in range(len(first) - 1):
        for place in range(first[owner], first[owner + 1]):
            for at in range(inner_first[rows[place]], inner_first[rows[place] + 1]):
                found[count] = inner[at]
                count += 1
        found_first[owner + 1] = count
    return found_first, found


@kernel
def takings(
    booked_first: Large,
    resource: Small,
    booked: Large,
    booking: Large,
    own: Small,
    makes_first: Large,
    makes: Large,
    memory: Large,
    bits: Large,
) -> tuple[Large, Small, Large, Large]:
    """(first, resource, units, units back at the end) of each event: its booking, its core or engine (`own`, -1 for
    none), and room for what it makes."""
    most = len(booking) + len(makes)
    for which in booking:
        most += booked_first[which + 1] - booked_first[which]
    first, takes = np.zeros(len(booking) + 1, np.int64), np.empty(most, np.int32)
    units, back = np.empty(most, np.int64), np.empty(most, np.int64)
    count = 0
    for event in range(len(booking)):
        begin = count
        for place in range(booked_first[booking[event]], booked_first[booking[event] + 1]):
            takes[count], units[count], back[count] = resource[place], booked[place], booked[place]
            count += 1
        if own[event] >= 0:
            takes[count], units[count], back[count] = own[event], 1, 1
            count += 1
        for place in range(makes_first[event], makes_first[event + 1]):
            made = makes[place]
            at = begin
            while at < count and takes[at] != memory[made]:
                at += 1
            if at == count:
                takes[count], units[count], back[count] = memory[made], 0, 0
                count += 1
            units[at] += bits[made]
        first[event + 1] = count
    return first, takes[:count].copy(), units[:count].copy(), back[:count].copy()


@kernel
def queues(order: Large, takes_first: Large, takes: Small, resources: int) -> tuple[Large, Small]:
    """(first, events) of each resource, in `order`."""
    first = np.zeros(resources + 1, np.int64)
    for here in takes:
        first[here + 1] += 1
    for here in range(resources):
        first[here + 1] += first[here]
    place, queue = first[:-1].copy(), np.empty(len(takes), np.int32)
    for event in order:
        for at in range(takes_first[event], takes_first[event + 1]):
            queue[place[takes[at]]] = event
            place[takes[at]] += 1
    return first, queue


@kernel
def inverted(first: Large, rows: Large, count: int) -> tuple[Large, Small]:
    """(first, owners) of each of `count` rows: who names it."""
    found_first = np.zeros(count + 1, np.int64)
    for row in rows:
        found_first[row + 1] += 1
    for row in range(count):
        found_first[row + 1] += found_first[row]
    place, found = found_first[:-1].copy(), np.empty(len(rows), np.int32)
    for owner in range(len(first) - 1):
        for at in range(first[owner], first[owner + 1]):
            found[place[rows[at]]] = owner
            place[rows[at]] += 1
    return found_first, found


@kernel
def replayed(
    duration: Large,
    reads_first: Large,
    reads: Large,
    makes_first: Large,
    makes: Large,
    after_first: Large,
    after: Large,
    takes_first: Large,
    takes: Small,
    units: Large,
    back: Large,
    queue_first: Large,
    queue: Small,
    free: Large,
    memory: Large,
    bits: Large,
    given: Marks,
    stays: Marks,
) -> Large:
    """When each event starts if everything starts as early as the orders allow; -1 for what waits for ever.

    `replay._Machine` on arrays; see there for what an event waits for. An event is tried when all but units has come,
    and again when one of its resources, on which its turn is, got units back.
    """
    num_events, num_holdings = len(duration), len(memory)
    readers_first, readers = inverted(reads_first, reads, num_holdings)
    followers_first, followers = inverted(after_first, after, num_holdings)
    left_to_read = readers_first[1:] - readers_first[:-1]
    made, left = given.copy(), np.zeros(num_holdings, np.bool_)
    free = free.copy()
    for holding in range(num_holdings):
        if given[holding] and (stays[holding] or left_to_read[holding]):
            free[memory[holding]] -= bits[holding]
        elif given[holding]:
            left[holding] = True
    start = np.full(num_events, -1, np.int64)
    missing = np.empty(num_events, np.int64)
    for event in range(num_events):
        missing[event] = takes_first[event + 1] - takes_first[event]
        for at in range(reads_first[event], reads_first[event + 1]):
            missing[event] += not made[reads[at]]
        for at in range(after_first[event], after_first[event + 1]):
            missing[event] += not left[after[at]]
    turn = queue_first[:-1].copy()
    tries = [event for event in range(num_events) if missing[event] == 0]
    for resource in range(len(free)):
        if turn[resource] < queue_first[resource + 1]:
            event = int(queue[turn[resource]])
            missing[event] -= 1
            if missing[event] == 0:
                tries.append(event)
    running = [(0, 0) for _ in range(0)]
    now = 0
    while True:
        while len(tries):
            event = tries.pop()
            fits = start[event] < 0
            for at in range(takes_first[event], takes_first[event + 1]):
                fits = fits and free[takes[at]] >= units[at]
            if not fits:
                continue
            start[event] = now
            heapq.heappush(running, (now + int(duration[event]), event))
            for at in range(takes_first[event], takes_first[event + 1]):
                resource = takes[at]
                free[resource] -= units[at]
                turn[resource] += 1
                if turn[resource] < queue_first[resource + 1]:
                    head = int(queue[turn[resource]])
                    missing[head] -= 1
                    if missing[head] == 0:
                        tries.append(head)
        if not len(running):
            return start
        now = running[0][0]
        while len(running) and running[0][0] == now:
            event = heapq.heappop(running)[1]
            for at in range(takes_first[event], takes_first[event + 1]):
                resource = takes[at]
                free[resource] += back[at]
                if turn[resource] < queue_first[resource + 1]:
                    head = int(queue[turn[resource]])
                    if missing[head] == 0:
                        tries.append(head)
            released = [0 for _ in range(0)]
            for at in range(makes_first[event], makes_first[event + 1]):
                holding = int(makes[at])
                if made[holding]:
                    continue
                made[holding] = True
                for place in range(readers_first[holding], readers_first[holding + 1]):
                    reader = int(readers[place])
                    missing[reader] -= 1
                    if missing[reader] == 0:
                        tries.append(reader)
                if left_to_read[holding] == 0:
                    released.append(holding)
            for at in range(reads_first[event], reads_first[event + 1]):
                holding = int(reads[at])
                left_to_read[holding] -= 1
                if left_to_read[holding] == 0:
                    released.append(holding)
            for holding in released:
                if stays[holding]:
                    continue
                free[memory[holding]] += bits[holding]
                left[holding] = True
                resource = memory[holding]
                if turn[resource] < queue_first[resource + 1]:
                    head = int(queue[turn[resource]])
                    if missing[head] == 0:
                        tries.append(head)
                for place in range(followers_first[holding], followers_first[holding + 1]):
                    follower = int(followers[place])
                    missing[follower] -= 1
                    if missing[follower] == 0:
                        tries.append(follower)

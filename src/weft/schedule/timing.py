"""Lets every event start as early as the engine's orders allow: one event-driven pass, times as the only unknowns."""

from __future__ import annotations

from weft._jit import kernel_in_place
from weft.schedule.moves import FROM, MADE, READ, TILE, UNTIL, USE, WORK
from weft.schedule.places import BITS, MEMORY, RECIPE, WRITER, Ints, Small, Tiles


@kernel_in_place
def retime(
    tiles: Tiles,
    event: Ints,
    read: Small,
    use: Ints,
    wait: Small,
    holding: Ints,
    stays: Ints,
    capacity: Ints,
    alone: Ints,
    room: int,
    order: Ints,
    start: Ints,
    end: Ints,
    queue: Ints,
    follower: Ints,
    reader: Ints,
    work: Ints,
    free: Ints,
) -> int:
    """The same orders, every event as early as they allow.

    On each line events start in the given order. One starts once the data that it reads is there, earlier copies of
    what it makes have left, it has its turn on all its lines, and each has its amount left. Rates come back at its end,
    room when the last reader of what it made has ended; at one cycle what comes back comes before starts.

    Args:    event, read, use: of the trace, without spare rows.   wait, holding: of the board, likewise.
             stays: [holdings]: never released.    order: [events]: by (start, id).
             start, end: [events], out.
             queue: [uses + lines + 1], follower: [waits + holdings + 1], reader: [reads + holdings + 1],
             work: [6, events + holdings + 2], free: [2, lines]: scratch.
    Returns: how many events started: fewer than there are where they wait for each other.
    """
    lines, events, holdings = capacity.size, event.shape[0] - 1, holding.shape[0]
    # lists by line, by holding that is waited for, by holding that is read: rows [first[k], first[k + 1])
    queue_first, turn = queue[: lines + 1], free[1]
    queued = queue[lines + 1 :]
    follower_first, followers = follower[: holdings + 1], follower[holdings + 1 :]
    reader_first, readers = reader[: holdings + 1], reader[holdings + 1 :]
    missing, heap, tries, listed, left = work[0], work[1], work[2], work[3], work[4]
    queue_first[:] = 0
    follower_first[:] = 0
    reader_first[:] = 0
    for u in range(use.shape[0]):
        queue_first[use[u, 0] + 1] += 1
    for w in range(wait.shape[0]):
        follower_first[wait[w, 1] + 1] += 1
    for r in range(read.shape[0]):
        reader_first[read[r, 0] + 1] += 1
    for line in range(lines):
        queue_first[line + 1] += queue_first[line]
        turn[line] = queue_first[line]
        free[0, line] = capacity[line]
    for held in range(holdings):
        follower_first[held + 1] += follower_first[held]
        reader_first[held + 1] += reader_first[held]
        left[held] = follower_first[held]
    for w in range(wait.shape[0]):
        followers[left[wait[w, 1]]] = wait[w, 0]
        left[wait[w, 1]] += 1
    for held in range(holdings):
        left[held] = reader_first[held]
    for number in range(events):
        missing[number] = event[number + 1, USE] - event[number, USE]
        listed[number] = 0
        start[number] = -1
        for r in range(event[number, READ], event[number + 1, READ]):
            held = read[r, 0]
            readers[left[held]] = number
            left[held] += 1
            if holding[held, WRITER] >= 0:
                missing[number] += 1
    for w in range(wait.shape[0]):
        missing[wait[w, 0]] += 1
    for held in range(holdings):
        left[held] -= reader_first[held]
        if holding[held, WRITER] < 0:
            free[0, room + holding[held, MEMORY]] -= holding[held, BITS]
    for k in range(events):
        number = order[k]
        for u in range(event[number, USE], event[number + 1, USE]):
            queued[turn[use[u, 0]]] = number
            turn[use[u, 0]] += 1
    trying = 0
    for line in range(lines):
        turn[line] = queue_first[line]
    for number in range(events):
        if missing[number] == 0:
            trying = _try_later(tries, listed, trying, number)
    for line in range(lines):
        if turn[line] < queue_first[line + 1]:
            trying = _has_come(missing, tries, listed, trying, queued[turn[line]])
    running = started = now = 0
    while True:
        while trying > 0:
            trying -= 1
            number = tries[trying]
            listed[number] = 0
            if start[number] >= 0:
                continue
            fits = True
            for u in range(event[number, USE], event[number + 1, USE]):
                line = use[u, 0]
                if free[0, line] < use[u, 1] or (alone[line] and free[0, line] < capacity[line]):
                    fits = False
                    break
            if not fits:
                continue
            start[number] = now
            end[number] = now + event[number, UNTIL] - event[number, FROM]
            started += 1
            running = _push(heap, end, running, number)
            for u in range(event[number, USE], event[number + 1, USE]):
                line = use[u, 0]
                free[0, line] -= use[u, 1]
                turn[line] += 1
                if turn[line] < queue_first[line + 1]:
                    trying = _has_come(missing, tries, listed, trying, queued[turn[line]])
        if running == 0:
            return started
        now = end[heap[0]]
        while running > 0 and end[heap[0]] == now:
            number = heap[0]
            running = _pop(heap, end, running)
            for u in range(event[number, USE], event[number + 1, USE]):
                line = use[u, 0]
                if line < room:
                    free[0, line] += use[u, 1]
                    if turn[line] < queue_first[line + 1]:
                        head = queued[turn[line]]
                        if missing[head] == 0:
                            trying = _try_later(tries, listed, trying, head)
            if event[number, TILE] >= 0:
                recipe = tiles.tile[event[number, TILE], RECIPE]
                for w in range(tiles.recipe[recipe, WORK], tiles.recipe[recipe + 1, WORK]):
                    line = room + tiles.work[w, 0]
                    free[0, line] += tiles.work[w, 1]
                    if turn[line] < queue_first[line + 1]:
                        head = queued[turn[line]]
                        if missing[head] == 0:
                            trying = _try_later(tries, listed, trying, head)
            made = event[number + 1, MADE] - event[number, MADE]
            rows = event[number + 1, READ] - event[number, READ]
            for k in range(made + rows):
                if k < made:
                    held = event[number, MADE] + k
                    for r in range(reader_first[held], reader_first[held + 1]):
                        trying = _has_come(missing, tries, listed, trying, readers[r])
                else:
                    held = read[event[number, READ] + k - made, 0]
                    left[held] -= 1
                if left[held] == 0 and not stays[held]:
                    line = room + holding[held, MEMORY]
                    free[0, line] += holding[held, BITS]
                    if turn[line] < queue_first[line + 1]:
                        head = queued[turn[line]]
                        if missing[head] == 0:
                            trying = _try_later(tries, listed, trying, head)
                    for w in range(follower_first[held], follower_first[held + 1]):
                        trying = _has_come(missing, tries, listed, trying, followers[w])


@kernel_in_place
def _has_come(missing: Ints, tries: Ints, listed: Ints, trying: int, number: int) -> int:
    """One more of the conditions of an event holds, for good."""
    missing[number] -= 1
    if missing[number] == 0:
        return _try_later(tries, listed, trying, number)
    return trying


@kernel_in_place
def _try_later(tries: Ints, listed: Ints, trying: int, number: int) -> int:
    if listed[number] == 0:
        listed[number] = 1
        tries[trying] = number
        return trying + 1
    return trying


@kernel_in_place
def _push(heap: Ints, end: Ints, size: int, number: int) -> int:
    """Add an event to a heap by end."""
    k = size
    while k > 0:
        parent = (k - 1) // 2
        if end[heap[parent]] <= end[number]:
            break
        heap[k] = heap[parent]
        k = parent
    heap[k] = number
    return size + 1


@kernel_in_place
def _pop(heap: Ints, end: Ints, size: int) -> int:
    """Take the first event from a heap by end."""
    size -= 1
    last = heap[size]
    k = 0
    while True:
        child = 2 * k + 1
        if child >= size:
            break
        if child + 1 < size and end[heap[child + 1]] < end[heap[child]]:
            child += 1
        if end[heap[child]] >= end[last]:
            break
        heap[k] = heap[child]
        k = child
    heap[k] = last
    return size


@kernel_in_place
def hold_times(event: Ints, read: Small, holding: Ints, start: Ints, end: Ints, times: Ints) -> None:
    """When holdings begin, are valid, and are last read, by the times of events.

    Args:    times: [holdings, 3], out.
    """
    for held in range(holding.shape[0]):
        writer = holding[held, WRITER]
        times[held, 0] = start[writer] if writer >= 0 else 0
        times[held, 1] = times[held, 2] = end[writer] if writer >= 0 else 0
    for number in range(event.shape[0] - 1):
        for r in range(event[number, READ], event[number + 1, READ]):
            times[read[r, 0], 2] = max(times[read[r, 0], 2], end[number])

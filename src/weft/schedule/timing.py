"""Lets every event start as early as the engine's orders allow: one event-driven pass, times as the only unknowns."""

from __future__ import annotations

import heapq
import math
from collections.abc import Hashable
from dataclasses import replace
from fractions import Fraction

from weft.model.chip import Chip
from weft.model.schedule import Residency, Schedule, Task, Transfer
from weft.model.workload import intersect

Event = Task | Transfer


def settle(schedule: Schedule, chip: Chip) -> Schedule:
    """`retime` until nothing moves.

    Once retimed, events that now start together are ordered by id, which may let something start earlier still. No
    event ever moves later, so this ends.
    """
    while True:
        earlier = retime(schedule, chip)
        if earlier == schedule:
            return schedule
        schedule = earlier


def retime(schedule: Schedule, chip: Chip) -> Schedule:
    """The same orders, every event as early as they allow.

    On each core, lane, port and memory, events start in the order of (start, id) of the given schedule. An event starts
    once the data it reads is there, its core is free, each lane and port has its rate left, and each memory has room.
    """
    every: list[Event] = [*schedule.tasks, *schedule.transfers]
    events = {event.id: event for event in every}
    order = sorted(events.values(), key=lambda event: (event.start, event.id))
    by_id = {residency.id: residency for residency in schedule.residencies}
    scale = _scale(every, chip)
    capacity: dict[Hashable, int] = {}
    exclusive: set[Hashable] = set()
    needs: dict[int, dict[Hashable, int]] = {}
    for event in order:
        needs[event.id] = _needs(event, by_id, chip, scale, capacity, exclusive)
    queues: dict[Hashable, list[int]] = {}
    for event in order:
        for resource in needs[event.id]:
            queues.setdefault(resource, []).append(event.id)
    head = dict.fromkeys(queues, 0)
    used: dict[Hashable, int] = dict.fromkeys(queues, 0)
    for residency in schedule.residencies:
        if residency.writer < 0:
            key = ("memory", residency.memory)
            used[key] = used.get(key, 0) + residency.bits

    reads = {event.id: _reads(event) for event in order}
    readers: dict[int, int] = {}
    for ids in reads.values():
        for residency_id in ids:
            readers[residency_id] = readers.get(residency_id, 0) + 1
    made: dict[int, list[int]] = {}
    for residency in schedule.residencies:
        made.setdefault(residency.writer, []).append(residency.id)
    finish = schedule.latency_cycles
    stays = {r.id for r in schedule.residencies if r.end == finish and r.memory == chip.outermost}

    after = _waits(schedule)
    gone: set[int] = set()
    start: dict[int, int] = {}
    end: dict[int, int] = {}
    valid = set(made.get(-1, ()))
    running: list[tuple[int, int]] = []
    waiting = {event.id for event in order if _is_head(event.id, needs, queues, head)}
    now = 0

    def release(residency_id: int) -> None:
        residency = by_id[residency_id]
        gone.add(residency_id)
        if residency_id not in stays:
            used["memory", residency.memory] -= residency.bits

    while waiting or running:
        progress = True
        while progress:
            progress = False
            for event_id in sorted(waiting):
                if not all(residency_id in valid for residency_id in reads[event_id]):
                    continue
                if not all(earlier in gone for earlier in after.get(event_id, ())):
                    continue
                need = needs[event_id]
                if any(
                    used[r] + amount > capacity[r] or (r in exclusive and used[r] > 0) for r, amount in need.items()
                ):
                    continue
                event = events[event_id]
                start[event_id], end[event_id] = now, now + event.end - event.start
                heapq.heappush(running, (end[event_id], event_id))
                waiting.discard(event_id)
                for resource, amount in need.items():
                    used[resource] += amount
                    head[resource] += 1
                for resource in need:
                    if head[resource] < len(queues[resource]):
                        following = queues[resource][head[resource]]
                        if _is_head(following, needs, queues, head):
                            waiting.add(following)
                progress = True
        if not running:
            raise AssertionError(f"the engine's orders wait for each other: {sorted(waiting)}")
        now = running[0][0]
        while running and running[0][0] == now:
            _, event_id = heapq.heappop(running)
            event = events[event_id]
            for resource, amount in needs[event_id].items():
                if isinstance(resource, tuple) and resource[0] == "memory":
                    continue
                used[resource] -= amount
            if isinstance(event, Task):
                for memory, bits in event.workspace:
                    used["memory", memory] -= bits
            for residency_id in made.get(event_id, ()):
                valid.add(residency_id)
                if readers.get(residency_id, 0) == 0:
                    release(residency_id)
            for residency_id in reads[event_id]:
                readers[residency_id] -= 1
                if readers[residency_id] == 0:
                    release(residency_id)
    return _with_times(schedule, start, end, stays)


def _waits(schedule: Schedule) -> dict[int, list[int]]:
    """For each event the residencies that must have ended before it starts.

    A box comes into a memory again only when the copy that was there before has left: what is held is held once.
    """
    places: dict[tuple[str, str], list[Residency]] = {}
    for residency in schedule.residencies:
        places.setdefault((residency.memory, residency.tensor), []).append(residency)
    after: dict[int, list[int]] = {}
    for group in places.values():
        group.sort(key=lambda residency: (residency.start, residency.id))
        for number, later in enumerate(group):
            for earlier in group[:number]:
                if intersect(earlier.box, later.box) is not None and later.writer >= 0:
                    after.setdefault(later.writer, []).append(earlier.id)
    return after


def _needs(
    event: Event,
    by_id: dict[int, Residency],
    chip: Chip,
    scale: int,
    capacity: dict[Hashable, int],
    exclusive: set[Hashable],
) -> dict[Hashable, int]:
    """What an event takes of each resource while it runs (a memory: from its start on)."""
    need: dict[Hashable, int] = {}
    for lane in event.lanes:
        key: Hashable = ("lane", lane.lane)
        need[key] = need.get(key, 0) + _units(lane.rate, scale)
        if key not in capacity:
            link = chip.link(lane.link)
            capacity[key] = _units(chip.lane_rate(link), scale)
            if link.exclusive:
                exclusive.add(key)
    for port in event.ports:
        key = ("port", port.memory, port.port)
        need[key] = need.get(key, 0) + _units(port.rate, scale)
        if key not in capacity:
            memory = chip.memory(port.memory)
            found = next(item for item in memory.ports if item.name == port.port)
            capacity[key] = _units(chip.port_rate(memory, found), scale)
    room: dict[str, int] = {}
    if isinstance(event, Task):
        need["core", event.core] = 1
        capacity["core", event.core] = 1
        for name, bits in event.workspace:
            room[name] = room.get(name, 0) + bits
        made = event.writes.residencies
    else:
        made = event.residencies
        if chip.transfer_engines is not None:
            need["engines"], capacity["engines"] = 1, chip.transfer_engines
    for residency_id in made:
        residency = by_id[residency_id]
        room[residency.memory] = room.get(residency.memory, 0) + residency.bits
    for name, bits in room.items():
        need["memory", name] = bits
        capacity["memory", name] = chip.memory(name).size_bits
    return need


def _scale(events: list[Event], chip: Chip) -> int:
    """The least factor that makes every rate a whole number."""
    rates = {lane.rate.denominator for event in events for lane in event.lanes}
    rates |= {port.rate.denominator for event in events for port in event.ports}
    rates |= {chip.lane_rate(link).denominator for link in chip.links}
    rates |= {chip.port_rate(memory, port).denominator for memory in chip.memories for port in memory.ports}
    return math.lcm(*rates)


def _units(rate: Fraction, scale: int) -> int:
    return rate.numerator * (scale // rate.denominator)


def _reads(event: Event) -> tuple[int, ...]:
    if isinstance(event, Transfer):
        return tuple(dict.fromkeys(event.sources))
    return tuple(dict.fromkeys(residency for use in event.reads for residency in use.residencies))


def _is_head(
    event_id: int,
    needs: dict[int, dict[Hashable, int]],
    queues: dict[Hashable, list[int]],
    head: dict[Hashable, int],
) -> bool:
    return all(queues[r][head[r]] == event_id if head[r] < len(queues[r]) else False for r in needs[event_id])


def _with_times(schedule: Schedule, start: dict[int, int], end: dict[int, int], stays: set[int]) -> Schedule:
    tasks = tuple(replace(task, start=start[task.id], end=end[task.id]) for task in schedule.tasks)
    transfers = tuple(replace(move, start=start[move.id], end=end[move.id]) for move in schedule.transfers)
    last: dict[int, int] = {}
    every: list[Event] = [*tasks, *transfers]
    for event in every:
        for residency_id in _reads(event):
            last[residency_id] = max(last.get(residency_id, 0), event.end)
    finish = max(end.values(), default=0)
    residencies = []
    for residency in schedule.residencies:
        begin = start.get(residency.writer, 0)
        valid_from = end.get(residency.writer, 0)
        until = finish if residency.id in stays else last.get(residency.id, valid_from)
        residencies.append(replace(residency, start=begin, valid_from=valid_from, end=until))
    return Schedule(schedule.workload, schedule.chip, tasks, transfers, tuple(residencies))

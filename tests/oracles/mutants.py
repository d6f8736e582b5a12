"""Wrong by the least: copies of a valid schedule that are off by one cycle, one bit, one row or one order.

Every mutant must be caught by the rules or by the replay, so each is made such that it is truly wrong:

- an event one cycle early only where data, its core or an exclusive lane is not free before, or time begins;
- an event one cycle late only where no resource takes its events in another order then: it could start earlier;
- a transfer longer or shorter, bits, boxes, rates, ends that do not follow from the rest: no second value is right;
- a memory, link or port with the least bit less than the schedule uses of it at its peak;
- a chip with one transfer engine less than run at a time, or a longer set-up;
- a multicast without one of its receivers, or with a lane that it shares booked once more;
- two neighbours of one resource's order that started at different cycles, exchanged: the times cannot stay.

What may be right all the same is left out: a longer task (its duration is given), a moved event that changes orders.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from math import ceil, floor
from typing import Any

from weft.execute.replay import Orders, orders, replay
from weft.model.chip import Chip
from weft.model.schedule import Schedule, Task, Transfer
from weft.model.workload import Box, Workload, intersect, volume

Holds = list[tuple[int, int, Any]]


@dataclass(frozen=True, slots=True)
class Mutant:
    """A schedule, or the chip that it is for, changed so that the two no longer fit."""

    name: str
    chip: Chip
    schedule: Schedule


Make = Callable[[], Mutant | None]


def mutants(
    workload: Workload, chip: Chip, schedule: Schedule, *, seed: int = 0, limit: int | None = None
) -> Iterator[Mutant]:
    """Mutants of a valid schedule in an order that follows from `seed`, all or `limit` of them."""
    sites: list[Make] = [*_of_events(workload, chip, schedule), *_of_residencies(chip, schedule)]
    sites += _of_reads(workload, chip, schedule)
    sites += _of_the_chip(chip, schedule)
    random.Random(seed).shuffle(sites)
    made = 0
    for site in sites:
        if made == limit:
            return
        mutant = site()
        if mutant is not None:
            made += 1
            yield mutant


def order_mutants(
    orders: Orders, times: dict[int, tuple[int, int]], *, seed: int = 0, limit: int | None = None
) -> Iterator[tuple[str, Orders]]:
    """Orders with two neighbours exchanged that did not start at the same cycle: their replay must not give `times`."""
    queues = [
        (kind, position, f"{kind} {name}", queue)
        for kind in ("cores", "lanes", "ports", "memories")
        for position, (name, queue) in enumerate(getattr(orders, kind))
    ]
    queues.append(("engines", 0, "engines", orders.engines))
    sites = [
        (*queue, place)
        for queue in queues
        for place, (first, second) in enumerate(pairwise(queue[3]))
        if times[first][0] != times[second][0]
    ]
    random.Random(seed).shuffle(sites)
    for kind, position, called, queue, place in sites[:limit]:
        first, second = queue[place : place + 2]
        other: Any = (*queue[:place], second, first, *queue[place + 2 :])
        if kind != "engines":
            named = list(getattr(orders, kind))
            named[position] = (named[position][0], other)
            other = tuple(named)
        yield f"{second} before {first} on {called}", replace(orders, **{kind: other})


def settled(workload: Workload, chip: Chip, schedule: Schedule) -> Schedule:
    """The schedule with every residency ending when it must, as `Residency` says."""
    last: dict[int, int] = {}
    for event, sources in _readers(schedule):
        for source in sources:
            last[source] = max(last.get(source, 0), event.end)
    kept = {workload.root(tensor.name) for tensor in workload.tensors if tensor.role != "intermediate"}
    latency = schedule.latency_cycles
    return replace(
        schedule,
        residencies=tuple(
            replace(
                item,
                end=latency
                if item.memory == chip.outermost and item.tensor in kept
                else last.get(item.id, item.valid_from),
            )
            for item in schedule.residencies
        ),
    )


def earliest(workload: Workload, chip: Chip, schedule: Schedule) -> Schedule:
    """The same orders with everything as early as they allow, by the replay, until nothing moves."""
    while True:
        times = replay(orders(schedule, chip), chip)

        def timed(item: Any, times: dict[int, tuple[int, int]] = times) -> Any:
            return replace(item, start=times[item.id][0], end=times[item.id][1])

        moved = replace(
            schedule,
            tasks=tuple(map(timed, schedule.tasks)),
            transfers=tuple(map(timed, schedule.transfers)),
            residencies=tuple(
                replace(item, start=times[item.writer][0], valid_from=times[item.writer][1])
                if item.writer >= 0
                else item
                for item in schedule.residencies
            ),
        )
        moved = settled(workload, chip, moved)
        if moved == schedule:
            return schedule
        schedule = moved


def moved(workload: Workload, chip: Chip, schedule: Schedule, id: int, by: int) -> Schedule:
    """The schedule with one event, and what it makes, moved in time; all else starts when it did."""

    def shift(item: Any) -> Any:
        return replace(item, start=item.start + by, end=item.end + by) if item.id == id else item

    residencies = tuple(
        replace(item, start=item.start + by, valid_from=item.valid_from + by) if item.writer == id else item
        for item in schedule.residencies
    )
    shifted = replace(
        schedule,
        tasks=tuple(map(shift, schedule.tasks)),
        transfers=tuple(map(shift, schedule.transfers)),
        residencies=residencies,
    )
    return settled(workload, chip, shifted)


def _events(schedule: Schedule) -> list[Task | Transfer]:
    return [*schedule.tasks, *schedule.transfers]


def _readers(schedule: Schedule) -> Iterator[tuple[Task | Transfer, tuple[int, ...]]]:
    for task in schedule.tasks:
        yield task, tuple(number for use in task.reads for number in use.residencies)
    for transfer in schedule.transfers:
        yield transfer, transfer.sources


def _changed(schedule: Schedule, kind: str, id: int, **changes: Any) -> Schedule:
    items = tuple(replace(item, **changes) if item.id == id else item for item in getattr(schedule, kind))
    return replace(schedule, **{kind: items})


def _of_events(workload: Workload, chip: Chip, schedule: Schedule) -> Iterator[Make]:
    bound = _bound(chip, schedule)
    for event in _events(schedule):
        kind = "tasks" if isinstance(event, Task) else "transfers"
        if event.id in bound:
            yield _early(workload, chip, schedule, event)
        yield _late(workload, chip, schedule, event)
        yield _one(chip, schedule, kind, event.id, energy_pj=-1.0)
        rest = tuple(item for item in getattr(schedule, kind) if item.id != event.id)
        yield _lazily(
            f"{kind} without {event.id}", chip, lambda kind=kind, rest=rest: replace(schedule, **{kind: rest})
        )
    for task in schedule.tasks:
        dim, (start, stop) = max(task.ranges, key=lambda item: item[1][1] - item[1][0])
        cut = tuple((name, (start, stop - 1)) if name == dim else (name, extent) for name, extent in task.ranges)
        yield _one(chip, schedule, "tasks", task.id, ranges=cut)
        op = next(op for op in workload.ops if op.name == task.op)
        for core in chip.cores:
            if op.kind not in core.ops:
                yield _one(chip, schedule, "tasks", task.id, core=core.name)
    for transfer in schedule.transfers:
        yield _one(chip, schedule, "transfers", transfer.id, bits=transfer.bits + 1)
        yield _one(chip, schedule, "transfers", transfer.id, bits=transfer.bits - 1)
        yield _one(chip, schedule, "transfers", transfer.id, setup_cycles=transfer.setup_cycles + 1)
        faster = tuple(replace(load, rate=load.rate + Fraction(1, 1000)) for load in transfer.lanes)
        yield _one(chip, schedule, "transfers", transfer.id, lanes=faster)
        yield _one(chip, schedule, "transfers", transfer.id, ports=transfer.ports[1:])
        yield _one(chip, schedule, "transfers", transfer.id, lanes=(*transfer.lanes, transfer.lanes[0]))
        for place in range(len(transfer.routes) if len(transfer.routes) > 1 else 0):
            fewer = (*transfer.routes[:place], *transfer.routes[place + 1 :])
            made = (*transfer.residencies[:place], *transfer.residencies[place + 1 :])
            yield _one(chip, schedule, "transfers", transfer.id, routes=fewer, residencies=made)
            yield _one(chip, schedule, "transfers", transfer.id, routes=fewer)
        for by in (-1, 1):
            yield _lasting(workload, chip, schedule, transfer, by)


def _one(chip: Chip, schedule: Schedule, kind: str, id: int, **changes: Any) -> Make:
    def make() -> Schedule:
        return _changed(schedule, kind, id, **changes)

    return _lazily(f"{kind} {id} with {changes}", chip, make)


def _lazily(name: str, chip: Chip, make: Callable[[], Schedule]) -> Make:
    return lambda: Mutant(name, chip, make())


def _bound(chip: Chip, schedule: Schedule) -> set[int]:
    """Events that cannot start one cycle earlier whatever the orders: data, core or exclusive lane, or time begins."""
    valid = {item.id: item.valid_from for item in schedule.residencies}
    bound = {event.id for event in _events(schedule) if event.start == 0}
    bound |= {
        event.id for event, sources in _readers(schedule) if any(valid[source] == event.start for source in sources)
    }
    alone = {link.name for link in chip.links if link.exclusive}
    ends: set[tuple[str, str, int]] = {("core", task.core, task.end) for task in schedule.tasks}
    for event in _events(schedule):
        ends |= {("lane", load.lane, event.end) for load in event.lanes if load.link in alone}
    bound |= {task.id for task in schedule.tasks if ("core", task.core, task.start) in ends}
    for event in _events(schedule):
        if any(("lane", load.lane, event.start) in ends for load in event.lanes):
            bound.add(event.id)
    return bound


def _early(workload: Workload, chip: Chip, schedule: Schedule, event: Task | Transfer) -> Make:
    return _lazily(f"event {event.id} one cycle early", chip, lambda: moved(workload, chip, schedule, event.id, -1))


def _late(workload: Workload, chip: Chip, schedule: Schedule, event: Task | Transfer) -> Make:
    def make() -> Mutant | None:
        late = moved(workload, chip, schedule, event.id, 1)
        before, after = orders(schedule, chip), orders(late, chip)
        kinds = ("cores", "lanes", "ports", "memories", "engines")
        same = all(getattr(before, kind) == getattr(after, kind) for kind in kinds)
        return Mutant(f"event {event.id} one cycle late", chip, late) if same else None

    return make


def _lasting(workload: Workload, chip: Chip, schedule: Schedule, transfer: Transfer, by: int) -> Make:
    def make() -> Schedule:
        other = _changed(schedule, "transfers", transfer.id, end=transfer.end + by)
        for number in transfer.residencies:
            other = _changed(other, "residencies", number, valid_from=transfer.end + by)
        return settled(workload, chip, other)

    return _lazily(f"transfer {transfer.id} lasts {by:+d}", chip, make)


def _of_residencies(chip: Chip, schedule: Schedule) -> Iterator[Make]:
    new = max(item.id for item in schedule.residencies) + 1
    for item in schedule.residencies:
        for field in ("bits", "start", "valid_from", "end"):
            for by in (-1, 1):
                yield _one(chip, schedule, "residencies", item.id, **{field: getattr(item, field) + by})
        yield _one(chip, schedule, "residencies", item.id, memory=_another(chip, item.memory))
        twin = replace(item, id=new)
        yield _lazily(
            f"residency {item.id} twice",
            chip,
            lambda twin=twin: replace(schedule, residencies=(*schedule.residencies, twin)),
        )


def _another(chip: Chip, memory: str) -> str:
    return next(item.name for item in chip.memories if item.name != memory)


def _of_reads(workload: Workload, chip: Chip, schedule: Schedule) -> Iterator[Make]:
    box_of = {item.id: item.box for item in schedule.residencies}
    ops = {op.name: {operand.name: operand for operand in op.operands} for op in workload.ops}
    for task in schedule.tasks:
        for position, use in enumerate(task.reads):
            operand = ops[task.op][use.operand]
            needed = workload.root_box(operand.tensor, operand.box(dict(task.ranges)))
            for place, box in enumerate(use.boxes):
                common = intersect(box, needed)
                if common is not None and common:
                    boxes = (*use.boxes[:place], *_one_row_less(common), *use.boxes[place + 1 :])
                    yield _reading(chip, schedule, task, position, boxes=boxes)
            for number in use.residencies:
                if any(intersect(box, box_of[number]) is not None for box in use.boxes):
                    rest = tuple(other for other in use.residencies if other != number)
                    yield _reading(chip, schedule, task, position, residencies=rest)
    for transfer in schedule.transfers:
        for number in transfer.sources:
            if intersect(transfer.box, box_of[number]) is not None:
                rest = tuple(other for other in transfer.sources if other != number)
                yield _one(chip, schedule, "transfers", transfer.id, sources=rest)


def _one_row_less(box: Box) -> tuple[Box, ...]:
    """`box` without the last row of its longest axis; nothing where that was all."""
    axis = max(range(len(box)), key=lambda axis: box[axis][1] - box[axis][0])
    less = tuple((start, stop - (position == axis)) for position, (start, stop) in enumerate(box))
    return (less,) if volume(less) else ()


def _reading(chip: Chip, schedule: Schedule, task: Task, position: int, **changes: Any) -> Make:
    uses = (*task.reads[:position], replace(task.reads[position], **changes), *task.reads[position + 1 :])
    return _one(chip, schedule, "tasks", task.id, reads=uses)


def _of_the_chip(chip: Chip, schedule: Schedule) -> Iterator[Make]:
    """Memories, links and ports with the least bit less than the schedule uses."""
    rooms: defaultdict[str, Holds] = defaultdict(list)
    lanes: defaultdict[tuple[str, str], Holds] = defaultdict(list)
    ports: defaultdict[tuple[str, str], Holds] = defaultdict(list)
    for item in schedule.residencies:
        rooms[item.memory].append((item.start, item.end, item.bits))
    for task in schedule.tasks:
        for name, bits in task.workspace:
            rooms[name].append((task.start, task.end, bits))
    for event in _events(schedule):
        for lane in event.lanes:
            lanes[lane.link, lane.lane].append((event.start, event.end, lane.rate))
        for port in event.ports:
            ports[port.memory, port.port].append((event.start, event.end, port.rate))
    running = _peak([(move.start, move.end, 1) for move in schedule.transfers])
    if running > 1:
        fewer = replace(chip, transfer_engines=running - 1)
        yield _on(f"{running - 1} transfer engines", fewer, schedule)
    if running:
        longer = replace(chip, transfer_setup_cycles=chip.transfer_setup_cycles + 1)
        yield _on("a longer set-up", longer, schedule)
    for name, holds in rooms.items():
        peak = _peak(holds)
        if peak:
            memories = tuple(replace(m, size_bits=peak - 1) if m.name == name else m for m in chip.memories)
            yield _on(f"memory {name} of {peak - 1} bits", replace(chip, memories=memories), schedule)
    for (name, lane_name), holds in lanes.items():
        link = chip.link(name)
        bits = _least_below(_peak(holds) * chip.base_clock_hz / link.clock_hz)
        links = tuple(replace(other, bandwidth_bits=bits) if other is link else other for other in chip.links)
        yield _on(f"lane {lane_name} of {bits} bits a cycle", replace(chip, links=links), schedule)
    for (name, port_name), holds in ports.items():
        memory = chip.memory(name)
        bits = _least_below(_peak(holds) * chip.base_clock_hz / memory.clock_hz)
        narrow = tuple(replace(p, bandwidth_bits=bits) if p.name == port_name else p for p in memory.ports)
        memories = tuple(replace(m, ports=narrow) if m is memory else m for m in chip.memories)
        yield _on(f"port {name}.{port_name} of {bits} bits a cycle", replace(chip, memories=memories), schedule)


def _on(name: str, chip: Chip, schedule: Schedule) -> Make:
    return lambda: Mutant(name, chip, schedule)


def _least_below(rate: Fraction) -> int:
    """The largest whole number below a rate."""
    return floor(rate) if floor(rate) < rate else ceil(rate) - 1


def _peak(holds: Holds) -> Any:
    held = most = 0
    changes = [(start, amount) for start, end, amount in holds if start < end]
    changes += [(end, -amount) for start, end, amount in holds if start < end]
    for _, amount in sorted(changes):
        held += amount
        most = max(most, held)
    return most

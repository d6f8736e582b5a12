"""Ground: a schedule names only what exists, once, with sound boxes and times. All other rules rely on it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

from weft.model.rules.case import Case, Facts, Fault, kept_as, named
from weft.model.schedule import LaneLoad, PortLoad, Use
from weft.model.workload import Box


def ids_are_unique(case: Case) -> Facts:
    """Tasks and transfers share one numbering; residencies have their own."""
    schedule = case.schedule
    events = Counter([task.id for task in schedule.tasks] + [transfer.id for transfer in schedule.transfers])
    residencies = Counter(residency.id for residency in schedule.residencies)
    for kind, ids in (("event", events), ("residency", residencies)):
        for number, times in ids.items():
            if times > 1:
                yield Fault(f"{kind} {number}", 0, "an id of its own", f"{times} of that id")
            elif number < 0:
                yield Fault(f"{kind} {number}", 0, "an id from 0 on", str(number))
            else:
                yield None


def names_exist(case: Case) -> Facts:
    """Ops, cores, memories, ports, links, lanes, root tensors, residencies and events that are named exist."""
    schedule = case.schedule
    yield _known("schedule", 0, "workload", schedule.workload, (case.workload.name,))
    yield _known("schedule", 0, "chip", schedule.chip, (case.chip.name,))
    known = _Known(case)
    for task in schedule.tasks:
        subject = f"task {task.id}"
        yield known(subject, task.start, "op", task.op)
        yield known(subject, task.start, "core", task.core)
        for use in (*task.reads, task.writes):
            yield known(subject, task.start, "root tensor", use.tensor)
            yield known(subject, task.start, "memory", use.memory)
            for number in use.residencies:
                yield known(subject, task.start, "residency", number)
        for memory, _ in task.workspace:
            yield known(subject, task.start, "memory", memory)
        yield from known.loads(subject, task.start, task.ports, task.lanes)
    for transfer in schedule.transfers:
        subject = f"transfer {transfer.id}"
        yield known(subject, transfer.start, "root tensor", transfer.tensor)
        for route in transfer.routes:
            for memory in route.memories:
                yield known(subject, transfer.start, "memory", memory)
            for link in route.links:
                yield known(subject, transfer.start, "link", link)
        for number in (*transfer.sources, *transfer.residencies):
            yield known(subject, transfer.start, "residency", number)
        yield from known.loads(subject, transfer.start, transfer.ports, transfer.lanes)
    for residency in schedule.residencies:
        subject = f"residency {residency.id}"
        yield known(subject, residency.start, "root tensor", residency.tensor)
        yield known(subject, residency.start, "memory", residency.memory)
        if residency.writer != -1:
            yield known(subject, residency.start, "event", residency.writer)


class _Known:
    """What may be named, by kind of thing."""

    def __init__(self, case: Case) -> None:
        self.names: dict[str, frozenset[object]] = {
            "op": frozenset(case.ops),
            "core": frozenset(case.cores),
            "memory": frozenset(case.memories),
            "link": frozenset(case.links),
            "root tensor": frozenset(case.roots.values()),
            "residency": frozenset(case.residencies),
            "event": frozenset(case.events),
            "port": frozenset((memory.name, port.name) for memory in case.chip.memories for port in memory.ports),
            "lane": frozenset(
                (link.name, lane)
                for link in case.chip.links
                for lane in ((link.name,) if link.half_duplex else (f"{link.name}>", f"{link.name}<"))
            ),
        }

    def __call__(self, subject: str, cycle: int, kind: str, name: object) -> Fault | None:
        return _known(subject, cycle, kind, name, self.names[kind])

    def loads(self, subject: str, cycle: int, ports: tuple[PortLoad, ...], lanes: tuple[LaneLoad, ...]) -> Facts:
        for port in ports:
            yield self(subject, cycle, "port", (port.memory, port.port))
        for lane in lanes:
            yield self(subject, cycle, "lane", (lane.link, lane.lane))


def _known(subject: str, cycle: int, kind: str, name: object, names: Iterable[object]) -> Fault | None:
    return None if name in names else Fault(subject, cycle, f"a {kind} that exists", str(name))


def boxes_are_sound(case: Case) -> Facts:
    """A tile has one range per dim of its op; no box is empty or reaches beyond its op or tensor."""
    for task in case.schedule.tasks:
        op = case.ops[task.op]
        ranges = dict(task.ranges)
        if len(ranges) != len(task.ranges) or ranges.keys() != op.size.keys():
            yield Fault(
                f"task {task.id}",
                task.start,
                "a range for " + " ".join(op.size),
                " ".join(dim for dim, _ in task.ranges),
            )
        else:
            yield _within(f"task {task.id}", task.start, tuple(ranges[dim] for dim in op.size), tuple(op.size.values()))
        for use in (*task.reads, task.writes):
            for box in use.boxes:
                yield _within(_use(task.id, use), task.start, box, case.tensors[use.tensor].shape)
    for transfer in case.schedule.transfers:
        shape = case.tensors[transfer.tensor].shape
        yield _within(f"transfer {transfer.id}", transfer.start, transfer.box, shape)
    for residency in case.schedule.residencies:
        shape = case.tensors[residency.tensor].shape
        yield _within(f"residency {residency.id}", residency.start, residency.box, shape)


def _use(task: int, use: Use) -> str:
    return f"{use.operand} of task {task}"


def _within(subject: str, cycle: int, box: Box, shape: tuple[int, ...]) -> Fault | None:
    if len(box) == len(shape):
        for (start, stop), size in zip(box, shape, strict=True):
            if not 0 <= start < stop <= size:
                break
        else:
            return None
    return Fault(subject, cycle, f"a box within {shape} that is not empty", str(box))


def times_are_in_order(case: Case) -> Facts:
    """An event takes time; a residency becomes valid between its start and its end."""
    for event in case.events.values():
        if 0 <= event.start < event.end:
            yield None
        else:
            yield Fault(named(event), event.start, "0 <= start < end", f"[{event.start}, {event.end})")
    for item in case.schedule.residencies:
        if 0 <= item.start <= item.valid_from <= item.end:
            yield None
        else:
            times = f"start {item.start}, valid from {item.valid_from}, end {item.end}"
            yield Fault(kept_as(item), item.start, "0 <= start <= valid from <= end", times)


def amounts_are_sound(case: Case) -> Facts:
    """No energy or workspace is negative, no booked rate is 0, a route has one link between two memories, a transfer
    has a residency per route."""
    for event in case.events.values():
        cycle = event.start
        if 0 <= event.energy_pj < math.inf:  # false for a NaN, too
            yield None
        else:
            yield Fault(named(event), cycle, "an energy that is finite and not negative", f"{event.energy_pj} pJ")
        loads: list[PortLoad | LaneLoad] = [*event.ports, *event.lanes]
        for load in loads:
            yield None if load.rate > 0 else Fault(named(event), cycle, "booked rates above 0", f"{load.rate}")
    for task in case.schedule.tasks:
        for memory, bits in task.workspace:
            needs = f"a workspace in {memory} that is not negative"
            yield None if bits >= 0 else Fault(named(task), task.start, needs, f"{bits} bits")
    for transfer in case.schedule.transfers:
        cycle = transfer.start
        yield None if transfer.rate > 0 else Fault(named(transfer), cycle, "a rate above 0", f"{transfer.rate}")
        for route in transfer.routes:
            if len(route.links) == len(route.memories) - 1 > 0:
                yield None
            else:
                has = f"{len(route.memories)} memories, {len(route.links)} links"
                yield Fault(named(transfer), cycle, "a route with one link between two memories", has)
        if len(transfer.routes) == len(transfer.residencies) > 0:
            yield None
        else:
            has = f"{len(transfer.routes)} routes, {len(transfer.residencies)} residencies"
            yield Fault(named(transfer), cycle, "a route and a residency for each receiver", has)

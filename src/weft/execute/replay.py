"""Replay: reach a schedule's times from its orders alone.

A schedule is stripped of every time. What is left is the order in which each core, lane, port and memory takes its
events, how long each event lasts, what it reads, makes and books. Then everything starts as early as that allows; the
times must be the schedule's own.

For a schedule that obeys the rules this always comes to an end, with no event later than scheduled: by induction over
(start, id), all that an event waits for happens no later than it did in the schedule. So a difference means that
something could have started earlier, or that a rule is broken; a circular wait means the latter.
"""

from __future__ import annotations

import heapq
import math
from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from weft.execute.copies import earlier_copies
from weft.model.chip import Chip
from weft.model.schedule import LaneLoad, PortLoad, Schedule, Task, Transfer

MAX_DIFFERENCES = 10
"""Differences listed; the first ones are the causes, the rest follows from them."""


@dataclass(frozen=True, slots=True)
class Event:
    """A task or transfer without its times.

    Args:
        id:       event number.     duration: cycles from its start to its end.
        core:     the core of a task; a transfer has none, and takes an engine where the chip says how many there are.
        reads, makes: ids of residencies.
        workspace: (memory, bits) held while it runs.
        ports, lanes: rates booked while it runs.
        after:    residencies that must have been released before it starts: earlier copies, in the same memory, of
                  what it makes (a box comes back only when the copy that was there has left).
    """

    id: int
    duration: int
    core: str | None
    reads: tuple[int, ...]
    makes: tuple[int, ...]
    workspace: tuple[tuple[str, int], ...]
    ports: tuple[PortLoad, ...]
    lanes: tuple[LaneLoad, ...]
    after: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Holding:
    """A residency without its times: it holds its bits from its writer's start until its last reader has ended.

    Args:
        writer: the event that makes it, -1 for what is there from the start.
        stays:  it is never released: inputs, weights and outputs in the outermost memory.
    """

    id: int
    memory: str
    bits: int
    writer: int
    stays: bool


@dataclass(frozen=True, slots=True)
class Orders:
    """A schedule without times: what happens, and in which order each resource takes its events.

    An event takes its turn on its core, on each lane and port it books, and in each memory where it takes room; a
    transfer also among all transfers, where the chip has so many engines and no more.
    """

    events: tuple[Event, ...]
    holdings: tuple[Holding, ...]
    cores: tuple[tuple[str, tuple[int, ...]], ...]
    lanes: tuple[tuple[tuple[str, str], tuple[int, ...]], ...]
    ports: tuple[tuple[tuple[str, str], tuple[int, ...]], ...]
    memories: tuple[tuple[str, tuple[int, ...]], ...]
    engines: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Difference:
    """An event whose time in the schedule is not the one that the orders lead to.

    Args:
        scheduled, replayed: [start, end); None: it never starts, and `waits_for` says why.
    """

    event: int
    scheduled: tuple[int, int]
    replayed: tuple[int, int] | None
    waits_for: str = ""

    def __str__(self) -> str:
        head = f"event {self.event} is scheduled at [{self.scheduled[0]}, {self.scheduled[1]})"
        if self.replayed is None:
            return f"{head} but never starts: it waits for {self.waits_for}"
        return f"{head} but replays at [{self.replayed[0]}, {self.replayed[1]})"


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """Whether the orders lead to the schedule's times; the first differences, in order of replayed start."""

    ok: bool
    differences: tuple[Difference, ...]


def check_replay(schedule: Schedule, chip: Chip) -> ReplayResult:
    """Replay a schedule from its orders and compare the times."""
    machine = _Machine(orders(schedule, chip), chip)
    times = machine.run()
    differences = []
    for event in _events(schedule):
        scheduled, replayed = (event.start, event.end), times.get(event.id)
        if replayed is None:
            differences.append(Difference(event.id, scheduled, None, machine.waits_for(event.id)))
        elif replayed != scheduled:
            differences.append(Difference(event.id, scheduled, replayed))
    differences.sort(key=lambda item: (item.replayed or item.scheduled, item.event))
    return ReplayResult(not differences, tuple(differences[:MAX_DIFFERENCES]))


def orders(schedule: Schedule, chip: Chip) -> Orders:
    """A schedule stripped of its times: each resource's events in the order of (start, id).

    Event and residency ids must be unique (a rule of schedules).
    """
    events: list[Event] = []
    cores: defaultdict[str, list[int]] = defaultdict(list)
    lanes: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    ports: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    memories: defaultdict[str, list[int]] = defaultdict(list)
    memory_of = {residency.id: residency.memory for residency in schedule.residencies}
    after = earlier_copies(schedule)
    for item in sorted(_events(schedule), key=lambda item: (item.start, item.id)):
        event = _without_times(item, after)
        events.append(event)
        if event.core is not None:
            cores[event.core].append(event.id)
        for lane in sorted({(load.link, load.lane) for load in event.lanes}):
            lanes[lane].append(event.id)
        for port in sorted({(load.memory, load.port) for load in event.ports}):
            ports[port].append(event.id)
        room = {memory_of[number] for number in event.makes if number in memory_of}
        for memory in sorted(room | {memory for memory, _ in event.workspace}):
            memories[memory].append(event.id)
    latency = schedule.latency_cycles
    holdings = tuple(
        Holding(
            residency.id,
            residency.memory,
            residency.bits,
            residency.writer,
            # a rule says which residencies these must be; here it is only whether any release is ever seen
            stays=residency.memory == chip.outermost and residency.end >= latency,
        )
        for residency in schedule.residencies
    )
    return Orders(
        tuple(sorted(events, key=lambda event: event.id)),
        holdings,
        tuple(sorted((name, tuple(queue)) for name, queue in cores.items())),
        tuple(sorted((name, tuple(queue)) for name, queue in lanes.items())),
        tuple(sorted((name, tuple(queue)) for name, queue in ports.items())),
        tuple(sorted((name, tuple(queue)) for name, queue in memories.items())),
        () if chip.transfer_engines is None else tuple(event.id for event in events if event.core is None),
    )


def replay(orders: Orders, chip: Chip) -> dict[int, tuple[int, int]]:
    """When each event starts and ends if everything starts as early as the orders allow.

    An event starts at the first cycle at which: all that it reads has been made; earlier copies of what it makes have
    left; its core is idle, or an engine is; on each of its resources all events before it have started; each lane and
    port has its rate left; each memory has room for what it makes and works on. Room is released when the last reader
    of a residency has ended (its writer, where none reads it); at one cycle releases come before starts.

    Returns: (start, end) by event id; an event that waits for ever is missing.
    """
    return _Machine(orders, chip).run()


def _events(schedule: Schedule) -> list[Task | Transfer]:
    return [*schedule.tasks, *schedule.transfers]


def _without_times(item: Task | Transfer, earlier: dict[int, tuple[int, ...]]) -> Event:
    makes = item.writes.residencies if isinstance(item, Task) else item.residencies
    after = tuple(sorted({number for made in makes for number in earlier.get(made, ())}))
    duration = item.end - item.start
    if isinstance(item, Task):
        reads = tuple(sorted({number for use in item.reads for number in use.residencies}))
        return Event(item.id, duration, item.core, reads, makes, item.workspace, item.ports, item.lanes, after)
    reads = tuple(sorted(set(item.sources)))
    return Event(item.id, duration, None, reads, makes, (), item.ports, item.lanes, after)


class _Resource:
    """Something with so many whole units, given to events in one order.

    Cores, exclusive lanes and exclusive ports have one unit, lanes and ports their rate, memories their bits, a chip
    its engines.
    """

    __slots__ = ("free", "name", "queue", "turn", "unit")

    def __init__(self, name: str, units: int, unit: str, queue: tuple[int, ...]) -> None:
        self.name = name
        self.free = units
        self.unit = unit
        self.queue = queue
        self.turn = 0

    @property
    def head(self) -> int | None:
        """The event whose turn it is."""
        return self.queue[self.turn] if self.turn < len(self.queue) else None


class _Machine:
    """The state of one replay.

    An event is tried only once its data is made and its turn has come on all its resources, and after that only when
    one of these got units back. So it is tried a few times, not once per cycle: near-linear in the events.
    """

    def __init__(self, orders: Orders, chip: Chip) -> None:
        self.events = {event.id: event for event in orders.events}
        self.holdings = {holding.id: holding for holding in orders.holdings}
        self.uses: dict[int, list[tuple[_Resource, int]]] = {event.id: [] for event in orders.events}
        """Units of each resource that an event takes at its start."""
        self.returns: dict[int, list[tuple[_Resource, int]]] = {event.id: [] for event in orders.events}
        """Units that it gives back at its end; the rest is given back with its residencies."""
        self.resources: list[_Resource] = []
        self.rooms: dict[str, _Resource] = {}
        self._add_cores(orders)
        if chip.transfer_engines is not None:
            moves = orders.engines
            self._add(_Resource("the transfers", chip.transfer_engines, "engines", moves), dict.fromkeys(moves, 1))
        self._add_rates(orders, chip)
        self._add_memories(orders, chip)
        self.readers: dict[int, list[int]] = {holding.id: [] for holding in orders.holdings}
        for event in orders.events:
            for number in event.reads:
                self.readers.setdefault(number, []).append(event.id)
        self.still_read = {number: len(readers) for number, readers in self.readers.items()}
        self.made = {holding.id for holding in orders.holdings if holding.writer == -1}
        self.left: set[int] = set()
        for holding in orders.holdings:
            if holding.writer == -1 and (holding.stays or self.readers[holding.id]):
                self.rooms[holding.memory].free -= holding.bits
            elif holding.writer == -1:
                self.left.add(holding.id)
        self.conditions = {
            event.id: len(self.uses[event.id])
            + sum(number not in self.made for number in event.reads)
            + sum(number not in self.left for number in event.after)
            for event in orders.events
        }
        """What has yet to come for an event before it is tried: data that it reads, copies that have to leave, and
        its turn on resources."""
        self.followers: defaultdict[int, list[int]] = defaultdict(list)
        for event in orders.events:
            for number in event.after:
                self.followers[number].append(event.id)
        self.tries = deque(number for number, missing in self.conditions.items() if not missing)
        for resource in self.resources:
            self._has_come(resource.head)
        self.times: dict[int, tuple[int, int]] = {}

    def run(self) -> dict[int, tuple[int, int]]:
        running: list[tuple[int, int]] = []
        now = 0
        while True:
            while self.tries:
                number = self.tries.popleft()
                if number not in self.times and all(resource.free >= units for resource, units in self.uses[number]):
                    end = now + self.events[number].duration
                    self.times[number] = (now, end)
                    heapq.heappush(running, (end, number))
                    for resource, units in self.uses[number]:
                        resource.free -= units
                        resource.turn += 1
                        self._has_come(resource.head)
            if not running:
                return self.times
            now = running[0][0]
            while running and running[0][0] == now:
                _, number = heapq.heappop(running)
                self._end(self.events[number])

    def waits_for(self, number: int) -> str:
        """What keeps an event from starting, as far as this machine has come."""
        for read in self.events[number].reads:
            if read not in self.made:
                by = f"made by event {self.holdings[read].writer}" if read in self.holdings else "which nothing makes"
                return f"residency {read}, {by}"
        for copy in self.events[number].after:
            if copy not in self.left:
                return f"residency {copy} to leave, an earlier copy of what it makes"
        for resource, units in self.uses[number]:
            if resource.head != number:
                return f"its turn on {resource.name} after event {resource.head}"
            if resource.free < units:
                return f"{units} {resource.unit} of {resource.name}, which has {resource.free} left"
        return "nothing"

    def _has_come(self, number: int | None) -> None:
        """One more of the conditions of an event holds, for good."""
        if number is not None:
            self.conditions[number] -= 1
            if not self.conditions[number]:
                self.tries.append(number)

    def _give_back(self, resource: _Resource, units: int) -> None:
        resource.free += units
        head = resource.head
        if head is not None and not self.conditions[head]:
            self.tries.append(head)

    def _end(self, event: Event) -> None:
        for resource, units in self.returns[event.id]:
            self._give_back(resource, units)
        for made in event.makes:
            if made in self.made:
                continue  # made twice: the rules say so
            self.made.add(made)
            readers = self.readers.get(made, [])
            for reader in readers:
                self._has_come(reader)
            if not readers:
                self._release(made)
        for read in event.reads:
            self.still_read[read] -= 1
            if not self.still_read[read]:
                self._release(read)

    def _release(self, residency: int) -> None:
        holding = self.holdings.get(residency)
        if holding is not None and not holding.stays:
            self._give_back(self.rooms[holding.memory], holding.bits)
            self.left.add(residency)
            for event in self.followers[residency]:
                self._has_come(event)

    def _add_cores(self, orders: Orders) -> None:
        for name, queue in orders.cores:
            self._add(_Resource(f"core {name}", 1, "task", queue), dict.fromkeys(queue, 1))

    def _add_rates(self, orders: Orders, chip: Chip) -> None:
        lane_rates: dict[tuple[str, str], dict[int, Fraction]] = {lane: {} for lane, _ in orders.lanes}
        port_rates: dict[tuple[str, str], dict[int, Fraction]] = {port: {} for port, _ in orders.ports}
        for event in orders.events:
            for lane in event.lanes:
                mine = lane_rates[lane.link, lane.lane]
                mine[event.id] = mine[event.id] + lane.rate if event.id in mine else lane.rate
            for port in event.ports:
                mine = port_rates[port.memory, port.port]
                mine[event.id] = mine[event.id] + port.rate if event.id in mine else port.rate
        for (link_name, name), queue in orders.lanes:
            link = chip.link(link_name)
            self._add_rate(f"lane {name}", chip.lane_rate(link), lane_rates[link_name, name], queue)
            if link.exclusive:
                self._add(_Resource(f"lane {name}", 1, "use", queue), dict.fromkeys(queue, 1))
        for (memory_name, name), queue in orders.ports:
            memory = chip.memory(memory_name)
            port_noun = next(item for item in memory.ports if item.name == name)
            most = chip.port_rate(memory, port_noun)
            self._add_rate(f"port {memory_name}.{name}", most, port_rates[memory_name, name], queue)
            if port_noun.exclusive:
                self._add(_Resource(f"port {memory_name}.{name}", 1, "use", queue), dict.fromkeys(queue, 1))

    def _add_rate(self, name: str, most: Fraction, rates: dict[int, Fraction], queue: tuple[int, ...]) -> None:
        # exact: everything on one resource is counted in units of 1 / their common denominator
        scale = math.lcm(most.denominator, *{rate.denominator for rate in rates.values()})
        units = {number: rate.numerator * (scale // rate.denominator) for number, rate in rates.items()}
        free = most.numerator * (scale // most.denominator)
        self._add(_Resource(name, free, f"1/{scale} bit/cycle", queue), units)

    def _add(self, resource: _Resource, units: dict[int, int]) -> None:
        """A resource whose units come back as soon as the event that took them has ended."""
        self.resources.append(resource)
        for number in resource.queue:
            self.uses[number].append((resource, units[number]))
            self.returns[number].append((resource, units[number]))

    def _add_memories(self, orders: Orders, chip: Chip) -> None:
        queues = dict(orders.memories)
        for memory in chip.memories:
            room = _Resource(f"memory {memory.name}", memory.size_bits, "bits", queues.get(memory.name, ()))
            self.rooms[memory.name] = room
            self.resources.append(room)
        for event in orders.events:
            work = _summed(event.workspace)
            made = _summed(
                (holding.memory, holding.bits)
                for holding in (self.holdings[number] for number in event.makes if number in self.holdings)
            )
            for name in sorted({*work, *made}):
                self.uses[event.id].append((self.rooms[name], work.get(name, 0) + made.get(name, 0)))
                if name in work:
                    self.returns[event.id].append((self.rooms[name], work[name]))


def _summed(amounts: Iterable[tuple[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for name, bits in amounts:
        total[name] = total.get(name, 0) + bits
    return total

"""Rules on room and rates: at every instant nothing holds more than there is, and nothing is held twice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from fractions import Fraction

from weft.model.rules.boxes import overlaps
from weft.model.rules.case import Case, Facts, Fault, kept_as
from weft.model.rules.sweep import Hold, peaks, rate_peaks
from weft.model.schedule import Residency, Task, Transfer


def boxes_fit_in_their_memory(case: Case) -> Facts:
    """Residencies and workspaces in a memory sum to at most its size, at every instant."""
    holds: defaultdict[str, list[Hold]] = defaultdict(list)
    for residency in case.schedule.residencies:
        holds[residency.memory].append((residency.start, residency.end, residency.bits))
    for task in case.schedule.tasks:
        for name, bits in task.workspace:
            holds[name].append((task.start, task.end, bits))
    for name, mine in holds.items():
        size = case.memories[name].size_bits
        for peak in peaks(mine, size):
            if peak is None:
                yield None
            else:
                cycle, held = peak
                yield Fault(f"memory {name}", cycle, f"{held} bits", f"{size} bits")


def boxes_are_held_once(case: Case) -> Facts:
    """Boxes of one tensor that share time in one memory share no element."""
    together: defaultdict[tuple[str, str], list[Residency]] = defaultdict(list)
    for residency in case.schedule.residencies:
        if residency.start < residency.end:
            together[residency.memory, residency.tensor].append(residency)
    for mine in together.values():
        # time is one more axis: boxes overlap where they share both time and elements
        doubled = {b: a for a, b in overlaps([((item.start, item.end), *item.box) for item in mine])}
        for position, residency in enumerate(mine):
            if position in doubled:
                other = mine[doubled[position]]
                cycle = max(residency.start, other.start)
                yield Fault(kept_as(residency), cycle, "elements that only it holds", f"some in {kept_as(other)}")
            else:
                yield None


def links_carry_their_rate(case: Case) -> Facts:
    """Rates on each lane sum to at most its link's bandwidth, at every instant."""
    booked: defaultdict[tuple[str, str], list[tuple[int, int, Fraction]]] = defaultdict(list)
    for event in case.events.values():
        for load in event.lanes:
            booked[load.link, load.lane].append((event.start, event.end, load.rate))
    for (link, lane), rates in booked.items():
        yield from _within(f"lane {lane}", rates, case.chip.lane_rate(case.links[link]))


def ports_carry_their_rate(case: Case) -> Facts:
    """Rates on each port sum to at most its bandwidth, at every instant."""
    limits = {
        (memory.name, port.name): case.chip.port_rate(memory, port)
        for memory in case.chip.memories
        for port in memory.ports
    }
    booked: defaultdict[tuple[str, str], list[tuple[int, int, Fraction]]] = defaultdict(list)
    for event in case.events.values():
        for load in event.ports:
            booked[load.memory, load.port].append((event.start, event.end, load.rate))
    for (memory, port), rates in booked.items():
        yield from _within(f"port {memory}.{port}", rates, limits[memory, port])


def _within(subject: str, rates: list[tuple[int, int, Fraction]], most: Fraction) -> Facts:
    for peak in rate_peaks(rates, most):
        if peak is None:
            yield None
        else:
            cycle, rate = peak
            yield Fault(subject, cycle, f"{rate} bit/cycle", f"{most} bit/cycle")


def exclusive_links_serve_one_at_a_time(case: Case) -> Facts:
    """At most one event uses a lane of an exclusive link; a full-duplex link has one lane per direction."""
    booked: defaultdict[str, list[Hold]] = defaultdict(list)
    for event in case.events.values():
        for lane in _exclusive_lanes(case, event):
            booked[f"lane {lane}"].append((event.start, event.end, 1))
    yield from _one_at_a_time(booked)


def exclusive_ports_serve_one_at_a_time(case: Case) -> Facts:
    """At most one event uses an exclusive port."""
    alone = {(memory.name, port.name) for memory in case.chip.memories for port in memory.ports if port.exclusive}
    booked: defaultdict[str, list[Hold]] = defaultdict(list)
    for event in case.events.values():
        for memory, port in {(load.memory, load.port) for load in event.ports} & alone:
            booked[f"port {memory}.{port}"].append((event.start, event.end, 1))
    yield from _one_at_a_time(booked)


def _one_at_a_time(booked: dict[str, list[Hold]]) -> Facts:
    for subject, holds in booked.items():
        for peak in peaks(holds, 1):
            if peak is None:
                yield None
            else:
                cycle, users = peak
                yield Fault(subject, cycle, f"to serve {users} at a time", "room for 1: it is exclusive")


def transfers_have_an_engine(case: Case) -> Facts:
    """At every instant there are at most as many transfers as the chip has engines, where it says how many."""
    engines = case.chip.transfer_engines
    if engines is None:
        return
    for peak in peaks(((move.start, move.end, 1) for move in case.schedule.transfers), engines):
        if peak is None:
            yield None
        else:
            cycle, running = peak
            yield Fault("transfers", cycle, f"{running} engines", str(engines))


def _exclusive_lanes(case: Case, event: Task | Transfer) -> Iterator[str]:
    """Lanes of exclusive links, each once however many loads one event has on it."""
    yield from sorted({load.lane for load in event.lanes if case.links[load.link].exclusive})

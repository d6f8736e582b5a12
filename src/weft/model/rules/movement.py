"""Rules on movement: a transfer takes a real way and books it; a streaming task books a way to its data."""

from __future__ import annotations

from collections import Counter, defaultdict
from fractions import Fraction

from weft.model.chip import Link, Memory
from weft.model.rules.case import Case, Facts, Fault, named, used
from weft.model.schedule import LaneLoad, PortLoad
from weft.model.workload import Slot, volume

READS = frozenset({"read", "read_write"})
WRITES = frozenset({"write", "read_write"})


def routes_are_real(case: Case) -> Facts:
    """Each link of a route joins the memories before and after it."""
    for transfer in case.schedule.transfers:
        for source, link, target in transfer.hops:
            if case.links[link].joins(source, target):
                yield None
            else:
                needs = f"{link} to join {source} and {target}"
                yield Fault(named(transfer), transfer.start, needs, _joined(case.links[link]))


def routes_are_a_tree(case: Case) -> Facts:
    """All routes leave one source, and each memory is entered once: by one link, from one memory, however many routes
    lead through it. No two end in one memory."""
    for transfer in case.schedule.transfers:
        starts = {route.memories[0] for route in transfer.routes}
        entered = Counter(target for _, _, target in transfer.hops)
        ends = Counter(transfer.targets)
        again = sorted(name for name in entered if name in starts or entered[name] > 1 or ends[name] > 1)
        if len(starts) == 1 and not again:
            yield None
        else:
            has = f"sources {', '.join(sorted(starts))}" if len(starts) > 1 else f"{', '.join(again)} again"
            yield Fault(named(transfer), transfer.start, "one source, and each memory entered once", has)


def _joined(link: Link) -> str:
    return f"{', '.join(sorted(link.a))} with {', '.join(sorted(link.b))}"


def transfers_book_their_lanes(case: Case) -> Facts:
    """A transfer books, at its rate, the lane of each of its links in its direction, and nothing else.

    What one memory sends over one lane is heard by all receivers that this lane joins with it: one use.
    """
    for transfer in case.schedule.transfers:
        sent = {(source, link, case.links[link].lane(source, target)) for source, link, target in transfer.hops}
        wanted = Counter(LaneLoad(link, lane, transfer.rate) for _, link, lane in sent)
        found = Counter(transfer.lanes)
        if found == wanted:
            yield None
        else:
            yield Fault(named(transfer), transfer.start, f"lanes {_lanes(wanted)}", _lanes(found))


def _lanes(loads: Counter[LaneLoad]) -> str:
    return ", ".join(sorted(f"{load.lane} at {load.rate}" for load in loads.elements())) or "none"


def transfers_book_their_ports(case: Case) -> Facts:
    """The source is read, each receiver written, a memory that is passed both, once each however many routes go on
    from it: one port each at least, all at the transfer's rate. One read_write port that does both carries the rate
    twice."""
    for transfer in case.schedule.transfers:
        booked: defaultdict[str, dict[str, Fraction]] = defaultdict(dict)
        for load in transfer.ports:
            ports = booked[load.memory]
            ports[load.port] = ports.get(load.port, Fraction(0)) + load.rate
        sending = {source for source, _, _ in transfer.hops}
        entered = {target for _, _, target in transfer.hops}
        along = tuple(dict.fromkeys(name for source, _, target in transfer.hops for name in (source, target)))
        for name in along:
            written, read = name in entered, name in sending
            if _ports_do(case.memories[name], booked.get(name, {}), transfer.rate, written, read):
                yield None
            else:
                doing = "writing and reading" if written and read else "writing" if written else "reading"
                needs = f"ports of {name} for {doing} at {transfer.rate}"
                has = ", ".join(f"{port} at {rate}" for port, rate in booked.get(name, {}).items()) or "none"
                yield Fault(named(transfer), transfer.start, needs, has)
        astray = sorted(set(booked) - set(along))
        if astray:
            yield Fault(named(transfer), transfer.start, "ports along its routes only", f"ports of {', '.join(astray)}")
        else:
            yield None


def _ports_do(memory: Memory, booked: dict[str, Fraction], rate: Fraction, written: bool, read: bool) -> bool:
    reads = writes = either = 0
    for port in memory.ports:
        total = booked.get(port.name)
        if total is None:
            continue
        can_read, can_write = read and port.direction in READS, written and port.direction in WRITES
        both = total == 2 * rate and can_read and can_write
        if not both and (total != rate or not (can_read or can_write)):
            return False
        either += can_read and can_write and not both
        reads += both or (can_read and not can_write)
        writes += both or (can_write and not can_read)
    return max(0, read - reads) + max(0, written - writes) <= either


def transfers_move_their_bits(case: Case) -> Facts:
    """Bits moved are elements times the tensor's width."""
    for transfer in case.schedule.transfers:
        bits = volume(transfer.box) * case.tensors[transfer.tensor].bits
        if transfer.bits == bits:
            yield None
        else:
            yield Fault(named(transfer), transfer.start, f"to move {bits} bits", f"{transfer.bits} bits")


def transfers_wait_for_their_links(case: Case) -> Facts:
    """Set-up is the chip's own and the latency of every link on the longest route, each rounded up to base cycles."""
    setups = {
        link.name: _rounded_up(Fraction(link.latency_cycles * case.chip.base_clock_hz, link.clock_hz))
        for link in case.chip.links
    }
    for transfer in case.schedule.transfers:
        setup = case.chip.transfer_setup_cycles
        setup += max(sum(setups[link] for link in route.links) for route in transfer.routes)
        if transfer.setup_cycles == setup:
            yield None
        else:
            yield Fault(named(transfer), transfer.start, f"{setup} set-up cycles", str(transfer.setup_cycles))


def transfers_take_their_time(case: Case) -> Facts:
    """Duration is bits over rate, rounded up, and the set-up."""
    for transfer in case.schedule.transfers:
        cycles = _rounded_up(transfer.bits / transfer.rate) + transfer.setup_cycles
        if transfer.end - transfer.start == cycles:
            yield None
        else:
            needs = f"{cycles} cycles for {transfer.bits} bits at {transfer.rate} after {transfer.setup_cycles}"
            yield Fault(named(transfer), transfer.start, needs, f"{transfer.end - transfer.start} cycles")


def _rounded_up(value: Fraction) -> int:
    return -(-value.numerator // value.denominator)


def streams_have_a_way(case: Case) -> Facts:
    """The lanes of a streaming task lead from where its operand lies to its core (back, for an output), and it books
    a port there."""
    known: dict[tuple[str, Slot, str, frozenset[tuple[str, str]], bool], bool] = {}
    for task in case.schedule.tasks:
        slots = {operand.name: operand.slot for operand in case.ops[task.op].operands}
        lanes = frozenset((load.link, load.lane) for load in task.lanes)
        for use in (*task.reads, task.writes):
            slot = slots.get(use.operand)
            if not use.streamed or slot is None:
                continue
            inward = use is not task.writes
            key = (task.core, slot, use.memory, lanes, inward)
            if key not in known:
                known[key] = _leads(case, *key)
            if known[key]:
                yield None
            else:
                needs = f"lanes {'from' if inward else 'to'} {use.memory} {'to' if inward else 'from'} {task.core}"
                has = ", ".join(sorted(lane for _, lane in lanes)) or "none"
                yield Fault(used(task, use), task.start, needs, has)
            directions = READS if inward else WRITES
            if _books(case.memories[use.memory], task.ports, directions):
                yield None
            else:
                needs = f"a port of {use.memory} for {'reading' if inward else 'writing'}"
                has = ", ".join(f"{load.memory}.{load.port}" for load in task.ports) or "none"
                yield Fault(used(task, use), task.start, needs, has)


def _leads(case: Case, core: str, slot: Slot, memory: str, lanes: frozenset[tuple[str, str]], inward: bool) -> bool:
    """Whether the lanes lead from `memory` to a memory of the core that holds the slot (or back, for a write)."""
    goals = {level.memory for level in case.cores[core].chain(slot)} - {memory}
    links = [case.links[name] for name in sorted({link for link, _ in lanes})]
    reached, frontier = {memory}, [memory]
    while frontier:
        here = frontier.pop()
        for link in links:
            for there in (link.a | link.b) - reached:
                source, target = (here, there) if inward else (there, here)
                if link.joins(source, target) and (link.name, link.lane(source, target)) in lanes:
                    reached.add(there)
                    frontier.append(there)
    return bool(goals & reached)


def _books(memory: Memory, loads: tuple[PortLoad, ...], directions: frozenset[str]) -> bool:
    able = {port.name for port in memory.ports if port.direction in directions}
    return any(load.memory == memory.name and load.port in able for load in loads)


def tasks_hold_their_ports(case: Case) -> Facts:
    """A task books the whole of each exclusive port of the memories in which its operands lie and in which it works."""
    alone = {
        memory.name: [(port.name, case.chip.port_rate(memory, port)) for port in memory.ports if port.exclusive]
        for memory in case.chip.memories
    }
    for task in case.schedule.tasks:
        booked: dict[tuple[str, str], Fraction] = {}
        for load in task.ports:
            booked[load.memory, load.port] = booked.get((load.memory, load.port), Fraction(0)) + load.rate
        places = [*(use.memory for use in (*task.reads, task.writes)), *(memory for memory, _ in task.workspace)]
        for memory in dict.fromkeys(places):
            for port, rate in alone[memory]:
                held = booked.get((memory, port), Fraction(0))
                if held >= rate:
                    yield None
                else:
                    yield Fault(
                        named(task), task.start, f"{memory}.{port} whole, {rate} bit/cycle", f"{held} bit/cycle"
                    )

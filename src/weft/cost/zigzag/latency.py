"""Latency by ZigZag's uniform model: stalls per port, and the time before and after.

Source: Mei et al., "A Uniform Latency Model for DNN Accelerators with Diverse Architectures and Dataflows" (DATE 2022),
as ZigZag 3.8.5 applies it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from weft.cost.zigzag.nest import Nest, border, flows, memories, nest_of, transfer, width
from weft.model.chip import FLOWS, Chip, Core, Flow, Memory, Port
from weft.model.workload import SLOTS, Op, Slot
from weft.model.zigzag import Spread, ZigzagLoops, ZigzagMapping


@dataclass(frozen=True, slots=True)
class Link:
    """One flow of one operand at one memory, as its port sees it.

    Args:
        real:    cycles of one transfer.      period: cycles from one transfer to the next.
        allowed: cycles of each period in which the data below may be replaced.
        count:   transfers.                   bits: of one transfer.
        least:   cycles that fill one instance of the operand's lowest memory through this port.
    """

    slot: Slot
    level: int
    flow: Flow
    memory: str
    port: Port
    real: int
    period: int
    allowed: Fraction
    count: int
    bits: int
    least: int

    @property
    def slack(self) -> Fraction:
        """Excess (positive) or slack (negative) over the layer: (real - allowed) (count - 1)."""
        return (self.real - self.allowed) * (self.count - 1)

    @property
    def window(self) -> Fraction:
        """Cycles of the layer in which it may run, but for the last transfer: allowed (count - 1)."""
        return self.allowed * (self.count - 1)


@dataclass(frozen=True, slots=True)
class Times:
    """The parts of the latency [cycles]."""

    total: int
    stalls: tuple[tuple[str, float], ...]
    onload: float
    offload: float
    ends: tuple[tuple[str, float], ...]


def latency(op: Op, bits: dict[str, int], core: Core, chip: Chip, mapping: ZigzagMapping) -> Times:
    """Stall of every port, on-loading and off-loading.

    Unrollings count their whole part here (14 over 4 units: 3 at a time), unlike in energy.
    Args:    mapping: one that fits (see `convert.fitted`).
    """
    whole = ZigzagMapping(tuple(_floored(loops) for loops in mapping.operands))
    operands = {operand.slot: operand for operand in op.operands}
    nests = {loops.slot: nest_of(op, loops) for loops in whole.operands}
    chains = {slot: tuple(memory for memory, _ in memories(core, chip, slot)) for slot in nests}
    final = {slot: bits[operands[slot].name] for slot in nests}
    double = double_buffered(nests, chains, final, core.accumulator_bits)
    ports: dict[str, list[Link]] = {}
    for slot in SLOTS:
        if slot not in nests:
            continue
        for level, memory in enumerate(chains[slot]):
            for link in _links(nests[slot], level, memory, chains[slot], final[slot], core.accumulator_bits, double):
                ports.setdefault(f"{memory.name}.{link.port.name}", []).append(link)
    total = nests["O"].total
    stalls = tuple((name, float(port_stall(links, total))) for name, links in ports.items())
    stall = max([0.0, *(cycles for _, cycles in stalls)])
    cycles: dict[tuple[Slot, int, Flow], Fraction] = {}
    for links in ports.values():
        cycles |= borrowed([link for link in links if not _returning(link)], total + Fraction(stall))
    onload = loading(cycles, {slot: chain for slot, chain in chains.items() if slot != "O"})
    offload = sum(
        max(cycles["O", level, "to_above"], cycles["O", level + 1, "from_below"])
        for level in range(len(chains["O"]) - 1)
    )
    ends = ((f"{slot} {chains[slot][level].name} {flow}", float(each)) for (slot, level, flow), each in cycles.items())
    return Times(total, tuple(sorted(stalls)), float(onload), float(offload), tuple(sorted(ends)))


def _floored(loops: ZigzagLoops) -> ZigzagLoops:
    spatial = tuple(tuple(Spread(s.dim, Fraction(max(1, math.floor(s.factor)))) for s in lv) for lv in loops.spatial)
    return ZigzagLoops(loops.slot, loops.temporal, spatial)


def _returning(link: Link) -> bool:
    """Partial sums on their way down: left out of on- and off-loading."""
    return link.slot == "O" and link.flow in ("to_below", "from_above")


def double_buffered(
    nests: dict[Slot, Nest], chains: dict[Slot, tuple[Memory, ...]], final: dict[Slot, int], accumulator: int
) -> frozenset[tuple[Slot, int]]:
    """The (slot, level) whose data ZigZag takes to be double buffered: inferred from room, never declared.

    Data that relevant loops at the top of the level replace piece by piece needs room for one piece: its effective size
    is data / (product of those loops). An operand is double buffered where the effective sizes of all that share the
    memory fill at most half of it, or where its own effective size fits into what is left free; a copy added so counts
    for the operands after it.
    """
    found: set[tuple[Slot, int]] = set()
    share: dict[str, list[tuple[Slot, int]]] = {}
    for slot, chain in chains.items():
        for level, memory in enumerate(chain):
            share.setdefault(memory.name, []).append((slot, level))
    sizes = {memory.name: memory.size_bits for chain in chains.values() for memory in chain}
    for name, users in share.items():
        data, effective = {}, {}
        for slot, level in users:
            nest = nests[slot]
            wide = accumulator if slot == "O" and nest.partial(level + 1) else final[slot]
            data[slot] = Fraction(round(nest.elements[level + 1]) * wide, sizes[name])
            effective[slot] = data[slot] / nest.top(level, "relevant")
        joint_effective = sum(effective.values(), start=Fraction(0))
        joint = sum(data.values(), start=Fraction(0))
        for slot, level in users:
            if joint_effective <= Fraction(1, 2):
                found.add((slot, level))
            elif effective[slot] <= 1 - joint:
                found.add((slot, level))
                joint += effective[slot]
    return frozenset(found)


def _links(
    nest: Nest,
    level: int,
    memory: Memory,
    chain: tuple[Memory, ...],
    final: int,
    accumulator: int,
    double: frozenset[tuple[Slot, int]],
) -> list[Link]:
    slot = nest.operand.slot
    found = []
    active = flows(nest, level, len(chain))
    lowest = width(nest, 0, "to_above", final, accumulator)
    for flow in FLOWS:
        if flow not in active:
            continue
        at = border(level, flow)
        wide = width(nest, level, flow, final, accumulator)
        port = memory.port(slot, flow)
        elements, count = transfer(nest, level, flow)
        period = nest.cycles[at]
        if at == 0:
            allowed = Fraction(1)
        elif (slot, at - 1) in double:
            allowed = Fraction(period)
        else:
            allowed = Fraction(period, nest.top(at - 1, "irrelevant"))
        found.append(
            Link(
                slot,
                level,
                flow,
                memory.name,
                port,
                math.ceil(Fraction(elements * wide, port.bandwidth_bits)),
                period,
                allowed,
                count,
                elements * wide,
                math.ceil(Fraction(round(nest.elements[1]) * lowest, port.bandwidth_bits)),
            )
        )
    return found


def port_stall(links: list[Link], total: int) -> Fraction:
    """Cycles that one port holds the layer up; negative is slack.

    One link: its own. Several: each over-long link pays its excess, and what all of them together need beyond the union
    of their windows is paid once.
    """
    if len(links) == 1:
        return links[0].slack
    over = sum((link.slack for link in links if link.slack > 0), start=Fraction(0))
    under = sum((link.slack for link in links if link.slack <= 0), start=Fraction(0))
    windows = sum((link.window for link in links), start=Fraction(0))
    return over + max(Fraction(0), under + windows - union(links, total))


def union(links: list[Link], total: int) -> int:
    """Cycles of the layer in which at least one link may run: windows lie at the start of each period.

    The whole layer where one link may use its whole period; else counted over the longest period, times that link's
    transfers.
    """
    if any(link.allowed == link.period for link in links):
        return total
    longest = max(links, key=lambda link: link.period)
    open_ = np.zeros(longest.period, dtype=bool)
    clock = np.arange(len(open_))
    for link in links:
        open_ |= (clock % link.period) < math.floor(link.allowed)
    return int(open_.sum()) * longest.count


def borrowed(links: list[Link], span: Fraction) -> dict[tuple[Slot, int, Flow], Fraction]:
    """Cycles of each link of a port before or after the layer.

    A link that moves once may run during the layer, in time that the others leave. That time is handed out from the
    longest link down: the p longest links together are shortened by what the p-th can give (its cycles but the least
    that the operand's lowest memory needs), or by an equal share of what time is left. The longer ones are shortened
    again each time, below their own least and even below zero.
    """
    found = {(link.slot, link.level, link.flow): Fraction(link.real) for link in links}
    once = sorted((link for link in links if link.count == 1), key=lambda link: -link.real)
    if not once:
        return found
    width = links[0].port.bandwidth_bits
    needed = sum((Fraction(link.bits, link.period) for link in links if link.count > 1), start=Fraction(0))
    left = max(Fraction(0), (width - needed) / width * span)
    for position, link in enumerate(once, start=1):
        step = min(Fraction(link.real - link.least), left / position)
        for longer in once[:position]:
            found[longer.slot, longer.level, longer.flow] -= step
        left -= position * step
    return found


def loading(cycles: dict[tuple[Slot, int, Flow], Fraction], chains: dict[Slot, tuple[Memory, ...]]) -> Fraction:
    """On-loading: the inputs' first tiles, pair of memories by pair, in the better of two orders.

    A pair takes the longer of its lower side's write and its upper side's read. Parts of two inputs that use the same
    ports on both sides run one after the other; those that share one side or none overlap with the other's.
    """
    shared, half, alone = (dict.fromkeys(chains, Fraction(0)) for _ in range(3))
    for slot, chain in chains.items():
        for level in range(len(chain) - 1):
            time = max(cycles[slot, level, "from_above"], cycles[slot, level + 1, "to_below"])
            sides = _met(chain[level], slot, "from_above", chains) + _met(chain[level + 1], slot, "to_below", chains)
            (alone, half, shared)[sides][slot] += time
    slots = list(chains)
    if len(slots) < 2:
        return sum(alone.values(), start=Fraction(0))
    a, b = slots[:2]

    def order(first: Slot, then: Slot) -> Fraction:
        return shared[first] + max(shared[then] + half[then] + alone[then], half[first] + alone[first])

    return min(order(a, b), order(b, a))


def _met(memory: Memory, slot: Slot, flow: Flow, chains: dict[Slot, tuple[Memory, ...]]) -> bool:
    """Whether another input uses the port that carries a flow of this one."""
    return any(
        memory in chain and memory.port(other, flow) == memory.port(slot, flow)
        for other, chain in chains.items()
        if other != slot
    )

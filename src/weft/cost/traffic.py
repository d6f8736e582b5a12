"""Traffic of a mapped nest: bits, accesses and busy cycles of every flow, and the room that tiles take."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from weft.cost.cuts import Cut, Line, Profile, Visits, cuts, profile, served, visits
from weft.cost.result import FlowTotal, Room
from weft.model.chip import Flow, Link, Memory, Port
from weft.model.mapping import Mapping, Problem


@dataclass(frozen=True, slots=True)
class Pipe:
    """A port or a link as a transfer sees it.

    Args:
        rate:   bits per core cycle, exactly.
        access_bits: smallest access (1 for a link).
        pj_per_bit: energy.
        above:  it carries the bits of the side above the cut (else those of the side below).
    """

    name: str
    port: str
    flow: Flow | Literal["link"]
    rate: Fraction
    access_bits: int
    pj_per_bit: float
    above: bool
    latency_cycles: int = 0

    def cycles(self, bits: int) -> int:
        """Core cycles that `bits` occupy it."""
        return math.ceil(bits / self.rate)


@dataclass(frozen=True, slots=True)
class CutTraffic:
    """What one cut costs: its flows, the room of the tile below, the time of all transfers, of the first down where it
    brings an input (else 0), and of the last up where it takes an output (else 0)."""

    cut: Cut
    flows: tuple[FlowTotal, ...]
    first_cycles: int
    last_cycles: int
    total_cycles: int
    steps: int
    partial: bool
    tile_elements: int
    fresh_elements: int


def pipes(problem: Problem, cut: Cut, up: bool) -> tuple[Pipe, ...]:
    """The ports and links that a transfer across a cut uses, upwards or downwards."""
    chip, core, slot = problem.chip, problem.core, cut.operand.slot
    outside = bool(cut.upper.links)
    divisor = problem.setting.path_divisor if outside else 1

    def port_pipe(memory: Memory, flow: Flow, above: bool, slower: int) -> Pipe:
        port: Port = memory.lent(slot, flow) if memory.name in cut.upper.via else memory.port(slot, flow)
        rate = Fraction(port.bandwidth_bits * memory.clock_hz, core.clock_hz * slower)
        return Pipe(memory.name, port.name, flow, rate, port.access_bits, memory.energy_pj_per_bit(port, flow), above)

    def link_pipe(link: Link, inner: str, outer: str) -> Pipe:
        # Straight from the array there is no inner memory: the outer one's end of the link gives the direction.
        inner = inner or next(iter(sorted((link.a if outer in link.b else link.b) - {outer})))
        lane = link.lane(inner, outer) if up else link.lane(outer, inner)
        rate = Fraction(link.bandwidth_bits * link.clock_hz, core.clock_hz * divisor)
        latency = math.ceil(Fraction(link.latency_cycles * core.clock_hz, link.clock_hz))
        return Pipe(link.name, lane, "link", rate, 1, link.pj_per_bit, True, latency)

    found: list[Pipe] = []
    if cut.lower is not None:
        found.append(port_pipe(chip.memory(cut.lower.memory), "to_above" if up else "from_above", False, 1))
    ends = itertools.pairwise((cut.lower.memory if cut.lower else "", *cut.upper.via, cut.upper.memory))
    found += [link_pipe(chip.link(name), a, b) for name, (a, b) in zip(cut.upper.links, ends, strict=False)]
    for name in cut.upper.via:
        passing: tuple[Flow, Flow] = ("from_below", "to_above") if up else ("from_above", "to_below")
        for flow in passing:
            found.append(port_pipe(chip.memory(name), flow, True, divisor))
    found.append(port_pipe(chip.memory(cut.upper.memory), "from_below" if up else "to_below", True, divisor))
    return tuple(found)


def cut_traffic(problem: Problem, mapping: Mapping, cut: Cut) -> CutTraffic:
    """Everything that crosses one cut.

    Inputs come down once a step. Output tiles go up once a visit and come back at all visits but the first, at
    accumulator width except for the last way up.
    Source:  docs/cost.md, Cuts to Flows.
    """
    along = lines(problem, mapping, cut)
    profiles = tuple(
        profile(axis, tuple(along[term.dim] for term in axis.terms)) for axis in cut.operand.axes if axis.terms
    )
    assert all(axis.terms or 0 <= axis.offset < axis.size for axis in cut.operand.axes), "operands lie in their tensors"
    rest = visits(tuple(line for dim, line in along.items() if dim not in cut.operand.dims))
    width = problem.width(cut.operand.name)
    steps = rest.steps * math.prod(sum(count for _, count in each.steps) for each in profiles)
    tile = math.prod(each.tile for each in profiles)
    fresh = _fresh(cut, profiles)
    if cut.operand.slot != "O":
        down = pipes(problem, cut, up=False)
        flows = [_total(cut, pipe, profiles, width, _instances(pipe, rest, "all"), rest.steps) for pipe in down]
        least = shift_cycles(problem, cut)
        first = _time(down, _extent(profiles, last=False), width, least)
        total = rest.steps * _times(down, profiles, width, least)
        return CutTraffic(cut, tuple(flows), first, 0, total, steps, False, tile, fresh)

    sums = max(width, problem.core.accumulator_bits)
    up, down = pipes(problem, cut, up=True), pipes(problem, cut, up=False)
    flows = []
    for pipe in up:
        final = _total(cut, pipe, profiles, width, _instances(pipe, rest, "last"), 1)
        partial = _total(cut, pipe, profiles, sums, _instances(pipe, rest, "not last"), rest.steps - 1)
        flows.append(_add(partial, final))
    for pipe in down:
        flows.append(_total(cut, pipe, profiles, sums, _instances(pipe, rest, "not first"), rest.steps - 1))
    total = _times(up, profiles, width)
    total += (rest.steps - 1) * (_times(up, profiles, sums) + _times(down, profiles, sums))
    last = _time(up, _extent(profiles, last=True), width)
    return CutTraffic(cut, tuple(flows), 0, last, total, steps, rest.steps > 1, tile, fresh)


def lines(problem: Problem, mapping: Mapping, cut: Cut) -> dict[str, Line]:
    """Each dim as it appears at a cut."""
    below, above = served(problem, mapping, cut.lower), served(problem, mapping, cut.upper)
    return {
        dim: Line(
            size,
            dict(cut.state)[dim],
            mapping.unrolled(dim),
            below[dim],
            above[dim],
            cut.run[1] if cut.run and cut.run[0] == dim else 0,
        )
        for dim, size in problem.op.dims
    }


def rooms(problem: Problem, traffic: tuple[CutTraffic, ...]) -> tuple[Room, ...]:
    """Bits each operand reserves in each of its places inside the core or below its last one.

    Place j-1 holds the tile that crosses cut j; the last place holds the operand whole and is not counted here.
    """
    found: list[Room] = []
    partial = False
    for item in traffic:
        lower = item.cut.lower
        if lower is not None:
            memory = problem.chip.memory(lower.memory)
            width = problem.width(item.cut.operand.name)
            if partial:
                width = max(width, problem.core.accumulator_bits)
            elements = item.tile_elements
            if memory.buffering == "double" and item.steps > 1:
                elements += item.fresh_elements
            found.append(Room(item.cut.operand.name, lower.memory, elements * width))
        partial = item.partial
    return tuple(found)


def traffic(problem: Problem, mapping: Mapping) -> tuple[CutTraffic, ...]:
    """All cuts, inputs first, each operand from the array outwards."""
    return tuple(cut_traffic(problem, mapping, cut) for cut in cuts(problem, mapping))


def _fresh(cut: Cut, profiles: tuple[Profile, ...]) -> int:
    """Elements of the second copy: the whole tile, or the largest increment where runs re-use their overlap."""
    if cut.run is None:
        return math.prod(each.tile for each in profiles)
    axes = [axis for axis in cut.operand.axes if axis.terms]
    return math.prod(
        each.fresh if any(term.dim == cut.run[0] for term in axis.terms) else each.tile
        for axis, each in zip(axes, profiles, strict=True)
    )


def _instances(pipe: Pipe, rest: Visits, which: str) -> int:
    """Active instances along dims that do not index the operand, summed over the visits meant."""
    every, first, last = (
        (rest.upper, rest.first_upper, rest.last_upper)
        if pipe.above
        else (rest.lower, rest.first_lower, rest.last_lower)
    )
    return {"all": every, "last": last, "not last": every - last, "not first": every - first}[which]


def _total(cut: Cut, pipe: Pipe, profiles: tuple[Profile, ...], width: int, instances: int, repeats: int) -> FlowTotal:
    """One flow over all steps: `instances` active ones along dims that do not index it, `repeats` of its steps."""
    bits = accesses = busy = 0
    for extent, count in _combine(tuple(each.upper if pipe.above else each.lower for each in profiles)):
        bits += count * extent * width
        accesses += count * math.ceil(extent * width / pipe.access_bits)
    if pipe.flow == "link":
        accesses = 0
    for extents, count in _combine_steps(profiles):
        busy += count * pipe.cycles(extents[pipe.above] * width)
    bits, accesses, busy = bits * instances, accesses * instances, busy * repeats
    priced = bits if pipe.flow == "link" else accesses * pipe.access_bits
    return FlowTotal(
        cut.operand.name, cut.index, pipe.name, pipe.port, pipe.flow, bits, accesses, busy, priced * pipe.pj_per_bit
    )


def _add(a: FlowTotal, b: FlowTotal) -> FlowTotal:
    return FlowTotal(
        a.operand,
        a.cut,
        a.memory,
        a.port,
        a.flow,
        a.bits + b.bits,
        a.accesses + b.accesses,
        a.busy_cycles + b.busy_cycles,
        a.pj + b.pj,
    )


def _combine(per_axis: tuple[tuple[tuple[int, int], ...], ...]) -> Iterator[tuple[int, int]]:
    for combination in itertools.product(*per_axis):
        yield math.prod(extent for extent, _ in combination), math.prod(count for _, count in combination)


def _combine_steps(profiles: tuple[Profile, ...]) -> Iterator[tuple[tuple[int, int], int]]:
    for combination in itertools.product(*(each.steps for each in profiles)):
        below = math.prod(extents[0] for extents, _ in combination)
        above = math.prod(extents[1] for extents, _ in combination)
        yield (below, above), math.prod(count for _, count in combination)


def _extent(profiles: tuple[Profile, ...], last: bool) -> tuple[int, int]:
    ends = [each.last if last else each.first for each in profiles]
    return math.prod(end[0] for end in ends), math.prod(end[1] for end in ends)


def shift_cycles(problem: Problem, cut: Cut) -> int:
    """Least time of one transfer: a load of stationary weights shifts through all rows of a systolic array."""
    systolic = problem.core.systolic
    if systolic is None or cut.index != 1 or cut.operand.slot != systolic.stationary or cut.operand.slot == "O":
        return 0
    return next(dim.size for dim in problem.core.array if dim.name == systolic.rows)


def _time(used: tuple[Pipe, ...], extents: tuple[int, int], width: int, least: int = 0) -> int:
    """Cycles of one transfer: the longest over its ports and links, plus the links' latency; nothing takes no time."""
    if max(extents) == 0:
        return 0
    longest = max(least, *(pipe.cycles(extents[pipe.above] * width) for pipe in used))
    return longest + sum(pipe.latency_cycles for pipe in used)


def _times(used: tuple[Pipe, ...], profiles: tuple[Profile, ...], width: int, least: int = 0) -> int:
    return sum(count * _time(used, extents, width, least) for extents, count in _combine_steps(profiles))

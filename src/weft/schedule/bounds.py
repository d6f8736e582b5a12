"""What no schedule of these options can beat: compute, off-chip traffic, link load, critical path; and least energy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from weft.model.chip import Chip
from weft.model.workload import Box, Op, Operand, Workload, intersect, volume
from weft.schedule.options import Option


@dataclass(frozen=True, slots=True)
class Bounds:
    """Lower bounds, each by its cause [base cycles], and on energy [pJ].

    They hold for schedules made of the given options (spatial choice, splits and mappings of this run).
    """

    compute_cycles: int
    offchip_cycles: int
    link_cycles: int
    critical_path_cycles: int
    energy_pj: float

    @property
    def latency_cycles(self) -> int:
        return max(self.compute_cycles, self.offchip_cycles, self.link_cycles, self.critical_path_cycles)


def array_cycles(option: Option, chip: Chip) -> list[tuple[str, int]]:
    """(core, base cycles in which its array must compute) of each part."""
    return [
        (
            part.core,
            math.ceil(part.mapped.price.compute_cycles * chip.base_clock_hz / chip.core(part.core).clock_hz),
        )
        for part in option.parts
    ]


def bounds(workload: Workload, chip: Chip, options: Mapping[str, Sequence[Option]]) -> Bounds:
    """Bounds over all schedules that pick one of `options` for each op.

    compute:   the least array time of each op, shared out over all cores that could take it.
    off-chip:  inputs, weights and outputs cross the outermost memory's ports once.
    links:     the same traffic crosses the links that end at the outermost memory, but for operands that an option has
               a core read or write right there.
    path:      the longest chain of ops, tiles of consumers following tiles of producers (`_critical_path`).
    energy:    operations at their cheapest core, compulsory off-chip traffic, static power over the latency bound.
    """
    work: dict[frozenset[str], int] = {}
    for op in workload.ops:
        choices = options[op.name]
        least = min(sum(cycles for _, cycles in array_cycles(option, chip)) for option in choices)
        able = frozenset(part.core for option in choices for part in option.parts)
        work[able] = work.get(able, 0) + least
    # Work that only some cores can take bounds by itself; so does all work over all cores.
    every = frozenset(core for able in work for core in able)
    compute = max(
        [math.ceil(sum(work.values()) / max(1, len(every)))]
        + [math.ceil(sum(w for a, w in work.items() if a <= able) / len(able)) for able in work]
    )
    read, written = compulsory_bits(workload)
    offchip = _port_cycles(chip, read, written)
    links = _link_cycles(chip, *compulsory_bits(workload, _at_the_outermost(chip, options)))
    path = _critical_path(workload, chip, options)
    latency = max(compute, offchip, links, path)
    operations = sum(
        min(sum(part.mapped.price.op_pj for part in option.parts) for option in options[op.name]) for op in workload.ops
    )
    energy = operations + _offchip_pj(chip, read, written) + chip.static_pj_per_cycle * latency
    return Bounds(compute, offchip, links, path, energy)


def compulsory_bits(workload: Workload, but: frozenset[tuple[str, str]] = frozenset()) -> tuple[int, int]:
    """(read, written): inputs and weights as far as any op touches them, and what ops write of outputs, each once.

    Args:    but: (op, operand) pairs that are not counted.
    """
    tensors = {tensor.name: tensor for tensor in workload.tensors}
    outputs = {workload.root(tensor.name) for tensor in workload.tensors if tensor.role == "output"}
    most: dict[str, int] = {}
    written = 0
    for op in workload.ops:
        for operand in op.inputs:
            root = workload.root(operand.tensor)
            if tensors[root].role in ("input", "weight") and (op.name, operand.name) not in but:
                count = math.prod(sum(axis) for axis in _hits(op, operand))
                most[root] = max(most.get(root, 0), count * tensors[root].bits)
        root = workload.root(op.output.tensor)
        if root in outputs and (op.name, op.output.name) not in but:
            written += volume(op.output.box(op.whole())) * tensors[root].bits
    return sum(most.values()), written


def _at_the_outermost(chip: Chip, options: Mapping[str, Sequence[Option]]) -> frozenset[tuple[str, str]]:
    """(op, operand) pairs that some option has a core read or write in the outermost memory itself."""
    return frozenset(
        (option.op, operand)
        for choices in options.values()
        for option in choices
        for part in option.parts
        for operand, memory, streamed in part.homes
        if memory == chip.outermost and not streamed
    )


def _hits(op: Op, operand: Operand) -> list[list[bool]]:
    """For each axis of an operand which of its indices the op touches (a stride may skip some).

    Of a scattered axis one: no more is sure.
    """
    found: list[list[bool]] = []
    for axis in operand.axes:
        if axis.scattered:
            found.append([index == 0 for index in range(axis.size)])
            continue
        reached = {axis.offset}
        for term in axis.terms:
            reached = {index + term.coefficient * i for index in reached for i in range(op.size[term.dim])}
        found.append([index in reached for index in range(axis.size)])
    return found


def _port_cycles(chip: Chip, read: int, written: int) -> int:
    """Base cycles in which the outermost memory's ports can pass that traffic."""
    memory = chip.memory(chip.outermost)
    rates = {"read": Fraction(0), "write": Fraction(0), "read_write": Fraction(0)}
    for port in memory.ports:
        rates[port.direction] += chip.port_rate(memory, port)
    return _cycles(read, written, rates["read"], rates["write"], rates["read_write"])


def _link_cycles(chip: Chip, read: int, written: int) -> int:
    """Base cycles in which the links at the outermost memory can pass that traffic."""
    down = up = shared = Fraction(0)
    for link in chip.links:
        if chip.outermost not in link.a | link.b:
            continue
        rate = chip.lane_rate(link)
        if link.half_duplex:
            shared += rate
        else:
            down, up = down + rate, up + rate
    return _cycles(read, written, down, up, shared) if down + up + shared else 0


def _cycles(read: int, written: int, down: Fraction, up: Fraction, shared: Fraction) -> int:
    """The time for `read` bits down and `written` bits up over one-way and shared rates."""
    needs = [(read, down + shared), (written, up + shared), (read + written, down + up + shared)]
    return max(math.ceil(bits / rate) for bits, rate in needs if rate)


def _offchip_pj(chip: Chip, read: int, written: int) -> float:
    """Energy of that traffic at the outermost memory, by its cheapest ports."""
    memory = chip.memory(chip.outermost)
    out = [memory.read_pj / port.bandwidth_bits for port in memory.ports if port.direction != "write"]
    into = [memory.write_pj / port.bandwidth_bits for port in memory.ports if port.direction != "read"]
    return read * min(out, default=0.0) + written * min(into, default=0.0)


def _critical_path(workload: Workload, chip: Chip, options: Mapping[str, Sequence[Option]]) -> int:
    """The longest chain of producers and consumers [base cycles].

    For each op two times that no schedule beats: when its first part ends and when its last one does.
    - A part waits for at least one part of one producer of each operand (unless it may touch padding only).
    - All parts of one core run one after another.
    - Where every part that a producer may be cut into holds something that the op reads, some part of the op waits for
      the producer's last.
    """
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    makers: dict[str, list[Op]] = {}
    for op in workload.ops:
        choices = options[op.name]
        cycles = [array_cycles(option, chip) for option in choices]
        shortest = min(spent for parts in cycles for _, spent in parts)
        ready, end = 0, 0
        for operand in op.inputs:
            box = workload.root_box(operand.tensor, operand.box(op.whole()))
            found = [
                maker
                for maker in makers.get(workload.root(operand.tensor), [])
                if intersect(_made(maker), box) is not None
            ]
            if found and _always_read(operand, choices):
                ready = max(ready, min(first[maker.name] for maker in found))
            for maker in found:
                if _always_met(workload, op, operand, options[maker.name], maker):
                    end = max(end, last[maker.name] + shortest)
        first[op.name] = ready + shortest
        last[op.name] = max(end, ready + min(_longest_core(parts) for parts in cycles))
        makers.setdefault(workload.root(op.output.tensor), []).append(op)
    return max(last.values(), default=0)


def _made(op: Op) -> Box:
    return op.output.box(op.whole())


def _longest_core(parts: list[tuple[str, int]]) -> int:
    """Cycles of the core that has most to do."""
    busy: dict[str, int] = {}
    for core, cycles in parts:
        busy[core] = busy.get(core, 0) + cycles
    return max(busy.values())


def _always_read(operand: Operand, choices: Sequence[Option]) -> bool:
    """Whether every part of every option touches something of an operand."""
    return all(volume(operand.box(dict(part.ranges))) > 0 for option in choices for part in option.parts)


def _always_met(workload: Workload, op: Op, operand: Operand, choices: Sequence[Option], maker: Op) -> bool:
    """Whether `op` reads something of every part into which `maker` may be cut."""
    hits = _hits(op, operand)
    if all(map(all, hits)):
        return True
    if workload.root(operand.tensor) != operand.tensor:
        return False
    return all(
        all(
            any(axis[start:stop]) for axis, (start, stop) in zip(hits, maker.output.box(dict(part.ranges)), strict=True)
        )
        for option in choices
        for part in option.parts
    )

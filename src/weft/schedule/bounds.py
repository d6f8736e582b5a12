"""What no schedule of these options can beat: compute, off-chip traffic, link load, critical path; and least energy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from weft.model.chip import Chip
from weft.model.workload import Workload
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


def bounds(workload: Workload, chip: Chip, options: dict[str, Sequence[Option]]) -> Bounds:
    """Bounds over all schedules that pick one of `options` for each op.

    compute:   the least array time of each op, shared out over all cores that could take it.
    off-chip:  inputs, weights and outputs cross the outermost memory's ports once.
    links:     the same traffic crosses the links that end at the outermost memory.
    path:      the longest chain of ops, each as long as the shortest part that it may be cut into (a consumer waits for
               at least one part of each producer).
    energy:    operations at their cheapest core, compulsory off-chip traffic, static power over the latency bound.
    """
    work: dict[frozenset[str], int] = {}
    shortest: dict[str, int] = {}
    for op in workload.ops:
        choices = options[op.name]
        least = min(sum(cycles for _, cycles in array_cycles(option, chip)) for option in choices)
        able = frozenset(part.core for option in choices for part in option.parts)
        work[able] = work.get(able, 0) + least
        shortest[op.name] = min(cycles for option in choices for _, cycles in array_cycles(option, chip))
    # Work that only some cores can take bounds by itself; so does all work over all cores.
    every = frozenset(core for able in work for core in able)
    compute = max(
        [math.ceil(sum(work.values()) / max(1, len(every)))]
        + [math.ceil(sum(w for a, w in work.items() if a <= able) / len(able)) for able in work]
    )
    read, written = compulsory_bits(workload)
    offchip, links = _port_cycles(chip, read, written), _link_cycles(chip, read, written)
    path = _critical_path(workload, shortest)
    latency = max(compute, offchip, links, path)
    operations = sum(
        min(sum(part.mapped.price.op_pj for part in option.parts) for option in options[op.name]) for op in workload.ops
    )
    energy = operations + _offchip_pj(chip, read, written) + chip.static_pj_per_cycle * latency
    return Bounds(compute, offchip, links, path, energy)


def compulsory_bits(workload: Workload) -> tuple[int, int]:
    """(read, written): inputs and weights as far as any op touches them, and the network's outputs, each once."""
    outputs = {workload.root(tensor.name) for tensor in workload.tensors if tensor.role == "output"}
    return _touched(workload), sum(t.size_bits for t in workload.tensors if t.name in outputs)


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


def _touched(workload: Workload) -> int:
    """Bits of inputs and weights that some op touches (a stride may skip the rest)."""
    tensors = {tensor.name: tensor for tensor in workload.tensors}
    best: dict[str, int] = {}
    for op in workload.ops:
        for operand in op.inputs:
            root = workload.root(operand.tensor)
            if tensors[root].role not in ("input", "weight"):
                continue
            count = 1
            for axis in operand.axes:
                hits = {axis.offset}
                for term in axis.terms:
                    hits = {h + term.coefficient * i for h in hits for i in range(op.size[term.dim])}
                count *= sum(0 <= h < axis.size for h in hits)
            best[root] = max(best.get(root, 0), count * tensors[root].bits)
    return sum(best.values())


def _critical_path(workload: Workload, shortest: dict[str, int]) -> int:
    """The longest chain of producers and consumers."""
    done: dict[str, int] = {}
    longest = 0
    for op in workload.ops:
        ready = max((done.get(workload.root(operand.tensor), 0) for operand in op.inputs), default=0)
        end = ready + shortest[op.name]
        root = workload.root(op.output.tensor)
        done[root] = max(done.get(root, 0), end)
        longest = max(longest, end)
    return longest

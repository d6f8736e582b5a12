"""What no schedule of these options can beat: compute, off-chip traffic, link load, critical path; and least energy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

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
    critical_path_cycles: int
    energy_pj: float

    @property
    def latency_cycles(self) -> int:
        return max(self.compute_cycles, self.offchip_cycles, self.critical_path_cycles)


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
    path:      the longest chain of ops, each at its shortest.
    energy:    operations at their cheapest core, compulsory off-chip traffic, static power over the latency bound.
    """
    work: dict[frozenset[str], int] = {}
    shortest: dict[str, int] = {}
    for op in workload.ops:
        choices = options[op.name]
        least = min(sum(cycles for _, cycles in array_cycles(option, chip)) for option in choices)
        able = frozenset(part.core for option in choices for part in option.parts)
        work[able] = work.get(able, 0) + least
        shortest[op.name] = min(max(cycles for _, cycles in array_cycles(option, chip)) for option in choices)
    # Work that only some cores can take bounds by itself; so does all work over all cores.
    every = frozenset(core for able in work for core in able)
    compute = max(
        [math.ceil(sum(work.values()) / max(1, len(every)))]
        + [math.ceil(sum(w for a, w in work.items() if a <= able) / len(able)) for able in work]
    )
    compulsory, offchip = _offchip(workload, chip)
    path = _critical_path(workload, shortest)
    latency = max(compute, offchip, path)
    operations = sum(
        min(sum(part.mapped.price.op_pj for part in option.parts) for option in options[op.name]) for op in workload.ops
    )
    energy = operations + compulsory + chip.static_pj_per_cycle * latency
    return Bounds(compute, offchip, path, energy)


def _offchip(workload: Workload, chip: Chip) -> tuple[float, int]:
    """Energy and cycles of reading every used input and weight once, and writing every output once."""
    memory = chip.memory(chip.outermost)
    used = {workload.root(operand.tensor) for op in workload.ops for operand in op.operands}
    outputs = {workload.root(tensor.name) for tensor in workload.tensors if tensor.role == "output"}
    read = sum(t.size_bits for t in workload.tensors if t.name in used and t.role in ("input", "weight"))
    written = sum(t.size_bits for t in workload.tensors if t.name in outputs)
    needed = _touched(workload)
    read = min(read, needed)
    rates = {"r": 0, "w": 0}
    both = 0
    for port in memory.ports:
        rate = chip.port_rate(memory, port)
        if port.direction == "read_write":
            both += math.floor(rate) or 1
        else:
            rates["r" if port.direction == "read" else "w"] += math.floor(rate) or 1
    cycles = max(
        math.ceil(read / (rates["r"] + both)) if rates["r"] + both else 0,
        math.ceil(written / (rates["w"] + both)) if rates["w"] + both else 0,
        math.ceil((read + written) / (rates["r"] + rates["w"] + both)),
    )
    width = memory.ports[0].bandwidth_bits
    return read * memory.read_pj / width + written * memory.write_pj / width, cycles


def _touched(workload: Workload) -> int:
    """Bits of inputs and weights that some op touches (a stride may skip the rest)."""
    total = 0
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
    total += sum(best.values())
    return total


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

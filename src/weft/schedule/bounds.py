"""What no schedule can beat: compute, off-chip traffic, link load, critical path; and least energy."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from weft.cost.units import op_pj, passes
from weft.mapper.space import dim_of_role
from weft.model.chip import Chip, Core
from weft.model.mapping import Problem, Setting
from weft.model.workload import SLOTS, Op, Operand, Workload, intersect, volume


@dataclass(frozen=True, slots=True)
class Bounds:
    """Lower bounds, each by its cause [base cycles], and on energy [pJ]; whatever is fused, split and mapped.

    With a fixed dataflow they hold for that dataflow.
    """

    compute_cycles: int
    offchip_cycles: int
    link_cycles: int
    critical_path_cycles: int
    energy_pj: float

    @property
    def latency_cycles(self) -> int:
        return max(self.compute_cycles, self.offchip_cycles, self.link_cycles, self.critical_path_cycles)


def bounds(workload: Workload, chip: Chip, spatial: Literal["fixed", "free"]) -> Bounds:
    """Bounds over all schedules.

    compute:   the busiest core's array time, when parts of every op may go to any core that takes its kind.
    off-chip:  inputs, weights and outputs cross the outermost memory's ports once.
    links:     the same traffic crosses the links that end at the outermost memory, but for what a core may read or
               write right there.
    path:      the longest chain of ops of which each needs all of the one before, or its first and last element.
    energy:    operations and array time at their cheapest core, compulsory off-chip traffic, static power over the
               latency bound.
    """
    compute = math.ceil(_compute(workload, chip, spatial))
    read, written = compulsory_bits(workload)
    offchip = math.ceil(_port_cycles(chip, read, written))
    links = math.ceil(_link_cycles(chip, *compulsory_bits(workload, _at_the_outermost(workload, chip))))
    path = _critical_path(workload, chip, spatial)
    latency = max(compute, offchip, links, path)
    operations = sum(_least_pj(workload, chip, op, spatial) for op in workload.ops)
    energy = operations + _offchip_pj(chip, read, written) + chip.static_pj_per_cycle * latency
    return Bounds(compute, offchip, links, path, energy)


@dataclass(frozen=True, slots=True)
class Interval:
    """What no endless stream of frames can beat, by its cause [base cycles per frame].

    Weights are not counted: they may stay on chip, or be shared by as many frames as one likes.
    """

    compute_cycles: float
    offchip_cycles: float
    link_cycles: float

    @property
    def cycles(self) -> float:
        return max(self.compute_cycles, self.offchip_cycles, self.link_cycles)

    @property
    def cause(self) -> str:
        """What it comes from."""
        causes = (
            ("compute", self.compute_cycles),
            ("off-chip traffic", self.offchip_cycles),
            ("link load", self.link_cycles),
        )
        return max(causes, key=lambda item: item[1])[0]


def interval(workload: Workload, chip: Chip, spatial: Literal["fixed", "free"]) -> Interval:
    """Least work per frame of the cores that take it, of the outermost memory's ports, and of the links at it.

    Args:    workload: one frame.
    """
    given = {tensor.name for tensor in workload.tensors if tensor.role == "weight"}
    weights = frozenset(
        (op.name, item.name) for op in workload.ops for item in op.inputs if workload.root(item.tensor) in given
    )
    return Interval(
        float(_compute(workload, chip, spatial)),
        float(_port_cycles(chip, *compulsory_bits(workload, weights))),
        float(_link_cycles(chip, *compulsory_bits(workload, weights | _at_the_outermost(workload, chip)))),
    )


def _compute(workload: Workload, chip: Chip, spatial: Literal["fixed", "free"]) -> Fraction:
    """Base cycles in which all arrays can have done everything, each op shared out over cores as one likes."""
    return balanced([array_times(workload, chip, op, spatial) for op in workload.ops])


def balanced(times: list[dict[str, Fraction]]) -> Fraction:
    """What the busiest core takes at least, when parts of every op may go to any core that takes it.

    With weights y on cores that sum to 1, the busiest core takes at least the weighted sum of all, and that is at least
        sum over ops of min over its cores of y x time
    which holds for any y. The best y comes from a linear programme; what is returned is that sum, in whole fractions.

    Args:    times: of each op, by core, the cycles of all of it there.
    >>> balanced([{"a": Fraction(6), "b": Fraction(12)}, {"a": Fraction(2)}])
    Fraction(16, 3)
    """
    cores = dict.fromkeys(core for op in times for core in op)
    alike = Counter(tuple(op.get(core) for op in times) for core in cores)
    rows = [[(kind, column[op]) for kind, column in enumerate(alike)] for op in range(len(times))]
    able = [[(kind, time) for kind, time in row if time is not None] for row in rows]
    shares = _shares(able, list(alike.values()))
    weight = [share / sum(shares) / count for share, count in zip(shares, alike.values(), strict=True)]
    return sum((min(weight[kind] * time for kind, time in row) for row in able), Fraction(0))


def _shares(able: list[list[tuple[int, Fraction]]], counts: list[int]) -> list[Fraction]:
    """Weights of kinds of cores under which little work is cheap: prices of their time in the best fluid schedule.

    Args:    able: for each op the (kind, time) of the cores that take it.   counts: cores of each kind.
    """
    if len(counts) < 2:
        return [Fraction(1)] * len(counts)
    from ortools.linear_solver import pywraplp  # only where cores differ: it takes a while to load

    solver = pywraplp.Solver.CreateSolver("GLOP")
    span = solver.NumVar(0, solver.infinity(), "")
    most = [solver.Constraint(-solver.infinity(), 0) for _ in counts]
    for row, count in zip(most, counts, strict=True):
        row.SetCoefficient(span, -count)
    for op in able:
        whole = solver.Constraint(1, 1)
        for kind, time in op:
            part = solver.NumVar(0, 1, "")
            whole.SetCoefficient(part, 1)
            most[kind].SetCoefficient(part, float(time))
    solver.Minimize(span)
    solver.Solve()
    prices = [count * max(0.0, -row.dual_value()) for row, count in zip(most, counts, strict=True)]
    return (
        [Fraction(price).limit_denominator(10**9) for price in prices] if sum(prices) else [Fraction(1)] * len(counts)
    )


def array_times(workload: Workload, chip: Chip, op: Op, spatial: Literal["fixed", "free"]) -> dict[str, Fraction]:
    """Base cycles in which the array of each core that takes an op must compute all of it, however it is cut.

    A tile takes no fewer blocks of an array's shape than its points over the points of the largest block that fits in
    the op. Where all cores' blocks are alike, a box cut into tiles takes no fewer blocks than the box uncut.
    """
    times: dict[str, tuple[Fraction, Fraction]] = {}
    blocks: set[tuple[tuple[str, int], ...] | int] = set()
    for core in chip.cores_for(op.kind):
        block = _block(op, core) if spatial == "fixed" else core.units
        blocks.add(block)
        rounds = passes(_problem(workload, chip, op, core)) * Fraction(chip.base_clock_hz, core.clock_hz)
        if isinstance(block, int):
            times[core.name] = (rounds * Fraction(op.iterations, block), Fraction(0))
            continue
        wide = dict(block)
        inside = math.prod(min(size, wide.get(dim, 1)) for dim, size in op.dims)
        whole = math.prod(math.ceil(size / wide.get(dim, 1)) for dim, size in op.dims)
        times[core.name] = (rounds * Fraction(op.iterations, inside), rounds * whole)
    return {core: max(parts, whole if len(blocks) == 1 else parts) for core, (parts, whole) in times.items()}


def _block(op: Op, core: Core) -> tuple[tuple[str, int], ...] | int:
    """The largest box that the declared dataflow lays on the array, or its points where a side may take several."""
    block: dict[str, int] = {}
    units = 1
    clear = True
    for side in core.array:
        size = side.size if side.most is None else side.most
        found = dict.fromkeys(dim_of_role(op, role) for role in side.roles)
        dims = [dim for dim in found if dim is not None and op.size[dim] > 1]
        units *= size if dims else 1
        clear &= len(dims) < 2
        for dim in dims:
            block[dim] = block.get(dim, 1) * size
    return tuple(sorted(block.items())) if clear else units


def _problem(workload: Workload, chip: Chip, op: Op, core: Core) -> Problem:
    widths = {tensor.name: tensor.bits for tensor in workload.tensors}
    return Problem(op, tuple((item.name, widths[item.tensor]) for item in op.operands), chip, Setting(core.name, ()))


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


def _at_the_outermost(workload: Workload, chip: Chip) -> frozenset[tuple[str, str]]:
    """(op, operand) pairs that some core may read or write in the outermost memory itself."""
    there = {
        (core.name, slot)
        for core in chip.cores
        for slot in SLOTS
        if any(chip.outermost == at.memory for at in core.chain(slot))
    }
    return frozenset(
        (op.name, operand.name)
        for op in workload.ops
        for operand in op.operands
        if any((core.name, operand.slot) in there for core in chip.cores_for(op.kind))
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


def _port_cycles(chip: Chip, read: int, written: int) -> Fraction:
    """Base cycles in which the outermost memory's ports can pass that traffic."""
    memory = chip.memory(chip.outermost)
    rates = {"read": Fraction(0), "write": Fraction(0), "read_write": Fraction(0)}
    for port in memory.ports:
        rates[port.direction] += chip.port_rate(memory, port)
    return _cycles(read, written, rates["read"], rates["write"], rates["read_write"])


def _link_cycles(chip: Chip, read: int, written: int) -> Fraction:
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
    return _cycles(read, written, down, up, shared) if down + up + shared else Fraction(0)


def _cycles(read: int, written: int, down: Fraction, up: Fraction, shared: Fraction) -> Fraction:
    """The time for `read` bits down and `written` bits up over one-way and shared rates."""
    needs = [(read, down + shared), (written, up + shared), (read + written, down + up + shared)]
    return max(bits / rate for bits, rate in needs if rate)


def _offchip_pj(chip: Chip, read: int, written: int) -> float:
    """Energy of that traffic at the outermost memory, by its cheapest ports."""
    memory = chip.memory(chip.outermost)
    out = [memory.read_pj / port.bandwidth_bits for port in memory.ports if port.direction != "write"]
    into = [memory.write_pj / port.bandwidth_bits for port in memory.ports if port.direction != "read"]
    return read * min(out, default=0.0) + written * min(into, default=0.0)


def _least_pj(workload: Workload, chip: Chip, op: Op, spatial: Literal["fixed", "free"]) -> float:
    """Energy of an op's operations, and of its cores while their arrays compute, where that is least."""
    times = array_times(workload, chip, op, spatial)
    return min(
        op_pj(_problem(workload, chip, op, core)) * op.iterations
        + core.active_pj_per_cycle * float(times[core.name] * core.clock_hz / chip.base_clock_hz)
        for core in chip.cores_for(op.kind)
    )


def _critical_path(workload: Workload, chip: Chip, spatial: Literal["fixed", "free"]) -> int:
    """The longest chain of producers and consumers [base cycles].

    Of each op the time when all of it can have been done: shared out over all cores that take it, after all of what it
    needs whole, and a cycle or more after the end of all else that it reads some of the last of.
    """
    done: dict[str, int] = {}
    makers: dict[str, list[Op]] = {}
    for op in workload.ops:
        spent = math.ceil(1 / sum(1 / time for time in array_times(workload, chip, op, spatial).values()))
        ready, after = 0, 0
        for operand in op.inputs:
            box = workload.root_box(operand.tensor, operand.box(op.whole()))
            for maker in makers.get(workload.root(operand.tensor), []):
                made = workload.root_box(maker.output.tensor, maker.output.box(maker.whole()))
                if intersect(made, box) is None:
                    continue
                if _needs_all(workload, op, operand):
                    ready = max(ready, done[maker.name])
                elif all(map(all, _hits(op, operand))):
                    after = max(after, done[maker.name] + 1)
        done[op.name] = max(ready + spent, after)
        makers.setdefault(workload.root(op.output.tensor), []).append(op)
    return max(done.values(), default=0)


def _needs_all(workload: Workload, op: Op, operand: Operand) -> bool:
    """Whether every tile of an op reads all of an operand: no dim along which it may be cut chooses what is read.

    Where a tile may touch padding only, or picks at run time, nothing is sure.
    """
    if any(axis.scattered for axis in operand.axes) or set(op.cuttable) & operand.dims:
        return False
    return volume(operand.box(op.whole())) > 0 and all(map(all, _hits(op, operand)))

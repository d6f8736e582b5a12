"""The definition by running: walks a nest loop by loop, lists what moves, and counts it (docs/cost.md, nothing else).

Two passes. `walk` runs the temporal loops from the outermost to the innermost and notes every time the body at some
position is entered. `count` then goes through the steps of each cut in that order, lists the iterations that each
memory instance holds, turns them into a set of tensor elements, and adds up what moves. A set of elements is an
integer with one bit per element of the tensor, so that difference and size are one machine operation each.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import ceil, prod

from weft.model.chip import Flow, Link, Memory
from weft.model.mapping import Mapping, Place, Problem
from weft.model.workload import Operand

FlowKey = tuple[str, int, str, str, str]
"""(operand, cut, memory or link, port or lane, flow)."""


@dataclass(frozen=True)
class Counted:
    """What one nest costs, counted.

    Args:
        flows: (bits, accesses, busy cycles) of each flow.
        busy:  cycles of each port ("memory.port") and link lane.
        room:  bits that each operand reserves in one instance of a memory below its last place.
    """

    flows: dict[FlowKey, tuple[int, int, int]]
    busy: dict[str, int]
    room: dict[tuple[str, str], int]
    compute: int
    fill: int
    drain: int
    exposed: int
    skew: int
    launch: int
    energy_pj: float

    @property
    def latency(self) -> int:
        steady = max([self.compute + self.exposed + self.skew, *self.busy.values()])
        return self.launch + self.fill + steady + self.drain


@dataclass(frozen=True)
class Step:
    """The body at one position is entered once: where each dim starts, the digit of the loop around the body, and how
    many array steps came before."""

    starts: tuple[int, ...]
    digit: int
    before: int = 0


@dataclass(frozen=True)
class Transfer:
    """What one step moves across a cut in one direction: the bits of each active instance on each side."""

    upward: bool
    upper: tuple[int, ...]
    lower: tuple[int, ...]


@dataclass(frozen=True)
class Charge:
    """What a transfer does to one port or link: `resource` is what it keeps busy for `cycles`."""

    memory: str
    port: str
    flow: str
    resource: str
    bits: int
    accesses: int
    cycles: int


@dataclass
class _Sums:
    flows: dict[FlowKey, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0, 0]))
    busy: dict[str, int] = field(default_factory=lambda: defaultdict(int))


def count(problem: Problem, mapping: Mapping, runner: type[Run] | None = None) -> Counted:
    """Runs the nest of `mapping` and counts. (`runner`: a Run with a planted mistake.)"""
    run = (runner or Run)(problem, mapping)
    sums = _Sums()
    room: dict[tuple[str, str], int] = {}
    fill = drain = exposed = 0
    for operand in problem.op.operands:
        chain = run.chain[operand.name]
        for cut in range(len(chain)):
            transfers = list(run.transfers(operand, cut))
            times = [run.book(operand, cut, transfer, sums) for transfer in transfers]
            if cut == 0:
                continue
            ends = 0
            if operand.slot != "O":
                fill += times[0]
                ends = times[0]
            else:
                # The last transfer of the run is the last visit's way up.
                assert transfers[-1].upward
                drain += times[-1]
                ends = times[-1]
            memory = problem.chip.memory(chain[cut - 1].memory)
            if memory.buffering == "single":
                exposed += sum(times) - ends
            room[operand.name, memory.name] = run.room(operand, cut)
    counted = Counted(
        flows={key: (bits, accesses, busy) for key, (bits, accesses, busy) in sums.flows.items()},
        busy=dict(sums.busy),
        room=room,
        compute=len(run.entered[0]) * run.passes(),
        fill=fill,
        drain=drain,
        exposed=exposed,
        skew=run.skew(),
        launch=problem.core.launch_cycles,
        energy_pj=0.0,
    )
    return replace(counted, energy_pj=_energy_pj(problem, counted))


def _operand_bits(problem: Problem) -> tuple[int, ...]:
    """Bits of what a unit works on: the two factors of a product, else the widest input."""
    bits = {operand.name: problem.width(operand.name) for operand in problem.op.operands if operand.slot != "O"}
    if problem.op.kind in ("conv", "gemm", "matmul"):
        first, second = (next(o for o in problem.op.operands if o.slot == slot) for slot in "IW")
        return bits[first.name], bits[second.name]
    return (max(bits.values()),)


def _pj_per_operation(problem: Problem) -> float:
    """Energy in proportion to the pairs of bits that meet."""
    bits = _operand_bits(problem)
    return problem.core.op_pj * prod(bits) / prod(problem.core.op_widths[: len(bits)])


def _energy_pj(problem: Problem, counted: Counted) -> float:
    chip, core = problem.chip, problem.core
    energy = _pj_per_operation(problem) * problem.op.iterations
    for (_, _, name, port_name, flow), (bits, accesses, _) in counted.flows.items():
        if flow == "link":
            energy += bits * chip.link(name).pj_per_bit
            continue
        memory = chip.memory(name)
        port = next(port for port in memory.ports if port.name == port_name)
        per_access = memory.read_pj if flow in ("to_below", "to_above") else memory.write_pj
        energy += accesses * port.access_bits / port.bandwidth_bits * per_access
    # Static power is given per base cycle, the latency in core cycles.
    static = chip.static_pj_per_cycle * chip.base_clock_hz / core.clock_hz
    return energy + (core.active_pj_per_cycle + static) * counted.latency


class Run:
    """One nest, run once."""

    def __init__(self, problem: Problem, mapping: Mapping) -> None:
        self.problem = problem
        self.mapping = mapping
        self.core = problem.core
        self.dims = tuple(name for name, _ in problem.op.dims)
        self.sizes = tuple(size for _, size in problem.op.dims)
        self.unrolled = tuple(mapping.unrolled(dim) for dim in self.dims)
        self.chain: dict[str, list[Place]] = {}
        self.inside: dict[str, list[int]] = {}
        for operand in problem.op.operands:
            places = {place.memory: place for place in problem.setting.of(operand.name)}
            rests = mapping.chain(operand.name)
            self.chain[operand.name] = [places[rest.memory] for rest in rests]
            self.inside[operand.name] = [rest.inside for rest in rests]
        self.entered: list[list[Step]] = [[] for _ in range(len(mapping.loops) + 1)]
        self.strides = [self._tile(position) for position in range(len(mapping.loops) + 1)]
        self._walk(len(mapping.loops), [0] * len(self.dims), 0)
        self._elements: dict[tuple[str, tuple[tuple[int, ...], ...]], int] = {}
        self.indexing = {
            operand.name: [axis for axis, dim in enumerate(self.dims) if dim in operand.dims]
            for operand in problem.op.operands
        }
        self._parts: dict[Place, tuple[int, ...]] = {}
        self._iterations: dict[tuple[int, int, int, int, int], tuple[tuple[int, ...], ...]] = {}

    def _tile(self, position: int) -> tuple[int, ...]:
        tile = self.mapping.tile(position)
        return tuple(tile.get(dim, 1) for dim in self.dims)

    def _walk(self, position: int, starts: list[int], digit: int) -> None:
        """The body below `position` loops is entered; runs the loop directly inside until it leaves the dim's range."""
        self.entered[position].append(Step(tuple(starts), digit, len(self.entered[0])))
        if position == 0:
            return
        loop = self.mapping.loops[position - 1]
        axis = self.dims.index(loop.dim)
        stride = self.strides[position - 1][axis]
        begin = starts[axis]
        for index in range(loop.factor):
            starts[axis] = begin + index * stride
            if starts[axis] >= self.sizes[axis]:
                break
            self._walk(position - 1, starts, index)
        starts[axis] = begin

    def position(self, operand: Operand, cut: int) -> int:
        """Where a cut lies, raised over the loops above it during which the tile stays."""
        if cut == 0:
            at = 0
            if operand.slot == "O":
                return at
        else:
            at = self.inside[operand.name][cut - 1]
        while at < len(self.mapping.loops) and self.mapping.loops[at].dim not in operand.dims:
            at += 1
        return at

    def held(self, place: Place, step: Step, position: int) -> Iterator[tuple[tuple[int, ...], ...]]:
        """The iterations per dim of each active instance of a place's memory, instances in a fixed order.

        Idle instances are left out: they have no iteration along some dim.
        """
        for parts in itertools.product(*self._by_coordinate(place, step, position)):
            if all(parts):
                yield parts

    def _by_coordinate(self, place: Place, step: Step, position: int) -> list[tuple[tuple[int, ...], ...]]:
        """For each dim, what every coordinate along it holds."""
        result = []
        for axis, served in enumerate(self._served(place)):
            unrolled, size = self.unrolled[axis], self.sizes[axis]
            tile, start = self.strides[position][axis], step.starts[axis]
            key = (axis, tile, start, served, unrolled)
            if key not in self._iterations:
                self._iterations[key] = tuple(
                    tuple(
                        iteration
                        for turn in range(tile // unrolled)
                        for within in range(served)
                        if (iteration := start + turn * unrolled + coordinate * served + within) < size
                    )
                    for coordinate in range(unrolled // served)
                )
            result.append(self._iterations[key])
        return result

    def _served(self, place: Place) -> tuple[int, ...]:
        """For each dim, its part that lies on array dims which one instance of the place's memory serves."""
        if place not in self._parts:
            self._parts[place] = tuple(
                prod(
                    loop.factor
                    for unroll in self.mapping.spatial
                    if unroll.array_dim in place.serves
                    for loop in unroll.loops
                    if loop.dim == dim
                )
                for dim in self.dims
            )
        return self._parts[place]

    def elements(self, operand: Operand, iterations: tuple[tuple[int, ...], ...]) -> int:
        """The elements of `operand` that these iterations touch, one bit each; padding is nobody's element."""
        indexing = self.indexing[operand.name]
        key = (operand.name, tuple(iterations[axis] for axis in indexing))
        if key in self._elements:
            return self._elements[key]
        where = dict(zip(self.dims, iterations, strict=True))
        bits, stride = 1, 1
        for axis in reversed(operand.axes):
            touched = {
                axis.offset + sum(index * term.coefficient for index, term in zip(point, axis.terms, strict=True))
                for point in itertools.product(*(where[term.dim] for term in axis.terms))
            }
            row = bits
            bits = 0
            for index in touched:
                if 0 <= index < axis.size:
                    bits |= row << (index * stride)
            stride *= axis.size
        self._elements[key] = bits
        return bits

    def transfers(self, operand: Operand, cut: int) -> Iterator[Transfer]:
        """What crosses a cut, in the order of the run."""
        return self._outputs(operand, cut) if operand.slot == "O" else self._inputs(operand, cut)

    def _inputs(self, operand: Operand, cut: int) -> Iterator[Transfer]:
        width = self.problem.width(operand.name)
        sides = self._moved(operand, cut)
        for upper, lower in sides:
            yield Transfer(
                False,
                tuple(elements.bit_count() * width for elements in upper),
                tuple(elements.bit_count() * width for elements in lower),
            )

    def _moved(self, operand: Operand, cut: int) -> Iterator[tuple[list[int], list[int]]]:
        """The elements of an input that move at each step, per active instance above and below the cut."""
        chain = self.chain[operand.name]
        position = self.position(operand, cut)
        places = [chain[cut]] if cut == 0 else [chain[cut], chain[cut - 1]]
        reuse = cut > 0 and self.problem.chip.memory(chain[cut - 1].memory).halo_reuse
        before: list[dict[int, int]] = [{}, {}]
        for step in self.entered[position]:
            moving: list[list[int]] = [[], []]
            for side, place in enumerate(places):
                now: dict[int, int] = {}
                for instance, parts in enumerate(itertools.product(*self._by_coordinate(place, step, position))):
                    if not all(parts):
                        continue
                    now[instance] = self.elements(operand, parts)
                    kept = before[side].get(instance, 0) if reuse and step.digit != 0 else 0
                    moving[side].append(now[instance] & ~kept)
                before[side] = now
            yield moving[0], moving[1]

    def _outputs(self, operand: Operand, cut: int) -> Iterator[Transfer]:
        final, partial = self.problem.width(operand.name), self.partial_bits(operand)
        chain = self.chain[operand.name]
        position = self.position(operand, cut)
        steps = self.entered[position]
        visits = [self._tile_of(operand, step) for step in steps]
        last = {tile: number for number, tile in enumerate(visits)}
        seen: set[tuple[int, ...]] = set()
        for number, (step, tile) in enumerate(zip(steps, visits, strict=True)):
            upper = [self.elements(operand, parts).bit_count() for parts in self.held(chain[cut], step, position)]
            lower: list[int] = []
            if cut:
                below = chain[cut - 1]
                lower = [self.elements(operand, parts).bit_count() for parts in self.held(below, step, position)]
            if tile in seen:
                yield Transfer(False, tuple(n * partial for n in upper), tuple(n * partial for n in lower))
            seen.add(tile)
            width = final if last[tile] == number else partial
            yield Transfer(True, tuple(n * width for n in upper), tuple(n * width for n in lower))

    def partial_bits(self, operand: Operand) -> int:
        """Width of a partial sum: never less than the finished element's."""
        return max(self.core.accumulator_bits, self.problem.width(operand.name))

    def _tile_of(self, operand: Operand, step: Step) -> tuple[int, ...]:
        """The name of the output tile that a step works on."""
        return tuple(start for dim, start in zip(self.dims, step.starts, strict=True) if dim in operand.dims)

    def charges(self, operand: Operand, cut: int, transfer: Transfer) -> list[Charge]:
        """What one transfer does to every port and link that it uses."""
        chain, chip = self.chain[operand.name], self.problem.chip
        above = chain[cut]
        divisor = self.problem.setting.path_divisor if above.links else 1
        leaving: tuple[Flow, Flow] = ("from_below", "to_above") if transfer.upward else ("to_below", "from_above")
        uses: list[tuple[Memory, Flow, tuple[int, ...], int]] = []
        uses.append((chip.memory(above.memory), leaving[0], transfer.upper, divisor))
        if cut:
            uses.append((chip.memory(chain[cut - 1].memory), leaving[1], transfer.lower, 1))
        through = (sum(transfer.upper),)
        for name in above.via:
            ways: tuple[Flow, Flow] = ("from_below", "to_above") if transfer.upward else ("from_above", "to_below")
            uses += [(chip.memory(name), way, through, divisor) for way in ways]
        made: list[Charge] = []
        for memory, flow, instances, slow in uses:
            port = memory.port(operand.slot, flow)
            # In one core cycle `width / beat` bits pass.
            width, beat = port.bandwidth_bits * memory.clock_hz, self.core.clock_hz * slow
            accesses = sum(-(-bits // port.access_bits) for bits in instances)
            cycles = max((-(-bits * beat // width) for bits in instances), default=0)
            resource = f"{memory.name}.{port.name}"
            made.append(Charge(memory.name, port.name, flow, resource, sum(instances), accesses, cycles))
        # An operand without a place in the core streams straight to the array: its links lie on cut 0.
        stops = [chain[cut - 1].memory if cut else "", *above.via, above.memory]
        for (low, high), link_name in zip(itertools.pairwise(stops), above.links, strict=False):
            link = chip.link(link_name)
            cycles = ceil(through[0] * divisor * Fraction(self.core.clock_hz, link.bandwidth_bits * link.clock_hz))
            lane = _lane(link, low, high, transfer.upward)
            made.append(Charge(link.name, lane, "link", lane, through[0], 0, cycles))
        return made

    def book(self, operand: Operand, cut: int, transfer: Transfer, sums: _Sums) -> int:
        """Adds one transfer to every port and link that it uses; its time in core cycles."""
        longest = 0
        for charge in self.charges(operand, cut, transfer):
            total = sums.flows[operand.name, cut, charge.memory, charge.port, charge.flow]
            total[0] += charge.bits
            total[1] += charge.accesses
            total[2] += charge.cycles
            sums.busy[charge.resource] += charge.cycles
            longest = max(longest, charge.cycles)
        if not any(transfer.upper) and not any(transfer.lower):
            return 0
        if self._loads_stationary_weights(operand, cut):
            longest = max(longest, self._side(self.core.systolic.rows))  # type: ignore[union-attr]
        for name in self.chain[operand.name][cut].links:
            link = self.problem.chip.link(name)
            longest += ceil(Fraction(link.latency_cycles * self.core.clock_hz, link.clock_hz))
        return longest

    def _loads_stationary_weights(self, operand: Operand, cut: int) -> bool:
        array = self.core.systolic
        return array is not None and array.stationary == "W" and operand.slot == "W" and cut == 1

    def _side(self, name: str) -> int:
        return next(dim.size for dim in self.core.array if dim.name == name)

    def passes(self) -> int:
        """Cycles of a unit until each part of one operand has met each part of the other."""
        widths = zip(_operand_bits(self.problem), self.problem.core.op_widths, strict=False)
        return len(list(itertools.product(*(range(0, bits, unit) for bits, unit in widths))))

    def skew(self) -> int:
        """Cycles in which a systolic array fills and empties, for each fold."""
        array = self.core.systolic
        if array is None:
            return 0
        resting = next(operand for operand in self.problem.op.operands if operand.slot == array.stationary)
        folds = len(self.entered[self.position(resting, 1)])
        return folds * (self._side(array.rows) + self._side(array.columns) - 2)

    def room(self, operand: Operand, cut: int) -> int:
        """Bits that the place below `cut` reserves in one instance."""
        chain = self.chain[operand.name]
        position = self.position(operand, cut)
        steps = self.entered[position]
        place = chain[cut - 1]
        memory = self.problem.chip.memory(place.memory)
        tile = max(
            self.elements(operand, parts).bit_count() for step in steps for parts in self.held(place, step, position)
        )
        copy = 0
        if memory.buffering == "double" and len(steps) > 1:
            copy = tile
            if memory.halo_reuse and operand.slot != "O":
                moved = [lower for _, lower in self._moved(operand, cut)]
                copy = max(
                    elements.bit_count()
                    for step, lower in zip(steps, moved, strict=True)
                    if step.digit != 0
                    for elements in lower
                )
        width = self.problem.width(operand.name)
        if operand.slot == "O":
            visits = [self._tile_of(operand, step) for step in self.entered[self.position(operand, cut - 1)]]
            if len(visits) > len(set(visits)):
                width = self.partial_bits(operand)
        return (tile + copy) * width


def _lane(link: Link, low: str, high: str, upward: bool) -> str:
    """The direction of a link that is booked; from the upper end where the lower one is the array."""
    if link.half_duplex:
        return link.name
    if low:
        return link.lane(low, high) if upward else link.lane(high, low)
    return f"{link.name}{'>' if (high in link.b) == upward else '<'}"

"""The chip: cores with their arrays and memories, shared memories, and the links that join them."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from typing import Literal

from weft.model.workload import KINDS, SLOTS, Kind, Slot

Role = Literal[
    "output_channel",
    "group",
    "reduction_channel",
    "output_column",
    "output_row",
    "kernel_column",
    "kernel_row",
    "batch",
]

LETTERS: dict[Role, str] = {
    "output_channel": "K",
    "group": "G",
    "reduction_channel": "C",
    "output_column": "OX",
    "output_row": "OY",
    "kernel_column": "FX",
    "kernel_row": "FY",
    "batch": "B",
}
"""How each is written in short: the loops of a convolution."""

ROLES: tuple[Role, ...] = (
    "output_channel",
    "group",
    "reduction_channel",
    "output_column",
    "output_row",
    "kernel_column",
    "kernel_row",
    "batch",
)

Direction = Literal["read", "write", "read_write"]
Buffering = Literal["double", "single", "pipelined"]
BUFFERINGS: tuple[Buffering, ...] = ("double", "single", "pipelined")

Flow = Literal["from_above", "to_below", "from_below", "to_above"]
"""The four ways data passes a memory: filled from above, supplying below, collecting from below, drained above."""
FLOWS: tuple[Flow, ...] = ("from_above", "to_below", "from_below", "to_above")
READING: frozenset[str] = frozenset({"to_below", "to_above"})


@dataclass(frozen=True, slots=True)
class Port:
    """One port of one memory instance.

    Args:
        direction:      what it can do; a read_write port does both, one after the other.
        bandwidth_bits: bits per cycle of the memory's clock.
        access_bits:    smallest access [bits]; a transfer pays for whole accesses in energy.
        flows:          the (slot, flow) pairs it carries; empty: every flow of its direction.
        exclusive:      one transfer at a time, and none while a task works from the memory: the task holds it whole.
    """

    name: str
    direction: Direction
    bandwidth_bits: int
    access_bits: int
    flows: frozenset[tuple[Slot, Flow]] = frozenset()
    exclusive: bool = False

    def carries(self, slot: Slot, flow: Flow) -> bool:
        fits = self.direction == "read_write" or (self.direction == "read") == (flow in READING)
        return fits and (not self.flows or (slot, flow) in self.flows)


@dataclass(frozen=True, slots=True)
class Memory:
    """One memory; `size_bits`, ports and energies are of one instance.

    Args:
        read_pj, write_pj: energy of one access of the port's full width [pJ]; part of a width costs its part,
                           rounded up to whole `access_bits`.
        buffering:  "double" overlaps refills and keeps two copies of a tile that has a successor; "single" exposes
                    refills; "pipelined" replaces words as they are last used: one copy, nothing exposed.
        halo_reuse: consecutive input tiles along the innermost loop above fetch only what is new.
        clock_hz:   clock of its ports.
        assumed:    what about it is not published, or "".
    """

    name: str
    size_bits: int
    ports: tuple[Port, ...]
    read_pj: float
    write_pj: float
    buffering: Buffering = "double"
    halo_reuse: bool = False
    clock_hz: int = 10**9
    assumed: str = ""

    def port(self, slot: Slot, flow: Flow) -> Port:
        """The port that carries a flow: the first declared one that does."""
        for port in self.ports:
            if port.carries(slot, flow):
                return port
        raise KeyError(f"memory '{self.name}' has no port for {slot} {flow}")

    def lent(self, slot: Slot, flow: Flow) -> Port:
        """The port for data that only passes: the one that carries the flow, else any that goes in its direction."""
        slots = (slot, *(other for other in SLOTS if other != slot))
        flows = (flow, *(other for other in FLOWS if other != flow and (other in READING) == (flow in READING)))
        for candidate in flows:
            for owner in slots:
                for port in self.ports:
                    if port.carries(owner, candidate):
                        return port
        raise KeyError(f"memory '{self.name}' has no port for {flow}")

    def energy_pj_per_bit(self, port: Port, flow: Flow) -> float:
        return (self.read_pj if flow in READING else self.write_pj) / port.bandwidth_bits


@dataclass(frozen=True, slots=True)
class ArrayDim:
    """One side of a core's array.

    Args:
        roles:  loops it unrolls in the declared dataflow, by role, first choice first.
        shares: several loops may lie on this side together, filled in the order of `roles`.
        most:   units that the declared dataflow uses; all where it is None.
    """

    name: str
    size: int
    roles: tuple[Role, ...] = ()
    shares: bool = False
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Level:
    """One memory in a core's hierarchy, for the slots it holds.

    serves: array dims that one instance serves (multicast for inputs, reduction for outputs); there is one
            instance per position along the others. Shared memories serve all dims.
    """

    memory: str
    slots: frozenset[Slot]
    serves: frozenset[str]


@dataclass(frozen=True, slots=True)
class Systolic:
    """Operands march through the array cell by cell.

    Args:
        rows, columns: array dims along which data is skewed.
        stationary:    slot that rests: W (weight stationary: a load shifts through all rows) or O (output stationary).
    """

    rows: str
    columns: str
    stationary: Literal["W", "O"]


@dataclass(frozen=True, slots=True)
class Core:
    """Something that computes.

    Args:
        ops:       op kinds it takes.
        array:     its sides; the product of sizes is its compute units.
        op_pj:     energy of one MAC (or one elementwise operation) on operands of `op_widths` [pJ].
        op_widths: bits of the input and of the weight that one unit takes in a cycle; wider ones take several passes.
        levels:    its memories, innermost first.
        accumulator_bits: width of a partial sum.
        active_pj_per_cycle: energy per cycle while it runs, beside MACs and memories [pJ].
        depthwise: whether it takes convolutions with groups.
    """

    name: str
    ops: frozenset[Kind]
    array: tuple[ArrayDim, ...]
    op_pj: float
    levels: tuple[Level, ...]
    accumulator_bits: int = 32
    clock_hz: int = 10**9
    active_pj_per_cycle: float = 0.0
    systolic: Systolic | None = None
    launch_cycles: int = 0
    note: str = ""
    op_widths: tuple[int, int] = (8, 8)

    @property
    def units(self) -> int:
        return math.prod(dim.size for dim in self.array)

    def chain(self, slot: Slot) -> tuple[Level, ...]:
        """The levels that may hold `slot`, innermost first."""
        return tuple(level for level in self.levels if slot in level.slots)

    def home(self, slot: Slot) -> str | None:
        """The outermost own memory of a slot, or None where it has none."""
        chain = self.chain(slot)
        return chain[-1].memory if chain else None


@dataclass(frozen=True, slots=True)
class Link:
    """Joins memories. A transfer crosses it between a memory of `a` and one of `b`.

    Args:
        a, b:      memory names. A point-to-point link has one core's memories on each side; a bus has all on both;
                   a shared channel to an off-chip memory has that on one side and all others on the other.
        bandwidth_bits: bits per cycle of the link's clock.
        half_duplex: both directions share the bandwidth.
        exclusive: one transfer at a time.
    """

    name: str
    a: frozenset[str]
    b: frozenset[str]
    bandwidth_bits: int
    latency_cycles: int = 0
    pj_per_bit: float = 0.0
    half_duplex: bool = True
    exclusive: bool = False
    clock_hz: int = 10**9

    def joins(self, source: str, target: str) -> bool:
        forth = source in self.a and target in self.b
        back = source in self.b and target in self.a
        return source != target and (forth or back)

    def lane(self, source: str, target: str) -> str:
        """The resource a transfer books: the link, or one direction of a full-duplex link."""
        if self.half_duplex:
            return self.name
        forward = source in self.a and target in self.b
        return f"{self.name}{'>' if forward else '<'}"


@dataclass(frozen=True, slots=True)
class Route:
    """A way from one memory to another: memories[0] -links[0]-> memories[1] ... A memory passed on the way is
    written and read, but holds nothing (cut-through)."""

    memories: tuple[str, ...]
    links: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Precision:
    """Bits per element where the model does not say: inputs, weights, outputs."""

    input_bits: int = 8
    weight_bits: int = 8
    output_bits: int = 8


@dataclass(frozen=True, slots=True)
class Chip:
    """Dies in a package, here one: cores, memories, links.

    Args:
        outermost: the memory that holds the network's inputs, weights and outputs.
        folds:     ONNX operators that cores do on the way out of a producer (activation, batch normalisation).
        static_pj_per_cycle: energy per base cycle, whatever runs [pJ].
        source:    where its numbers come from.
        transfer_engines: transfers that may run at one time; None: as many as links and ports carry.
        transfer_setup_cycles: base cycles before a transfer's first bit leaves.
    """

    name: str
    cores: tuple[Core, ...]
    memories: tuple[Memory, ...]
    links: tuple[Link, ...]
    outermost: str
    base_clock_hz: int = 10**9
    precision: Precision = Precision()
    folds: frozenset[str] = frozenset()
    static_pj_per_cycle: float = 0.0
    source: str = ""
    notes: tuple[str, ...] = ()
    transfer_engines: int | None = None
    transfer_setup_cycles: int = 0

    def __hash__(self) -> int:
        """By its names: chips are keys of look-ups that are made all the time."""
        return hash((self.name, self.outermost, len(self.cores), len(self.memories), len(self.links)))

    def core(self, name: str) -> Core:
        return next(core for core in self.cores if core.name == name)

    def memory(self, name: str) -> Memory:
        return next(memory for memory in self.memories if memory.name == name)

    def link(self, name: str) -> Link:
        return next(link for link in self.links if link.name == name)

    def cores_for(self, kind: Kind) -> tuple[Core, ...]:
        return tuple(core for core in self.cores if kind in core.ops)

    def routes(self, source: str, target: str) -> tuple[Route, ...]:
        """All routes with the fewest links, in the order links are declared."""
        return _routes(self, source, target)

    def lane_rate(self, link: Link) -> Fraction:
        """Bits per base cycle of a link."""
        return Fraction(link.bandwidth_bits * link.clock_hz, self.base_clock_hz)

    def port_rate(self, memory: Memory, port: Port) -> Fraction:
        """Bits per base cycle of a port of one instance."""
        return Fraction(port.bandwidth_bits * memory.clock_hz, self.base_clock_hz)


MOST_ROUTES = 1024
"""Shortest routes between two memories that are told apart; only meshes larger than any library chip have more."""


@lru_cache(maxsize=4096)
def _routes(chip: Chip, source: str, target: str) -> tuple[Route, ...]:
    """Every shortest route, by steps that come closer to the target."""
    steps, far = _steps(chip), _distances(chip, target)
    found = [Route((source,), ())] if source in far else []
    for links in range(far.get(source, 0), 0, -1):
        longer = (
            Route((*route.memories, memory), (*route.links, link))
            for route in found
            for link, memory in steps[route.memories[-1]]
            if far.get(memory) == links - 1
        )
        found = list(itertools.islice(longer, MOST_ROUTES))
    return tuple(found)


@lru_cache(maxsize=1024)
def _distances(chip: Chip, target: str) -> dict[str, int]:
    """Links between each memory that a route joins with the target, and the target."""
    steps = _steps(chip)
    far, frontier = {target: 0}, [target]
    for here in frontier:
        for _, memory in steps.get(here, ()):
            if memory not in far:
                far[memory] = far[here] + 1
                frontier.append(memory)
    return far


@lru_cache(maxsize=16)
def _steps(chip: Chip) -> dict[str, tuple[tuple[str, str], ...]]:
    """From each memory the (link, memory) that one step reaches, in the order links and memories are declared."""
    order = {memory.name: number for number, memory in enumerate(chip.memories)}
    steps: dict[str, list[tuple[str, str]]] = {memory: [] for memory in order}
    for link in chip.links:
        for here in sorted((link.a | link.b), key=order.__getitem__):
            reached = (link.b if here in link.a else frozenset()) | (link.a if here in link.b else frozenset())
            steps[here] += [(link.name, there) for there in sorted(reached - {here}, key=order.__getitem__)]
    return {here: tuple(reached) for here, reached in steps.items()}


def _wrong_names(chip: Chip) -> list[str]:
    """Every name stands for one thing, and everything named is there."""
    wrong: list[str] = []
    memories = [memory.name for memory in chip.memories]
    for what, names in (
        ("core", [core.name for core in chip.cores]),
        ("memory", memories),
        ("link", [link.name for link in chip.links]),
    ):
        wrong += [
            f"each {what} must have a name of its own, not '{name}' again"
            for i, name in enumerate(names)
            if name in names[:i]
        ]
    if chip.outermost not in memories:
        wrong.append(f"the outermost memory must be one of the chip's, not '{chip.outermost}'")
    for core in chip.cores:
        sides = {dim.name for dim in core.array}
        for level in core.levels:
            if level.memory not in memories:
                wrong.append(f"core '{core.name}': levels must be memories of the chip, not '{level.memory}'")
            for side in sorted(level.serves - sides):
                wrong.append(f"core '{core.name}': '{level.memory}' must serve sides of the array, not '{side}'")
    for link in chip.links:
        if not link.a or not link.b or len(link.a | link.b) < 2:
            wrong.append(f"link '{link.name}' must join at least two memories")
        for end in sorted((link.a | link.b) - set(memories)):
            wrong.append(f"link '{link.name}' must join memories of the chip, not '{end}'")
    return wrong


def _wrong_sizes(chip: Chip) -> list[str]:
    """Sizes and rates are positive; accesses fit ports and partial sums fit where they rest."""
    wrong: list[str] = []
    if chip.base_clock_hz < 1:
        wrong.append(f"the base clock must be positive, not {chip.base_clock_hz}")
    if chip.transfer_engines is not None and chip.transfer_engines < 1:
        wrong.append(f"there must be a transfer engine at least, not {chip.transfer_engines}")
    if chip.transfer_setup_cycles < 0:
        wrong.append(f"the set-up of a transfer must be at least 0 cycles, not {chip.transfer_setup_cycles}")
    for memory in chip.memories:
        if memory.size_bits < 1:
            wrong.append(f"memory '{memory.name}': size must be positive, not {memory.size_bits}")
        if memory.clock_hz < 1:
            wrong.append(f"memory '{memory.name}': clock must be positive, not {memory.clock_hz}")
        if memory.read_pj < 0 or memory.write_pj < 0:
            wrong.append(f"memory '{memory.name}': energies must be at least 0")
        for port in memory.ports:
            if not 0 < port.access_bits <= port.bandwidth_bits:
                wrong.append(
                    f"port '{port.name}' of memory '{memory.name}': access must be between 1 and the width of "
                    f"{port.bandwidth_bits} bits, not {port.access_bits}"
                )
    for link in chip.links:
        if link.bandwidth_bits < 1 or link.clock_hz < 1:
            wrong.append(f"link '{link.name}': bandwidth and clock must be positive")
    for core in chip.cores:
        if min(core.clock_hz, core.accumulator_bits, *core.op_widths, *(dim.size for dim in core.array)) < 1:
            wrong.append(f"core '{core.name}': clock, accumulator, operand widths and array sides must be positive")
        for level in core.chain("O"):
            if chip.memory(level.memory).size_bits < core.accumulator_bits:
                wrong.append(
                    f"core '{core.name}': '{level.memory}' must have room for one partial sum of "
                    f"{core.accumulator_bits} bits, not {chip.memory(level.memory).size_bits}"
                )
    return wrong


def check_chip(chip: Chip) -> list[str]:
    """What must hold of any chip, as sentences; empty when all holds."""
    wrong = _wrong_names(chip)
    if wrong:
        return wrong
    wrong = _wrong_sizes(chip)
    for core in chip.cores:
        sides = {dim.name for dim in core.array}
        for kind in core.ops:
            if kind not in KINDS:
                wrong.append(f"core '{core.name}': op kinds must be known, not '{kind}'")
        for slot in SLOTS:
            chain = core.chain(slot)
            for inner, outer in pairwise(chain):
                if not inner.serves <= outer.serves:
                    wrong.append(
                        f"core '{core.name}': '{outer.memory}' must serve every array dim that "
                        f"'{inner.memory}' below it serves"
                    )
            for level in chain:
                memory = chip.memory(level.memory)
                needed: tuple[Flow, ...] = ("from_above", "to_below") if slot != "O" else FLOWS
                for flow in needed:
                    try:
                        memory.port(slot, flow)
                    except KeyError:
                        wrong.append(f"memory '{memory.name}' must have a port for {slot} {flow}")
            if chain and chain[-1].serves != frozenset(sides):
                shared = chain[-1].memory
                if any(
                    other is not core and any(level.memory == shared for level in other.levels) for other in chip.cores
                ):
                    wrong.append(f"shared memory '{shared}' must serve all array dims of core '{core.name}'")
            if not chain:
                wrong.append(f"core '{core.name}' must have a memory for {slot}")
                continue
            top = chain[-1].memory
            if top != chip.outermost and not chip.routes(chip.outermost, top):
                wrong.append(f"a link must lead from '{chip.outermost}' to '{top}' of core '{core.name}'")
    return wrong

"""What may be done with one op: on which core or cores, cut how, which operands rest on chip and which are streamed."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal, TypeAlias

from weft.cache import Store
from weft.cost.result import FlowTotal
from weft.mapper import Mapped, Objective
from weft.mapper.kept import Aim, recalled
from weft.mapper.solve import BEAM, least_value
from weft.mapper.space import STATE_LIMIT
from weft.model.chip import Chip, Core, Route
from weft.model.mapping import Mapping, Place, Problem, Rest, Setting
from weft.model.schedule import Infeasible
from weft.model.workload import Op, Operand, Range, Slot, Workload, volume

QUICK_STATES = 192
"""States of a lattice while options are weighed; the options picked in the end are mapped with all of them."""


MOST_TILES = 32
"""Most tiles into which an op is cut so that they rest on chip."""


@dataclass(frozen=True, slots=True)
class Part:
    """One op tile with the core and the mapping it gets.

    Args:
        ranges:  the tile.     problem: it as a mapper's problem.     mapped: its mapping and price.
        homes:   for each operand the memory it rests in, and whether it is streamed from there.
        routes:  the ways that streamed operands take.
        duration: base cycles.
    """

    core: str
    ranges: tuple[tuple[str, Range], ...]
    problem: Problem
    mapped: Mapped
    homes: tuple[tuple[str, str, bool], ...]
    routes: tuple[tuple[str, Route], ...]
    duration: int

    def box_bits(self, operand: str) -> int:
        """Bits of what the tile touches of an operand."""
        tile = self.problem.op
        box = next(item.box(tile.whole()) for item in tile.operands if item.name == operand)
        return volume(box) * self.problem.width(operand)


@dataclass(frozen=True, slots=True)
class Option:
    """One way to run an op: its parts, which together are the whole op."""

    op: str
    name: str
    parts: tuple[Part, ...]

    @property
    def duration(self) -> int:
        """Base cycles of the core that has most to do."""
        busy: dict[str, int] = {}
        for part in self.parts:
            busy[part.core] = busy.get(part.core, 0) + part.duration
        return max(busy.values())

    @property
    def energy_pj(self) -> float:
        return sum(part.mapped.price.energy_pj for part in self.parts)


def hub_memory(core: Core, chip: Chip, slot: Slot) -> str | None:
    """The memory of a core in which whole boxes of a slot can rest: its outermost own one, if it has one instance."""
    chain = core.chain(slot)
    if not chain or chain[-1].serves != frozenset(dim.name for dim in core.array):
        return None
    return chain[-1].memory


def setting_for(
    op: Op, core: Core, chip: Chip, streamed: frozenset[str], free: dict[str, int], divisor: int = 1
) -> Setting:
    """Places of every operand on a core when those in `streamed` come from and go to the outermost memory."""
    sides = frozenset(dim.name for dim in core.array)
    places: list[tuple[str, tuple[Place, ...]]] = []
    resident: set[str] = set()
    for operand in op.operands:
        chain = [Place(level.memory, level.serves) for level in core.chain(operand.slot)]
        if operand.name in streamed and chain[-1].memory != chip.outermost:
            route = chip.routes(chip.outermost, chain[-1].memory)[0]
            chain.append(
                Place(chip.outermost, sides, tuple(reversed(route.links)), tuple(reversed(route.memories[1:-1])))
            )
        else:
            resident.add(operand.name)
        places.append((operand.name, tuple(chain)))
    return Setting(core.name, tuple(places), frozenset(resident), tuple(sorted(free.items())), divisor)


Names: TypeAlias = tuple[tuple[str, ...], tuple[str, ...]]
"""Of memories and of links."""


class Mapper:
    """Maps problems once each: problems that differ only in names of cores and memories share one search.

    quick: a narrow search on small lattices, to weigh options by.   store: where results of other runs are, or None.
    """

    def __init__(
        self,
        workload: Workload,
        chip: Chip,
        objective: Objective,
        spatial: Literal["fixed", "free"],
        quick: bool = False,
        store: Store | None = None,
    ) -> None:
        self.workload = workload
        self.chip = chip
        self.objective = objective
        self.spatial = spatial
        self.aim: Aim = (objective, spatial, *((1, QUICK_STATES) if quick else (BEAM, STATE_LIMIT)))
        self.store = store
        self._known: dict[object, tuple[Mapped | Infeasible, Names]] = {}
        self._widths = {tensor.name: tensor.bits for tensor in workload.tensors}

    @property
    def searched(self) -> int:
        """Searches made, after sharing."""
        return len(self._known)

    def box_bits(self, operand: Operand, ranges: dict[str, Range]) -> int:
        """Bits of the box that a tile touches, as it is held: a tile of a reshaped tensor may touch more of its root.

        Args:    operand: of the whole op.   ranges: the tile.
        """
        box = self.workload.root_box(operand.tensor, operand.box(ranges))
        return volume(box) * self._widths[operand.tensor]

    def problem(self, op: Op, setting: Setting) -> Problem:
        widths = tuple((operand.name, self._widths[operand.tensor]) for operand in op.operands)
        return Problem(op.counted(), widths, self.chip, setting)

    def least(self, problem: Problem) -> float:
        """What no mapping of a problem is better than, seen without a search [unit of the objective]."""
        return least_value(problem, self.objective, self.spatial)

    def map(self, problem: Problem) -> Mapped | Infeasible:
        named = _named(problem)
        key = _canonical(problem, *named)
        if key not in self._known:
            self._known[key] = recalled(problem, self.aim, self.store), named
        found, names = self._known[key]
        if isinstance(found, Infeasible):
            return found
        return _renamed(found, names, named)


def _canonical(problem: Problem, memories: tuple[str, ...], links: tuple[str, ...]) -> object:
    """A problem without names: two problems with the same key have the same best mapping but for names.

    Memories and links are numbered in the order given.
    """
    op, core, chip = problem.op, problem.core, problem.chip
    number = {name: index for index, name in enumerate(memories)}
    numbered = {name: index for index, name in enumerate(links)}
    shapes = tuple(replace(chip.memory(name), name="") for name in memories)
    joins = tuple(
        (
            (link.bandwidth_bits, link.latency_cycles, link.pj_per_bit, link.clock_hz, link.half_duplex),
            frozenset(number[name] for name in link.a if name in number),
            frozenset(number[name] for name in link.b if name in number),
        )
        for link in map(chip.link, links)
    )
    chains = tuple(
        (
            name,
            tuple(
                (
                    number[at.memory],
                    at.serves,
                    tuple(numbered[link] for link in at.links),
                    tuple(number[via] for via in at.via),
                    at.optional,
                )
                for at in chain
            ),
        )
        for name, chain in problem.setting.places
    )
    free = tuple((number[name], bits) for name, bits in problem.setting.free_bits if name in number)
    axes = tuple((operand.name, operand.slot, operand.axes) for operand in op.operands)
    cost = (core.op_pj, core.op_widths, core.accumulator_bits, core.clock_hz, core.active_pj_per_cycle)
    return (
        (op.kind, op.dims, axes, op.barrier, problem.widths, cost, core.systolic, core.array, core.launch_cycles),
        (shapes, joins, chains, free, problem.setting.path_divisor, problem.setting.resident),
    )


def _named(problem: Problem) -> Names:
    """The memories and the links of a problem, in the order in which its places name them first."""
    every = [place for _, places in problem.setting.places for place in places]
    memories = dict.fromkeys(name for place in every for name in (*place.via, place.memory))
    return tuple(memories), tuple(dict.fromkeys(name for place in every for name in place.links))


def _renamed(found: Mapped, old: Names, new: Names) -> Mapped:
    """A shared result with the names of another problem's memories and links in place of the `old` ones."""
    if old == new:
        return found
    memories = dict(zip(old[0], new[0], strict=True))
    lanes = {a + way: b + way for a, b in zip(old[1], new[1], strict=True) for way in ("", "<", ">")}

    def moved(flow: FlowTotal) -> FlowTotal:
        if flow.flow == "link":
            return replace(flow, memory=lanes[flow.memory], port=lanes[flow.port])
        return replace(flow, memory=memories[flow.memory])

    def kept_busy(name: str) -> str:
        memory, _, port = name.rpartition(".")
        return lanes[name] if name in lanes else f"{memories[memory]}.{port}"

    mapping, price = found.mapping, found.price
    rests = tuple(Rest(rest.operand, memories[rest.memory], rest.inside) for rest in mapping.rests)
    price = replace(
        price,
        flows=tuple(map(moved, price.flows)),
        room=tuple(replace(item, memory=memories[item.memory]) for item in price.room),
        busy=tuple(sorted((kept_busy(name), cycles) for name, cycles in price.busy)),
    )
    return replace(found, mapping=Mapping(mapping.spatial, mapping.loops, rests), price=price)


def make_part(
    mapper: Mapper, op: Op, ranges: dict[str, Range], core: Core, stream_all: bool, divisor: int
) -> Part | Infeasible:
    """One tile on one core: as much as fits rests on chip (largest boxes are streamed first), or all is streamed."""
    chip, tile = mapper.chip, op.tile(ranges)
    bits = {operand.name: mapper.box_bits(operand, ranges) for operand in op.operands}
    home = {operand.name: hub_memory(core, chip, operand.slot) for operand in tile.operands}
    streamed = {name for name, memory in home.items() if memory is None or (stream_all and memory != chip.outermost)}
    order = sorted((name for name in bits if name not in streamed), key=lambda name: (-bits[name], name))
    why: Infeasible | None = None
    for drop in range(len(order) + 1):
        now = frozenset(streamed | set(order[:drop]))
        free: dict[str, int] = {}
        for name in bits:
            memory = home[name]
            if memory is not None and name not in now:
                free[memory] = free.get(memory, chip.memory(memory).size_bits) - bits[name]
        if any(left < 0 for left in free.values()):
            continue
        setting = setting_for(tile, core, chip, now, free, divisor if now else 1)
        problem = mapper.problem(tile, setting)
        mapped = mapper.map(problem)
        if isinstance(mapped, Infeasible):
            why = mapped
            continue
        return _part(chip, core, ranges, problem, mapped, home, now)
    return why or Infeasible(f"{op.name} on {core.name}", "its operands do not fit")


def _part(
    chip: Chip,
    core: Core,
    ranges: dict[str, Range],
    problem: Problem,
    mapped: Mapped,
    home: dict[str, str | None],
    streamed: frozenset[str],
) -> Part:
    homes: list[tuple[str, str, bool]] = []
    routes: list[tuple[str, Route]] = []
    for operand in problem.op.operands:
        memory = home[operand.name]
        outside = operand.name in streamed and (memory != chip.outermost)
        homes.append((operand.name, chip.outermost if outside else str(memory), outside))
        if outside:
            top = core.chain(operand.slot)[-1].memory
            routes.append((operand.name, chip.routes(chip.outermost, top)[0]))
    cycles = math.ceil(mapped.price.latency_cycles * chip.base_clock_hz / core.clock_hz)
    return Part(core.name, tuple(ranges.items()), problem, mapped, tuple(homes), tuple(routes), cycles)


def refined(mapper: Mapper, option: Option) -> Option:
    """The same option with its parts mapped again by `mapper` (tiles, cores and what is streamed stay)."""
    parts: list[Part] = []
    for part in option.parts:
        mapped = mapper.map(part.problem)
        if isinstance(mapped, Infeasible):
            return option
        core = mapper.chip.core(part.core)
        cycles = math.ceil(mapped.price.latency_cycles * mapper.chip.base_clock_hz / core.clock_hz)
        parts.append(replace(part, mapped=mapped, duration=cycles))
    return replace(option, parts=tuple(parts))


def split_ranges(op: Op, dim: str, ways: int) -> list[dict[str, Range]]:
    """The op cut into `ways` near-equal tiles along one dim."""
    size = op.size[dim]
    edges = [size * i // ways for i in range(ways + 1)]
    return [{**op.whole(), dim: (a, b)} for a, b in itertools.pairwise(edges) if b > a]


@cache
def _twins(chip: Chip) -> tuple[tuple[str, ...], ...]:
    """Cores alike but for names, in groups."""
    groups: dict[object, list[str]] = {}
    for core in chip.cores:
        shape = tuple((replace(chip.memory(l.memory), name=""), l.slots, l.serves) for l in core.levels)
        cost = (core.op_pj, core.op_widths, core.accumulator_bits, core.clock_hz, core.active_pj_per_cycle)
        key = (core.ops, core.array, core.systolic, core.launch_cycles, cost, shape)
        groups.setdefault(key, []).append(core.name)
    return tuple(tuple(names) for names in groups.values())


def options_for(mapper: Mapper, op: Op) -> tuple[tuple[Option, ...], tuple[Infeasible, ...]]:
    """All options of an op, the simplest first, and why others are none."""
    chip = mapper.chip
    found: list[Option] = []
    why: list[Infeasible] = []
    able = {core.name for core in chip.cores_for(op.kind)}

    def add(name: str, cores: list[Core], ranges: list[dict[str, Range]], stream_all: bool) -> None:
        parts: list[Part] = []
        for core, tile in zip(cores, ranges, strict=True):
            part = make_part(mapper, op, tile, core, stream_all, len(set(cores)))
            if isinstance(part, Infeasible):
                why.append(part)
                return
            parts.append(part)
        option = Option(op.name, name, tuple(parts))
        if not any(other.parts == option.parts for other in found):
            found.append(option)

    for group in _twins(chip):
        cores = [chip.core(name) for name in group if name in able]
        if not cores:
            continue
        tiles = resident_tiles(mapper, op, cores[0])
        if tiles is not None:
            dim, ways = tiles
            for core in cores:
                add(f"{core.name} in {ways} {dim} tiles", [core] * ways, split_ranges(op, dim, ways), False)
            if len(cores) > 1:
                spread = [cores[number % len(cores)] for number in range(ways)]
                add(f"{dim} tiles {ways} over {group[0]}..", spread, split_ranges(op, dim, ways), False)
        for stream_all in (False, True):
            for core in cores:
                add(f"{core.name}{' streamed' if stream_all else ''}", [core], [op.whole()], stream_all)
        for dim in split_dims(op):
            for ways in sorted({len(cores), 2}, reverse=True):
                if 1 < ways <= len(cores) and op.size[dim] >= ways:
                    ranges = split_ranges(op, dim, ways)
                    add(f"{dim}/{ways} on {group[0]}..", cores[:ways], ranges, False)
    return tuple(found), tuple(why)


def resident_tiles(mapper: Mapper, op: Op, core: Core) -> tuple[str, int] | None:
    """(dim, tiles) with which all boxes of a tile rest on the core, two tiles at a time; None where none are needed.

    Nor are there any where the whole op is larger than all memories on the chip: then it goes off-chip anyway.
    """
    chip = mapper.chip
    homes = {operand.name: hub_memory(core, chip, operand.slot) for operand in op.operands}

    def fits(ranges: dict[str, Range], copies: int) -> bool:
        needs: dict[str, int] = {}
        for operand in op.operands:
            memory = homes[operand.name]
            if memory is not None:
                needs[memory] = needs.get(memory, 0) + mapper.box_bits(operand, ranges)
        return all(copies * bits <= chip.memory(memory).size_bits for memory, bits in needs.items())

    if fits(op.whole(), 1):
        return None
    on_chip = sum(memory.size_bits for memory in chip.memories if memory.name != chip.outermost)
    if sum(mapper.box_bits(operand, op.whole()) for operand in op.operands) > on_chip:
        return None
    for dim in ("OY", "M", "OX", "G", "K", "N"):
        if dim not in op.cuttable:
            continue
        ways = 2
        while ways <= min(op.size[dim], MOST_TILES):
            if fits(split_ranges(op, dim, ways)[-1], 2):
                return dim, ways
            ways *= 2
    return None


def split_dims(op: Op) -> tuple[str, ...]:
    """Dims worth splitting over cores: the largest output channel-like and row-like ones."""
    preferred = [dim for dim in ("K", "N", "G", "OY", "M", "OX", "B") if dim in op.cuttable]
    return tuple(preferred[:3]) or op.cuttable[:2]

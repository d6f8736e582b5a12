"""Problems mapped once each: those that differ only in names of cores, memories and links share one search."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, TypeAlias

from weft.cache import Store
from weft.cost.result import FlowTotal
from weft.mapper import Mapped, Objective
from weft.mapper.kept import Aim, recalled
from weft.mapper.solve import BEAM, least_value
from weft.mapper.space import STATE_LIMIT
from weft.model.chip import Chip
from weft.model.mapping import Mapping, Problem, Rest, Setting
from weft.model.schedule import Infeasible
from weft.model.workload import Op, Operand, Range, Workload, volume

QUICK_STATES = 192
"""States of a lattice while plans are weighed; what is picked in the end is mapped with all of them."""

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

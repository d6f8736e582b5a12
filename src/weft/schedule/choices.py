"""What may be chosen for an op by itself: where it runs, how it is split over like cores, and into how many steps."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache

from weft.mapper.space import compute_cycles, fixed_spatial
from weft.model.chip import Chip, Core
from weft.model.workload import Op
from weft.schedule.design import Placement, tiles_of
from weft.schedule.fuse import ROWS, Steps, even, whole_at
from weft.schedule.plan import Counts
from weft.schedule.settings import hub_memory
from weft.schedule.shared import Mapper

MOST_STEPS = 32
"""Most steps into which an op by itself is cut so that its boxes rest on chip."""

SPLIT_DIMS = ("K", "N", "G", "OY", "M", "OX", "B")
"""Dims worth splitting over cores, first choice first; others only where an op has none of these."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One way to run an op by itself."""

    placement: Placement
    axis: str | None = None
    steps: int = 1

    def along(self, op: Op) -> Steps:
        """Its steps as ranges."""
        return whole_at(0, 1) if self.axis is None else Steps(self.axis, even(op.size[self.axis], self.steps))

    def __str__(self) -> str:
        return f"{self.placement}" + (f" in {self.steps} steps of {self.axis}" if self.axis else "")


@cache
def twins(chip: Chip) -> tuple[tuple[str, ...], ...]:
    """Cores alike but for names, in groups."""
    groups: dict[object, list[str]] = {}
    for core in chip.cores:
        shape = tuple((replace(chip.memory(l.memory), name=""), l.slots, l.serves) for l in core.levels)
        cost = (core.op_pj, core.op_widths, core.accumulator_bits, core.clock_hz, core.active_pj_per_cycle)
        key = (core.ops, core.array, core.systolic, core.launch_cycles, cost, shape)
        groups.setdefault(key, []).append(core.name)
    return tuple(tuple(names) for names in groups.values())


def placements(op: Op, chip: Chip) -> tuple[Placement, ...]:
    """Every placement of an op: each core, and splits over like cores; resting first, then streamed."""
    able = {core.name for core in chip.cores_for(op.kind)}
    found: list[Placement] = []
    for group in twins(chip):
        cores = tuple(name for name in group if name in able)
        if not cores:
            continue
        found += [Placement((core,)) for core in cores]
        for count in widths(len(cores)):
            found += [Placement(cores[:count], split) for split in splits(op, count)]
        found += [Placement((core,), stream=True) for core in cores]
    return tuple(found)


def widths(cores: int) -> tuple[int, ...]:
    """How many of some like cores an op may be split over: all, half and so on, two; the most first."""
    found = [cores]
    while found[-1] > 3:
        found.append(found[-1] // 2)
    return tuple(dict.fromkeys([*found, 2])) if cores > 1 else ()


def splits(op: Op, count: int) -> Iterator[tuple[tuple[str, int], ...]]:
    """Ways to split an op in `count` parts: along one dim, or along two in numbers that are near each other."""
    dims = split_dims(op)
    for dim in dims:
        if op.size[dim] >= count:
            yield ((dim, count),)
    factors = [(ways, count // ways) for ways in range(2, count // 2 + 1) if count % ways == 0]
    near = sorted(factors, key=lambda pair: (max(pair), pair))[:2]
    for first, second in itertools.combinations(dims, 2):
        for pair in near:
            if op.size[first] >= pair[0] and op.size[second] >= pair[1]:
                yield (first, pair[0]), (second, pair[1])


def split_dims(op: Op) -> tuple[str, ...]:
    """Dims worth splitting over cores: channel-like and row-like ones of the output."""
    preferred = [dim for dim in SPLIT_DIMS if dim in op.cuttable]
    return tuple(preferred[:4]) or op.cuttable[:2]


def choices_of(mapper: Mapper, op: Op) -> tuple[Choice, ...]:
    """What may be chosen for an op by itself: each placement at once, and in steps where it would not rest on chip."""
    found: list[Choice] = []
    for placement in placements(op, mapper.chip):
        core = mapper.chip.core(placement.cores[0])
        if not placement.stream:
            found += [Choice(placement, dim, steps) for dim, steps in resting_steps(mapper, op, placement, core)]
        found.append(Choice(placement))
    return tuple(found)


def resting_steps(mapper: Mapper, op: Op, placement: Placement, core: Core) -> Iterator[tuple[str, int]]:
    """For each of the first two dims that help: the fewest steps with which two tiles' boxes rest on a core.

    None where the whole op rests there, or it is larger than all memories on the chip: then it goes off-chip anyway.
    """
    chip = mapper.chip
    homes = {operand.name: hub_memory(core, chip, operand.slot) for operand in op.operands}

    def fits(steps: Steps, copies: int) -> bool:
        tile = _first(op, steps, placement)
        needs: dict[str, int] = {}
        for operand in op.operands:
            memory = homes[operand.name]
            if memory is not None:
                needs[memory] = needs.get(memory, 0) + mapper.box_bits(operand, tile)
        return all(copies * bits <= chip.memory(memory).size_bits for memory, bits in needs.items())

    if fits(whole_at(0, 1), 1):
        return
    on_chip = sum(memory.size_bits for memory in chip.memories if memory.name != chip.outermost)
    if sum(mapper.box_bits(operand, op.whole()) for operand in op.operands) > on_chip:
        return
    helped = 0
    for dim in (dim for dim in ROWS if dim in op.cuttable):
        steps = 2
        while steps <= min(op.size[dim], MOST_STEPS):
            if fits(Steps(dim, even(op.size[dim], steps)), 2):
                yield dim, steps
                helped += 1
                break
            steps *= 2
        if helped == 2:
            return


def _first(op: Op, steps: Steps, placement: Placement) -> dict[str, tuple[int, int]]:
    """The last tile, which is no smaller than others."""
    tiles = tiles_of(op, steps, placement)[0]
    return {name: (int(a), int(b)) for (name, _), (a, b) in zip(op.dims, tiles[-1], strict=True)}


def array_time(op: Op, choice: Choice, chip: Chip) -> float:
    """Base cycles in which the arrays of a choice compute, the busiest one; seen without a mapping."""
    placement = choice.placement
    tiles, cores, _ = tiles_of(op, choice.along(op), placement)
    busy = [0.0] * len(placement.cores)
    for (tile, core), count in _alike(tiles, cores).items():
        device = chip.core(placement.cores[core])
        part = replace(op, dims=tuple((name, size) for (name, _), size in zip(op.dims, tile, strict=True)))
        steps = compute_cycles(part, fixed_spatial(part, device))
        busy[core] += count * steps * chip.base_clock_hz / device.clock_hz
    return max(busy)


def _alike(tiles: Counts, cores: Counts) -> dict[tuple[tuple[int, ...], int], int]:
    found: dict[tuple[tuple[int, ...], int], int] = {}
    sizes = (tiles[:, :, 1] - tiles[:, :, 0]).tolist()
    for size, core in zip(sizes, cores.tolist(), strict=True):
        key = (tuple(size), core)
        found[key] = found.get(key, 0) + 1
    return found

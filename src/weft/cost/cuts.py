"""Where each operand's tiles cross: the cuts of a mapped nest, and how much of each tensor axis crosses there.

The readable telling of docs/cost.md; `cost/tables.py` and `cost/kernels.py` compute the same on arrays.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from dataclasses import dataclass
from functools import cache, lru_cache

from weft.model.mapping import Mapping, Place, Problem
from weft.model.workload import Axis, Operand


@dataclass(frozen=True, slots=True)
class Cut:
    """The border below one of an operand's places.

    Args:
        operand: what crosses it.     index: 0 is the array's own border.
        lower:   the place below (None at cut 0: the array).     upper: the place above.
        state:   tile size per dim at the raised position.
        run:     (dim, factor) of the loop just above, where consecutive tiles along it re-use their overlap.
    """

    operand: Operand
    index: int
    lower: Place | None
    upper: Place
    state: tuple[tuple[str, int], ...]
    run: tuple[str, int] | None


def cuts(problem: Problem, mapping: Mapping) -> tuple[Cut, ...]:
    """All cuts of all operands, inputs first, each from the array outwards."""
    found: list[Cut] = []
    for operand in problem.op.operands:
        rests = mapping.chain(operand.name)
        places = {place.memory: place for place in problem.setting.of(operand.name)}
        chain = [places[rest.memory] for rest in rests]
        for index, upper in enumerate(chain):
            lower = chain[index - 1] if index else None
            position = rests[index - 1].inside if index else 0
            if index > 0 or operand.slot != "O":
                while position < len(mapping.loops) and mapping.loops[position].dim not in operand.dims:
                    position += 1
            run = None
            if lower is not None and operand.slot != "O" and position < len(mapping.loops):
                loop = mapping.loops[position]
                if problem.chip.memory(lower.memory).halo_reuse:
                    run = (loop.dim, loop.factor)
            tile = mapping.tile(position)
            state = tuple((dim, tile.get(dim, 1)) for dim, _ in problem.op.dims)
            found.append(Cut(operand, index, lower, upper, state, run))
    return tuple(found)


def served(problem: Problem, mapping: Mapping, place: Place | None) -> dict[str, int]:
    """v_d: how much of each dim's unrolling one instance of a place serves (the array itself: all of it)."""
    part = {dim: 1 for dim, _ in problem.op.dims}
    for unroll in mapping.spatial:
        if place is None or unroll.array_dim in place.serves:
            for loop in unroll.loops:
                part[loop.dim] *= loop.factor
    return part


@dataclass(frozen=True, slots=True)
class Line:
    """One dim at one cut: its size n, tile s, unrolled u, what an instance below and above serves, run length."""

    size: int
    tile: int
    unrolled: int
    lower: int
    upper: int
    run: int = 0


@dataclass(frozen=True, slots=True)
class Profile:
    """What crosses a cut along one tensor axis, over all steps of the dims that index it.

    Args:
        steps: (largest extent in an instance below, largest above) -> number of steps.
        lower, upper: extent -> number of (instance, step) pairs with that extent, empty ones left out.
        first, last: largest extents (below, above) at the first and the last step.
        tile:  largest extent in an instance below, halo re-use or not.   fresh: largest one of a step inside a run.
    """

    steps: tuple[tuple[tuple[int, int], int], ...]
    lower: tuple[tuple[int, int], ...]
    upper: tuple[tuple[int, int], ...]
    first: tuple[int, int]
    last: tuple[int, int]
    tile: int
    fresh: int


def iterations(line: Line, step: int, coordinate: int, served_by_instance: int) -> range | list[int]:
    """The iterations of one dim that one instance holds in one step."""
    begin = step * line.tile + coordinate * served_by_instance
    if served_by_instance == line.unrolled:
        return range(begin, min(line.size, begin + line.tile))
    return [
        begin + t * line.unrolled + b
        for t in range(line.tile // line.unrolled)
        for b in range(served_by_instance)
        if begin + t * line.unrolled + b < line.size
    ]


@lru_cache(maxsize=65536)
def profile(axis: Axis, lines: tuple[Line, ...]) -> Profile:
    """Extents of one axis over all steps, by listing what every instance touches.

    Args:    axis: the affine map.   lines: one per term of the axis, in that order.
    Source:  docs/cost.md, Instances.
    """

    @cache
    def touched(steps: tuple[int, ...], coordinates: tuple[int, ...], parts: tuple[int, ...]) -> frozenset[int]:
        sums = {axis.offset}
        for line, term, step, coordinate, part in zip(lines, axis.terms, steps, coordinates, parts, strict=True):
            held = iterations(line, step, coordinate, part)
            sums = {base + term.coefficient * x for base in sums for x in held}
        return frozenset(index for index in sums if 0 <= index < axis.size)

    counts = [math.ceil(line.size / line.tile) for line in lines]
    sides = tuple(line.lower for line in lines), tuple(line.upper for line in lines)
    extents: list[Counter[int]] = [Counter(), Counter()]
    largest: list[tuple[int, int]] = []
    tile = fresh = 0
    for steps in itertools.product(*map(range, counts)):
        here = [0, 0]
        before = tuple(
            step - 1 if line.run and step % line.run else step for step, line in zip(steps, lines, strict=True)
        )
        for above, parts in enumerate(sides):
            across = [line.unrolled // part for line, part in zip(lines, parts, strict=True)]
            for coordinates in itertools.product(*map(range, across)):
                elements = touched(steps, coordinates, parts)
                moved = len(elements)
                if not above:
                    tile = max(tile, moved)
                if before != steps:
                    moved = len(elements - touched(before, coordinates, parts))
                    if not above:
                        fresh = max(fresh, moved)
                if moved:
                    extents[above][moved] += 1
                here[above] = max(here[above], moved)
        largest.append((here[0], here[1]))
    return Profile(
        tuple(sorted(Counter(largest).items())),
        tuple(sorted(extents[0].items())),
        tuple(sorted(extents[1].items())),
        largest[0],
        largest[-1],
        tile,
        fresh,
    )


@dataclass(frozen=True, slots=True)
class Visits:
    """Steps along dims that do not index an operand, and the instances active in them.

    Args:
        steps: number of visits of each tile.
        lower, upper: active instances summed over all visits.
        first_lower, ...: in the first and in the last visit.
    """

    steps: int
    lower: int
    upper: int
    first_lower: int
    first_upper: int
    last_lower: int
    last_upper: int


def visits(lines: tuple[Line, ...]) -> Visits:
    """Visits over dims that do not index the operand, multiplied over dims."""
    steps = lower = upper = first_lower = first_upper = last_lower = last_upper = 1
    for line in lines:
        count = math.ceil(line.size / line.tile)
        active = [
            [
                sum(bool(len(iterations(line, step, a, part))) for a in range(line.unrolled // part))
                for step in {0, count - 1}
            ]
            for part in (line.lower, line.upper)
        ]
        steps *= count
        # Only the last tile is clipped: all visits before it have the active instances of the first.
        lower *= active[0][0] * (count - 1) + active[0][-1]
        upper *= active[1][0] * (count - 1) + active[1][-1]
        first_lower *= active[0][0]
        first_upper *= active[1][0]
        last_lower *= active[0][-1]
        last_upper *= active[1][-1]
    return Visits(steps, lower, upper, first_lower, first_upper, last_lower, last_upper)

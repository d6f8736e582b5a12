"""Random legal mappings of a problem: any order, any integer tile sizes, uneven rests, places passed or not."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import replace

from tests.oracles.nests import random_mapping
from weft.cost.cuts import served
from weft.cost.legal import broken
from weft.model.mapping import Loop, Mapping, Problem, Rest, Unroll
from weft.model.workload import Operand

ALL_SIZES = 0.3
"""Part of the draws in which tiles may have any integer sizes; in the others factors divide the steps left."""


def legal_mappings(problem: Problem, rng: random.Random, spatial: tuple[Unroll, ...] | None) -> Iterator[Mapping]:
    """Legal mappings without end, laid out as `spatial`; None: each laid out at random."""
    while True:
        bare = random_mapping(problem, rng)
        laid = bare.spatial if spatial is None else spatial
        mapping = _rested(problem, replace(bare, spatial=laid, loops=_loops(problem, laid, rng)), rng)
        if mapping is not None and not broken(problem, mapping):
            yield mapping


def _loops(problem: Problem, spatial: tuple[Unroll, ...], rng: random.Random) -> tuple[Loop, ...]:
    """Loops that cover every dim, in any order."""
    chains: dict[str, list[int]] = {}
    any_size = rng.random() < ALL_SIZES
    for dim, size in problem.op.dims:
        below = Mapping(spatial, (), ()).unrolled(dim)
        chain = chains.setdefault(dim, [])
        while below < size:
            steps = -(-size // below)
            factor = steps
            if steps > 2 and rng.random() < 0.6:
                some = [f for f in range(2, steps) if any_size or steps % f == 0]
                factor = rng.choice(some or [steps])
            chain.append(factor)
            below *= factor
    loops = []
    while left := [dim for dim, chain in chains.items() if chain]:
        dim = rng.choice(left)
        loops.append(Loop(dim, chains[dim].pop(0)))
    return tuple(loops)


def _rested(problem: Problem, mapping: Mapping, rng: random.Random) -> Mapping | None:
    """The mapping with rests where each tile alone has room; None where one has none."""
    rests: list[Rest] = []
    laid = {dim: mapping.unrolled(dim) for dim, _ in problem.op.dims}
    steps = [dict.fromkeys(laid, 1)]
    for loop in mapping.loops:
        steps.append({**steps[-1], loop.dim: steps[-1][loop.dim] * loop.factor})
    for operand in problem.op.operands:
        places = problem.setting.of(operand.name)
        inside = 0
        for place in places[:-1]:
            if place.optional and rng.random() < 0.4:
                continue
            part = served(problem, mapping, place)
            room = problem.chip.memory(place.memory).size_bits / problem.width(operand.name)
            fits = [p for p in range(inside, len(steps)) if _elements(operand, steps[p], part) <= room]
            if not fits:
                return None
            inside = rng.choice((fits[-1], rng.choice(fits)))
            rests.append(Rest(operand.name, place.memory, inside))
        rests.append(Rest(operand.name, places[-1].memory, len(mapping.loops)))
    return replace(mapping, rests=tuple(rests))


def _elements(operand: Operand, steps: dict[str, int], part: dict[str, int]) -> int:
    """Elements of one copy of a tile of so many array steps in one instance (a window, padding and gaps left in)."""
    return math.prod(
        min(axis.size, 1 + sum(term.coefficient * (steps[term.dim] * part[term.dim] - 1) for term in axis.terms))
        for axis in operand.axes
    )

"""All legal mappings of a problem, one by one, or one at random (the rules are those of docs/cost.md, section Nest)."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from functools import cache
from math import prod

from weft.model.mapping import Loop, Mapping, Place, Problem, Rest, Unroll

Chain = tuple[int, ...]


@cache
def factor_chains(size: int, below: int) -> tuple[Chain, ...]:
    """All factors, innermost first, that take a dim of `size` from tiles of `below` to whole.

    >>> factor_chains(5, 1)
    ((2, 2, 2), (2, 3), (3, 2), (4, 2), (5,))
    """
    if below >= size:
        return ((),)
    chains: list[Chain] = []
    for factor in range(2, -(-size // below)):
        chains += [(factor, *rest) for rest in factor_chains(size, below * factor)]
    return (*chains, (-(-size // below),))


def unrollings(problem: Problem) -> Iterator[tuple[Unroll, ...]]:
    """All ways to lay loops on the array: any dims with factors of at least 2 that fit on each side."""
    sizes = problem.op.size
    per_side = [list(_on_side(list(sizes), dim.size)) for dim in problem.core.array]
    for choice in itertools.product(*per_side):
        spatial = tuple(
            Unroll(dim.name, tuple(Loop(name, factor) for name, factor in loops))
            for dim, loops in zip(problem.core.array, choice, strict=True)
            if loops
        )
        if all(_unrolled(spatial, name) <= size for name, size in sizes.items()):
            yield spatial


def _on_side(dims: list[str], room: int) -> Iterator[tuple[tuple[str, int], ...]]:
    if not dims:
        yield ()
        return
    for factor in range(1, room + 1):
        for rest in _on_side(dims[1:], room // factor):
            yield ((dims[0], factor), *rest) if factor > 1 else rest


def _unrolled(spatial: tuple[Unroll, ...], dim: str) -> int:
    return prod(loop.factor for unroll in spatial for loop in unroll.loops if loop.dim == dim)


def interleavings(chains: dict[str, Chain]) -> Iterator[tuple[Loop, ...]]:
    """All orders of the loops that keep the factors of each dim in their order."""
    if not any(chains.values()):
        yield ()
        return
    for dim, chain in chains.items():
        if chain:
            for rest in interleavings({**chains, dim: chain[1:]}):
                yield (Loop(dim, chain[0]), *rest)


def rest_chains(operand: str, places: tuple[Place, ...], loops: int) -> Iterator[tuple[Rest, ...]]:
    """All ways for an operand to rest: optional places taken or not, positions that never fall, whole in the last."""
    lower, last = places[:-1], places[-1]
    for taken in itertools.product(*((True, False) if place.optional else (True,) for place in lower)):
        kept = [place.memory for place, take in zip(lower, taken, strict=True) if take]
        for insides in itertools.combinations_with_replacement(range(loops + 1), len(kept)):
            rests = [Rest(operand, memory, inside) for memory, inside in zip(kept, insides, strict=True)]
            yield (*rests, Rest(operand, last.memory, loops))


def all_mappings(problem: Problem) -> Iterator[Mapping]:
    """Every legal mapping of a problem, in a fixed order."""
    names = [operand.name for operand in problem.op.operands]
    for spatial in unrollings(problem):
        choices = [factor_chains(size, _unrolled(spatial, name)) for name, size in problem.op.dims]
        for chains in itertools.product(*choices):
            for loops in interleavings(dict(zip(problem.op.size, chains, strict=True))):
                ways = [list(rest_chains(name, problem.setting.of(name), len(loops))) for name in names]
                for rests in itertools.product(*ways):
                    yield Mapping(spatial, loops, tuple(itertools.chain.from_iterable(rests)))


def random_mapping(problem: Problem, rng: random.Random) -> Mapping:
    """One legal mapping, every choice drawn."""
    sizes = problem.op.size
    factors: dict[str, int] = dict.fromkeys(sizes, 1)
    spatial: list[Unroll] = []
    for side in problem.core.array:
        room, loops = side.size, []
        for name in rng.sample(list(sizes), k=rng.randint(0, min(2, len(sizes)))):
            most = min(room, sizes[name] // factors[name])
            if most >= 2:
                factor = rng.randint(2, most)
                loops.append(Loop(name, factor))
                factors[name] *= factor
                room //= factor
        if loops:
            spatial.append(Unroll(side.name, tuple(loops)))
    chains = {name: list(_random_chain(size, factors[name], rng)) for name, size in sizes.items()}
    temporal: list[Loop] = []
    while left := [name for name, chain in chains.items() if chain]:
        name = rng.choice(left)
        temporal.append(Loop(name, chains[name].pop(0)))
    rests: list[Rest] = []
    for operand in problem.op.operands:
        places = problem.setting.of(operand.name)
        kept = [place.memory for place in places[:-1] if not place.optional or rng.random() < 0.6]
        insides = sorted(rng.randint(0, len(temporal)) for _ in kept)
        rests += [Rest(operand.name, memory, inside) for memory, inside in zip(kept, insides, strict=True)]
        rests.append(Rest(operand.name, places[-1].memory, len(temporal)))
    return Mapping(tuple(spatial), tuple(temporal), tuple(rests))


def _random_chain(size: int, below: int, rng: random.Random) -> Iterator[int]:
    while below < size:
        steps = -(-size // below)
        factor = rng.randint(2, steps) if steps > 2 and rng.random() < 0.7 else steps
        yield factor
        below *= factor

"""Random small problems that hold every feature of a chip and an op in a known share, each with all its nests run.

A problem is drawn again until it has between `LEAST` and `MOST` nests. Its memories are cut to size once all nests are
known: to what one nest of few needs, so that most problems are tight and few fit nowhere.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil, comb, factorial, prod
from typing import Literal

import numpy as np

from tests.oracles.brute import Floats, Nests, Sizes, all_nests, tile_chains
from tests.oracles.world import GHZ, broadcast_add, build, make_op, memory, plain, slide, wire
from weft.cost.units import passes
from weft.mapper.space import fixed_spatial
from weft.mapper.spread import spread
from weft.model.chip import BUFFERINGS, ROLES, Link, Memory, Slot, Systolic
from weft.model.mapping import Mapping, Problem, Unroll
from weft.model.workload import SLOTS, Axis, Op, Term

Spatial = tuple[Unroll, ...]
Dataflow = Literal["fixed", "free"]

LEAST, MOST = 1_000, 60_000
"""Nests of a problem."""
MOST_CHOICES = 40
"""Spatial choices of a free dataflow: fewer than the mapper weighs."""
MOST_STEPS = 25_000
"""Array steps of all orders of loops together: the loop oracle runs them one by one."""


@dataclass(frozen=True)
class Case:
    """A problem, what it may lay side by side, and every nest of all these choices.

    Args:
        dataflow: how the choices come about.
    """

    problem: Problem
    dataflow: Dataflow
    choices: tuple[Spatial, ...]
    nests: Nests


SizesOf = Callable[[Problem, Spatial], Sizes]


def named_sizes(problem: Problem, spatial: Spatial) -> Sizes:
    """The tile sizes of the named space: the array's part times every ceil(n / k), divisors among them."""
    return _sizes(problem, spatial, lambda count: sorted({ceil(count / k) for k in range(1, count + 1)}))


def all_sizes(problem: Problem, spatial: Spatial) -> Sizes:
    """The array's part times every integer."""
    return _sizes(problem, spatial, lambda count: list(range(1, count + 1)))


def divisor_sizes(problem: Problem, spatial: Spatial) -> Sizes:
    """The array's part times every divisor."""
    return _sizes(problem, spatial, lambda count: [m for m in range(1, count + 1) if count % m == 0])


def _sizes(problem: Problem, spatial: Spatial, of: Callable[[int], list[int]]) -> Sizes:
    laid = {dim: Mapping(spatial, (), ()).unrolled(dim) for dim, _ in problem.op.dims}
    return {dim: tuple(laid[dim] * m for m in of(ceil(size / laid[dim]))) for dim, size in problem.op.dims}


def num_nests(problem: Problem, sizes: Sizes) -> tuple[int, int]:
    """(nests, array steps of all orders of loops), counted without making them."""
    nests = orders = 0
    lengths = [Counter(map(len, tile_chains(options))) for options in sizes.values()]
    for some in itertools.product(*(counts.items() for counts in lengths)):
        loops = [length for length, _ in some]
        here = prod(count for _, count in some) * factorial(sum(loops)) // prod(map(factorial, loops))
        orders += here
        nests += here * prod(_num_rests(problem, operand.name, sum(loops)) for operand in problem.op.operands)
    return nests, orders * prod(ceil(options[-1] / options[0]) for options in sizes.values())


def _num_rests(problem: Problem, operand: str, loops: int) -> int:
    lower = problem.setting.of(operand)[:-1]
    taken = itertools.product(*((0, 1) if place.optional else (1,) for place in lower))
    return sum(comb(loops + sum(some), sum(some)) for some in taken)


def case(seed: int, dataflow: Dataflow = "fixed", sizes_of: SizesOf = named_sizes) -> Case:
    """The problem of a seed with all its nests; with a free dataflow, those of all choices together."""
    rng = random.Random(f"{seed} {dataflow}")
    problem, choices = drawn(rng, dataflow, sizes_of)
    parts = [all_nests(problem, choice, sizes_of(problem, choice)) for choice in choices]
    values, rooms = (np.concatenate([getattr(part, name) for part in parts]) for name in ("values", "rooms"))
    nested = Nests(parts[0].columns, parts[0].capacity, values, rooms)
    capacity = cut_to_size(nested, rng)
    sized = {name: int(bits) for name, bits in zip(nested.columns, capacity, strict=True)}
    memories = tuple(replace(it, size_bits=sized.get(it.name, it.size_bits)) for it in problem.chip.memories)
    problem = replace(problem, chip=replace(problem.chip, memories=memories))
    return Case(problem, dataflow, choices, replace(nested, capacity=capacity))


def drawn(
    rng: random.Random, dataflow: Dataflow = "fixed", sizes_of: SizesOf = named_sizes
) -> tuple[Problem, tuple[Spatial, ...]]:
    """A problem with as many nests as there shall be, and what it may lay side by side."""
    while True:
        problem = draw(rng)
        core, op = problem.core, problem.op
        choices: tuple[Spatial, ...] = (fixed_spatial(op, core),)
        if dataflow == "free":
            choices = spread(problem, 10**6).choices
        if len(choices) > MOST_CHOICES or (dataflow == "free" and len(choices) == 1):
            continue
        counted = [num_nests(problem, sizes_of(problem, choice)) for choice in choices]
        nests, steps = (sum(column) for column in zip(*counted, strict=True))
        if LEAST <= nests <= MOST and steps <= MOST_STEPS:
            return problem, choices


def cut_to_size(nests: Nests, rng: random.Random) -> Floats:
    """Room for one nest that needs little, in most memories; in one of twenty problems one bit too few in one."""
    rooms = nests.rooms
    if not len(nests.columns):
        return nests.capacity
    few = np.argsort(rooms.sum(axis=1), kind="stable")[: max(1, len(rooms) // 3)]
    capacity = rooms[few[rng.randrange(len(few))]].copy()
    for column in range(len(capacity)):
        if rng.random() < 0.3:
            capacity[column] = rooms[:, column].max() * 2 + 8
    capacity = np.maximum(capacity, 1)
    column = rng.randrange(len(capacity))
    if rng.random() < 0.05 and rooms[:, column].min() > 1:
        capacity[column] = rooms[:, column].min() - 1
    return capacity


OPS = ("conv", "conv", "depthwise", "depthwise", "gemm", "batched", "pool", "elementwise", "reduce")


def draw_op(rng: random.Random) -> Op:
    """A small op of any kind; most sizes are no product of small ones."""

    def some(most: int, least: int = 1) -> int:
        return rng.randint(least, most)

    made = rng.choice(OPS)
    slots: tuple[tuple[str, Slot], ...] = (("A", "I"), ("B", "W"), ("O", "O"))
    if made in ("conv", "depthwise"):
        own = "K" if made == "conv" else "G"
        sizes = {own: some(4), **({"C": some(3)} if made == "conv" else {}), "OX": some(7, 2), "FX": some(3)}
        stride, dilation = some(2), some(2)
        pad = (some(1, 0), some(1, 0))
        if (sizes["OX"] - 1) * stride + (sizes["FX"] - 1) * dilation + 1 <= sum(pad):
            pad = (0, 0)
        pixels = slide("OX", "FX", sizes, stride, dilation, pad)
        group = [plain("G", sizes)] if made == "depthwise" else []
        k, c = ([plain(dim, sizes)] if dim in sizes else [] for dim in ("K", "C"))
        return make_op(
            "conv",
            sizes,
            ("I", "I", (*group, *c, pixels)),
            ("W", "W", (*group, *k, *c, plain("FX", sizes))),
            ("O", "O", (*group, *k, plain("OX", sizes))),
        )
    if made in ("gemm", "batched"):
        sizes = {**({"B": some(4, 2)} if made == "batched" else {}), "M": some(7), "N": some(7), "K": some(7)}
        batch = ["B"] if made == "batched" else []
        shared = batch if rng.random() < 0.7 else []
        of = {"A": (*batch, "M", "K"), "B": (*shared, "K", "N"), "O": (*batch, "M", "N")}
        kind = "gemm" if made == "gemm" else "matmul"
        return make_op(kind, sizes, *((name, slot, tuple(plain(d, sizes) for d in of[name])) for name, slot in slots))
    if made == "pool":
        sizes = {"G": some(5), "OX": some(9, 2), "FX": some(3, 2)}
        pixels = slide("OX", "FX", sizes, some(3))
        return make_op("pool", sizes, ("I", "I", (plain("G", sizes), pixels)), ("O", "O", _plain(sizes, "G", "OX")))
    if made == "elementwise":
        return broadcast_add(some(12, 2), some(9, 2))
    sizes = {"X": some(9, 2), "Y": some(9, 2), "Z": some(4)}
    return make_op("reduce", sizes, ("I", "I", _plain(sizes, "X", "Y", "Z")), ("O", "O", _plain(sizes, "X", "Z")))


def _plain(sizes: dict[str, int], *dims: str) -> tuple[Axis, ...]:
    return tuple(plain(dim, sizes) for dim in dims)


def draw(rng: random.Random) -> Problem:
    """A problem with two to six places on the longest way of an operand, its memories without end."""
    op = draw_op(rng)
    array = {f"D{n + 1}": rng.choice((2, 2, 3, 4, 6)) for n in range(rng.randint(1, 3))}
    present = [slot for slot in SLOTS if any(operand.slot == slot for operand in op.operands)]
    deep = rng.choice(present)
    levels: list[tuple[Memory, str, str]] = []
    served: list[str] = []
    depth = rng.choice((1, 2, 2, 3, 4, 5))
    halo = rng.random() < 0.3
    for number in range(depth):
        served += [side for side in array if side not in served and rng.random() < 0.4]
        others = [slot for slot in present if slot != deep and rng.random() < (0.8 if number < 2 else 0.15)]
        groups = [deep + "".join(others)] if rng.random() < 0.6 else [deep, *others]
        for slots in groups:
            levels.append((_memory(rng, f"m{number}{slots.lower()}", halo), slots, " ".join(served)))
    links, passed = _links(rng, levels, {slot for _, slots, _ in levels for slot in slots} >= set(present))
    systolic = None
    if len(array) > 1 and len(op.operands) == 3 and rng.random() < 0.35:
        systolic = Systolic("D1", "D2", rng.choice(("W", "O")))
        if not any(systolic.stationary in slots for _, slots, _ in levels):
            systolic = None
    resting = next((it.name for it, slots, _ in levels if systolic and systolic.stationary in slots), None)
    optional = [it.name for it, _, _ in levels if rng.random() < 0.35 and it.name != resting]
    problem = build(
        op,
        array,
        levels,
        _memory(rng, "dram", False),
        passed=passed,
        links=links,
        divisor=rng.randint(1, 2) if links else 1,
        optional=" ".join(optional),
        widths=tuple(rng.choice((2, 3, 4, 8, 8, 16)) for _ in range(3)),
        accumulator=rng.randint(4, 32),
        clock_hz=rng.choice((GHZ, GHZ, 2 * GHZ)),
        systolic=systolic,
        launch=rng.choice((0, rng.randint(1, 9))),
        units=rng.choice(((8, 8), (4, 4), (8, 2))),
    )
    core = problem.core
    sides = tuple(
        replace(side, roles=tuple(rng.sample(ROLES, k=len(ROLES))), shares=rng.random() < 0.75) for side in core.array
    )
    return replace(problem, chip=replace(problem.chip, cores=(replace(core, array=sides),)))


def _memory(rng: random.Random, name: str, halo: bool) -> Memory:
    access = rng.choice((1, 4, 8))
    return memory(
        name,
        rng.choice(("rw", "r+w", "split", "own")),
        rng.choice(BUFFERINGS),
        halo and rng.random() < 0.7,
        rng.choice((GHZ, GHZ, GHZ // 2)),
        (access * rng.randint(1, 4), access),
    )


def _links(
    rng: random.Random, levels: list[tuple[Memory, str, str]], complete: bool
) -> tuple[list[Link], list[Memory]]:
    """Links from the core to the chip's memory, over another in half of the cases; none in most."""
    if not complete or rng.random() < 0.6:
        return [], []
    passed = [_memory(rng, "noc", False)] if rng.random() < 0.5 else []
    stops = ["", *(it.name for it in passed), "dram"]
    links = [
        wire(
            low or levels[-1][0].name,
            high,
            f"link{number}",
            rng.choice((4, 8, 24)),
            latency_cycles=rng.randint(0, 4),
            half_duplex=rng.random() < 0.5,
            clock_hz=rng.choice((GHZ, GHZ // 2)),
            pj_per_bit=0.5,
        )
        for number, (low, high) in enumerate(itertools.pairwise(stops))
    ]
    links[0] = replace(links[0], a=frozenset(it.name for it, _, _ in levels))
    return links, passed


def features(problem: Problem, choices: tuple[Spatial, ...]) -> set[str]:
    """What a problem has of all that a chip and an op may have."""
    op = problem.op
    places = [place for _, chain in problem.setting.places for place in chain]
    below = Counter(place.memory for _, chain in problem.setting.places for place in chain[:-1])
    stores = [problem.chip.memory(name) for name in below]
    found = {f"{max(len(chain) for _, chain in problem.setting.places)} levels"}
    found |= {f"{len(problem.core.array)} array dims"}
    found |= {store.buffering for store in stores}
    kind = "depthwise" if op.kind == "conv" and "G" in op.size else op.kind
    found.add("batched" if kind == "matmul" else kind)
    overlapping = {operand.name for operand in op.inputs if any(_overlaps(op, axis.terms) for axis in operand.axes)}
    rests = {name: [place.memory for place in chain[:-1]] for name, chain in problem.setting.places}
    sizes = named_sizes(problem, choices[0])
    laid = Mapping(choices[0], (), ())
    found |= {
        name
        for name, there in {
            "bypass": any(place.optional for place in places),
            "shared memory": max(below.values(), default=0) > 1,
            "shared port": any(count > 1 and _shares_port(problem, name) for name, count in below.items()),
            "ragged array": any(size % laid.unrolled(dim) for dim, size in op.dims),
            "ragged tiles": any(whole[-1] % size for whole in sizes.values() for size in whole),
            "halo re-use": any(problem.chip.memory(m).halo_reuse for name in overlapping for m in rests[name]),
            "systolic": problem.core.systolic is not None,
            "streamed": any(place.links for place in places),
            "passed memory": any(place.via for place in places),
            "divisor": problem.setting.path_divisor > 1,
            "several loops on a side": any(len(unroll.loops) > 1 for choice in choices for unroll in choice),
            "several passes": passes(problem) > 1,
            "launch": problem.core.launch_cycles > 0,
            "clocks apart": len({problem.core.clock_hz, *(store.clock_hz for store in stores)}) > 1,
            "array dims served": any(0 < len(place.serves) < len(problem.core.array) for place in places),
        }.items()
        if there
    }
    return found


def _overlaps(op: Op, terms: tuple[Term, ...]) -> bool:
    """Whether windows along an axis touch what others touched."""
    return len([term for term in terms if op.size[term.dim] > 1]) > 1


def _shares_port(problem: Problem, name: str) -> bool:
    """Whether one port of a memory carries the data of two operands' slots."""
    slots = {op.slot for op in problem.op.operands if any(p.memory == name for p in problem.setting.of(op.name)[:-1])}
    store = problem.chip.memory(name)
    return any(sum(store.port(slot, "to_below").name == port.name for slot in slots) > 1 for port in store.ports)


QUOTA = 0.07
"""The least share of problems that have each feature."""

FEATURES = (
    *(f"{levels} levels" for levels in range(2, 7)),
    *(f"{count} array dims" for count in range(1, 4)),
    *BUFFERINGS,
    *("bypass", "shared memory", "shared port", "ragged array", "ragged tiles", "halo re-use", "systolic"),
    *("conv", "depthwise", "gemm", "batched", "pool", "elementwise", "reduce"),
    *("streamed", "passed memory", "divisor", "several passes", "launch", "clocks apart"),
    *("several loops on a side", "array dims served"),
)

"""Nests whose outer iterations are all alike: nothing ragged, no halo, outputs finished where they first rest.

Such a nest is drawn once and can be made with any number of outer iterations, so that the cycles of one more are the
difference of two totals.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from math import prod

from tests.oracles.world import GHZ, build, make_op, matmul, memory, plain
from weft.model.chip import SLOTS, Memory
from weft.model.mapping import Loop, Mapping, Problem, Rest
from weft.model.workload import Op

Made = Callable[[int], tuple[Problem, Mapping]]


@dataclass(frozen=True)
class Uniform:
    """`at(n)` is the nest with `n` outer iterations of `inner` array steps each."""

    at: Made
    inner: int


def draw(seed: int, buffering: str = "double", slack: int = 0) -> Uniform:
    """One uniform nest.

    Args:
        buffering: of every memory below the outermost.
        slack:     makes ports wider, 0 (anything between starved and idle) upwards.
    """
    rng = random.Random(seed)
    kind = rng.choice(("matmul", "matmul", "batched", "add"))
    dims = {"matmul": "MNK", "batched": "BMNK", "add": "BXY"}[kind]
    reducing = [dim for dim in dims if dim == "K"]
    keeping = [dim for dim in dims if dim != "K"]
    # All reduction lies inside the outputs' first place: partial sums never leave it.
    below = [Loop(rng.choice(reducing or keeping), rng.randint(2, 4)) for _ in range(rng.randint(1, 2))]
    below += [Loop(rng.choice(keeping), 2) for _ in range(rng.randint(0, 1))]
    rng.shuffle(below)
    above = [Loop(rng.choice(keeping), rng.randint(2, 3)) for _ in range(rng.randint(0, 2))]
    outer = rng.choice(keeping)
    levels = some_levels(rng, buffering, slack)
    top = some_memory(rng, "dram", "double", slack)
    lowest = len(below)
    rests_at = {
        (slot, name): rng.random()
        for slot in "IWO"
        for name in (item.name for item, slots, _ in levels if slot in slots)
    }

    def at(iterations: int) -> tuple[Problem, Mapping]:
        loops = (*below, *above, Loop(outer, iterations))
        sizes = {dim: prod(loop.factor for loop in loops if loop.dim == dim) for dim in dims}
        op = _op(kind, sizes)
        rests: list[Rest] = []
        for operand in op.operands:
            names = [item.name for item, slots, _ in levels if operand.slot in slots]
            floor = lowest if operand.slot == "O" else 0
            # The outermost loop lies above every rest but the last, so that each outer iteration moves the same.
            room = len(loops) - 1 - floor
            insides = sorted(floor + int(rests_at[operand.slot, name] * (room + 1)) for name in names)
            rests += [Rest(operand.name, name, inside) for name, inside in zip(names, insides, strict=True)]
            rests.append(Rest(operand.name, "dram", len(loops)))
        problem = build(op, {"D1": 1}, levels, top, widths=(8, 8, 8), accumulator=8)
        return problem, Mapping((), loops, tuple(rests))

    return Uniform(at, prod(loop.factor for loop in (*below, *above)))


def _op(kind: str, sizes: dict[str, int]) -> Op:
    if kind == "matmul":
        return matmul(sizes["M"], sizes["N"], sizes["K"])
    axes = {
        "batched": {"A": "BMK", "B": "BKN", "O": "BMN"},
        "add": {"I": "BXY", "I2": "XY", "O": "BXY"},
    }[kind]
    kinds = {"batched": "matmul", "add": "elementwise"}
    named = zip(axes.items(), SLOTS, strict=True)
    return make_op(
        kinds[kind], sizes, *((name, slot, tuple(plain(dim, sizes) for dim in of)) for (name, of), slot in named)
    )


def some_levels(rng: random.Random, buffering: str, slack: int, halo: bool = False) -> list[tuple[Memory, str, str]]:
    levels: list[tuple[Memory, str, str]] = []
    for depth in range(rng.randint(1, 2)):
        groups = rng.choice((["IWO"], ["I", "W", "O"], ["IW", "O"]))
        levels += [
            (some_memory(rng, f"m{depth}{slots.lower()}", buffering, slack, halo), slots, "D1") for slots in groups
        ]
    return levels


def some_memory(rng: random.Random, name: str, buffering: str, slack: int, halo: bool = False) -> Memory:
    width = rng.choice((2, 4, 8, 16, 32)) << slack
    return memory(name, rng.choice(("rw", "r+w", "own")), buffering, halo, GHZ, (width, 1))

"""What a free dataflow may lay side by side: up to three loops on a side, each dim on one, ranked by array steps."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np

from weft.cost.kernels import Floats, Ints
from weft.mapper.space import compute_cycles, fixed_spatial
from weft.model.chip import ArrayDim
from weft.model.mapping import Loop, Problem, Unroll
from weft.model.workload import Axis, Op, Operand

FREE_CHOICES = 64
"""Most spatial choices weighed with a free dataflow, fewest array steps first."""

TOGETHER = 3
"""Most loops on one side."""

PARTIAL = 4096
"""Most choices kept while sides are added one after another."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Spatial choices under a free dataflow.

    Args:
        choices: the declared dataflow first, then those with the fewest array steps.
        there:   how many choices there are, or were counted before sides without promise were left out.
        floor:   no choice that is left out has fewer array steps than this; None where none is.
    """

    choices: tuple[tuple[Unroll, ...], ...]
    there: int
    floor: int | None


def spread(problem: Problem, most: int = FREE_CHOICES) -> Spread:
    """The choices for one op on a core; at most `most` of them beside the declared dataflow.

    What an operand's innermost memory has no room for is none: an instance holds what it serves side by side.
    """
    op, core = problem.op, problem.core
    names = [dim for dim, size in op.dims if size > 1]
    sizes = np.array([op.size[dim] for dim in names], np.int64)
    per_side = [
        [loops for loops in _options(op, side) if not loops or _held(problem, (Unroll(side.name, loops),), alone=False)]
        for side in core.array
    ]
    taken = np.zeros(1, np.int64)
    steps = np.full(1, float(sizes.prod()) if len(sizes) else 1.0)
    picks = np.zeros((1, 0), np.int64)
    floor = math.inf
    there = 1
    for number, options in enumerate(per_side):
        masks = np.array([sum(1 << names.index(loop.dim) for loop in loops) for loops in options], np.int64)
        shrinks = np.array(
            [math.prod(math.ceil(op.size[l.dim] / l.factor) / op.size[l.dim] for l in loops) for loops in options]
        )
        left, right = np.nonzero((taken[:, None] & masks[None, :]) == 0)
        there = len(left)
        made = steps[left] * shrinks[right]
        kept, cut = _least(made, PARTIAL)
        if len(cut):
            later = math.prod(side.size for side in core.array[number + 1 :])
            floor = min(floor, float(made[cut].min()) / later)
        left, right = left[kept], right[kept]
        taken, steps = taken[left] | masks[right], made[kept]
        picks = np.concatenate([picks[left], right[:, None]], axis=1)
    found: dict[tuple[Unroll, ...], int] = {}
    for row in picks.tolist():
        chosen = [options[pick] for options, pick in zip(per_side, row, strict=True)]
        unrolls = tuple(Unroll(side.name, loops) for side, loops in zip(core.array, chosen, strict=True) if loops)
        if _held(problem, unrolls, alone=True):
            found[unrolls] = compute_cycles(op, unrolls)
    fixed = fixed_spatial(op, core)
    ranked = sorted(found, key=lambda unrolls: (found[unrolls], str(unrolls)))
    if len(ranked) > most:
        floor = min(floor, found[ranked[most]])
    others = tuple(unrolls for unrolls in ranked[:most] if unrolls != fixed)
    return Spread((fixed, *others), there, None if floor == math.inf else math.floor(floor))


def _held(problem: Problem, unrolls: tuple[Unroll, ...], alone: bool) -> bool:
    """Whether every operand's innermost memory has room for one copy of what an instance serves at once.

    alone: nothing is laid out beside it; else other sides may complete the sums.
    """
    return all(
        _bits_served(problem, operand, unrolls, alone) <= _bits_there(problem, operand)
        for operand in problem.op.operands
    )


def _bits_there(problem: Problem, operand: Operand) -> float:
    place = problem.setting.of(operand.name)[0]
    return math.inf if place.optional else problem.chip.memory(place.memory).size_bits


def _bits_served(problem: Problem, operand: Operand, unrolls: tuple[Unroll, ...], alone: bool) -> int:
    """Bits of the first tile of an operand that one instance of its innermost memory serves."""
    op, serves = problem.op, problem.setting.of(operand.name)[0].serves
    along = {loop.dim: loop.factor for unroll in unrolls for loop in unroll.loops}
    served = {loop.dim: loop.factor for unroll in unrolls if unroll.array_dim in serves for loop in unroll.loops}
    elements = math.prod(_touched(axis, served) for axis in operand.axes)
    width = problem.width(operand.name)
    if alone and operand.slot == "O" and any(along.get(dim, 1) < op.size[dim] for dim in op.reduction):
        width = max(width, problem.core.accumulator_bits)  # sums are not done at once, and lie here meanwhile
    return elements * width


def _touched(axis: Axis, served: dict[str, int]) -> int:
    """Elements along an axis that the first iterations touch: strides leave gaps, and padding is nothing."""
    sums = {axis.offset}
    for term in axis.terms:
        sums = {start + term.coefficient * x for start in sums for x in range(served.get(term.dim, 1))}
    return sum(0 <= index < axis.size for index in sums)


def _least(values: Floats, most: int) -> tuple[Ints, Ints]:
    """Positions of the `most` least values, and of the others."""
    order = np.argsort(values, kind="stable")
    return order[:most], order[most:]


def _options(op: Op, side: ArrayDim) -> list[tuple[Loop, ...]]:
    """What may lie on one side: no loop, or up to TOGETHER of them, none of which could be larger beside the others."""
    found: list[tuple[Loop, ...]] = [()]
    dims = [dim for dim, size in op.dims if size > 1]
    for count in range(1, TOGETHER + 1):
        for chosen in itertools.combinations(dims, count):
            filled = _fill(op, chosen, side.size)
            found += [
                tuple(Loop(dim, factor) for dim, factor in zip(chosen, factors, strict=True))
                for factors in filled
                if not any(
                    other != factors and all(a >= b for a, b in zip(other, factors, strict=True)) for other in filled
                )
            ]
    return found


def _fill(op: Op, dims: tuple[str, ...], room: int) -> list[tuple[int, ...]]:
    """Factors of at least 2 whose product is at most `room`, each as small as its number of steps allows."""
    size = op.size[dims[0]]
    if len(dims) == 1:
        return [(math.ceil(size / math.ceil(size / min(size, room))),)] if room > 1 else []
    sizes = sorted({math.ceil(size / math.ceil(size / factor)) for factor in range(2, min(size, room // 2) + 1)})
    return [(factor, *rest) for factor in sizes for rest in _fill(op, dims[1:], room // factor)]

"""A ZigZag mapping as seen by one operand: what one instance of each memory holds, for how long, and how often.

Letters as in ZigZag's papers: memory m counts from 0 (next to the MACs); "level m" of the temporal loops belongs to
memory m; array level m is what lies side by side below one instance of memory m.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Literal

from weft.model.chip import Chip, Core, Flow, Memory
from weft.model.workload import Axis, Op, Operand, Slot
from weft.model.zigzag import ZigzagLoops

Kind = Literal["relevant", "irrelevant", "sliding"]


@dataclass(frozen=True, slots=True)
class Part:
    """A temporal loop as one operand sees it.

    Args:
        kind:   relevant loops index the operand; irrelevant ones do not (re-use of inputs, accumulation of outputs);
                sliding ones index it together with another dim (OX with FX), and are neither to ZigZag.
        growth: how the elements below it grow through it: its factor, 1, or something between.
    """

    factor: int
    kind: Kind
    growth: Fraction


def memories(core: Core, chip: Chip, slot: Slot) -> tuple[tuple[Memory, frozenset[str]], ...]:
    """The memories of a slot with the array dims that one instance serves: the core's, then the chip's outermost."""
    chain = [(chip.memory(level.memory), level.serves) for level in core.chain(slot)]
    if not chain or chain[-1][0].name != chip.outermost:
        chain.append((chip.memory(chip.outermost), frozenset(side.name for side in core.array)))
    return tuple(chain)


def sliding(op: Op) -> frozenset[str]:
    """The dims that move a window: two on one axis, neither of which indexes all operands (as a group would)."""
    found: set[str] = set()
    for operand in op.inputs:
        for axis in operand.axes:
            dims = {term.dim for term in axis.terms}
            grouped = len(op.operands) > 2 and any(all(dim in each.dims for each in op.operands) for dim in dims)
            if len(dims) > 1 and not grouped:
                found |= dims
    return frozenset(found)


def distinct(axis: Axis, counts: dict[str, Fraction]) -> int:
    """Values that an axis under a window takes while each of its dims runs `counts` iterations; padding left out.

    For indices sa*i + sb*j with a and b iterations, g = gcd(sa, sb):
        a b - max(0, b - sa/g) (a - sb/g), at most the axis; of a and b the whole parts.
    Source: ZigZag, partially relevant loops. (Exact where a >= sb/g. It knows two dims per axis; of more their product
    is taken, at most the axis.)
    """
    sizes = [(math.floor(counts.get(term.dim, Fraction(1))), term.coefficient) for term in axis.terms]
    if len(sizes) != 2:
        return min(axis.size, math.prod(size for size, _ in sizes))
    (a, sa), (b, sb) = sizes
    common = math.gcd(sa, sb)
    return min(axis.size, a * b - max(0, b - sa // common) * (a - sb // common))


@dataclass(frozen=True)
class Nest:
    """The nest of one operand.

    Args:
        temporal: for each memory its loops, innermost first, after `settled`.
        stationary: product of those that moved below memory 0.
        spatial:  for each array level the product of its unrollings, and how elements grow through them.
    """

    operand: Operand
    stationary: int
    temporal: tuple[tuple[Part, ...], ...]
    spatial: tuple[tuple[Fraction, Fraction], ...]

    @property
    def total(self) -> int:
        """Product of all temporal loops [cycles]."""
        return self.cycles[-1]

    @cached_property
    def cycles(self) -> tuple[int, ...]:
        """cyc[m]: cycles between changes of what lies below memory m; cyc[0] is 1 for the output."""
        found = [self.stationary]
        for level in self.temporal:
            found.append(found[-1] * math.prod(part.factor for part in level))
        return tuple(found)

    @cached_property
    def elements(self) -> tuple[Fraction, ...]:
        """D[m]: elements in one instance of memory m - 1; D[0] = 1."""
        found = [Fraction(1)]
        for (_, growth), level in zip(self.spatial, self.temporal, strict=False):
            found.append(found[-1] * growth * math.prod((part.growth for part in level), start=Fraction(1)))
        return tuple(found)

    @cached_property
    def instances(self) -> tuple[Fraction, ...]:
        """U[i]: product of the unrollings in array levels i and above; U[0] is the MACs in use."""
        found = [Fraction(1)]
        for product, _ in reversed(self.spatial):
            found.append(found[-1] * product)
        return tuple(reversed(found))[:-1]

    def boost(self, memory: int) -> Fraction:
        """Elements of the size D[m] that memory m's instance gives below at once (multicast counted once)."""
        return self.spatial[memory][1]

    def top(self, memory: int, kind: Kind) -> int:
        """Product of the unbroken run of loops of one kind at the top of a memory's level."""
        found = 1
        for part in reversed(self.temporal[memory]):
            if part.kind != kind:
                break
            found *= part.factor
        return found

    def partial(self, memory: int) -> bool:
        """Whether an output's values at the border below memory m are partial sums."""
        if self.operand.slot != "O":
            return False
        above = any(part.kind == "irrelevant" for level in self.temporal[memory:] for part in level)
        return above or any(product > growth for product, growth in self.spatial[memory + 1 :])


def nest_of(op: Op, loops: ZigzagLoops) -> Nest:
    """Sort every loop by how it indexes the operand, walking outwards, and settle those that do not."""
    operand = next(each for each in op.operands if each.slot == loops.slot)
    windows = sliding(op)
    counts: dict[str, Fraction] = {}

    def kind(dim: str) -> Kind:
        if dim not in operand.dims:
            return "irrelevant"
        axis = next(axis for axis in operand.axes if any(term.dim == dim for term in axis.terms))
        return "sliding" if dim in windows and len(axis.terms) > 1 else "relevant"

    def growth(dim: str, factor: Fraction) -> Fraction:
        if kind(dim) == "irrelevant":
            return Fraction(1)
        if kind(dim) == "relevant":
            return factor
        axis = next(axis for axis in operand.axes if any(term.dim == dim for term in axis.terms))
        before = distinct(axis, counts)
        counts[dim] = counts.get(dim, Fraction(1)) * factor
        return Fraction(distinct(axis, counts), before)

    spatial: list[tuple[Fraction, Fraction]] = []
    temporal: list[tuple[Part, ...]] = []
    for index, array_level in enumerate(loops.spatial):
        product = grown = Fraction(1)
        for spread in array_level:
            product *= spread.factor
            grown *= growth(spread.dim, spread.factor)
        spatial.append((product, grown))
        if index < len(loops.temporal):
            temporal.append(
                tuple(
                    Part(loop.factor, kind(loop.dim), growth(loop.dim, Fraction(loop.factor)))
                    for loop in loops.temporal[index]
                )
            )
    stationary, levels = settled(tuple(temporal), below=operand.slot != "O")
    return Nest(operand, stationary, levels, tuple(spatial))


def settled(levels: tuple[tuple[Part, ...], ...], below: bool) -> tuple[int, tuple[tuple[Part, ...], ...]]:
    """Move irrelevant loops from the bottom of each memory's level into the level below, which just holds its data.

    Args:    below: they may go below memory 0, too: a MAC holds an input, but no output.
    Returns: the product of those that moved below memory 0, and the levels.
    """
    stationary = 1
    rest = [list(level) for level in levels]
    moved = True
    while moved:
        moved = False
        for index, level in enumerate(rest):
            while level and level[0].kind == "irrelevant" and (index or below):
                part = level.pop(0)
                moved = True
                if index:
                    rest[index - 1].append(part)
                else:
                    stationary *= part.factor
    return stationary, tuple(map(tuple, rest))


def border(level: int, flow: Flow) -> int:
    """The border that a flow at memory `level` crosses: m lies below memory m."""
    return level if flow in ("to_below", "from_below") else level + 1


def flows(nest: Nest, level: int, levels: int) -> tuple[Flow, ...]:
    """The flows at memory `level`; none between the top memory and the outside.

    Inputs come from above and go below. The output comes from below and goes above; it comes back down across a border
    that partial sums cross, as often as it goes up (the first accumulation, too).
    """
    top = level == levels - 1
    if nest.operand.slot != "O":
        return ("to_below",) if top else ("to_below", "from_above")
    found: list[Flow] = ["from_below"]
    if nest.partial(level):
        found.append("to_below")
    if not top:
        found.append("to_above")
        if nest.partial(level + 1):
            found.append("from_above")
    return tuple(found)


def width(nest: Nest, level: int, flow: Flow, final: int, accumulator: int) -> int:
    """Bits per element of a flow: the accumulator's where partial sums cross, else the finished element's."""
    return accumulator if nest.partial(border(level, flow)) else final


def transfer(nest: Nest, level: int, flow: Flow) -> tuple[int, int]:
    """(elements of one transfer in one instance, number of transfers).

    Below: D[m] x boost[m], total // cyc[m]. Above: D[m + 1], total // cyc[m + 1]. Each is rounded for itself.
    """
    at = border(level, flow)
    if at == level:
        return round(nest.elements[at]) * round(nest.boost(level)), nest.total // nest.cycles[at]
    return round(nest.elements[at]), nest.total // nest.cycles[at]

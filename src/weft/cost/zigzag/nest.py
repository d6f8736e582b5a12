"""A ZigZag mapping as seen by one operand: what one instance of each memory holds, for how long, and how often.

Letters as in ZigZag's papers: memory m counts from 0 (next to the MACs); "level m" of the temporal loops belongs to
memory m; array level m is what lies side by side below one instance of memory m.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from weft.model.chip import Chip, Core, Flow, Memory
from weft.model.workload import Axis, Operand, Slot
from weft.model.zigzag import ZigzagLoops


@dataclass(frozen=True, slots=True)
class Part:
    """A loop's share that indexes the operand (or one that does not: re-use of inputs, accumulation of outputs)."""

    factor: Fraction
    relevant: bool


def memories(core: Core, chip: Chip, slot: Slot) -> tuple[tuple[Memory, frozenset[str]], ...]:
    """The memories of a slot with the array dims that one instance serves: the core's, then the chip's outermost."""
    chain = [(chip.memory(level.memory), level.serves) for level in core.chain(slot)]
    if not chain or chain[-1][0].name != chip.outermost:
        chain.append((chip.memory(chip.outermost), frozenset(side.name for side in core.array)))
    return tuple(chain)


def distinct(axis: Axis, counts: dict[str, Fraction]) -> Fraction:
    """Values that an axis takes while each of its dims runs `counts` iterations; padding left out.

    For indices sa*i + sb*j with a and b iterations, g = gcd(sa, sb):
        a b - max(0, b - sa/g) (a - sb/g), at most the axis, cut to an integer.
    Source: ZigZag, partially relevant loops. (Exact where a >= sb/g; it knows no more than two dims per axis: of
    three or more their product is taken, at most the axis.)
    """
    sizes = [(counts.get(term.dim, Fraction(1)), term.coefficient) for term in axis.terms]
    if len(sizes) == 1:
        return sizes[0][0]
    if len(sizes) != 2:
        return min(Fraction(axis.size), math.prod((size for size, _ in sizes), start=Fraction(1)))
    (a, sa), (b, sb) = sizes
    common = math.gcd(sa, sb)
    values = a * b - max(Fraction(0), b - Fraction(sa, common)) * (a - Fraction(sb, common))
    return Fraction(math.floor(min(Fraction(axis.size), values)))


@dataclass(frozen=True)
class Nest:
    """The nest of one operand.

    Args:
        temporal: for each memory its loops' parts, innermost first, after `settled`; `stationary` are those that moved
                  below memory 0.
        spatial:  for each array level the product of its unrollings, and of their relevant parts.
    """

    operand: Operand
    stationary: Fraction
    temporal: tuple[tuple[Part, ...], ...]
    spatial: tuple[tuple[Fraction, Fraction], ...]

    @cached_property
    def total(self) -> Fraction:
        """Product of all temporal loops [cycles]."""
        return self.cycles[-1]

    @cached_property
    def cycles(self) -> tuple[Fraction, ...]:
        """cyc[m]: cycles between changes of what lies below memory m; cyc[0] is 1 for the output."""
        found = [self.stationary]
        for level in self.temporal:
            found.append(found[-1] * math.prod((part.factor for part in level), start=Fraction(1)))
        return (found[0] if self.operand.slot != "O" else Fraction(1), *found[1:])

    @cached_property
    def elements(self) -> tuple[Fraction, ...]:
        """D[m]: elements in one instance of memory m - 1; D[0] = 1."""
        found = [Fraction(1)]
        for (_, relevant), level in zip(self.spatial, self.temporal, strict=False):
            found.append(found[-1] * relevant * math.prod((p.factor for p in level if p.relevant), start=Fraction(1)))
        return (Fraction(1), *found[1:])

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

    def top(self, memory: int, relevant: bool) -> Fraction:
        """Product of the unbroken run of (ir)relevant loops at the top of a memory's level."""
        found = Fraction(1)
        for part in reversed(self.temporal[memory]):
            if part.relevant != relevant:
                break
            found *= part.factor
        return found

    def partial(self, memory: int) -> bool:
        """Whether an output's values at the border below memory m are partial sums."""
        if self.operand.slot != "O":
            return False
        above = any(not p.relevant and p.factor > 1 for level in self.temporal[memory:] for p in level)
        return above or any(product > relevant for product, relevant in self.spatial[memory + 1 :])


def nest_of(operand: Operand, loops: ZigzagLoops) -> Nest:
    """Split every loop into what indexes the operand and what does not, walking outwards, and settle the rest."""
    counts: dict[str, Fraction] = {}

    def grow(dim: str, factor: Fraction) -> Fraction:
        """How the operand's elements grow: the loop's relevant part."""
        axis = next((axis for axis in operand.axes if any(term.dim == dim for term in axis.terms)), None)
        if axis is None:
            return Fraction(1)
        before = distinct(axis, counts)
        counts[dim] = counts.get(dim, Fraction(1)) * factor
        return distinct(axis, counts) / before

    spatial: list[tuple[Fraction, Fraction]] = []
    temporal: list[list[Part]] = []
    for index, array_level in enumerate(loops.spatial):
        product = relevant = Fraction(1)
        for spread in array_level:
            product *= spread.factor
            relevant *= grow(spread.dim, spread.factor)
        spatial.append((product, relevant))
        if index < len(loops.temporal):
            parts: list[Part] = []
            for loop in loops.temporal[index]:
                growth = grow(loop.dim, Fraction(loop.factor))
                parts += [Part(growth, True), Part(Fraction(loop.factor) / growth, False)]
            temporal.append([part for part in parts if part.factor != 1])
    stationary, settled_levels = settled(temporal, below=operand.slot != "O")
    return Nest(operand, stationary, settled_levels, tuple(spatial))


def settled(levels: list[list[Part]], below: bool) -> tuple[Fraction, tuple[tuple[Part, ...], ...]]:
    """Move irrelevant loops from the bottom of each memory's level into the level below, which just holds its data.

    Args:    below: they may go below memory 0, too: a MAC holds an input, but no output.
    Returns: the product of those that moved below memory 0, and the levels.
    """
    stationary = Fraction(1)
    rest = [list(level) for level in levels]
    moved = True
    while moved:
        moved = False
        for index, level in enumerate(rest):
            while level and not level[0].relevant and (index or below):
                part = level.pop(0)
                moved = True
                if index:
                    rest[index - 1].append(part)
                else:
                    stationary *= part.factor
    return stationary, tuple(tuple(level) for level in rest)


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
        return round(nest.elements[at]) * round(nest.boost(level)), int(nest.total // nest.cycles[at])
    return round(nest.elements[at]), int(nest.total // nest.cycles[at])

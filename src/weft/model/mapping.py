"""The mapping of one op tile on one core: spatial unrolling, temporal loops, and where each operand rests."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from weft.errors import MappingError
from weft.model.chip import Chip, Core
from weft.model.workload import MAC_KINDS, Op


@dataclass(frozen=True, slots=True)
class Loop:
    """A loop over `dim` in `factor` steps."""

    dim: str
    factor: int

    def __str__(self) -> str:
        # A dim that ends in a digit needs a mark between name and factor.
        return f"{self.dim}{'*' if self.dim[-1].isdigit() else ''}{self.factor}"


@dataclass(frozen=True, slots=True)
class Unroll:
    """Loops laid side by side on one array dim; their product is at most its size."""

    array_dim: str
    loops: tuple[Loop, ...]

    def __str__(self) -> str:
        return f"{self.array_dim}:" + ",".join(map(str, self.loops))


@dataclass(frozen=True, slots=True)
class Rest:
    """Operand `operand` rests in `memory`, whose tile spans the first `inside` temporal loops (innermost first)."""

    operand: str
    memory: str
    inside: int


@dataclass(frozen=True, slots=True)
class Mapping:
    """How one op tile runs on one core.

    Args:
        spatial: what lies side by side on the array.
        loops:   temporal loops, innermost first. A dim's tile sizes are the running products of its factors, the
                 spatial one first, so that each is a multiple of the one below; the last tile along a dim is clipped.
        rests:   for each operand its memories, innermost first. An operand that goes past a level skips it.

    Text form, innermost first: `D1:K32 D2:C32 | FX3 FY3 O@rf_2B OX56 W@rf_128B I@sram O@sram K2 W@dram ...`:
    a rest stands behind the loops whose tile it holds. (`B2*4` is the dim B2 in 4 steps.)
    """

    spatial: tuple[Unroll, ...]
    loops: tuple[Loop, ...]
    rests: tuple[Rest, ...]

    def unrolled(self, dim: str) -> int:
        """Product of the spatial factors of `dim`."""
        return math.prod(loop.factor for unroll in self.spatial for loop in unroll.loops if loop.dim == dim)

    def chain(self, operand: str) -> tuple[Rest, ...]:
        """Where an operand rests, innermost first."""
        return tuple(rest for rest in self.rests if rest.operand == operand)

    def tile(self, inside: int) -> dict[str, int]:
        """Tile size per dim of the array together with the first `inside` loops (dims not named have size 1)."""
        size: dict[str, int] = {}
        for unroll in self.spatial:
            for loop in unroll.loops:
                size[loop.dim] = size.get(loop.dim, 1) * loop.factor
        for loop in self.loops[:inside]:
            size[loop.dim] = size.get(loop.dim, 1) * loop.factor
        return size

    def __str__(self) -> str:
        parts = [str(unroll) for unroll in self.spatial] + ["|"]
        for position in range(len(self.loops) + 1):
            parts += [f"{rest.operand}@{rest.memory}" for rest in self.rests if rest.inside == position]
            if position < len(self.loops):
                parts.append(str(self.loops[position]))
        return " ".join(parts)


_LOOP = re.compile(r"^(?:([A-Z]+)|([A-Z][A-Z0-9]*)\*)([1-9][0-9]*)$")
_REST = re.compile(r"^([A-Z][A-Z0-9]*)@(\S+)$")


def parse_mapping(text: str) -> Mapping:
    """The mapping that prints as `text`.

    >>> str(parse_mapping("D1:K32 D2:C3 | FX7 O@rf OX112 I@sram"))
    'D1:K32 D2:C3 | FX7 O@rf OX112 I@sram'
    """
    if text.count("|") != 1:
        raise MappingError(f"a mapping must have one '|' between array and loops, not '{text}'")
    left, right = text.split("|")
    spatial = []
    for word in left.split():
        name, _, loops = word.partition(":")
        if not loops:
            raise MappingError(f"a spatial part must read ARRAYDIM:LOOP,LOOP, not '{word}'")
        spatial.append(Unroll(name, tuple(_loop(part) for part in loops.split(","))))
    temporal: list[Loop] = []
    rests: list[Rest] = []
    for word in right.split():
        rest = _REST.match(word)
        if rest:
            rests.append(Rest(rest.group(1), rest.group(2), len(temporal)))
        else:
            temporal.append(_loop(word))
    return Mapping(tuple(spatial), tuple(temporal), tuple(rests))


def _loop(word: str) -> Loop:
    match = _LOOP.match(word)
    if match is None:
        raise MappingError(f"a loop must read DIM and factor such as OX56 or B2*4, not '{word}'")
    return Loop(match.group(1) or match.group(2), int(match.group(3)))


@dataclass(frozen=True, slots=True)
class Place:
    """One memory on the way of an operand: a level of the core, or where the operand is streamed from.

    Args:
        memory:   its name.
        serves:   array dims one instance serves.
        links:    links crossed from the place below up to this one, in that order (empty inside a core).
        via:      memories passed between those links, written and read on the way.
        optional: the operand may go past it.
    """

    memory: str
    serves: frozenset[str]
    links: tuple[str, ...] = ()
    via: tuple[str, ...] = ()
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Setting:
    """Where each operand of a task lives, and what room there is: what a mapper must know beside op and core.

    Args:
        core:   the core's name.
        places: for each operand its places, innermost first; the last holds the operand whole.
        resident: operands whose last place is in the core and holds them whole: nothing comes from above.
        free_bits: room in a memory for this task's tiles, where it is less than the whole memory.
        path_divisor: a streamed path runs at 1/divisor of its rate (1: the whole path).
    """

    core: str
    places: tuple[tuple[str, tuple[Place, ...]], ...]
    resident: frozenset[str] = frozenset()
    free_bits: tuple[tuple[str, int], ...] = ()
    path_divisor: int = 1

    def of(self, operand: str) -> tuple[Place, ...]:
        return next(places for name, places in self.places if name == operand)


@dataclass(frozen=True, slots=True)
class Problem:
    """What a mapping answers: one op (or a tile of it, as an op of its own) on one core in one setting.

    Args:
        op:      the op tile.
        widths:  bits per element of each operand as it rests finished.
        chip:    the chip; `setting.core` names the core.
        setting: where operands live and what room there is.
    """

    op: Op
    widths: tuple[tuple[str, int], ...]
    chip: Chip
    setting: Setting

    @property
    def core(self) -> Core:
        return self.chip.core(self.setting.core)

    def width(self, operand: str) -> int:
        """Bits per finished element."""
        return dict(self.widths)[operand]

    @property
    def op_widths(self) -> tuple[int, int]:
        """Bits of the two operands that a unit works on: of a product its factors, else the widest input and 0."""
        wide = [self.width(operand.name) for operand in self.op.inputs]
        if self.op.kind not in MAC_KINDS:
            return max(wide, default=0), 0
        factors = {operand.slot: self.width(operand.name) for operand in reversed(self.op.inputs)}
        return factors.get("I", 0), factors.get("W", 0)

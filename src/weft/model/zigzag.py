"""A mapping in ZigZag's form: for each operand its own cut of one loop nest, and unrollings that need not be whole.

Weft's own form (`weft.model.mapping`) has one nest and a position for each operand; `weft.cost.zigzag` turns one into
the other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from weft.errors import MappingError
from weft.model.mapping import Loop, Mapping
from weft.model.workload import SLOTS, Slot


@dataclass(frozen=True, slots=True)
class Spread:
    """A loop laid side by side on the array.

    A loop of size S over u units counts S / ceil(S / u) units, which need not be whole: 1000 over 32 are 125/4.
    """

    dim: str
    factor: Fraction

    def __str__(self) -> str:
        return f"{self.dim}{self.factor}"


@dataclass(frozen=True, slots=True)
class ZigzagLoops:
    """The nest as one operand sees it.

    Args:
        slot:     I, W or O.
        temporal: one list of loops per memory of the operand, innermost memory first, innermost loop first.
        spatial:  one list per array level, one more than there are memories: level m is what lies side by side below
                  one instance of memory m; the last level is what no memory serves.
    """

    slot: Slot
    temporal: tuple[tuple[Loop, ...], ...]
    spatial: tuple[tuple[Spread, ...], ...]

    def __post_init__(self) -> None:
        if len(self.spatial) != len(self.temporal) + 1:
            raise MappingError(
                f"{self.slot} must have one more spatial list than memories, "
                f"not {len(self.spatial)} beside {len(self.temporal)}"
            )

    @property
    def nest(self) -> tuple[Loop, ...]:
        """All temporal loops, innermost first."""
        return tuple(loop for level in self.temporal for loop in level)

    def __str__(self) -> str:
        spatial = ";".join(",".join(map(str, level)) or "-" for level in self.spatial)
        temporal = ";".join(",".join(map(str, level)) or "-" for level in self.temporal)
        return f"{self.slot}:{spatial}|{temporal}"


@dataclass(frozen=True, slots=True)
class ZigzagMapping:
    """How one op runs on one core, as ZigZag writes it.

    Args:
        operands: in the order of the op's equation, the output first; ZigZag decides on double buffering in that order.

    Text form, one word per operand: `O:-;K32,C3;-;-|FX7,FY7;OY112,OX112,K2;- W:... I:...` - the array levels, then
    the memories, levels parted by semicolons, innermost first.
    """

    operands: tuple[ZigzagLoops, ...]

    def __post_init__(self) -> None:
        slots = [loops.slot for loops in self.operands]
        if len(set(slots)) != len(slots) or "O" not in slots:
            raise MappingError(f"a mapping must have each operand once and an output, not {' '.join(slots)}")

    def of(self, slot: Slot) -> ZigzagLoops:
        return next(loops for loops in self.operands if loops.slot == slot)

    def __str__(self) -> str:
        return " ".join(map(str, self.operands))


_LOOP = re.compile(r"^([A-Z]+)([1-9][0-9]*)$")
_SPREAD = re.compile(r"^([A-Z]+)([1-9][0-9]*(?:/[1-9][0-9]*)?)$")


def parse_zigzag(text: str) -> ZigzagMapping:
    """The mapping that prints as `text`.

    >>> str(parse_zigzag("O:-;K125/4,C32;-|C16;K32 W:-;K125/4,C32;-|C16,K4;K8"))
    'O:-;K125/4,C32;-|C16;K32 W:-;K125/4,C32;-|C16,K4;K8'
    """
    operands = []
    for word in text.split():
        slot, colon, rest = word.partition(":")
        spatial, bar, temporal = rest.partition("|")
        if slot not in SLOTS or not colon or not bar:
            raise MappingError(f"an operand must read SLOT:SPATIAL|TEMPORAL, not '{word}'")
        operands.append(
            ZigzagLoops(
                next(each for each in SLOTS if each == slot),
                tuple(tuple(_loop(part) for part in _parts(level)) for level in temporal.split(";")),
                tuple(tuple(_spread(part) for part in _parts(level)) for level in spatial.split(";")),
            )
        )
    return ZigzagMapping(tuple(operands))


def _parts(level: str) -> list[str]:
    return [] if level in ("", "-") else level.split(",")


def _loop(word: str) -> Loop:
    match = _LOOP.match(word)
    if match is None:
        raise MappingError(f"a loop must read DIM and factor such as OX56, not '{word}'")
    return Loop(match.group(1), int(match.group(2)))


def _spread(word: str) -> Spread:
    match = _SPREAD.match(word)
    if match is None:
        raise MappingError(f"a spatial loop must read DIM and factor such as K32 or K125/4, not '{word}'")
    return Spread(match.group(1), Fraction(match.group(2)))


@dataclass(frozen=True, slots=True)
class NamedMapping:
    """A mapping with the op that it is for.

    Args:
        op:      the op's exact name.
        mapping: in weft's form or in ZigZag's.
        core:    the core that it is for, where the file says so.
        dims:    the loop sizes the file states, in the file's letters; empty where it states none.
        where:   file and entry, for messages.
    """

    op: str
    mapping: Mapping | ZigzagMapping
    core: str | None = None
    dims: tuple[tuple[str, int], ...] = ()
    where: str = ""

    @property
    def form(self) -> str:
        """`weft` or `zigzag`."""
        return "zigzag" if isinstance(self.mapping, ZigzagMapping) else "weft"

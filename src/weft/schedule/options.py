"""Parts and options as the engine in Python takes them."""

from __future__ import annotations

from dataclasses import dataclass

from weft.mapper import Mapped
from weft.model.chip import Route
from weft.model.mapping import Problem
from weft.model.workload import Range, volume


@dataclass(frozen=True, slots=True)
class Part:
    """One op tile with the core and the mapping it gets.

    Args:
        ranges:  the tile.     problem: it as a mapper's problem.     mapped: its mapping and price.
        homes:   for each operand the memory it rests in, and whether it is streamed from there.
        routes:  the ways that streamed operands take.
        duration: base cycles.
    """

    core: str
    ranges: tuple[tuple[str, Range], ...]
    problem: Problem
    mapped: Mapped
    homes: tuple[tuple[str, str, bool], ...]
    routes: tuple[tuple[str, Route], ...]
    duration: int

    def box_bits(self, operand: str) -> int:
        """Bits of what the tile touches of an operand."""
        tile = self.problem.op
        box = next(item.box(tile.whole()) for item in tile.operands if item.name == operand)
        return volume(box) * self.problem.width(operand)


@dataclass(frozen=True, slots=True)
class Option:
    """One way to run an op: its parts, which together are the whole op."""

    op: str
    name: str
    parts: tuple[Part, ...]

"""What must hold of a mapping before it can be priced: one table of (sentence, predicate)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

from weft.cost.result import Room
from weft.cost.traffic import rooms, traffic
from weft.model.mapping import Mapping, Problem

Finding = tuple[str, str, str]
"""(subject, needs, has)."""


@dataclass(frozen=True, slots=True)
class MappingRule:
    """A sentence about mappings, and the cases in which it does not hold."""

    sentence: str
    broken: Callable[[Problem, Mapping], list[Finding]]


@dataclass(frozen=True, slots=True)
class Broken:
    """A rule that a mapping breaks."""

    rule: str
    subject: str
    needs: str
    has: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.subject} needs {self.needs}, has {self.has}"


def broken(problem: Problem, mapping: Mapping, room: tuple[Room, ...] | None = None) -> list[Broken]:
    """The first rule that the mapping breaks, in every place where it does (later rules rely on the earlier ones).

    Args: room: what its tiles reserve, where a price of it has said so.
    """
    for rule in RULES:
        found = rule.broken(problem, mapping) if rule is not ROOMS or room is None else _crowded(problem, room)
        if found:
            return [Broken(rule.sentence, *finding) for finding in found]
    return []


def _known(problem: Problem, mapping: Mapping) -> list[Finding]:
    dims, sides = set(problem.op.size), {dim.name for dim in problem.core.array}
    named = [loop.dim for unroll in mapping.spatial for loop in unroll.loops] + [loop.dim for loop in mapping.loops]
    found = [(f"dim {dim}", "to be one of the op's", " ".join(sorted(dims))) for dim in named if dim not in dims]
    for unroll in mapping.spatial:
        if unroll.array_dim not in sides:
            found.append((f"array dim {unroll.array_dim}", "to be one of the core's", " ".join(sorted(sides))))
    twice = [unroll.array_dim for unroll in mapping.spatial]
    found += [(f"array dim {name}", "to appear once", "twice") for name in set(twice) if twice.count(name) > 1]
    return found


def _sides(problem: Problem, mapping: Mapping) -> list[Finding]:
    size = {dim.name: dim.size for dim in problem.core.array}
    found: list[Finding] = []
    for unroll in mapping.spatial:
        used = math.prod(loop.factor for loop in unroll.loops)
        if used > size[unroll.array_dim]:
            found.append((f"array dim {unroll.array_dim}", f"{used} positions", str(size[unroll.array_dim])))
    for dim, extent in problem.op.dims:
        if mapping.unrolled(dim) > extent:
            found.append((f"dim {dim}", f"unrolling of at most {extent}", str(mapping.unrolled(dim))))
    return found


def _whole(problem: Problem, mapping: Mapping) -> list[Finding]:
    found: list[Finding] = []
    for dim, extent in problem.op.dims:
        size, factors = mapping.unrolled(dim), [loop.factor for loop in mapping.loops if loop.dim == dim]
        for factor in factors[:-1]:
            size *= factor
        last = factors[-1] if factors else 1
        if last != math.ceil(extent / size) or any(factor < 2 for factor in factors):
            found.append((f"dim {dim} of {extent}", f"{math.ceil(extent / size)} steps of {size}", f"{last} steps"))
    return found


def _chains(problem: Problem, mapping: Mapping) -> list[Finding]:
    found: list[Finding] = []
    for operand in problem.op.operands:
        places = problem.setting.of(operand.name)
        order = [place.memory for place in places]
        given = [rest.memory for rest in mapping.chain(operand.name)]
        must = [place.memory for place in places if not place.optional]
        if (
            [name for name in order if name in given] != given
            or not set(must) <= set(given)
            or given[-1:] != order[-1:]
        ):
            found.append((f"operand {operand.name}", "to rest in " + ", ".join(order), ", ".join(given) or "nothing"))
            continue
        insides = [rest.inside for rest in mapping.chain(operand.name)]
        if any(a > b for a, b in itertools.pairwise(insides)):
            found.append((f"operand {operand.name}", "tiles that grow outwards", str(insides)))
        if insides[-1] != len(mapping.loops):
            found.append((f"operand {operand.name}", "to lie whole in its last place", f"{insides[-1]} loops there"))
    return found


def _rooms(problem: Problem, mapping: Mapping) -> list[Finding]:
    every = traffic(problem, mapping)
    return _crowded(
        problem,
        tuple(
            room
            for operand in problem.op.operands
            for room in rooms(problem, tuple(item for item in every if item.cut.operand is operand))
        ),
    )


def _crowded(problem: Problem, room: tuple[Room, ...]) -> list[Finding]:
    used: dict[str, int] = {}
    for item in room:
        used[item.memory] = used.get(item.memory, 0) + item.bits
    free = dict(problem.setting.free_bits)
    return [
        (f"memory '{name}'", f"{bits} bits", f"{free.get(name, problem.chip.memory(name).size_bits)} bits")
        for name, bits in used.items()
        if bits > free.get(name, problem.chip.memory(name).size_bits)
    ]


ROOMS = MappingRule("tiles that rest in a memory fit in it", _rooms)

RULES: tuple[MappingRule, ...] = (
    MappingRule("a mapping names the op's dims and the core's array dims", _known),
    MappingRule("what lies side by side fits on the array", _sides),
    MappingRule("the loops of each dim cover it exactly, each tile size a multiple of the one below", _whole),
    MappingRule("each operand rests in its places in order, tiles growing outwards", _chains),
    ROOMS,
)

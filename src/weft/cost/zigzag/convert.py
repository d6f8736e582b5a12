"""ZigZag's mappings and weft's: each in the other's form, and a ZigZag mapping held against the op it is for."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from fractions import Fraction

from weft.cost.zigzag.nest import memories
from weft.errors import MappingError
from weft.model.chip import Chip, Core
from weft.model.mapping import Loop, Mapping, Problem, Rest, Unroll
from weft.model.workload import SLOTS, Op, Slot
from weft.model.zigzag import Spread, ZigzagLoops, ZigzagMapping


@dataclass(frozen=True, slots=True)
class Inexpressible:
    """A mapping that has no counterpart in the other form, and why."""

    reason: str

    def __str__(self) -> str:
        return self.reason


def fitted(mapping: ZigzagMapping, op: Op, core: Core, chip: Chip) -> ZigzagMapping:
    """The mapping in the op's letters, without loops of one step, unrollings exact.

    An unrolling given as its whole part (31) is made exact (1000 / 32 steps = 125/4) where the loops say so.
    Errors: MappingError where it is not one of this op on this core.
    """
    slots = {operand.slot for operand in op.operands}
    given = {loops.slot for loops in mapping.operands}
    if slots != given:
        raise MappingError(
            f"a mapping of '{op.name}' must have operands {_words(slots)}, not {_words(given)}",
        )
    letters = _letters(mapping, op)
    found = []
    for loops in mapping.operands:
        chain = memories(core, chip, loops.slot)
        if len(loops.temporal) != len(chain):
            names = ", ".join(memory.name for memory, _ in chain)
            raise MappingError(
                f"a mapping of '{op.name}' must have one list of loops for {loops.slot} in each of {names}, "
                f"not {len(loops.temporal)}"
            )
        for dim in {loop.dim for loop in loops.nest} | {each.dim for level in loops.spatial for each in level}:
            if dim not in letters:
                raise MappingError(
                    f"a mapping of '{op.name}' must have the same loops for all operands, "
                    f"not {dim} for {loops.slot} only"
                )
        temporal = tuple(
            tuple(Loop(letters[loop.dim], loop.factor) for loop in level if loop.factor > 1) for level in loops.temporal
        )
        spatial = tuple(
            tuple(Spread(letters[spread.dim], spread.factor) for spread in level if spread.factor != 1)
            for level in loops.spatial
        )
        found.append(_exact(ZigzagLoops(loops.slot, temporal, spatial), op))
    first = found[0]
    for loops in found[1:]:
        if loops.nest != first.nest:
            raise MappingError(
                f"a mapping of '{op.name}' must have the same loops for all operands, "
                f"not {_nest(first)} for {first.slot} and {_nest(loops)} for {loops.slot}"
            )
    used = math.prod((spread.factor for level in first.spatial for spread in level), start=Fraction(1))
    if used > core.units:
        raise MappingError(f"a mapping of '{op.name}' must use at most {core.units} units, not {float(used):g}")
    return ZigzagMapping(tuple(found))


def _words(slots: set[Slot]) -> str:
    return " ".join(slot for slot in SLOTS if slot in slots)


def _nest(loops: ZigzagLoops) -> str:
    return " ".join(map(str, loops.nest)) or "none"


def _letters(mapping: ZigzagMapping, op: Op) -> dict[str, str]:
    """From the mapping's letters to the op's: the same ones, or ZigZag's for matrix products."""
    used: dict[str, Fraction] = {}
    output = mapping.of("O")
    for dim, factor in itertools.chain(
        ((loop.dim, Fraction(loop.factor)) for loop in output.nest),
        ((spread.dim, spread.factor) for level in output.spatial for spread in level),
    ):
        used[dim] = used.get(dim, Fraction(1)) * factor
    same = {dim: dim for dim in used}
    if all(factor == 1 or op.size.get(dim, 0) > factor - 1 for dim, factor in used.items()) and all(
        size == 1 or dim in used for dim, size in op.dims
    ):
        return same
    if op.kind in ("gemm", "matmul"):
        inside = {operand.slot: operand.dims for operand in op.operands}
        roles = {
            "B": inside["I"] & inside["W"] & inside["O"],
            "D": (inside["I"] & inside["O"]) - inside["W"],
            "K": (inside["W"] & inside["O"]) - inside["I"],
            "C": (inside["I"] & inside["W"]) - inside["O"],
        }
        if all(factor == 1 or len(roles.get(dim, ())) == 1 for dim, factor in used.items()):
            return {dim: next(iter(roles.get(dim, ())), dim) for dim in used}
    for dim, factor in used.items():
        if factor != 1 and dim not in op.size:
            raise MappingError(f"a mapping of '{op.name}' must name its dims {' '.join(op.size)}, not {dim}")
    return same


def _exact(loops: ZigzagLoops, op: Op) -> ZigzagLoops:
    spatial = [list(level) for level in loops.spatial]
    for dim, size in op.dims:
        steps = math.prod(loop.factor for loop in loops.nest if loop.dim == dim)
        where = [(i, k) for i, level in enumerate(spatial) for k, spread in enumerate(level) if spread.dim == dim]
        side = math.prod((spatial[i][k].factor for i, k in where), start=Fraction(1))
        if steps * side == size:
            continue
        last = spatial[where[-1][0]][where[-1][1]].factor if where else Fraction(1)
        exact = last * Fraction(size) / (steps * side)
        near = abs(steps * side - size) <= Fraction(size, 10**6)
        if not where or not (near or (last.denominator == 1 and math.floor(exact) == last)):
            raise MappingError(
                f"loops of {dim} must cover the {size} of '{op.name}', not {float(steps * side):g} for {loops.slot}"
            )
        spatial[where[-1][0]][where[-1][1]] = Spread(dim, exact)
    return ZigzagLoops(loops.slot, loops.temporal, tuple(map(tuple, spatial)))


def zigzag_of(mapping: Mapping, problem: Problem) -> ZigzagMapping | Inexpressible:
    """A weft mapping in ZigZag's form, so that its rules can price it.

    ZigZag's loops divide their dim: an unrolling u of n is n / ceil(n / u), and a temporal tile that is clipped has no
    counterpart. Nor has an operand that skips a memory, or rests outside the chip's outermost one.
    """
    op = problem.op
    found: list[ZigzagLoops] = []
    for operand in sorted(op.operands, key=lambda operand: _equation(op).index(operand.slot)):
        chain = memories(problem.core, problem.chip, operand.slot)
        rests = mapping.chain(operand.name)
        if [rest.memory for rest in rests] != [memory.name for memory, _ in chain]:
            names = ", ".join(memory.name for memory, _ in chain)
            given = ", ".join(rest.memory for rest in rests)
            return Inexpressible(f"{operand.name} must rest in all of {names}, not in {given}")
        cuts = [0, *(rest.inside for rest in rests)]
        spatial: list[list[Spread]] = [[] for _ in range(len(chain) + 1)]
        for unroll in mapping.spatial:
            level = _array_level(chain, unroll.array_dim)
            spatial[level] += [Spread(loop.dim, Fraction(loop.factor)) for loop in unroll.loops if loop.factor > 1]
        temporal = tuple(mapping.loops[a:b] for a, b in itertools.pairwise(cuts))
        try:
            found.append(_shrunk(ZigzagLoops(operand.slot, temporal, tuple(map(tuple, spatial))), op))
        except MappingError as error:
            return Inexpressible(error.message)
    return ZigzagMapping(tuple(found))


def _equation(op: Op) -> tuple[Slot, ...]:
    """The order of an op's operands in ZigZag's equations."""
    return ("O", "W", "I") if op.kind == "conv" else ("O", "I", "W")


def _array_level(chain: tuple[tuple[object, frozenset[str]], ...], side: str) -> int:
    """The first memory that serves a side of the array; past the last where none does."""
    return next((level for level, (_, serves) in enumerate(chain) if side in serves), len(chain))


def _shrunk(loops: ZigzagLoops, op: Op) -> ZigzagLoops:
    """Unrollings cut to what the loops leave: n / ceil(n / u)."""
    spatial = [list(level) for level in loops.spatial]
    for dim, size in op.dims:
        steps = math.prod(loop.factor for loop in loops.nest if loop.dim == dim)
        where = [(i, k) for i, level in enumerate(spatial) for k, spread in enumerate(level) if spread.dim == dim]
        side = math.prod(int(spatial[i][k].factor) for i, k in where)
        if steps != math.ceil(size / side):
            raise MappingError(f"tiles of {dim} must divide its {math.ceil(size / side)} steps, not give {steps}")
        if steps * side != size:
            i, k = where[-1]
            spatial[i][k] = Spread(dim, spatial[i][k].factor * Fraction(size, steps * side))
    return ZigzagLoops(loops.slot, loops.temporal, tuple(map(tuple, spatial)))


def weft_of(mapping: ZigzagMapping, problem: Problem) -> Mapping | Inexpressible:
    """A ZigZag mapping in weft's form: whole unrollings, neighbouring loops of one dim merged, a position per operand.

    Whether it keeps weft's rules, room among them, is for `weft.cost.legal.broken` to say.
    Errors: MappingError where it is not a mapping of this op on this core.
    """
    op, core, chip = problem.op, problem.core, problem.chip
    mapping = fitted(mapping, op, core, chip)
    names = {operand.slot: operand.name for operand in op.operands}
    for loops in mapping.operands:
        chain = [memory.name for memory, _ in memories(core, chip, loops.slot)]
        places = [place.memory for place in problem.setting.of(names[loops.slot])]
        if chain != places:
            return Inexpressible(f"{names[loops.slot]} must rest in {', '.join(chain)}, not in {', '.join(places)}")
    sides = _sides(mapping, core, chip)
    if sides is None:
        spread = " ".join(str(s) for level in mapping.of("O").spatial for s in level)
        return Inexpressible(f"the array must have sides for {spread}, each served by the memories as the mapping says")
    cuts = {
        loops.slot: tuple(itertools.accumulate(len(level) for level in loops.temporal)) for loops in mapping.operands
    }
    kept = {position for positions in cuts.values() for position in positions}
    merged: list[Loop] = []
    moved = {0: 0}
    for position, loop in enumerate(mapping.of("O").nest):
        if merged and merged[-1].dim == loop.dim and position not in kept:
            merged[-1] = Loop(loop.dim, merged[-1].factor * loop.factor)
        else:
            merged.append(loop)
        moved[position + 1] = len(merged)
    rests = tuple(
        Rest(operand.name, memory.name, moved[position])
        for operand in op.operands
        for (memory, _), position in zip(memories(core, chip, operand.slot), cuts[operand.slot], strict=True)
    )
    return Mapping(sides, tuple(merged), tuple(sorted(rests, key=lambda rest: rest.inside)))


def _sides(mapping: ZigzagMapping, core: Core, chip: Chip) -> tuple[Unroll, ...] | None:
    """Which side of the array each unrolling lies on, from the array levels it has for each operand.

    The first assignment, loops and sides in the order they are written, several loops on one side only where that is
    needed; none where there is none.
    """
    chains = {loops.slot: memories(core, chip, loops.slot) for loops in mapping.operands}
    spreads: list[tuple[Spread, dict[Slot, int]]] = []
    for loops in mapping.operands:
        mine = [(spread, level) for level, spreads_ in enumerate(loops.spatial) for spread in spreads_]
        if not spreads:
            spreads = [(spread, {loops.slot: level}) for spread, level in mine]
            continue
        for spread, level in mine:
            for other, levels in spreads:
                if other == spread and loops.slot not in levels:
                    levels[loops.slot] = level
                    break
            else:
                return None
    if any(len(levels) != len(chains) for _, levels in spreads):
        return None
    fits = [
        [
            side.name
            for side in core.array
            if all(_array_level(chains[slot], side.name) == level for slot, level in levels.items())
        ]
        for _, levels in spreads
    ]
    for sharing in (False, True):
        for choice in itertools.product(*fits):
            laid: dict[str, list[Loop]] = {side.name: [] for side in core.array}
            for (spread, _), name in zip(spreads, choice, strict=True):
                laid[name].append(Loop(spread.dim, math.ceil(spread.factor)))
            if all(
                math.prod(loop.factor for loop in laid[side.name]) <= side.size
                and (sharing or side.shares or len(laid[side.name]) <= 1)
                for side in core.array
            ):
                return tuple(Unroll(side, tuple(loops)) for side, loops in laid.items() if loops)
    return None

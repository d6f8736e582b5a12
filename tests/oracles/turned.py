"""Problems turned round: what swaps two sides of a problem together with its dataflow must not change its price."""

from __future__ import annotations

from dataclasses import replace

from weft.model.chip import Chip, Core, Memory, Role, Slot
from weft.model.mapping import Loop, Mapping, Problem, Rest, Unroll
from weft.model.workload import Axis, Op, Term

Names = dict[str, str]

CANONICAL = ("B", "G", "K", "C", "OY", "OX", "FY", "FX")

ROWS_AND_COLUMNS: Names = {"OX": "OY", "OY": "OX", "FX": "FY", "FY": "FX"}
_ROWS_AND_COLUMNS: dict[Role, Role] = {
    "output_column": "output_row",
    "output_row": "output_column",
    "kernel_column": "kernel_row",
    "kernel_row": "kernel_column",
}
PRODUCT: Names = {"M": "N", "N": "M", "A": "B", "B": "A"}
_PRODUCT: dict[Role, Role] = {"output_channel": "output_column", "output_column": "output_channel"}
_SLOTS: dict[Slot, Slot] = {"I": "W", "W": "I"}


def image(problem: Problem) -> Problem:
    """The convolution or pool of the turned image: rows are columns; dims and axes stand in canonical order again."""
    op = problem.op
    operands = []
    for operand in op.operands:
        axes = [_renamed(axis, ROWS_AND_COLUMNS) for axis in operand.axes]
        axes.sort(key=lambda axis: min((_rank(term.dim) for term in axis.terms), default=len(CANONICAL)))
        operands.append(replace(operand, axes=tuple(axes)))
    dims = sorted(((ROWS_AND_COLUMNS.get(dim, dim), size) for dim, size in op.dims), key=lambda item: _rank(item[0]))
    turned = replace(op, dims=tuple(dims), operands=tuple(operands))
    return replace(problem, op=turned, chip=_with_roles(problem, _ROWS_AND_COLUMNS))


def _rank(dim: str) -> int:
    return CANONICAL.index(dim) if dim in CANONICAL else len(CANONICAL)


def product(problem: Problem) -> Problem:
    """C = A B as its transpose, C' = B' A': what was the weights' room is the inputs', and M is N."""
    op, chip = problem.op, problem.chip
    sizes = {PRODUCT.get(dim, dim): size for dim, size in op.dims if dim in ("M", "N", "K")}
    by_name = {operand.name: operand for operand in op.operands}
    turned = [
        replace(by_name["B"], name="A", slot="I"),
        replace(by_name["A"], name="B", slot="W"),
        by_name["O"],
    ]
    operands = tuple(
        replace(operand, axes=tuple(_renamed(axis, PRODUCT) for axis in reversed(operand.axes))) for operand in turned
    )
    widths = {PRODUCT.get(name, name): bits for name, bits in problem.widths}
    places = {PRODUCT.get(name, name): chain for name, chain in problem.setting.places}
    names = [operand.name for operand in op.operands]
    other = replace(problem, chip=replace(chip, memories=tuple(map(_other_slots, chip.memories))))
    return Problem(
        Op(op.name, op.kind, op.onnx, tuple((dim, sizes[dim]) for dim, _ in op.dims), operands),
        tuple((name, widths[name]) for name in names),
        _with_roles(other, _PRODUCT, _SLOTS),
        replace(problem.setting, places=tuple((name, places[name]) for name in names)),
    )


def nest(mapping: Mapping, names: Names) -> Mapping:
    """The same nest of the turned problem."""
    return Mapping(
        tuple(Unroll(item.array_dim, tuple(_loop(loop, names) for loop in item.loops)) for item in mapping.spatial),
        tuple(_loop(loop, names) for loop in mapping.loops),
        tuple(Rest(names.get(rest.operand, rest.operand), rest.memory, rest.inside) for rest in mapping.rests),
    )


def _loop(loop: Loop, names: Names) -> Loop:
    return Loop(names.get(loop.dim, loop.dim), loop.factor)


def _renamed(axis: Axis, names: Names) -> Axis:
    return Axis(axis.size, tuple(Term(names.get(t.dim, t.dim), t.coefficient) for t in axis.terms), axis.offset)


def _with_roles(problem: Problem, roles: dict[Role, Role], slots: dict[Slot, Slot] | None = None) -> Chip:
    core: Core = problem.core
    array = tuple(replace(side, roles=tuple(roles.get(role, role) for role in side.roles)) for side in core.array)
    levels = tuple(
        replace(level, slots=frozenset((slots or {}).get(slot, slot) for slot in level.slots)) for level in core.levels
    )
    turned = replace(core, array=array, levels=levels)
    return replace(problem.chip, cores=tuple(turned if item is core else item for item in problem.chip.cores))


def _other_slots(memory: Memory) -> Memory:
    ports = tuple(
        replace(port, flows=frozenset((_SLOTS.get(slot, slot), flow) for slot, flow in port.flows))
        for port in memory.ports
    )
    return replace(memory, ports=ports)

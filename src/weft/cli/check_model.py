"""Prints what `weft check` says of a network: what became of every node; ops with loops, bits and what takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from weft.cli.console import Column, table
from weft.cli.show_run import key_values, show_notes
from weft.model.chip import Chip
from weft.model.workload import Op, Tensor, Workload
from weft.report.coverage import by_operator, coverage
from weft.report.formats import formats, operand_words
from weft.report.words import amount, several, size

if TYPE_CHECKING:
    from rich.console import Console


def show_model(screen: Console, workload: Workload, chip: Chip | None, assumed: str | None, verbose: bool) -> None:
    """Header, coverage by operator, ops, notes.

    Args:    workload: as the model declares it, or, with `chip`, as that chip runs and prices it.
             assumed:  what was assumed of its precision, in words.
    """
    covered = coverage(workload)
    rows = by_operator(covered)
    lost = [item.node for item in covered if item.fate == "lost"]
    key_values(screen, workload.name, [*_facts(workload, chip, assumed), *([("LOST", several(lost))] if lost else [])])
    table(
        screen,
        (Column("operator"), Column("nodes", True), Column("became"), Column("MACs", True), Column("as", wraps=True)),
        [(row.onnx, str(row.nodes), row.fate, amount(row.macs) if row.macs else "-", row.why) for row in rows],
        "Nodes of the file",
    )
    _formats(screen, workload)
    _ops(screen, workload, chip)
    if not verbose:
        screen.print()
    show_notes(screen, workload.notes, verbose)


def _facts(workload: Workload, chip: Chip | None, assumed: str | None) -> list[tuple[str, str]]:
    weights = [tensor for tensor in workload.tensors if tensor.role == "weight"]
    count = sum(tensor.elements for tensor in weights)
    pairs = [
        ("inputs", _shapes(workload, "input")),
        ("outputs", _shapes(workload, "output")),
        ("ops", f"{len(workload.ops)} made of {len(workload.nodes)} nodes, {amount(workload.macs)} MACs"),
        ("weights", f"{amount(count)} in {size(sum(tensor.size_bits for tensor in weights))}, biases apart"),
    ]
    pairs.append(("precision", f"assumed {assumed}" if assumed else "as the model gives it"))
    if chip is None:
        return [*pairs, ("cores", "--chip CHIP says which of its cores take each op, and what they fold")]
    unable: dict[str, list[str]] = {}
    for op in workload.ops:
        if not chip.cores_for(op.kind):
            unable.setdefault(op.kind, []).append(op.name)
    reasons = [
        f"no core takes {kind} ops: {', '.join(names[:4])}{' ...' * (len(names) > 4)}" for kind, names in unable.items()
    ]
    return [
        *pairs,
        ("cores", "; ".join(reasons) or f"every op has a core of '{chip.name}'"),
    ]


def _shapes(workload: Workload, role: str) -> str:
    return ", ".join(f"{tensor.name} {_shape(tensor)}" for tensor in workload.tensors if tensor.role == role) or "none"


def _shape(tensor: Tensor) -> str:
    return f"{'x'.join(map(str, tensor.shape)) or 'scalar'} {tensor.dtype}"


def _ops(screen: Console, workload: Workload, chip: Chip | None) -> None:
    tensors = {tensor.name: tensor for tensor in workload.tensors}
    columns = [Column("op"), Column("kind"), Column("MACs", True), Column("elements")]
    columns += [Column("loops")] if chip is None else [Column("loops", wide=True), Column("cores")]

    def row(op: Op) -> tuple[str, ...]:
        first = (
            op.name,
            op.kind,
            amount(op.macs) if op.macs else "-",
            operand_words(op, tensors),
            " ".join(f"{dim}{size}" for dim, size in op.dims if size > 1) or "1",
        )
        return first if chip is None else (*first, several([core.name for core in chip.cores_for(op.kind)]) or "none")

    title = "Ops (elements: i and u integers, f floats, with their bits" + (")" if chip is None else "; 8: priced so)")
    table(screen, columns, [row(op) for op in workload.ops], title)


def _formats(screen: Console, workload: Workload) -> None:
    columns = (
        Column("tensors"),
        Column("count", True),
        Column("values", True),
        Column("size", True),
        Column("format"),
    )
    rows = [
        (row.role, str(row.tensors), amount(row.elements), size(row.size_bits), row.format) for row in formats(workload)
    ]
    table(screen, columns, rows, "Formats")

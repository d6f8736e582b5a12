"""What became of every node of a network's file: an op, part of another op, a view, or what a note says."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

from weft.model.workload import Workload

Fate = Literal["op", "in another op", "free view", "see note", "lost"]
FATES: tuple[Fate, ...] = ("op", "in another op", "free view", "see note", "lost")


@dataclass(frozen=True, slots=True)
class Covered:
    """One node of the file.

    Args:
        onnx: its operator.   fate: what it became ("lost" is a fault of ours).   why: in words.
        macs: multiply-accumulates of the ops that it became.
    """

    node: str
    onnx: str
    fate: Fate
    why: str
    macs: int = 0


def coverage(workload: Workload) -> tuple[Covered, ...]:
    """Every node of the file with its fate, in the file's order."""
    ops: dict[str, list[str]] = {}
    macs: Counter[str] = Counter()
    inside: dict[str, str] = {}
    for op in workload.ops:
        first = op.nodes[0] if op.nodes else op.name
        ops.setdefault(first, []).append(op.kind)
        macs[first] += op.macs
        for name in (*op.nodes[1:], *op.folded):
            inside.setdefault(name, op.name)
    views = {view.node: view.kind for view in workload.views}
    notes: dict[str, str] = {}
    for note in workload.notes:
        notes.setdefault(note.subject, note.text)

    def fate(node: str, onnx: str) -> Covered:
        if node in ops:
            kinds = Counter(ops[node])
            words = ", ".join(f"{count} {kind}" if count > 1 else kind for kind, count in kinds.items())
            return Covered(node, onnx, "op", words, macs[node])
        if node in inside:
            return Covered(node, onnx, "in another op", f"done by {inside[node]} on its way out")
        if node in views:
            return Covered(node, onnx, "free view", notes.get(node, f"{views[node]}: no data moves"))
        if node in notes:
            return Covered(node, onnx, "see note", notes[node])
        return Covered(node, onnx, "lost", "weft says nothing of it: please report this file")

    return tuple(fate(node, onnx) for node, onnx in workload.nodes)


@dataclass(frozen=True, slots=True)
class OperatorRow:
    """All nodes of one operator that had one fate."""

    onnx: str
    fate: Fate
    nodes: int
    macs: int
    why: str


_ALIKE: dict[Fate, str] = {"in another op": "done by the op before it, on the way out"}


def by_operator(covered: tuple[Covered, ...]) -> tuple[OperatorRow, ...]:
    """Nodes counted by operator and fate; ops by their MACs first, then by how many there are."""
    groups: dict[tuple[str, Fate], list[Covered]] = {}
    for item in covered:
        groups.setdefault((item.onnx, item.fate), []).append(item)
    rows = []
    for (onnx, fate), items in groups.items():
        words = list(dict.fromkeys(item.why for item in items))
        why = (
            ", ".join(words) if fate == "op" else words[0] if len(words) == 1 else _ALIKE.get(fate, f"{words[0]}, ...")
        )
        rows.append(OperatorRow(onnx, fate, len(items), sum(item.macs for item in items), why))
    return tuple(sorted(rows, key=lambda row: (FATES.index(row.fate), -row.macs, -row.nodes, row.onnx)))

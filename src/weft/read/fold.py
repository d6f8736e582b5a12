"""Folding: what a core does to a result on its way out is no op of its own (activation, batch normalisation)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from weft.model.workload import MAC_KINDS, Note, Op, Tensor, Workload

_AFTER_PRODUCTS_ONLY = frozenset({"BatchNormalization"})
"""Folded into convolutions and matrix products only: scale and shift are applied in their accumulators."""


def fold(workload: Workload, folds: frozenset[str]) -> Workload:
    """The workload with ops of the named ONNX operators merged into the op that makes their input.

    An elementwise op is merged where all of this holds; chains merge one after another:
    - it reads one tensor that flows, of the shape that it writes (its other inputs are constants);
    - that tensor has no other reader (op or view), is no output of the network, and is no view;
    - one op makes that tensor, and it computes (is no copy); for BatchNormalization, it is a product.
    The producer then writes what the op wrote, keeps its own name, and lists the op in `folded`.

    Args:    workload: any.   folds: ONNX operators ("Relu"), as `Chip.folds` gives them.
    Returns: a workload with the same outputs; a note for every op merged.
    """
    tensors = {tensor.name: tensor for tensor in workload.tensors}
    readers = Counter(operand.tensor for op in workload.ops for operand in op.inputs)
    readers.update(view.source for view in workload.views)
    writers = Counter(op.output.tensor for op in workload.ops)
    writers.update(view.tensor for view in workload.views)
    done: list[Op] = []
    maker: dict[str, int] = {}
    notes: list[Note] = []
    for op in workload.ops:
        source = _flowing(op, tensors) if op.onnx in folds else None
        index = maker.get(source) if source is not None else None
        if (
            source is not None
            and index is not None
            and readers[source] == 1
            and writers[source] == 1
            and writers[op.output.tensor] == 1
            and tensors[source].role == "intermediate"
            and _accepts(done[index], op)
        ):
            done[index] = _merged(done[index], op)
            maker[op.output.tensor] = index
            notes.append(Note(op.name, f"{op.onnx} folded into {done[index].name}: done on the way out, not priced"))
            continue
        maker[op.output.tensor] = len(done)
        done.append(op)
    if not notes:
        return workload
    used = {operand.tensor for op in done for operand in op.operands}
    used.update(name for view in workload.views for name in (view.source, view.tensor))
    kept = tuple(tensor for tensor in workload.tensors if tensor.name in used)
    return replace(workload, tensors=kept, ops=tuple(done), notes=(*workload.notes, *notes))


def _flowing(op: Op, tensors: Mapping[str, Tensor]) -> str | None:
    """The one tensor that flows into an elementwise op, if it has the output's shape; None for all else."""
    if op.kind != "elementwise":
        return None
    flowing = [operand.tensor for operand in op.inputs if tensors[operand.tensor].role != "weight"]
    if len(flowing) != 1 or tensors[flowing[0]].shape != tensors[op.output.tensor].shape:
        return None
    return flowing[0]


def _accepts(producer: Op, op: Op) -> bool:
    if op.onnx in _AFTER_PRODUCTS_ONLY:
        return producer.kind in MAC_KINDS
    return producer.kind != "copy"


def _merged(producer: Op, op: Op) -> Op:
    output = replace(producer.output, tensor=op.output.tensor)
    return replace(
        producer,
        operands=(*producer.inputs, output),
        folded=(*producer.folded, op.name, *op.folded),
        nodes=(*producer.nodes, *op.nodes),
    )

"""Folding: what a core does to a result on its way out is no op of its own (activation, normalisation, rounding)."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from weft.model.workload import MAC_KINDS, Note, Op, Operand, View, Workload

_AFTER_PRODUCTS_ONLY = frozenset({"BatchNormalization"})
"""Folded into convolutions and matrix products only: scale and shift are applied in their accumulators."""


QUANTISERS = frozenset({"QuantizeLinear", "Quant", "IntQuant", "BipolarQuant", "Trunc", "FloatQuant"})
"""Merged into the op before them on every chip: an accumulator is brought to the width of its output anyway."""

_MONOTONE = frozenset({"Relu", "Clip", "MaxPool", "GlobalMaxPool"})
"""Operators that pick among numbers or clamp them: rounding before or after them gives the same result."""


_ON_INTEGERS = frozenset({"ConvInteger", "MatMulInteger"})
"""Products whose accumulators a Mul by a scale, and an Add of a bias, bring back to floats."""


def fold(workload: Workload, folds: frozenset[str]) -> Workload:
    """The workload with ops of the named ONNX operators, and quantisers, merged into the op that makes their input.

    An elementwise op is merged where all of this holds; chains merge one after another:
    - it reads one tensor that flows, of the shape that it writes (its other inputs are constants);
    - that tensor has no other reader (op or view), is no output of the network, and is no view;
    - one op makes that tensor, and it computes (is no copy); for BatchNormalization, it is a product.
    The producer then writes what the op wrote, keeps its own name, and lists the op in `folded`.
    A quantiser also merges through views, and into copies of tensors that are quantised already; a Relu, Clip or
    MaxPool that stays before it then works on quantised numbers.
    Behind a product of integers (ConvInteger), a Mul by scales and an Add of a bias, one number or one per channel, are
    merged on every chip as well; scales made at run time become an operand of the product.

    Args:    workload: any.   folds: ONNX operators ("Relu"), as `Chip.folds` gives them.
    Returns: a workload with the same outputs; a note for every op merged.
    """
    return _Folding(workload).fold(folds)


class _Folding:
    """What is merged so far: ops in `done`, and the indices there of the makers of each tensor."""

    def __init__(self, workload: Workload) -> None:
        self.workload = workload
        self.tensors = {tensor.name: tensor for tensor in workload.tensors}
        self.views = {view.tensor: view for view in workload.views}
        self.readers = Counter(operand.tensor for op in workload.ops for operand in op.inputs)
        self.readers.update(view.source for view in workload.views)
        self.writers = Counter(op.output.tensor for op in workload.ops)
        self.writers.update(view.tensor for view in workload.views)
        self.done: list[Op | None] = []
        self.rescaled: set[int] = set()
        self.dropped: set[str] = set()
        self.makers: dict[str, list[int]] = {}
        self.added: list[View] = []
        self.notes: list[Note] = []

    def fold(self, folds: frozenset[str]) -> Workload:
        for op in self.workload.ops:
            quantiser = op.onnx in QUANTISERS
            if op.onnx in ("Mul", "Add") and self._rescales(op):
                continue
            source = self._flowing(op) if quantiser or op.onnx in folds else None
            if source is None or not (self._quantiser(op, source) if quantiser else self._activation(op, source)):
                self.makers.setdefault(op.output.tensor, []).append(len(self.done))
                self.done.append(op)
        if not self.notes:
            return self.workload
        views = tuple(view for view in (*self.workload.views, *self.added) if view.tensor not in self.dropped)
        done = tuple(op for op in self.done if op is not None)
        used = {operand.tensor for op in done for operand in op.operands}
        used.update(name for view in views for name in (view.source, view.tensor))
        return replace(
            self.workload,
            tensors=tuple(self.tensors[tensor.name] for tensor in self.workload.tensors if tensor.name in used),
            ops=done,
            views=views,
            notes=(*self.workload.notes, *self.notes),
        )

    def _flowing(self, op: Op) -> str | None:
        """The one tensor that flows into an elementwise op, if it has the output's shape; None for all else."""
        if op.kind != "elementwise":
            return None
        flowing = [item.tensor for item in op.inputs if self.tensors[self._root(item.tensor)].role != "weight"]
        if len(flowing) != 1 or self.tensors[flowing[0]].shape != self.tensors[op.output.tensor].shape:
            return None
        return flowing[0]

    def _root(self, name: str) -> str:
        while name in self.views:
            name = self.views[name].source
        return name

    def _alone(self, name: str) -> bool:
        """Whether a tensor on the way has one reader."""
        return self.readers[name] == 1 and self.tensors[name].role == "intermediate"

    def _activation(self, op: Op, source: str) -> bool:
        made = self.makers.get(source, [])
        single = len(made) == 1 and self.writers[source] == 1 and self.writers[op.output.tensor] == 1
        if not single or not self._alone(source) or not _accepts(self._made_by(made[0]), op):
            return False
        self._merge(op, made, op.output.tensor)
        text = f"{op.onnx} folded into {self._made_by(made[0]).name}: done on the way out, not priced"
        self.notes.append(Note(op.name, text))
        return True

    def _quantiser(self, op: Op, source: str) -> bool:
        way = [source]
        while way[-1] in self.views:
            way.append(self.views[way[-1]].source)
        made = self.makers.get(way[-1], [])
        if not made or not all(map(self._alone, way)) or not all(self._requantises(self._made_by(i)) for i in made):
            return False
        into = self._made_by(made[0]).name
        if len(way) == 1:
            self._merge(op, made, op.output.tensor)
        else:
            for name in way:
                self._retype(name, op.output.tensor)
            self._merge(op, made, way[-1])
            self.added.append(View(op.output.tensor, source, "reshape", op.nodes[0]))
            self.views[op.output.tensor] = self.added[-1]
        self.notes.append(Note(op.name, f"{op.onnx} folded into {into}: requantised on the way out, not priced"))
        for index in made:
            self._before(self._made_by(index), op.output.tensor)
        return True

    def _rescales(self, op: Op) -> bool:
        """Whether `op` scales, or shifts after scaling, the accumulators of a product of integers: then it is merged.

        The product moves to where the op stood, since the scales may be made after it.
        """
        for item in op.inputs:
            way = [item.tensor]
            while way[-1] in self.views:
                way.append(self.views[way[-1]].source)
            made = self.makers.get(way[-1], [])
            producer = self._made_by(made[0]) if len(made) == 1 else None
            shape = self.tensors[op.output.tensor].shape
            others = [other for other in op.inputs if other is not item]
            if (
                producer is None
                or producer.onnx not in _ON_INTEGERS
                or (op.onnx == "Add" and made[0] not in self.rescaled)
                or any(not self._alone(name) or self.tensors[name].shape != shape for name in way)
                or any(sum(axis.size > 1 for axis in other.axes) > 1 for other in others)
            ):
                continue
            read = [
                self._as_read_by(producer, other, op.output)
                for other in others
                if self.tensors[self._root(other.tensor)].role != "weight"
            ]
            self.dropped.update(way[:-1])
            self.done[made[0]] = None
            self.rescaled.add(len(self.done))
            self.makers[op.output.tensor] = [len(self.done)]
            self.done.append(
                replace(
                    producer,
                    operands=(*producer.inputs, *read, replace(producer.output, tensor=op.output.tensor)),
                    folded=(*producer.folded, op.name),
                    nodes=(*producer.nodes, *op.nodes),
                )
            )
            what = "scales" if op.onnx == "Mul" else "bias"
            read_ = f"reads its {what}" if read else f"{what} preloaded, not priced"
            self.notes.append(Note(op.name, f"{op.onnx} folded into {producer.name}: done on the way out, {read_}"))
            return True
        return False

    def _as_read_by(self, producer: Op, scale: Operand, output: Operand) -> Operand:
        """An operand of an elementwise op, seen from the loops of the product whose result that op takes."""
        place = {axis.terms: i for i, axis in enumerate(output.axes) if axis.terms}
        axes = tuple(producer.output.axes[place[axis.terms]] if axis.terms else axis for axis in scale.axes)
        taken = {item.name for item in producer.operands}
        return Operand(next(name for name in ("S", "S2", "S3") if name not in taken), "I", scale.tensor, axes)

    def _made_by(self, index: int) -> Op:
        op = self.done[index]
        assert op is not None
        return op

    def _requantises(self, producer: Op) -> bool:
        """Whether a producer can quantise what it writes: what computes can; a copy moves numbers of a given width."""
        if producer.kind != "copy":
            return True
        types = [self.tensors[item.tensor].type for item in producer.inputs]
        return all(type_ is not None and type_.quantised for type_ in types)

    def _merge(self, op: Op, made: list[int], output: str) -> None:
        for index in made:
            producer = self._made_by(index)
            self.done[index] = replace(
                producer,
                operands=(*producer.inputs, replace(producer.output, tensor=output)),
                folded=(*producer.folded, op.name, *op.folded),
                nodes=(*producer.nodes, *op.nodes),
            )
        self.makers[output] = made

    def _before(self, op: Op, like: str) -> None:
        """Operators that commute with rounding run on quantised numbers: what they read is quantised as `like` is."""
        while op.onnx in _MONOTONE:
            source = op.inputs[0].tensor
            made = self.makers.get(source, [])
            if self.tensors[source].type is not None or not self._alone(source) or len(made) != 1:
                return
            maker = self._made_by(made[0])
            self._retype(source, like)
            self.notes.append(Note(op.name, f"works on what {maker.name} has quantised: the result is the same"))
            op = maker

    def _retype(self, name: str, like: str) -> None:
        self.tensors[name] = replace(self.tensors[name], bits=self.tensors[like].bits, type=self.tensors[like].type)


def _accepts(producer: Op, op: Op) -> bool:
    if op.onnx in _AFTER_PRODUCTS_ONLY:
        return producer.kind in MAC_KINDS
    return producer.kind != "copy"

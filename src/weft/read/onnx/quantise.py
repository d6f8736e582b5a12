"""Quantised networks: every tensor gets the width its quantisers give it, and ops read the quantised tensors.

A QuantizeLinear and a DequantizeLinear (or one Quant of QONNX) say of a float network between what numbers it runs.
So a reader of a DequantizeLinear reads what goes into it; what is left of the QuantizeLinears are ops of their own,
which `weft.read.fold` merges into the ops before them.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

from weft.model.tensor_type import TensorType
from weft.model.workload import Note, View
from weft.read.dtypes import type_of
from weft.read.onnx.blocks import scale_of, with_scales
from weft.read.onnx.elementwise import elementwise
from weft.read.onnx.formats import LINEAR, QONNX, Formats, bounds_of, carry, clipped, linear, qonnx
from weft.read.onnx.graph import Emitted, Graph, Node, axis, operand
from weft.read.onnx.qoperator import DYNAMIC, learn

_VIEWS = frozenset(("Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Dropout"))


def quantize(graph: Graph, node: Node) -> Emitted:
    """One visit per element; scales are part of the instruction, but those of blocks, or made at run time, are read."""
    type_ = graph.types[node.outputs[0]]
    made = _scaling(graph, node, node.outputs[0], type_)
    held = "" if len(made.ops[0].operands) > 2 else ", its scale held in the instruction"
    return replace(made, notes=(*made.notes, Note(node.name, f"{node.op_type} to {type_}{held}")))


def dequantize(graph: Graph, node: Node) -> Emitted:
    """What `settle` leaves of a DequantizeLinear: an output of the network that is another tensor as it is stored.

    An input of the network that goes out so is dequantised by an op: nothing else computes there.
    """
    data, output = node.inputs[0], node.outputs[0]
    if data not in graph.inputs:
        return Emitted(views=(View(output, data, "reshape", node.name),))
    return _scaling(graph, node, data, graph.types[data])


def _scaling(graph: Graph, node: Node, numbers: str, type_: TensorType) -> Emitted:
    """The op of a quantiser, and what it reads of the scales and zero points of `numbers`."""
    made = elementwise(graph, replace(node, inputs=node.inputs[:1]))
    names = [name for name in node.inputs[1:3] if name]
    if node.op_type not in LINEAR:
        return made
    (op,) = made.ops
    (item,) = (item for item in op.operands if item.tensor == numbers)
    if type_.block and item is not op.output:
        return made  # as every reader of such a tensor: `read_with_scales`
    if type_.block:
        return with_scales(graph, made, op.name, item.name, type_, tuple(scale_of(graph, name) for name in names))
    axes = () if type_.axis is None else (item.axes[type_.axis],)
    read = [
        operand(letter, "I", name, axes or (axis(1),) * len(graph.shape(name)))
        for letter, name in zip("SZ", names, strict=False)
        if not graph.is_constant(name)
    ]
    return replace(made, ops=(replace(op, operands=(*op.inputs, *read, op.output)),))


def of_constants(formats: Formats, node: Node) -> str | None:
    """What a note says of a (de)quantiser of constants, whose formats are then known; None for every other node.

    Readers of a DequantizeLinear are told to read the stored constant.
    """
    if node.op_type not in LINEAR | QONNX | {"Clip"} or any(name and name not in formats.known for name in node.inputs):
        return None
    source, output = node.inputs[0], node.outputs[0]
    count = math.prod(formats.infos[source].shape)
    if node.op_type == "Clip":
        narrowed = clipped(formats, node)
        if narrowed is None:
            return None
        formats.types[output] = narrowed
        return f"{count} constants clipped offline, to {narrowed}"
    if node.op_type == "DequantizeLinear":
        type_, formats.grids[source] = linear(formats, node, source)
        own = formats.types.get(source, type_)
        type_ = replace(type_, bits=own.bits, signed=own.signed, narrow=own.narrow)
        formats.types[source] = formats.types[output] = type_
        formats.alias[output] = source
        if type_.block:
            zero = node.inputs[2:3] if type_.zero_point else ()
            formats.scales[source] = formats.scales[output] = (node.inputs[1], *zero)
        return f"{count} constants read as they are stored, {type_}{_scales(type_)}"
    if node.op_type == "QuantizeLinear":
        type_, formats.grids[output] = linear(formats, node, output)
        remark = ""
    else:
        type_, formats.grids[output], remark = qonnx(formats, node)
    formats.types[output] = type_
    return f"{count} constants quantised offline, to {type_}{_scales(type_)}{remark}"


def _scales(type_: TensorType) -> str:
    if type_.block:
        return ": scales read along"
    return ": scales preloaded with the bias, not priced" if type_.axis is not None else ""


def settle(graph: Graph, formats: Formats) -> Graph:
    """The graph without its DequantizeLinears: their readers read the quantised tensors; every format known."""
    return _Settling(graph, formats).settle()


class _Settling:
    """What is known while the nodes of a graph are gone through in order.

    makers: the QuantizeLinear that makes a tensor.   same: what a tensor becomes under a quantiser, once for all.
    roots:  tensors that show another one.            readers: how many nodes read a tensor.
    """

    def __init__(self, graph: Graph, formats: Formats) -> None:
        self.graph, self.formats = graph, formats
        self.readers = Counter(name for node in graph.nodes for name in node.inputs)
        self.makers: dict[str, Node] = {}
        self.same: dict[object, str] = {}
        self.roots: dict[str, str] = {}
        self.nodes: list[Node] = []
        self.notes: list[Note] = []

    def settle(self) -> Graph:
        for node in self.graph.nodes:
            self._step(replace(node, inputs=tuple(self.formats.alias.get(name, name) for name in node.inputs)))
        return replace(
            self.graph,
            nodes=tuple(self.nodes),
            notes=(*self.graph.notes, *self.notes),
            types=self.formats.types,
            scales=self.formats.scales,
            scalings=self.formats.scalings,
        )

    def _step(self, node: Node) -> None:
        if node.op_type == "DequantizeLinear":
            self._dequantizer(node)
        elif node.op_type in LINEAR | QONNX:
            self._quantizer(node)
        elif not self._narrowing(node):
            if node.key == DYNAMIC:
                self._as_it_comes(node.inputs[0])
            learn(self.formats, node)
            carry(self.formats, node)
            if node.op_type in _VIEWS:
                self.roots[node.outputs[0]] = self.roots.get(node.inputs[0], node.inputs[0])
            self.nodes.append(node)

    def _dequantizer(self, node: Node) -> None:
        source, output = node.inputs[0], node.outputs[0]
        type_, grid = linear(self.formats, node, source)
        self.formats.types.setdefault(source, type_)
        known = self.formats.grids.setdefault(source, grid)
        # its type counts once it is written: what shows a quantised tensor is declared float
        if not isinstance(known, tuple) or known[1:] != grid[1:]:  # read as other numbers than were written
            self.formats.grids[source] = (node.name,)
            self.formats.scalings[source] = None
        if type_.block:
            self.formats.scales.setdefault(source, tuple(name for name in node.inputs[1:3] if name))
        if source in self.graph.inputs and output in self.graph.outputs:
            self.formats.types[output] = type_of(self.graph.infos[output].dtype)
            self.formats.alias[output] = source
            self.nodes.append(node)
            return
        self._stands_for(node, source, f"read as a view: its readers take {self.formats.types[source]}")

    def _quantizer(self, node: Node) -> None:
        source, output = node.inputs[0], node.outputs[0]
        remark = ""
        if node.op_type == "QuantizeLinear":
            type_, grid = linear(self.formats, node, output)
        else:
            type_, grid, remark = qonnx(self.formats, node)
        if self.formats.grids.get(source) == grid:
            self._stands_for(node, source, f"changes nothing: '{source}' is that already{remark}")
            return
        if (source, grid) in self.same:
            twin = self.same[source, grid]
            self.readers[twin] += self.readers[output]
            self._stands_for(node, twin, f"is done once, for '{twin}'{remark}")
            return
        self.same[source, grid] = output
        self.formats.types[output], self.formats.grids[output] = type_, grid
        self._as_it_comes(source)
        if remark:
            self.notes.append(Note(node.name, remark.removeprefix("; ")))
        self.makers[output] = node
        self.nodes.append(node)

    def _narrowing(self, node: Node) -> bool:
        """Whether `node` is a Clip that only narrows what a QuantizeLinear makes."""
        source = node.inputs[0] if node.inputs else ""
        quantiser = self.makers.get(source)
        if quantiser is None or node.op_type != "Clip" or self.readers[source] > 1 or source in self.graph.outputs:
            return False
        narrowed = clipped(self.formats, node)
        if narrowed is None:
            return False
        self.formats.types[source] = narrowed
        scaling = self.formats.scalings.get(source)
        if scaling is not None:
            self.formats.scalings[source] = replace(scaling, bounds=bounds_of(self.formats, node))
        self.same = {key: made for key, made in self.same.items() if made != source}  # no twin of a wider one any more
        self._stands_for(node, source, f"is done by {quantiser.name}: its result is {narrowed}")
        return True

    def _stands_for(self, node: Node, source: str, text: str) -> None:
        """`node` makes nothing new: its readers read `source`; an output of the network shows it."""
        output = node.outputs[0]
        self.formats.alias[output] = source
        self.formats.types.setdefault(output, self.formats.types[source])
        self.notes.append(Note(node.name, f"{node.op_type} {text}"))
        if output in self.graph.outputs:
            self.nodes.append(replace(node, op_type="DequantizeLinear", inputs=(source,)))

    def _as_it_comes(self, source: str) -> None:
        """An input of the network that is quantised is really read as the floats that it is."""
        shown = self.roots.get(source, source)
        dtype = self.graph.infos[shown].dtype
        if shown in self.graph.inputs and "float" in dtype:
            self.formats.types.setdefault(shown, type_of(dtype))

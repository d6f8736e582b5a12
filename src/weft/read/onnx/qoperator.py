"""Operators that compute on integers and carry their scales along (QLinearConv): the loops of their float twins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import onnx.helper

from weft.errors import ModelError
from weft.model.tensor_type import TensorType
from weft.model.workload import Note, Op
from weft.read.dtypes import type_of
from weft.read.onnx.conv import bias_notes
from weft.read.onnx.elementwise import broadcast, loop_dims
from weft.read.onnx.formats import LINEAR, QONNX, Formats, scaled
from weft.read.onnx.graph import Builder, Emitted, Graph, Info, Node, Scaling, operand

MICROSOFT = "com.microsoft::"
DYNAMIC = "DynamicQuantizeLinear"
QONNX_DOMAINS = ("qonnx.custom_op.general", "finn.custom_op.general", "onnx.brevitas")


@dataclass(frozen=True, slots=True)
class Twin:
    """The float operator with an operator's loops.

    Args:
        onnx:   its name.
        inputs: positions of what it reads, in its own order; every other input is a scale or a zero point.
        scaled: positions of (tensor, scale, zero point) of each quantised input.
        output: positions of the output's scale and zero point; None where it leaves as a float or an accumulator.
        axis:   along which scales of the second quantised input differ, if they do.
        opset:  of the default operator set in which the twin's attributes are written; 0 for the node's own.
    """

    onnx: str
    inputs: tuple[int, ...]
    scaled: tuple[tuple[int, int, int], ...] = ()
    output: tuple[int, int] | None = None
    axis: int = 0
    opset: int = 0


_ONE = ((0, 1, 2),)
_TWO = ((0, 1, 2), (3, 4, 5))
_GEMM = Twin("Gemm", (0, 3, 6), _TWO, (7, 8), axis=1)

TWINS: dict[str, Twin] = {
    "QLinearConv": Twin("Conv", (0, 3, 8), _TWO, (6, 7)),
    "QLinearMatMul": Twin("MatMul", (0, 3), _TWO, (6, 7), axis=-1),
    "ConvInteger": Twin("Conv", (0, 1)),
    "MatMulInteger": Twin("MatMul", (0, 1)),
    f"{MICROSOFT}MatMulIntegerToFloat": Twin("MatMul", (0, 1), ((0, 2, 4), (1, 3, 5)), axis=-1),
    f"{MICROSOFT}QGemm": _GEMM,
    f"{MICROSOFT}QLinearAdd": Twin("Add", (0, 3), _TWO, (6, 7)),
    f"{MICROSOFT}QLinearMul": Twin("Mul", (0, 3), _TWO, (6, 7)),
    f"{MICROSOFT}QLinearWhere": Twin("Where", (0, 1, 4), ((1, 2, 3), (4, 5, 6)), (7, 8)),
    f"{MICROSOFT}QLinearAveragePool": Twin("AveragePool", (0,), _ONE, (3, 4)),
    f"{MICROSOFT}QLinearGlobalAveragePool": Twin("GlobalAveragePool", (0,), _ONE, (3, 4)),
    f"{MICROSOFT}QLinearReduceMean": Twin("ReduceMean", (0,), _ONE, (3, 4), opset=13),
    f"{MICROSOFT}QLinearSoftmax": Twin("Softmax", (0,), _ONE, (3, 4)),
    f"{MICROSOFT}QLinearLeakyRelu": Twin("LeakyRelu", (0,), _ONE, (3, 4)),
    f"{MICROSOFT}QLinearSigmoid": Twin("Sigmoid", (0,), _ONE, (3, 4)),
    f"{MICROSOFT}QLinearConcat": Twin("Concat", (), output=(0, 1)),
}
"""By operator. QLinearConcat has any number of inputs: tensor, scale, zero point each, from position 2 on."""

FOREIGN = frozenset(f"{domain}::{name}" for domain in QONNX_DOMAINS for name in QONNX) | {
    f"{MICROSOFT}{name}" for name in LINEAR
}
"""Quantisers outside the default operator set."""


def twin_of(node: Node) -> Twin | None:
    """The float operator with the loops of `node`; None where it is no operator on integers."""
    twin = TWINS.get(node.key)
    if twin is None:
        return None
    if twin.onnx == "Concat":
        starts = range(2, len(node.inputs), 3)
        return replace(twin, inputs=tuple(starts), scaled=tuple((i, i + 1, i + 2) for i in starts))
    if twin is _GEMM and node.integer("transB", 0):
        return replace(twin, axis=0)
    if twin.onnx == "Softmax":
        return replace(twin, opset=node.integer("opset", 13))
    return twin


def parameters(node: Node) -> frozenset[str]:
    """Inputs of a node that are scales and zero points: held in the instruction."""
    twin = twin_of(node)
    if node.op_type in LINEAR:
        return frozenset(node.inputs[1:])
    return frozenset() if twin is None else frozenset(node.inputs) - {node.given(i) for i in twin.inputs}


def as_twin(node: Node, twin: Twin) -> Node:
    """`node` as its float twin."""
    inputs = tuple(node.given(i) for i in twin.inputs)
    while inputs and not inputs[-1]:
        inputs = inputs[:-1]
    proto = onnx.helper.make_node(twin.onnx, inputs, node.outputs, name=node.name)
    proto.attribute.extend(node.proto.attribute)
    return replace(node, op_type=twin.onnx, inputs=inputs, proto=proto, opset=twin.opset or node.opset)


def on_integers(builder: Builder) -> Builder:
    """A builder for the operator on integers from that of its float twin."""

    def build(graph: Graph, node: Node) -> Emitted:
        twin = twin_of(node)
        assert twin is not None
        if node.integer("channels_last", 0):
            raise ModelError(
                f"{node.op_type} must have its channels on axis 1, not last",
                where=graph.at(node),
                remedy="export the network with channels_last = 0",
            )
        made = builder(graph, as_twin(node, twin))
        ops: tuple[Op, ...] = tuple(replace(op, onnx=node.op_type) for op in made.ops)
        notes = [*made.notes]
        if node.op_type == "MatMulIntegerToFloat":
            notes += bias_notes(graph, node, 6)
        notes.append(Note(node.name, "scales and zero points preloaded with the bias, not priced"))
        return replace(made, ops=ops, notes=tuple(notes))

    return build


def outputs_as_twin(node: Node, infos: Mapping[str, Info], at: str) -> tuple[Node, dict[str, Info], str | None]:
    """What shape inference is asked in place of an operator on integers outside the default operator set.

    Returns: a node of the default operator set, types of its inputs for it, and the type of the output (None: as it
             follows).
    Errors:  ModelError for inputs that are left out.
    """
    twin = twin_of(node)
    assert twin is not None
    least = len(twin.inputs) - (twin.onnx in ("Conv", "Gemm"))  # a bias may be left out
    needed = [*twin.inputs[: max(1, least)], *(i for triple in twin.scaled for i in triple[:2])]
    if not twin.inputs or not all(map(node.given, needed)):
        raise ModelError(
            f"{node.op_type} must have every tensor and its scale, and has {sum(map(bool, node.inputs))} inputs",
            where=at,
            remedy="export the network again",
        )
    asked = as_twin(node, twin)
    quantised = {node.given(position) for position, _, _ in twin.scaled}
    floats = {
        name: Info(infos[name].shape, "float32") if name in quantised else infos[name] for name in asked.inputs if name
    }
    if twin.onnx == "Gemm" and asked.given(2):
        floats[asked.given(2)] = Info(infos[asked.given(2)].shape, "float32")
    scale, zero = (node.given(i) for i in twin.output) if twin.output else ("", "")
    first = infos[asked.inputs[0 if twin.onnx != "Where" else 1]].dtype
    return asked, floats, infos[zero].dtype if zero else first if scale else "float32"


def learn(formats: Formats, node: Node) -> None:
    """What an operator on integers says of the tensors that it reads and writes."""
    if node.key == DYNAMIC:
        formats.types[node.outputs[0]] = TensorType("int", 8, signed=False, scaled=True, zero_point=True)
        formats.types.update((name, type_of("float32")) for name in node.outputs[1:2] if name)
        return
    twin = twin_of(node)
    if twin is None:
        return
    for index, (tensor, scale, zero) in enumerate(twin.scaled):
        name = node.given(tensor)
        if not name or not node.given(scale):
            continue
        axis = twin.axis if index == 1 else 0
        type_, grid = scaled(formats, formats.infos[name], node.given(scale), node.given(zero), axis)
        formats.types.setdefault(name, type_)
        formats.grids.setdefault(name, grid)
        formats.scalings.setdefault(name, Scaling(node.given(scale), node.given(zero), type_.axis))
    if twin.output and node.given(twin.output[0]):
        name, (scale, zero) = node.outputs[0], twin.output
        type_, grid = scaled(formats, formats.infos[name], node.given(scale), node.given(zero), 0)
        formats.types[name], formats.grids[name] = type_, grid
        formats.scalings[name] = Scaling(node.given(scale), node.given(zero), type_.axis)


def dynamic_quantize(graph: Graph, node: Node) -> Emitted:
    """DynamicQuantizeLinear: a reduction for the range, which gives the scale, then a visit of every element.

    The zero point follows from the same range; an op makes it only where it is read as a tensor.
    """
    data, output, scale, zero = (node.given(0), *node.outputs, "", "")[:4]
    scale = scale or f"{output}.scale"
    shape = graph.shape(data)
    dims = loop_dims(shape)
    read = operand("I", "I", data, broadcast(shape, dims, len(shape)))
    made = [
        Op(
            f"{node.name}.range", "reduce", node.op_type, dims, (read, operand("O", "O", scale, ())), nodes=(node.name,)
        ),
        Op(
            node.name,
            "elementwise",
            node.op_type,
            dims,
            (read, operand("I2", "I", scale, ()), operand("O", "O", output, broadcast(shape, dims, len(shape)))),
            nodes=(node.name,),
        ),
    ]
    readers = [other for other in graph.nodes if zero and zero in other.inputs and zero not in parameters(other)]
    if readers or zero in graph.outputs:
        inputs = (operand("I", "I", scale, ()), operand("O", "O", zero, ()))
        made.append(Op(f"{node.name}.zero_point", "elementwise", node.op_type, (("G", 1),), inputs, nodes=(node.name,)))
    return Emitted(tuple(made), notes=(Note(node.name, "the range of its input is found first, by an op of its own"),))

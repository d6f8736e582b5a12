"""Shapes of all tensors, and constants folded: ONNX's own inference node by node, with numpy for constant chains."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import onnx
import onnx.defs
import onnx.helper
import onnx.numpy_helper
from onnx.shape_inference import infer_node_outputs

from weft.errors import Gathered, ModelError
from weft.model.workload import Note
from weft.read.onnx.elementwise import elementwise, norm, softmax
from weft.read.onnx.formats import Formats, carry
from weft.read.onnx.graph import Array, Graph, Info, Lazy, Node, Raw, elements
from weft.read.onnx.pool import pool, pooled_shape
from weft.read.onnx.proto import DEFAULT_DOMAINS, dtype_name
from weft.read.onnx.quantise import of_constants, settle
from weft.read.onnx.table import BUILDERS, COMPARISONS

_FOLDABLE = frozenset(
    name
    for line in (
        "Abs Add And Cast CastLike Ceil Concat ConstantOfShape Div Equal Exp Expand Flatten Floor Gather",
        "GatherElements GatherND Greater GreaterOrEqual Identity Less LessOrEqual Log Max Min Mod Mul Neg NonZero Not",
        "OneHot Or Pad Pow Range Reciprocal ReduceMax ReduceMin ReduceProd ReduceSum Reshape Round ScatterElements",
        "ScatterND Sign Slice Split Sqrt Squeeze Sub Sum Tile Transpose Trilu Unsqueeze Where",
    )
    for name in line.split()
)
"""Operators computed at read time where all their inputs are constants: shape arithmetic and weight preparation."""

_DATA_LIMIT = 4096
"""Constants up to this many elements are shown to ONNX's shape inference (a Reshape's target, a Slice's starts)."""

_MANY_OUTPUTS = frozenset({"Split"})

_OUT_OF_SCOPE = {
    "LSTM": "unroll it into Gemm, Sigmoid, Tanh and Mul",
    "GRU": "unroll it into Gemm, Sigmoid, Tanh and Mul",
    "RNN": "unroll it into Gemm and Tanh",
    "If": "export the branch that is taken",
    "Loop": "unroll it",
    "Scan": "unroll it",
}


_COMPUTED = _FOLDABLE | {"Constant", "Shape", "Size"}
"""Operators that may need no builder."""


def refuse_unknown(raw: Raw, problems: Gathered[ModelError]) -> None:
    """One problem for each operator that weft knows in no way, pointing at the first node of it."""
    unknown: dict[tuple[str, str], list[str]] = {}
    for node in raw.nodes:
        domain = "" if node.proto.domain in DEFAULT_DOMAINS else node.proto.domain
        if domain or node.op_type not in BUILDERS.keys() | _COMPUTED:
            unknown.setdefault((domain, node.op_type), []).append(node.name)
    for (domain, op_type), names in unknown.items():
        problems.add(_unknown_operator(raw, op_type, domain, names))


def _unknown_operator(raw: Raw, op_type: str, domain: str, names: list[str]) -> ModelError:
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    standard = _OUT_OF_SCOPE.get(op_type, "export the network without it")
    return ModelError(
        f"every operator must be one that weft knows, not {op_type}" + (f" of domain '{domain}'" if domain else ""),
        where=f"{raw.where}: node '{names[0]}'{more}",
        remedy="export the network with standard ONNX operators" if domain else standard,
    )


def infer(raw: Raw) -> Graph:
    """The graph with every shape known, constants folded and dead nodes left out.

    Errors:  ModelError for an operator that weft does not know, or a shape that cannot be found: all of them at once
             but for those that follow from another.
    """
    infos: dict[str, Info] = dict(raw.inputs)
    known: dict[str, Lazy] = {}
    formats = Formats(raw.where, infos, known)
    notes = list(raw.notes)
    problems = Gathered(ModelError)
    broken: set[str] = set()
    for name, tensor in raw.constants.items():
        with problems.go_on():
            infos[name] = _initializer_info(tensor, raw.where)
            known[name] = _lazy(tensor)
            continue
        broken.add(name)
    used = {name for node in raw.nodes for name in node.inputs} | set(raw.outputs)
    nodes: list[Node] = []
    for node in raw.nodes:
        if broken.isdisjoint(node.inputs):
            with problems.go_on(f"{raw.where}: node '{node.name}'"):
                values = _fold(raw, node, infos, known)
                if values is not None:
                    for output, value in zip(node.outputs, values, strict=False):
                        if output:
                            infos[output] = Info(tuple(value.shape), _array_dtype(value))
                            known[output] = _given(value)
                    carry(formats, node)
                    text = f"{node.op_type} computed while reading: it depends on constants only"
                    notes.append(Note(node.name, text))
                    continue
                if node.op_type not in BUILDERS:
                    raise _unknown_operator(raw, node.op_type, "", [node.name])
                _check_outputs(raw, node, used)
                for output, info in _infer_node(raw, node, infos, known).items():
                    infos[output] = info
                    stated = raw.declared.get(output)
                    if stated is not None and stated.shape != info.shape:
                        text = f"'{output}' is declared {list(stated.shape)}, and follows as {list(info.shape)}"
                        notes.append(Note(node.name, f"{text}: that counts"))
                stored = of_constants(formats, node)
                if stored is None:
                    nodes.append(node)
                else:
                    known[node.outputs[0]] = _later(raw, node, known)
                    notes.append(Note(node.name, f"{node.op_type}: {stored}"))
                continue
        broken.update(filter(None, node.outputs))  # what follows from a problem is none of its own
    problems.settle()
    live, dead = _split_dead(nodes, raw.outputs)
    notes += [Note(node.name, f"{node.op_type} left out: no output depends on it") for node in dead]
    read = tuple((node.name, node.op_type) for node in raw.nodes)
    graph = Graph(
        raw.name, raw.where, raw.opset, live, infos, tuple(raw.inputs), raw.outputs, known, tuple(notes), read
    )
    return settle(graph, formats)


def _check_outputs(raw: Raw, node: Node, used: set[str]) -> None:
    """Only Split has several outputs; a mask or running mean that someone reads is not modelled."""
    for extra in node.outputs[1:]:
        if extra and extra in used and node.op_type not in _MANY_OUTPUTS:
            raise ModelError(
                f"only the first output of {node.op_type} may be used, not '{extra}'",
                where=f"{raw.where}: node '{node.name}'",
                remedy="export the network for inference",
            )


def _initializer_info(tensor: Any, where: str) -> Info:
    shape = tuple(int(size) for size in tensor.dims)
    if any(size < 0 for size in shape):
        raise ModelError(
            f"a size must not be negative, and its shape is {list(shape)}",
            where=f"{where}: initializer '{tensor.name}'",
            remedy="export the network again",
        )
    return Info(shape, dtype_name(tensor.data_type, f"{where}: initializer '{tensor.name}'"))


def _lazy(tensor: Any) -> Lazy:
    """Values on demand; None where the file holds a shape and no data, or the data are elsewhere."""

    @cache
    def values() -> Array | None:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            return None
        try:
            return np.asarray(onnx.numpy_helper.to_array(tensor))
        except ValueError:
            return None

    return values


def _given(value: Array) -> Lazy:
    return lambda: value


def _array_dtype(value: Array) -> str:
    return str(value.dtype)


def _fold(raw: Raw, node: Node, infos: Mapping[str, Info], known: Mapping[str, Lazy]) -> list[Array] | None:
    """The node's values where they follow from constants and shapes; None where they do not."""
    if node.op_type == "Constant":
        return [_constant(node)]
    if node.op_type == "Shape":
        shape = infos[node.inputs[0]].shape
        end = node.integer("end", len(shape))
        return [np.asarray(shape[node.integer("start", 0) : end], dtype=np.int64)]
    if node.op_type == "Size":
        return [np.asarray(elements(infos[node.inputs[0]].shape), dtype=np.int64)]
    if node.op_type not in _FOLDABLE or any(name not in known for name in node.inputs if name):
        return None
    inputs = {name: known[name]() for name in node.inputs if name}
    if any(value is None for value in inputs.values()):
        return None
    return _evaluate(raw, node, inputs)


def _evaluate(raw: Raw, node: Node, inputs: Mapping[str, Array | None]) -> list[Array] | None:
    from onnx.reference import ReferenceEvaluator

    try:
        evaluator = ReferenceEvaluator(_single(raw, node))
        return [np.asarray(value) for value in evaluator.run(None, dict(inputs))]
    except Exception:  # the reference evaluator lacks a few operators and types; the node then stays a node
        return None


def _later(raw: Raw, node: Node, known: Mapping[str, Lazy]) -> Lazy:
    """The values of a (de)quantiser of constants, computed once and only if someone asks.

    Of a foreign quantiser they are what goes in: what is asked of weights is their order.
    """

    @cache
    def values() -> Array | None:
        inputs = {name: known[name]() for name in node.inputs if name}
        if any(value is None for value in inputs.values()):
            return None
        made = None if node.proto.domain not in DEFAULT_DOMAINS else _evaluate(raw, node, inputs)
        return inputs[node.inputs[0]] if made is None else made[0]

    return values


def _single(raw: Raw, node: Node) -> Any:
    """A model of one node, so that it is evaluated in the file's own operator set."""
    value = onnx.helper.make_empty_tensor_value_info
    graph = onnx.helper.make_graph(
        [node.proto],
        "one",
        [value(name) for name in dict.fromkeys(filter(None, node.inputs))],
        [value(name) for name in filter(None, node.outputs)],
    )
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", raw.opset)])


def _constant(node: Node) -> Array:
    for name, value in node.attributes.items():
        if name == "value":
            return np.asarray(onnx.numpy_helper.to_array(value))
        if name in ("value_float", "value_floats"):
            return np.asarray(value, dtype=np.float32)
        if name in ("value_int", "value_ints"):
            return np.asarray(value, dtype=np.int64)
    return np.asarray([], dtype=np.float32)


def _infer_node(raw: Raw, node: Node, infos: Mapping[str, Info], known: Mapping[str, Lazy]) -> dict[str, Info]:
    """Output shapes by ONNX's rule, once more as floats where it refuses the types, else as the file states them."""
    at = f"{raw.where}: node '{node.name}'"
    least, given = _least_inputs(raw, node), sum(map(bool, node.inputs))
    if given < least:
        raise ModelError(
            f"{node.op_type} must have at least {least} inputs, not {given}",
            where=at,
            remedy="export the network again",
        )
    if BUILDERS[node.op_type] is pool:
        data = infos[node.inputs[0]]
        found = {node.outputs[0]: Info(pooled_shape(node, data.shape, at), data.dtype)}
        return {name: _positive(name, info, at) for name, info in found.items()}
    reason = ""
    found = {}
    try:
        found = _ask_onnx(raw, node, infos, known, as_float=False)
    except Exception as error:
        reason = _one_line(error)
        if "unsupported type" in reason:
            try:
                found = _ask_onnx(raw, node, infos, known, as_float=True)
            except Exception as again:
                reason = _one_line(again)
    result: dict[str, Info] = {}
    for position, output in enumerate(node.outputs):
        info = found.get(output) or raw.declared.get(output)
        if info is None and not position and not reason:
            info = _same_shape(node, infos)
        if info is None and (position or not output):
            continue  # a mask or a running mean: refused later, should anyone use it
        if info is None:
            shapes = ", ".join(str(list(infos[name].shape)) for name in node.inputs if name)
            raise ModelError(
                f"the shape of '{output}' must follow from its inputs {shapes}"
                + (f", not: {reason}" if reason else ""),
                where=at,
                remedy="check the shapes" if reason else "simplify the model (for example with onnxslim)",
            )
        result[output] = _positive(output, info, at)
    return result


def _positive(tensor: str, info: Info, at: str) -> Info:
    if any(size < 1 for size in info.shape):
        raise ModelError(
            f"a size must be positive, and '{tensor}' is {list(info.shape)}",
            where=at,
            remedy="check the sizes of the input, kernel and stride",
        )
    return info


def _same_shape(node: Node, infos: Mapping[str, Info]) -> Info | None:
    """The output of operators that keep or broadcast shapes; ONNX infers nothing for those it defines by others."""
    inputs = [infos[name] for name in node.inputs if name]
    if BUILDERS[node.op_type] in (norm, softmax):
        return inputs[0]
    if BUILDERS[node.op_type] is elementwise:
        dtype = "bool" if node.op_type in COMPARISONS else inputs[-1].dtype
        return Info(tuple(int(n) for n in np.broadcast_shapes(*(info.shape for info in inputs))), dtype)
    return None


def _one_line(error: Exception) -> str:
    """ONNX's reason without its error class, on one line."""
    return " ".join(str(error).split()).removeprefix("[ShapeInferenceError] ")


def _schema(raw: Raw, node: Node) -> Any:
    return onnx.defs.get_schema(node.op_type, min(raw.opset, onnx.defs.onnx_opset_version()), "")


def _least_inputs(raw: Raw, node: Node) -> int:
    """Inputs that the operator cannot do without; 1 where ONNX does not know it in the file's operator set."""
    try:
        return int(_schema(raw, node).min_input)
    except onnx.defs.SchemaError:
        return 1


def _ask_onnx(
    raw: Raw,
    node: Node,
    infos: Mapping[str, Info],
    known: Mapping[str, Lazy],
    as_float: bool,
) -> dict[str, Info]:
    schema = _schema(raw, node)
    proto = onnx.NodeProto()
    proto.CopyFrom(node.proto)
    del proto.attribute[:]
    proto.attribute.extend(item for item in node.proto.attribute if item.name in schema.attributes)
    # the empty name of an optional input left out must have a type too
    types = {"": onnx.TypeProto()}
    data = {}
    for name in filter(None, node.inputs):
        info = infos[name]
        elem = _elem_type(info.dtype)
        if as_float and elem != onnx.TensorProto.INT64:
            elem = onnx.TensorProto.FLOAT
        types[name] = onnx.helper.make_tensor_type_proto(elem, info.shape)
        if name in known and elements(info.shape) <= _DATA_LIMIT and elem == _elem_type(info.dtype):
            value = known[name]()
            if value is not None:
                data[name] = onnx.numpy_helper.from_array(value, name)
    made = infer_node_outputs(
        schema,
        proto,
        types,
        data,
        opset_imports=[onnx.helper.make_opsetid("", min(raw.opset, onnx.defs.onnx_opset_version()))],
    )
    result = {}
    for name, kind in made.items():
        tensor = kind.tensor_type
        if not tensor.HasField("shape") or any(dim.WhichOneof("value") != "dim_value" for dim in tensor.shape.dim):
            continue
        declared = raw.declared.get(name)
        if as_float:
            dtype = declared.dtype if declared else infos[node.inputs[0]].dtype
        else:
            dtype = dtype_name(tensor.elem_type, f"{raw.where}: node '{node.name}'")
        result[name] = Info(tuple(int(dim.dim_value) for dim in tensor.shape.dim), dtype)
    return result


def _elem_type(dtype: str) -> int:
    names = {"float32": "FLOAT", "float64": "DOUBLE"}
    return int(onnx.TensorProto.DataType.Value(names.get(dtype, dtype.upper())))


def _split_dead(nodes: list[Node], outputs: tuple[str, ...]) -> tuple[tuple[Node, ...], list[Node]]:
    """Nodes that an output depends on, and the others."""
    wanted = set(outputs)
    live: list[Node] = []
    dead: list[Node] = []
    for node in reversed(nodes):
        if wanted.isdisjoint(node.outputs):
            dead.append(node)
        else:
            live.append(node)
            wanted.update(filter(None, node.inputs))
    return tuple(reversed(live)), dead[::-1]

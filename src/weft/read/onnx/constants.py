"""Constants: weights read only when asked for, and what follows from constants and shapes computed while reading."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper

from weft.errors import ModelError
from weft.read.onnx.graph import Array, Info, Lazy, Node, Raw, elements
from weft.read.onnx.proto import dtype_name, elem_type

FOLDABLE = frozenset(
    name
    for line in (
        "Abs Add And BitCast BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor BlackmanWindow Cast CastLike Ceil",
        "Concat ConstantOfShape Cos CumSum Div Equal Exp Expand Flatten Floor Gather GatherElements GatherND",
        "Greater GreaterOrEqual HammingWindow HannWindow Identity IsInf IsNaN Less LessOrEqual Log MatMul Max",
        "MelWeightMatrix Min Mod Mul Neg NonZero Not OneHot OptionalHasElement Or Pad Pow Range Reciprocal",
        "ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum",
        "ReduceSumSquare Reshape Round ScatterElements ScatterND Sigmoid Sign Sin Slice Split Sqrt Squeeze Sub Sum",
        "Tanh Tile Transpose Trilu Unsqueeze Where Xor",
    )
    for name in line.split()
)
"""Operators computed at read time where all their inputs are constants: shape arithmetic and weight preparation."""

LONGEST_RANGE = 1 << 24
"""Numbers that a Range may make while reading."""


def initializer_info(tensor: Any, where: str) -> Info:
    """Shape and type of a weight.

    Errors: ModelError for a size that is negative, and for text.
    """
    shape = tuple(int(size) for size in tensor.dims)
    if any(size < 0 for size in shape):
        raise ModelError(
            f"a size must not be negative, and its shape is {list(shape)}",
            where=f"{where}: initializer '{tensor.name}'",
            remedy="export the network again",
        )
    return Info(shape, dtype_name(tensor.data_type, f"{where}: initializer '{tensor.name}'"))


def lazy(tensor: Any) -> Lazy:
    """Lazy on demand; None where the file holds a shape and no data, or the data are elsewhere."""

    @cache
    def values() -> Array | None:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            return None
        try:
            return np.asarray(onnx.numpy_helper.to_array(tensor))
        except ValueError:
            return None

    return values


def constant(value: Array) -> Lazy:
    """A way to values that are at hand."""
    return lambda: value


def fold(raw: Raw, node: Node, infos: Mapping[str, Info], known: Mapping[str, Lazy]) -> list[Array] | None:
    """The node's values where they follow from constants and shapes; None where they do not."""
    if node.key == "Constant":
        return [_constant(raw, node)]
    if node.key == "Shape":
        shape = infos[node.inputs[0]].shape
        end = node.integer("end", len(shape))
        return [np.asarray(shape[node.integer("start", 0) : end], dtype=np.int64)]
    if node.key == "Size":
        return [np.asarray(elements(infos[node.inputs[0]].shape), dtype=np.int64)]
    if node.key == "EyeLike":
        info = infos[node.inputs[0]]
        if len(info.shape) != 2:
            raise ModelError(
                f"input 0 of EyeLike must have rank 2, not {len(info.shape)}",
                where=f"{raw.where}: node '{node.name}'",
                remedy="export the network again",
            )
        kind = node.integer("dtype", elem_type(info.dtype))
        made = np.eye(info.shape[0], info.shape[1], node.integer("k", 0))
        return [made.astype(onnx.helper.tensor_dtype_to_np_dtype(kind))]
    if (
        node.key == "CastLike" and len(node.inputs) > 1 and node.inputs[0] in known
    ):  # only the type of the second counts
        value = known[node.inputs[0]]()
        kind = onnx.helper.tensor_dtype_to_np_dtype(elem_type(infos[node.inputs[1]].dtype))
        return None if value is None else [value.astype(kind)]
    if node.key not in FOLDABLE or any(name not in known for name in node.inputs if name):
        return None
    inputs = {name: known[name]() for name in node.inputs if name}
    if any(value is None for value in inputs.values()) or _length(node, inputs) > LONGEST_RANGE:
        return None
    if node.key == "Range":  # ONNX's own definitions give it one-element rows for scalars
        inputs = {name: value.reshape(()) for name, value in inputs.items() if value is not None and value.size == 1}
    return _evaluate(node, inputs)


def _length(node: Node, inputs: Mapping[str, Array | None]) -> float:
    """Numbers that a Range makes; 0 for every other operator."""
    if node.key != "Range":
        return 0.0
    numbers = [float(np.asarray(inputs[name]).reshape(-1)[0]) for name in node.inputs]
    return (numbers[1] - numbers[0]) / numbers[2] if numbers[2] else 0.0


def _evaluate(node: Node, inputs: Mapping[str, Any]) -> list[Array] | None:
    from onnx.reference import ReferenceEvaluator

    try:
        with np.errstate(all="ignore"):
            return [np.asarray(value) for value in ReferenceEvaluator(single(node)).run(None, dict(inputs))]
    except Exception:  # the reference evaluator lacks a few operators and types; the node then stays a node
        return None


_TRIED = 1 << 16
"""Elements of a tensor, and the largest number in an attribute, up to which a node is computed to try it out."""


def computable(node: Node, infos: Mapping[str, Info]) -> bool:
    """Whether ONNX's own evaluator takes the node: on zeros of its inputs' shapes it makes the outputs that are known.

    False also for tensors without elements, for what is too large to try, and for what that evaluator does not know.
    """
    names = [name for name in dict.fromkeys((*node.inputs, *node.outputs)) if name in infos]
    numbers = [n for value in node.attributes.values() for n in (value if isinstance(value, list) else [value])]
    large = any(isinstance(n, int | float) and abs(n) > _TRIED for n in numbers)
    if large or node.domain or not all(0 < elements(infos[name].shape) <= _TRIED for name in names):
        return False
    if any(isinstance(n, onnx.GraphProto) for n in numbers) or not all(name in infos for name in node.inputs if name):
        return False
    zeros = {
        name: np.zeros(infos[name].shape, onnx.helper.tensor_dtype_to_np_dtype(elem_type(infos[name].dtype)))
        for name in node.inputs
        if name
    }
    made = _evaluate(node, zeros)
    wanted = [infos[name].shape if name in infos else None for name in node.outputs if name]
    return made is not None and all(
        shape is None or value.shape == shape for value, shape in zip(made, wanted, strict=False)
    )


def later(node: Node, known: Mapping[str, Lazy]) -> Lazy:
    """The values of a (de)quantiser of constants, computed once and only if someone asks.

    Of a foreign quantiser they are what goes in: what is asked of weights is their order.
    """

    @cache
    def values() -> Array | None:
        inputs = {name: known[name]() for name in node.inputs if name}
        if any(value is None for value in inputs.values()):
            return None
        made = None if node.domain else _evaluate(node, inputs)
        return inputs[node.inputs[0]] if made is None else made[0]

    return values


def single(node: Node) -> Any:
    """A model of one node, so that it is evaluated in its own operator set."""
    value = onnx.helper.make_empty_tensor_value_info
    graph = onnx.helper.make_graph(
        [node.proto],
        "one",
        [value(name) for name in dict.fromkeys(filter(None, node.inputs))],
        [value(name) for name in filter(None, node.outputs)],
    )
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", node.opset)])


def _constant(raw: Raw, node: Node) -> Array:
    for name, value in node.attributes.items():
        if name == "value":
            dtype_name(value.data_type, f"{raw.where}: node '{node.name}'")
            return np.asarray(onnx.numpy_helper.to_array(value))
        if name in ("value_float", "value_floats"):
            return np.asarray(value, dtype=np.float32)
        if name in ("value_int", "value_ints"):
            return np.asarray(value, dtype=np.int64)
        if name == "sparse_value":
            return _dense(value)
    raise ModelError(
        "a constant must hold numbers, not text",
        where=f"{raw.where}: node '{node.name}'",
        remedy="export the numeric part only",
    )


def _dense(sparse: Any) -> Array:
    """A sparse tensor written out: its indices count in row-major order, or go axis by axis."""
    shape = tuple(int(size) for size in sparse.dims)
    values = np.asarray(onnx.numpy_helper.to_array(sparse.values))
    indices = np.asarray(onnx.numpy_helper.to_array(sparse.indices), dtype=np.int64)
    result = np.zeros(shape, values.dtype)
    result[np.unravel_index(indices, shape) if indices.ndim == 1 else tuple(indices.T)] = values
    return result

"""Shapes of a node's outputs: ONNX's own inference, weft's rule where ONNX has none, else what the file states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper
from onnx.shape_inference import infer_node_outputs

from weft.errors import ModelError
from weft.read.onnx.attention import attended, attention
from weft.read.onnx.elementwise import elementwise, norm, softmax
from weft.read.onnx.formats import LINEAR, quantiser_info
from weft.read.onnx.functions import schema_of
from weft.read.onnx.graph import Info, Lazy, Node, Raw, elements
from weft.read.onnx.nbits import GATHER, MATMUL, nbits_info
from weft.read.onnx.pool import pool, pooled_shape
from weft.read.onnx.proto import dtype_name, elem_type
from weft.read.onnx.qoperator import FOREIGN, TWINS, outputs_as_twin
from weft.read.onnx.table import BUILDERS, COMPARISONS

_DATA_LIMIT = 4096
"""Constants up to this many elements are shown to ONNX's shape inference (a Reshape's target, a Slice's starts)."""

_MAY_BE_EMPTY = frozenset(
    name
    for line in (
        "Concat ConstantOfShape CenterCropPad Expand Flatten Gather GatherElements GatherND Identity Pad Range Reshape",
        "Resize Slice Split Squeeze Tile TopK Transpose Unsqueeze",
    )
    for name in line.split()
)
"""Operators that may pick no elements at all."""


def outputs_of(raw: Raw, node: Node, infos: Mapping[str, Info], known: Mapping[str, Lazy]) -> dict[str, Info]:
    """Output shapes by ONNX's rule, once more as floats where it refuses the types, else as the file states them."""
    at = f"{raw.where}: node '{node.name}'"
    if node.key in FOREIGN or node.op_type in LINEAR:
        return {node.outputs[0]: quantiser_info(node, infos, at)}
    if node.key == "DynamicQuantizeLinear" and node.given(0):
        infos_ = (Info(infos[node.inputs[0]].shape, "uint8"), Info((), "float32"), Info((), "uint8"))
        return {name: info for name, info in zip(node.outputs, infos_, strict=False) if name}
    if node.key in (MATMUL, GATHER):
        return {node.outputs[0]: _positive(node.outputs[0], nbits_info(node, infos, known, at), at)}
    if node.domain and node.key in TWINS:
        asked, types, dtype = outputs_as_twin(node, infos, at)
        found = outputs_of(raw, asked, types, known)
        return {name: Info(info.shape, dtype or info.dtype) for name, info in found.items()}
    if node.key == "Split" and node.integer("num_outputs", len(node.outputs)) != len(node.outputs):
        stated = node.integer("num_outputs", 0)
        raise ModelError(
            f"num_outputs of Split must be the number of its outputs {len(node.outputs)}, not {stated}",
            where=at,
            remedy="export the network again",
        )
    if node.key == "GatherND" and not 0 <= node.integer("batch_dims", 0) < len(infos[node.inputs[0]].shape):
        raise ModelError(
            f"batch_dims of GatherND must be from 0 to {len(infos[node.inputs[0]].shape) - 1}, "
            f"not {node.integer('batch_dims', 0)}",
            where=at,
            remedy="export the network again",
        )
    if BUILDERS.get(node.key) is pool:
        data = infos[node.inputs[0]]
        shape = pooled_shape(node, data.shape, at)
        found = {
            name: Info(shape, kind) for name, kind in zip(node.outputs, (data.dtype, "int64"), strict=False) if name
        }
        return {name: _positive(name, info, at) for name, info in found.items()}
    if BUILDERS.get(node.key) is attention:
        return {name: info for name, info in zip(node.outputs, attended(node, infos, at), strict=False) if name}
    reason, cannot_be = "", False
    found = {}
    try:
        found = _ask_onnx(raw, node, infos, known, as_float=False)
    except Exception as error:
        reason = _one_line(error)
        cannot_be = "ShapeInferenceError" in str(error)
        if "has been deprecated" in reason:  # ONNX then infers nothing, and files have it all the same
            reason, cannot_be = "", False
        if "unsupported type" in reason:
            cannot_be = False
            try:
                found = _ask_onnx(raw, node, infos, known, as_float=True)
            except Exception as again:
                reason, cannot_be = _one_line(again), "ShapeInferenceError" in str(again)
    if node.key == "STFT" and "onesided" not in node.attributes:  # it is by default, which ONNX's rule forgets
        found = {name: replace(info, shape=_half(info.shape)) for name, info in found.items()}
    result: dict[str, Info] = {}
    for position, output in enumerate(node.outputs):
        # what the file states does not help where the inputs do not go together
        info = found.get(output) or (None if cannot_be else raw.declared.get(output))
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
                remedy=f"check the {_about(reason)}" if reason else "simplify the model (for example with onnxslim)",
            )
        empty = node.key in _MAY_BE_EMPTY or any(not elements(infos[name].shape) for name in node.inputs if name)
        result[output] = info if empty and min(info.shape, default=0) >= 0 else _positive(output, info, at)
    return result


def _half(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a spectrum without the frequencies that mirror others."""
    return (*shape[:2], shape[2] // 2 + 1, *shape[3:])


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
    if BUILDERS.get(node.key) in (norm, softmax):
        return inputs[0]
    if BUILDERS.get(node.key) is elementwise:
        dtype = "bool" if node.op_type in COMPARISONS else inputs[-1].dtype
        try:
            return Info(tuple(int(n) for n in np.broadcast_shapes(*(info.shape for info in inputs))), dtype)
        except ValueError:  # shapes that do not broadcast
            return None
    return None


def _one_line(error: Exception) -> str:
    """ONNX's reason without its error class, on one line."""
    text = " ".join(str(error).split())
    return text.removeprefix("[ShapeInferenceError] ").removeprefix("[TypeInferenceError] ").rstrip(".")


def _about(reason: str) -> str:
    """What of a node ONNX's reason is about."""
    lower = reason.lower()
    return "attributes" if "attribute" in lower or "axis" in lower else "types" if " type " in lower else "shapes"


def _ask_onnx(
    raw: Raw,
    node: Node,
    infos: Mapping[str, Info],
    known: Mapping[str, Lazy],
    as_float: bool,
) -> dict[str, Info]:
    schema = schema_of(node)
    if schema is None:
        return {}
    proto = onnx.NodeProto()
    proto.CopyFrom(node.proto)
    del proto.attribute[:]
    proto.attribute.extend(item for item in node.proto.attribute if item.name in schema.attributes)
    # the empty name of an optional input left out must have a type too
    types = {"": onnx.TypeProto()}
    data = {}
    for name in filter(None, node.inputs):
        info = infos[name]
        elem = elem_type(info.dtype)
        if as_float and elem not in (onnx.TensorProto.INT64, onnx.TensorProto.BOOL):
            elem = onnx.TensorProto.FLOAT
        types[name] = onnx.helper.make_tensor_type_proto(elem, info.shape)
        if name in known and elements(info.shape) <= _DATA_LIMIT and elem == elem_type(info.dtype):
            value = known[name]()
            if value is not None:
                data[name] = onnx.numpy_helper.from_array(value, name)
    made = infer_node_outputs(
        schema,
        proto,
        types,
        data,
        opset_imports=[onnx.helper.make_opsetid("", min(node.opset, onnx.defs.onnx_opset_version()))],
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

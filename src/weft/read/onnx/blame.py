"""Whose fault it is when a node cannot be read: ONNX's own checker and shape inference are asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import onnx
import onnx.checker
import onnx.helper
from onnx.shape_inference import infer_node_outputs

from weft.errors import ModelError, UserError
from weft.read.onnx.functions import schema_of
from weft.read.onnx.graph import Info, Node
from weft.read.onnx.proto import elem_type


@contextmanager
def as_onnx_allows(node: Node, infos: Mapping[str, Info]) -> Iterator[None]:
    """Read `node` inside. What fails for a node that ONNX does not allow is the file's fault, anything else weft's.

    Errors: ModelError with ONNX's reason, without a place: whoever reads nodes says which it was.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        reason = refused(node, infos)
        if reason is None:
            raise
        raise ModelError(f"{node.op_type} must be as ONNX allows it, not so: {reason}") from error


def refused(node: Node, infos: Mapping[str, Info]) -> str | None:
    """Why ONNX does not allow a node; None where it does, or does not know the operator."""
    schema = schema_of(node)
    if schema is None:
        return None
    proto = onnx.NodeProto()
    proto.CopyFrom(node.proto)
    del proto.attribute[:]  # exporters leave notes of their own; what ONNX does not know is no reason
    proto.attribute.extend(item for item in node.proto.attribute if item.name in schema.attributes)
    version = min(node.opset, onnx.defs.onnx_opset_version())
    context = onnx.checker.C.CheckerContext()
    context.ir_version = onnx.IR_VERSION
    context.opset_imports = {proto.domain: version}
    try:
        onnx.checker.check_node(proto, context)
        types = {"": onnx.TypeProto()}
        for name in filter(None, node.inputs):
            types[name] = onnx.helper.make_tensor_type_proto(elem_type(infos[name].dtype), infos[name].shape)
        infer_node_outputs(schema, proto, types, opset_imports=[onnx.helper.make_opsetid(proto.domain, version)])
    except Exception as error:
        return one_line(error)
    return None


def one_line(error: Exception) -> str:
    """ONNX's reason without its error class and where it found it, on one line."""
    text = " ".join(str(error).split("==>")[0].split())
    return text.removeprefix("[ShapeInferenceError] ").removeprefix("[TypeInferenceError] ")

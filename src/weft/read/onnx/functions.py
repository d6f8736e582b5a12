"""Calls replaced by what they call: model-local functions, operators defined by others, branches of If."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import onnx
import onnx.defs
import onnx.helper

from weft.errors import ModelError
from weft.read.onnx.graph import DEFAULT_DOMAINS, Info, Node, Raw
from weft.read.onnx.microsoft import DEFINED, definition
from weft.read.onnx.proto import GRAPHS, elem_type, named


def schema_of(node: Node) -> Any:
    """ONNX's definition of a node's operator in its operator set; None where ONNX does not know it."""
    return _schema(node.op_type, node.domain, node.opset)


@cache
def _schema(op_type: str, domain: str, opset: int) -> Any:
    try:
        if domain:
            return onnx.defs.get_schema(op_type, domain=domain)
        return onnx.defs.get_schema(op_type, min(opset, onnx.defs.onnx_opset_version()), "")
    except onnx.defs.SchemaError:
        return None


@cache
def _required(op_type: str, domain: str, opset: int) -> tuple[int, ...]:
    """Positions of the inputs that an operator cannot do without."""
    schema = _schema(op_type, domain, opset)
    if schema is None:
        return (0,) if f"{domain}::{op_type}" in DEFINED else ()
    single = onnx.defs.OpSchema.FormalParameterOption.Single
    return tuple(i for i, parameter in enumerate(schema.inputs) if parameter.option == single)


def check_inputs(node: Node) -> None:
    """Refuse a node that lacks an input it cannot do without.

    Errors: ModelError for it.
    """
    needed = _required(node.op_type, node.domain, node.opset)
    missing = [i for i in needed if not node.given(i)]
    given = sum(map(bool, node.inputs))
    if missing and given < len(needed):
        text = f"{node.op_type} must have at least {len(needed)} inputs, not {given}"
        raise ModelError(text, remedy="export the network again")
    if missing:
        text = f"input {missing[0]} of {node.op_type} must be given, and it is left out"
        raise ModelError(text, remedy="export the network again")


def is_function(raw: Raw, node: Node) -> bool:
    """Whether something says what the node is made of."""
    schema = schema_of(node)
    return (
        (node.proto.domain, node.op_type) in raw.functions
        or node.key in DEFINED
        or (schema is not None and bool(schema.has_function or schema.has_context_dependent_function))
    )


def function_of(raw: Raw, node: Node, infos: Mapping[str, Info]) -> Any:
    """The function that a node calls, a FunctionProto: the file's own, weft's, or that of ONNX's definition.

    Args:    infos: types of the node's inputs; some definitions differ by type.
    Returns: None where nothing says what the node is made of.
    """
    own = raw.functions.get((node.proto.domain, node.op_type))
    if own is None:
        own = definition(node, infos, raw.declared)
    schema = schema_of(node)
    if own is not None or schema is None:
        return own
    fixed, typed = schema.function_opset_versions, schema.context_dependent_function_opset_versions
    if not fixed and not typed:
        return None
    versions = fixed or typed
    version = max((v for v in versions if v <= node.opset), default=min(versions))
    function = onnx.FunctionProto()
    if fixed:
        body = schema.get_function_with_opset_version(version)
        function.ParseFromString(body if isinstance(body, bytes) else body.SerializeToString())
    else:
        types = [_type(infos[name]) if name else onnx.TypeProto() for name in node.inputs]
        content = schema.get_context_dependent_function_with_opset_version(
            version, node.proto.SerializeToString(), [kind.SerializeToString() for kind in types]
        )
        if not content:
            return None
        function.ParseFromString(content)
    stated = {attribute.name for attribute in function.attribute_proto}
    for name, attribute in schema.attributes.items():
        if name not in stated and attribute.default_value.type:
            function.attribute_proto.append(attribute.default_value)
    return function


def _type(info: Info) -> Any:
    return onnx.helper.make_tensor_type_proto(elem_type(info.dtype), info.shape)


def call(node: Node, function: Any) -> tuple[Node, ...]:
    """The nodes of a function, in place of the node that calls it.

    Their names and tensors are `<node>/<own name>`, but for the tensors that go in and out. References to the
    function's attributes get the call's values, or the function's defaults; what neither gives is left out.
    """
    names = {name: node.given(i) for i, name in enumerate(function.input)}
    for i, name in enumerate(function.output):
        if i < len(node.outputs) and node.outputs[i] and name not in names:
            names[name] = node.outputs[i]
    values = {attribute.name: attribute for attribute in function.attribute_proto}
    values.update((attribute.name, attribute) for attribute in node.proto.attribute)
    protos = [renamed(proto, node.name, names, values) for proto in function.node]
    for i, name in enumerate(function.output):
        if name in function.input and i < len(node.outputs) and node.outputs[i]:
            protos.append(onnx.helper.make_node("Identity", [names[name]], [node.outputs[i]]))
    opset = next((entry.version for entry in function.opset_import if entry.domain in DEFAULT_DOMAINS), node.opset)
    return tuple(named(protos, opset, f"{node.name}/"))


def branch(node: Node, graph: Any) -> tuple[tuple[Node, ...], dict[str, Any]]:
    """The nodes of one branch of an If, in its place, and the branch's own weights by name.

    What the branch reads from outside keeps its name; its own nodes and tensors are `<node>/<own name>`.
    """
    own = {tensor.name: f"{node.name}/{tensor.name}" for tensor in graph.initializer}
    names = own | {name: f"{node.name}/{name}" for inner in graph.node for name in inner.output if name}
    protos = [renamed(proto, "", names, None) for proto in graph.node]
    for inner, outer in zip(graph.output, node.outputs, strict=False):
        if outer:
            protos.append(onnx.helper.make_node("Identity", [names.get(inner.name, inner.name)], [outer]))
    weights = {own[tensor.name]: tensor for tensor in graph.initializer}
    return tuple(named(protos, node.opset, f"{node.name}/")), weights


def renamed(proto: Any, prefix: str, names: dict[str, str], values: Mapping[str, Any] | None) -> Any:
    """A copy of a node with other names of tensors.

    Args:    prefix: goes before tensors that `names` lacks; "" keeps them.
             values: attributes that references stand for; None leaves references as they are.
    """
    made = onnx.NodeProto()
    made.CopyFrom(proto)
    del made.input[:], made.output[:], made.attribute[:]
    made.input.extend(_name(name, prefix, names) for name in proto.input)
    made.output.extend(_name(name, prefix, names) for name in proto.output)
    for attribute in proto.attribute:
        kept = onnx.AttributeProto()
        if attribute.ref_attr_name and values is not None:
            if attribute.ref_attr_name not in values:
                continue
            kept.CopyFrom(values[attribute.ref_attr_name])
            kept.name = attribute.name
        else:
            kept.CopyFrom(attribute)
            if attribute.type in GRAPHS:
                for graph in (kept.g,) if attribute.type == onnx.AttributeProto.GRAPH else kept.graphs:
                    _rename_graph(graph, prefix, names, values)
        made.attribute.append(kept)
    return made


def _rename_graph(graph: Any, prefix: str, names: dict[str, str], values: Mapping[str, Any] | None) -> None:
    """Rename, in place, what a branch or body has from outside; its own tensors keep their names unless prefixed."""
    if not prefix:
        own = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
        own |= {name for node in graph.node for name in node.output}
        names = {name: new for name, new in names.items() if name not in own}
    for items in (graph.input, graph.initializer, graph.output, graph.value_info):
        for item in items:
            item.name = _name(item.name, prefix, names)
    nodes: Sequence[Any] = [renamed(node, prefix, names, values) for node in graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def _name(name: str, prefix: str, names: dict[str, str]) -> str:
    if not name:
        return ""
    return names.get(name, f"{prefix}/{name}" if prefix else name)

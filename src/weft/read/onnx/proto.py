"""From bytes to a checked graph: symbolic dims given sizes, nodes named and in topological order."""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import onnx
import onnx.helper

from weft.errors import Gathered, ModelError, nearest, suggestion
from weft.read.nearby import nearby
from weft.read.onnx.graph import DEFAULT_DOMAINS, Info, Node, Raw, check_size

GRAPHS = (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)
"""Types of attributes that hold branches or bodies."""
_NO_NUMBERS = (onnx.TensorProto.UNDEFINED, onnx.TensorProto.STRING)


def open_file(path: Path) -> Any:
    """The ModelProto in `path`; external data stays closed.

    Errors: ModelError where there is no such file, or it holds no ONNX network.
    """
    if not os.path.isfile(path):  # false, not an error, for names that no file can have
        problem = "a folder" if os.path.isdir(path) else "a path where there is none"
        near = nearby(str(path), (".onnx",))
        raise ModelError(
            f"the model must be an existing ONNX file, not {problem}",
            where=str(path),
            remedy=f"did you mean '{near}'?"
            if near
            else "give the path of an .onnx file, or a name from `weft models`",
        )
    try:
        model = onnx.load_model_from_string(path.read_bytes())
    except OSError as error:
        raise ModelError(f"the model must be readable, not {error.strerror}", where=str(path)) from None
    except Exception:  # protobuf's DecodeError differs between its back ends
        model = None
    if model is not None and model.HasField("graph") and not model.opset_import:
        raise ModelError(
            "the model must name its operator set, and it names none",
            where=str(path),
            remedy="export the network again",
        )
    if model is None or not model.HasField("graph"):
        raise ModelError(
            "the model must be in ONNX format, and these bytes are not",
            where=str(path),
            remedy="export the network again",
        )
    return model


def prepare(model: Any, dims: Mapping[str, int], where: str, name: str, problems: Gathered[ModelError]) -> Raw:
    """Check a model and put it in order.

    Args:    model: a ModelProto, not changed.   dims: sizes of symbolic dims.   where: what errors point at.
             problems: takes bad dims, tensors that nobody makes, cycles; the graph is whole where it stays empty.
    Returns: the graph with named nodes in topological order, its weights set aside.
    Errors:  ModelError where nothing more can be said of the file: names that are no text, no output.
    """
    _check_names(model.graph, where)
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for sparse in model.graph.sparse_initializer:
        problems.add(
            ModelError(
                "a weight must be stored dense, not sparse",
                where=f"{where}: initializer '{sparse.values.name}'",
                remedy="export the network with dense weights",
            )
        )
    model = _light_copy(model)
    graph = model.graph
    opset = next((entry.version for entry in model.opset_import if entry.domain in DEFAULT_DOMAINS), 1)
    _check_dims(graph, constants, dims, where, problems)
    inputs: dict[str, Info] = {}
    for value in graph.input:
        if value.name not in constants:
            with problems.go_on():
                inputs[value.name] = _input_info(value, dims, where)
    if not graph.output:
        raise ModelError(
            "a network must have an output, and this one has none", where=where, remedy="export the network again"
        )
    nodes = tuple(named(graph.node, opset))
    outputs = tuple(value.name for value in graph.output)
    given = {value.name for value in graph.input} | set(constants)
    ordered = _sorted(nodes, given, outputs, where, problems)
    declared: dict[str, Info] = {}
    for value in (*graph.value_info, *graph.output):
        with problems.go_on():
            info = _declared_info(value, dims, where)
            if info is not None:
                declared[value.name] = info
    functions = {(function.domain, function.name): function for function in model.functions}
    return Raw(name, where, ordered, functions, inputs, outputs, constants, declared, ())


def dtype_name(elem_type: int, at: str) -> str:
    """numpy's name of an ONNX element type ("float32", "bfloat16", "int4").

    Errors: ModelError, pointing at `at`, for text and for numbers that ONNX does not define.
    """
    if elem_type in _NO_NUMBERS or elem_type not in onnx.TensorProto.DataType.values():
        raise ModelError(
            f"a tensor must hold numbers of a type that ONNX defines, not type {elem_type}",
            where=at,
            remedy="export the numeric part only",
        )
    if elem_type in (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE):
        return "float32" if elem_type == onnx.TensorProto.FLOAT else "float64"
    return str(onnx.TensorProto.DataType.Name(elem_type)).lower()


def elem_type(dtype: str) -> int:
    """ONNX's number of an element type, from numpy's name."""
    names = {"float32": "FLOAT", "float64": "DOUBLE"}
    return int(onnx.TensorProto.DataType.Value(names.get(dtype, dtype.upper())))


def _check_names(graph: Any, where: str) -> None:
    """Protobuf hands out names that are not UTF-8 as bytes, or fails on them, by its version."""
    try:
        names = [graph.name]
        for item in (*graph.initializer, *graph.input, *graph.output, *graph.value_info):
            names.append(item.name)
        for node in graph.node:
            names += [node.name, node.op_type, node.domain, *node.input, *node.output]
        whole = all(isinstance(name, str) for name in names)
    except UnicodeDecodeError:
        whole = False
    if not whole:
        raise ModelError("the names in a model must be UTF-8", where=where, remedy="export the network again")


def _light_copy(model: Any) -> Any:
    """A copy without the data of large weights, which inference must not drag along."""
    light = onnx.ModelProto()
    light.ir_version = model.ir_version
    light.opset_import.extend(model.opset_import)
    light.functions.extend(model.functions)
    light.graph.name = model.graph.name
    light.graph.node.extend(model.graph.node)
    light.graph.input.extend(model.graph.input)
    light.graph.output.extend(model.graph.output)
    light.graph.value_info.extend(model.graph.value_info)
    return light


def _symbols(graph: Any, constants: Mapping[str, Any]) -> Iterable[tuple[str, int, str]]:
    """(input, axis, name) of each input dim without a size; an unnamed one (also "?") is called `<input>_<axis>`."""
    for value in graph.input:
        if value.name in constants or not value.type.HasField("tensor_type"):
            continue
        for i, dim in enumerate(value.type.tensor_type.shape.dim):
            if dim.WhichOneof("value") != "dim_value" or dim.dim_value == -1:
                yield value.name, i, _symbol(value.name, i, dim)


def _symbol(tensor: str, position: int, dim: Any) -> str:
    """The name of a dim without a size."""
    return f"{tensor}_{position}" if dim.dim_param in ("", "?") else str(dim.dim_param)


def _check_dims(
    graph: Any, constants: Mapping[str, Any], dims: Mapping[str, int], where: str, problems: Gathered[ModelError]
) -> None:
    """Each size that is given has its dim, and each symbolic dim has its size."""
    places: dict[str, list[tuple[str, int]]] = {}
    for tensor, i, symbol in _symbols(graph, constants):
        places.setdefault(symbol, []).append((tensor, i))
    known = list(places)
    meant = {nearest(name, known) for name in dims if name not in known}
    for name, size in dims.items():
        with problems.go_on():
            if name not in known:
                raise ModelError(
                    f"--dim must name a symbolic dim of the model, not '{name}'",
                    where=where,
                    remedy=suggestion(name, known) if known else "leave it out: every size of this model is fixed",
                )
            if size < 1:
                raise ModelError(
                    f"dim '{name}' must be positive, not {size}", where=where, remedy=f"give --dim {name}=1"
                )
    for symbol in known:
        if symbol not in dims and symbol not in meant:
            (tensor, i), *others = places[symbol]
            more = f" and {len(others)} more" if others else ""
            given = "has none" if symbol == f"{tensor}_{i}" else f"is the symbol '{symbol}'"
            problems.add(
                ModelError(
                    f"every dim must have a size, and axis {i} {given}",
                    where=f"{where}: input '{tensor}'{more}",
                    remedy=f"give --dim {symbol}=1, or another size",
                )
            )


def _input_info(value: Any, sizes: Mapping[str, int], where: str) -> Info:
    at = f"{where}: input '{value.name}'"
    if not value.type.HasField("tensor_type"):
        raise ModelError("an input must be a tensor", where=at, remedy="export the numeric part only")
    if not value.type.tensor_type.HasField("shape"):
        raise ModelError("an input must have a shape", where=at, remedy="export the network with fixed input shapes")
    shape = []
    for i, dim in enumerate(value.type.tensor_type.shape.dim):
        if dim.WhichOneof("value") == "dim_value" and dim.dim_value != -1:
            size = int(dim.dim_value)
        else:
            # without a size it has its own problem already
            size = max(1, sizes.get(_symbol(value.name, i, dim), 1))
        if size < 0:
            raise size_error(i, size, at)
        shape.append(size)
    check_size("it", tuple(shape), at)
    return Info(tuple(shape), dtype_name(value.type.tensor_type.elem_type, at))


def size_error(position: int, size: int, at: str) -> ModelError:
    """An input whose axis `position` has no elements, where that leaves nothing to compute."""
    return ModelError(
        f"a size must be positive, and axis {position} is {size}",
        where=at,
        remedy="export the network with a fixed input shape",
    )


def _declared_info(value: Any, sizes: Mapping[str, int], where: str) -> Info | None:
    """The shape the file states for a tensor; None where it is incomplete."""
    tensor = value.type.tensor_type
    if not value.type.HasField("tensor_type") or not tensor.HasField("shape") or not tensor.elem_type:
        return None
    shape = [int(dim.dim_value) or sizes.get(dim.dim_param, 0) for dim in tensor.shape.dim]
    return (
        Info(tuple(shape), dtype_name(tensor.elem_type, f"{where}: tensor '{value.name}'"))
        if all(size > 0 for size in shape)
        else None
    )


def named(protos: Iterable[Any], opset: int, prefix: str = "") -> Iterable[Node]:
    """Nodes with unique names after `prefix`: their own, or `<op_type>_<index>` where that is empty or repeated."""
    protos = list(protos)
    own = {proto.name for proto in protos}
    seen: set[str] = set()
    for index, proto in enumerate(protos):
        name = proto.name
        if not name or name in seen:
            name = f"{proto.op_type}_{index}"
            while name in seen or name in own:
                name += "_"
        seen.add(name)
        attributes = {attribute.name: _attribute(attribute) for attribute in proto.attribute}
        yield Node(prefix + name, proto.op_type, tuple(proto.input), tuple(proto.output), attributes, proto, opset)


def _attribute(attribute: Any) -> Any:
    # a reference that is left has no value: the call did not give it
    return None if attribute.ref_attr_name else onnx.helper.get_attribute_value(attribute)


def needs(node: Node) -> tuple[str, ...]:
    """Tensors that a node reads, those that its branches and bodies take from outside too."""
    names = [*node.inputs]
    for attribute in node.proto.attribute:
        for graph in (attribute.g, *attribute.graphs) if attribute.type in GRAPHS else ():
            names += _captured(graph)
    return tuple(dict.fromkeys(filter(None, names)))


def _captured(graph: Any) -> list[str]:
    own = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
    own |= {output for node in graph.node for output in node.output}
    names = [output.name for output in graph.output]
    for node in graph.node:
        names += node.input
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs) if attribute.type in GRAPHS else ():
                names += _captured(inner)
    return [name for name in names if name not in own]


def _sorted(
    nodes: tuple[Node, ...],
    given: set[str],
    outputs: tuple[str, ...],
    where: str,
    problems: Gathered[ModelError],
) -> tuple[Node, ...]:
    """Nodes in topological order, each as early as the file has it; as they stand where that cannot be."""
    maker: dict[str, Node] = {}
    for node in nodes:
        for output in filter(None, node.outputs):
            if output in maker or output in given:
                other = f"node '{maker[output].name}'" if output in maker else "an input or initializer"
                problems.add(
                    ModelError(
                        f"a tensor must have one producer, and '{output}' is also made by {other}",
                        where=f"{where}: node '{node.name}'",
                        remedy="export the network again",
                    )
                )
            maker.setdefault(output, node)
    missing: dict[str, list[str]] = {}
    for node in nodes:
        for tensor in needs(node):
            if tensor not in maker and tensor not in given:
                missing.setdefault(tensor, []).append(node.name)
    for tensor, users_of in missing.items():
        more = f" and {len(users_of) - 1} more" if len(users_of) > 1 else ""
        problems.add(
            ModelError(
                f"input '{tensor}' must be made by a node, or be an input or initializer of the graph",
                where=f"{where}: node '{users_of[0]}'{more}",
                remedy="export the network again",
            )
        )
    for tensor in outputs:
        if tensor not in maker and tensor not in given:
            problems.add(
                ModelError(
                    f"output '{tensor}' must be made by a node, or be an input or initializer of the graph",
                    where=where,
                    remedy="export the network again",
                )
            )
    waits = {node.name: {maker[t].name for t in needs(node) if t in maker} for node in nodes}
    users: dict[str, list[int]] = {}
    for index, node in enumerate(nodes):
        for name in waits[node.name]:
            users.setdefault(name, []).append(index)
    ready = [index for index, node in enumerate(nodes) if not waits[node.name]]
    heapq.heapify(ready)
    ordered: list[Node] = []
    while ready:
        node = nodes[heapq.heappop(ready)]
        ordered.append(node)
        for index in users.get(node.name, ()):
            waiting = waits[nodes[index].name]
            waiting.discard(node.name)
            if not waiting:
                heapq.heappush(ready, index)
    if len(ordered) == len(nodes):
        return tuple(ordered)
    done = {node.name for node in ordered}
    stuck = _on_cycle({node.name: waits[node.name] for node in nodes if node.name not in done})
    problems.add(
        ModelError(
            "a network must have no cycle, and this node needs its own output",
            where=f"{where}: node '{stuck}'",
            remedy="export the network again, with its recurrence unrolled",
        )
    )
    return nodes


def _on_cycle(waits: Mapping[str, set[str]]) -> str:
    """A node on a cycle: walking back from any stuck node must come round."""
    seen: set[str] = set()
    name = min(waits)
    while name not in seen:
        seen.add(name)
        name = min(other for other in waits[name] if other in waits)
    return name

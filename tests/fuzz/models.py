"""Networks that somebody spoilt: small networks with nodes, attributes, shapes, types, names or bytes changed."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIZES = (0, -1, -7, 1, 2, 3, 7, 1000, 2**31 - 1, 2**31, 10**9, 2**40, 2**62, 2**63 - 1, -(2**63))
"""What a size or an integer attribute is changed to."""

ZOO = ("resnet8", "deepautoencoder", "ds_cnn", "fsrcnn", "mobilenet_v1_025", "squeezenet", "mobilenet_v2")


@cache
def _zoo(name: str) -> bytes:
    """A zoo network whose large weights have a shape and no data, as reading takes them."""
    from weft import zoo

    model = zoo.build(name)
    for tensor in model.graph.initializer:
        if len(tensor.raw_data) > 4096:
            tensor.ClearField("raw_data")
    return bytes(model.SerializeToString())


def mutant(seed: int) -> tuple[bytes, bool]:
    """An ONNX file, and whether it is of a network small enough to be run; the same for the same seed."""
    dice = random.Random(seed)
    small = dice.random() < 0.7
    model = _random_network(dice) if small else onnx.load_model_from_string(_zoo(dice.choice(ZOO)))
    if dice.random() < 0.8:
        for _ in range(dice.randint(1, 3)):
            dice.choice(_STRUCTURAL)(dice, model)
    content = bytes(model.SerializeToString())
    if dice.random() < 0.2:
        for _ in range(dice.randint(1, 4)):
            content = _bytes(dice, content)
    return content, small


def _bytes(dice: random.Random, content: bytes) -> bytes:
    at = dice.randrange(len(content) or 1)
    how = dice.randrange(4)
    if how == 0:
        return content[:at]
    if how == 1:
        return content[:at] + bytes([content[at] ^ (1 << dice.randrange(8))]) + content[at + 1 :] if content else b"\0"
    if how == 2:
        return content[:at] + content[at + dice.randint(1, 8) :]
    return content[:at] + dice.randbytes(dice.randint(1, 8)) + content[at:]


def _random_network(dice: random.Random) -> Any:
    """A chain with branches of up to eight nodes over images or rows, valid but for what `mutant` does to it."""
    image = dice.random() < 0.7
    shape: tuple[int, ...] = (1, dice.choice([1, 4, 6]), 8, 8) if image else (dice.choice([1, 4]), 12)
    tensors: list[tuple[str, tuple[int, ...]]] = [("x", shape)]
    nodes: list[Any] = []
    weights: dict[str, Any] = {}

    def weight(*sizes: int) -> str:
        name = f"w{len(weights)}"
        weights[name] = np.ones(sizes, np.float32)
        return name

    def add(op_type: str, inputs: list[str], sizes: tuple[int, ...], **attributes: Any) -> None:
        name = f"t{len(nodes)}"
        nodes.append(helper.make_node(op_type, inputs, [name], name=f"n{len(nodes)}", **attributes))
        tensors.append((name, sizes))

    for _ in range(dice.randint(1, 8)):
        name, sizes = tensors[-1] if dice.random() < 0.8 else dice.choice(tensors)
        kind = dice.randrange(8)
        if kind == 0 and len(sizes) == 4:
            out, k = dice.choice([2, 4, 6]), dice.choice([1, 3])
            strides = [dice.choice([1, 2])] * 2
            side = tuple(-(-size // strides[0]) for size in sizes[2:])
            inputs = [name, weight(out, sizes[1], k, k), *([weight(out)] if dice.random() < 0.5 else [])]
            add("Conv", inputs, (sizes[0], out, *side), strides=strides, pads=[k // 2] * 4)
        elif kind == 1 and len(sizes) == 4 and min(sizes[2:]) >= 2:
            side = tuple(size // 2 for size in sizes[2:])
            add(
                dice.choice(["MaxPool", "AveragePool"]),
                [name],
                (*sizes[:2], *side),
                kernel_shape=[2, 2],
                strides=[2, 2],
            )
        elif kind == 2 and len(sizes) == 4:
            add("GlobalAveragePool", [name], (*sizes[:2], 1, 1))
        elif kind == 3 and len(sizes) == 4:
            add("Flatten", [name], (sizes[0], sizes[1] * sizes[2] * sizes[3]))
        elif kind in (0, 1, 3) and len(sizes) == 2:
            out = dice.choice([3, 8])
            op_type = dice.choice(["Gemm", "MatMul"])
            add(op_type, [name, weight(sizes[1], out)], (sizes[0], out))
        elif kind == 4:
            add("Softmax", [name], sizes)
        elif kind == 5:
            same = [other for other, there in tensors if there == sizes]
            add(dice.choice(["Add", "Mul"]), [name, dice.choice(same)], sizes)
        elif kind == 6:
            same = [other for other, there in tensors if there == sizes]
            add("Concat", [name, dice.choice(same)], (sizes[0], 2 * sizes[1], *sizes[2:]), axis=1)
        elif kind == 7 and len(sizes) == 4:
            add("Transpose", [name], (sizes[0], sizes[2], sizes[3], sizes[1]), perm=[0, 2, 3, 1])
        else:
            add(dice.choice(["Relu", "Sigmoid", "Gelu", "Identity"]), [name], sizes)
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "net",
        [value("x", TensorProto.FLOAT, shape)],
        [value(tensors[-1][0], TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
        value_info=[value(name, TensorProto.FLOAT, sizes) for name, sizes in tensors[1:-1] if dice.random() < 0.5],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", dice.choice([8, 13, 17, 20]))])


def _drop_node(dice: random.Random, model: Any) -> None:
    if model.graph.node:
        del model.graph.node[dice.randrange(len(model.graph.node))]


def _double_node(dice: random.Random, model: Any) -> None:
    """A node again: with its outputs, or with others."""
    if model.graph.node:
        again = onnx.NodeProto()
        again.CopyFrom(dice.choice(model.graph.node))
        if dice.random() < 0.5:
            again.output[:] = [f"{name}_again" for name in again.output]
        model.graph.node.append(again)


def _retype_node(dice: random.Random, model: Any) -> None:
    if model.graph.node:
        node = dice.choice(model.graph.node)
        node.op_type = dice.choice(_OPERATORS)
        if dice.random() < 0.1:
            node.domain = dice.choice(["mine", "com.microsoft", "ai.onnx.ml"])


_OPERATORS = sorted({schema.name for schema in onnx.defs.get_all_schemas() if schema.domain == ""} | {"Foo", ""})


def _rewire(dice: random.Random, model: Any) -> None:
    """Another input: some tensor of the graph, none, one that is not there, one fewer or more."""
    graph = model.graph
    if not graph.node:
        return
    node = dice.choice(graph.node)
    names = [*(name for other in graph.node for name in other.output), *(item.name for item in graph.initializer)]
    names += [item.name for item in graph.input] + ["", "nobody"]
    how = dice.randrange(4)
    if how == 0 and node.input:
        node.input.pop()
    elif how == 1 or not node.input:
        node.input.append(dice.choice(names))
    else:
        node.input[dice.randrange(len(node.input))] = dice.choice(names)


def _rename(dice: random.Random, model: Any) -> None:
    graph = model.graph
    things = [*graph.node, *graph.initializer, *graph.input, *graph.output, *graph.value_info]
    thing = dice.choice(things)
    thing.name = dice.choice(
        ["", "x", "имя", "a\nb", "t0", "w0", "n0", "y" * 3000, "\x1b[2J", dice.choice(things).name]
    )


def _attribute(dice: random.Random, model: Any) -> None:
    """An attribute with another value or type, or one that is not there."""
    nodes = [node for node in model.graph.node if node.attribute] or list(model.graph.node)
    if not nodes:
        return
    node = dice.choice(nodes)
    if not node.attribute or dice.random() < 0.2:
        name = dice.choice(["axis", "axes", "perm", "pads", "strides", "group", "kernel_shape", "auto_pad", "mode"])
        name = dice.choice([name, "dilations", "keepdims", "ceil_mode", "split", "blocksize", "transA", "to", "nobody"])
        if name not in {item.name for item in node.attribute}:
            node.attribute.append(helper.make_attribute(name, _value(dice)))
        return
    chosen = dice.choice(node.attribute)
    if chosen.type == onnx.AttributeProto.INTS and dice.random() < 0.7:
        values = list(chosen.ints)
        if values and dice.random() < 0.7:
            values[dice.randrange(len(values))] = dice.choice(SIZES)
        elif dice.random() < 0.5:
            values.append(dice.choice(SIZES))
        else:
            values = values[:-1]
        chosen.ints[:] = values
    elif chosen.type == onnx.AttributeProto.INT and dice.random() < 0.7:
        chosen.i = dice.choice(SIZES)
    else:
        chosen.CopyFrom(helper.make_attribute(chosen.name, _value(dice)))


def _value(dice: random.Random) -> Any:
    many: list[Callable[[], Any]] = [
        lambda: dice.choice(SIZES),
        lambda: [dice.choice(SIZES) for _ in range(dice.randint(1, 5))],
        lambda: dice.choice([0.5, -1.0, float("nan"), float("inf")]),
        lambda: dice.choice(["SAME_UPPER", "linear", "nonsense", "имя"]),
        lambda: numpy_helper.from_array(np.zeros(dice.choice([(), (0,), (3,)]), np.float32), "v"),
    ]
    return dice.choice(many)()


def _reshape(dice: random.Random, model: Any) -> None:
    """The shape of an input, an output or something between."""
    values = [*model.graph.input, *model.graph.input, *model.graph.output, *model.graph.value_info]
    values = [value for value in values if value.type.HasField("tensor_type")]
    if not values:
        return
    shape = dice.choice(values).type.tensor_type.shape
    how = dice.randrange(5)
    if how == 0:
        shape.dim.add().dim_value = dice.choice(SIZES)
    elif how == 1 and shape.dim:
        shape.dim.pop()
    elif how == 2 and shape.dim:
        dice.choice(shape.dim).dim_param = dice.choice(["batch", "x_0", "N", ""])
    elif shape.dim:
        dice.choice(shape.dim).dim_value = dice.choice(SIZES)


def _no_shape(dice: random.Random, model: Any) -> None:
    if model.graph.input:
        kind = dice.choice(model.graph.input).type
        if dice.random() < 0.5:
            kind.tensor_type.ClearField("shape")
        elif dice.random() < 0.5:
            kind.Clear()
        else:
            kind.sequence_type.elem_type.tensor_type.elem_type = TensorProto.FLOAT


def _weight(dice: random.Random, model: Any) -> None:
    """An initializer with another shape or type, with other data, or without any."""
    if not model.graph.initializer:
        return
    tensor = dice.choice(model.graph.initializer)
    how = dice.randrange(5)
    if how == 0 and tensor.dims:
        tensor.dims[dice.randrange(len(tensor.dims))] = dice.choice(SIZES)
    elif how == 1:
        tensor.dims.append(dice.choice(SIZES))
    elif how == 2:
        tensor.data_type = dice.choice([0, 1, 2, 3, 6, 7, 8, 9, 10, 11, 14, 16, 17, 21, 99])
    elif how == 3:
        tensor.ClearField("raw_data")
    else:
        tensor.raw_data = tensor.raw_data[: dice.randrange(len(tensor.raw_data) + 1)]


def _retype(dice: random.Random, model: Any) -> None:
    values = [*model.graph.input, *model.graph.output, *model.graph.value_info]
    if values:
        dice.choice(values).type.tensor_type.elem_type = dice.choice([0, 1, 2, 3, 6, 7, 8, 9, 10, 11, 16, 21, 22, 99])


def _opset(dice: random.Random, model: Any) -> None:
    how = dice.randrange(3)
    if how == 0:
        del model.opset_import[:]
    elif how == 1 and model.opset_import:
        model.opset_import[0].version = dice.choice([0, 1, 6, 9, 12, 22, 99, -1, 2**31])
    else:
        model.opset_import.append(helper.make_opsetid(dice.choice(["", "mine", "ai.onnx.ml"]), dice.choice([1, 7, 99])))


def _ends(dice: random.Random, model: Any) -> None:
    """An input or output left out, doubled or added."""
    ends = dice.choice([model.graph.input, model.graph.output])
    how = dice.randrange(3)
    if how == 0 and ends:
        del ends[dice.randrange(len(ends))]
    elif how == 1 and ends:
        ends.append(dice.choice(ends))
    else:
        ends.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, [1, 2]))


_STRUCTURAL = (
    *(
        _drop_node,
        _double_node,
        _retype_node,
        _retype_node,
        _rewire,
        _rewire,
        _rename,
        _attribute,
        _attribute,
        _attribute,
    ),
    *(_reshape, _reshape, _no_shape, _weight, _weight, _retype, _opset, _ends),
)

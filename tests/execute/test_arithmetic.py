"""Small networks with random weights, cut into tiles, against ONNX Runtime: node tests often have weights of one."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.execute.by_hand import schedule_by_hand
from weft.execute.numerics import check_numerics, outputs_of
from weft.read.fold import fold
from weft.read.onnx import read_graph, read_model

RNG = np.random.default_rng(7)
KINDS = {"f": TensorProto.FLOAT, "i": TensorProto.INT64, "b": TensorProto.BOOL}


def weight(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def ints(*values):
    return np.asarray(values, np.int64)


def network(nodes, inputs, outputs, weights, opset):
    """A model; `inputs` are shapes, or (kind, shape), by name; nodes are (operator, inputs, outputs, attributes)."""
    typed = {name: given if given and isinstance(given[0], str) else ("f", given) for name, given in inputs.items()}
    graph = helper.make_graph(
        [
            helper.make_node(op, read.split(","), made.split(","), name=f"n{number}", **attributes)
            for number, (op, read, made, attributes) in enumerate(nodes)
        ],
        "net",
        [helper.make_tensor_value_info(name, KINDS[kind], shape) for name, (kind, shape) in typed.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def numerics(model, folds=frozenset()):
    workload = fold(read_model(model), folds)
    return check_numerics(workload, schedule_by_hand(workload), "m", read_graph(model), model)


def check(nodes, inputs, weights, outputs=("y",), opset=17, folds=frozenset()):
    found = numerics(network(nodes, inputs, outputs, weights, opset), folds)
    assert found.status in ("exact", "close"), found.reason


@pytest.mark.parametrize("way", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize(("operator", "gates"), [("LSTM", 4), ("GRU", 3), ("RNN", 1)])
@pytest.mark.parametrize("given", ["nothing", "biases", "states"])
def test_recurrent_cells(operator, gates, way, given):
    steps, batch, width, hidden, ways = 3, 2, 5, 4, 2 if way == "bidirectional" else 1
    weights = {"w": weight(ways, gates * hidden, width), "r": weight(ways, gates * hidden, hidden)}
    read = "x,w,r"
    if given != "nothing":
        weights["b"] = weight(ways, 2 * gates * hidden)
        read += ",b"
    inputs = {"x": (steps, batch, width)}
    if given == "states":
        inputs["h"] = (ways, batch, hidden)
        read += ",,h"
        if operator == "LSTM":
            inputs["c"] = (ways, batch, hidden)
            read += ",c"
    made = "y,h1,c1" if operator == "LSTM" else "y,h1"
    node = (operator, read, made, {"hidden_size": hidden, "direction": way})
    check([node], inputs, weights, tuple(made.split(",")))


@pytest.mark.parametrize("after", [0, 1])
def test_a_gru_resets_before_or_after_its_product(after):
    weights = {"w": weight(1, 12, 5), "r": weight(1, 12, 4), "b": weight(1, 24)}
    node = ("GRU", "x,w,r,b,,h", "y,h1", {"hidden_size": 4, "linear_before_reset": after})
    check([node], {"x": (3, 2, 5), "h": (1, 2, 4)}, weights, ("y", "h1"))


@pytest.mark.parametrize(
    ("attributes", "groups"),
    [
        ({}, 1),
        ({"strides": [2, 2]}, 1),
        ({"strides": [2, 3], "pads": [1, 0, 1, 2]}, 1),
        ({"strides": [2, 2], "output_padding": [1, 1]}, 2),
        ({"dilations": [2, 2]}, 1),
        ({"strides": [3, 2], "dilations": [2, 1]}, 1),
        ({"strides": [2, 2], "auto_pad": "SAME_UPPER"}, 1),
    ],
)
def test_transposed_convolutions(attributes, groups):
    node = ("ConvTranspose", "x,w,b", "y", {**attributes, "group": groups})
    check([node], {"x": (2, 4, 5, 6)}, {"w": weight(4, 3, 3, 4), "b": weight(3 * groups)})


@pytest.mark.parametrize(
    ("attributes", "shape", "kernel"),
    [
        ({"pads": [1, 2, 0, 1], "strides": [2, 1]}, (2, 4, 9, 8), (6, 4, 3, 2)),
        ({"dilations": [2, 3], "pads": [2, 3, 2, 3]}, (1, 4, 9, 8), (6, 4, 3, 3)),
        ({"group": 2, "auto_pad": "SAME_LOWER", "strides": [2, 2]}, (1, 4, 9, 8), (6, 2, 3, 3)),
        ({"group": 4}, (2, 4, 9), (4, 1, 3)),
        ({}, (1, 3, 5, 6, 4), (5, 3, 2, 2, 2)),
    ],
)
def test_convolutions(attributes, shape, kernel):
    relu = ("Relu", "a", "y", {})
    weights = {"w": weight(*kernel), "b": weight(kernel[0])}
    check([("Conv", "x,w,b", "a", attributes), relu], {"x": shape}, weights)
    check([("Conv", "x,w,b", "a", attributes), relu], {"x": shape}, weights, folds=frozenset({"Relu"}))


@pytest.mark.parametrize(
    ("operator", "attributes"),
    [
        ("MaxPool", {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 0, 1, 1]}),
        ("MaxPool", {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1}),
        ("MaxPool", {"kernel_shape": [2, 2], "dilations": [2, 2]}),
        ("AveragePool", {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
        ("AveragePool", {"kernel_shape": [3, 3], "pads": [1, 1, 0, 2], "count_include_pad": 1}),
        ("AveragePool", {"kernel_shape": [3, 2], "strides": [2, 2], "ceil_mode": 1}),
        ("LpPool", {"kernel_shape": [2, 2], "strides": [1, 2], "p": 3}),
        ("GlobalAveragePool", {}),
        ("GlobalMaxPool", {}),
    ],
)
def test_pools(operator, attributes):
    check([(operator, "x", "y", attributes)], {"x": (2, 3, 7, 9)}, {})


def test_the_places_of_maxima():
    node = ("MaxPool", "x", "y,at", {"kernel_shape": [2, 2], "strides": [2, 1], "pads": [1, 0, 0, 1]})
    check([node, ("Cast", "at", "z", {"to": TensorProto.FLOAT})], {"x": (2, 3, 6, 5)}, {}, ("y", "z"))


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("way", ["half_pixel", "align_corners", "asymmetric", "pytorch_half_pixel"])
@pytest.mark.parametrize("scales", [(2.0, 2.0), (1.5, 0.6), (3.0, 1.0)])
def test_resizes(mode, way, scales):
    node = ("Resize", "x,,s", "y", {"mode": mode, "coordinate_transformation_mode": way})
    check([node], {"x": (1, 2, 6, 10)}, {"s": np.asarray((1.0, 1.0, *scales), np.float32)})


@pytest.mark.parametrize(
    ("nodes", "inputs", "weights"),
    [
        ([("Gemm", "x,w,c", "y", {"alpha": 0.5, "beta": 2.0, "transB": 1})], {"x": (5, 6), "c": (5, 4)},
         {"w": weight(4, 6)}),
        ([("Gemm", "x,w,c", "y", {"alpha": 0.5, "beta": 2.0, "transA": 1})], {"x": (6, 5)},
         {"w": weight(6, 4), "c": weight(4)}),
        ([("MatMul", "x,z", "y", {})], {"x": (2, 1, 5, 6), "z": (3, 6, 4)}, {}),
        ([("MatMul", "x,z", "y", {})], {"x": (6,), "z": (3, 6, 4)}, {}),
        ([("Einsum", "x,z", "y", {"equation": "bhid,bhjd->bhij"})], {"x": (2, 3, 4, 5), "z": (2, 3, 6, 5)}, {}),
        ([("Einsum", "x", "y", {"equation": "abc->ca"})], {"x": (2, 3, 4)}, {}),
        ([("BatchNormalization", "x,s,b,m,v", "y", {})], {"x": (2, 4, 3, 3)},
         {"s": weight(4), "b": weight(4), "m": weight(4), "v": np.abs(weight(4))}),
        ([("LayerNormalization", "x,s,b", "y", {})], {"x": (2, 5, 8)}, {"s": weight(8), "b": weight(8)}),
        ([("InstanceNormalization", "x,s,b", "y", {})], {"x": (2, 4, 5, 3)}, {"s": weight(4), "b": weight(4)}),
        ([("LRN", "x", "y", {"size": 3})], {"x": (2, 6, 4, 4)}, {}),
        ([("Softmax", "x", "y", {"axis": 1})], {"x": (3, 5, 4)}, {}),
        ([("PRelu", "x,s", "y", {})], {"x": (2, 4, 5, 3)}, {"s": weight(4, 1, 1)}),
        ([("Pad", "x,p", "y", {})], {"x": (2, 3, 4)}, {"p": ints(0, 1, 2, 1, 0, 3)}),
        ([("Pad", "x,p", "y", {"mode": "reflect"})], {"x": (2, 3, 6)}, {"p": ints(0, 0, 2, 0, 0, 3)}),
        ([("Slice", "x,a,b,c,d", "y", {})], {"x": (4, 9, 5)},
         {"a": ints(8, 0), "b": ints(0, 5), "c": ints(1, 2), "d": ints(-3, 2)}),
        ([("Gather", "x,i", "y", {"axis": 1})], {"x": (3, 7, 4), "i": ("i", (2, 3))}, {}),
        ([("Transpose", "x", "t", {"perm": [2, 0, 1]}), ("Reshape", "t,s", "r", {}), ("Mul", "r,r", "y", {})],
         {"x": (4, 3, 6)}, {"s": ints(2, 3, 12)}),
        ([("Split", "x", "a,b", {"axis": 1, "num_outputs": 2}), ("Concat", "b,a", "y", {"axis": 2})],
         {"x": (2, 6, 3)}, {}),
        ([("DepthToSpace", "x", "y", {"blocksize": 2, "mode": "CRD"})], {"x": (1, 8, 3, 4)}, {}),
        ([("Tile", "x,n", "y", {})], {"x": (2, 3, 4)}, {"n": ints(1, 2, 3)}),
        ([("Expand", "x,s", "y", {})], {"x": (1, 3, 1)}, {"s": ints(2, 3, 4)}),
        ([("TopK", "x,k", "y,i", {"axis": 1})], {"x": (3, 9, 2)}, {"k": ints(4)}),
        ([("CumSum", "x,a", "y", {"reverse": 1})], {"x": (3, 9, 2)}, {"a": ints(1)[0]}),
        ([("Cast", "x", "h", {"to": TensorProto.FLOAT16}), ("Cast", "h", "y", {"to": TensorProto.FLOAT})],
         {"x": (3, 9)}, {}),
        ([("Exp", "x", "e", {}), ("Cast", "e", "h", {"to": TensorProto.INT32}), ("Add", "h,h", "s", {}),
          ("Cast", "s", "c", {"to": TensorProto.FLOAT}), ("Mul", "c,e", "y", {})], {"x": (3, 9)}, {}),
        ([("ReduceMean", "x", "y", {"axes": [1, 3], "keepdims": 0})], {"x": (2, 3, 4, 5)}, {}),
        ([("Where", "c,x,z", "y", {})], {"c": ("b", (4, 1)), "x": (4, 5), "z": (1, 5)}, {}),
    ],
    ids=lambda value: "-".join(node[0] for node in value) if isinstance(value, list) else "",
)  # fmt: skip
def test_operators(nodes, inputs, weights):
    opset = 18 if nodes[0][0] == "Split" else 17
    check(nodes, inputs, weights, opset=opset)


def test_operators_before_set_seven_are_aligned_as_they_say():
    # ONNX Runtime has them no more
    added = weight(4)
    model = network([("Add", "x,w", "y", {"axis": 1, "broadcast": 1})], {"x": (2, 4, 3)}, ("y",), {"w": added}, 6)
    workload, x = read_model(model), weight(2, 4, 3)
    made = outputs_of(workload, schedule_by_hand(workload), "m", read_graph(model), {"x": x})
    np.testing.assert_array_equal(made["y"], x + added[:, None])


def test_a_softmax_before_set_thirteen_takes_all_axes_from_its_own_on():
    check([("Softmax", "x", "y", {"axis": 1})], {"x": (3, 4, 5)}, {}, opset=11)

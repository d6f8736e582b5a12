"""Networks with quantisers in them: which tensors get which width, and what becomes of every node."""

from __future__ import annotations

import numpy as np
import pytest
from interpret import make_model, random
from onnx import TensorProto, helper

from weft.errors import ModelError
from weft.model.chip import Precision
from weft.read.fold import fold
from weft.read.onnx import read_model
from weft.read.precision import assume_precision
from weft.report.coverage import coverage

node = helper.make_node

F32 = np.float32
STEP = {"s": F32(0.1), "s2": F32(0.2), "z": np.int8(3), "z0": np.int8(0)}
KERNEL = {"w": np.ones((4, 3, 3, 3), np.int8), "ws": np.full(4, 0.5, F32), "b": np.ones(4, np.int32)}
IMAGE = {"x": [1, 3, 8, 8]}


def quantised(data, name, scale="s", zero="z"):
    """A pair: `name`_q, and `name`."""
    return [
        node("QuantizeLinear", [data, scale, zero], [f"{name}_q"], name=f"Q.{name}"),
        node("DequantizeLinear", [f"{name}_q", scale, zero], [name], name=f"DQ.{name}"),
    ]


KERNEL_DQ = [
    node("DequantizeLinear", ["w", "ws"], ["wf"], name="DQ.w", axis=0),
    node("DequantizeLinear", ["b", "ws"], ["bf"], name="DQ.b", axis=0),
]
CONV = [*KERNEL_DQ, node("Conv", ["xf", "wf", "bf"], ["c"], name="conv")]


def read(nodes, outputs=("y",), weights=None, folds=("Relu",), inputs=None, opset=17):
    """The folded workload; nothing of the file is lost."""
    model = make_model(nodes, inputs or IMAGE, dict.fromkeys(outputs), STEP | KERNEL | (weights or {}), opset=opset)
    plain = read_model(model)
    result = fold(plain, frozenset(folds))
    for workload in (plain, result):
        assert [item for item in coverage(workload) if item.fate == "lost"] == []
    assert result.macs == plain.macs
    return result


def ops(workload):
    return [(op.name, op.folded) for op in workload.ops]


def types(workload, op):
    """What each operand of an op holds."""
    tensors = {tensor.name: tensor for tensor in workload.tensors}
    (found,) = (item for item in workload.ops if item.name == op)
    return {item.name: str(tensors[item.tensor].type) for item in found.operands}


def notes(workload, subject):
    return [note.text for note in workload.notes if note.subject == subject]


def test_a_quantised_convolution_reads_and_writes_integers():
    net = read([*quantised("x", "xf"), *CONV, *quantised("c", "y")])
    assert ops(net) == [("Q.xf", ()), ("conv", ("Q.y",))]
    assert types(net, "Q.xf") == {"I": "float32", "O": "int8 per tensor with zero point"}
    assert types(net, "conv") == {
        "I": "int8 per tensor with zero point",
        "W": "int8 per axis 0",
        "O": "int8 per tensor with zero point",
    }
    assert net.macs == 4 * 3 * 3 * 3 * 6 * 6
    bits = {tensor.name: tensor.bits for tensor in net.tensors}
    assert bits == {"x": 32, "xf_q": 8, "w": 8, "y_q": 8, "y": 8}
    assert (net.tensor("w").role, net.tensor("w").size_bits) == ("weight", 4 * 3 * 3 * 3 * 8)
    assert [(view.tensor, view.source) for view in net.views] == [("y", "y_q")]
    assert assume_precision(net, Precision(4, 4, 4)) == (net, None)


def test_what_is_free_is_said():
    net = read([*quantised("x", "xf"), *CONV, *quantised("c", "y")])
    assert notes(net, "DQ.w") == [
        "DequantizeLinear: 108 constants read as they are stored, int8 per axis 0: "
        "scales preloaded with the bias, not priced"
    ]
    assert notes(net, "DQ.xf") == ["DequantizeLinear read as a view: its readers take int8 per tensor with zero point"]
    assert notes(net, "conv") == ["bias: 4 values preloaded into the accumulators, not priced"]
    assert notes(net, "Q.y")[-1] == "QuantizeLinear folded into conv: requantised on the way out, not priced"


RELU = [*quantised("x", "xf"), *CONV, node("Relu", ["c"], ["r"], name="relu"), *quantised("r", "y")]


def test_an_activation_before_a_quantiser_is_folded_with_it():
    assert ops(read(RELU)) == [("Q.xf", ()), ("conv", ("relu", "Q.y"))]


def test_where_no_core_folds_the_activation_it_works_on_quantised_numbers():
    net = read(RELU, folds=())
    assert ops(net) == [("Q.xf", ()), ("conv", ()), ("relu", ("Q.y",))]
    assert types(net, "relu") == {"I": "int8 per tensor with zero point", "O": "int8 per tensor with zero point"}
    assert notes(net, "relu") == ["works on what conv has quantised: the result is the same"]


def test_a_sigmoid_before_a_quantiser_reads_what_the_chip_assumes():
    nodes = [*quantised("x", "xf"), *CONV, node("Sigmoid", ["c"], ["r"], name="act"), *quantised("r", "y")]
    net = read(nodes)
    assert types(net, "act") == {"I": "None", "O": "int8 per tensor with zero point"}
    priced, words = assume_precision(net, Precision(8, 8, 16))
    assert priced.tensor("c").bits == 16
    assert words == "16-bit O (the model is float32; its float32 I and int8 W and int8 O kept as given)"


def test_an_addition_of_quantised_tensors_runs_on_them():
    nodes = [*quantised("x", "a"), *quantised("x", "b_", "s2"), node("Add", ["a", "b_"], ["c"], name="add")]
    net = read([*nodes, *quantised("c", "y")])
    assert ops(net) == [("Q.a", ()), ("Q.b_", ()), ("add", ("Q.y",))]
    assert [net.tensor(item.tensor).bits for item in net.ops[-1].operands] == [8, 8, 8]


def test_a_concatenation_is_requantised_as_it_is_copied():
    nodes = [*quantised("x", "a"), *quantised("x", "b_", "s2"), node("Concat", ["a", "b_"], ["c"], name="cat", axis=1)]
    net = read([*nodes, *quantised("c", "y")])
    assert ops(net) == [("Q.a", ()), ("Q.b_", ()), ("cat.0", ("Q.y",)), ("cat.1", ("Q.y",))]
    assert {op.output.tensor for op in net.ops[2:]} == {"y_q"}


def test_a_copy_of_floats_does_not_quantise():
    nodes = [node("Concat", ["x", "x"], ["c"], name="cat", axis=1), *quantised("c", "y")]
    assert ops(read(nodes)) == [("cat.0", ()), ("cat.1", ()), ("Q.y", ())]


def test_a_quantiser_merges_through_views():
    nodes = [*quantised("x", "xf"), *CONV, node("Flatten", ["c"], ["f"], name="flat"), *quantised("f", "y")]
    net = read(nodes)
    assert ops(net) == [("Q.xf", ()), ("conv", ("Q.y",))]
    assert [net.tensor(name).bits for name in ("c", "f", "y_q", "y")] == [8] * 4
    assert net.root("y") == "c"


def test_a_quantiser_of_what_is_quantised_so_already_does_nothing():
    nodes = [*quantised("x", "a"), node("Flatten", ["a"], ["f"], name="flat"), *quantised("f", "y")]
    net = read(nodes)
    assert ops(net) == [("Q.a", ())]
    assert notes(net, "Q.y") == ["QuantizeLinear changes nothing: 'f' is that already"]


def test_another_scale_is_a_requantisation_done_by_the_op_before():
    nodes = [*quantised("x", "a"), node("Flatten", ["a"], ["f"], name="flat"), *quantised("f", "y", "s2")]
    net = read(nodes)
    assert ops(net) == [("Q.a", ("Q.y",))]
    assert [net.tensor(name).bits for name in ("a_q", "f", "y_q")] == [8, 8, 8]


def test_another_scale_for_one_of_two_readers_is_an_op_of_its_own():
    nodes = [
        *quantised("x", "a"),
        *quantised("a", "p", "s2"),
        node("Neg", ["a"], ["n"]),
        node("Add", ["p", "n"], ["y"]),
    ]
    net = read(nodes)
    assert ops(net)[:2] == [("Q.a", ()), ("Q.p", ())]
    assert [net.tensor(item.tensor).bits for item in net.ops[1].operands] == [8, 8]


def test_two_equal_quantisers_of_one_tensor_are_one():
    nodes = [*quantised("x", "xf"), *CONV, *quantised("c", "p"), *quantised("c", "q"), node("Add", ["p", "q"], ["y"])]
    net = read(nodes)
    assert ops(net)[:2] == [("Q.xf", ()), ("conv", ("Q.p",))]
    assert notes(net, "Q.q") == ["QuantizeLinear is done once, for 'p_q'"]


def test_a_quantiser_is_no_twin_of_one_that_a_clip_has_narrowed():
    nodes = [
        node("Relu", ["x"], ["c"], name="relu"),
        *quantised("c", "p")[:1],
        node("Clip", ["p_q", "low", "high"], ["narrow"], name="clip"),
        node("DequantizeLinear", ["narrow", "s", "z"], ["p"], name="DQ.p"),
        *quantised("c", "q"),
        node("MatMul", ["p", "m"], ["y"], name="few"),
        node("MatMul", ["q", "m"], ["y2"], name="all"),
    ]
    bounds = {"low": np.int8(-8), "high": np.int8(7), "m": np.ones((8, 8), F32)}
    net = read(nodes, ("y", "y2"), bounds)
    assert types(net, "few")["A"].startswith("int4")
    assert types(net, "all")["A"].startswith("int8")


def test_numbers_read_by_another_scale_than_they_were_written_by_are_quantised_again():
    write, _ = quantised("x", "a")
    nodes = [
        write,
        node("DequantizeLinear", ["a_q", "s2", "z"], ["e"], name="DQ.e"),
        *quantised("e", "d"),
        node("MatMul", ["d", "m"], ["y"], name="product"),
    ]
    net = read(nodes, weights={"m": np.ones((8, 8), F32)})
    assert ops(net) == [("Q.a", ("Q.d",)), ("product", ())]


def test_a_result_that_others_read_as_floats_is_quantised_by_an_op():
    nodes = [
        *quantised("x", "xf"),
        *CONV,
        *quantised("c", "p"),
        node("Neg", ["c"], ["n"]),
        node("Add", ["p", "n"], ["y"]),
    ]
    assert ("Q.p", ()) in ops(read(nodes))


def test_a_dequantised_tensor_may_have_many_readers():
    nodes = [*quantised("x", "a"), node("Neg", ["a"], ["n"]), node("Abs", ["a"], ["m"]), node("Add", ["n", "m"], ["y"])]
    net = read(nodes)
    assert [op.inputs[0].tensor for op in net.ops[1:3]] == ["a_q", "a_q"]


def test_weights_that_are_quantised_in_the_file_are_stored_so():
    pair = quantised("wide", "wf", "s", "z0")
    nodes = [*quantised("x", "xf"), *pair, node("Conv", ["xf", "wf"], ["y"], name="conv")]
    net = read(nodes, weights={"wide": random(4, 3, 3, 3)})
    assert types(net, "conv")["W"] == "int8 per tensor"
    assert [tensor.name for tensor in net.tensors if tensor.role == "weight"] == ["wf_q"]


def test_one_constant_under_two_dequantisers_is_stored_once():
    more = [node("DequantizeLinear", ["w", "ws"], ["wg"], axis=0), node("Conv", ["xf", "wg"], ["d"])]
    net = read([*quantised("x", "xf"), *CONV, *more, node("Add", ["c", "d"], ["y"])])
    assert [tensor.name for tensor in net.tensors if tensor.role == "weight"] == ["w"]


def test_a_transposed_weight_keeps_its_width_and_its_axis_of_scales():
    weights = {"m": np.ones((5, 192), np.int8), "ms": np.ones(5, F32)}
    nodes = [
        node("Flatten", ["xf"], ["f"]),
        node("DequantizeLinear", ["m", "ms"], ["mf"], axis=0),
        node("Transpose", ["mf"], ["t"]),
        node("MatMul", ["f", "t"], ["y"], name="mul"),
    ]
    net = read([*quantised("x", "xf"), *nodes], weights=weights)
    assert types(net, "mul")["B"] == "int8 per axis 1"
    assert (net.tensor("t").role, net.tensor("t").size_bits) == ("weight", 5 * 192 * 8)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(-8, 7, "int4"), (-7, 7, "int4 narrow"), (-128, 127, "int8"), (-1, 1, "int2 narrow"), (0, 15, "uint4")],
)
def test_a_clip_between_narrows_the_width(low, high, expected):
    bounds = {"lo": np.int8(low), "hi": np.int8(high)}

    def narrowed(data, name):
        q, dq = quantised(data, name, "s", "z0")
        dq.input[0] = f"{name}_c"
        return [q, node("Clip", [f"{name}_q", "lo", "hi"], [f"{name}_c"], name=f"clip.{name}"), dq]

    nodes = [*narrowed("x", "xf"), *narrowed("wide", "wf"), node("Conv", ["xf", "wf"], ["c"], name="conv")]
    net = read([*nodes, *narrowed("c", "y")], weights=bounds | {"wide": random(4, 3, 3, 3)})
    assert ops(net) == [("Q.xf", ()), ("conv", ("Q.y",))]
    words = f"{expected} per tensor"
    assert types(net, "conv") == {"I": words, "W": words, "O": words}


@pytest.mark.parametrize(
    ("dtype", "bits"),
    [("UINT2", 2), ("INT2", 2), ("UINT4", 4), ("INT4", 4), ("FLOAT4E2M1", 4), ("FLOAT8E4M3FN", 8), ("UINT16", 16)],
)
def test_every_type_of_zero_point_has_its_width(dtype, bits):
    zero = helper.make_tensor("zero", getattr(TensorProto, dtype), [], [0])
    model = make_model(
        [*quantised("x", "a", "s", "zero"), node("Neg", ["a"], ["y"])], IMAGE, {"y": None}, STEP, opset=25
    )
    model.graph.initializer.append(zero)
    assert read_model(model).tensor("a_q").bits == bits


def test_a_network_that_only_quantises():
    net = read([node("QuantizeLinear", ["x", "s"], ["y"], name="q")])
    assert ops(net) == [("q", ())]
    assert types(net, "q") == {"I": "float32", "O": "uint8 per tensor"}


def refused(nodes, weights=None, inputs=None):
    model = make_model(nodes, inputs or IMAGE, {"y": None}, STEP | KERNEL | (weights or {}), opset=21)
    with pytest.raises(ModelError) as caught:
        read_model(model)
    return str(caught.value)


def test_scales_that_fit_no_axis_are_refused():
    nodes = [node("QuantizeLinear", ["x", "five"], ["y"], name="q")]
    assert refused(nodes, {"five": np.ones(5, F32)}) == (
        "net: node 'q': scales and zero points must be one number, or one for each index of axis 1 of [1, 3, 8, 8], "
        "not of shape [5]; export the network again"
    )


def test_scales_that_fit_no_block_are_refused():
    nodes = [node("QuantizeLinear", ["x", "five"], ["y"], name="q", axis=2, block_size=4)]
    assert refused(nodes, {"five": np.ones((1, 3, 5, 8), F32)}) == (
        "net: node 'q': scales and zero points must be one number, or one for each block of 4 along axis 2 of "
        "[1, 3, 8, 8], not of shape [1, 3, 5, 8]; export the network again"
    )


def test_a_quantiser_without_a_scale_is_refused():
    assert refused([node("QuantizeLinear", ["x"], ["y"], name="q")]) == (
        "net: node 'q': QuantizeLinear must have at least 2 inputs, not 1; export the network again"
    )


def test_a_quantiser_of_booleans_is_refused():
    nodes = [node("Greater", ["x", "s"], ["g"]), node("QuantizeLinear", ["g", "s"], ["y"], name="q")]
    assert read_model(make_model(nodes, IMAGE, {"y": None}, STEP)).tensor("y").bits == 8
    nodes = [node("QuantizeLinear", ["x", "s"], ["q"]), node("DequantizeLinear", ["b_", "s"], ["y"], name="d")]
    assert refused(nodes, {"b_": np.ones(3, bool)}) == (
        "net: node 'd': what is quantised must be integers or floats, not bool; export the network again"
    )

"""Operators on integers have the loops of their float twins, and the widths of their operands."""

from __future__ import annotations

import numpy as np
import pytest
from interpret import make_model
from onnx import TensorProto, helper, load_model_from_string

from weft.errors import ModelError
from weft.model.chip import Precision
from weft.read.fold import fold
from weft.read.onnx import read_model
from weft.read.precision import assume_precision
from weft.report.coverage import coverage
from weft.run import run

node = helper.make_node
MS = "com.microsoft"
F32 = np.float32
SCALES = {"s": F32(0.1), "z": np.uint8(7), "ws": np.full(4, 0.5, F32), "wz": np.zeros(4, np.int8)}


def model(nodes, inputs, weights=None, dtype=TensorProto.UINT8, outputs=("y",)):
    made = make_model(nodes, inputs, dict.fromkeys(outputs), SCALES | (weights or {}), opset=17)
    made.opset_import.append(helper.make_opsetid(MS, 1))
    for value in made.graph.input:
        value.type.tensor_type.elem_type = dtype
    return load_model_from_string(made.SerializeToString())


def read(*args, **more):
    workload = fold(read_model(model(*args, **more)), frozenset())
    assert [item for item in coverage(workload) if item.fate == "lost"] == []
    return workload


def operands(workload, op=0):
    """Letter, slot, axes and type of each operand of an op."""
    tensors = {tensor.name: tensor for tensor in workload.tensors}
    return [(i.name, i.slot, i.axes, str(tensors[i.tensor].type)) for i in workload.ops[op].operands]


def float_twin(op_type, inputs, weights=None, **attributes):
    names = [*inputs, *(weights or {})]
    weights = {name: value.astype(F32) for name, value in (weights or {}).items()}
    return read_model(make_model([node(op_type, names, ["y"], **attributes)], inputs, {"y": None}, weights))


U8, I8, I8_AXIS = "uint8 per tensor with zero point", "int8 per tensor", "int8 per axis {}"
IMAGE = {"x": [2, 3, 8, 6]}
KERNEL = np.ones((4, 3, 3, 3), np.int8)
MATRIX = np.ones((5, 4), np.int8)
ALL = ("x", "s", "z")
OUT = ("s", "z")
TWO = (*ALL, *ALL)

CASES = [
    ("", "QLinearConv", (*ALL, "w", "ws", "wz", *OUT), IMAGE, {"w": KERNEL}, "Conv", (U8, "int8 per axis 0", U8), {}),
    ("", "QLinearMatMul", (*ALL, "m", "ws", "wz", *OUT), {"x": [3, 5]}, {"m": MATRIX}, "MatMul",
     (U8, "int8 per axis 1", U8), {}),
    (MS, "QGemm", (*ALL, "m", "ws", "wz", "", *OUT), {"x": [3, 5]}, {"m": MATRIX}, "Gemm",
     (U8, "int8 per axis 1", U8), {}),
    (MS, "QGemm", (*ALL, "m", "ws", "wz", "", *OUT), {"x": [3, 5]}, {"m": MATRIX.T.copy()}, "Gemm",
     (U8, "int8 per axis 0", U8), {"transB": 1}),
    (MS, "QLinearAveragePool", (*ALL, *OUT), IMAGE, {}, "AveragePool", (U8, U8),
     {"kernel_shape": [2, 2], "strides": [2, 2]}),
    (MS, "QLinearGlobalAveragePool", (*ALL, *OUT), IMAGE, {}, "GlobalAveragePool", (U8, U8), {}),
    (MS, "QLinearReduceMean", (*ALL, *OUT), IMAGE, {}, "ReduceMean", (U8, U8), {"axes": [2, 3]}),
    (MS, "QLinearSoftmax", (*ALL, *OUT), {"x": [2, 9]}, {}, "Softmax", (U8, U8), {"axis": 1}),
    (MS, "QLinearLeakyRelu", (*ALL, *OUT), IMAGE, {}, "LeakyRelu", (U8, U8), {"alpha": 0.1}),
    (MS, "QLinearSigmoid", (*ALL, *OUT), IMAGE, {}, "Sigmoid", (U8, U8), {}),
    (MS, "QLinearMul", (*ALL, "v", "s", "", *OUT), IMAGE, {"v": np.ones((3, 1, 6), np.int8)}, "Mul", (U8, I8, U8), {}),
    (MS, "QLinearAdd", (*ALL, "v", "s", "", *OUT), IMAGE, {"v": np.ones((3, 1, 6), np.int8)}, "Add", (U8, I8, U8), {}),
]  # fmt: skip


@pytest.mark.parametrize(("domain", "op_type", "names", "inputs", "weights", "twin", "types", "attributes"), CASES)
def test_loops_are_those_of_the_float_twin(domain, op_type, names, inputs, weights, twin, types, attributes):
    extra = {"opset": 17} if op_type == "QLinearSoftmax" else {}
    net = read([node(op_type, names, ["y"], name="q", domain=domain, **attributes, **extra)], inputs, weights)
    same = float_twin(twin, inputs, weights, **attributes) if twin != "ReduceMean" else None
    (op,) = net.ops
    assert (op.name, op.onnx) == ("q", op_type)
    assert [item[3] for item in operands(net)] == list(types)
    if same is not None:
        assert (op.dims, op.kind, op.macs, op.barrier) == (
            same.ops[0].dims, same.ops[0].kind, same.ops[0].macs, same.ops[0].barrier,
        )  # fmt: skip
        assert [item[:3] for item in operands(net)] == [item[:3] for item in operands(same)]
        assert net.tensor("y").shape == same.tensor("y").shape
    assert net.tensor("y").bits == 8


def test_a_mean_of_integers_reduces_its_axes():
    names = (*ALL, *OUT)
    net = read([node("QLinearReduceMean", names, ["y"], domain=MS, axes=[2, 3], keepdims=0)], IMAGE)
    assert str(net.ops[0]).endswith("reduce B2 G3 FY8 FX6")
    assert net.tensor("y").shape == (2, 3)


@pytest.mark.parametrize(
    ("op_type", "weight", "kind"), [("ConvInteger", KERNEL, "conv"), ("MatMulInteger", MATRIX, "matmul")]
)
def test_accumulators_that_leave_as_they_are_take_32_bits(op_type, weight, kind):
    inputs = IMAGE if kind == "conv" else {"x": [3, 5]}
    net = read([node(op_type, ["x", "w", "z"], ["y"], name="q")], inputs, {"w": weight})
    assert (net.ops[0].kind, [net.tensor(name).bits for name in ("x", "w", "y")]) == (kind, [8, 8, 32])


def test_a_concatenation_of_integers_is_a_copy_of_each():
    names = (*OUT, *ALL, *ALL)
    net = read([node("QLinearConcat", names, ["y"], name="cat", domain=MS, axis=1)], IMAGE)
    assert [str(op) for op in net.ops] == ["cat.0 copy B2 G3 OY8 OX6", "cat.1 copy B2 G3 OY8 OX6"]
    assert net.tensor("y").shape == (2, 6, 8, 6)
    assert str(net.tensor("y").type) == U8


def test_a_choice_reads_its_condition_first():
    names = ("c", *ALL, "v", "s", "", *OUT)
    weights = {"c": np.ones((8, 6), bool), "v": np.ones((8, 6), np.uint8)}
    net = read([node("QLinearWhere", names, ["y"], name="w", domain=MS)], IMAGE, weights)
    assert net.tensor("y").shape == (2, 3, 8, 6)
    assert [item.tensor for item in net.ops[0].inputs] == ["x", "c", "v"]


def test_an_int32_bias_is_a_note():
    names = (*ALL, "w", "ws", "wz", *OUT, "b")
    net = read([node("QLinearConv", names, ["y"], name="q")], IMAGE, {"w": KERNEL, "b": np.zeros(4, np.int32)})
    assert [note.text for note in net.notes if note.subject == "q"] == [
        "bias: 4 values preloaded into the accumulators, not priced",
        "scales and zero points preloaded with the bias, not priced",
    ]


def test_channels_last_are_refused():
    nodes = [node("QLinearGlobalAveragePool", (*ALL, *OUT), ["y"], name="p", domain=MS, channels_last=1)]
    with pytest.raises(ModelError) as caught:
        read_model(model(nodes, {"x": [1, 4, 4, 3]}))
    assert str(caught.value) == (
        "net: node 'p': QLinearGlobalAveragePool must have its channels on axis 1, not last; "
        "export the network with channels_last = 0"
    )


DYNAMIC = [
    node("DynamicQuantizeLinear", ["x"], ["q", "qs", "qz"], name="dyn"),
    node("MatMulInteger", ["q", "m", "qz"], ["acc"], name="mul"),
    node("Cast", ["acc"], ["wide"], name="cast", to=TensorProto.FLOAT),
    node("Mul", ["qs", "s"], ["both"], name="scales"),
    node("Mul", ["wide", "both"], ["y"], name="rescale"),
]


def test_a_dynamic_quantisation_finds_its_range_first():
    net = read(DYNAMIC, {"x": [3, 5]}, {"m": MATRIX}, dtype=TensorProto.FLOAT)
    assert [(op.name, op.kind) for op in net.ops] == [
        ("dyn.range", "reduce"),
        ("dyn", "elementwise"),
        ("scales", "elementwise"),
        ("mul", "matmul"),
    ]
    assert [(item.tensor, item.dims) for item in net.ops[1].operands] == [
        ("x", {"B", "G"}),
        ("qs", frozenset()),
        ("q", {"B", "G"}),
    ]
    assert {name: net.tensor(name).bits for name in ("x", "q", "qs", "y")} == {"x": 32, "q": 8, "qs": 32, "y": 32}


def test_scales_behind_a_product_of_integers_are_merged_into_it_and_read():
    net = read(DYNAMIC, {"x": [3, 5]}, {"m": MATRIX}, dtype=TensorProto.FLOAT)
    product = net.ops[-1]
    assert (product.folded, product.nodes) == (("rescale",), ("mul", "rescale"))
    assert [(item.name, item.slot, item.tensor) for item in product.operands] == [
        ("A", "I", "q"),
        ("B", "W", "m"),
        ("S", "I", "both"),
        ("O", "O", "y"),
    ]
    assert net.views == ()
    assert [note.text for note in net.notes if note.subject == "rescale"] == [
        "Mul folded into mul: done on the way out, reads its scales"
    ]


def test_scales_of_channels_made_at_run_time_follow_the_channels():
    nodes = [
        node("DynamicQuantizeLinear", ["x"], ["q", "qs", "qz"], name="dyn"),
        node("ConvInteger", ["q", "w", "qz"], ["acc"], name="conv"),
        node("Cast", ["acc"], ["wide"], to=TensorProto.FLOAT),
        node("Mul", ["qs", "cs"], ["both"], name="scales"),
        node("Mul", ["wide", "both"], ["f"], name="rescale"),
        node("Add", ["f", "b"], ["g"], name="bias"),
        node("Relu", ["g"], ["y"], name="relu"),
    ]
    weights = {"w": KERNEL, "cs": np.ones((4, 1, 1), F32), "b": np.ones((1, 4, 1, 1), F32)}
    made = model(nodes, IMAGE, weights, dtype=TensorProto.FLOAT)
    net = fold(read_model(made), frozenset({"Relu"}))
    assert [item for item in coverage(net) if item.fate == "lost"] == []
    assert [op.folded for op in net.ops] == [(), (), (), ("rescale", "bias", "relu")]
    scale = net.ops[-1].operands[2]
    assert (scale.tensor, [axis.size for axis in scale.axes], scale.dims) == ("both", [4, 1, 1], {"K"})
    assert [note.text for note in net.notes if note.subject == "bias"] == [
        "Add folded into conv: done on the way out, bias preloaded, not priced"
    ]


def test_a_product_with_a_whole_tensor_is_no_scaling():
    nodes = [
        node("MatMulInteger", ["x", "m"], ["acc"], name="mul"),
        node("Cast", ["acc"], ["wide"], to=TensorProto.FLOAT),
        node("Mul", ["wide", "full"], ["y"], name="gate"),
    ]
    net = read(nodes, {"x": [3, 5]}, {"m": MATRIX, "full": np.ones((3, 4), F32)})
    assert [op.name for op in net.ops] == ["mul", "gate"]
    priced, _ = assume_precision(net, Precision())
    assert [priced.tensor(name).bits for name in ("acc", "wide", "y")] == [32, 32, 8]


@pytest.mark.parametrize(
    ("op_type", "names"),
    [("QGemm", (*ALL, "m", "ws", "wz")), ("MatMulIntegerToFloat", ("x", "m", "s", "ws", "z", "wz", "ws"))],
)
def test_a_product_of_integers_that_leaves_as_floats(op_type, names):
    net = read([node(op_type, names, ["y"], name="q", domain=MS)], {"x": [3, 5]}, {"m": MATRIX})
    assert (net.tensor("y").dtype, net.tensor("y").type) == ("float32", None)
    assert [item[3] for item in operands(net)] == [U8, "int8 per axis 1", "None"]


def test_accumulators_that_are_also_read_as_they_are_stay():
    nodes = [
        node("MatMulInteger", ["x", "m"], ["acc"], name="mul"),
        node("Cast", ["acc"], ["wide"], to=TensorProto.FLOAT),
        node("Mul", ["wide", "s"], ["y"], name="rescale"),
        node("Neg", ["acc"], ["p"]),
    ]
    net = read(nodes, {"x": [3, 5]}, {"m": MATRIX}, outputs=("y", "p"))
    assert [op.name for op in net.ops] == ["mul", "rescale", "Neg_3"]


def test_a_dynamic_quantisation_that_is_undone_at_once_runs_with_proof(tmp_path):
    nodes = [
        node("DynamicQuantizeLinear", ["x"], ["q", "qs", "qz"], name="dyn"),
        node("DequantizeLinear", ["q", "qs", "qz"], ["d"], name="back"),
        node("Relu", ["d"], ["y"], name="relu"),
    ]
    made = model(nodes, IMAGE, dtype=TensorProto.FLOAT)
    net = fold(read_model(made), frozenset())
    assert [op.name for op in net.ops] == ["dyn.range", "dyn", "relu"]
    assert [net.tensor(item.tensor).bits for item in net.ops[-1].operands] == [8, 8]
    (tmp_path / "net.onnx").write_bytes(made.SerializeToString())
    assert run(str(tmp_path / "net.onnx"), "tpu_like", budget=1).proof.ok


def test_a_zero_point_that_is_read_as_a_tensor_is_made_by_an_op():
    nodes = [
        node("DynamicQuantizeLinear", ["x"], ["q", "qs", "qz"], name="dyn"),
        node("Cast", ["qz"], ["y"], to=TensorProto.FLOAT),
        node("Cast", ["q"], ["p"], to=TensorProto.FLOAT),
    ]
    net = read(nodes, {"x": [3, 5]}, dtype=TensorProto.FLOAT, outputs=("y", "p"))
    assert [op.name for op in net.ops][:3] == ["dyn.range", "dyn", "dyn.zero_point"]


def test_quantisers_of_the_microsoft_domain_are_the_standard_ones():
    weights = {"z16": np.uint16(9)}
    nodes = [
        node("QuantizeLinear", ["x", "s", "z16"], ["q"], name="Q", domain=MS),
        node("DequantizeLinear", ["q", "s", "z16"], ["d"], name="D", domain=MS),
        node("Neg", ["d"], ["y"]),
    ]
    net = read(nodes, IMAGE, weights, dtype=TensorProto.FLOAT)
    assert [op.name for op in net.ops] == ["Q", "Neg_2"]
    assert str(net.tensor("q").type) == "uint16 per tensor with zero point"


Q = "qonnx.custom_op.general"


def quant(data, name, bits, domain=Q, op_type="Quant", scale="s", **attributes):
    names = [data, scale, "zero", bits] if op_type != "BipolarQuant" else [data, scale]
    return node(op_type, names, [name], name=f"quant.{name}", domain=domain, **attributes)


def qonnx(nodes, inputs=None, weights=None, **more):
    given = {"zero": F32(0), "b2": F32(2), "b3": F32(3), "b4": F32(4), "b8": F32(8), "w": np.ones((4, 3, 3, 3), F32)}
    made = model(nodes, inputs or IMAGE, given | (weights or {}), dtype=TensorProto.FLOAT, **more)
    made.opset_import.append(helper.make_opsetid(Q, 1))
    workload = fold(read_model(made), frozenset({"Relu"}))
    assert [item for item in coverage(workload) if item.fate == "lost"] == []
    return workload


@pytest.mark.parametrize("domain", [Q, "onnx.brevitas", "finn.custom_op.general"])
def test_qonnx_gives_activations_and_weights_their_widths(domain):
    nodes = [
        quant("x", "xq", "b8", domain, signed=0),
        quant("w", "wq", "b2", domain, narrow=1),
        node("Conv", ["xq", "wq"], ["c"], name="conv"),
        node("Relu", ["c"], ["r"], name="relu"),
        quant("r", "y", "b4", domain, signed=0),
    ]
    net = qonnx(nodes)
    assert [(op.name, op.folded) for op in net.ops] == [("quant.xq", ()), ("conv", ("relu", "quant.y"))]
    assert [item[3] for item in operands(net, 1)] == ["uint8 per tensor", "int2 narrow per tensor", "uint4 per tensor"]
    assert net.tensor("wq").role == "weight"
    assert net.tensor("wq").size_bits == 4 * 3 * 3 * 3 * 2
    assert net.tensor("y").dtype == "float32"
    assert [net.tensor(name).bits for name in ("x", "xq", "wq", "y")] == [32, 8, 2, 4]


def test_a_quantised_weight_may_be_transposed_before_use():
    nodes = [quant("m", "mq", "b3", scale="ms"), node("Transpose", ["mq"], ["t"]), node("MatMul", ["x", "t"], ["y"])]
    weights = {"m": np.ones((4, 6), F32), "ms": np.ones((4, 1), F32)}
    net = qonnx(nodes, {"x": [2, 6]}, weights)
    assert operands(net)[1][3] == "int3 per axis 1"
    assert (net.tensor("t").role, net.tensor("t").size_bits) == ("weight", 4 * 6 * 3)


def test_bipolar_and_float_and_truncating_quantisers():
    nodes = [
        node("BipolarQuant", ["x", "s"], ["a"], domain=Q, name="bi"),
        node("Neg", ["a"], ["n"]),
        node("Trunc", ["n", "s", "zero", "b8", "b3"], ["t"], domain=Q, name="trunc"),
        node("Abs", ["t"], ["u"]),
        node("FloatQuant", ["u", "s", "b4", "b3", "b8", "b8"], ["y"], domain=Q, name="f8"),
    ]
    net = qonnx(nodes)
    assert [str(net.tensor(name).type) for name in ("a", "t", "y")] == [
        "int1 per tensor",
        "int3 per tensor",
        "float8 per tensor",
    ]
    assert [(op.name, op.folded) for op in net.ops] == [("bi", ()), ("Neg_1", ("trunc",)), ("Abs_3", ("f8",))]


def test_a_fractional_width_is_rounded_up_and_it_is_said():
    net = qonnx([quant("x", "y", "half")], weights={"half": F32(2.5)})
    assert net.tensor("y").bits == 3
    assert "2.5 bits are stored in 3" in [note.text for note in net.notes]


@pytest.mark.parametrize("width", [0.0, 33.0])
def test_a_width_out_of_range_is_refused(width):
    with pytest.raises(ModelError) as caught:
        qonnx([quant("x", "y", "wide")], weights={"wide": F32(width)})
    assert str(caught.value) == (
        f"net: node 'quant.y': a width must be above 0 and at most 32 bits, not {width:g}; "
        "quantise to a width in that range"
    )


def test_a_width_known_only_at_run_time_is_refused():
    with pytest.raises(ModelError) as caught:
        qonnx([quant("x", "y", "b")], {"x": [2, 3], "b": [1]})
    assert str(caught.value) == (
        "net: node 'quant.y': the width of Quant must be one constant number, not 'b'; "
        "simplify the model (for example with onnxslim) so that it is one"
    )


def test_an_operator_on_integers_without_its_scales_is_refused():
    with pytest.raises(ModelError) as caught:
        read([node("QLinearAdd", ["x", "s", "z", "x"], ["y"], name="a", domain=MS)], IMAGE)
    assert str(caught.value) == (
        "net: node 'a': QLinearAdd must have every tensor and its scale, and has 4 inputs; export the network again"
    )

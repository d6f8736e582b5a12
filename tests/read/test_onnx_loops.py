"""What each ONNX node turns into: loops, names, operands, roles, views and notes."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from interpret import make_model, random
from onnx import TensorProto, helper

from weft.read.onnx import read_model, read_onnx

node = helper.make_node


def loops(workload):
    return [str(op) for op in workload.ops]


def notes(workload):
    return [f"{note.subject}: {note.text}" for note in workload.notes]


def of(nodes, inputs, outputs, weights=None, **more):
    return read_model(make_model(nodes, inputs, outputs, weights, **more))


def test_a_convolution_has_all_eight_loops_even_of_size_one():
    workload = of(
        [node("Conv", ["x", "w"], ["y"], name="c")], {"x": [1, 3, 8, 6]}, {"y": None}, {"w": random(4, 3, 1, 1)}
    )
    assert loops(workload) == ["c conv B1 G1 K4 C3 OY8 OX6 FY1 FX1"]
    assert [(o.name, o.slot, o.tensor) for o in workload.ops[0].operands] == [
        ("I", "I", "x"),
        ("W", "W", "w"),
        ("O", "O", "y"),
    ]


def test_a_depthwise_convolution_has_its_channels_as_groups():
    workload = of(
        [node("Conv", ["x", "w"], ["y"], name="c", group=6)],
        {"x": [1, 6, 8, 8]},
        {"y": None},
        {"w": random(6, 1, 3, 3)},
    )
    assert loops(workload) == ["c conv B1 G6 K1 C1 OY6 OX6 FY3 FX3"]
    assert workload.macs == 6 * 6 * 6 * 3 * 3


def test_a_one_dimensional_convolution_has_no_y():
    workload = of([node("Conv", ["x", "w"], ["y"], name="c")], {"x": [1, 3, 8]}, {"y": None}, {"w": random(4, 3, 3)})
    assert loops(workload) == ["c conv B1 G1 K4 C3 OX6 FX3"]


def test_a_matrix_product_has_loops_m_n_k_and_operands_a_b_o():
    workload = of(
        [node("Gemm", ["x", "w"], ["y"], name="g", transB=1)], {"x": [2, 7]}, {"y": None}, {"w": random(5, 7)}
    )
    assert loops(workload) == ["g gemm M2 N5 K7"]
    assert [(o.name, o.slot) for o in workload.ops[0].operands] == [("A", "I"), ("B", "W"), ("O", "O")]


def test_batch_axes_of_one_have_no_loop_and_others_are_b_b2():
    workload = of([node("MatMul", ["x", "y"], ["z"], name="m")], {"x": [1, 2, 3, 4, 5], "y": [3, 5, 6]}, {"z": None})
    assert loops(workload) == ["m matmul B2 B23 M4 N6 K5"]  # B of size 2, B2 of size 3
    assert dict(workload.ops[0].dims) == {"B": 2, "B2": 3, "M": 4, "N": 6, "K": 5}
    a, b, _ = workload.ops[0].operands
    assert a.dims == {"B", "B2", "M", "K"}
    assert b.dims == {"B2", "K", "N"}


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ([4], "r elementwise G4"),
        ([2, 4], "r elementwise B2 G4"),
        ([2, 4, 5], "r elementwise B2 G4 OX5"),
        ([2, 4, 5, 6], "r elementwise B2 G4 OY5 OX6"),
        ([2, 4, 5, 6, 7], "r elementwise B2 G4 OZ5 OY6 OX7"),
        ([], "r elementwise G1"),
    ],
)
def test_elementwise_loops_are_lettered_by_rank(shape, expected):
    assert loops(of([node("Relu", ["x"], ["y"], name="r")], {"x": shape}, {"y": None})) == [expected]


def test_elementwise_operands_are_what_flows_then_constants_and_scalars_need_none():
    weights = {"s": np.float32(2.0), "v": random(3, 1, 1)}
    workload = of(
        [node("Mul", ["s", "x"], ["a"], name="scalar"), node("Mul", ["v", "a"], ["y"], name="vector")],
        {"x": [1, 3, 2, 2]}, {"y": None}, weights,
    )  # fmt: skip
    scalar, vector = workload.ops
    assert [(o.name, o.slot, o.tensor) for o in scalar.operands] == [("I", "I", "x"), ("O", "O", "a")]
    assert [(o.name, o.slot, o.tensor) for o in vector.inputs] == [("I", "I", "a"), ("I2", "W", "v")]
    assert workload.tensor("v").role == "weight"
    assert notes(workload) == ["scalar: 1 constant scalar(s) held in the instruction, not priced"]


@pytest.mark.parametrize(("operator", "dtype"), [("Mish", "float32"), ("LessOrEqual", "bool")])
def test_operators_that_onnx_defines_by_others_keep_or_broadcast_the_shape(operator, dtype):
    inputs = {"x": [2, 3]} | ({"z": [3]} if operator == "LessOrEqual" else {})
    model = make_model([node(operator, list(inputs), ["y"], name="n")], inputs, {}, opset=18)
    model.graph.output.append(onnx.ValueInfoProto(name="y"))
    workload = read_model(model)
    assert loops(workload) == ["n elementwise B2 G3"]
    assert workload.tensor("y").dtype == dtype


def test_a_third_flowing_input_takes_slot_i():
    condition = helper.make_tensor_value_info("c", TensorProto.BOOL, [2, 3])
    model = make_model([node("Where", ["c", "x", "z"], ["y"], name="w")], {"x": [2, 3], "z": [3]}, {"y": None})
    model.graph.input.append(condition)
    (op,) = read_model(model).ops
    assert [(o.name, o.slot, o.tensor) for o in op.inputs] == [("I", "I", "c"), ("I2", "W", "x"), ("I3", "I", "z")]
    assert read_model(model).tensor("c").bits == 8


def test_a_tensor_used_twice_is_read_once():
    (op,) = of([node("Mul", ["x", "x"], ["y"])], {"x": [4]}, {"y": None}).ops
    assert [operand.tensor for operand in op.inputs] == ["x"]


def test_batch_normalization_is_a_scale_and_a_shift_per_channel():
    weights = {name: random(3) for name in "abcd"}
    workload = of(
        [node("BatchNormalization", ["x", *"abcd"], ["y"], name="bn")], {"x": [1, 3, 4, 4]}, {"y": None}, weights
    )
    assert loops(workload) == ["bn elementwise B1 G3 OY4 OX4"]
    assert [operand.tensor for operand in workload.ops[0].inputs] == ["x", "a", "b"]
    assert notes(workload) == ["bn: mean and variance multiplied into scale and shift offline"]


@pytest.mark.parametrize(
    ("entry", "shape", "opset", "expected", "barrier"),
    [
        (node("Softmax", ["x"], ["y"], name="n"), [2, 3, 4], 17, "n softmax B2 G3 OX4 P3", {"OX"}),
        (node("Softmax", ["x"], ["y"], name="n", axis=1), [2, 3, 4], 17, "n softmax B2 G3 OX4 P3", {"G"}),
        (node("Softmax", ["x"], ["y"], name="n", axis=1), [2, 3, 4], 11, "n softmax B2 G3 OX4 P3", {"G", "OX"}),
        (node("LogSoftmax", ["x"], ["y"], name="n"), [2, 10], 13, "n softmax B2 G10 P3", {"G"}),
        (node("LRN", ["x"], ["y"], name="n", size=5), [1, 4, 3, 3], 8, "n norm B1 G4 OY3 OX3 P2", {"G"}),
        (node("LpNormalization", ["x"], ["y"], name="n", axis=1), [2, 4], 17, "n norm B2 G4 P2", {"G"}),
        (node("MeanVarianceNormalization", ["x"], ["y"], name="n"), [1, 2, 3, 3], 13, "n norm B1 G2 OY3 OX3 P3",
         {"B", "OY", "OX"}),
        (node("RMSNormalization", ["x", "s"], ["y"], name="n"), [2, 8], 23, "n norm B2 G8 P2", {"G"}),
    ],
)  # fmt: skip
def test_softmax_and_norms_pass_several_times_over_axes_that_stay_whole(entry, shape, opset, expected, barrier):
    weights = {"s": random(shape[-1])} if "s" in entry.input else {}
    workload = of([entry], {"x": shape}, {"y": None}, weights, opset=opset)
    assert loops(workload) == [expected]
    assert workload.ops[0].barrier == barrier
    assert "P" in workload.ops[0].reduction


def test_layer_normalization_reads_scale_and_shift_along_its_axes():
    weights = {"s": random(8), "b": random(8)}
    workload = of(
        [node("LayerNormalization", ["x", "s", "b"], ["y"], name="n")], {"x": [1, 4, 8]}, {"y": None}, weights
    )
    (op,) = workload.ops
    assert loops(workload) == ["n norm B1 G4 OX8 P3"]
    assert op.barrier == {"OX"}
    assert [(o.tensor, o.slot, o.dims) for o in op.inputs[1:]] == [("s", "W", {"OX"}), ("b", "W", {"OX"})]


def test_instance_normalization_reads_scale_and_shift_per_channel():
    weights = {"s": random(4), "b": random(4)}
    (op,) = of([node("InstanceNormalization", ["x", "s", "b"], ["y"])], {"x": [1, 4, 8, 8]}, {"y": None}, weights).ops
    assert op.barrier == {"OY", "OX"}
    assert [o.dims for o in op.inputs[1:]] == [{"G"}, {"G"}]


def test_pools_and_reductions_have_window_loops():
    workload = of(
        [
            node("MaxPool", ["x"], ["a"], name="max", kernel_shape=[3, 3], strides=[2, 2]),
            node("GlobalAveragePool", ["a"], ["b"], name="global"),
            node("ReduceMean", ["a"], ["c"], name="mean", axes=[1, 3]),
        ],
        {"x": [1, 8, 9, 7]}, {"b": None, "c": None},
    )  # fmt: skip
    assert loops(workload) == [
        "max pool B1 G8 OY4 OX3 FY3 FX3",
        "global pool B1 G8 OY1 OX1 FY4 FX3",
        "mean reduce B1 OY4 C8 FX3",
    ]


def test_a_concat_is_one_copy_per_input_that_writes_its_slice():
    workload = of(
        [node("Concat", ["x", "z"], ["y"], name="cat", axis=1)], {"x": [1, 2, 3, 3], "z": [1, 4, 3, 3]}, {"y": None}
    )
    assert loops(workload) == ["cat.0 copy B1 G2 OY3 OX3", "cat.1 copy B1 G4 OY3 OX3"]
    assert [op.output.box(op.whole())[1] for op in workload.ops] == [(0, 2), (2, 6)]


def test_a_resize_that_interpolates_counts_its_taps():
    scales = np.array([1, 1, 2, 2], dtype=np.float32)
    workload = of(
        [node("Resize", ["x", "", "s"], ["y"], name="up", mode="linear")],
        {"x": [1, 2, 3, 3]},
        {"y": None},
        {"s": scales},
    )
    assert loops(workload) == ["up pool B1 G2 OY3 OX3 SY2 SX2 FY2 FX2"]


def test_a_resize_by_a_fraction_reads_and_writes_its_axes_whole():
    sizes = np.array([1, 2, 5, 3], dtype=np.int64)
    workload = of(
        [node("Resize", ["x", "", "", "s"], ["y"], name="up")], {"x": [1, 2, 3, 3]}, {"y": None}, {"s": sizes}
    )
    (op,) = workload.ops
    assert loops(workload) == ["up copy B1 G2 OY5 OX3"]
    assert op.barrier == {"OY"}
    assert op.inputs[0].box(op.whole()) == ((0, 1), (0, 2), (0, 3), (0, 3))


def test_views_move_no_data_and_are_noted():
    workload = of(
        [
            node("Relu", ["x"], ["r"], name="relu"),
            node("Transpose", ["r"], ["t"], name="turn", perm=[1, 0]),
            node("Dropout", ["t"], ["d"], name="drop"),
            node("Cast", ["d"], ["c"], name="cast", to=TensorProto.FLOAT),
            node("Unsqueeze", ["c", "a"], ["y"], name="more"),
        ],
        {"x": [2, 3]}, {"y": None}, {"a": np.array([0], dtype=np.int64)},
    )  # fmt: skip
    assert loops(workload) == ["relu elementwise B2 G3"]
    assert [(v.tensor, v.source, v.kind, v.order, v.node) for v in workload.views] == [
        ("t", "r", "transpose", (1, 0), "turn"),
        ("d", "t", "reshape", (), "drop"),
        ("c", "d", "reshape", (), "cast"),
        ("y", "c", "reshape", (), "more"),
    ]
    assert notes(workload) == [
        "turn: Transpose read as a view: no data moves",
        "drop: Dropout dropped: it does nothing at inference",
        "cast: Cast read as a view: no data moves",
        "more: Unsqueeze read as a view: no data moves",
    ]
    assert {t.name: t.role for t in workload.tensors} == {
        "x": "input", "r": "intermediate", "t": "intermediate", "d": "intermediate", "c": "intermediate", "y": "output",
    }  # fmt: skip


def test_a_cast_to_another_width_is_an_op():
    workload = of([node("Cast", ["x"], ["y"], name="cast", to=TensorProto.FLOAT16)], {"x": [2, 3]}, {"y": None})
    assert loops(workload) == ["cast elementwise B2 G3"]
    assert (workload.tensor("x").bits, workload.tensor("y").bits) == (32, 16)


def test_a_bias_is_no_operand_and_is_noted():
    workload = of(
        [node("Conv", ["x", "w", "b"], ["y"], name="c")], {"x": [1, 3, 8, 8]}, {"y": None},
        {"w": random(4, 3, 3, 3), "b": random(4)},
    )  # fmt: skip
    assert [t.name for t in workload.tensors] == ["x", "w", "y"]
    assert notes(workload) == ["c: bias: 4 values preloaded into the accumulators, not priced"]


def test_a_gemm_that_adds_what_flows_adds_it_in_an_op():
    workload = of(
        [node("Gemm", ["x", "w", "z"], ["y"], name="g")], {"x": [2, 3], "z": [4]}, {"y": None}, {"w": random(3, 4)}
    )
    assert loops(workload) == ["g gemm M2 N4 K3", "g.add elementwise B2 G4"]
    assert workload.ops[1].inputs[0].tensor == workload.ops[0].output.tensor == "y.product"
    assert notes(workload) == ["g: 'z' is no constant: added by an op of its own, g.add"]


def test_a_factor_of_a_gemm_is_noted():
    workload = of(
        [node("Gemm", ["x", "w"], ["y"], name="g", alpha=0.5)], {"x": [2, 3]}, {"y": None}, {"w": random(3, 4)}
    )
    assert notes(workload) == ["g: alpha = 0.5 multiplied into the weights, not priced"]


def test_nodes_without_a_name_or_with_a_repeated_one_are_called_by_type_and_index():
    names = ["", "a", "a", "Relu_0"]
    nodes = [node("Relu", [f"t{i}"], [f"t{i + 1}"], name=name) for i, name in enumerate(names)]
    assert [op.name for op in of(nodes, {"t0": [2]}, {"t4": None}).ops] == ["Relu_0_", "a", "Relu_2", "Relu_0"]


def test_nodes_out_of_order_are_sorted_and_keep_their_index():
    nodes = [node("Relu", ["a"], ["y"]), node("Neg", ["x"], ["a"])]
    assert [op.name for op in of(nodes, {"x": [2]}, {"y": None}).ops] == ["Neg_1", "Relu_0"]


def test_constant_chains_are_computed_while_reading():
    nodes = [
        node("Shape", ["x"], ["s"]),
        node("Constant", [], ["i"], value_ints=[0]),
        node("Gather", ["s", "i"], ["n"]),
        node("Constant", [], ["m"], value_ints=[-1]),
        node("Concat", ["n", "m"], ["t"], axis=0),
        node("Reshape", ["x", "t"], ["r"]),
        node("Relu", ["r"], ["y"]),
    ]
    workload = of(nodes, {"x": [2, 3, 4]}, {"y": None})
    assert loops(workload) == ["Relu_6 elementwise B2 G12"]
    assert notes(workload)[0] == "Shape_0: Shape computed while reading: it depends on constants only"
    assert len(notes(workload)) == 6


def test_a_weight_that_is_transposed_in_the_graph_stays_a_weight():
    nodes = [node("Transpose", ["w"], ["t"], perm=[1, 0]), node("MatMul", ["x", "t"], ["y"], name="m")]
    workload = of(nodes, {"x": [2, 3]}, {"y": None}, {"w": random(4, 3)})
    assert loops(workload) == ["m matmul M2 N4 K3"]
    assert workload.tensor("t").role == "weight"


def test_nodes_that_no_output_needs_are_left_out_and_noted():
    nodes = [node("Relu", ["x"], ["y"]), node("Neg", ["x"], ["z"], name="idle")]
    workload = of(nodes, {"x": [2]}, {"y": None})
    assert loops(workload) == ["Relu_0 elementwise G2"]
    assert notes(workload) == ["idle: Neg left out: no output depends on it"]


def test_a_shape_that_contradicts_the_file_is_noted():
    workload = of([node("Relu", ["x"], ["y"], name="r")], {"x": [2]}, {"y": [3]})
    assert notes(workload) == ["r: 'y' is declared [3], and follows as [2]: that counts"]


def test_model_local_functions_are_inlined():
    body = [node("Sigmoid", ["x"], ["s"]), node("Sub", ["x", "s"], ["y"])]
    gate = helper.make_function("custom", "Gate", ["x"], ["y"], body, [helper.make_opsetid("", 17)])
    workload = of(
        [node("Gate", ["x"], ["y"], domain="custom", name="act")], {"x": [1, 4]}, {"y": None}, functions=[gate]
    )
    assert [op.onnx for op in workload.ops] == ["Sigmoid", "Sub"]
    assert [op.name for op in workload.ops] == ["act/Sigmoid_0", "act/Sub_1"]
    assert notes(workload) == ["act: Gate inlined by the file's function: 2 nodes named act/..."]


def test_symbolic_dims_take_the_sizes_given():
    model = make_model([node("Relu", ["x"], ["y"], name="r")], {"x": ["batch", 3]}, {"y": ["batch", 3]})
    assert loops(read_model(model, {"batch": 4})) == ["r elementwise B4 G3"]


def test_an_unnamed_dim_is_called_by_input_and_axis():
    model = make_model([node("Relu", ["x"], ["y"], name="r")], {"x": [None, 3]}, {"y": None})
    assert loops(read_model(model, {"x_0": 4})) == ["r elementwise B4 G3"]


def test_dims_called_by_a_question_mark_are_not_one_dim():
    model = make_model([node("Relu", ["x"], ["y"], name="r")], {"x": [2, "?", "?"]}, {"y": None})
    assert loops(read_model(model, {"x_1": 4, "x_2": 5})) == ["r elementwise B2 G4 OX5"]


def test_weights_of_which_only_the_shape_is_known_suffice():
    absent = TensorProto(name="v", data_type=TensorProto.FLOAT, dims=[5, 4], data_location=TensorProto.EXTERNAL)
    absent.external_data.add(key="location", value="absent.bin")
    bare = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4, 3])
    nodes = [
        node("MatMul", ["x", "t"], ["a"], name="m"),
        node("Transpose", ["w"], ["t"], name="turn"),
        node("Gemm", ["a", "v"], ["y"], name="g", transB=1),
    ]
    model = make_model(nodes, {"x": [2, 3]}, {"y": None})
    model.graph.initializer.extend([absent, bare])
    workload = read_model(model)
    assert loops(workload) == ["m matmul M2 N4 K3", "g gemm M2 N5 K4"]
    assert [(view.tensor, view.source) for view in workload.views] == [("t", "w")]


def test_bfloat16_is_read_where_the_operator_set_does_not_list_it():
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [node("Conv", ["x", "w"], ["y"], name="c")],
        "net",
        [value("x", TensorProto.BFLOAT16, [1, 3, 8, 8])],
        [value("y", TensorProto.BFLOAT16, None)],
        [TensorProto(name="w", data_type=TensorProto.BFLOAT16, dims=[4, 3, 3, 3])],
    )
    workload = read_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 8)]))
    assert {(t.name, t.dtype, t.bits) for t in workload.tensors} == {
        ("x", "bfloat16", 16), ("w", "bfloat16", 16), ("y", "bfloat16", 16),
    }  # fmt: skip


def test_widths_that_node_attributes_state_count():
    nodes = [
        node("Conv", ["x", "w"], ["y"], name="c", weight_size=4, act_size=6, output_size=5),
        node("Conv", ["y", "w"], ["z"], name="d", act_size=7),
    ]
    workload = of(nodes, {"x": [1, 3, 8, 8]}, {"z": None}, {"w": random(3, 3, 3, 3)})
    assert {t.name: t.bits for t in workload.tensors} == {"x": 6, "w": 4, "y": 5, "z": 32}


def test_a_file_is_named_after_itself_and_a_model_is_left_unchanged(tmp_path):
    model = make_model([node("Relu", ["x"], ["y"])], {"x": [2]}, {"y": None})
    before = model.SerializeToString()
    assert read_model(model).name == "net"
    assert model.SerializeToString() == before
    onnx.save(model, tmp_path / "mine.onnx")
    assert read_onnx(tmp_path / "mine.onnx").name == "mine"


def int64_input(model, *names):
    for value in model.graph.input:
        if value.name in names:
            value.type.tensor_type.elem_type = TensorProto.INT64
    return model


def test_rows_picked_at_run_time_may_be_any_and_count_once_each():
    model = make_model([node("Gather", ["w", "i"], ["y"], name="g")], {"i": [2, 3]}, {"y": None}, {"w": random(50, 8)})
    workload = read_model(int64_input(model, "i"))
    (op,) = workload.ops
    assert str(op) == "g copy B2 G3 OX8"
    indices, table, _ = op.operands
    assert (indices.tensor, indices.slot, table.tensor, table.slot) == ("i", "I", "w", "W")
    assert table.box(op.whole()) == ((0, 50), (0, 8))
    assert table.box({"B": (1, 2), "G": (0, 1), "OX": (0, 4)}) == ((0, 50), (0, 4))
    tile = op.tile({"B": (1, 2), "G": (0, 3), "OX": (0, 8)})
    assert tile.operands[1].box(tile.whole()) == ((0, 50), (0, 8))
    assert [axis.size for axis in op.counted().operands[1].axes] == [2 * 3, 8]
    assert [axis.size for axis in tile.counted().operands[1].axes] == [3, 8]
    assert notes(workload) == [
        "g: Gather: its indices are known only at run time; any element may be read, each pick counts as one"
    ]


def test_an_op_without_picks_is_priced_as_it_is():
    (op,) = of([node("Relu", ["x"], ["y"])], {"x": [2, 3]}, {"y": None}).ops
    assert op.counted() is op


def test_where_updates_go_is_unknown_so_the_axis_stays_whole():
    model = make_model(
        [node("ScatterElements", ["x", "i", "u"], ["y"], name="s", axis=1)],
        {"x": [4, 6], "i": [3, 2], "u": [3, 2]},
        {"y": None},
        opset=18,
    )
    workload = read_model(int64_input(model, "i"))
    (op,) = workload.ops
    assert str(op) == "s copy B4 G6"
    assert op.barrier == {"G"}
    assert op.operands[1].box(op.whole()) == ((0, 3), (0, 2))
    assert op.operands[1].box({"B": (3, 4), "G": (0, 6)})[0] == (3, 3)  # no update for the last row
    assert notes(workload) == [
        "s: ScatterElements: where it writes is known only at run time; the whole output is written, not in place"
    ]


def test_slices_scattered_by_coordinates_need_their_addresses_first():
    model = make_model(
        [node("ScatterND", ["x", "i", "u"], ["y"], name="s")],
        {"x": [4, 6, 5], "i": [3, 2, 2], "u": [3, 2, 5]},
        {"y": None},
        opset=18,
    )
    workload = read_model(int64_input(model, "i"))
    assert loops(workload) == ["s.address reduce B3 G2 C2", "s copy B4 G6 OX5"]
    assert workload.ops[1].barrier == {"B", "G"}
    assert {view.tensor: view.source for view in workload.views} == {"y.updates": "u", "y.at": "y.address"}
    assert workload.ops[1].operands[1].box(workload.ops[1].whole()) == ((0, 6), (0, 5))


def test_a_running_sum_goes_along_its_axis_in_order():
    workload = of([node("CumSum", ["x", "a"], ["y"], name="c")], {"x": [2, 3]}, {"y": None}, {"a": np.array(1)})
    assert loops(workload) == ["c elementwise B2 G3"]
    assert workload.ops[0].barrier == {"G"}


def test_the_largest_and_their_places_are_selected_by_an_op_each_where_both_are_used():
    weights = {"k": np.array([2])}
    workload = of([node("TopK", ["x", "k"], ["y", "z"], name="t")], {"x": [3, 8]}, {"y": None, "z": None}, weights)
    assert loops(workload) == ["t reduce B3 G2 C8", "t.indices reduce B3 G2 C8"]
    workload = of([node("TopK", ["x", "k"], ["y", "z"], name="t")], {"x": [3, 8]}, {"y": None}, weights)
    assert loops(workload) == ["t reduce B3 G2 C8"]
    assert notes(workload) == ["t: TopK as a selection: 2 passes over its axis"]


def test_pooling_that_is_asked_for_places_has_a_second_op():
    pool = node("MaxPool", ["x"], ["y", "z"], name="p", kernel_shape=[2, 2], strides=[2, 2])
    workload = of([pool], {"x": [1, 2, 4, 4]}, {"y": None, "z": None})
    assert loops(workload) == ["p pool B1 G2 OY2 OX2 FY2 FX2", "p.indices pool B1 G2 OY2 OX2 FY2 FX2"]


def test_samples_at_run_time_positions_take_four_pixels_each():
    model = make_model(
        [node("GridSample", ["x", "g"], ["y"], name="s", mode="linear")],
        {"x": [1, 3, 8, 8], "g": [1, 5, 6, 2]},
        {"y": None},
        opset=20,
    )
    workload = read_model(model)
    assert loops(workload) == ["s.address reduce B1 G5 OX6 C2", "s pool B1 G3 OY5 OX6 FY2 FX2"]
    picked = [axis.size for axis in workload.ops[1].counted().operands[0].axes]
    assert picked == [1, 3, 5 * 2, 6 * 2]


def test_a_branch_whose_condition_is_constant_stands_in_place_of_the_if():
    branches = {
        name: helper.make_graph(
            [node(op, ["x"], ["r"], name="inner")], name, [], [helper.make_empty_tensor_value_info("r")]
        )
        for name, op in (("then_branch", "Relu"), ("else_branch", "Neg"))
    }
    nodes = [node("If", ["c"], ["y"], name="choice", **branches), node("Abs", ["y"], ["z"], name="abs")]
    workload = of(nodes, {"x": [2]}, {"z": None}, {"c": np.array(False)})
    assert loops(workload) == ["choice/inner elementwise G2", "abs elementwise G2"]
    assert notes(workload)[0] == "choice: If replaced by its else_branch: the condition is a constant"


def test_functions_call_functions_of_another_operator_set_and_give_them_their_attributes():
    opset = [helper.make_opsetid("", 17), helper.make_opsetid("inner", 1)]
    leaky = node("LeakyRelu", ["a"], ["b"])
    leaky.attribute.append(onnx.AttributeProto(name="alpha", ref_attr_name="slope", type=onnx.AttributeProto.FLOAT))
    soft = node("Softmax", ["b"], ["c"])  # one axis from opset 13 on, all from axis 1 on before
    inner = helper.make_function("inner", "Act", ["a"], ["c"], [leaky, soft], [helper.make_opsetid("", 11)], ["slope"])
    call = node("Act", ["p"], ["q"], domain="inner", name="act")
    call.attribute.append(onnx.AttributeProto(name="slope", ref_attr_name="slope", type=onnx.AttributeProto.FLOAT))
    outer = helper.make_function("outer", "Block", ["p"], ["q"], [call], opset, ["slope"])
    nodes = [node("Block", ["x"], ["y"], domain="outer", name="block", slope=0.3)]
    workload = of(nodes, {"x": [2, 3, 4]}, {"y": None}, functions=[inner, outer])
    assert loops(workload) == [
        "block/act/LeakyRelu_0 elementwise B2 G3 OX4",
        "block/act/Softmax_1 softmax B2 G3 OX4 P3",
    ]
    assert workload.ops[1].barrier == {"G", "OX"}


def test_operators_that_onnx_defines_by_others_are_made_of_them():
    model = make_model(
        [node("SwiGLU", ["a", "b"], ["y"], name="glu")], {"a": [2, 3], "b": [2, 3]}, {"y": None}, opset=28
    )
    workload = read_model(model)
    assert [op.name.split("/")[0] for op in workload.ops] == ["glu"] * len(workload.ops)
    assert notes(workload)[0].startswith("glu: SwiGLU inlined by ONNX's definition: ")


def test_tensors_without_elements_leave_no_op_behind():
    nodes = [
        node("Slice", ["x", "s", "e", "a"], ["none"], name="cut"),
        node("Relu", ["none"], ["r"], name="relu"),
        node("Concat", ["x", "r"], ["c"], name="join", axis=1),
        node("Neg", ["c"], ["y"], name="neg"),
    ]
    weights = {"s": np.array([2]), "e": np.array([2]), "a": np.array([1])}
    workload = of(nodes, {"x": [2, 3]}, {"y": None}, weights)
    assert loops(workload) == ["join.0 copy B2 G3", "neg elementwise B2 G3"]
    assert notes(workload)[:2] == [
        "cut: Slice left out: its result has no elements",
        "relu: Relu left out: its result has no elements",
    ]


def test_axes_known_only_at_run_time_follow_from_the_shape_of_the_result():
    model = make_model(
        [node("ReduceSum", ["x", "a"], ["y"], name="r", keepdims=0)], {"x": [2, 3, 4], "a": [1]}, {"y": [2, 4]}
    )
    assert loops(read_model(int64_input(model, "a"))) == ["r reduce B2 OX4 C3"]


def test_attention_is_two_products_with_its_passes_between_and_reads_keys_once_for_all_heads_that_share_them():
    attention = node(
        "Attention",
        ["q", "k", "v", "mask", "pk", "pv"],
        ["y", "nk", "nv"],
        name="att",
        q_num_heads=8,
        kv_num_heads=2,
        is_causal=1,
        softcap=3.0,
    )
    given = {
        "q": [1, 1, 64],
        "k": [1, 1, 16],
        "v": [1, 1, 16],
        "mask": [1, 20],
        "pk": [1, 2, 19, 8],
        "pv": [1, 2, 19, 8],
    }
    workload = of([attention], given, {"y": None, "nk": None, "nv": None}, opset=23)
    assert loops(workload) == [
        "att.k0 copy B1 G2 OY19 OX8",
        "att.k1 copy B1 G2 OY1 OX8",
        "att.v0 copy B1 G2 OY19 OX8",
        "att.v1 copy B1 G2 OY1 OX8",
        "att.scores matmul B1 B22 M24 M1 N20 K8",
        "att.softcap elementwise B1 G8 OY1 OX20",
        "att.mask elementwise B1 G8 OY1 OX20",
        "att.softmax softmax B1 G8 OY1 OX20 P3",
        "att matmul B1 B22 M24 M1 N8 K20",
    ]
    scores = workload.ops[4]
    assert scores.operands[1].dims == {"B", "B2", "N", "K"}
    assert workload.macs == 2 * 8 * 20 * 8
    assert {op.nodes for op in workload.ops} == {("att",)}
    assert notes(workload)[-1] == (
        "att: scores that a mask by position hides (causal) are computed and count like others"
    )


def test_the_scores_of_attention_that_someone_asks_for_are_those_of_its_definition():
    attention = node("Attention", ["q", "k", "v"], ["y", "", "", "s"], name="att")
    given = {key: [1, 2, 3, 4] for key in "qkv"}
    workload = of([attention], given, {"y": None, "s": None}, opset=23)
    assert "s" in {tensor.name for tensor in workload.tensors if tensor.role == "output"}
    assert notes(workload)[0].startswith("att: Attention inlined by ONNX's definition: ")


def test_a_loop_of_constant_length_is_written_out():
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        [node("Add", ["a", "w"], ["b"], name="add"), node("Identity", ["c"], ["on"]), node("Relu", ["b"], ["r"])],
        "body",
        [value("i", TensorProto.INT64, []), value("c", TensorProto.BOOL, []), value("a", TensorProto.FLOAT, [2])],
        [helper.make_empty_tensor_value_info(name) for name in ("on", "b", "r")],
    )
    nodes = [node("Loop", ["n", "", "x"], ["y", "z"], name="l", body=body)]
    workload = of(nodes, {"x": [2]}, {"y": [2], "z": [3, 2]}, {"n": np.array(3), "w": random(2)})
    assert [str(op) for op in workload.ops if op.kind == "elementwise"] == [
        f"l/{i}/{name} elementwise G2" for i in range(3) for name in ("add", "Relu_2")
    ]
    assert [op.onnx for op in workload.ops if op.kind == "copy"] == ["Concat"] * 3
    assert notes(workload)[0].startswith("l: Loop unrolled: ")


def test_a_scan_reads_a_row_at_each_step_also_backwards():
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        [node("Add", ["s", "row"], ["t"], name="add"), node("Identity", ["t"], ["out"])],
        "body",
        [value("s", TensorProto.FLOAT, [4]), value("row", TensorProto.FLOAT, [4])],
        [helper.make_empty_tensor_value_info(name) for name in ("t", "out")],
    )
    nodes = [node("Scan", ["h", "x"], ["y", "z"], name="s", num_scan_inputs=1, scan_input_directions=[1], body=body)]
    workload = of(nodes, {"h": [4], "x": [3, 4]}, {"y": [4], "z": [3, 4]})
    rows = [op.operands[0].axes[0].offset for op in workload.ops if op.onnx == "Gather"]
    assert rows == [2, 1, 0]
    assert sum(op.kind == "elementwise" for op in workload.ops) == 3


def test_group_normalisation_reads_a_scale_per_channel_and_holds_those_per_group():
    def read_with(opset, count):
        group = node("GroupNormalization", ["x", "s", "b"], ["y"], name="g", num_groups=2)
        weights = {"s": random(count), "b": random(count)}
        return of([group], {"x": [1, 6, 4, 4]}, {"y": None}, weights, opset=opset)

    assert [item.tensor for item in read_with(21, 6).ops[0].operands] == ["x", "s", "b", "y"]
    by_group = read_with(18, 2)
    assert [item.tensor for item in by_group.ops[0].operands] == ["x", "y"]
    assert notes(by_group) == ["g: 2 scales and shifts of groups held, not priced"]


@pytest.mark.parametrize(
    ("made", "shape"),
    [
        (node("Add", ["x", "b"], ["y"], name="n", broadcast=1, axis=1), [1, 3, 4, 4]),
        (node("Mul", ["x", "b"], ["y"], name="n", broadcast=1, axis=-3), [1, 4, 4, 4]),
        (node("PRelu", ["x", "b"], ["y"], name="n"), [1, 4, 4, 4]),
    ],
)
def test_before_operator_set_7_a_row_may_begin_at_the_channels(made, shape):
    workload = of([made], {"x": shape}, {"y": None}, {"b": random(shape[1])}, opset=6)
    (second,) = workload.ops[0].operands[1].axes
    assert [(term.dim, term.coefficient) for term in second.terms] == [("G", 1)]


def test_a_fourier_transform_of_fewer_samples_than_there_are_leaves_the_others_out():
    made = node("DFT", ["x", "length"], ["y"], name="n", axis=1)
    workload = of([made], {"x": [1, 16, 1]}, {"y": None}, {"length": np.int64(8)}, opset=17)
    assert loops(workload) == ["n matmul M1 N8 N22 K8 K21"]


def test_an_identity_as_large_as_a_constant_is_one():
    nodes = [node("EyeLike", ["c"], ["e"], name="eye"), node("Add", ["x", "e"], ["y"], name="a")]
    workload = of(nodes, {"x": [3, 3]}, {"y": None}, {"c": random(3, 3)})
    assert loops(workload) == ["a elementwise B3 G3"]
    assert "eye: EyeLike computed while reading: it depends on constants only" in notes(workload)


def test_a_mirrored_axis_stays_whole_even_where_as_much_is_cut_off_as_is_mirrored():
    nodes = [node("Pad", ["x", "pads"], ["y"], name="p", mode="reflect")]
    workload = of(nodes, {"x": [4, 4]}, {"y": None}, {"pads": np.int64([-1, 0, 1, 0])})
    assert workload.ops[0].barrier == {"B"}

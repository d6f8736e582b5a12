"""What a user can get wrong in a network, each with its full message."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from interpret import make_model, random
from onnx import TensorProto, helper

from weft.errors import ModelError
from weft.read import load
from weft.read.onnx import read_model, read_onnx
from weft.read.onnx.table import BUILDERS

node = helper.make_node


def refused(model, dims=None):
    with pytest.raises(ModelError) as caught:
        read_model(model, dims)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def of(nodes, inputs, outputs, weights=None, **more):
    return refused(make_model(nodes, inputs, outputs, weights, **more))


def test_a_missing_file():
    with pytest.raises(ModelError) as caught:
        load("absent.onnx")
    assert str(caught.value) == (
        "absent.onnx: the model must be an existing ONNX file, not a path where there is none; "
        "give the path of an .onnx file, or a name from `weft models`"
    )


def test_a_folder(tmp_path):
    with pytest.raises(ModelError) as caught:
        read_onnx(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: the model must be an existing ONNX file, not a folder; "
        "give the path of an .onnx file, or a name from `weft models`"
    )


@pytest.mark.parametrize("content", [b"", b"\x00\xff\x01 garbage", b"# a text\n"])
def test_bytes_that_are_no_onnx(tmp_path, content):
    (tmp_path / "net.onnx").write_bytes(content)
    with pytest.raises(ModelError) as caught:
        load(str(tmp_path / "net.onnx"))
    assert str(caught.value) == (
        f"{tmp_path / 'net.onnx'}: the model must be in ONNX format, and these bytes are not; export the network again"
    )


def test_an_unknown_name():
    with pytest.raises(ModelError) as caught:
        load("resnet81")
    assert str(caught.value) == (
        "a network must be a zoo name or the path of an .onnx or .pt2 file, not 'resnet81'; did you mean 'resnet8'?"
    )


def test_an_operator_out_of_scope_points_at_the_file_and_the_node(tmp_path):
    model = make_model([node("NonZero", ["x"], ["y"], name="memory")], {"x": [1, 2, 3]}, {"y": None})
    path = tmp_path / "net.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError) as caught:
        read_onnx(path)
    assert str(caught.value) == (
        f"{path}: node 'memory': every operator must be one that weft knows, not NonZero; "
        "the size of its result is known only at run time: end the network before it"
    )


def test_an_operator_nobody_knows():
    assert of([node("Foo", ["x"], ["y"])], {"x": [2]}, {"y": None}) == (
        "net: node 'Foo_0': every operator must be one that weft knows, not Foo; export the network without it"
    )


def test_an_operator_of_a_foreign_domain():
    assert of([node("Foo", ["x"], ["y"], domain="mine")], {"x": [2]}, {"y": None}) == (
        "net: node 'Foo_0': every operator must be one that weft knows, not Foo of domain 'mine'; "
        "export the network with standard ONNX operators"
    )


def test_a_symbolic_dim_without_a_size():
    assert of([node("Relu", ["x"], ["y"])], {"x": ["batch", 3]}, {"y": None}) == (
        "net: input 'x': every dim must have a size, and axis 0 is the symbol 'batch'; "
        "give --dim batch=1, or another size"
    )


@pytest.mark.parametrize("size", [None, -1])
def test_an_unnamed_dim_without_a_size(size):
    assert of([node("Relu", ["x"], ["y"])], {"x": [2, size]}, {"y": None}) == (
        "net: input 'x': every dim must have a size, and axis 1 has none; give --dim x_1=1, or another size"
    )


def test_a_dim_that_the_model_does_not_have():
    model = make_model([node("Relu", ["x"], ["y"])], {"x": ["batch", 3]}, {"y": None})
    assert refused(model, {"bach": 2}) == (
        "net: --dim must name a symbolic dim of the model, not 'bach'; did you mean 'batch'?"
    )


def test_a_dim_for_a_model_whose_sizes_are_fixed():
    model = make_model([node("Relu", ["x"], ["y"])], {"x": [1, 3]}, {"y": None})
    assert refused(model, {"batch": 2}) == (
        "net: --dim must name a symbolic dim of the model, not 'batch'; leave it out: every size of this model is fixed"
    )


def test_a_dim_that_is_not_positive():
    model = make_model([node("Relu", ["x"], ["y"])], {"x": ["batch", 3]}, {"y": None})
    assert refused(model, {"batch": 0}) == "net: dim 'batch' must be positive, not 0; give --dim batch=1"


@pytest.mark.parametrize("size", [0, -3])
def test_an_input_size_that_is_not_positive(size):
    assert of([node("Relu", ["x"], ["y"])], {"x": [2, size]}, {"y": None}) == (
        f"net: input 'x': a size must be positive, and axis 1 is {size}; export the network with a fixed input shape"
    )


def test_an_input_without_a_shape():
    assert of([node("Relu", ["x"], ["y"])], {"x": None}, {"y": None}) == (
        "net: input 'x': an input must have a shape; export the network with fixed input shapes"
    )


def test_an_input_of_text():
    model = make_model([node("Identity", ["x"], ["y"])], {"x": [2]}, {"y": None})
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.STRING
    assert refused(model) == (
        "net: input 'x': a tensor must hold numbers of a type that ONNX defines, not type 8; "
        "export the numeric part only"
    )


def test_a_size_that_becomes_zero_on_the_way():
    assert of(
        [node("Conv", ["x", "w"], ["y"], name="c")], {"x": [1, 3, 2, 8]}, {"y": None}, {"w": random(4, 3, 3, 3)}
    ) == (
        "net: node 'c': a size must be positive, and 'y' is [1, 4, 0, 6]; "
        "check the sizes of the input, kernel and stride"
    )


def test_a_cycle():
    nodes = [
        node("Relu", ["x"], ["r"]),
        node("Add", ["r", "b"], ["a"], name="add"),
        node("Relu", ["a"], ["b"], name="back"),
    ]
    assert of(nodes, {"x": [2]}, {"b": None}) == (
        "net: node 'add': a network must have no cycle, and this node needs its own output; "
        "export the network again, with its recurrence unrolled"
    )


def test_an_input_that_nobody_makes():
    assert of([node("Relu", ["z"], ["y"], name="r")], {"x": [2]}, {"y": None}) == (
        "net: node 'r': input 'z' must be made by a node, or be an input or initializer of the graph; "
        "export the network again"
    )


def test_an_output_that_nobody_makes():
    assert of([node("Relu", ["x"], ["y"], name="r")], {"x": [2]}, {"z": None}) == (
        "net: output 'z' must be made by a node, or be an input or initializer of the graph; export the network again"
    )


def test_no_output():
    assert of([node("Relu", ["x"], ["y"], name="r")], {"x": [2]}, {}) == (
        "net: a network must have an output, and this one has none; export the network again"
    )


def test_two_producers_of_one_tensor():
    nodes = [node("Relu", ["x"], ["y"], name="r"), node("Neg", ["x"], ["y"], name="s")]
    assert of(nodes, {"x": [2]}, {"y": None}) == (
        "net: node 's': a tensor must have one producer, and 'y' is also made by node 'r'; export the network again"
    )


def test_nothing_to_compute():
    assert of([], {"x": [2]}, {"x": None}) == (
        "net: a network must compute something, and no operator is left of this one; "
        "check that its outputs depend on its inputs"
    )


def test_channels_that_disagree():
    weights = {"w": random(4, 2, 3, 3)}
    assert of([node("Conv", ["x", "w"], ["y"], name="c")], {"x": [1, 3, 8, 8]}, {"y": None}, weights) == (
        "net: node 'c': channels must agree: the input has 3, the weights [4, 2, 3, 3], in 1 group(s); "
        "export the network again"
    )


def test_a_kernel_that_is_not_that_of_the_weights():
    nodes = [node("Conv", ["x", "w"], ["y"], name="c", kernel_shape=[5, 5])]
    assert of(nodes, {"x": [1, 3, 8, 8]}, {"y": None}, {"w": random(4, 3, 3, 3)}) == (
        "net: node 'c': kernel_shape must be that of the weights [3, 3], not [5, 5]; export the network again"
    )


def test_a_matrix_product_whose_inner_sizes_disagree():
    assert of([node("MatMul", ["x", "w"], ["y"], name="m")], {"x": [3, 8]}, {"y": None}, {"w": random(4, 3)}) == (
        "net: node 'm': the shape of 'y' must follow from its inputs [3, 8], [4, 3], not: "
        "Incompatible dimensions for matrix multiplication; check the shapes"
    )


def test_too_few_inputs():
    assert of([node("Conv", ["x"], ["y"], name="c")], {"x": [1, 3, 8, 8]}, {"y": [1, 3, 8, 8]}) == (
        "net: node 'c': Conv must have at least 2 inputs, not 1; export the network again"
    )


def test_a_slice_whose_start_is_known_only_at_run_time():
    inputs = {"x": [4], "s": [1]}
    model = make_model([node("Slice", ["x", "s", "e"], ["y"], name="cut")], inputs, {"y": [2]}, {"e": np.array([2])})
    model.graph.input[1].type.tensor_type.elem_type = TensorProto.INT64
    assert refused(model) == (
        "net: node 'cut': the starts of Slice must be a constant, not 's'; "
        "simplify the model (for example with onnxslim) so that it is one"
    )


def test_a_reshape_whose_target_is_known_only_at_run_time():
    model = make_model([node("Reshape", ["x", "s"], ["y"], name="r")], {"x": [4], "s": [2]}, {"y": None})
    model.graph.input[1].type.tensor_type.elem_type = TensorProto.INT64
    assert refused(model) == (
        "net: node 'r': the shape of 'y' must follow from its inputs [4], [2]; "
        "simplify the model (for example with onnxslim)"
    )


def test_a_gather_beyond_its_axis():
    nodes = [node("Gather", ["x", "i"], ["y"], name="g")]
    assert of(nodes, {"x": [4, 2]}, {"y": None}, {"i": np.array([0, 4])}) == (
        "net: node 'g': the indices of Gather must be less than 4, not [0, 4]; export the network again"
    )


def test_an_einsum_that_repeats_an_index():
    nodes = [node("Einsum", ["x"], ["y"], name="e", equation="ii->i")]
    assert of(nodes, {"x": [4, 4]}, {"y": None}) == (
        "net: node 'e': an operand of Einsum must not repeat an index, and the equation is 'ii->i'; "
        "take the diagonal before the network, or write it as Mul and ReduceSum"
    )


def test_a_condition_that_is_known_only_at_run_time():
    branches = {
        name: helper.make_graph([node("Relu", ["x"], ["r"])], name, [], [helper.make_empty_tensor_value_info("r")])
        for name in ("then_branch", "else_branch")
    }
    model = make_model([node("If", ["c"], ["y"], name="choice", **branches)], {"x": [2], "c": []}, {"y": [2]})
    model.graph.input[1].type.tensor_type.elem_type = TensorProto.BOOL
    assert refused(model) == (
        "net: node 'choice': the condition of If must be a constant, not 'c'; export the branch that is taken"
    )


def looped(count, going_on="keep"):
    """A Loop that adds x to y each time, as long as `going_on` says."""
    value, made = helper.make_tensor_value_info, helper.make_empty_tensor_value_info
    body = helper.make_graph(
        [node("Add", ["a", "x"], ["b"]), node("Less", ["b", "limit"], ["keep"]), node("Identity", ["c"], ["on"])],
        "body",
        [value("i", TensorProto.INT64, []), value("c", TensorProto.BOOL, []), value("a", TensorProto.FLOAT, [2])],
        [made(going_on), made("b")],
    )
    nodes = [node("Loop", [count, "", "x"], ["y"], name="l", body=body)]
    return make_model(nodes, {"x": [2], "n": []}, {"y": [2]}, {"three": np.array(3), "limit": random(2)})


def test_a_loop_whose_count_is_known_only_at_run_time():
    assert refused(looped("n", "on")) == (
        "net: node 'l': the number of iterations of Loop must be a constant, not 'n'; unroll it"
    )


def test_a_loop_that_may_end_early():
    assert refused(looped("three")) == (
        "net: node 'l': a Loop must run to its end, and this one decides at run time; unroll it"
    )


def test_a_loop_without_a_body():
    assert of([node("Loop", ["n", "", "x"], ["y"], name="l")], {"x": [2]}, {"y": [2]}, {"n": np.array(3)}) == (
        "net: node 'l': Loop must have a graph as its body; export the network again"
    )


def test_an_input_left_out_that_an_operator_needs():
    assert of([node("Gemm", ["x", "", "b"], ["y"], name="g")], {"x": [2, 3], "b": [4]}, {"y": [2, 4]}) == (
        "net: node 'g': input 1 of Gemm must be given, and it is left out; export the network again"
    )


def test_a_split_into_another_number_of_parts():
    nodes = [node("Split", ["x"], ["y", "z"], name="s", num_outputs=3)]
    assert of(nodes, {"x": [6]}, {"y": [3], "z": [3]}, opset=18) == (
        "net: node 's': num_outputs of Split must be the number of its outputs 2, not 3; export the network again"
    )


def test_batch_axes_of_a_gather_that_cannot_be():
    nodes = [node("GatherND", ["x", "i"], ["y"], name="g", batch_dims=-5)]
    assert of(nodes, {"x": [2, 2]}, {"y": [2]}, {"i": np.array([[0], [1]])}) == (
        "net: node 'g': batch_dims of GatherND must be from 0 to 1, not -5; export the network again"
    )


def test_a_declared_shape_that_cannot_be():
    nodes = [node("Attention", ["q", "k", "v", "m"], ["y"], name="a")]
    given = {key: [1, 2, 3, 4] for key in "qkv"} | {"m": [1, 1, 1, 3, 3]}
    assert of(nodes, given, {"y": None}, opset=23) == (
        "net: node 'a': shapes and attributes of Attention must fit each other, and with inputs [1, 2, 3, 4], "
        "[1, 2, 3, 4], [1, 2, 3, 4], [1, 1, 1, 3, 3] and outputs [1, 2, 3, 4] they do not; export the network again"
    )


def test_a_network_in_training_mode():
    weights = {"s": random(3), "b": random(3), "m": random(3), "v": random(3)}
    nodes = [node("BatchNormalization", ["x", *weights], ["y"], name="bn", training_mode=1)]
    assert of(nodes, {"x": [1, 3, 2]}, {"y": None}, weights) == (
        "net: node 'bn': BatchNormalization must be in inference mode, not in training mode; "
        "export the network for inference"
    )


def test_a_second_output_that_is_used():
    nodes = [
        node("LpPool", ["x"], ["p", "where"], name="pool", kernel_shape=[2, 2]),
        node("Relu", ["where"], ["y"]),
    ]
    assert of(nodes, {"x": [1, 1, 4, 4]}, {"y": None}) == (
        "net: node 'pool': only the first output of LpPool must be used, not 'where'; export the network for inference"
    )


def test_a_name_that_is_not_utf8():
    model = make_model([node("Relu", ["x"], ["y"], name="abc")], {"x": [2]}, {"y": None})
    damaged = onnx.load_model_from_string(model.SerializeToString().replace(b"abc", b"a\x80c"))
    assert refused(damaged) == "net: the names in a model must be UTF-8; export the network again"


def test_a_name_with_line_breaks_stays_on_one_line():
    assert of([node("Foo", ["x"], ["y"], name="a\nb")], {"x": [2]}, {"y": None}) == (
        "net: node 'a b': every operator must be one that weft knows, not Foo; export the network without it"
    )


def lines(model, dims=None):
    with pytest.raises(ModelError) as caught:
        read_model(model, dims)
    return str(caught.value).splitlines()


def test_symbols_and_unknown_operators_come_all_at_once():
    nodes = [
        node("Foo", ["a"], ["f"], name="f1"),
        node("Foo", ["f"], ["g"], name="f2"),
        node("Unique", ["g"], ["h"], name="branch"),
        node("Foo", ["h", "b"], ["y"], name="f3", domain="mine"),
    ]
    assert lines(make_model(nodes, {"a": ["batch", 3], "b": ["batch", None]}, {"y": None})) == [
        "net: input 'a' and 1 more: every dim must have a size, and axis 0 is the symbol 'batch'; "
        "give --dim batch=1, or another size",
        "net: input 'b': every dim must have a size, and axis 1 has none; give --dim b_1=1, or another size",
        "net: node 'f1' and 1 more: every operator must be one that weft knows, not Foo; export the network without it",
        "net: node 'branch': every operator must be one that weft knows, not Unique; "
        "the size of its result is known only at run time: end the network before it",
        "net: node 'f3': every operator must be one that weft knows, not Foo of domain 'mine'; "
        "export the network with standard ONNX operators",
    ]


def test_a_misspelt_dim_does_not_also_count_as_missing():
    model = make_model([node("Relu", ["x"], ["y"])], {"x": ["batch", "tokens"]}, {"y": None})
    assert lines(model, {"bach": 2}) == [
        "net: --dim must name a symbolic dim of the model, not 'bach'; did you mean 'batch'?",
        "net: input 'x': every dim must have a size, and axis 1 is the symbol 'tokens'; "
        "give --dim tokens=1, or another size",
    ]


def test_shapes_that_cannot_be_are_named_without_those_that_follow():
    nodes = [
        node("MatMul", ["x", "w"], ["p"], name="first"),
        node("Relu", ["p"], ["q"], name="follows"),
        node("MatMul", ["x", "v"], ["r"], name="second"),
        node("Add", ["q", "r"], ["y"], name="join"),
    ]
    model = make_model(nodes, {"x": [3, 8]}, {"y": None}, {"w": random(4, 3), "v": random(5, 3)})
    assert [line.split(": ")[1] for line in lines(model)] == ["node 'first'", "node 'second'"]


def test_nodes_that_cannot_be_read_are_all_named():
    weights = {"w": random(4, 2, 3, 3), "v": random(5, 2, 3, 3)}
    nodes = [
        node("Conv", ["x", "w"], ["p"], name="first"),
        node("Conv", ["x", "v"], ["q"], name="second"),
        node("Concat", ["p", "q"], ["y"], name="join", axis=1),
    ]
    assert lines(make_model(nodes, {"x": [1, 3, 8, 8]}, {"y": None}, weights)) == [
        "net: node 'first': channels must agree: the input has 3, the weights [4, 2, 3, 3], in 1 group(s); "
        "export the network again",
        "net: node 'second': channels must agree: the input has 3, the weights [5, 2, 3, 3], in 1 group(s); "
        "export the network again",
    ]


def test_a_tensor_that_nobody_makes_is_named_once():
    nodes = [node("Relu", ["z"], ["a"], name="r"), node("Add", ["z", "a"], ["y"], name="s")]
    assert lines(make_model(nodes, {"x": [2]}, {"y": None})) == [
        "net: node 'r' and 1 more: input 'z' must be made by a node, or be an input or initializer of the graph; "
        "export the network again"
    ]


def test_what_goes_wrong_in_a_builder_is_no_fault_of_a_file_that_holds_together(monkeypatch):
    def broken(graph, node):
        raise ValueError("ours")

    monkeypatch.setitem(BUILDERS, "Relu", broken)
    with pytest.raises(ValueError, match="ours"):
        read_model(make_model([node("Relu", ["x"], ["y"], name="r")], {"x": [2, 3]}, {"y": [2, 3]}))


def test_a_scale_of_another_rank():
    nodes = [node("InstanceNormalization", ["x", "s", "b"], ["y"], name="i")]
    assert of(nodes, {"x": [1, 2, 3, 3]}, {"y": None}, {"s": random(2), "b": np.float32(1)}) == (
        "net: node 'i': input 2 of InstanceNormalization must have rank 1, not 0; export the network again"
    )

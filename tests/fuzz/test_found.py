"""What mutants found, one by one, as a user might come upon it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from onnx import TensorProto, helper

from tests.fuzz.judge import NETWORK, small_network
from weft.chips import library_path
from weft.errors import ModelError
from weft.read.onnx import read_model
from weft.run import InfeasibleResult, RunResult, run


def test_data_passes_a_memory_that_holds_other_operands(tmp_path: Path):
    """The SIMD core hangs on core2 and core3 alone: its inputs pass their weight memories, which lend their ports."""
    text = library_path("eyeriss_like_quad").read_text("utf-8")
    joins = "joins: [core0, core1, core2, core3, pooling, simd, dram]"
    assert joins in text
    (tmp_path / "chip.yaml").write_text(text.replace(joins, joins.replace(", simd", "")))
    small_network(tmp_path)
    result = run(str(tmp_path / NETWORK), str(tmp_path / "chip.yaml"), budget=1)
    assert isinstance(result, RunResult)
    assert result.proof.ok


def model_of(node: Any, x: list[int], y: list[int]) -> Any:
    value = helper.make_tensor_value_info
    graph = helper.make_graph([node], "net", [value("x", TensorProto.FLOAT, x)], [value("y", TensorProto.FLOAT, y)])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def test_an_order_of_axes_that_is_none_is_refused_whatever_shape_the_file_states():
    """ONNX's inference gives up on it, and the shape that the file states was believed."""
    node = helper.make_node("Transpose", ["x"], ["y"], name="turn", perm=[2**62, 0])
    with pytest.raises(ModelError) as caught:
        read_model(model_of(node, [2, 3], [3, 2]))
    assert str(caught.value) == (
        f"net: node 'turn': perm must name each of 2 axes once, not [{2**62}, 0]; export the network again"
    )


def test_a_shape_that_the_file_states_helps_nothing_where_the_inputs_do_not_go_together():
    node = helper.make_node("Add", ["x", "c"], ["y"], name="sum")
    model = model_of(node, [2, 3], [2, 3])
    model.graph.initializer.append(helper.make_tensor("c", TensorProto.FLOAT, [2, 4], [0.0] * 8))
    with pytest.raises(ModelError) as caught:
        read_model(model)
    assert str(caught.value) == (
        "net: node 'sum': the shape of 'y' must follow from its inputs [2, 3], [2, 4], not: Incompatible dimensions; "
        "check the shapes"
    )


def test_a_stated_shape_that_its_operator_does_not_give_is_refused():
    """ONNX infers nothing here, and the engine missed pieces of a tensor that was written in another shape."""
    node = helper.make_node("TensorScatter", ["x", "u"], ["y"], name="put")
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [node, helper.make_node("Relu", ["y"], ["z"], name="r")],
        "net",
        [value("x", TensorProto.FLOAT, [1, 2, 8, 8]), value("u", TensorProto.FLOAT, [6, 2, 1, 1])],
        [value("z", TensorProto.FLOAT, None)],
        value_info=[value("y", TensorProto.FLOAT, [1, 6, 4, 4])],
    )
    with pytest.raises(ModelError) as caught:
        read_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 8)]))
    assert str(caught.value) == (
        "net: node 'put': 'y' must be [1, 2, 8, 8] for TensorScatter, not [1, 6, 4, 4]; check the shapes"
    )


def test_an_axis_that_would_take_hours_is_refused_at_once(tmp_path: Path):
    path = tmp_path / "net.onnx"
    path.write_bytes(
        model_of(helper.make_node("Softmax", ["x"], ["y"], name="n"), [10**9], [10**9]).SerializeToString()
    )
    result = run(str(path), "tpu_like", budget=1)
    assert isinstance(result, InfeasibleResult)
    assert str(result.reason) == (
        "n on simd: an axis of 'x' has 1,000,000,000 elements, and mappings are found for at most 524,288; "
        "cut the network's tensors"
    )

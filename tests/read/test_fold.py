"""Folding: what merges into its producer, and what must not."""

from __future__ import annotations

import pytest
from interpret import make_model, random
from onnx import helper

from weft.read.fold import fold
from weft.read.onnx import read_model

node = helper.make_node
W = {"w": random(3, 3, 1, 1)}
BN = {name: random(3) for name in ("scale", "shift", "mean", "var")}
CONV = node("Conv", ["x", "w"], ["c"], name="conv")
INPUT = {"x": [1, 3, 4, 4]}


def folded(nodes, outputs, *names, weights=W, inputs=INPUT):
    workload = read_model(make_model(nodes, inputs, dict.fromkeys(outputs), weights))
    result = fold(workload, frozenset(names))
    assert result.macs == workload.macs
    return result


def ops(workload):
    return [(op.name, op.folded, op.output.tensor) for op in workload.ops]


def test_an_activation_merges_into_the_convolution_before_it():
    result = folded([CONV, node("Relu", ["c"], ["y"], name="relu")], ["y"], "Relu")
    assert ops(result) == [("conv", ("relu",), "y")]
    assert result.ops[0].nodes == ("conv", "relu")
    assert [tensor.name for tensor in result.tensors] == ["x", "w", "y"]
    assert [f"{note.subject}: {note.text}" for note in result.notes] == [
        "relu: Relu folded into conv: done on the way out, not priced"
    ]


def test_chains_merge_one_after_another_and_drop_their_constants():
    nodes = [
        CONV,
        node("BatchNormalization", ["c", *BN], ["n"], name="bn"),
        node("PRelu", ["n", "s"], ["y"], name="act"),
    ]
    result = folded(nodes, ["y"], "BatchNormalization", "PRelu", weights=W | BN | {"s": random(3, 1, 1)})
    assert ops(result) == [("conv", ("bn", "act"), "y")]
    assert [tensor.name for tensor in result.tensors] == ["x", "w", "y"]


def test_only_named_operators_merge():
    result = folded([CONV, node("Sigmoid", ["c"], ["y"], name="s")], ["y"], "Relu")
    assert ops(result) == [("conv", (), "c"), ("s", (), "y")]
    assert result.notes == ()


def test_a_result_that_others_read_stays():
    nodes = [CONV, node("Relu", ["c"], ["r"], name="relu"), node("Add", ["r", "c"], ["y"], name="add")]
    assert ops(folded(nodes, ["y"], "Relu")) == [("conv", (), "c"), ("relu", (), "r"), ("add", (), "y")]


def test_a_result_that_a_view_shows_stays():
    nodes = [CONV, node("Relu", ["c"], ["r"], name="relu"), node("Flatten", ["c"], ["y"])]
    assert ops(folded(nodes, ["y", "r"], "Relu")) == [("conv", (), "c"), ("relu", (), "r")]


def test_a_result_that_is_an_output_stays():
    nodes = [CONV, node("Relu", ["c"], ["y"], name="relu")]
    assert ops(folded(nodes, ["y", "c"], "Relu")) == [("conv", (), "c"), ("relu", (), "y")]


def test_nothing_merges_through_a_view():
    nodes = [CONV, node("Flatten", ["c"], ["f"]), node("Relu", ["f"], ["y"], name="relu")]
    assert ops(folded(nodes, ["y"], "Relu")) == [("conv", (), "c"), ("relu", (), "y")]


def test_an_activation_of_an_input_stays():
    assert ops(folded([node("Relu", ["x"], ["y"], name="relu")], ["y"], "Relu", weights={})) == [("relu", (), "y")]


def test_an_op_that_reads_two_flowing_tensors_is_a_producer_and_never_merged():
    nodes = [CONV, node("Add", ["c", "x"], ["a"], name="add"), node("Relu", ["a"], ["y"], name="relu")]
    assert ops(folded(nodes, ["y"], "Add", "Relu")) == [("conv", (), "c"), ("add", ("relu",), "y")]


def test_an_op_that_broadcasts_to_a_larger_shape_stays():
    nodes = [CONV, node("Mul", ["c", "s"], ["y"], name="mul")]
    result = folded(nodes, ["y"], "Mul", weights=W | {"s": random(2, 3, 4, 4)})
    assert ops(result) == [("conv", (), "c"), ("mul", (), "y")]


@pytest.mark.parametrize("kept", [True, False])
def test_batch_normalization_merges_into_products_only(kept):
    producer = node("Neg", ["x"], ["c"], name="p") if kept else CONV
    nodes = [producer, node("BatchNormalization", ["c", *BN], ["y"], name="bn")]
    assert len(folded(nodes, ["y"], "BatchNormalization", weights=W | BN).ops) == (2 if kept else 1)


def test_nothing_merges_into_the_parts_of_a_concat():
    nodes = [node("Concat", ["x", "x"], ["c"], name="cat", axis=1), node("Relu", ["c"], ["y"], name="relu")]
    assert [op.name for op in folded(nodes, ["y"], "Relu", weights={}).ops] == ["cat.0", "cat.1", "relu"]


def test_an_activation_merges_into_a_pool():
    nodes = [node("MaxPool", ["x"], ["c"], name="pool", kernel_shape=[2, 2]), node("Relu", ["c"], ["y"], name="relu")]
    assert ops(folded(nodes, ["y"], "Relu", weights={})) == [("pool", ("relu",), "y")]

"""Weights scaled in blocks: exact index maps, traffic of scales, the same MACs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from interpret import index_of, make_model, points, run_onnx
from onnx import TensorProto, helper

from weft.errors import ModelError
from weft.model.chip import Precision
from weft.read.fold import fold
from weft.read.onnx import read_model
from weft.read.precision import assume_precision
from weft.report.coverage import coverage
from weft.run import map_model, run

node = helper.make_node
F32 = np.float32
RANDOM = np.random.default_rng(5)


def read(model):
    workload = fold(read_model(model), frozenset())
    assert [item for item in coverage(workload) if item.fate == "lost"] == []
    return workload


def bits(workload, *names):
    return [workload.tensor(name).size_bits for name in names]


def blocked(shape, axis, block, op_type="MatMul", inputs=("x",), data=(3, 12), zero=True, **attributes):
    """A model with int8 weights of `shape` under scales of blocks along `axis`."""
    blocks = tuple(-(-n // block) if i == axis else n for i, n in enumerate(shape))
    weights = {
        "w": RANDOM.integers(-8, 8, shape).astype(np.int8),
        "s": RANDOM.integers(1, 5, blocks).astype(F32),
        "z": RANDOM.integers(-2, 3, blocks).astype(np.int8) if zero else np.zeros(blocks, np.int8),
    }
    nodes = [
        node("DequantizeLinear", ["w", "s", "z"], ["f"], axis=axis, block_size=block),
        node(op_type, [*inputs, "f"], ["y"], name="op", **attributes),
    ]
    return make_model(nodes, {"x": list(data)}, {"y": None}, weights, opset=21), weights


def summed(workload, given):
    """The output, computed point by point from weights, scales and zero points as the maps index them."""
    (op,) = workload.ops
    made = np.zeros(workload.tensor(op.output.tensor).shape)
    for point in points(op):
        read_, inside = {}, True
        for item in op.inputs:
            where, there = index_of(item, point)
            inside &= there
            read_[item.name] = given[item.tensor][where] if there else 0
        if inside:
            factor, weight = (read_[item.name] for item in op.inputs[:2])
            made[index_of(op.output, point)[0]] += factor * (weight - read_.get("Z", 0)) * read_["S"]
    return made


@pytest.mark.parametrize(
    ("shape", "axis", "block", "options"),
    [
        ((12, 5), 0, 4, {}),
        ((12, 6), 1, 3, {}),
        ((12, 5), 0, 4, {"zero": False}),
        ((5, 12), 1, 6, {"op_type": "Gemm", "transB": 1}),
        ((4, 6, 3, 3), 1, 3, {"op_type": "Conv", "data": (1, 6, 5, 5)}),
        ((4, 6, 3, 3), 0, 2, {"op_type": "Conv", "data": (1, 6, 5, 5)}),
    ],
)
def test_a_loop_over_blocks_gives_what_onnx_runtime_gives(shape, axis, block, options):
    model, weights = blocked(shape, axis, block, **options)
    net = read(model)
    data = RANDOM.integers(-3, 4, model_shape(model)).astype(F32)
    assert np.allclose(summed(net, {"x": data} | weights), run_onnx(model, {"x": data})["y"])
    count = math.prod(shape)
    scales = count // block
    names = ["s"] + (["z"] if options.get("zero", True) else [])
    assert bits(net, "w", *names) == [8 * count, *(32 * scales, 8 * scales)[: len(names)]]


def model_shape(model):
    return [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim]


def test_the_reduction_becomes_two_loops_and_the_macs_stay():
    net = read(blocked((12, 5), 0, 4)[0])
    assert str(net.ops[0]) == "op matmul M3 N5 KB3 K4"
    assert net.macs == 3 * 5 * 12
    assert [(item.name, item.slot, item.dims) for item in net.ops[0].operands] == [
        ("A", "I", {"M", "K", "KB"}),
        ("B", "W", {"N", "K", "KB"}),
        ("S", "I", {"N", "KB"}),
        ("Z", "I", {"N", "KB"}),
        ("O", "O", {"M", "N"}),
    ]
    assert str(net.tensor("w").type) == "int8 block 4 along 0 with zero point"


def test_one_block_needs_no_loop():
    net = read(blocked((12, 5), 0, 12)[0])
    assert str(net.ops[0]) == "op matmul M3 N5 K12"
    assert net.tensor("s").shape == (1, 5)


def test_a_ragged_last_block_is_padded_and_it_is_said():
    net = read(blocked((12, 5), 0, 5)[0])
    assert str(net.ops[0]) == "op matmul M3 N5 KB3 K5"
    assert "K is padded from 12 to 15: whole blocks of 5" in [note.text for note in net.notes]


def test_a_transposed_table_takes_its_scales_along():
    weights = {"w": np.ones((5, 12), np.int8), "s": np.ones((5, 3), F32)}
    nodes = [
        node("DequantizeLinear", ["w", "s"], ["f"], axis=1, block_size=4),
        node("Transpose", ["f"], ["t"]),
        node("MatMul", ["x", "t"], ["y"], name="op"),
    ]
    net = read(make_model(nodes, {"x": [3, 12]}, {"y": None}, weights, opset=21))
    assert str(net.ops[0]) == "op matmul M3 N5 KB3 K4"
    assert str(net.tensor("t").type) == "int8 block 4 along 0"
    assert bits(net, "t", "s") == [8 * 60, 32 * 15]


def test_mx_numbers_share_scales_of_eight_bits():
    model, _ = blocked((64, 5), 0, 32, data=(3, 64))
    del model.graph.initializer[:]
    make = helper.make_tensor
    model.graph.initializer.extend(
        [
            make("w", TensorProto.FLOAT4E2M1, [64, 5], [0] * 320),
            make("s", TensorProto.FLOAT8E8M0, [2, 5], b"\x7f" * 10, raw=True),
        ]
    )
    model.graph.node[0].input[2] = ""
    model.opset_import[0].version = 25
    net = read(model)
    assert [str(net.tensor("w").type), net.tensor("s").dtype] == ["float4 block 32 along 0", "float8e8m0"]
    assert bits(net, "w", "s") == [4 * 320, 8 * 10]


MS = "com.microsoft"


def nbits(m=2, k=128, n=6, block=32, width=4, zero=True, bias=False):
    """A model of one MatMulNBits."""
    blocks = -(-k // block)
    weights = {
        "b": RANDOM.integers(0, 256, (n, blocks, block * width // 8)).astype(np.uint8),
        "s": RANDOM.random(n * blocks).astype(F32),
        "z": RANDOM.integers(0, 256, n * -(-blocks * width // 8)).astype(np.uint8),
        "c": np.ones(n, F32),
    }
    names = ["x", "b", "s", "z" if zero else "", "", "c" if bias else ""]
    while not names[-1]:
        names.pop()
    attributes = {"K": k, "N": n, "bits": width, "block_size": block}
    made = make_model(
        [node("MatMulNBits", names, ["y"], name="op", domain=MS, **attributes)],
        {"x": [1, m, k]},
        {"y": [1, m, n]},
        {name: weights[name] for name in names[1:] if name},
    )
    made.opset_import.append(helper.make_opsetid(MS, 1))
    return made, weights


@pytest.mark.parametrize("width", [2, 4, 8])
def test_packed_weights_are_read_at_their_width(width):
    net = read(nbits(width=width)[0])
    assert str(net.ops[0]) == "op matmul M2 N6 KB4 K32"
    assert net.macs == 2 * 6 * 128
    assert bits(net, "b", "s", "z") == [128 * 6 * width, 4 * 6 * 32, 4 * 6 * width]
    assert str(net.tensor("b").type) == f"uint{width} block 32 along 0 with zero point"


def test_packed_weights_give_what_onnx_runtime_gives():
    model, weights = nbits()
    net = read(model)
    halves = np.stack([weights["b"] & 15, weights["b"] >> 4], axis=-1).reshape(6, 128)
    zeros = np.stack([weights["z"] & 15, weights["z"] >> 4], axis=-1).reshape(6, 4)
    given = {"b": halves.T.astype(F32), "s": weights["s"].reshape(6, 4).T, "z": zeros.T.astype(F32)}
    data = RANDOM.random((1, 2, 128)).astype(F32)
    expected = run_onnx(model, {"x": data})["y"]
    assert np.allclose(summed(net, given | {"x": data}), expected, rtol=1e-3, atol=1e-3)


def test_a_packed_product_may_lack_zero_points_and_have_a_bias():
    net = read(nbits(zero=False, bias=True)[0])
    assert [item.name for item in net.ops[0].operands] == ["A", "B", "S", "O"]
    assert [note.text for note in net.notes if note.subject == "op"] == [
        "768 weights of 4 bits, a scale for every 32",
        "bias: 6 values preloaded into the accumulators, not priced",
    ]


def test_columns_under_group_indices_are_refused():
    model, _ = nbits()
    model.graph.node[0].input.append("g")
    model.graph.initializer.append(helper.make_tensor("g", TensorProto.INT32, [128], [0] * 128))
    with pytest.raises(ModelError) as caught:
        read_model(model)
    assert str(caught.value) == (
        "net: node 'op': the columns of MatMulNBits must be in order, not under group indices; "
        "quantise without act-order"
    )


def test_attributes_that_are_missing_are_refused():
    model, _ = nbits()
    del model.graph.node[0].attribute[:]
    with pytest.raises(ModelError, match="K, N and block_size must be positive and bits from 1 to 8, not "):
        read_model(model)


@pytest.fixture
def packed(tmp_path):
    path = tmp_path / "packed.onnx"
    path.write_bytes(nbits(m=8, k=256, n=64)[0].SerializeToString())
    return str(path)


def test_a_packed_product_is_mapped_with_its_scales(packed):
    mapped = map_model(packed, "tpu_like").ops[0]
    assert mapped.op.macs == 8 * 256 * 64
    moved = {name: sum(flow.bits for flow in mapped.mapped.price.flows if flow.operand == name) for name in "ABSZO"}
    assert all(moved.values())
    assert moved["S"] >= 64 * 8 * 32
    assert moved["Z"] >= 64 * 8 * 4


@pytest.mark.parametrize("chip", ["tpu_like", "meta_prototype", "diana"])  # the second has registers of one byte
def test_a_packed_product_runs_with_proof(packed, chip):
    result = run(packed, chip, budget=1)
    assert result.proof.ok
    assert result.workload.macs == 8 * 256 * 64


def gathered(axis, block=16, rows=(2, 3), zero=True):
    """A model that looks up rows of a table of 10 x 32 packed 4-bit numbers."""
    blocks = (10, 32 // block) if axis else (-(-10 // block), 32)
    weights = {
        "t": RANDOM.integers(0, 256, (10, 16)).astype(np.uint8),
        "s": RANDOM.random(blocks).astype(F32),
        "z": RANDOM.integers(0, 256, (blocks[0], -(-blocks[1] // 2))).astype(np.uint8),
    }
    names = ["t", "i", "s", *(["z"] if zero else [])]
    nodes = [
        node(
            "GatherBlockQuantized", names, ["e"], name="look", domain=MS, block_size=block, quantize_axis=axis, bits=4
        ),
        node("Relu", ["e"], ["y"]),
    ]
    made = make_model(nodes, {"i": list(rows)}, {"y": None}, {name: weights[name] for name in names if name != "i"})
    made.graph.input[0].type.tensor_type.elem_type = TensorProto.INT64
    made.opset_import.append(helper.make_opsetid(MS, 1))
    return made


def test_a_table_of_few_bits_is_looked_up_with_its_scales():
    net = read(gathered(axis=1))
    look = net.ops[0]
    assert (look.kind, net.tensor("e").shape, net.tensor("e").dtype) == ("copy", (2, 3, 32), "float32")
    axes = {item.tensor: [(axis.size, axis.scattered) for axis in item.axes] for item in look.operands}
    assert axes["t"] == [(10, True), (32, False)]
    assert axes["s"] == axes["z"] == [(10, True), (2, False)]
    assert bits(net, "t", "s", "z") == [10 * 32 * 4, 10 * 2 * 32, 10 * 2 * 4]
    assert str(net.tensor("t").type) == "uint4 block 16 along 1 with zero point"


def test_blocks_of_rows_are_looked_up_too():
    net = read(gathered(axis=0, block=5, zero=False))
    axes = {item.tensor: [(axis.size, axis.scattered) for axis in item.axes] for item in net.ops[0].operands}
    assert axes["s"] == [(2, True), (32, False)]


def test_packed_weights_that_are_made_on_the_way_are_refused():
    model, _ = nbits()
    model.graph.input.append(helper.make_tensor_value_info("b", TensorProto.UINT8, [6, 4, 16]))
    kept = [tensor for tensor in model.graph.initializer if tensor.name != "b"]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    with pytest.raises(ModelError) as caught:
        read_model(model)
    assert str(caught.value) == (
        "net: node 'op': weights, scales and zero points of MatMulNBits must be constants of their own; "
        "export the network again"
    )


def test_packed_weights_that_are_too_few_are_refused():
    model, _ = nbits()
    next(item for item in model.graph.node[0].attribute if item.name == "N").i = 7
    with pytest.raises(ModelError) as caught:
        read_model(model)
    assert str(caught.value) == (
        "net: node 'op': the weights must hold 128 x 7 numbers, not 384 bytes; export the network again"
    )


def test_scales_keep_the_width_they_are_stored_in():
    priced, words = assume_precision(read(nbits()[0]), Precision(8, 8, 8))
    assert [priced.tensor(name).bits for name in ("x", "b", "s", "z", "y")] == [8, 4, 32, 4, 8]
    assert words == "8-bit I, O (the model is float32; its float32, uint4 W kept as given)"

"""The affine maps of every operator: walked point by point, they compute what ONNX Runtime computes."""

from __future__ import annotations

import numpy as np
import pytest
from interpret import index_of, make_model, points, random, reference, run, run_onnx, tap_reversed
from onnx import helper, numpy_helper

from weft.read.onnx import read_model

node = helper.make_node


def one(op, shape, out, weights=(), opset=17, second=None, **attributes):
    """A model of one node "n" reading x (and y), then the weights, in that order."""
    named = {f"w{i}": weight for i, weight in enumerate(weights)}
    inputs = {"x": shape} | ({"y": second} if second is not None else {})
    nodes = [node(op, [*inputs, *named], ["out"], name="n", **attributes)]
    return make_model(nodes, inputs, {"out": out}, named, opset)


CASES = {
    "conv": one("Conv", [2, 3, 6, 5], [2, 4, 6, 5], [random(4, 3, 3, 3)], pads=[1, 1, 1, 1]),
    "conv strided, asymmetric pads, not square": one(
        "Conv", [1, 2, 9, 8], [1, 3, 5, 3], [random(3, 2, 3, 4)], strides=[2, 3], pads=[2, 0, 1, 2]
    ),
    "conv dilated": one("Conv", [1, 2, 9, 7], [1, 3, 5, 5], [random(3, 2, 3, 3)], dilations=[2, 1]),
    "conv in groups": one("Conv", [1, 4, 5, 5], [1, 6, 3, 3], [random(6, 2, 3, 3)], group=2),
    "conv depthwise, two outputs per channel": one("Conv", [1, 3, 5, 5], [1, 6, 3, 3], [random(6, 1, 3, 3)], group=3),
    "conv SAME_UPPER": one(
        "Conv", [1, 1, 6, 5], [1, 1, 3, 3], [random(1, 1, 3, 2)], strides=[2, 2], auto_pad="SAME_UPPER"
    ),
    "conv SAME_LOWER": one(
        "Conv", [1, 1, 6, 5], [1, 1, 3, 3], [random(1, 1, 3, 2)], strides=[2, 2], auto_pad="SAME_LOWER"
    ),
    "conv VALID": one("Conv", [1, 1, 6, 5], [1, 1, 2, 2], [random(1, 1, 3, 2)], strides=[2, 2], auto_pad="VALID"),
    "conv in one dimension": one("Conv", [1, 2, 9], [1, 3, 5], [random(3, 2, 3)], strides=[2], pads=[1, 1]),
    "conv in three dimensions": one("Conv", [1, 2, 4, 3, 4], [1, 2, 3, 2, 3], [random(2, 2, 2, 2, 2)]),
    "transposed conv, kernel 2 stride 2": one(
        "ConvTranspose", [1, 2, 3, 4], [1, 3, 6, 8], [random(2, 3, 2, 2)], strides=[2, 2]
    ),
    "transposed conv, kernel 4 stride 2": one(
        "ConvTranspose", [1, 2, 3, 3], [1, 2, 6, 6], [random(2, 2, 4, 4)], strides=[2, 2], pads=[1, 1, 1, 1]
    ),
    "transposed conv, kernel 9 stride 4": one(
        "ConvTranspose",
        [1, 2, 2, 3],
        [1, 1, 8, 12],
        [random(2, 1, 9, 9)],
        strides=[4, 4],
        pads=[4, 4, 4, 4],
        output_padding=[3, 3],
    ),
    "transposed conv, kernel 3 stride 2, cropped": one(
        "ConvTranspose", [1, 1, 3, 3], [1, 1, 5, 5], [random(1, 1, 3, 3)], strides=[2, 2], pads=[1, 1, 1, 1]
    ),
    "transposed conv, stride 1, dilated": one(
        "ConvTranspose", [1, 2, 4, 4], [1, 2, 6, 6], [random(2, 2, 3, 3)], dilations=[2, 2], pads=[1, 1, 1, 1]
    ),
    "transposed conv with holes": one(
        "ConvTranspose", [1, 2, 3, 2], [1, 1, 8, 6], [random(2, 1, 2, 1)], strides=[3, 5]
    ),
    "transposed conv, stride 2, dilated": one(
        "ConvTranspose", [1, 2, 3, 3], [1, 1, 9, 9], [random(2, 1, 3, 3)], strides=[2, 2], dilations=[2, 2]
    ),
    "transposed conv, strides and dilations that differ": one(
        "ConvTranspose",
        [1, 2, 3, 3],
        [1, 1, 11, 8],
        [random(2, 1, 4, 3)],
        strides=[2, 4],
        dilations=[3, 2],
        pads=[1, 3, 1, 2],
    ),
    "transposed conv in groups": one(
        "ConvTranspose", [1, 4, 3, 3], [1, 2, 6, 6], [random(4, 1, 2, 2)], strides=[2, 2], group=2
    ),
    "gemm": one("Gemm", [3, 4], [3, 5], [random(4, 5)]),
    "gemm, both transposed": one("Gemm", [4, 3], [3, 5], [random(5, 4)], transA=1, transB=1),
    "matmul": one("MatMul", [3, 4], [3, 5], [random(4, 5)]),
    "matmul, batch broadcast": one("MatMul", [2, 1, 3, 4], [2, 3, 3, 2], second=[3, 4, 2]),
    "matmul, weights without batch": one("MatMul", [2, 3, 4], [2, 3, 5], [random(4, 5)]),
    "matmul, matrix and vector": one("MatMul", [2, 3, 4], [2, 3], [random(4)]),
    "matmul, vector and matrix": one("MatMul", [4], [5], [random(4, 5)]),
    "max pool": one("MaxPool", [1, 2, 7, 6], [1, 2, 4, 3], kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 0]),
    "max pool, rounded up": one(
        "MaxPool", [1, 1, 6, 6], [1, 1, 3, 3], kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1
    ),
    "max pool, dilated": one("MaxPool", [1, 1, 7, 7], [1, 1, 3, 3], kernel_shape=[3, 3], dilations=[2, 2]),
    "average pool": one("AveragePool", [1, 2, 5, 5], [1, 2, 5, 5], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
    "average pool in one dimension": one("AveragePool", [1, 2, 8], [1, 2, 4], kernel_shape=[2], strides=[2]),
    "global average pool": one("GlobalAveragePool", [2, 3, 4, 5], [2, 3, 1, 1]),
    "global max pool": one("GlobalMaxPool", [2, 3, 4, 5], [2, 3, 1, 1]),
    "reduce mean": one("ReduceMean", [2, 3, 4, 5], [2, 3, 1, 1], axes=[2, 3]),
    "reduce sum, axes dropped": one("ReduceSum", [2, 3, 4], [2, 4], [np.array([1], dtype=np.int64)], keepdims=0),
    "reduce max, negative axis": one("ReduceMax", [2, 3, 4], [2, 3, 1], axes=[-1]),
    "reduce everything": one("ReduceSum", [2, 3], [], keepdims=0),
    "relu": one("Relu", [2, 3, 2, 2], [2, 3, 2, 2]),
    "add": one("Add", [1, 3, 4, 2], [1, 3, 4, 2], second=[1, 3, 4, 2]),
    "add, both broadcast": one("Add", [3, 1, 2], [3, 4, 2], second=[4, 1]),
    "add, one rank lower": one("Add", [1, 3, 4, 2], [1, 3, 4, 2], [random(3, 1, 1)]),
    "mul in five dimensions": one("Mul", [1, 2, 3, 2, 2], [1, 2, 3, 2, 2], second=[2, 1, 2, 1]),
    "sub": one("Sub", [2, 3], [2, 3], [random(1, 3)]),
    "sum of three": one("Sum", [2, 3], [2, 3], [random(1, 3)], second=[2, 1]),
    "prelu": one("PRelu", [1, 3, 2, 2], [1, 3, 2, 2], [random(3, 1, 1)]),
    "concat": one("Concat", [1, 2, 3, 3], [1, 5, 3, 3], second=[1, 3, 3, 3], axis=1),
    "concat, negative axis": one("Concat", [2, 3], [2, 7], second=[2, 4], axis=-1),
    "pad": one("Pad", [1, 2, 3, 3], [1, 2, 6, 5], [np.array([0, 0, 1, 2, 0, 0, 2, 0], dtype=np.int64)]),
    "pad that crops": one("Pad", [1, 4], [1, 4], [np.array([0, -1, 0, 1], dtype=np.int64)]),
    "slice": one(
        "Slice",
        [1, 4, 6, 5],
        [1, 2, 3, 5],
        [
            np.array([1, -6], dtype=np.int64),
            np.array([3, 100], dtype=np.int64),
            np.array([1, 2], dtype=np.int64),
            np.array([1, 2], dtype=np.int64),
        ],
    ),
    "split": make_model(
        [node("Split", ["x", "s"], ["a", "out"], name="n", axis=1)],
        {"x": [2, 5]},
        {"a": [2, 2], "out": [2, 3]},
        {"s": np.array([2, 3], dtype=np.int64)},
    ),
    "gather of one row": one("Gather", [2, 5, 3], [2, 3], [np.array(2, dtype=np.int64)], axis=1),
    "gather of a range": one("Gather", [2, 6, 3], [2, 3, 3], [np.array([0, 2, 4], dtype=np.int64)], axis=1),
    "gather of scattered rows": one("Gather", [2, 5, 3], [2, 4, 3], [np.array([4, 0, -2, 0], dtype=np.int64)], axis=1),
    "gather of a table": one("Gather", [5, 3], [2, 2, 3], [np.array([[4, 0], [3, 3]], dtype=np.int64)]),
    "gather from the right": one("Gather", [2, 3, 5], [2, 3, 2, 2], [np.array([[4, 0], [3, 3]])], axis=-1),
    "gather of elements": one("GatherElements", [3, 4], [2, 3], [np.array([[2, 0, 1], [0, -1, 2]])], axis=0),
    "gather of slices": one("GatherND", [3, 4, 2], [2, 3, 2], [np.array([[[0], [1], [2]], [[2], [2], [0]]])]),
    "gather of elements by coordinates": one(
        "GatherND", [3, 4], [2, 2], [np.array([[[0, 3], [2, 1]], [[1, 1], [0, 0]]])]
    ),
    "gather of slices in batches": one("GatherND", [2, 3, 4], [2, 4], [np.array([[1], [2]])], batch_dims=1),
    "reversed sequences": one("ReverseSequence", [4, 3, 2], [4, 3, 2], [np.array([4, 1, 3])]),
    "reversed sequences, batch first": one(
        "ReverseSequence", [3, 4, 2], [3, 4, 2], [np.array([4, 1, 3])], time_axis=1, batch_axis=0
    ),
    "tile": one("Tile", [2, 3], [4, 9], [np.array([2, 3])]),
    "tile of one axis": one("Tile", [1, 3, 2], [1, 6, 2], [np.array([1, 2, 1])]),
    "largest along an axis, and where": make_model(
        [node("TopK", ["x", "k"], ["out", "where"], name="n", axis=1)],
        {"x": [2, 5, 3]},
        {"out": [2, 1, 3]},
        {"k": np.array([1])},
    ),
    **{
        f"einsum {equation}": one("Einsum", *shapes, equation=equation)
        for equation, shapes in {
            "bij,bjk->bik": ([2, 3, 4], [2, 3, 5], (), 17, [2, 4, 5]),
            "bhid,bhjd->bhij": ([2, 2, 3, 4], [2, 2, 3, 5], (), 17, [2, 2, 5, 4]),
            "ij,jk": ([3, 4], [3, 5], (), 17, [4, 5]),
            "...ij,...jk->...ik": ([2, 3, 4], [2, 3, 5], (), 17, [2, 4, 5]),
            "i,j->ij": ([3], [3, 4], (), 17, [4]),
            "i,ij->ij": ([3], [3, 4], (), 17, [3, 4]),
            "bhwc,hkc->bhwk": ([2, 3, 4, 5], [2, 3, 4, 6], (), 17, [3, 6, 5]),
            "ij,kl->ik": ([2, 3], [2, 4], (), 17, [4, 5]),
            "bij,bij->b": ([2, 3, 4], [2], (), 17, [2, 3, 4]),
            "ij->j": ([3, 4], [4]),
        }.items()
    },
    "einsum of three": make_model(
        [node("Einsum", ["x", "v", "w"], ["out"], name="n", equation="abc,cd,def->abef")],
        {"x": [2, 3, 4]},
        {"out": [2, 3, 2, 3]},
        {"v": random(4, 5), "w": random(5, 2, 3)},
    ),
    "attention": one("Attention", [1, 2, 3, 4], [1, 2, 3, 4], [random(1, 2, 5, 4)] * 2, 23, scale=1.0),
    "attention of grouped heads, with a mask and wide values": one(
        "Attention",
        [2, 4, 3, 4],
        [2, 4, 3, 2],
        [random(2, 2, 5, 4), random(2, 2, 5, 2), random(1, 1, 3, 5)],
        23,
        scale=1.0,
    ),
    "attention of flat heads behind a past": one(
        "Attention",
        [1, 2, 12],
        [1, 2, 12],
        [random(1, 2, 6), random(1, 2, 6, seed=1), random(2, 5), random(1, 2, 3, 3), random(1, 2, 3, 3, seed=1)],
        23,
        q_num_heads=4,
        kv_num_heads=2,
        scale=1.0,
    ),
    "rotary embedding": one(
        "RotaryEmbedding", [1, 2, 3, 4], [1, 2, 3, 4], [random(1, 3, 2), random(1, 3, 2, seed=1)], 23
    ),
    "rotary embedding, interleaved and flat": one(
        "RotaryEmbedding",
        [2, 3, 8],
        [2, 3, 8],
        [random(2, 3, 2), random(2, 3, 2, seed=1)],
        23,
        num_heads=2,
        interleaved=1,
    ),
    "rotary embedding of a part, by position": one(
        "RotaryEmbedding",
        [2, 2, 3, 6],
        [2, 2, 3, 6],
        [random(9, 2), random(9, 2, seed=1), np.array([[0, 1, 2], [8, 5, 5]])],
        23,
        rotary_embedding_dim=4,
    ),
    "expand": one("Expand", [3, 1], [2, 3, 4], [np.array([2, 3, 4], dtype=np.int64)]),
    "depth to space": one("DepthToSpace", [1, 8, 2, 3], [1, 2, 4, 6], blocksize=2),
    "depth to space, CRD": one("DepthToSpace", [1, 8, 2, 3], [1, 2, 4, 6], blocksize=2, mode="CRD"),
    "space to depth": one("SpaceToDepth", [1, 2, 4, 6], [1, 8, 2, 3], blocksize=2),
    "resize": one(
        "Resize",
        [1, 2, 3, 2],
        [1, 2, 6, 6],
        [np.array([], dtype=np.float32), np.array([1, 1, 2, 3], dtype=np.float32)],
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    ),
    "transpose, reshape, relu": make_model(
        [
            node("Transpose", ["x"], ["t"], perm=[0, 2, 3, 1]),
            node("Reshape", ["t", "s"], ["r"]),
            node("Relu", ["r"], ["out"]),
        ],
        {"x": [1, 3, 2, 2]},
        {"out": [1, 12]},
        {"s": np.array([0, -1], dtype=np.int64)},
    ),
    "views of a result": make_model(
        [
            node("Relu", ["x"], ["r"]),
            node("Unsqueeze", ["r", "a"], ["u"]),
            node("Dropout", ["u"], ["d"]),
            node("Squeeze", ["d", "a"], ["s"]),
            node("Flatten", ["s"], ["out"]),
        ],
        {"x": [2, 3, 2]},
        {"out": [2, 6]},
        {"a": np.array([0], dtype=np.int64)},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_loops_compute_what_onnx_runtime_computes(name):
    model = CASES[name]
    given = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for seed, value in enumerate(model.graph.input, start=7):
        given[value.name] = random(*(dim.dim_value for dim in value.type.tensor_type.shape.dim), seed=seed)
    workload = read_model(model)
    prepared = dict(given)
    for entry in model.graph.node:
        if entry.op_type == "ConvTranspose":
            prepared[entry.input[1]] = tap_reversed(
                given[entry.input[1]], attribute(entry, "strides", [1, 1]), attribute(entry, "dilations", [1, 1])
            )
    expected = reference(model, given) if model.opset_import[0].version > 22 else run_onnx(model, given)
    computed = run(workload, prepared)
    for output, value in expected.items():
        np.testing.assert_allclose(computed[output], value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_a_box_holds_exactly_the_range_of_indices_that_its_loops_touch(name):
    for op in read_model(CASES[name]).ops:
        halves = {dim: (size // 2, size) for dim, size in op.dims}
        for ranges in (op.whole(), halves):
            touched = [p for p in points(op) if all(ranges[d][0] <= i < ranges[d][1] for d, i in p.items())]
            for operand in op.operands:
                box = operand.box(ranges)
                for i, axis in enumerate(operand.axes):
                    if axis.scattered:
                        assert box[i] == (0, axis.size)
                        continue
                    seen = [index_of(operand, point)[0][i] for point in touched]
                    low, high = min(axis.size, max(0, min(seen))), min(axis.size, max(seen) + 1)
                    assert box[i] == (low, max(low, high)), (op.name, operand.name, i)


def attribute(entry, name, default):
    return next((list(a.ints) for a in entry.attribute if a.name == name), default)


def test_a_transposed_convolution_multiplies_no_inserted_zeros():
    deconv = CASES["transposed conv, kernel 9 stride 4"]
    assert read_model(deconv).macs == (2 * 3) * (9 * 9) * 2 * 1  # input pixels x kernel x C x K


def test_sub_convolutions_of_a_transposed_convolution_write_disjoint_boxes():
    workload = read_model(CASES["transposed conv, kernel 9 stride 4"])
    written = [op.output.box(op.whole()) for op in workload.ops]
    total = sum(np.prod([stop - start for start, stop in box]) for box in written)
    assert total == 8 * 12


def test_positions_that_no_tap_of_a_transposed_convolution_reaches_are_filled_and_multiply_nothing():
    workload = read_model(CASES["transposed conv with holes"])
    assert workload.macs == (3 * 2) * (2 * 1) * 2 * 1  # input pixels x kernel x C x K
    filled = [op for op in workload.ops if op.kind == "copy" and not op.name.endswith("crop")]
    assert filled
    assert all(np.prod([stop - start for start, stop in op.operands[0].box(op.whole())]) == 0 for op in filled)


def spectrum(samples, bins):
    """Cosines and sines as a matrix [samples, 1, bins, 2]."""
    angles = 2 * np.pi * np.outer(np.arange(samples), np.arange(bins)) / samples
    return np.stack([np.cos(angles), -np.sin(angles)], axis=-1)[:, None]


def test_a_fourier_transform_is_a_product_with_its_matrix():
    model = one("DFT", [2, 6, 3, 1], [2, 6, 3, 2], axis=1)
    workload = read_model(model)
    assert [str(op) for op in workload.ops] == ["n matmul M2 M33 N6 N22 K6 K21"]
    x = random(2, 6, 3, 1)
    found = run(workload, {"x": x, "n.matrix": spectrum(6, 6)})["out"]
    np.testing.assert_allclose(found, run_onnx(model, {"x": x})["out"], rtol=1e-4, atol=1e-5)


def test_a_short_time_fourier_transform_is_a_convolution_with_its_matrix():
    window = np.hanning(8).astype(np.float32)
    model = make_model(
        [node("STFT", ["x", "step", "window"], ["out"], name="n")],
        {"x": [1, 20, 1]},
        {"out": None},
        {"step": np.array(4), "window": window},
    )
    workload = read_model(model)
    assert [str(op) for op in workload.ops] == ["n conv B1 K5 K22 C1 OX4 FX8"]
    x = random(1, 20, 1)
    found = run(workload, {"x": x, "n.matrix": spectrum(8, 5) * window[:, None, None, None]})["out"]
    np.testing.assert_allclose(found, run_onnx(model, {"x": x})["out"], rtol=1e-4, atol=1e-5)

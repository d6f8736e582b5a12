"""Random windows: convolutions, transposed convolutions and pools agree with ONNX Runtime element by element."""

from __future__ import annotations

import numpy as np
import onnx
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from interpret import make_model, random, run, run_onnx, tap_reversed
from onnx import helper

from weft.errors import ModelError
from weft.read.onnx import read_model

small = st.integers(1, 3)
pad = st.integers(0, 2)


def agrees(model, values, weights=None):
    """The workload of `model`, after its loops computed what ONNX Runtime computes."""
    try:
        onnx.shape_inference.infer_shapes(model, strict_mode=True)
        expected = run_onnx(model, values)["y"]
    except Exception:
        assume(False)
    assume(expected.size and np.isfinite(expected).all())
    workload = read_model(model)
    np.testing.assert_allclose(run(workload, values | (weights or {}))["y"], expected, rtol=1e-4, atol=1e-5)
    return workload


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_convolutions(data):
    groups, inner, outer = (data.draw(st.integers(1, 2)) for _ in range(3))
    size = [data.draw(st.integers(3, 7)) for _ in range(2)]
    kernel, strides, dilations = ([data.draw(small) for _ in range(2)] for _ in range(3))
    auto = data.draw(st.sampled_from(["NOTSET", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"]))
    pads = {"pads": [data.draw(pad) for _ in range(4)]} if auto == "NOTSET" else {}
    if auto.startswith("SAME"):
        dilations = [1, 1]  # ONNX Runtime refuses others here
    values = {"x": random(1, groups * inner, *size), "w": random(groups * outer, inner, *kernel)}
    conv = helper.make_node(
        "Conv", ["x", "w"], ["y"], group=groups, strides=strides, dilations=dilations, auto_pad=auto, **pads
    )
    workload = agrees(make_model([conv], {"x": values["x"].shape}, {"y": None}, {"w": values["w"]}), values)
    assert len(workload.ops) == 1


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_transposed_convolutions(data):
    groups, inner, outer = (data.draw(st.integers(1, 2)) for _ in range(3))
    size = [data.draw(st.integers(1, 3)) for _ in range(2)]
    kernel = [data.draw(st.integers(1, 5)) for _ in range(2)]
    strides = [data.draw(small) for _ in range(2)]
    pads = [data.draw(pad) for _ in range(4)]
    dilations = [data.draw(small) for _ in range(2)]
    extra = [data.draw(st.integers(0, stride - 1)) for stride in strides]
    values = {"x": random(1, groups * inner, *size), "w": random(groups * inner, outer, *kernel)}
    node = helper.make_node(
        "ConvTranspose",
        ["x", "w"],
        ["y"],
        group=groups,
        strides=strides,
        pads=pads,
        output_padding=extra,
        dilations=dilations,
    )
    model = make_model([node], {"x": values["x"].shape}, {"y": None}, {"w": values["w"]})
    agrees(model, values, {"w": tap_reversed(values["w"], strides, dilations)})


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_pools(data):
    kind = data.draw(st.sampled_from(["MaxPool", "AveragePool"]))
    size = [data.draw(st.integers(3, 8)) for _ in range(2)]
    kernel, strides = ([data.draw(small) for _ in range(2)] for _ in range(2))
    pads = [data.draw(st.integers(0, k - 1)) for k in kernel * 2]
    values = {"x": random(1, 2, *size)}
    node = helper.make_node(
        kind, ["x"], ["y"], kernel_shape=kernel, strides=strides, pads=pads, ceil_mode=data.draw(st.integers(0, 1))
    )
    agrees(make_model([node], {"x": values["x"].shape}, {"y": None}), values)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 400), st.integers(0, 255))
def test_bytes_that_went_wrong_give_lines(tail, position, value):
    conv = helper.make_node("Conv", ["x", "w"], ["y"], name="c", pads=[1, 1, 1, 1])
    model = make_model([conv], {"x": [1, 2, 4, 4]}, {"y": None}, {"w": random(2, 2, 3, 3)})
    content = bytearray(model.SerializeToString())
    content[position % len(content)] = value
    try:
        damaged = onnx.load_model_from_string(bytes(content[: len(content) - len(tail) % 7]))
    except Exception:
        return  # no protobuf: refused where files are opened
    message = ""
    try:
        read_model(damaged)
    except ModelError as error:
        message = str(error)
    assert all(line.isprintable() for line in message.split("\n"))

"""Resize: whatever it reads of an axis lies in the box that its loops say, for every rule of rounding."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from interpret import make_model
from onnx import helper
from onnx.reference import ReferenceEvaluator

from weft.read.onnx import read_model

node = helper.make_node
WAYS = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric")
NEAREST = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")


def model(size, scale, **attributes):
    """A Resize of the second axis of as many rows as it is long: on an identity, row k shows who reads element k."""
    return make_model(
        [node("Resize", ["x", "", "s"], ["y"], name="r", **attributes)],
        {"x": [size, size]},
        {"y": None},
        {"s": np.array([1, scale], np.float32)},
        opset=19,
    )


def boxes(op, size, result):
    """The inputs that the loops say each output of the second axis reads, as (first, behind the last)."""
    factor = result // size
    for j in range(result):
        ranges = op.whole()
        if "SG" in ranges:
            ranges |= {"G": (j // factor, j // factor + 1), "SG": (j % factor, j % factor + 1)}
        elif not op.barrier:
            ranges |= {"G": (j, j + 1)}
        yield op.inputs[0].box(ranges)[1]


@pytest.mark.parametrize(("way", "size", "scale"), [*itertools.product(WAYS, (2, 3, 5), (1.25, 2.0, 3.0, 4.0))])
def test_what_is_read_lies_in_the_box(way, size, scale):
    modes = [{"mode": "nearest", "nearest_mode": rounding} for rounding in NEAREST] + [{"mode": "linear"}]
    for attributes in (*modes, {"mode": "cubic"}):
        built = model(size, scale, coordinate_transformation_mode=way, **attributes)
        (shown,) = ReferenceEvaluator(built).run(None, {"x": np.eye(size, dtype=np.float32)})
        (op,) = read_model(built).ops
        for j, (low, high) in enumerate(boxes(op, size, shown.shape[1])):
            read = np.flatnonzero(shown[:, j])
            assert all(low <= k < high for k in read), (way, attributes, j)
            if attributes["mode"] == "nearest" and "SG" in op.whole():
                assert [*read] == list(range(low, high)) == [j * size // shown.shape[1]]


def of(attributes, shape, inputs, opset=18):
    names = ["x", *(name if name in inputs else "" for name in ("roi", "scales", "sizes"))]
    nodes = [node("Resize", names, ["y"], name="r", **attributes)]
    made = make_model(nodes, {"x": shape}, {"y": None}, inputs, opset=opset)
    return [str(op) for op in read_model(made).ops]


def test_a_scale_that_keeps_the_size_is_no_view():
    # 4 x 1.2 rounds down to 4, and the last element is read for the third time
    attributes = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric"}
    assert of(attributes, [1, 1, 4, 4], {"scales": np.float32([1, 1, 1.2, 1])}) == ["r copy B1 G1 OY4 OX4"]


def test_a_part_cut_out_at_the_same_size_is_no_view():
    attributes = {"mode": "linear", "coordinate_transformation_mode": "tf_crop_and_resize"}
    inputs = {"roi": np.float32([0, 0, 0.4, 0, 1, 1, 0.6, 1]), "sizes": np.int64([1, 1, 4, 4])}
    assert of(attributes, [1, 1, 4, 4], inputs) == ["r pool B1 G1 OY4 OX4 FY2"]


def test_a_smooth_reduction_reads_as_many_elements_as_its_filter_is_wide():
    inputs = {"scales": np.float32([1, 1, 0.25, 1])}
    assert of({"mode": "linear", "antialias": 1}, [1, 1, 16, 4], inputs) == [f"r pool B1 G1 OY4 OX4 FY{2 * 4}"]
    assert of({"mode": "linear"}, [1, 1, 16, 4], inputs) == ["r pool B1 G1 OY4 OX4 FY2"]

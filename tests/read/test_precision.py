"""Which bits a tensor is priced at, and what is said about it."""

from __future__ import annotations

from dataclasses import replace

from interpret import make_model, random
from onnx import helper

from weft.model.chip import Precision
from weft.model.tensor_type import TensorType
from weft.read.onnx import read_model
from weft.read.precision import assume_precision

node = helper.make_node


def network():
    nodes = [
        node("Flatten", ["x"], ["f"]),
        node("Gemm", ["f", "w"], ["h"], name="g"),
        node("Relu", ["h"], ["r"]),
        node("Unsqueeze", ["r", "a"], ["y"]),
    ]
    import numpy as np

    return read_model(make_model(nodes, {"x": [2, 3, 1]}, {"y": None}, {"w": random(3, 4), "a": np.array([0])}))


def retyped(workload, **dtypes):
    bits = {"float32": 32, "float16": 16, "int8": 8, "int4": 4}
    return replace(
        workload,
        tensors=tuple(
            replace(t, dtype=dtypes[t.name], bits=bits[dtypes[t.name]]) if t.name in dtypes else t
            for t in workload.tensors
        ),
    )


def bits(workload):
    return {tensor.name: tensor.bits for tensor in workload.tensors}


def test_float_tensors_take_the_precision_of_their_role_and_views_that_of_what_they_show():
    priced, words = assume_precision(network(), Precision(input_bits=6, weight_bits=4, output_bits=8))
    assert bits(priced) == {"x": 6, "f": 6, "w": 4, "h": 8, "r": 8, "y": 8}
    assert words == "6-bit I, 4-bit W, 8-bit O (the model is float32)"


def test_equal_widths_are_said_once():
    assert assume_precision(network(), Precision())[1] == "8-bit I, W, O (the model is float32)"


def test_integer_tensors_keep_their_bits_and_it_is_said():
    mixed = retyped(network(), w="int4")
    priced, words = assume_precision(mixed, Precision())
    assert bits(priced)["w"] == 4
    assert words == "8-bit I, O (the model is float32; its int4 W kept as given)"


def test_a_network_of_integers_assumes_nothing():
    names = {tensor.name: "int8" for tensor in network().tensors}
    whole = retyped(network(), **names)
    assert assume_precision(whole, Precision(input_bits=4)) == (whole, None)


def test_a_width_that_the_model_states_is_kept():
    nodes = [node("Conv", ["x", "w"], ["y"], name="c", weight_size=4)]
    workload = read_model(make_model(nodes, {"x": [1, 3, 8, 8]}, {"y": None}, {"w": random(4, 3, 3, 3)}))
    priced, words = assume_precision(workload, Precision())
    assert bits(priced) == {"x": 8, "w": 4, "y": 8}
    assert words == "8-bit I, O (the model is float32; its 4-bit W kept as given)"


def test_what_is_assumed_once_is_not_assumed_again():
    priced, _ = assume_precision(network(), Precision(input_bits=6, weight_bits=4, output_bits=8))
    assert assume_precision(priced, Precision())[0] == priced


def test_a_width_that_is_set_over_a_quantised_type_is_said_as_such():
    typed = TensorType("int", 8, scaled=True)
    workload = network()
    narrow = replace(
        workload, tensors=tuple(replace(t, bits=4, type=typed) if t.name == "w" else t for t in workload.tensors)
    )
    assert assume_precision(narrow, Precision())[1] == "8-bit I, O (the model is float32; its 4-bit W kept as given)"


def test_a_view_has_the_width_that_the_model_states_of_what_it_shows():
    nodes = [node("Conv", ["x", "w"], ["c"], name="c", output_size=4), node("Flatten", ["c"], ["y"])]
    workload = read_model(make_model(nodes, {"x": [1, 3, 8, 8]}, {"y": None}, {"w": random(4, 3, 3, 3)}))
    assert bits(assume_precision(workload, Precision())[0]) == {"x": 8, "w": 8, "c": 4, "y": 4}

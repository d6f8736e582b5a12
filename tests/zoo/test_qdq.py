"""The quantised networks of the library: their form, their scales, and that they compute what the float ones do."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import onnxruntime
import pytest
from onnx import numpy_helper

from tests.zoo.calibrate import NETWORKS, measure, sample
from weft import zoo
from weft.read import load
from weft.run import RunResult, run
from weft.zoo._qdq import _ranges

ACTIVATIONS = {"resnet8": "int8", "ds_cnn": "uint8", "mobilenet_v1_025": "int8", "deepautoencoder": "int8"}
PER_CHANNEL = {"mobilenet_v1_025"}


def constants(model):
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def outputs(model, seed):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    shape = tuple(dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim)
    return session.run(None, {"input": sample(seed, shape)})[0]


@pytest.mark.parametrize("name", NETWORKS)
def test_it_has_its_values_even_where_none_are_asked_for(name):
    assert zoo.build(f"{name}_qdq", values=False) == zoo.build(f"{name}_qdq")


@pytest.mark.parametrize(
    ("name", "activations", "products"),
    [
        ("resnet8", 1 + 9 + 3 + 4, 10),  # input; convolutions with their Relu; Adds with theirs; pool to softmax
        ("ds_cnn", 1 + 9 + 4, 10),
        ("mobilenet_v1_025", 1 + 27 + 4, 28),
        ("deepautoencoder", 1 + 10, 10),
    ],
)
def test_every_operator_is_between_quantisers(name, activations, products):
    got = Counter(node.op_type for node in zoo.build(f"{name}_qdq").graph.node)
    assert got.pop("QuantizeLinear") == activations
    assert got.pop("DequantizeLinear") == activations + 2 * products  # weights and biases are stored quantised
    assert got == Counter(node.op_type for node in zoo.build(name).graph.node)


@pytest.mark.parametrize("name", NETWORKS)
def test_scales_are_calibrated_and_integers_are_as_wide_as_announced(name):
    model, weights = constants(zoo.build(f"{name}_qdq")), constants(zoo.build(name))
    for tensor, (low, high) in _ranges()[f"{name}_qdq"].items():
        scale, zero_point = model[f"{tensor}_scale"], model[f"{tensor}_zero_point"]
        assert zero_point.dtype == ACTIVATIONS[name]
        limits = np.iinfo(zero_point.dtype)
        assert math.frexp(scale)[0] != 0.5  # no power of two
        for bound in (low, high):
            assert limits.min - 0.5 <= bound / scale + int(zero_point) <= limits.max + 0.5
    for tensor, values in weights.items():
        stored, scale = model[f"{tensor}_quantized"], model[f"{tensor}_scale"]
        per_channel = name in PER_CHANNEL
        assert scale.shape == ((len(values),) if per_channel else ())
        assert not model[f"{tensor}_zero_point"].any()
        along = scale.reshape(-1, *[1] * (values.ndim - 1)) if per_channel else scale
        assert np.abs(stored * along.astype(float) - values).max() <= 0.501 * scale.max()
        if tensor.endswith(".weight"):
            assert stored.dtype == np.int8
            assert np.abs(stored).reshape(len(values) if per_channel else 1, -1).max(axis=1).min() == 127
        else:
            assert stored.dtype == np.int32


@pytest.mark.parametrize("name", NETWORKS)
def test_a_bias_has_the_scale_of_the_products_it_is_added_to(name):
    model = zoo.build(f"{name}_qdq")
    values = constants(model)
    biased = [node for node in model.graph.node if node.op_type in ("Conv", "Gemm")]
    for node in biased:
        source, weight, bias = (values[f"{tensor.removesuffix('_dequantized')}_scale"] for tensor in node.input)
        np.testing.assert_array_equal(bias, source * weight)
    assert len(biased) == sum(tensor.endswith(".bias_scale") for tensor in values)


@pytest.mark.parametrize("name", NETWORKS)
def test_it_computes_what_the_float_network_does(name):
    for seed in range(100, 104):
        one, other = outputs(zoo.build(f"{name}_qdq"), seed), outputs(zoo.build(name), seed)
        assert one.shape == other.shape
        assert 0 < np.linalg.norm(one - other) < 0.04 * np.linalg.norm(other)  # at most 3.5 % on these inputs
        assert one.argmax() == other.argmax()


@pytest.mark.parametrize("name", NETWORKS)
def test_the_kept_ranges_are_those_that_onnx_runtime_measures(name):
    kept, measured = _ranges()[f"{name}_qdq"], measure(name)
    assert list(kept) == list(measured)
    np.testing.assert_allclose(list(kept.values()), list(measured.values()), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_it_has_the_parameters_of_the_float_network(name):
    assert zoo.parameters(zoo.build(f"{name}_qdq")) == zoo.parameters(zoo.build(name))


@pytest.mark.parametrize("name", NETWORKS)
def test_it_is_read_as_the_loops_of_the_float_network_at_its_widths(name):
    float_network, network = load(name), load(f"{name}_qdq")
    kinds = ("conv", "gemm", "pool", "softmax")
    assert [(op.name, op.dims) for op in network.ops if op.kind in kinds] == [
        (op.name, op.dims) for op in float_network.ops if op.kind in kinds
    ]
    tensors = {tensor.name: tensor for tensor in network.tensors}
    for op in network.ops:
        if op.kind in ("conv", "gemm"):
            read, weights = (tensors[operand.tensor].type for operand in op.inputs)
            assert (read.bits, read.signed) == (8, ACTIVATIONS[name] == "int8")
            assert (weights.bits, weights.signed) == (8, True)
            assert weights.axis == (0 if name in PER_CHANNEL else None)
    first, last = network.ops[0], network.ops[-1]  # floats come in and are quantised by the network
    assert [tensors[operand.tensor].bits for operand in first.operands] == [32, 8]
    assert tensors[last.output.tensor].bits == 8


@pytest.mark.parametrize("name", NETWORKS)
def test_it_is_scheduled_and_proved(name):
    result = run(f"{name}_qdq", "tpu_like", budget=1)
    assert isinstance(result, RunResult)
    assert result.proof.violations == ()
    assert result.proof.replay_ok

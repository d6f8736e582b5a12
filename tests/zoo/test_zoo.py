"""The library's networks: valid ONNX, the same bytes every time, readable without a single weight."""

from __future__ import annotations

import time

import numpy as np
import onnx
import pytest

from weft import zoo
from weft.errors import ModelError
from weft.read import load

SHAPES = {
    "alexnet": {"input": (1, 3, 224, 224)},
    "bert_layer": {"input": (1, 128, 768), "attention_mask": (1, 1, 1, 128)},
    "deepautoencoder": {"input": (1, 640)},
    "deepautoencoder_qdq": {"input": (1, 640)},
    "ds_cnn": {"input": (1, 1, 49, 10)},
    "ds_cnn_qdq": {"input": (1, 1, 49, 10)},
    "fsrcnn": {"input": (1, 1, 540, 960)},
    "llama_block_decode": {
        "input": (1, 1, 2048),
        "cos": (1, 1, 64),
        "sin": (1, 1, 64),
        "past_key": (1, 8, 1024, 64),
        "past_value": (1, 8, 1024, 64),
    },
    "llama_block_prefill": {
        "input": (1, 512, 2048),
        "cos": (1, 512, 64),
        "sin": (1, 512, 64),
        "attention_mask": (1, 1, 512, 512),
    },
    "mobilenet_v1": {"input": (1, 3, 224, 224)},
    "mobilenet_v1_025": {"input": (1, 3, 96, 96)},
    "mobilenet_v1_025_qdq": {"input": (1, 3, 96, 96)},
    "mobilenet_v2": {"input": (1, 3, 224, 224)},
    "resnet18": {"input": (1, 3, 224, 224)},
    "resnet20": {"input": (1, 3, 32, 32)},
    "resnet50": {"input": (1, 3, 224, 224)},
    "resnet8": {"input": (1, 3, 32, 32)},
    "resnet8_qdq": {"input": (1, 3, 32, 32)},
    "squeezenet": {"input": (1, 3, 224, 224)},
    "tiny_yolo": {"input": (1, 3, 416, 416)},
    "vgg16": {"input": (1, 3, 224, 224)},
    "vit_tiny": {"input": (1, 3, 224, 224)},
}
"""Shapes of every input of every network."""

SMALL = (
    *("bert_layer", "deepautoencoder", "ds_cnn", "mobilenet_v1_025", "resnet20", "resnet8", "squeezenet", "vit_tiny"),
    *(name for name in SHAPES if name.endswith("_qdq")),
)
"""Executed in the normal suite, the others by `make verify`."""

LARGE = tuple(name for name in SHAPES if name not in SMALL)


def small_and_large():
    return [*SMALL, *(pytest.param(name, marks=pytest.mark.verify) for name in LARGE)]


def test_names_are_sorted_and_described():
    assert zoo.names() == tuple(sorted(SHAPES))
    assert zoo.describe("resnet18") == (
        "ResNet-18, image classification, 1x3x224x224, 1.81 G MACs (He et al. 2016, as torchvision has it)"
    )
    for name, inputs in SHAPES.items():
        assert "x".join(map(str, next(iter(inputs.values())))) in zoo.describe(name)


def test_an_unknown_name_is_refused():
    with pytest.raises(ModelError) as caught:
        zoo.build("resnet17")
    assert str(caught.value) == "a network must be one of the library, not 'resnet17'; did you mean 'resnet18'?"


@pytest.mark.parametrize("name", zoo.names())
def test_shapes_follow_from_the_inputs_without_a_weight(name):
    model = zoo.build(name, values=False)
    assert {value.name: _shape(value) for value in model.graph.input} == SHAPES[name]
    stated = {value.name: _shape(value) for value in model.graph.output}
    del model.graph.output[:]
    model.graph.output.extend(onnx.helper.make_tensor_value_info(output, 1, None) for output in stated)
    inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    assert {value.name: _shape(value) for value in inferred.graph.output} == stated


@pytest.mark.parametrize("name", small_and_large())
def test_a_network_is_valid_and_the_same_bytes_every_time(name):
    model = zoo.build(name)
    onnx.checker.check_model(model, full_check=True)
    assert zoo.build(name).SerializeToString(deterministic=True) == model.SerializeToString(deterministic=True)


@pytest.mark.parametrize("name", small_and_large())
def test_a_network_runs_in_onnx_runtime_and_tells_inputs_apart(name):
    import onnxruntime

    session = onnxruntime.InferenceSession(zoo.build(name).SerializeToString(), providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(1)
    first, second = (
        session.run(None, {key: rng.standard_normal(shape).astype(np.float32) for key, shape in SHAPES[name].items()})
        for _ in range(2)
    )
    for one, other in zip(first, second, strict=True):
        assert np.isfinite(one).all()
        assert np.abs(one - other).max() > 1e-3


def test_values_left_out_change_nothing_else():
    whole, light = zoo.build("resnet20"), zoo.build("resnet20", values=False)
    weights = 19 + 19 + 2
    assert sum(not tensor.raw_data for tensor in light.graph.initializer) == weights
    for tensor in whole.graph.initializer:
        if tensor.name.endswith((".weight", ".bias")):
            tensor.ClearField("raw_data")
    assert whole == light


def test_the_largest_network_is_read_at_once():
    load("resnet8")  # imports
    start = time.process_time()
    load("vgg16")
    assert time.process_time() - start < 1  # 0.01 s where measured; drawing its 138 M weights takes 2 s


def _shape(value):
    return tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)

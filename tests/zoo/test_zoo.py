"""The library's networks: valid ONNX, the published sizes, the same bytes every time."""

from __future__ import annotations

import time
from collections import Counter

import numpy as np
import onnx
import pytest

from weft import zoo
from weft.errors import ModelError
from weft.read import load

SHAPES = {
    "alexnet": (1, 3, 224, 224),
    "fsrcnn": (1, 1, 540, 960),
    "mobilenet_v2": (1, 3, 224, 224),
    "resnet18": (1, 3, 224, 224),
    "resnet8": (1, 3, 32, 32),
}


@pytest.fixture(scope="module")
def built():
    return {name: zoo.build(name) for name in zoo.names()}


def kinds(name):
    return Counter(op.kind for op in load(name).ops)


def test_names_are_sorted_and_described():
    assert zoo.names() == tuple(sorted(SHAPES))
    assert zoo.describe("resnet18") == (
        "ResNet-18, image classification, 1x3x224x224, 1.81 G MACs (He et al. 2016, as torchvision has it)"
    )
    for name in zoo.names():
        assert "x".join(map(str, SHAPES[name])) in zoo.describe(name)


def test_an_unknown_name_is_refused():
    with pytest.raises(ModelError) as caught:
        zoo.build("resnet17")
    assert str(caught.value) == "a network must be one of the library, not 'resnet17'; did you mean 'resnet18'?"


@pytest.mark.parametrize("name", zoo.names())
def test_a_network_is_valid_onnx_whose_shapes_follow(name, built):
    onnx.checker.check_model(built[name], full_check=True)
    (value,) = built[name].graph.input
    assert tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim) == SHAPES[name]


@pytest.mark.parametrize("name", ["resnet8", "mobilenet_v2", "resnet18"])
def test_a_network_runs_and_tells_inputs_apart(name, built):
    import onnxruntime

    session = onnxruntime.InferenceSession(built[name].SerializeToString(), providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(1)
    first, second = (
        session.run(None, {"input": rng.standard_normal(SHAPES[name]).astype(np.float32)})[0] for _ in range(2)
    )
    assert np.isfinite(first).all()
    assert np.abs(first - second).max() > 1e-3


@pytest.mark.parametrize("name", ["resnet8", "fsrcnn", "mobilenet_v2"])
def test_a_network_is_the_same_bytes_every_time(name, built):
    assert zoo.build(name).SerializeToString(deterministic=True) == built[name].SerializeToString(deterministic=True)


def test_the_largest_network_builds_quickly():
    start = time.process_time()
    zoo.build("alexnet")
    assert time.process_time() - start < 5  # 0.7 s where measured


def test_resnet8_has_the_multiplications_of_mlperf_tiny():
    stem = 32 * 32 * 16 * 3 * 9
    first = 2 * 32 * 32 * 16 * 16 * 9
    second = 16 * 16 * 32 * (16 * 9 + 32 * 9 + 16)
    third = 8 * 8 * 64 * (32 * 9 + 64 * 9 + 32)
    assert load("resnet8").macs == stem + first + second + third + 64 * 10 == 12_501_632
    assert kinds("resnet8") == {"conv": 9, "elementwise": 10, "pool": 1, "gemm": 1, "softmax": 1}


def test_resnet18_has_the_published_multiplications():
    convolutions = 112 * 112 * 64 * 3 * 49 + 4 * 56 * 56 * 64 * 64 * 9
    for size, width in ((28, 128), (14, 256), (7, 512)):
        half = width // 2
        convolutions += size * size * width * (half * 9 + 3 * width * 9 + half)
    assert load("resnet18").macs == convolutions + 512 * 1000 == 1_814_073_344
    assert kinds("resnet18") == {"conv": 20, "elementwise": 25, "pool": 2, "gemm": 1}


def test_mobilenet_v2_has_the_published_multiplications_and_parameters(built):
    assert load("mobilenet_v2").macs == 300_774_272  # "300 M" in table 4 of the paper; torchvision's count
    depthwise = [op for op in load("mobilenet_v2").ops if op.kind == "conv" and op.size["G"] > 1]
    assert len(depthwise) == 17
    assert all(op.size["K"] == op.size["C"] == 1 for op in depthwise)
    weights = sum(np.prod(t.dims) for t in built["mobilenet_v2"].graph.initializer if len(t.dims) > 1)
    assert weights == 3_469_760  # 3.50 M with the parameters of batch normalisation, which are folded here


def test_alexnet_has_the_multiplications_and_parameters_of_torchvision(built):
    features = 55 * 55 * 64 * 3 * 121 + 27 * 27 * 192 * 64 * 25 + 13 * 13 * 9 * (384 * 192 + 256 * 384 + 256 * 256)
    classifier = 256 * 36 * 4096 + 4096 * 4096 + 4096 * 1000
    assert load("alexnet").macs == features + classifier == 714_188_480
    assert sum(np.prod(tensor.dims) for tensor in built["alexnet"].graph.initializer) == 61_100_840
    assert kinds("alexnet") == {"conv": 5, "elementwise": 7, "pool": 3, "gemm": 3}
    assert sum("Dropout" in note.text for note in load("alexnet").notes) == 2


def test_fsrcnn_has_the_multiplications_of_its_eight_layers_per_pixel():
    taps = 56 * 25 + 12 * 56 + 4 * 12 * 12 * 9 + 56 * 12 + 16 * 56 * 9
    assert load("fsrcnn").macs == 540 * 960 * taps == 8_290_252_800
    assert kinds("fsrcnn") == {"conv": 8, "elementwise": 7}

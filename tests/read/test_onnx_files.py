"""Networks that others exported: read where their files are at hand, with the published counts of their layers."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from weft.model.chip import Precision
from weft.read import load
from weft.read.fold import fold
from weft.read.precision import assume_precision

SHARED = Path(__file__).parents[2].parent / "shared"
MODELS = SHARED / "models"
pytestmark = pytest.mark.skipif(not MODELS.exists(), reason="the exported networks are not at hand")


def model(name):
    return load(str(MODELS / f"{name}.onnx"))


def kinds(workload):
    return Counter(op.kind for op in workload.ops)


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("resnet8", "resnet8_ic"),
        ("ds_cnn", "dscnn_kws"),
        ("mobilenet_v1", "mobilenetv1_vww"),
        ("deepautoencoder", "toyadmos_ad"),
    ],
)
def test_mlperf_tiny_networks_have_the_multiplications_of_their_tflite_files(name, published):
    facts = json.loads((SHARED / "facts" / "mlperf_tiny_layers.json").read_text())[published]
    workload = model(name)
    assert workload.macs == facts["total_macs"]
    products = [op.macs for op in workload.ops if op.macs]
    assert sorted(products) == sorted(layer["macs"] for layer in facts["layers"] if layer.get("macs"))


def test_resnet18_without_its_weights_has_every_shape():
    workload = model("resnet18_weights_missing")
    assert kinds(workload) == {"conv": 20, "elementwise": 25, "pool": 2, "gemm": 1}
    assert workload.macs == 1_814_073_344
    assert [str(op) for op in workload.ops[:3]] == [
        "/conv1/Conv conv B1 G1 K64 C3 OY112 OX112 FY7 FX7",
        "/relu/Relu elementwise B1 G64 OY112 OX112",
        "/maxpool/MaxPool pool B1 G64 OY56 OX56 FY3 FX3",
    ]
    assert kinds(fold(workload, frozenset({"Relu"}))) == {"conv": 20, "elementwise": 8, "pool": 2, "gemm": 1}


def test_resnet18_layers_are_those_that_zigzag_read():
    facts = json.loads((SHARED / "facts" / "zigzag_mappings_resnet18_tpu_like.json").read_text())
    ops = {op.name: op for op in model("resnet18_weights_missing").ops}
    for layer in facts["layers"]:
        assert ops[layer["name"]].macs == layer["macs"]


def test_fsrcnn_is_int8_throughout_and_assumes_nothing():
    workload = model("fsrcnn")
    assert {(tensor.dtype, tensor.bits) for tensor in workload.tensors} == {("int8", 8)}
    taps = 56 * 25 + 12 * 56 + 4 * 12 * 12 * 9 + 56 * 12 + 16 * 56 * 9  # conv by conv: K x C x kernel
    assert workload.macs == 540 * 960 * taps
    assert assume_precision(workload, Precision()) == (workload, None)


def test_ds_cnn_keeps_its_int8_weights_under_float_activations():
    workload, words = assume_precision(model("ds_cnn"), Precision(weight_bits=4))
    assert words == "8-bit I, 4-bit W, 8-bit O (the model is float32; its int8 W kept as given)"
    widths = {op.name: workload.tensor(op.operands[1].tensor).bits for op in workload.ops if op.kind == "conv"}
    assert sorted(widths.values()) == [4] * 4 + [8] * 5  # depthwise weights are float32 in this file


@pytest.mark.parametrize("name", ["resnet8", "ds_cnn", "mobilenet_v1"])
def test_the_end_of_the_tiny_networks_is_a_transpose_and_a_reshape_that_move_nothing(name):
    assert [view.kind for view in model(name).views] == ["transpose", "reshape"]

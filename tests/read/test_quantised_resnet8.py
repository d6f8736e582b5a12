"""ResNet-8 of the library, quantised by ONNX Runtime: the ops and MACs of the float network, every activation 8 bit."""

from __future__ import annotations

import logging
from collections import Counter
from functools import cache

import numpy as np
import onnx
import pytest

from weft import zoo
from weft.model.chip import Precision
from weft.read import load
from weft.read.chip import read_chip
from weft.read.fold import fold
from weft.read.precision import assume_precision
from weft.report.coverage import coverage
from weft.report.folder import ops_csv
from weft.run import run

quantization = pytest.importorskip("onnxruntime.quantization")

WAYS = [
    (form, per_channel, weight, activation)
    for form in ("QDQ", "QOperator")
    for per_channel in (False, True)
    for weight, activation in (("QInt8", "QInt8"), ("QUInt8", "QUInt8"), ("QInt8", "QUInt8"))
]


class Pictures(quantization.CalibrationDataReader):
    """Two random images of CIFAR-10's size."""

    def __init__(self, name: str) -> None:
        draw = np.random.default_rng(0)
        self.left = [{name: draw.random((1, 3, 32, 32), dtype=np.float32)} for _ in range(2)]

    def get_next(self):
        return self.left.pop() if self.left else None


@cache
def model(form, per_channel, weight, activation, folder):
    """The path of a quantised ResNet-8."""
    logging.disable(logging.WARNING)
    source, target = folder / "resnet8.onnx", folder / f"{form}_{per_channel}_{weight}_{activation}.onnx"
    made = zoo.build("resnet8")
    onnx.save(made, source)
    quantization.quantize_static(
        source,
        target,
        Pictures(made.graph.input[0].name),
        quant_format=quantization.QuantFormat[form],
        per_channel=per_channel,
        weight_type=quantization.QuantType[weight],
        activation_type=quantization.QuantType[activation],
    )
    logging.disable(logging.NOTSET)
    return str(target)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("quantised")


@pytest.mark.parametrize("way", WAYS, ids=lambda way: "_".join(map(str, way)))
def test_ops_macs_and_widths_are_those_of_the_network(way, folder):
    chip = read_chip("tpu_like")
    plain = fold(load("resnet8"), chip.folds)
    read = load(model(*way, folder))
    net = fold(read, chip.folds)
    assert [item for item in coverage(net) if item.fate == "lost"] == []
    quantiser, *ops = net.ops
    assert (quantiser.name, quantiser.kind) == ("input_QuantizeLinear", "elementwise")
    found = {op.name.removesuffix("_quant"): (op.kind, op.dims) for op in ops}
    assert found == {op.name: (op.kind, op.dims) for op in plain.ops}
    assert net.macs == plain.macs == 12_501_632
    assert assume_precision(net, Precision(4, 4, 4)) == (net, None)
    _, per_channel, weight, activation = way
    types = {name: "uint8" if name == "QUInt8" else "int8" for name in ("QInt8", "QUInt8")}
    for tensor in net.tensors:
        if tensor.role == "input":
            assert (tensor.bits, str(tensor.type)) == (32, "float32")
            continue
        assert tensor.bits == 8
        words = str(tensor.type).removesuffix(" with zero point")
        if tensor.role != "weight":
            assert words == f"{types[activation]} per tensor"
        elif per_channel:
            assert words in (f"{tensor.dtype} per axis 0", f"{tensor.dtype} per axis 1")
        else:
            assert words == f"{types[weight]} per tensor"
    held = [tensor for tensor in net.tensors if tensor.role == "weight"]
    kernels = 3 * 16 + 2 * 16 * 16 + 16 * 32 + 32 * 32 + 32 * 64 + 64 * 64
    points = 16 * 32 + 32 * 64
    assert sum(tensor.size_bits for tensor in held) == 8 * (9 * kernels + points + 64 * 10)


def test_every_quantiser_of_qdq_but_two_is_folded(folder):
    net = fold(load(model("QDQ", True, "QInt8", "QInt8", folder)), frozenset())
    counts = Counter(operator for _, operator in net.nodes)
    assert (counts["QuantizeLinear"], counts["DequantizeLinear"]) == (17, 37)
    folded = [name for op in net.ops for name in op.folded]
    assert len(folded) == 17 - 2  # one is the input's op; the one behind Flatten has the scale that is there already
    said = {note.subject for note in net.notes}
    assert {name for name, operator in net.nodes if operator == "DequantizeLinear"} <= said


@pytest.mark.parametrize("chip", ["diana", "tpu_like_quad"])
def test_it_runs_with_proof(chip, folder):
    result = run(model("QDQ", True, "QInt8", "QInt8", folder), chip, budget=1)
    assert result.proof.ok
    assert result.assumed_precision is None
    bits = {row["name"]: row["bits"] for row in result.to_json()["ops"]}
    assert bits["input_QuantizeLinear"] == {"I": 32, "O": 8}
    assert bits["conv"] == {"I": 8, "W": 8, "O": 8}
    assert "I8 I2:8 O8" in ops_csv(result)
    assert result.workload.macs == 12_501_632

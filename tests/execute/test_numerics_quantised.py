"""Networks that ONNX Runtime has quantised, in each of its ways, cut into tiles: its integers come out."""

from __future__ import annotations

import importlib
import logging
import sys
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.execute.by_hand import schedule_by_hand
from weft import zoo
from weft.execute.numerics import check_numerics
from weft.read.fold import fold
from weft.read.onnx import read_graph, read_model

sys.path.insert(0, str(Path(__file__).parents[1] / "read"))
drafts = importlib.import_module("test_quantised_random")

quantization = pytest.importorskip("onnxruntime.quantization")

FOLDED = frozenset({"Relu", "Clip", "BatchNormalization"})
WAYS = [
    (form, per_channel, weight, activation)
    for form in ("QDQ", "QOperator")
    for per_channel in (False, True)
    for weight, activation in (("QInt8", "QInt8"), ("QUInt8", "QUInt8"), ("QInt8", "QUInt8"))
]


class Samples(quantization.CalibrationDataReader):
    """Two random inputs."""

    def __init__(self, model: onnx.ModelProto) -> None:
        draw = np.random.default_rng(0)
        (value,) = model.graph.input
        shape = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        self.left = [{value.name: draw.standard_normal(shape).astype(np.float32)} for _ in range(2)]

    def get_next(self):
        return self.left.pop() if self.left else None


@cache
def quantised(network, form, per_channel, weight, activation, folder) -> onnx.ModelProto:
    logging.disable(logging.WARNING)
    source, target = folder / "float.onnx", folder / "quantised.onnx"
    made = zoo.build(network)
    onnx.save(made, source)
    quantization.quantize_static(
        source,
        target,
        Samples(made),
        quant_format=quantization.QuantFormat[form],
        per_channel=per_channel,
        weight_type=quantization.QuantType[weight],
        activation_type=quantization.QuantType[activation],
    )
    logging.disable(logging.NOTSET)
    return onnx.load(target)


def numerics(model: onnx.ModelProto, folds=FOLDED):
    workload = fold(read_model(model), folds)
    schedule = schedule_by_hand(workload)
    assert len(schedule.tasks) > 2 * len(workload.ops)
    return check_numerics(workload, schedule, "m", read_graph(model), model)


@pytest.mark.parametrize("way", WAYS, ids=["-".join(map(str, way)) for way in WAYS])
def test_a_network_of_convolutions_gives_the_same_integers(way, tmp_path):
    found = numerics(quantised("resnet8", *way, tmp_path))
    assert found.status in ("exact", "close"), found.reason  # a sum may lie half way between two
    assert found.max_abs_error <= 1


@pytest.mark.parametrize("form", ["QDQ", "QOperator"])
def test_what_is_folded_or_not_changes_no_integer(form, tmp_path):
    model = quantised("resnet8", form, True, "QInt8", "QUInt8", tmp_path)
    for folds in (frozenset(), frozenset({"Relu"}), FOLDED):
        found = numerics(model, folds)
        assert found.status in ("exact", "close"), found.reason


@pytest.mark.verify
@pytest.mark.parametrize("network", ["squeezenet", "mobilenet_v2", "vit_tiny"])
@pytest.mark.parametrize("way", WAYS[::2], ids=["-".join(map(str, way)) for way in WAYS[::2]])
def test_larger_networks_are_equal_or_as_close_as_a_softmax_lets_them(network, way, tmp_path):
    found = numerics(quantised(network, *way, tmp_path))
    assert found.status in ("exact", "close"), found.reason
    assert found.max_abs_error <= 1


@pytest.mark.parametrize("count", [40, pytest.param(600, marks=pytest.mark.verify)])
def test_random_networks_with_quantisers_strewn_in_give_its_numbers(count):
    seeds = range(count) if count == 40 else range(1000, 1000 + count)
    exact = 0
    for seed in seeds:
        model = drafts.Draft(seed, True).model()
        for folds in (frozenset(), FOLDED):
            workload = fold(read_model(model), folds)
            found = check_numerics(workload, schedule_by_hand(workload), "m", read_graph(model), model, seed)
            assert found.status in ("exact", "close"), (seed, found.reason)
            exact += found.status == "exact"
    assert exact > count // 2  # the others end in floats

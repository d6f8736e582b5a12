"""The whole tool in ten seconds: a three-layer network read, mapped, scheduled, proved and priced on library chips."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import onnx
import pytest
from onnx import TensorProto, helper

from weft.read.chip import read_chip
from weft.run import run
from weft.run.result import InfeasibleResult, RunResult

CONTRACT = {
    "model", "chip", "objective", "assumed_precision", "latency_cycles", "latency_s", "energy_pj", "edp_pj_cycles",
    "macs", "utilisation", "tops", "tops_per_watt", "peak_memory_bits", "bounds", "gap", "tiles", "transfers",
    "fusion_groups", "cores", "links", "ops", "proof", "cpu_seconds",
}  # fmt: skip
"""Keys of `weft run --json` that scripts depend on."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """conv, relu, maximum pool, fully connected."""
    weights = {"w": (8, 3, 3, 3), "fc": (8 * 16, 10)}
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w"], ["c"], name="conv", pads=[1] * 4),
            helper.make_node("Relu", ["c"], ["r"], name="relu"),
            helper.make_node("MaxPool", ["r"], ["p"], name="pool", kernel_shape=[2, 2], strides=[2, 2]),
            helper.make_node("Flatten", ["p"], ["f"], name="flatten"),
            helper.make_node("Gemm", ["f", "fc"], ["y"], name="fc"),
        ],
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3, 8, 8))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 10))],
        [helper.make_tensor(n, TensorProto.FLOAT, s, bytes(4 * math.prod(s)), raw=True) for n, s in weights.items()],
    )
    path = tmp_path_factory.mktemp("tiny") / "tiny.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return str(path)


@pytest.mark.parametrize("chip", ["tpu_like_quad", "diana"])
def test_a_network_is_read_scheduled_and_proved(model: str, chip: str) -> None:
    result = run(model, chip, "latency", budget=20)
    assert isinstance(result, RunResult)
    assert result.proof.ok
    assert [op.name for op in result.workload.ops] == ["conv", "pool", "fc"]
    found = result.to_json()
    assert set(found) >= CONTRACT
    assert json.loads(json.dumps(found)) == found
    assert found["macs"] == 8 * 3 * 9 * 64 + 8 * 16 * 10
    assert found["bounds"]["latency_cycles"] <= found["latency_cycles"]
    assert found["bounds"]["energy_pj"] <= found["energy_pj"]
    assert found["proof"]["rules"]["violations"] == 0
    assert found["proof"]["replay"]["ok"] is True
    assert found["tiles"] == len(result.schedule.tasks)
    assert found["transfers"] == len(result.schedule.transfers)


def test_the_same_run_gives_the_same_schedule(model: str) -> None:
    first, again = (run(model, "diana", "edp", budget=10, seed=3) for _ in range(2))
    assert isinstance(first, RunResult)
    assert isinstance(again, RunResult)
    assert first.schedule == again.schedule


def test_what_a_chip_cannot_run_is_a_result(model: str) -> None:
    diana = read_chip("diana")
    found = run(model, replace(diana, cores=(diana.core("digital"),)))
    assert isinstance(found, InfeasibleResult)
    assert found.to_json()["status"] == "infeasible"
    assert str(found.reason).startswith("pool: no core of 'diana' takes pool ops (MaxPool)")

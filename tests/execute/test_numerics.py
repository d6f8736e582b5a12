"""Schedules executed tile by tile against ONNX Runtime: networks of the library, and what is not run, with reasons."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from weft.execute.estimate import MOST_SECONDS, seconds
from weft.execute.numerics import check_numerics
from weft.read import load, with_values
from weft.read.onnx import read_graph, read_model
from weft.read.workload import write_workload
from weft.run import RunResult, run
from weft.run.proof import executed

SHARED = Path(__file__).parents[3] / "shared" / "models"


@cache
def scheduled(model: str, chip: str, dims: tuple[tuple[str, int], ...] = ()) -> RunResult:
    result = run(model, chip, budget=1, numerics="off", dims=dict(dims))
    assert isinstance(result, RunResult)
    assert result.proof.ok
    return result


def numerics(model: str, chip: str):
    result = scheduled(model, chip)
    return executed(model, None, result.workload, result.chip, result.solution, "on", 0, None)


@pytest.mark.parametrize("chip", ["tpu_like_quad", "hetero_quad"])
@pytest.mark.parametrize("model", ["resnet8_qdq", "ds_cnn_qdq", "mobilenet_v1_025_qdq", "deepautoencoder_qdq"])
def test_quantised_networks_give_the_integers_of_onnx_runtime(model, chip):
    found = numerics(model, chip)
    assert found.status in ("exact", "close"), found.reason  # a softmax may round otherwise in one number
    assert found.max_abs_error <= 1
    assert "each op fed its inputs" in found.reason
    assert "end to end" in found.reason


@pytest.mark.parametrize("model", ["resnet8", "ds_cnn", "deepautoencoder", "mobilenet_v1_025", "resnet20"])
def test_float_networks_are_as_close_as_their_additions_in_another_order_let_them(model):
    found = numerics(model, "tpu_like_quad")
    assert found.status == "close", found.reason
    assert 0 < found.max_abs_error < 1e-3


FUSED = ["resnet8_qdq", "ds_cnn_qdq", "mobilenet_v1_025_qdq", "deepautoencoder_qdq", "resnet18", "mobilenet_v2"]
FUSED += ["fsrcnn", "vit_tiny", "llama_block_decode", "llama_block_prefill"]


@pytest.mark.verify
@pytest.mark.parametrize("chip", ["tpu_like_quad", "hetero_quad"])
@pytest.mark.parametrize("model", FUSED)
def test_searched_and_fused_schedules_give_the_numbers_of_onnx_runtime(model, chip):
    result = run(model, chip, numerics="on")
    assert isinstance(result, RunResult)
    assert result.proof.ok
    found = result.proof.numerics
    assert found.status in (("exact", "close") if model.endswith("_qdq") else ("close",)), found.reason


REST = ["bert_layer", "squeezenet", "tiny_yolo", "resnet50", "mobilenet_v1", "alexnet", "vgg16"]


@pytest.mark.verify
@pytest.mark.parametrize("model", REST)
def test_the_other_networks_of_the_library_are_executed_too(model):
    found = numerics(model, "tpu_like_quad")
    assert found.status == "close", found.reason


@pytest.mark.parametrize("model", ["resnet8", "mobilenet_v1", "deepautoencoder"])
def test_trained_networks_of_others_are_executed(model):
    path = SHARED / f"{model}.onnx"
    if not path.exists():
        pytest.skip("the file is not here")
    found = numerics(str(path), "tpu_like_quad")
    assert found.status == "close", found.reason


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("resnet18_weights_missing", "'onnx::Conv_193' has no values in the file"),
        ("ds_cnn", "ONNX Runtime does not take the network: This is an invalid model. Type Error: "),
        ("fsrcnn", "ONNX Runtime does not take the network: This is an invalid model. Type Error: "),
    ],
)
def test_what_cannot_be_executed_says_why(model, reason):
    path = SHARED / f"{model}.onnx"
    if not path.exists():
        pytest.skip("the file is not here")
    found = numerics(str(path), "tpu_like_quad")
    assert found.status == "not-run"
    assert found.max_abs_error is None
    assert found.reason.startswith(reason)


def test_numerics_are_left_out_where_the_user_says_so_and_where_they_take_too_long(monkeypatch):
    off = run("resnet8", "tpu_like", budget=1, numerics="off").proof.numerics
    assert (off.status, off.max_abs_error, off.reason) == ("not-run", None, "left out by --numerics off")
    monkeypatch.setattr("weft.run.proof.seconds", lambda workload, tiles: 20.6)
    long = run("resnet8", "tpu_like", budget=1).proof.numerics
    assert (long.status, long.reason) == ("not-run", "it would take some 21 s; --numerics on runs it")
    assert run("resnet8", "tpu_like", budget=1, numerics="on").proof.numerics.status == "close"


def test_the_estimate_lets_the_small_networks_run_and_leaves_out_the_largest():
    assert seconds(load("fsrcnn"), 10_000) < MOST_SECONDS < seconds(load("vgg16"), 40)
    assert seconds(load("resnet8_qdq"), 40) > seconds(load("resnet8"), 40)  # exact products, twice
    assert seconds(load("resnet8"), 100_000) > MOST_SECONDS


def test_a_network_in_text_has_no_weights_to_execute_with(tmp_path):
    path = tmp_path / "net.workload.yaml"
    path.write_text(write_workload(load("deepautoencoder")))
    found = run(str(path), "tpu_like", budget=1).proof.numerics
    assert found.status == "not-run"
    assert found.reason == "this form of the network is read without its weights; an .onnx file has them"


def test_an_op_without_arithmetic_is_named():
    model = helper.make_model(
        helper.make_graph(
            [
                helper.make_node("Relu", ["x"], ["r"], name="first"),
                helper.make_node("GridSample", ["r", "at"], ["y"], name="sampled"),
            ],
            "net",
            [
                helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 1, 4, 4)),
                helper.make_tensor_value_info("at", TensorProto.FLOAT, (1, 4, 4, 2)),
            ],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 1, 4, 4))],
        ),
        opset_imports=[helper.make_opsetid("", 16)],
        ir_version=8,
    )
    workload, graph = read_model(model), read_graph(model)
    from weft.model.schedule import Schedule

    found = check_numerics(workload, Schedule("net", "chip", (), (), ()), "dram", graph, model)
    assert found.status == "not-run"
    assert found.reason.startswith(f"2 of {len(workload.ops)} ops have no arithmetic yet: GridSample (")


def test_weights_in_a_file_beside_the_network_are_read(tmp_path):
    weight = numpy_helper.from_array(np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"], name="fc")],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (8, 64))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (8, 64))],
        [weight],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = tmp_path / "net.onnx"
    onnx.save(model, path, save_as_external_data=True, location="net.data", size_threshold=0)
    assert with_values(str(path)).graph.initializer[0].raw_data
    assert run(str(path), "tpu_like", budget=1).proof.numerics.status in ("exact", "close")
    (tmp_path / "net.data").unlink()
    lost = run(str(path), "tpu_like", budget=1).proof.numerics
    assert (lost.status, lost.reason) == ("not-run", "'w' has no values in the file")

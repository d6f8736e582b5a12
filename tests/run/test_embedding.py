"""An embedding scheduled: what is picked at run time may be any row, and what is moved are the rows that are picked."""

from __future__ import annotations

import math
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from weft.run import RunResult, run

ROWS, WIDTH, TOKENS = 20_000, 64, 16


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    weights = {"table": (ROWS, WIDTH), "fc": (WIDTH, 8)}
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "ids"], ["e"], name="embed"),
            helper.make_node("MatMul", ["e", "fc"], ["y"], name="fc"),
        ],
        "embedding",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, (1, TOKENS))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, TOKENS, 8))],
        [helper.make_tensor(n, TensorProto.FLOAT, s, bytes(4 * math.prod(s)), raw=True) for n, s in weights.items()],
    )
    path: Path = tmp_path_factory.mktemp("net") / "embedding.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    found = run(str(path), "tpu_like", budget=5)
    assert isinstance(found, RunResult)
    return found


def test_the_schedule_is_proved(result: RunResult) -> None:
    assert result.proof.ok


def test_a_table_larger_than_the_core_is_streamed_row_by_row(result: RunResult) -> None:
    plan = result.solution.plan
    (cut,) = (cut for cut in plan.cuts if cut.op.name == "embed")
    recipes = [plan.recipes[number] for number in cut.recipes.tolist()]
    home = {operand: streamed for recipe in recipes for operand, _, streamed in recipe.homes}
    table = next(operand for operand in cut.op.operands if operand.tensor == "table")
    assert home[table.name]
    bits = 8  # the chip's default precision
    moved = sum(
        flow.bits
        for recipe in recipes
        for flow in recipe.mapped.price.flows
        if flow.operand == table.name and flow.flow == "to_below" and flow.memory == result.chip.outermost
    )
    assert moved == TOKENS * WIDTH * bits

"""Planted mistakes in schedules and in arithmetic: the execution sees each, and says where."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from weft.execute import integers, kit
from weft.execute.numerics import check_numerics
from weft.execute.outcome import Numerics
from weft.read import with_values
from weft.read.onnx import read_graph
from weft.run import RunResult, run


@cache
def resnet8():
    result = run("resnet8_qdq", "tpu_like_quad", budget=1, numerics="off")
    assert isinstance(result, RunResult)
    model = with_values("resnet8_qdq")
    return result, model, read_graph(model)


def execute(workload=None, schedule=None) -> Numerics:
    result, model, graph = resnet8()
    return check_numerics(workload or result.workload, schedule or result.schedule, result.chip.outermost, graph, model)


def with_op(name, **changes):
    """The workload with one op changed."""
    workload = resnet8()[0].workload
    ops = tuple(replace(op, **changes) if op.name == name else op for op in workload.ops)
    assert ops != workload.ops
    return replace(workload, ops=ops)


def with_tasks(*tasks):
    """The schedule with other tasks in place of those of the same ids."""
    schedule = resnet8()[0].schedule
    new = {task.id: task for task in tasks}
    return replace(schedule, tasks=tuple(new.get(task.id, task) for task in schedule.tasks))


def tasks_of(name):
    return [task for task in resnet8()[0].schedule.tasks if task.op == name]


def op_of(name):
    return next(op for op in resnet8()[0].workload.ops if op.name == name)


def split_op():
    """An op in more than one tile."""
    return next(name for name in (op.name for op in resnet8()[0].workload.ops) if len(tasks_of(name)) > 1)


def test_the_schedule_itself_is_right():
    assert execute().status in ("exact", "close")


def test_padding_on_the_other_side():
    op = op_of("stage1.conv1")
    data = op.operands[0]
    axes = tuple(replace(axis, offset=axis.offset + 1) if axis.offset else axis for axis in data.axes)
    assert axes != data.axes
    found = execute(with_op(op.name, operands=(replace(data, axes=axes), *op.operands[1:])))
    assert found.status == "failed", found.reason


def test_a_stride_that_is_not_taken():
    op = op_of("stage2.conv1")
    data = op.operands[0]
    once = [tuple(replace(term, coefficient=1) for term in axis.terms) for axis in data.axes]
    axes = tuple(replace(axis, terms=terms) for axis, terms in zip(data.axes, once, strict=True))
    found = execute(with_op(op.name, operands=(replace(data, axes=axes), *op.operands[1:])))
    assert found.status == "failed", found.reason


def test_an_activation_that_is_left_out():
    op = op_of("stage1.conv1")
    kept = tuple(name for name in op.folded if "relu" not in name)
    assert kept != op.folded
    # this network's scale starts at 0, so that rounding alone clamps: what is left out must show in a float one
    assert execute(with_op(op.name, folded=kept)).status in ("exact", "close")
    result = run("resnet8", "tpu_like_quad", budget=1, numerics="off")
    model = with_values("resnet8")
    ops = tuple(replace(item, folded=()) if item.name == "stage1.conv1" else item for item in result.workload.ops)
    workload = replace(result.workload, ops=ops)
    found = check_numerics(workload, result.schedule, result.chip.outermost, read_graph(model), model)
    assert found.status == "failed"
    assert "stage1.relu1_output_0" in found.reason


def test_two_tiles_that_change_places():
    first, second, *_ = tasks_of(split_op())
    swapped = with_tasks(replace(first, ranges=second.ranges), replace(second, ranges=first.ranges))
    found = execute(schedule=swapped)
    assert found.status == "failed"
    assert "not there" in found.reason or "none of it lies" in found.reason


def test_an_op_that_is_left_out():
    name = "stage1.conv2"
    schedule = resnet8()[0].schedule
    found = execute(schedule=replace(schedule, tasks=tuple(task for task in schedule.tasks if task.op != name)))
    assert found.status == "failed"
    assert "none of it lies" in found.reason


def test_a_transfer_that_is_left_out():
    schedule = resnet8()[0].schedule
    for lost in schedule.transfers[:10]:
        kept = tuple(move for move in schedule.transfers if move is not lost)
        assert execute(schedule=replace(schedule, transfers=kept)).status == "failed", lost


def test_a_transfer_of_another_tensor():
    schedule = resnet8()[0].schedule
    moves = schedule.transfers
    one = next(move for move in moves if "conv1.weight" in move.tensor)
    wrong = replace(one, tensor=next(move.tensor for move in moves if move.tensor != one.tensor))
    found = execute(schedule=replace(schedule, transfers=tuple(wrong if move is one else move for move in moves)))
    assert found.status == "failed"


def residencies_read():
    """Residencies with a reader that starts after they are valid and ends when they do."""
    result = resnet8()[0]
    outermost = result.chip.outermost
    for task in result.schedule.tasks:
        for use in task.reads:
            for number in use.residencies:
                residency = next(item for item in result.schedule.residencies if item.id == number)
                if residency.memory != outermost:
                    yield task, residency


def with_residency(changed):
    schedule = resnet8()[0].schedule
    return replace(
        schedule,
        residencies=tuple(changed if item.id == changed.id else item for item in schedule.residencies),
    )


def test_a_box_that_is_dropped_before_its_last_reader_has_ended():
    for task, residency in list(residencies_read())[:8]:
        found = execute(schedule=with_residency(replace(residency, end=task.end - 1)))
        assert found.status == "failed"
        assert f"task {task.id} ({task.op}) reads " in found.reason or "reads" in found.reason


def test_a_box_that_is_read_before_it_has_come():
    for task, residency in list(residencies_read())[:8]:
        found = execute(schedule=with_residency(replace(residency, valid_from=task.start + 1)))
        assert found.status == "failed"
        # nor does it help to say that it is there before its maker has ended
    task, residency = next((t, r) for t, r in residencies_read() if r.writer >= 0)
    result = resnet8()[0]
    moves = tuple(
        replace(move, end=task.start + 1) if move.id == residency.writer else move for move in result.schedule.transfers
    )
    assert moves != result.schedule.transfers
    assert execute(schedule=replace(result.schedule, transfers=moves)).status == "failed"


def test_a_box_that_lies_in_another_memory():
    _, residency = next(residencies_read())
    elsewhere = next(m.name for m in resnet8()[0].chip.memories if m.name != residency.memory)
    assert execute(schedule=with_residency(replace(residency, memory=elsewhere))).status == "failed"


def test_a_smaller_box_than_the_tile_needs():
    for _, residency in list(residencies_read())[:8]:
        place = max(range(len(residency.box)), key=lambda i: residency.box[i][1])
        start, stop = residency.box[place]
        if stop - start < 2:
            continue
        box = tuple((start, stop - 1) if i == place else edge for i, edge in enumerate(residency.box))
        found = execute(schedule=with_residency(replace(residency, box=box)))
        assert found.status == "failed"
        assert "are not there" in found.reason or "none of it lies" in found.reason


def halves():
    """A convolution on grids of powers of two, in which every other sum lies half way between two integers."""
    rng = np.random.default_rng(0)
    weights = {
        "one": np.float32(1.0), "half": np.float32(0.5), "nil": np.int8(0), "two": np.float32(2.0),
        "w": rng.integers(-3, 4, (8, 4, 1, 1)).astype(np.int8),
    }  # fmt: skip
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "one", "nil"], ["xq"], name="q"),
        helper.make_node("DequantizeLinear", ["xq", "one", "nil"], ["xf"], name="dq"),
        helper.make_node("DequantizeLinear", ["w", "one", "nil"], ["wf"], name="wdq"),
        helper.make_node("Conv", ["xf", "wf"], ["y"], name="conv"),
        helper.make_node("QuantizeLinear", ["y", "two", "nil"], ["yq"], name="yq"),
        helper.make_node("DequantizeLinear", ["yq", "two", "nil"], ["out"], name="ydq"),
    ]
    graph = helper.make_graph(
        nodes,
        "halves",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 4, 6, 6))],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, (1, 8, 6, 6))],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.fixture
def rounding(tmp_path):
    path = tmp_path / "halves.onnx"
    path.write_bytes(halves().SerializeToString())
    return lambda: run(str(path), "tpu_like", budget=1).proof.numerics


def test_halves_rounded_to_the_even_integer_are_those_of_onnx_runtime(rounding):
    assert rounding().status == "exact"


@pytest.mark.parametrize(
    "wrong",
    [
        lambda numbers: np.floor(numbers + 0.5),
        lambda numbers: np.sign(numbers) * np.floor(np.abs(numbers) + 0.5),
        np.trunc,
        np.floor,
    ],
    ids=["halves up", "halves away from zero", "towards zero", "down"],
)
def test_a_multiplier_that_rounds_otherwise(rounding, monkeypatch, wrong):
    monkeypatch.setattr(kit, "rounded", wrong)
    found = rounding()
    assert found.status == "failed"
    assert "too far: " in found.reason


def test_sums_that_are_kept_in_sixteen_bits(monkeypatch):
    from weft.execute import products

    true = products.accumulated
    monkeypatch.setattr(products, "accumulated", lambda tile: true(tile).astype(np.int16).astype(np.int32))
    assert execute().status == "failed"


def test_a_bias_that_is_left_out(monkeypatch):
    monkeypatch.setattr(integers, "bias_of", lambda tile, integers=False: None)
    assert execute().status == "failed"


def test_zero_points_that_are_left_out(monkeypatch):
    from weft.execute.tile import Tile

    monkeypatch.setattr(Tile, "shifted", lambda self, operand: self.read[operand.name].astype(np.int32))
    assert execute().status == "failed"

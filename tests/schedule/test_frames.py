"""Streams: frames share weights only, whatever order their tiles come in; the interval, its bound and its proof."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest

from tests.schedule.small import array_core, bus_chip, memory, network
from tests.schedule.test_solve import BIG, ONE_CORE, deep, quad, residual
from weft.model.schedule import Infeasible
from weft.run import run
from weft.run.proof import of_frame, prove
from weft.schedule import solve
from weft.schedule.bounds import bounds, interval
from weft.schedule.engine import place
from weft.schedule.fabric import Fabric
from weft.schedule.frames import Order, Stream, repeated, starts_of
from weft.schedule.given import told


def streamed(workload, chip, frames, goal="latency", budget=20, **given):
    found = solve(workload, chip, goal, budget=budget, frames=frames, **given)
    assert not isinstance(found, Infeasible), found
    assert found.stream is not None
    proof = prove(found.stream.whole, chip, found)
    assert proof.ok, (proof.violations[:3], proof.replay_differences[:3])
    return found


def test_frames_are_copies_that_share_weights() -> None:
    net = residual()
    stream = repeated(net, 3)
    assert [op.name for op in stream.ops] == [f"{op.name}#{frame}" for frame in range(3) for op in net.ops]
    names = {tensor.name for tensor in stream.tensors}
    assert {"w1", "w2", "x#0", "x#1", "x#2", "out#2"} <= names
    assert "x" not in names
    assert "w1#0" not in names
    assert len(names) == len(stream.tensors) == 2 + 3 * (len(net.tensors) - 2)
    assert stream.macs == 3 * net.macs


def test_a_view_of_an_activation_is_every_frames_own() -> None:
    net = network(
        [("Flatten", "flat", ["x"], "y", {}), ("Gemm", "fc", ["y", "w"], "out", {})],
        {"x": (1, 4, 2, 2)},
        {"w": (16, 8)},
        {"out": (1, 8)},
    )
    stream = repeated(net, 2)
    assert [(view.tensor, view.source) for view in stream.views] == [("y#0", "x#0"), ("y#1", "x#1")]
    assert streamed(net, ONE_CORE, 2).stream.frames == 2


ORDERS = (Order(), Order(2), Order(4), Order(lag=0), Order(lag=100), Order(lag=10**6))


@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_in_any_order_every_tile_comes_once_and_after_what_it_needs(order) -> None:
    net, chip = residual(), quad()
    plan = solve(net, chip, "latency", budget=20).plan
    fabric = Fabric(chip, {1, 2, 3, 4})
    alone = place(net, fabric, plan)
    stream = Stream(net, 4)
    woven = stream.plan(plan, order, starts_of(alone))
    tiles = len(plan.order)
    assert sorted(woven.order.tolist()) == list(range(4 * tiles))
    for frame in range(4):
        own = [int(tile) - frame * tiles for tile in woven.order if tile // tiles == frame]
        if order.lag is None:
            assert own == plan.order.tolist()
        else:
            assert (np.diff(starts_of(alone)[own]) >= 0).all()
    placed = place(stream.workload, fabric, woven)
    assert not isinstance(placed, Infeasible)
    assert placed.retimed().latency_cycles <= 4 * alone.latency_cycles


def test_batches_take_weights_through_the_cores_once() -> None:
    # Two layers whose weights, 8 * 576 bits each, do not fit beside each other: frame after frame loads both each time.
    nodes = [("Conv", f"c{i}", [f"t{i}", f"w{i}"], f"t{i + 1}", {"pads": [1] * 4}) for i in range(2)]
    net = network(nodes, {"t0": (1, 8, 2, 2)}, {f"w{i}": (8, 8, 3, 3) for i in range(2)}, {"t2": (1, 8, 2, 2)})
    chip = bus_chip((array_core("a", "ma"),), (memory("ma", 8 * 576 + 8 * 32 * 10, 64),))
    found = solve(net, chip, "energy", budget=10)
    fabric = Fabric(chip, {1})
    stream = Stream(net, 4)
    alone = place(net, fabric, found.plan)
    weights = {}
    for order in (Order(), Order(4)):
        made = place(stream.workload, fabric, stream.plan(found.plan, order, starts_of(alone))).retimed().schedule()
        weights[order] = sum(move.bits for move in made.transfers if move.tensor.startswith("w"))
    assert weights[Order(4)] == 2 * 8 * 576
    assert weights[Order()] > weights[Order(4)]


def test_frames_overlap_and_the_interval_is_what_the_second_half_adds() -> None:
    net, chip = deep(), quad()
    alone = solve(net, chip, "latency", budget=20)
    found = streamed(net, chip, 8)
    stream = found.stream
    assert stream.cycles == found.schedule.latency_cycles < 8 * alone.schedule.latency_cycles
    assert stream.interval_cycles == (stream.cycles - stream.half[2].latency_cycles) / 4
    assert len(stream.half[0].ops) == 4 * len(net.ops)
    assert len(stream.latencies) == 8
    assert max(stream.latencies) <= stream.cycles
    assert stream.cycles >= bounds(stream.whole, chip, "fixed").latency_cycles
    assert stream.steady == (stream.interval_cycles >= stream.bound.cycles)


def test_the_bound_of_the_interval_is_the_least_work_per_frame() -> None:
    # Four convolutions of 8 x 8 x 9 x 64 MACs on four 4 x 4 arrays: 2 x 2 x 9 x 64 cycles each; no weights.
    net, chip = deep(), quad(width=64)
    bound = interval(net, chip, "fixed")
    assert bound.compute_cycles == 4 * (2 * 2 * 9 * 64) / 4
    assert bound.offchip_cycles == 8 * 8 * 64 / 64  # in through one port, as much out through another
    assert bound.link_cycles == 2 * 8 * 8 * 64 / 64  # in and out over one bus
    assert bound.cause == "compute"


@pytest.mark.parametrize("frames", [2, 3, 5])
def test_any_number_of_frames(frames) -> None:
    for net, goal in itertools.product((deep(), residual()), ("latency", "energy", "edp", "memory")):
        found = streamed(net, quad(16000), frames, goal, budget=4)
        assert found.stream.frames == len(found.stream.latencies) == frames
        tasks = Counter(task.op.partition("#")[2] for task in found.schedule.tasks)
        assert len(tasks) == frames
        assert len(set(tasks.values())) == 1


def test_a_stream_told_as_a_file_gives_the_same_schedule() -> None:
    net = residual()
    first = streamed(net, quad(BIG), 4)
    again = streamed(net, quad(BIG), 4, fusion=told(net, first.design))
    assert again.schedule == first.schedule


def test_a_frame_of_a_stream_is_told_in_the_networks_names() -> None:
    net, chip = deep(), quad()
    found = streamed(net, chip, 4)
    each = len(found.schedule.tasks) // 4
    for frame in range(4):
        one = of_frame(found.schedule, net, frame)
        assert len(one.tasks) == each
        assert {task.op for task in one.tasks} == {op.name for op in net.ops}
        assert {held.tensor for held in one.residencies} == {tensor.name for tensor in net.tensors}
        ids = {held.id for held in one.residencies}
        assert all(set(use.residencies) <= ids for task in one.tasks for use in (*task.reads, task.writes))
        assert all(set(move.sources) | set(move.residencies) <= ids for move in one.transfers)


def test_every_frame_is_executed() -> None:
    result = run("ds_cnn_qdq", "tpu_like_quad", frames=3, budget=2, numerics="on")
    assert result.proof.ok
    assert result.proof.numerics.status in ("exact", "close")
    assert result.proof.numerics.reason.startswith("all 3 frames, each fed the same; ")
    told_of = result.to_json()
    assert told_of["initiation_interval_cycles"] == result.solution.stream.interval_cycles
    assert told_of["frames"]["count"] == 3


@pytest.mark.verify
@pytest.mark.parametrize("name", ["resnet8", "ds_cnn", "mobilenet_v1_025"])
def test_the_interval_of_sixteen_frames_is_near_its_bound(name) -> None:
    result = run(name, "tpu_like_quad", "latency", frames=16, numerics="off")
    assert result.proof.ok
    assert 0 <= result.solution.stream.gap <= 0.15

"""Real layers on library chips: legal, priced as the formula prices them, bounded, the same each time."""

from __future__ import annotations

from functools import cache

import pytest

from tests.oracles.world import broadcast_add, matmul
from weft.cost import price
from weft.cost.legal import broken
from weft.mapper import Mapped, Objective, best_mapping
from weft.mapper.solve import OBJECTIVES, value
from weft.model.chip import Chip
from weft.model.mapping import Problem
from weft.model.workload import Op, Tensor, Workload
from weft.read import load
from weft.read.chip import read_chip
from weft.read.precision import assume_precision
from weft.run.run import streaming_problem
from weft.schedule.shared import Mapper

CHIPS = ("tpu_like", "eyeriss_like", "meta_prototype", "edge_tpu_like", "tpu_like_quad")
KINDS = ("first", "middle", "pointwise", "depthwise", "gemm", "pool", "add", "product", "broadcast")


@cache
def network(name: str) -> Workload:
    return load(name)


def layer(kind: str) -> tuple[Workload, Op]:
    """A layer of ResNet-18 or MobileNet v2, or a small op of a workload of its own."""
    if kind in ("product", "broadcast"):
        op = matmul(197, 64, 100) if kind == "product" else broadcast_add(49, 128)
        tensors = tuple(Tensor(o.tensor, tuple(axis.size for axis in o.axes), 32, "input") for o in op.operands)
        return Workload("one op", tensors, (op,)), op
    resnet, mobilenet = network("resnet18"), network("mobilenet_v2")
    convs = [op for op in resnet.ops if op.kind == "conv"]
    return {
        "first": (resnet, convs[0]),
        "middle": (resnet, next(op for op in convs if op.size["K"] == 256)),
        "pointwise": (resnet, next(op for op in convs if op.size.get("FX", 1) == 1)),
        "depthwise": (mobilenet, next(op for op in mobilenet.ops if op.kind == "conv" and op.size.get("G", 1) > 1)),
        "gemm": (resnet, next(op for op in resnet.ops if op.kind == "gemm")),
        "pool": (resnet, next(op for op in resnet.ops if op.kind == "pool")),
        "add": (resnet, next(op for op in resnet.ops if op.kind == "elementwise" and len(op.inputs) == 2)),
    }[kind]


def problem_of(chip: Chip, kind: str) -> Problem:
    workload, op = layer(kind)
    assumed, _ = assume_precision(workload, chip.precision)
    return streaming_problem(Mapper(assumed, chip, "edp", "fixed"), op, chip.cores_for(op.kind)[0], chip)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("chip", CHIPS)
def test_a_layer_is_mapped_legally_at_its_price_and_bounded(chip: str, kind: str) -> None:
    problem = problem_of(read_chip(chip), kind)
    found = best_mapping(problem, "edp")
    assert isinstance(found, Mapped)
    assert broken(problem, found.mapping) == []
    assert found.price == price(problem, found.mapping)
    assert 0 < found.bound <= value(found.price, "edp")[0]
    assert not found.optimal or found.bound == value(found.price, "edp")[0]
    assert found.price.latency_cycles >= found.price.compute_cycles


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("kind", ["middle", "depthwise"])
def test_no_objective_is_beaten_by_the_mapping_of_another(kind: str, objective: Objective) -> None:
    problem = problem_of(read_chip("tpu_like"), kind)
    found = {goal: best_mapping(problem, goal) for goal in OBJECTIVES}
    mine = found[objective]
    assert isinstance(mine, Mapped)
    for other in found.values():
        assert isinstance(other, Mapped)
        assert mine.bound <= value(other.price, objective)[0]
        if mine.optimal:
            assert value(mine.price, objective)[0] <= value(other.price, objective)[0]


def test_the_same_layer_gets_the_same_answer() -> None:
    problem = problem_of(read_chip("eyeriss_like"), "middle")
    assert best_mapping(problem) == best_mapping(problem)

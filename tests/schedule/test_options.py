"""Options: each is the whole op, and each can be placed when nothing else is on the chip."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from tests.schedule.worlds import make_chip, make_workload
from weft.cost.price import price
from weft.mapper import Mapped
from weft.model.workload import Op, Workload
from weft.read.chip import read_chip
from weft.run import prepared
from weft.schedule.engine import Engine
from weft.schedule.fabric import Fabric
from weft.schedule.options import Mapper, options_for, setting_for

SEEDS = (0, 1, 5, 8, 13, 24, 39, 41)


def alone(workload: Workload, op: Op) -> Workload:
    """A network of one op: what it reads is given, what it writes goes out."""
    reads = {workload.root(operand.tensor) for operand in op.inputs}
    writes = workload.root(op.output.tensor)
    tensors = tuple(
        replace(
            tensor,
            role="input" if tensor.name in reads else "output" if tensor.name == writes else "intermediate",
        )
        for tensor in workload.tensors
    )
    return replace(workload, tensors=tensors, ops=(op,))


@pytest.mark.parametrize("seed", SEEDS)
def test_every_option_is_the_whole_op_cut_into_disjoint_tiles(seed: int) -> None:
    workload, chip = make_workload(seed), make_chip(seed)
    mapper = Mapper(workload, chip, "edp", "fixed", quick=True)
    for op in workload.ops:
        found, _ = options_for(mapper, op)
        assert len({option.name for option in found}) == len(found)
        for option in found:
            sizes = [math.prod(stop - start for _, (start, stop) in part.ranges) for part in option.parts]
            assert sum(sizes) == op.iterations
            assert len({part.ranges for part in option.parts}) == len(option.parts)
            assert all(op.kind in chip.core(part.core).ops for part in option.parts)
            assert all(part.problem.op.iterations == size for part, size in zip(option.parts, sizes, strict=True))


@pytest.mark.parametrize("seed", SEEDS)
def test_every_option_can_be_placed_on_an_empty_chip(seed: int) -> None:
    """Room is promised for what is really held: a tile of a reshaped tensor may hold more of it than it touches."""
    workload, chip = make_workload(seed), make_chip(seed)
    mapper = Mapper(workload, chip, "edp", "fixed", quick=True)
    for op in workload.ops:
        for option in options_for(mapper, op)[0]:
            divisors = {part.problem.setting.path_divisor for part in option.parts}
            engine = Engine(alone(workload, op), Fabric(chip, divisors), [option])
            engine.run()
            assert len(engine.schedule().tasks) == len(option.parts)


def test_a_shared_mapping_takes_the_names_of_every_core_links_included():
    """On simba each outer core has a link of its own to the memory off chip: what passes there is no other core's."""
    chip = read_chip("simba")
    workload = prepared("resnet8", chip, None, "chip")[0]
    op = next(op for op in workload.ops if op.kind == "conv")
    mapper = Mapper(workload, chip, "edp", "fixed", quick=True)
    for core in chip.cores[:8]:
        every = frozenset(operand.name for operand in op.operands)
        problem = mapper.problem(op, setting_for(op, core, chip, every, {}))
        found = mapper.map(problem)
        assert isinstance(found, Mapped)
        assert found.price == price(problem, found.mapping)
    assert mapper.searched < 8

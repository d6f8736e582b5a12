"""What a free dataflow may lay side by side."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product

from tests.oracles.world import build, conv_row, memory
from weft.mapper import Mapped, best_mapping
from weft.mapper.space import compute_cycles, fixed_spatial
from weft.mapper.spread import spread
from weft.model.mapping import Loop, Problem, Unroll
from weft.model.workload import Op
from weft.read.chip import read_chip
from weft.run.run import prepared, streaming_problem
from weft.schedule.shared import Mapper

CHIP = read_chip("tpu_like")
WORKLOAD, _ = prepared("resnet8", CHIP, None, "chip")
MAPPER = Mapper(WORKLOAD, CHIP, "edp", "free")


def op_named(name: str) -> Op:
    return next(op for op in WORKLOAD.ops if op.name == name)


def problem_of(op: Op) -> Problem:
    return streaming_problem(MAPPER, op, CHIP.core("core0"), CHIP)


def test_every_choice_fits_the_array_and_lays_each_dim_on_one_side() -> None:
    core = CHIP.core("core0")
    sizes = {side.name: side.size for side in core.array}
    for name in ("conv", "stage2.conv1", "dense"):
        op = op_named(name)
        found = spread(problem_of(op))
        assert found.choices[0] == fixed_spatial(op, core)
        assert len(set(found.choices)) == len(found.choices)
        for choice in found.choices:
            dims = [loop.dim for unroll in choice for loop in unroll.loops]
            assert len(dims) == len(set(dims))
            for unroll in choice:
                assert math.prod(loop.factor for loop in unroll.loops) <= sizes[unroll.array_dim]


def test_no_choice_of_one_loop_a_side_has_fewer_array_steps_than_the_best_ones() -> None:
    op = op_named("stage1.conv1")
    first = min(compute_cycles(op, choice) for choice in spread(problem_of(op)).choices)
    dims = [dim for dim, size in op.dims if size > 1]
    alone = []
    for a, b in product(dims, dims):
        if a != b:
            steps = [math.ceil(size / min(size, 32)) if dim in (a, b) else size for dim, size in op.dims]
            alone.append(math.prod(steps))
    assert first <= min(alone)


def test_what_is_left_out_has_no_fewer_steps_than_it_says() -> None:
    op = op_named("stage1.conv1")
    few, all_ = spread(problem_of(op), 8), spread(problem_of(op), 10**6)
    assert all_.floor is None or few.floor is None or all_.floor >= few.floor
    left_out = set(all_.choices) - set(few.choices)
    assert few.floor is not None
    assert min(compute_cycles(op, choice) for choice in left_out) >= few.floor


def test_several_loops_on_a_side_map_better_than_the_declared_dataflow() -> None:
    """Three input channels leave most of a side idle that kernel rows can use."""
    op, core = op_named("conv"), CHIP.core("core0")
    problem = streaming_problem(MAPPER, op, core, CHIP)
    fixed, free = best_mapping(problem, "edp", "fixed"), best_mapping(problem, "edp", "free")
    assert isinstance(fixed, Mapped)
    assert isinstance(free, Mapped)
    assert free.price.edp < fixed.price.edp
    assert max(len(unroll.loops) for unroll in free.mapping.spatial) > 1
    assert free.space.startswith("free dataflow: ")


def test_what_a_register_cannot_hold_side_by_side_is_no_choice() -> None:
    """A register of one partial sum serves a whole side: what lies there must be summed, so no output lies there."""
    chip = read_chip("tpu_like_quad")
    op = op_named("conv")
    problem = streaming_problem(Mapper(WORKLOAD, chip, "edp", "free"), op, chip.core("core0"), chip)
    found = spread(problem)
    assert found.choices
    for choice in found.choices:
        summed = [loop.dim for unroll in choice if unroll.array_dim == "D2" for loop in unroll.loops]
        assert set(summed) <= op.reduction


def test_what_is_held_side_by_side_is_what_is_touched() -> None:
    """Six pixels, two apart, lie on the side: the buffer holds six, not the eleven from the first to the last."""
    buffer = memory("buf", "rw", "single")
    problem = build(conv_row(6, 1, stride=2), {"D1": 6}, [(buffer, "I", "D1")], memory("dram", "rw"))
    for pixels, found in ((6, True), (5, False)):
        small = replace(buffer, size_bits=pixels * problem.width("I"))
        memories = tuple(small if item.name == "buf" else item for item in problem.chip.memories)
        choices = spread(replace(problem, chip=replace(problem.chip, memories=memories))).choices
        assert ((Unroll("D1", (Loop("OX", 6),)),) in choices[1:]) == found


def test_a_side_that_completes_sums_lets_another_hold_outputs_at_their_own_width() -> None:
    """A place for one output of 8 bits, sums of 20: OX lies along D1 where FX lies whole along D2, not by itself."""
    buffer = replace(memory("buf", "rw", "single"), size_bits=8)
    levels = [(buffer, "O", "D2")]
    problem = build(conv_row(6, 2), {"D1": 3, "D2": 2}, levels, memory("dram", "rw"), accumulator=20)
    choices = spread(problem).choices[1:]
    pixels, kernel = Unroll("D1", (Loop("OX", 3),)), Unroll("D2", (Loop("FX", 2),))
    assert (pixels, kernel) in choices
    assert (pixels,) not in choices

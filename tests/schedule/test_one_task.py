"""What `weft map` prices is what one streamed task costs when it is scheduled with the path to itself."""

from __future__ import annotations

import math

import pytest
from onnx import TensorProto, helper

from weft.mapper import Mapped
from weft.model.chip import Chip
from weft.model.workload import Workload
from weft.read.chip import read_chip
from weft.read.onnx import read_model
from weft.read.precision import assume_precision
from weft.run.proof import prove
from weft.run.run import streaming_problem
from weft.schedule import Solution
from weft.schedule.bounds import bounds
from weft.schedule.design import Composer, Design, Group, Placement
from weft.schedule.engine import Placed, place
from weft.schedule.fabric import Fabric
from weft.schedule.plan import Plan
from weft.schedule.recipes import Recipes
from weft.schedule.shared import Mapper

CHIPS = ("tpu_like", "tpu_like_quad", "eyeriss_like", "diana", "meta_prototype")

NETS = {
    "conv": ("Conv", {"x": (1, 8, 10, 10)}, {"w": (16, 8, 3, 3)}, (1, 16, 8, 8), {}),
    "strided conv": ("Conv", {"x": (1, 8, 9, 9)}, {"w": (12, 8, 1, 1)}, (1, 12, 5, 5), {"strides": [2, 2]}),
    "depthwise conv": ("Conv", {"x": (1, 8, 10, 10)}, {"w": (8, 1, 3, 3)}, (1, 8, 8, 8), {"group": 8}),
    "gemm": ("Gemm", {"x": (1, 200)}, {"w": (200, 30)}, (1, 30), {}),
    "matmul": ("MatMul", {"x": (17, 24), "y": (24, 20)}, {}, (17, 20), {}),
    "pool": ("MaxPool", {"x": (1, 8, 8, 8)}, {}, (1, 8, 4, 4), {"kernel_shape": [2, 2], "strides": [2, 2]}),
    "add": ("Add", {"x": (1, 8, 6, 6), "y": (1, 8, 6, 6)}, {}, (1, 8, 6, 6), {}),
    "softmax": ("Softmax", {"x": (4, 20)}, {}, (4, 20), {}),
}


def one_op(name: str, chip: Chip) -> Workload:
    op, inputs, weights, shape, attributes = NETS[name]
    tensors = {**inputs, **weights}
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node(op, list(tensors), ["z"], name="only", **attributes)],
            name,
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, size) for n, size in inputs.items()],
            [helper.make_tensor_value_info("z", TensorProto.FLOAT, shape)],
            [helper.make_tensor(n, TensorProto.FLOAT, s, [0.0] * math.prod(s)) for n, s in weights.items()],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    return assume_precision(read_model(model), chip.precision)[0]


CASES = [(chip, op) for chip in CHIPS for op in NETS]


@pytest.mark.parametrize(("chip_name", "op_name"), CASES, ids=[f"{op} on {chip}" for chip, op in CASES])
def test_one_streamed_task_costs_what_its_mapping_does(chip_name: str, op_name: str) -> None:
    chip = read_chip(chip_name)
    workload = one_op(op_name, chip)
    (op,) = workload.ops
    cores = [core for core in chip.cores_for(op.kind) if core.name not in ("core1", "core2", "core3")]
    if not cores:
        pytest.skip(f"{chip_name} takes no {op.kind}")
    for core in cores:
        mapper = Mapper(workload, chip, "edp", "fixed")
        mapped = mapper.map(streaming_problem(mapper, op, core, chip))
        assert isinstance(mapped, Mapped)
        design = Design((Group((0,)),), (Placement((core.name,), stream=True),))
        plan = Composer(workload, chip, Recipes(mapper)).plan(design)
        assert isinstance(plan, Plan)
        placed = place(workload, Fabric(chip, {1}), plan)
        assert isinstance(placed, Placed)
        placed = placed.settled()
        cycles = math.ceil(mapped.price.latency_cycles * chip.base_clock_hz / core.clock_hz)
        assert placed.latency_cycles == cycles
        assert not placed.transfers
        # a mapping's energy holds static power for its own core cycles; the schedule's for base cycles
        static = chip.static_pj_per_cycle * (cycles - mapped.price.latency_cycles * chip.base_clock_hz / core.clock_hz)
        assert placed.energy_pj == pytest.approx(mapped.price.energy_pj + static, rel=1e-12)
        limit = bounds(workload, chip, "fixed")
        solution = Solution(
            placed.schedule(),
            design,
            plan,
            limit,
            placed.energy_pj,
            placed.peaks,
            tried=1,
            searched=1,
            not_mapped=(),
            map_seconds=0.0,
        )
        assert prove(workload, chip, solution).ok
        assert limit.latency_cycles <= cycles

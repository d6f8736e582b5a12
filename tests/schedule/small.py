"""Small networks and chips with figures that can be worked out by hand."""

from __future__ import annotations

import math
from typing import Any

from onnx import TensorProto, helper

from weft.model.chip import ArrayDim, Chip, Core, Level, Link, Memory, Port
from weft.model.workload import Kind, Slot, Workload
from weft.read.onnx import read_model
from weft.read.precision import assume_precision

ALL: frozenset[Slot] = frozenset({"I", "W", "O"})
EVERYTHING: frozenset[Kind] = frozenset(
    {"conv", "gemm", "matmul", "pool", "elementwise", "reduce", "softmax", "norm", "copy"}
)
Shapes = dict[str, tuple[int, ...]]
Node = tuple[str, str, list[str], str, dict[str, Any]]
"""(operator, name, inputs, output, attributes)."""


def network(
    nodes: list[Node], inputs: Shapes, weights: Shapes, outputs: Shapes, ints: dict[str, list[int]] | None = None
) -> Workload:
    """A network with 8-bit tensors; weights are zeros, `ints` are constants such as a reshape's target."""
    constants = [helper.make_tensor(n, TensorProto.FLOAT, s, [0.0] * math.prod(s)) for n, s in weights.items()]
    constants += [helper.make_tensor(n, TensorProto.INT64, [len(v)], v) for n, v in (ints or {}).items()]
    graph = helper.make_graph(
        [helper.make_node(op, read, [made], name=name, **attributes) for op, name, read, made, attributes in nodes],
        "small",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs.items()],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in outputs.items()],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return assume_precision(read_model(model), Chip("", (), (), (), "").precision)[0]


def memory(name: str, size: int, width: int = 64, **given: Any) -> Memory:
    ports = (Port("r", "read", width, 8), Port("w", "write", width, 8))
    return Memory(name, size, ports, 1.0, 1.0, **given)


def array_core(name: str, home: str, ops: frozenset[Kind] = EVERYTHING, rows: int = 4, columns: int = 4) -> Core:
    """A MAC array on one memory: output channels on one side, reduction channels on the other."""
    sides = (
        ArrayDim("D1", rows, ("output_channel", "group"), shares=True),
        ArrayDim("D2", columns, ("reduction_channel",)),
    )
    return Core(name, ops, sides, 1.0, (Level(home, ALL, frozenset({"D1", "D2"})),), accumulator_bits=16)


def bus_chip(
    cores: tuple[Core, ...], homes: tuple[Memory, ...], dram_bits: int = 10**8, width: int = 64, **given: Any
) -> Chip:
    """Cores on private memories, joined with the outermost memory by one bus."""
    names = frozenset({"dram", *(home.name for home in homes)})
    dram = memory("dram", dram_bits, width)
    return Chip("small", cores, (dram, *homes), (Link("bus", names, names, width),), "dram", **given)

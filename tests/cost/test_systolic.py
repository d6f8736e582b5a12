"""A systolic array's own cycles equal SCALE-Sim's closed forms plus one.

The forms are cycle-exact against SCALE-Sim 3.0.0, which numbers cycles from 0 and reports the last number: one less
than the count. R rows, C columns; T output pixels, K = FX x FY x C_in, N = C_out.
"""

from __future__ import annotations

import itertools
from math import ceil

import pytest

from tests.oracles.loops import count
from tests.oracles.world import build, matmul
from weft.cost import price
from weft.model.chip import FLOWS, SLOTS, Memory, Port, Systolic
from weft.model.mapping import Loop, Mapping, Problem, Rest, Unroll

# (T, K, N): layers of ResNet-18, MobileNet, AlexNet and BERT, then shapes that leave folds ragged on either side.
LAYERS = [
    (12544, 147, 64),
    (3136, 576, 64),
    (784, 576, 128),
    (784, 64, 128),
    (784, 1152, 128),
    (196, 1152, 256),
    (196, 2304, 256),
    (49, 2304, 512),
    (49, 4608, 512),
    (1, 512, 1000),
    (3025, 363, 96),
    (169, 3456, 384),
    (12544, 27, 32),
    (49, 1024, 1024),
    (197, 192, 576),
    (128, 768, 768),
    (7, 5, 3),
    (33, 31, 65),
    (100, 97, 101),
    (1, 1, 1),
]
ARRAYS = [(32, 32), (8, 16), (12, 14)]
CASES = [(layer, array) for layer, array in zip(LAYERS, itertools.cycle(ARRAYS), strict=False)]


def ideal(name: str) -> Memory:
    """A memory that never holds anything up: every flow has a port of its own, as wide as any tile."""
    ports = tuple(
        Port(f"{slot}.{flow}", "read" if flow.startswith("to") else "write", 1 << 40, 1, frozenset({(slot, flow)}))
        for slot in SLOTS
        for flow in FLOWS
    )
    return Memory(name, 1 << 62, ports, 0.0, 0.0)


def register(name: str, buffering: str) -> Memory:
    return Memory(name, 1 << 20, ideal(name).ports, 0.0, 0.0, buffering)  # type: ignore[arg-type]


def problem(layer: tuple[int, int, int], array: tuple[int, int], stationary: str) -> Problem:
    t, k, n = layer
    rows, columns = array
    # Weights are replaced in place and hold the array up; finished outputs shift out behind the next fold's first.
    resting = register("resting", "single" if stationary == "W" else "pipelined")
    return build(
        matmul(t, n, k),
        {"rows": rows, "columns": columns},
        [(resting, stationary, "")],
        ideal("sram"),
        systolic=Systolic("rows", "columns", "W" if stationary == "W" else "O"),
    )


def loops(*factors: tuple[str, int]) -> tuple[Loop, ...]:
    return tuple(Loop(dim, factor) for dim, factor in factors if factor > 1)


def unrolls(**sides: tuple[str, int]) -> tuple[Unroll, ...]:
    return tuple(Unroll(side, loops(loop)) for side, loop in sides.items() if loop[1] > 1)


def own_cycles(problem: Problem, mapping: Mapping) -> int:
    """First weight load, compute, exposed reloads and skew."""
    told = price(problem, mapping)
    return told.fill_cycles + told.compute_cycles + told.exposed_cycles + told.skew_cycles


def weight_stationary(layer: tuple[int, int, int], array: tuple[int, int]) -> Mapping:
    """Reduction along the rows, output channels along the columns; pixels stream past the resting weights."""
    (t, k, n), (rows, columns) = layer, array
    spatial = unrolls(rows=("K", min(k, rows)), columns=("N", min(n, columns)))
    temporal = loops(("M", t), ("K", ceil(k / rows)), ("N", ceil(n / columns)))
    top = len(temporal)
    rests = (Rest("A", "sram", top), Rest("B", "resting", 0), Rest("B", "sram", top), Rest("O", "sram", top))
    return Mapping(spatial, temporal, rests)


def output_stationary(layer: tuple[int, int, int], array: tuple[int, int]) -> Mapping:
    """Pixels along the rows, output channels along the columns; the reduction runs inside while outputs rest."""
    (t, k, n), (rows, columns) = layer, array
    spatial = unrolls(rows=("M", min(t, rows)), columns=("N", min(n, columns)))
    temporal = loops(("K", k), ("M", ceil(t / rows)), ("N", ceil(n / columns)))
    top = len(temporal)
    rests = (Rest("A", "sram", top), Rest("B", "sram", top), Rest("O", "resting", 0), Rest("O", "sram", top))
    return Mapping(spatial, temporal, rests)


@pytest.mark.parametrize(("layer", "array"), CASES)
def test_a_weight_stationary_array_takes_the_cycles_of_scale_sim(
    layer: tuple[int, int, int], array: tuple[int, int]
) -> None:
    (t, k, n), (rows, columns) = layer, array
    closed_form = ceil(k / rows) * ceil(n / columns) * (2 * rows + columns + t - 2) - 1
    task, mapping = problem(layer, array, "W"), weight_stationary(layer, array)
    assert own_cycles(task, mapping) == closed_form + 1
    # Nothing else takes time: memories are ideal, and outputs need no way up from the array's edge.
    assert price(task, mapping).latency_cycles == closed_form + 1


@pytest.mark.parametrize(("layer", "array"), CASES)
def test_an_output_stationary_array_takes_the_cycles_of_scale_sim(
    layer: tuple[int, int, int], array: tuple[int, int]
) -> None:
    (t, k, n), (rows, columns) = layer, array
    closed_form = ceil(t / rows) * ceil(n / columns) * (k + rows + columns - 2) - 1
    task, mapping = problem(layer, array, "O"), output_stationary(layer, array)
    assert own_cycles(task, mapping) == closed_form + 1
    # The last outputs leave the array in one transfer, one cycle on an ideal port.
    assert price(task, mapping).latency_cycles == closed_form + 2


@pytest.mark.parametrize("layer", [layer for layer in LAYERS if layer[0] * layer[1] * layer[2] < 20_000])
def test_the_loops_count_the_same_systolic_cycles(layer: tuple[int, int, int]) -> None:
    for stationary, made in (("W", weight_stationary), ("O", output_stationary)):
        for array in [(2, 3), (4, 4)]:
            task, mapping = problem(layer, array, stationary), made(layer, array)
            counted = count(task, mapping)
            own = counted.fill + counted.compute + counted.exposed + counted.skew
            assert own == own_cycles(task, mapping)

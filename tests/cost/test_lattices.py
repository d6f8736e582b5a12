"""Tables of a whole lattice of tile sizes say at every state what the readable formula says there."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from math import prod

import numpy as np
import pytest

from tests.oracles.world import build, conv_row, make_op, matmul, memory, plain, templates
from weft.cost.cuts import Cut, Line, profile
from weft.cost.kernels import axis_profile
from weft.cost.tables import BUSY, ENDS, ENERGY, EXPOSED, CutTable, Lattice, Tables, _Profiles, _profiles
from weft.cost.tables import build as build_tables
from weft.cost.traffic import CutTraffic, cut_traffic
from weft.model.mapping import Mapping, Problem, Unroll, parse_mapping
from weft.model.workload import Axis, Term

SPATIAL = {
    "halo row": "D1:OX2 |",
    "dilated row": "D1:OX2 |",
    "strided row": "D1:K2 |",
    "deep outputs": "D1:K2 |",
    "streamed": "D1:M3 |",
    "two sides": "D1:M2 D2:N2 |",
    "depthwise": "D1:G2 |",
    "pool": "D1:OY2 |",
    "broadcast": "D1:B2 D2:X2 |",
    "weights rest": "D1:K2 D2:N2 |",
    "outputs rest": "D1:M2 D2:N2 |",
    "scalar": "D1:X2 |",
    "batched": "D1:M2 |",
}


def scalar() -> Problem:
    """A row times one number, which no dim indexes."""
    sizes = {"X": 5}
    row = (plain("X", sizes),)
    op = make_op("elementwise", sizes, ("I", "I", row), ("I2", "W", (Axis(1),)), ("O", "O", row))
    return build(op, {"D1": 2}, [(memory("l1", "rw", "single"), "IWO", "D1")], memory("dram", "rw"))


def batched() -> Problem:
    """Products of matrices: three axes, with one, two and three tile sizes."""
    sizes = {"B": 1, "M": 4, "K": 3, "N": 2}
    b, m, k, n = (plain(dim, sizes) for dim in sizes)
    op = make_op("matmul", sizes, ("A", "I", (b, m, k)), ("B", "W", (b, k, n)), ("O", "O", (b, m, n)))
    return build(op, {"D1": 2}, [(memory("l1", "r+w", "double"), "IWO", "")], memory("dram", "rw"))


PROBLEMS = {**templates(), "scalar": scalar(), "batched": batched()}


def some_sizes(size: int, unrolled: int) -> tuple[int, ...]:
    """The array's part, the whole, and all multiples of the one below the other."""
    whole = -(-size // unrolled) * unrolled
    return tuple(range(unrolled, whole + 1, unrolled))


def numbered(lattice: Lattice, state: tuple[int, ...], dims: frozenset[str], within: bool) -> int:
    """The number of a state among those of some dims (or of all others), the last of them fastest."""
    number = 0
    for dim, sizes, size in zip(lattice.dims, lattice.sizes, state, strict=True):
        if (dim in dims) == within:
            number = number * len(sizes) + sizes.index(size)
    return number


def told(
    problem: Problem, spatial: tuple[Unroll, ...], table: CutTable, state: tuple[tuple[str, int], ...]
) -> CutTraffic:
    """The formula at one cut."""
    operand = next(operand for operand in problem.op.operands if operand.name == table.operand)
    places = problem.setting.of(operand.name)
    lower = places[table.lower] if table.lower >= 0 else None
    # What lies below the first place of all is cut 0, below the second at least cut 1.
    cut = Cut(operand, table.lower + 1, lower, places[table.upper], state, None)
    return cut_traffic(problem, Mapping(spatial, (), ()), cut)


def same(problem: Problem, tables: Tables, table: CutTable, row: int, visit: int, cut: CutTraffic) -> None:
    cost = table.cost(np.array([row]), visit)[0]
    busy = dict.fromkeys(tables.resources, 0)
    for flow in cut.flows:
        busy[flow.port if flow.flow == "link" else f"{flow.memory}.{flow.port}"] += flow.busy_cycles
    assert cost[ENERGY] == pytest.approx(sum(flow.pj for flow in cut.flows), rel=1e-12)
    assert cost[BUSY:].tolist() == list(busy.values())
    ends = cut.first_cycles + cut.last_cycles if table.lower >= 0 else 0
    assert cost[ENDS] == ends
    lower = cut.cut.lower
    buffering = problem.chip.memory(lower.memory).buffering if lower else "pipelined"
    systolic, skew = problem.core.systolic, 0
    if systolic and cut.cut.index == 1 and cut.cut.operand.slot == systolic.stationary:
        sides = {side.name: side.size for side in problem.core.array}
        skew = cut.steps * (sides[systolic.rows] + sides[systolic.columns] - 2)
    assert cost[EXPOSED] == skew + (cut.total_cycles - ends if buffering == "single" else 0)
    second = cut.fresh_elements if buffering == "double" and cut.steps > 1 else 0
    assert table.room(np.array([row]), visit).tolist() == [cut.tile_elements + second]
    assert (table.lower < 0) == (lower is None)
    assert table.exposes == (buffering == "single")


@pytest.mark.parametrize("name", list(SPATIAL))
def test_every_row_of_a_table_is_what_the_formula_says_there(name: str) -> None:
    problem = PROBLEMS[name]
    spatial = parse_mapping(SPATIAL[name]).spatial
    array = Mapping(spatial, (), ())
    dims = tuple(dim for dim, _ in problem.op.dims)
    lattice = Lattice(dims, tuple(some_sizes(size, array.unrolled(dim)) for dim, size in problem.op.dims))
    tables = build_tables(problem, spatial, lattice)
    states = list(itertools.product(*lattice.sizes))
    assert lattice.num_states == len(states) == prod(map(len, lattice.sizes))
    assert lattice.states().tolist() == [list(state) for state in states]
    for table in tables.cuts:
        operand = next(operand for operand in problem.op.operands if operand.name == table.operand)
        visits = prod(len(sizes) for dim, sizes in zip(dims, lattice.sizes, strict=True) if dim not in operand.dims)
        assert table.visiting.visits.shape == (visits,)
        assert table.visiting.instances.shape == (visits, 3 if operand.slot == "O" else 1, 2)
        assert table.cost(np.array([0]), 0).shape == (1, 3 + len(tables.resources))
        for state in states:
            row = numbered(lattice, state, operand.dims, True)
            visit = numbered(lattice, state, operand.dims, False)
            cut = told(problem, spatial, table, tuple(zip(dims, state, strict=True)))
            same(problem, tables, table, row, visit, cut)


def test_the_resources_are_the_ports_and_lanes_that_something_passes() -> None:
    problem = templates()["streamed"]
    tables = build_tables(problem, (), Lattice(("M", "N", "K"), ((1, 3), (1, 2), (1, 3))))
    # One link is a lane for both directions, the other has one for each.
    assert set(tables.resources) == {"sram.rw", "lower", "upper>", "upper<", "noc.r", "noc.w", "dram.rw"}
    assert [(table.operand, table.lower, table.upper) for table in tables.cuts] == [
        (name, lower, lower + 1) for name in "ABO" for lower in (-1, 0)
    ]


def test_a_port_that_nothing_uses_is_no_resource() -> None:
    problem = build(matmul(2, 2, 2), {"D1": 1}, [(memory("l1", "own"), "IWO", "D1")], memory("dram", "rw"))
    tables = build_tables(problem, (), Lattice(("M", "N", "K"), ((1, 2),) * 3))
    down = {f"l1.{slot}.{flow}" for slot in "IW" for flow in ("from_above", "to_below")}
    both = {f"l1.O.{flow}" for flow in ("from_below", "to_above", "to_below", "from_above")}
    assert set(tables.resources) == {"dram.rw", *down, *both}


SIZE = 40
WINDOW = Axis(SIZE, (Term("OX"), Term("FX")), -(SIZE - 1))
"""A window as long as a row comes in from one end: it holds one element, then two, ... then all."""


def kernel_profile(axis: Axis, lines: tuple[Line, ...]) -> dict[str, object]:
    """`cuts.profile`, from the table of one row."""
    found = _profiles(
        axis.size,
        axis.offset,
        tuple(line.size for line in lines),
        tuple((line.tile,) for line in lines),
        tuple(line.unrolled for line in lines),
        tuple(line.lower for line in lines),
        tuple(line.upper for line in lines),
        tuple(term.coefficient for term in axis.terms),
        tuple(line.run for line in lines),
    )
    return row_of(found, 0)


def row_of(found: _Profiles, row: int) -> dict[str, object]:
    return {
        "steps": sorted(map(tuple, found.steps[row, : found.steps_count[row]].tolist())),
        "lower": sorted(map(tuple, found.lower[row, : found.lower_count[row]].tolist())),
        "upper": sorted(map(tuple, found.upper[row, : found.upper_count[row]].tolist())),
        "ends": found.ends[row].tolist(),
    }


def formula_profile(axis: Axis, lines: tuple[Line, ...]) -> dict[str, object]:
    of = profile(axis, lines)
    return {
        "steps": sorted((b, a, count) for (b, a), count in of.steps),
        "lower": sorted(of.lower),
        "upper": sorted(of.upper),
        "ends": [*of.first, *of.last, of.tile, of.fresh],
    }


@pytest.mark.parametrize(
    ("tile", "unrolled", "lower", "upper"),
    [
        (1, 1, 1, 1),  # forty kinds of step
        (40, 40, 1, 40),  # one step in which forty instances below hold as many different extents
        (40, 40, 40, 1),  # the same above
        (6, 6, 2, 3),
    ],
)
@pytest.mark.parametrize("run", [0, 1, 7])
def test_tables_grow_with_the_kinds_of_what_an_axis_holds(
    tile: int, unrolled: int, lower: int, upper: int, run: int
) -> None:
    lines = (Line(SIZE, tile, unrolled, lower, upper, run), Line(SIZE, SIZE, 1, 1, 1))
    assert kernel_profile(WINDOW, lines) == formula_profile(WINDOW, lines)


def test_a_table_that_is_too_short_is_said_to_be() -> None:
    one, none = np.ones(1, np.int64), np.zeros(1, np.int64)
    stamps, low, high = np.zeros((2, 3), np.int64), np.zeros(4, np.int64), np.zeros(4, np.int64)
    # Two steps of two and one element.
    for room, kinds in ((2, 2), (1, -1)):
        steps = np.zeros((room, 3), np.int64)
        made = axis_profile(3 * one, 2 * one, one, one, one, one, none, 0, 3, 0 * stamps, steps, 0 * low, 0 * high)
        assert made[0] == kinds


@pytest.mark.parametrize("seed", range(40))
def test_all_tile_sizes_of_a_random_axis_together_are_told_as_one_by_one(seed: int) -> None:
    """Two dims with strides, padding, unrolled on sides of which places serve a part, with and without runs."""
    rng = random.Random(seed)
    parts = [rng.choice(((1, 1), (1, 2), (2, 2), (1, 3), (3, 1))) for _ in range(2)]
    above = [rng.choice((1, part[1])) for part in parts]
    unrolled = [below * more for below, more in parts]
    sizes = [rng.randint(side, 9) for side in unrolled]
    runs = [rng.choice((0, 0, 2, 3)), 0]
    axis = Axis(rng.randint(3, 20), (Term("OX", rng.randint(1, 3)), Term("FX", rng.randint(1, 2))), -rng.randint(0, 3))
    options = [some_sizes(size, side) for size, side in zip(sizes, unrolled, strict=True)]
    below = [part[0] for part in parts]
    served = [low * more for low, more in zip(below, above, strict=True)]
    steps = tuple(term.coefficient for term in axis.terms)
    found = _profiles(
        axis.size, axis.offset, *map(tuple, (sizes, options, unrolled, below, served)), steps, tuple(runs)
    )
    for row, tiles in enumerate(itertools.product(*options)):
        lines = tuple(Line(*line) for line in zip(sizes, tiles, unrolled, below, served, runs, strict=True))
        assert row_of(found, row) == formula_profile(axis, lines)


def test_rows_of_one_axis_do_not_see_one_another() -> None:
    sizes, lines = (1, 2, 3, 6, 12), [Line(12, size, 1, 1, 1) for size in (1, 2, 3, 6, 12)]
    axis, across = Axis(14, (Term("OX"), Term("FX"))), Line(3, 1, 1, 1, 1)
    found = _profiles(14, 0, (12, 3), (sizes, (1,)), (1, 1), (1, 1), (1, 1), (1, 1), (0, 0))
    for row, line in enumerate(lines):
        assert row_of(found, row) == formula_profile(axis, (line, across))


def test_an_axis_of_padding_alone_moves_nothing() -> None:
    """A kernel's first column lies in the padding for every window of a row of one."""
    levels = [(memory("buf", "rw", "single"), "I", "D1")]
    problem = build(conv_row(1, 3, pad=(1, 1)), {"D1": 1}, levels, memory("dram", "rw"))
    lattice = Lattice(("OX", "FX"), ((1,), (1, 3)))
    table = next(t for t in build_tables(problem, (), lattice).cuts if (t.operand, t.lower) == ("I", 0))
    # Of three columns, one after another, only the middle one holds the one pixel.
    assert table.tile.tolist() == [1, 1]
    assert table.steps.tolist() == [3, 1]
    assert table.ends.tolist() == [0.0, 1.0]
    assert replace(table, doubled=True).room(np.array([0]), 0).tolist() == [1 + 1]

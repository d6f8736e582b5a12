"""Laws that every price obeys, whatever the op, the chip and the mapping: random nests of random and library chips."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from math import ceil, prod
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.oracles import turned
from tests.oracles.brute import small_problem
from tests.oracles.change import widened, with_memories, without_systolic
from tests.oracles.nests import random_mapping
from tests.oracles.world import matmul, random_large, templates
from weft.cost import Price, price
from weft.mapper import Objective
from weft.model.chip import READING
from weft.model.mapping import Mapping, Problem
from weft.model.workload import Op, Operand
from weft.read import load
from weft.read.chip import read_chip
from weft.read.precision import assume_precision
from weft.run.run import streaming_problem
from weft.schedule.shared import Mapper

Nest = tuple[Problem, Mapping]
Law = Callable[[Problem, Mapping], None]
OBJECTIVES: tuple[Objective, ...] = ("latency", "energy", "edp")
CHIPS = ("tpu_like", "eyeriss_like", "meta_prototype", "edge_tpu_like", "tpu_like_quad")
NETWORKS = ("resnet8", "mobilenet_v2")

ROUNDING = 1e-9
"""Sums of the same energies in another order differ by less than this part of them."""


@cache
def library_problems(chip_name: str) -> tuple[Problem, ...]:
    """Small layers of library networks, one of each shape, on the core of a library chip that takes them first."""
    chip, found = read_chip(chip_name), {}
    for network in NETWORKS:
        workload, _ = assume_precision(load(network), chip.precision)
        mapper = Mapper(workload, chip, "edp", "fixed")
        for op in workload.ops:
            if op.iterations < 2_000_000:
                problem = streaming_problem(mapper, op, chip.cores_for(op.kind)[0], chip)
                found.setdefault((op.kind, op.dims), problem)
    return tuple(found.values())


def library_nest(chip: str, seed: int) -> Nest:
    rng = random.Random(seed)
    problem = rng.choice(library_problems(chip))
    return problem, random_mapping(problem, rng)


def little_nest(seed: int) -> Nest:
    rng = random.Random(seed)
    problem = rng.choice(list(templates().values()))
    return problem, random_mapping(problem, rng)


@cache
def drawn(where: str, seed: int) -> Nest:
    if where == "little":
        return little_nest(seed)
    return random_large(seed) if where == "large" else library_nest(where, seed)


@cache
def priced(where: str, seed: int) -> Price:
    return price(*drawn(where, seed))


NESTS = st.tuples(st.sampled_from(("little", "large", "large", *CHIPS)), st.integers(0, 150))
T = TypeVar("T", bound=Callable[..., None])


def often(examples: int) -> Callable[[T], T]:
    """Hypothesis settings: the same examples every time."""
    return settings(max_examples=examples, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))


def touched(op: Op, operand: Operand) -> int:
    """Elements of an operand that the op needs: distinct indices of each axis, padding left out."""
    extent = 1
    for axis in operand.axes:
        steps = [[term.coefficient * i for i in range(op.size[term.dim])] for term in axis.terms]
        reached = {axis.offset + sum(parts) for parts in itertools.product(*steps)}
        extent *= sum(0 <= index < axis.size for index in reached)
    return extent


def worked_on(problem: Problem) -> list[tuple[int, int]]:
    """Bits of what a unit works on, and bits that it takes: both factors of a product, else the widest input."""
    inputs, weights = problem.core.op_widths
    bits = {operand.name: problem.width(operand.name) for operand in problem.op.inputs}
    if problem.op.kind in ("conv", "gemm", "matmul"):
        first, second = problem.op.inputs
        return [(bits[first.name], inputs), (bits[second.name], weights)]
    return [(max(bits.values()), inputs)]


def nothing_waits_less_than_it_works(problem: Problem, mapping: Mapping, told: Price) -> None:
    """Latency is at least every port's and link's own time, and the array's."""
    assert all(cycles <= told.latency_cycles for _, cycles in told.busy)
    steps = [ceil(size / mapping.unrolled(dim)) for dim, size in problem.op.dims]
    assert told.compute_cycles == prod(steps) * prod(ceil(bits / unit) for bits, unit in worked_on(problem))
    assert told.latency_cycles >= prod(steps)


def links_and_ports_move_no_faster_than_they_can(problem: Problem, mapping: Mapping, told: Price) -> None:
    """No link carries more bits in the latency than its bandwidth allows."""
    core = problem.core
    for flow in told.flows:
        if flow.flow == "link":
            link = problem.chip.link(flow.memory)
            assert flow.bits * core.clock_hz <= told.latency_cycles * link.bandwidth_bits * link.clock_hz


def every_element_crosses_every_cut(problem: Problem, mapping: Mapping, told: Price) -> None:
    """Traffic is at least compulsory: each needed element down once, each result up once."""
    least = {o.name: touched(problem.op, o) * problem.width(o.name) for o in problem.op.operands}
    for flow in told.flows:
        # Partial sums need not come back, so an output's ways down may be empty.
        if flow.operand != problem.op.output.name or flow.flow in ("from_below", "to_above"):
            assert flow.bits >= least[flow.operand]


def results_are_written_once(problem: Problem, mapping: Mapping, told: Price) -> None:
    """Into a place of one instance go all results once, at their final width, beside the partial sums that return."""
    output = problem.op.output
    sides = frozenset(side.name for side in problem.core.array)
    places = {place.memory: place for place in problem.setting.of(output.name)}
    for cut, rest in enumerate(mapping.chain(output.name)):
        if places[rest.memory].serves != sides:
            continue
        bits = {
            flow.flow: flow.bits
            for flow in told.flows
            if (flow.operand, flow.cut, flow.memory) == (output.name, cut, rest.memory)
        }
        assert bits["from_below"] - bits["to_below"] == touched(problem.op, output) * problem.width(output.name)


def parts_sum_to_totals(problem: Problem, mapping: Mapping, told: Price) -> None:
    """Energy is that of operations, of whole accesses, of bits over links, and of time; cycles add up as well."""
    chip, core = problem.chip, problem.core
    static = chip.static_pj_per_cycle * chip.base_clock_hz / core.clock_hz
    scale = prod(bits / unit for bits, unit in worked_on(problem))
    energy = scale * core.op_pj * problem.op.iterations + (core.active_pj_per_cycle + static) * told.latency_cycles
    busy: dict[str, int] = {}
    for flow in told.flows:
        if flow.flow == "link":
            energy += flow.bits * chip.link(flow.memory).pj_per_bit
            name = flow.port
        else:
            memory = chip.memory(flow.memory)
            port = next(port for port in memory.ports if port.name == flow.port)
            per_access = memory.read_pj if flow.flow in READING else memory.write_pj
            energy += flow.accesses * per_access * port.access_bits / port.bandwidth_bits
            assert flow.accesses * port.access_bits >= flow.bits
            name = f"{flow.memory}.{flow.port}"
        busy[name] = busy.get(name, 0) + flow.busy_cycles
    assert told.energy_pj == pytest.approx(energy, rel=ROUNDING)
    assert told.energy_pj == pytest.approx(told.op_pj + told.active_pj + sum(f.pj for f in told.flows), rel=ROUNDING)
    assert dict(told.busy) == busy
    work = told.compute_cycles + told.exposed_cycles + told.skew_cycles
    ends = told.launch_cycles + told.fill_cycles + told.drain_cycles
    assert told.latency_cycles == ends + max(work, *busy.values())
    assert told.edp == told.energy_pj * told.latency_cycles


def nothing_is_negative(problem: Problem, mapping: Mapping, told: Price) -> None:
    numbers = [told.launch_cycles, told.fill_cycles, told.compute_cycles, told.exposed_cycles, told.skew_cycles]
    numbers += [told.drain_cycles, told.op_pj, told.active_pj, *(cycles for _, cycles in told.busy)]
    numbers += [number for f in told.flows for number in (f.bits, f.accesses, f.busy_cycles, f.pj)]
    assert min(numbers) >= 0
    # A tile that lies in padding takes no room.
    assert all(room.bits >= 0 for room in told.room)


def wider_elements_never_move_fewer_bits(problem: Problem, mapping: Mapping, told: Price) -> None:
    for name, _ in problem.widths:
        wider = tuple((other, width + 3 * (other == name)) for other, width in problem.widths)
        more = price(replace(problem, widths=wider), mapping)
        for before, after in zip(told.flows, more.flows, strict=True):
            assert after.bits >= before.bits
            assert after.busy_cycles >= before.busy_cycles
            if before.operand != name:
                assert after == before
            elif name != problem.op.output.name:
                assert after.bits * dict(problem.widths)[name] == before.bits * dict(wider)[name]
        assert all(after.bits >= before.bits for before, after in zip(told.room, more.room, strict=True))
        assert more.latency_cycles >= told.latency_cycles


def re_use_of_halos_never_moves_more(problem: Problem, mapping: Mapping, told: Price) -> None:
    never = price(with_memories(problem, lambda memory: replace(memory, halo_reuse=False)), mapping)
    for less, more in zip(told.flows, never.flows, strict=True):
        assert less.bits <= more.bits
    assert told.latency_cycles <= never.latency_cycles
    assert all(less.bits <= more.bits for less, more in zip(told.room, never.room, strict=True))


def more_bandwidth_never_slows_a_nest(problem: Problem, mapping: Mapping, told: Price) -> None:
    for name in [memory.name for memory in problem.chip.memories] + [link.name for link in problem.chip.links]:
        faster = price(widened(problem, name), mapping)
        assert faster.latency_cycles <= told.latency_cycles
        assert faster.energy_pj <= told.energy_pj * (1 + ROUNDING)
        assert [flow.bits for flow in faster.flows] == [flow.bits for flow in told.flows]
        assert [flow.accesses for flow in faster.flows] == [flow.accesses for flow in told.flows]


LAWS: tuple[Callable[[Problem, Mapping, Price], None], ...] = (
    nothing_waits_less_than_it_works,
    links_and_ports_move_no_faster_than_they_can,
    every_element_crosses_every_cut,
    results_are_written_once,
    parts_sum_to_totals,
    nothing_is_negative,
    re_use_of_halos_never_moves_more,
)
DEAR_LAWS = (wider_elements_never_move_fewer_bits, more_bandwidth_never_slows_a_nest)
"""Laws that price a nest several times."""


def named(law: Callable[..., None]) -> str:
    return law.__name__


@pytest.mark.parametrize("law", LAWS, ids=named)
@often(160)
@given(nest=NESTS)
def test_every_nest_obeys(law: Callable[[Problem, Mapping, Price], None], nest: tuple[str, int]) -> None:
    law(*drawn(*nest), priced(*nest))


@pytest.mark.parametrize("law", DEAR_LAWS, ids=named)
@often(50)
@given(nest=NESTS)
def test_a_few_nests_obey(law: Callable[[Problem, Mapping, Price], None], nest: tuple[str, int]) -> None:
    law(*drawn(*nest), priced(*nest))


@pytest.mark.verify
@pytest.mark.parametrize("where", ["little", "large", *CHIPS])
def test_many_nests_obey_every_law(where: str) -> None:
    for seed in range(200, 500):
        problem, mapping = drawn(where, seed)
        for law in (*LAWS, *DEAR_LAWS):
            law(problem, mapping, price(problem, mapping))


def same_price(one: Price, other: Price, names: dict[str, str]) -> None:
    """Equal but for the operands' names."""
    assert replace(one, flows=(), room=(), op_pj=0.0, active_pj=0.0) == replace(
        other, flows=(), room=(), op_pj=0.0, active_pj=0.0
    )
    assert one.energy_pj == pytest.approx(other.energy_pj, rel=ROUNDING)
    there = {
        (names.get(f.operand, f.operand), f.cut, f.memory, f.port, f.flow): (f.bits, f.accesses, f.busy_cycles)
        for f in other.flows
    }
    here = {(f.operand, f.cut, f.memory, f.port, f.flow): (f.bits, f.accesses, f.busy_cycles) for f in one.flows}
    assert here == there
    assert sorted((r.operand, r.memory, r.bits) for r in one.room) == sorted(
        (names.get(r.operand, r.operand), r.memory, r.bits) for r in other.room
    )


@often(120)
@given(nest=NESTS)
def test_a_turned_image_costs_the_same(nest: tuple[str, int]) -> None:
    problem, mapping = drawn(*nest)
    other = turned.image(problem)
    same_price(priced(*nest), price(other, turned.nest(mapping, turned.ROWS_AND_COLUMNS)), {})


@often(40)
@given(seed=st.integers(0, 10_000))
def test_a_turned_matrix_product_costs_the_same(seed: int) -> None:
    rng = random.Random(seed)
    problem = small_problem(seed, halo=True, op=matmul(rng.randint(1, 9), rng.randint(1, 9), rng.randint(1, 9)))
    problem = replace(problem, chip=without_systolic(problem))
    mapping = random_mapping(problem, rng)
    other = turned.product(problem)
    assert turned.product(other) == problem
    same_price(price(problem, mapping), price(other, turned.nest(mapping, turned.PRODUCT)), turned.PRODUCT)

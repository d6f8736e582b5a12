"""Bounds: what each counts, and cases in which a careless bound would be above what can be reached."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from tests.schedule.small import array_core, bus_chip, memory, network
from weft.model.chip import Chip
from weft.model.schedule import Infeasible
from weft.model.workload import Workload
from weft.schedule import Solution, solve
from weft.schedule.bounds import Bounds, balanced, bounds

BIG = 10**7
ONE_CORE = bus_chip((array_core("a", "ma"),), (memory("ma", BIG, 256),))


def limits(workload: Workload, chip: Chip) -> Bounds:
    return bounds(workload, chip, "fixed")


def solution(workload: Workload, chip: Chip) -> Solution:
    found = solve(workload, chip, "latency", budget=20)
    assert not isinstance(found, Infeasible), found
    return found


def conv(channels: int, outputs: int, side: int, stride: int = 1) -> Workload:
    out = (side - 1) // stride + 1
    return network(
        [("Conv", "c", ["x", "w"], "y", {"strides": [stride, stride]})],
        {"x": (1, channels, side, side)},
        {"w": (outputs, channels, 1, 1)},
        {"y": (1, outputs, out, out)},
    )


def test_compute_is_array_steps_and_traffic_is_each_tensor_once() -> None:
    found = limits(conv(8, 12, 6), ONE_CORE)
    steps = math.ceil(8 / 4) * math.ceil(12 / 4) * 6 * 6
    read, written = 8 * (8 * 36 + 12 * 8), 8 * 12 * 36
    assert found.compute_cycles == steps
    assert found.critical_path_cycles == steps
    assert found.offchip_cycles == max(math.ceil(read / 64), math.ceil(written / 64))
    assert found.link_cycles == math.ceil((read + written) / 64)
    assert found.energy_pj == 8 * 12 * 36 * 1.0 + read / 64 + written / 64


def test_rows_that_a_stride_skips_are_no_traffic() -> None:
    found = limits(conv(8, 4, 7, stride=2), ONE_CORE)
    assert found.offchip_cycles == math.ceil(8 * (8 * 16 + 4 * 8) / 64)


def test_a_rate_that_is_no_whole_number_is_not_rounded_down() -> None:
    # 64 bits at 1 GHz are 64/3 bits per cycle of a 3 GHz base clock
    chip = replace(ONE_CORE, base_clock_hz=3 * 10**9)
    read = 8 * (8 * 36 + 12 * 8)
    assert limits(conv(8, 12, 6), chip).offchip_cycles >= math.ceil(read * 3 / 64)
    assert limits(conv(8, 12, 6), chip).link_cycles == math.ceil((read + 8 * 12 * 36) * 3 / 64)


def test_a_core_at_the_outermost_memory_needs_no_link() -> None:
    slow = tuple(replace(link, bandwidth_bits=1) for link in ONE_CORE.links)
    chip = replace(ONE_CORE, cores=(*ONE_CORE.cores, array_core("near", "dram")), links=slow)
    workload = conv(8, 12, 6)
    assert limits(workload, replace(chip, cores=ONE_CORE.cores)).link_cycles > 1000
    assert limits(workload, chip).link_cycles == 0
    found = solution(workload, chip)
    assert found.bounds.latency_cycles <= found.schedule.latency_cycles < 1000


def test_an_input_that_is_an_output_under_another_shape_is_not_written() -> None:
    workload = network(
        [("Conv", "c", ["x", "w"], "y", {}), ("Reshape", "r", ["x", "flat"], "x_flat", {})],
        {"x": (1, 4, 4, 4)},
        {"w": (2, 4, 1, 1)},
        {"y": (1, 2, 4, 4), "x_flat": (1, 64)},
        {"flat": [1, 64]},
    )
    read, written = 8 * (64 + 8), 8 * 2 * 16
    found = solution(workload, ONE_CORE)
    assert found.bounds.link_cycles == math.ceil((read + written) / 64)
    assert found.bounds.latency_cycles <= found.schedule.latency_cycles


def test_an_op_that_reads_rows_follows_the_last_of_them_and_one_that_reads_all_follows_all() -> None:
    """Rows may pass from one convolution to the next while the first still runs; a dense layer waits for all."""
    shapes = {"wa": (8, 4, 1, 1), "wb": (4, 8, 1, 1), "wc": (10, 4 * 36)}
    workload = network(
        [
            ("Conv", "a", ["x", "wa"], "y", {}),
            ("Conv", "b", ["y", "wb"], "z", {}),
            ("Reshape", "r", ["z", "flat"], "f", {}),
            ("Gemm", "c", ["f", "wc"], "out", {"transB": 1}),
        ],
        {"x": (1, 4, 6, 6)},
        shapes,
        {"out": (1, 10)},
        {"flat": [1, 4 * 36]},
    )
    first, dense = 2 * 36, math.ceil(10 / 4) * 36
    assert limits(workload, ONE_CORE).critical_path_cycles == (first + 1) + dense
    assert limits(workload, ONE_CORE).compute_cycles == first + first + dense


def test_who_reads_one_part_of_a_joined_tensor_does_not_wait_for_the_other() -> None:
    """The slice reads what the quick branch made; the slow branch is not on its path."""
    workload = network(
        [
            ("Conv", "slow", ["x", "ws"], "s", {"pads": [1] * 4}),
            ("Relu", "quick", ["x"], "q", {}),
            ("Concat", "join", ["q", "s"], "j", {"axis": 1}),
            ("Slice", "cut", ["j", "from", "to", "axis"], "c", {}),
            ("Conv", "after", ["c", "wa"], "z", {}),
        ],
        {"x": (1, 4, 6, 6)},
        {"ws": (32, 4, 3, 3), "wa": (32, 4, 3, 3)},
        {"z": (1, 32, 4, 4), "j": (1, 36, 6, 6)},
        {"from": [0], "to": [4], "axis": [1]},
    )
    slow, after = 32 // 4 * 36 * 9, 32 // 4 * 16 * 9
    assert limits(workload, ONE_CORE).critical_path_cycles == max(slow + 1, after)


def test_work_is_shared_out_over_the_cores_that_take_it_and_no_core_is_faster_than_its_array() -> None:
    """Ten channels on arrays of one row: however they are cut, thirty rounds of 64 pixels over three cores."""
    workload = network(
        [("Conv", "a", ["x", "wa"], "y", {})], {"x": (1, 4, 8, 8)}, {"wa": (10, 4, 1, 1)}, {"y": (1, 10, 8, 8)}
    )
    names = "abc"
    chip = bus_chip(
        tuple(array_core(name, f"m{name}", rows=1) for name in names),
        tuple(memory(f"m{name}", BIG, 256) for name in names),
        width=4096,
    )
    assert limits(workload, chip).compute_cycles == math.ceil(10 * 64 / 3)
    found = solution(workload, chip)
    assert found.bounds.latency_cycles <= found.schedule.latency_cycles


def test_cores_of_different_shape_each_take_what_their_own_array_uses() -> None:
    """Six channels fill three quarters of eight rows, all of two: a core of 64 cycles and one of 192 share the work."""
    workload = network(
        [("Conv", "a", ["x", "wa"], "y", {})], {"x": (1, 4, 8, 8)}, {"wa": (6, 4, 1, 1)}, {"y": (1, 6, 8, 8)}
    )
    cores = (array_core("a", "ma", rows=8), array_core("b", "mb", rows=2))
    chip = bus_chip(cores, (memory("ma", BIG, 256), memory("mb", BIG, 256)), width=4096)
    alone, slow = 6 * 4 * 64 // (6 * 4), 6 * 4 * 64 // (2 * 4)
    found = limits(workload, chip)
    assert found.compute_cycles == found.critical_path_cycles == alone * slow // (alone + slow)
    assert limits(workload, replace(chip, cores=cores[1:])).compute_cycles == 3 * 64
    reached = solution(workload, chip)
    assert reached.bounds.latency_cycles <= reached.schedule.latency_cycles


def test_a_slow_core_that_takes_everything_is_no_second_core() -> None:
    """Beside an array that takes 10 cycles an op, a host of 1,000 cycles each takes but a hundredth part."""
    times = [{"array": Fraction(10), "host": Fraction(1000)} for _ in range(8)]
    assert balanced(times) == 1 / (1 / Fraction(80) + 1 / Fraction(8000))


def test_what_one_core_alone_takes_stays_there() -> None:
    # six cycles of either kind on a, twelve on b, and two that only a takes: a does 4/9 of the free op beside them
    assert balanced([{"a": Fraction(6), "b": Fraction(12)}, {"a": Fraction(2)}]) == Fraction(16, 3)
    assert balanced([{"a": Fraction(6)}, {"b": Fraction(1)}]) == 6
    assert balanced([{"a": Fraction(6), "b": Fraction(6)}, {"c": Fraction(1)}]) == 3


CORES = ("a", "b", "c")


@given(st.lists(st.dictionaries(st.sampled_from(CORES), st.integers(1, 30), min_size=1), min_size=1, max_size=5))
def test_no_whole_allocation_is_better_and_no_mean_says_more(drawn: list[dict[str, int]]) -> None:
    times = [{core: Fraction(time) for core, time in op.items()} for op in drawn]
    bound = balanced(times)
    cores = {core for op in times for core in op}
    for picks in itertools.product(*(sorted(op) for op in times)):
        load = dict.fromkeys(cores, Fraction(0))
        for op, core in zip(times, picks, strict=True):
            load[core] += op[core]
        assert bound <= max(load.values())
    least = sum(min(op.values()) for op in times)
    assert bound >= least / len(cores) * (1 - Fraction(1, 10**6))

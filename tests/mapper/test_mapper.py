"""The mapper against brute force: every nest of small problems, run loop by loop."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache
from math import inf
from typing import get_args

import pytest

from tests.oracles.brute import Nests, all_nests, num_runs, small_problem
from tests.oracles.world import build, matmul, memory, pool
from weft.cost import price
from weft.cost.legal import broken
from weft.mapper import Mapped, Objective, best_mapping, solve
from weft.mapper.pack import find, pack
from weft.mapper.solve import OBJECTIVES as NUMBERS
from weft.mapper.solve import value
from weft.mapper.space import candidates, compute_cycles, fixed_spatial, lattice, successors
from weft.model.chip import ArrayDim, Systolic
from weft.model.mapping import Loop, Mapping, Problem, parse_mapping
from weft.model.schedule import Infeasible

OBJECTIVES: tuple[Objective, ...] = get_args(Objective)

SEEDS = range(70)
MORE_SEEDS = range(1000, 1250)
HALO_SEEDS = range(2000, 2030)
MORE_HALO_SEEDS = range(2030, 2150)
CONFLICTS = (17, 94, 101, 112, 133, 167, 246, 402, 420)
"""Problems whose least room in one memory goes with more in another: some place may be passed."""
WORK, MORE_WORK = 3_000, 12_000

SAME = 1e-9
"""Sums of the same energies in another order differ by less than this part of them."""


@cache
def tried(seed: int, halo: bool = False, most: int = WORK) -> tuple[Problem, Nests] | None:
    """A small problem and all its nests, or None where these are too many."""
    problem = small_problem(seed, halo)
    spatial = fixed_spatial(problem.op, problem.core)
    sizes, whole = lattice(problem.op, spatial)
    assert whole
    per_dim = dict(zip(sizes.dims, sizes.sizes, strict=True))
    if num_runs(problem, per_dim) > most:
        return None
    return problem, all_nests(problem, spatial, per_dim)


def wrong_with(problem: Problem, nests: Nests, objective: Objective, beam: int) -> tuple[str, list[str]]:
    """How the mapper did, and what it may not do."""
    found, best = best_mapping(problem, objective, beam=beam), nests.best(objective)
    if isinstance(found, Infeasible):
        return "refused", [] if best is None else [f"refused, but {best} is legal: {found}"]
    if best is None:
        return "wrong", [f"maps what nothing fits: {found.mapping}"]
    reached, beside = value(found.price, objective)
    wrong = [str(item) for item in broken(problem, found.mapping)]
    if found.price != price(problem, found.mapping):
        wrong.append("the price is not that of the mapping")
    if reached < best[0] * (1 - SAME):
        wrong.append(f"{reached} is better than all nests: {best[0]}")
    if found.bound > best[0] * (1 + SAME):
        wrong.append(f"bound {found.bound} above {best[0]}")
    if found.bound > reached:
        wrong.append(f"bound {found.bound} above what was reached, {reached}")
    if found.optimal and reached > best[0] * (1 + SAME):
        wrong.append(f"{reached} called optimal: {best[0]}")
    elif found.optimal and beside > best[1] * (1 + SAME):
        wrong.append(f"tie-breaker {beside}: {best[1]}")
    return "optimal" if found.optimal else "bounded", wrong


def compare(seeds: range, halo: bool, most: int, beams: tuple[int, ...] = (4,)) -> Counter[str]:
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    for seed in seeds:
        case = tried(seed, halo, most)
        if case is None:
            continue
        for objective in OBJECTIVES:
            for beam in beams:
                outcome, lines = wrong_with(*case, objective, beam)
                counts[outcome] += 1
                wrong += [f"seed {seed}, {objective}, beam {beam}: {line}" for line in lines]
    print(dict(counts))
    assert not wrong, "\n".join(wrong)
    return counts


def test_what_the_mapper_calls_optimal_is_the_best_of_all_nests() -> None:
    counts = compare(SEEDS, False, WORK, (1, 4))
    assert counts["optimal"] > 2 * counts["bounded"]
    assert counts["refused"] >= 10


def test_without_a_beam_every_optimum_is_proved() -> None:
    assert compare(SEEDS, False, WORK, (0,))["bounded"] == 0


def test_bounds_near_a_known_mapping_leave_nothing_better_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The coarsest lattice gives the mapping to beat, so that the whole one is searched with joint bounds."""
    monkeypatch.setattr(solve, "RUNGS", (1,))
    assert compare(SEEDS, False, WORK, (0,))["bounded"] == 0


def test_the_bound_of_a_spatial_choice_is_below_all_its_nests() -> None:
    """Seen from the smallest and the largest tiles alone, with room for any."""
    checked = 0
    for seeds, halo in ((SEEDS, False), (HALO_SEEDS, True)):
        for seed in seeds:
            case = tried(seed, halo)
            if case is None:
                continue
            problem, nests = case
            roomy = replace(nests, capacity=nests.capacity * 0 + inf)
            for objective in OBJECTIVES:
                best = roomy.best(objective)
                assert best is not None
                bound = solve._Run(problem, objective).bound(fixed_spatial(problem.op, problem.core))
                assert bound <= best[0] * (1 + SAME), (seed, objective)
                checked += 1
    assert checked >= 190


def test_with_reuse_of_halos_every_optimum_is_proved() -> None:
    counts = compare(HALO_SEEDS, True, WORK, (0,))
    assert counts["bounded"] == 0
    assert counts["optimal"] > 2 * counts["refused"]


def test_with_reuse_of_halos_a_beam_still_bounds_the_best_of_all_nests() -> None:
    compare(HALO_SEEDS, True, WORK, (1, 4))


@pytest.mark.verify
def test_many_more_problems_are_mapped_as_well_as_all_nests() -> None:
    compare(MORE_SEEDS, False, MORE_WORK, (0, 1, 4))


@pytest.mark.verify
def test_many_more_problems_are_proved_near_a_known_mapping(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solve, "RUNGS", (1,))
    assert compare(MORE_SEEDS, False, MORE_WORK, (0,))["bounded"] == 0


@pytest.mark.verify
def test_many_more_halos_are_mapped_as_well_as_all_nests() -> None:
    compare(MORE_HALO_SEEDS, True, MORE_WORK, (1, 4))
    assert compare(MORE_HALO_SEEDS, True, MORE_WORK, (0,))["bounded"] == 0


def with_room(problem: Problem, nests: Nests, room: dict[str, int]) -> Problem:
    """The problem with this room in some memories and no end of it in the others."""
    free = tuple((name, room.get(name, 1 << 40)) for name in nests.columns)
    return replace(problem, setting=replace(problem.setting, free_bits=free))


def test_what_just_fits_is_mapped_and_one_bit_less_is_refused_by_name() -> None:
    edges = 0
    for seed, halo in (*((seed, False) for seed in SEEDS), *((seed, True) for seed in HALO_SEEDS)):
        case = tried(seed, halo)
        if case is None:
            continue
        problem, nests = case
        for name in nests.columns:
            least = int(nests.least_room(name))
            if least < 2:
                continue
            for beam in (1, 4):
                assert isinstance(best_mapping(with_room(problem, nests, {name: least}), beam=beam), Mapped)
            refused = best_mapping(with_room(problem, nests, {name: least - 1}))
            assert isinstance(refused, Infeasible)
            assert (refused.memory, refused.needs_bits, refused.has_bits) == (name, least, least - 1)
            edges += 1
    assert edges >= 60


def test_two_memories_that_each_would_do_are_refused_together() -> None:
    refusals = 0
    for seed in (*range(20), *CONFLICTS):
        case = tried(seed)
        if case is None:
            continue
        problem, nests = case
        least = {name: int(nests.least_room(name)) for name in nests.columns}
        tight = with_room(problem, nests, least)
        fitting = replace(nests, capacity=nests.capacity * 0 + [least[name] for name in nests.columns])
        found = best_mapping(tight)
        assert isinstance(found, Mapped) == bool(fitting.legal.any())
        if isinstance(found, Infeasible):
            before = frozenset(nests.columns[: nests.columns.index(str(found.memory))])
            assert found.reason == "its tiles fit each memory alone, not all together"
            assert found.needs_bits == fitting.least_room(str(found.memory), before)
            assert found.has_bits == least[str(found.memory)]
            refusals += 1
    assert refusals >= 3


def test_a_refusal_says_what_is_needed_in_one_line() -> None:
    # One element of each in a single buffer: 8 bits of either input, 20 of a partial sum.
    small = replace(memory("l1", "rw", "single"), size_bits=8 + 8 + 20 - 1)
    problem = build(matmul(3, 3, 3), {"D1": 1}, [(small, "IWO", "D1")], memory("dram", "rw"))
    assert str(best_mapping(problem)) == (
        "op on core: its smallest tiles do not fit (needs 36 bits of 'l1', which has 35); "
        "make the memory larger, or give it a buffering that needs no second copy of a tile"
    )


@pytest.mark.parametrize("reuse", [True, False])
def test_where_halos_are_reused_the_loop_along_the_windows_comes_next(reuse: bool) -> None:
    """Six windows of three pixels on a row of eight, a buffer of three: with re-use each pixel comes once."""
    buffer = memory("buf", "rw", "single", halo=reuse)
    problem = build(pool(1, 6, 3, 1), {"D1": 1}, [(buffer, "I", "D1")], memory("dram", "rw"))
    width = problem.width("I")
    problem = replace(problem, setting=replace(problem.setting, free_bits=(("buf", 3 * width),)))
    found = best_mapping(problem, "energy")
    assert isinstance(found, Mapped)
    assert found.optimal
    fetched = sum(flow.bits for flow in found.price.flows if (flow.memory, flow.flow) == ("buf", "from_above"))
    # Without: to each pair of windows come three pixels for the first two columns of the kernel, two for the last.
    assert fetched == (8 if reuse else (6 // 2) * (3 + 2)) * width


def idle_systolic() -> Problem:
    """A pool on an array whose weights would rest: it has none, so the array is crossed once."""
    # Crossing so large an array takes longer than any port.
    levels = [(memory("l1", "rw", widths=(1024, 8)), "IO", "D1 D2")]
    top = memory("dram", "rw", widths=(1024, 8))
    return build(pool(2, 5, 2, 2), {"D1": 30, "D2": 40}, levels, top, systolic=Systolic("D1", "D2", "W"))


def test_the_search_says_of_its_best_nest_what_the_formula_says() -> None:
    for problem in (
        idle_systolic(),
        *map(small_problem, range(40)),
        *(small_problem(seed, True) for seed in range(40)),
    ):
        packed = pack(problem, fixed_spatial(problem.op, problem.core), 4096)
        for objective in OBJECTIVES:
            found = find(packed, NUMBERS[objective], 64, inf)
            if found.mapping is not None and found.floor > found.value:
                assert found.value == pytest.approx(value(price(problem, found.mapping), objective)[0], rel=SAME)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_free_dataflow_is_never_worse_than_the_declared_one(objective: Objective) -> None:
    for seed in range(12):
        problem = small_problem(seed)
        fixed, free = (best_mapping(problem, objective, spatial) for spatial in ("fixed", "free"))
        if isinstance(fixed, Infeasible):
            continue
        assert isinstance(free, Mapped)
        assert value(free.price, objective)[0] <= value(fixed.price, objective)[0]
        assert free.bound <= value(fixed.price, objective)[0]
        assert broken(problem, free.mapping) == []


def test_the_same_problem_gets_the_same_answer_and_its_text_parses_back() -> None:
    for seed in range(60):
        problem = small_problem(seed, halo=seed % 2 == 1)
        found = best_mapping(problem)
        assert best_mapping(problem) == found
        if isinstance(found, Mapped):
            again = parse_mapping(str(found.mapping))
            assert (again.spatial, again.loops) == (found.mapping.spatial, found.mapping.loops)
            assert all(again.chain(op.name) == found.mapping.chain(op.name) for op in problem.op.operands)


def test_tile_sizes_are_one_for_each_number_of_steps_and_all_divisors() -> None:
    for count in range(1, 200):
        sizes = candidates(count)
        assert sizes[0] == 1
        assert sizes[-1] == count
        assert sizes == tuple(sorted(set(sizes)))
        # The smallest tile of each number of steps that ceil(n / k) can make.
        assert set(sizes) == {-(-count // k) for k in range(1, count + 1)}
        assert {size for size in range(1, count + 1) if count % size == 0} <= set(sizes)


def test_every_chain_of_multiples_is_walked_in_single_steps() -> None:
    for seed in range(40):
        problem = small_problem(seed)
        sizes, _ = lattice(problem.op, fixed_spatial(problem.op, problem.core))
        for options, steps in zip(sizes.sizes, successors(sizes.sizes), strict=True):
            last = len(options) - 1
            reach = [{i} for i in range(len(options))]
            for i in range(last, -1, -1):
                for j in steps[i]:
                    reach[i] |= reach[j]
            assert reach == [
                {i} | {j for j in range(i + 1, last + 1) if options[j] % options[i] == 0 or j == last}
                for i in range(len(options))
            ]


@pytest.mark.parametrize(
    ("columns", "laid"),
    [(32, "D1:N4 D3:N8"), (64, "D1:N4 D3:N8"), (10, "D1:N4 D3:N2"), (4, "D1:N4"), (3, "D1:N3")],
)
def test_a_loop_goes_on_along_the_next_side_that_names_it(columns: int, laid: str) -> None:
    array = (ArrayDim("D1", 4, ("output_channel",)), ArrayDim("D3", 8, ("output_channel",)))
    op = matmul(5, columns, 6)
    core = replace(small_problem(0).core, array=array)
    spatial = fixed_spatial(op, core)
    assert " ".join(map(str, spatial)) == laid
    unrolled = Mapping(spatial, (), ()).unrolled("N")
    sizes, _ = lattice(op, spatial)
    assert sizes.sizes[sizes.dims.index("N")][0] == unrolled
    assert compute_cycles(op, spatial) == 5 * -(-columns // unrolled) * 6


def test_a_side_of_which_the_dataflow_uses_a_part_takes_no_more() -> None:
    core = replace(small_problem(0).core, array=(ArrayDim("D1", 32, ("output_channel",), most=8),))
    (unroll,) = fixed_spatial(matmul(5, 64, 6), core)
    assert unroll.loops == (Loop("N", 8),)


def test_a_lattice_that_is_too_large_is_thinned_and_says_so() -> None:
    op = matmul(12, 7, 10)
    full, whole = lattice(op, ())
    assert whole
    assert full.num_states == len(candidates(12)) * len(candidates(7)) * len(candidates(10))
    thin, still_whole = lattice(op, (), 20)
    assert not still_whole
    assert thin.num_states <= 20
    for some, every in zip(thin.sizes, full.sizes, strict=True):
        assert set(some) <= set(every)
        assert (some[0], some[-1]) == (every[0], every[-1])

"""The mapper against all nests of random small problems: equal for every objective, and proved.

Nests are priced by running their loops; the mapper shares with that only the choices of what lies side by side.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import get_args

import pytest

from tests.oracles.brute import Nests
from tests.oracles.smalls import FEATURES, LEAST, QUOTA, Case, Dataflow, case, drawn, features
from weft.cost import price
from weft.cost.legal import broken
from weft.mapper import Mapped, Objective, best_mapping, solve
from weft.mapper.runs import reuses_halos
from weft.mapper.solve import value
from weft.model.mapping import Mapping, Problem
from weft.model.schedule import Infeasible

OBJECTIVES: tuple[Objective, ...] = get_args(Objective)

FEW = 60
SHARDS, EACH = 50, 100
FREE_SHARDS, FREE_EACH = 10, 50

SAME = 1e-9
"""Sums of the same energies in another order differ by less than this part of them."""

TRAITS = ("sums spilled", "uneven tiles", "passes a place", "clipped tiles")


def faults(made: Case, objective: Objective, deadline: int | None = None) -> tuple[str, list[str], Mapping | None]:
    """What became of a problem, what is wrong with the answer, and the mapping."""
    problem, nests = made.problem, made.nests if deadline is None else within(made.nests, deadline)
    found = best_mapping(problem, objective, made.dataflow, deadline=deadline)
    best = nests.best(objective)
    if isinstance(found, Infeasible):
        return "refused", [] if best is None else [f"refused, but {best} is legal: {found}"], None
    if best is None:
        return "wrong", [f"maps what nothing fits: {found.mapping}"], None
    reached, beside = value(found.price, objective)
    wrong = [str(item) for item in broken(problem, found.mapping)]
    if found.price != price(problem, found.mapping):
        wrong.append("the price is not that of the mapping")
    if deadline is not None and found.price.latency_cycles > deadline:
        wrong.append(f"takes {found.price.latency_cycles} cycles, not {deadline}")
    if found.bound > best[0] * (1 + SAME):
        wrong.append(f"the bound {found.bound} is above {best[0]}")
    if reached < best[0] * (1 - SAME):
        wrong.append(f"{reached} is better than all nests: {best[0]}")
    if reached > best[0] * (1 + SAME):
        wrong.append(f"{reached} is worse than {best[0]}: {found.mapping}")
    if not found.optimal:
        wrong.append(f"{reached} is not proved: {found.bound}")
    if beside > best[1] * (1 + SAME):
        wrong.append(f"{beside} beside {reached}, not {best[1]}")
    return "proved" if found.optimal else "found", wrong, found.mapping


def within(nests: Nests, deadline: int) -> Nests:
    keeps = nests.values[:, 0] <= deadline
    return replace(nests, values=nests.values[keeps], rooms=nests.rooms[keeps])


def traits(problem: Problem, mapping: Mapping) -> set[str]:
    """What a best mapping makes use of."""
    found = set()
    told = price(problem, mapping)
    output = problem.op.output.name
    if any(flow.operand == output and flow.flow == "to_below" and flow.bits for flow in told.flows):
        found.add("sums spilled")
    tiles: dict[str, set[tuple[tuple[str, int], ...]]] = {}
    for rest in mapping.rests:
        if rest.inside < len(mapping.loops):
            tiles.setdefault(rest.memory, set()).add(tuple(sorted(mapping.tile(rest.inside).items())))
    if any(len(some) > 1 for some in tiles.values()):
        found.add("uneven tiles")
    if any(len(mapping.chain(name)) < len(chain) for name, chain in problem.setting.places):
        found.add("passes a place")
    whole = mapping.tile(len(mapping.loops))
    if any(whole.get(dim, 1) != size for dim, size in problem.op.dims):
        found.add("clipped tiles")
    return found


def compare(seeds: Sequence[int], dataflow: Dataflow = "fixed") -> Counter[str]:
    """Maps every problem for every objective, and again under a deadline."""
    outcomes: Counter[str] = Counter()
    wrong: list[str] = []
    has: Counter[str] = Counter()
    for seed in seeds:
        made = case(seed, dataflow)
        assert len(made.nests.values) >= LEAST
        asked: list[tuple[Objective, int | None]] = [(objective, None) for objective in OBJECTIVES]
        latencies = made.nests.values[made.nests.legal][:, 0]
        if len(latencies):
            rng = random.Random(seed)
            deadline = int(rng.choice((*latencies[:1], latencies.min(), latencies.mean(), latencies.min() - 1)))
            asked += [(rng.choice(("energy", "edp")), deadline)]
        mappings = []
        for objective, deadline_or_none in asked:
            outcome, lines, mapping = faults(made, objective, deadline_or_none)
            name = outcome if deadline_or_none is None else f"{outcome} by a deadline"
            outcomes[name if not reuses_halos(made.problem) else f"{name}, halos"] += 1
            wrong += [f"seed {seed} {dataflow}, {objective}, {deadline_or_none}: {line}" for line in lines]
            mappings += [mapping] if mapping is not None else []
        has.update(set().union(*(traits(made.problem, mapping) for mapping in mappings)))
    print(dataflow, seeds, dict(outcomes))
    assert not wrong, "\n".join(wrong)
    assert all(has[name] >= len(seeds) * QUOTA for name in TRAITS), has
    assert outcomes["refused"] + outcomes["refused, halos"] <= 0.1 * 3 * len(seeds)
    return outcomes


def test_every_feature_is_in_its_share_of_the_problems() -> None:
    seeds = range(10_000, 10_000 + SHARDS * EACH, 5)
    has: Counter[str] = Counter()
    for seed in seeds:
        has.update(features(*drawn(random.Random(f"{seed} fixed"))))
    short = {name: has[name] for name in FEATURES if has[name] < QUOTA * len(seeds)}
    assert not short


def test_the_mapper_finds_and_proves_the_best_of_all_nests() -> None:
    compare((*range(FEW), 11_044, 12_464))


def test_bounds_near_a_known_mapping_leave_the_best_of_all_nests_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """The coarsest lattice gives the mapping to beat, so that the whole one is searched with joint bounds."""
    monkeypatch.setattr(solve, "RUNGS", (1,))
    compare(range(FEW // 2))


@pytest.mark.parametrize("beam", [1, 2])
def test_a_narrow_beam_gives_a_mapping_at_its_price_and_a_bound_below_all_nests(beam: int) -> None:
    """Of both problems it finds nests better than its labels say: tiles rest longer than where they were cut."""
    for made in (case(10_011), case(10_027)):
        for objective in OBJECTIVES:
            found, best = best_mapping(made.problem, objective, beam=beam), made.nests.best(objective)
            assert best is not None
            assert isinstance(found, Mapped)
            assert found.price == price(made.problem, found.mapping)
            assert broken(made.problem, found.mapping) == []
            assert found.bound <= best[0] * (1 + SAME)
            assert best[0] * (1 - SAME) <= value(found.price, objective)[0]


def test_a_free_dataflow_is_the_best_of_all_nests_of_all_choices() -> None:
    compare((*range(12), 29, 81), "free")


@pytest.mark.verify
@pytest.mark.parametrize("shard", range(SHARDS))
def test_five_thousand_problems_are_mapped_as_well_as_all_nests(shard: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every other shard with joint bounds."""
    if shard % 2:
        monkeypatch.setattr(solve, "RUNGS", (1,))
    compare(range(10_000 + shard * EACH, 10_000 + (shard + 1) * EACH))


@pytest.mark.verify
@pytest.mark.parametrize("shard", range(FREE_SHARDS))
def test_many_free_dataflows_are_the_best_of_all_nests(shard: int, monkeypatch: pytest.MonkeyPatch) -> None:
    if shard % 2:
        monkeypatch.setattr(solve, "RUNGS", (1,))
    compare(range(shard * FREE_EACH, (shard + 1) * FREE_EACH), "free")

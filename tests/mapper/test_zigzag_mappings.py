"""weft's optimum against the mappings that ZigZag 3.8.5 chose for ResNet-18 on its tpu_like, both by weft's formula."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from weft.cost import price
from weft.cost.legal import broken
from weft.cost.zigzag import Inexpressible, weft_of
from weft.mapper import Mapped, best_mapping
from weft.model.mapping import Mapping, Problem
from weft.model.zigzag import ZigzagMapping
from weft.read import load
from weft.read.chip import read_chip
from weft.read.mappings import read_zigzag_mappings
from weft.schedule.settings import setting_for

FILE = Path(__file__).parents[1] / "data" / "zigzag_resnet18_tpu_like.json"


@cache
def layers() -> dict[str, tuple[Problem, Mapping]]:
    """Each layer as a problem that streams all operands at eight bits, with ZigZag's mapping in weft's form."""
    chip, ops = read_chip("tpu_like"), {op.name: op for op in load("resnet18").ops}
    core = chip.cores[0]
    found = {}
    for named in read_zigzag_mappings(FILE):
        assert isinstance(named.mapping, ZigzagMapping)
        op = ops[named.op]
        every = frozenset(operand.name for operand in op.operands)
        widths = tuple((operand.name, 8) for operand in op.operands)
        problem = Problem(op, widths, chip, setting_for(op, core, chip, every, {}))
        mapping = weft_of(named.mapping, problem)
        assert not isinstance(mapping, Inexpressible)
        found[named.op] = problem, mapping
    return found


def test_most_of_zigzag_s_mappings_keep_weft_s_rules() -> None:
    assert len(layers()) == 21
    assert sum(not broken(problem, mapping) for problem, mapping in layers().values()) >= 15


@pytest.mark.parametrize("objective", ["edp", "energy", "latency"])
def test_no_mapping_of_zigzag_s_is_better_than_the_optimum(objective: str) -> None:
    compared = 0
    for name, (problem, mapping) in layers().items():
        if broken(problem, mapping):
            continue
        theirs, found = price(problem, mapping), best_mapping(problem, objective)  # type: ignore[arg-type]
        assert isinstance(found, Mapped)
        assert found.optimal
        ours = found.price
        pairs = {
            "edp": (ours.edp, theirs.edp),
            "energy": (ours.energy_pj, theirs.energy_pj),
            "latency": (ours.latency_cycles, theirs.latency_cycles),
        }
        least, other = pairs[objective]
        assert least <= other * (1 + 1e-9), name
        compared += 1
    assert compared >= 15

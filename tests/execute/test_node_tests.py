"""The onnx package's node tests, written by others: cut into tiles, executed, equal at the suite's own tolerance."""

from __future__ import annotations

import importlib.util
import sys
from functools import cache
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "docs" / "numerics.py"
SLICE = 6
"""Of the cases, in the quick suite."""
LEAST_EQUAL, LEAST_CUT = 1580, 1490


@cache
def script():
    spec = importlib.util.spec_from_file_location("node_numerics", SCRIPT)
    made = importlib.util.module_from_spec(spec)
    sys.modules["node_numerics"] = made
    spec.loader.exec_module(made)
    return made


def check(results):
    """Nothing differs, and what has an axis to be cut along is in two or more tiles."""
    assert [(item.case.name, item.reason) for item in results if item.state == "different"] == []
    for item in results:
        if item.state == "equal":
            assert item.cut == item.parallel, item.case.name
        elif item.state == "no arithmetic":
            assert item.reason


def test_a_slice_of_the_node_tests_agrees_tile_by_tile():
    results = script().executions(script().cases()[::SLICE])
    check(results)
    assert sum(item.state == "equal" for item in results) >= LEAST_EQUAL // SLICE - 20


@pytest.mark.verify
def test_node_tests_agree_tile_by_tile():
    results = script().executions()
    check(results)
    equal = [item for item in results if item.state == "equal"]
    assert len(equal) >= LEAST_EQUAL
    assert sum(item.tiles > item.ops for item in equal) >= LEAST_CUT


def test_a_tile_that_computes_something_else_is_seen(monkeypatch):
    from weft.execute import moves

    true = moves.moved
    monkeypatch.setattr(moves, "moved", lambda tile: true(tile)[::-1])
    chosen = [case for case in script().cases() if case.operator in ("Concat", "Split", "Slice", "Expand")]
    results = script().executions(chosen)
    assert sum(item.state == "different" for item in results) >= 10

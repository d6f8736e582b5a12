"""Spoilt chips and networks give a result, exit 2 or exit 3: no traceback, no hang, no more than 2 GiB of data."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60
"""For starting up; beside a second per mutant, on a busy machine."""


def outcomes(kind: str, first: int, count: int) -> Counter[str]:
    """What became of `count` mutants; fails with the first of them that went wrong, or that ended the process."""
    words = [sys.executable, "-m", "tests.fuzz.judge", kind, str(first), str(count)]
    paths = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(
        words,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        out, err = process.communicate(timeout=PATIENCE_S + count)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
    found = [json.loads(line) for line in out.splitlines()]
    wrong = [f"{kind} {line['seed']}: {line['wrong']}" for line in found if line["wrong"]]
    assert not wrong, f"{len(wrong)} mutants went wrong; the first is {wrong[0]}"
    assert len(found) == count, f"{kind} {first + len(found)} ended the process ({process.returncode}): {err[-1000:]}"
    return Counter(line["outcome"] for line in found)


@pytest.mark.parametrize("kind", ["chips", "models"])
def test_250_mutants(kind):
    seen = outcomes(kind, 0, 250)
    assert seen["check 2"] > 50, "too few are wrong"
    assert seen["run 0"] > 10, "too few are right"


@pytest.mark.verify
@pytest.mark.parametrize("first", range(1000, 3500, 500))
@pytest.mark.parametrize("kind", ["chips", "models"])
def test_5000_mutants(kind, first):
    outcomes(kind, first, 500)


@pytest.mark.parametrize("kind", ["chips", "models"])
def test_a_seed_gives_one_mutant(kind):
    from tests.fuzz import chips, models

    make = chips.mutant if kind == "chips" else models.mutant
    assert [make(seed) for seed in range(20)] == [make(seed) for seed in range(20)]

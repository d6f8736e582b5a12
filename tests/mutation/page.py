"""Writes docs/mutation.md: for each file how many changes were tried, seen, missed; and each that is left."""

from __future__ import annotations

import tomllib
from math import sqrt
from pathlib import Path
from typing import Any

from tests.mutation.suites import SUITES

REASONS = Path(__file__).parent / "equivalent.toml"

HEAD = """# Small mistakes on purpose

What would happen if a line of the cost formula or of the mapper were slightly wrong? `make mutants` changes every line
in all the ways of `tests/mutation/changes.py`, one at a time (a border of a comparison, an operator, a constant by one,
a condition turned round, the smallest for the largest, nothing returned, a statement left out), and runs quick tests
of that file (`tests/mutation/suites.py`). A change that makes a test fail, or take {slower} times as long, is *killed*.

*No effect*: the changed program does the same, for the reason given below. *Missed*: a test is missing. *Killed* is
counted of those that have an effect. Where a file was sampled, the share has a 95 % interval (Wilson's).
Docstrings, annotations, decorators, assertions and `strict=` are left alone. Kernels run as plain Python here. Where
few are killed, few quick tests are named for the file; slower ones (all nests, networks on chips) are not asked.

| file | changes | tried | killed | no effect | missed | killed of those with an effect |
|---|---|---|---|---|---|---|
"""


def reasons() -> dict[str, str]:
    """For each change of no effect, why it has none."""
    groups = tomllib.loads(REASONS.read_text("utf-8"))["same"]
    return {name: group["why"] for group in groups for name in group["changes"]}


def write_page(path: Path, kept: dict[str, Any], slower: int) -> None:
    """The page, from what `hunt` found."""
    why = reasons()
    lines = [HEAD.format(slower=slower)]
    left: list[str] = []
    same: dict[str, list[str]] = {}
    totals = [0, 0, 0, 0, 0]
    seconds = 0.0
    for called, found in kept.items():
        fates = found["mutants"]
        alive = [name for name, one in fates.items() if one["fate"] != "killed"]
        equal = [name for name in alive if name in why]
        missed = [name for name in alive if name not in why]
        counts = [found["there"], len(fates), len(fates) - len(alive), len(equal), len(missed)]
        totals = [a + b for a, b in zip(totals, counts, strict=True)]
        seconds += found["own_seconds"] + sum(one["seconds"] for one in fates.values())
        lines.append(f"| `{called}` | {' | '.join(map(str, counts))} | {_share(*counts)} |\n")
        left += [f"- `{name.replace('`', '')}`\n" for name in missed]
        for name in equal:
            same.setdefault(why[name], []).append(name)
    lines.append(f"| together | {' | '.join(map(str, totals))} | {_share(totals[1], *totals[1:])} |\n")
    untried = [f"`{called}`" for called in SUITES if called not in kept]
    if untried:
        lines.append(f"\nNot tried: {', '.join(untried)}.\n")
    lines.append(f"\nAll of it took {seconds / 60:.0f} CPU minutes.\n")
    lines += ["\n## Missed\n\n", *(left or ["None.\n"]), "\n## Of no effect\n"]
    for reason in sorted(same):
        lines.append(f"\n{reason}:\n\n")
        lines += [f"- `{name}`\n" for name in same[reason]]
    path.write_text("".join(lines), "utf-8")


def _share(there: int, tried: int, killed: int, equal: int, missed: int) -> str:
    """Killed of those with an effect, with an interval where not all were tried."""
    n = killed + missed
    if not n:
        return "-"
    p = killed / n
    if there == tried:
        return f"{p:.1%}"
    z = 1.96
    middle, half = (p + z * z / (2 * n)), z * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low, high = ((middle + sign * half) / (1 + z * z / n) for sign in (-1, 1))
    return f"{p:.1%} ({low:.1%} to {high:.1%})"

"""What the mapper's tile sizes leave out: the best of them against the best of all integers, in docs/mapping_space.md.

Both are found by running all nests. From the repository's root: `python -m tests.oracles.left_out`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from tests.oracles.brute import Nests, all_nests
from tests.oracles.smalls import SizesOf, all_sizes, case, divisor_sizes, named_sizes
from weft.mapper import Objective

OBJECTIVES: tuple[Objective, ...] = get_args(Objective)
PROBLEMS = 100
PAGE = Path(__file__).parents[2] / "docs" / "mapping_space.md"
BEGIN, END = "<!-- left out: begin -->", "<!-- left out: end -->"
SAME = 1e-9
SPACES: dict[str, SizesOf] = {"divisors and ceil(n / k)": named_sizes, "divisors alone": divisor_sizes}


def compared(problems: int) -> Iterator[tuple[int, Nests, dict[str, Nests]]]:
    """(seed, nests over all integers, nests of each smaller space) of problems with sizes that the spaces leave out."""
    seed = found = 0
    while found < problems:
        made = case(seed, sizes_of=all_sizes)
        choice = made.choices[0]
        seed += 1
        if named_sizes(made.problem, choice) == all_sizes(made.problem, choice) or not made.nests.legal.any():
            continue
        found += 1
        nests = {name: all_nests(made.problem, choice, of(made.problem, choice)) for name, of in SPACES.items()}
        yield seed - 1, made.nests, nests


def table(problems: int) -> str:
    """A line per space and objective: how often it holds the best of all integers, and how far it is from it."""
    ratios: dict[tuple[str, Objective], list[float]] = {(name, goal): [] for name in SPACES for goal in OBJECTIVES}
    unfit = dict.fromkeys(SPACES, 0)
    for seed, every, spaces in compared(problems):
        for name, nests in spaces.items():
            unfit[name] += not nests.legal.any()
            for goal in OBJECTIVES:
                best, least = nests.best(goal), every.best(goal)
                assert least is not None
                if best is not None:
                    assert best[0] >= least[0] * (1 - SAME), f"seed {seed}: what is left out is part of all"
                    ratios[name, goal].append(best[0] / least[0])
    lines = [
        "| tile sizes | objective | best of all integers | 90 % | 99 % | max | fits only with others |",
        "|---|---|---|---|---|---|---|",
    ]
    for (name, goal), found in ratios.items():
        found.sort()
        same = sum(ratio <= 1 + SAME for ratio in found)
        marks = " | ".join(f"{found[int(part * (len(found) - 1))]:.3f}" for part in (0.9, 0.99, 1))
        lines.append(f"| {name} | {goal} | {same} of {len(found)} | {marks} | {unfit[name]} |")
    return "\n".join(lines)


if __name__ == "__main__":
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{table(PROBLEMS)}\n{END}{rest.partition(END)[2]}")
    print(PAGE.read_text())

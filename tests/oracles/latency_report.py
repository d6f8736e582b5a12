"""How far the latency formula lies from the event simulator: writes docs/latency_check.md.

Run from the repository's root: `python -m tests.oracles.latency_report`.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from tests.oracles.events import simulate
from tests.oracles.nests import random_mapping
from tests.oracles.uniform import draw, some_levels, some_memory
from tests.oracles.world import build, conv_row, matmul
from weft.cost import price
from weft.model.mapping import Mapping, Problem
from weft.model.workload import Op

NESTS = 300
PAGE = Path(__file__).parents[2] / "docs" / "latency_check.md"
Draw = Callable[[int], tuple[Problem, Mapping]]


def uniform(seed: int) -> tuple[Problem, Mapping]:
    return draw(seed, slack=seed % 3).at(8)


def single(seed: int) -> tuple[Problem, Mapping]:
    return draw(seed, "single", slack=seed % 3).at(8)


def ragged(seed: int) -> tuple[Problem, Mapping]:
    """Tiles that do not divide their dims; partial sums stay where they first rest."""
    return _drawn(seed, lambda rng: matmul(*(rng.choice((3, 5, 7, 11)) for _ in range(3))), spills=False, clipped=True)


def halo(seed: int) -> tuple[Problem, Mapping]:
    """Windows that overlap, padded, with the halo kept."""

    def op(rng: random.Random) -> Op:
        return conv_row(rng.choice((8, 12, 16)), 3, rng.randint(2, 4), rng.randint(1, 2), 1, (1, 1))

    return _drawn(seed, op, spills=False, clipped=None, halo=True)


def partial(seed: int) -> tuple[Problem, Mapping]:
    """Partial sums that leave their first place and come back; nothing ragged."""
    return _drawn(seed, lambda rng: matmul(*(rng.choice((4, 6, 8)) for _ in range(3))), spills=True, clipped=False)


def _drawn(
    seed: int, make: Callable[[random.Random], Op], *, spills: bool, clipped: bool | None, halo: bool = False
) -> tuple[Problem, Mapping]:
    """The first mapping drawn that does, or does not, spill partial sums and clip tiles (None: either)."""
    rng = random.Random(seed)
    while True:
        slack = seed % 3
        problem = build(
            make(rng),
            {"D1": rng.randint(1, 2)},
            some_levels(rng, "double", slack, halo),
            some_memory(rng, "dram", "double", slack),
            accumulator=16,
        )
        for _ in range(20):
            mapping = random_mapping(problem, rng)
            if _spills(problem, mapping) == spills and clipped in (None, _clips(problem, mapping)):
                return problem, mapping


def _spills(problem: Problem, mapping: Mapping) -> bool:
    return any(
        flow.bits for flow in price(problem, mapping).flows if flow.cut and flow.operand == "O" and _back(flow.flow)
    )


def _back(flow: str) -> bool:
    return flow == "from_above"


def _clips(problem: Problem, mapping: Mapping) -> bool:
    tops = [mapping.tile(inside) for inside in range(len(mapping.loops) + 1)]
    return any(size % tile.get(dim, 1) and tile.get(dim, 1) < size for dim, size in problem.op.dims for tile in tops)


CLASSES: dict[str, Draw] = {
    "uniform, double-buffered": uniform,
    "uniform, single-buffered": single,
    "ragged, double-buffered": ragged,
    "halo kept, double-buffered": halo,
    "partial sums spilled, double-buffered": partial,
}


def ratios(make: Draw, in_order: bool, nests: int = NESTS) -> list[float]:
    """Simulated over priced latency of the first nests of a class, sorted."""
    found = []
    for seed in range(nests):
        problem, mapping = make(seed)
        found.append(simulate(problem, mapping, in_order).total / price(problem, mapping).latency_cycles)
    return sorted(found)


def page() -> str:
    lines = [
        "# The latency formula against the event simulator",
        "",
        f"Simulated / priced latency of {NESTS} seeded random nests of each class. They are small (up to a few hundred",
        "array steps), so fill and drain weigh more than in a real layer. Written by",
        "`python -m tests.oracles.latency_report`.",
        "",
        "| nests | ports serve | min | 5 % | median | 95 % | max |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, make in CLASSES.items():
        for in_order, how in ((False, "earliest need first"), (True, "in program order")):
            found = ratios(make, in_order)
            marks = [found[round(part * (len(found) - 1))] for part in (0, 0.05, 0.5, 0.95, 1)]
            lines.append(f"| {name} | {how} | " + " | ".join(f"{mark:.3f}" for mark in marks) + " |")
    return "\n".join([*lines, "", NOTES, ""])


NOTES = """\
How to read it:

- On uniform, double-buffered nests the cycles of one more outer iteration are exactly max(compute, busy of each port)
  when ports serve the earliest need first: on 1,077 of 1,080 nests drawn (`tests/cost/test_latency_events.py`, seeds
  0 to 1,079). The three others (seeds 210, 405, 617) take 1.11, 1.25 and 1.04 times as long. In all three, two or more
  ports are loaded above 90 % of the busiest, and one of those serves several flows; a likely reason is that what one
  loses while the other serves another flow, two buffers between them cannot win back. That condition was read off the
  three after they were seen and is not proved: it also holds for 253 nests that are exact. Without it, 824 of 824 are.
- The rest of the first line is fill and drain. `busy` holds all transfers, so on the port that decides the first and
  the last count twice: the formula is slow by that much, at the ends of a nest only.
- Where ports take transfers in program order, a long refill that is issued early holds up the short ones behind it.
- Single buffers: the formula adds up all that is exposed, as if one transfer waited for the other. In the simulator
  refills on different ports run at once, and one operand's wait hides another's. Where it is fast, a refill waits for a
  busy port, and the formula counts only its own time.
- Ragged and halo nests are uneven: a refill may be longer than the array's work on the tile before, and slack elsewhere
  does not help it.
- Spilled partial sums: with two copies, a tile must leave before its successor's sums come back into its place, both
  while the array works on the other copy. The formula lets them overlap on separate ports, which takes a third copy or
  hardware that swaps word by word; the simulator, which moves whole tiles, does not.

The reasons given are readings of single nests, not experiments."""


if __name__ == "__main__":
    PAGE.write_text(page())
    print(PAGE.read_text())

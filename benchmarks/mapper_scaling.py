"""CPU seconds of the mapper, and whether it proves its result, as memory levels and matmuls grow.

    python benchmarks/mapper_scaling.py [--write docs/mapper_scaling.md]

A matmul of three equal sides, objective EDP, on a chip made up for this: 16 x 16 units with 2 to 6 memory levels, the
registers and the outermost memory included, all of which hold all operands. Each point is a process of its own, in
which kernels are loaded already; what counts is CPU time of `best_mapping` alone, the smaller of two runs where the
first takes less than a quarter of LIMIT. A point that takes longer than LIMIT is ended and told, and larger ones of
its kind are not begun.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import resource
import sys
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from weft.mapper import Mapped, best_mapping
from weft.model.chip import ArrayDim, Chip, Core, Level, Memory, Port
from weft.model.mapping import Problem
from weft.model.workload import Axis, Op, Operand, Term
from weft.schedule.settings import setting_for

LEVELS = (2, 3, 4, 5, 6)
SIDES = {
    "round": (100, 1_000, 10_000),
    "many divisors": (120, 1_260, 10_080),
    "prime": (101, 1_009, 10_007),
}
LIMIT = 15
"""Most CPU seconds of a point."""
BITS = (1 << 9, 1 << 14, 1 << 19, 1 << 24, 1 << 29)
"""Sizes of memories from the registers outwards, each as far from the next; a chip has the first ones."""
DRAM_BITS = 1 << 40
COLOURS = {"round": "#2a6fb0", "many divisors": "#c2452d", "prime": "#3b8f4a"}


def make_chip(levels: int) -> Chip:
    """One core with so many memories, the outermost included: outwards an access costs more, and a cycle moves less."""
    sides = (ArrayDim("D1", 16, ("output_channel",)), ArrayDim("D2", 16, ("reduction_channel",)))
    slots, both = frozenset({"I", "W", "O"}), frozenset({"D1", "D2"})
    memories, held = [], []
    for level in range(levels):
        outermost = level == levels - 1
        width = 64 if level == 0 else 2048 >> level
        ports = (Port("r", "read", width, 8), Port("w", "write", width, 8))
        name = "dram" if outermost else f"m{level}"
        energy = 200.0 if outermost else 0.1 * 4**level
        memories.append(Memory(name, DRAM_BITS if outermost else BITS[level], ports, energy, energy))
        held.append(Level(name, slots, frozenset() if level == 0 else both))
    core = Core("core", frozenset({"matmul", "gemm"}), sides, 0.1, tuple(held))
    return Chip(f"levels{levels}", (core,), tuple(memories), (), "dram")


def make_problem(levels: int, side: int) -> Problem:
    """A matmul of three equal sides, from and to the outermost memory."""
    rows, inner, columns = (Axis(side, (Term(dim),)) for dim in "MKN")
    operands = (
        Operand("A", "I", "a", (rows, inner)),
        Operand("B", "W", "b", (inner, columns)),
        Operand("O", "O", "o", (rows, columns)),
    )
    op = Op("matmul", "matmul", "MatMul", tuple((dim, side) for dim in "MNK"), operands)
    chip = make_chip(levels)
    every = frozenset(operand.name for operand in operands)
    widths = (("A", 8), ("B", 8), ("O", 8))
    return Problem(op, widths, chip, setting_for(op, chip.cores[0], chip, every, {}))


@dataclass(frozen=True, slots=True)
class Point:
    """What a point took [CPU s], its space (states x stages) and whether all sizes are in it, and how far it is proved.

    Args: gap: 1 - bound / EDP; 0 where optimal.
    """

    seconds: float
    states: int
    whole: bool
    gap: float

    def __str__(self) -> str:
        proved = "optimal" if self.gap == 0 else f"gap {100 * self.gap:.2g} %"
        return f"{self.seconds:.3g} s, {proved}{'' if self.whole else ', sizes thinned'}"


def measure(levels: int, side: int, answer: Connection) -> None:
    """Sends one point, or why there is none; a process that spends more than LIMIT ends without an answer."""
    resource.setrlimit(resource.RLIMIT_CPU, (LIMIT, resource.RLIM_INFINITY))
    problem, seconds = make_problem(levels, side), list[float]()
    while not seconds or (len(seconds) < 2 and seconds[0] < LIMIT / 4):
        before = time.process_time()
        found = best_mapping(problem)
        seconds.append(time.process_time() - before)
    if isinstance(found, Mapped):
        gap = 0.0 if found.optimal else 1 - found.bound / found.price.edp
        answer.send(Point(min(seconds), found.space_size, "thinned" not in found.space, gap))
    else:
        answer.send(f"refused: {found}")


def point(levels: int, side: int) -> Point | str:
    """One point, in a process of its own."""
    fork = multiprocessing.get_context("fork")
    here, there = fork.Pipe(duplex=False)
    child = fork.Process(target=measure, args=(levels, side, there))
    child.start()
    there.close()
    try:
        found: Point | str = here.recv()
    except EOFError:
        found = f"ended after {LIMIT} s"
    child.join()
    return found


def curve(kind: str, levels: int) -> list[Point | str]:
    """The points of one kind and one number of levels, until one is ended."""
    found: list[Point | str] = []
    for side in SIDES[kind]:
        ended = bool(found) and isinstance(found[-1], str)
        found.append("not begun" if ended else point(levels, side))
        print(f"{kind}, {levels} levels, side {side:,}: {found[-1]}", file=sys.stderr, flush=True)
    return found


Curves = dict[tuple[str, int], list[Point | str]]
HEAD = """# How the mapper scales

Made by `python benchmarks/mapper_scaling.py --write docs/mapper_scaling.md`: CPU seconds of `best_mapping` (objective
EDP, fixed dataflow, nothing kept from before, kernels loaded) for a matmul of three equal sides, on a made-up chip of
16 x 16 units with 2 to 6 memory levels, registers and the outermost memory included. Every level holds all three
operands, which makes the search harder than on chips whose levels hold some of them. CPU time was taken while other
jobs shared the machine's two cores. *Optimal*: nothing in the searched space is better; *gap*: the proved bound is that
far below the result (a search holds 2^21 labels at most, and once it has compared 2^26, 64 per node); *sizes thinned*:
more tile sizes than a lattice takes, so only some were searched. A point is ended after {limit} CPU seconds,
and larger ones of its curve are then not begun. A full dot is proved optimal, a hollow one has a gap.

![CPU seconds over levels](mapper_scaling.svg)

| sides | MACs | {heads} |
|---|--:|{rules}|
"""
TAIL = """
{proved} of {all} points are proved optimal, {gaps} have a gap, {ended} were ended and {left} not begun;
{refused} were refused.

AccelForge was not measured: it was not at hand, and no figure for it stands here.
"""


def page(curves: Curves) -> str:
    """The table with the words around it."""
    heads = " | ".join(f"{levels} levels" for levels in LEVELS)
    text = HEAD.format(limit=LIMIT, heads=heads, rules="|".join("--:" for _ in LEVELS))
    for kind, sides in SIDES.items():
        for number, side in enumerate(sides):
            cells = " | ".join(str(curves[kind, levels][number]) for levels in LEVELS)
            text += f"| {kind}, {side:,} | {side**3:.2g} | {cells} |\n"
    every = [item for items in curves.values() for item in items]
    points = [item for item in every if isinstance(item, Point)]
    words = [item for item in every if isinstance(item, str)]
    return text + TAIL.format(
        proved=sum(item.gap == 0 for item in points),
        all=len(every),
        gaps=sum(item.gap > 0 for item in points),
        ended=sum(word.startswith("ended") for word in words),
        left=sum(word == "not begun" for word in words),
        refused=sum(word.startswith("refused") for word in words),
    )


def plot(curves: Curves) -> str:
    """CPU seconds (logarithmic) over levels: a colour per kind, a weight of line per size; a hollow dot is unproved."""
    left, top, step, decade = 70, 20, 120, 60
    low, high = -3, 2
    bottom = top + (high - low) * decade
    right = left + (len(LEVELS) - 1) * step
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {right + 220} {bottom + 50}" '
        'font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for power in range(low, high + 1):
        y = bottom - (power - low) * decade
        parts.append(f'<path d="M{left} {y}H{right}" stroke="#ddd"/><text x="12" y="{y + 4}">{10.0**power:g} s</text>')
    for number, levels in enumerate(LEVELS):
        x = left + number * step
        parts.append(f'<text x="{x}" y="{bottom + 22}" text-anchor="middle">{levels} levels</text>')
    line = 0
    for kind, sides in SIDES.items():
        for number, side in enumerate(sides):
            colour, weight = COLOURS[kind], 1 + number
            dots = []
            for place, levels in enumerate(LEVELS):
                item = curves[kind, levels][number]
                if isinstance(item, Point):
                    y = bottom - (math.log10(max(item.seconds, 10.0**low)) - low) * decade
                    dots.append((left + place * step, y, item.gap == 0))
            path = " ".join(f"{x},{y:.1f}" for x, y, _ in dots)
            parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{weight}"/>')
            parts += [
                f'<circle cx="{x}" cy="{y:.1f}" r="4" stroke="{colour}" fill="{colour if full else "white"}"/>'
                for x, y, full in dots
            ]
            y = top + 12 + 20 * line
            line += 1
            parts.append(
                f'<path d="M{right + 30} {y}h24" stroke="{colour}" stroke-width="{weight}"/>'
                f'<text x="{right + 62}" y="{y + 4}">{kind}, {side:,}</text>'
            )
    return "\n".join([*parts, "</svg>"]) + "\n"


def main() -> None:
    """All points."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, help="page to write; its plot goes beside it as .svg")
    target = parser.parse_args().write
    best_mapping(make_problem(3, 24))  # loads the kernels
    curves = {(kind, levels): curve(kind, levels) for levels in LEVELS for kind in SIDES}
    text = page(curves)
    if target is None:
        print(text)
        return
    target.write_text(text, "utf-8")
    target.with_suffix(".svg").write_text(plot(curves), "utf-8")


if __name__ == "__main__":
    main()

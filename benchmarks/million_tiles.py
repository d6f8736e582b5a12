"""From a design to a proved schedule, with more and more tiles: CPU seconds of each step, and memory.

Twenty layers, three of them convolutions with a halo, run depth first, a row at a time, on four cores on a bus.
Mappings are searched before. `python benchmarks/million_tiles.py [--write docs/schedules.md]`
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from weft.execute.replay_columns import check_replay_columns
from weft.model.chip import ArrayDim, Chip, Core, Level, Link, Memory, Port
from weft.model.rules.columns import check_columns
from weft.model.schedule import Infeasible
from weft.model.workload import Axis, Op, Operand, Tensor, Term, Workload
from weft.schedule.choices import placements
from weft.schedule.design import Composer, Design, Group
from weft.schedule.engine import place
from weft.schedule.fabric import Fabric
from weft.schedule.packed import columns_of
from weft.schedule.recipes import Recipes
from weft.schedule.shared import Mapper

LAYERS, CONVOLUTIONS, CHANNELS, WIDTH, CORES = 20, (0, 5, 10), 4, 8, 4
ROWS = (50, 500, 5_000, 50_000)
BEGIN, END = "<!-- made by benchmarks/million_tiles.py -->\n", "<!-- end of that -->"
HEAD = """
| tiles | transfers | residencies | cut [s] | place [s] | rules [s] | all [s] | per tile [us] | replay [s] | [MiB] |
|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|
"""
T = TypeVar("T")


def make_workload(rows: int) -> Workload:
    """Layers on images of so many rows."""
    tensors = [Tensor("t0", (CHANNELS, rows, WIDTH), 8, "input")]
    ops = []
    for layer in range(LAYERS):
        source, target = f"t{layer}", f"t{layer + 1}"
        role = "output" if layer == LAYERS - 1 else "intermediate"
        tensors.append(Tensor(target, (CHANNELS, rows, WIDTH), 8, role))
        output = (Axis(CHANNELS, (Term("K"),)), Axis(rows, (Term("OY"),)), Axis(WIDTH, (Term("OX"),)))
        dims = (("K", CHANNELS), ("OY", rows), ("OX", WIDTH))
        if layer not in CONVOLUTIONS:
            operands = (Operand("I", "I", source, output), Operand("O", "O", target, output))
            ops.append(Op(f"relu{layer}", "elementwise", "Relu", dims, operands))
            continue
        tensors.append(Tensor(f"w{layer}", (CHANNELS, CHANNELS, 3), 8, "weight"))
        halo = Axis(rows, (Term("OY"), Term("FY")), -1)
        operands = (
            Operand("I", "I", source, (Axis(CHANNELS, (Term("C"),)), halo, Axis(WIDTH, (Term("OX"),)))),
            Operand(
                "W",
                "W",
                f"w{layer}",
                (Axis(CHANNELS, (Term("K"),)), Axis(CHANNELS, (Term("C"),)), Axis(3, (Term("FY"),))),
            ),
            Operand("O", "O", target, output),
        )
        more = (("K", CHANNELS), ("C", CHANNELS), ("OY", rows), ("OX", WIDTH), ("FY", 3))
        ops.append(Op(f"conv{layer}", "conv", "Conv", more, operands))
    return Workload("layers", tuple(tensors), tuple(ops))


def make_chip(rows: int) -> Chip:
    """Four cores, and a memory that holds what they read and write."""
    slots = frozenset({"I", "W", "O"})
    sides = (ArrayDim("D1", 4, ("output_channel",)), ArrayDim("D2", 4, ("reduction_channel",)))
    ports = (Port("r", "read", 512, 8), Port("w", "write", 512, 8))
    names = [f"c{number}" for number in range(CORES)]
    return Chip(
        "four",
        tuple(
            Core(name, frozenset({"conv", "elementwise"}), sides, 1.0, (Level(name, slots, frozenset({"D1", "D2"})),))
            for name in names
        ),
        (
            Memory("dram", 16 * CHANNELS * rows * WIDTH + 10_000, ports, 1.0, 1.0),
            *(Memory(name, 200_000, ports, 1.0, 1.0) for name in names),
        ),
        (Link("bus", frozenset({"dram", *names}), frozenset({"dram", *names}), 512),),
        "dram",
    )


def timed(step: Callable[[], T]) -> tuple[T, float]:
    """What a step gives, and its CPU seconds."""
    before = time.process_time()
    found = step()
    return found, time.process_time() - before


def line(rows: int) -> str:
    """A row of the table."""
    workload, chip = make_workload(rows), make_chip(rows)
    recipes = Recipes(Mapper(workload, chip, "latency", "fixed", quick=True))
    where = []
    for number, op in enumerate(workload.ops):
        core = f"c{number * CORES // LAYERS}"
        where.append(next(p for p in placements(op, chip) if p.cores == (core,) and not p.stream))
    design = Design((Group(tuple(range(LAYERS)), "OY", rows),), tuple(where))
    searched = Composer(workload, chip, recipes).plan(design)  # recipes keep their mappings
    assert not isinstance(searched, Infeasible), searched
    plan, cut = timed(lambda: Composer(workload, chip, recipes).plan(design))
    assert not isinstance(plan, Infeasible), plan
    fabric = Fabric(chip, {1})
    placed, placing = timed(lambda: _placed(place(workload, fabric, plan)))
    columns, packing = timed(lambda: columns_of(placed))
    result, rules = timed(lambda: check_columns(workload, chip, columns))
    replayed, replay = timed(lambda: check_replay_columns(workload, chip, columns))
    assert result.ok
    assert replayed.ok
    tiles, moves, held = len(columns.tasks.id), len(columns.transfers.id), len(columns.residencies.id)
    total = cut + placing + packing + rules
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    counts = f"{tiles:,} | {moves:,} | {held:,}"
    times = (
        f"{cut:.2f} | {placing + packing:.2f} | {rules:.2f} | {total:.2f} | {total / tiles * 1e6:.1f} | {replay:.2f}"
    )
    return f"| {counts} | {times} | {memory:,} |\n"


def _placed(found):  # type: ignore[no-untyped-def]
    assert not isinstance(found, Infeasible), found
    return found.settled()


def main() -> None:
    """All rows, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, help="page to write the table into")
    parser.add_argument("--rows", type=int, help="one row of the table only")
    given = parser.parse_args()
    if given.rows:
        line(ROWS[0])  # compiles, or reads what is compiled
        print(line(given.rows), end="")
        return
    lines = ""
    for rows in ROWS:
        command = [sys.executable, __file__, "--rows", str(rows)]
        lines += subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if given.write is None:
        print(HEAD + lines)
        return
    page = given.write.read_text("utf-8")
    head, rest = page.split(BEGIN)
    given.write.write_text(head + BEGIN + HEAD + lines + "\n" + rest[rest.index(END) :], "utf-8")


if __name__ == "__main__":
    main()

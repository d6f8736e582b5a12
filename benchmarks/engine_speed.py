"""Tiles against seconds: how the engine's time grows. `python benchmarks/engine_speed.py [--most TILES] [--write DIR]`

Two networks on four cores that pass on to each other: a chain of 3x3 convolutions, and FSRCNN at 540x960. Each is cut
into ever more rows and columns of its outputs, and all layers go on together, a row of tiles behind each other. Kernels
are compiled before the clock starts. --write puts `engine_speed.md` and its plot there.
"""

from __future__ import annotations

import argparse
import itertools
import math
import time
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper

from weft.model.chip import Chip
from weft.model.schedule import Infeasible
from weft.model.workload import Op, Workload
from weft.read.chip import read_chip
from weft.read.onnx import read_model
from weft.read.precision import assume_precision
from weft.run import prepared
from weft.schedule.engine import Placed, place
from weft.schedule.fabric import Fabric
from weft.schedule.plan import Counts, Cut, Plan
from weft.schedule.recipes import Recipes
from weft.schedule.shared import Mapper

CHIP = "tpu_like_quad"
LAYERS, SIDE, CHANNELS = 16, 256, 8
CUTS = {
    "chain": ((4, 4), (8, 8), (16, 16), (32, 32), (64, 64), (128, 128), (256, 256)),
    "fsrcnn": ((30, 1), (90, 1), (270, 1), (540, 1), (540, 4), (540, 16), (540, 60)),
}
"""Rows and columns."""
Row = tuple[str, int, int, int, float, float, float, float]
"""Network, rows, columns, tiles, transfers per tile; seconds of placing a plan that is new, one whose cuts are known,
and of timing it."""

HEAD = """# How the engine's time grows

Made by `benchmarks/engine_speed.py`: CPU seconds while other jobs shared the machine's two cores, kernels compiled.
*Placing* decides all that happens: which boxes move when and over which links, what is let go, when each task runs; of
a new plan, and again when its cuts are known, as in a search that changes one op at a time. *Timing* is one pass in
which everything starts as early as the orders allow. A line of rates or room remembers its latest 1,024 steps, so that
work per tile does not grow; what would have to be placed before them is placed later.

![CPU seconds against tiles](engine_speed.svg)

| network | rows x columns | tiles | transfers per tile | new [s] | known [s] | timing [s] | known, per tile [us] |
|---|---|--:|--:|--:|--:|--:|--:|
"""


def chain() -> Workload:
    """3x3 convolutions one after another, padded so that the size stays."""
    shape, kernel = (1, CHANNELS, SIDE, SIDE), (CHANNELS, CHANNELS, 3, 3)
    nodes = [
        helper.make_node("Conv", [f"t{n}", f"w{n}"], [f"t{n + 1}"], name=f"conv{n}", pads=[1] * 4)
        for n in range(LAYERS)
    ]
    weights = [helper.make_tensor(f"w{n}", TensorProto.FLOAT, kernel, [0.0] * math.prod(kernel)) for n in range(LAYERS)]
    ends = [helper.make_tensor_value_info(f"t{n}", TensorProto.FLOAT, shape) for n in (0, LAYERS)]
    graph = helper.make_graph(nodes, "chain", ends[:1], ends[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return assume_precision(read_model(model), read_chip(CHIP).precision)[0]


def edges(size: int, parts: int) -> Counts:
    """[parts, 2] near-equal ranges."""
    at = np.arange(parts + 1, dtype=np.int64) * size // parts
    return np.stack([at[:-1], at[1:]], axis=1)


def grid(op: Op, rows: int, columns: int) -> Counts:
    """[tiles, dims, 2]: an op in rows and columns of its output."""
    names = [name for name, _ in op.dims]
    tiles = np.array([(0, size) for _, size in op.dims], np.int64)[None].repeat(rows * columns, axis=0)
    tiles[:, names.index("OY")] = edges(op.size["OY"], rows).repeat(columns, axis=0)
    tiles[:, names.index("OX")] = np.tile(edges(op.size["OX"], columns), (rows, 1))
    return tiles


def depth_first(recipes: Recipes, chip: Chip, rows: int, columns: int) -> Plan:
    """All layers, row of tiles by row, each on the next core that takes it. Two rows behind the layer before: what a
    5x5 kernel needs of rows below is made by then."""
    cuts, keys = [], []
    for layer, op in enumerate(recipes.mapper.workload.ops):
        cores = chip.cores_for(op.kind)
        tiles = grid(op, rows, columns)
        found = recipes.of(op, tiles, cores[layer % len(cores)], False, 1)
        assert not isinstance(found, Infeasible), found
        cuts.append(Cut(op, tiles, found))
        keys.append(np.stack([np.arange(len(tiles)) // columns + 2 * layer, np.full(len(tiles), layer)]))
    key = np.concatenate(keys, axis=1)
    return Plan(tuple(cuts), tuple(recipes.all), np.lexsort((np.arange(key.shape[1]), key[1], key[0])))


def measured(name: str, workload: Workload, chip: Chip, rows: int, columns: int) -> Row:
    """One row of the table."""
    plan = depth_first(Recipes(Mapper(workload, chip, "edp", "fixed", quick=True)), chip, rows, columns)
    fabric = Fabric(chip, {1})
    seconds = []
    for _ in range(2):
        clock = time.process_time()
        placed = place(workload, fabric, plan)
        seconds.append(time.process_time() - clock)
    assert isinstance(placed, Placed), placed
    clock = time.process_time()
    placed.retimed()
    seconds.append(time.process_time() - clock)
    new, known, timed = seconds
    return name, rows, columns, len(plan.order), placed.transfers / len(plan.order), new, known, timed


def plot(rows: list[Row]) -> str:
    """Known plans: seconds against tiles, both on a scale of powers of ten; the thin line is 2 us per tile."""
    across = (2, math.ceil(math.log10(max(row[3] for row in rows))))
    up = (-4, math.ceil(math.log10(max(row[6] for row in rows))))

    def at(tiles: float, seconds: float) -> str:
        x = 60 + 520 * (math.log10(tiles) - across[0]) / (across[1] - across[0])
        y = 340 - 320 * (math.log10(max(seconds, 10 ** up[0])) - up[0]) / (up[1] - up[0])
        return f"{x:.1f},{y:.1f}"

    parts = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 380" font-family="sans-serif" font-size="12">']
    parts.append('<rect width="640" height="380" fill="white"/>')
    for power in range(across[0], across[1] + 1):
        x, y = at(10**power, 10 ** up[0]).split(",")
        parts.append(f'<text x="{x}" y="{float(y) + 18:.1f}" text-anchor="middle">{10**power:,}</text>')
    for power in range(up[0], up[1] + 1):
        x, y = at(10 ** across[0], 10**power).split(",")
        parts.append(f'<text x="{float(x) - 6:.1f}" y="{y}" text-anchor="end">{10.0**power:g}</text>')
        parts.append(f'<path d="M{x},{y} h520" stroke="#ddd"/>')
    guide = " ".join(at(10**power, 2e-6 * 10**power) for power in range(across[0], across[1] + 1))
    parts.append(f'<polyline points="{guide}" fill="none" stroke="#999"/>')
    for (name, own), colour in zip(itertools.groupby(rows, key=lambda row: row[0]), ("#c50", "#06c"), strict=False):
        points = [at(row[3], row[6]) for row in own]
        parts.append(f'<polyline points="{" ".join(points)}" fill="none" stroke="{colour}" stroke-width="2"/>')
        x, y = points[-1].split(",")
        parts.append(f'<text x="{x}" y="{float(y) - 8:.1f}" text-anchor="end" fill="{colour}">{name}</text>')
    parts.append('<text x="320" y="375" text-anchor="middle">tiles</text><text x="8" y="14">CPU seconds</text></svg>')
    return "\n".join(parts) + "\n"


def main() -> None:
    """Measure and print, and write where told to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--most", type=int, default=1 << 20, help="tiles")
    parser.add_argument("--write", type=Path, help="folder for the page and its plot")
    given = parser.parse_args()
    chip = read_chip(CHIP)
    networks = {"chain": chain(), "fsrcnn": prepared("fsrcnn", chip, None, "chip")[0]}
    measured("chain", networks["chain"], chip, 4, 4)
    rows: list[Row] = []
    page = HEAD
    for name, workload in networks.items():
        for down, columns in CUTS[name]:
            if down * columns * len(workload.ops) > given.most:
                continue
            row = measured(name, workload, chip, down, columns)
            rows.append(row)
            line = f"| {name} | {down} x {columns} | {row[3]:,} | {row[4]:.2f} | {row[5]:.4f} | "
            line += f"{row[6]:.4f} | {row[7]:.4f} | {row[6] / row[3] * 1e6:.1f} |\n"
            print(line, end="", flush=True)
            page += line
    if given.write is not None:
        (given.write / "engine_speed.md").write_text(page)
        (given.write / "engine_speed.svg").write_text(plot(rows))


if __name__ == "__main__":
    main()

"""A lawful schedule of any number of tiles, made as columns: two elementwise ops, row by row, on four cores.

Each core has a link of its own. It fetches a row of x while it works on the one before, writes y where x came from, z
after it, and sends z home while it works on the next.
"""

from __future__ import annotations

import numpy as np

from weft.model.chip import ArrayDim, Chip, Core, Level, Link, Memory, Port
from weft.model.columns import Bookings, Columns, Residencies, Small, Tasks, Transfers, Uses, Ways
from weft.model.workload import Axis, Op, Operand, Tensor, Term, Workload

ALL = frozenset({"I", "W", "O"})
CORES = 4
WIDTH = 64
"""Elements of a row, of 8 bits."""
BITS = 8 * WIDTH
STEP = 8
"""Cycles of a transfer (64 bits a cycle) and of a task."""


def _op(name: str, reads: str, makes: str, rows: int) -> Op:
    axes = (Axis(rows, (Term("M"),)), Axis(WIDTH, (Term("N"),)))
    operands = (Operand("I", "I", reads, axes), Operand("O", "O", makes, axes))
    return Op(name, "elementwise", "Relu", (("M", rows), ("N", WIDTH)), operands)


def make_world(rows: int) -> tuple[Workload, Chip]:
    shape = (rows, WIDTH)
    workload = Workload(
        "rows",
        (Tensor("x", shape, 8, "input"), Tensor("y", shape, 8, "intermediate"), Tensor("z", shape, 8, "output")),
        (_op("first", "x", "y", rows), _op("second", "y", "z", rows)),
    )
    names = [f"c{number}" for number in range(CORES)]
    ports = (Port("r", "read", 256, 8), Port("w", "write", 256, 8))
    core_memories = tuple(Memory(name, 8 * BITS, ports, 1.0, 1.0) for name in names)
    chip = Chip(
        "rows",
        tuple(
            Core(name, frozenset({"elementwise"}), (ArrayDim("D1", 8),), 1.0, (Level(name, ALL, frozenset({"D1"})),))
            for name in names
        ),
        (Memory("dram", 2 * rows * BITS, ports, 1.0, 1.0), *core_memories),
        tuple(
            Link(f"link{number}", frozenset({"dram"}), frozenset({name}), 64, half_duplex=False)
            for number, name in enumerate(names)
        ),
        "dram",
    )
    return workload, chip


def make_rows(rows: int) -> Columns:
    """2 `rows` tasks, 2 `rows` transfers, 4 `rows` + 1 residencies; `rows` must be a multiple of `CORES`."""
    row = np.arange(rows)
    core, slot = row % CORES, 2 * STEP * (row // CORES)
    finish = 2 * STEP * (rows // CORES - 1) + 4 * STEP
    here = _boxes(row)
    fetch, first, second, home = (4 * row + place for place in range(4))  # events
    x, y, z, done = (1 + 4 * row + place for place in range(4))  # residencies
    starts = (slot, slot + STEP, slot + 2 * STEP, slot + 3 * STEP)
    tasks = Tasks(
        id=_small(_woven(first, second)),
        op=_small(_woven(0 * row, 0 * row + 1)),
        tile=_woven(here, here),
        core=_small(_woven(core, core)),
        start=_woven(starts[1], starts[2]),
        end=_woven(starts[1], starts[2]) + STEP,
        uses_first=2 * np.arange(2 * rows + 1),
        booking=_small(_woven(core, core)),
        energy_pj=np.ones(2 * rows),
        mapping=np.zeros(2 * rows, np.int32),
    )
    uses = Uses(
        operand=_small(np.tile([0, 1, 0, 1], rows)),
        tensor=_small(np.tile([0, 1, 1, 2], rows)),
        memory=_small(np.repeat(core, 4) + 1),
        streamed=np.zeros(4 * rows, np.bool_),
        boxes_first=np.arange(4 * rows + 1),
        box=np.repeat(here, 4, axis=0),
        held_first=np.arange(4 * rows + 1),
        held=_small(_woven(x, y, y, z)),
    )
    transfers = Transfers(
        id=_small(_woven(fetch, home)),
        tensor=_small(_woven(0 * row, 0 * row + 2)),
        box=_woven(here, here),
        way=_small(_woven(core, CORES + core)),
        start=_woven(starts[0], starts[3]),
        end=_woven(starts[0], starts[3]) + STEP,
        bits=np.full(2 * rows, BITS),
        rate=np.full(2 * rows, 64),
        setup_cycles=np.zeros(2 * rows, np.int64),
        sources_first=np.arange(2 * rows + 1),
        source=_small(_woven(0 * row, z)),
        made_first=np.arange(2 * rows + 1),
        made=_small(_woven(x, done)),
        booking=_small(_woven(CORES + core, 2 * CORES + core)),
        energy_pj=np.ones(2 * rows),
    )
    whole = np.array([[[0, rows], [0, WIDTH]]], np.int32)
    ends = (starts[1] + STEP, starts[2] + STEP, starts[3] + STEP, np.full(rows, finish))
    residencies = Residencies(
        id=_small(np.arange(4 * rows + 1)),
        memory=_small(np.append(0, _woven(core + 1, core + 1, core + 1, 0 * core))),
        tensor=_small(np.append(0, np.tile([0, 1, 2, 2], rows))),
        box=np.concatenate((whole, np.repeat(here, 4, axis=0))),
        bits=np.append(rows * BITS, np.full(4 * rows, BITS)),
        start=np.append(0, _woven(*starts)),
        valid_from=np.append(0, _woven(*starts) + STEP),
        end=np.append(finish, _woven(*ends)),
        writer=_small(np.append(-1, _woven(fetch, first, second, home))),
    )
    return Columns("rows", "rows", 1, tasks, uses, transfers, residencies, _bookings(), _ways(), ("",))


def _bookings() -> Bookings:
    """Of tasks, of fetches, of ways home: each core's. Ports are dram's r and w, then each core's; lanes > and <."""
    read, write = [2 + 2 * core for core in range(CORES)], [3 + 2 * core for core in range(CORES)]
    ports = [[r, w] for r, w in zip(read, write, strict=True)] + [[0, w] for w in write] + [[r, 1] for r in read]
    lanes = [[2 * core + way for core in range(CORES)] for way in range(2)]
    return Bookings(
        ports_first=2 * np.arange(3 * CORES + 1),
        port=_small(np.array(ports).reshape(-1)),
        port_rate=np.full(6 * CORES, 64),
        lanes_first=np.append(np.zeros(CORES, np.int64), np.arange(2 * CORES + 1)),
        lane=_small(np.array(lanes).reshape(-1)),
        lane_rate=np.full(2 * CORES, 64),
        work_first=np.zeros(3 * CORES + 1, np.int64),
        work_memory=np.zeros(0, np.int32),
        work_bits=np.zeros(0, np.int64),
    )


def _ways() -> Ways:
    core = np.arange(CORES)
    return Ways(
        routes_first=np.arange(2 * CORES + 1),
        memories_first=2 * np.arange(2 * CORES + 1),
        memory=_small(np.append(_woven(0 * core, core + 1), _woven(core + 1, 0 * core))),
        links_first=np.arange(2 * CORES + 1),
        link=_small(np.append(core, core)),
    )


def _boxes(row: np.ndarray) -> Small:
    return np.stack((np.stack((row, row + 1), 1), np.tile([0, WIDTH], (len(row), 1))), 1).astype(np.int32)


def _woven(*columns: np.ndarray) -> np.ndarray:
    """One of each column in turn."""
    return np.stack(columns, axis=1).reshape(-1, *columns[0].shape[1:])


def _small(values: np.ndarray) -> Small:
    return values.astype(np.int32)

"""How long rules and replay take on columns, and how that grows with the tiles: a table in `docs/schedules.md`.

`python -m tests.oracles.rules_report` writes it.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from pathlib import Path

from tests.oracles.rows import make_rows, make_world
from weft.execute.replay_columns import check_replay_columns
from weft.model.columns import Columns
from weft.model.rules.columns import check_columns

PAGE = Path(__file__).parents[2] / "docs" / "schedules.md"
BEGIN, END = "<!-- made by tests/oracles/rules_report.py -->\n", "<!-- end -->"
ROWS = tuple(500 * 2**step for step in range(0, 12, 2))
HEAD = """
| tiles | transfers | residencies | facts | rules, CPU [s] | replay, CPU [s] | both, per tile [us] | process [MiB] |
|--:|--:|--:|--:|--:|--:|--:|--:|
"""


def line(rows: int) -> str:
    """One row of the table, in a process of its own."""
    timed(4)  # compiles, or reads what is compiled
    columns, facts, rules, replay = timed(rows)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    tiles, moves, held = len(columns.tasks.id), len(columns.transfers.id), len(columns.residencies.id)
    each = (rules + replay) / tiles * 1e6
    counts = f"{tiles:,} | {moves:,} | {held:,} | {facts:,}"
    return f"| {counts} | {rules:.2f} | {replay:.2f} | {each:.1f} | {memory:,} |\n"


def timed(rows: int) -> tuple[Columns, int, float, float]:
    """Columns, facts looked at, CPU seconds of the rules and of the replay."""
    workload, chip = make_world(rows)
    columns = make_rows(rows)
    before = time.process_time()
    result = check_columns(workload, chip, columns)
    between = time.process_time()
    assert check_replay_columns(workload, chip, columns).ok
    after = time.process_time()
    assert result.ok
    return columns, result.checked, between - before, after - between


def main() -> None:
    command = [sys.executable, "-c", ""]
    lines = ""
    for rows in ROWS:
        command[2] = f"from tests.oracles.rules_report import line; print(line({rows}), end='')"
        lines += subprocess.run(command, capture_output=True, text=True, check=True).stdout
    page = PAGE.read_text("utf-8")
    head, rest = page.split(BEGIN)
    PAGE.write_text(head + BEGIN + HEAD + lines + "\n" + rest[rest.index(END) :], "utf-8")


if __name__ == "__main__":
    main()

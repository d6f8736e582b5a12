"""How long the rules take on columns, and how that grows with the tiles: a table in `docs/schedules.md`.

`python -m tests.oracles.rules_report` writes it.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from pathlib import Path

from tests.oracles.rows import make_rows, make_world
from weft.model.rules.columns import check_columns

PAGE = Path(__file__).parents[2] / "docs" / "schedules.md"
BEGIN, END = "<!-- made by tests/oracles/rules_report.py -->\n", "<!-- end -->"
ROWS = tuple(500 * 2**step for step in range(0, 12, 2))
HEAD = """
| tiles | transfers | residencies | facts looked at | CPU [s] | CPU per tile [us] | memory of the process [MiB] |
|--:|--:|--:|--:|--:|--:|--:|
"""


def line(rows: int) -> str:
    """One row of the table, in a process of its own."""
    check_columns(make_world(4)[0], make_world(4)[1], make_rows(4))  # compiles, or reads what is compiled
    workload, chip = make_world(rows)
    columns = make_rows(rows)
    before = time.process_time()
    result = check_columns(workload, chip, columns)
    seconds = time.process_time() - before
    assert result.ok
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    tiles, moves, held = len(columns.tasks.id), len(columns.transfers.id), len(columns.residencies.id)
    counts = f"{tiles:,} | {moves:,} | {held:,} | {result.checked:,}"
    return f"| {counts} | {seconds:.2f} | {seconds / tiles * 1e6:.1f} | {memory:,} |\n"


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

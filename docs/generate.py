"""Writes the pages that are made from the code: docs/cli.md (every command's help) and docs/chip.schema.json."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from weft.read.chip import chip_schema

HERE = Path(__file__).parent
COMMANDS = (
    "run",
    "map",
    "evaluate",
    "check",
    "import zigzag",
    "import stream",
    "init chip",
    "chips",
    "models",
    "schema",
    "doctor",
)


def help_of(*words: str) -> str:
    """What `weft ... --help` prints at 100 columns."""
    command = [sys.executable, "-m", "weft", *words, "--help"]
    surroundings = os.environ | {"COLUMNS": "100", "TERMINAL_WIDTH": "100"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=surroundings)
    return done.stdout.rstrip()


def main() -> None:
    """Both pages."""
    parts = ["# Commands\n\nMade by `make docs` from the help texts.\n", f"```\n{help_of()}\n```\n"]
    parts += [f"## weft {name}\n\n```\n{help_of(*name.split())}\n```\n" for name in COMMANDS]
    (HERE / "cli.md").write_text("\n".join(parts), "utf-8")
    (HERE / "chip.schema.json").write_text(json.dumps(chip_schema(), indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()

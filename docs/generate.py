"""Writes what the code says: docs/cli.md (every command's help), docs/chip.schema.json, a list in docs/torch.md."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

from weft.read.chip import chip_schema
from weft.read.torch.table import BUILDERS

HERE = Path(__file__).parent
COMMANDS = (
    "run",
    "map",
    "evaluate",
    "compare",
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


def torch_operators() -> str:
    """The operators of aten that are read, in lines."""
    names = " ".join(f"`{name}`" for name in sorted(BUILDERS, key=lambda name: name.strip("_")))
    return textwrap.fill(names, 120, break_long_words=False, break_on_hyphens=False)


def main() -> None:
    """All pages."""
    parts = ["# Commands\n\nMade by `make docs` from the help texts.\n", f"```\n{help_of()}\n```\n"]
    parts += [f"## weft {name}\n\n```\n{help_of(*name.split())}\n```\n" for name in COMMANDS]
    (HERE / "cli.md").write_text("\n".join(parts), "utf-8")
    page = (HERE / "torch.md").read_text("utf-8")
    head, rest = page.split("made by `make docs` -->\n")
    tail = rest[rest.index("<!-- end -->") :]
    page = f"{head}made by `make docs` -->\n{torch_operators()}\n{tail}"
    (HERE / "torch.md").write_text(page, "utf-8")
    (HERE / "chip.schema.json").write_text(json.dumps(chip_schema(), indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()

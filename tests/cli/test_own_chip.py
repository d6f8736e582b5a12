"""docs/own_chip.md shows what weft prints: its YAML blocks are one file, its commands are run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "own_chip.md").read_text("utf-8")
CHIP = "".join(re.findall(r"```yaml\n(.*?)```", PAGE, re.S))
SHOWN = [
    (block.splitlines()[0][2:], block.splitlines()[1:]) for block in re.findall(r"```console\n(.*?)```", PAGE, re.S)
]


@pytest.mark.parametrize(("command", "lines"), SHOWN, ids=[command[:30] for command, _ in SHOWN])
def test_the_page_shows_what_the_tool_prints(tmp_path, command, lines):
    (tmp_path / "eyeriss.yaml").write_text(CHIP)
    weft = tmp_path / "bin" / "weft"
    weft.parent.mkdir()
    weft.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m weft "$@"\n')
    weft.chmod(0o755)
    surroundings = os.environ | {"COLUMNS": "80", "PATH": f"{weft.parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, env=surroundings, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
    printed = [line.rstrip() for line in (done.stdout + done.stderr).splitlines()]
    at = 0
    for part in "\n".join(lines).split("...\n"):
        shown = part.removesuffix("...").rstrip().splitlines()
        here = next((i for i in range(at, len(printed) + 1) if printed[i : i + len(shown)] == shown), None)
        assert here is not None, f"{shown} is not printed in {printed[at:]}"
        at = here + len(shown)
    if "..." not in lines:
        assert printed == lines


def test_the_page_shows_each_kind_of_command():
    assert len(CHIP.splitlines()) > 80
    assert [command.split()[0] for command, _ in SHOWN] == ["weft"] * 3 + ["sed"] * 4

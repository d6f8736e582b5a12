"""The hunt's own tools: which changes are made, that they are put in place everywhere, and that its lists are true."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType

from tests.mutation.changes import mutants
from tests.mutation.page import reasons, write_page
from tests.mutation.planted import plant
from tests.mutation.suites import COMPILED, SUITES

ROOT = Path(__file__).parents[2]

SOURCE = '''"""Says nothing."""
LIMIT = 3

def least(a: int, b: int = 0) -> int:
    """The smaller one."""
    assert a is not None
    if a < LIMIT and b:
        return min(a, b)
    return a - b
'''

OUTSIDE = ["file.py module: 3 -> 4", "file.py module: 3 -> 2", "file.py module: 0 -> 1"]
CHANGES = [
    "file.py least: a < LIMIT and b -> not (a < LIMIT and b)",
    "file.py least: a < LIMIT and b -> a < LIMIT or b",
    "file.py least: a < LIMIT -> a <= LIMIT",
    "file.py least: return min(a, b) -> return None",
    "file.py least: min(a, b) -> max(a, b)",
    "file.py least: return a - b -> return None",
    "file.py least: a - b -> a + b",
]


def written(folder: Path) -> Path:
    path = folder / "file.py"
    path.write_text(SOURCE)
    return path


def test_each_slip_is_made_once_and_nothing_that_no_run_depends_on(tmp_path: Path) -> None:
    every = list(mutants(written(tmp_path), "file.py"))
    assert [mutant.name for mutant in every if mutant.inside] == CHANGES
    assert [mutant.name for mutant in every if not mutant.inside] == OUTSIDE
    assert {mutant.lines for mutant in every if mutant.inside} == {(7, 7), (8, 8), (9, 9)}


def test_a_change_is_put_in_place_wherever_its_module_has_been_imported(tmp_path: Path) -> None:
    path = written(tmp_path)
    ours, other = ModuleType("weft.ours"), ModuleType("weft.other")
    exec(compile(path.read_text(), str(path), "exec"), vars(ours))
    vars(other).update(least=ours.least, LIMIT=ours.LIMIT)
    told = {}
    for mutant in mutants(path, "file.py"):
        receive, send = os.pipe()
        if os.fork() == 0:
            sys.modules.update({"weft.ours": ours, "weft.other": other})
            plant(ours, mutant.code)
            os.write(send, f"{other.least(3, 1)} {other.least(2, 1)} {other.least(2)} {other.LIMIT}".encode())
            os._exit(0)
        told[mutant.name] = os.read(receive, 100).decode()
        os.wait()
        os.close(receive)
        os.close(send)
    assert f"{ours.least(3, 1)} {ours.least(2, 1)} {ours.least(2)} {ours.LIMIT}" == "2 1 2 3"
    unseen = {name for name, values in told.items() if values == "2 1 2 3"}
    assert unseen == set()
    assert sorted(values.split()[3] for values in told.values()) == ["2"] + ["3"] * 8 + ["4"]


def test_every_file_of_cost_and_mapper_has_a_suite_that_is_there() -> None:
    source = ROOT / "src" / "weft"
    files = {str(path.relative_to(source)) for room in ("cost", "mapper") for path in (source / room).rglob("*.py")}
    assert {name for name in files if not name.endswith("__init__.py")} == set(SUITES)
    assert set(COMPILED) <= set(SUITES)
    for targets in SUITES.values():
        for target in targets:
            path, _, name = target.partition("::")
            assert f"def {name}" in (ROOT / path).read_text()


def test_the_page_counts_only_changes_with_an_effect(tmp_path: Path) -> None:
    name = next(iter(reasons()))
    fates = {"a": "killed", "b": "killed", "c": "survived", name: "survived"}
    found = {
        "there": 4,
        "own_seconds": 90.0,
        "mutants": {key: {"fate": fate, "seconds": 7.5} for key, fate in fates.items()},
    }
    write_page(tmp_path / "page.md", {"cost/x.py": found}, 5)
    text = (tmp_path / "page.md").read_text()
    assert "| `cost/x.py` | 4 | 4 | 2 | 1 | 1 | 66.7% |" in text
    assert "2 CPU minutes" in text
    assert "## Missed\n\n- `c`\n" in text
    write_page(tmp_path / "page.md", {"cost/x.py": {**found, "there": 8}}, 5)
    # Wilson's interval of 2 in 3.
    assert "66.7% (20.8% to 93.9%)" in (tmp_path / "page.md").read_text()

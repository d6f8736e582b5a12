"""Mutated files of other tools, and networks as text: read, or refused in lines that say where; never a traceback."""

import random
import re
from pathlib import Path

import pytest
from tests.read.test_import_layers import LAYERS
from tests.read.test_import_stream import CORES, SYSTEM, system
from tests.read.test_import_zigzag import ACCELERATOR, MAPPING
from tests.read.test_workload_text import TEXT

from weft.errors import UserError
from weft.read import load
from weft.read.foreign import import_stream, import_zigzag

JUNK = (
    "",
    "0",
    "-1",
    "1.5",
    "1e400",
    ".nan",
    "true",
    "null",
    "[]",
    "{}",
    "x",
    "[1, 2]",
    "{a: 1}",
    "'0, 1'",
    "é",
    "K, 0",
)


def mutated(text: str, chance: random.Random) -> str:
    """One to three changes of lines or words."""
    for _ in range(chance.randint(1, 3)):
        lines = text.split("\n")
        at = chance.randrange(len(lines))
        how = chance.randrange(5)
        if how == 0:
            del lines[at]
        elif how == 1:
            lines.insert(at, lines[chance.randrange(len(lines))])
        elif how == 2:
            lines[at] = " " * chance.randint(0, 4) + lines[at].lstrip()
        else:
            words = re.split(r"([\s:,\[\]{}\"]+)", lines[at])
            place = chance.randrange(len(words))
            words[place] = chance.choice(JUNK) if how == 3 else words[place][:-1]
            lines[at] = "".join(words)
        text = "\n".join(lines)
    return text


def read(kind: str, text: str, folder: Path) -> None:
    """Reads a file of a kind with `text` in it."""
    file = folder / "x.workload.yaml"
    if kind == "mapping":
        (folder / "small.yaml").write_text(ACCELERATOR)
        (folder / "map.yaml").write_text(text)
        import_zigzag(folder / "small.yaml", folder / "map.yaml")
    elif kind == "system":
        import_stream(system(folder, text))
    elif kind == "core":
        import_stream(system(folder, SYSTEM, macs=text))
    elif kind == "network":
        file.write_text(text)
        load(str(file))
    else:
        file.write_text(text)
        import_zigzag(file)


KINDS = {
    "accelerator": ACCELERATOR,
    "mapping": MAPPING,
    "layers": LAYERS,
    "system": SYSTEM,
    "core": CORES["macs.yaml"],
    "network": TEXT,
}


def try_out(kind: str, count: int, folder: Path) -> int:
    """How many of `count` mutants are refused; the others are read."""
    refused: list[UserError] = []
    for seed in range(count):
        try:
            read(kind, mutated(KINDS[kind], random.Random(seed)), folder)
        except UserError as error:
            refused.append(error)
    assert [str(error) for error in refused if not all(problem.where for problem in error.problems)] == []
    return len(refused)


@pytest.mark.parametrize("kind", KINDS)
def test_a_mutant_is_read_or_refused(kind, tmp_path):
    assert 0 < try_out(kind, 40, tmp_path) < 40


@pytest.mark.verify
@pytest.mark.parametrize("kind", KINDS)
def test_many_mutants_are_read_or_refused(kind, tmp_path):
    assert 0 < try_out(kind, 1000, tmp_path) < 1000

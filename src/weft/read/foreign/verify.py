"""What an importer wrote is read again before anyone gets it: a file that weft refuses is not handed out."""

from __future__ import annotations

import tempfile
from pathlib import Path

from weft.errors import ChipError, UserError, together
from weft.read.chip import read_chip
from weft.read.items import ItemError


def verified(text: str, source: Path) -> str:
    """`text`, which is a chip file that weft reads.

    Errors: ItemError, naming the file that was imported, where what it describes is no whole chip.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "chip.yaml"
        file.write_text(text, encoding="utf-8")
        try:
            read_chip(file)
        except ChipError as error:
            raise together([_of_source(problem, source) for problem in error.problems]) from error
    return text


def _of_source(problem: UserError, source: Path) -> ItemError:
    thing = (problem.where or "").partition(" ")[2]
    message = f"{thing}: {problem.message}" if thing else problem.message
    return ItemError(
        f"the file must describe a whole chip, and does not: {message}", where=str(source), remedy=problem.remedy
    )

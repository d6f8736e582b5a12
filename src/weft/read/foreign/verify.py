"""What an importer wrote is read again before anyone gets it: a file that weft refuses is not handed out."""

from __future__ import annotations

import tempfile
from pathlib import Path

from weft.errors import ChipError
from weft.read.chip import read_chip
from weft.read.foreign.item import ForeignError


def verified(text: str, source: Path) -> str:
    """`text`, which is a chip file that weft reads.

    Errors: ForeignError, naming the file that was imported, where what it describes is no whole chip.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "chip.yaml"
        file.write_text(text, encoding="utf-8")
        try:
            read_chip(file)
        except ChipError as error:
            thing = (error.where or "").partition(" ")[2]
            message = f"{thing}: {error.message}" if thing else error.message
            raise ForeignError(
                f"the file must describe a whole chip, and does not: {message}", where=str(source), remedy=error.remedy
            ) from error
    return text

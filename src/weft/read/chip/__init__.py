"""Reads a chip: a library name or a YAML file in, a `Chip` or one clear error out."""

from __future__ import annotations

from pathlib import Path

from weft.chips import library, library_path
from weft.errors import ChipError
from weft.model.chip import Chip
from weft.read.chip.build import build
from weft.read.chip.document import is_file, load
from weft.read.chip.form import chip_schema, parse_form

__all__ = ["chip_schema", "library", "library_path", "read_chip"]


def read_chip(source: str | Path) -> Chip:
    """The chip that `source` describes.

    Args:   source: the name of a library chip, or the path of a YAML file (`docs/chip_format.md` is its contract).
    Errors: ChipError, naming the file and line of each value that does not hold.
    >>> read_chip("tpu_like").outermost
    'dram'
    """
    path = _find(source)
    document = load(path)
    chip = build(parse_form(document), document)
    document.settle()
    return chip


def _find(source: str | Path) -> Path:
    path = Path(source)
    if is_file(path):
        return path
    looks_like_a_file = isinstance(source, Path) or path.suffix in (".yaml", ".yml") or len(path.parts) > 1
    if not looks_like_a_file:
        return library_path(str(source))
    names = ", ".join(library())
    raise ChipError(
        f"a chip must be a YAML file that exists, not '{source}'",
        remedy=f"or name a library chip: {names}",
    )

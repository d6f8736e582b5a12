"""Reads a chip: a library name or a YAML file in, a `Chip` or one clear error out."""

from __future__ import annotations

import os
from pathlib import Path

from weft import zoo
from weft.chips import library, library_path
from weft.errors import ChipError
from weft.model.chip import Chip
from weft.read.chip.build import build
from weft.read.chip.document import Document, load
from weft.read.chip.form import chip_schema, parse_form
from weft.read.nearby import nearby

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
    _check_form(document)
    chip = build(parse_form(document), document)
    document.settle()
    return chip


_OTHERS = (
    ({"operational_array", "multipliers"}, "in ZigZag's", "weft import zigzag FILE"),
    ({"core_connectivity", "offchip_core_id", "offchip_core"}, "in Stream's", "weft import stream FILE"),
    ({"workload"}, "a network as text", "networks stand before --chip: weft run MODEL --chip CHIP"),
)


def _check_form(document: Document) -> None:
    """A file in another form is told where it goes, instead of every key that does not belong."""
    for keys, form, way_out in _OTHERS:
        found = next((key for key in document.data if key in keys), None)
        if found is not None:
            where = str(document.place((found,)))
            raise ChipError(f"a chip file must be in weft's form, not {form}", where=where, remedy=way_out)


def _find(source: str | Path) -> Path:
    path = Path(source)
    known = os.path.isfile(path)  # false, not an error, for names that no file can have
    if path.suffix in (".onnx", ".pt2") or (str(source) in zoo.names() and not known):
        raise ChipError(
            f"a chip must be a library name or a YAML file, not the network '{source}'",
            remedy="networks stand before --chip: weft run MODEL --chip CHIP",
        )
    if known:
        return path
    looks_like_a_file = isinstance(source, Path) or path.suffix in (".yaml", ".yml") or len(path.parts) > 1
    folder = os.path.isdir(path)
    if str(source) in library() and not looks_like_a_file and not folder:
        return library_path(str(source))
    near = nearby(str(source), (".yaml", ".yml"))
    if near is None and not looks_like_a_file and not folder:
        return library_path(str(source))  # which knows the nearest of its names
    raise ChipError(
        f"a chip must be a YAML file that exists, not {'the folder ' if folder else ''}'{source}'",
        remedy=f"did you mean '{near}'?" if near else f"or name a library chip: {', '.join(library())}",
    )

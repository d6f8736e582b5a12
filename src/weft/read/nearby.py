"""The file that may be meant by a name that leads to none."""

from __future__ import annotations

import os
from pathlib import Path

from weft.errors import nearest


def nearby(name: str, endings: tuple[str, ...]) -> str | None:
    """A file that is there: `name` with its ending, or one beside it that is called nearly so.

    Args:    endings: of the files that count, with their dots.
    Returns: its path; None where there is none such.
    """
    for ending in endings:
        if os.path.isfile(name + ending):
            return name + ending
    path = Path(name)
    if path.suffix not in endings:
        return None
    try:
        beside = {
            Path(entry.name).stem: entry.name for entry in os.scandir(path.parent) if entry.name.endswith(endings)
        }
    except OSError:
        return None
    near = nearest(path.stem, sorted(beside))
    return None if near is None else str(path.parent / beside[near])

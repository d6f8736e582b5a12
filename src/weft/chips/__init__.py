"""The library of chips: YAML files beside this one, found by name."""

from __future__ import annotations

from pathlib import Path

from weft.errors import ChipError, suggestion

DIRECTORY = Path(__file__).parent
"""Where the library's files lie; core descriptions that several chips use are in `cores/`."""


def library() -> tuple[str, ...]:
    """Names of all library chips, sorted."""
    return tuple(sorted(path.stem for path in DIRECTORY.glob("*.yaml")))


def library_path(name: str) -> Path:
    """The YAML file of a library chip.

    >>> library_path("tpu_like").name
    'tpu_like.yaml'
    """
    if name not in library():
        raise ChipError(
            f"a chip must be a library name or a YAML file that exists, not '{name}'",
            remedy=suggestion(name, library()),
        )
    return DIRECTORY / f"{name}.yaml"

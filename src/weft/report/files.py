"""Writes files whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from weft.errors import OptionError


def write_text(path: Path, text: str) -> None:
    """Replace `path` by `text`, its lines ended as they are: `write_bytes`."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Replace `path` by `content` in one step: a reader sees the old file or the new one, never half of it.

    Errors: OptionError where the place cannot be written.
    """
    if path.exists() and not path.is_file():
        return _write_through(path, content)
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise cannot_write(path, error) from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        # mkstemp makes files that only their owner reads; give what open() would have given
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(name, 0o666 & ~mask)
        os.replace(name, path)
    except OSError as error:
        Path(name).unlink(missing_ok=True)
        raise cannot_write(path, error) from error
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _write_through(path: Path, content: bytes) -> None:
    """Write to what is no file (a pipe, a device): replacing it would take it away."""
    try:
        with path.open("wb") as file:
            file.write(content)
    except OSError as error:
        raise cannot_write(path, error) from error


def why_not(path: Path) -> str | None:
    """Why no file can be written at `path`, whose folder exists; None where one can."""
    if path.exists() and not path.is_file():
        return None if os.access(path, os.W_OK) else "Permission denied"
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}."):
            return None
    except OSError as error:
        return error.strerror


def cannot_write(path: Path, error: OSError) -> OptionError:
    """The complaint about a place that cannot be written."""
    return OptionError(f"results must go to a place that can be written, not '{path}': {error.strerror}")

"""A store of small values on disk, each under a hash of all that it follows from; many processes may use it at once.

One file per value, put in place by a rename, so that a reader sees a value whole or not at all, on any file system. A
file says its own hash: what was cut short or changed is no value. Whatever goes wrong with the disk, the value is
merely not there.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from functools import cache
from numbers import Integral
from pathlib import Path

OFF = "off"
"""What the variable WEFT_CACHE says where nothing shall be kept."""

MOST_ON_A_SHELF = 64
"""Values in each of the 256 folders: 16,384 in all, some 10 MB. A new one then replaces the oldest of its folder."""


def place() -> Path | None:
    """The folder of the cache: what WEFT_CACHE names, else `weft` where the user's caches are; None where it is off."""
    given = os.environ.get("WEFT_CACHE", "")
    if given:
        return None if given == OFF else Path(given)
    caches = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(caches):  # others are to be ignored, says the XDG base directory specification
        return Path(caches) / "weft"
    try:
        return Path.home() / ".cache" / "weft"
    except RuntimeError:
        return None


def text_of(thing: object) -> str:
    """The same text for equal things in every process: what is hashed.

    Args:    thing: None, a truth value, number or text, or a tuple, frozenset or dataclass of such.
    Errors:  TypeError for anything else (our fault).

    >>> text_of((1, 1.0, "a", frozenset({"y", "x"}), None))
    '(1,1.0,"a",{"x","y"},null)'
    """
    if thing is None or isinstance(thing, bool | str):
        return json.dumps(thing)
    if isinstance(thing, Integral):
        return str(int(thing))
    if isinstance(thing, float):
        return float.__repr__(thing)
    if isinstance(thing, tuple):
        return "(" + ",".join(map(text_of, thing)) + ")"
    if isinstance(thing, frozenset):
        return "{" + ",".join(sorted(map(text_of, thing))) + "}"
    if dataclasses.is_dataclass(thing):
        kind = thing.__class__
        return kind.__name__ + "(" + ",".join(text_of(getattr(thing, name)) for name in _fields(kind)) + ")"
    raise TypeError(f"what is kept must follow from plain values, not {type(thing).__name__}")


@cache
def _fields(kind: type) -> tuple[str, ...]:
    assert dataclasses.is_dataclass(kind)
    return tuple(field.name for field in dataclasses.fields(kind))


def digest(text: str) -> str:
    """64 hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


class Store:
    """Values by key in a folder, which is made when the first value comes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._broken = False

    def get(self, key: str) -> object | None:
        """The value of a key, a `digest`; None where there is none, or none that is whole."""
        try:
            text = self._file(key).read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            return None
        mark, _, body = text.partition("\n")
        if mark != digest(body):
            return None
        found: object = json.loads(body)
        return found

    def put(self, key: str, value: object) -> None:
        """Keeps what JSON can hold. Once the disk has refused, nothing more is tried."""
        if self._broken:
            return
        body = json.dumps(value)
        file = self._file(key)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            handle, unfinished = tempfile.mkstemp(dir=file.parent, suffix=".new")
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as out:
                    out.write(f"{digest(body)}\n{body}")
                os.replace(unfinished, file)
            except BaseException:  # Ctrl-C, too
                os.unlink(unfinished)
                raise
            _make_room(file.parent)
        except OSError:
            self._broken = True

    def holds(self) -> tuple[int, int]:
        """(values, bytes) in it now."""
        found = [_age_and_size(entry) for entry in self._entries() if entry.name.endswith(".json")]
        sizes = [size for _, size in filter(None, found)]
        return len(sizes), sum(sizes)

    def clear(self) -> int:
        """Removes every value; how many there were.

        Errors: OSError where the folder does not let them go.
        """
        removed = 0
        for entry in list(self._entries()):
            Path(entry.path).unlink(missing_ok=True)
            removed += entry.name.endswith(".json")
        return removed

    def _file(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key[2:]}.json"

    def _entries(self) -> Iterator[os.DirEntry[str]]:
        for shelf in sorted(self.folder.glob("[0-9a-f][0-9a-f]")):
            yield from _on(shelf)


def _on(shelf: Path) -> list[os.DirEntry[str]]:
    """What lies on a shelf, unfinished values of processes that were stopped included."""
    with os.scandir(shelf) as entries:
        return [entry for entry in entries if entry.name.endswith((".json", ".new"))]


def _make_room(shelf: Path) -> None:
    """Removes the oldest values of a shelf that holds too many."""
    entries = _on(shelf)
    if len(entries) <= MOST_ON_A_SHELF:
        return
    found = [(_age_and_size(entry), entry.path) for entry in entries]
    ages = sorted((of[0], path) for of, path in found if of is not None)
    for _, path in ages[: max(0, len(ages) - MOST_ON_A_SHELF)]:
        Path(path).unlink(missing_ok=True)


def _age_and_size(entry: os.DirEntry[str]) -> tuple[int, int] | None:
    """When it was written [ns] and its bytes; None where another process has removed it since."""
    try:
        found = entry.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_size

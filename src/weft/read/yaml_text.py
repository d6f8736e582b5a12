"""Writes YAML with a comment beside each value that needs one."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass

WIDTH = 120
LONGEST_KEY = 1000
"""A longer key is marked as one: YAML looks no further for the colon."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One key with its value (YAML on one line, or entries below it) and the comments on it."""

    key: str
    value: str | tuple[Entry, ...]
    comments: tuple[str, ...] = ()


def render(entries: Iterable[Entry], indent: int = 0) -> str:
    """The entries as text; a comment that does not fit beside its value stands above it.

    >>> print(render([Entry("clock", "1 GHz", ("assumed",)), Entry("ports", (Entry("r", "{}"),))]), end="")
    clock: 1 GHz  # assumed
    ports:
      r: {}
    """
    lines: list[str] = []
    pad = " " * indent
    for entry in entries:
        key = entry.key if len(entry.key) <= LONGEST_KEY else f"? {entry.key}\n{pad}"
        head = f"{pad}{key}:" + (f" {entry.value}" if isinstance(entry.value, str) else "")
        if len(entry.comments) == 1 and len(head) + 4 + len(entry.comments[0]) <= WIDTH:
            head += f"  # {entry.comments[0]}"
        else:
            lines += [line for each in entry.comments for line in comment(each, indent)]
        lines.append(head)
        if not isinstance(entry.value, str):
            lines.append(render(entry.value, indent + 2).rstrip("\n"))
    return "\n".join(lines) + "\n"


def comment(text: str, indent: int = 0) -> list[str]:
    """A comment as lines that are not too long."""
    pad = " " * indent
    clean = "".join(char if char.isprintable() else "?" for char in text)
    return textwrap.wrap(
        clean,
        WIDTH,
        initial_indent=f"{pad}# ",
        subsequent_indent=f"{pad}#   ",
        break_long_words=False,
        break_on_hyphens=False,
    )


_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_TAKEN = frozenset({"true", "false", "null", "yes", "no", "on", "off"})


def quoted(text: str) -> str:
    """Text as YAML, in quotes where it would be read as something else.

    >>> quoted("conv1"), quoted("a: b"), quoted("no")
    ('conv1', '"a: b"', '"no"')
    """
    if _PLAIN.fullmatch(text) and text.lower() not in _TAKEN:
        return text
    return '"' + "".join(char if char.isprintable() and char not in '"\\' else _escaped(char) for char in text) + '"'


def _escaped(char: str) -> str:
    return f"\\{char}" if char in '"\\' else f"\\U{ord(char):08x}"


def listed(words: Iterable[str]) -> str:
    """Words as a YAML list on one line."""
    return f"[{', '.join(words)}]"


def size(bits: int) -> str:
    """A size in the largest unit that keeps it whole.

    >>> size(1024), size(16777216), size(10**10), size(943718)
    ('128 B', '2 MiB', '10 Gbit', '943718 bit')
    """
    for unit, factor in (("GiB", 2**33), ("MiB", 2**23), ("Gbit", 10**9), ("KiB", 2**13), ("B", 8)):
        if bits % factor == 0 and (factor > 8 or bits < 8192):
            return f"{bits // factor} {unit}"
    return f"{bits} bit"


def real(number: float) -> str:
    """A number as short as it can be.

    >>> real(700.0), real(416.16), real(1e-7)
    ('700', '416.16', '1e-07')
    """
    return str(int(number)) if number == int(number) and abs(number) < 1e15 else repr(number)

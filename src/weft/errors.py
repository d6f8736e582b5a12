"""What a user can get wrong: one line per problem, saying what must hold, what was given, and the way out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, TypeVar

SHOWN = 20
"""Problems of one input that are spelt out; of the rest their number is given."""

LONGEST = 100
"""Characters of a name that may still be a misspelt one."""
LINE = 1500
"""Characters of one problem that are shown; only values out of damaged files make more."""


class UserError(Exception):
    """Something the user can put right. The CLI prints each of its problems as one line and exits with 2.

    Args:
        message: what must hold, not what was given ("bandwidth must be positive, not -3").
        where:   file, line and thing it concerns ("chip.yaml:12 memory 'l2'").
        remedy:  the way out ("give it in bits per cycle").
        order:   where it stands among problems of the same input, for `together`: its place in a text.
    >>> print(UserError("size must be positive, not 0", where="a.yaml:3", remedy="give it in KiB"))
    a.yaml:3: size must be positive, not 0; give it in KiB
    """

    def __init__(
        self, message: str, *, where: str | None = None, remedy: str | None = None, order: tuple[int, ...] = ()
    ) -> None:
        self.message = message
        self.where = where
        self.remedy = remedy
        self.order = order
        self.others: tuple[UserError, ...] = ()
        super().__init__(message)

    @property
    def problems(self) -> tuple[UserError, ...]:
        """This problem, and those of the same input that were found beside it."""
        return (self, *self.others)

    @property
    def line(self) -> str:
        """This problem alone, on one line whatever the names in it hold."""
        head = f"{self.where}: " if self.where else ""
        tail = f"; {self.remedy}" if self.remedy else ""
        text = re.sub(r"\S{500,}", lambda word: f"{word[0][:60]}...{word[0][-20:]}", f"{head}{self.message}{tail}")
        text = text if len(text) <= LINE else text[:LINE] + "..."
        return "".join(char if char.isprintable() else " " if char.isspace() else "?" for char in text)

    def __str__(self) -> str:
        lines = [problem.line for problem in self.problems[:SHOWN]]
        if len(self.problems) > SHOWN:
            lines.append(f"and {len(self.problems) - SHOWN} more; put these right first")
        return "\n".join(lines)


class ModelError(UserError):
    """A network that cannot be read or priced."""


class ChipError(UserError):
    """A chip description that does not hold."""


class MappingError(UserError):
    """A mapping that does not fit its operation or its core."""


class OptionError(UserError):
    """A command-line option or argument that does not hold."""


E = TypeVar("E", bound=UserError)


def together(problems: Sequence[E]) -> E:
    """One error for several problems of one input, at least one; a problem alone stays what it is.

    >>> print(together([ChipError("b must hold", order=(2,)), ChipError("a must hold", order=(1,))]))
    a must hold
    b must hold
    """
    flat = sorted((problem for error in problems for problem in error.problems), key=lambda problem: problem.order)
    for problem in flat:
        problem.others = ()
    first = flat[0]
    first.others = tuple(flat[1:])
    assert isinstance(first, type(problems[0]))
    return first


class Gathered(Generic[E]):
    """The problems of one input, while reading goes on past them.

    >>> problems = Gathered(ChipError)
    >>> for size in (0, 1):
    ...     problems.add(ChipError(f"size must be positive, not {-size}"))
    >>> problems.settle()
    Traceback (most recent call last):
    weft.errors.ChipError: size must be positive, not 0
    size must be positive, not -1
    """

    def __init__(self, family: type[E]) -> None:
        self.family = family
        self.found: list[E] = []

    @contextmanager
    def go_on(self, where: str | None = None) -> Iterator[None]:
        """Keep a problem of the part read inside, at `where` if it does not say itself, and go on behind it."""
        try:
            yield
        except self.family as error:
            error.where = error.where or where
            self.found.append(error)

    def add(self, error: E) -> None:
        """Keep a problem and go on."""
        self.found.append(error)

    def settle(self) -> None:
        """Raise what was found, all at once; nothing where there is nothing."""
        if self.found:
            raise together(self.found)


def suggestion(name: str, known: tuple[str, ...] | list[str]) -> str:
    """A remedy that names the nearest known names, or all of them where none is near.

    >>> suggestion("tpu_lik", ["tpu_like", "diana"])
    "did you mean 'tpu_like'?"
    >>> suggestion("zzz", ["b", "a"])
    'known: a, b'
    """
    return did_you_mean(name, known) or "known: " + ", ".join(sorted(set(known)))


def did_you_mean(name: str, known: tuple[str, ...] | list[str]) -> str | None:
    """The remedy where what is known has just been listed: the nearest, or nothing more."""
    near = nearest(name, known)
    return f"did you mean '{near}'?" if near else None


def nearest(name: str, known: tuple[str, ...] | list[str]) -> str | None:
    """The known name that `name` looks like, in other letters' size first; None where it looks like none.

    >>> nearest("tpu_lik", ["tpu_like", "diana"])
    'tpu_like'
    >>> nearest("L2", ["l1", "l2"])
    'l2'
    """
    import difflib

    if len(name) > LONGEST:
        return None
    same = [word for word in known if word.casefold() == name.casefold()]
    near = difflib.get_close_matches(name, same or known, n=1, cutoff=0 if same else 0.7)
    return near[0] if near else None

"""What a user can get wrong: one line saying what must hold, what was given, and the way out."""

from __future__ import annotations


class UserError(Exception):
    """Something the user can put right. The CLI prints it as one line and exits with 2.

    Args:
        message: what must hold, not what was given ("bandwidth must be positive, not -3").
        where:   file, line and thing it concerns ("chip.yaml:12 memory 'l2'").
        remedy:  the way out ("give it in bits per cycle").
    >>> print(UserError("size must be positive, not 0", where="a.yaml:3", remedy="give it in KiB"))
    a.yaml:3: size must be positive, not 0; give it in KiB
    """

    def __init__(self, message: str, *, where: str | None = None, remedy: str | None = None) -> None:
        self.message = message
        self.where = where
        self.remedy = remedy
        super().__init__(message)

    def __str__(self) -> str:
        head = f"{self.where}: " if self.where else ""
        tail = f"; {self.remedy}" if self.remedy else ""
        return f"{head}{self.message}{tail}"


class ModelError(UserError):
    """A network that cannot be read or priced."""


class ChipError(UserError):
    """A chip description that does not hold."""


class MappingError(UserError):
    """A mapping that does not fit its operation or its core."""


class OptionError(UserError):
    """A command-line option or argument that does not hold."""


def suggestion(name: str, known: tuple[str, ...] | list[str]) -> str:
    """A remedy that names the nearest known names, or all of them where none is near.

    >>> suggestion("tpu_lik", ["tpu_like", "diana"])
    "did you mean 'tpu_like'?"
    >>> suggestion("zzz", ["b", "a"])
    'known: a, b'
    """
    import difflib

    near = difflib.get_close_matches(name, known, n=1, cutoff=0.7)
    if near:
        return f"did you mean '{near[0]}'?"
    return "known: " + ", ".join(sorted(known))

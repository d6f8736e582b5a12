"""What happens when a command cannot give a result: one line per problem to standard error, and the exit code that says
whose turn it is (1 weft's, 2 the user's, 3 nobody's: there is no such schedule)."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from typing import ParamSpec

import typer

from weft.errors import UserError

DONE, OURS, INPUT, INFEASIBLE, INTERRUPTED = 0, 1, 2, 3, 130
PIPE_CLOSED = 141
"""What a shell reports for a program whose reader has gone (128 + SIGPIPE)."""

P = ParamSpec("P")


def complain(text: str) -> None:
    """One line to standard error."""
    print(" ".join(text.splitlines()), file=sys.stderr)


def complain_of(error: UserError) -> None:
    """One line to standard error for each problem that `error` carries."""
    for line in str(error).splitlines():
        complain(f"error: {line}")


def guarded(command: Callable[P, int]) -> Callable[P, None]:
    """A command that returns its exit code, as one that leaves with it whatever happens."""

    @functools.wraps(command)
    def guard(*args: P.args, **kwargs: P.kwargs) -> None:
        debug = bool(kwargs.get("debug")) or os.environ.get("WEFT_DEBUG", "") not in ("", "0")
        try:
            code = command(*args, **kwargs)
        except UserError as error:
            complain_of(error)
            code = INPUT
        except KeyboardInterrupt:
            complain("interrupted: no result")
            code = INTERRUPTED
        except BrokenPipeError:
            # The reader (`| head`) has gone: keep the interpreter from complaining when it flushes at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = PIPE_CLOSED
        except Exception as error:
            if isinstance(error, typer.Exit | typer.Abort) or hasattr(error, "format_message"):
                raise
            if debug:
                raise
            complain(
                f"error in weft itself: {type(error).__name__}: {error}; please report it with this command line "
                "and its files (--debug shows where it happened)"
            )
            code = OURS
        raise typer.Exit(code)

    return guard

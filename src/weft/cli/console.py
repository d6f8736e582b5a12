"""Where output goes: a plain console that prints names as they are, tables that fit, JSON, and progress."""

from __future__ import annotations

import io
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from weft import _jit
from weft.errors import OptionError
from weft.report.words import shorten

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

GAP = 2
"""Blanks between columns."""
NARROWEST = 10
"""Characters below which no column is cut."""
PATIENCE_S = 2.0
"""Work shorter than this shows no progress bar."""


def console(to_stderr: bool = False) -> Console:
    """A console that takes text literally: op names may hold square brackets and colons."""
    from rich.console import Console

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without block characters is no reason to fail

    class Screen(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # rich would leave with 1, which stands for a fault of weft's

    return Screen(stderr=to_stderr, markup=False, highlight=False, emoji=False)


@dataclass(frozen=True, slots=True)
class Column:
    """A table column; `wide` ones are left out, the last one first, where the terminal is too narrow for all; text in
    `wraps` ones goes on in the next line instead of being cut."""

    title: str
    right: bool = False
    wide: bool = False
    wraps: bool = False


def table(screen: Console, columns: Sequence[Column], rows: Sequence[Sequence[str]], title: str = "") -> None:
    """Print a table that fits the screen: names are shortened in the middle, other text at its end, figures never."""
    from rich.table import Table
    from rich.text import Text

    widths = {i: max([len(column.title), *(len(row[i]) for row in rows)]) for i, column in enumerate(columns)}
    spare = [i for i, column in enumerate(columns) if column.wide]
    over = sum(widths.values()) + GAP * (len(widths) - 1) - screen.width
    while over > 0 and spare:
        over -= widths.pop(spare.pop()) + GAP
    shown = list(widths)
    text = [i for i in shown if not columns[i].right]
    while over > 0 and max(widths[i] for i in text) > NARROWEST:
        # the name counts for half, so that a long remark beside it goes first
        widest = max(text, key=lambda i: widths[i] / (2 if i == shown[0] else 1) if widths[i] > NARROWEST else 0)
        widths[widest] -= 1
        over -= 1
    grid = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False, show_edge=False, header_style="bold")
    for i in shown:
        grid.add_column(
            columns[i].title,
            justify="right" if columns[i].right else "left",
            no_wrap=not columns[i].wraps,
            overflow="fold" if columns[i].wraps else "ellipsis",
            max_width=widths[i],
        )
    for row in rows:
        grid.add_row(*(Text(row[i] if columns[i].wraps else _fitted(row[i], widths[i], i == shown[0])) for i in shown))
    if title:
        screen.print()
        screen.print(title, style="bold cyan")
    screen.print(grid)


def _fitted(text: str, width: int, name: bool) -> str:
    return shorten(text, width) if name else cut_off(text, width)


def cut_off(text: str, width: int) -> str:
    """`text`, cut at its end where it is longer than `width`.

    >>> cut_off("abcdef", 4)
    'abc…'
    """
    return text if len(text) <= width else text[: width - 1] + "…"


def check_json(target: str | None) -> None:
    """Complain about a place that JSON cannot go to before the work starts, not after."""
    if target is None or target == "-":
        return
    path = Path(target)
    if os.path.isdir(path) or not os.path.isdir(path.parent):
        raise OptionError(f"--json must name a file in a folder that exists, or -, not '{target}'")
    from weft.report.files import why_not

    reason = why_not(path)
    if reason:
        raise OptionError(f"--json must name a file that can be written, not '{target}': {reason}")


def write_json(value: object, target: str | None) -> None:
    """JSON to a file (whole or not at all), to standard output, or nowhere."""
    if target is None:
        return
    text = json.dumps(value, indent=1, allow_nan=False) + "\n"
    if target == "-":
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    from weft.report.files import write_text

    write_text(Path(target), text)


class Progressing:
    """A progress bar on standard error for work that takes longer than two seconds, on a terminal only.

    That kernels have to be compiled first is said in any case, once.
    """

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._wanted = sys.stderr.isatty()
        self._bar: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Progressing:
        _jit.before_compiling[:] = [_say_compiling]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        _jit.before_compiling.clear()
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, stage: str, done: int, of: int) -> None:
        if not self._wanted or time.monotonic() - self._started < PATIENCE_S:
            return
        if self._bar is None:
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

            self._bar = Progress(
                TextColumn("{task.description:>10}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                console=console(to_stderr=True),
                transient=True,
            )
            self._bar.start()
        if stage not in self._tasks:
            for task in self._bar.tasks:
                self._bar.update(task.id, completed=task.total)
            self._tasks[stage] = self._bar.add_task(stage, total=of)
        self._bar.update(self._tasks[stage], completed=done, total=of)


def _say_compiling() -> None:
    print("compiling kernels, once: later runs start some ten seconds sooner", file=sys.stderr, flush=True)

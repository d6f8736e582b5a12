"""`weft compare`: two run folders side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from weft.cli import options as o
from weft.cli.console import Column, check_json, console, table, write_json
from weft.cli.guard import DONE, guarded

EXAMPLES = """\b
Examples:
  weft run resnet8 --chip tpu_like_quad --fuse off --out a; weft run resnet8 --chip tpu_like_quad --out b
  weft compare a b
"""


@guarded
def compare(
    first: Annotated[Path, typer.Argument(metavar="DIR", help="A run folder.")],
    second: Annotated[Path, typer.Argument(metavar="DIR", help="Another one.")],
    json: o.JsonFile = None,
    debug: o.Debug = False,
) -> int:
    """Say what two runs came to, side by side, and which ops take longer or shorter."""
    check_json(json)
    from weft.cli.show_run import key_values
    from weft.report.compare import Pair
    from weft.report.compare import compare as compared

    found = compared(first, second)
    write_json(found.to_json(), json)
    screen = console(to_stderr=json == "-")

    def rows(pairs: tuple[Pair, ...]) -> list[tuple[str, ...]]:
        return [(it.name, _shown(it.first), _shown(it.second), _times(it.ratio)) for it in pairs]

    key_values(screen, "Two runs", ((str(first), found.titles[0]), (str(second), found.titles[1])))
    titles = (Column("first", True), Column("second", True))
    if found.options:
        table(screen, (Column("option"), *titles), list(found.options), "Options that differ")
    table(screen, (Column("figure"), *titles, Column("second / first", True)), rows(found.figures), "Figures")
    if found.ops:
        columns = (Column("op"), *titles, Column("second / first", True))
        table(screen, columns, rows(found.ops), "Ops that take different times [cycle, from first tile to last]")
    return DONE


def _shown(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.6g}"


def _times(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.3f}"

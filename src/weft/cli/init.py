"""`weft init`: files to start from, every key explained where it stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from weft.cli import options as o
from weft.cli.guard import DONE, guarded
from weft.errors import OptionError

EXAMPLES = """\b
Examples:
  weft init chip
  weft init chip my_npu --out chips/my_npu.yaml
"""
HELP = "Files to start from, every key explained where it stands."
TEMPLATE = Path(__file__).with_name("init_chip.yaml")
"""A small chip with made-up numbers."""
TEMPLATE_NAME = "my_chip"


@guarded
def chip(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The chip's name.", show_default=False)] = TEMPLATE_NAME,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Where to write; by default NAME.yaml.")
    ] = None,
    debug: o.Debug = False,
) -> int:
    """Write a chip file with every key explained, which checks and runs as it is; no file is overwritten."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]*", name):
        raise OptionError(
            f"a chip's name must be one word of letters, digits, '_' and '-', not '{name}'",
            remedy="the file's name goes with --out",
        )
    path = out or Path(f"{name}.yaml")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(TEMPLATE.read_text("utf-8").replace(TEMPLATE_NAME, name))
    except FileExistsError:
        raise OptionError(
            f"the file to write must not exist yet, and '{path}' does", remedy="name another with --out"
        ) from None
    except OSError as error:
        raise OptionError(f"--out must be a file that can be written, not '{path}': {error.strerror}") from error
    typer.echo(f"wrote {path}; next: weft check {path}; weft run resnet8 --chip {path}")
    return DONE


def _top(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def app() -> typer.Typer:
    """`weft init` with its command."""
    group = typer.Typer(name="init", help=HELP, epilog=EXAMPLES, rich_markup_mode=None, add_completion=False)
    group.callback(invoke_without_command=True)(_top)
    group.command("chip", short_help="A chip's YAML file.", epilog=EXAMPLES)(chip)
    return group

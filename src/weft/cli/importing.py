"""`weft import`: other tools' files in weft's forms, every assumption a comment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from weft.cli import options as o
from weft.cli.guard import DONE, guarded
from weft.errors import OptionError

EXAMPLES = """\b
Examples:
  weft import zigzag tpu_like.yaml --out chip.yaml
  weft import stream tpu_like_quad_core.yaml --out quad.yaml
"""
ZIGZAG_EXAMPLES = """\b
Examples:
  weft import zigzag tpu_like.yaml --mapping tpu_like_mapping.yaml --out chip.yaml
  weft import zigzag layers.yaml --out net.workload.yaml; weft run net.workload.yaml --chip chip.yaml
"""
STREAM_EXAMPLES = """\b
Examples:
  weft import stream tpu_like_quad_core.yaml --out quad.yaml
  weft import stream simba_small.yaml > simba.yaml; weft run resnet8 --chip simba.yaml
"""
HELP = "Other tools' files in weft's forms, every assumption a comment."

Out = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Where to write; by default standard output.")]


@guarded
def zigzag(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An accelerator or a workload in ZigZag's YAML.")],
    mapping: Annotated[
        Path | None,
        typer.Option(
            "--mapping",
            metavar="FILE",
            help="ZigZag's mapping file: what lies on the array. Without one weft assumes it, and says so.",
        ),
    ] = None,
    out: Out = None,
    debug: o.Debug = False,
) -> int:
    """Write ZigZag's accelerator as a weft chip, or its layers as a network."""
    from weft.read.foreign import import_zigzag

    return _write(import_zigzag(file, mapping), out)


@guarded
def stream(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An accelerator in Stream's YAML.")],
    out: Out = None,
    debug: o.Debug = False,
) -> int:
    """Write Stream's accelerator as a weft chip: its cores by their files, and every link and bus."""
    from weft.read.foreign import import_stream

    return _write(import_stream(file), out)


def _write(text: str, out: Path | None) -> int:
    if out is None:
        typer.echo(text, nl=False)
        return DONE
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OptionError(f"--out must be a file that can be written, not '{out}': {error.strerror}") from error
    typer.echo(f"wrote {out}; next: weft check {out}")
    return DONE


def _top(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def app() -> typer.Typer:
    """`weft import` with its two commands."""
    group = typer.Typer(name="import", help=HELP, epilog=EXAMPLES, rich_markup_mode=None, add_completion=False)
    group.callback(invoke_without_command=True)(_top)
    group.command("zigzag", short_help="An accelerator or a workload of ZigZag's.", epilog=ZIGZAG_EXAMPLES)(zigzag)
    group.command("stream", short_help="An accelerator of Stream's.", epilog=STREAM_EXAMPLES)(stream)
    return group

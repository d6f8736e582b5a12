"""The `weft` command: registers the commands and turns what goes wrong into one line and an exit code.

Nothing here, nor in the modules that define commands, imports numpy, onnx or the like at its top: `weft --help` and
shell completion answer at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from weft.cli import check, compare, importing, init, library, mapping, run
from weft.cli.guard import complain, complain_of
from weft.cli.usage import usage_error

app = typer.Typer(
    name="weft",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
    help="Plan neural networks on multi-core chips: mapped, scheduled, priced and proved.",
    epilog="Start with: weft run resnet8 --chip tpu_like_quad",
)


def _version(wanted: bool) -> None:
    if wanted:
        from weft import __version__

        typer.echo(f"weft {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _top(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


app.command("run", short_help="Schedule a network on a chip, with proof.", epilog=run.EXAMPLES)(run.run)
app.command("map", short_help="The best mapping of every op, each alone.", epilog=mapping.MAP_EXAMPLES)(mapping.map_)
app.command("evaluate", short_help="Price mappings that you have.", epilog=mapping.EVALUATE_EXAMPLES)(mapping.evaluate)
app.command("compare", short_help="Two run folders side by side.", epilog=compare.EXAMPLES)(compare.compare)
app.command("check", short_help="Read models and chips and say what they hold.", epilog=check.EXAMPLES)(check.check)
app.add_typer(importing.app())
app.add_typer(init.app())
app.command("chips", short_help="List the chips that weft brings along.", epilog=library.CHIPS_EXAMPLES)(library.chips)
app.command("models", short_help="List the networks that weft brings along.", epilog=library.MODELS_EXAMPLES)(
    library.models
)
app.command("schema", short_help="Print the JSON schema of a chip's YAML file.", epilog=library.SCHEMA_EXAMPLES)(
    library.schema
)
app.command("doctor", short_help="Say what weft finds on this machine.", epilog=library.DOCTOR_EXAMPLES)(library.doctor)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code is 0 done, 1 our fault, 2 the user's input, 3 infeasible, 130 interrupted."""
    command = typer.main.get_command(app)
    try:
        code = command.main(args=arguments, prog_name="weft", standalone_mode=False)
    except typer.Abort:
        complain("interrupted: no result")
        return 130
    except Exception as error:
        # A usage error of whichever click typer brings along; all else is caught where commands are guarded.
        if not hasattr(error, "format_message"):
            raise
        complain_of(usage_error(error, list(sys.argv[1:] if arguments is None else arguments)))
        return 2
    return code if isinstance(code, int) else 0


def entry() -> None:
    """What the installed `weft` script calls."""
    # products of single tiles are too small to be shared: threads of BLAS would wait for each other most of the time
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    sys.exit(main())

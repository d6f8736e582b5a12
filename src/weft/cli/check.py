"""`weft check`: what weft reads in a model or a chip, or the line where it stops."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from weft.cli import options as o
from weft.cli.console import console
from weft.cli.guard import DONE, INPUT, complain_of, guarded
from weft.errors import OptionError, UserError, nearest

if TYPE_CHECKING:
    from rich.console import Console

    from weft.model.chip import Chip

EXAMPLES = """\b
Examples:
  weft check chip.yaml net.onnx
  weft check resnet8 --chip diana
"""


@guarded
def check(
    files: o.Files,
    chip: o.MaybeChip = None,
    dim: o.Dims = None,
    precision: o.PrecisionName = "chip",
    verbose: o.Verbose = False,
    debug: o.Debug = False,
) -> int:
    """Read models and chips and say what they hold; a file that cannot be read gives one line per problem."""
    dims, precision = o.dims_of(dim), o.precision_of(precision)
    from weft.read.chip import read_chip

    silicon = read_chip(chip) if chip else None
    screen = console()
    failed = False
    for number, file in enumerate(files):
        try:
            kind = kind_of(file)
            if number:
                screen.print()
            if kind == "chip":
                _chip(screen, file, verbose)
            else:
                _model(screen, file, silicon, dims, precision, verbose)
        except UserError as error:
            complain_of(error)
            failed = True
    return INPUT if failed else DONE


def kind_of(file: str) -> str:
    """ "chip" or "model", by name or ending alone."""
    from weft import zoo
    from weft.chips import library
    from weft.read import ELSEWHERE
    from weft.read.nearby import nearby

    if file in zoo.names() or file.endswith((".onnx", ".pt2", ".workload.yaml", *ELSEWHERE)):
        return "model"
    if file in library() or Path(file).suffix in (".yaml", ".yml"):
        return "chip"
    near = nearby(file, (".yaml", ".onnx", ".pt2")) or nearest(file, [*library(), *zoo.names()])
    raise OptionError(
        f"what is checked must be a .yaml, .onnx or .pt2 file, a library chip or a zoo network, not '{file}'",
        remedy=f"did you mean '{near}'?" if near else "weft chips and weft models list the names",
    )


def _chip(screen: Console, file: str, verbose: bool) -> None:
    from weft.cli.check_chip import show_chip
    from weft.read.chip import read_chip

    show_chip(screen, read_chip(file), verbose)


def _model(screen: Console, file: str, chip: Chip | None, dims: dict[str, int], precision: str, verbose: bool) -> None:
    from weft.cli.check_model import show_model
    from weft.run.run import prepared

    workload, assumed = prepared(file, chip, dims, precision)
    show_model(screen, workload, chip, assumed, verbose)

"""`weft check`: what weft reads in a model or a chip, or the line where it stops."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from weft.cli import options as o
from weft.cli.console import Column, console, table
from weft.cli.guard import DONE, INPUT, complain_of, guarded
from weft.errors import OptionError, UserError, suggestion

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
    verbose: o.Verbose = False,
    debug: o.Debug = False,
) -> int:
    """Read models and chips and say what they hold; a file that cannot be read gives one line per problem."""
    dims = o.dims_of(dim)
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
                _chip(screen, file)
            else:
                _model(screen, file, silicon, dims, verbose)
        except UserError as error:
            complain_of(error)
            failed = True
    return INPUT if failed else DONE


def kind_of(file: str) -> str:
    """ "chip" or "model", by name or ending alone."""
    from weft import zoo
    from weft.chips import library

    if file in library() or Path(file).suffix in (".yaml", ".yml"):
        return "chip"
    if file in zoo.names() or Path(file).suffix in (".onnx", ".pt2"):
        return "model"
    raise OptionError(
        f"what is checked must be a .yaml, .onnx or .pt2 file, a library chip or a zoo network, not '{file}'",
        remedy=suggestion(file, [*library(), *zoo.names()]),
    )


def _chip(screen: Console, file: str) -> None:
    from weft.cli.show_run import key_values
    from weft.read.chip import read_chip
    from weft.report.silicon import instances, peak_macs_per_cycle
    from weft.report.words import size

    chip = read_chip(file)
    bits = chip.precision
    pairs = [
        ("source", chip.source or "not given"),
        ("clock", f"{chip.base_clock_hz / 1e6:,g} MHz"),
        ("peak", f"{peak_macs_per_cycle(chip):,.0f} MACs/cycle"),
        ("precision", f"{bits.input_bits}-bit I, {bits.weight_bits}-bit W, {bits.output_bits}-bit O by default"),
        ("folds", ", ".join(sorted(chip.folds)) or "nothing"),
        *(("note", note) for note in chip.notes),
        *(("assumed", f"{memory.name}: {memory.assumed}") for memory in chip.memories if memory.assumed),
    ]
    key_values(
        screen, f"{chip.name}: {len(chip.cores)} cores, {len(chip.memories)} memories, {len(chip.links)} links", pairs
    )
    table(
        screen,
        (Column("core"), Column("array"), Column("takes"), Column("memories")),
        [
            (
                core.name,
                "x".join(str(side.size) for side in core.array),
                " ".join(sorted(core.ops)),
                " ".join(dict.fromkeys(level.memory for level in core.levels)),
            )
            for core in chip.cores
        ],
        "Cores",
    )
    table(
        screen,
        (
            Column("memory"),
            Column("size", True),
            Column("count", True),
            Column("pJ rd/wr", True),
            Column("buffers"),
            Column("ports"),
        ),
        [
            (
                memory.name,
                size(memory.size_bits),
                f"{instances(chip, memory.name):,}",
                f"{memory.read_pj:.4g}/{memory.write_pj:.4g}",
                memory.buffering,
                " ".join(f"{port.name}:{port.bandwidth_bits}" for port in memory.ports),
            )
            for memory in chip.memories
        ],
        "Memories (ports in bit/cycle)",
    )
    table(
        screen,
        (Column("link"), Column("bit/cycle", True), Column("pJ/bit", True), Column("duplex"), Column("joins")),
        [
            (
                link.name,
                f"{link.bandwidth_bits:,}",
                f"{link.pj_per_bit:.4g}",
                "half" if link.half_duplex else "full",
                " ".join(sorted(link.a)) + (" - " + " ".join(sorted(link.b)) if link.a != link.b else ""),
            )
            for link in chip.links
        ],
        "Links",
    )


def _model(screen: Console, file: str, chip: Chip | None, dims: dict[str, int], verbose: bool) -> None:
    from weft.cli.check_model import show_model
    from weft.read import load

    if chip is None:
        show_model(screen, load(file, dims), None, None, verbose)
        return
    from weft.run.run import prepared

    workload, assumed = prepared(file, chip, dims, "chip")
    show_model(screen, workload, chip, assumed, verbose)

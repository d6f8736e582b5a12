"""`weft chips`, `models`, `schema` and `doctor`: what weft brings along, and whether it can work here."""

from __future__ import annotations

from typing import Annotated

import typer

from weft.cli import options as o
from weft.cli.console import Column, console, table
from weft.cli.guard import DONE, OURS, guarded
from weft.report.words import amount, cycles, size

CHIPS_EXAMPLES = """\b
Examples:
  weft chips
  weft check tpu_like_quad
"""
MODELS_EXAMPLES = """\b
Examples:
  weft models
  weft check resnet8 --chip diana
"""
SCHEMA_EXAMPLES = """\b
Examples:
  weft schema > chip.schema.json
  weft schema | python -m json.tool
"""
DOCTOR_EXAMPLES = """\b
Examples:
  weft doctor
  weft doctor --clear-cache
"""


@guarded
def chips(debug: o.Debug = False) -> int:
    """List the chips that weft brings along."""
    from weft.chips import library
    from weft.cli.check_chip import arrays
    from weft.read.chip import read_chip
    from weft.report.silicon import on_chip_bits, peak_macs_per_cycle

    rows = []
    for name in library():
        chip = read_chip(name)
        clock = chip.base_clock_hz / 1e6
        rows.append(
            (
                name,
                str(len(chip.cores)),
                arrays(chip),
                f"{peak_macs_per_cycle(chip):,.0f}",
                f"{clock:,.0f}",
                size(on_chip_bits(chip)),
                chip.source,
            )
        )
    columns = (
        Column("chip"),
        Column("cores", True),
        Column("arrays"),
        Column("MACs/cycle", True),
        Column("MHz", True),
        Column("on chip", True),
        Column("source", wide=True),
    )
    table(console(), columns, rows)
    return DONE


@guarded
def models(debug: o.Debug = False) -> int:
    """List the networks that weft brings along."""
    from weft import zoo
    from weft.cli.zoo_sizes import sizes_of

    rows = []
    for name in zoo.names():
        sizes = sizes_of(name)
        rows.append((name, cycles(sizes.ops), amount(sizes.macs), amount(sizes.parameters), zoo.describe(name)))
    columns = (
        Column("model"),
        Column("ops", True),
        Column("MACs", True),
        Column("params", True),
        Column("what it is", wraps=True),
    )
    table(console(), columns, rows)
    return DONE


@guarded
def schema(debug: o.Debug = False) -> int:
    """Print the JSON schema of a chip's YAML file, for editors and checkers."""
    import json

    from weft.read.chip import chip_schema

    typer.echo(json.dumps(chip_schema(), indent=2))
    return DONE


@guarded
def doctor(
    clear_cache: Annotated[
        bool, typer.Option("--clear-cache", help="Remove the mappings kept of earlier runs, and say how many.")
    ] = False,
    debug: o.Debug = False,
) -> int:
    """Say what weft finds here: versions, processors, compiled code, and mappings kept of earlier runs."""
    if clear_cache:
        from weft.cli.surroundings import cleared

        console().print(cleared())
        return DONE
    from weft.cli.show_run import key_values
    from weft.cli.surroundings import surroundings

    found, sound = surroundings()
    key_values(console(), "", found)
    return DONE if sound else OURS

"""Options that several commands share, and shell completion of their values (from names and files alone)."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from weft.errors import OptionError


def _chip_names(incomplete: str) -> list[str]:
    from weft.chips import library

    return [name for name in library() if name.startswith(incomplete)] + _files(incomplete, (".yaml", ".yml"))


def _model_names(incomplete: str) -> list[str]:
    from weft import zoo

    return [name for name in zoo.names() if name.startswith(incomplete)] + _files(
        incomplete, (".onnx", ".pt2", ".workload.yaml")
    )


def _check_names(incomplete: str) -> list[str]:
    return sorted({*_model_names(incomplete), *_chip_names(incomplete)})


def _mapping_names(incomplete: str) -> list[str]:
    return _files(incomplete, (".json", ".txt"))


def _precision_names(incomplete: str) -> list[str]:
    words = [name for name in ("chip", "model") if name.startswith(incomplete)]
    return words + _files(incomplete, (".yaml", ".yml"))


def fuse_names(incomplete: str) -> list[str]:
    """Completion of `--fuse`."""
    words = [name for name in ("auto", "off") if name.startswith(incomplete)]
    return words + _files(incomplete, (".yaml", ".yml", ".json"))


def _files(incomplete: str, suffixes: tuple[str, ...]) -> list[str]:
    """Files and folders that go on from what was typed; nothing is opened."""
    typed = Path(incomplete)
    folder = typed if incomplete.endswith("/") else typed.parent
    start = "" if incomplete.endswith("/") else typed.name
    shown = incomplete[: len(incomplete) - len(start)]
    try:
        entries = sorted(entry for entry in folder.iterdir() if entry.name.startswith(start))
    except OSError:
        return []
    hidden = start.startswith(".")
    visible = [entry for entry in entries if hidden or not entry.name.startswith(".")]
    return [f"{shown}{entry.name}/" for entry in visible if entry.is_dir()] + [
        f"{shown}{entry.name}" for entry in visible if entry.name.endswith(suffixes)
    ]


def one_of(*names: str) -> Callable[[str], list[str]]:
    """Completion over fixed words."""

    def complete(incomplete: str) -> list[str]:
        return [name for name in names if name.startswith(incomplete)]

    return complete


Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A zoo name (weft models), an .onnx, .pt2 or .workload.yaml file.",
        autocompletion=_model_names,
    ),
]
ChipName = Annotated[
    str,
    typer.Option(
        "--chip", metavar="CHIP", help="A library name (weft chips) or a YAML file.", autocompletion=_chip_names
    ),
]
MaybeChip = Annotated[
    str | None,
    typer.Option(
        "--chip", metavar="CHIP", help="Say which of this chip's cores take each op.", autocompletion=_chip_names
    ),
]
Objective = Annotated[
    str,
    typer.Option(
        "--objective",
        metavar="NAME",
        help="What to make small: latency, energy, edp (their product) or memory; pareto: schedules that trade them.",
        autocompletion=one_of("latency", "energy", "edp", "memory", "pareto"),
    ),
]
MapObjective = Annotated[
    str,
    typer.Option(
        "--objective",
        metavar="NAME",
        help="What to make small: latency, energy or edp (their product); pareto: the front of one op (--op).",
        autocompletion=one_of("latency", "energy", "edp", "pareto"),
    ),
]
Spatial = Annotated[
    str,
    typer.Option(
        "--spatial",
        metavar="NAME",
        help="fixed: the arrays' declared dataflow; free: any loop on any side.",
        autocompletion=one_of("fixed", "free"),
    ),
]
Dims = Annotated[
    list[str] | None,
    typer.Option("--dim", metavar="NAME=N", help="Size of a symbolic dimension of the model; may be repeated."),
]
PrecisionName = Annotated[
    str,
    typer.Option(
        "--precision",
        metavar="NAME",
        help="chip: a float model is priced at the chip's precision; model: at its own; "
        "FILE: at the chip's but for the widths in this YAML (docs/precision.md).",
        autocompletion=_precision_names,
    ),
]
Seed = Annotated[int, typer.Option("--seed", metavar="N", help="Seed of the search: same seed, same result.")]
Budget = Annotated[int, typer.Option("--budget", metavar="N", help="Whole schedules to try.")]
UnusedSeed = Annotated[int, typer.Option("--seed", metavar="N", help="Taken so that scripts need not care; not used.")]
UnusedBudget = Annotated[
    int, typer.Option("--budget", metavar="N", help="Taken so that scripts need not care; not used.")
]
JsonFile = Annotated[
    str | None,
    typer.Option(
        "--json", metavar="FILE", help="Write the result as JSON; - is standard output, and nothing else goes there."
    ),
]
NoCache = Annotated[
    bool,
    typer.Option(
        "--no-cache",
        help="Neither take nor keep mappings of other runs (or WEFT_CACHE=off): the result is the same, only later.",
    ),
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say more.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback when weft itself fails (or WEFT_DEBUG=1).")]
Files = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE", help="Models and chips: .onnx, .pt2 and .yaml files, or names.", autocompletion=_check_names
    ),
]
MappingFile = Annotated[
    Path,
    typer.Option(
        "--mapping",
        metavar="FILE",
        help="Mappings as weft map --json writes them, weft's text, or ZigZag's JSON.",
        autocompletion=_mapping_names,
    ),
]


def dims_of(given: list[str] | None) -> dict[str, int]:
    """`--dim NAME=N` options as sizes by name.

    >>> dims_of(["batch=4", "N=1"])
    {'batch': 4, 'N': 1}
    """
    sizes: dict[str, int] = {}
    for item in given or []:
        name, equals, size = item.partition("=")
        if not name or not equals or not size.isascii() or not size.isdigit() or int(size) < 1:
            raise OptionError(f"--dim must be NAME=N with N at least 1, not '{item}'", remedy="for example batch=1")
        if name in sizes:
            raise OptionError(f"--dim must give '{name}' one size, not two", remedy="leave one of them out")
        sizes[name] = int(size)
    return sizes


def precision_of(given: str) -> str:
    """`--precision`: chip, model, or a file that is there."""
    if given in ("chip", "model") or os.path.isfile(given):
        return given
    raise OptionError(
        f"--precision must be chip, model or an existing YAML file, not '{given}'",
        remedy="docs/precision.md has the form of the file",
    )

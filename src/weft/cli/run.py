"""`weft run`: a network scheduled on a chip, with its proof, a page of tables, and a run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from weft.cli import options as o
from weft.cli.console import Progressing, check_json, console, write_json
from weft.cli.guard import DONE, INFEASIBLE, OURS, complain, guarded
from weft.errors import OptionError

EXAMPLES = """\b
Examples:
  weft run resnet8 --chip tpu_like_quad
  weft run net.onnx --chip chip.yaml --objective latency --out runs/first --json -
"""


@guarded
def run(
    model: o.Model,
    chip: o.ChipName,
    objective: o.Objective = "edp",
    fuse: Annotated[
        str,
        typer.Option(
            "--fuse",
            metavar="HOW",
            help="auto: ops run together, step by step, where that is better; off: one after another; "
            "FILE: in the groups and on the cores that this YAML gives (docs/fuse_format.md).",
            autocompletion=o.fuse_names,
        ),
    ] = "auto",
    spatial: o.Spatial = "fixed",
    frames: Annotated[
        int, typer.Option("--frames", metavar="N", help="Inputs in a row, their schedules interleaved.")
    ] = 1,
    dim: o.Dims = None,
    precision: o.PrecisionName = "chip",
    seed: o.Seed = 0,
    budget: o.Budget = 200,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="The run folder; by default weft-runs/<model>-<chip>-<hash>."),
    ] = None,
    json: o.JsonFile = None,
    numerics: Annotated[
        str,
        typer.Option(
            "--numerics",
            metavar="HOW",
            help="Execute the schedule against ONNX Runtime: on, off, or auto (where it takes at most some 20 s).",
            autocompletion=o.one_of("auto", "on", "off"),
        ),
    ] = "auto",
    no_cache: o.NoCache = False,
    verbose: o.Verbose = False,
    debug: o.Debug = False,
) -> int:
    """Schedule a network on a chip, prove the schedule, and say what it costs and why."""
    dims, precision = o.dims_of(dim), o.precision_of(precision)
    check_json(json)
    from weft.cli.show_run import show_run
    from weft.report.folder import check_folder, write_run_folder
    from weft.run import InfeasibleResult
    from weft.run import run as schedule

    check_folder(out)
    settings = {
        "objective": objective,
        "fuse": fuse,
        "spatial": spatial,
        "frames": frames,
        "dims": dims,
        "precision": precision,
        "budget": budget,
        "numerics": numerics,
    }
    if objective == "pareto":
        if frames != 1:
            raise OptionError(f"--objective pareto must go with one frame, not {frames}", remedy="leave --frames out")
        return _front(model, chip, settings, seed, out, json, not no_cache, verbose)
    with Progressing() as progress:
        result = schedule(
            model,
            chip,
            objective,
            fuse=fuse,
            frames=frames,
            spatial=spatial,
            dims=dims,
            precision=precision,
            seed=seed,
            budget=budget,
            progress=progress,
            cache=not no_cache,
            numerics=numerics,
        )
    if isinstance(result, InfeasibleResult):
        write_json(result.to_json(), json)
        complain(f"infeasible: {result.reason}")
        return INFEASIBLE
    folder: Path | None = None
    unwritten: OptionError | None = None
    try:
        folder = write_run_folder(result, out, {"model": model, "chip": chip, **settings})
        write_json(result.to_json(), json)
    except OptionError as error:
        unwritten = error  # a full disk, say: the result is shown all the same
    show_run(console(to_stderr=json == "-"), result, folder, verbose)
    if unwritten:
        raise unwritten
    if result.proof.ok:
        return DONE
    failed = result.proof.numerics.status == "failed"
    broken = len(result.proof.violations) + len(result.proof.replay_differences) + failed
    complain(f"error in weft itself: the schedule is not proved ({broken} findings, see above); please report it")
    return OURS


def _front(
    model: str,
    chip: str,
    settings: dict[str, Any],
    seed: int,
    out: Path | None,
    json: str | None,
    cache: bool,
    verbose: bool,
) -> int:
    """`--objective pareto`."""
    from weft.cli.show_pareto import show_pareto
    from weft.report.folder import write_front_folder
    from weft.run import InfeasibleResult, run_front

    given = {key: settings[key] for key in ("fuse", "spatial", "dims", "precision", "budget", "numerics")}
    with Progressing() as progress:
        result = run_front(model, chip, seed=seed, progress=progress, cache=cache, **given)
    write_json(result.to_json(), json)
    if isinstance(result, InfeasibleResult):
        complain(f"infeasible: {result.reason}")
        return INFEASIBLE
    folder = write_front_folder(result, out, {"model": model, "chip": chip, **settings})
    show_pareto(console(to_stderr=json == "-"), result, folder, verbose)
    if result.ok:
        return DONE
    complain("error in weft itself: a schedule of the front is not proved, see its folder; please report it")
    return OURS

"""`weft map` and `weft evaluate`: each op of a network alone on one core, mapped by weft or by the user."""

from __future__ import annotations

from typing import Annotated

import typer

from weft.cli import options as o
from weft.cli.console import Progressing, check_json, console, write_json
from weft.cli.guard import DONE, INFEASIBLE, complain, guarded

MAP_EXAMPLES = """\b
Examples:
  weft map resnet18 --chip tpu_like --objective latency
  weft map resnet8 --chip diana --op stage1.conv1 --spatial free -v
  weft map resnet8 --chip eyeriss_like --op conv --objective pareto
"""
EVALUATE_EXAMPLES = """\b
Examples:
  weft map resnet8 --chip tpu_like --json map.json; weft evaluate resnet8 --chip tpu_like --mapping map.json
  weft evaluate net.onnx --chip tpu_like --mapping zigzag.json --conventions zigzag --json -
"""


@guarded
def map_(
    model: o.Model,
    chip: o.ChipName,
    core: Annotated[
        str | None, typer.Option("--core", metavar="NAME", help="Only this core; by default the best one of each op.")
    ] = None,
    op: Annotated[str | None, typer.Option("--op", metavar="NAME", help="Only this op, by its exact name.")] = None,
    objective: o.MapObjective = "edp",
    spatial: o.Spatial = "fixed",
    dim: o.Dims = None,
    precision: o.PrecisionName = "chip",
    seed: o.UnusedSeed = 0,
    budget: o.UnusedBudget = 0,
    json: o.JsonFile = None,
    no_cache: o.NoCache = False,
    verbose: o.Verbose = False,
    debug: o.Debug = False,
) -> int:
    """Map every op of a network on the core that serves it best, each alone, with a certificate of how good it is."""
    dims, precision = o.dims_of(dim), o.precision_of(precision)
    check_json(json)
    from weft.cli.show_map import show_front, show_map
    from weft.run import FrontResult, InfeasibleResult, MapResult, front_of, map_model

    result: MapResult | FrontResult | InfeasibleResult
    with Progressing() as progress:
        if objective == "pareto":
            result = front_of(model, chip, op, core=core, spatial=spatial, dims=dims, precision=precision)
        else:
            result = map_model(
                model,
                chip,
                objective,
                core=core,
                op=op,
                spatial=spatial,
                dims=dims,
                precision=precision,
                progress=progress,
                cache=not no_cache,
            )
    write_json(result.to_json(), json)
    if isinstance(result, InfeasibleResult):
        complain(f"infeasible: {result.reason}")
        return INFEASIBLE
    screen = console(to_stderr=json == "-")
    if isinstance(result, FrontResult):
        show_front(screen, result, verbose)
    else:
        show_map(screen, result, verbose)
    return DONE


@guarded
def evaluate(
    model: o.Model,
    chip: o.ChipName,
    mapping: o.MappingFile,
    conventions: Annotated[
        str,
        typer.Option(
            "--conventions",
            metavar="NAME",
            help="weft: its own; zigzag: as ZigZag counts.",
            autocompletion=o.one_of("weft", "zigzag"),
        ),
    ] = "weft",
    dim: o.Dims = None,
    precision: o.PrecisionName = "chip",
    seed: o.UnusedSeed = 0,
    budget: o.UnusedBudget = 0,
    json: o.JsonFile = None,
    verbose: o.Verbose = False,
    debug: o.Debug = False,
) -> int:
    """Price mappings that you have: those of weft map, your own, or ZigZag's."""
    dims, precision = o.dims_of(dim), o.precision_of(precision)
    check_json(json)
    from weft.cli.show_map import show_evaluation
    from weft.run.evaluate import evaluate as priced

    result = priced(model, chip, mapping, conventions, dims=dims, precision=precision)
    write_json(result.to_json(), json)
    show_evaluation(console(to_stderr=json == "-"), result, verbose)
    return DONE

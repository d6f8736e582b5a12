"""Prints the results of `weft map` and `weft evaluate`; with -v each op's certificate and loop nest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from weft.cli.console import Column, table
from weft.cli.show_run import key_values, show_notes
from weft.model.mapping import parse_mapping
from weft.report.nest import picture
from weft.report.summary import assumed
from weft.report.words import cycles, energy, percent
from weft.run import FrontResult, MappedOp, MapResult
from weft.run.evaluate import EvaluateResult, PricedOp
from weft.run.result import Json

if TYPE_CHECKING:
    from rich.console import Console

_COLUMNS = (
    Column("op"),
    Column("kind", wide=True),
    Column("core"),
    Column("cycles", True),
    Column("energy", True),
    Column("used", True),
    Column("array", True, wide=True),
    Column("proved"),
    Column("stalls most"),
)
OPS = "Ops (used: of the array's MACs; array: of its units; stalls: what waits longest)"


def show_map(screen: Console, result: MapResult, verbose: bool) -> None:
    """Totals, a line per op, and what was left out."""
    key_values(
        screen,
        f"{result.model} on {result.chip}: every op alone, all operands streamed",
        (
            ("objective", result.objective),
            ("sum", _sum(result)),
            ("searched", f"{result.unique_ops} different {_ops(result.unique_ops)}"),
            ("precision", assumed(result.assumed_precision)),
        ),
    )
    table(screen, _COLUMNS, [_row(item.to_json()) for item in result.ops], OPS)
    if verbose:
        for item in result.ops:
            _certificate(screen, item, result.objective)
    if result.not_evaluated or not verbose:
        screen.print()
    _left_out(screen, result.not_evaluated, "the core does not take them")
    show_notes(screen, result.notes, verbose)


def show_front(screen: Console, result: FrontResult, verbose: bool) -> None:
    """A line per point of the front, fastest first; with -v each one's certificate and nest."""
    first = result.points[0]
    key_values(
        screen,
        f"{result.model} on {result.chip}: {first.op.name} alone on {first.problem.core.name}, all operands streamed",
        (
            (
                "front",
                f"{len(result.points)} mappings, {'all there are' if result.whole else 'there are more between'}",
            ),
            ("precision", assumed(result.assumed_precision)),
        ),
    )
    fastest, thriftiest = result.points[0].price, result.points[-1].price
    rows = [
        (
            cycles(point.price.latency_cycles),
            energy(point.price.energy_pj),
            f"{point.price.latency_cycles / fastest.latency_cycles:.3f}",
            f"{point.price.energy_pj / thriftiest.energy_pj:.3f}",
            f"{point.price.edp:.4g}",
            "optimal" if point.mapped.optimal else "no",
            str(point.mapped.mapping),
        )
        for point in result.points
    ]
    columns = (
        Column("cycles", True),
        Column("energy", True),
        Column("of fastest", True),
        Column("of least", True),
        Column("pJ cycle", True),
        Column("proved"),
        Column("mapping", wide=True),
    )
    table(screen, columns, rows, "Front (each: the least energy of all mappings that are no slower)")
    if verbose:
        for point in result.points:
            _certificate(screen, point, "energy")


def show_evaluation(screen: Console, result: EvaluateResult, verbose: bool) -> None:
    """Totals, a line per op, and the ops without a mapping."""
    key_values(
        screen,
        f"{result.model} on {result.chip}: given mappings, every op alone",
        (
            ("conventions", result.conventions),
            ("sum", _sum(result)),
            ("precision", assumed(result.assumed_precision)),
        ),
    )
    table(screen, _COLUMNS, [_row(item.row) for item in result.ops], OPS)
    if verbose:
        for item in result.ops:
            _nest(screen, item, result.conventions)
    if result.not_evaluated or not verbose:
        screen.print()
    _left_out(screen, result.not_evaluated, "no mapping was given")
    show_notes(screen, result.notes, verbose)


def _sum(result: MapResult | EvaluateResult) -> str:
    count = len(result.ops)
    return f"{cycles(result.latency_cycles)} cycles, {energy(result.energy_pj)}, {count} {_ops(count)}"


def _ops(number: int) -> str:
    return "op" if number == 1 else "ops"


def _row(row: Json) -> tuple[str, ...]:
    stalls = sorted(row["stall_cycles"].items(), key=lambda item: (-item[1], item[0]))
    proved = "-" if row["optimal"] is None else "optimal" if row["optimal"] else "no"
    worst = f"{percent(stalls[0][1] / row['latency_cycles'])} {stalls[0][0]}" if stalls else "-"
    return (
        row["name"],
        row["kind"],
        row["core"],
        cycles(row["latency_cycles"]),
        energy(row["energy_pj"]),
        percent(row["utilisation"]),
        percent(row["utilisation_spatial"]),
        proved,
        worst,
    )


def _certificate(screen: Console, item: MappedOp, objective: str) -> None:
    mapped = item.mapped
    unit = {"latency": "cycles", "energy": "pJ", "edp": "pJ cycle"}[objective]
    verdict = "optimal" if mapped.optimal else "not proved optimal"
    screen.print()
    screen.print(f"{item.op}  on {item.problem.core.name}", style="bold")
    screen.print(
        f"{verdict} for {objective}; bound {mapped.bound:,.6g} {unit}; space of {mapped.space_size:,} states "
        f"({mapped.space}); {mapped.evaluated:,} labels"
    )
    for line in picture(mapped.mapping, item.price):
        screen.print(f"  {line}", no_wrap=True, overflow="ellipsis")


def _nest(screen: Console, item: PricedOp, conventions: str) -> None:
    screen.print()
    screen.print(f"{item.op}  on {item.core}", style="bold")
    text = item.row["mapping"]
    for line in picture(parse_mapping(text), None) if conventions == "weft" else text.split(" "):
        screen.print(f"  {line}", no_wrap=True, overflow="ellipsis")


def _left_out(screen: Console, names: tuple[str, ...], why: str) -> None:
    if names:
        shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
        key_values(screen, "", (("not priced", f"{len(names)} {_ops(len(names))} ({why}): {shown}"),))

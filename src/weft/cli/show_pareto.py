"""Prints the front of a network's schedules: a line per point, and energy against latency as a small plot."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from weft.cli.console import Column, table
from weft.cli.show_run import key_values, show_notes
from weft.report.summary import assumed
from weft.report.words import cycles, energy, percent, size
from weft.run import ParetoResult
from weft.run.pareto import on_chip_bits

if TYPE_CHECKING:
    from rich.console import Console

WIDTH, HEIGHT = 48, 10


def show_pareto(screen: Console, result: ParetoResult, folder: Path | None, verbose: bool) -> None:
    """Points, plot, proof, and where the folders are."""
    first = result.points[0]
    bounds = first.solution.bounds
    key_values(
        screen,
        f"{first.model} on {first.chip.name}: schedules that trade latency, energy and memory",
        (
            ("front", f"{len(result.points)} of all that were tried are beaten by none in all three"),
            ("bounds", f"{cycles(bounds.latency_cycles)} cycles, {energy(bounds.energy_pj)}"),
            ("precision", assumed(first.assumed_precision)),
        ),
    )
    least = min(point.energy_pj for point in result.points)
    rows = [
        (
            str(number),
            cycles(point.latency_cycles),
            energy(point.energy_pj),
            size(on_chip_bits(point)),
            f"{point.latency_cycles / first.latency_cycles:.3f}",
            f"{point.energy_pj / least:.3f}",
            percent(point.gap_latency),
            percent(point.gap_energy),
            str(sum(len(group) > 1 for group in point.solution.plan.groups)),
            "yes" if point.proof.ok else "NO",
        )
        for number, point in enumerate(result.points, 1)
    ]
    columns = (
        Column("", True),
        Column("cycles", True),
        Column("energy", True),
        Column("on chip", True),
        Column("of fastest", True, wide=True),
        Column("of least", True, wide=True),
        Column("gap cycles", True, wide=True),
        Column("gap energy", True, wide=True),
        Column("fused", True),
        Column("proved"),
    )
    table(screen, columns, rows, "Front (on chip: peaks of all memories together; fused: groups of several ops)")
    screen.print()
    screen.print("Energy (up) against latency (right)", style="bold cyan")
    for line in plot([(float(point.latency_cycles), point.energy_pj) for point in result.points], WIDTH, HEIGHT):
        screen.print(line, no_wrap=True, highlight=False)
    show_notes(screen, first.workload.notes, verbose)
    if folder is not None:
        key_values(screen, "", (("run folders", str(folder / "point*")),))


def plot(points: list[tuple[float, float]], width: int, height: int) -> list[str]:
    """Points as the last digits of their numbers on a field, between axes.

    >>> for line in plot([(0, 3), (1, 1), (4, 0)], 9, 4): print(line.rstrip())
    |1
    |
    |  2
    |        3
    +---------
    """
    field = [[" "] * width for _ in range(height)]
    (left, right), (low, high) = ((min(axis), max(axis)) for axis in zip(*points, strict=True))
    for number, (x, y) in reversed(list(enumerate(points, 1))):
        column = round((x - left) / (right - left or 1) * (width - 1))
        row = round((high - y) / (high - low or 1) * (height - 1))
        field[row][column] = str(number % 10)
    return ["|" + "".join(row) for row in field] + ["+" + "-" * width]

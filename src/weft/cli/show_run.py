"""Prints the result of `weft run`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from weft.cli.console import Column, table
from weft.cli.gantt import gantt
from weft.model.workload import Note
from weft.report.silicon import idle
from weft.report.summary import facts, proof_text
from weft.report.timeline import core_rows, lane_rows
from weft.report.words import cycles, energy, percent, several, size
from weft.run import RunResult

if TYPE_CHECKING:
    from rich.console import Console


def show_run(screen: Console, result: RunResult, folder: Path | None, verbose: bool) -> None:
    """Summary, ops, cores, links, memories, chart, proof, notes, and where the run folder is."""
    key_values(screen, f"{result.model} on {result.chip.name}", facts(result))
    _ops(screen, result)
    cores, links = core_rows(result.schedule, result.chip), lane_rows(result.schedule, result.chip)
    table(
        screen,
        (Column("core"), Column("tasks", True), Column("busy", True), Column("share", True), Column("energy", True)),
        [
            (
                row["name"],
                cycles(row["tasks"]),
                cycles(row["busy_cycles"]),
                percent(row["busy_share"]),
                energy(row["energy_pj"]),
            )
            for row in result.core_rows()
        ],
        "Cores",
    )
    _links(screen, result)
    _memories(screen, result)
    gantt(screen, cores, links, result.latency_cycles)
    screen.print()
    key_values(screen, "", (("proof", proof_text(result)),))
    for violation in result.proof.violations[: None if verbose else 5]:
        screen.print(f"  {violation}", style="red")
    for difference in result.proof.replay_differences[: None if verbose else 5]:
        screen.print(f"  {difference}", style="red")
    show_notes(screen, result.notes, verbose)
    if folder is not None:
        key_values(screen, "", (("run folder", str(folder)),))


def key_values(screen: Console, title: str, pairs: Sequence[tuple[str, str]]) -> None:
    """Names at the left, what they are beside them, wrapped where the screen ends."""
    from rich.table import Table
    from rich.text import Text

    if title:
        screen.print(title, style="bold")
    grid = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_edge=False, show_header=False)
    grid.add_column(no_wrap=True, style="cyan")
    grid.add_column(overflow="fold")
    for name, text in pairs:
        grid.add_row(Text(name), Text(text))
    screen.print(grid)


def show_notes(screen: Console, notes: Sequence[Note], verbose: bool) -> None:
    """What the reader did that a user should know: how many, or all of them."""
    if verbose:
        table(
            screen,
            (Column("node"), Column("what was done with it", wraps=True)),
            [(note.subject, note.text) for note in notes],
            "Notes",
        )
    elif notes:
        key_values(screen, "", (("notes", f"{len(notes)} on nodes folded, free or not priced; -v lists them"),))


def _ops(screen: Console, result: RunResult) -> None:
    rows = []
    stream = result.solution.stream
    shown = result.op_rows()
    if stream is not None:
        each = len(shown) // stream.frames
        shown = shown[stream.frames // 2 * each :][:each]
    for row in shown:
        share = row["energy_pj"] / result.energy_pj if result.energy_pj else 0.0
        rows.append(
            (
                row["name"],
                row["kind"],
                several(row["cores"]),
                cycles(row["tiles"]),
                f"{row['start_cycle']:,}-{row['end_cycle']:,}",
                cycles(row["end_cycle"] - row["start_cycle"]),
                energy(row["energy_pj"]),
                percent(share),
                percent(row["utilisation"]),
                " ".join(row["streamed"]) or "-",
            )
        )
    table(
        screen,
        (
            Column("op"),
            Column("kind", wide=True),
            Column("on"),
            Column("tiles", True, wide=True),
            Column("when [cycle]", True),
            Column("takes", True, wide=True),
            Column("energy", True, wide=True),
            Column("share", True),
            Column("used", True),
            Column("streams"),
        ),
        rows,
        f"Ops{' of one frame' if stream else ''} (share: of all energy; used: of the array; "
        "streams: operands that pass by)",
    )


def _links(screen: Console, result: RunResult) -> None:
    busy: dict[str, float] = {}
    for lane in lane_rows(result.schedule, result.chip):
        name = next(
            link.name for link in result.chip.links if lane.name in (link.name, f"{link.name}>", f"{link.name}<")
        )
        busy[name] = max(busy.get(name, 0.0), lane.busy(result.latency_cycles))
    rows = [
        (
            row["name"],
            cycles(row["transfers"]),
            size(row["bits"]),
            cycles(row["streaming_cycles"]),
            percent(busy.get(row["name"], 0.0)),
        )
        for row in result.link_rows()
        if row["transfers"] or row["streaming_cycles"]
    ]
    idle = len(result.chip.links) - len(rows)
    if rows:
        columns = (
            Column("link"),
            Column("transfers", True),
            Column("moved", True),
            Column("streams [cycle]", True),
            Column("used", True),
        )
        table(screen, columns, rows, "Links" + (f" (those that carry nothing: {idle})" if idle else ""))


def _memories(screen: Console, result: RunResult) -> None:
    placed = result.fragmentation()
    reach = {found.memory: found.reach_bits for found in placed}
    beyond = [found.memory for found in placed if not found.fits]
    sizes = {memory.name: memory.size_bits for memory in result.chip.memories}
    rows = [
        (memory, size(bits), size(reach.get(memory, 0)), size(sizes[memory]), percent(bits / sizes[memory]))
        for memory, bits in result.solution.peaks
    ]
    unused = idle(result.chip)
    title = "Memories" + (f" (in no core's levels, so nothing lies there: {several(unused)})" if unused else "")
    if beyond:
        title += f" (boxes fit only where they may be split or moved: {several(beyond)})"
    columns = (Column("peak", True), Column("first fit", True), Column("size", True), Column("full", True))
    table(screen, (Column("memory"), *columns), rows, title)

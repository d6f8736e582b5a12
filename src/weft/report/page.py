"""report.html: one page that needs nothing else, in light or dark as the reader's system is."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from weft.report.charts import gantt_svg, memory_svgs
from weft.report.summary import assumed, cause, proof_text, spent
from weft.report.timeline import core_rows, lane_rows, occupancy
from weft.report.words import amount, cycles, energy, percent, seconds, several, size
from weft.run import RunResult

STYLE = Path(__file__).with_name("page.css")


def page(result: RunResult) -> str:
    """The whole page as text. Times of weft itself are left out: the same run gives the same page."""
    title = f"{result.model} on {result.chip.name}"
    cores, links = core_rows(result.schedule, result.chip), lane_rows(result.schedule, result.chip)
    sizes = {memory.name: memory.size_bits for memory in result.chip.memories}
    reach = {found.memory: found.reach_bits for found in result.fragmentation()}
    parts = [
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>weft: {escape(title)}</title>\n<style>\n{STYLE.read_text('utf-8')}</style>\n</head>\n<body>\n<main>",
        f"<header><h1>{escape(title)}</h1>\n<p>{escape(_subtitle(result))}</p></header>",
        _tiles(result),
        _proof(result),
        "<h2>Schedule</h2>\n<p class=hint>Cores and links against time in cycles; point at a block to see what it is. "
        "On links, the height is the share of the bandwidth.</p>",
        gantt_svg(cores, links, result.latency_cycles, [op.name for op in result.workload.ops]),
        "<h2>Memories</h2>\n<p class=hint>Bits held over time, against each memory's size (the scale is its peak).</p>",
        memory_svgs(occupancy(result.schedule), sizes, reach, result.latency_cycles),
        "<h2>Ops</h2>",
        _ops(result),
        "<h2>Cores</h2>",
        _cores(result),
        "<h2>Links</h2>",
        _links(result),
        _notes(result),
        "<footer>Written by weft. Seed "
        f"{result.seed}, budget {result.budget}; inputs and versions are in manifest.json beside this page.</footer>",
        "</main>\n</body>\n</html>\n",
    ]
    return "\n".join(parts)


def _subtitle(result: RunResult) -> str:
    return (
        f"objective {result.objective}, {result.spatial} dataflow, {len(result.workload.ops)} ops in "
        f"{len(result.schedule.tasks):,} tiles, precision {assumed(result.assumed_precision)}"
    )


def _tiles(result: RunResult) -> str:
    """The header figures."""
    bounds = result.solution.bounds
    shown = (
        (
            "latency",
            f"{cycles(result.latency_cycles)} cycles",
            f"{seconds(result.latency_s)}; bound {cycles(bounds.latency_cycles)} ({cause(result)}), "
            f"gap {percent(result.gap_latency)}",
        ),
        (
            "energy",
            energy(result.energy_pj),
            f"{spent(result)}; bound {energy(bounds.energy_pj)}, gap {percent(result.gap_energy)}",
        ),
        ("EDP", f"{result.energy_pj * result.latency_cycles:.3e}", "pJ cycle"),
        ("throughput", f"{result.tops:.3g} TOPS", f"{amount(result.workload.macs)} MACs"),
        ("efficiency", f"{result.tops_per_watt:.3g} TOPS/W", "a MAC is two operations"),
        ("utilisation", percent(result.utilisation), "of the MACs the arrays could do"),
    )
    tiles = "\n".join(
        f"<div class=tile><span>{escape(name)}</span><strong>{escape(value)}</strong>"
        f"<small>{escape(more)}</small></div>"
        for name, value, more in shown
    )
    return f"<section class=tiles>\n{tiles}\n</section>"


def _proof(result: RunResult) -> str:
    wrong = [*map(str, result.proof.violations[:100]), *result.proof.replay_differences]
    listed = "".join(f"<li>{escape(text)}</li>" for text in wrong)
    state = "proved" if result.proof.ok else "failed"
    verdict = "proved" if result.proof.ok else "not proved"
    return (
        f'<section class="proof {state}"><strong>{verdict}</strong> {escape(proof_text(result))}'
        + (f"<ul>{listed}</ul>" if listed else "")
        + "</section>"
    )


def table(titles: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[int] = (0,)) -> str:
    """An HTML table; columns not in `left` hold figures and stand to the right."""
    side = ["" if i in left else " class=n" for i in range(len(titles))]
    head = "".join(f"<th{side[i]}>{escape(title)}</th>" for i, title in enumerate(titles))
    body = "\n".join(
        "<tr>" + "".join(f"<td{side[i]}>{escape(cell)}</td>" for i, cell in enumerate(row)) + "</tr>" for row in rows
    )
    return f"<div class=scroll><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>"


def _ops(result: RunResult) -> str:
    rows = []
    for row in result.op_rows():
        share = row["energy_pj"] / result.energy_pj if result.energy_pj else 0.0
        rows.append(
            (
                row["name"],
                row["kind"],
                several(row["cores"]),
                " ".join(f"{dim}{count}" for dim, count in row["dims"].items() if count > 1),
                cycles(row["tiles"]),
                cycles(row["start_cycle"]),
                cycles(row["end_cycle"]),
                energy(row["energy_pj"]),
                percent(share),
                percent(row["utilisation"]),
                " ".join(row["streamed"]),
                row["mapping"],
            )
        )
    titles = ("op", "kind", "on", "loops", "tiles", "start", "end", "energy", "share", "used", "streams", "mapping")
    return table(titles, rows, (0, 1, 2, 3, 10, 11))


def _cores(result: RunResult) -> str:
    rows = [
        (
            row["name"],
            cycles(row["tasks"]),
            cycles(row["busy_cycles"]),
            percent(row["busy_share"]),
            energy(row["energy_pj"]),
        )
        for row in result.core_rows()
    ]
    return table(("core", "tasks", "busy cycles", "share", "energy"), rows)


def _links(result: RunResult) -> str:
    rows = [
        (
            row["name"],
            cycles(row["transfers"]),
            size(row["bits"]),
            cycles(row["busy_cycles"]),
            cycles(row["streaming_cycles"]),
        )
        for row in result.link_rows()
        if row["transfers"] or row["streaming_cycles"]
    ]
    idle = len(result.chip.links) - len(rows)
    rest = f"<p class=hint>Links that carry nothing: {idle}.</p>" if idle else ""
    return table(("link", "transfers", "moved", "transfer cycles", "streaming cycles"), rows) + rest if rows else rest


def _notes(result: RunResult) -> str:
    if not result.notes:
        return ""
    rows = [(note.subject, note.text) for note in result.notes]
    return (
        f"<details><summary>{len(rows)} notes of the reader</summary>{table(('node', 'note'), rows, (0, 1))}</details>"
    )

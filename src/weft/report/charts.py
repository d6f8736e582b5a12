"""Charts as SVG text: what runs where and when, and how full each memory is."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from html import escape

from weft.report.timeline import Row, Span
from weft.report.words import percent, shorten, size

WIDTH, LABEL, RIGHT = 1160, 150, 64
ROW, GAP, TOP = 26, 6, 10
MOST_BLOCKS = 1500
"""Blocks per row that a browser still shows at once; beyond it, blocks too thin to see are drawn as one."""


def gantt_svg(cores: Sequence[Row], links: Sequence[Row], until: int, ops: Sequence[str]) -> str:
    """Cores and links as rows; one colour per op, going round the colour circle in the order of the network."""
    rows = (*cores, *links)
    bottom = TOP + len(rows) * (ROW + GAP)
    plot = WIDTH - LABEL - RIGHT
    hue = {name: round(360 * number * 0.618034) % 360 for number, name in enumerate(ops)}
    size_box = f"0 0 {WIDTH} {bottom + 26}"
    parts = [f'<div class="wide"><svg viewBox="{size_box}" role="img" aria-label="schedule over time">']
    parts += _grid(until, plot, TOP, bottom)
    for number, row in enumerate(rows):
        y = TOP + number * (ROW + GAP)
        parts.append(
            f'<text x="8" y="{y + 17}">{escape(shorten(row.name, 20))}<title>{escape(row.name)}</title></text>'
        )
        parts.append(
            f'<text class="tick" x="{WIDTH - 8}" y="{y + 17}" text-anchor="end">{percent(row.busy(until))}</text>'
        )
        for span, low in stacked(thinned(row, until)):
            parts.append(_block(span, low, y, plot / max(1, until), hue))
    return "\n".join([*parts, "</svg></div>"])


def _block(span: Span, low: float, y: int, scale: float, hue: Mapping[str, int]) -> str:
    x, width = LABEL + span.start * scale, max(0.5, (span.end - span.start) * scale)
    height = max(1.5, ROW * min(1.0, span.share))
    top = max(y + 0.0, y + ROW * (1 - low) - height)
    look = 'class="move"'
    if span.op in hue:
        # an edge would hide what is thinner than it
        edge = " edged" if width > 4 else ""
        look = f'class="task{edge}" style="fill:hsl({hue[span.op]} var(--core-saturation) var(--core-light))"'
    return (
        f'<rect {look} x="{x:.2f}" y="{top:.2f}" width="{width:.2f}" height="{height:.2f}">'
        f"<title>{escape(span.title)}</title></rect>"
    )


def stacked(spans: Sequence[Span]) -> list[tuple[Span, float]]:
    """Each span with the share below it: spans of one row that share time lie on top of one another."""
    placed: list[tuple[Span, float]] = []
    active: list[tuple[float, float, int]] = []  # (low, high, end), sorted by low
    for span in spans:
        active = [item for item in active if item[2] > span.start]
        low = 0.0
        for below, above, _ in active:
            if below - low >= span.share - 1e-9:
                break
            low = max(low, above)
        active = sorted([*active, (low, low + span.share, span.end)])
        placed.append((span, low))
    return placed


def thinned(row: Row, until: int) -> list[Span]:
    """The row's blocks; in a row of very many, neighbours too thin to tell apart are joined."""
    if len(row.spans) <= MOST_BLOCKS:
        return list(row.spans)
    slice_cycles = max(1, until // MOST_BLOCKS)
    joined: list[Span] = []
    run: list[Span] = []

    def close() -> None:
        if len(run) == 1:
            joined.append(run[0])
        elif run:
            start, end = run[0].start, max(span.end for span in run)
            share = min(1.0, sum((s.end - s.start) * s.share for s in run) / max(1, end - start))
            names = sorted({span.op for span in run})
            title = f"{len(run):,} blocks {start:,}-{end:,}"
            joined.append(Span(start, end, share, names[0] if len(names) == 1 else "", title))
        run.clear()

    for span in row.spans:
        if run and (span.start // slice_cycles != run[0].start // slice_cycles):
            close()
        run.append(span)
    close()
    return joined


def _grid(until: int, plot: int, top: int, bottom: int) -> list[str]:
    parts = []
    for cycle in ticks(until):
        x = LABEL + plot * cycle / max(1, until)
        parts.append(f'<line class="grid" x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{bottom}"/>')
        parts.append(f'<text class="tick" x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{cycle:,}</text>')
    return parts


def ticks(until: int, most: int = 9) -> list[int]:
    """Round cycle numbers from 0 on, at most `most` steps of them.

    >>> ticks(22511)
    [0, 5000, 10000, 15000, 20000]
    """
    step = next(n * 10**k for k in itertools.count() for n in (1, 2, 5) if until // (n * 10**k) <= most)
    return list(range(0, until + 1, step))


def memory_svgs(
    held: Mapping[str, Sequence[tuple[int, int]]], sizes: Mapping[str, int], reach: Mapping[str, int], until: int
) -> str:
    """A small chart per memory that ever holds anything. `reach`: bits that first-fit addresses take."""
    return (
        '<div class="memories">\n'
        + "\n".join(_memory(name, steps, sizes[name], reach.get(name, 0), until) for name, steps in held.items())
        + "\n</div>"
    )


def _memory(name: str, steps: Sequence[tuple[int, int]], capacity: int, reach: int, until: int) -> str:
    peak = max(level for _, level in steps)
    width, height = 380, 90
    points = [f"M0 {height}"]
    last = height + 0.0
    drawn = -1.0
    for cycle, level in steps:
        x, y = width * cycle / max(1, until), height - (height - 8) * level / max(1, peak)
        if x - drawn < 0.05 and y >= last and cycle != steps[-1][0]:
            continue  # too close to the one before to be seen, and not higher
        points.append(f"H{x:.2f} V{y:.2f}")
        last, drawn = y, x
    points.append(f"H{width} V{height} Z")
    return (
        f"<figure><figcaption>{escape(name)} <small>peak {size(peak)} of {size(capacity)}, "
        f"{percent(peak / capacity)}{_scattered(peak, reach)}</small></figcaption>"
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(name)} over time">'
        f'<path class="held" d="{" ".join(points)}"/></svg></figure>'
    )


def _scattered(peak: int, reach: int) -> str:
    return f"; {size(reach)} at first-fit addresses" if reach > peak else ""

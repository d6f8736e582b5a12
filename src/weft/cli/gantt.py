"""A schedule as a few lines of text: cores and links against time, the height of a block is the share in use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from weft.report.timeline import Row, columns
from weft.report.words import cycles, percent, shorten

if TYPE_CHECKING:
    from rich.console import Console

BLOCKS = " ▁▂▃▄▅▆▇█"
LABEL = 16
MOST_LINKS = 6
"""Link rows shown: the busiest ones; the run folder's page has all of them."""


def gantt(screen: Console, cores: tuple[Row, ...], links: tuple[Row, ...], until: int) -> None:
    """Print the chart, or nothing where the terminal cannot show it."""
    width = min(screen.width, 160) - LABEL - 9
    if width < 20 or not (screen.encoding or "").lower().startswith("utf"):
        return
    from rich.text import Text

    screen.print()
    screen.print("Cores and links over time (height: share in use)", style="bold cyan")
    busiest = sorted(links, key=lambda row: -row.busy(until))[:MOST_LINKS]
    for row in (*cores, *(row for row in links if row in busiest)):
        line = Text(f"{shorten(row.name, LABEL - 1):<{LABEL}}")
        line.append(bar(columns(row, until, width)), style="green" if row.kind == "core" else "blue")
        line.append(f" {percent(row.busy(until)):>7}")
        screen.print(line, no_wrap=True)
    screen.print(" " * LABEL + axis(until, width), no_wrap=True)
    if len(links) > MOST_LINKS:
        screen.print(f"links in less use, in report.html only: {len(links) - MOST_LINKS}", style="dim")


def bar(shares: list[float]) -> str:
    """Shares of 0 to 1 as block characters; what is in use at all shows.

    >>> bar([0.0, 0.01, 0.5, 1.0])
    ' ▁▄█'
    """
    return "".join(BLOCKS[max(1, round(share * 8))] if share > 0 else " " for share in shares)


def axis(until: int, width: int) -> str:
    """Cycle numbers under a chart of `width` columns: at its start, its middle and its end.

    >>> axis(1000, 40)
    '0                  500             1,000'
    """
    middle, end = cycles(until // 2), cycles(until)
    line = "0".ljust(width // 2 - len(middle) // 2) + middle
    return line.ljust(width - len(end)) + end

"""Sweeps over time: at which moments do things that hold room, or book a rate, ask for more than there is."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction

Hold = tuple[int, int, int]
"""(from, to, amount): half-open, so what ends at a cycle makes room for what starts there."""


def peaks(holds: Iterable[Hold], most: int) -> Iterator[tuple[int, int] | None]:
    """One answer per moment at which something starts: None, or (cycle, amount held) where that first passes `most`.

    >>> list(peaks([(0, 4, 5), (4, 6, 5), (5, 7, 2)], 6))
    [None, None, (5, 7)]
    """
    changes: list[tuple[int, int]] = []
    for start, end, amount in holds:
        changes.append((start, amount))
        changes.append((end, -amount))
    changes.sort()  # at one cycle the negative amounts, the releases, come first
    held = 0
    above = False
    position = 0
    while position < len(changes):
        cycle, change = changes[position]
        starts = False
        while position < len(changes) and changes[position][0] == cycle:
            change = changes[position][1]
            held += change
            starts = starts or change > 0
            position += 1
        if starts:
            yield (cycle, held) if held > most and not above else None
        above = held > most


def rate_peaks(rates: Sequence[tuple[int, int, Fraction]], most: Fraction) -> Iterator[tuple[int, Fraction] | None]:
    """`peaks` for rates, exact: all are scaled to whole numbers by their common denominator."""
    scale = math.lcm(most.denominator, *{rate.denominator for _, _, rate in rates})
    holds = [(start, end, rate.numerator * (scale // rate.denominator)) for start, end, rate in rates]
    for peak in peaks(holds, most.numerator * (scale // most.denominator)):
        yield None if peak is None else (peak[0], Fraction(peak[1], scale))

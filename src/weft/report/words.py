"""Quantities as people read them, the same in terminal and page: three figures, a unit, thousands apart."""

from __future__ import annotations

import re
from collections.abc import Sequence

_ENERGY = ((1e12, "J"), (1e9, "mJ"), (1e6, "uJ"), (1e3, "nJ"), (1.0, "pJ"))
_TIME = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns"))
_SIZE = ((8 * 2**30, "GiB"), (8 * 2**20, "MiB"), (8 * 2**10, "KiB"), (8, "B"))
_COUNT = ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k"))


def figures(value: float) -> str:
    """Three figures, or all of an integer part longer than that.

    >>> figures(1.2345), figures(22.511), figures(1234.5), figures(0.0), figures(100)
    ('1.23', '22.5', '1,234', '0', '100')
    """
    if value == 0:
        return "0"
    size = abs(value)
    digits = 2 if size < 10 else 1 if size < 100 else 0
    return f"{value:,.{digits}f}" if size >= 0.01 else f"{value:.2g}"


def _scaled(value: float, scale: Sequence[tuple[float, str]]) -> str:
    for unit, name in scale:
        if abs(value) >= unit:
            return f"{figures(value / unit)} {name.strip()}"
    unit, name = scale[-1]
    return f"{figures(value / unit)} {name}"


def energy(pj: float) -> str:
    """
    >>> energy(15441059.2), energy(0)
    ('15.4 uJ', '0 pJ')
    """
    return _scaled(pj, _ENERGY)


def seconds(value: float) -> str:
    """
    >>> seconds(2.25e-05)
    '22.5 us'
    """
    return _scaled(value, _TIME)


def size(bits: float) -> str:
    """
    >>> size(2**24), size(12)
    ('2.00 MiB', '12 bit')
    """
    return f"{bits:g} bit" if 0 < bits < 64 and bits % 8 else _scaled(bits, _SIZE)


def amount(value: float) -> str:
    """A large count.

    >>> amount(12501632), amount(42)
    ('12.5 M', '42')
    """
    return _scaled(value, _COUNT) if abs(value) >= 1e3 else f"{value:g}"


def cycles(value: float) -> str:
    """
    >>> cycles(22511), cycles(2.5)
    ('22,511', '2.5')
    """
    return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"


def percent(share: float) -> str:
    """
    >>> percent(0.1356), percent(0.0), percent(1.2386)
    ('13.6 %', '0 %', '124 %')
    """
    return f"{figures(100 * share) if 100 * share >= 100 else f'{100 * share:.1f}' if share else '0'} %"


def shorten(text: str, width: int) -> str:
    """`text` with its middle left out where it is longer than `width`.

    >>> shorten("/layer1/layer1.0/conv1/Conv", 15)
    '/layer1…v1/Conv'
    """
    if len(text) <= width:
        return text
    head = (width - 1) // 2
    return text[:head] + "…" + text[len(text) - (width - 1 - head) :]


def several(names: Sequence[str]) -> str:
    """Names as a list; a run of numbers as a range.

    >>> several(["core0", "core1", "core2", "simd"])
    'core0-2 simd'
    """
    out: list[str] = []
    i = 0
    while i < len(names):
        match = re.fullmatch(r"(.*?)(\d+)", names[i])
        end = i
        if match:
            stem, first = match.group(1), int(match.group(2))
            while end + 1 < len(names) and names[end + 1] == f"{stem}{first + end + 1 - i}":
                end += 1
        out.append(f"{names[i]}-{names[end][len(match.group(1)) :]}" if match and end > i else names[i])
        i = end + 1
    return " ".join(out)

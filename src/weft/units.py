"""Quantities with units as users write them, and as the model keeps them: bit, bit/cycle, pJ, Hz, W."""

from __future__ import annotations

import re
from fractions import Fraction

from weft.errors import UserError, nearest

_NUMBER = r"[-+]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_QUANTITY = re.compile(rf"^\s*({_NUMBER})\s*(.*?)\s*$")

_SI = {"": Fraction(1), "k": Fraction(10**3), "M": Fraction(10**6), "G": Fraction(10**9), "T": Fraction(10**12)}
_IEC = {"Ki": Fraction(2**10), "Mi": Fraction(2**20), "Gi": Fraction(2**30), "Ti": Fraction(2**40)}
_SMALL = {
    "": Fraction(1),
    "m": Fraction(1, 10**3),
    "u": Fraction(1, 10**6),
    "n": Fraction(1, 10**9),
    "p": Fraction(1, 10**12),
    "f": Fraction(1, 10**15),
}


def _size_units() -> dict[str, Fraction]:
    table = {}
    for prefix, factor in {**_SI, **_IEC}.items():
        for word, bits in (("bit", 1), ("bits", 1), ("b", 1), ("B", 8), ("byte", 8), ("bytes", 8)):
            table[prefix + word] = factor * bits
    return table


_UNITS: dict[str, dict[str, Fraction]] = {
    "bit": _size_units(),
    "pJ": {prefix + "J": factor * 10**12 for prefix, factor in _SMALL.items()},
    "Hz": {prefix + "Hz": factor for prefix, factor in _SI.items()},
    "W": {prefix + "W": factor for prefix, factor in _SMALL.items()},
    "cycle": {"cycle": Fraction(1), "cycles": Fraction(1)},
}
_UNITS["bit/cycle"] = {f"{unit}/cycle": factor for unit, factor in _UNITS["bit"].items()}
_UNITS["pJ/bit"] = {
    f"{energy}/{size}": e / s
    for energy, e in _UNITS["pJ"].items()
    for size, s in (("bit", Fraction(1)), ("b", Fraction(1)), ("B", Fraction(8)), ("byte", Fraction(8)))
}

_SOME = {
    "bit": "bit, B, kB, KiB, MiB",
    "bit/cycle": "bit/cycle, B/cycle",
    "pJ": "fJ, pJ, nJ, uJ",
    "pJ/bit": "fJ/bit, pJ/bit, pJ/B",
    "Hz": "kHz, MHz, GHz",
    "W": "uW, mW, W",
    "cycle": "cycle",
}


def parse_quantity(value: object, unit: str) -> Fraction:
    """`value` in `unit`, exactly.

    Args:    value: a number (already in `unit`) or text such as "64 KiB".
             unit:  one of bit, bit/cycle, pJ, pJ/bit, Hz, W, cycle.
    Returns: the quantity [unit], as an exact fraction.
    Errors:  UserError when the text is no number, or its unit is not one of this quantity's.
    >>> int(parse_quantity("64 KiB", "bit"))
    524288
    >>> float(parse_quantity("1.2 nJ", "pJ"))
    1200.0
    """
    table = _UNITS[unit]
    if isinstance(value, bool):
        raise UserError(f"a quantity must be a number in {unit}, not {value}")
    if isinstance(value, int):
        return Fraction(value)
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            raise UserError(f"a quantity must be finite, not {value}", remedy=f"give it in {unit}")
        return Fraction(str(value))
    match = _QUANTITY.match(str(value))
    if match is None:
        raise UserError(f"a quantity must be a number with a unit, not '{value}'", remedy=f"for example '64 {unit}'")
    number, given = match.group(1).replace("_", ""), match.group(2)
    if given == "":
        return Fraction(number)
    if given not in table:
        raise UserError(
            f"the unit of '{value}' must be {unit} or a multiple, not '{given}'", remedy=_meant(given, unit)
        )
    return Fraction(number) * table[given]


def _meant(given: str, unit: str) -> str:
    """The unit that was likely meant by one that is none.

    >>> _meant("mhz", "Hz"), _meant("KB", "bit")
    ("did you mean 'MHz'?", "did you mean 'kB' (1000) or 'KiB' (1024)?")
    """
    near = nearest(given, list(_UNITS[unit]))
    if near is not None and unit == "bit" and near[0] in "kMGT" and near[1:2] != "i":
        power = _SI[near[0]].numerator
        binary = f"{near[0].upper()}i"
        return f"did you mean '{near}' ({power}) or '{binary}{near[1:]}' ({_IEC[binary].numerator})?"
    if near is not None:
        return f"did you mean '{near}'?"
    if unit == "bit/cycle" and given.endswith("/s"):
        return "divide by the clock: for example '64 bit/cycle'"
    if unit == "pJ" and given in _UNITS["pJ/bit"]:
        return "multiply by the bits of one access of the full width: for example '12 pJ'"
    return f"for example {_SOME[unit]}"


def whole(value: object, unit: str) -> int:
    """Like `parse_quantity`, for quantities that are counts: refuses a fraction of a bit or a cycle.

    >>> whole("2 KiB", "bit")
    16384
    """
    exact = parse_quantity(value, unit)
    if exact.denominator != 1:
        raise UserError(f"must be a whole number of {unit}, not '{value}'")
    return int(exact)

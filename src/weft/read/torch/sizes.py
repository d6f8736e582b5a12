"""Sizes that a program writes as expressions over its symbols (`Mul(Integer(17), Symbol('s77'))`), worked out."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Mapping
from functools import reduce
from operator import add, mul
from typing import TypeVar

T = TypeVar("T", int, str)

LONGEST = 4096
"""Characters of an expression that is still read."""


LARGEST = 1 << 63
"""What sizes stay below."""


class SizeError(ValueError):
    """An expression that is none, or that has no whole value."""


def symbols(text: str) -> tuple[str, ...]:
    """Names of the symbols in an expression, in order of appearance.

    >>> symbols("Add(Symbol('s1', integer=True), Mul(Integer(2), Symbol('s0')))")
    ('s1', 's0')
    """
    try:
        return tuple(dict.fromkeys(_names(_tree(text))))
    except RecursionError:
        raise SizeError("nested too deep") from None


def value(text: str, sizes: Mapping[str, int]) -> int:
    """What an expression comes to.

    Args:    text: as sympy's `srepr` prints it.   sizes: of its symbols.
    Errors:  SizeError where the text is no such expression, or its value is no whole number.
    >>> value("FloorDiv(Symbol('s0', positive=True), Integer(4))", {"s0": 9})
    2
    """
    try:
        return _value(_tree(text), sizes)
    except RecursionError:
        raise SizeError("nested too deep") from None


def _tree(text: str) -> ast.expr:
    if len(text) > LONGEST:
        raise SizeError(f"{len(text)} characters long")
    try:
        return ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise SizeError("no expression") from None


def _call(node: ast.expr) -> tuple[str, list[ast.expr]]:
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        raise SizeError("no expression")
    return node.func.id, node.args


def _names(node: ast.expr) -> Iterable[str]:
    name, arguments = _call(node)
    if name == "Symbol":
        yield _literal(arguments, str)
    elif name not in ("Integer", "Rational"):
        for argument in arguments:
            yield from _names(argument)


def _literal(arguments: list[ast.expr], kind: type[T]) -> T:
    if len(arguments) != 1:
        raise SizeError("no expression")
    try:
        literal = ast.literal_eval(arguments[0])
    except ValueError:
        literal = None
    if type(literal) is not kind:
        raise SizeError("no expression")
    return literal


def _value(node: ast.expr, sizes: Mapping[str, int]) -> int:
    name, arguments = _call(node)
    if name == "Integer":
        return _literal(arguments, int)
    if name == "Symbol":
        symbol = _literal(arguments, str)
        if symbol not in sizes:
            raise SizeError(f"symbol '{symbol}' has no size")
        return sizes[symbol]
    if name not in _FUNCTIONS or not arguments:
        raise SizeError(f"function {name}")
    try:
        result = _FUNCTIONS[name]([_value(argument, sizes) for argument in arguments])
    except (ZeroDivisionError, IndexError):
        raise SizeError("no value") from None
    if abs(result) >= LARGEST:
        raise SizeError("too large")
    return result


def _exact(values: list[int]) -> int:
    quotient, rest = divmod(values[0], values[1])
    if rest:
        raise SizeError(f"{values[0]} / {values[1]} is no whole number")
    return quotient


def _power(values: list[int]) -> int:
    if not 0 <= values[1] <= 16:
        raise SizeError(f"power {values[1]}")
    return int(values[0] ** values[1])


_FUNCTIONS: dict[str, Callable[[list[int]], int]] = {
    "Add": lambda values: reduce(add, values),
    "Mul": lambda values: reduce(mul, values),
    "Pow": _power,
    "PowByNatural": _power,
    "FloorDiv": lambda values: values[0] // values[1],
    "IntTrueDiv": _exact,
    "CleanDiv": _exact,
    "CeilDiv": lambda values: -(-values[0] // values[1]),
    "Mod": lambda values: values[0] % values[1],
    "PythonMod": lambda values: values[0] % values[1],
    "Max": max,
    "Min": min,
}
"""torch's own functions over sympy integers (torch/utils/_sympy/functions.py), and sympy's."""

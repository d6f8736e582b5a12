"""Small changes of a module's source, one at a time: what a slip of the hand might leave behind.

Comparisons at their border, exchanged operators, constants one off, conditions turned round, smallest for largest, what
is returned, statements left out. Left alone is what no run depends on: docstrings, annotations, decorators, assertions,
and `strict=` of zip.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import Any

COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
COMBINED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
NAMED = {
    "min": "max",
    "max": "min",
    "any": "all",
    "all": "any",
    "ceil": "floor",
    "floor": "ceil",
    "zeros": "ones",
    "ones": "zeros",
}
MODULE, CLASS = "module", "class "
"""How a site's function begins where it lies in none."""
DROPPED_WHERE = (ast.AugAssign, ast.Expr, ast.Raise)


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one module.

    Args:
        name:  file, function, the expression before and after, and which one of several alike: stays when lines move.
        lines: first and last line of the statement that changes.
        inside: it changes a function, so that a test must run one of these lines to see it.
        code:  the changed module, compiled.
    """

    name: str
    lines: tuple[int, int]
    inside: bool
    code: CodeType


@dataclass(frozen=True, slots=True)
class _Site:
    """A place in the tree and what may stand there instead; `shown` is the expression that a reader is told."""

    holder: Any
    field: str
    index: int | None
    new: ast.AST
    shown: ast.AST
    statement: ast.stmt
    function: str


def mutants(path: Path, called: str) -> Iterator[Mutant]:
    """Every change of one file, in the order of its text."""
    tree = ast.parse(path.read_text("utf-8"))
    seen: Counter[str] = Counter()
    for site in list(_sites(tree)):
        before, old = _told(site.shown), _get(site)
        _put(site, ast.fix_missing_locations(ast.copy_location(site.new, old)))
        if site.shown is old:
            after = _told(site.new)
        else:
            after = _told(site.shown)
        code = compile(tree, str(path), "exec") if before != after else None
        _put(site, old)
        name = f"{called} {site.function.removeprefix(CLASS)}: {before} -> {after}"
        seen[name] += 1
        if code is not None:
            number = f" #{seen[name]}" if seen[name] > 1 else ""
            yield Mutant(name + number, _lines(site.statement), not site.function.startswith((CLASS, MODULE)), code)


def _told(node: ast.AST) -> str:
    """An expression on one line."""
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= 110 else text[:70] + " ... " + text[-35:]


def _get(site: _Site) -> Any:
    value = getattr(site.holder, site.field)
    return value if site.index is None else value[site.index]


def _put(site: _Site, node: Any) -> None:
    if site.index is None:
        setattr(site.holder, site.field, node)
    else:
        getattr(site.holder, site.field)[site.index] = node


def _lines(statement: ast.stmt) -> tuple[int, int]:
    """The lines of a statement, without the body of a loop or condition."""
    body = getattr(statement, "body", None)
    if body and not isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return statement.lineno, max(statement.lineno, body[0].lineno - 1)
    return statement.lineno, statement.end_lineno or statement.lineno


def _sites(tree: ast.Module) -> Iterator[_Site]:
    yield from _body(tree, "body", MODULE)


def _body(holder: Any, field: str, function: str) -> Iterator[_Site]:
    for index, statement in enumerate(getattr(holder, field)):
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            inner = f"{function.removeprefix(MODULE).removeprefix(CLASS)}.{statement.name}".lstrip(".")
            if isinstance(statement, ast.FunctionDef):
                for position, default in enumerate(statement.args.defaults):
                    yield from _expression(statement.args, "defaults", position, default, default, statement, MODULE)
            yield from _body(statement, "body", inner if isinstance(statement, ast.FunctionDef) else CLASS + inner)
            continue
        if isinstance(statement, ast.Import | ast.ImportFrom | ast.Assert | ast.Pass) or _documents(statement):
            continue
        yield from _statement(holder, field, index, statement, function)
        for part in ("body", "orelse", "finalbody"):
            if getattr(statement, part, None):
                yield from _body(statement, part, function)
        for handler in getattr(statement, "handlers", []):
            yield from _body(handler, "body", function)


def _documents(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _statement(holder: Any, field: str, index: int, statement: ast.stmt, function: str) -> Iterator[_Site]:
    def instead(new: ast.AST) -> _Site:
        return _Site(holder, field, index, new, statement, statement, function)

    stored = isinstance(statement, ast.Assign) and not isinstance(statement.targets[0], ast.Name | ast.Tuple)
    if function != MODULE and (stored or isinstance(statement, DROPPED_WHERE)):
        yield instead(ast.Pass())
    if isinstance(statement, ast.Break):
        yield instead(ast.Continue())
    if isinstance(statement, ast.Continue):
        yield instead(ast.Break())
    if isinstance(statement, ast.Return) and not (statement.value is None or _is(statement.value, None)):
        yield instead(ast.Return(ast.Constant(None)))
    if isinstance(statement, ast.AugAssign):
        swapped = COMBINED.get(type(statement.op))
        if swapped:
            yield _Site(statement, "op", None, swapped(), statement, statement, function)
        yield instead(ast.Assign([statement.target], statement.value))
    if isinstance(statement, ast.If | ast.While) and not _turned_anyway(statement.test):
        yield _negated(statement, "test", None, statement.test, statement, function)
    for name, value in ast.iter_fields(statement):
        if name in ("annotation", "body", "orelse", "finalbody", "handlers", "op"):
            continue
        for position, node in _listed(value):
            if isinstance(node, ast.expr):
                yield from _expression(statement, name, position, node, node, statement, function)
            elif isinstance(node, ast.withitem):
                yield from _expression(node, "context_expr", None, node.context_expr, node, statement, function)


def _listed(value: Any) -> list[tuple[int | None, Any]]:
    return list(enumerate(value)) if isinstance(value, list) else [(None, value)]


def _is(node: ast.AST, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def _turned_anyway(test: ast.expr) -> bool:
    """Whether another change says the opposite of a condition: without its `not`, or with `!=` for `==`."""
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        return isinstance(test.ops[0], ast.Eq | ast.NotEq | ast.Is | ast.IsNot | ast.In | ast.NotIn)
    return isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)


def _negated(holder: Any, field: str, index: int | None, test: ast.expr, statement: ast.stmt, function: str) -> _Site:
    return _Site(holder, field, index, ast.UnaryOp(ast.Not(), test), test, statement, function)


def _expression(
    holder: Any, field: str, index: int | None, node: ast.expr, shown: ast.AST, statement: ast.stmt, function: str
) -> Iterator[_Site]:
    """Changes of an expression and of all that it is made of."""

    def instead(new: ast.AST, where: Any = None, name: str = "", position: int | None = None) -> _Site:
        if where is None:
            return _Site(holder, field, index, new, shown, statement, function)
        return _Site(where, name, position, new, node, statement, function)

    match node:
        case ast.Constant(value=bool(value)):
            yield instead(ast.Constant(not value))
        case ast.Constant(value=int(value)):
            yield instead(ast.Constant(value + 1))
            if value and not isinstance(holder, ast.Subscript | ast.Tuple):
                yield instead(ast.Constant(value - 1))
        case ast.Constant(value=float(value)):
            yield instead(ast.Constant(value * 2 + 1))
        case ast.Constant(value=str(value)):
            yield instead(ast.Constant(value + "?"))
        case ast.Compare():
            for position, operator in enumerate(node.ops):
                yield instead(COMPARED[type(operator)](), node, "ops", position)
        case ast.BinOp() if type(node.op) in COMBINED:
            yield instead(COMBINED[type(node.op)](), node, "op")
        case ast.BoolOp():
            yield instead(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node, "op")
        case ast.UnaryOp(op=ast.Not()):
            yield instead(node.operand)
        case ast.UnaryOp(op=ast.USub()) if not isinstance(node.operand, ast.Constant):
            yield instead(node.operand)
        case ast.IfExp() if not _turned_anyway(node.test):
            yield _negated(node, "test", None, node.test, statement, function)
        case ast.Name(id=name, ctx=ast.Load()) if name in NAMED:
            yield instead(ast.Name(NAMED[name], ast.Load()))
        case ast.Attribute(attr=name, ctx=ast.Load()) if name in NAMED:
            yield instead(ast.Attribute(node.value, NAMED[name], node.ctx))
    for name, value in ast.iter_fields(node):
        for position, child in _listed(value):
            if isinstance(child, ast.expr):
                # A reader is told the expression around a name or number.
                around = node if isinstance(child, ast.Constant | ast.Name | ast.Attribute | ast.UnaryOp) else child
                if isinstance(node, ast.JoinedStr):
                    around = node
                yield from _expression(node, name, position, child, around, statement, function)
            elif isinstance(child, ast.keyword) and child.arg != "strict":
                yield from _expression(child, "value", None, child.value, node, statement, function)
            elif isinstance(child, ast.comprehension):
                yield from _expression(child, "iter", None, child.iter, child.iter, statement, function)
                for number, test in enumerate(child.ifs):
                    if not _turned_anyway(test):
                        yield _negated(child, "ifs", number, test, statement, function)
                    yield from _expression(child, "ifs", number, test, test, statement, function)

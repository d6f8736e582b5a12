"""Puts a changed module in the place of a loaded one, wherever that has been imported: for a process of its own."""

from __future__ import annotations

import sys
from functools import cached_property
from types import CodeType, FunctionType, ModuleType
from typing import Any


def plant(module: ModuleType, code: CodeType) -> None:
    """Runs the changed module beside the loaded one, whose functions, classes and constants get what is new."""
    changed: dict[str, Any] = {
        key: value for key, value in vars(module).items() if key.startswith("__") and key.endswith("__")
    }
    exec(code, changed)
    for name, new in changed.items():
        old = vars(module).get(name)
        made = new if isinstance(new, type) else _function(new)
        if name.startswith("__") or old is new or getattr(made, "__module__", module.__name__) != module.__name__:
            continue
        if made is not None:
            _renew(old, new)
        else:
            _everywhere(name, old, new)
    forget()


def forget() -> None:
    """Empties what weft and the tests remember of earlier calls; oracles may remember, they call nothing of weft's."""
    for name, module in list(sys.modules.items()):
        if name.startswith("weft.") or (name.startswith("tests.") and not name.startswith("tests.oracles")):
            for thing in list(vars(module).values()):
                if hasattr(thing, "cache_clear") and f"{thing.__module__}.{thing.__qualname__}" not in REMEMBERED:
                    thing.cache_clear()


REMEMBERED = {
    "tests.cost.test_few_nests.nests",
    "tests.mapper.test_few_problems.known",
    "tests.mapper.test_mapper.tried",
}
"""What the loops count: the results of these outlast a change."""


def _function(thing: Any) -> FunctionType | None:
    """The function under a kernel, a cache, a property, or itself."""
    for name in ("_function", "__wrapped__", "fget", "func"):
        if isinstance(inner := getattr(thing, name, None), FunctionType):
            return inner
    return thing if isinstance(thing, FunctionType) else None


def _renew(old: Any, new: Any) -> None:
    if isinstance(new, type):
        for name, thing in vars(new).items():
            if isinstance(thing, FunctionType | property | cached_property) and name in vars(old):
                _renew(vars(old)[name], thing)
        return
    mine, other = _function(old), _function(new)
    if mine is not None and other is not None and len(mine.__code__.co_freevars) == len(other.__code__.co_freevars):
        mine.__code__ = other.__code__
        mine.__defaults__ = other.__defaults__
        mine.__kwdefaults__ = other.__kwdefaults__


def _everywhere(name: str, old: Any, new: Any) -> None:
    for other, module in list(sys.modules.items()):
        if other.startswith(("weft.", "tests.")) and vars(module).get(name, sys) is old:
            setattr(module, name, new)

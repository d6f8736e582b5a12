"""The one door to numba: `kernel` compiles a function of validated arrays and keeps the machine code on disk.

Numba is imported, and the function compiled or its machine code read, when a kernel is first called: a run whose
mappings are all known from earlier ones needs neither.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., object])

before_compiling: list[Callable[[], None]] = []
"""Called, and taken out, before the first kernel is compiled whose machine code is not on disk."""


def kernel(function: F) -> F:
    """Compile for machine code at first use, cached across runs (numba honours NUMBA_DISABLE_JIT=1).

    A kernel raises nothing: its arrays are valid, so neither indices nor divisors are checked.
    """
    assert isinstance(function, FunctionType)
    return cast(F, _Kernel(function, {}))


def kernel_in_place(function: F) -> F:
    """A kernel that makes no arrays, and calls only kernels that make none: it counts no references to them, which
    takes longer than the work where many are handed on at every step."""
    assert isinstance(function, FunctionType)
    return cast(F, _Kernel(function, {"_nrt": False}))


class _Kernel:
    """A function that is compiled when it is first called."""

    def __init__(self, function: FunctionType, options: dict[str, bool]) -> None:
        self._function = function
        self._options = options
        self._compiled: Callable[..., object] | None = None
        self._called = False
        self.__doc__ = function.__doc__

    def __call__(self, *arguments: object) -> object:
        compiled = self.ready()
        if not self._called:
            self._called = True
            if before_compiling and not kept(compiled):
                before_compiling.pop()()
        return compiled(*arguments)

    def ready(self) -> Callable[..., object]:
        """What numba makes of it: kernels that it calls by name must be numba's too before it is compiled."""
        if self._compiled is None:
            from numba import njit

            self._compiled = cast(
                Callable[..., object],
                njit(cache=True, nogil=True, error_model="numpy", **self._options)(self._function),
            )
            names = self._function.__globals__
            for name, thing in list(names.items()):
                if isinstance(thing, _Kernel):
                    names[name] = thing.ready()
            _follow_sources(self._compiled)
        return self._compiled


def _follow_sources(compiled: Any) -> None:
    """Have machine code on disk go stale with any file of kernels that are part of it; numba looks at its own alone."""
    index = getattr(getattr(compiled, "_cache", None), "_cache_file", None)
    if index is not None:
        index._source_stamp = tuple((path.name, *_stamp(path)) for path in _sources(compiled))


def _stamp(path: Path) -> tuple[float, int]:
    found = path.stat()
    return found.st_mtime, found.st_size


def _sources(compiled: Any) -> list[Path]:
    """The file of a kernel, and those of all kernels that its file knows by name, and so on."""
    files: dict[str, None] = {}
    todo = [compiled.py_func]
    while todo:
        function = todo.pop()
        if function.__code__.co_filename not in files:
            files[function.__code__.co_filename] = None
            todo += [thing.py_func for thing in function.__globals__.values() if hasattr(thing, "py_func")]
    return [Path(name) for name in sorted(files)]


def kept(compiled: Any) -> bool:
    """Whether the machine code of a compiled function is on disk, no older than its sources."""
    stats = getattr(compiled, "stats", None)
    if stats is None:
        return True  # plain Python: NUMBA_DISABLE_JIT is set
    code = compiled.py_func.__code__
    source = Path(code.co_filename)
    indices = Path(stats.cache_path).glob(f"{source.stem}.{compiled.py_func.__qualname__}-{code.co_firstlineno}.*.nbi")
    newest = max(path.stat().st_mtime for path in _sources(compiled))
    return any(index.stat().st_mtime >= newest for index in indices)

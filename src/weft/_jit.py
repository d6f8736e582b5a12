"""The one door to numba: `kernel` compiles a function of validated arrays and keeps the machine code on disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

F = TypeVar("F", bound=Callable[..., object])


def kernel(function: F) -> F:
    """Compile for machine code at first use, cached across runs (numba honours NUMBA_DISABLE_JIT=1)."""
    from numba import njit

    compiled: F = njit(cache=True, nogil=True)(function)
    return compiled

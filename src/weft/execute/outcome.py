"""What executing a schedule came to: a noun that needs nothing of what executes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Status = Literal["exact", "close", "failed", "not-run"]

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, of)."""


@dataclass(frozen=True, slots=True)
class Numerics:
    """What execution came to.

    Args:
        max_abs_error: the largest difference of any element, in its own unit; None where nothing was compared.
        reason: what was compared, what differs most, or why nothing was run.
    """

    status: Status
    max_abs_error: float | None
    reason: str


def not_run(reason: str) -> Numerics:
    """That nothing was executed, and why."""
    return Numerics("not-run", None, reason)

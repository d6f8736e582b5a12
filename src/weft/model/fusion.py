"""What is settled of a schedule before a search: which ops run together, in how many steps, and where ops run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Together:
    """Ops that run together, step by step.

    Args:
        ops:   names, in the network's order, none left out between them.
        axis:  dim of the last op along which steps are taken; None: any.
        steps: how many; None: any number.
    """

    ops: tuple[str, ...]
    axis: str | None = None
    steps: int | None = None


@dataclass(frozen=True, slots=True)
class Spot:
    """Where an op runs.

    Args:
        op:     its name.
        cores:  one or several.
        split:  (dim, ways) along which its tiles are split over the cores; empty: its steps take the cores in turn.
        stream: whether its operands pass by while it runs.
    """

    op: str
    cores: tuple[str, ...]
    split: tuple[tuple[str, int], ...] = ()
    stream: bool = False


@dataclass(frozen=True, slots=True)
class Fusion:
    """Groups and placements; of ops that it does not name nothing is settled."""

    groups: tuple[Together, ...]
    placements: tuple[Spot, ...] = ()

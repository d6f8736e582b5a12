"""The energy-latency front of one op tile on one core: for every time the least energy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from weft.mapper.solve import Mapped, best_mapping
from weft.model.mapping import Problem
from weft.model.schedule import Infeasible

MOST_POINTS = 16
"""Points of a front; where there are more, they are spread evenly over the ratio of latencies."""


@dataclass(frozen=True, slots=True)
class Front:
    """Mappings of which none is beaten in both energy and latency.

    Args:
        points: fastest first; each has the least energy of all that are no slower.
        whole:  there are no others.
    """

    points: tuple[Mapped, ...]
    whole: bool


def front(problem: Problem, spatial: Literal["fixed", "free"] = "fixed", most: int = MOST_POINTS) -> Front | Infeasible:
    """The front of a problem, from the thriftiest mapping down to the fastest.

    Each point is the least energy under a deadline, so it is on the front exactly where it is proved optimal.

    Returns: at most `most` points; or why nothing fits.
    """
    slowest = best_mapping(problem, "energy", spatial)
    if isinstance(slowest, Infeasible):
        return slowest
    fastest = best_mapping(problem, "latency", spatial)
    assert isinstance(fastest, Mapped), "what can be mapped for energy can be mapped for latency"
    least, points = fastest.price.latency_cycles, [slowest]
    ratio = (least / slowest.price.latency_cycles) ** (1 / max(1, most - 1))
    whole = True
    while points[-1].price.latency_cycles > least:
        next_one = points[-1].price.latency_cycles - 1
        spread = max(least, int(slowest.price.latency_cycles * ratio ** len(points)))
        if len(points) == most - 1:
            spread = least
        tight = best_mapping(problem, "energy", spatial, deadline=min(next_one, spread))
        assert isinstance(tight, Mapped), "the fastest mapping keeps every deadline that it meets"
        whole &= spread >= next_one
        if tight.price.energy_pj <= points[-1].price.energy_pj:
            points.pop()  # what ties in energy is no point beside what is faster
        points.append(tight)
    return Front(tuple(reversed(points)), whole)

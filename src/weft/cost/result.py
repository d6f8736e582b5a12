"""What pricing a mapping gives: traffic per flow, room per memory, latency and energy in parts that sum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from weft.model.chip import Flow


@dataclass(frozen=True, slots=True)
class FlowTotal:
    """One flow of one operand over the whole nest, all instances together.

    Args:
        memory, port: where it is counted; for a link its name and its lane (one for both directions if half duplex).
        flow:    one of the four flows, or "link".
        bits:    bits moved.
        accesses: port accesses of the smallest size (0 for a link).
        busy_cycles: core cycles that it occupies the port of the busiest instance, summed over steps.
        pj:      energy.
    """

    operand: str
    cut: int
    memory: str
    port: str
    flow: Flow | Literal["link"]
    bits: int
    accesses: int
    busy_cycles: int
    pj: float


@dataclass(frozen=True, slots=True)
class Room:
    """Bits that one operand reserves in one instance of a memory, copies included."""

    operand: str
    memory: str
    bits: int


@dataclass(frozen=True, slots=True)
class Price:
    """Latency [core cycles] and energy [pJ] of one mapping. See docs/cost.md."""

    launch_cycles: int
    fill_cycles: int
    compute_cycles: int
    exposed_cycles: int
    skew_cycles: int
    drain_cycles: int
    busy: tuple[tuple[str, int], ...]
    op_pj: float
    active_pj: float
    flows: tuple[FlowTotal, ...]
    room: tuple[Room, ...]

    @property
    def steady_cycles(self) -> int:
        """max(compute + exposed + skew, busy of each port and link)."""
        work = self.compute_cycles + self.exposed_cycles + self.skew_cycles
        return max([work, *(cycles for _, cycles in self.busy)])

    @property
    def latency_cycles(self) -> int:
        return self.launch_cycles + self.fill_cycles + self.steady_cycles + self.drain_cycles

    @property
    def energy_pj(self) -> float:
        return self.op_pj + self.active_pj + sum(flow.pj for flow in self.flows)

    @property
    def edp(self) -> float:
        """Energy-delay product [pJ x cycles]."""
        return self.energy_pj * self.latency_cycles

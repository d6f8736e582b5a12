"""What pricing by ZigZag's rules gives: words per flow, energy and latency in parts that sum."""

from __future__ import annotations

from dataclasses import dataclass

from weft.model.workload import Slot


@dataclass(frozen=True, slots=True)
class Words:
    """Full-width accesses of one operand in all instances of one memory, under ZigZag's names.

    Args:
        rd_out_to_low:  weft's `to_below`.     wr_in_by_low:  weft's `from_below`.
        rd_out_to_high: weft's `to_above`.     wr_in_by_high: weft's `from_above`.
    """

    rd_out_to_low: int = 0
    wr_in_by_low: int = 0
    rd_out_to_high: int = 0
    wr_in_by_high: int = 0

    @property
    def reads(self) -> int:
        return self.rd_out_to_low + self.rd_out_to_high

    @property
    def writes(self) -> int:
        return self.wr_in_by_low + self.wr_in_by_high


@dataclass(frozen=True, slots=True)
class ZigzagShare:
    """What one operand costs in one memory: words and energy [pJ]."""

    slot: Slot
    memory: str
    words: Words
    pj: float


@dataclass(frozen=True, slots=True)
class ZigzagPrice:
    """Energy [pJ] and latency [cycles] of one mapping by ZigZag's rules.

    Args:
        shares:  one per operand and memory, operands in the mapping's order, innermost memory first.
        ideal_cycles: MACs over the array's units, rounded up.
        ideal_temporal_cycles: product of the temporal loops.
        stall_cycles: the longest over all ports of `stalls`, at least 0.
        stalls:  ("memory.port", cycles) before the maximum; negative is slack.
        onload_cycles, offload_cycles: before and after; not whole where idle port time is shared out.
        ends:    ("operand memory flow", cycles) of the transfers that on- and off-loading are made of; idle port time
                 may have shortened them, below zero at times.
        busy:    ("memory.port", full-width cycles of one instance) from the words above; latency does not use it.
    """

    mac_pj: float
    shares: tuple[ZigzagShare, ...]
    ideal_cycles: int
    ideal_temporal_cycles: int
    stalls: tuple[tuple[str, float], ...]
    onload_cycles: float
    offload_cycles: float
    ends: tuple[tuple[str, float], ...]
    busy: tuple[tuple[str, float], ...]

    @property
    def energy_pj(self) -> float:
        return self.mac_pj + sum(share.pj for share in self.shares)

    @property
    def stall_cycles(self) -> float:
        return max([0.0, *(cycles for _, cycles in self.stalls)])

    @property
    def latency_cycles(self) -> float:
        return self.ideal_temporal_cycles + self.stall_cycles + self.onload_cycles + self.offload_cycles

    @property
    def below_roofline(self) -> tuple[str, ...]:
        """Ports that are busy for longer than the latency."""
        return tuple(name for name, cycles in self.busy if cycles > self.latency_cycles)

    def share(self, slot: Slot, memory: str) -> ZigzagShare:
        return next(share for share in self.shares if share.slot == slot and share.memory == memory)

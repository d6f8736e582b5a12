"""What a chip has, in a few figures."""

from __future__ import annotations

import math

from weft.model.chip import Chip, Core
from weft.model.workload import MAC_KINDS


def peak_macs_per_cycle(chip: Chip) -> float:
    """MACs per base cycle of all cores that take convolutions or matrix products."""
    return sum(core.units * core.clock_hz / chip.base_clock_hz for core in chip.cores if core.ops & MAC_KINDS)


def instances(chip: Chip, memory: str) -> int:
    """How many instances of a memory there are: one per position along the array sides that it does not serve."""
    found = [_instances(core, memory) for core in chip.cores if any(level.memory == memory for level in core.levels)]
    return max(found, default=1)


def _instances(core: Core, memory: str) -> int:
    serves = next(level.serves for level in core.levels if level.memory == memory)
    return math.prod(side.size for side in core.array if side.name not in serves)


def on_chip_bits(chip: Chip) -> int:
    """Bits of all memories but the outermost, registers included."""
    return sum(m.size_bits * instances(chip, m.name) for m in chip.memories if m.name != chip.outermost)


def idle(chip: Chip) -> tuple[str, ...]:
    """Shared memories that a schedule never puts anything in: not outermost, and no core works from them."""
    used = {level.memory for core in chip.cores for level in core.levels} | {chip.outermost}
    return tuple(memory.name for memory in chip.memories if memory.name not in used)

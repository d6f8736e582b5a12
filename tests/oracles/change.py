"""Problems with one thing of their chip changed: what more of it may do to a price is a law."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from weft.model.chip import Chip, Link, Memory
from weft.model.mapping import Problem


def with_memories(problem: Problem, change: Callable[[Memory], Memory]) -> Problem:
    return replace(problem, chip=replace(problem.chip, memories=tuple(map(change, problem.chip.memories))))


def widened(problem: Problem, name: str) -> Problem:
    """One memory or link with twice the bandwidth; energy per bit, smallest access and leakage stay."""

    def double(memory: Memory) -> Memory:
        if memory.name != name:
            return memory
        ports = tuple(replace(port, bandwidth_bits=2 * port.bandwidth_bits) for port in memory.ports)
        return replace(memory, ports=ports, read_pj=2 * memory.read_pj, write_pj=2 * memory.write_pj)

    def wide(link: Link) -> Link:
        return replace(link, bandwidth_bits=2 * link.bandwidth_bits) if link.name == name else link

    chip: Chip = with_memories(problem, double).chip
    return replace(problem, chip=replace(chip, links=tuple(map(wide, chip.links))))


def enlarged(problem: Problem, name: str) -> Problem:
    """One memory with twice the room and a bit more."""
    free = tuple((other, bits * (2 if other == name else 1)) for other, bits in problem.setting.free_bits)
    larger = with_memories(problem, lambda m: replace(m, size_bits=2 * m.size_bits + 1) if m.name == name else m)
    return replace(larger, setting=replace(problem.setting, free_bits=free))


def without_systolic(problem: Problem) -> Chip:
    """The chip with an array whose weights do not rest: turned round, inputs would have to, which no array does."""
    core = replace(problem.core, systolic=None)
    return replace(problem.chip, cores=tuple(core if item is problem.core else item for item in problem.chip.cores))

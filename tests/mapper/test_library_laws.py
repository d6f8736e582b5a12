"""More room or bandwidth anywhere on a library chip never worsens what is proved best: every memory, port and link on
the way of some layer's data, for every objective."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.mapper.test_library import layer
from tests.oracles.change import enlarged, widened, with_memories
from weft.chips import library
from weft.mapper import Objective, best_mapping
from weft.mapper.kept import bared
from weft.mapper.solve import OBJECTIVES, value
from weft.model.chip import Chip, Core, Memory
from weft.model.mapping import Problem
from weft.model.schedule import Infeasible
from weft.read.chip import read_chip
from weft.read.precision import assume_precision
from weft.run.run import streaming_problem
from weft.schedule.shared import Mapper

KINDS = ("middle", "depthwise", "gemm", "pool", "add")
"""Layers (see `test_library.layer`), of which a core maps those that it takes."""

MATRIX = 64
"""A core of more units is asked for convolutions and products, too: on a CPU, of one, their proofs take minutes."""

ROUNDING = 1e-12


def alike(memory: Memory) -> Memory:
    """What memories have in common that are one another's twins in cores of one sort."""
    return replace(memory, name=memory.name.rpartition(".")[2], assumed="")


def problems(chip: Chip) -> Iterator[tuple[str, Problem]]:
    """A problem of each kind on each sort of core, nothing else of the chip in it."""
    sorts: dict[object, Core] = {}
    for core in chip.cores:
        memories = tuple(alike(chip.memory(level.memory)) for level in core.levels)
        sorts.setdefault((core.array, core.ops, memories), core)
    for core in sorts.values():
        for kind in KINDS:
            workload, op = layer(kind)
            if op.kind in core.ops and (core.units > MATRIX or kind in ("pool", "add")):
                assumed, _ = assume_precision(workload, chip.precision)
                op = next(item for item in assumed.ops if item.name == op.name)
                mapper = Mapper(assumed, chip, "edp", "fixed")
                yield f"{kind} on {chip.name}'s {core.name}", bared(streaming_problem(mapper, op, core, chip))


def with_more(problem: Problem) -> Iterator[tuple[str, Problem]]:
    """The problem with one memory larger or wider, one port alone wider, or one link wider."""
    for memory in problem.chip.memories:
        yield f"room of {memory.name}", enlarged(problem, memory.name)
        yield f"ports of {memory.name}", widened(problem, memory.name)
        for port in memory.ports:
            # An access of the full width costs the same, so a bit costs less, too.
            ports = tuple(
                replace(item, bandwidth_bits=2 * item.bandwidth_bits) if item is port else item for item in memory.ports
            )
            wider = replace(memory, ports=ports)
            yield (
                f"{port.name} of {memory.name}",
                with_memories(problem, lambda item, old=memory, new=wider: new if item is old else item),
            )
    for link in problem.chip.links:
        yield f"link {link.name}", widened(problem, link.name)


def known(problem: Problem, objective: Objective) -> tuple[float, float]:
    """(what no mapping beats, what was found): the same where that is proved; infinite where nothing fits."""
    found = best_mapping(problem, objective)
    inf = float("inf")
    return (inf, inf) if isinstance(found, Infeasible) else (found.bound, value(found.price, objective)[0])


def worse_with_more(name: str, problem: Problem, objectives: tuple[Objective, ...]) -> tuple[list[str], int, int]:
    """What is surely worse with more; how many comparisons there were of proved optima, and in all."""
    found, proved, compared = [], 0, 0
    for objective in objectives:
        _, before = known(problem, objective)
        for what, changed in with_more(problem):
            bound, after = known(changed, objective)
            proved += bound == after
            compared += 1
            if bound > before * (1 + ROUNDING):
                found.append(f"{name}, {objective}, {what}: {bound} is worse than {before}")
    return found, proved, compared


def test_every_memory_of_the_library_is_on_the_way_of_some_data() -> None:
    for chip in map(read_chip, library()):
        seen = {alike(memory) for _, problem in problems(chip) for memory in problem.chip.memories}
        assert {alike(memory) for memory in chip.memories} - seen == set(), chip.name


@pytest.mark.parametrize("name", ["tpu_like", "hetero_quad"])
def test_more_of_anything_on_a_chip_never_worsens_an_optimum(name: str) -> None:
    for label, problem in problems(read_chip(name)):
        if label.startswith(("gemm", "pool", "add")):
            wrong, proved, compared = worse_with_more(label, problem, ("edp",))
            assert wrong == []
            assert proved == compared


@pytest.mark.verify
@pytest.mark.parametrize("name", library())
def test_more_of_anything_on_any_chip_never_worsens_any_optimum(name: str) -> None:
    """What is proved afterwards is no worse than what was found before; the rest is bounded by it."""
    proved = compared = 0
    for label, problem in problems(read_chip(name)):
        wrong, sure, there = worse_with_more(label, problem, tuple(OBJECTIVES))
        assert wrong == []
        proved += sure
        compared += there
    print(name, f"{proved} of {compared} comparisons with a proved optimum")
    assert proved > 0.8 * compared

"""The price of a mapping: latency and energy in parts that sum. Each line here is one line of docs/cost.md."""

from __future__ import annotations

from dataclasses import replace

from weft.cost.result import Price
from weft.cost.traffic import CutTraffic, rooms, traffic
from weft.cost.units import op_pj, passes
from weft.model.mapping import Mapping, Problem


def price(problem: Problem, mapping: Mapping) -> Price:
    """Latency [core cycles] and energy [pJ] of one mapping.

    latency = launch + fill + max(compute + exposed + skew, busy of each port and link) + drain
    The mapping must be legal (`weft.cost.legal.broken` says whether it is).
    Source:  docs/cost.md.
    """
    core = problem.core
    every = traffic(problem, mapping)
    busy: dict[str, int] = {}
    for item in every:
        for flow in item.flows:
            name = flow.port if flow.flow == "link" else f"{flow.memory}.{flow.port}"
            busy[name] = busy.get(name, 0) + flow.busy_cycles
    compute = passes(problem)
    for dim, size in problem.op.dims:
        compute *= -(-size // mapping.unrolled(dim))
    parts = Price(
        launch_cycles=core.launch_cycles,
        fill_cycles=sum(item.first_cycles for item in every if item.cut.index),
        compute_cycles=compute,
        exposed_cycles=sum(_exposed(problem, item) for item in every),
        skew_cycles=_skew(problem, every),
        drain_cycles=sum(item.last_cycles for item in every if item.cut.index),
        busy=tuple(sorted(busy.items())),
        op_pj=op_pj(problem) * problem.op.iterations,
        active_pj=0.0,
        flows=tuple(flow for item in every for flow in item.flows),
        room=tuple(
            room
            for operand in problem.op.operands
            for room in rooms(problem, tuple(item for item in every if item.cut.operand is operand))
        ),
    )
    return replace(parts, active_pj=active_pj_per_cycle(problem) * parts.latency_cycles)


def active_pj_per_cycle(problem: Problem) -> float:
    """Energy per core cycle beside operations and memories: the core's own, and the chip's static share [pJ]."""
    chip, core = problem.chip, problem.core
    return core.active_pj_per_cycle + chip.static_pj_per_cycle * chip.base_clock_hz / core.clock_hz


def _exposed(problem: Problem, item: CutTraffic) -> int:
    """Cycles in which the array waits because the memory below a cut has one copy only."""
    lower = item.cut.lower
    if lower is None or problem.chip.memory(lower.memory).buffering != "single":
        return 0
    return item.total_cycles - item.first_cycles - item.last_cycles


def _skew(problem: Problem, every: tuple[CutTraffic, ...]) -> int:
    """Fill and empty the array's diagonal once per fold."""
    systolic = problem.core.systolic
    if systolic is None:
        return 0
    sides = {dim.name: dim.size for dim in problem.core.array}
    folds = next(
        (item.steps for item in every if item.cut.index == 1 and item.cut.operand.slot == systolic.stationary), 1
    )
    return folds * (sides[systolic.rows] + sides[systolic.columns] - 2)

"""The tellings of the cost model, each as a function from a problem and a mapping to what the loop oracle counts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

import numpy as np

from tests.oracles.loops import Counted, FlowKey
from weft.cost import price
from weft.cost.cuts import cuts
from weft.cost.price import active_pj_per_cycle
from weft.cost.tables import BUSY, ENDS, ENERGY, EXPOSED, Lattice, table_of
from weft.cost.traffic import pipes
from weft.cost.units import op_pj
from weft.model.mapping import Mapping, Problem

Telling = Callable[[Problem, Mapping], Counted]


def formula(problem: Problem, mapping: Mapping) -> Counted:
    """`weft.cost.price`."""
    told = price(problem, mapping)
    flows: dict[FlowKey, tuple[int, int, int]] = defaultdict(lambda: (0, 0, 0))
    for flow in told.flows:
        key = (flow.operand, flow.cut, flow.memory, flow.port, str(flow.flow))
        bits, accesses, busy = flows[key]
        flows[key] = (bits + flow.bits, accesses + flow.accesses, busy + flow.busy_cycles)
    return Counted(
        flows=dict(flows),
        busy=dict(told.busy),
        room={(room.operand, room.memory): room.bits for room in told.room},
        compute=told.compute_cycles,
        fill=told.fill_cycles,
        drain=told.drain_cycles,
        exposed=told.exposed_cycles,
        skew=told.skew_cycles,
        launch=told.launch_cycles,
        energy_pj=told.energy_pj,
    )


def kernel(problem: Problem, mapping: Mapping) -> Counted:
    """`weft.cost.tables`, each cut at the one state where the mapping has it."""
    array = Mapping(mapping.spatial, (), ())
    names: dict[str, int] = {}
    both = [(cut, up) for cut in cuts(problem, mapping) for up in (False, True)[: 1 + (cut.operand.slot == "O")]]
    for cut, up in both:
        for pipe in pipes(problem, cut, up):
            names.setdefault(pipe.port if pipe.flow == "link" else f"{pipe.name}.{pipe.port}", len(names))
    flows: dict[FlowKey, tuple[int, int, int]] = defaultdict(lambda: (0, 0, 0))
    busy = np.zeros(len(names))
    room: dict[tuple[str, str], int] = {}
    energy, exposed, partial = op_pj(problem) * problem.op.iterations, 0, False
    ends = {True: 0, False: 0}
    for cut in cuts(problem, mapping):
        lattice = Lattice(tuple(dim for dim, _ in cut.state), tuple((size,) for _, size in cut.state))
        table = table_of(problem, array, lattice, names, cut.operand, cut.index - 1, cut.index, cut)
        output, once = cut.operand.slot == "O", np.zeros(1, np.int64)
        cost = table.cost(once, 0)[0]
        ways = {up: pipes(problem, cut, up) for up in (False, True)}
        for (way, number, up), (bits, accesses, cycles) in zip(table.ways, table.moved[0].tolist(), strict=True):
            pipe = ways[up][number]
            key = (cut.operand.name, cut.index, pipe.name, pipe.port, str(pipe.flow))
            active = int(table.visiting.instances[0, way, int(pipe.above)])
            again = int(table.visiting.repeats[0, way])
            so_far = flows[key]
            flows[key] = (so_far[0] + bits * active, so_far[1] + accesses * active, so_far[2] + cycles * again)
        energy += cost[ENERGY]
        exposed += int(cost[EXPOSED])
        ends[output] += int(cost[ENDS])
        busy += cost[BUSY:]
        if cut.lower is not None:
            width = problem.width(cut.operand.name)
            if partial and output:
                width = max(width, problem.core.accumulator_bits)
            room[cut.operand.name, cut.lower.memory] = int(table.room(once, 0)[0]) * width
        partial = output and int(table.visiting.visits[0]) > 1
    told = price(problem, mapping)
    by_name = {name: int(busy[column]) for name, column in names.items()}
    steady = max([told.compute_cycles + exposed, *by_name.values()])
    latency = told.launch_cycles + ends[False] + steady + ends[True]
    return Counted(
        flows=dict(flows),
        busy=by_name,
        room=room,
        compute=told.compute_cycles,
        fill=ends[False],
        drain=ends[True],
        exposed=exposed - told.skew_cycles,
        skew=told.skew_cycles,
        launch=told.launch_cycles,
        energy_pj=energy + active_pj_per_cycle(problem) * latency,
    )


TELLINGS: dict[str, Telling] = {"formula": formula, "kernel": kernel}
"""Every telling that must agree with the loops."""


def differences(told: Counted, counted: Counted) -> list[str]:
    """What a telling says otherwise than the loops, one line each; flows of nothing may be left out."""
    found: list[str] = []
    for name in ("compute", "fill", "drain", "exposed", "skew", "launch", "room", "latency"):
        if getattr(told, name) != getattr(counted, name):
            found.append(f"{name}: {getattr(told, name)}, counted {getattr(counted, name)}")
    for name in ("flows", "busy"):
        one, other = getattr(told, name), getattr(counted, name)
        nothing = (0, 0, 0) if name == "flows" else 0
        for key in sorted({*one, *other}, key=str):
            if one.get(key, nothing) != other.get(key, nothing):
                found.append(f"{name} {key}: {one.get(key, nothing)}, counted {other.get(key, nothing)}")
    if abs(told.energy_pj - counted.energy_pj) > 1e-9 * abs(counted.energy_pj):
        found.append(f"energy_pj: {told.energy_pj}, counted {counted.energy_pj}")
    return found

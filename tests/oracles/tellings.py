"""The tellings of the cost model, each as a function from a problem and a mapping to what the loop oracle counts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from tests.oracles.loops import Counted, FlowKey
from weft.cost import price
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


TELLINGS: dict[str, Telling] = {"formula": formula}
"""Every telling that must agree with the loops. A kernel joins with a function that prices one mapping."""


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

"""What a task books while it runs: paths that it streams over, ports that transfers share, room for its tiles."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from weft.model.chip import Flow, Route
from weft.model.workload import SLOTS, Slot
from weft.schedule.fabric import Fabric
from weft.schedule.plan import Recipe
from weft.schedule.settings import hub_memory


@dataclass(frozen=True, slots=True)
class Loads:
    """Bookings of one recipe, in the fabric's rate units.

    Args:
        lanes: (link, lane, rate) of streamed paths.
        ports: (memory, port, rate): streamed paths' memories outside the core, and the core's own homes; exclusive ones
               of all of them whole.
        workspace: (memory, bits) of streamed operands' tiles in homes.
        energy_pj: of the whole task, without static power.     mapping: its text.
    """

    lanes: tuple[tuple[str, str, int], ...]
    ports: tuple[tuple[str, str, int], ...]
    workspace: tuple[tuple[str, int], ...]
    energy_pj: float
    mapping: str


def loads_of(fabric: Fabric, recipe: Recipe) -> Loads:
    """The bookings of a recipe, worked out once per fabric."""
    known = fabric.loads.get(id(recipe))
    if known is None or known[0] is not recipe:
        known = (recipe, _loads(fabric, recipe))
        fabric.loads[id(recipe)] = known
    found = known[1]
    assert isinstance(found, Loads)
    return found


def _loads(fabric: Fabric, recipe: Recipe) -> Loads:
    price, chip = recipe.mapped.price, fabric.chip
    static = chip.static_pj_per_cycle * chip.base_clock_hz / fabric.core[recipe.core].clock_hz
    energy = price.energy_pj - static * price.latency_cycles
    lanes, ports = _rates(fabric, recipe)
    return Loads(lanes, ports, _workspace(fabric, recipe), energy, str(recipe.mapped.mapping))


def _rates(fabric: Fabric, recipe: Recipe) -> tuple[tuple[tuple[str, str, int], ...], tuple[tuple[str, str, int], ...]]:
    lanes: dict[tuple[str, str], int] = {}
    ports: dict[tuple[str, str], int] = {}
    for operand, route in recipe.routes:
        slot = next(item.slot for item in recipe.problem.op.operands if item.name == operand)
        used = _stream_ports(fabric, route, slot)
        rates = [fabric.lane_rate[name] for name in route.links] + [fabric.port_rate[at] for at in used]
        rate = max(1, min(rates) // recipe.problem.setting.path_divisor)
        for name, lane in _stream_lanes(fabric, recipe, operand, route, slot):
            lanes[name, lane] = max(lanes.get((name, lane), 0), rate)
        for at in used:
            ports[at] = max(ports.get(at, 0), rate)
    # What it moves over its whole time: two operands that share a wide link or port move more than one path's rate.
    homes = {hub_memory(fabric.core[recipe.core], fabric.chip, slot) for slot in SLOTS}
    on_lanes: dict[tuple[str, str], int] = {}
    on_ports: dict[tuple[str, str], int] = {}
    for flow in recipe.mapped.price.flows:
        at = (flow.memory, flow.port)
        if flow.flow == "link":
            on_lanes[at] = on_lanes.get(at, 0) + flow.bits
        elif flow.memory in homes or at in ports:
            on_ports[at] = on_ports.get(at, 0) + flow.bits
    for name in {memory for _, memory, _ in recipe.homes} | {memory for memory, _ in _workspace(fabric, recipe)}:
        ports |= {(name, it.name): fabric.port_rate[name, it.name] for it in fabric.memory[name].ports if it.exclusive}
    # Rounded up to a whole rate unit: never above the lane's or port's, which is busy no longer than the task runs.
    for booked, moved in ((lanes, on_lanes), (ports, on_ports)):
        for at, bits in moved.items():
            if bits:
                booked[at] = max(booked.get(at, 0), -(-bits * fabric.scale // recipe.duration))
    return (
        tuple((link, lane, rate) for (link, lane), rate in lanes.items()),
        tuple((memory, port, rate) for (memory, port), rate in ports.items()),
    )


def _stream_lanes(fabric: Fabric, recipe: Recipe, operand: str, route: Route, slot: Slot) -> list[tuple[str, str]]:
    """(link, lane) of a streamed path; an output's partial sums may also come back."""
    down = list(zip(route.links, itertools.pairwise(route.memories), strict=True))
    lanes: list[tuple[str, str]] = []
    if slot == "O":
        lanes += [(name, fabric.link[name].lane(b, a)) for name, (a, b) in down]
    returns = any(
        flow.operand == operand and flow.flow == "to_below" and flow.memory == route.memories[0] and flow.bits
        for flow in recipe.mapped.price.flows
    )
    if slot != "O" or returns:
        lanes += [(name, fabric.link[name].lane(a, b)) for name, (a, b) in down]
    return lanes


def _stream_ports(fabric: Fabric, route: Route, slot: Slot) -> list[tuple[str, str]]:
    """Ports of the memories outside the core that a streamed operand uses."""
    used: list[tuple[str, str]] = []
    for position, name in enumerate(route.memories[:-1]):
        flows: list[Flow] = ["to_below"] if slot != "O" else ["to_below", "from_below"]
        if position > 0:
            flows += ["from_above"] if slot != "O" else ["from_above", "to_above"]
        used += [(name, fabric.memory[name].lent(slot, flow).name) for flow in flows]
    return list(dict.fromkeys(used))


def _workspace(fabric: Fabric, recipe: Recipe) -> tuple[tuple[str, int], ...]:
    core = fabric.core[recipe.core]
    shared = {hub_memory(core, fabric.chip, slot) for slot in SLOTS}
    work: dict[str, int] = {}
    for room in recipe.mapped.price.room:
        if room.memory in shared:
            work[room.memory] = work.get(room.memory, 0) + room.bits
    return tuple(sorted(work.items()))

"""The chip as the engine asks for it again and again: routes with lanes, ports, rates and energy, looked up once."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from fractions import Fraction

from weft.model.chip import Chip, Flow, Link, Port, Route
from weft.model.workload import Slot


@dataclass(frozen=True, slots=True)
class Way:
    """A route for one slot of data. `rate`: most that all it uses carry at once [rate units]."""

    route: Route
    rate: int


class Fabric:
    """Look-ups on one chip, in whole rate units: 1/scale bit per base cycle."""

    def __init__(self, chip: Chip, divisors: set[int]) -> None:
        self.chip = chip
        self.memory = {memory.name: memory for memory in chip.memories}
        self.link = {link.name: link for link in chip.links}
        self.core = {core.name: core for core in chip.cores}
        self.port = {(memory.name, port.name): port for memory in chip.memories for port in memory.ports}
        self.scale = rate_scale(chip, divisors)
        self.lane_rate = {link.name: int(chip.lane_rate(link) * self.scale) for link in chip.links}
        self.port_rate = {
            (memory.name, port.name): int(chip.port_rate(memory, port) * self.scale)
            for memory in chip.memories
            for port in memory.ports
        }
        self.loads: dict[int, tuple[object, object]] = {}
        """Bookings of recipes, by identity (`loads.loads_of`)."""
        self.engines: dict[int, tuple[object, object]] = {}
        """Engines of workloads, by identity (`engine.place`)."""
        self._distance: dict[str, int] = {}
        self._ways: dict[tuple[str, str, Slot], tuple[Way, ...]] = {}

    def ways(self, source: str, target: str, slot: Slot) -> tuple[Way, ...]:
        """All shortest routes for data of one slot, in the order links are declared."""
        key = (source, target, slot)
        if key not in self._ways:
            self._ways[key] = tuple(self._way(route, slot) for route in self.chip.routes(source, target))
        return self._ways[key]

    def _way(self, route: Route, slot: Slot) -> Way:
        hops = list(itertools.pairwise(route.memories))
        lanes = tuple((name, self.link[name].lane(a, b)) for name, (a, b) in zip(route.links, hops, strict=True))
        ports: list[tuple[str, str]] = []
        for here, there in hops:
            reading, writing = self.hop_ports(here, there, slot)
            ports += [(here, reading.name), (there, writing.name)]
        # A lane or port that the route uses twice (through a channel that all share) carries the rate twice.
        rates = [self.lane_rate[name] // lanes.count((name, lane)) for name, lane in lanes]
        rates += [self.port_rate[at] // ports.count(at) for at in ports]
        return Way(route, min(rates))

    def link_cycles(self, link: Link) -> int:
        """Latency of a link [base cycles]."""
        return math.ceil(Fraction(link.latency_cycles * self.chip.base_clock_hz, link.clock_hz))

    def hop_ports(self, source: str, target: str, slot: Slot) -> tuple[Port, Port]:
        """The ports through which a transfer leaves `source` and enters `target`.

        Downwards (away from the outermost memory) it is supplied and fills; upwards it is drained and collected;
        between memories at one distance it is drained and fills. A memory without a port for that flow lends any of
        the direction.
        """
        far, near = self.distance(target), self.distance(source)
        out: Flow = "to_below" if far > near else "to_above"
        into: Flow = "from_below" if far < near else "from_above"
        return self.memory[source].lent(slot, out), self.memory[target].lent(slot, into)

    def distance(self, memory: str) -> int:
        """Links between the outermost memory and this one."""
        if memory not in self._distance:
            routes = self.chip.routes(self.chip.outermost, memory)
            self._distance[memory] = len(routes[0].links) if routes else len(self.chip.memories)
        return self._distance[memory]


def rate_scale(chip: Chip, divisors: set[int]) -> int:
    """The least factor that makes every lane's and port's rate a whole number, also on paths divided by `divisors`."""
    rates = [chip.lane_rate(link) for link in chip.links]
    rates += [chip.port_rate(memory, port) for memory in chip.memories for port in memory.ports]
    return math.lcm(*(rate.denominator for rate in rates)) * math.lcm(*divisors)

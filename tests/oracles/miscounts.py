"""Runs with one classic mistake each: the small world must tell every one of them from the truth."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from tests.oracles.loops import Counted, Run, Step, Transfer, count
from weft.model.mapping import Mapping, Place, Problem
from weft.model.workload import Operand


class NotRaised(Run):
    """Fetches again although only loops that do not index the operand advanced."""

    def position(self, operand: Operand, cut: int) -> int:
        return self.inside[operand.name][cut - 1] if cut else 0


class RaisedOutput(Run):
    """Lets the array hold partial sums."""

    def position(self, operand: Operand, cut: int) -> int:
        at = super().position(operand, cut)
        while at < len(self.mapping.loops) and self.mapping.loops[at].dim not in operand.dims:
            at += 1
        return at


class FirstAccumulationReads(Run):
    """Reads partial sums back before there are any."""

    def _outputs(self, operand: Operand, cut: int) -> Iterator[Transfer]:
        partial, final = self.partial_bits(operand), self.problem.width(operand.name)
        seen = set()
        steps = iter(self.entered[self.position(operand, cut)])
        for transfer in super()._outputs(operand, cut):
            if transfer.upward:
                tile = self._tile_of(operand, next(steps))
                if tile not in seen:
                    # Sizes only; a visit that is also the last one comes at the finished width.
                    width = final if self._visited_once(operand, cut) else partial
                    upper = tuple(bits // width * partial for bits in transfer.upper)
                    yield Transfer(False, upper, tuple(bits // width * partial for bits in transfer.lower))
                seen.add(tile)
            yield transfer

    def _visited_once(self, operand: Operand, cut: int) -> bool:
        tiles = [self._tile_of(operand, step) for step in self.entered[self.position(operand, cut)]]
        return len(tiles) == len(set(tiles))


class FinalAtPartialWidth(Run):
    """Writes finished outputs at the accumulator's width."""

    def _outputs(self, operand: Operand, cut: int) -> Iterator[Transfer]:
        partial, final = self.partial_bits(operand), self.problem.width(operand.name)
        transfers = list(super()._outputs(operand, cut))
        seen: set[tuple[int, ...]] = set()
        steps = self.entered[self.position(operand, cut)]
        tiles = iter(reversed([self._tile_of(operand, step) for step in steps]))
        made = []
        for transfer in reversed(transfers):
            if transfer.upward and (tile := next(tiles)) not in seen:
                seen.add(tile)
                upper = tuple(bits // final * partial for bits in transfer.upper)
                transfer = Transfer(True, upper, tuple(bits // final * partial for bits in transfer.lower))
            made.append(transfer)
        return reversed(made)


class NotClipped(Run):
    """Moves a full tile also where the dim ends."""

    def _by_coordinate(self, place: Place, step: Step, position: int) -> list[tuple[tuple[int, ...], ...]]:
        return super()._by_coordinate(place, Step((0,) * len(step.starts), step.digit), position)


class MulticastPerInstance(Run):
    """Reads the memory above once for each instance below."""

    def transfers(self, operand: Operand, cut: int) -> Iterator[Transfer]:
        for transfer in super().transfers(operand, cut):
            yield replace(transfer, upper=transfer.lower) if cut else transfer


class IdleOnlyWhereIndexed(Run):
    """Lets instances work that have no iteration along a dim that does not index the operand."""

    def _by_coordinate(self, place: Place, step: Step, position: int) -> list[tuple[tuple[int, ...], ...]]:
        return [tuple(part or (0,) for part in parts) for parts in super()._by_coordinate(place, step, position)]


class HaloAcrossRuns(Run):
    """Takes the halo from the step before also where a new run of tiles begins."""

    def __init__(self, problem: Problem, mapping: Mapping) -> None:
        super().__init__(problem, mapping)
        self.entered = [
            [Step(step.starts, int(number > 0)) for number, step in enumerate(steps)] for steps in self.entered
        ]


class NoHalo(Run):
    """Fetches whole tiles."""

    def __init__(self, problem: Problem, mapping: Mapping) -> None:
        super().__init__(problem, mapping)
        self.entered = [[Step(step.starts, 0) for step in steps] for steps in self.entered]

    def room(self, operand: Operand, cut: int) -> int:
        return 0


class PaddingFetched(Run):
    """Takes what lies outside the tensor for its nearest element."""

    def elements(self, operand: Operand, iterations: tuple[tuple[int, ...], ...]) -> int:
        touched = super().elements(operand, iterations)
        return touched << 1 | 1 if operand.slot == "I" and any(axis.offset < 0 for axis in operand.axes) else touched


class OneCopy(Run):
    """Forgets the second copy of a double buffer."""

    def room(self, operand: Operand, cut: int) -> int:
        position = self.position(operand, cut)
        kept = self.entered[position]
        self.entered[position] = kept[:1]
        bits = super().room(operand, cut)
        self.entered[position] = kept
        return bits


class OnePass(Run):
    """Takes operands of any width in one cycle."""

    def passes(self) -> int:
        return 1


def accesses_of_totals(problem: Problem, mapping: Mapping) -> Counted:
    """Rounds to whole accesses once per flow, not once per transfer."""
    counted = count(problem, mapping)
    flows = {}
    for key, (bits, accesses, busy) in counted.flows.items():
        if key[4] != "link":
            port = next(port for port in problem.chip.memory(key[2]).ports if port.name == key[3])
            accesses = -(-bits // port.access_bits)
        flows[key] = (bits, accesses, busy)
    return replace(counted, flows=flows)


def busy_of_totals(problem: Problem, mapping: Mapping) -> Counted:
    """Rounds to whole cycles once per flow, not once per transfer."""
    counted = count(problem, mapping)
    flows = {}
    for key, (bits, accesses, busy) in counted.flows.items():
        if key[4] != "link":
            memory = problem.chip.memory(key[2])
            port = next(port for port in memory.ports if port.name == key[3])
            width = port.bandwidth_bits * memory.clock_hz
            busy = -(-bits * problem.core.clock_hz // width)
        flows[key] = (bits, accesses, busy)
    return replace(counted, flows=flows)


def filled_twice(problem: Problem, mapping: Mapping) -> Counted:
    """Exposes the first transfers of single-buffered inputs although they are in the fill."""
    counted = count(problem, mapping)
    return replace(counted, exposed=counted.exposed + counted.fill) if counted.exposed else counted


def _with(runner: type[Run]) -> Callable[[Problem, Mapping], Counted]:
    return lambda problem, mapping: count(problem, mapping, runner)


RUNS = (
    NotRaised,
    RaisedOutput,
    FirstAccumulationReads,
    FinalAtPartialWidth,
    NotClipped,
    MulticastPerInstance,
    IdleOnlyWhereIndexed,
    HaloAcrossRuns,
    NoHalo,
    PaddingFetched,
    OneCopy,
    OnePass,
)
MISCOUNTS: dict[str, Callable[[Problem, Mapping], Counted]] = {
    **{runner.__name__: _with(runner) for runner in RUNS},
    "AccessesOfTotals": accesses_of_totals,
    "BusyOfTotals": busy_of_totals,
    "FilledTwice": filled_twice,
}

"""Schedules of a stream: designs are compared by what they make of several frames, placed in several orders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from weft.model.schedule import Infeasible, Schedule
from weft.model.workload import Workload
from weft.schedule.bounds import Interval, interval
from weft.schedule.design import Design
from weft.schedule.engine import Placed, place
from weft.schedule.frames import Order, Stream, starts_of
from weft.schedule.plan import Plan
from weft.schedule.search import Search

SEARCHED = 8
"""Frames of the stream by which designs are compared; the best design is then placed with all."""

EVERY_ORDER = 6
"""Designs that are placed in every order; later ones in the best order so far, and as a pipeline."""

LOOSER = (1.0, 1.02, 1.05, 1.1, 1.2)
"""Lags tried with the best design, as parts of what its busiest core needs per frame."""


@dataclass(frozen=True)
class Streamed:
    """A stream's schedule, seen frame by frame.

    Args:
        frames:   how many.     order: in which their tiles were placed.
        alone:    the network of one frame.     whole: all frames as one network.
        cycles:   of the whole stream.
        half:     a schedule of half as many frames (rounded down) by the same design, with its network and plan.
        latencies: for each frame, from its first event to its last.
        bound:    what no endless stream can beat per frame.
    """

    frames: int
    order: Order
    alone: Workload
    whole: Workload
    cycles: int
    half: tuple[Workload, Plan, Schedule]
    latencies: tuple[int, ...]
    bound: Interval

    @property
    def interval_cycles(self) -> float:
        """Base cycles per frame of the second half: (T(N) - T(N/2)) / (N - N/2)."""
        half = self.frames // 2
        return (self.cycles - self.half[2].latency_cycles) / (self.frames - half)

    @property
    def gap(self) -> float:
        """The interval over its bound, minus 1."""
        return self.interval_cycles / max(1, self.bound.cycles) - 1

    @property
    def steady(self) -> bool:
        """Whether the interval is that of an endless stream: of few frames, the second half may hide in the first."""
        return self.gap >= 0


class StreamSearch(Search):
    """A search whose designs are judged by a stream."""

    def __init__(self, search: Search, frames: int) -> None:
        super().__init__(
            search.composer,
            search.fabric,
            search.choices,
            search.goal,
            search.budget,
            search.fuse,
            search.progress,
            search.given,
        )
        self.stream = Stream(self.workload, min(frames, SEARCHED))
        self.order: dict[Design, Order] = {}

    def place(self, design: Design, plan: Plan) -> Placed | Infeasible:
        """The design's stream in the order that serves it best."""
        alone = place(self.workload, self.fabric, plan)
        if isinstance(alone, Infeasible):
            return alone
        tries = list(orders(self.stream.frames, alone))
        if self.tried > EVERY_ORDER and self.best is not None:
            usual = self.order[self.best.design]
            tries = [tries[0], *([usual] if usual.lag is None else [])]
        made = self.best_of(self.stream, plan, alone, tries)
        if isinstance(made, Infeasible):
            return made
        self.order[design], placed = made
        return placed

    def best_of(
        self, stream: Stream, plan: Plan, alone: Placed, tries: Sequence[Order]
    ) -> tuple[Order, Placed] | Infeasible:
        """A frame's plan as a stream, in the best of some orders."""
        best: tuple[Order, Placed] | None = None
        stuck: Infeasible | None = None
        starts = starts_of(alone)
        for order in tries:
            placed = place(stream.workload, self.fabric, stream.plan(plan, order, starts))
            if isinstance(placed, Infeasible):
                stuck = placed
            elif best is None or self.score(placed) < self.score(best[1]):
                best = order, placed
        assert best is not None or stuck is not None
        return best or stuck  # type: ignore[return-value]


def orders(frames: int, alone: Placed) -> Iterator[Order]:
    """Orders worth trying for a design whose lone frame is placed: a pipeline, frame after frame, batches."""
    yield Order(lag=max(alone.busy.values()))
    yield Order()
    batch = 2
    while batch <= frames // 2:
        yield Order(batch)
        batch *= 2


def streamed(
    search: StreamSearch, plan: Plan, frames: int, spatial: Literal["fixed", "free"]
) -> tuple[Placed, Streamed] | Infeasible:
    """A frame's plan as a stream of all frames, settled, and of half of them; each in the order that serves it best."""
    workload, fabric = search.workload, search.fabric
    alone = place(workload, fabric, plan)
    if isinstance(alone, Infeasible):
        return alone
    found: list[tuple[Stream, Order, Placed]] = []
    for count in (frames, frames // 2):
        first, *others = orders(count, alone)
        assert first.lag is not None
        pipelines = [Order(lag=int(first.lag * more)) for more in LOOSER]
        stream = Stream(workload, count)
        made = search.best_of(stream, plan, alone, [*pipelines, *others])
        if isinstance(made, Infeasible):
            return made
        order, placed = made
        found.append((stream, order, placed.retimed().settled()))
    (stream, order, placed), (part, _, before) = found
    made_of = Streamed(
        frames,
        order,
        workload,
        stream.workload,
        placed.latency_cycles,
        (part.workload, before.plan, before.schedule()),
        latencies(placed.schedule(), stream.workload, frames),
        interval(workload, fabric.chip, spatial),
    )
    return placed, made_of


def latencies(schedule: Schedule, stream: Workload, frames: int) -> tuple[int, ...]:
    """For each frame, base cycles from the first task or transfer of its own to the last."""
    spans: dict[int, list[int]] = {frame: [] for frame in range(frames)}
    per = len(stream.ops) // frames
    frame_of = {op.name: number // per for number, op in enumerate(stream.ops)}
    for task in schedule.tasks:
        spans[frame_of[task.op]] += (task.start, task.end)
    owner = {stream.root(op.output.tensor): frame for op, frame in zip(stream.ops, frame_of.values(), strict=True)}
    weights = {tensor.name for tensor in stream.tensors if tensor.role == "weight"}
    for op in stream.ops:
        for item in op.inputs:
            root = stream.root(item.tensor)
            if root not in weights:
                owner.setdefault(root, frame_of[op.name])
    for move in schedule.transfers:
        if move.tensor in owner:
            spans[owner[move.tensor]] += (move.start, move.end)
    return tuple(max(times) - min(times) for times in spans.values())

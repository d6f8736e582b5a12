"""Streams of frames: copies of a network that share its weights, and in which order their tiles are placed.

All frames lie in the outermost memory from the start. A frame's tensors and ops are called `name#3`; weights keep their
names. The engine fills gaps with whatever comes later in the order, so that frames overlap on cores and links.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from weft.model.workload import Op, Workload
from weft.schedule.engine import Placed
from weft.schedule.moves import TILE
from weft.schedule.plan import Counts, Cut, Plan


@dataclass(frozen=True, slots=True)
class Order:
    """How the tiles of frames are ordered.

    Args:
        batch: frames that go through each group of ops before any of them goes on: weights are shared by a batch.
        lag:   base cycles by which each frame follows the one before; tiles are ordered by when they would then start,
               going by the schedule of one frame. None: batch after batch.
    """

    batch: int = 1
    lag: int | None = None

    def __str__(self) -> str:
        if self.lag is not None:
            return f"a frame every {self.lag:,} cycles"
        return f"batches of {self.batch} frames, group after group" if self.batch > 1 else "frame after frame"


def repeated(workload: Workload, frames: int) -> Workload:
    """`frames` copies of a network side by side; weights, and views of weights, are there once."""
    shared = {tensor.name for tensor in workload.tensors if tensor.role == "weight"}
    shared |= {view.tensor for view in workload.views if workload.root(view.tensor) in shared}
    tensors = [tensor for tensor in workload.tensors if tensor.name in shared]
    views = [view for view in workload.views if view.tensor in shared]
    ops: list[Op] = []
    for frame in range(frames):

        def named(name: str, frame: int = frame) -> str:
            return name if name in shared else f"{name}#{frame}"

        tensors += [replace(it, name=named(it.name)) for it in workload.tensors if it.name not in shared]
        views += [
            replace(view, tensor=named(view.tensor), source=named(view.source))
            for view in workload.views
            if view.tensor not in shared
        ]
        for op in workload.ops:
            operands = tuple(replace(item, tensor=named(item.tensor)) for item in op.operands)
            ops.append(replace(op, name=f"{op.name}#{frame}", operands=operands))
    return replace(workload, tensors=tuple(tensors), views=tuple(views), ops=tuple(ops))


class Stream:
    """Plans of one frame as plans of a stream."""

    def __init__(self, workload: Workload, frames: int) -> None:
        self.frames = frames
        self.workload = repeated(workload, frames)
        self._cuts: dict[int, tuple[Cut, tuple[Cut, ...]]] = {}

    def plan(self, plan: Plan, order: Order, starts: Counts) -> Plan:
        """A frame's plan for all frames.

        Args:    starts: [tiles]: when each tile of a lone frame starts.
        """
        copies = [self._copies(number, cut) for number, cut in enumerate(plan.cuts)]
        cuts = tuple(copy[frame] for frame in range(self.frames) for copy in copies)
        return Plan(cuts, plan.recipes, self._order(plan, order, starts), plan.groups)

    def _copies(self, number: int, cut: Cut) -> tuple[Cut, ...]:
        """A cut of every frame's op; the same objects for the same cut."""
        known = self._cuts.get(id(cut))
        if known is None or known[0] is not cut:
            ops = self.workload.ops[number :: len(self.workload.ops) // self.frames]
            known = cut, tuple(Cut(op, cut.tiles, cut.recipes) for op in ops)
            self._cuts[id(cut)] = known
        return known[1]

    def _order(self, plan: Plan, order: Order, starts: Counts) -> Counts:
        tiles = len(plan.order)
        first = tiles * np.arange(self.frames)
        every = (first[:, None] + plan.order).reshape(-1)
        frame = np.repeat(np.arange(self.frames), tiles)
        if order.lag is not None:
            return every[np.argsort(np.tile(starts[plan.order], self.frames) + order.lag * frame, kind="stable")]
        group = np.tile(_group_of(plan)[plan.order], self.frames)
        return every[np.lexsort((frame, group, frame // order.batch))]


def _group_of(plan: Plan) -> Counts:
    """[tiles]: the group of each, as groups are numbered."""
    number = {name: index for index, group in enumerate(plan.groups) for name in group}
    return np.repeat([number[cut.op.name] for cut in plan.cuts], [len(cut.recipes) for cut in plan.cuts])


def starts_of(placed: Placed) -> Counts:
    """[tiles]: when each starts."""
    tile = placed.event[:-1, TILE]
    starts = np.zeros(len(placed.plan.order), np.int64)
    starts[tile[tile >= 0]] = placed.start[tile >= 0]
    return starts

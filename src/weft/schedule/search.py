"""Looks for the best design: starts by what each op promises alone, fused starts, then one change at a time."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol, TypeVar

from weft.model.chip import Chip
from weft.model.schedule import Infeasible
from weft.model.workload import Workload
from weft.schedule.choices import SPLIT_DIMS, Choice, placements
from weft.schedule.design import Composer, Design, Group, Placement
from weft.schedule.engine import Placed, place
from weft.schedule.fabric import Fabric
from weft.schedule.fuse import ROWS
from weft.schedule.given import Given
from weft.schedule.plan import Plan

Goal = Literal["latency", "energy", "edp", "memory"]
GOALS: tuple[Goal, ...] = ("latency", "energy", "edp", "memory")

HOPELESS = 1.02
"""A placed schedule this much worse than the best one is not retimed: starting things earlier gains less."""

FUSED_STEPS = (2, 4, 8, 16, 32, 64)
"""Into how many steps a group may be cut; a start takes the fewest with which its boxes seem to rest on chip."""

MOST_IDLE = 200
"""Changes in a row that lead to designs tried before, after which a search ends."""

T = TypeVar("T")

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, of)."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A design with the schedule that it leads to."""

    score: tuple[float, ...]
    design: Design
    plan: Plan
    placed: Placed


class Solved(Protocol):
    """What has the figures of a schedule."""

    @property
    def latency_cycles(self) -> int: ...
    @property
    def energy_pj(self) -> float: ...
    @property
    def peaks(self) -> tuple[tuple[str, int], ...]: ...


class Search:
    """Whole schedules are what is compared; `budget` of them are made at most.

    Args: choices: for each op what it may do by itself, the most promising first.   fuse: whether ops may be grouped.
          given: what is settled beforehand: every design is made to keep to it.
    """

    def __init__(
        self,
        composer: Composer,
        fabric: Fabric,
        choices: Sequence[Sequence[Choice]],
        goal: Goal,
        budget: int,
        fuse: bool = True,
        progress: Progress | None = None,
        given: Given | None = None,
    ) -> None:
        self.given = given
        self.composer, self.fabric, self.choices = composer, fabric, choices
        self.workload: Workload = composer.workload
        self.chip: Chip = composer.chip
        self.goal, self.budget, self.fuse, self.progress = goal, budget, fuse, progress
        self.places = [placements(op, self.chip) for op in self.workload.ops]
        self.tried = 0
        self.best: Trial | None = None
        self.stuck: Infeasible | None = None
        self.seen: set[Design] = set()
        self.front: list[Trial] | None = None
        """Trials of which none is beaten in latency, energy and memory; None where they are not kept."""

    def run(self, starts: Sequence[Design], rng: random.Random) -> Trial | None:
        """The best design found from some starts, or None where none can be scheduled (`stuck` says why)."""
        for start in starts:
            if self.best is None or self.tried < self.budget:
                self.attempt(start)
        if self.fuse:
            for start in self.fused_starts():
                if self.best is None or self.tried < self.budget:
                    self.attempt(start)
        first = self.tried + (self.budget - self.tried) // 3
        while self.best is not None and self.tried < first:
            before = self.best
            for design in self.neighbours(self.best.design, rng):
                self.attempt(design)
                if self.tried >= first or self.best is not before:
                    break
            if self.best is before:
                break
        self._wander(rng)
        return self.best

    def _wander(self, rng: random.Random) -> None:
        """Late acceptance: one change at random after another, kept if no worse than what was kept some time ago."""
        if self.best is None:
            return
        here = self.best
        memory = [here.score] * max(4, (self.budget - self.tried) // 16)
        step = idle = 0
        while self.tried < self.budget and idle < MOST_IDLE:
            design = self.changed(here, rng)
            tried = self.tried
            trial = self.attempt(design)
            idle = idle + 1 if self.tried == tried else 0
            if trial is None:
                continue
            if trial.score <= max(here.score, memory[step % len(memory)]):
                here = trial
            memory[step % len(memory)] = here.score
            step += 1
            if step % (4 * len(memory)) == 0:
                here = self.best

    def attempt(self, design: Design) -> Trial | None:
        """The whole schedule that a design leads to; None where a tile gets stuck, or it was tried before."""
        if self.given is not None:
            design = self.given.keep(design, self.axis_of, self._in_steps)
        if design in self.seen:
            return None
        self.seen.add(design)
        plan = self.composer.plan(design)
        if isinstance(plan, Infeasible):
            self.stuck = self.stuck or plan
            return None
        self.tried += 1
        if self.progress:
            self.progress("scheduling", self.tried, self.budget)
        placed = self.place(design, plan)
        if isinstance(placed, Infeasible):
            self.stuck = self.stuck or placed
            return None
        if self.front is not None or self.best is None or self.score(placed)[0] <= HOPELESS * self.best.score[0]:
            placed = placed.retimed()
        trial = Trial(self.score(placed), design, plan, placed)
        if self.front is not None:
            self.front = undominated([*self.front, trial], lambda it: trade(it.placed, self.chip))
        if self.best is None or trial.score < self.best.score:
            self.best = trial
        return trial

    def place(self, design: Design, plan: Plan) -> Placed | Infeasible:
        """What is compared of a design."""
        return place(self.workload, self.fabric, plan)

    def score(self, placed: Placed) -> tuple[float, ...]:
        """What is made small, and what decides between equals."""
        latency, energy = placed.latency_cycles, placed.energy_pj
        on_chip = trade(placed, self.chip)[2] if self.goal == "memory" else 0
        return {
            "latency": (latency, energy),
            "energy": (energy, latency),
            "edp": (latency * energy, latency),
            "memory": (on_chip, latency * energy),
        }[self.goal]

    # -- fused starts ----------------------------------------------------------------------------------------------

    def fused_starts(self) -> Iterator[Design]:
        """Groups as long as steps can be taken through them, and groups of what would go off chip only."""
        if self.best is None:
            own: tuple[Placement, ...] = tuple(found[0].placement for found in self.choices)
            alone = tuple(Group((op,), found[0].axis, found[0].steps) for op, found in enumerate(self.choices))
        else:
            own, alone = self.best.design.placements, self.best.design.groups
            alone = tuple(itertools.chain.from_iterable(self._apart(group) for group in alone))
        for groups in dict.fromkeys((self._segments(False), self._segments(True))):
            if all(len(group.ops) == 1 for group in groups):
                continue
            for dim in (None, *self._common(groups)):
                spots = own if dim is None else tuple(self._along(op, dim, own[op]) for op in range(len(own)))
                for more in (1, 2):
                    cut = tuple(
                        alone[group.ops[0]] if len(group.ops) == 1 else self._in_steps(group, spots, more)
                        for group in groups
                    )
                    yield Design(cut, spots)

    def _apart(self, group: Group) -> Iterator[Group]:
        for op in group.ops:
            choice = self.choices[op][0]
            yield group if len(group.ops) == 1 else Group((op,), choice.axis, choice.steps)

    def _common(self, groups: Sequence[Group]) -> tuple[str, ...]:
        """Dims along which most ops of groups may be split over cores."""
        inside = [op for group in groups if len(group.ops) > 1 for op in group.ops]
        shares = {
            dim: sum(any(spot.dims == {dim} for spot in self.places[op]) for op in inside) / len(inside)
            for dim in SPLIT_DIMS
        }
        return tuple(dim for dim, share in shares.items() if share > 0.5)

    def _along(self, op: int, dim: str, otherwise: Placement) -> Placement:
        """The widest split along a dim, where an op has one."""
        return next((spot for spot in self.places[op] if spot.dims == {dim}), otherwise)

    def _segments(self, spilling: bool) -> tuple[Group, ...]:
        """The workload's ops in groups: each goes on as long as all of it can be cut step by step.

        spilling: only as long as what passes between its ops is larger than the memories of the cores.
        """
        ops = self.workload.ops
        sizes = {tensor.name: tensor.size_bits for tensor in self.workload.tensors}
        room = sum(memory.size_bits for memory in self.chip.memories if memory.name != self.chip.outermost)
        groups: list[Group] = []
        first = 0
        while first < len(ops):
            last, axis = first, None
            while last + 1 < len(ops):
                if spilling and sizes[self.workload.root(ops[last].output.tensor)] <= room / 2:
                    break
                longer = self.axis_of(range(first, last + 2))
                if longer is None:
                    break
                last, axis = last + 1, longer
            groups.append(Group(tuple(range(first, last + 1)), axis, 2 if axis else 1))
            first = last + 1
        return tuple(groups)

    def axis_of(self, ops: range) -> str | None:
        """A dim of the last op along which all ops of a group can be cut in steps; None where there is none."""
        last = self.workload.ops[ops[-1]]
        for axis in (dim for dim in ROWS if dim in last.cuttable):
            steps = self.composer.steps(Group(tuple(ops), axis, 2))
            if all(item.dim is not None for item in steps):
                return axis
        return None

    def _in_steps(self, group: Group, spots: Sequence[Placement], more: int) -> Group:
        """The group in as many steps as its boxes need to rest on chip, `more` times."""
        assert group.axis is not None
        most = self.workload.ops[group.ops[-1]].size[group.axis]
        for steps in FUSED_STEPS:
            if self._rests(replace(group, steps=steps), spots):
                return replace(group, steps=min(most, steps * more))
        return replace(group, steps=min(most, FUSED_STEPS[-1]))

    def _rests(self, group: Group, spots: Sequence[Placement]) -> bool:
        """Whether weights and two steps' results of all ops of a group seem to fit in the memories of their cores."""
        held: dict[str, float] = {}
        room: dict[str, int] = {}
        widths = {tensor.name: tensor.bits for tensor in self.workload.tensors}
        given = {tensor.name for tensor in self.workload.tensors if tensor.role == "weight"}
        for op in group.ops:
            item, spot = self.workload.ops[op], spots[op]
            for name in spot.cores:
                core = self.chip.core(name)
                for operand in item.operands:
                    home = core.home(operand.slot)
                    if home is None or home == self.chip.outermost:
                        continue
                    bits = 1.0 * widths[operand.tensor]
                    for axis in operand.axes:
                        bits *= axis.size
                    room[home] = self.chip.memory(home).size_bits
                    if self.workload.root(operand.tensor) in given:
                        share = math.prod(ways for dim, ways in spot.split if dim in operand.dims)
                        held[home] = held.get(home, 0.0) + bits / share
                    elif operand.slot == "O":
                        held[home] = held.get(home, 0.0) + 2 * bits / group.steps / len(spot.cores)
        return all(bits <= room[home] for home, bits in held.items())

    # -- changes at random -----------------------------------------------------------------------------------------

    def changed(self, trial: Trial, rng: random.Random) -> Design:
        """A design one change away, two or three now and then; busy ops and what promises most are drawn more often."""
        design = trial.design
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            if self.fuse and rng.random() < 0.5:
                design = self._regrouped(design, rng)
            else:
                design = self._moved(design, trial.plan, rng)
        return design

    def _moved(self, design: Design, plan: Plan, rng: random.Random) -> Design:
        """Another choice for one op; now and then the same split for all of its group."""
        busy = [sum(plan.recipes[number].duration for number in cut.recipes.tolist()) for cut in plan.cuts]
        (op,) = rng.choices(range(len(busy)), weights=[1 + cycles for cycles in busy])
        found = self.choices[op]
        choice = found[min(len(found) - 1, int(rng.expovariate(0.3)))]
        group = next(item for item in design.groups if op in item.ops)
        spots, groups = list(design.placements), design.groups
        spots[op] = choice.placement
        if len(group.ops) == 1:
            alone = Group((op,), choice.axis, choice.steps)
            groups = tuple(alone if item is group else item for item in groups)
        elif choice.placement.split and rng.random() < 0.4:
            for other in group.ops:
                spots[other] = next(
                    (spot for spot in self.places[other] if spot.split == choice.placement.split), spots[other]
                )
        return Design(groups, tuple(spots))

    def _regrouped(self, design: Design, rng: random.Random) -> Design:
        """One group joined with the next, cut in two, or in another number of steps."""
        groups = design.groups
        at = rng.randrange(len(groups))
        group, before, after = groups[at], groups[:at], groups[at + 1 :]
        kind = rng.random()
        if kind < 0.4 and after:
            joined = tuple(range(group.ops[0], after[0].ops[-1] + 1))
            axis = self.axis_of(range(joined[0], joined[-1] + 1))
            if axis is not None:
                most = self.workload.ops[joined[-1]].size[axis]
                steps = min(most, rng.choice((2, 4, 8, 16, max(group.steps, after[0].steps))))
                return replace(design, groups=(*before, Group(joined, axis, steps), *after[1:]))
        if kind < 0.65 and len(group.ops) > 1:
            cut = rng.randrange(1, len(group.ops))
            halves = tuple(self._again(half, group.steps) for half in (group.ops[:cut], group.ops[cut:]))
            return replace(design, groups=(*before, *halves, *after))
        last = self.workload.ops[group.ops[-1]]
        axes = [group.axis] if group.axis else [dim for dim in ROWS if dim in last.cuttable][:3]
        if len(group.ops) == 1 and rng.random() < 0.3:
            axes = [dim for dim in ROWS if dim in last.cuttable][:3]
        if not axes:
            return design
        axis = rng.choice(axes)
        steps = max(1, min(last.size[axis], int(group.steps * rng.choice((0.5, 0.75, 1.34, 1.5, 2, 4)))))
        return replace(design, groups=(*before, Group(group.ops, axis if steps > 1 else None, steps), *after))

    def _again(self, ops: tuple[int, ...], steps: int) -> Group:
        """A part of a group that was cut, in as many steps if it can be."""
        if len(ops) == 1:
            choice = self.choices[ops[0]][0]
            return Group(ops, choice.axis, choice.steps)
        axis = self.axis_of(range(ops[0], ops[-1] + 1))
        return Group(ops, axis, min(steps, self.workload.ops[ops[-1]].size[axis]) if axis else 1)

    # -- changes ---------------------------------------------------------------------------------------------------

    def neighbours(self, design: Design, rng: random.Random) -> Iterator[Design]:
        """Designs one change away: kinds of change take turns, what promises most comes first in each."""
        kinds = [list(self._placed_elsewhere(design))]
        if self.fuse:
            kinds += [list(self._other_groups(design, rng))]
        for turn in itertools.zip_longest(*kinds):
            for found in turn:
                if found is not None and found not in self.seen:
                    yield found

    def _placed_elsewhere(self, design: Design) -> Iterator[Design]:
        """Another choice for one op: first everyone's best, then everyone's second best; heaviest ops first."""
        group_of = {op: number for number, group in enumerate(design.groups) for op in group.ops}
        weight = [op.iterations for op in self.workload.ops]
        heavy = sorted(range(len(weight)), key=lambda op: -weight[op])
        for rank in range(max(map(len, self.choices))):
            for op in heavy:
                if rank >= len(self.choices[op]):
                    continue
                choice, group = self.choices[op][rank], design.groups[group_of[op]]
                spots = (*design.placements[:op], choice.placement, *design.placements[op + 1 :])
                groups = design.groups
                if len(group.ops) == 1:
                    alone = Group((op,), choice.axis, choice.steps)
                    groups = tuple(alone if item is group else item for item in groups)
                yield Design(groups, spots)

    def _other_groups(self, design: Design, rng: random.Random) -> Iterator[Design]:
        """Groups joined, cut, or in more or fewer steps."""
        found: list[Design] = []
        groups = design.groups
        for number, group in enumerate(groups):
            before, after = groups[:number], groups[number + 1 :]
            axes = (
                [group.axis]
                if group.axis
                else [dim for dim in ROWS if dim in self.workload.ops[group.ops[-1]].cuttable]
            )
            for axis in axes[:2]:
                most = self.workload.ops[group.ops[-1]].size[axis]
                for steps in (group.steps * 2, group.steps // 2, group.steps * 3 // 2):
                    if 1 <= steps <= most:
                        again = Group(group.ops, axis if steps > 1 else None, steps)
                        found.append(replace(design, groups=(*before, again, *after)))
            if after:
                joined = range(group.ops[0], after[0].ops[-1] + 1)
                shared = self.axis_of(joined)
                if shared is not None:
                    most = self.workload.ops[joined[-1]].size[shared]
                    for steps in {min(most, steps) for steps in (2, 4, 8, max(group.steps, after[0].steps))}:
                        found.append(replace(design, groups=(*before, Group(tuple(joined), shared, steps), *after[1:])))
            for at in range(1, len(group.ops)):
                cut = [self._again(half, group.steps) for half in (group.ops[:at], group.ops[at:])]
                found.append(replace(design, groups=(*before, *cut, *after)))
            for dim in self._common((group,)) if len(group.ops) > 1 else ():
                spots = list(design.placements)
                for op in group.ops:
                    spots[op] = self._along(op, dim, spots[op])
                found.append(replace(design, placements=tuple(spots)))
        rng.shuffle(found)
        yield from found


def trade(placed: Solved, chip: Chip) -> tuple[float, float, int]:
    """Latency [base cycles], energy [pJ], and the peaks of all memories on chip together [bits]."""
    on_chip = sum(bits for memory, bits in placed.peaks if memory != chip.outermost)
    return placed.latency_cycles, placed.energy_pj, on_chip


def undominated(items: Sequence[T], figures: Callable[[T], tuple[float, ...]]) -> list[T]:
    """Those that no other is at least as good as in every figure; of equals the first."""
    kept: list[tuple[tuple[float, ...], T]] = []
    for item in items:
        mine = figures(item)
        if any(all(a <= b for a, b in zip(known, mine, strict=True)) for known, _ in kept):
            continue
        kept = [it for it in kept if not all(a <= b for a, b in zip(mine, it[0], strict=True))]
        kept.append((mine, item))
    return [item for _, item in kept]

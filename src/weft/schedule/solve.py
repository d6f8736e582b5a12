"""Schedules a workload on a chip: options of every op, a start, and a seeded search over whole schedules."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from weft.cache import Store
from weft.mapper import Objective
from weft.model.chip import Chip
from weft.model.schedule import Infeasible, Schedule
from weft.model.workload import Workload
from weft.schedule.bounds import Bounds, bounds
from weft.schedule.engine import Engine, Stuck
from weft.schedule.fabric import Fabric
from weft.schedule.options import Mapper, Option, options_for, refined
from weft.schedule.timing import retime, settle

Goal = Literal["latency", "energy", "edp", "memory"]
GOALS: tuple[Goal, ...] = ("latency", "energy", "edp", "memory")

BUDGET = 60
"""Whole schedules tried by default (one more is made of the picked options, mapped carefully)."""

HOPELESS = 1.02
"""A placed schedule this much worse than the best one is not retimed: starting things earlier gains less."""

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, of)."""


@dataclass(frozen=True, slots=True)
class Solution:
    """A schedule with the options it was made of.

    Args:
        schedule: the events and their times.     options: one per op, in order.
        choices:  all options that were weighed.  bounds: what none of them can beat.
        energy_pj: tasks, transfers and static power.     peaks: most bits held in each memory at once.
        tried:    whole schedules made.     searched: mappings searched (after sharing).
        not_mapped: options that have no mapping, and why.     map_seconds: CPU time spent on mappings.
    """

    schedule: Schedule
    options: tuple[Option, ...]
    bounds: Bounds
    energy_pj: float
    peaks: tuple[tuple[str, int], ...]
    tried: int
    searched: int
    not_mapped: tuple[Infeasible, ...]
    map_seconds: float


@dataclass(frozen=True, slots=True)
class _Trial:
    score: tuple[float, ...]
    schedule: Schedule
    picks: tuple[int, ...]
    energy_pj: float
    peaks: tuple[tuple[str, int], ...]


def solve(
    workload: Workload,
    chip: Chip,
    goal: Goal = "edp",
    spatial: Literal["fixed", "free"] = "fixed",
    budget: int = BUDGET,
    seed: int = 0,
    progress: Progress | None = None,
    store: Store | None = None,
) -> Solution | Infeasible:
    """The best schedule found within `budget` whole schedules, or why there is none.

    Each op gets an option (a core, or a split over like cores; operands resident or streamed). The engine places all
    ops in topological order. Search: starts by each option's own figures, then changes one op's option at a time.
    """
    clock = time.process_time()
    objective: Objective = "edp" if goal == "memory" else goal
    mapper = Mapper(workload, chip, objective, spatial, quick=True, store=store)
    choices: list[tuple[Option, ...]] = []
    not_mapped: list[Infeasible] = []
    for number, op in enumerate(workload.ops):
        if progress:
            progress("mapping", number, len(workload.ops))
        found, why = options_for(mapper, op)
        not_mapped += why
        if not found:
            if not chip.cores_for(op.kind):
                return Infeasible(
                    op.name,
                    f"no core of '{chip.name}' takes {op.kind} ops ({op.onnx})",
                    remedy="add the kind to a core's ops, or a core that takes it",
                )
            return why[0] if why else Infeasible(op.name, "no core can hold its tiles")
        choices.append(found)
    map_seconds = time.process_time() - clock
    search = _Search(workload, chip, choices, goal, budget, progress)
    best = search.run(random.Random(seed))
    if isinstance(best, Infeasible):
        return best
    clock = time.process_time()
    careful = Mapper(workload, chip, objective, spatial, store=store)
    picked = [refined(careful, found[pick]) for found, pick in zip(choices, best.picks, strict=True)]
    map_seconds += time.process_time() - clock
    final = _Search(workload, chip, [[option] for option in picked], goal, 1, None)
    refit = final.attempt(tuple(0 for _ in picked))
    if refit is None or refit.score > best.score:
        picked = [found[pick] for found, pick in zip(choices, best.picks, strict=True)]
        refit = best
    schedule = settle(refit.schedule, chip)
    # With a free dataflow the careful mapping may unroll otherwise than the quick one: the bounds hold for both.
    weighed = {o.name: (*found, pick) for o, found, pick in zip(workload.ops, choices, picked, strict=True)}
    return Solution(
        schedule,
        tuple(picked),
        bounds(workload, chip, weighed),
        total_energy_pj(schedule, chip),
        peak_bits(schedule),
        search.tried + 1,
        mapper.searched + careful.searched,
        tuple(dict.fromkeys(not_mapped)),
        map_seconds,
    )


class _Search:
    """Picks one option per op; every pick is judged by the whole schedule it leads to."""

    def __init__(
        self,
        workload: Workload,
        chip: Chip,
        choices: Sequence[Sequence[Option]],
        goal: Goal,
        budget: int,
        progress: Progress | None,
    ) -> None:
        self.workload, self.chip, self.choices, self.goal = workload, chip, choices, goal
        self.budget, self.progress = budget, progress
        divisors = {part.problem.setting.path_divisor for found in choices for option in found for part in option.parts}
        self.fabric = Fabric(chip, divisors)
        self.tried = 0
        self.best_score: tuple[float, ...] | None = None
        self.stuck: Infeasible | None = None
        self.seen: dict[tuple[int, ...], _Trial | None] = {}

    def run(self, rng: random.Random) -> _Trial | Infeasible:
        best: _Trial | None = None
        for start in self._starts():
            if best is not None and self.tried >= self.budget:
                break
            best = _better(best, self.attempt(start))
        if best is None:
            best = self._rescue()
        if best is None:
            return self.stuck or Infeasible(self.workload.name, "no start could be scheduled")
        return self._descend(best, rng)

    def _starts(self) -> list[tuple[int, ...]]:
        """Picks by each option's own figures: fastest, thriftiest, best product; and each op's first."""

        def pick(key: Callable[[Option], float]) -> tuple[int, ...]:
            return tuple(min(range(len(found)), key=lambda i: (key(found[i]), i)) for found in self.choices)

        starts = [
            pick(lambda option: option.duration * option.energy_pj),
            pick(lambda option: option.duration),
            pick(lambda option: option.energy_pj),
            tuple(0 for _ in self.choices),
            pick(lambda option: "streamed" not in option.name),
        ]
        return list(dict.fromkeys(starts))

    def _rescue(self) -> _Trial | None:
        """For each op what holds least on chip, which is nothing where it can be streamed whole."""

        def held(option: Option) -> int:
            return max(
                sum(
                    part.box_bits(name)
                    for name, memory, away in part.homes
                    if memory != self.chip.outermost and not away
                )
                for part in option.parts
            )

        return self.attempt(tuple(min(range(len(found)), key=lambda i: (held(found[i]), i)) for found in self.choices))

    def _descend(self, best: _Trial, rng: random.Random) -> _Trial:
        """One op's option at a time: the most promising of each op first, ops with most to do first."""
        figure = self._figure()
        ranked = [sorted(range(len(found)), key=lambda i: (figure(found[i]), i)) for found in self.choices]
        weight = [min(option.duration for option in found) for found in self.choices]
        order = sorted((op for op, found in enumerate(self.choices) if len(found) > 1), key=lambda op: -weight[op])
        while self.tried < self.budget:
            before = best
            for rank in range(max(map(len, self.choices))):
                for op in order:
                    if self.tried >= self.budget:
                        return best
                    if rank >= len(ranked[op]) or ranked[op][rank] == best.picks[op]:
                        continue
                    trial = self.attempt((*best.picks[:op], ranked[op][rank], *best.picks[op + 1 :]))
                    best = _better(best, trial) or best
            if best is before:
                break
            rng.shuffle(order)
        return best

    def _figure(self) -> Callable[[Option], float]:
        """What an option promises by itself, in the goal's unit."""
        if self.goal == "latency":
            return lambda option: option.duration
        if self.goal == "energy":
            return lambda option: option.energy_pj
        return lambda option: option.duration * option.energy_pj

    def attempt(self, picks: tuple[int, ...]) -> _Trial | None:
        """The whole schedule that these picks lead to, or None where a part gets stuck."""
        if picks in self.seen:
            return self.seen[picks]
        self.tried += 1
        if self.progress:
            self.progress("scheduling", self.tried, self.budget)
        picked = [found[pick] for found, pick in zip(self.choices, picks, strict=True)]
        engine = Engine(self.workload, self.fabric, picked)
        trial: _Trial | None = None
        try:
            engine.run()
        except Stuck as stuck:
            self.stuck = stuck.reason
        else:
            trial = self._judge(engine.schedule(), picks)
        self.seen[picks] = trial
        return trial

    def _judge(self, placed: Schedule, picks: tuple[int, ...]) -> _Trial | None:
        """The placed schedule with its final times; None where its own times already tell that it is far behind."""
        rough = self._score(placed, total_energy_pj(placed, self.chip), peak_bits(placed))
        if self.best_score is not None and rough[0] > HOPELESS * self.best_score[0]:
            return None
        schedule = retime(placed, self.chip)
        energy = total_energy_pj(schedule, self.chip)
        peaks = peak_bits(schedule)
        trial = _Trial(self._score(schedule, energy, peaks), schedule, picks, energy, peaks)
        if self.best_score is None or trial.score < self.best_score:
            self.best_score = trial.score
        return trial

    def _score(self, schedule: Schedule, energy: float, peaks: tuple[tuple[str, int], ...]) -> tuple[float, ...]:
        latency = schedule.latency_cycles
        on_chip = sum(bits for memory, bits in peaks if memory != self.chip.outermost)
        return {
            "latency": (latency, energy),
            "energy": (energy, latency),
            "edp": (latency * energy, latency),
            "memory": (on_chip, latency * energy),
        }[self.goal]


def _better(best: _Trial | None, trial: _Trial | None) -> _Trial | None:
    if trial is None or (best is not None and best.score <= trial.score):
        return best
    return trial


def total_energy_pj(schedule: Schedule, chip: Chip) -> float:
    """Energy of all tasks and transfers, and static power until the end [pJ]."""
    events = sum(task.energy_pj for task in schedule.tasks) + sum(move.energy_pj for move in schedule.transfers)
    return events + chip.static_pj_per_cycle * schedule.latency_cycles


def peak_bits(schedule: Schedule) -> tuple[tuple[str, int], ...]:
    """Most bits reserved in each memory at one instant, workspaces included."""
    changes: dict[str, list[tuple[int, int]]] = {}
    for held in schedule.residencies:
        changes.setdefault(held.memory, []).extend([(held.start, held.bits), (held.end, -held.bits)])
    for task in schedule.tasks:
        for memory, bits in task.workspace:
            changes.setdefault(memory, []).extend([(task.start, bits), (task.end, -bits)])
    peaks: list[tuple[str, int]] = []
    for memory, events in sorted(changes.items()):
        used = peak = 0
        for _, bits in sorted(events):
            used += bits
            peak = max(peak, used)
        peaks.append((memory, peak))
    return tuple(peaks)

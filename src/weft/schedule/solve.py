"""Schedules a workload on a chip: what each op may do, a seeded search over whole schedules, careful maps, bounds."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from weft.cache import Store
from weft.mapper import Objective
from weft.model.chip import Chip
from weft.model.fusion import Fusion
from weft.model.schedule import Infeasible, Schedule
from weft.model.workload import Note, Op, Workload
from weft.schedule.bounds import Bounds, bounds
from weft.schedule.choices import Choice, array_time, choices_of, twins
from weft.schedule.design import Composer, Design, Group
from weft.schedule.fabric import Fabric
from weft.schedule.finish import LEAST_BUDGET, LOOK, as_run, finish
from weft.schedule.frames import repeated
from weft.schedule.given import Given
from weft.schedule.plan import Plan
from weft.schedule.recipes import Recipes
from weft.schedule.search import GOALS, Goal, Progress, Search, trade, undominated
from weft.schedule.shared import Mapper
from weft.schedule.streams import Streamed, StreamSearch, streamed

__all__ = ["BUDGET", "GOALS", "Goal", "Progress", "Solution", "front", "solve"]

BUDGET = 200
"""Whole schedules tried by default (one more is made of the picked options, mapped carefully)."""


LIKELY = 10
"""Choices of an op that are mapped before the search, beside those of single cores; others when it comes to them."""


@dataclass(frozen=True)
class Solution:
    """A schedule with the design it was made of.

    Args:
        schedule: the events and their times.     design: groups and placements.     plan: tiles and what runs them.
        bounds:  what no schedule can beat.
        energy_pj: tasks, transfers and static power.     peaks: most bits held in each memory at once.
        tried:    whole schedules made.     searched: mappings searched (after sharing).
        not_mapped: choices that have no mapping, and why.     map_seconds: CPU time spent on mappings.
        stream:   of several frames, what one frame is, and how far the next one is behind it.
        notes: what the search has to say of it.
    """

    schedule: Schedule
    design: Design
    plan: Plan
    bounds: Bounds
    energy_pj: float
    peaks: tuple[tuple[str, int], ...]
    tried: int
    searched: int
    not_mapped: tuple[Infeasible, ...]
    map_seconds: float
    stream: Streamed | None = None
    notes: tuple[Note, ...] = ()

    @property
    def latency_cycles(self) -> int:
        return self.schedule.latency_cycles


@dataclass(frozen=True, slots=True)
class Figure:
    """What a choice promises by itself; `busy`: base cycles of each core."""

    choice: Choice
    cycles: int
    busy: tuple[tuple[str, int], ...]
    energy_pj: float
    streamed: bool
    held: int


def solve(
    workload: Workload,
    chip: Chip,
    goal: Goal = "edp",
    spatial: Literal["fixed", "free"] = "fixed",
    budget: int = BUDGET,
    seed: int = 0,
    progress: Progress | None = None,
    store: Store | None = None,
    fuse: bool = True,
    fusion: Fusion | None = None,
    frames: int = 1,
) -> Solution | Infeasible:
    """The best schedule found within `budget` whole schedules, or why there is none.

    Args: goal: what is made small.
          fuse: whether ops may be run together, step by step.   fusion: groups and placements that are settled.
          frames: copies of the workload that are run in a row: the schedule is that of the whole stream.
    """
    found = _solutions(workload, chip, goal, spatial, budget, seed, progress, store, fuse, fusion, frames, False)
    return found if isinstance(found, Infeasible) else found[0]


def front(
    workload: Workload,
    chip: Chip,
    spatial: Literal["fixed", "free"] = "fixed",
    budget: int = BUDGET,
    seed: int = 0,
    progress: Progress | None = None,
    store: Store | None = None,
    fuse: bool = True,
    fusion: Fusion | None = None,
) -> tuple[tuple[Goal, Solution], ...] | Infeasible:
    """Schedules of which none is beaten in latency, energy and memory on chip, fastest first, or why there is none.

    They are what searches for each objective came across, `budget` whole schedules each; an objective goes with each.
    """
    every: list[tuple[Goal, Solution]] = []
    for goal in GOALS:
        found = _solutions(workload, chip, goal, spatial, budget, seed, progress, store, fuse, fusion, 1, True)
        if isinstance(found, Infeasible):
            return found
        every += [(goal, solution) for solution in found]
    points = undominated(every, lambda it: trade(it[1], chip))
    return tuple(sorted(points, key=lambda it: trade(it[1], chip)))


def _solutions(
    workload: Workload,
    chip: Chip,
    goal: Goal,
    spatial: Literal["fixed", "free"],
    budget: int,
    seed: int,
    progress: Progress | None,
    store: Store | None,
    fuse: bool,
    fusion: Fusion | None,
    frames: int,
    every: bool,
) -> list[Solution] | Infeasible:
    """The best schedule that a search found, and those that are not beaten in all figures where they are asked for."""
    clock = time.process_time()
    objective: Objective = "edp" if goal == "memory" else goal
    composer = Composer(workload, chip, Recipes(Mapper(workload, chip, objective, spatial, quick=True, store=store)))
    known: list[list[Figure]] = []
    others: list[list[Choice]] = []
    not_mapped: list[Infeasible] = []
    for number, op in enumerate(workload.ops):
        if progress:
            progress("mapping", number, len(workload.ops))
        likely, later = ranked(op, choices_of(composer.recipes.mapper, op), chip)
        found, why = figures(composer, number, likely)
        if not found:
            found, more = figures(composer, number, later)
            why += more
            later = []
        not_mapped += why
        others.append(later)
        if not found:
            if not chip.cores_for(op.kind):
                return Infeasible(
                    op.name,
                    f"no core of '{chip.name}' takes {op.kind} ops ({op.onnx})",
                    remedy="add the kind to a core's ops, or a core that takes it",
                )
            return why[0] if why else Infeasible(op.name, "no core can hold its tiles")
        known.append(found)
    map_seconds = time.process_time() - clock
    by = keys(goal)
    promising = [
        [*(it.choice for it in sorted(found, key=by[0])), *later] for found, later in zip(known, others, strict=True)
    ]
    shared = {1, *(len(choice.placement.cores) for found in promising for choice in found)}
    shared |= {len(spot.cores) for spot in fusion.placements} if fusion else set()
    fabric = Fabric(chip, shared)
    given = None if fusion is None else Given(workload, fusion)
    look = LOOK if budget >= LEAST_BUDGET and frames == 1 and not every else 0
    search = Search(composer, fabric, promising, goal, budget - look, fuse, progress, given)
    first = starts(known, by)
    if frames > 1:
        search = StreamSearch(search, frames)
        first = [*balanced(known), *first]
    search.front = [] if every else None
    best = search.run(first, random.Random(seed))
    if best is None:
        return search.stuck or Infeasible(workload.name, "no start could be scheduled")
    careful = Composer(workload, chip, Recipes(Mapper(workload, chip, objective, spatial, store=store)))
    known_bounds = bounds(workload if frames == 1 else repeated(workload, frames), chip, spatial)
    solutions: list[Solution] = []
    for trial in [best, *(it for it in search.front or () if it is not best)]:
        clock = time.process_time()
        plan, placed = trial.plan, trial.placed
        again = careful.plan(trial.design)
        map_seconds += time.process_time() - clock
        if not isinstance(again, Infeasible):
            refit = search.place(trial.design, again)
            if not isinstance(refit, Infeasible) and search.score(refit.retimed()) <= trial.score:
                plan, placed = again, refit.retimed()
        stream: Streamed | None = None
        if isinstance(search, StreamSearch):
            whole = streamed(search, plan, frames, spatial)
            if isinstance(whole, Infeasible):
                return whole
            (placed, stream), plan = whole, whole[0].plan
        notes: tuple[Note, ...] = ()
        if look:
            spare = composer if given is None else None
            done = finish(workload, fabric, plan, placed, search.score, goal, seed, spare)
            plan, placed, notes = done.plan, done.placed, done.notes
        placed = placed.settled()
        solutions.append(
            Solution(
                placed.schedule(),
                as_run(trial.design, plan) if look else trial.design,
                plan,
                known_bounds,
                placed.energy_pj,
                placed.peaks,
                search.tried + look + 1,
                composer.recipes.mapper.searched + careful.recipes.mapper.searched,
                tuple(dict.fromkeys(not_mapped)),
                map_seconds,
                stream,
                notes,
            )
        )
    return solutions


def ranked(op: Op, choices: Sequence[Choice], chip: Chip) -> tuple[list[Choice], list[Choice]]:
    """Choices worth a mapping at once, and all others: those on the first of like cores, and the fastest arrays'."""
    first = {group[0] for group in twins(chip)}
    times = {choice: array_time(op, choice, chip) for choice in choices}
    order = sorted(choices, key=times.__getitem__)
    simple = [it for it in choices if len(it.placement.cores) == 1 and it.placement.cores[0] in first]
    likely = [*simple, *(it for it in order if it not in simple)][: len(simple) + LIKELY]
    return likely, [it for it in order if it not in likely]


def figures(composer: Composer, number: int, choices: Sequence[Choice]) -> tuple[list[Figure], list[Infeasible]]:
    """What each choice of an op promises, and why others are none."""
    found: list[Figure] = []
    why: list[Infeasible] = []
    recipes, outermost = composer.recipes, composer.chip.outermost
    for choice in choices:
        made = composer.cut(number, choice.along(composer.workload.ops[number]), choice.placement)
        if isinstance(made, Infeasible):
            why.append(made)
            continue
        busy: dict[str, int] = {}
        energy, streamed, held = 0.0, False, 0
        for recipe in made[0].recipes.tolist():
            it = recipes.all[recipe]
            busy[it.core] = busy.get(it.core, 0) + it.duration
            energy += it.mapped.price.energy_pj
            streamed |= any(away for _, _, away in it.homes)
            held = max(held, sum(it.bits(name) for name, at, away in it.homes if at != outermost and not away))
        found.append(Figure(choice, max(busy.values()), tuple(busy.items()), energy, streamed, held))
    return found, why


def keys(goal: Goal) -> list[Callable[[Figure], float]]:
    """What an op's choices may be compared by, the goal's own first."""

    def product(it: Figure) -> float:
        return it.cycles * it.energy_pj

    def cycles(it: Figure) -> float:
        return it.cycles

    def energy(it: Figure) -> float:
        return it.energy_pj

    own = {"latency": cycles, "energy": energy}.get(goal, product)
    return [own, *(key for key in (product, cycles, energy) if key is not own)]


def starts(known: Sequence[Sequence[Figure]], by: Sequence[Callable[[Figure], float]]) -> list[Design]:
    """Every op by itself: each the best by one figure, each the first, each resting on chip, each holding least."""

    def start(key: Callable[[Figure], float]) -> Design:
        chosen = [min(found, key=key).choice for found in known]
        groups = tuple(Group((op,), choice.axis, choice.steps) for op, choice in enumerate(chosen))
        return Design(groups, tuple(choice.placement for choice in chosen))

    ways = [*by, lambda it: 0.0, lambda it: float(it.streamed), lambda it: float(it.held)]
    return list(dict.fromkeys(start(key) for key in ways))


def balanced(known: Sequence[Sequence[Figure]]) -> list[Design]:
    """Starts for streams, heaviest ops first: each where it adds least to the busiest core; each with least work."""

    def start(thrifty: bool) -> Design:
        load: dict[str, int] = {}
        chosen: dict[int, Figure] = {}
        least = [min(sum(cycles for _, cycles in it.busy) for it in found) for found in known]
        for op in sorted(range(len(known)), key=lambda op: -least[op]):

            def after(it: Figure) -> tuple[float, ...]:
                work = sum(cycles for _, cycles in it.busy)
                busiest = max(load.get(core, 0) + cycles for core, cycles in it.busy)
                return (it.streamed, work, busiest) if thrifty else (it.streamed, busiest, work)

            chosen[op] = min(known[op], key=after)
            for core, cycles in chosen[op].busy:
                load[core] = load.get(core, 0) + cycles
        choices = [chosen[op].choice for op in range(len(known))]
        groups = tuple(Group((op,), choice.axis, choice.steps) for op, choice in enumerate(choices))
        return Design(groups, tuple(choice.placement for choice in choices))

    return [start(False), start(True)]

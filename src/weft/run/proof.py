"""The proof that every run carries: rules over schedule and mappings, prices told again, and the replay."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping as Map
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

from weft.cost import price
from weft.cost.legal import RULES as MAPPING_RULES
from weft.cost.legal import broken
from weft.execute.estimate import MOST_SECONDS, seconds
from weft.execute.outcome import Numerics, Progress, not_run
from weft.execute.replay import ReplayResult, check_replay
from weft.execute.replay_columns import check_replay_columns
from weft.model.chip import Chip
from weft.model.packing import to_columns
from weft.model.rules import CheckResult, check
from weft.model.rules.columns import check_columns
from weft.model.schedule import Schedule, Task, Violation
from weft.model.workload import SLOTS, Op, Workload
from weft.read import with_values
from weft.read.onnx import read_graph
from weft.run.result import Proof
from weft.schedule import Solution
from weft.schedule.plan import Plan, Recipe
from weft.schedule.settings import hub_memory

MANY = 2_000
"""Events from which on columns are faster: below, kernels take longer to start than the rules on nouns to end."""


def prove(workload: Workload, chip: Chip, solution: Solution) -> Proof:
    """Rules over the schedule and over every mapping in it, every task priced again, and the replay.

    Of a stream, the schedule of half its frames as well: its initiation interval follows from both.
    """
    if solution.stream is not None:
        network, plan, schedule = solution.stream.half
        parts = [
            prove(workload, chip, replace(solution, stream=None)),
            prove(network, chip, replace(solution, plan=plan, schedule=schedule, stream=None)),
        ]
        return Proof(
            sum(part.checked for part in parts),
            tuple(found for part in parts for found in part.violations),
            all(part.replay_ok for part in parts),
            tuple(found for part in parts for found in part.replay_differences),
        )
    facts, replayed = checked(workload, chip, solution.schedule)
    wrong = list(facts.violations)
    used = solution.plan.used
    for number in used:
        recipe = solution.plan.recipes[number]
        for found in broken(recipe.problem, recipe.mapped.mapping):
            subject = f"{recipe.problem.op.name}: {found.subject}"
            wrong.append(Violation(found.rule, subject, 0, found.needs, found.has))
    wrong += mispriced(chip, solution.plan, solution.schedule.tasks)
    wrong += underbooked(chip, solution.plan, solution.schedule.tasks)
    differences = tuple(str(item) for item in replayed.differences)
    return Proof(
        facts.checked + len(used) * len(MAPPING_RULES) + 4 * len(solution.schedule.tasks),
        tuple(wrong),
        replayed.ok,
        differences,
    )


def checked(workload: Workload, chip: Chip, schedule: Schedule) -> tuple[CheckResult, ReplayResult]:
    """The rules of schedules and the replay: on nouns where there are few events, on columns where there are many."""
    if len(schedule.tasks) + len(schedule.transfers) >= MANY:
        try:
            columns = to_columns(workload, chip, schedule)
            return check_columns(workload, chip, columns), check_replay_columns(workload, chip, columns)
        except OverflowError:
            pass  # a number that no column holds; nouns hold any
    return check(workload, chip, schedule), check_replay(schedule, chip)


def executed(
    model: str | Any,
    dims: Map[str, int] | None,
    workload: Workload,
    chip: Chip,
    solution: Solution,
    how: str,
    seed: int,
    progress: Progress | None,
) -> Numerics:
    """The schedule executed tile by tile against ONNX Runtime.

    Args:    how: "on", "off", or "auto": where it takes no more than some twenty seconds.   seed: of the inputs.
    """
    if how == "off":
        return not_run("left out by --numerics off")
    stream = solution.stream
    frames = [0] if stream is None else list(range(stream.frames))
    alone = workload if stream is None else stream.alone
    needed = seconds(alone, len(solution.schedule.tasks) // len(frames))
    if how == "auto" and len(frames) > 2 and needed * len(frames) > MOST_SECONDS:
        frames = [frames[0], frames[-1]]
    needed *= len(frames)
    if how == "auto" and needed > MOST_SECONDS:
        return not_run(f"it would take some {needed:.0f} s; --numerics on runs it")
    source = with_values(model)
    if source is None:
        return not_run("this form of the network is read without its weights; an .onnx file has them")
    from weft.execute.numerics import check_numerics  # what executes takes long to import, and mapping needs none of it

    graph = read_graph(source, dims)
    if stream is None:
        return check_numerics(workload, solution.schedule, chip.outermost, graph, source, seed, progress)
    found = [
        check_numerics(stream.alone, one, chip.outermost, graph, source, seed, progress)
        for frame in frames
        for one in [of_frame(solution.schedule, stream.alone, frame)]
    ]
    worst = max(found, key=lambda it: (_RANKS.index(it.status), it.max_abs_error or 0.0))
    which = f"{len(frames)} of {stream.frames} frames" if len(frames) < stream.frames else f"all {len(frames)} frames"
    return replace(worst, reason=f"{which}, each fed the same; {worst.reason}")


_RANKS = ("exact", "close", "not-run", "failed")


def of_frame(schedule: Schedule, alone: Workload, frame: int) -> Schedule:
    """What a stream's schedule does for one frame, under the names of the network: its own, and all of weights."""
    shared = {tensor.name for tensor in alone.tensors if tensor.role == "weight"}
    names = {name if name in shared else f"{name}#{frame}": name for name in (it.name for it in alone.tensors)}
    ops = {f"{op.name}#{frame}": op.name for op in alone.ops}
    tasks = tuple(
        replace(
            task,
            op=ops[task.op],
            reads=tuple(replace(use, tensor=names[use.tensor]) for use in task.reads),
            writes=replace(task.writes, tensor=names[task.writes.tensor]),
        )
        for task in schedule.tasks
        if task.op in ops
    )
    transfers = tuple(replace(it, tensor=names[it.tensor]) for it in schedule.transfers if it.tensor in names)
    residencies = tuple(replace(it, tensor=names[it.tensor]) for it in schedule.residencies if it.tensor in names)
    return replace(schedule, tasks=tasks, transfers=transfers, residencies=residencies)


def mispriced(chip: Chip, plan: Plan, tasks: Sequence[Task]) -> list[Violation]:
    """Tasks whose duration or energy is not what the formula gives for their tile on their core.

    Mappings are shared between like cores and like tiles and carried over by name; this prices each recipe as it
    stands, and holds each task's tile against the one that its recipe was made for.
    """
    wrong: list[Violation] = []
    by_tile = {(task.op, task.ranges): task for task in tasks}
    told: dict[int, tuple[int, float]] = {}
    for cut in plan.cuts:
        for tile, number in enumerate(cut.recipes.tolist()):
            recipe, ranges = plan.recipes[number], cut.ranges(tile)
            task = by_tile[cut.op.name, ranges]
            if number not in told:
                told[number] = _told(chip, recipe)
            cycles, energy = told[number]
            if (
                _unnamed(recipe.problem.op) != _unnamed(cut.op.alone(dict(ranges)).counted())
                or recipe.core != task.core
            ):
                rule, has = "a task is the tile that its mapping is for", f"{recipe.problem.op} on {recipe.core}"
                wrong.append(Violation(rule, f"task {task.id}", task.start, f"{task.op} {ranges} on {task.core}", has))
            if task.end - task.start != cycles:
                rule, has = "a task lasts as long as its mapping", f"{task.end - task.start} cycles"
                wrong.append(Violation(rule, f"task {task.id}", task.start, f"{cycles} cycles", has))
            if not math.isclose(task.energy_pj, energy, rel_tol=1e-9, abs_tol=1e-6):
                rule, has = "a task costs what its mapping does", f"{task.energy_pj} pJ"
                wrong.append(Violation(rule, f"task {task.id}", task.start, f"{energy} pJ", has))
    return wrong


def _unnamed(op: Op) -> Op:
    """An op as it is priced, whatever it and its tensors are called: frames of a stream share recipes."""
    operands = tuple(replace(item, tensor="") for item in op.operands)
    return replace(op, name="", operands=operands)


def underbooked(chip: Chip, plan: Plan, tasks: Sequence[Task]) -> list[Violation]:
    """Tasks that book less than their mapping moves, or reserve less than it keeps beside the boxes that they use.

    A task's rate on a link, or on a port that it shares with transfers, is its bits there over its duration; tiles of
    streamed operands and second copies are reserved for the whole task.
    """
    wrong: list[Violation] = []
    by_tile = {(task.op, task.ranges): task for task in tasks}
    needs: dict[int, tuple[Bits, dict[str, int]]] = {}
    fine: set[tuple[int, ...]] = set()
    for cut in plan.cuts:
        for tile, number in enumerate(cut.recipes.tolist()):
            task = by_tile[cut.op.name, cut.ranges(tile)]
            if number not in needs:
                needs[number] = _moved(plan.recipes[number]), _kept(chip, plan.recipes[number])
            alike = (number, id(task.ports), id(task.lanes), id(task.workspace), task.end - task.start)
            if alike in fine:
                continue
            before = len(wrong)
            moved, kept = needs[number]
            booked: defaultdict[tuple[str, str], Fraction] = defaultdict(Fraction)
            for lane in task.lanes:
                booked[lane.link, lane.lane] += lane.rate
            for port in task.ports:
                booked[port.memory, port.port] += port.rate
            for at, bits in moved.items():
                room = booked[at] * (task.end - task.start)
                if room < bits:
                    rule = "a task books what its mapping moves"
                    wrong.append(
                        Violation(rule, f"task {task.id} on {'.'.join(at)}", task.start, f"{bits} bits", str(room))
                    )
            reserved: defaultdict[str, int] = defaultdict(int)
            for memory, bits in task.workspace:
                reserved[memory] += bits
            for memory, bits in kept.items():
                if reserved[memory] < bits:
                    rule, has = "a task reserves what its mapping keeps", f"{reserved[memory]} bits"
                    wrong.append(Violation(rule, f"task {task.id} in {memory}", task.start, f"{bits} bits", has))
            if len(wrong) == before:
                fine.add(alike)
    return wrong


Bits = dict[tuple[str, str], int]
"""By (link, lane) and (memory, port)."""


def _moved(recipe: Recipe) -> Bits:
    """What a mapping moves over links and through ports that transfers use, too: those of memories where boxes rest
    and of memories on the way to them."""
    shared = {memory for _, memory, streamed in recipe.homes if not streamed}
    shared |= {memory for _, route in recipe.routes for memory in route.memories[:-1]}
    moved: defaultdict[tuple[str, str], int] = defaultdict(int)
    for flow in recipe.mapped.price.flows:
        if flow.flow == "link" or flow.memory in shared:
            moved[flow.memory, flow.port] += flow.bits
    return moved


def _kept(chip: Chip, recipe: Recipe) -> dict[str, int]:
    """What a mapping keeps in memories where boxes rest, beside the boxes."""
    homes = {hub_memory(chip.core(recipe.core), chip, slot) for slot in SLOTS}
    kept: defaultdict[str, int] = defaultdict(int)
    for room in recipe.mapped.price.room:
        if room.memory in homes:
            kept[room.memory] += room.bits
    return kept


def _told(chip: Chip, recipe: Recipe) -> tuple[int, float]:
    """Base cycles and energy of a recipe without static power, by the readable formula."""
    core, priced = chip.core(recipe.core), price(recipe.problem, recipe.mapped.mapping)
    static = chip.static_pj_per_cycle * chip.base_clock_hz / core.clock_hz * priced.latency_cycles
    return math.ceil(priced.latency_cycles * chip.base_clock_hz / core.clock_hz), priced.energy_pj - static

"""Worlds (a workload, a chip, a schedule) broken by hand, and the sentences of the rules that tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from weft.model.chip import Chip
from weft.model.rules import check
from weft.model.schedule import Residency, Schedule
from weft.model.workload import Op, Workload

IDS = "events and residencies have ids of their own"
NAMES = "everything that is named exists"
BOXES = "boxes lie within what they are boxes of"
TIMES = "what starts ends later"
AMOUNTS = "energies and bits are not negative, rates are positive"
FILL = "the tiles of an op do all of it"
TWICE = "the tiles of an op do nothing twice"
WHOLE = "a tile spans reductions and barriers whole"
KIND = "a core takes the kind of its tasks"
ONE_TASK = "a core does one task at a time"
OPERANDS = "a task uses each operand of its op once"
NEEDS = "a task reads all that its tile needs"
MAKES = "a task writes exactly what its tile makes"
DISJOINT = "the boxes of a use are disjoint"
HOLD = "residencies hold what is read from them"
THERE = "data is there before it is read"
STAYS = "data stays while it is read"
ONE_MAKER = "a residency is made once, by its writer"
TASK_MAKES = "a task makes what it writes, valid at its end"
TRANSFER_MAKES = "a transfer makes what it moves, valid at its end"
BITS_HELD = "a residency takes the bits of its box"
GIVEN = "only inputs and weights are there from the start"
LAST_READER = "a residency ends with its last reader"
HOME = "outputs are in the outermost memory in the end"
SLOT = "operands lie in memories of the core that hold their slot"
WORKSPACE = "workspaces lie in memories of the core"
ROUTE = "links join the memories of a route"
TREE = "the routes of a transfer are a tree"
LANES = "a transfer books the lanes of its routes"
PORTS = "a transfer books ports of the memories on its routes"
BITS_MOVED = "a transfer moves the bits of its box"
LATENCY = "a transfer waits for its set-up and the latency of its links"
DURATION = "a transfer takes the time of its bits at its rate"
STREAM = "a streaming task books a way to its data"
FITS = "what is in a memory fits in it"
HELD_ONCE = "boxes of a tensor in one memory are held once"
LINK_RATE = "rates on a link sum to at most its bandwidth"
PORT_RATE = "rates on a port sum to at most its bandwidth"
EXCLUSIVE = "an exclusive link serves one at a time"
ALONE = "an exclusive port serves one at a time"
HOLDS = "a task holds the exclusive ports of the memories it works from"
ENGINE = "a transfer has an engine of the chip for itself"

World = tuple[Workload, Chip, Schedule]
Edit = Callable[[World], World]


def task(id: int, /, **changes: Any) -> Edit:
    return _scheduled(lambda s: replace(s, tasks=_changed(s.tasks, id, changes)))


def reads(id: int, position: int, /, **changes: Any) -> Edit:
    def edit(schedule: Schedule) -> Schedule:
        item = next(item for item in schedule.tasks if item.id == id)
        uses = list(item.reads)
        uses[position] = replace(uses[position], **changes)
        return replace(schedule, tasks=_changed(schedule.tasks, id, {"reads": tuple(uses)}))

    return _scheduled(edit)


def writes(id: int, /, **changes: Any) -> Edit:
    def edit(schedule: Schedule) -> Schedule:
        item = next(item for item in schedule.tasks if item.id == id)
        return replace(schedule, tasks=_changed(schedule.tasks, id, {"writes": replace(item.writes, **changes)}))

    return _scheduled(edit)


def transfer(id: int, /, **changes: Any) -> Edit:
    return _scheduled(lambda s: replace(s, transfers=_changed(s.transfers, id, changes)))


def residency(id: int, /, **changes: Any) -> Edit:
    return _scheduled(lambda s: replace(s, residencies=_changed(s.residencies, id, changes)))


def added(new: Residency) -> Edit:
    return _scheduled(lambda s: replace(s, residencies=(*s.residencies, new)))


def no_task(id: int) -> Edit:
    return _scheduled(lambda s: replace(s, tasks=tuple(item for item in s.tasks if item.id != id)))


def no_transfer(id: int) -> Edit:
    return _scheduled(lambda s: replace(s, transfers=tuple(item for item in s.transfers if item.id != id)))


def no_residency(id: int) -> Edit:
    return _scheduled(lambda s: replace(s, residencies=tuple(item for item in s.residencies if item.id != id)))


def schedule(**changes: Any) -> Edit:
    return _scheduled(lambda s: replace(s, **changes))


def chip(**changes: Any) -> Edit:
    return _built(lambda c: replace(c, **changes))


def memory(name: str, /, **changes: Any) -> Edit:
    return _built(
        lambda c: replace(c, memories=tuple(replace(m, **changes) if m.name == name else m for m in c.memories))
    )


def link(name: str, /, **changes: Any) -> Edit:
    return _built(lambda c: replace(c, links=tuple(replace(x, **changes) if x.name == name else x for x in c.links)))


def core(name: str, /, **changes: Any) -> Edit:
    return _built(lambda c: replace(c, cores=tuple(replace(x, **changes) if x.name == name else x for x in c.cores)))


def op(name: str, /, **changes: Any) -> Edit:
    def edit(world: World) -> World:
        workload, built, schedule = world
        ops: tuple[Op, ...] = tuple(replace(x, **changes) if x.name == name else x for x in workload.ops)
        return replace(workload, ops=ops), built, schedule

    return edit


def role(name: str, role: Any) -> Edit:
    def edit(world: World) -> World:
        workload, built, schedule = world
        tensors = tuple(replace(x, role=role) if x.name == name else x for x in workload.tensors)
        return replace(workload, tensors=tensors), built, schedule

    return edit


def moved(id: int, by: int) -> tuple[Edit, ...]:
    """An event and what it makes, moved in time; what it reads is left alone."""

    def edit(s: Schedule) -> Schedule:
        def shift(item: Any) -> Any:
            return replace(item, start=item.start + by, end=item.end + by) if item.id == id else item

        def follow(item: Residency) -> Residency:
            if item.writer != id:
                return item
            return replace(item, start=item.start + by, valid_from=item.valid_from + by)

        return replace(
            s,
            tasks=tuple(map(shift, s.tasks)),
            transfers=tuple(map(shift, s.transfers)),
            residencies=tuple(map(follow, s.residencies)),
        )

    return (_scheduled(edit),)


def _scheduled(change: Callable[[Schedule], Schedule]) -> Edit:
    return lambda world: (world[0], world[1], change(world[2]))


def _built(change: Callable[[Chip], Chip]) -> Edit:
    return lambda world: (world[0], change(world[1]), world[2])


def _changed(items: tuple[Any, ...], id: int, changes: dict[str, Any]) -> tuple[Any, ...]:
    assert any(item.id == id for item in items)
    return tuple(replace(item, **changes) if item.id == id else item for item in items)


def broken_in(world: World, edits: tuple[Edit, ...]) -> tuple[World, set[str]]:
    """The world after some edits, and the sentences that no longer hold of it."""
    for edit in edits:
        world = edit(world)
    return world, {violation.rule for violation in check(*world).violations}

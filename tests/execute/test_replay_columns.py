"""The replay on columns comes to the times of the replay on nouns, and sees what that sees."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from tests.execute.test_replay import naive, random_orders
from tests.oracles import cast, little
from tests.oracles.mutants import mutants
from tests.oracles.rows import make_rows, make_world
from tests.schedule.worlds import make_chip, make_workload
from weft.execute.replay import Event, Orders, check_replay
from weft.execute.replay_columns import Arrays, arrays_of, check_replay_columns, queues, replayed
from weft.model.chip import Chip
from weft.model.columns import Columns
from weft.model.packing import to_columns, to_schedule
from weft.model.schedule import Infeasible
from weft.model.workload import Workload
from weft.schedule import solve

Amounts = dict[tuple[str, ...], tuple[int, int]]
"""By resource: units taken, and units back at the end."""


def started(arrays: Arrays) -> list[int]:
    return replayed(*(getattr(arrays, name) for name in Arrays.__slots__)).tolist()  # type: ignore[no-any-return]


def same(workload: Workload, chip: Chip, columns: Columns) -> bool:
    """Whether both replays find the times right; they must say the same."""
    ours = check_replay(to_schedule(workload, chip, columns), chip)
    assert check_replay_columns(workload, chip, columns) == ours
    return ours.ok


@pytest.mark.parametrize("world", [little, cast], ids=["little", "cast"])
def test_both_replays_say_the_same_of_every_mutant(world: Any) -> None:
    assert same(world.WORKLOAD, world.CHIP, to_columns(world.WORKLOAD, world.CHIP, world.SCHEDULE))
    seen = 0
    for mutant in mutants(world.WORKLOAD, world.CHIP, world.SCHEDULE):
        columns = to_columns(world.WORKLOAD, mutant.chip, mutant.schedule)
        seen += not same(world.WORKLOAD, mutant.chip, columns)
    assert seen > 60


@pytest.mark.parametrize("seed", [2, 6, 11, 16, 23, 36, 41, 47])
def test_both_replays_say_the_same_of_random_worlds_and_their_mutants(seed: int) -> None:
    workload, chip = make_workload(seed), make_chip(seed)
    found = solve(workload, chip, "edp", budget=2, seed=seed)
    assert not isinstance(found, Infeasible)
    assert same(workload, chip, to_columns(workload, chip, found.schedule))
    for mutant in mutants(workload, chip, found.schedule, seed=seed, limit=30):
        same(workload, mutant.chip, to_columns(workload, mutant.chip, mutant.schedule))


def test_a_row_that_starts_a_cycle_late_is_seen_among_thousands() -> None:
    workload, chip = make_world(1000)
    columns = make_rows(1000)
    arrays = arrays_of(workload, chip, columns)
    assert arrays is not None
    scheduled = np.concatenate((columns.tasks.start, columns.transfers.start))
    assert started(arrays) == scheduled.tolist()
    arrays.duration[700] += 1  # a task of core 2: the next one of that core is to start as it ends
    assert started(arrays) != scheduled.tolist()


# -- orders that no schedule has: circular waits, arbitrary rates and rooms --------------------------------------------


def arrays_from(orders: Orders, chip: Chip) -> Arrays:
    """The arrays of orders made as nouns; all rates are in twelfths of a bit per cycle."""
    names: dict[tuple[str, ...], int] = {}
    free: list[int] = []

    def resource(name: tuple[str, ...], units: int) -> int:
        if name not in names:
            names[name] = len(names)
            free.append(units)
        return names[name]

    memory_of = {holding.id: holding.memory for holding in orders.holdings}
    bits = {holding.id: holding.bits for holding in orders.holdings}
    room = {memory.name: resource(("memory", memory.name), memory.size_bits) for memory in chip.memories}
    takes: list[dict[int, tuple[int, int]]] = []
    for event in orders.events:
        mine: dict[int, tuple[int, int]] = {}
        for number, units, back in _amounts(event, chip, resource, room, memory_of, bits):
            before = mine.get(number, (0, 0))
            mine[number] = (before[0] + units, before[1] + back)
        takes.append(mine)
    place = {event.id: row for row, event in enumerate(orders.events)}
    first, resources = _ragged([list(mine) for mine in takes])
    arrays = {
        "duration": [event.duration for event in orders.events],
        **dict(zip(("reads_first", "reads"), _ragged([list(event.reads) for event in orders.events]), strict=True)),
        **dict(zip(("makes_first", "makes"), _ragged([list(event.makes) for event in orders.events]), strict=True)),
        **dict(zip(("after_first", "after"), _ragged([list(event.after) for event in orders.events]), strict=True)),
        "takes_first": first,
        "takes": resources,
        "units": [units for mine in takes for units, _ in mine.values()],
        "back": [back for mine in takes for _, back in mine.values()],
    }
    lists: list[list[int]] = [[] for _ in free]
    for kind, listed in (
        ("core", orders.cores),
        ("lane", orders.lanes),
        ("port", orders.ports),
        ("memory", orders.memories),
    ):
        for name, queue in listed:
            key = (kind, *((name,) if isinstance(name, str) else name))
            lists[names[key]] = [place[number] for number in queue]
            if ("alone", *key[1:]) in names:
                lists[names["alone", *key[1:]]] = lists[names[key]]
    queue_first, queue = _ragged(lists)
    dtypes = {"takes": np.int32, "queue": np.int32, "given": np.bool_, "stays": np.bool_}
    values: dict[str, Any] = {
        **arrays,
        "queue_first": queue_first,
        "queue": queue,
        "free": free,
        "memory": [room[holding.memory] for holding in orders.holdings],
        "bits": [holding.bits for holding in orders.holdings],
        "given": [holding.writer == -1 for holding in orders.holdings],
        "stays": [holding.stays for holding in orders.holdings],
    }
    return Arrays(**{name: np.array(value, dtypes.get(name, np.int64)) for name, value in values.items()})


def _amounts(
    event: Event, chip: Chip, resource: Any, room: Any, memory_of: Any, bits: Any
) -> list[tuple[int, int, int]]:
    """(resource, units, units back at the end)."""
    found = []
    if event.core is not None:
        found.append((resource(("core", event.core), 1), 1, 1))
    for lane in event.lanes:
        link = chip.link(lane.link)
        units = int(lane.rate * 12)
        found.append((resource(("lane", lane.link, lane.lane), int(chip.lane_rate(link) * 12)), units, units))
    for link_name, lane_name in sorted({(lane.link, lane.lane) for lane in event.lanes}):
        if chip.link(link_name).exclusive:
            found.append((resource(("alone", link_name, lane_name), 1), 1, 1))
    for port in event.ports:
        memory = chip.memory(port.memory)
        most = next(chip.port_rate(memory, item) for item in memory.ports if item.name == port.port)
        units = int(port.rate * 12)
        found.append((resource(("port", port.memory, port.port), int(most * 12)), units, units))
    found += [(room[memory], work, work) for memory, work in event.workspace]
    found += [(room[memory_of[number]], bits[number], 0) for number in event.makes]
    return found


def _ragged(rows: list[list[int]]) -> tuple[list[int], list[int]]:
    return np.cumsum([0, *map(len, rows)]).tolist(), [item for row in rows for item in row]


@pytest.mark.parametrize("seed", range(250))
def test_random_orders_replay_on_arrays_as_stepping_cycle_by_cycle_does(seed: int) -> None:
    sample, chip = random_orders(random.Random(seed))
    times = naive(sample, chip)
    expected = [times[event.id][0] if event.id in times else -1 for event in sample.events]
    assert started(arrays_from(sample, chip)) == expected


def test_resources_take_events_in_the_order_given() -> None:
    first, queue = queues(np.array([2, 0, 1]), np.array([0, 2, 3, 5]), np.array([0, 1, 1, 1, 0], np.int32), 3)
    assert first.tolist() == [0, 2, 5, 5]
    assert queue.tolist() == [2, 0, 2, 0, 1]

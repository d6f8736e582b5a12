"""The replay: hand-made orders and their times, a twin that steps cycle by cycle, mutants of the little schedule."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import fields, replace
from fractions import Fraction

import pytest

from tests.oracles.little import CHIP, SCHEDULE, WORKLOAD
from tests.oracles.mutants import moved, mutants, order_mutants, settled
from weft.execute.replay import Event, Holding, Orders, check_replay, orders, replay
from weft.model.chip import Chip
from weft.model.rules import check
from weft.model.schedule import LaneLoad, PortLoad

TIMES = {event.id: (event.start, event.end) for event in (*SCHEDULE.tasks, *SCHEDULE.transfers)}
CHAN = ("chan", "chan")


def event(
    id: int,
    duration: int,
    *,
    core: str | None = None,
    reads: Sequence[int] = (),
    makes: Sequence[int] = (),
    workspace: Sequence[tuple[str, int]] = (),
    ports: Sequence[tuple[str, str, Fraction | int]] = (),
    lanes: Sequence[tuple[str, str, Fraction | int]] = (),
    after: Sequence[int] = (),
) -> Event:
    return Event(
        id,
        duration,
        core,
        tuple(reads),
        tuple(makes),
        tuple(workspace),
        tuple(PortLoad(memory, port, Fraction(rate)) for memory, port, rate in ports),
        tuple(LaneLoad(link, lane, Fraction(rate)) for link, lane, rate in lanes),
        tuple(after),
    )


def in_order(events: Sequence[Event], holdings: Sequence[Holding] = (), first: Sequence[int] = ()) -> Orders:
    """Orders in which every resource takes events by their position in `first`, the others after these by id."""
    rank = {number: place for place, number in enumerate(first)}
    ranked = sorted(events, key=lambda item: (rank.get(item.id, len(rank)), item.id))
    memory_of = {holding.id: holding.memory for holding in holdings}
    cores: dict[str, list[int]] = {}
    lanes: dict[tuple[str, str], list[int]] = {}
    ports: dict[tuple[str, str], list[int]] = {}
    memories: dict[str, list[int]] = {}
    for item in ranked:
        if item.core is not None:
            cores.setdefault(item.core, []).append(item.id)
        for lane in sorted({(load.link, load.lane) for load in item.lanes}):
            lanes.setdefault(lane, []).append(item.id)
        for port in sorted({(load.memory, load.port) for load in item.ports}):
            ports.setdefault(port, []).append(item.id)
        for memory in sorted({memory_of[number] for number in item.makes} | {name for name, _ in item.workspace}):
            memories.setdefault(memory, []).append(item.id)
    return Orders(
        tuple(events),
        tuple(holdings),
        tuple((name, tuple(queue)) for name, queue in cores.items()),
        tuple((lane, tuple(queue)) for lane, queue in lanes.items()),
        tuple((port, tuple(queue)) for port, queue in ports.items()),
        tuple((name, tuple(queue)) for name, queue in memories.items()),
    )


def starts(orders: Orders, chip: Chip = CHIP) -> dict[int, int]:
    return {number: start for number, (start, _) in replay(orders, chip).items()}


def test_the_little_schedule_replays_to_its_own_times() -> None:
    assert replay(orders(SCHEDULE, CHIP), CHIP) == TIMES
    result = check_replay(SCHEDULE, CHIP)
    assert result.ok
    assert result.differences == ()


def test_orders_hold_no_times() -> None:
    times = {"start", "end", "valid_from", "cycle", "at_cycle", "time"}
    for noun in (Orders, Event, Holding):
        assert not times & {field.name for field in fields(noun)}
    # a schedule that runs at another time, and slower, in the same order has the same orders but for durations
    slow = replace(
        SCHEDULE,
        tasks=tuple(replace(item, start=7 + 3 * item.start, end=7 + 3 * item.end) for item in SCHEDULE.tasks),
        transfers=tuple(replace(item, start=7 + 3 * item.start, end=7 + 3 * item.end) for item in SCHEDULE.transfers),
        residencies=tuple(
            replace(item, start=7 + 3 * item.start, valid_from=7 + 3 * item.valid_from, end=7 + 3 * item.end)
            for item in SCHEDULE.residencies
        ),
    )
    ours, theirs = orders(SCHEDULE, CHIP), orders(slow, CHIP)
    durations = {item.id: item.duration for item in ours.events}
    assert {item.id: item.duration for item in theirs.events} == {id: 3 * cycles for id, cycles in durations.items()}
    assert ours == replace(theirs, events=tuple(replace(item, duration=durations[item.id]) for item in theirs.events))


def test_an_event_waits_for_the_data_it_reads() -> None:
    held = [Holding(0, "m0", 8, 0, False)]
    assert starts(in_order([event(0, 5, makes=[0]), event(1, 3, reads=[0]), event(2, 3)], held)) == {0: 0, 1: 5, 2: 0}


def test_a_core_runs_its_tasks_in_order_one_at_a_time() -> None:
    held = [Holding(0, "m0", 8, 2, False)]
    tasks = [event(0, 5, core="c0", reads=[0]), event(1, 3, core="c0"), event(2, 4, makes=[0]), event(3, 1, core="c1")]
    assert starts(in_order(tasks, held)) == {2: 0, 0: 4, 1: 9, 3: 0}


def test_a_lane_takes_events_in_order_while_their_rates_sum_to_at_most_its_own() -> None:
    # `down` carries 8 bits a cycle: 3 + 5 run together, 4 waits until one has ended, 1 waits for its turn behind it
    moves = [
        event(i, cycles, lanes=[("down", "down>", rate)])
        for i, (cycles, rate) in enumerate([(6, 3), (9, 5), (2, 4), (2, 1)])
    ]
    assert starts(in_order(moves)) == {0: 0, 1: 0, 2: 9, 3: 9}
    other_way = event(4, 2, lanes=[("down", "down<", 8)])
    assert starts(in_order([*moves, other_way]))[4] == 0


def test_rates_that_fill_a_lane_exactly_run_together() -> None:
    third = Fraction(8, 3)
    moves = [event(i, 4, lanes=[("down", "down>", third)]) for i in range(3)]
    assert starts(in_order(moves)) == {0: 0, 1: 0, 2: 0}
    # a millionth more and the last one waits
    moves[2] = event(2, 4, lanes=[("down", "down>", third + Fraction(1, 10**6))])
    assert starts(in_order(moves)) == {0: 0, 1: 0, 2: 4}


def test_an_exclusive_lane_serves_one_at_a_time_whatever_the_rates() -> None:
    moves = [event(i, 4, lanes=[(*CHAN, 1)]) for i in range(3)]
    assert starts(in_order(moves)) == {0: 0, 1: 4, 2: 8}


def test_a_port_is_shared_by_tasks_and_transfers() -> None:
    both = [
        event(0, 4, core="c0", ports=[("m1", "w", 9)]),
        event(1, 4, ports=[("m1", "w", 8)]),
        event(2, 4, ports=[("m1", "r", 8)]),
    ]
    assert starts(in_order(both)) == {0: 0, 1: 4, 2: 0}


def test_one_event_may_book_a_port_twice() -> None:
    passed = [("hub", "rw", 4), ("hub", "rw", 4)]
    moves = [event(i, 5, ports=passed) for i in range(3)]
    assert starts(in_order(moves)) == {0: 0, 1: 0, 2: 5}


def test_one_event_may_book_a_lane_twice() -> None:
    moves = [event(i, 5, lanes=[("down", "down>", 3), ("down", "down>", 2)]) for i in range(2)]
    assert starts(in_order(moves)) == {0: 0, 1: 5}


def test_room_comes_back_when_the_last_reader_has_ended() -> None:
    held = [Holding(0, "hub", 40, 0, False), Holding(1, "hub", 30, 1, False)]
    events = [event(0, 2, makes=[0]), event(1, 2, makes=[1]), event(2, 7, reads=[0]), event(3, 4, reads=[0])]
    # 40 + 30 of 64 bits: event 1 starts in the cycle in which event 2 has ended
    assert starts(in_order(events, held)) == {0: 0, 2: 2, 3: 2, 1: 9}


def test_room_that_nothing_reads_comes_back_when_its_writer_has_ended() -> None:
    held = [Holding(0, "hub", 64, 0, False), Holding(1, "hub", 64, 1, False)]
    assert starts(in_order([event(0, 2, makes=[0]), event(1, 2, makes=[1])], held)) == {0: 0, 1: 2}


def test_room_that_stays_never_comes_back() -> None:
    held = [Holding(0, "hub", 40, 0, True), Holding(1, "hub", 30, 1, False)]
    events = in_order([event(0, 2, makes=[0]), event(1, 2, makes=[1])], held)
    assert starts(events) == {0: 0}


def test_a_box_comes_back_when_the_copy_that_was_there_has_left() -> None:
    held = [Holding(0, "m0", 8, 0, False), Holding(1, "m0", 8, 1, False), Holding(2, "m0", 8, -1, False)]
    events = [event(0, 2, makes=[0]), event(1, 2, makes=[1], after=[0, 2]), event(2, 7, reads=[0])]
    assert starts(in_order(events, held)) == {0: 0, 2: 2, 1: 9}


def test_what_stays_through_the_end_are_inputs_weights_and_outputs_in_the_outermost_memory() -> None:
    assert {holding.id for holding in orders(SCHEDULE, CHIP).holdings if holding.stays} == {0, 1, 10, 11}


def test_a_workspace_is_held_while_its_task_runs() -> None:
    work = [event(i, 3, core=f"c{i}", workspace=[("hub", 20), ("hub", 20)]) for i in range(2)]
    assert starts(in_order(work)) == {0: 0, 1: 3}


def test_room_is_given_in_order_even_where_a_later_event_would_fit() -> None:
    held = [Holding(0, "hub", 60, 0, False), Holding(1, "hub", 30, 1, False), Holding(2, "hub", 1, 2, False)]
    events = [event(i, 5, makes=[i]) for i in range(3)]
    assert starts(in_order(events, held)) == {0: 0, 1: 5, 2: 5}
    assert starts(in_order(events, held, first=[0, 2, 1])) == {0: 0, 2: 0, 1: 5}


def test_what_is_there_from_the_start_takes_room_until_it_is_read_for_the_last_time() -> None:
    held = [Holding(0, "hub", 60, -1, False), Holding(1, "hub", 30, 1, False), Holding(2, "hub", 60, -1, False)]
    events = [event(0, 5, reads=[0]), event(1, 5, makes=[1])]
    # residency 2 is read by nothing, so it ends where it becomes valid, at the start
    assert starts(in_order(events, held)) == {0: 0, 1: 5}


def test_events_that_wait_for_each_other_never_start() -> None:
    held = [Holding(0, "m0", 8, 0, False)]
    waiting = in_order([event(0, 3, core="c0", makes=[0]), event(1, 3, core="c0", reads=[0])], held, first=[1, 0])
    assert replay(waiting, CHIP) == {}


def test_what_never_starts_is_named_with_what_it_waits_for() -> None:
    small = replace(CHIP, memories=tuple(replace(m, size_bits=400) if m.name == "m0" else m for m in CHIP.memories))
    result = check_replay(SCHEDULE, small)
    assert not result.ok
    assert [str(item) for item in result.differences][:2] == [
        "event 3 is scheduled at [18, 28) but never starts: it waits for 144 bits of memory m0, which has 48 left",
        "event 4 is scheduled at [28, 38) but never starts: it waits for its turn on core c0 after event 3",
    ]
    assert all(item.replayed is None for item in result.differences)
    assert str(result.differences[2]).endswith("it waits for residency 5, made by event 3")


def test_a_circular_wait_is_named_from_both_sides() -> None:
    # z goes home, through the port that softmax needs to make it, before softmax has run
    result = check_replay(moved(WORKLOAD, CHIP, SCHEDULE, 9, -7), CHIP)
    assert [str(item) for item in result.differences][:2] == [
        "event 9 is scheduled at [60, 68) but never starts: it waits for residency 9, made by event 7",
        "event 7 is scheduled at [62, 67) but never starts: it waits for its turn on port m1.r after event 9",
    ]


def test_what_waits_for_a_copy_that_never_leaves_is_told_so() -> None:
    twin = replace(SCHEDULE.residencies[11], id=12, start=0, valid_from=0, writer=-1)
    result = check_replay(replace(SCHEDULE, residencies=(*SCHEDULE.residencies, twin)), CHIP)
    assert [str(item) for item in result.differences][:1] == [
        "event 9 is scheduled at [67, 75) but never starts: it waits for residency 12 to leave, an earlier copy of what"
        " it makes"
    ]


def test_an_event_that_could_start_earlier_is_named() -> None:
    late = settled(WORKLOAD, CHIP, moved(WORKLOAD, CHIP, SCHEDULE, 8, 1))
    assert check(WORKLOAD, CHIP, late).ok  # lawful, but not as early as its orders allow
    result = check_replay(late, CHIP)
    assert [str(item) for item in result.differences] == ["event 8 is scheduled at [76, 84) but replays at [75, 83)"]


def test_a_read_of_what_nothing_makes_never_starts() -> None:
    schedule = replace(SCHEDULE, transfers=SCHEDULE.transfers[1:])
    result = check_replay(schedule, CHIP)
    assert "event 3 is scheduled at [18, 28) but never starts: it waits for residency 2, made by event 0" in map(
        str, result.differences
    )


def naive(orders: Orders, chip: Chip) -> dict[int, tuple[int, int]]:
    """The definition, stepped: at every cycle, start what may start, until nothing more may."""
    times: dict[int, tuple[int, int]] = {}
    queues = [queue for _, queue in (*orders.cores, *orders.lanes, *orders.ports, *orders.memories)]
    holdings = {item.id: item for item in orders.holdings}
    now = 0
    while True:
        changed = True
        while changed:
            changed = False
            for item in orders.events:
                if item.id not in times and _may_start(item, orders, chip, holdings, queues, times, now):
                    times[item.id] = (now, now + item.duration)
                    changed = True
        if all(end <= now for _, end in times.values()):
            return times
        now += 1


def _may_start(
    item: Event,
    orders: Orders,
    chip: Chip,
    holdings: dict[int, Holding],
    queues: list[tuple[int, ...]],
    times: dict[int, tuple[int, int]],
    now: int,
) -> bool:
    def ended(number: int) -> bool:
        return number == -1 or (number in times and times[number][1] <= now)

    if not all(ended(holdings[number].writer) for number in item.reads):
        return False
    for number in item.after:
        readers = [other.id for other in orders.events if number in other.reads]
        if holdings[number].stays or not all(ended(reader) for reader in (readers or [holdings[number].writer])):
            return False
    for queue in queues:
        if item.id in queue and any(other not in times for other in queue[: queue.index(item.id)]):
            return False
    running = [other for other in orders.events if other.id in times and times[other.id][1] > now]
    if any(other.core == item.core is not None for other in running):
        return False
    for link in chip.links:
        for lane in {load.lane for load in item.lanes if load.link == link.name}:
            users = [[load.rate for load in other.lanes if load.lane == lane] for other in (*running, item)]
            if sum(map(sum, users)) > chip.lane_rate(link) or (link.exclusive and sum(map(bool, users)) > 1):
                return False
    for memory in chip.memories:
        for port in memory.ports:
            key = (memory.name, port.name)
            rates = [load.rate for other in (*running, item) for load in other.ports if (load.memory, load.port) == key]
            if any((load.memory, load.port) == key for load in item.ports) and sum(rates) > chip.port_rate(
                memory, port
            ):
                return False
        mine = sum(holdings[number].bits for number in item.makes if holdings[number].memory == memory.name)
        work = [bits for other in (*running, item) for name, bits in other.workspace if name == memory.name]
        held = 0
        for holding in orders.holdings:
            readers = [other.id for other in orders.events if holding.id in other.reads]
            over = all(ended(number) for number in (readers or [holding.writer]))
            made = holding.writer == -1 or holding.writer in times
            if holding.memory == memory.name and made and (holding.stays or not over):
                held += holding.bits
        takes = mine or any(name == memory.name for name, _ in item.workspace)
        if takes and mine + sum(work) + held > memory.size_bits:
            return False
    return True


def random_orders(rng: random.Random) -> tuple[Orders, Chip]:
    room = {"dram": 300, "m0": rng.choice((60, 100, 200)), "m1": rng.choice((60, 100, 200)), "hub": 64}
    chip = replace(CHIP, memories=tuple(replace(m, size_bits=room[m.name]) for m in CHIP.memories))
    holdings = [Holding(0, "dram", 20, -1, True), Holding(1, "m0", 20, -1, False)]
    events = []
    for number in range(rng.randint(1, 12)):
        makes = []
        for _ in range(rng.randint(0, 2)):
            makes.append(len(holdings))
            memory = rng.choice(("dram", "m0", "m1", "hub"))
            holdings.append(
                Holding(makes[-1], memory, rng.randint(1, 40), number, memory == "dram" and rng.random() < 0.5)
            )
        readable = range(len(holdings) - len(makes))
        lanes = [(*rng.choice((CHAN, ("down", "down>"), ("up", "up>"))), Fraction(rng.randint(1, 24), 3))]
        ports = [(*rng.choice((("dram", "rw"), ("m0", "w"), ("hub", "rw"))), Fraction(rng.randint(1, 64), 4))]
        events.append(
            event(
                number,
                rng.randint(1, 6),
                core=rng.choice((None, "c0", "c1")),
                reads=sorted(set(rng.choices(readable, k=rng.randint(0, 3)))),
                makes=makes,
                workspace=[(rng.choice(("m0", "m1")), rng.randint(0, 30))] if rng.random() < 0.3 else [],
                ports=ports if rng.random() < 0.5 else ports * 2 if rng.random() < 0.2 else [],
                lanes=lanes if rng.random() < 0.5 else [],
                after=sorted(set(rng.choices(readable, k=1))) if makes and rng.random() < 0.2 else [],
            )
        )
    first = [item.id for item in events]
    for _ in range(rng.choice((0, 0, 1, 3))):  # some orders lead to circular waits
        a, b = rng.choices(range(len(first)), k=2)
        first[a], first[b] = first[b], first[a]
    return in_order(events, holdings, first), chip


@pytest.mark.parametrize("seed", range(250))
def test_random_orders_replay_as_stepping_cycle_by_cycle_does(seed: int) -> None:
    sample, chip = random_orders(random.Random(seed))
    assert replay(sample, chip) == naive(sample, chip)


def test_random_orders_hold_whole_replays_and_circular_waits() -> None:
    whole = 0
    for seed in range(250):
        sample, chip = random_orders(random.Random(seed))
        whole += len(replay(sample, chip)) == len(sample.events)
    assert 50 < whole < 200


def test_every_mutant_of_the_little_schedule_is_caught() -> None:
    found = list(mutants(WORKLOAD, CHIP, SCHEDULE))
    assert len(found) >= 240
    assert sum("early" in mutant.name for mutant in found) == len(TIMES)
    assert sum("late" in mutant.name for mutant in found) >= 8
    for mutant in found:
        lawful = check(WORKLOAD, mutant.chip, mutant.schedule).ok
        assert not lawful or not check_replay(mutant.schedule, mutant.chip).ok, mutant.name


def test_every_exchange_of_two_neighbours_in_an_order_changes_the_times() -> None:
    ours = orders(SCHEDULE, CHIP)
    found = list(order_mutants(ours, TIMES))
    assert len(found) > 20
    for name, changed in found:
        assert replay(changed, CHIP) != TIMES, name


def test_mutants_follow_from_their_seed() -> None:
    def names(seed: int) -> list[str]:
        return [mutant.name for mutant in mutants(WORKLOAD, CHIP, SCHEDULE, seed=seed, limit=12)]

    assert names(1) == names(1) != names(2)
    assert len(names(1)) == 12

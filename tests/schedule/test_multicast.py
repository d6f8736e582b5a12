"""Multicast: what several cores read soon is moved once, where that is no later than once for each."""

from __future__ import annotations

from tests.schedule.placed import placed_worlds
from tests.schedule.small import array_core, bus_chip, memory, network
from weft.execute.replay import check_replay
from weft.model.chip import Chip
from weft.model.rules import check
from weft.model.schedule import Infeasible, Transfer
from weft.model.workload import Workload
from weft.schedule.design import Composer, Design, Group, Placement
from weft.schedule.engine import Placed, place
from weft.schedule.fabric import Fabric
from weft.schedule.recipes import Recipes
from weft.schedule.shared import Mapper

CONV = network([("Conv", "c", ["x", "w"], "y", {})], {"x": (1, 8, 6, 6)}, {"w": (12, 8, 1, 1)}, {"y": (1, 12, 6, 6)})
X_BITS = 8 * 8 * 36
NAMES = ("a", "b", "c")


def chip(bits: int = 10**5) -> Chip:
    """Three cores on one bus."""
    return bus_chip(tuple(array_core(n, f"m{n}") for n in NAMES), tuple(memory(f"m{n}", bits) for n in NAMES))


def split(on: Chip, cores: tuple[str, ...] = NAMES, dim: str = "K") -> Placed:
    """The convolution split over cores, proved valid."""
    composer = Composer(CONV, on, Recipes(Mapper(CONV, on, "latency", "fixed")))
    plan = composer.plan(Design((Group((0,)),), (Placement(cores, ((dim, len(cores)),)),)))
    assert not isinstance(plan, Infeasible), plan
    placed = place(CONV, Fabric(on, {1, 2, 3}), plan)
    assert isinstance(placed, Placed), placed
    return proved(CONV, on, placed)


def proved(workload: Workload, on: Chip, placed: Placed) -> Placed:
    settled = placed.settled()
    schedule = settled.schedule()
    assert check(workload, on, schedule).violations == ()
    assert check_replay(schedule, on).ok
    return settled


def moves_of(placed: Placed, tensor: str) -> list[Transfer]:
    return [move for move in placed.schedule().transfers if move.tensor == tensor]


def test_an_input_that_all_cores_read_crosses_the_bus_once() -> None:
    placed = split(chip())
    (move,) = moves_of(placed, "x")
    assert sorted(move.targets) == ["ma", "mb", "mc"]
    assert (move.bits, move.source) == (X_BITS, "dram")
    assert [load.lane for load in move.lanes] == ["bus"]
    assert sorted(load.memory for load in move.ports) == ["dram", "ma", "mb", "mc"]
    assert move.end - move.start == X_BITS // 64
    # read once, written three times, at 1 pJ per 64 bits
    assert move.energy_pj == (1 + 3) * X_BITS / 64


def test_what_each_core_reads_for_itself_is_moved_for_it_alone() -> None:
    assert [len(move.routes) for move in moves_of(split(chip()), "w")] == [1, 1, 1]
    assert [len(move.routes) for move in moves_of(split(chip(), dim="OY"), "w")] == [3]


def test_traffic_off_chip_counts_a_multicast_once() -> None:
    w_bits, y_bits = 8 * 8 * 12, 8 * 12 * 36
    assert split(chip()).offchip_bits == X_BITS + w_bits + y_bits


def test_two_of_three_cores_are_served_by_two_routes() -> None:
    placed = split(chip(), cores=("a", "b"))
    assert [sorted(move.targets) for move in moves_of(placed, "x")] == [["ma", "mb"]]


def test_random_multicasts_are_proved_and_never_serve_what_nobody_reads() -> None:
    seen = 0
    for _, workload, placed in placed_worlds(range(60)):
        if not len(placed.more):
            continue
        schedule = proved(workload, placed.engine.fabric.chip, placed).schedule()
        read = {number for task in schedule.tasks for use in task.reads for number in use.residencies}
        read |= {number for move in schedule.transfers for number in move.sources}
        for move in schedule.transfers:
            if len(move.routes) > 1:
                seen += 1
                assert move.residencies[0] in read
    assert seen > 5

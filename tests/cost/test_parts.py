"""Parts of a price by hand, where the loops that count have nothing to say."""

from __future__ import annotations

from dataclasses import replace

from tests.oracles.world import build, matmul, memory, pool, wire
from weft.cost import price
from weft.cost.tables import crossings
from weft.model.chip import Systolic
from weft.model.mapping import Place, parse_mapping


def test_what_passes_a_memory_takes_a_port_of_another_slot_where_its_own_has_none() -> None:
    noc = memory("noc", "own", widths=(10, 5))
    noc = replace(noc, ports=tuple(port for port in noc.ports if port.name not in ("O.to_above", "W.to_below")))
    links = [wire("l1", "noc", "low", 12), wire("noc", "dram", "high", 9)]
    levels = [(memory("l1", "rw"), "IWO", "D1")]
    problem = build(matmul(2, 2, 4), {"D1": 2}, levels, memory("dram", "rw"), passed=[noc], links=links)
    told = price(problem, parse_mapping("D1:M2 | K4 A@l1 B@l1 O@l1 N2 A@dram B@dram O@dram"))
    ports = {(flow.operand, flow.flow): flow.port for flow in told.flows if flow.memory == "noc" and flow.bits}
    assert ports == {
        ("A", "from_above"): "I.from_above",
        ("A", "to_below"): "I.to_below",
        ("B", "from_above"): "W.from_above",
        ("B", "to_below"): "I.to_below",
        ("O", "from_below"): "O.from_below",
        ("O", "to_above"): "I.to_above",
    }


def test_an_array_whose_stationary_operand_an_op_lacks_is_filled_and_emptied_once() -> None:
    rows, columns = 3, 4
    levels = [(memory("l1", "rw"), "IO", "D1 D2")]
    systolic = Systolic("D1", "D2", "W")
    problem = build(pool(2, 5, 2, 2), {"D1": rows, "D2": columns}, levels, memory("dram", "rw"), systolic=systolic)
    told = price(problem, parse_mapping("| FX2 OX5 I@l1 O@l1 OY2 I@dram O@dram"))
    assert told.skew_cycles == rows + columns - 2


def test_energy_times_delay_is_the_product_of_the_two_totals() -> None:
    problem = build(matmul(2, 2, 2), {"D1": 1}, [], memory("m", "rw"), launch=7)
    told = price(problem, parse_mapping("| M2 N2 K2 A@m B@m O@m"))
    moved = sum(flow.pj for flow in told.flows)
    active = (0.25 + 0.125) * told.latency_cycles  # the core's and the chip's static energy per cycle
    assert told.energy_pj == 0.5 * 8 + active + moved
    assert told.edp == told.energy_pj * told.latency_cycles


def test_flows_say_whose_they_are_and_where() -> None:
    problem = build(matmul(2, 1, 1), {"D1": 1}, [], memory("m", "rw", widths=(16, 8)))
    told = price(problem, parse_mapping("| M2 A@m B@m O@m"))
    said = [(f.operand, f.cut, f.memory, f.port, f.flow, f.bits, f.accesses, f.busy_cycles, f.pj) for f in told.flows]
    read, written = 1.5 / 16, 2.5 / 16  # pJ per bit: that of one access at full width
    # B is read once and stays; no partial sums come back.
    assert said == [
        ("A", 0, "m", "rw", "to_below", 16, 2, 2, 16 * read),
        ("B", 0, "m", "rw", "to_below", 8, 1, 1, 8 * read),
        ("O", 0, "m", "rw", "from_below", 16, 2, 2, 16 * written),
        ("O", 0, "m", "rw", "to_below", 0, 0, 0, 0.0),
    ]
    assert told.busy == (("m.rw", 2 + 1 + 2),)


def test_a_cut_may_pass_the_places_that_are_optional_and_no_others() -> None:
    register, shared, outer, dram = (
        Place(name, frozenset(), optional=name == "shared") for name in ["r", "shared", "o", "d"]
    )
    assert crossings((dram,)) == [(-1, 0)]
    assert crossings((register, shared, outer, dram)) == [(-1, 0), (0, 1), (0, 2), (1, 2), (2, 3)]
    assert crossings((shared, replace(shared, memory="also"), dram)) == [
        (-1, 0),
        (-1, 1),
        (-1, 2),
        (0, 1),
        (0, 2),
        (1, 2),
    ]

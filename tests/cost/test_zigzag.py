"""ZigZag's rules give ZigZag's own figures; its mappings go to weft's form and back."""

import json
import math
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from weft.cost import price
from weft.cost.legal import broken
from weft.cost.zigzag import Inexpressible, weft_of, zigzag_of, zigzag_price
from weft.cost.zigzag.latency import Link, borrowed, port_stall
from weft.cost.zigzag.nest import distinct
from weft.errors import MappingError
from weft.model.chip import Chip, Port
from weft.model.mapping import Mapping, Place, Problem, Setting, parse_mapping
from weft.model.workload import Axis, Op, Operand, Term
from weft.model.zigzag import NamedMapping, ZigzagMapping, parse_zigzag
from weft.read import load
from weft.read.chip import read_chip
from weft.read.mappings import read_zigzag_mappings

DATA = Path(__file__).parents[1] / "data"
RESNET18_LAYERS = DATA / "zigzag_resnet18_tpu_like.json"
FACTS = Path(__file__).parents[2].parent / "shared" / "facts" / "zigzag_mappings_resnet18_tpu_like.json"
SMALL = json.loads((DATA / "zigzag_small_layers.json").read_text())
TPU = read_chip("tpu_like")
RESNET18 = {op.name: op for op in load("resnet18").ops}


def widths(op: Op) -> tuple[tuple[str, int], ...]:
    return tuple((operand.name, 8) for operand in op.operands)


def streamed(op: Op, chip: Chip) -> Problem:
    """The op alone on the chip's first core, every operand from and to the outermost memory."""
    core = chip.cores[0]
    sides = frozenset(side.name for side in core.array)
    places = []
    for operand in op.operands:
        chain = [Place(level.memory, level.serves) for level in core.chain(operand.slot)]
        route = chip.routes(chip.outermost, chain[-1].memory)[0]
        chain.append(Place(chip.outermost, sides, tuple(reversed(route.links)), tuple(reversed(route.memories[1:-1]))))
        places.append((operand.name, tuple(chain)))
    return Problem(op, widths(op), chip, Setting(core.name, tuple(places)))


def reported(path: Path) -> list[tuple[NamedMapping, dict[str, Any]]]:
    layers = json.loads(path.read_text())["layers"]
    return list(zip(read_zigzag_mappings(path), layers, strict=True))


def words_of(op: Op, chip: Chip, mapping: ZigzagMapping) -> dict[str, list[list[int]]]:
    found: dict[str, list[list[int]]] = {}
    for share in zigzag_price(op, widths(op), chip.cores[0], chip, mapping).shares:
        words = share.words
        found.setdefault(share.slot, []).append(
            [words.rd_out_to_low, words.wr_in_by_low, words.rd_out_to_high, words.wr_in_by_high]
        )
    return found


@pytest.mark.parametrize(("named", "layer"), [pytest.param(*pair, id=pair[0].op) for pair in reported(RESNET18_LAYERS)])
def test_each_layer_of_resnet18_costs_what_zigzag_reports(named: NamedMapping, layer: dict[str, Any]) -> None:
    op = RESNET18[named.op]
    assert isinstance(named.mapping, ZigzagMapping)
    priced = zigzag_price(op, widths(op), TPU.cores[0], TPU, named.mapping)
    assert priced.energy_pj == pytest.approx(layer["energy"], rel=1e-12)
    assert priced.mac_pj == pytest.approx(layer["mac_energy"], rel=1e-12)
    for slot, energies in layer["mem_energy_breakdown"].items():
        assert [share.pj for share in priced.shares if share.slot == slot] == pytest.approx(energies, rel=1e-12)
    assert words_of(op, TPU, named.mapping) == {
        slot: [list(words.values()) for words in levels] for slot, levels in layer["word_accesses"].items()
    }
    assert (priced.ideal_cycles, priced.ideal_temporal_cycles) == (layer["ideal_cycle"], layer["ideal_temporal_cycle"])
    assert (priced.stall_cycles, priced.onload_cycles, priced.offload_cycles, priced.latency_cycles) == (
        layer["stall"],
        layer["onload"],
        layer["offload"],
        layer["latency"],
    )
    assert dict(priced.busy)["dram.rw"] == layer["top_port_busy_cycles"]["rw_port_1"]
    assert bool(priced.below_roofline) == layer["roofline_violation"]
    assert any(cycles < 0 for _, cycles in priced.ends) == layer["negative_transfer_cycles_in_model"]


def test_the_network_is_all_21_layers() -> None:
    assert len(reported(RESNET18_LAYERS)) == 21


@pytest.mark.skipif(not FACTS.exists(), reason="the file that the layers were copied from is not beside the repository")
def test_the_layers_are_copied_whole() -> None:
    copied = json.loads(RESNET18_LAYERS.read_text())["layers"]
    facts = json.loads(FACTS.read_text())["layers"]
    assert copied == [{key: layer[key] for key in copy} for copy, layer in zip(copied, facts, strict=True)]
    assert [named.mapping for named in read_zigzag_mappings(FACTS)] == [
        named.mapping for named in read_zigzag_mappings(RESNET18_LAYERS)
    ]


def small_op(name: str) -> Op:
    """A layer of the small network, from its dims and geometry."""
    entry = SMALL["ops"][name]
    n = entry["dims"]
    if "M" in n:
        return Op(
            name,
            "gemm",
            "Gemm",
            tuple(n.items()),
            (
                Operand("A", "I", "a", (Axis(n["M"], (Term("M"),)), Axis(n["K"], (Term("K"),)))),
                Operand("B", "W", "b", (Axis(n["K"], (Term("K"),)), Axis(n["N"], (Term("N"),)))),
                Operand("O", "O", "o", (Axis(n["M"], (Term("M"),)), Axis(n["N"], (Term("N"),)))),
            ),
        )

    def channels(dim: str) -> Axis:
        group = (Term("G", n[dim]),) if n["G"] > 1 else ()
        return Axis(n["G"] * n[dim], (*group, Term(dim)))

    def slide(out: str, tap: str) -> Axis:
        return Axis(entry["size"], (Term(out, entry["stride"]), Term(tap, entry["dilation"])), -entry["pad"])

    def plain(dim: str) -> Axis:
        return Axis(n[dim], (Term(dim),))

    return Op(
        name,
        "conv",
        "Conv",
        tuple(n.items()),
        (
            Operand("I", "I", "i", (plain("B"), channels("C"), slide("OY", "FY"), slide("OX", "FX"))),
            Operand("W", "W", "w", (channels("K"), plain("C"), plain("FY"), plain("FX"))),
            Operand("O", "O", "o", (plain("B"), channels("K"), plain("OY"), plain("OX"))),
        ),
    )


@pytest.mark.parametrize("entry", SMALL["prices"], ids=lambda entry: f"{entry['chip']}-{entry['op']}")
def test_small_ragged_layers_on_other_chips_cost_what_zigzag_reports(entry: dict[str, Any]) -> None:
    op, chip = small_op(entry["op"]), read_chip(entry["chip"])
    mapping = parse_zigzag(entry["mapping"])
    priced = zigzag_price(op, widths(op), chip.cores[0], chip, mapping)
    assert words_of(op, chip, mapping) == entry["words"]
    assert priced.energy_pj == pytest.approx(entry["energy"], rel=1e-12)
    assert priced.stall_cycles == entry["stall"]
    # Idle port time is shared out in thirds at times, in floating point there and exactly here.
    assert priced.onload_cycles == pytest.approx(entry["onload"], rel=1e-12)
    assert priced.offload_cycles == pytest.approx(entry["offload"], rel=1e-12)
    assert priced.latency_cycles == pytest.approx(entry["latency"], rel=1e-12)


def test_zigzags_text_parses_back() -> None:
    for entry in SMALL["prices"]:
        assert str(parse_zigzag(entry["mapping"])) == entry["mapping"]


def test_a_zigzag_mapping_survives_the_way_to_weft_and_back() -> None:
    for named, layer in reported(RESNET18_LAYERS):
        problem = streamed(RESNET18[named.op], TPU)
        assert isinstance(named.mapping, ZigzagMapping)
        mapping = weft_of(named.mapping, problem)
        assert isinstance(mapping, Mapping)
        assert broken(problem, mapping) == []
        assert parse_mapping(str(mapping)) == mapping
        back = zigzag_of(mapping, problem)
        assert isinstance(back, ZigzagMapping)
        priced = zigzag_price(problem.op, problem.widths, problem.core, TPU, back)
        assert priced.energy_pj == pytest.approx(layer["energy"], rel=1e-12)
        assert priced.latency_cycles == layer["latency"]
        assert price(problem, mapping).energy_pj == pytest.approx(
            layer["energy"], rel=0.02
        )  # they count alike but for what docs/zigzag_differences.md lists


def test_small_mappings_survive_the_way_to_weft_and_back() -> None:
    for entry in SMALL["prices"]:
        op, chip = small_op(entry["op"]), read_chip(entry["chip"])
        problem = streamed(op, chip)
        mapping = weft_of(parse_zigzag(entry["mapping"]), problem)
        assert isinstance(mapping, Mapping), entry
        back = zigzag_of(mapping, problem)
        assert isinstance(back, ZigzagMapping), entry
        priced = zigzag_price(op, problem.widths, problem.core, chip, back)
        assert priced.energy_pj == pytest.approx(entry["energy"], rel=1e-12)
        assert priced.latency_cycles == pytest.approx(entry["latency"], rel=1e-12)


def test_small_mappings_break_no_rule_of_wefts_but_room_for_second_copies() -> None:
    crowded = []
    for entry in SMALL["prices"]:
        problem = streamed(small_op(entry["op"]), read_chip(entry["chip"]))
        mapping = weft_of(parse_zigzag(entry["mapping"]), problem)
        assert isinstance(mapping, Mapping)
        wrong = broken(problem, mapping)
        assert {each.rule for each in wrong} <= {"tiles that rest in a memory fit in it"}
        if wrong:
            crowded.append(f"{entry['chip']} {entry['op']}")
    # Named on docs/zigzag_differences.md: double-buffered registers that ZigZag fills beyond half.
    assert sorted(crowded) == [
        "eyeriss_like c1",
        "eyeriss_like c2",
        "eyeriss_like c3",
        "eyeriss_like c4",
        "eyeriss_like c5",
        "eyeriss_like c5",
        "eyeriss_like d2",
        "eyeriss_like d4",
        "eyeriss_like d5",
        "tpu_like fc",
    ]


def test_the_worked_stall_of_layer4_is_that_of_its_ports() -> None:
    named, _ = next(pair for pair in reported(RESNET18_LAYERS) if pair[0].op == "/layer4/layer4.0/conv2/Conv")
    op = RESNET18[named.op]
    assert isinstance(named.mapping, ZigzagMapping)
    priced = zigzag_price(op, widths(op), TPU.cores[0], TPU, named.mapping)
    weights = math.ceil(16 * 1024 * 8 / 64)
    assert dict(priced.stalls)["dram.rw"] == (weights - 16 * 49) * 143
    total = 16 * 49 * 16 * 9
    returning = total // 16
    assert dict(priced.stalls)["core0.sram_2MB.r"] == (total - 1) + (returning - 1) - total
    assert priced.below_roofline == ("dram.rw",)


def test_distinct_values_are_counted_where_the_formula_holds() -> None:
    for a, b, sa, sb in product(range(1, 6), range(1, 6), range(1, 4), range(1, 4)):
        if a < sb // math.gcd(sa, sb):
            continue
        axis = Axis(1000, (Term("OX", sa), Term("FX", sb)))
        exact = len({sa * i + sb * j for i in range(a) for j in range(b)})
        assert distinct(axis, {"OX": Fraction(a), "FX": Fraction(b)}) == exact


def test_distinct_values_stop_at_the_axis() -> None:
    axis = Axis(224, (Term("OX", 2), Term("FX")), -3)
    assert distinct(axis, {"OX": Fraction(112), "FX": Fraction(7)}) == 224


def link(real: int, allowed: int, period: int, count: int, least: int = 1, slot: Any = "I", level: int = 0) -> Link:
    port = Port("p", "read_write", 64, 64)
    return Link(slot, level, "to_below", "m", port, real, period, Fraction(allowed), count, 64 * real, least)


def test_a_port_with_one_link_has_that_links_slack() -> None:
    assert port_stall([link(3, 5, 5, 10)], 50) == (3 - 5) * 9


def test_a_port_with_two_links_pays_what_does_not_fit_in_the_union_of_their_windows() -> None:
    # 2 of every 10 and 4 of every 20 cycles: windows 0-1 and 10-11, and 0-3: the union is 6 of 20.
    pair = [link(2, 2, 10, 10), link(4, 4, 20, 5)]
    assert port_stall(pair, 100) == max(0, 2 * 9 + 4 * 4 - 6 * 5)


def test_idle_time_shortens_the_longest_link_first_and_again_with_each_shorter_one() -> None:
    three = [link(18816, 0, 1, 1, 18816, "I", 1), link(1176, 0, 1, 1, 13, "W", 1), link(100352, 0, 1, 1, 1, "O", 2)]
    left = borrowed(three, Fraction(1229312))
    assert left["I", 1, "to_below"] == 18816 - (1176 - 13)
    assert left["W", 1, "to_below"] == 13
    assert left["O", 2, "to_below"] == 1 - (1176 - 13)


FC = RESNET18["/fc/Gemm"]
FC_TEXT = "O:-;K125/4,C32;-;-|C16;K4,K8;- I:K125/4,C32;-;-|C16,K4,K8;- W:-;K125/4,C32;-|C16,K4;K8"


def test_a_whole_unrolling_is_made_exact_by_the_loops() -> None:
    exact = zigzag_price(FC, widths(FC), TPU.cores[0], TPU, parse_zigzag(FC_TEXT))
    floored = zigzag_price(FC, widths(FC), TPU.cores[0], TPU, parse_zigzag(FC_TEXT.replace("K125/4", "K31")))
    assert exact == floored


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            FC_TEXT.replace("C16", "C8"),
            "loops of K must cover the 512 of '/fc/Gemm', not 256 for O",
        ),
        (
            FC_TEXT.replace("C16", "Z16"),
            "a mapping of '/fc/Gemm' must name its dims M N K, not Z",
        ),
        (
            FC_TEXT.replace("|C16;K4,K8;-", "|C16;K4,K8"),
            "O must have one more spatial list than memories, not 4 beside 2",
        ),
        (
            FC_TEXT.replace("O:-;K125/4,C32;-;-|C16;K4,K8;-", "O:-;K125/4,C32;-|C16;K4,K8"),
            "a mapping of '/fc/Gemm' must have one list of loops for O in each of core0.rf_2B, core0.sram_2MB, dram, "
            "not 2",
        ),
        (
            FC_TEXT.replace("|C16,K4,K8;-", "|K4,K8,C16;-"),
            "a mapping of '/fc/Gemm' must have the same loops for all operands, "
            "not K16 N4 N8 for O and N4 N8 K16 for I",
        ),
        (
            FC_TEXT.rsplit(" ", 1)[0],
            "a mapping of '/fc/Gemm' must have operands I W O, not I O",
        ),
    ],
)
def test_a_mapping_that_is_not_of_its_op_says_what_must_hold(text: str, message: str) -> None:
    with pytest.raises(MappingError) as error:
        zigzag_price(FC, widths(FC), TPU.cores[0], TPU, parse_zigzag(text))
    assert str(error.value) == message


def test_a_clipped_temporal_tile_has_no_zigzag_form() -> None:
    problem = streamed(FC, TPU)
    text = "D1:N32 D2:K32 | K16 O@core0.rf_2B N3 B@core0.rf_128B N11 "
    text += "A@core0.sram_2MB O@core0.sram_2MB A@dram B@dram O@dram"
    mapping = parse_mapping(text)
    assert broken(problem, mapping) == []
    assert zigzag_of(mapping, problem) == Inexpressible("tiles of N must divide its 32 steps, not give 33")


def test_an_unrolling_that_no_side_can_take_has_no_weft_form() -> None:
    text = FC_TEXT.replace("K125/4,C32", "K125/8,C64").replace("K4,K8", "K8,K8").replace("K4;K8", "K8;K8")
    text = text.replace("C16", "C8")
    found = weft_of(parse_zigzag(text), streamed(FC, TPU))
    assert found == Inexpressible(
        "the array must have sides for N125/8 K64, each served by the memories as the mapping says"
    )

"""What each rule of mappings says where it is broken, by its full text, and that it holds right beside."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.oracles.world import build, matmul, memory
from weft.cost import price
from weft.cost.legal import RULES, broken
from weft.model.mapping import Loop, Mapping, Problem, Unroll, parse_mapping

NAMES, SIDES, COVER, ORDER, ROOM = (rule.sentence for rule in RULES)
LEGAL = "D1:M2 D2:N3 | K2 O@r M2 A@l1 B@l1 O@l1 K3 A@dram B@dram O@dram"


def problem(optional: str = "") -> Problem:
    """A product of 4 x 3 x 5 on two by three units; outputs rest in r, everything in l1."""
    levels = [(memory("r", "rw", "single"), "O", ""), (memory("l1", "rw", "double"), "IWO", "D1 D2")]
    return build(matmul(4, 3, 5), {"D1": 2, "D2": 3}, levels, memory("dram", "rw"), optional=optional)


def said(text: str | Mapping, of: Problem | None = None) -> list[str]:
    mapping = parse_mapping(text) if isinstance(text, str) else text
    return [str(line) for line in broken(of or problem(), mapping)]


def test_a_mapping_that_keeps_every_rule_breaks_none() -> None:
    assert said(LEGAL) == []


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (LEGAL.replace("K3", "Z3"), [f"{NAMES}: dim Z needs to be one of the op's, has K M N"]),
        (LEGAL.replace("D1:M2", "D1:Q2"), [f"{NAMES}: dim Q needs to be one of the op's, has K M N"]),
        (LEGAL.replace("D2:", "D9:"), [f"{NAMES}: array dim D9 needs to be one of the core's, has D1 D2"]),
        (LEGAL.replace("D2:", "D1:"), [f"{NAMES}: array dim D1 needs to appear once, has twice"]),
        (
            LEGAL.replace("D2:", "D9:").replace("K3", "Z3"),
            [
                f"{NAMES}: dim Z needs to be one of the op's, has K M N",
                f"{NAMES}: array dim D9 needs to be one of the core's, has D1 D2",
            ],
        ),
        (LEGAL.replace("D1:M2", "D1:M3"), [f"{SIDES}: array dim D1 needs 3 positions, has 2"]),
        (LEGAL.replace("D1:M2", "D1:M2,K2"), [f"{SIDES}: array dim D1 needs 4 positions, has 2"]),
        (
            LEGAL.replace("D1:M2 D2:N3", "D1:N2 D2:N2"),
            [f"{SIDES}: dim N needs unrolling of at most 3, has 4"],
        ),
        (LEGAL.replace("K3", "K2"), [f"{COVER}: dim K of 5 needs 3 steps of 2, has 2 steps"]),
        (LEGAL.replace("K3", "K4"), [f"{COVER}: dim K of 5 needs 3 steps of 2, has 4 steps"]),
        (LEGAL.replace(" K3", ""), [f"{COVER}: dim K of 5 needs 5 steps of 1, has 2 steps"]),
        (LEGAL.replace("K2", "K1").replace("K3", "K5"), [f"{COVER}: dim K of 5 needs 5 steps of 1, has 5 steps"]),
        (
            LEGAL.replace("M2 A", "A").replace("K3", "K2"),
            [
                f"{COVER}: dim M of 4 needs 2 steps of 2, has 1 steps",
                f"{COVER}: dim K of 5 needs 3 steps of 2, has 2 steps",
            ],
        ),
        (LEGAL.replace("O@r ", ""), [f"{ORDER}: operand O needs to rest in r, l1, dram, has l1, dram"]),
        (LEGAL.replace(" O@l1", ""), [f"{ORDER}: operand O needs to rest in r, l1, dram, has r, dram"]),
        (LEGAL.replace(" A@dram", ""), [f"{ORDER}: operand A needs to rest in l1, dram, has l1"]),
        (
            LEGAL.replace(" A@l1", "").replace(" A@dram", ""),
            [f"{ORDER}: operand A needs to rest in l1, dram, has nothing"],
        ),
        (
            LEGAL.replace("O@r", "O@q").replace("B@l1", "B@r"),
            [
                f"{ORDER}: operand B needs to rest in l1, dram, has r, dram",
                f"{ORDER}: operand O needs to rest in r, l1, dram, has q, l1, dram",
            ],
        ),
        (
            LEGAL.replace("M2 A@l1", "A@l1 M2").replace(" K3 A@dram", " A@dram K3"),
            [f"{ORDER}: operand A needs to lie whole in its last place, has 2 loops there"],
        ),
    ],
)
def test_what_a_mapping_breaks_is_said(text: str, lines: list[str]) -> None:
    assert said(text) == lines


def test_tiles_that_shrink_outwards_are_refused_and_so_is_what_comes_after() -> None:
    """The text cannot say it: rests stand behind the loops that they hold."""
    legal = parse_mapping(LEGAL)
    inside = {("O", "r"): 2, ("O", "l1"): 1, ("A", "dram"): 2}
    rests = tuple(replace(rest, inside=inside.get((rest.operand, rest.memory), rest.inside)) for rest in legal.rests)
    assert said(replace(legal, rests=rests)) == [
        f"{ORDER}: operand A needs to lie whole in its last place, has 2 loops there",
        f"{ORDER}: operand O needs tiles that grow outwards, has [2, 1, 3]",
    ]


def test_places_in_the_wrong_order_are_refused() -> None:
    legal = parse_mapping(LEGAL)
    first, *others = legal.chain("O")
    rests = (*legal.chain("A"), *legal.chain("B"), others[0], first, others[1])
    assert said(replace(legal, rests=rests)) == [f"{ORDER}: operand O needs to rest in r, l1, dram, has l1, r, dram"]


def test_an_optional_place_may_be_passed_and_no_other() -> None:
    passing = LEGAL.replace("O@r ", "")
    assert said(passing, problem("r")) == []
    assert said(LEGAL, problem("r")) == []
    assert said(passing, problem("l1")) != []
    assert said(LEGAL.replace(" O@dram", ""), problem("dram")) == [
        f"{ORDER}: operand O needs to rest in r, l1, dram, has r, l1"
    ]


def test_a_dim_that_the_array_takes_whole_needs_no_loop_and_one_that_it_exceeds_is_refused() -> None:
    legal = parse_mapping(LEGAL)
    assert all(loop.dim != "N" for loop in legal.loops)
    wider = replace(legal, spatial=(legal.spatial[0], Unroll("D2", (Loop("N", 2),))))
    assert said(wider) == [f"{COVER}: dim N of 3 needs 2 steps of 2, has 1 steps"]


def room_of(of: Problem) -> dict[str, int]:
    """Bits reserved, by hand, under LEGAL."""
    sums = 20  # accumulator width; finished elements have 8 bits
    a, b, o = 4 * 2, 2 * 3, 4 * 3  # tiles in l1
    # Sums go up from r to l1 and come back for each of the three parts of K, so that both hold them at full width.
    # Of A and B come three tiles, each beside the next; of O there is one, and no second copy of it.
    return {"r": 1 * sums, "l1": 2 * a * 8 + 2 * b * 8 + o * sums}


def test_what_just_fits_is_legal_and_one_bit_less_is_not() -> None:
    needs = room_of(problem())
    mapping = parse_mapping(LEGAL)
    for name, bits in needs.items():
        for own in (True, False):  # room of the chip's, or what is left of it

            def given(most: int, own: bool = own, name: str = name) -> Problem:
                free = replace(problem(), setting=replace(problem().setting, free_bits=((name, most),)))
                memories = tuple(
                    replace(each, size_bits=most) if each.name == name else each for each in problem().chip.memories
                )
                return replace(problem(), chip=replace(problem().chip, memories=memories)) if own else free

            assert said(mapping, given(bits)) == []
            short = given(bits - 1)
            line = f"{ROOM}: memory '{name}' needs {bits} bits, has {bits - 1} bits"
            assert said(mapping, short) == [line]
            assert [str(each) for each in broken(short, mapping, price(short, mapping).room)] == [line]
            assert broken(short, mapping, ()) == []


def test_rules_are_asked_in_order_and_the_first_that_is_broken_answers() -> None:
    assert said(LEGAL.replace("D1:M2", "D1:M3").replace("K3", "K2")) == [
        f"{SIDES}: array dim D1 needs 3 positions, has 2"
    ]

"""`check_chip` says what does not hold of a chip, however it was made."""

from dataclasses import replace

import pytest

from weft.model.chip import Chip, Core, Level, Memory, Port, check_chip
from weft.read.chip import read_chip


@pytest.fixture(scope="module")
def chip() -> Chip:
    return read_chip("tpu_like")


def with_memory(chip: Chip, name: str, **changes: object) -> Chip:
    memories = (replace(memory, **changes) if memory.name == name else memory for memory in chip.memories)
    return replace(chip, memories=tuple(memories))


def with_core(chip: Chip, **changes: object) -> Chip:
    return replace(chip, cores=(replace(chip.cores[0], **changes), *chip.cores[1:]))


def with_link(chip: Chip, **changes: object) -> Chip:
    return replace(chip, links=(replace(chip.links[0], **changes), *chip.links[1:]))


def test_a_library_chip_holds(chip):
    assert check_chip(chip) == []


def test_names_stand_for_one_thing(chip):
    simd = chip.core("simd")
    assert check_chip(replace(chip, cores=(*chip.cores, simd))) == [
        "each core must have a name of its own, not 'simd' again"
    ]
    assert check_chip(replace(chip, links=(*chip.links, chip.link("bus")))) == [
        "each link must have a name of its own, not 'bus' again"
    ]
    assert check_chip(replace(chip, memories=(*chip.memories, chip.memory("dram")))) == [
        "each memory must have a name of its own, not 'dram' again"
    ]


def test_transfers_have_an_engine_and_no_negative_set_up(chip):
    assert check_chip(replace(chip, transfer_engines=0, transfer_setup_cycles=-1)) == [
        "there must be a transfer engine at least, not 0",
        "the set-up of a transfer must be at least 0 cycles, not -1",
    ]


def test_what_is_named_is_there(chip):
    assert check_chip(replace(chip, outermost="disk")) == ["the outermost memory must be one of the chip's, not 'disk'"]
    everything = frozenset({"I", "W", "O"})
    ghost = Level("ghost", everything, frozenset({"D9"}))
    assert check_chip(with_core(chip, levels=(*chip.cores[0].levels, ghost))) == [
        "core 'core0': levels must be memories of the chip, not 'ghost'",
        "core 'core0': 'ghost' must serve sides of the array, not 'D9'",
    ]
    assert check_chip(with_link(chip, b=frozenset({"ghost"}))) == [
        "link 'core0_pooling' must join memories of the chip, not 'ghost'"
    ]


def test_a_link_joins_two_memories(chip):
    one = frozenset({"dram"})
    assert check_chip(with_link(chip, a=one, b=one)) == ["link 'core0_pooling' must join at least two memories"]


def test_sizes_rates_and_energies_are_possible(chip):
    assert check_chip(with_memory(chip, "dram", size_bits=0, read_pj=-1.0, clock_hz=0)) == [
        "memory 'dram': size must be positive, not 0",
        "memory 'dram': clock must be positive, not 0",
        "memory 'dram': energies must be at least 0",
    ]
    assert check_chip(with_link(chip, bandwidth_bits=0)) == [
        "link 'core0_pooling': bandwidth and clock must be positive"
    ]
    assert check_chip(with_core(chip, accumulator_bits=0)) == [
        "core 'core0': clock, accumulator, operand widths and array sides must be positive"
    ]
    assert check_chip(replace(chip, base_clock_hz=0)) == ["the base clock must be positive, not 0"]


def test_an_access_fits_its_port(chip):
    port = Port("rw", "read_write", 64, 128)
    assert check_chip(with_memory(chip, "dram", ports=(port,))) == [
        "port 'rw' of memory 'dram': access must be between 1 and the width of 64 bits, not 128"
    ]


def test_a_partial_sum_fits_where_it_rests(chip):
    assert check_chip(with_core(chip, accumulator_bits=32)) == [
        "core 'core0': 'core0.rf_2B' must have room for one partial sum of 32 bits, not 16"
    ]


def test_each_operand_has_a_memory_with_its_ports_that_dram_reaches(chip):
    without = replace(chip, links=chip.links[:2])
    assert check_chip(without)[:2] == [
        "a link must lead from 'dram' to 'core0.sram_2MB' of core 'core0'",
        "a link must lead from 'dram' to 'core0.rf_128B' of core 'core0'",
    ]
    reader = chip.memory("core0.rf_128B").ports[0]
    assert check_chip(with_memory(chip, "core0.rf_128B", ports=(reader,))) == [
        "memory 'core0.rf_128B' must have a port for W from_above"
    ]
    core: Core = chip.cores[0]
    assert check_chip(with_core(chip, levels=core.levels[1:])) == ["core 'core0' must have a memory for W"]


def test_outer_memories_serve_what_inner_ones_do(chip):
    levels = chip.core("core0").levels
    narrow = replace(levels[2], serves=frozenset({"D1"}))
    wide = replace(levels[1], serves=frozenset({"D2"}))
    assert check_chip(with_core(chip, levels=(levels[0], wide, narrow))) == [
        "core 'core0': 'core0.sram_2MB' must serve every array dim that 'core0.rf_2B' below it serves"
    ]


def test_a_memory_that_two_cores_share_serves_their_whole_arrays(chip):
    shared = Memory("l2", 10**6, (Port("rw", "read_write", 64, 64),), 1.0, 1.0)
    slots = frozenset({"I", "W", "O"})
    cores = tuple(
        replace(core, levels=(*core.levels, Level("l2", slots, frozenset()))) if core.name != "core0" else core
        for core in chip.cores
    )
    link = replace(chip.link("bus"), name="l2_link", a=frozenset({"dram"}), b=frozenset({"l2"}))
    spoiled = replace(chip, cores=cores, memories=(*chip.memories, shared), links=(*chip.links, link))
    assert "shared memory 'l2' must serve all array dims of core 'pooling'" in check_chip(spoiled)

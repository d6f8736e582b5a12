"""The library's chips say what their sources say."""

import json
from pathlib import Path

import pytest

from weft.model.chip import FLOWS, Chip, Core, Memory, check_chip
from weft.model.workload import KINDS, SLOTS
from weft.read.chip import chip_schema, library, library_path, read_chip
from weft.report.silicon import on_chip_bits, peak_macs_per_cycle
from weft.run import run

FACTS = Path(__file__).parents[2].parent / "shared" / "facts"
needs_facts = pytest.mark.skipif(not FACTS.is_dir(), reason="the facts lie outside the repository")
SINGLE = ("tpu_like", "meta_prototype", "edge_tpu_like", "eyeriss_like", "tesla_npu_like", "ascend_like")
QUADS = {
    "tpu_like_quad": ("tpu_like", "examples/tpu_like_quad_core"),
    "eyeriss_like_quad": ("eyeriss_like", "examples/eyeriss_like_quad_core"),
    "tpu_like_quad_2024": ("tpu_like", "tpu_like_quad_core"),
}
GENERIC = (*SINGLE, *QUADS, "hetero_quad", "simba")
RING = ["core0", "core1", "core2", "core3", "pooling", "simd", "dram"]
"""The cores of a quad by the numbers its source gives them."""
SLOT_OF = {"I1": "I", "I2": "W", "O": "O"}
FLOW_OF = {"fh": "from_above", "tl": "to_below", "fl": "from_below", "th": "to_above"}


def facts(name: str) -> dict:
    return json.loads((FACTS / name).read_text())


@pytest.mark.parametrize("name", library())
def test_every_library_chip_reads_and_holds(name):
    chip = read_chip(name)
    assert chip.name == name
    assert chip.source
    assert check_chip(chip) == []


def test_the_library_has_the_chips_that_are_needed():
    assert {*GENERIC, "diana"} == set(library())
    assert all(library_path(name).is_file() for name in library())


@pytest.mark.parametrize("name", library())
def test_a_route_leads_from_the_outermost_memory_to_each_home(name):
    chip = read_chip(name)
    for core in chip.cores:
        for slot in SLOTS:
            home = core.home(slot)
            assert home is not None
            assert chip.routes(chip.outermost, home)


@pytest.mark.parametrize("name", library())
def test_every_op_kind_has_a_core(name):
    chip = read_chip(name)
    assert all(chip.cores_for(kind) for kind in KINDS)


@pytest.mark.parametrize("name", GENERIC)
def test_accumulators_are_pipelined_and_memories_filled_from_outside_double(name):
    chip = read_chip(name)
    for core in chip.cores:
        for slot in SLOTS:
            home = chip.memory(core.home(slot))
            assert home.buffering == "double"
        if len(core.chain("O")) > 1:
            assert chip.memory(core.chain("O")[0].memory).buffering == "pipelined"


@pytest.mark.parametrize("name", GENERIC)
def test_generic_chips_are_8_bit_with_16_bit_partial_sums(name):
    chip = read_chip(name)
    assert (chip.precision.input_bits, chip.precision.weight_bits, chip.precision.output_bits) == (8, 8, 8)
    assert {core.accumulator_bits for core in chip.cores} == {16}
    assert chip.base_clock_hz == 10**9
    assert "clock of 1 GHz assumed" in chip.notes


def spec(memory: Memory, core: Core | None) -> dict:
    """A memory in the facts' terms: which ports carry what, in order."""
    level = next((level for level in core.levels if level.memory == memory.name), None) if core else None
    slots = level.slots if level else SLOTS
    carried = [(slot, flow) for slot in slots for flow in FLOWS if slot == "O" or flow in ("from_above", "to_below")]
    return {
        "bits": memory.size_bits,
        "pj": (memory.read_pj, memory.write_pj),
        "serves": sorted(level.serves) if level else None,
        "ports": [
            (
                port.direction,
                port.access_bits,
                port.bandwidth_bits,
                sorted((slot, flow) for slot, flow in carried if memory.port(slot, flow) is port),
            )
            for port in memory.ports
        ],
    }


def allocation(entries: list[str]) -> list[tuple[str, str]]:
    pairs = [[word.strip() for word in entry.split(",")] for entry in entries]
    return sorted((SLOT_OF[operand], FLOW_OF[letters]) for operand, letters in pairs)


def single_spec(memory: dict) -> dict:
    return {
        "bits": memory["size_bits"],
        "pj": (memory["r_cost"], memory["w_cost"]),
        "serves": sorted(memory["served_dimensions"]),
        "ports": [(p["type"], p["bw_min"], p["bw_max"], allocation(p["allocation"])) for p in memory["ports"]],
    }


def multi_spec(memory: dict) -> dict:
    return {
        "bits": memory["bits"],
        "pj": (memory["r_pJ"], memory["w_pJ"]),
        "serves": sorted(memory["served"]),
        "ports": [(kind, low, high, allocation(flows)) for kind, low, high, flows in memory["ports"]],
    }


def own(chip: Chip, core: Core) -> dict[str, dict]:
    return {level.memory.split(".")[1]: spec(chip.memory(level.memory), core) for level in core.levels}


@needs_facts
@pytest.mark.parametrize("name", SINGLE)
def test_a_single_core_has_the_published_array_and_memories(name):
    chip, published = read_chip(name), facts("single_cores.json")[name]
    core = chip.core("core0")
    assert {dim.name: dim.size for dim in core.array} == published["array"]
    assert core.op_pj == published["operational_array"]["unit_energy"]
    expected = {memory["name"]: single_spec(memory) for memory in published["memories"]}
    dram = expected.pop("dram") | {"serves": None}
    assert own(chip, core) == expected
    assert list(own(chip, core)) == list(expected)  # innermost first
    assert spec(chip.memory("dram"), None) == dram


@needs_facts
@pytest.mark.parametrize("name", SINGLE)
def test_a_single_core_declares_the_published_dataflow(name):
    roles = {
        "K": ("output_channel", "group"),
        "C": ("reduction_channel",),
        "OX": ("output_column",),
        "OY": ("output_row",),
    }
    mapping = facts("single_cores.json")[name].get("example_mapping")
    # ours for eyeriss_like, which comes without one
    expected = {"D1": (roles["K"], 14), "D2": (roles["C"], 12)}
    if mapping:
        default = next(entry for entry in mapping if entry["name"] == "default")["spatial_mapping"]
        pairs = {side: loops[0].split(",") for side, loops in default.items()}
        expected = {side: (roles[letter], int(factor)) for side, (letter, factor) in pairs.items()}
    array = read_chip(name).core("core0").array
    assert {dim.name: (dim.roles, dim.most or dim.size) for dim in array} == expected


@needs_facts
@pytest.mark.parametrize("name", GENERIC)
def test_pooling_and_simd_cores_are_the_published_ones(name):
    chip, cores = read_chip(name), facts("multi_cores.json")["cores"]
    for core_name in ("pooling", "simd"):
        core, published = chip.core(core_name), cores[f"examples/{core_name}"]
        assert [dim.size for dim in core.array] == published["array"]["sizes"]
        assert core.op_pj == published["array"]["unit_energy_pJ"]
        assert own(chip, core) == {key: multi_spec(memory) for key, memory in published["mem"].items()}


@needs_facts
@pytest.mark.parametrize("name", QUADS)
def test_the_cores_and_the_dram_of_a_quad_are_the_published_ones(name):
    chip, cores = read_chip(name), facts("multi_cores.json")["cores"]
    published = cores[f"examples/{QUADS[name][0]}"]
    for index in range(4):
        core = chip.core(f"core{index}")
        assert [dim.size for dim in core.array] == published["array"]["sizes"]
        assert core.op_pj == published["array"]["unit_energy_pJ"]
        assert own(chip, core) == {key: multi_spec(memory) for key, memory in published["mem"].items()}
    assert spec(chip.memory("dram"), None) == multi_spec(cores["examples/offchip"]["mem"]["dram"]) | {"serves": None}


@needs_facts
def test_the_core_of_2024_has_the_numbers_of_the_later_one():
    old, new = facts("multi_cores.json")["classic_2024_12"], facts("multi_cores.json")["cores"]
    for name in ("tpu_like", "pooling", "simd", "offchip"):
        for key, memory in old[f"core:{name}"]["mem"].items():
            later = new[f"examples/{name}"]["mem"][key]
            for word in ("bits", "r_pJ", "w_pJ", "ops", "served"):
                assert memory[word] == later[word]
            read, write, *_ = memory["raw_bw"]
            widths = {direction: width for direction, _, width, _ in later["ports"]}
            assert read == widths.get("read", widths.get("read_write"))
            assert write == widths.get("write", widths.get("read_write"))


def pairs(chip: Chip) -> list[tuple[tuple[str, str], int]]:
    """Point-to-point links as the cores they join."""
    return [
        ((next(iter(link.a)).split(".")[0], next(iter(link.b)).split(".")[0]), link.bandwidth_bits)
        for link in chip.links
        if not link.half_duplex
    ]


@needs_facts
@pytest.mark.parametrize("name", ["tpu_like_quad", "eyeriss_like_quad"])
def test_a_quad_keeps_the_published_links_and_the_bus(name):
    chip = read_chip(name)
    *links, bus = facts("multi_cores.json")["accelerators"][QUADS[name][1]]["links"]
    assert len(links) == 12
    assert pairs(chip) == [((RING[a], RING[b]), width) for _, (a, b), width in links]
    assert bus == ["bus", list(range(7)), chip.link("bus").bandwidth_bits]
    homes = {core.home(slot) for core in chip.cores for slot in SLOTS} | {"dram"}
    assert chip.link("bus").a == chip.link("bus").b == homes


@needs_facts
def test_the_quad_of_2024_has_the_published_links_and_one_channel():
    chip = read_chip("tpu_like_quad_2024")
    published = facts("multi_cores.json")["classic_2024_12"]["tpu_like_quad_core"]
    joined = [tuple(RING[int(word)] for word in pair.split(",")) for pair in published["core_connectivity"]]
    assert pairs(chip) == [(pair, published["bandwidth"]) for pair in joined]
    assert len(chip.links) == 12 + 1


@needs_facts
@pytest.mark.parametrize("name", SINGLE)
def test_a_single_core_is_joined_as_the_published_eyeriss_like_one(name):
    chip = read_chip(name)
    widths = [
        width for _, _, width in facts("multi_cores.json")["accelerators"]["examples/eyeriss_like_single_core"]["links"]
    ]
    assert [link.bandwidth_bits for link in chip.links] == widths
    everything = {core.home(slot) for core in chip.cores for slot in SLOTS} | {"dram"}
    assert chip.link("bus").a == everything
    for other in ("pooling", "simd"):
        assert chip.link(f"core0_{other}").b == {chip.core(other).home("I")}


@needs_facts
def test_hetero_quad_is_tpu_like_quad_with_two_arrays_laid_out_otherwise():
    chip, like = read_chip("hetero_quad"), read_chip("tpu_like_quad")
    assert chip.links == like.links
    assert [(core.op_pj, core.units) for core in chip.cores] == [(core.op_pj, core.units) for core in like.cores]
    for core in chip.cores:
        for level in core.levels:
            assert chip.memory(level.memory) == like.memory(level.memory)
    assert [side(core) for core in chip.cores[:4]] == [
        ["output_channel 32", "reduction_channel 32"],
        ["output_channel 32", "reduction_channel 32"],
        ["output_channel 32", "output_column 32"],
        ["output_column 64", "kernel_column 4", "kernel_row 4"],
    ]


def side(core: Core) -> list[str]:
    return [f"{dim.roles[0]} {dim.size}" for dim in core.array]


def test_registers_of_hetero_quad_are_shared_along_the_sides_that_do_not_index_what_they_hold():
    indexes = {
        "W": {"output_channel", "reduction_channel", "kernel_column", "kernel_row"},
        "O": {"output_channel", "output_column"},
    }
    chip = read_chip("hetero_quad")
    for core in chip.cores[:4]:
        for slot in ("W", "O"):
            shared = {dim.name for dim in core.array if dim.roles[0] not in indexes[slot]}
            assert core.chain(slot)[0].serves == shared


@needs_facts
def test_simba_has_the_published_chiplets_and_dram():
    chip, cores = read_chip("simba"), facts("multi_cores.json")["cores"]
    published = cores["examples/simba_chiplet"]
    older = facts("multi_cores.json")["classic_2024_12"]["core:simba_chiplet"]
    letters = {"output_channel": "K", "reduction_channel": "C"}
    for index in range(36):
        core = chip.core(f"core{index}")
        assert [dim.size for dim in core.array] == published["array"]["sizes"]
        assert core.op_pj == published["array"]["unit_energy_pJ"]
        assert own(chip, core) == {key: multi_spec(memory) for key, memory in published["mem"].items()}
        declared = {dim.name: [f"{letters[dim.roles[0]]}, {dim.size}"] for dim in core.array}
        assert declared == older["dataflows"]
    assert spec(chip.memory("dram"), None) == multi_spec(cores["examples/simba_offchip"]["mem"]["dram"]) | {
        "serves": None
    }


@needs_facts
def test_simba_keeps_the_66_published_links():
    names = [*(f"core{index}" for index in range(36)), "dram"]
    links = facts("multi_cores.json")["accelerators"]["examples/simba"]["links"]
    published = [((names[a], names[b]), width) for _, (a, b), width in links]
    assert pairs(read_chip("simba"))[:66] == published


def test_simba_is_a_mesh_of_6_by_6_fed_along_its_first_row():
    chip = read_chip("simba")
    right = [(f"core{6 * row + column}", f"core{6 * row + column + 1}") for row in range(6) for column in range(5)]
    down = [(f"core{6 * row + column}", f"core{6 * row + column + 6}") for row in range(5) for column in range(6)]
    fed = [("dram", f"core{column}") for column in range(6)]
    ours = [("dram", "pooling"), ("core2", "pooling"), ("dram", "simd"), ("core3", "simd")]
    assert sorted(pairs(chip)) == sorted((pair, 256) for pair in (*right, *down, *fed, *ours))
    assert len(right) + len(down) + len(fed) == 66


POOLING_AND_SIMD_BITS = 2 * 128 * 1024 * 8


@pytest.mark.parametrize(
    ("name", "macs", "bits", "links"),
    [
        ("tesla_npu_like", 32 * 32 * 4, 32 * 8 + 32 * 32 * 4 * 32 + 2 * 8192 + 2 * 2**23, 3),
        ("ascend_like", 16 * 16 * 2 * 2, 16 * 16 * 8 + 16 * 2 * 2 * 16 + 2 * 65536 + 2**21 + 2 * 2**23, 3),
        (
            "hetero_quad",
            2 * 32 * 32 + 32 * 32 + 64 * 4 * 4,
            4 * 2 * 2**23
            + 2 * (32 * 32 * 1024 + 32 * 16)  # weights in each unit, sums over input channels
            + (32 * 1024 + 32 * 32 * 16)  # a weight for 32 pixels, sums in each unit
            + (4 * 4 * 1024 + 64 * 16),  # a weight for 64 pixels, sums over the kernel
            13,
        ),
        (
            "simba",
            36 * 4 * 4 * 8 * 8,
            36 * (1024 * 512 + 16 * (32768 + 3072 + 524288) + 2097152),
            66 + 4,
        ),
    ],
)
def test_totals_are_those_of_the_parts(name, macs, bits, links):
    chip = read_chip(name)
    assert peak_macs_per_cycle(chip) == macs
    assert on_chip_bits(chip) == bits + POOLING_AND_SIMD_BITS
    assert len(chip.links) == links


@pytest.mark.parametrize(
    ("network", "name"),
    [
        *(("resnet8", name) for name in ("tesla_npu_like", "ascend_like", "hetero_quad", "simba")),
        ("ds_cnn", "tesla_npu_like"),  # depthwise: a step of 32 channels fills the line buffer
    ],
)
def test_a_small_network_runs_on_it_with_proof(network, name):
    result = run(network, name, budget=1)
    assert result.proof.violations == ()
    assert result.proof.replay_ok


def test_two_cores_of_a_quad_are_joined_by_their_link_and_by_the_bus():
    chip = read_chip("tpu_like_quad")
    routes = chip.routes("core0.sram_2MB", "core1.sram_2MB")
    assert [route.links for route in routes] == [("core0_core1",), ("bus",)]


def test_the_channel_of_2024_joins_cores_with_dram_only():
    chip = read_chip("tpu_like_quad_2024")
    channel = chip.link("channel")
    assert channel.half_duplex
    assert [route.links for route in chip.routes("core0.sram_2MB", "core1.sram_2MB")] == [("core0_core1",)]
    assert not channel.joins("core0.sram_2MB", "core1.sram_2MB")
    assert channel.joins("dram", "core2.sram_2MB")
    assert channel.lane("dram", "core2.sram_2MB") == channel.lane("simd.sram_128KB_2rw", "dram")


def test_diana_has_the_published_sizes_and_widths():
    chip = read_chip("diana")
    assert chip.base_clock_hz == 260_000_000
    assert chip.memory("l1").size_bits == 256 * 1024 * 8
    assert chip.memory("l2").size_bits == 512 * 1024 * 8
    weights = chip.memory("digital.weights")
    assert weights.size_bits == 64 * 1024 * 8
    assert (weights.port("W", "to_below").bandwidth_bits, weights.port("W", "from_above").bandwidth_bits) == (2048, 128)
    assert [port.bandwidth_bits for port in chip.memory("l1").ports] == [512, 512]
    assert chip.core("digital").units == 256
    assert chip.core("cpu").ops == set(KINDS)


@needs_facts
def test_diana_has_the_blocks_of_the_facts():
    chip, published = read_chip("diana"), facts("diana.json")
    assert chip.base_clock_hz == published["clock_MHz"]["value"] * 10**6
    bytes_of = {entry["name"]: entry.get("bytes") for entry in published["memory"]}
    names = {"l2": "L2", "l1": "L1 shared activations", "digital.weights": "digital weight memory"}
    for name, theirs in names.items():
        assert chip.memory(name).size_bits == bytes_of[theirs] * 8
    digital = published["digital_core"]
    assert [side.size for side in chip.core("digital").array] == digital["pe"]
    assert [side.size for side in chip.core("pool").array] == list(digital["pool"].values())


def test_dianas_energy_is_its_published_powers_taken_apart():
    digital_mw, analog_mw, both_mw = 24.96, 28.74, 42.39
    shared_mw = digital_mw + analog_mw - both_mw
    pj_per_cycle_of_mw = 1e-3 / 260e6 * 1e12
    chip = read_chip("diana")
    assert chip.static_pj_per_cycle == pytest.approx(shared_mw * pj_per_cycle_of_mw)
    assert chip.core("digital").active_pj_per_cycle == pytest.approx((digital_mw - shared_mw) * pj_per_cycle_of_mw)
    assert chip.static_pj_per_cycle + chip.core("digital").active_pj_per_cycle == pytest.approx(96.0)


def test_dianas_outside_is_marked_as_assumed():
    chip = read_chip("diana")
    assert chip.memory("offchip").assumed
    assert [route.links for route in chip.routes("offchip", "l1")] == [("io", "dma")]
    assert [route.links for route in chip.routes("offchip", "digital.weights")] == [("io", "dma_weights")]


@pytest.mark.parametrize("name", library())
def test_every_number_in_a_library_file_is_within_the_schema_keys(name):
    properties = chip_schema()["properties"]
    keys = [line.split(":")[0] for line in library_path(name).read_text().splitlines() if line[:1].isalpha()]
    assert set(keys) <= set(properties)

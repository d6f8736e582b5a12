"""A chip file becomes the chip it describes."""

import json
from pathlib import Path

import pytest

from weft.errors import ChipError
from weft.model.chip import Port, Systolic, check_chip
from weft.read.chip import chip_schema, library, read_chip

CORE = """\
ops: [conv]
op_energy: 1 pJ
accumulator: 16 bit
array: {D1: {size: 4, dataflow: [output_channel]}, D2: {size: 2}}
memories:
  reg: {holds: [O], serves: [D2], size: 32 bit, read: 1 pJ, write: 2 pJ, buffering: pipelined,
        ports: {rw: {direction: read_write, bandwidth: 16 bit/cycle}}}
  sram: {holds: [I, W, O], serves: all, size: 1 KiB, read: 3 pJ, write: 4 pJ, buffering: double,
         ports: {r: {direction: read, bandwidth: 64 bit/cycle, access: 8 bit}, w: {direction: write, bandwidth: 32}}}
"""
CHIP = """\
name: small
source: made up
clock: 1 GHz
outermost: dram
memories:
  dram: {size: 1 Mbit, read: 5 pJ, write: 6 pJ, buffering: double,
         ports: {rw: {direction: read_write, bandwidth: 64 bit/cycle}}}
cores:
  npu: {from: core.yaml}
links:
  bus: {joins: [npu, dram], bandwidth: 32 bit/cycle}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("core.yaml").write_text(CORE)
    Path("chip.yaml").write_text(CHIP)
    return tmp_path


def test_memories_of_a_core_carry_its_name_and_shared_ones_their_own(folder):
    chip = read_chip("chip.yaml")
    assert [memory.name for memory in chip.memories] == ["npu.reg", "npu.sram", "dram"]
    assert [level.memory for level in chip.core("npu").levels] == ["npu.reg", "npu.sram"]
    assert check_chip(chip) == []


def test_quantities_are_kept_in_base_units(folder):
    chip = read_chip(folder / "chip.yaml")
    sram = chip.memory("npu.sram")
    assert (sram.size_bits, sram.read_pj, sram.write_pj) == (1024 * 8, 3.0, 4.0)
    assert (chip.base_clock_hz, sram.clock_hz, chip.link("bus").clock_hz) == (10**9,) * 3
    assert chip.memory("dram").size_bits == 10**6


def test_a_port_without_flows_carries_all_that_its_direction_can(folder):
    sram = read_chip("chip.yaml").memory("npu.sram")
    assert sram.ports == (
        Port(
            "r", "read", 64, 8, frozenset({("I", "to_below"), ("W", "to_below"), ("O", "to_below"), ("O", "to_above")})
        ),
        Port(
            "w",
            "write",
            32,
            32,
            frozenset({("I", "from_above"), ("W", "from_above"), ("O", "from_above"), ("O", "from_below")}),
        ),
    )


def test_an_own_key_beside_from_replaces_that_of_the_core_file(folder):
    Path("chip.yaml").write_text(CHIP.replace("{from: core.yaml}", "{from: core.yaml, op_energy: 7 pJ, clock: 2 GHz}"))
    core = read_chip("chip.yaml").core("npu")
    assert (core.op_pj, core.clock_hz, core.ops) == (7.0, 2 * 10**9, frozenset({"conv"}))


def test_a_cores_own_memories_follow_its_clock_and_shared_ones_the_chips(folder):
    Path("chip.yaml").write_text(CHIP.replace("{from: core.yaml}", "{from: core.yaml, clock: 500 MHz}"))
    chip = read_chip("chip.yaml")
    assert chip.memory("npu.sram").clock_hz == 500 * 10**6
    assert chip.memory("dram").clock_hz == 10**9


def test_a_core_file_may_build_on_another(folder):
    Path("faster.yaml").write_text("from: core.yaml\nlaunch: 9 cycle\n")
    Path("chip.yaml").write_text(CHIP.replace("from: core.yaml", "from: faster.yaml"))
    core = read_chip("chip.yaml").core("npu")
    assert (core.launch_cycles, core.op_pj) == (9, 1.0)


def test_a_core_file_is_looked_up_beside_the_chip_and_then_in_the_library(folder):
    Path("chip.yaml").write_text(CHIP.replace("core.yaml", "cores/pooling.yaml"))
    assert read_chip("chip.yaml").core("npu").units == 3 * 3 * 8
    Path("cores").mkdir()
    Path("cores/pooling.yaml").write_text(CORE)
    assert read_chip("chip.yaml").core("npu").units == 4 * 2


def test_power_becomes_energy_per_cycle(folder):
    text = CHIP.replace("from: core.yaml", "from: core.yaml, active_power: 3 mW, clock: 500 MHz")
    Path("chip.yaml").write_text(text.replace("clock: 1 GHz", "clock: 1 GHz\nstatic_power: 2 mW"))
    chip = read_chip("chip.yaml")
    assert chip.core("npu").active_pj_per_cycle == 3e-3 / 500e6 * 1e12
    assert chip.static_pj_per_cycle == 2e-3 / 1e9 * 1e12


def test_transfers_are_free_to_start_unless_the_chip_says_more(folder):
    chip = read_chip("chip.yaml")
    assert (chip.transfer_engines, chip.transfer_setup_cycles) == (None, 0)
    Path("chip.yaml").write_text(CHIP + "transfers: {engines: 2, setup: 16 cycle}\n")
    chip = read_chip("chip.yaml")
    assert (chip.transfer_engines, chip.transfer_setup_cycles) == (2, 16)


def test_a_systolic_array_names_its_sides(folder):
    text = CHIP.replace("from: core.yaml", "from: core.yaml, systolic: {rows: D1, columns: D2, stationary: W}")
    Path("chip.yaml").write_text(text)
    assert read_chip("chip.yaml").core("npu").systolic == Systolic("D1", "D2", "W")


LINKS = """\
  a: {between: [npu, other], bandwidth: 8, duplex: full}
  b: {hub: dram, joins: [npu, other, dram], bandwidth: 16}
  c: {between: [npu.reg, dram], bandwidth: 24, latency: 3 cycle, energy: 0.5 pJ/bit, exclusive: true, clock: 2 GHz}
"""


def test_links_are_buses_pairs_or_channels(folder):
    Path("chip.yaml").write_text(CHIP.replace("links:\n", "  other: {from: core.yaml}\nlinks:\n") + LINKS)
    chip = read_chip("chip.yaml")
    everything = {"npu.sram", "dram"}
    assert (chip.link("bus").a, chip.link("bus").b) == (everything, everything)
    assert (chip.link("a").a, chip.link("a").b) == ({"npu.sram"}, {"other.sram"})
    assert (chip.link("b").a, chip.link("b").b) == ({"dram"}, {"npu.sram", "other.sram"})
    assert [link.half_duplex for link in chip.links] == [True, False, True, True]
    c = chip.link("c")
    assert (c.a, c.latency_cycles, c.pj_per_bit, c.exclusive, c.clock_hz) == ({"npu.reg"}, 3, 0.5, True, 2 * 10**9)


def test_a_core_in_a_link_stands_for_the_outermost_own_memory_of_each_operand(folder):
    Path("core.yaml").write_text(CORE.replace("holds: [O]", "holds: [O, W]").replace("[I, W, O]", "[I, O]"))
    assert read_chip("chip.yaml").link("bus").a == {"npu.reg", "npu.sram", "dram"}


def test_a_shared_memory_is_one_level_of_several_cores(folder):
    ports = "{rw: {direction: read_write, bandwidth: 8}}"
    l2 = f"  l2: {{size: 1 KiB, read: 1, write: 1, buffering: double, ports: {ports}}}\n"
    text = CHIP.replace("cores:\n", l2 + "cores:\n").replace(
        "{from: core.yaml}", "{from: core.yaml, levels: {l2: [I]}}"
    )
    text = text.replace("links:\n", "  other: {from: core.yaml, levels: {l2: [O]}}\nlinks:\n")
    Path("chip.yaml").write_text(text.replace("[npu, dram]", "[npu, other, l2, dram]"))
    chip = read_chip("chip.yaml")
    assert chip.core("npu").home("I") == "l2"
    assert chip.core("npu").home("W") == "npu.sram"
    assert chip.core("npu").chain("I")[-1].serves == {"D1", "D2"}
    assert all(chip.memory("l2").ports[0].carries(slot, "to_below") for slot in ("I", "W", "O"))


def test_the_example_of_the_format_page_reads(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "chip_format.md").read_text()
    text = page.split("```yaml\n")[1].split("```")[0]
    (tmp_path / "example.yaml").write_text(text)
    assert check_chip(read_chip(tmp_path / "example.yaml")) == []


def test_the_format_page_names_every_key():
    page = (Path(__file__).parents[2] / "docs" / "chip_format.md").read_text()
    forms = [chip_schema(), *chip_schema()["$defs"].values()]
    keys = {key for form in forms for key in form.get("properties", {})}
    assert {key for key in keys if f"`{key}`" not in page} == set()


def test_the_schema_lets_a_core_name_another_file_instead():
    schema = chip_schema()
    assert json.loads(json.dumps(schema)) == schema
    core = schema["$defs"]["CoreForm"]
    assert core["anyOf"] == [{"required": ["from"]}, {"required": ["ops", "array", "op_energy", "accumulator"]}]
    assert schema["additionalProperties"] is False


def test_an_unknown_library_name_is_refused_with_the_nearest_one():
    with pytest.raises(ChipError) as error:
        read_chip("tpu_lik")
    assert str(error.value) == (
        "a chip must be a library name or a YAML file that exists, not 'tpu_lik'; did you mean 'tpu_like'?"
    )


@pytest.mark.parametrize("name", ["none.yaml", "folder/none", "x" * 300 + ".yaml"])
def test_a_missing_file_is_refused(folder, name):
    with pytest.raises(ChipError) as error:
        read_chip(name)
    assert str(error.value) == (
        f"a chip must be a YAML file that exists, not '{name}'; or name a library chip: {', '.join(library())}"
    )

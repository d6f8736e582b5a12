"""ZigZag's accelerators come over number by number; what their files do not say is an assumption that says so."""

import json
from pathlib import Path

import pytest

from weft.errors import UserError
from weft.model.chip import Chip, Memory
from weft.model.workload import SLOTS
from weft.read.chip import read_chip
from weft.read.foreign import import_zigzag

FACTS = Path(__file__).parents[2].parent / "shared" / "facts" / "single_cores.json"

ACCELERATOR = """\
name: small
memories:
  reg_w:
    size: 16
    r_cost: 0.5
    w_cost: 0.25
    area: 3
    latency: 1
    operands: [I2]
    ports:
      - {name: r_port_1, type: read, bandwidth_min: 8, bandwidth_max: 8, allocation: ["I2, tl"]}
      - {name: w_port_1, type: write, bandwidth_min: 8, bandwidth_max: 8, allocation: ["I2, fh"]}
    served_dimensions: [D3]
  sums:
    size: 24
    r_cost: 1
    w_cost: 2
    area: 0
    latency: 1
    operands: [O]
    ports:
      - {name: rw_port_1, type: read_write, bandwidth_min: 24, bandwidth_max: 24, allocation: ["O, fl", "O, tl"]}
    served_dimensions: [D2]
  buffer:
    size: 65536
    r_cost: 10
    w_cost: 12
    area: 0
    latency: 3
    operands: [I1, O]
    force_double_buffering: true
    ports:
      - {name: r_port_1, type: read, bandwidth_min: 32, bandwidth_max: 128, allocation: ["I1, tl", "O, tl", "O, th"]}
      - {name: r_port_2, type: read, bandwidth_min: 128, bandwidth_max: 128, allocation: ["O, th"]}
      - {name: w_port_1, type: write, bandwidth_min: 32, bandwidth_max: 64, allocation: ["I1, fh", "O, fh", "O, fl"]}
    served_dimensions: [D1, D2, D3]
  dram:
    size: 8000000000
    r_cost: 700
    w_cost: 750
    area: 0
    latency: 1
    operands: [I1, I2, O]
    ports:
      - name: rw_port_1
        type: read_write
        bandwidth_min: 64
        bandwidth_max: 64
        allocation: ["I1, fh", "I1, tl", "I2, fh", "I2, tl", "O, fh", "O, tl", "O, fl", "O, th"]
    served_dimensions: [D1, D2, D3]
operational_array:
  unit_energy: 0.5
  unit_area: 1
  dimensions: [D1, D2, D3]
  sizes: [8, 4, 2]
"""
MAPPING = """\
- name: default
  spatial_mapping:
    D1: ["K, 8"]
    D2: ["C, 2", "FX, 2"]
  spatial_mapping_hint:
    D2: [C]
    D3: [OX, OY]
    D4: [K]
- name: Add
  spatial_mapping: {D1: ["G, 8"]}
"""


def imported(folder: Path, accelerator: str = ACCELERATOR, mapping: str | None = None) -> tuple[Chip, str]:
    (folder / "small.yaml").write_text(accelerator)
    if mapping is not None:
        (folder / "map.yaml").write_text(mapping)
    text = import_zigzag(folder / "small.yaml", folder / "map.yaml" if mapping is not None else None)
    (folder / "chip.yaml").write_text(text)
    return read_chip(folder / "chip.yaml"), text


def ports(memory: Memory) -> list[tuple[str, int, int, frozenset[tuple[str, str]]]]:
    return [(port.direction, port.bandwidth_bits, port.access_bits, port.flows) for port in memory.ports]


def test_every_number_of_the_file_is_in_the_chip(tmp_path):
    chip, _ = imported(tmp_path)
    core = chip.core("core0")
    assert [(side.name, side.size) for side in core.array] == [("D1", 8), ("D2", 4), ("D3", 2)]
    assert core.op_pj == 0.5
    own = list(core.levels)
    assert [level.memory for level in own] == ["core0.reg_w", "core0.sums", "core0.buffer"]
    assert [set(level.slots) for level in own] == [{"W"}, {"O"}, {"I", "O"}]
    assert [set(level.serves) for level in own] == [{"D3"}, {"D2"}, {"D1", "D2", "D3"}]
    memory = chip.memory("core0.buffer")
    assert (memory.size_bits, memory.read_pj, memory.write_pj) == (65536, 10, 12)
    assert chip.outermost == "dram"
    assert chip.memory("dram").size_bits == 8 * 10**9


def test_a_flow_given_to_two_ports_lies_on_the_last_as_zigzag_reads_it(tmp_path):
    chip, text = imported(tmp_path)
    assert ports(chip.memory("core0.buffer")) == [
        ("read", 128, 32, frozenset({("I", "to_below"), ("O", "to_below")})),
        ("read", 128, 128, frozenset({("O", "to_above")})),
        ("write", 64, 32, frozenset({("I", "from_above"), ("O", "from_above"), ("O", "from_below")})),
    ]
    assert "# O to_above is given to r_port_1 too; the last port it is given to counts" in text


def test_a_way_without_a_port_gets_one_that_can_and_says_so(tmp_path):
    chip, text = imported(tmp_path)
    flows = chip.memory("core0.sums").ports[0].flows
    assert flows == {("O", way) for way in ("from_above", "to_below", "from_below", "to_above")}
    assert "# assumed here, as no port is given: O from_above, O to_above" in text


def test_buffering_follows_depth_unless_the_file_forces_it(tmp_path):
    chip, text = imported(tmp_path)
    assert [chip.memory(name).buffering for name in ("core0.reg_w", "core0.sums", "core0.buffer")] == [
        "pipelined",
        "pipelined",
        "double",
    ]
    assert "buffering: double  # force_double_buffering is true" in text
    assert chip.core("core0").accumulator_bits == 24


def test_what_is_not_taken_over_is_named(tmp_path):
    _, text = imported(tmp_path)
    for words in ("# not used: area of 3", "# not used: latency of 3 cycles", "# not used: unit_area of 1"):
        assert words in text


def test_links_and_helpers_are_assumed_as_in_the_library(tmp_path):
    chip, text = imported(tmp_path)
    assert [core.name for core in chip.cores] == ["core0", "pooling", "simd"]
    assert [(link.name, link.bandwidth_bits, link.half_duplex) for link in chip.links] == [
        ("core0_pooling", 32, False),
        ("core0_simd", 32, False),
        ("bus", 64, True),
    ]
    assert text.count("# assumed: ZigZag has no links") == 3


def test_without_a_mapping_the_dataflow_is_assumed(tmp_path):
    chip, text = imported(tmp_path)
    assert [side.roles for side in chip.core("core0").array] == [
        ("output_channel", "group"),
        ("reduction_channel",),
        ("output_column",),
    ]
    assert text.count("# assumed: no dataflow given; --spatial free lets weft choose") == 3
    assert "dataflow assumed" in chip.notes


def test_a_mapping_gives_roles_and_several_loops_share_a_side(tmp_path):
    chip, text = imported(tmp_path, mapping=MAPPING)
    array = chip.core("core0").array
    assert [(side.roles, side.shares, side.most) for side in array] == [
        (("output_channel", "group"), False, None),
        (("reduction_channel", "kernel_column"), True, None),
        (("output_column", "output_row"), True, None),
    ]
    assert "map.yaml: C 2, FX 2; weft fills the side in this order, not by these factors" in text
    assert "not used: map.yaml lays K on D4, which the array has not" in text
    assert "not used: mappings of Add: a core has one dataflow" in text
    assert "not used: spatial_mapping_hint of D2: spatial_mapping says" in text
    assert "dataflow assumed" not in chip.notes


def test_the_files_own_dataflows_count_where_no_mapping_is_given(tmp_path):
    own = ACCELERATOR + 'dataflows: {D1: ["OX, 4"], D2: ["K, 4"], D3: ["C, 2"]}\n'
    chip, text = imported(tmp_path, own)
    assert [side.roles[0] for side in chip.core("core0").array] == [
        "output_column",
        "output_channel",
        "reduction_channel",
    ]
    assert [side.most for side in chip.core("core0").array] == [4, None, None]
    assert "# dataflows in the file: C 2" in text


def test_swapped_memory_operands_swap_inputs_and_weights(tmp_path):
    chip, _ = imported(tmp_path, mapping=MAPPING + "  memory_operand_links: {O: O, W: I2, I: I1}\n")
    assert chip.core("core0").levels[0].slots == {"W"}
    swapped = MAPPING.replace("- name: Add", "  memory_operand_links: {O: O, W: I1, I: I2}\n- name: Add")
    chip, _ = imported(tmp_path, mapping=swapped)
    assert chip.core("core0").levels[0].slots == {"I"}


def test_a_core_without_a_memory_for_an_operand_works_from_the_top(tmp_path):
    start, end = ACCELERATOR.index("  buffer:"), ACCELERATOR.index("  dram:")
    chip, _ = imported(tmp_path, ACCELERATOR[:start] + ACCELERATOR[end:])
    assert chip.core("core0").levels[-1].memory == "dram"
    assert chip.core("core0").levels[-1].slots == set(SLOTS)
    assert [link.name for link in chip.links] == ["bus"]


def test_systolic_sides_say_what_rests_and_why(tmp_path):
    marked = ACCELERATOR + "  systolic_dimensions: [D1, D2]\n"
    chip, text = imported(tmp_path, marked)
    systolic = chip.core("core0").systolic
    assert systolic is not None
    assert (systolic.rows, systolic.columns, systolic.stationary) == ("D2", "D1", "W")
    assert "# assumed: W rests, as sums march along D2" in text
    chip, text = imported(tmp_path, ACCELERATOR + "  systolic_dimensions: [D1]\n")
    assert chip.core("core0").systolic is None
    assert "not used: systolic_dimensions D1: weft skews data along two sides" in text


def test_sums_rest_where_inputs_and_weights_have_registers_and_no_side_adds_up(tmp_path):
    registers = ACCELERATOR.replace("served_dimensions: [D3]", "served_dimensions: []").replace(
        "operands: [I2]", "operands: [I1, I2]"
    )
    registers = registers.replace('["I2, tl"]', '["I1, tl", "I2, tl"]').replace('["I2, fh"]', '["I1, fh", "I2, fh"]')
    registers += "  systolic_dimensions: [D1, D2]\n"
    chip, text = imported(tmp_path, registers)
    systolic = chip.core("core0").systolic
    assert systolic is not None
    assert systolic.stationary == "O"
    assert [side.roles[0] for side in chip.core("core0").array] == ["output_column", "output_channel", "output_row"]
    assert "# assumed: O rests, as inputs and weights have registers in the units" in text
    chip, _ = imported(tmp_path, registers, MAPPING)
    systolic = chip.core("core0").systolic
    assert systolic is not None
    assert systolic.stationary == "W"


def test_a_key_that_stands_twice_is_said(tmp_path):
    doubled = ACCELERATOR.replace("    served_dimensions: [D2]\n", "    served_dimensions: [D2]\n    r_cost: 7\n")
    chip, text = imported(tmp_path, doubled)
    assert chip.memory("core0.sums").read_pj == 7
    assert "memory 'sums': 'r_cost' stands twice, and line 24 counts, not line 16" in text


WRONG = {
    "a misspelt key": (
        ("    r_cost: 0.5", "    r_costs: 0.5"),
        "small.yaml:5 memory 'reg_w': a key must be one that is known here, not 'r_costs'; did you mean 'r_cost'?",
    ),
    "a missing key": (
        ("    size: 24\n", ""),
        "small.yaml:14 memory 'sums': 'size' must be given",
    ),
    "text for a number": (
        ("    size: 24\n", "    size: 3 B\n"),
        "small.yaml:15 memory 'sums': size must be a positive whole number, not '3 B'",
    ),
    "an energy below 0": (
        ("    w_cost: 2\n", "    w_cost: -2\n"),
        "small.yaml:17 memory 'sums': w_cost must be a number of at least 0, not -2",
    ),
    "energies left to CACTI": (
        ("    r_cost: 1\n    w_cost: 2\n", "    auto_cost_extraction: true\n"),
        "small.yaml:16 memory 'sums': the energies of a memory must be given, not left to auto_cost_extraction; weft "
        "does not run CACTI: write r_cost and w_cost in pJ per access of a port's full width",
    ),
    "an unknown side": (
        ("served_dimensions: [D3]", "served_dimensions: [D7]"),
        "small.yaml:13 memory 'reg_w': each of served_dimensions must be one of D1, D2, D3, not 'D7'",
    ),
    "sizes for other dimensions": (
        ("sizes: [8, 4, 2]", "sizes: [8, 4]"),
        "small.yaml:55 operational_array: sizes must be one for each of the dimensions D1 D2 D3, not 2 numbers",
    ),
    "an allocation nobody knows": (
        ('["I2, tl"]', '["I2, up"]'),
        "small.yaml:11 memory 'reg_w' port 'r_port_1': each allocation must read OPERAND, WAY, not 'I2, up'; "
        "for example 'I1, fh'; operands are I1 I2 O, ways fh tl fl th",
    ),
    "an allocation of another operand": (
        ('["I2, tl"]', '["O, tl"]'),
        "small.yaml:11 memory 'reg_w' port 'r_port_1': each allocation must be of an operand that the memory holds, "
        "not of O; it holds I2",
    ),
    "a write on a read port": (
        ('["I2, tl"]', '["I2, fh"]'),
        "small.yaml:11 memory 'reg_w' port 'r_port_1': a read port must not carry 'I2, fh'; "
        "fh and fl are writes, tl and th are reads",
    ),
    "a least access above the width": (
        ("type: read, bandwidth_min: 8", "type: read, bandwidth_min: 9"),
        "small.yaml:11 memory 'reg_w' port 'r_port_1': bandwidth_min must be at most bandwidth_max of 8, not 9",
    ),
    "an outermost memory that does not hold all": (
        ("operands: [I1, I2, O]", "operands: [I1, O]"),
        "small.yaml:49 memory 'dram' port 'rw_port_1': each allocation must be of an operand that the memory holds, "
        "not of I2; it holds I1 O",
    ),
    "in-memory compute": (
        ("  unit_energy: 0.5\n  unit_area: 1\n", "  is_imc: true\n  imc_type: analog\n"),
        "small.yaml:51 operational_array: the array must be one of MACs in this version, not analog in-memory compute; "
        "all else of the file was read; in-memory-compute cores come with weft's support for them",
    ),
    "no port that can": (
        ('      - {name: w_port_1, type: write, bandwidth_min: 8, bandwidth_max: 8, allocation: ["I2, fh"]}\n', ""),
        "small.yaml:3 memory 'reg_w': a memory that holds W must have a port that can carry it from above, not none; "
        "allocate it to a port of that direction",
    ),
    "an outer memory that serves less": (
        ("served_dimensions: [D1, D2, D3]\n  dram", "served_dimensions: [D1]\n  dram"),
        "small.yaml: the file must describe a whole chip, and does not: core 'core0' memory 'buffer': a memory must "
        "serve every side that 'core0.sums' below it serves, not leave out D2; memories are listed innermost first",
    ),
    "YAML that is none": (
        ("name: small", "name: [small"),
        "small.yaml:2: the file must be well-formed YAML, not this: expected ',' or ']', but got ':'; "
        "check indentation, colons, brackets and quotes just before it",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_hold_is_one_line(name, tmp_path, monkeypatch):
    (old, new), line = WRONG[name]
    assert old in ACCELERATOR
    monkeypatch.chdir(tmp_path)
    Path("small.yaml").write_text(ACCELERATOR.replace(old, new, 1))
    with pytest.raises(UserError) as refused:
        import_zigzag(Path("small.yaml"))
    assert str(refused.value) == line


def test_several_problems_come_together(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("small.yaml").write_text(ACCELERATOR.replace("size: 24", "size: 0").replace("r_cost: 700", "r_cost: x"))
    with pytest.raises(UserError) as refused:
        import_zigzag(Path("small.yaml"))
    assert str(refused.value).splitlines() == [
        "small.yaml:15 memory 'sums': size must be a positive whole number, not 0",
        "small.yaml:39 memory 'dram': r_cost must be a number of at least 0, not 'x'",
    ]


WRONG_MAPPINGS = {
    "no default": (
        "- name: Add\n",
        "map.yaml:1: a mapping file must have one named 'default', not only Add; "
        "it says what lies on the array for every layer that has no mapping of its own",
    ),
    "a loop nobody knows": (
        '- name: default\n  spatial_mapping: {D1: ["Q, 8"]}\n',
        "map.yaml:2: a loop on the array must be one whose role is known, not 'Q'; "
        "known: B, C, D0, D1, D2, FX, FY, G, K, OX, OY",
    ),
    "no units": (
        "- name: default\n  spatial_mapping: {D1: [K]}\n",
        "map.yaml:2: a loop on the array must read LOOP, UNITS, not 'K'; for example 'K, 32'",
    ),
    "a mapping that is none": (
        "name: default\n",
        "map.yaml:1: a mapping file must be a list of mappings, not a mapping",
    ),
    "links that lose an operand": (
        "- name: default\n  memory_operand_links: {O: O, W: I2, I: I2}\n",
        "map.yaml:2 mapping: memory_operand_links must give I and W one of I1 and I2 each, and O to O",
    ),
}


@pytest.mark.parametrize("name", WRONG_MAPPINGS)
def test_a_mapping_file_that_does_not_hold_is_one_line(name, tmp_path, monkeypatch):
    text, line = WRONG_MAPPINGS[name]
    monkeypatch.chdir(tmp_path)
    Path("small.yaml").write_text(ACCELERATOR)
    Path("map.yaml").write_text(text)
    with pytest.raises(UserError) as refused:
        import_zigzag(Path("small.yaml"), Path("map.yaml"))
    assert str(refused.value) == line


OTHER_FILES = {
    "net.onnx": (
        b"\x08\x07\x12\xff",
        "net.onnx: the file must be ZigZag's YAML, not other bytes; give a network to weft run as it is",
    ),
    "empty.yaml": (b"", "empty.yaml: the file must be ZigZag's YAML, not empty"),
    "map.yaml": (
        b"- name: default\n  spatial_mapping: {}\n",
        "map.yaml: a mapping file must come with its accelerator; weft import zigzag ACCELERATOR --mapping map.yaml",
    ),
    "stream.yaml": (
        b"name: x\ncores: {}\n",
        "stream.yaml:2: the file must be ZigZag's, and this has cores, as Stream's accelerators do; "
        "weft import stream FILE",
    ),
    "chip.yaml": (
        b"name: x\noutermost: dram\ncores: {}\n",
        "chip.yaml:1: the file must be another tool's, and this is in weft's form; as it is: --chip FILE",
    ),
    "net.workload.yaml": (
        b"workload: x\n",
        "net.workload.yaml:1: the file must be another tool's, and this is in weft's form; "
        "as a network: weft run FILE --chip CHIP",
    ),
    "list.yaml": (
        b"[1, 2]\n",
        "list.yaml:1: the file must be ZigZag's YAML: an accelerator ('memories' and 'operational_array'), "
        "a list of mappings or a list of layers, and is none",
    ),
}


@pytest.mark.parametrize("name", OTHER_FILES)
def test_other_files_are_told_where_they_go(name, tmp_path, monkeypatch):
    data, line = OTHER_FILES[name]
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(data)
    with pytest.raises(UserError) as refused:
        import_zigzag(Path(name))
    assert str(refused.value) == line


DECIDED = {("tesla_npu_like", "core0.sram_1KB_I")}
"""Buffering that the library sets by hand, where the importer goes by depth: a line buffer that is full in use."""


def of_facts(name: str) -> tuple[str, str | None]:
    """A ZigZag file and its mapping file as the facts have them; JSON is YAML."""
    entry = json.loads(FACTS.read_text())[name]
    memories = {
        memory["name"]: {
            "size": memory["size_bits"],
            **{key: memory[key] for key in ("r_cost", "w_cost", "area", "latency", "operands", "served_dimensions")},
            "ports": [
                {
                    "name": port["name"],
                    "type": port["type"],
                    "bandwidth_min": port["bw_min"],
                    "bandwidth_max": port["bw_max"],
                    "allocation": port["allocation"],
                }
                for port in memory["ports"]
            ],
        }
        for memory in entry["memories"]
    }
    array = entry["operational_array"] | {"dimensions": [*entry["array"]], "sizes": [*entry["array"].values()]}
    accelerator = {"name": entry["name_in_file"], "memories": memories, "operational_array": array}
    mapping = entry.get("example_mapping")
    return json.dumps(accelerator), json.dumps(mapping) if mapping else None


@pytest.mark.skipif(not FACTS.is_file(), reason="the facts lie outside the repository")
@pytest.mark.parametrize(
    "name", ["tpu_like", "meta_prototype", "edge_tpu_like", "tesla_npu_like", "ascend_like", "eyeriss_like"]
)
def test_an_imported_core_is_the_librarys_number_by_number(name, tmp_path):
    accelerator, mapping = of_facts(name)
    chip, _ = imported(tmp_path, accelerator, mapping)
    library = read_chip(name)
    mine, theirs = chip.core("core0"), library.core("core0")
    assert mine.array == theirs.array
    assert (mine.op_pj, mine.ops, mine.op_widths) == (theirs.op_pj, theirs.ops, theirs.op_widths)
    assert mine.levels == theirs.levels
    for memory in (*[chip.memory(level.memory) for level in mine.levels], chip.memory("dram")):
        same = library.memory(memory.name)
        for key in ("size_bits", "read_pj", "write_pj"):
            assert getattr(memory, key) == getattr(same, key)
        assert memory.buffering == ("double" if (name, memory.name) in DECIDED else same.buffering)
        assert set(ports(memory)) == set(ports(same))
    assert chip.links == library.links
    assert (chip.precision, chip.folds, chip.outermost) == (library.precision, library.folds, library.outermost)
    # The one difference: the library's eyeriss_like takes 16-bit sums, its register's port is 24 bits wide.
    assert mine.accumulator_bits == (24 if name == "eyeriss_like" else theirs.accumulator_bits)

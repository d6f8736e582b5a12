"""Stream's accelerators come over with every core, memory, link and bus; what they share is shared."""

import json
from pathlib import Path

import pytest
from tests.read.test_import_zigzag import ACCELERATOR, FACTS, ports

from weft.errors import UserError
from weft.model.chip import Chip
from weft.model.workload import KINDS
from weft.read.chip import read_chip
from weft.read.foreign import import_stream

SYSTEMS = FACTS.parent / "multi_cores.json"
ALL = '["I1, fh", "I1, tl", "I2, fh", "I2, tl", "O, fh", "O, tl", "O, fl", "O, th"]'


def memory(name: str, size: int, width: int, serves: str = "[D1]") -> str:
    """A memory that holds everything behind one port."""
    return f"""\
memories:
  {name}:
    size: {size}
    r_cost: 100
    w_cost: 100
    area: 0
    latency: 1
    operands: [I1, I2, O]
    ports:
      - {{name: rw_port_1, type: read_write, bandwidth_min: {width}, bandwidth_max: {width}, allocation: {ALL}}}
    served_dimensions: {serves}
"""


def array(units: int) -> str:
    return f"operational_array: {{unit_energy: 0.1, unit_area: 0, dimensions: [D1], sizes: [{units}]}}\n"


CORES = {
    "macs.yaml": ACCELERATOR[: ACCELERATOR.index("  dram:")]
    # weights pass the buffer, too
    .replace("operands: [I1, O]", "operands: [I1, I2, O]")
    .replace('"I1, tl", "O, tl"', '"I1, tl", "I2, tl", "O, tl"')
    .replace('"I1, fh", "O, fh"', '"I1, fh", "I2, fh", "O, fh"')
    + ACCELERATOR[ACCELERATOR.index("operational_array") :]
    + "type: compute\noperand_precision: {input: int8, accumulator: int24}\nbanks: {count: 4, width: 32}\n",
    "simd.yaml": "name: simd\ntype: zigzag.compute\n"
    + memory("local", 8192, 64)
    + array(16)
    + "operator_types: [Add, Relu, Frob, Softmax]\n",
    "off.yaml": "name: off\ntype: zigzag.offchip\n" + memory("dram", 10**9, 32, "[]") + array(0),
    "scratch.yaml": "name: scratch\ntype: zigzag.memory\n" + memory("local", 8192, 64, "[]") + array(0),
}
SYSTEM = """\
name: two
cores:
  0: macs.yaml
  1: ./cores/macs.yaml
  2: simd.yaml
  3: off.yaml
offchip_core_id: 3
unit_energy_cost: 0
core_coordinates: {0: [0, 0]}
core_connectivity:
  - {type: link, cores: [0, 1], bandwidth: 32}
  - {cores: [1, 0], bandwidth: 16, unit_energy_cost: 8}
  - {type: link, cores: [0, 2], bandwidth: 32.5}
  - {type: bus, cores: [0, 1, 2, 3], bandwidth: 128}
  - {type: bus, cores: [0, 3], bandwidth: 64}
"""


def system(folder: Path, text: str = SYSTEM, **cores: str) -> Path:
    (folder / "cores").mkdir(exist_ok=True)
    for name, core in (CORES | {f"{name}.yaml": core for name, core in cores.items()}).items():
        (folder / "cores" / name).write_text(core)
    (folder / "two.yaml").write_text(text)
    return folder / "two.yaml"


def imported(folder: Path, text: str = SYSTEM, **cores: str) -> tuple[Chip, str]:
    written = import_stream(system(folder, text, **cores))
    (folder / "chip.yaml").write_text(written)
    return read_chip(folder / "chip.yaml"), written


def test_every_link_and_bus_is_kept(tmp_path):
    chip, text = imported(tmp_path)
    assert [(link.name, link.bandwidth_bits, link.half_duplex) for link in chip.links] == [
        ("small0_small1", 32, False),
        ("small1_small0", 16, False),
        ("small0_simd", 32, False),
        ("bus", 128, True),
        ("bus_2", 64, True),
    ]
    assert "again between the same: a link of its own" in text
    assert "a whole bandwidth, rounded down from 32.5" in text


def test_links_join_what_they_name(tmp_path):
    chip, _ = imported(tmp_path)
    assert chip.link("small0_simd").joins("small0.buffer", "simd.local")
    assert chip.link("bus").joins("simd.local", "dram")
    assert not chip.link("bus_2").joins("simd.local", "dram")


def test_energy_of_a_link_is_that_of_its_full_width(tmp_path):
    chip, text = imported(tmp_path)
    assert chip.link("small1_small0").pj_per_bit == 8 / 16
    assert chip.link("small0_small1").pj_per_bit == 0
    assert "assumed: unit_energy_cost of 8 pJ is for its full width" in text


def test_cores_take_what_their_operator_types_say_and_the_rest_goes_to_the_lanes(tmp_path):
    chip, text = imported(tmp_path)
    assert chip.core("small0").ops == chip.core("small1").ops == {"conv", "gemm", "matmul"}
    assert chip.core("simd").ops == set(KINDS) - {"conv", "gemm", "matmul"}
    flat = " ".join(line.strip(" #") for line in text.splitlines())
    assert "operator_types Add, Relu, Frob, Softmax; assumed: pool, reduce, norm, copy, which no core lists" in flat
    assert "not used: operators Frob, which weft has no core kind for" in text


def test_without_lanes_the_cores_that_list_nothing_take_everything(tmp_path):
    alone = SYSTEM.replace("2: simd.yaml", "2: macs.yaml")
    chip, text = imported(tmp_path, alone)
    assert all(core.ops == set(KINDS) for core in chip.cores)
    assert "assumed: its file lists no operator_types, so it takes all that no other core lists" in text


def test_precision_and_sums_are_those_of_the_core_files(tmp_path):
    chip, text = imported(tmp_path)
    core = chip.core("small0")
    assert (core.op_widths, core.accumulator_bits) == ((8, 8), 24)
    assert chip.precision.input_bits == 8
    assert "not used: banks (count 4, width 32): a memory's ports are always free to it" in text
    assert "not used: core_coordinates: where cores lie does not matter, links say what reaches what" in text


def test_cores_that_share_a_memory_work_from_one_and_keep_both_links(tmp_path):
    sharing = SYSTEM[: SYSTEM.index("core_connectivity")].replace("1: ./cores/macs.yaml", "1: simd.yaml") + (
        "core_memory_sharing: ['1, 2']\n"
        "core_connectivity:\n"
        "  - {cores: [1, 3], bandwidth: 32}\n"
        "  - {cores: [2, 3], bandwidth: 32}\n"
        "  - {cores: [0, 3], bandwidth: 32}\n"
    )
    chip, _ = imported(tmp_path, sharing)
    assert [level.memory for level in chip.core("simd1").levels] == ["local"]
    assert [level.memory for level in chip.core("simd2").levels] == ["local"]
    assert [link.name for link in chip.links] == ["simd1_off", "simd2_off", "small_off"]
    assert all(chip.link(name).joins("local", "dram") for name in ("simd1_off", "simd2_off"))


def test_a_core_that_is_a_memory_becomes_one(tmp_path):
    staged = SYSTEM.replace("1: ./cores/macs.yaml", "1: scratch.yaml")
    chip, _ = imported(tmp_path, staged)
    assert [core.name for core in chip.cores] == ["small", "simd"]
    assert chip.memory("local").size_bits == 8192
    assert chip.link("small_scratch").joins("small.buffer", "local")


def test_a_memory_does_not_take_a_cores_name(tmp_path):
    named = CORES["off.yaml"].replace("  dram:", "  simd:")
    chip, _ = imported(tmp_path, SYSTEM, off=named)
    assert chip.outermost == "simd_memory"
    assert chip.link("bus").joins("simd.local", "simd_memory")


def test_the_older_form_has_one_bandwidth_and_one_channel(tmp_path):
    older = (
        "name: two\ncores: {0: macs.yaml, 1: macs.yaml, 2: simd.yaml}\noffchip_core: off.yaml\n"
        "bandwidth: 32\nunit_energy_cost: 0\ncore_connectivity: ['0, 1', '1, 2']\n"
    )
    chip, text = imported(tmp_path, older)
    assert [(link.name, link.bandwidth_bits, link.half_duplex) for link in chip.links] == [
        ("small0_small1", 32, False),
        ("small1_simd", 32, False),
        ("channel", 32, True),
    ]
    assert not chip.link("channel").joins("simd.local", "small0.buffer")
    assert "offchip_core: one shared half-duplex link of its port's width, as Stream has it" in text


def test_the_older_ports_are_counts_and_a_port_for_each_way(tmp_path):
    older = """\
name: old
memories:
  local:
    {size: 8192, r_bw: 64, w_bw: 32, min_r_granularity: 16, r_cost: 3, w_cost: 4, r_port: 1, w_port: 2, rw_port: 0,
     area: 0, latency: 1, operands: [I1, I2, O], served_dimensions: [D1],
     ports: [{fh: w_port_1, tl: r_port_1}, {fh: w_port_1, tl: r_port_1},
             {fh: w_port_2, tl: r_port_1, fl: w_port_2, th: r_port_1}]}
multipliers: {unit_energy: 0.1, unit_area: 0, dimensions: [D1], sizes: [16]}
"""
    chip, _ = imported(tmp_path, SYSTEM.replace("0: macs.yaml", "0: old.yaml"), old=older)
    inputs = {(slot, "to_below") for slot in "IW"}
    assert ports(chip.memory("old.local")) == [
        ("read", 64, 16, inputs | {("O", "to_below"), ("O", "to_above")}),
        ("write", 32, 32, {("I", "from_above"), ("W", "from_above")}),
        ("write", 32, 32, {("O", "from_above"), ("O", "from_below")}),
    ]


WRONG = {
    "a file that is missing": (
        ("2: simd.yaml", "2: simt.yaml"),
        "two.yaml:5: the file of core 2 must be beside the accelerator or in its folder cores, and 'simt.yaml' is not",
    ),
    "a misspelt key": (
        ("core_connectivity:", "core_conectivity:"),
        "two.yaml:10: a key must be one that is known here, not 'core_conectivity'; did you mean 'core_connectivity'?",
    ),
    "a misspelt key of a link": (
        ("bandwidth: 64}", "bandwith: 64}"),
        "two.yaml:15 core_connectivity[4]: a key must be one that is known here, not 'bandwith'; "
        "did you mean 'bandwidth'?",
    ),
    "a core that is not there": (
        ("cores: [0, 2]", "cores: [0, 7]"),
        "two.yaml:13: cores must be named by their numbers, and '7' is none of 0 to 3",
    ),
    "a link over three": (
        ("link, cores: [0, 1]", "link, cores: [0, 1, 2]"),
        "two.yaml:11 core_connectivity[0]: a link must join two cores, not 3; make it a bus",
    ),
    "a link of one": (
        ("cores: [0, 2]", "cores: [2, 2]"),
        "two.yaml:13: at least two different cores must be named",
    ),
    "no width": (
        ("bandwidth: 128}", "bandwidth: 0}"),
        "two.yaml:14: a bandwidth must be at least 1 bit per cycle",
    ),
    "another core off chip": (
        ("offchip_core_id: 3", "offchip_core_id: 9"),
        "two.yaml:7: offchip_core_id must be one of the cores, not 9",
    ),
    "a core without a way to memory": (
        ("  - {type: bus, cores: [0, 1, 2, 3], bandwidth: 128}\n  - {type: bus, cores: [0, 3], bandwidth: 64}\n", ""),
        "two.yaml: the file must describe a whole chip, and does not: core 'small0': a link must lead from 'dram' to "
        "'small0.buffer', not none; join 'small0' to it\n"
        "two.yaml: the file must describe a whole chip, and does not: core 'small1': a link must lead from 'dram' to "
        "'small1.buffer', not none; join 'small1' to it\n"
        "two.yaml: the file must describe a whole chip, and does not: core 'simd': a link must lead from 'dram' to "
        "'simd.local', not none; join 'simd' to it",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_hold_is_one_line(name, tmp_path, monkeypatch):
    (old, new), line = WRONG[name]
    assert old in SYSTEM
    monkeypatch.chdir(tmp_path)
    system(Path(), SYSTEM.replace(old, new, 1))
    with pytest.raises(UserError) as refused:
        import_stream(Path("two.yaml"))
    assert str(refused.value) == line


def test_tiles_described_by_kernels_are_refused_in_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tile = "name: tile\ntype: aie2.compute\nmemory: {capacity: 1}\n"
    system(Path(), SYSTEM.replace("1: ./cores/macs.yaml", "1: tile.yaml").replace("0: macs", "0: tile"), tile=tile)
    with pytest.raises(UserError) as refused:
        import_stream(Path("two.yaml"))
    assert str(refused.value) == (
        "cores/tile.yaml:2: a core must say its array and energies, and aie2.compute cores say neither; "
        "such tiles are described by kernels: describe them as weft cores"
    )


def test_shared_memories_must_be_alike(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    system(Path(), SYSTEM + "core_memory_sharing: ['0, 2']\n")
    with pytest.raises(UserError) as refused:
        import_stream(Path("two.yaml"))
    assert str(refused.value) == (
        "two.yaml:16: cores that share a memory must describe it alike, and 'local' of core 2 differs from "
        "'buffer' of core 0"
    )


def facts_system(name: str, older: bool, folder: Path) -> tuple[Path, int]:
    """An accelerator of the facts and its core files, and how many links it lists; JSON is YAML."""
    data = json.loads(SYSTEMS.read_text())
    entry = data["accelerators"][f"examples/{name}"]
    for number, core in entry["cores"].items():
        facts = data["cores"][f"examples/{core}"]
        file = {
            "name": core,
            "type": facts["type"],
            "memories": {
                key: {
                    "size": it["bits"],
                    "r_cost": it["r_pJ"],
                    "w_cost": it["w_pJ"],
                    "area": it["area"],
                    "latency": it["lat"],
                    "operands": it["ops"],
                    "served_dimensions": it["served"],
                    "ports": [
                        {
                            "name": f"port_{index}",
                            "type": kind,
                            "bandwidth_min": least,
                            "bandwidth_max": width,
                            "allocation": flows,
                        }
                        for index, (kind, least, width, flows) in enumerate(it["ports"])
                    ],
                }
                for key, it in facts["mem"].items()
            },
            "operational_array": {
                "unit_energy": facts["array"]["unit_energy_pJ"],
                "unit_area": facts["array"]["unit_area"],
                "dimensions": facts["array"]["dims"],
                "sizes": facts["array"]["sizes"],
            },
        }
        if "operator_types" in facts:
            file["operator_types"] = facts["operator_types"]
        (folder / f"{core}.yaml").write_text(json.dumps(file))
        entry["cores"][number] = f"{core}.yaml"
    if older:
        top = data["classic_2024_12"][name] | {"name": name}
        listed = len(top["core_connectivity"]) + 1  # and the way off chip
    else:
        links = [{"type": kind, "cores": cores, "bandwidth": width} for kind, cores, width in entry["links"]]
        top = {
            "name": name,
            "cores": entry["cores"],
            "offchip_core_id": entry["offchip"],
            "unit_energy_cost": entry["unit_energy"],
            "core_connectivity": links,
        }
        listed = len(links)
    (folder / "system.yaml").write_text(json.dumps(top))
    return folder / "system.yaml", listed


@pytest.mark.skipif(not SYSTEMS.is_file(), reason="the facts lie outside the repository")
@pytest.mark.parametrize(
    ("library_name", "system_name", "core_name", "older"),
    [
        ("tpu_like_quad", "tpu_like_quad_core", "tpu_like", False),
        ("eyeriss_like_quad", "eyeriss_like_quad_core", "eyeriss_like", False),
        ("tpu_like_quad_2024", "tpu_like_quad_core", "tpu_like", True),
    ],
)
def test_an_imported_system_is_the_librarys_number_by_number(library_name, system_name, core_name, older, tmp_path):
    path, listed = facts_system(system_name, older, tmp_path)
    (tmp_path / "chip.yaml").write_text(import_stream(path))
    chip, library = read_chip(tmp_path / "chip.yaml"), read_chip(library_name)

    def renamed(name: str) -> str:
        return name.replace(core_name, "core")

    assert len(chip.links) == len(library.links) == listed
    for mine, theirs in zip(chip.links, library.links, strict=True):
        assert (mine.bandwidth_bits, mine.half_duplex, mine.pj_per_bit) == (
            theirs.bandwidth_bits,
            theirs.half_duplex,
            theirs.pj_per_bit,
        )
        assert {*map(renamed, mine.a), *map(renamed, mine.b)} == theirs.a | theirs.b
    assert [renamed(core.name) for core in chip.cores] == [core.name for core in library.cores]
    for mine, theirs in zip(chip.cores, library.cores, strict=True):
        assert (mine.array, mine.op_pj, mine.ops) == (theirs.array, theirs.op_pj, theirs.ops)
        # The library takes 16-bit sums everywhere; an eyeriss_like register's port is 24 bits wide.
        assert mine.accumulator_bits == (24 if core_name in mine.name and "eyeriss" in core_name else 16)
        for level, same in zip(mine.levels, theirs.levels, strict=True):
            assert (renamed(level.memory), level.slots, level.serves) == (same.memory, same.slots, same.serves)
            memory_, theirs_ = chip.memory(level.memory), library.memory(same.memory)
            for key in ("size_bits", "read_pj", "write_pj", "buffering"):
                assert getattr(memory_, key) == getattr(theirs_, key)
            assert set(ports(memory_)) == set(ports(theirs_))

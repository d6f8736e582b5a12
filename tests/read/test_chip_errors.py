"""Each way to write a chip wrong gives a line: where it is, what must hold, what was given, the way out."""

from pathlib import Path

import pytest

from weft.errors import ChipError
from weft.read.chip import read_chip

GOOD = """\
name: small
source: made up
clock: 1 GHz
outermost: dram
memories:
  dram:
    size: 1 Mbit
    read: 5 pJ
    write: 6 pJ
    buffering: double
    ports:
      rw: {direction: read_write, bandwidth: 64 bit/cycle}
cores:
  npu:
    ops: [conv]
    op_energy: 1 pJ
    accumulator: 16 bit
    array:
      D1: {size: 4, dataflow: [output_channel]}
      D2: {size: 2}
    memories:
      reg:
        holds: [O]
        serves: [D2]
        size: 32 bit
        read: 1 pJ
        write: 2 pJ
        buffering: pipelined
        ports:
          rw: {direction: read_write, bandwidth: 16 bit/cycle}
      sram:
        holds: [I, W, O]
        serves: all
        size: 1 KiB
        read: 3 pJ
        write: 4 pJ
        buffering: double
        ports:
          r: {direction: read, bandwidth: 64 bit/cycle, access: 8 bit}
          w: {direction: write, bandwidth: 32 bit/cycle}
links:
  bus:
    joins: [npu, dram]
    bandwidth: 32 bit/cycle
"""

CASES = {
    # text of the document
    "malformed YAML": (
        "outermost: dram",
        "outermost: [dram",
        "chip.yaml:5: the file must be well-formed YAML, not this: expected ',' or ']', but got ':'; "
        "check indentation, colons, brackets and quotes just before it",
    ),
    "a tab": (
        "  dram:\n",
        "\tdram:\n",
        "chip.yaml:6: the file must be well-formed YAML, not this: found character '\\t' that cannot start any token; "
        "check indentation, colons, brackets and quotes just before it",
    ),
    "two documents": (
        "memories:\n  dram",
        "---\nmemories:\n  dram",
        "chip.yaml:5: the file must be well-formed YAML, not this: but found another document; "
        "check indentation, colons, brackets and quotes just before it",
    ),
    "a control character": (
        "made up",
        "made\x01up",
        "chip.yaml: the file must be well-formed YAML, not this: "
        "unacceptable character #x0001: special characters are not allowed",
    ),
    "a repeated key": (
        "    read: 5 pJ\n",
        "    read: 5 pJ\n    size: 2 Mbit\n",
        "chip.yaml:9 memory 'dram': a key must stand once, not again as 'size'; "
        "it is given in line 7 already: rename or drop one",
    ),
    "a repeated core": (
        "links:\n",
        "  npu: {from: other.yaml}\nlinks:\n",
        "chip.yaml:41: a key must stand once, not again as 'npu'; it is given in line 14 already: rename or drop one",
    ),
    "a python tag": (
        "source: made up",
        "source: !!python/object/apply:os.getcwd []",
        "chip.yaml:2: values must be text, numbers, lists or mappings, not "
        "'!!python/object/apply:os.getcwd'; drop the tag",
    ),
    "a tagged mapping": (
        "joins: [npu, dram]",
        "joins: !x {a: b}",
        "chip.yaml:43 link 'bus': values must be text, numbers, lists or mappings, not '!x'; drop the tag",
    ),
    "an anchor": (
        "size: 1 Mbit",
        "size: &size 1 Mbit",
        "chip.yaml:7 memory 'dram': values must be written out, not shared by the anchor '&size'; "
        "repeat the value, or put a whole core into a file of its own and name it with 'from:'",
    ),
    "a list as key": (
        "clock: 1 GHz",
        "? [clock]\n: 1 GHz",
        "chip.yaml:3: a key must be a word, not a list or a mapping; write 'word: value'",
    ),
    "a clock whose unit was left out": (
        "clock: 1 GHz",
        "clock: 800",
        "chip.yaml:3: clock must have a unit, or be in Hz and at least 10000, not 800; '800 MHz'?",
    ),
    # keys
    "a misspelt key": (
        "op_energy: 1 pJ",
        "op_enery: 1 pJ",
        "chip.yaml:16 core 'npu': a key must be one that is known here, not 'op_enery'; did you mean 'op_energy'?",
    ),
    "a key of another thing": (
        "    read: 5 pJ",
        "    holds: [I]\n    read: 5 pJ",
        "chip.yaml:8 memory 'dram': a key must be one that is known here, not 'holds'; "
        "known: assumed, buffering, clock, halo_reuse, ports, read, size, write",
    ),
    "no outermost": (
        "outermost: dram\n",
        "",
        "chip.yaml:1: 'outermost' must be given; add for example 'outermost: dram'",
    ),
    "no buffering": (
        "        buffering: pipelined\n",
        "",
        "chip.yaml:22 core 'npu' memory 'reg': 'buffering' must be given; add for example 'buffering: double'",
    ),
    # types
    "text for a list": (
        "ops: [conv]",
        "ops: conv",
        "chip.yaml:15 core 'npu': ops must be a list, not 'conv'; write 'ops: [conv]'",
    ),
    "a word for an empty list": (
        "serves: [D2]",
        "serves: none",
        "chip.yaml:24 core 'npu' memory 'reg': serves must be a list, not 'none'; write 'serves: []'",
    ),
    "a width for three": (
        "clock: 1 GHz",
        "clock: 1 GHz\nprecision: 8 bit",
        "chip.yaml:4: precision must be a mapping, not '8 bit'; "
        "for example 'precision: {inputs: 8 bit, weights: 8 bit, outputs: 8 bit}'",
    ),
    "a list for a mapping": (
        "links:\n  bus:\n    joins: [npu, dram]\n    bandwidth: 32 bit/cycle",
        "links: [bus]",
        "chip.yaml:41: links must be a mapping, not a list; "
        "for example 'links: {bus: {joins: [dram, core0], bandwidth: 64 bit/cycle}}'",
    ),
    "nothing for a mapping": (
        "      rw: {direction: read_write, bandwidth: 64 bit/cycle}\ncores",
        "cores",
        "chip.yaml:11 memory 'dram': ports must be a mapping, not nothing; "
        "for example 'ports: {rw: {direction: read_write, bandwidth: 64 bit/cycle}}'",
    ),
    "a word for a memory": (
        "links:\n",
        "  other: 3\nlinks:\n",
        "chip.yaml:41 core 'other': other must be a mapping, not 3",
    ),
    "a number for text": ("name: small", "name: 5", "chip.yaml:1: name must be text, not 5; put it in quotes"),
    "text for a truth": (
        "    buffering: double\n    ports:\n      rw:",
        "    buffering: double\n    halo_reuse: often\n    ports:\n      rw:",
        "chip.yaml:11 memory 'dram': halo_reuse must be true or false, not 'often'",
    ),
    "a number in a list of text": (
        "joins: [npu, dram]",
        "joins: [npu, 3]",
        "chip.yaml:43 link 'bus': each of joins must be text, not 3; put it in quotes",
    ),
    "no ops": (
        "ops: [conv]",
        "ops: []",
        "chip.yaml:15 core 'npu': ops must have at least one entry, not none; for example 'ops: [conv, gemm, matmul]'",
    ),
    "a name of two words": (
        "name: small",
        "name: small chip",
        "chip.yaml:1: a name must be one word, not 'small chip'; "
        "begin with a letter, then letters, digits, '_' and '-'",
    ),
    "a core's name with a dot": (
        "  npu:\n",
        "  n.pu:\n",
        "chip.yaml:14 core 'n.pu': a name must be one word, not 'n.pu'; "
        "begin with a letter, then letters, digits, '_' and '-'",
    ),
    # words
    "an unknown op kind": (
        "ops: [conv]",
        "ops: [conv, convolution]",
        "chip.yaml:15 core 'npu': each of ops must be one of conv, gemm, matmul, pool, elementwise, reduce, softmax, "
        "norm, copy, not 'convolution'",
    ),
    "an unknown role": (
        "[output_channel]",
        "[output_chanel]",
        "chip.yaml:19 core 'npu' side 'D1': each of dataflow must be one of output_channel, group, reduction_channel, "
        "output_column, output_row, kernel_column, kernel_row, batch, not 'output_chanel'; "
        "did you mean 'output_channel'?",
    ),
    "a role by its letter": (
        "[output_channel]",
        "[K]",
        "chip.yaml:19 core 'npu' side 'D1': each of dataflow must be one of output_channel, group, reduction_channel, "
        "output_column, output_row, kernel_column, kernel_row, batch, not 'K'; did you mean 'output_channel'?",
    ),
    "a role by another name": (
        "[output_channel]",
        "[input_channel]",
        "chip.yaml:19 core 'npu' side 'D1': each of dataflow must be one of output_channel, group, reduction_channel, "
        "output_column, output_row, kernel_column, kernel_row, batch, not 'input_channel'; "
        "did you mean 'reduction_channel'?",
    ),
    "more of a side than it has": (
        "D1: {size: 4, ",
        "D1: {size: 4, most: 5, ",
        "chip.yaml:19 core 'npu' side 'D1': most must be at most the side's 4 units, not 5; "
        "leave it out where the dataflow may use all",
    ),
    "an unknown buffering": (
        "buffering: pipelined",
        "buffering: dubble",
        "chip.yaml:28 core 'npu' memory 'reg': buffering must be one of double, single, pipelined, not 'dubble'; "
        "did you mean 'double'?",
    ),
    "an unknown direction": (
        "{direction: write,",
        "{direction: 3,",
        "chip.yaml:40 core 'npu' memory 'sram' port 'w': direction must be one of read, write, read_write, not 3",
    ),
    "an activation in small letters": (
        "clock: 1 GHz",
        "clock: 1 GHz\nfolds: [Relu, relu, Gelu]",
        "chip.yaml:4: each of folds must be an ONNX operator that weft knows, not 'relu'; did you mean 'Relu'?",
    ),
    "a fold that is no operator": (
        "clock: 1 GHz",
        "clock: 1 GHz\nfolds: [bias]",
        "chip.yaml:4: each of folds must be an ONNX operator that weft knows, not 'bias'; "
        "for example 'folds: [Relu, Clip]'",
    ),
    # quantities
    "a negative size": (
        "size: 1 Mbit",
        "size: -1 Mbit",
        "chip.yaml:7 memory 'dram': size must be positive, not '-1 Mbit'; for example '64 KiB'",
    ),
    "size zero": (
        "size: 1 KiB",
        "size: 0",
        "chip.yaml:34 core 'npu' memory 'sram': size must be positive, not 0; for example '64 KiB'",
    ),
    "a fraction of a bit": (
        "size: 1 KiB",
        "size: 0.3 bit",
        "chip.yaml:34 core 'npu' memory 'sram': size must be a whole number of bit, not '0.3 bit'; "
        "for example '64 KiB'",
    ),
    "bandwidth zero": (
        "    bandwidth: 32 bit/cycle",
        "    bandwidth: 0 bit/cycle",
        "chip.yaml:44 link 'bus': bandwidth must be positive, not '0 bit/cycle'; for example '64 bit/cycle'",
    ),
    "an unknown unit": (
        "clock: 1 GHz",
        "clock: 1 parsec",
        "chip.yaml:3: clock: the unit of '1 parsec' must be Hz or a multiple, not 'parsec'; for example kHz, MHz, GHz",
    ),
    "a unit in small letters": (
        "clock: 1 GHz",
        "clock: 1 ghz",
        "chip.yaml:3: clock: the unit of '1 ghz' must be Hz or a multiple, not 'ghz'; did you mean 'GHz'?",
    ),
    "KB": (
        "size: 1 KiB",
        "size: 1 KB",
        "chip.yaml:34 core 'npu' memory 'sram': size: the unit of '1 KB' must be bit or a multiple, not 'KB'; "
        "did you mean 'kB' (1000) or 'KiB' (1024)?",
    ),
    "bandwidth per second": (
        "    bandwidth: 32 bit/cycle",
        "    bandwidth: 12.8 GB/s",
        "chip.yaml:44 link 'bus': bandwidth: the unit of '12.8 GB/s' must be bit/cycle or a multiple, not 'GB/s'; "
        "divide by the clock: for example '64 bit/cycle'",
    ),
    "energy per bit": (
        "read: 5 pJ",
        "read: 5 pJ/bit",
        "chip.yaml:8 memory 'dram': read: the unit of '5 pJ/bit' must be pJ or a multiple, not 'pJ/bit'; "
        "multiply by the bits of one access of the full width: for example '12 pJ'",
    ),
    "no number": (
        "read: 5 pJ",
        "read: cheap",
        "chip.yaml:8 memory 'dram': read: a quantity must be a number with a unit, not 'cheap'; for example '64 pJ'",
    ),
    "not a number": (
        "read: 5 pJ",
        "read: .nan",
        "chip.yaml:8 memory 'dram': read: a quantity must be a number with a unit, not '.nan'; for example '64 pJ'",
    ),
    "endless": (
        "read: 5 pJ",
        "read: 1e999",
        "chip.yaml:8 memory 'dram': read: a quantity must be finite, not inf; give it in pJ",
    ),
    "beyond reason": (
        "size: 1 Mbit",
        "size: 1e30",
        "chip.yaml:7 memory 'dram': size must be at most 1e15 bit, not 1e+30; for example '64 KiB'",
    ),
    "energy beyond reason": (
        "op_energy: 1 pJ",
        "op_energy: 1e30 pJ",
        "chip.yaml:16 core 'npu': op_energy must be at most 1e24 pJ, not '1e30 pJ'; for example '1.2 pJ'",
    ),
    "an array beyond reason": (
        "{size: 4,",
        "{size: 10000000000000000,",
        "chip.yaml:19 core 'npu' side 'D1': size must be at most 1e15, not 10000000000000000; for example 32",
    ),
    "a quantity left out": (
        "size: 1 Mbit",
        "size:",
        "chip.yaml:7 memory 'dram': size must be a number or a quantity in bit, not nothing; for example '64 KiB'",
    ),
    "a negative energy": (
        "op_energy: 1 pJ",
        "op_energy: -1 pJ",
        "chip.yaml:16 core 'npu': op_energy must be at least 0, not '-1 pJ'; for example '1.2 pJ'",
    ),
    "half an array": (
        "{size: 4,",
        "{size: 4.5,",
        "chip.yaml:19 core 'npu' side 'D1': size must be a positive whole number, not 4.5; for example 32",
    ),
    # ports
    "an access wider than its port": (
        "access: 8 bit",
        "access: 128 bit",
        "chip.yaml:39 core 'npu' memory 'sram' port 'r': access must be at most the port's width of 64 bits, not 128; "
        "make the access smaller or the bandwidth larger",
    ),
    "a flow that does not exist": (
        "access: 8 bit}",
        "flows: [I to_bellow]}",
        "chip.yaml:39 core 'npu' memory 'sram' port 'r': each flow of this read port must be a held operand and a way "
        "it can pass, not 'I to_bellow'; did you mean 'I to_below'?",
    ),
    "a flow against the direction": (
        "access: 8 bit}",
        "flows: [I from_above]}",
        "chip.yaml:39 core 'npu' memory 'sram' port 'r': each flow of this read port must be a held operand and a way "
        "it can pass, not 'I from_above'; known: I to_below, W to_below, O to_below, O to_above",
    ),
    "a flow twice": (
        "access: 8 bit}",
        "flows: [I to_below, I to_below]}",
        "chip.yaml:39 core 'npu' memory 'sram' port 'r': each flow must lie on one port, not 'I to_below' again; "
        "port 'r' carries it",
    ),
    "flows left over": (
        "access: 8 bit}",
        "flows: [I to_below, W to_below, O to_below]}",
        "chip.yaml:38 core 'npu' memory 'sram': a memory that holds O must have a port for 'O to_above', not none; "
        "add it to the flows of a read or read_write port",
    ),
    "a port for nothing": (
        "          w: {direction: write",
        "          r2: {direction: read, bandwidth: 8}\n          w: {direction: write",
        "chip.yaml:40 core 'npu' memory 'sram' port 'r2': a port must carry something, not only what the ports "
        "before it carry; divide the flows: 'flows: [I to_below, O to_below]'",
    ),
    "a memory that nobody reads": (
        "cores:\n",
        "  spare: {size: 8, read: 0, write: 0, buffering: single, ports: {w: {direction: write, bandwidth: 8}}}\n"
        "cores:\n",
        "chip.yaml:13 memory 'spare': a memory must have a port that can read, not none; "
        "add one with 'direction: read'",
    ),
    # references
    "an outermost memory that is not there": (
        "outermost: dram",
        "outermost: drum",
        "chip.yaml:4: outermost must be one of the chip's shared memories, not 'drum'; did you mean 'dram'?",
    ),
    "a core named as a memory": (
        "  npu:\n",
        "  dram:\n",
        "chip.yaml:14 core 'dram': a core and a shared memory must have different names; rename one of them\n"
        "chip.yaml:43 link 'bus': a link must join cores and memories of the chip, not 'npu'; known: dram",
    ),
    "a side that is not there": (
        "serves: [D2]",
        "serves: [D9]",
        "chip.yaml:24 core 'npu' memory 'reg': serves must name sides of the core's array, not 'D9'; known: D1, D2",
    ),
    "memories inside out": (
        "serves: all",
        "serves: [D1]",
        "chip.yaml:33 core 'npu' memory 'sram': a memory must serve every side that 'npu.reg' below it serves, "
        "not leave out D2; memories are listed innermost first",
    ),
    "an accumulator too wide": (
        "accumulator: 16 bit",
        "accumulator: 48 bit",
        "chip.yaml:25 core 'npu' memory 'reg': a memory that holds O must have room for one partial sum of 48 bits, "
        "not 32; make it larger or the accumulator narrower",
    ),
    "an operand without a memory": (
        "holds: [I, W, O]",
        "holds: [I, O]",
        "chip.yaml:14 core 'npu': a core must have a memory for W, not none; let one of its memories hold W",
    ),
    "a level that is not there": (
        "    ops: [conv]",
        "    levels: {drm: [I]}\n    ops: [conv]",
        "chip.yaml:15 core 'npu': levels must name shared memories of the chip, not 'drm'; did you mean 'dram'?",
    ),
    "an op kind twice": (
        "ops: [conv]",
        "ops: [conv, conv]",
        "chip.yaml:15 core 'npu': ops must name each once, not 'conv' twice; drop one",
    ),
    "a systolic side that is not there": (
        "    ops: [conv]",
        "    systolic: {rows: D1, columns: D3, stationary: W}\n    ops: [conv]",
        "chip.yaml:15 core 'npu': columns must be a side of the core's array, not 'D3'; known: D1, D2",
    ),
    # links
    "an unknown memory in a link": (
        "joins: [npu, dram]",
        "joins: [npu, drm]",
        "chip.yaml:43 link 'bus': a link must join cores and memories of the chip, not 'drm'; did you mean 'dram'?",
    ),
    "a link that joins nothing": (
        "joins: [npu, dram]",
        "joins: [npu]",
        "chip.yaml:43 link 'bus': a link must join at least two things, not fewer; name cores or shared memories",
    ),
    "an empty link": (
        "joins: [npu, dram]",
        "joins: []",
        "chip.yaml:43 link 'bus': a link must join at least two things, not fewer; name cores or shared memories",
    ),
    "a channel to itself": (
        "joins: [npu, dram]",
        "hub: dram\n    joins: [dram]",
        "chip.yaml:44 link 'bus': a link must join at least two things, not fewer; name cores or shared memories",
    ),
    "a link of no shape": (
        "    joins: [npu, dram]\n",
        "",
        "chip.yaml:42 link 'bus': a link must have 'joins' (a bus), 'between' (point to point), or 'hub' and 'joins' "
        "(a channel); give one of the three",
    ),
    "between three": (
        "joins: [npu, dram]",
        "between: [npu, dram, npu.reg]",
        "chip.yaml:43 link 'bus': between must name two, not 3; use 'joins' for a bus over many",
    ),
    "a full-duplex bus": (
        "    joins: [npu, dram]",
        "    duplex: full\n    joins: [npu, dram]",
        "chip.yaml:43 link 'bus': a bus must be half duplex, not full; use 'between' or a 'hub'",
    ),
    "no way to a core": (
        "joins: [npu, dram]",
        "joins: [npu.reg, dram]",
        "chip.yaml:14 core 'npu': a link must lead from 'dram' to 'npu.sram', not none; join 'npu' to it",
    ),
    # cores elsewhere
    "a core file that is not there": (
        "    ops: [conv]",
        "    from: cores/none.yaml\n    ops: [conv]",
        "chip.yaml:15 core 'npu': 'from' must name a file beside this one or in the library, not 'cores/none.yaml'; "
        "the library has cores/eyeriss_like.yaml, cores/pooling.yaml, cores/simba_chiplet.yaml, cores/simd.yaml, "
        "cores/tpu_like.yaml",
    ),
    "a core file that includes the chip": (
        "    ops: [conv]",
        "    from: chip.yaml\n    ops: [conv]",
        "chip.yaml:15 core 'npu': 'from' must not lead in a circle, not chip.yaml -> chip.yaml; write one core out",
    ),
    "a core file that is a number": (
        "    ops: [conv]",
        "    from: 3\n    ops: [conv]",
        "chip.yaml:15 core 'npu': 'from' must name a core file, not 3; give its path",
    ),
}


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def complaint(text: str) -> str:
    Path("chip.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ChipError) as error:
        read_chip("chip.yaml")
    return str(error.value)


def test_the_chip_that_the_cases_spoil_is_good():
    Path("chip.yaml").write_text(GOOD)
    assert read_chip("chip.yaml").name == "small"


@pytest.mark.parametrize("case", CASES)
def test_each_mistake_gives_one_line(case):
    old, new, expected = CASES[case]
    assert GOOD.count(old) >= 1
    assert complaint(GOOD.replace(old, new, 1)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "an empty file"),
        ("# nothing\n", "an empty file"),
        ("- 1\n", "a list"),
        ("hello\n", "one value"),
    ],
)
def test_a_file_that_is_no_mapping_is_refused(text, expected):
    assert complaint(text) == (
        f"chip.yaml:1: a chip file must be a mapping of keys to values, not {expected}; "
        "begin with 'name: ...'; docs/chip_format.md has a full example"
    )


def test_bytes_that_are_no_text_are_refused():
    Path("chip.yaml").write_bytes(b"name: \xff\xfe\n")
    with pytest.raises(ChipError) as error:
        read_chip("chip.yaml")
    assert str(error.value) == "chip.yaml: a chip file must be UTF-8 text, not other bytes; save it as UTF-8"


def test_nesting_without_end_is_refused():
    assert complaint("name: " + "[" * 600) == "chip.yaml: the file must not nest this deeply; write it flatter"


def test_core_files_that_include_each_other_are_refused():
    Path("a.yaml").write_text("from: b.yaml\n")
    Path("b.yaml").write_text("# b\nfrom: a.yaml\n")
    text = GOOD.replace("    ops: [conv]", "    from: a.yaml\n    ops: [conv]")
    assert complaint(text) == (
        "b.yaml:2 core 'npu': 'from' must not lead in a circle, not chip.yaml -> a.yaml -> b.yaml -> a.yaml; "
        "write one core out"
    )


def test_a_mistake_in_a_core_file_is_named_there():
    core = GOOD.split("  npu:\n")[1].split("links:")[0].replace("\n    ", "\n").removeprefix("    ")
    Path("core.yaml").write_text(core.replace("op_energy: 1 pJ", "op_energy: 1 pigs"))
    before, after = GOOD.split("  npu:\n")[0], "links:" + GOOD.split("links:")[1]
    assert complaint(before + "  npu: {from: core.yaml}\n" + after) == (
        "core.yaml:2 core 'npu': op_energy: the unit of '1 pigs' must be pJ or a multiple, not 'pigs'; "
        "for example fJ, pJ, nJ, uJ"
    )


def test_several_mistakes_are_named_in_the_order_of_the_text():
    text = GOOD.replace("op_energy: 1 pJ", "op_energy: -1 pJ").replace("bandwidth: 32 bit/cycle\n", "bandwidth: 0\n")
    text = text.replace("size: 1 KiB", "sise: 1 KiB")
    assert complaint(text).splitlines() == [
        "chip.yaml:16 core 'npu': op_energy must be at least 0, not '-1 pJ'; for example '1.2 pJ'",
        "chip.yaml:34 core 'npu' memory 'sram': a key must be one that is known here, not 'sise'; did you mean 'size'?",
        "chip.yaml:44 link 'bus': bandwidth must be positive, not 0; for example '64 bit/cycle'",
    ]


def second_core(text: str) -> str:
    """`text` with its core once more, as 'dsp'."""
    start, end = text.index("  npu:\n"), text.index("links:\n")
    return text[:end] + text[start:end].replace("npu", "dsp") + text[end:]


def test_a_mistake_in_one_core_hides_none_in_another_nor_in_links_nor_above():
    text = second_core(GOOD).replace("op_energy: 1 pJ", "op_enery: 1 pJ", 1)  # the first core: its form
    head, tail = text.split("  dsp:\n")
    tail = tail.replace("serves: [D2]", "serves: [D7]")  # the second: what is built of it
    text = (head + "  dsp:\n" + tail).replace("joins: [npu, dram]", "joins: [npu, dsp, drm]")
    text = text.replace("clock: 1 GHz", "clock: fast")
    assert complaint(text).splitlines() == [
        "chip.yaml:3: clock: a quantity must be a number with a unit, not 'fast'; for example '64 Hz'",
        "chip.yaml:16 core 'npu': a key must be one that is known here, not 'op_enery'; did you mean 'op_energy'?",
        "chip.yaml:51 core 'dsp' memory 'reg': serves must name sides of the core's array, not 'D7'; known: D1, D2",
        "chip.yaml:70 link 'bus': a link must join cores and memories of the chip, not 'drm'; did you mean 'dram'?",
    ]


def test_what_follows_from_a_mistake_is_not_one_more():
    """Without its links, with a core whose form does not hold: nobody says that no link leads there."""
    text = GOOD.replace("links:\n", "lnks:\n").replace("op_energy: 1 pJ", "op_energy: 1 kg")
    assert complaint(text).splitlines() == [
        "chip.yaml:16 core 'npu': op_energy: the unit of '1 kg' must be pJ or a multiple, not 'kg'; "
        "for example fJ, pJ, nJ, uJ",
        "chip.yaml:41: a key must be one that is known here, not 'lnks'; did you mean 'links'?",
    ]


def test_a_core_in_the_wrong_section_gives_two_lines():
    assert complaint(GOOD.replace("links:\n", "")).splitlines() == [
        "chip.yaml:41 core 'bus': 'ops', 'array', 'op_energy', 'accumulator' must be given; "
        "add for example 'ops: [conv, gemm, matmul]'",
        "chip.yaml:42 core 'bus': keys must be ones that are known here, not 'joins', 'bandwidth'; known: accumulator, "
        "active_power, array, clock, from, launch, levels, memories, note, op_energy, op_precision, ops, systolic",
    ]


def test_ports_that_are_missing_are_named_together():
    text = GOOD.replace("          r: {direction: read, bandwidth: 64 bit/cycle, access: 8 bit}\n", "")
    assert complaint(text) == (
        "chip.yaml:38 core 'npu' memory 'sram': a memory that holds I, W, O must have a port for 'I to_below', "
        "'W to_below', 'O to_below', 'O to_above', not none; add them to the flows of a read or read_write port"
    )


def test_several_mistakes_of_the_text_itself_come_together():
    text = GOOD.replace("    read: 5 pJ\n", "    read: 5 pJ\n    size: 2 Mbit\n").replace(
        "op_energy: 1 pJ", "op_energy: &e 1 pJ\n    launch: -1"
    )
    assert complaint(text).splitlines() == [
        "chip.yaml:9 memory 'dram': a key must stand once, not again as 'size'; "
        "it is given in line 7 already: rename or drop one",
        "chip.yaml:17 core 'npu': values must be written out, not shared by the anchor '&e'; "
        "repeat the value, or put a whole core into a file of its own and name it with 'from:'",
        "chip.yaml:18 core 'npu': launch must be at least 0, not -1; for example '20 cycle'",
    ]


def test_a_core_file_that_several_cores_name_is_complained_of_once():
    core = GOOD.split("  npu:\n")[1].split("links:")[0].replace("\n    ", "\n").removeprefix("    ")
    Path("core.yaml").write_text(core.replace("op_energy: 1 pJ", "op_energy: 1 pigs").replace("size: 4", "size: 0"))
    before, after = GOOD.split("  npu:\n")[0], "links:" + GOOD.split("links:")[1]
    text = before + "  npu: {from: core.yaml}\n  dsp: {from: core.yaml}\n" + after.replace("npu", "cpu")
    assert complaint(text).splitlines() == [
        "chip.yaml:18 link 'bus': a link must join cores and memories of the chip, not 'cpu'; known: dram, dsp, npu",
        "core.yaml:2 core 'npu': op_energy: the unit of '1 pigs' must be pJ or a multiple, not 'pigs'; "
        "for example fJ, pJ, nJ, uJ",
        "core.yaml:5 core 'npu' side 'D1': size must be a positive whole number, not 0; for example 32",
    ]


def test_what_transfers_may_say_is_checked():
    assert complaint(GOOD + "transfers: {engines: 0, setup: -1 cycle}\n").splitlines() == [
        "chip.yaml:45: engines must be a positive whole number, not 0; for example 32",
        "chip.yaml:45: setup must be at least 0, not '-1 cycle'; for example '20 cycle'",
    ]
    assert complaint(GOOD + "transfers: {engine: 2}\n") == (
        "chip.yaml:45: a key must be one that is known here, not 'engine'; did you mean 'engines'?"
    )
    assert complaint(GOOD + "transfers: 2\n") == (
        "chip.yaml:45: transfers must be a mapping, not 2; for example 'transfers: {engines: 2, setup: 16 cycle}'"
    )


@pytest.mark.parametrize("times", [0, 2], ids=["missing", "doubled"])
def test_a_chip_with_any_line_missing_or_doubled_reads_or_gives_lines(times):
    lines = GOOD.splitlines(keepends=True)
    complaints = []
    for index in range(len(lines)):
        Path("chip.yaml").write_text("".join([*lines[:index], *[lines[index]] * times, *lines[index + 1 :]]))
        try:
            read_chip("chip.yaml")
        except ChipError as error:
            complaints.append(str(error))
    assert len(complaints) > len(lines) / 2
    assert all(line.startswith("chip.yaml:") for text in complaints for line in text.splitlines())


def test_a_core_that_works_from_a_shared_memory_alone_is_not_joined():
    shared = (
        "  l2: {size: 1 Mbit, read: 1, write: 1, buffering: double, "
        "ports: {rw: {direction: read_write, bandwidth: 64}}}\ncores:\n"
    )
    text = GOOD.replace("cores:\n", shared, 1).replace("links:\n", "    levels: {l2: [I, W, O]}\nlinks:\n")
    assert complaint(text.replace("joins: [npu, dram]", "joins: [npu, l2, dram]")) == (
        "chip.yaml:45 link 'bus': a core named in a link must have outermost memories of its own, and above those of "
        "'npu' stands 'l2' for every operand; join 'l2' in its place, or drop 'npu' where that is joined already"
    )

from __future__ import annotations

import re

import pytest

from weft.cli.init import TEMPLATE
from weft.read.chip import chip_schema, read_chip


def test_the_file_to_start_from_checks_and_runs_as_it_is(weft, tmp_path):
    wrote = weft("init", "chip")
    assert wrote.code == 0
    assert wrote.out == "wrote my_chip.yaml; next: weft check my_chip.yaml; weft run resnet8 --chip my_chip.yaml\n"
    assert weft("check", "my_chip.yaml").out.startswith("my_chip: 3 cores, 7 memories, 3 links\n")
    result = weft("run", "resnet8", "--chip", "my_chip.yaml", "--budget", "1", "--json", "-").json
    assert result["proof"]["rules"]["violations"] == 0
    assert result["proof"]["replay"]["ok"]


def test_it_gets_the_name_and_the_place_that_are_asked_for(weft, tmp_path):
    assert weft("init", "chip", "npu2", "--out", "mine.yaml").code == 0
    assert read_chip(tmp_path / "mine.yaml").name == "npu2"
    assert "my_chip" not in (tmp_path / "mine.yaml").read_text()


def test_nothing_is_overwritten(weft, tmp_path):
    (tmp_path / "my_chip.yaml").write_text("mine")
    got = weft("init", "chip")
    assert got.code == 2
    assert got.err == "error: the file to write must not exist yet, and 'my_chip.yaml' does; name another with --out\n"
    assert (tmp_path / "my_chip.yaml").read_text() == "mine"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ["npu.yaml"],
            "error: a chip's name must be one word of letters, digits, '_' and '-', not 'npu.yaml'; "
            "the file's name goes with --out\n",
        ),
        (
            ["npu", "--out", "none/npu.yaml"],
            "error: --out must be a file that can be written, not 'none/npu.yaml': No such file or directory\n",
        ),
    ],
)
def test_what_cannot_be_written_is_said_in_one_line(weft, words, line):
    got = weft("init", "chip", *words)
    assert (got.code, got.err) == (2, line)


def test_every_key_of_a_chip_file_stands_in_it():
    schema = chip_schema()
    forms = [schema, *schema["$defs"].values()]
    keys = {key for form in forms for key in form.get("properties", {})}
    text = TEMPLATE.read_text("utf-8")
    assert {key for key in keys if not re.search(rf"\b{key}:", text)} == set()
    words = {word for form in forms for word in form.get("enum", [])} | {"double", "single", "pipelined"}
    assert {word for word in words if not re.search(rf"\b{word}\b", text)} == set()


def test_each_key_that_stands_in_a_comment_can_be_put_in(tmp_path):
    lines = TEMPLATE.read_text("utf-8").splitlines()
    path = tmp_path / "chip.yaml"
    put_in = set()
    for number, line in enumerate(lines[lines.index("") :], lines.index("")):
        written = re.fullmatch(r"( *)# (([a-z_]+): .+)", line)
        if written:
            path.write_text("\n".join([*lines[:number], written[1] + written[2], *lines[number + 1 :]]))
            assert read_chip(path) != read_chip(TEMPLATE)
            put_in.add(written[3])
    assert put_in == {
        "clock",
        "halo_reuse",
        "op_precision",
        "active_power",
        "launch",
        "systolic",
        "channel",
        "transfers",
    }

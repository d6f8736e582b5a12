"""`weft import` writes what weft reads, to a file, or to standard output and nothing beside it."""

from __future__ import annotations

import pytest

from tests.read.test_import_layers import LAYERS
from tests.read.test_import_stream import SYSTEM, system
from tests.read.test_import_zigzag import ACCELERATOR
from tests.read.test_workload_text import TEXT
from weft.read import load
from weft.read.chip import read_chip


def test_an_accelerator_goes_to_standard_output(weft, tmp_path):
    (tmp_path / "small.yaml").write_text(ACCELERATOR)
    done = weft("import", "zigzag", str(tmp_path / "small.yaml"))
    assert (done.code, done.err) == (0, "")
    (tmp_path / "chip.yaml").write_text(done.out)
    assert read_chip(tmp_path / "chip.yaml").name == "small"


def test_layers_go_to_a_file_that_is_a_model(weft, tmp_path):
    (tmp_path / "net.yaml").write_text(LAYERS)
    out = tmp_path / "net.workload.yaml"
    done = weft("import", "zigzag", str(tmp_path / "net.yaml"), "--out", str(out))
    assert (done.code, done.out, done.err) == (0, f"wrote {out}; next: weft check {out}\n", "")
    assert len(load(str(out)).ops) == 5
    shown = weft("check", str(out))
    assert shown.code == 0
    assert "fc" in shown.out


def test_a_system_goes_to_a_file(weft, tmp_path):
    out = tmp_path / "chip.yaml"
    done = weft("import", "stream", str(system(tmp_path)), "--out", str(out))
    assert (done.code, done.out, done.err) == (0, f"wrote {out}; next: weft check {out}\n", "")
    assert len(read_chip(out).links) == SYSTEM.count("bandwidth")


@pytest.mark.parametrize("tool", ["zigzag", "stream"])
def test_what_is_no_yaml_is_one_line(weft, tmp_path, tool):
    (tmp_path / "net.onnx").write_bytes(b"\x08\x07\x12\xff")
    done = weft("import", tool, str(tmp_path / "net.onnx"))
    name = {"zigzag": "ZigZag's", "stream": "Stream's"}[tool]
    assert done.code == 2
    assert done.err == (
        f"error: {tmp_path}/net.onnx: the file must be {name} YAML, not other bytes; "
        "give a network to weft run as it is\n"
    )


def test_a_folder_that_is_not_there_is_one_line(weft, tmp_path):
    (tmp_path / "small.yaml").write_text(ACCELERATOR)
    done = weft("import", "zigzag", str(tmp_path / "small.yaml"), "--out", str(tmp_path / "no" / "chip.yaml"))
    assert done.code == 2
    assert done.err == (
        f"error: --out must be a file that can be written, not '{tmp_path}/no/chip.yaml': No such file or directory\n"
    )


FOREIGN = {
    ACCELERATOR: ":51: a chip file must be in weft's form, not in ZigZag's; weft import zigzag FILE",
    SYSTEM: ":7: a chip file must be in weft's form, not in Stream's; weft import stream FILE",
    TEXT: ":1: a chip file must be in weft's form, not a network as text; "
    "networks stand before --chip: weft run MODEL --chip CHIP",
}


@pytest.mark.parametrize("text", FOREIGN, ids=["zigzag", "stream", "network"])
def test_a_file_of_another_form_is_told_where_it_goes(weft, tmp_path, text):
    (tmp_path / "chip.yaml").write_text(text)
    done = weft("run", "resnet8", "--chip", "chip.yaml")
    assert done.code == 2
    assert done.err == f"error: chip.yaml{FOREIGN[text]}\n"

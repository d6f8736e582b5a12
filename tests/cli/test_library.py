from __future__ import annotations

import json
import re
import time

import pytest

from weft import zoo
from weft.chips import library
from weft.cli import surroundings
from weft.cli.options import _chip_names, _files, _model_names
from weft.cli.zoo_sizes import FILE, measure, sizes_of
from weft.report import words


def test_chips_lists_the_library(weft):
    out = weft("chips").out
    assert all(name in out for name in library())
    (line,) = [line for line in out.splitlines() if line.startswith("tpu_like_quad ")]
    assert "4,096" in line  # four arrays of 32 x 32


def test_chips_says_which_arrays_there_are(weft):
    lines = {line.split()[0]: line for line in weft("chips").out.splitlines()}
    assert "36 of 4x4x8x8" in lines["simba"]
    assert "3 of 32x32, 64x4x4" in lines["hetero_quad"]


def test_models_lists_the_zoo_quickly(weft):
    weft("models")  # imports
    started = time.process_time()
    out = weft("models").out
    assert time.process_time() - started < 1.0
    assert all(name in out for name in zoo.names())


@pytest.mark.parametrize("name", zoo.names())
def test_the_kept_sizes_are_those_of_the_networks(name):
    assert name in json.loads(FILE.read_text()), "run: make docs"
    assert sizes_of(name) == measure(name)


def test_schema_is_json(weft):
    assert "cores" in weft("schema").json["properties"]


def test_doctor_finds_everything_here(weft):
    got = weft("doctor")
    assert got.code == 0
    assert "numba" in got.out


def kept_after(weft, monkeypatch, folder):
    monkeypatch.setenv("WEFT_CACHE", str(folder))
    monkeypatch.setenv("COLUMNS", "300")
    assert weft("map", "resnet8", "--chip", "tpu_like", "--op", "conv").code == 0
    return next(line for line in weft("doctor").out.splitlines() if line.startswith("mapping cache")).rstrip()


def test_doctor_says_what_is_kept_and_removes_it(weft, monkeypatch, tmp_path):
    line = kept_after(weft, monkeypatch, tmp_path / "kept")
    (file,) = (tmp_path / "kept").rglob("*.json")
    size = words.size(8 * file.stat().st_size)
    assert line == f"mapping cache  1 mapping, {size}, in {tmp_path}/kept (weft doctor --clear-cache removes them)"
    assert weft("doctor", "--clear-cache").out == f"1 mapping removed from {tmp_path}/kept\n"
    assert weft("doctor", "--clear-cache").out == f"0 mappings removed from {tmp_path}/kept\n"
    assert f"  0 mappings, {words.size(0)}, in " in weft("doctor").out


def test_doctor_says_that_nothing_is_kept(weft, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    why = "WEFT_CACHE is 'off', or there is no home folder"
    assert f"mapping cache  off: {why}" in weft("doctor").out
    assert weft("doctor", "--clear-cache").out == f"nothing is kept: {why}\n"


def test_doctor_says_that_nothing_can_be_kept(weft, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    line = kept_after(weft, monkeypatch, tmp_path / "file")
    assert line == (
        f"mapping cache  cannot be written: {tmp_path}/file; runs search anew. "
        "WEFT_CACHE names another folder, or is off"
    )


def test_no_cache_keeps_nothing(weft, monkeypatch, tmp_path):
    monkeypatch.setenv("WEFT_CACHE", str(tmp_path / "kept"))
    assert weft("map", "resnet8", "--chip", "tpu_like", "--op", "conv", "--no-cache").code == 0
    assert weft("run", "resnet8", "--chip", "tpu_like", "--budget", 1, "--no-cache").code == 0
    assert not (tmp_path / "kept").exists()


def test_doctor_fails_where_something_is_missing(weft, monkeypatch):
    monkeypatch.setattr(surroundings, "NEEDED", ("numpy", "no-such-package"))
    got = weft("doctor")
    assert got.code == 1
    assert "no-such-package  missing: pip install weft again" in got.out


def test_check_says_what_a_model_holds(weft):
    out = weft("check", "resnet8", "--chip", "diana").out
    assert "15 made of 23 nodes, 12.5 M MACs" in out
    assert re.search(r"Relu +7  in another op", out)
    assert "digital cpu" in out


def test_check_says_when_no_core_takes_an_op(weft, no_softmax):
    assert "no core takes softmax ops: softmax" in weft("check", "resnet8", "--chip", no_softmax).out


def test_check_says_the_elements_of_every_operand_as_a_file_sets_them(weft, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.yaml").write_text('"*": {weights: 4}\nconv: {inputs: 6}\n')
    lines = {
        line.split()[0]: line for line in weft("check", "resnet8", "--precision", "p.yaml").out.splitlines() if line
    }
    assert "I:6 W:4 O:f32" in lines["conv"]
    assert lines["precision"].split(maxsplit=1)[1].strip() == (
        "assumed 6-bit I of 1, 4-bit W of 10 tensors, as 'p.yaml' says"
    )
    assert "float32 in 4 bit" in lines["weight"]


def test_check_goes_on_after_a_bad_file(weft, tmp_path):
    (tmp_path / "bad.yaml").write_text("name: x\n")
    got = weft("check", "bad.yaml", "tpu_like")
    assert got.code == 2
    assert len(got.err.splitlines()) == 1
    assert "tpu_like: 3 cores, 6 memories, 3 links" in got.out


def test_check_gives_what_is_alike_one_line(weft):
    lines = [line.split() for line in weft("check", "simba").out.splitlines()]
    assert len(lines) < 50
    assert ["core0-35", "4x4x8x8", "K", "G", "|", "C", "|", "K", "G", "|", "C", "conv", "gemm", "matmul"] in [
        words[:14] for words in lines
    ]
    buffers = 36 * 4 * 4  # one in each element of each chiplet
    assert ["core0-35.input_buffer", "64.0", "KiB", f"{buffers:,}"] in [words[:4] for words in lines]
    mesh, fed = 60, 6
    assert ["core0_core1", "...", f"{mesh}", "256", "0", "full", "core0-35", "-", "core0-35"] in lines
    assert ["dram_core0", "...", f"{fed}", "256", "0", "full", "dram", "-", "core0-35"] in lines


def test_check_lists_all_of_a_chip_on_demand(weft):
    lines = weft("check", "simba", "-v").out.splitlines()
    for name in ("core35 ", "core35.input_buffer ", "core34_core35 "):
        assert len([line for line in lines if line.startswith(name)]) == 1


def test_what_is_long_in_a_table_of_a_chip_goes_on_in_the_next_line(weft):
    out = weft("check", "tpu_like").out
    words = out.split()
    assert "…" not in out
    assert {"elementwise", "softmax", "norm", "reduce", "copy"} <= set(words)
    assert max(map(len, out.splitlines())) <= 80


def test_what_became_of_nodes_and_notes_are_shown_whole(weft):
    said = weft("check", "resnet8", "--chip", "tpu_like", "-v").out
    assert "…" not in said.split("Formats")[0]
    assert "…" not in said.split("Notes")[1]


def test_models_say_the_whole_of_what_they_are(weft):
    words = " ".join(line[39:].strip() for line in weft("models").out.splitlines())
    assert all(zoo.describe(name) in words for name in zoo.names())


def test_check_says_which_shared_memory_holds_nothing(weft, tmp_path):
    assert "idle" not in weft("check", "diana").out
    weft("init", "chip", "npu", "--out", str(tmp_path / "npu.yaml"))
    text = (tmp_path / "npu.yaml").read_text()
    assert "idle" not in weft("check", str(tmp_path / "npu.yaml")).out
    spare = (
        "  spare: {size: 8, read: 0, write: 0, buffering: single, ports: {p: {direction: read_write, bandwidth: 8}}}\n"
    )
    (tmp_path / "npu.yaml").write_text(text.replace("  l2:\n", f"{spare}  l2:\n", 1))
    lines = [line.rstrip() for line in weft("check", str(tmp_path / "npu.yaml")).out.splitlines()]
    assert "idle       spare: in no core's levels, so nothing lies there; transfers pass" in lines
    shown = weft("run", "resnet8", "--chip", "npu.yaml", "--budget", "1").out
    assert "Memories (in no core's levels, so nothing lies there: spare)" in shown


def test_check_says_how_much_of_a_side_the_dataflow_uses(weft):
    assert "K G | OX (8) | OY" in weft("check", "tesla_npu_like").out


def test_completion_knows_names_and_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.onnx").touch()
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets" / "a.onnx").touch()
    (tmp_path / "near.txt").touch()
    assert _model_names("res") == [name for name in zoo.names() if name.startswith("res")]
    assert _model_names("ne") == ["nets/", "net.onnx"]
    assert _model_names("nets/") == ["nets/a.onnx"]
    assert _files("./n", (".onnx",)) == ["./nets/", "./net.onnx"]
    assert _chip_names("tpu_like_q") == [name for name in library() if name.startswith("tpu_like_q")]


def test_the_shell_is_told_chip_names(monkeypatch, tmp_path):
    import os
    import subprocess
    import sys

    words = "weft run resnet8 --chip dia"
    asked = os.environ | {
        "_WEFT_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": "4",
        "_TYPER_COMPLETE_ARGS": words,
    }
    done = subprocess.run(
        [sys.executable, "-m", "weft"], env=asked, capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.stdout.split() == ["diana"]

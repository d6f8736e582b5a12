from __future__ import annotations

import json
import subprocess
import sys

import pytest

from weft.execute.addresses import Fragmentation
from weft.run import result

RUN = ("run", "resnet8", "--chip", "tpu_like", "--budget", "2")


def test_json_on_standard_output_is_all_there_is(tmp_path):
    command = [sys.executable, "-m", "weft", *RUN, "--json", "-"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    result = json.loads(done.stdout)
    assert result["status"] == "done"
    assert result["proof"]["rules"]["violations"] == 0
    assert "run folder" in done.stderr
    assert "\x1b" not in done.stdout + done.stderr


def test_json_in_a_file_leaves_the_tables_on_standard_output(weft, tmp_path):
    got = weft(*RUN, "--json", "x.json", "--out", "here")
    assert got.code == 0
    assert got.err == ""
    assert json.loads((tmp_path / "x.json").read_text()) == json.loads((tmp_path / "here/summary.json").read_text())


@pytest.mark.parametrize("width", [80, 120])
def test_output_fits_the_terminal(weft, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    quad = ("run", "resnet8", "--chip", "tpu_like_quad", "--budget", "1")
    for words in (quad, ("map", "resnet8", "--chip", "diana", "--op", "conv", "-v"), ("chips",), ("models",)):
        lines = weft(*words).out.splitlines()
        assert max(map(len, lines)) <= width
        assert len(lines) > 3
    for words in (("check", "tpu_like_quad"), ("check", "resnet18", "--chip", "diana", "-v"), ("check", "resnet8")):
        assert max(map(len, weft(*words).out.splitlines())) <= width


def test_a_wide_terminal_shows_more(weft, monkeypatch):
    narrow = weft(*RUN).out
    monkeypatch.setenv("COLUMNS", "120")
    assert " takes " not in narrow
    assert " takes " in weft(*RUN).out


def test_it_says_what_a_reader_asks(weft):
    out = " ".join(weft(*RUN, "--out", "here").out.split())
    for words in (
        "latency", "energy", "EDP", "TOPS/W", "bound", "gap", "Ops", "Cores", "Links", "Memories",
        "stage3.conv2", "facts checked, 0 violations", "replay: same times", "numerics: close (15 tensors",
        "assumed 8-bit I, W, O (the model is float32)", "18 on nodes folded, free or not priced", "run folder here",
        "Cores and links over time",
    ):  # fmt: skip
        assert words in out


def test_verbose_lists_the_notes(weft):
    assert "Relu folded into stage3.add: done on the way out, not priced" in weft(*RUN, "-v").out


def test_a_terminal_without_unicode_still_gets_the_tables(tmp_path):
    import os

    command = [sys.executable, "-m", "weft", *RUN]
    surroundings = os.environ | {"PYTHONIOENCODING": "ascii", "COLUMNS": "80"}
    done = subprocess.run(command, capture_output=True, check=True, cwd=tmp_path, env=surroundings)
    assert b"Memories" in done.stdout
    assert b"over time" not in done.stdout


def test_names_that_look_like_markup_are_printed_as_they_are(weft, capsys):
    from weft.cli.console import Column, console, table

    table(console(), (Column("op"), Column("x")), [("[red]/a[/]", ":smile:")])
    shown = capsys.readouterr().out
    assert "[red]/a[/]" in shown
    assert ":smile:" in shown


def test_the_default_budget_is_the_schedulers() -> None:
    import inspect

    from weft.cli.run import run as command
    from weft.schedule.solve import BUDGET

    assert inspect.signature(command).parameters["budget"].default == BUDGET


def test_memories_in_which_boxes_would_have_to_be_moved_are_named(weft, monkeypatch):
    placed = (Fragmentation("dram", 8, 16, 16), Fragmentation("core0.sram", 8, 17, 16))
    monkeypatch.setattr(result, "fragmentation", lambda schedule, chip: placed)
    lines = [line.rstrip() for line in weft("run", "resnet8", "--chip", "tpu_like", "--budget", "1").out.splitlines()]
    assert "Memories (boxes fit only where they may be split or moved: core0.sram)" in lines

"""0 done; 1 our fault; 2 the user's input; 3 infeasible; 130 interrupted. A failure is one line on standard error."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import weft.run
from weft.model.schedule import Violation
from weft.run import Proof

RUN = ("run", "resnet8", "--chip", "tpu_like")
MAP = ("map", "resnet8", "--chip", "tpu_like")


def test_an_out_folder_that_is_a_file_is_refused_before_the_work(weft, tmp_path, monkeypatch):
    (tmp_path / "taken").write_text("")
    monkeypatch.setattr(weft_run, "run", lambda *_, **__: pytest.fail("the work was started"))
    assert weft(*RUN, "--out", "taken").err == "error: --out must be a folder, not the file 'taken'\n"
    assert weft(*RUN, "--out", "taken/below").err == (
        "error: --out must be a folder, not 'taken/below' below the file 'taken'\n"
    )


weft_run = weft.run


def test_a_place_that_cannot_be_written_is_refused_before_the_work(weft, monkeypatch):
    monkeypatch.setattr(weft_run, "run", lambda *_, **__: pytest.fail("the work was started"))
    assert weft(*RUN, "--json", "/proc/x.json").err == (
        "error: --json must name a file that can be written, not '/proc/x.json': No such file or directory\n"
    )
    assert weft(*RUN, "--out", "/proc/runs").err == (
        "error: the run folder must go to a place that can be written, not '/proc/runs': No such file or directory; "
        "name another with --out\n"
    )


def test_a_disk_that_fills_up_loses_no_result(weft, monkeypatch):
    """What cannot be kept is shown all the same, and the exit code says that it was not kept."""

    replace = os.replace

    def full(source, target):
        if "summary" in str(target):  # compiled code is kept elsewhere, where there may be room
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(source, target)

    monkeypatch.setattr("weft.report.files.os.replace", full)
    got = weft(*RUN, "--budget", 2, "--out", "kept", "--json", "x.json")
    assert got.code == 2
    assert "resnet8 on tpu_like" in got.out
    assert got.err == (
        "error: results must go to a place that can be written, not 'kept/summary.json': No space left on device\n"
    )
    assert not list(Path("kept").iterdir())
    assert not Path("x.json").exists()


def test_what_is_no_file_is_written_through_and_stays(weft):
    os.mkfifo("pipe")
    reader = subprocess.Popen(["cat", "pipe"], stdout=subprocess.PIPE)
    assert weft(*MAP, "--op", "dense", "--json", "pipe").code == 0
    assert json.loads(reader.communicate()[0])["model"] == "resnet8"
    assert Path("pipe").is_fifo()


def test_a_network_that_cannot_run_is_infeasible(weft, no_softmax):
    got = weft("run", "resnet8", "--chip", no_softmax, "--json", "-")
    assert got.code == 3
    assert got.err == (
        "infeasible: softmax: no core of 'tpu_like' takes softmax ops (Softmax); "
        "add the kind to a core's ops, or a core that takes it\n"
    )
    assert got.json["status"] == "infeasible"
    assert got.json["reason"]["subject"] == "softmax"


def test_an_op_that_a_core_does_not_take_is_infeasible(weft):
    got = weft(*MAP, "--op", "conv", "--core", "pooling", "--json", "-")
    assert got.code == 3
    assert got.err == "infeasible: conv: core 'pooling' does not take conv ops\n"
    assert got.json["status"] == "infeasible"


def raising(error):
    def run(*_, **__):
        raise error

    return run


def test_a_fault_of_ours_gives_one_line_and_1(weft, monkeypatch):
    monkeypatch.setattr(weft_run, "run", raising(ZeroDivisionError("division by zero")))
    got = weft(*RUN)
    assert got.code == 1
    assert got.err == (
        "error in weft itself: ZeroDivisionError: division by zero; please report it with this command line and its "
        "files (--debug shows where it happened)\n"
    )


@pytest.mark.parametrize("way", ["option", "variable"])
def test_debug_shows_where(weft, monkeypatch, way):
    monkeypatch.setattr(weft_run, "run", raising(ZeroDivisionError()))
    if way == "variable":
        monkeypatch.setenv("WEFT_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        weft(*RUN, *(["--debug"] if way == "option" else []))


def test_interrupted_gives_one_line_and_130(weft, monkeypatch):
    monkeypatch.setattr(weft_run, "run", raising(KeyboardInterrupt()))
    got = weft(*RUN)
    assert (got.code, got.out, got.err) == (130, "", "interrupted: no result\n")


def test_a_reader_that_has_gone_is_no_error(tmp_path):
    command = f"{sys.executable} -m weft schema | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stderr == ""
    assert done.stdout.splitlines()[0] == "{"


def test_seed_and_budget_are_taken_everywhere(weft):
    assert weft(*MAP, "--op", "dense", "--seed", 1, "--budget", 9).code == 0


@pytest.mark.parametrize("what", ["rule", "replay"])
def test_a_failed_proof_is_our_fault(weft, monkeypatch, what):
    honest = weft_run.run
    wrong = (Violation("what is in a memory fits in it", "memory 'x'", 3, "9 bits", "8 bits"),)
    proof = Proof(10, wrong, True, ()) if what == "rule" else Proof(10, (), False, ("event 3 starts at 4, not at 5",))

    def run(*args, **options):
        return dataclasses.replace(honest(*args, **options), proof=proof)

    monkeypatch.setattr(weft_run, "run", run)
    got = weft(*RUN, "--budget", 2, "--json", "x.json", "--out", "kept")
    assert got.code == 1
    assert got.err == "error in weft itself: the schedule is not proved (1 findings, see above); please report it\n"
    assert ("cycle 3: what is in a memory fits in it" if what == "rule" else "starts at 4") in got.out
    with open("kept/summary.json") as file:
        assert json.load(file)["proof"]["rules"]["violations"] == (what == "rule")

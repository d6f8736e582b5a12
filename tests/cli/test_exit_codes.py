"""0 done; 1 our fault; 2 the user's input; 3 infeasible; 130 interrupted. A failure is one line on standard error."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import pytest

import weft.run
from weft.model.schedule import Violation
from weft.run import Proof

RUN = ("run", "resnet8", "--chip", "tpu_like")
MAP = ("map", "resnet8", "--chip", "tpu_like")
WRONG = {
    ("frob",): "error: No such command 'frob'.",
    ("run",): "error: Missing argument 'MODEL'.",
    ("run", "resnet8"): "error: Missing option '--chip'.",
    (*RUN, "--frob"): "error: No such option: --frob",
    ("run", "resnt8", "--chip", "tpu_like"): (
        "error: a network must be a zoo name or the path of an .onnx or .pt2 file, not 'resnt8'; "
        "did you mean 'resnet8'?"
    ),
    ("run", "resnet8", "--chip", "tpu_lik"): (
        "error: a chip must be a library name or a YAML file that exists, not 'tpu_lik'; did you mean 'tpu_like'?"
    ),
    (*RUN, "--objective", "speed"): "error: --objective must be one of latency, energy, edp, memory, not 'speed'",
    (*MAP, "--objective", "memory"): "error: --objective must be one of latency, energy, edp, not 'memory'",
    (*RUN, "--spatial", "x"): "error: --spatial must be one of fixed, free, not 'x'",
    (*RUN, "--frames", "2"): "error: --frames must be 1 in this version, not 2",
    (*RUN, "--fuse", "plan.yaml"): (
        "error: --fuse must be auto or off, not 'plan.yaml'; fusion files are not in this version"
    ),
    (*RUN, "--precision", "p.yaml"): (
        "error: --precision must be chip, model or an existing YAML file, not 'p.yaml'; "
        "docs/precision.md has the form of the file"
    ),
    (*RUN, "--dim", "batch"): "error: --dim must be NAME=N with N at least 1, not 'batch'; for example batch=1",
    (*RUN, "--dim", "batch=0"): "error: --dim must be NAME=N with N at least 1, not 'batch=0'; for example batch=1",
    (*RUN, "--dim", "n=1", "--dim", "n=2"): "error: --dim must give 'n' one size, not two; leave one of them out",
    (*RUN, "--budget", "0"): "error: --budget must be at least 1, not 0; it counts whole schedules tried",
    (*RUN, "--json", "no/such/x.json"): (
        "error: --json must name a file in a folder that exists, or -, not 'no/such/x.json'"
    ),
    (*MAP, "--core", "core9"): "error: --core must name a core of 'tpu_like', not 'core9'; did you mean 'core0'?",
    (*MAP, "--op", "convv"): "error: --op must name an op of 'resnet8', not 'convv'; did you mean 'conv'?",
    ("evaluate", "resnet8", "--chip", "tpu_like", "--mapping", "none.json"): (
        "error: a mapping file must be one that can be read, not 'none.json': No such file or directory"
    ),
    ("check", "frob"): (
        "error: what is checked must be a .yaml, .onnx or .pt2 file, a library chip or a zoo network, not 'frob'; "
        "known: "
    ),
    ("check", "resnet8", "--chip", "x.yaml"): "error: a chip must be a YAML file that exists, not 'x.yaml'; or name a ",
}


@pytest.mark.parametrize("words", WRONG, ids=" ".join)
def test_wrong_input_gives_one_line_and_2(weft, words):
    got = weft(*words)
    assert got.code == 2
    assert got.out == ""
    assert got.err.startswith(WRONG[words])
    assert len(got.err.splitlines()) == 1


def test_an_out_folder_that_is_a_file_is_refused_before_the_work(weft, tmp_path, monkeypatch):
    (tmp_path / "taken").write_text("")
    monkeypatch.setattr(weft_run, "run", lambda *_, **__: pytest.fail("the work was started"))
    assert weft(*RUN, "--out", "taken").code == 2


weft_run = weft.run


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

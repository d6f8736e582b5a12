"""Mappings of earlier runs: the same results with and without, and nothing believed that does not hold."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from weft.cache import Store, digest
from weft.mapper import Mapped, kept
from weft.mapper.kept import bared, recalled
from weft.model.schedule import Infeasible
from weft.read.chip import read_chip
from weft.run import InfeasibleResult, map_model, prepared, run
from weft.run.run import streaming_problem
from weft.schedule.shared import Mapper

CHIP = read_chip("tpu_like")
WORKLOAD = prepared("resnet8", CHIP, None, "chip")[0]
AIM = ("edp", "fixed", 0, 1 << 12)


def problem_of(name="conv"):
    op = next(op for op in WORKLOAD.ops if op.name == name)
    return streaming_problem(Mapper(WORKLOAD, CHIP, "edp", "fixed"), op, CHIP.cores_for(op.kind)[0], CHIP)


def with_room(problem, memory, bits):
    memories = tuple(replace(item, size_bits=bits) if item.name == memory else item for item in problem.chip.memories)
    return replace(problem, chip=replace(problem.chip, memories=memories))


@pytest.fixture
def searches(monkeypatch):
    """Problems that were searched."""
    made = []
    real = kept.best_mapping
    monkeypatch.setattr(kept, "best_mapping", lambda problem, *rest: made.append(problem) or real(problem, *rest))
    return made


def entry(folder):
    (file,) = folder.rglob("*.json")
    return file, json.loads(file.read_text().partition("\n")[2])


def rewrite(folder, **changed):
    """Changes what is kept, as if weft had written it."""
    file, value = entry(folder)
    body = json.dumps(value | changed)
    file.write_text(f"{digest(body)}\n{body}")


def test_a_problem_is_searched_once(tmp_path, searches):
    problem = problem_of()
    alone = recalled(problem, AIM, None)
    assert isinstance(alone, Mapped)
    assert recalled(problem, AIM, Store(tmp_path)) == alone
    assert len(searches) == 2
    assert recalled(problem, AIM, Store(tmp_path)) == alone
    assert len(searches) == 2


def test_names_of_ops_tensors_and_cores_do_not_matter(tmp_path, searches):
    problem = problem_of()
    core = replace(problem.core, name="other", note="another note")
    cores = tuple(core if item.name == problem.setting.core else item for item in problem.chip.cores)
    other = replace(
        problem,
        op=replace(problem.op, name="x", nodes=("y",), folded=("z",)),
        chip=replace(problem.chip, name="c", cores=cores),
        setting=replace(problem.setting, core="other"),
    )
    store = Store(tmp_path)
    assert recalled(problem, AIM, store) == recalled(other, AIM, store)
    assert len(searches) == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda p: replace(p, widths=tuple((name, bits + 1) for name, bits in p.widths)),
        lambda p: replace(p, chip=replace(p.chip, static_pj_per_cycle=1.0)),
        lambda p: replace(p, chip=replace(p.chip, base_clock_hz=2 * p.chip.base_clock_hz, static_pj_per_cycle=1.0)),
        lambda p: replace(p, setting=replace(p.setting, path_divisor=2)),
        lambda p: replace(
            p,
            chip=replace(p.chip, links=tuple(replace(link, bandwidth_bits=3) for link in p.chip.links)),
        ),
        lambda p: with_room(p, p.setting.places[0][1][0].memory, 1 << 15),
    ],
)
def test_all_that_bears_on_a_mapping_makes_a_problem_of_its_own(tmp_path, searches, change):
    store = Store(tmp_path)
    recalled(problem_of(), AIM, store)
    changed = change(problem_of())
    assert recalled(changed, AIM, store) == recalled(changed, AIM, None)
    assert len(searches) == 3


@pytest.mark.parametrize("aim", [("latency", *AIM[1:]), (*AIM[:1], "free", *AIM[2:]), (*AIM[:2], 1, 192)])
def test_so_does_what_is_asked(tmp_path, searches, aim):
    store = Store(tmp_path)
    recalled(problem_of(), AIM, store)
    recalled(problem_of(), aim, store)
    assert len(searches) == 2


def test_so_does_the_code_that_searches(tmp_path, searches, monkeypatch):
    store = Store(tmp_path)
    recalled(problem_of(), AIM, store)
    monkeypatch.setattr(kept, "version", lambda: "of another formula")
    recalled(problem_of(), AIM, store)
    assert len(searches) == 2


def test_every_problem_of_a_network_is_searched_as_if_it_had_names():
    """The search sees only what the key is made of: nothing that was left out decides anything."""
    names = ("conv", "stage2.add", "pool", "dense", "softmax")
    for name in names:
        problem = problem_of(name)
        assert kept.best_mapping(problem, *AIM) == kept.best_mapping(bared(problem), *AIM)


@pytest.mark.parametrize(
    "claim",
    [
        {"mapping": "nonsense"},
        {"mapping": "| I@dram"},
        {"bound": 1.0},
        {"optimal": False},
        {"bound": float("inf")},
    ],
)
def test_a_claim_that_does_not_hold_is_not_believed(tmp_path, searches, claim):
    problem, store = problem_of(), Store(tmp_path)
    right = recalled(problem, AIM, store)
    assert right.optimal
    rewrite(tmp_path, **claim)
    assert recalled(problem, AIM, store) == right
    assert len(searches) == 2
    assert recalled(problem, AIM, store) == right
    assert len(searches) == 2


def test_a_mapping_that_does_not_fit_is_not_believed(tmp_path, searches):
    roomy, store = problem_of(), Store(tmp_path / "roomy")
    text = str(recalled(roomy, AIM, store).mapping)
    memory = roomy.setting.places[0][1][-2].memory
    tight = with_room(roomy, memory, 1 << 12)
    right = recalled(tight, AIM, Store(tmp_path / "tight"))
    assert str(right.mapping) != text
    rewrite(tmp_path / "tight", mapping=text)
    assert recalled(tight, AIM, Store(tmp_path / "tight")) == right
    assert len(searches) == 3


def test_what_does_not_fit_is_kept_too_and_names_this_op(tmp_path, searches):
    problem, store = problem_of(), Store(tmp_path)
    tight = with_room(problem, problem.setting.places[0][1][0].memory, 1)
    first = recalled(tight, AIM, store)
    assert isinstance(first, Infeasible)
    other = recalled(replace(tight, op=replace(tight.op, name="x")), AIM, store)
    assert len(searches) == 1
    assert other == replace(first, subject=f"x on {problem.setting.core}")


def stripped(result):
    return json.dumps(result.to_json() | {"cpu_seconds": None})


def test_a_run_and_a_map_are_the_same_bytes_without_with_an_empty_and_with_a_full_cache(tmp_path, monkeypatch):
    for job in (
        lambda **more: map_model("resnet8", "tpu_like", spatial="free", **more),
        lambda **more: run("resnet8", "tpu_like_quad", budget=3, **more),
    ):
        monkeypatch.setenv("WEFT_CACHE", "off")
        off = stripped(job())
        monkeypatch.setenv("WEFT_CACHE", str(tmp_path))
        assert stripped(job(cache=False)) == off
        before = Store(tmp_path / "mappings").holds()[0]
        assert stripped(job()) == off
        empty = Store(tmp_path / "mappings").holds()
        assert empty[0] > before
        assert stripped(job()) == off
        assert Store(tmp_path / "mappings").holds() == empty


def test_a_cache_that_is_no_folder_stops_no_run(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("WEFT_CACHE", str(tmp_path / "file"))
    assert not isinstance(map_model("resnet8", "tpu_like", op="conv"), InfeasibleResult)


def test_four_processes_with_one_empty_cache_find_the_same_and_leave_it_sound(tmp_path):
    program = (
        "import json, sys; from weft.run import map_model\n"
        "print(json.dumps(map_model('resnet8', 'tpu_like').to_json() | {'cpu_seconds': None}))"
    )
    surroundings = os.environ | {"WEFT_CACHE": str(tmp_path)}
    command = [sys.executable, "-c", program]
    together = [subprocess.Popen(command, env=surroundings, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    outputs = {process.communicate()[0] for process in together}
    assert [process.returncode for process in together] == [0, 0, 0, 0]
    assert outputs == {stripped(map_model("resnet8", "tpu_like")) + "\n"}
    store = Store(tmp_path / "mappings")
    files = list(tmp_path.rglob("*.json"))
    assert store.holds()[0] == len(files) > 0
    assert not list(tmp_path.rglob("*.new"))
    assert all(store.get(file.parent.name + file.stem) is not None for file in files)

"""The front of a network's schedules: none beats another, all are proved, and the best of each objective are in it."""

from __future__ import annotations

import itertools
import json

import pytest
from tests.schedule.test_solve import deep, quad

from weft.cli.show_pareto import plot
from weft.model.schedule import Infeasible
from weft.report.folder import write_front_folder
from weft.run import InfeasibleResult, run_front
from weft.run.pareto import on_chip_bits
from weft.schedule import GOALS, front, solve
from weft.schedule.search import trade, undominated


@pytest.fixture(scope="module")
def result():
    found = run_front("ds_cnn", "tpu_like_quad", budget=6)
    assert not isinstance(found, InfeasibleResult)
    return found


def beats(one, other):
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))


def test_what_is_beaten_goes_and_of_equals_the_first_stays() -> None:
    points = [(3, 1), (2, 2), (3, 3), (2, 2), (1, 3), (1, 4)]
    assert undominated(points, lambda it: it) == [(3, 1), (2, 2), (1, 3)]
    numbered = list(enumerate([(1, 1), (1, 1)]))
    assert undominated(numbered, lambda it: it[1]) == [(0, (1, 1))]


def test_no_point_beats_another_and_all_are_proved(result) -> None:
    figures = [(point.latency_cycles, point.energy_pj, on_chip_bits(point)) for point in result.points]
    assert not any(beats(one, other) for one, other in itertools.permutations(figures, 2))
    assert figures == sorted(figures)
    assert result.ok
    assert {point.proof.numerics.status for point in result.points} == {"not-run"}


def test_no_objective_has_a_better_schedule_than_the_front() -> None:
    net, chip = deep(), quad(16000)
    points = front(net, chip, budget=8)
    assert not isinstance(points, Infeasible)
    figures = [trade(solution, chip) for _, solution in points]
    for goal in GOALS:
        alone = solve(net, chip, goal, budget=8)
        assert not isinstance(alone, Infeasible)
        mine = trade(alone, chip)
        assert any(all(a <= b for a, b in zip(point, mine, strict=True)) for point in figures)


def test_the_json_and_the_folders_say_the_same(result, tmp_path) -> None:
    folder = write_front_folder(result, tmp_path / "front", {"model": "ds_cnn", "chip": "tpu_like_quad"})
    told = json.loads((folder / "summary.json").read_text())
    assert told["objective"] == "pareto"
    assert len(told["front"]) == len(result.points)
    for number, point in enumerate(told["front"], 1):
        one = json.loads((folder / f"point{number:02}" / "summary.json").read_text())
        for key in ("latency_cycles", "energy_pj", "edp_pj_cycles", "fusion_groups", "proof"):
            assert one[key] == point[key]
        assert point["proof"]["rules"]["violations"] == 0
        assert point["proof"]["replay"]["ok"]
        chip = {name: bits for name, bits in one["peak_memory_bits"].items() if name != "dram"}
        assert point["peak_bits"] == sum(chip.values())
        assert one["objective"] == point["found_for"]


def test_a_point_runs_again_from_its_folder(result, tmp_path) -> None:
    from weft.run import run

    folder = write_front_folder(result, tmp_path / "front", {"model": "ds_cnn", "chip": "tpu_like_quad"})
    for number, point in list(enumerate(result.points, 1))[:2]:
        fusion = str(folder / f"point{number:02}" / "fusion.yaml")
        again = run("ds_cnn", "tpu_like_quad", point.objective, fuse=fusion, numerics="off")
        assert not isinstance(again, InfeasibleResult)
        assert again.solution.design == point.solution.design
        assert again.proof.ok


def test_a_front_of_one_point_is_drawn() -> None:
    assert plot([(5.0, 7.0)], 4, 2) == ["|1   ", "|    ", "+----"]


def test_the_command_shows_a_line_per_point(tmp_path, monkeypatch, capsys) -> None:
    from weft.cli.main import main

    monkeypatch.chdir(tmp_path)
    words = ["run", "ds_cnn", "--chip", "tpu_like_quad", "--objective", "pareto", "--budget", "4", "--out", "here"]
    assert main([*words, "--json", "x.json"]) == 0
    shown = capsys.readouterr().out
    assert "Energy (up) against latency (right)" in shown
    assert "here/point*" in shown
    assert json.loads((tmp_path / "x.json").read_text()) == json.loads((tmp_path / "here/summary.json").read_text())

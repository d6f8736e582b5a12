from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from fractions import Fraction
from html.parser import HTMLParser
from pathlib import Path

import pytest

from weft.errors import OptionError
from weft.report.charts import MOST_BLOCKS, stacked, thinned, ticks
from weft.report.files import write_text
from weft.report.folder import write_run_folder
from weft.report.identity import digest
from weft.report.timeline import Row, Span, columns, core_rows, lane_rows, occupancy
from weft.run import run

OPTIONS = {"model": "resnet8", "chip": "tpu_like_quad", "budget": 5}


@pytest.fixture(scope="module")
def result():
    return run("resnet8", "tpu_like_quad", budget=5)


@pytest.fixture(scope="module")
def folder(result, tmp_path_factory):
    return write_run_folder(result, tmp_path_factory.mktemp("runs") / "one", OPTIONS)


def test_a_folder_holds_these_files_and_no_others(folder):
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "manifest.json",
        "summary.json",
        "ops.csv",
        "schedule.json",
        "trace.pftrace",
        "fusion.yaml",
        "report.html",
    }


def test_the_same_run_writes_the_same_bytes_but_for_cpu_seconds(folder, tmp_path):
    again = write_run_folder(run("resnet8", "tpu_like_quad", budget=5), tmp_path / "two", OPTIONS)
    for path in folder.iterdir():
        first, second = path.read_bytes(), (again / path.name).read_bytes()
        if path.name == "summary.json":
            first, second = (json.loads(text) | {"cpu_seconds": None} for text in (first, second))
        assert first == second, path.name


def test_the_order_of_sets_leaves_no_trace(tmp_path):
    for seed in ("1", "2"):
        command = [sys.executable, "-m", "weft", "run", "resnet8", "--chip", "tpu_like", "--budget", "2", "--out", seed]
        surroundings = os.environ | {"PYTHONHASHSEED": seed}
        subprocess.run(command, capture_output=True, check=True, cwd=tmp_path, env=surroundings)
    for name in ("manifest.json", "ops.csv", "schedule.json", "trace.pftrace", "fusion.yaml", "report.html"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()


def test_the_default_folder_is_named_after_model_chip_and_inputs(result, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = write_run_folder(result, None, OPTIONS)
    assert re.fullmatch(r"weft-runs/resnet8-tpu_like_quad-[0-9a-f]{10}", str(first))
    assert write_run_folder(result, None, OPTIONS) == first
    assert write_run_folder(result, None, OPTIONS | {"budget": 6}) != first


def test_summary_is_the_result(folder, result):
    assert json.loads((folder / "summary.json").read_text()) == json.loads(json.dumps(result.to_json()))


def test_manifest_says_what_went_in(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["seed"] == 0
    assert manifest["options"] == OPTIONS
    assert re.fullmatch("[0-9a-f]{64}", manifest["chip"]["as_read_sha256"])
    assert manifest["model"]["file_sha256"] is None  # the library's own


def test_a_hash_does_not_depend_on_the_order_of_sets():
    assert digest(frozenset("abc")) == digest(frozenset("cab"))
    assert digest({"a": 1, "b": Fraction(1, 2)}) == digest({"b": Fraction(1, 2), "a": 1})
    assert digest((1, 2)) != digest((2, 1))


def test_ops_csv_has_a_line_per_op(folder, result):
    with (folder / "ops.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == [op.name for op in result.workload.ops]
    assert rows[0]["dims"] == "B1 G1 K16 C3 OY32 OX32 FY3 FX3"


def test_the_schedule_is_all_there(folder, result):
    told = json.loads((folder / "schedule.json").read_text())
    schedule = result.schedule
    assert len(told["tasks"]) == len(schedule.tasks)
    assert len(told["transfers"]) == len(schedule.transfers)
    assert len(told["residencies"]) == len(schedule.residencies)
    assert [move["rate"] for move in told["transfers"]] == [
        f"{move.rate.numerator}/{move.rate.denominator}" for move in schedule.transfers
    ]
    assert [task["start"] for task in told["tasks"]] == [task.start for task in schedule.tasks]


class Reader(HTMLParser):
    """Collects tags and what they point to."""

    def __init__(self):
        super().__init__()
        self.tags, self.links = [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [value for key, value in attributes if key in ("src", "href", "xlink:href", "action")]


def test_the_page_stands_alone(folder, result):
    text = (folder / "report.html").read_text()
    reader = Reader()
    reader.feed(text)
    assert reader.links == []
    assert not {"script", "link", "img", "iframe"} & set(reader.tags)
    assert "http" not in text
    assert "url(" not in text
    for op in result.workload.ops:
        assert op.name in text
    for chart in re.findall(r"<svg.*?</svg>", text, re.S):
        ElementTree.fromstring(chart)


def test_names_cannot_break_the_page(result):
    import dataclasses

    from weft.report.page import page

    evil = dataclasses.replace(result, model="<script>alert(1)</script>&")
    assert "<script>" not in page(evil)


def test_writing_again_replaces_and_leaves_nothing_behind(result, tmp_path):
    write_run_folder(result, tmp_path / "x", OPTIONS)
    write_run_folder(result, tmp_path / "x", OPTIONS)
    assert len(list((tmp_path / "x").iterdir())) == 7


def test_a_place_that_cannot_be_written_is_the_users_to_mend(result, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OptionError, match="must go to a place that can be written"):
        write_run_folder(result, tmp_path / "file" / "x", OPTIONS)


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "a"
    write_text(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "new \udc80")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_rows_add_up_to_the_results_own_figures(result):
    until = result.latency_cycles
    shares = {row.name: row.busy(until) for row in core_rows(result.schedule, result.chip)}
    assert shares == pytest.approx({row["name"]: row["busy_share"] for row in result.core_rows()})
    assert all(0 < row.busy(until) <= 1 for row in lane_rows(result.schedule, result.chip))
    peaks = {memory: max(level for _, level in steps) for memory, steps in occupancy(result.schedule).items()}
    assert peaks == dict(result.solution.peaks)
    assert all(steps[-1][1] == 0 for steps in occupancy(result.schedule).values())


def test_columns_keep_the_busy_time():
    row = Row("x", "core", (Span(0, 3, 1.0, "a", ""), Span(7, 10, 0.5, "b", "")))
    assert columns(row, 10, 5) == pytest.approx([1.0, 0.5, 0.0, 0.25, 0.5])


def test_spans_that_share_time_are_stacked():
    spans = [
        Span(0, 10, 0.5, "", "a"),
        Span(2, 8, 0.5, "", "b"),
        Span(10, 12, 0.5, "", "c"),
        Span(11, 12, 0.25, "", "d"),
    ]
    assert [low for _, low in stacked(spans)] == [0.0, 0.5, 0.0, 0.5]


def test_very_many_blocks_are_joined_and_none_is_lost():
    spans = tuple(Span(i, i + 1, 1.0, f"op{i % 3}", "") for i in range(20 * MOST_BLOCKS))
    drawn = thinned(Row("x", "core", spans), len(spans))
    assert len(drawn) <= MOST_BLOCKS + 1
    assert sum((s.end - s.start) * s.share for s in drawn) == pytest.approx(len(spans))


@pytest.mark.parametrize("until", [1, 9, 10, 22511, 10**7])
def test_ticks_are_few_and_round(until):
    assert len(ticks(until)) <= 10
    assert ticks(until)[0] == 0


def test_no_page_or_table_says_where_it_was_made(folder):
    here = str(Path.cwd()).encode()
    assert not any(here in path.read_bytes() for path in folder.iterdir())

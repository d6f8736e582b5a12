"""`weft compare`: two run folders side by side."""

from __future__ import annotations

import json


def test_two_runs_side_by_side(weft, tmp_path) -> None:
    for folder, fuse in (("a", "off"), ("b", "auto")):
        words = ("run", "ds_cnn", "--chip", "tpu_like_quad", "--budget", "8", "--fuse", fuse, "--numerics", "off")
        assert weft(*words, "--out", folder).code == 0
    got = weft("compare", "a", "b", "--json", "x.json")
    assert got.code == 0
    assert "Options that differ" in got.out
    told = json.loads((tmp_path / "x.json").read_text())
    one, other = (json.loads((tmp_path / folder / "summary.json").read_text()) for folder in "ab")
    assert told["options"] == [{"name": "fuse", "first": "off", "second": "auto"}]
    figures = {row["name"]: row for row in told["figures"]}
    for name in ("latency_cycles", "energy_pj", "tiles"):
        assert (figures[name]["first"], figures[name]["second"]) == (one[name], other[name])
        assert figures[name]["ratio"] == other[name] / one[name]
    assert figures["peak of dram [bit]"]["first"] == one["peak_memory_bits"]["dram"]
    spans = [{row["name"]: row["end_cycle"] - row["start_cycle"] for row in run["ops"]} for run in (one, other)]
    wanted = [(name, spans[0][name], spans[1][name]) for name in spans[0] if spans[0][name] != spans[1][name]]
    assert [(row["name"], row["first"], row["second"]) for row in told["ops"]] == wanted


def test_a_folder_that_is_no_runs_is_said(weft, tmp_path) -> None:
    (tmp_path / "empty").mkdir()
    got = weft("compare", "empty", "empty")
    assert got.code == 2
    assert got.err == (
        "error: each DIR must be a run folder, with summary.json and manifest.json, not 'empty'; "
        "weft run writes them; of a front, name one of its points\n"
    )

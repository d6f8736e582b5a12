from __future__ import annotations

import json
from pathlib import Path

import pytest

SHARED = Path(__file__).parents[2].parent / "shared"
ZIGZAG = SHARED / "facts" / "zigzag_mappings_resnet18_tpu_like.json"
FIELDS = {
    "name", "kind", "core", "dims", "macs", "energy_pj", "latency_cycles", "mapping", "optimal", "bound", "space",
    "evaluated", "utilisation_spatial", "utilisation", "stall_cycles", "energy_by", "port_busy_cycles",
}  # fmt: skip


@pytest.mark.parametrize(("chip", "objective"), [("tpu_like", "edp"), ("tpu_like", "energy"), ("diana", "latency")])
def test_a_map_can_be_evaluated_to_the_same_prices(weft, chip, objective):
    mapped = weft("map", "resnet8", "--chip", chip, "--objective", objective, "--json", "map.json")
    assert mapped.code == 0
    first = json.loads(Path("map.json").read_text())
    got = weft("evaluate", "resnet8", "--chip", chip, "--mapping", "map.json", "--json", "-")
    assert got.code == 0
    second = got.json
    assert second["not_evaluated"] == []
    assert [op["name"] for op in second["ops"]] == [op["name"] for op in first["ops"]]
    for before, after in zip(first["ops"], second["ops"], strict=True):
        same = set(before) - {"optimal", "bound", "space", "space_text", "evaluated"}
        assert {key: after[key] for key in same} == {key: before[key] for key in same}
        assert after["optimal"] is None
    assert second["totals"] == first["totals"]


def test_json_has_the_fields_of_the_contract(weft):
    result = weft("map", "resnet8", "--chip", "tpu_like", "--op", "dense", "--json", "-").json
    assert {"model", "chip", "objective", "assumed_precision", "cpu_seconds", "unique_ops", "totals", "ops"} <= set(
        result
    )
    (op,) = result["ops"]
    assert set(op) >= FIELDS
    assert sum(part["pj"] for part in op["energy_by"]) == pytest.approx(op["energy_pj"])


def test_verbose_shows_certificate_and_nest(weft):
    out = weft("map", "resnet8", "--chip", "tpu_like", "--op", "dense", "-v").out
    assert "for edp; bound " in out
    assert "side by side: N10 on D1, K32 on D2" in out
    assert "for K in 2" in out


def test_only_the_ops_that_a_core_takes_are_mapped(weft):
    result = weft("map", "resnet8", "--chip", "tpu_like", "--core", "simd", "--json", "-").json
    assert {op["core"] for op in result["ops"]} == {"simd"}
    assert "conv" in result["not_evaluated"]


@pytest.mark.skipif(not ZIGZAG.exists(), reason="ZigZag's mappings are not beside this checkout")
def test_zigzags_mappings_cost_what_zigzag_says(weft):
    model = SHARED / "models" / "resnet18_weights_missing.onnx"
    words = ("evaluate", model, "--chip", "tpu_like", "--mapping", ZIGZAG, "--conventions", "zigzag")
    result = weft(*words, "--json", "-").json
    told = json.loads(ZIGZAG.read_text())
    assert result["totals"]["energy_pj"] == pytest.approx(told["total_energy_pj"], rel=1e-6)
    energies = {layer["name"]: layer["energy"] for layer in told["layers"]}
    assert {op["name"]: op["energy_pj"] for op in result["ops"]} == pytest.approx(energies, rel=1e-6)
    assert all(set(op) >= FIELDS for op in result["ops"])
    assert "/maxpool/MaxPool" in result["not_evaluated"]
    assert weft(*words, "-v").code == 0


def one(name, mapping, **more):
    Path("m.json").write_text(json.dumps({"ops": [{"name": name, "mapping": mapping, **more}]}))
    return ("evaluate", "resnet8", "--chip", "tpu_like", "--mapping", "m.json")


def dense_mapping(weft):
    return weft("map", "resnet8", "--chip", "tpu_like", "--op", "dense", "--json", "-").json["ops"][0]["mapping"]


def test_a_mapping_of_no_op_is_refused_with_the_nearest_name(weft):
    got = weft(*one("dens", dense_mapping(weft)))
    assert got.code == 2
    assert got.err == (
        "error: m.json: ops[0] 'dens': a mapping must be for an op of 'resnet8', not 'dens'; did you mean 'dense'?\n"
    )


def test_a_mapping_of_a_folded_node_is_refused(weft):
    got = weft(*one("relu", dense_mapping(weft)))
    assert got.code == 2
    assert "'relu' is folded into 'conv'; remove it" in got.err


def test_a_mapping_for_other_sizes_is_refused(weft):
    got = weft(*one("dense", dense_mapping(weft), dims={"N": 12}))
    assert got.code == 2
    assert "a mapping of 'dense' must be for N10, not N12" in got.err


def test_a_mapping_for_a_core_that_does_not_take_the_op_is_refused(weft):
    got = weft(*one("dense", dense_mapping(weft), core="simd"))
    assert got.code == 2
    assert "must be for a core of 'tpu_like' that takes a gemm, not core 'simd'; such cores: core0" in got.err


def test_an_illegal_mapping_is_refused_with_the_rule_it_breaks(weft):
    got = weft(*one("dense", dense_mapping(weft).replace("N10", "N7")))
    assert got.code == 2
    assert "must keep the rules: the loops of each dim cover it exactly" in got.err
    assert len(got.err.splitlines()) == 1


def test_the_core_is_found_where_the_file_names_none(weft):
    result = weft(*one("dense", dense_mapping(weft)), "--json", "-").json
    assert [op["core"] for op in result["ops"]] == ["core0"]
    assert len(result["not_evaluated"]) == 14


def test_the_front_of_one_op_is_a_table_and_json(weft):
    out = weft("map", "resnet8", "--chip", "eyeriss_like", "--op", "stage1.add", "--objective", "pareto").out
    assert "1 mappings, all there are" in out
    done = json.loads(
        weft("map", "resnet8", "--chip", "eyeriss_like", "--op", "conv", "--objective", "pareto", "--json", "-").out
    )
    points = [(point["latency_cycles"], point["energy_pj"]) for point in done["points"]]
    assert len(points) > 3
    assert points == sorted(points)
    assert [energy for _, energy in points] == sorted((energy for _, energy in points), reverse=True)
    assert all(point["optimal"] for point in done["points"])


def test_a_front_is_asked_of_one_op(weft):
    told = weft("map", "resnet8", "--chip", "tpu_like", "--objective", "pareto")
    assert (told.code, told.err) == (2, "error: --objective pareto must be asked of one op; name it with --op\n")

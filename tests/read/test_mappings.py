"""Mapping files: what they may hold, and what is said of what does not hold."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from weft.errors import MappingError
from weft.model.mapping import Loop, parse_mapping
from weft.model.zigzag import NamedMapping, Spread, ZigzagMapping, parse_zigzag
from weft.read.mappings import read_mappings, read_zigzag_mappings

TEXT = "D1:K32 D2:C3 | FX7 O@rf OX112 I@sram"
LAYER: dict[str, Any] = {
    "name": "fc",
    "dims": {"C": 512, "K": 1000},
    "temporal_mapping": {"O": [[["C", 16]], [["K", 32]]], "W": [[["C", 16], ["K", 32]], []]},
    "spatial_mapping": "{O: [[], [(K, 31), (C, 32)], []], W: [[], [(K, 31), (C, 32)], []]}",
    "spatial_mapping_exact": "{O: [[], [(K, 31.25), (C, 32.0)], []], W: [[], [(K, 31.25), (C, 32.0)], []]}",
}


def written(tmp_path: Path, content: object) -> Path:
    path = tmp_path / "m.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_a_layer_of_zigzags_is_read_with_its_exact_unrolling(tmp_path: Path) -> None:
    path = written(tmp_path, {"layers": [LAYER]})
    (named,) = read_zigzag_mappings(path)
    assert named == NamedMapping(
        "fc",
        parse_zigzag("O:-;K125/4,C32;-|C16;K32 W:-;K125/4,C32;-|C16,K32;-"),
        None,
        (("C", 512), ("K", 1000)),
        f"{path}: layers[0] 'fc'",
    )
    assert named.form == "zigzag"


def test_without_the_exact_unrolling_the_whole_one_counts(tmp_path: Path) -> None:
    layer = {key: value for key, value in LAYER.items() if key != "spatial_mapping_exact"}
    (named,) = read_mappings(written(tmp_path, [layer]))
    assert isinstance(named.mapping, ZigzagMapping)
    assert named.mapping.of("O").spatial[1] == (Spread("K", Fraction(31)), Spread("C", Fraction(32)))
    assert named.mapping.of("W").nest == (Loop("C", 16), Loop("K", 32))


def test_wefts_json_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, {"model": "x", "ops": [{"name": "a", "core": "c0", "mapping": TEXT, "energy_pj": 1.0}]})
    assert read_mappings(path) == (NamedMapping("a", parse_mapping(TEXT), "c0", (), f"{path}: ops[0] 'a'"),)


def test_text_holds_either_form_a_line_each(tmp_path: Path) -> None:
    path = written(tmp_path, f"# by hand\n/a/Conv: {TEXT}\n\nfc: O:-;K125/4;-|C16;K32\n")
    first, second = read_mappings(path)
    assert first == NamedMapping("/a/Conv", parse_mapping(TEXT), where=f"{path}:2")
    assert second == NamedMapping("fc", parse_zigzag("O:-;K125/4;-|C16;K32"), where=f"{path}:4")
    with pytest.raises(MappingError, match="a mapping must be in ZigZag's form, not in weft's"):
        read_zigzag_mappings(path)


def changed(**fields: object) -> dict[str, Any]:
    return {"layers": [{key: value for key, value in (LAYER | fields).items() if value is not None}]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "{path}: a mapping file must hold at least one mapping, not none"),
        ("{", "{path}:1: a mapping file must be whole JSON, and is not at column 2: "),
        (
            {"cores": []},
            "{path}: a mapping file must have a list of 'ops' (weft's) or 'layers' (ZigZag's), not neither; "
            "write one with weft map --json",
        ),
        ("conv D1:K2 | K2", "{path}:1: a line must read NAME: MAPPING, not 'conv D1:K2 | K2'"),
        ("conv: K2", "{path}:1: a mapping must have one '|' between array and loops, not 'K2'"),
        (
            f"a: {TEXT}\na: {TEXT}",
            "{path}:2: an op must have one mapping, and 'a' has two; remove this one or that of {path}:1",
        ),
        ({"ops": [3]}, "{path}: ops[0]: an entry must be an object, not 3"),
        ({"ops": [{"mapping": TEXT}]}, "{path}: ops[0]: 'name' must be the op's name, not nothing"),
        ({"ops": [{"name": "a"}]}, "{path}: ops[0] 'a': 'mapping' must be a mapping's text, not nothing"),
        (
            {"ops": [{"name": "a", "core": 1, "mapping": TEXT}]},
            "{path}: ops[0] 'a': 'core' must be a core's name, not 1",
        ),
        (
            changed(temporal_mapping=None),
            "{path}: layers[0] 'fc': 'temporal_mapping' must be an object of loops per operand, not nothing",
        ),
        (
            changed(temporal_mapping={"O": [["C", 16]]}),
            '{path}: layers[0] \'fc\' temporal_mapping O: a loop must read ["OX", 56], not "C"',
        ),
        (
            changed(temporal_mapping={"O": [[["C", 0]]]}),
            '{path}: layers[0] \'fc\' temporal_mapping O: a loop must read ["OX", 56], not ["C", 0]',
        ),
        (
            changed(temporal_mapping={"O": 3}),
            "{path}: layers[0] 'fc' temporal_mapping O: loops must be one list per memory, not 3",
        ),
        (
            changed(temporal_mapping={"P": [[]]}),
            "{path}: layers[0] 'fc': an operand must be I, W or O, not 'P'",
        ),
        (
            changed(temporal_mapping={"O": [[]], "I": [[]]}),
            "{path}: layers[0] 'fc': O must have one more spatial list than memories, not 3 beside 1",
        ),
        (
            changed(temporal_mapping={"I": [[]]}),
            "{path}: layers[0] 'fc': 'spatial_mapping_exact' must have every operand of the loops, and has no I",
        ),
        (
            changed(temporal_mapping={"W": LAYER["temporal_mapping"]["W"]}),
            "{path}: layers[0] 'fc': a mapping must have each operand once and an output, not W",
        ),
        (
            changed(spatial_mapping_exact=None, spatial_mapping=None),
            "{path}: layers[0] 'fc': 'spatial_mapping' must be text such as {{O: [[], [(K, 32)]], ...}}, not nothing",
        ),
        (
            changed(spatial_mapping_exact="{O: [(K, 2)]}"),
            "{path}: layers[0] 'fc' spatial_mapping_exact: a spatial mapping must have '[' here, not '('",
        ),
        (
            changed(spatial_mapping_exact="{O: [[(K, x)]]}"),
            "{path}: layers[0] 'fc' spatial_mapping_exact: a spatial mapping must read {{O: [[], [(K, 32)]], ...}}, "
            "not ' x)]]}}'",
        ),
        (
            changed(spatial_mapping_exact="{O: [[(K, 0)]]}"),
            "{path}: layers[0] 'fc' spatial_mapping_exact: a spatial loop must read (K, 32), not (K, 0)",
        ),
        (
            changed(spatial_mapping_exact="{O: [[(K, 2)]]"),
            "{path}: layers[0] 'fc' spatial_mapping_exact: a spatial mapping must have ',' here, not its end",
        ),
        (
            changed(dims={"K": -1}),
            "{path}: layers[0] 'fc': 'dims' must be an object of sizes of at least 1, not {{\"K\": -1}}",
        ),
    ],
)
def test_what_does_not_hold_is_said_in_one_line(tmp_path: Path, content: object, message: str) -> None:
    path = written(tmp_path, content)
    with pytest.raises(MappingError) as error:
        read_mappings(path)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(message.format(path=path))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "none.json"
    with pytest.raises(MappingError) as error:
        read_mappings(path)
    assert str(error.value) == f"a mapping file must be one that can be read, not '{path}': No such file or directory"


def test_zigzags_yaml_is_told_what_it_lacks(tmp_path: Path) -> None:
    path = tmp_path / "map.yaml"
    path.write_text("- name: default\n  spatial_mapping: {D1: ['K, 32']}\n  temporal_ordering: [[OX, 112]]\n")
    with pytest.raises(MappingError) as refused:
        read_mappings(path)
    assert str(refused.value) == (
        f"{path}: a mapping must say in which memory each loop of each operand lies, and ZigZag's YAML leaves that to "
        "its search; evaluate takes the mappings that ZigZag found, as JSON; weft import zigzag --mapping takes the "
        "array's side of the YAML"
    )

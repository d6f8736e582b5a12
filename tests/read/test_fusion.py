"""Fusion files: what they settle, what they leave open, and what is said of one that does not hold."""

from __future__ import annotations

import pytest

from weft.model.fusion import Fusion, Spot, Together
from weft.read.chip import read_chip
from weft.read.fusion import fusion_text, read_fusion
from weft.read.items import ItemError
from weft.run.run import prepared

CHIP = read_chip("tpu_like_quad")
NET, _ = prepared("resnet8", CHIP, None, "chip")


def settled(tmp_path, text, name="f.yaml"):
    (tmp_path / name).write_text(text)
    return read_fusion(tmp_path / name, NET, CHIP)


def refused(tmp_path, text):
    with pytest.raises(ItemError) as caught:
        settled(tmp_path, text)
    return str(caught.value).replace(str(tmp_path / "f.yaml"), "f.yaml")


def test_groups_and_placements_stand_in_the_networks_order_whatever_the_files(tmp_path):
    text = """
groups:
  - {ops: [stage1.add, stage1.conv2, stage1.conv1], axis: OY, steps: 4}
  - ops: [conv]
placements:
  dense: {cores: [core2]}
  conv: {cores: [core0, core1], dim: K}
  stage1.add: {cores: [simd], stream: true}
"""
    assert settled(tmp_path, text) == Fusion(
        (Together(("conv",)), Together(("stage1.conv1", "stage1.conv2", "stage1.add"), "OY", 4)),
        (
            Spot("conv", ("core0", "core1"), (("K", 2),)),
            Spot("stage1.add", ("simd",), (), True),
            Spot("dense", ("core2",)),
        ),
    )


def test_json_says_the_same(tmp_path):
    text = '{"groups": [{"ops": ["conv"], "axis": "OY", "steps": 2}], "placements": {"dense": {"cores": ["core1"]}}}'
    found = settled(tmp_path, text, "f.json")
    assert found == Fusion((Together(("conv",), "OY", 2),), (Spot("dense", ("core1",)),))


@pytest.mark.parametrize(
    "fusion",
    [
        Fusion((Together(("conv", "stage1.conv1"), "OX", 3), Together(("stage1.conv2",), None, 1))),
        Fusion(
            (), (Spot("conv", ("core0", "core2", "core1"), (("OY", 3),)), Spot("dense", ("core3", "core1"), (), True))
        ),
        Fusion((), (Spot("conv", ("core0", "core2", "core1", "core3"), (("K", 2), ("OY", 2))),)),
    ],
)
def test_the_text_form_parses_back(tmp_path, fusion):
    assert settled(tmp_path, fusion_text(fusion, "a title")) == fusion


ERRORS = {
    "nothing in it": ("# nothing\n", "f.yaml: the file must be groups and placements, not empty"),
    "neither": (
        "groups:\n",
        "f.yaml:1: the file must give groups or placements, and there are none; "
        "write 'groups: [{ops: [a, b], axis: OY, steps: 4}]'",
    ),
    "a misspelt key": (
        "group: []\n",
        "f.yaml:1: a key must be one that is known here, not 'group'; did you mean 'groups'?",
    ),
    "a key twice": (
        "groups: []\ngroups: []\n",
        "f.yaml:2: a key must stand once, not again as 'groups'; it is given in line 1 already: rename or drop one",
    ),
    "no ops": (
        "groups:\n- {ops: []}\n",
        "f.yaml:2 group: ops must name at least one op, and there are none; "
        "write 'groups: [{ops: [a, b], axis: OY, steps: 4}]'",
    ),
    "ops not given": ("groups:\n- {steps: 2}\n", "f.yaml:2 group: 'ops' must be given"),
    "an unknown op": (
        "groups:\n- ops:\n  - conv\n  - stage1.cnv1\n",
        "f.yaml:4 group: a name must be that of an op of 'resnet8', not 'stage1.cnv1'; did you mean 'stage1.conv1'?",
    ),
    "a node that an op stands for": (
        "groups:\n- {ops: [relu]}\n",
        "f.yaml:2 group: a name must be that of an op of 'resnet8', not 'relu'; that node is part of 'conv'",
    ),
    "an op like no other": (
        "groups:\n- {ops: [zzz]}\n",
        "f.yaml:2 group: a name must be that of an op of 'resnet8', not 'zzz'; weft check lists them",
    ),
    "ops that are not neighbours": (
        "groups:\n- {ops: [conv, stage1.conv2]}\n",
        "f.yaml:2 group: ops must be neighbours in the network's order, not 'conv' and 'stage1.conv2' without "
        "'stage1.conv1'; add what lies between, or make two groups",
    ),
    "an op twice": ("groups:\n- {ops: [conv, conv]}\n", "f.yaml:2 group: ops must name each op once, not 'conv' twice"),
    "an op in two groups": (
        "groups:\n- {ops: [conv]}\n- {ops: [conv, stage1.conv1]}\n",
        "f.yaml:3 group: an op must be in one group, and 'conv' is in that of line 2 already",
    ),
    "an axis that the last op has not": (
        "groups:\n- ops: [conv, stage1.conv1]\n  axis: M\n",
        "f.yaml:3 group: axis must be one of K, OY, OX, along which 'stage1.conv1' may be cut, not 'M'",
    ),
    "an axis that may not be cut": (
        "groups:\n- {ops: [softmax], axis: G}\n",
        "f.yaml:2 group: axis must be left out: 'softmax' has none, not 'G'",
    ),
    "no step": ("groups:\n- {ops: [conv], steps: 0}\n", "f.yaml:2 group: steps must be a positive whole number, not 0"),
    "more steps than rows": (
        "groups:\n- {ops: [conv], axis: OY, steps: 33}\n",
        "f.yaml:2 group: steps must be at most 32, the indices of OY that 'conv' has, not 33",
    ),
    "more steps than any dim has": (
        "groups:\n- {ops: [dense], steps: 11}\n",
        "f.yaml:2 group: steps must be at most 10, the indices that a dim of 'dense' has, not 11",
    ),
    "a place for no op": (
        "placements:\n  cnv: {cores: [core0]}\n",
        "f.yaml:2 placements: a name must be that of an op of 'resnet8', not 'cnv'; did you mean 'conv'?",
    ),
    "a place without cores": ("placements:\n  conv: {dim: K}\n", "f.yaml:2 placement 'conv': 'cores' must be given"),
    "no core at all": (
        "placements:\n  conv: {cores: []}\n",
        "f.yaml:2 placement 'conv': cores must name at least one core, and there are none",
    ),
    "an unknown core": (
        "placements:\n  conv: {cores: [cor0]}\n",
        "f.yaml:2 placement 'conv': cores must be those of 'tpu_like_quad', not 'cor0'; did you mean 'core0'?",
    ),
    "a core that does not take the kind": (
        "placements:\n  conv: {cores: [simd]}\n",
        "f.yaml:2 placement 'conv': cores of 'conv' must take conv ops, and 'simd' does not; "
        "those that do: core0, core1, core2, core3",
    ),
    "a core twice": (
        "placements:\n  conv: {cores: [core0, core0], dim: K}\n",
        "f.yaml:2 placement 'conv': cores must name each core once, not 'core0' twice",
    ),
    "a split over one core": (
        "placements:\n  conv: {cores: [core0], dim: K}\n",
        "f.yaml:2 placement 'conv': dim must go with several cores, not with 'core0' alone; leave it out",
    ),
    "a split along what is summed": (
        "placements:\n  conv: {cores: [core0, core1], dim: C}\n",
        "f.yaml:2 placement 'conv': dim must be one of K, OY, OX, along which 'conv' may be cut, not 'C'",
    ),
    "a split along two dims that makes too few parts": (
        "placements:\n  conv: {cores: [core0, core1, core2], split: [K/2, OX/2]}\n",
        "f.yaml:2 placement 'conv': split must make as many parts as cores, which are 3, not 4",
    ),
    "a split twice along one dim": (
        "placements:\n  conv: {cores: [core0, core1, core2, core3], split: [K/2, K/2]}\n",
        "f.yaml:2 placement 'conv': split must name dims of K, OY, OX, along which 'conv' may be cut, once each, "
        "not 'K'",
    ),
    "a split that is none": (
        "placements:\n  conv: {cores: [core0, core1], split: [K]}\n",
        "f.yaml:2 placement 'conv': split must name dims and ways such as K/2, not 'K'",
    ),
    "a split said twice": (
        "placements:\n  conv: {cores: [core0, core1], dim: K, split: [K/2]}\n",
        "f.yaml:2 placement 'conv': split must go without dim, and both are given; dim: K is split: [K/2] on two cores",
    ),
    "a stream that is no truth": (
        "placements:\n  conv: {cores: [core0], stream: 3}\n",
        "f.yaml:2 placement 'conv': stream must be true or false, not 3",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "message"), ERRORS.values(), ids=ERRORS)
def test_what_does_not_hold_is_said_by_line(tmp_path, text, message):
    assert refused(tmp_path, text) == message


def test_all_that_does_not_hold_is_said_at_once(tmp_path):
    text = "groups:\n- {ops: [cnv]}\n- {ops: [conv], steps: 0}\nplacements:\n  conv: {cores: [pool]}\n"
    assert [line.split(" ", 1)[0] for line in refused(tmp_path, text).splitlines()] == [
        "f.yaml:2",
        "f.yaml:3",
        "f.yaml:5",
    ]

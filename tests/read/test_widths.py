"""Widths from a file: what an entry sets, and what is said of a file that does not hold."""

from __future__ import annotations

import pytest

from weft.errors import OptionError
from weft.read.chip import read_chip
from weft.read.widths import read_widths
from weft.run import map_model
from weft.run.run import prepared

CHIP = read_chip("tpu_like")


def priced(tmp_path, text):
    """resnet8 on tpu_like under a file: bits by tensor, words, notes."""
    path = tmp_path / "p.yaml"
    path.write_text(text)
    workload, words = prepared("resnet8", CHIP, None, str(path))
    assert words is not None
    return {tensor.name: tensor.bits for tensor in workload.tensors}, words.replace(str(path), "p.yaml"), workload


def refused(tmp_path, text):
    with pytest.raises(OptionError) as caught:
        priced(tmp_path, text)
    return str(caught.value).replace(str(tmp_path / "p.yaml"), "p.yaml")


def test_a_tensor_gets_its_width_and_the_rest_the_chips(tmp_path):
    bits, words, _ = priced(tmp_path, "stage1.conv1.weight: 4\n")
    assert [name for name, width in bits.items() if width != 8] == ["stage1.conv1.weight"]
    assert bits["stage1.conv1.weight"] == 4
    assert words == "8-bit I, W, O (the model is float32); 4-bit W of 1 tensor, as 'p.yaml' says"


def test_a_pattern_sets_weights_and_the_last_entry_counts(tmp_path):
    bits, words, net = priced(tmp_path, '"*": {weights: 4}\ndense.weight: 2 bit\n')
    weights = {tensor.name for tensor in net.tensors if tensor.role == "weight"}
    narrow = {name: width for name, width in bits.items() if width != 8}
    assert narrow == dict.fromkeys(weights, 4) | {"dense.weight": 2}
    assert words.endswith("2-bit W of 1, 4-bit W of 9 tensors, as 'p.yaml' says")


def test_an_op_sets_what_it_reads_and_writes(tmp_path):
    bits, _, net = priced(tmp_path, "conv: 6\n")
    (conv,) = (op for op in net.ops if op.name == "conv")
    assert {name for name, width in bits.items() if width == 6} == {item.tensor for item in conv.operands}


def test_parts_of_an_op_are_set_apart(tmp_path):
    bits, _, net = priced(tmp_path, "conv: {weights: 3, outputs: 5}\n")
    (conv,) = (op for op in net.ops if op.name == "conv")
    assert [bits[item.tensor] for item in conv.operands] == [8, 3, 5]


def test_a_folded_node_names_the_op_that_does_it(tmp_path):
    bits, _, net = priced(tmp_path, "relu: {outputs: 5}\n")
    assert bits[net.ops[0].output.tensor] == 5


def test_views_go_with_what_they_show(tmp_path):
    bits, _, net = priced(tmp_path, "flatten_output_0: 3\n")
    (view,) = net.views
    assert bits[view.tensor] == bits[view.source] == 3


def test_a_tensor_that_folding_removed_is_noted(tmp_path):
    _, words, net = priced(tmp_path, "conv_output_0: 3\n")
    (note,) = (note for note in net.notes if note.subject == "conv_output_0")
    assert note.text.replace(str(tmp_path), "") == "folded on this chip: /p.yaml:1 sets nothing"
    assert words.endswith("; nothing, as 'p.yaml' says")


def test_everything_that_does_not_hold_is_said_at_once(tmp_path):
    text = "a: 4\nconv: 0\nconv: {weight: 4}\nconv: [4]\nconv: {inputs: 3.5}\n"
    assert refused(tmp_path, text).splitlines() == [
        "p.yaml:2: a width must be a whole number from 1 to 64, not '0'; "
        "write 'name: 4' or 'name: {weights: 4, inputs: 8}'",
        "p.yaml:3: bits must be of inputs, weights or outputs, not 'weight'; did you mean 'weights'?",
        "p.yaml:4: a width must be a whole number from 1 to 64, not ''; "
        "write 'name: 4' or 'name: {weights: 4, inputs: 8}'",
        "p.yaml:5: a width must be a whole number from 1 to 64, not '3.5'; "
        "write 'name: 4' or 'name: {weights: 4, inputs: 8}'",
    ]


def test_misspelt_names_are_all_refused_with_the_nearest(tmp_path):
    assert refused(tmp_path, "stage1.conv3: 4\n# here\nzzzz*: 4\n").splitlines() == [
        "p.yaml:1: a name must be that of an op or a tensor, not 'stage1.conv3'; did you mean 'stage1.conv2'?",
        "p.yaml:3: a name must be that of an op or a tensor, not 'zzzz*'; "
        "weft check lists them; 'conv*' stands for several",
    ]


@pytest.mark.parametrize("text", ["", "- 4\n", "4\n"])
def test_a_file_that_maps_nothing(tmp_path, text):
    assert refused(tmp_path, text) == (
        "p.yaml:1: the file must map names to bits, and there are none; "
        "write 'name: 4' or 'name: {weights: 4, inputs: 8}'"
    )


def test_a_file_that_is_no_yaml(tmp_path):
    assert refused(tmp_path, "a: 4\nb: [\n").startswith("p.yaml:")


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(OptionError, match="the file must be readable, not: "):
        read_widths(tmp_path / "absent.yaml")


def test_the_widths_reach_the_price(tmp_path):
    (tmp_path / "p.yaml").write_text("dense.weight: 4\n")
    plain = map_model("resnet8", "tpu_like", op="dense")
    narrow = map_model("resnet8", "tpu_like", op="dense", precision=str(tmp_path / "p.yaml"))
    assert dict(narrow.ops[0].problem.widths)["B"] == 4
    assert narrow.ops[0].mapped.price.energy_pj < plain.ops[0].mapped.price.energy_pj
    assert narrow.to_json()["assumed_precision"].endswith(f"4-bit W of 1 tensor, as '{tmp_path / 'p.yaml'}' says")

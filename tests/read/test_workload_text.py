"""A workload as text is the very workload when read again, and what does not hold of a text is one line each."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft import zoo
from weft.errors import ModelError
from weft.model.tensor_type import TensorType
from weft.model.workload import Axis, Note, Op, Operand, Tensor, Term, View, Workload
from weft.read import load
from weft.read.workload import index_text, parse_index, read_workload, write_workload

MODELS = Path(__file__).parents[2].parent / "shared" / "models"

TEXT = """\
workload: small
tensors:
  x: {shape: [1, 3, 8, 8], bits: 8, role: input, dtype: int8}
  w: {shape: [4, 3, 3, 3], bits: 4, role: weight, dtype: int8, type: "int4 narrow per axis 0"}
  y: {shape: [1, 4, 4, 4], bits: 8, role: intermediate, dtype: int8}
  flat: {shape: [1, 64], bits: 8, role: intermediate, dtype: int8}
  v: {shape: [64, 10], bits: 8, role: weight, dtype: int8}
  z: {shape: [1, 10], bits: 8, role: output, dtype: int8}
views:
  flat: {of: y, kind: reshape, node: Flatten_1}
ops:
  conv:
    kind: conv
    onnx: Conv
    dims: {B: 1, K: 4, C: 3, OY: 4, OX: 4, FY: 3, FX: 3}
    operands:
      I: {tensor: x, slot: I, index: [B, C, 2*OY + FY - 1, 2*OX + FX - 1]}
      W: {tensor: w, slot: W, index: [K, C, FY, FX]}
      O: {tensor: y, slot: O, index: [B, K, OY, OX]}
    folded: [Relu_1]
    nodes: [conv, Relu_1]
  fc:
    kind: gemm
    onnx: Gemm
    dims: {M: 1, N: 10, K: 64}
    operands:
      A: {tensor: flat, slot: I, index: [M, K]}
      B: {tensor: v, slot: W, index: [K, N]}
      O: {tensor: z, slot: O, index: [M, N]}
    nodes: [fc]
notes:
  - {subject: conv, text: "Relu_1 is done on the way out"}
nodes:
  - [conv, Conv]
  - [Relu_1, Relu]
  - [Flatten_1, Flatten]
  - [fc, Gemm]
"""


def again(workload: Workload, folder: Path) -> Workload:
    file = folder / "x.workload.yaml"
    file.write_text(write_workload(workload), encoding="utf-8")
    return read_workload(file)


@pytest.mark.parametrize("name", [*zoo.names()])
def test_every_library_network_is_itself_when_read_again(name, tmp_path):
    workload = load(name)
    assert again(workload, tmp_path) == workload


@pytest.mark.skipif(not MODELS.is_dir(), reason="the models lie outside the repository")
@pytest.mark.parametrize("name", ["resnet8", "ds_cnn", "fsrcnn"])
def test_networks_exported_by_others_are_themselves_too(name, tmp_path):
    workload = load(str(MODELS / f"{name}.onnx"))
    assert again(workload, tmp_path) == workload


def test_the_text_is_the_text_when_written_again(tmp_path):
    (tmp_path / "small.workload.yaml").write_text(TEXT)
    assert write_workload(read_workload(tmp_path / "small.workload.yaml")) == TEXT


def test_the_text_says_what_it_says(tmp_path):
    (tmp_path / "small.workload.yaml").write_text(TEXT)
    workload = load(str(tmp_path / "small.workload.yaml"))
    assert workload.macs == 4 * 3 * 4 * 4 * 3 * 3 + 10 * 64
    assert workload.ops[0].inputs[0].axes[2] == Axis(8, (Term("OY", 2), Term("FY")), -1)
    assert workload.tensor("w").type == TensorType("int", 4, narrow=True, scaled=True, axis=0)
    assert workload.root("flat") == "y"


names = st.text(min_size=1, max_size=20).filter(lambda text: text.isprintable() or "\n" in text) | st.sampled_from(
    [
        "no",
        "null",
        "true",
        "1",
        "1e3",
        "a: b",
        "#x",
        "- y",
        "*z",
        "'",
        '"',
        "\\",
        "a\tb",
        "~",
        "é",
        "\x85",
        "\ufeff",
        "😀",
    ]
)
axes = st.builds(
    Axis,
    st.integers(1, 99),
    st.lists(st.builds(Term, st.sampled_from(["OY", "FY", "B2", "_n"]), st.integers(1, 9)), max_size=2).map(tuple),
    st.integers(-9, 9),
    st.booleans(),
)


@given(axes)
def test_an_index_map_is_itself_when_read_again(axis):
    assert Axis(axis.size, *parse_index(index_text(axis))) == axis


@settings(max_examples=80)
@given(st.lists(names, min_size=4, max_size=4, unique=True), names)
def test_no_name_is_read_as_something_else(tmp_path_factory, four, note):
    first, second, op, node = four
    tensors = (Tensor(first, (2,), 8, "input"), Tensor(second, (2,), 8, "output"))
    operands = (
        Operand("I", "I", first, (Axis(2, (Term("N"),)),)),
        Operand("O", "O", second, (Axis(2, (Term("N"),)),)),
    )
    made = Op(op, "elementwise", node, (("N", 2),), operands, frozenset({"N"}), (note,), (node,))
    workload = Workload(note, tensors, (made,), (), (Note(node, note),), ((node, note),))
    assert again(workload, tmp_path_factory.mktemp("names")) == workload


def test_a_name_longer_than_yaml_looks_for_a_colon_is_kept(tmp_path):
    name = "layer/" * 400
    tensors = (Tensor(name, (2,), 8, "input"), Tensor("y", (2,), 8, "output"))
    operands = tuple(
        Operand(slot, slot, tensor, (Axis(2, (Term("N"),)),)) for slot, tensor in (("I", name), ("O", "y"))
    )
    workload = Workload("x", tensors, (Op(name, "copy", "Identity", (("N", 2),), operands),))
    assert again(workload, tmp_path) == workload


def test_sizes_that_are_not_the_tensors_are_kept(tmp_path):
    tensors = (Tensor("x", (9,), 8, "input"), Tensor("y", (2,), 8, "output"), Tensor("t", (2,), 8, "intermediate"))
    operands = (
        Operand("I", "I", "x", (Axis(4, (Term("N"),), 3),)),
        Operand("O", "O", "t", (Axis(2, (Term("N"),)),)),
    )
    ops = (Op("a", "copy", "Slice", (("N", 2),), operands),)
    workload = Workload("x", tensors, ops, (View("y", "t", "transpose", "T", (0,)),))
    assert again(workload, tmp_path) == workload


WRONG = {
    "a chip": (
        "workload: small",
        "name: small",
        ":1: the file must be a network in weft's text form, beginning with "
        "'workload: NAME'; a chip goes to --chip; other tools' files are read by weft import",
    ),
    "a misspelt key": (
        "    kind: conv",
        "    knd: conv",
        ":13 op 'conv': a key must be one that is known here, not 'knd'; did you mean 'kind'?",
    ),
    "a kind nobody knows": (
        "kind: gemm",
        "kind: gem",
        ":23 op 'fc': kind must be one of conv, gemm, matmul, pool, elementwise, reduce, softmax, norm, copy, not "
        "'gem'; did you mean 'gemm'?",
    ),
    "a role nobody knows": (
        "role: input",
        "role: in",
        ":3 tensor 'x': role must be one of input, weight, intermediate, output, not 'in'",
    ),
    "an element format nobody knows": (
        "int4 narrow",
        "int4 small",
        ":4 tensor 'w': type must be an element format such as int8, not 'int4 small per axis 0'",
    ),
    "a size of 0": (
        "shape: [64, 10]",
        "shape: [64, 0]",
        ":7 tensor 'v': each of shape must be a whole number of at least 1, not 0",
    ),
    "a tensor that is not there": (
        "{tensor: v,",
        "{tensor: vv,",
        ":28 op 'fc' operand 'B': tensor must be one of the tensors, not 'vv'; known: flat, v, w, x, y, z",
    ),
    "a map too few": (
        "index: [M, K]",
        "index: [M]",
        ":27 op 'fc' operand 'A': index must have one map for each of the 2 axes of 'flat', not 1",
    ),
    "a map that is no sum": (
        "2*OY + FY - 1",
        "2*OY FY",
        ":17 op 'conv' operand 'I': an index must be a sum such as 2*OY + FY - 1, not '2*OY FY'",
    ),
    "a map over another dim": (
        "2*OY + FY - 1",
        "2*OZ + FY - 1",
        ":17 op 'conv' operand 'I': an index must be over the op's dims, not 'OZ'; known: B, C, FX, FY, K, OX, OY",
    ),
    "a dim on two axes": (
        "2*OY + FY - 1",
        "2*OX + FY - 1",
        ":17 op 'conv' operand 'I': each dim must index one axis, not OX two",
    ),
    "an output that is not last": (
        "slot: O, index: [M, N]",
        "slot: W, index: [M, N]",
        ":26 op 'fc': the last operand, and only that, must have slot O",
    ),
    "a reshape that loses elements": (
        "shape: [1, 64]",
        "shape: [1, 63]",
        ":10 view 'flat': a reshape must keep 63 elements, not be of 64",
    ),
    "an op before what it reads": (
        "of: y,",
        "of: z,",
        ":10 view 'flat': a reshape must keep 64 elements, not be of 10",
    ),
    "a key that stands twice": (
        "  v: {shape",
        "  x: {shape: [1], bits: 8, role: input}\n  v: {shape",
        ":7: a key must stand once, not again as 'x'; it is given in line 3 already: rename or drop one",
    ),
    "a tensor that nothing makes": (
        "role: input",
        "role: intermediate",
        ":12 op 'conv' operand 'I': an op must stand after those that make what it reads, and nothing before it makes "
        "'x'",
    ),
    "a node that is none": ("[fc, Gemm]", "[fc]", ":37: a node must read [NAME, OPERATOR]"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_hold_is_one_line(name, tmp_path, monkeypatch):
    old, new, line = WRONG[name]
    assert old in TEXT
    monkeypatch.chdir(tmp_path)
    Path("s.workload.yaml").write_text(TEXT.replace(old, new, 1))
    with pytest.raises(ModelError) as refused:
        load("s.workload.yaml")
    assert str(refused.value).splitlines()[0] == f"s.workload.yaml{line}"


def test_several_problems_come_together(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("s.workload.yaml").write_text(TEXT.replace("bits: 4", "bits: x").replace("role: output", "role: out"))
    with pytest.raises(ModelError) as refused:
        load("s.workload.yaml")
    assert [line.split(":")[1].split()[0] for line in str(refused.value).splitlines()] == ["4", "8"]


def test_two_ops_of_one_name_cannot_be_written():
    operands = tuple(Operand(slot, slot, tensor, (Axis(2, (Term("N"),)),)) for slot, tensor in (("I", "x"), ("O", "y")))
    op = Op("a", "copy", "Identity", (("N", 2),), operands)
    workload = Workload("x", (Tensor("x", (2,), 8, "input"), Tensor("y", (2,), 8, "output")), (op, op))
    with pytest.raises(ModelError, match="x: each op must have a name of its own, not 'a' again"):
        write_workload(workload)


def test_dims_are_refused_as_the_text_has_sizes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("s.workload.yaml").write_text(TEXT)
    with pytest.raises(ModelError) as refused:
        load("s.workload.yaml", {"batch": 2})
    assert str(refused.value) == (
        "s.workload.yaml: --dim must name a symbolic dim of the model, not 'batch'; "
        "leave it out: every size of a network's text form is fixed"
    )


def test_a_text_runs_as_the_network_it_was_written_from(tmp_path):
    from weft.run import map_model

    file = tmp_path / "resnet8.workload.yaml"
    file.write_text(write_workload(load("resnet8")))
    mine, theirs = (map_model(model, "tpu_like").to_json() for model in (str(file), "resnet8"))
    for result in (mine, theirs):
        del result["model"], result["cpu_seconds"]
    assert json.dumps(mine) == json.dumps(theirs)

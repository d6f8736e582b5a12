"""ZigZag's layers become ops whose index maps are the equations', joined by their sources."""

from pathlib import Path

import pytest

from weft.errors import UserError
from weft.model.workload import Workload
from weft.read import load
from weft.read.foreign import import_zigzag
from weft.read.workload import index_text

LAYERS = """\
- id: 4
  name: fc
  operator_type: Gemm
  equation: O[b][k]+=W[k][c]*I[b][c]
  loop_dims: [B, K, C]
  loop_sizes: [1, 10, 8]
  operand_precision: {W: 4, I: 8, O: 24, O_final: 8}
  operand_source: {W: 4, I: 3}
- id: 0
  name: conv
  operator_type: Conv
  equation: O[b][g][k][oy][ox]+=W[g][k][c][fy][fx]*I[b][g][c][iy][ix]
  dimension_relations: [ix=2*ox+1*fx, iy=2*oy+1*fy]
  loop_dims: [B, K, G, OX, OY, C, FX, FY]
  loop_sizes: [1, 8, 1, 16, 16, 3, 3, 3]
  operand_precision: {W: 8, I: 8, O: 16, O_final: 8}
  operand_source: {W: 0, I: -1}
  pr_loop_dims: [IX, IY]
  pr_loop_sizes: [32, 32]
  padding: [[1, 0], [1, 0]]
- id: 1
  name: dw
  operator_type: Conv
  equation: O[b][g][k][oy][ox]+=W[g][k][c][fy][fx]*I[b][g][c][iy][ix]
  dimension_relations: [ix=1*ox+1*fx, iy=1*oy+1*fy]
  loop_dims: [B, K, G, OX, OY, C, FX, FY]
  loop_sizes: [1, 1, 8, 16, 16, 1, 3, 3]
  operand_precision: {W: 8, I: 8, O: 16, O_final: 8}
  operand_source: {W: 1, I: 0}
  pr_loop_dims: [IX, IY]
  padding: [[1, 1], [1, 1]]
- id: 2
  operator_type: Add
  equation: O[b][g][oy][ox]=X[b][g][oy][ox]+Y[b][g][oy][ox]
  loop_dims: [B, G, OY, OX]
  loop_sizes: [1, 8, 16, 16]
  operand_precision: {X: 8, Y: 8, O: 16, O_final: 6}
  operand_source: {X: 0, Y: 1}
- id: 3
  name: pool
  operator_type: Pooling
  equation: O[b][g][oy][ox]+=W[fy][fx]*I[b][g][iy][ix]
  dimension_relations: [ix=16*ox+1*fx, iy=16*oy+1*fy]
  loop_dims: [B, G, OY, OX, FY, FX]
  loop_sizes: [1, 8, 1, 1, 16, 16]
  operand_precision: {W: 0, I: 8, O: 16, O_final: 8}
  operand_source: {W: 3, I: 2}
"""


def imported(folder: Path, text: str = LAYERS) -> Workload:
    (folder / "net.yaml").write_text(text)
    (folder / "net.workload.yaml").write_text(import_zigzag(folder / "net.yaml"))
    return load(str(folder / "net.workload.yaml"))


def test_layers_stand_after_those_they_read(tmp_path):
    workload = imported(tmp_path)
    assert [(op.name, op.kind) for op in workload.ops] == [
        ("conv", "conv"),
        ("dw", "conv"),
        ("Layer2", "elementwise"),
        ("pool", "pool"),
        ("fc", "gemm"),
    ]
    assert workload.macs == 8 * 16 * 16 * 3 * 3 * 3 + 8 * 16 * 16 * 3 * 3 + 10 * 8


def test_relations_and_padding_become_index_maps(tmp_path):
    conv = imported(tmp_path).ops[0]
    assert [index_text(axis) for axis in conv.inputs[0].axes] == ["B", "G", "C", "2*OY + FY - 1", "2*OX + FX - 1"]
    assert [axis.size for axis in conv.inputs[0].axes] == [1, 1, 3, 32, 32]
    assert [index_text(axis) for axis in conv.inputs[1].axes] == ["G", "K", "C", "FY", "FX"]


def test_matrix_products_take_the_letters_m_n_k(tmp_path):
    fc = imported(tmp_path).ops[-1]
    assert fc.size == {"M": 1, "N": 10, "K": 8}
    assert [index_text(axis) for operand in fc.operands for axis in operand.axes] == ["M", "K", "N", "K", "M", "N"]


def test_elementwise_operators_and_pools_take_channels_as_groups(tmp_path):
    channels = LAYERS.replace("O[b][g][oy][ox]=X[b][g][oy][ox]+Y", "O[b][c][oy][ox]=X[b][c][oy][ox]+Y").replace(
        "Y[b][g][oy][ox]\n  loop_dims: [B, G,", "Y[b][c][oy][ox]\n  loop_dims: [B, C,"
    )
    add = next(op for op in imported(tmp_path, channels).ops if op.kind == "elementwise")
    assert add.size == {"B": 1, "G": 8, "OY": 16, "OX": 16}


def test_precisions_are_those_of_the_layers_and_differences_are_noted(tmp_path):
    workload = imported(tmp_path)
    assert workload.tensor("fc.B").bits == 4
    assert workload.tensor("Layer2.O").bits == 6
    notes = [(note.subject, note.text) for note in workload.notes]
    assert ("network", "partial sums of 16, 24 bit: the accumulators of cores count") in notes
    assert ("pool", "reads 8 bit of Layer2.O, which has 6: those count") in notes


def test_a_pool_reads_its_input_alone(tmp_path):
    workload = imported(tmp_path)
    pool = next(op for op in workload.ops if op.kind == "pool")
    assert [operand.name for operand in pool.operands] == ["I", "O"]
    assert ("pool", "the window is no operand: a pool reads its input alone") in [
        (note.subject, note.text) for note in workload.notes
    ]


def test_other_shapes_of_the_same_elements_are_views(tmp_path):
    workload = imported(tmp_path)
    assert {view.tensor: view.source for view in workload.views} == {
        "dw.I.view": "conv.O",
        "Layer2.I.view": "conv.O",
        "Layer2.I2.view": "dw.O",
        "fc.A.view": "pool.O",
    }
    assert ("fc", "reads pool.O as another shape, in row-major order") in [
        (note.subject, note.text) for note in workload.notes
    ]


def test_roles_follow_from_sources(tmp_path):
    workload = imported(tmp_path)
    assert {tensor.name: tensor.role for tensor in workload.tensors if tensor.role != "intermediate"} == {
        "conv.I": "input",
        "conv.W": "weight",
        "dw.W": "weight",
        "fc.B": "weight",
        "fc.O": "output",
    }


def test_a_strided_layer_may_leave_a_margin_of_its_input(tmp_path):
    strided = LAYERS + (
        "- {id: 9, name: skip, operator_type: Conv, equation: 'O[b][k][oy][ox]+=W[k][c]*I[b][c][iy][ix]',\n"
        "   dimension_relations: [ix=2*ox+1*fx, iy=2*oy+1*fy], loop_dims: [B, K, C, OY, OX, FY, FX],\n"
        "   loop_sizes: [1, 4, 8, 8, 8, 1, 1], operand_precision: {W: 8, I: 6, O: 16, O_final: 8},\n"
        "   operand_source: {W: 9, I: 2}}\n"
    )
    skip = imported(tmp_path, strided).ops[-1]
    assert skip.name == "skip"
    # 8 outputs with stride 2 reach 15 of the 16 rows.
    assert [axis.size for axis in skip.inputs[0].axes] == [1, 8, 16, 16]
    assert skip.inputs[0].tensor == "Layer2.O"


def test_two_layers_of_one_name_are_told_apart_by_id(tmp_path):
    workload = imported(tmp_path, LAYERS.replace("name: dw", "name: conv"))
    assert [op.name for op in workload.ops][:2] == ["conv_0", "conv_1"]


def test_the_result_runs_with_proof(tmp_path):
    from weft.run import RunResult, run

    imported(tmp_path)
    result = run(str(tmp_path / "net.workload.yaml"), "tpu_like", budget=1)
    assert isinstance(result, RunResult)
    assert result.proof.ok
    assert result.assumed_precision is None


WRONG = {
    "a misspelt key": (
        "  loop_sizes: [1, 10, 8]",
        "  loopsizes: [1, 10, 8]",
        "net.yaml:6 layer: a key must be one that is known here, not 'loopsizes'; did you mean 'loop_sizes'?",
    ),
    "an operator nobody knows": (
        "operator_type: Gemm",
        "operator_type: Gem",
        "net.yaml:3 layer 'fc': operator_type must be one of Conv, Conv_downsample, Gemm, Pooling, Pool, MaxPool, "
        "AveragePool, GlobalAveragePool, Add, Max, not 'Gem'; did you mean 'Gemm'?",
    ),
    "sizes for other dims": (
        "loop_sizes: [1, 10, 8]",
        "loop_sizes: [1, 10]",
        "net.yaml:6 layer 'fc': loop_sizes must be one for each of 3 loop_dims, not 2",
    ),
    "an equation that is none": (
        "O[b][k]+=W[k][c]*I[b][c]",
        "O[b][k]=W[k][c]",
        "net.yaml:4 layer 'fc': an equation must read O[..]+=A[..]*B[..], not 'O[b][k]=W[k][c]'; "
        "for example O[b][k][oy][ox]+=W[k][c][fy][fx]*I[b][c][iy][ix]",
    ),
    "an index of no loop": (
        "O[b][k]+=W[k][c]*I[b][c]",
        "O[b][k]+=W[k][c]*I[b][d]",
        "net.yaml:4 layer 'fc': an index must be one of the loop_dims or given by a relation, not 'd'; known: B, C, K",
    ),
    "a relation over no loop": (
        "ix=2*ox+1*fx",
        "ix=2*ox+1*fz",
        "net.yaml:13 layer 'conv': a relation must be over the loop_dims, not 'FZ'; known: B, C, FX, FY, G, K, OX, OY",
    ),
    "a source that is not there": (
        "operand_source: {W: 4, I: 3}",
        "operand_source: {W: 4, I: 7}",
        "net.yaml:1 layer 'fc': what a layer reads must come from a layer of the file, and there is none with id 7; "
        "a source below 0 is the network's input, the layer's own id a constant",
    ),
    "a circle": (
        "operand_source: {W: 0, I: -1}",
        "operand_source: {W: 0, I: 4}",
        "net.yaml:1 layer 'fc': layers must not wait for each other in a circle, as fc, conv, dw, Layer2 do",
    ),
    "a repeated id": (
        "- id: 3\n",
        "- id: 2\n",
        "net.yaml:39 layer 'pool': a layer must have an id of its own, not 2 again",
    ),
    "shapes that do not join": (
        "loop_sizes: [1, 10, 8]",
        "loop_sizes: [1, 10, 16]",
        "net.yaml:1 layer 'fc': what a layer reads must be what its source makes, and I is 1 x 16 where 'pool' makes "
        "1 x 8 x 1 x 1; give padding and pr_loop_sizes, or the layer between them",
    ),
    "padding for other dims": (
        "padding: [[1, 0], [1, 0]]",
        "padding: [[1, 0]]",
        "net.yaml:20 layer 'conv': padding must be one for each of 2 pr_loop_dims, not 1",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_hold_is_one_line(name, tmp_path, monkeypatch):
    old, new, line = WRONG[name]
    assert old in LAYERS
    monkeypatch.chdir(tmp_path)
    Path("net.yaml").write_text(LAYERS.replace(old, new, 1))
    with pytest.raises(UserError) as refused:
        import_zigzag(Path("net.yaml"))
    assert str(refused.value) == line


def test_a_mapping_file_does_not_go_with_layers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("net.yaml").write_text(LAYERS)
    with pytest.raises(UserError) as refused:
        import_zigzag(Path("net.yaml"), Path("map.yaml"))
    assert str(refused.value) == (
        "net.yaml: a mapping file must come with an accelerator, not with layers; "
        "weft finds the mapping of each layer: weft map MODEL --chip CHIP"
    )

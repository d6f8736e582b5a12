"""What exported programs turn into: loops, multiplications, names, notes; and the same as from ONNX."""

from __future__ import annotations

from pathlib import Path

import pytest
from interpret import make_model, random
from onnx import helper

from weft.model.workload import MAC_KINDS
from weft.read import load
from weft.read.fold import fold
from weft.read.onnx import read_model

FILES = Path(__file__).parent.parent / "data" / "pt2"
node = helper.make_node


def read(name, **dims):
    return load(str(FILES / f"{name}.pt2"), dims)


def loops(workload):
    return [str(op) for op in workload.ops]


def products(workload):
    """Multiplications of every op that accumulates them."""
    return [op.macs for op in workload.ops if op.kind in MAC_KINDS]


CNN = [
    "conv2d conv B2 G1 K8 C3 OY16 OX16 FY3 FX3",
    "batch_norm elementwise B2 G8 OY16 OX16",
    "relu elementwise B2 G8 OY16 OX16",
    "max_pool2d pool B2 G8 OY8 OX8 FY3 FX3",
    "conv2d_1 conv B2 G1 K12 C8 OY4 OX4 FY3 FX3",
    "relu6 elementwise B2 G12 OY4 OX4",
    "conv2d_2 conv B2 G2 K3 C6 OY4 OX4 FY3 FX3",
    "adaptive_avg_pool2d pool B2 G6 OY1 OX1 FY4 FX4",
    "linear gemm M2 N5 K6",
]


def test_a_network_of_convolutions_has_the_loops_of_its_layers():
    workload = read("cnn", x_0=2)
    assert loops(workload) == CNN
    stem, down, wide, head = 8 * 3 * 9 * 16 * 16, 12 * 8 * 9 * 4 * 4, 2 * 3 * 6 * 9 * 4 * 4, 6 * 5
    assert workload.macs == 2 * (stem + down + wide + head)
    assert workload.name == "cnn"


def test_the_same_network_as_onnx_has_the_same_ops():
    same = {"kernel_shape": [3, 3], "pads": [2, 2, 2, 2], "dilations": [2, 2], "group": 2}
    model = make_model(
        [
            node("Conv", ["x", "w1"], ["a"], name="conv2d", pads=[1, 1, 1, 1]),
            node("BatchNormalization", ["a", "s", "s", "s", "s"], ["b"], name="batch_norm"),
            node("Relu", ["b"], ["c"], name="relu"),
            node("MaxPool", ["c"], ["d"], name="max_pool2d", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
            node("Conv", ["d", "w2"], ["e"], name="conv2d_1", pads=[1, 1, 1, 1], strides=[2, 2]),
            node("Clip", ["e", "low", "high"], ["f"], name="relu6"),
            node("Conv", ["f", "w3"], ["g"], name="conv2d_2", **same),
            node("GlobalAveragePool", ["g"], ["h"], name="adaptive_avg_pool2d"),
            node("Flatten", ["h"], ["i"], name="flatten"),
            node("Gemm", ["i", "w4"], ["y"], name="linear", transB=1),
        ],
        {"x": [2, 3, 16, 16]},
        {"y": None},
        {
            "w1": random(8, 3, 3, 3),
            "w2": random(12, 8, 3, 3),
            "w3": random(6, 6, 3, 3),
            "w4": random(5, 6),
            "s": random(8),
            "low": random(),
            "high": random(),
        },
    )
    twin, workload = read_model(model), read("cnn", x_0=2)
    assert loops(workload) == loops(twin)
    for op, other in zip(workload.ops, twin.ops, strict=True):
        assert (op.kind, op.onnx, op.macs) == (other.kind, other.onnx, other.macs)
        assert [(o.name, o.slot, o.axes) for o in op.operands] == [(o.name, o.slot, o.axes) for o in other.operands]


def test_resnet_18_of_torchvision_is_the_library_s_but_for_batch_normalisation():
    """The library's has it folded into the convolutions, as every chip of the library does."""
    exported = fold(read("resnet18"), frozenset({"BatchNormalization"}))
    library = load("resnet18")
    assert [(op.kind, op.onnx, op.dims) for op in exported.ops] == [(op.kind, op.onnx, op.dims) for op in library.ops]
    assert exported.macs == library.macs == 1_814_073_344


@pytest.mark.parametrize(
    ("name", "dims"),
    [("cnn", {"x_0": 1}), ("mobile", {}), ("unet", {}), ("vit", {}), ("llama", {"x_0": 2, "x_1": 5}), ("half", {})],
)
def test_products_are_the_same_before_and_after_decomposition(name, dims):
    assert products(read(name, **dims)) == products(read(f"{name}.core", **dims))


def test_a_mobile_block_in_place_is_a_chain_that_loses_nothing():
    workload = read("mobile")
    pixels = 8 * 8
    expand, depth, project = 6 * 12 * pixels, 12 * 25 * pixels, 12 * 6 * pixels
    assert workload.macs == expand + depth + 12 * 4 + 4 * 12 + project
    kinds = [op.onnx for op in workload.ops]
    assert kinds[-4:] == ["Add", "Relu", "AveragePool", "ReduceMean"]
    assert {o.tensor for o in workload.ops[-4].inputs} == {"dropout", "x"}


def test_a_decoder_block_costs_what_its_matrices_do_at_any_length():
    for batch, length in ((1, 6), (3, 40)):
        workload = read("llama", x_0=batch, x_1=length)
        weights = 16 * 16 + 2 * 16 * 8 + 16 * 16 + 3 * 16 * 24
        attention = 2 * 4 * length * length * 4  # two products, 4 heads of 4
        assert workload.macs == batch * (length * weights + attention)


def test_shared_heads_are_broadcast_and_not_copied():
    scores = next(op for op in read("half").ops if op.name == "scaled_dot_product_attention.scores")
    assert dict(scores.dims) == {"B": 1, "B2": 2, "M2": 2, "M": 5, "N": 5, "K": 2}  # two groups of two heads
    key = scores.operands[1]
    assert "M2" not in key.dims  # the same for both heads of a group


def test_transposed_and_spatial_convolutions():
    workload = read("volume")
    by_name = {op.name: op for op in workload.ops}
    assert str(by_name["conv1d"]) == "conv1d conv B1 G1 K6 C4 OX8 FX3"
    assert str(by_name["conv3d"]) == "conv3d conv B1 G1 K3 C2 OZ2 OY4 OX4 FZ3 FY3 FX3"
    line, cube = 6 * 4 * 3 * 8, 3 * 2 * 27 * 2 * 4 * 4
    wide, deep = 8 * 2 * 2 * 3 * 4, 1 * 2 * 2 * 3 * 2 * 8  # inputs x groups x kernel, exactly
    assert workload.macs == line + cube + wide + deep


def test_everything_else_is_read_and_multiplies_only_where_it_is_a_product():
    workload = read("mixture")
    bmm, addmm, baddbmm = 4 * 4 * 6, 6 * 6 * 4, 4 * 4 * 4
    assert workload.macs == bmm + addmm + baddbmm


def test_an_lstm_is_read_once_it_is_decomposed():
    assert read("memory.core").macs == 3 * (4 * 16 + 4 * 16)  # three steps, input and state to four gates of four


def test_weights_are_parameters_of_their_type():
    workload = read("half")
    weights = {t.name: (t.shape, t.dtype, t.bits) for t in workload.tensors if t.role == "weight"}
    assert weights["p_q_weight"] == ((8, 8), "float16", 16)


@pytest.mark.parametrize(("name", "product"), [("quantised", "linear"), ("quantised.core", "mm")])
def test_a_quantised_program_keeps_its_widths(name, product):
    workload = read(name)
    bits = {tensor.name: tensor.bits for tensor in workload.tensors}
    operands = {op.name: [bits[operand.tensor] for operand in op.inputs] for op in workload.ops}
    assert operands["conv2d" if name == "quantised" else "convolution"] == [8, 8]
    assert operands[product] == [8, 4]  # the range of the weights is that of four bits


def test_what_the_export_left_behind_is_said():
    texts = [f"{note.subject}: {note.text}" for note in read("llama", x_0=1, x_1=6).notes]
    assert texts[:4] == [
        "llama: exported by PyTorch 2.13.0+cpu",
        "program: 5 calls left out that compute sizes or check them",
        "arange: aten.arange.default read as a constant of [6]",
        "full: aten.full.default read as a constant of [6, 6]",
    ]


def test_a_masked_attention_says_that_masked_scores_are_computed():
    texts = [note.text for note in read("half").notes]
    assert "scores that a mask by position hides (causal) are computed and count like others" in texts


def test_parts_written_in_place_are_read_once_they_are_explicit():
    workload = read("written.core")
    copies = [op for op in workload.ops if op.onnx == "Concat"]
    assert [op.name for op in copies] == [
        f"{name}.{i}" for name, n in (("slice_scatter", 2), ("slice_scatter_1", 3)) for i in range(n)
    ]

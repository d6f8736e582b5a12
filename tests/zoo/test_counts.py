"""MACs and parameters of the library's networks against published counts, difference by difference.

A batch normalisation has a scale and a shift per channel. Folded, they are one bias: the network here has one value
per normalised channel less than where it is counted unfolded.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from weft import zoo
from weft.read import load

SHARED = Path(__file__).parents[3] / "shared"
TINY = {
    "resnet8": "resnet8_ic",
    "ds_cnn": "dscnn_kws",
    "mobilenet_v1_025": "mobilenetv1_vww",
    "deepautoencoder": "toyadmos_ad",
}
"""Our names and those of MLPerf Tiny's layer table."""


def kinds(name):
    return Counter(op.kind for op in load(name).ops)


def parameters(name):
    return zoo.parameters(zoo.build(name, values=False))


def normalised_channels(name):
    """Output channels of all convolutions: each has a batch normalisation in the networks that this is asked of."""
    return sum(op.size["G"] * op.size["K"] for op in load(name).ops if op.kind == "conv")


def test_parameters_are_weights_and_biases_and_no_scalars_or_shapes():
    names = {tensor.name for tensor in zoo.build("resnet20", values=False).graph.initializer}
    assert {"zero", "every_other", "pad_16"} <= names
    weights = 16 * 3 * 9 + 6 * 16 * 16 * 9 + 32 * 9 * (16 + 5 * 32) + 64 * 9 * (32 + 5 * 64) + 64 * 10
    biases = 7 * 16 + 6 * 32 + 6 * 64 + 10
    assert parameters("resnet20") == weights + biases


def test_resnet8_has_the_multiplications_and_parameters_of_mlperf_tiny():
    stem = 32 * 32 * 16 * 3 * 9
    first = 2 * 32 * 32 * 16 * 16 * 9
    second = 16 * 16 * 32 * (16 * 9 + 32 * 9 + 16)
    third = 8 * 8 * 64 * (32 * 9 + 64 * 9 + 32)
    assert load("resnet8").macs == stem + first + second + third + 64 * 10 == 12_501_632
    assert parameters("resnet8") == 77_706
    assert kinds("resnet8") == {"conv": 9, "elementwise": 10, "pool": 1, "gemm": 1, "softmax": 1}


def test_ds_cnn_has_the_multiplications_and_parameters_of_mlperf_tiny():
    block = 25 * 5 * 64 * (9 + 64)
    assert load("ds_cnn").macs == 25 * 5 * 64 * 40 + 4 * block + 64 * 12 == 2_656_768
    assert parameters("ds_cnn") == 64 * 40 + 64 + 4 * (64 * (9 + 1) + 64 * (64 + 1)) + 64 * 12 + 12 == 22_604
    assert kinds("ds_cnn") == {"conv": 9, "elementwise": 9, "pool": 1, "gemm": 1, "softmax": 1}


def test_mobilenet_v1_025_has_the_multiplications_and_parameters_of_mlperf_tiny():
    assert load("mobilenet_v1_025").macs == separable_macs(48, 8) + 256 * 2 == 7_489_664
    assert parameters("mobilenet_v1_025") == 210_850
    assert kinds("mobilenet_v1_025") == {"conv": 27, "elementwise": 27, "pool": 1, "gemm": 1, "softmax": 1}


def test_the_deep_autoencoder_has_the_multiplications_and_parameters_of_mlperf_tiny():
    macs = 2 * 640 * 128 + 6 * 128 * 128 + 2 * 128 * 8
    assert load("deepautoencoder").macs == macs == 264_192
    assert parameters("deepautoencoder") == macs + 8 * 128 + 8 + 640 == 265_864
    assert kinds("deepautoencoder") == {"gemm": 10, "elementwise": 9}


@pytest.mark.parametrize("name", TINY)
def test_every_layer_of_mlperf_tiny_has_its_published_shape(name):
    if not SHARED.is_dir():
        pytest.skip("the table of layers is not here")
    table = json.loads((SHARED / "facts" / "mlperf_tiny_layers.json").read_text())[TINY[name]]
    want = [layer for layer in table["layers"] if layer["op"].endswith(("CONV_2D", "FULLY_CONNECTED"))]
    products = [op for op in load(name).ops if op.kind in ("conv", "gemm")]
    assert [op.macs for op in products] == [layer["macs"] for layer in want]
    convolutions = [node for node in zoo.build(name, values=False).graph.node if node.op_type == "Conv"]
    pads = [list(a.ints) for node in convolutions for a in node.attribute if a.name == "pads"]
    assert pads == [layer["pads_onnx_tlbr"] for layer in want if "pads_onnx_tlbr" in layer]
    assert load(name).macs == table["total_macs"]
    assert parameters(name) == table["total_params_incl_bias"]


@pytest.mark.parametrize("name", ["resnet8", "mobilenet_v1_025", "deepautoencoder", "ds_cnn"])
def test_the_files_that_others_exported_read_as_the_same_loops(name):
    file = SHARED / "models" / f"{name.removesuffix('_025')}.onnx"
    if not file.is_file():
        pytest.skip("the exported files are not here")
    ours, theirs = (
        [(op.kind, op.dims) for op in load(model).ops if op.kind in ("conv", "gemm", "pool", "softmax")]
        for model in (name, str(file))
    )
    assert ours == theirs


def test_resnet18_has_the_multiplications_and_parameters_of_torchvision():
    convolutions = 112 * 112 * 64 * 3 * 49 + 4 * 56 * 56 * 64 * 64 * 9
    for size, width in ((28, 128), (14, 256), (7, 512)):
        half = width // 2
        convolutions += size * size * width * (half * 9 + 3 * width * 9 + half)
    assert load("resnet18").macs == convolutions + 512 * 1000 == 1_814_073_344
    assert parameters("resnet18") + normalised_channels("resnet18") == 11_689_512
    assert kinds("resnet18") == {"conv": 20, "elementwise": 25, "pool": 2, "gemm": 1}


def test_resnet50_has_the_multiplications_and_parameters_of_torchvision():
    convolutions = 112 * 112 * 64 * 3 * 49
    inputs, size = 64, 56
    for width, blocks in ((64, 3), (128, 4), (256, 6), (512, 3)):
        before, size = size * size, size if width == 64 else size // 2
        after = size * size
        convolutions += before * inputs * width + after * width * (9 * width + 4 * width + 4 * inputs)
        convolutions += (blocks - 1) * after * width * (4 * width + 9 * width + 4 * width)
        inputs = 4 * width
    assert load("resnet50").macs == convolutions + 2048 * 1000 == 4_089_184_256
    assert parameters("resnet50") + normalised_channels("resnet50") == 25_557_032
    assert kinds("resnet50") == {"conv": 53, "elementwise": 49 + 16, "pool": 2, "gemm": 1}


def test_resnet20_has_the_multiplications_of_its_nineteen_convolutions_and_no_weights_in_shortcuts():
    per_stage = 32 * 32 * 16 * 16 * 9  # the same in each: a quarter of the pixels, four times the channel pairs
    convolutions = 32 * 32 * 16 * 3 * 9 + 6 * per_stage + 2 * (5 * per_stage + per_stage // 2)
    assert convolutions == 40_550_400  # as the published model of DIANA's cycles counts it, without the linear layer
    assert load("resnet20").macs == convolutions + 64 * 10
    assert parameters("resnet20") + normalised_channels("resnet20") == 269_722  # "0.27M" in table 6 of the paper
    assert kinds("resnet20") == {"conv": 19, "elementwise": 19 + 9, "copy": 2 * 2, "pool": 1, "gemm": 1}


def separable_macs(size, stem):
    """Multiplications of a MobileNetV1 whose stem makes `size` x `size` pixels of `stem` channels."""
    macs = size * size * stem * 3 * 9
    inputs = stem
    for widening, stride in ((2, 1), (4, 2), (4, 1), (8, 2), (8, 1), (16, 2), *[(16, 1)] * 5, (32, 2), (32, 1)):
        size //= stride
        macs += size * size * inputs * (9 + stem * widening)
        inputs = stem * widening
    return macs


def test_mobilenet_v1_has_the_published_multiplications_and_parameters():
    macs = load("mobilenet_v1").macs
    assert macs == separable_macs(112, 32) + 1024 * 1000 == 568_740_352
    assert round(macs / 1e6) == 569  # table 8 of the paper
    unfolded = parameters("mobilenet_v1") + normalised_channels("mobilenet_v1")
    assert unfolded == 4_231_976
    assert round(unfolded / 1e6, 1) == 4.2  # table 8 of the paper
    assert kinds("mobilenet_v1") == {"conv": 27, "elementwise": 27, "pool": 1, "gemm": 1}


def test_mobilenet_v2_has_the_published_multiplications_and_parameters():
    assert load("mobilenet_v2").macs == 300_774_272  # "300 M" in table 4 of the paper; torchvision's count
    depthwise = [op for op in load("mobilenet_v2").ops if op.kind == "conv" and op.size["G"] > 1]
    assert len(depthwise) == 17
    assert all(op.size["K"] == op.size["C"] == 1 for op in depthwise)
    assert parameters("mobilenet_v2") + normalised_channels("mobilenet_v2") == 3_504_872


def test_alexnet_has_the_multiplications_and_parameters_of_torchvision():
    features = 55 * 55 * 64 * 3 * 121 + 27 * 27 * 192 * 64 * 25 + 13 * 13 * 9 * (384 * 192 + 256 * 384 + 256 * 256)
    classifier = 256 * 36 * 4096 + 4096 * 4096 + 4096 * 1000
    assert load("alexnet").macs == features + classifier == 714_188_480
    assert parameters("alexnet") == 61_100_840
    assert kinds("alexnet") == {"conv": 5, "elementwise": 7, "pool": 3, "gemm": 3}
    assert sum("Dropout" in note.text for note in load("alexnet").notes) == 2


def test_vgg16_has_the_multiplications_and_parameters_of_torchvision():
    macs = 224 * 224 * 9 * (3 * 64 + 64 * 64) + 512 * 49 * 4096 + 4096 * 4096 + 4096 * 1000
    for size, half, width, count in ((112, 64, 128, 2), (56, 128, 256, 3), (28, 256, 512, 3)):
        macs += size * size * 9 * width * (half + (count - 1) * width)
    macs += 3 * 14 * 14 * 9 * 512 * 512
    assert load("vgg16").macs == macs == 15_470_264_320
    assert parameters("vgg16") == 138_357_544
    assert kinds("vgg16") == {"conv": 13, "elementwise": 15, "pool": 5, "gemm": 3}


def test_squeezenet_has_the_multiplications_and_parameters_of_torchvision():
    macs = 111 * 111 * 64 * 3 * 9 + 13 * 13 * 512 * 1000
    inputs = 64
    for size, fires in (
        (55, ((16, 64), (16, 64))),
        (27, ((32, 128), (32, 128))),
        (13, ((48, 192), (48, 192), (64, 256), (64, 256))),
    ):
        for squeezed, expanded in fires:
            macs += size * size * squeezed * (inputs + expanded * (1 + 9))
            inputs = 2 * expanded
    assert load("squeezenet").macs == macs == 349_151_936
    assert parameters("squeezenet") == 1_235_496
    assert kinds("squeezenet") == {"conv": 26, "elementwise": 26, "copy": 8 * 2, "pool": 4}


def test_tiny_yolo_has_the_published_operations_and_parameters():
    equal = 208 * 208 * 9 * 16 * 32  # layers 2 to 6: a quarter of the pixels, four times the channel pairs
    macs = 416 * 416 * 9 * 3 * 16 + 5 * equal + 13 * 13 * (9 * 512 * 1024 + 9 * 1024 * 1024 + 1024 * 125)
    assert load("tiny_yolo").macs == macs
    assert round(2 * macs / 1e9, 2) == 6.97  # Darknet's page of models, where an addition is an operation, too
    assert round(parameters("tiny_yolo") / 1e6, 4) == 15.8587  # OpenVINO's page of the same network, folded
    assert kinds("tiny_yolo") == {"conv": 9, "elementwise": 8, "pool": 6}


def test_fsrcnn_has_the_multiplications_of_its_eight_layers_per_pixel():
    taps = 56 * 25 + 12 * 56 + 4 * 12 * 12 * 9 + 56 * 12 + 16 * 56 * 9
    assert load("fsrcnn").macs == 540 * 960 * taps == 8_290_252_800
    slopes_and_biases = 2 * (56 + 12 + 4 * 12 + 56) + 16
    assert parameters("fsrcnn") == taps + slopes_and_biases
    assert kinds("fsrcnn") == {"conv": 8, "elementwise": 7}


def test_vit_tiny_has_the_multiplications_and_parameters_of_its_twelve_layers():
    tokens, width = 1 + 196, 192
    layer = tokens * 12 * width * width + 2 * tokens * tokens * width
    assert load("vit_tiny").macs == 196 * 3 * 16 * 16 * width + 12 * layer + width * 1000 == 1_253_683_200
    weights = 12 * width * width + (3 + 1 + 4 + 1) * width + 2 * 2 * width
    outside = 3 * 16 * 16 * width + width + (1 + tokens) * width + 2 * width + 1000 * width + 1000
    assert parameters("vit_tiny") == 12 * weights + outside == 5_717_416  # timm's count of deit_tiny_patch16_224
    got = kinds("vit_tiny")
    assert got["matmul"] == 12 * 6
    assert got["softmax"] == 12
    assert got["norm"] == 25
    assert got["copy"] == 2 + 12 * 3 + 1  # class token, then patches; queries, keys, values; the class at the end


def test_bert_layer_has_the_multiplications_of_its_products_and_a_twelfth_of_the_parameters():
    tokens, width = 128, 768
    macs = tokens * (4 + 2 * 4) * width * width + 2 * tokens * tokens * width
    assert load("bert_layer").macs == macs == 931_135_488
    embeddings = (30_522 + 512 + 2) * width + 2 * width
    pooler = width * width + width
    assert 12 * parameters("bert_layer") + embeddings + pooler == 109_482_240  # bert-base-uncased
    assert kinds("bert_layer")["matmul"] == 8


@pytest.mark.parametrize(("name", "tokens", "keys"), [("prefill", 512, 512), ("decode", 1, 1025)])
def test_a_llama_block_has_the_multiplications_of_its_products_and_a_sixteenth_of_the_parameters(name, tokens, keys):
    width, hidden, kv = 2048, 8192, 8 * 64
    weights = 2 * width * width + 2 * width * kv + 3 * width * hidden
    assert load(f"llama_block_{name}").macs == tokens * weights + 2 * tokens * keys * width
    block = parameters(f"llama_block_{name}")
    assert block == weights + 2 * width
    assert 16 * block + 128_256 * width + width == 1_235_814_400  # Llama 3.2 1B: embedding (shared) and last norm
    assert kinds(f"llama_block_{name}")["matmul"] == 9


def page_rows():
    """The rows of docs/zoo.md: name, MACs, parameters, difference, published MACs, published parameters."""
    page = (Path(__file__).parents[2] / "docs" / "zoo.md").read_text()
    page = page.partition("## Quantised networks")[0]
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| `")]
    return {row[0].strip("`"): [cell.replace(",", "") for cell in row[1:6]] for row in rows}


def test_the_page_on_networks_lists_all():
    assert list(page_rows()) == list(zoo.names())


@pytest.mark.parametrize("name", zoo.names())
def test_the_page_on_networks_says_what_they_have(name):
    macs, mine, difference, published_macs, published = page_rows()[name]
    assert int(macs) == load(name).macs
    assert int(mine) == parameters(name)
    assert int(difference) in (0, normalised_channels(name))
    if published.isdigit():
        assert int(published) == int(mine) + int(difference)
    if published_macs.isdigit():
        assert int(published_macs) == int(macs)

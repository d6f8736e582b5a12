"""Every aten operator that is read, alone: ONNX Runtime computes what PyTorch does. Needs PyTorch; skipped without."""

from __future__ import annotations

import io

import numpy as np
import onnxruntime
import pytest

from weft.read.torch.archive import open_archive
from weft.read.torch.convert import base_name, convert
from weft.read.torch.program import parse
from weft.read.torch.table import BUILDERS

torch = pytest.importorskip("torch")
pytest.importorskip("torch.ao.quantization.fx._decomposed")
F, aten, quantised = torch.nn.functional, torch.ops.aten, torch.ops.quantized_decomposed

NEVER_EXPORTED = {"_adaptive_avg_pool3d", "_unsafe_view", "_safe_softmax"}
"""Results of decomposition in other versions."""


def vector():
    return torch.linspace(-2, 2, 24).reshape(2, 3, 4)


def positive():
    return vector().abs() + 0.5


def image():
    return torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(0))


def line():
    return image()[:, :, 0]


def cube():
    return torch.randn(1, 2, 4, 4, 4, generator=torch.Generator().manual_seed(0))


def whole():
    return torch.arange(-6, 6).reshape(3, 4)


def mask():
    return vector() > 0.3


NAMES_OF_ONE = (
    "relu sigmoid tanh erf exp neg abs sign mish floor ceil round sin cos tan asin acos atan sinh cosh hardswish silu "
    "hardsigmoid selu elu celu leaky_relu softshrink hardshrink softplus gelu relu6 hardtanh square negative absolute "
    "isnan isinf clone detach alias contiguous lift_fresh_copy zeros_like ones_like t_copy"
)

CASES = {
    **{name: (getattr(aten, name), (vector() * 0.45,)) for name in NAMES_OF_ONE.split() if name != "t_copy"},
    **{name: (getattr(aten, name), (positive(),)) for name in ["log", "sqrt", "rsqrt", "reciprocal", "log1p"]},
    **{name: (getattr(aten, name), (positive(),)) for name in ["log2", "log10", "acosh", "exp2", "expm1"]},
    **{name: (getattr(aten, name), (vector() * 0.45,)) for name in ["asinh", "atanh", "trunc"]},
    "addcmul": (lambda x, y: torch.addcmul(x, x, y, value=2), (vector(), positive())),
    "addcdiv": (torch.addcdiv, (vector(), vector(), positive())),
    "lerp": (lambda x, y: torch.lerp(x, y, 0.3), (vector(), positive())),
    "lerp by a tensor": (torch.lerp, (vector(), positive(), torch.rand(4))),
    "empty": (lambda x: torch.empty(4).copy_(x) + 1, (torch.rand(4),)),
    "empty_like": (lambda x: torch.empty_like(x).fill_(2) + x, (vector(),)),
    "new_empty": (lambda x: x.new_empty(4).zero_() + x, (vector(),)),
    "transpose": (lambda x: x.transpose(0, -1), (vector(),)),
    "index along inner axes": (
        lambda x: x[:, torch.tensor([[1], [0]]), torch.tensor([2, 1, 0])],
        (image(),),
    ),
    "softsign": (F.softsign, (vector(),)),
    "gelu tanh": (lambda x: F.gelu(x, approximate="tanh"), (vector(),)),
    "glu": (lambda x: F.glu(x, 2), (vector(),)),
    "prelu": (F.prelu, (image(), torch.tensor([0.1, 0.2, 0.3, 0.4]))),
    "prelu of one": (F.prelu, (image(), torch.tensor([0.1]))),
    "clamp": (lambda x: torch.clamp(x, -1, 1), (vector(),)),
    "clamp by tensors": (lambda x, y: torch.clamp(x, -y, y), (vector(), positive())),
    "clamp from below by a tensor": (lambda x, y: torch.clamp(x, min=y), (vector(), positive())),
    "clip": (lambda x: aten.clip(x, max=0.5), (vector(),)),
    "clamp_min": (lambda x: aten.clamp_min(x, 0.5), (vector(),)),
    "clamp_max": (lambda x: aten.clamp_max(x, 0.5), (vector(),)),
    "add alpha": (lambda x, y: torch.add(x, y, alpha=2), (vector(), positive())),
    "add of types": (lambda x, y: x + y, (vector(), torch.arange(4))),
    "sub": (lambda x, y: x - y, (vector(), positive())),
    "rsub": (lambda x: 3 - x, (vector(),)),
    "mul": (lambda x: x * 2, (whole(),)),
    "mul to float": (lambda x: x * 2.5, (whole(),)),
    "div": (lambda x, y: x / y, (vector(), positive())),
    "div of whole": (lambda x: x / 4, (whole(),)),
    "div floor": (lambda x: torch.div(x, 0.7, rounding_mode="floor"), (vector(),)),
    "div trunc": (lambda x: torch.div(x, 0.7, rounding_mode="trunc"), (vector(),)),
    "divide": (aten.divide, (vector(), positive())),
    "true_divide": (aten.true_divide, (vector(), positive())),
    "floor_divide": (lambda x: torch.floor_divide(x, 0.7), (vector(),)),
    "floor_divide of whole": (lambda x: x // 4, (whole(),)),
    "div trunc of whole": (lambda x: torch.div(x, 4, rounding_mode="trunc"), (whole(),)),
    "remainder": (lambda x: torch.remainder(x, 3), (whole(),)),
    "remainder of float": (lambda x: torch.remainder(x, 0.7), (vector(),)),
    "fmod": (lambda x: torch.fmod(x, 0.7), (vector(),)),
    "maximum": (torch.maximum, (vector(), positive())),
    "minimum": (torch.minimum, (vector(), positive())),
    "pow": (lambda x, y: x**y, (positive(), vector())),
    "pow of a number": (lambda x: 2**x, (vector(),)),
    **{name: (getattr(torch, name), (vector(), vector().flip(0))) for name in ["eq", "ne", "lt", "le", "gt", "ge"]},
    "eq of types": (lambda x: x == 1, (whole(),)),
    "lt of types": (lambda x: x < 1.5, (whole(),)),
    **{f"logical_{name}": (getattr(torch, f"logical_{name}"), (mask(), ~mask())) for name in ("and", "or", "xor")},
    **{f"bitwise_{name}": (getattr(torch, f"bitwise_{name}"), (whole(), whole() + 1)) for name in ("and", "or", "xor")},
    "__and__": (lambda x, y: x & y, (mask(), mask())),
    "__or__": (lambda x, y: x | y, (whole(), whole() + 1)),
    "__xor__": (lambda x, y: x ^ y, (mask(), ~mask())),
    "logical_not": (torch.logical_not, (mask(),)),
    "bitwise_not": (torch.bitwise_not, (whole(),)),
    "where": (lambda m, x: torch.where(m, x, 0.0), (mask(), vector())),
    "masked_fill": (lambda x, m: x.masked_fill(m, -1.0), (vector(), mask())),
    "to": (lambda x: x.to(torch.int32), (vector(),)),
    "type_as": (lambda x, y: x.type_as(y), (whole(), vector())),
    "float": (lambda x: x.float() + 1, (whole(),)),
    "half": (lambda x: x.half() + 1, (vector(),)),
    "double": (lambda x: x.double() + 1, (vector(),)),
    "bfloat16": (lambda x: x.bfloat16().float(), (vector(),)),
    "mean": (lambda x: x.mean(), (vector(),)),
    "mean dim": (lambda x: x.mean((0, -1), keepdim=True), (vector(),)),
    "sum": (lambda x: x.sum(1), (vector(),)),
    "sum of booleans": (lambda x: x.sum(1), (mask(),)),
    "prod": (lambda x: x.prod(1), (vector(),)),
    "amax": (lambda x: x.amax((0, 1)), (vector(),)),
    "amin": (lambda x: x.amin(1, keepdim=True), (vector(),)),
    "any": (lambda x: x.any(1), (mask(),)),
    "any of all": (lambda x: x.any(), (mask(),)),
    "all": (lambda x: x.all(2, keepdim=True), (mask(),)),
    "logsumexp": (lambda x: x.logsumexp(1), (vector(),)),
    "max": (lambda x: x.max(), (vector(),)),
    "max dim": (lambda x: tuple(x.max(1)), (vector(),)),
    "min dim": (lambda x: tuple(x.min(2, keepdim=True)), (vector(),)),
    "max other": (lambda x, y: torch.max(x, y), (vector(), positive())),
    "argmax": (lambda x: x.argmax(), (vector(),)),
    "argmin": (lambda x: x.argmin(1, keepdim=True), (vector(),)),
    "var": (lambda x: x.var(), (vector(),)),
    "var dim": (lambda x: x.var(1, correction=0, keepdim=True), (vector(),)),
    "var biased": (lambda x: torch.var(x, (1, 2), unbiased=False), (vector(),)),
    "std": (lambda x: x.std((0, 1)), (vector(),)),
    "norm": (lambda x: aten.norm(x, 2, [1]), (vector(),)),
    "linalg_vector_norm": (lambda x: torch.linalg.vector_norm(x, 1, 2), (vector(),)),
    "cumsum": (lambda x: x.cumsum(1), (vector(),)),
    "conv1d": (F.conv1d, (line(), torch.randn(2, 4, 3))),
    "conv2d of one image": (lambda x, w: F.conv2d(x[0], w, padding=1), (image(), torch.randn(2, 4, 3, 3))),
    "conv2d same": (lambda x, w: F.conv2d(x, w, padding="same"), (image(), torch.randn(2, 4, 2, 4))),
    "conv2d valid": (lambda x, w: F.conv2d(x, w, padding="valid"), (image(), torch.randn(2, 4, 2, 4))),
    "conv3d": (lambda x, w: F.conv3d(x, w, stride=2), (cube(), torch.randn(3, 2, 2, 2, 2))),
    "conv_transpose1d": (lambda x, w: F.conv_transpose1d(x, w, None, 2, 1, 1), (line(), torch.randn(4, 3, 3))),
    "conv_transpose2d": (
        lambda x, w: F.conv_transpose2d(x, w, None, 1, 2, 0, 1, 2),
        (image(), torch.randn(4, 3, 3, 3)),
    ),
    "conv_transpose3d": (F.conv_transpose3d, (cube(), torch.randn(2, 3, 2, 2, 2))),
    "max_pool1d": (lambda x: F.max_pool1d(x, 2, ceil_mode=True), (line(),)),
    "max_pool2d of one image": (lambda x: F.max_pool2d(x[0], 3, 1, 1, dilation=1), (image(),)),
    "max_pool3d": (lambda x: F.max_pool3d(x, 2), (cube(),)),
    "avg_pool1d": (lambda x: F.avg_pool1d(x, 3, 2, 1), (line(),)),
    "avg_pool2d": (lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False), (image(),)),
    "avg_pool3d": (lambda x: F.avg_pool3d(x, 2), (cube(),)),
    "adaptive_avg_pool1d": (lambda x: F.adaptive_avg_pool1d(x, 3), (line(),)),
    "adaptive_avg_pool2d": (lambda x: F.adaptive_avg_pool2d(x, (2, 3)), (image(),)),
    "adaptive_avg_pool3d": (lambda x: F.adaptive_avg_pool3d(x, 1), (cube(),)),
    "adaptive_max_pool1d": (lambda x: F.adaptive_max_pool1d(x, 1), (line(),)),
    "adaptive_max_pool2d": (lambda x: F.adaptive_max_pool2d(x, 3), (image(),)),
    "adaptive_max_pool3d": (lambda x: F.adaptive_max_pool3d(x, 2), (cube(),)),
    "upsample_nearest1d": (lambda x: F.interpolate(x, 9), (line(),)),
    "upsample_nearest2d": (lambda x: F.interpolate(x, scale_factor=1.5), (image(),)),
    "upsample_nearest3d": (lambda x: F.interpolate(x, scale_factor=2), (cube(),)),
    "_upsample_nearest_exact1d": (lambda x: F.interpolate(x, 9, mode="nearest-exact"), (line(),)),
    "_upsample_nearest_exact2d": (lambda x: F.interpolate(x, 9, mode="nearest-exact"), (image(),)),
    "_upsample_nearest_exact3d": (lambda x: F.interpolate(x, 8, mode="nearest-exact"), (cube(),)),
    "upsample_linear1d": (lambda x: F.interpolate(x, 9, mode="linear"), (line(),)),
    "upsample_bilinear2d": (lambda x: F.interpolate(x, 9, mode="bilinear", align_corners=True), (image(),)),
    "upsample_trilinear3d": (lambda x: F.interpolate(x, 8, mode="trilinear"), (cube(),)),
    "upsample_bicubic2d": (lambda x: F.interpolate(x, 12, mode="bicubic"), (image(),)),
    "batch_norm": (lambda x, m, v: F.batch_norm(x, m, v), (image(), torch.rand(4), torch.rand(4) + 1)),
    "batch_norm of one": (lambda x: F.batch_norm(x[:1], None, None, training=True), (image(),)),
    "instance_norm": (lambda x, w, b: F.instance_norm(x, weight=w, bias=b), (image(), torch.rand(4), torch.rand(4))),
    "layer_norm": (lambda x, w, b: F.layer_norm(x, (3, 4), w, b), (vector(), torch.rand(3, 4), torch.rand(3, 4))),
    "layer_norm without": (lambda x: F.layer_norm(x, (4,)), (vector(),)),
    "group_norm": (lambda x: F.group_norm(x, 2), (image(),)),
    "group_norm with": (lambda x, w, b: F.group_norm(x, 2, w, b), (image(), torch.rand(4), torch.rand(4))),
    "rms_norm": (lambda x: F.rms_norm(x, (4,)), (vector(),)),
    "softmax": (lambda x: F.softmax(x, 1), (vector(),)),
    "softmax of whole": (lambda x: F.softmax(x, 1, dtype=torch.float32), (whole(),)),
    "log_softmax": (lambda x: F.log_softmax(x, 0), (vector(),)),
    "linear": (F.linear, (vector(), torch.rand(5, 4), torch.rand(5))),
    "linear of one axis": (F.linear, (vector()[0, 0], torch.rand(5, 4), torch.rand(5))),
    "mm": (torch.mm, (vector()[0], vector()[1].t().contiguous())),
    "addmm": (lambda a, b, c: torch.addmm(a, b, c, beta=2, alpha=3), (torch.rand(3), vector()[0], torch.rand(4, 3))),
    "matmul": (torch.matmul, (image(), torch.rand(6, 2))),
    "bmm": (torch.bmm, (vector(), vector().transpose(1, 2).contiguous())),
    "mv": (torch.mv, (vector()[0], torch.rand(4))),
    "dot": (torch.dot, (torch.rand(4), torch.rand(4))),
    "baddbmm": (
        lambda a, b, c: torch.baddbmm(a, b, c, beta=2, alpha=3),
        (torch.rand(2, 3, 3), vector(), torch.rand(2, 4, 3)),
    ),
    "outer": (torch.outer, (torch.rand(3), torch.rand(4))),
    "ger": (aten.ger, (torch.rand(3), torch.rand(4))),
    "einsum": (lambda a, b: torch.einsum("bij, kj -> bki", a, b), (vector(), torch.rand(5, 4))),
    "attention": (F.scaled_dot_product_attention, (image(), image() + 1, image() * 2)),
    "attention with a mask": (
        lambda q, m: F.scaled_dot_product_attention(q, q, q, m, scale=0.3),
        (image(), torch.rand(6, 6)),
    ),
    "attention with a mask for each head": (
        lambda q, m: F.scaled_dot_product_attention(q, q, q, m),
        (image(), torch.rand(4, 6, 6)),
    ),
    "attention with booleans": (
        lambda q, m: F.scaled_dot_product_attention(q, q, q, m),
        (image(), torch.rand(2, 1, 6, 6) > 0.3),
    ),
    "attention of shared heads with a mask": (
        lambda q, k, m: F.scaled_dot_product_attention(q, k, k, m, enable_gqa=True),
        (image(), image()[:, :2].contiguous(), torch.rand(2, 4, 6, 6)),
    ),
    "attention of three axes": (lambda q: F.scaled_dot_product_attention(q, q, q, is_causal=True), (vector(),)),
    "attention on a processor": (
        lambda q: aten._scaled_dot_product_flash_attention_for_cpu(q, q, q)[0],
        (image(),),
    ),
    "reshape": (lambda x: x.reshape(4, 6), (vector(),)),
    "reshape_as": (lambda x, y: x.reshape_as(y), (vector(), torch.rand(24))),
    "view_as": (lambda x, y: x.view_as(y), (vector(), torch.rand(24))),
    "flatten": (lambda x: x.flatten(1), (vector(),)),
    "unflatten": (lambda x: x.unflatten(2, (2, 2)), (vector(),)),
    "squeeze": (lambda x: x[:1].squeeze(), (vector(),)),
    "unsqueeze": (lambda x: x.unsqueeze(-1), (vector(),)),
    "permute": (lambda x: x.permute(2, 0, 1), (vector(),)),
    "swapaxes": (lambda x: aten.swapaxes(x, 0, 2), (vector(),)),
    "swapdims": (lambda x: aten.swapdims(x, 0, -1), (vector(),)),
    "t": (lambda x: x.t(), (whole(),)),
    "t of a vector": (lambda x: x.t() + 1, (torch.rand(3),)),
    "expand": (lambda x: x[:1].expand(5, -1, -1), (vector(),)),
    "expand_as": (lambda x, y: x.expand_as(y), (torch.rand(4), vector())),
    "broadcast_to": (lambda x: torch.broadcast_to(x, (2, 3, 4)), (torch.rand(4),)),
    "repeat": (lambda x: x.repeat(2, 1, 3, 1), (vector(),)),
    "tile": (lambda x: aten.tile(x, [2]), (vector(),)),
    "repeat_interleave": (lambda x: x.repeat_interleave(3, 1), (vector(),)),
    "cat": (lambda x, y: torch.cat([x, y, torch.zeros(0)], -1), (vector(), positive())),
    "concat": (lambda x, y: aten.concat([x, y], 1), (vector(), positive())),
    "stack": (lambda x, y: torch.stack([x, y], -1), (vector(), positive())),
    "split": (lambda x: torch.split(x, 3, 2), (vector(),)),
    "chunk": (lambda x: x.chunk(2, -1), (vector(),)),
    "unbind": (lambda x: x.unbind(1), (vector(),)),
    "tensor_split": (lambda x: torch.tensor_split(x, 3, 2), (vector(),)),
    "slice": (lambda x: x[:, 1:, -3:-1], (vector(),)),
    "slice by steps": (lambda x: x[..., ::2], (vector(),)),
    "narrow": (lambda x: x.narrow(2, -3, 2), (vector(),)),
    "select": (lambda x: x[:, -1], (vector(),)),
    "as_strided": (lambda x: x.as_strided((2, 3, 4, 1), (12, 4, 1, 1)), (vector(),)),
    "flip": (lambda x: x.flip(0, 2), (vector(),)),
    "roll": (lambda x: x.roll((1, -1), (1, 2)), (vector(),)),
    "pad": (lambda x: F.pad(x, (1, 2, 0, 1), value=3.0), (vector(),)),
    "pad inward": (lambda x: F.pad(x, (-1, 1)), (vector(),)),
    "pad circular": (lambda x: aten.pad(x, [1, 2], "circular"), (vector(),)),
    **{f"reflection_pad{n}d": (lambda x, n=n: F.pad(x, (1, 1) * n, "reflect"), (x,)) for n, x in ((1, line()),)},
    "reflection_pad2d": (lambda x: aten.reflection_pad2d(x, [1, 2, 0, 1]), (image(),)),
    "reflection_pad3d": (lambda x: aten.reflection_pad3d(x, [1] * 6), (cube(),)),
    "aten reflection_pad1d": (lambda x: aten.reflection_pad1d(x, [1, 2]), (line(),)),
    "replication_pad1d": (lambda x: aten.replication_pad1d(x, [1, 2]), (line(),)),
    "replication_pad2d": (lambda x: aten.replication_pad2d(x, [1, 2, 0, 1]), (image(),)),
    "replication_pad3d": (lambda x: aten.replication_pad3d(x, [1] * 6), (cube(),)),
    "constant_pad_nd": (lambda x: aten.constant_pad_nd(x, [1, 1], 2.0), (vector(),)),
    "pixel_shuffle": (lambda x: F.pixel_shuffle(x, 2), (image(),)),
    "pixel_unshuffle": (lambda x: F.pixel_unshuffle(x, 2), (image(),)),
    "channel_shuffle": (lambda x: aten.channel_shuffle(x, 2), (image(),)),
    "embedding": (F.embedding, (torch.tensor([[1, 2], [0, 3]]), torch.rand(4, 3))),
    "index_select": (lambda x: x.index_select(1, torch.tensor([2, 0])), (vector(),)),
    "index": (lambda x: x[:, torch.tensor([[2, 0]])], (vector(),)),
    "index along two axes": (lambda x: x[torch.tensor([[1], [0]]), torch.tensor([2, 1, 0])], (vector(),)),
    "gather": (lambda x: x.gather(1, torch.tensor([[[0, 1, 2, 0]], [[2, 2, 1, 1]]])), (vector(),)),
    "diff": (lambda x: x.diff(dim=0), (vector(),)),
    "triu": (lambda x: x.triu(1), (vector(),)),
    "tril": (lambda x: x.tril(), (vector(),)),
    "topk": (lambda x: tuple(x.topk(2, 2)), (vector(),)),
    "dropout": (lambda x: F.dropout(x, training=False) + 1, (vector(),)),
    "feature_dropout": (lambda x: aten.feature_dropout(x, 0.5, False) + 1, (image(),)),
    "alpha_dropout": (lambda x: F.alpha_dropout(x, training=False) + 1, (vector(),)),
    "full": (lambda x: x + torch.full((3, 1), 2.5), (vector(),)),
    "full_like": (lambda x: x + torch.full_like(x, 2), (vector(),)),
    "new_full": (lambda x: x + x.new_full((4,), 2), (vector(),)),
    "new_zeros": (lambda x: x + x.new_zeros((4,)), (vector(),)),
    "new_ones": (lambda x: x + x.new_ones((4,)), (vector(),)),
    "zeros": (lambda x: x + torch.zeros(4), (vector(),)),
    "ones": (lambda x: x + torch.ones(4), (vector(),)),
    "scalar_tensor": (lambda x: x + torch.scalar_tensor(2), (vector(),)),
    "arange": (lambda x: x + torch.arange(1, 9, 2), (vector(),)),
    "copy": (lambda x, y: aten.copy(x, y) + 1, (vector(), torch.rand(4))),
    "fill": (lambda x: aten.fill(x, 2.0) + x, (vector(),)),
    "zero": (lambda x: aten.zero(x) + x, (vector(),)),
    "slice_scatter": (lambda x, y: torch.slice_scatter(x, y, 2, 1, 3), (vector(), torch.rand(2, 3, 2))),
    "select_scatter": (lambda x, y: torch.select_scatter(x, y, 1, -1), (vector(), torch.rand(2, 4))),
    "lift": (lambda x: aten.lift(x) + 1, (vector(),)),
    "lift_fresh": (lambda x: aten.lift_fresh(x) + 1, (vector(),)),
    "quantize": (
        lambda x, s, z: quantised.dequantize_per_channel(
            quantised.quantize_per_channel(x, s, z, 1, -128, 127, torch.int8), s, z, 1, -128, 127, torch.int8
        ),
        (vector(), torch.tensor([0.1, 0.02, 0.03]), torch.tensor([0, 1, -2])),
    ),
    "quantize to fewer bits": (
        lambda x: quantised.dequantize_per_tensor(
            quantised.quantize_per_tensor(x, 0.2, 2, 0, 15, torch.uint8), 0.2, 2, 0, 15, torch.uint8
        ),
        (vector(),),
    ),
    "in place": (lambda x: (x * 2).add_(1).mul_(x).relu_().clamp_(max=1), (vector(),)),
}


class Alone(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


SEEN: set[str] = set()


@pytest.mark.parametrize("name", CASES)
def test_an_operator_computes_what_torch_does(name):
    function, inputs = CASES[name]
    program = torch.export.export(Alone(function), inputs)
    results = torch.utils._pytree.tree_leaves(function(*inputs))
    for form in (program, program.run_decompositions()):
        data = io.BytesIO()
        torch.export.save(form, data)
        data.seek(0)
        archive = open_archive(data, name)
        parsed = parse(archive, {})
        SEEN.update(base_name(call.op)[0] for call in parsed.calls)
        model, _ = convert(parsed)
        model.ir_version = 10
        for tensor in model.graph.initializer:
            if not tensor.raw_data and tensor.name in parsed.constants:
                tensor.raw_data = archive.constant(parsed.constants[tensor.name]) or b""
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        names = [item.name for item in session.get_inputs()]
        feeds = {key: value.numpy() for key, value in zip(parsed.inputs, inputs, strict=True) if key in names}
        made = session.run(None, feeds)
        assert len(made) == len(results)
        for one, other in zip(made, results, strict=True):
            wanted = other.detach().numpy()
            assert (one.shape, one.dtype) == (wanted.shape, wanted.dtype)
            atol = 1e-3 if wanted.dtype == np.float16 else 2e-5
            np.testing.assert_allclose(one.astype(float), wanted.astype(float), rtol=1e-3, atol=atol)


def test_every_operator_of_the_table_was_tried():
    if len(SEEN) > 50:  # the whole file was run
        assert set(BUILDERS) - SEEN <= NEVER_EXPORTED

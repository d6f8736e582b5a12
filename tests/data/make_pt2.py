"""Writes the torch exports in tests/data/pt2, and what PyTorch computes with them (expected.npz).

Needs PyTorch, torchvision and NumPy: `python tests/data/make_pt2.py`. Every network is saved twice, as torch.export
gives it and after run_decompositions() (`<name>.core.pt2`). The files are those of torch.export.save but for three
things: sample inputs are left out, folders are cut from the file names in stack traces, and entries are compressed.
ResNet-18 is torchvision's, once and without weights.
"""

from __future__ import annotations

import io
import re
import sys
import zipfile
from pathlib import Path

import numpy as np
import torch
import torch.ao.quantization.fx._decomposed  # names the operators of quantised programs
import torch.nn.functional as F
from torch import Tensor, nn
from torch.export import Dim

HERE = Path(__file__).resolve().parent / "pt2"


class Cnn(nn.Module):
    """Convolutions, batch normalisation folded or not, pools and a classifier; any batch."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.down = nn.Conv2d(8, 12, 3, stride=2, padding=1)
        self.wide = nn.Conv2d(12, 6, 3, padding="same", dilation=2, groups=2)
        self.head = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(self.stem(x), 3, stride=2, padding=1)
        x = self.wide(F.relu6(self.down(x)))
        return self.head(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))


class Mobile(nn.Module):
    """An inverted bottleneck with squeeze and excitation, added to its input in place."""

    def __init__(self) -> None:
        super().__init__()
        self.expand = nn.Conv2d(6, 12, 1)
        self.depth = nn.Conv2d(12, 12, 5, padding=2, groups=12)
        self.squeeze, self.excite = nn.Conv2d(12, 4, 1), nn.Conv2d(4, 12, 1)
        self.project = nn.Conv2d(12, 6, 1)
        self.drop = nn.Dropout(0.2)

    def forward(self, x: Tensor) -> Tensor:
        y = F.hardswish(self.depth(F.hardswish(self.expand(x))))
        gate = F.hardsigmoid(self.excite(F.relu(self.squeeze(F.adaptive_avg_pool2d(y, 1)))))
        y = self.drop(self.project(y * gate))
        y += x
        return F.avg_pool2d(F.relu_(y), 2).mean((2, 3))


class Unet(nn.Module):
    """Down and up again: transposed convolution, skip, both ways of resizing; two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.deep = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 8, 3, padding=1)
        self.up, self.last = nn.ConvTranspose2d(8, 4, 2, stride=2), nn.Conv2d(8, 2, 3, padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        skip = F.leaky_relu(self.first(x))
        up = self.up(F.silu(self.deep(F.max_pool2d(skip, 2))))
        y = self.last(torch.cat([up, skip], dim=1))
        near = F.interpolate(y, scale_factor=2, mode="nearest")
        return torch.sigmoid(near), F.interpolate(y, size=(12, 12), mode="bilinear", align_corners=False)


class Vit(nn.Module):
    """A vision transformer of one block: patches, class token, attention, GELU."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 8, 4, stride=4)
        self.token, self.place = nn.Parameter(torch.randn(1, 1, 8)), nn.Parameter(torch.randn(1, 5, 8))
        self.before, self.after = nn.LayerNorm(8), nn.LayerNorm(8)
        self.qkv, self.out = nn.Linear(8, 24), nn.Linear(8, 8)
        self.up, self.down = nn.Linear(8, 16), nn.Linear(16, 8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.place
        q, k, v = self.qkv(self.before(x)).reshape(x.shape[0], 5, 3, 2, 4).permute(2, 0, 3, 1, 4).unbind(0)
        x = x + self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(x.shape[0], 5, 8))
        return (x + self.down(F.gelu(self.up(self.after(x)))))[:, 0]


class Rms(nn.Module):
    """Root-mean-square normalisation spelt out, in float32."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(size))

    def forward(self, x: Tensor) -> Tensor:
        mean = x.to(torch.float32).pow(2).mean(-1, keepdim=True)
        return self.weight * (x * torch.rsqrt(mean + 1e-6)).to(x.dtype)


def rotated(x: Tensor) -> Tensor:
    half = x.shape[-1] // 2
    return torch.cat((-x[..., half:], x[..., :half]), -1)


class Llama(nn.Module):
    """A decoder block: rotary places, 4 heads on 2 of keys and values, causal mask, gated MLP; any batch and length."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.after = Rms(16), nn.RMSNorm(16)
        self.q, self.k, self.v, self.o = (nn.Linear(16, n, bias=False) for n in (16, 8, 8, 16))
        self.gate, self.up, self.down = (nn.Linear(m, n, bias=False) for m, n in ((16, 24), (16, 24), (24, 16)))
        self.register_buffer("turns", 1.0 / 100 ** (torch.arange(0, 4, 2).float() / 4))

    def forward(self, x: Tensor) -> Tensor:
        batch, length, _ = x.shape
        angles = torch.outer(torch.arange(length).float(), self.turns)
        angles = torch.cat((angles, angles), -1)
        cos, sin = angles.cos(), angles.sin()
        h = self.before(x)
        q = self.q(h).view(batch, length, 4, 4).transpose(1, 2)
        k = self.k(h).view(batch, length, 2, 4).transpose(1, 2)
        v = self.v(h).view(batch, length, 2, 4).transpose(1, 2)
        q, k = q * cos + rotated(q) * sin, k * cos + rotated(k) * sin
        k = k[:, :, None].expand(batch, 2, 2, length, 4).reshape(batch, 4, length, 4)
        v = v[:, :, None].expand(batch, 2, 2, length, 4).reshape(batch, 4, length, 4)
        mask = torch.full((length, length), float("-inf")).triu(1)
        weights = F.softmax(torch.matmul(q, k.transpose(2, 3)) / 2 + mask, dim=-1)
        x = x + self.o(torch.matmul(weights, v).transpose(1, 2).contiguous().view(batch, length, 16))
        h = self.after(x)
        return x + self.down(F.silu(self.gate(h)) * self.up(h))


class Half(nn.Module):
    """Attention in float16 whose four heads share two of keys and values, causal."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.kv = nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        q = self.q(x).unflatten(-1, (4, 2)).transpose(1, 2)
        k, v = self.kv(x).unflatten(-1, (4, 2)).transpose(1, 2).chunk(2, 1)
        return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)


class Volume(nn.Module):
    """One and three spatial axes, grouped transposed convolution, pixels to channels and back."""

    def __init__(self) -> None:
        super().__init__()
        self.line, self.cube = nn.Conv1d(4, 6, 3, padding=2, dilation=2), nn.Conv3d(2, 3, 3, padding=1)
        self.wide, self.deep = nn.ConvTranspose1d(6, 4, 4, 2, 1, groups=2), nn.ConvTranspose3d(3, 2, 2, 2)
        self.groups, self.batch, self.slope = nn.GroupNorm(2, 6), nn.BatchNorm1d(6), nn.PReLU(6)
        self.alone = nn.InstanceNorm1d(6)

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        z = self.slope(self.batch(self.alone(self.groups(self.line(x[0])[None]))))
        image = F.pad(F.pixel_shuffle(y, 2), (1, 1, 1, 1), mode="reflect")
        cube = F.max_pool3d(self.cube(y.reshape(1, 2, 2, 4, 4)), 2)
        return self.wide(z), F.pixel_unshuffle(image, 2), self.deep(cube)


class Mixture(nn.Module):
    """One of everything else: elementwise, reductions, moves, products."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.rand(4, 6)), nn.Parameter(torch.rand(6))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        y = F.elu(x) + F.softplus(x) * F.mish(x) - F.selu(x) + F.hardtanh(x) + torch.tanh(x).clamp(min=0)
        z = torch.where(y > 0, y, torch.zeros_like(y))
        a, b = y.chunk(2, 1)
        c, d, e = torch.split(y, [1, 1, 2], 1)
        product = torch.bmm(y, y.transpose(1, 2))
        return (
            z,
            a * b + e,
            torch.stack([c, d], 0),
            F.glu(y, 1),
            F.pad(y, (1, 2)),
            y.argmax(1),
            y.max(1).values,
            y.amax((1, 2)),
            F.log_softmax(y, 1),
            y.narrow(2, 1, 3) - y.select(1, 2)[:, :3].unsqueeze(1),
            y.repeat(1, 2, 1),
            y.flip(2),
            torch.pow(y, 2) / 3 + 1 - 2 * (y.abs() + 1).sqrt().exp().log(),
            y.std(1),
            y.var((1, 2)),
            F.normalize(y, dim=1),
            F.gelu(y, approximate="tanh"),
            torch.maximum(1 - y, z),
            y.masked_fill(y > 1, 0.0).sum(),
            y.index_select(1, torch.tensor([0, 2])),
            y.roll(1, 2),
            torch.addmm(self.bias, y[0].t(), self.weight),
            torch.baddbmm(product, product, product),
            torch.layer_norm(y, [6]),
            torch.unbind(y, 1)[1],
            y.diff(dim=1, prepend=y[:, :1]),
            x * torch.arange(12).view(3, 4)[torch.tensor([2]), torch.tensor([1])],
            F.dropout(y * 2, 0.5, training=False, inplace=True),
            y.mean(2, keepdim=True).as_strided((4,), (1,)),
        )


class Tokens(nn.Module):
    """Rows by index, sums by equation, running sums: what the ONNX reader may have to refuse."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(7, 4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = self.table(x)
        return torch.einsum("bij,bkj->bik", y, y), y.cumsum(1)


class Memory(nn.Module):
    """An LSTM, which is one call until it is decomposed."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTM(4, 4, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.cell(x)[0]


class Written(nn.Module):
    """Parts of a tensor replaced in place, which only decomposition makes explicit."""

    def forward(self, x: Tensor) -> Tensor:
        y = x * 2
        y[:, 0] = 1
        y[:, 1:3, 2:] = x[:, :2, :4]
        y[1].zero_()
        return y + 1


class Quantised(nn.Module):
    """Two layers as quantisation by export writes them: activations of 8 bits, weights of 8 and 4 bits by channel."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("wide", torch.randint(-127, 128, (6, 3, 3, 3), dtype=torch.int8))
        self.register_buffer("narrow", torch.randint(-8, 8, (5, 6), dtype=torch.int8))
        for name, count in (("wide", 6), ("narrow", 5)):
            self.register_buffer(f"{name}_scale", torch.rand(count) / 100 + 0.001)
            self.register_buffer(f"{name}_zero", torch.zeros(count, dtype=torch.int64))
        self.bias = nn.Parameter(torch.randn(6))

    def forward(self, x: Tensor) -> Tensor:
        ops = torch.ops.quantized_decomposed
        x = ops.quantize_per_tensor(x, 0.02, 3, -128, 127, torch.int8)
        x = ops.dequantize_per_tensor(x, 0.02, 3, -128, 127, torch.int8)
        w = ops.dequantize_per_channel(self.wide, self.wide_scale, self.wide_zero, 0, -128, 127, torch.int8)
        x = F.relu(F.conv2d(x, w, self.bias, padding=1)).mean((2, 3))
        x = ops.quantize_per_tensor(x, 0.01, 0, 0, 255, torch.uint8)
        x = ops.dequantize_per_tensor(x, 0.01, 0, 0, 255, torch.uint8)
        w = ops.dequantize_per_channel(self.narrow, self.narrow_scale, self.narrow_zero, 0, -8, 7, torch.int8)
        return F.linear(x, w)


def networks() -> dict[str, tuple[nn.Module, tuple[Tensor, ...], object]]:
    """Module, inputs and dynamic shapes by name; the same weights every time."""
    torch.manual_seed(0)
    batch = Dim("batch", max=64)
    return {
        "cnn": (Cnn(), (torch.randn(2, 3, 16, 16),), {"x": {0: batch}}),
        "mobile": (Mobile(), (torch.randn(1, 6, 8, 8),), None),
        "unet": (Unet(), (torch.randn(1, 3, 8, 8),), None),
        "vit": (Vit(), (torch.randn(2, 3, 8, 8),), None),
        "llama": (Llama(), (torch.randn(2, 6, 16),), {"x": {0: batch, 1: Dim("length", max=128)}}),
        "half": (Half().half(), (torch.randn(1, 5, 8).half(),), None),
        "volume": (Volume(), (torch.randn(1, 4, 8), torch.randn(1, 4, 4, 4)), None),
        "mixture": (Mixture(), (torch.randn(1, 4, 6),), None),
        "tokens": (Tokens(), (torch.tensor([[3, 1, 6, 0, 2]]),), None),
        "written": (Written(), (torch.randn(2, 4, 6),), None),
        "quantised": (Quantised(), (torch.randn(1, 3, 6, 6),), None),
        "memory": (Memory(), (torch.randn(1, 3, 4),), None),
    }


def write(program: torch.export.ExportedProgram, path: Path, without: tuple[str, ...] = ("/sample_inputs/",)) -> None:
    """Save a program as a small archive, `without` entries and without folders in stack traces."""
    whole = io.BytesIO()
    torch.export.save(program, whole)
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as target:
        for name in source.namelist():
            if any(part in name for part in without):
                continue
            data = source.read(name)
            if name.endswith("models/model.json"):
                data = re.sub(rb'File \\"[^"\\]*/site-packages/', b'File \\"', data)
                data = data.replace(str(HERE.parent).encode() + b"/", b"")
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            target.writestr(entry, data, zipfile.ZIP_DEFLATED, 9)


def main() -> None:
    HERE.mkdir(exist_ok=True)
    expected: dict[str, np.ndarray] = {}
    for name, (module, inputs, shapes) in networks().items():
        module.eval()
        program = torch.export.export(module, inputs, dynamic_shapes=shapes)
        results = module(*inputs)
        for i, tensor in enumerate(inputs):
            expected[f"{name}/in{i}"] = tensor.numpy()
        for i, tensor in enumerate(results if isinstance(results, tuple) else (results,)):
            expected[f"{name}/out{i}"] = tensor.detach().numpy()
        write(program, HERE / f"{name}.pt2")
        write(program.run_decompositions(), HERE / f"{name}.core.pt2")
    from torchvision.models import resnet18

    program = torch.export.export(resnet18(weights=None).eval(), (torch.zeros(1, 3, 224, 224),))
    write(program, HERE / "resnet18.pt2", ("/sample_inputs/", "/weights/weight_"))
    np.savez_compressed(HERE / "expected.npz", **expected)
    print(f"{len(list(HERE.glob('*.pt2')))} files, {sum(f.stat().st_size for f in HERE.iterdir())} B", file=sys.stderr)


if __name__ == "__main__":
    main()

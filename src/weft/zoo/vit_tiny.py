"""ViT-Tiny for ImageNet: 16x16 patches, twelve transformer layers of width 192."""

from __future__ import annotations

import onnx

from weft.zoo._net import Net
from weft.zoo._transformer import gelu, join_heads, layer_norm, linear

DESCRIPTION = "ViT-Tiny/16, image classification, 1x3x224x224, 1.25 G MACs (Touvron et al. 2021, DeiT-Ti)"

WIDTH, HEADS, LAYERS, HIDDEN = 192, 3, 12, 768
TOKENS = 1 + 14 * 14
"""One for the class, one per patch."""


def build(net: Net) -> onnx.ModelProto:
    """The network without distillation token; one product makes queries, keys and values."""
    x = net.conv("patches", net.input("input", 3), WIDTH, 16, 16)
    x = net.add("Reshape", "patches.flatten", [x, net.integers("row", 1, WIDTH, TOKENS - 1)])
    x = net.add("Transpose", "patches.transpose", [x], perm=[0, 2, 1])
    x = net.add("Concat", "class_token", [net.weight("class_token.weight", (1, 1, WIDTH), 2), x], axis=1)
    x = net.add("Add", "position", [x, net.weight("position.weight", (1, TOKENS, WIDTH), 2)])
    for layer in range(LAYERS):
        at = f"layer{layer}"
        x = net.add("Add", f"{at}.add1", [x, _attention(net, f"{at}.attention", _norm(net, f"{at}.norm1", x))])
        y = linear(net, f"{at}.mlp1", _norm(net, f"{at}.norm2", x), WIDTH, HIDDEN)
        x = net.add("Add", f"{at}.add2", [x, linear(net, f"{at}.mlp2", gelu(net, f"{at}.gelu", y), HIDDEN, WIDTH)])
    x = net.add("Gather", "class", [_norm(net, "norm", x), net.integer("0", 0)], axis=1)
    return net.model({"input": (1, 3, 224, 224)}, net.gemm("classifier", x, WIDTH, 1000), (1, 1000))


def _norm(net: Net, name: str, source: str) -> str:
    return layer_norm(net, name, source, WIDTH, 1e-6)


def _attention(net: Net, at: str, source: str) -> str:
    head = WIDTH // HEADS
    x = linear(net, f"{at}.qkv", source, WIDTH, 3 * WIDTH)
    x = net.add("Reshape", f"{at}.split", [x, net.integers("split", 1, TOKENS, 3, HEADS, head)])
    x = net.add("Transpose", f"{at}.transpose", [x], perm=[2, 0, 3, 1, 4])
    q, k, v = (
        net.add("Gather", f"{at}.{part}", [x, net.integer(str(i), i)], axis=0) for i, part in enumerate(("q", "k", "v"))
    )
    q = net.add("Mul", f"{at}.scale", [q, net.constant("scale", head**-0.5)])
    scores = net.add("MatMul", f"{at}.scores", [q, net.add("Transpose", f"{at}.k.transpose", [k], perm=[0, 1, 3, 2])])
    mixed = net.add("MatMul", f"{at}.mix", [net.add("Softmax", f"{at}.softmax", [scores], axis=-1), v])
    return linear(net, f"{at}.out", join_heads(net, f"{at}.mixed", mixed, TOKENS, WIDTH), WIDTH, WIDTH)

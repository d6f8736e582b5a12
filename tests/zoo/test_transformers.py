"""The transformers compute what they are named after."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

from weft import zoo
from weft.zoo import _llama
from weft.zoo._net import Net


def session(model):
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def normal(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.fixture
def small_llama(monkeypatch):
    sizes = {"WIDTH": 48, "HEADS": 6, "KV_HEADS": 2, "HEAD": 8, "HIDDEN": 20}
    for name, size in sizes.items():
        monkeypatch.setattr(_llama, name, size)


def rotary(first, tokens, head):
    angles = np.arange(first, first + tokens)[:, None] / 500_000 ** (np.arange(head // 2) * 2 / head)
    angles = np.concatenate([angles, angles], axis=1)[None].astype(np.float32)
    return {"cos": np.cos(angles), "sin": np.sin(angles)}


def test_a_llama_block_decodes_what_it_would_have_read_at_once(small_llama):
    tokens, past = 7, 6
    x = normal(0, 1, tokens, 48)
    causal = np.triu(np.full((tokens, tokens), -1e9, dtype=np.float32), 1)[None, None]
    whole = session(_llama.block(Net("whole"), tokens, 0))
    y, keys, values = whole.run(None, {"input": x, "attention_mask": causal, **rotary(0, tokens, 8)})
    step = session(_llama.block(Net("step"), 1, past))
    cache = {"past_key": keys[:, :, :past], "past_value": values[:, :, :past]}
    last, all_keys, all_values = step.run(None, {"input": x[:, past:], **cache, **rotary(past, 1, 8)})
    np.testing.assert_allclose(last, y[:, past:], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(all_keys, keys, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(all_values, values, rtol=1e-4, atol=1e-5)


def test_a_llama_block_is_its_formula(small_llama):
    tokens, width, heads, kv, head = 5, 48, 6, 2, 8
    model = _llama.block(Net("block"), tokens, 0)
    w = {
        tensor.name.removesuffix(".weight"): np.frombuffer(tensor.raw_data, np.float32).reshape(tensor.dims)
        for tensor in model.graph.initializer
        if tensor.name.endswith(".weight")
    }
    x, mask, tables = normal(3, 1, tokens, width), normal(4, 1, 1, tokens, tokens), rotary(0, tokens, head)
    (got, *_) = session(model).run(None, {"input": x, "attention_mask": mask, **tables})

    def norm(a, scale):
        return a / np.sqrt(np.mean(a * a, axis=-1, keepdims=True) + 1e-5) * scale

    def rotate(a):
        turned = np.concatenate([-a[..., head // 2 :], a[..., : head // 2]], axis=-1)
        return a * tables["cos"][0] + turned * tables["sin"][0]

    a = norm(x[0], w["norm1"])
    q, k, v = (a @ w[name] for name in ("query", "key", "value"))
    mixed = []
    for h in range(heads):
        g = h // (heads // kv)
        mine, their = q[:, h * head : (h + 1) * head], slice(g * head, (g + 1) * head)
        scores = rotate(mine) @ rotate(k[:, their]).T / np.sqrt(head) + mask[0, 0]
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        mixed.append(weights / weights.sum(axis=-1, keepdims=True) @ v[:, their])
    y = x[0] + np.concatenate(mixed, axis=-1) @ w["out"]
    a = norm(y, w["norm2"])
    gate = a @ w["gate"]
    y = y + (gate / (1 + np.exp(-gate)) * (a @ w["up"])) @ w["down"]
    np.testing.assert_allclose(got[0], y, rtol=2e-4, atol=1e-4)


def test_a_token_that_bert_masks_changes_no_other():
    run = session(zoo.build("bert_layer"))
    x, mask = normal(0, 1, 128, 768), np.zeros((1, 1, 1, 128), dtype=np.float32)
    mask[..., 5] = -10_000
    (one,) = run.run(None, {"input": x, "attention_mask": mask})
    x[:, 5] += 1
    (two,) = run.run(None, {"input": x, "attention_mask": mask})
    others = np.arange(128) != 5
    np.testing.assert_array_equal(one[:, others], two[:, others])
    assert np.abs(one[:, 5] - two[:, 5]).max() > 0.1
    (seen,) = run.run(None, {"input": x, "attention_mask": np.zeros_like(mask)})
    assert np.abs(seen[:, others] - two[:, others]).max() > 1e-3


def test_vit_does_not_care_which_patch_comes_first_but_for_positions():
    model = zoo.build("vit_tiny")
    (position,) = (tensor for tensor in model.graph.initializer if tensor.name == "position.weight")
    position.raw_data = bytes(len(position.raw_data))
    run = session(model)
    picture = normal(0, 1, 3, 224, 224)
    swapped = picture.copy()
    swapped[:, :, :16, :16], swapped[:, :, 208:, 208:] = picture[:, :, 208:, 208:], picture[:, :, :16, :16]
    (one,), (two,) = run.run(None, {"input": picture}), run.run(None, {"input": swapped})
    np.testing.assert_allclose(one, two, rtol=1e-3, atol=1e-3)
    (with_positions,) = session(zoo.build("vit_tiny")).run(None, {"input": picture})
    assert np.abs(with_positions - one).max() > 0.1

"""Bits of an analog and a digital array: fast, by loops, and by ONNX Runtime the same; what is done otherwise shows."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from tests.oracles.bits import Rules, nearest, random_analog, random_digital, told_analog, told_digital
from tests.oracles.bits_onnx import run_analog, run_digital
from weft.execute.bits import (
    AnalogConv,
    DigitalConv,
    Noise,
    analog_add,
    analog_conv,
    digital_add,
    digital_average,
    digital_conv,
)

LONG = 25
"""One layer of so many has more rows than the array, or just as many."""


def agree(seeds: range) -> None:
    for seed in seeds:
        rng = random.Random(seed)
        x, layer = random_analog(rng, seed % LONG == 0)
        made = analog_conv(x, layer)
        assert np.array_equal(made, told_analog(x, layer)), f"analog {seed}: by loops"
        assert np.array_equal(made, run_analog(x, layer)), f"analog {seed}: by ONNX Runtime"
        x, digital = random_digital(rng, seed % LONG == 0)
        made = digital_conv(x, digital)
        assert np.array_equal(made, told_digital(x, digital)), f"digital {seed}: by loops"
        assert np.array_equal(made, run_digital(x, digital)), f"digital {seed}: by ONNX Runtime"


def test_fast_loops_and_onnx_runtime_agree() -> None:
    agree(range(75))


@pytest.mark.verify
@pytest.mark.parametrize("block", range(50))
def test_fast_loops_and_onnx_runtime_agree_on_ten_thousand_layers(block: int) -> None:
    agree(range(1000 + 100 * block, 1100 + 100 * block))


@pytest.mark.parametrize(
    "wrong",
    [Rules(rounding=nearest), Rules(balanced=True), Rules(stages=False), Rules(least_input=-64)],
    ids=["rounds to nearest", "balanced groups", "one conversion for all groups", "inputs down to -64"],
)
def test_another_arithmetic_shows(wrong: Rules) -> None:
    seeds = range(0, 24 * LONG, LONG) if wrong.balanced or not wrong.stages else range(1, 40)
    differs = 0
    for seed in seeds:
        x, layer = random_analog(random.Random(seed), seed % LONG == 0)
        differs += not np.array_equal(analog_conv(x, layer), told_analog(x, layer, wrong))
    assert differs >= 3


def test_digital_rounds_down_not_to_nearest() -> None:
    drawn = [random_digital(random.Random(seed), False) for seed in range(20)]
    assert any(not np.array_equal(digital_conv(x, layer), told_digital(x, layer, nearest)) for x, layer in drawn)


def one(**given: object) -> AnalogConv:
    parts = {"weights": np.ones((1, 1, 1, 1), np.int8), "div": 1, "mul": np.array([1]), "add": np.array([0]), "n": 0}
    return AnalogConv(**{**parts, "relu": False, **given})  # type: ignore[arg-type]


def test_a_layer_by_hand() -> None:
    """Inputs of -128, 10 and 100 by a weight of 1: clipped to 63, halved downwards, clipped to codes, times 3, plus 1,
    halved downwards."""
    x = np.array([-128, 10, 100], np.int8).reshape(1, 1, 1, 3)
    layer = one(div=2, mul=np.array([3]), add=np.array([1]), n=1)
    codes = [-32, 5, 31]  # floor(-63 / 2) = -32, 10 / 2, floor(63 / 2) = 31
    assert analog_conv(x, layer).ravel().tolist() == [(3 * code + 1) // 2 for code in codes]


def test_a_tensor_that_both_cores_read_is_shifted_then_clipped() -> None:
    x = np.array([-128, -3, 127], np.int8).reshape(1, 1, 1, 3)
    assert analog_conv(x, one(shift=1, div=2)).ravel().tolist() == [-63 // 2, -2 // 2, 63 // 2]


def test_a_residual_is_a_step_of_its_own_and_clips_once() -> None:
    """Adding before the first clip would give another number."""
    x = np.full((1, 1, 1, 1), 60, np.int8)
    conv = analog_conv(x, one(div=2, mul=np.array([4])))  # 30 x 4, clipped to 63
    assert conv.item() == 63
    made = analog_add(conv, -x, np.array([1]), np.array([1]), np.array([0]), 0)
    assert made.item() == 63 - 60 != min(63, 4 * 30 - 60)
    assert analog_add(-conv, x, np.array([1]), np.array([1]), np.array([1]), 1).item() == 0
    assert (
        analog_add(-conv, x, np.array([1]), np.array([1]), np.array([1]), 1, relu=False).item() == (-63 + 60 + 1) // 2
    )


def test_groups_are_filled_one_after_another_and_do_not_depend_on_tiles() -> None:
    layer = one(weights=np.zeros((1, 300, 3, 3), np.int8))
    assert list(layer.groups()) == [(0, 128), (128, 256), (256, 300)]
    assert list(one(weights=np.zeros((1, 128, 3, 3), np.int8)).groups()) == [(0, 128)]


def test_what_an_array_cannot_hold_or_do_is_refused() -> None:
    with pytest.raises(ValueError, match="a 35x33 kernel must fit in the array's 1152 rows"):
        one(weights=np.zeros((1, 1, 35, 33), np.int8))
    with pytest.raises(ValueError, match="weights must be -1, 0 or 1"):
        one(weights=np.full((1, 1, 1, 1), 2, np.int8))
    with pytest.raises(ValueError, match="mul and add must be from -128 to 127, not 128 to 128"):
        one(mul=np.array([128]))
    with pytest.raises(ValueError, match="div must be at least 1"):
        one(div=0)
    with pytest.raises(ValueError, match="shift must be from 0 to 31, not 32"):
        DigitalConv(np.ones((1, 1, 1, 1), np.int8), np.zeros(1, np.int32), 32)


def test_a_sum_beyond_32_bits_is_refused_not_wrapped() -> None:
    layer = DigitalConv(np.full((1, 1, 1, 1), 127, np.int8), np.array([2**31 - 1]), 0)
    with pytest.raises(OverflowError, match=r"a sum must fit in 32 bits, not 2,147,483,774"):
        digital_conv(np.ones((1, 1, 1, 1), np.int8), layer)


def test_digital_sums_and_means_round_down() -> None:
    a, b = np.array([[-3, 100]], np.int8), np.array([[0, 100]], np.int8)
    assert digital_add(a, b, 1, relu=False).tolist() == [[-3 // 2, 100]]
    assert digital_add(a, b, 0).tolist() == [[0, 127]]
    assert digital_average(np.array([-1, -2, 0, 0], np.int8).reshape(1, 1, 2, 2)).item() == -3 // 4


# -- noise -------------------------------------------------------------------------------------------------------------


def test_without_deviations_noise_changes_nothing() -> None:
    x, layer = random_analog(random.Random(3), True)
    assert np.array_equal(analog_conv(x, layer, Noise(), "a"), analog_conv(x, layer))


def test_noise_is_the_same_for_a_part_and_for_the_whole() -> None:
    codes, noise = np.zeros((2, 4, 5, 6)), Noise(1, 2, added=0.5, gain=0.1, offset=0.2)
    whole = noise.of(codes, "conv", 1)
    part = noise.of(codes[1:, 1:3, 2:, 4:], "conv", 1, (1, 1, 2, 4))
    assert np.array_equal(part, whole[1:, 1:3, 2:, 4:])


def test_noise_differs_by_seed_op_group_and_place_and_columns_by_device_alone() -> None:
    codes = np.zeros((1, 20, 20, 30))
    drawn = [
        Noise(0, s, added=1.0).of(codes, name, g) for s, name, g in ((0, "a", 0), (1, "a", 0), (0, "b", 0), (0, "a", 1))
    ]
    for number, item in enumerate(drawn):
        assert abs(item.mean()) < 0.05
        assert 0.97 < item.std() < 1.03
        assert len(np.unique(item)) == item.size
        assert all(abs(np.corrcoef(item.ravel(), other.ravel())[0, 1]) < 0.05 for other in drawn[:number])
    columns = Noise(7, 0, offset=1.0).of(codes, "a", 0)
    assert np.array_equal(columns, Noise(7, 1, offset=1.0).of(codes, "b", 3))
    assert not np.array_equal(columns, Noise(8, 0, offset=1.0).of(codes, "a", 0))
    assert len(np.unique(columns)) == codes.shape[3]


def test_noise_reaches_the_outputs() -> None:
    x, layer = random_analog(random.Random(3), True)
    loud = replace(layer, mul=np.full_like(layer.mul, 4), add=np.zeros_like(layer.add), n=0, relu=False)
    assert not np.array_equal(analog_conv(x, loud, Noise(added=2.0), "a"), analog_conv(x, loud))

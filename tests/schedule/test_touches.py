"""What tiles touch, told on arrays, is what the model says tile by tile."""

from __future__ import annotations

import random

import numpy as np
import pytest

from tests.schedule.small import network
from tests.schedule.worlds import make_workload
from weft.model.workload import Workload
from weft.schedule.touches import Roots, touched

SEEDS = range(40)


def agree(workload: Workload, rng: random.Random) -> int:
    """Compares random tiles of every op; returns how many boxes went through a view."""
    roots = Roots(workload)
    viewed = 0
    for op in workload.ops:
        tiles = []
        for _ in range(8):
            tile = []
            for _, size in op.dims:
                start = rng.randrange(size)
                tile.append((start, rng.randint(start + 1, size)))
            tiles.append(tile)
        for operand in op.operands:
            found = roots.boxes(operand.tensor, touched(op, operand, np.array(tiles, np.int64).reshape(8, -1, 2)))
            assert roots.root[operand.tensor] == workload.root(operand.tensor)
            viewed += roots.root[operand.tensor] != operand.tensor
            for tile, box in zip(tiles, found.tolist(), strict=True):
                names = (name for name, _ in op.dims)
                wanted = workload.root_box(operand.tensor, operand.box(dict(zip(names, tile, strict=True))))
                assert tuple(map(tuple, box)) == wanted
    return viewed


def test_boxes_on_arrays_are_those_of_the_model() -> None:
    assert sum(agree(make_workload(seed), random.Random(seed)) for seed in SEEDS) > len(SEEDS)


@pytest.mark.parametrize("perm", [[0, 2, 1], [2, 0, 1], [2, 1, 0]])
def test_transposes_and_reshapes_in_a_row_lead_to_the_root(perm: list[int]) -> None:
    shape = (2, 3, 4)
    turned = tuple(shape[axis] for axis in perm)
    workload = network(
        [
            ("Relu", "make", ["x"], "m", {}),
            ("Transpose", "turn", ["m"], "t", {"perm": perm}),
            ("Reshape", "flat", ["t", "flat_shape"], "f", {}),
            ("Reshape", "again", ["f", "again_shape"], "a", {}),
            ("Relu", "use", ["a"], "y", {}),
        ],
        {"x": shape},
        {},
        {"y": (4, 6)},
        {"flat_shape": [24], "again_shape": [4, 6]},
    )
    assert turned
    assert agree(workload, random.Random(str(perm))) > 0

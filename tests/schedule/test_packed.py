"""What was placed says the same as columns and as nouns."""

from __future__ import annotations

import pytest

from tests.schedule.placed import placed_worlds
from weft.model.packing import to_schedule
from weft.model.rules.columns import check_columns
from weft.schedule.packed import columns_of


@pytest.mark.parametrize("fused", [False, True], ids=["op by op", "fused"])
def test_columns_of_what_was_placed_are_its_schedule(fused: bool) -> None:
    tried = 0
    for seed, workload, placed in placed_worlds(range(40), fused):
        at_last = placed.settled()
        columns = columns_of(at_last)
        chip = at_last.engine.fabric.chip
        assert to_schedule(workload, chip, columns) == at_last.schedule(), seed
        assert check_columns(workload, chip, columns).ok, seed
        tried += 1
    assert tried > 15

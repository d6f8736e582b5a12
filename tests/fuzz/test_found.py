"""What mutants found, one by one, as a user might come upon it."""

from __future__ import annotations

from pathlib import Path

from tests.fuzz.judge import NETWORK, small_network
from weft.chips import library_path
from weft.run import RunResult, run


def test_data_passes_a_memory_that_holds_other_operands(tmp_path: Path):
    """The SIMD core hangs on core2 and core3 alone: its inputs pass their weight memories, which lend their ports."""
    text = library_path("eyeriss_like_quad").read_text("utf-8")
    joins = "joins: [core0, core1, core2, core3, pooling, simd, dram]"
    assert joins in text
    (tmp_path / "chip.yaml").write_text(text.replace(joins, joins.replace(", simd", "")))
    small_network(tmp_path)
    result = run(str(tmp_path / NETWORK), str(tmp_path / "chip.yaml"), budget=1)
    assert isinstance(result, RunResult)
    assert result.proof.ok

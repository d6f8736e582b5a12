"""Chips that are well-formed and still cannot do it: exit 3 with what is missing. Those that do not hold are in
`tests/read/test_chip_errors.py`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.judge import NETWORK, small_network
from weft.cli.main import main

CHIP = """\
name: tiny
source: made up
clock: 1 GHz
outermost: dram
memories:
  dram:
    size: 1 Mbit
    read: 5 pJ
    write: 6 pJ
    buffering: double
    ports:
      rw: {direction: read_write, bandwidth: 64 bit/cycle}
cores:
  npu:
    ops: [conv, gemm, pool, softmax, elementwise]
    op_energy: 1 pJ
    accumulator: 16 bit
    array:
      D1: {size: 4, dataflow: [output_channel]}
    memories:
      sram:
        holds: [I, W, O]
        serves: all
        size: 4 KiB
        read: 3 pJ
        write: 4 pJ
        buffering: double
        ports:
          rw: {direction: read_write, bandwidth: 64 bit/cycle}
links:
  bus:
    joins: [npu, dram]
    bandwidth: 32 bit/cycle
"""

CASES = {
    "no core for an op": (
        "softmax, ",
        "",
        "softmax: no core of 'tiny' takes softmax ops (Softmax); add the kind to a core's ops, or a core that takes it",
    ),
    "a memory too small for one element of each": (
        "size: 4 KiB",
        "size: 16 bit",
        "conv on npu: its smallest tiles do not fit (needs 208 bits of 'npu.sram', which has 16); "
        "make the memory larger, or give it a buffering that needs no second copy of a tile",
    ),
    "a memory outside too small for the network": (
        "size: 1 Mbit",
        "size: 100 bit",
        "softmax on npu: its boxes do not fit beside what must stay (needs 5000 bits of 'dram', which has 100); "
        "make the memory larger",
    ),
}

GOOD_NUMBERS = {
    "absurdly fast": ("bandwidth: 32 bit/cycle", "bandwidth: 1e15 bit/cycle"),
    "absurdly slow": ("bandwidth: 32 bit/cycle", "bandwidth: 1 bit/cycle\n    latency: 1e15 cycle"),
    "absurdly dear": ("op_energy: 1 pJ", "op_energy: 1e24 pJ"),
    "absurdly large": ("size: 4 KiB", "size: 1e15 bit"),
    "absurdly wide": ("size: 4, dataflow", "size: 1000000000000000, dataflow"),
    "a clock of one hertz": ("clock: 1 GHz", "clock: 1 Hz"),
    "for nothing": ("op_energy: 1 pJ", "op_energy: 0"),
}


def spoilt(old: str, new: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.chdir(tmp_path)
    small_network(tmp_path)
    assert CHIP.count(old) == 1
    Path("chip.yaml").write_text(CHIP.replace(old, new))
    return main(["run", NETWORK, "--chip", "chip.yaml", "--budget", "1"])


@pytest.mark.parametrize("case", CASES)
def test_each_says_what_is_missing(case, tmp_path, monkeypatch, capsys):
    old, new, expected = CASES[case]
    assert spoilt(old, new, tmp_path, monkeypatch) == 3
    assert capsys.readouterr().err == f"infeasible: {expected}\n"


@pytest.mark.parametrize("case", GOOD_NUMBERS)
def test_absurd_numbers_are_computed_with(case, tmp_path, monkeypatch):
    """They hold, so they give a proved result: nothing overflows, nothing takes for ever."""
    assert spoilt(*GOOD_NUMBERS[case], tmp_path, monkeypatch) == 0

"""Ops, MACs and parameters of the library's networks, kept in a file so that `weft models` need not build them all.

`python -m weft.cli.zoo_sizes` writes the file anew; a test holds it against the networks.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("zoo_sizes.json")


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large a network is.

    Args:
        ops: as read, before a chip folds any.    macs: of one inference.    parameters: of weights and biases.
    """

    ops: int
    macs: int
    parameters: int


def sizes_of(name: str) -> Sizes:
    """From the file; a network that is not in it yet is built."""
    known = _kept().get(name)
    return Sizes(**known) if known else measure(name)


def measure(name: str) -> Sizes:
    """By building the network."""
    from weft import zoo
    from weft.read import load

    workload = load(name)
    return Sizes(len(workload.ops), workload.macs, zoo.parameters(zoo.build(name, values=False)))


@cache
def _kept() -> dict[str, dict[str, int]]:
    kept: dict[str, dict[str, int]] = json.loads(FILE.read_text("utf-8")) if FILE.exists() else {}
    return kept


if __name__ == "__main__":
    from weft import zoo

    FILE.write_text(json.dumps({name: asdict(measure(name)) for name in zoo.names()}, indent=1) + "\n", "utf-8")

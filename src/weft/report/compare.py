"""Two run folders side by side: what each came to, and by how much the second differs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weft.errors import OptionError

FIGURES = (
    "latency_cycles",
    "latency_s",
    "energy_pj",
    "edp_pj_cycles",
    "initiation_interval_cycles",
    "utilisation",
    "tops",
    "tops_per_watt",
    "tiles",
    "transfers",
)


@dataclass(frozen=True, slots=True)
class Pair:
    """One figure of two runs; None where a run does not have it."""

    name: str
    first: float | None
    second: float | None

    @property
    def ratio(self) -> float | None:
        """The second over the first."""
        return self.second / self.first if self.first and self.second is not None else None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Figures of the whole runs, and the cycles that each op takes from its first tile to its last where they differ.

    Args:    titles: what each run is of.     options: (name, first, second) that differ.
    """

    titles: tuple[str, str]
    options: tuple[tuple[str, str, str], ...]
    figures: tuple[Pair, ...]
    ops: tuple[Pair, ...]

    def to_json(self) -> dict[str, Any]:
        def rows(pairs: tuple[Pair, ...]) -> list[dict[str, Any]]:
            return [{"name": it.name, "first": it.first, "second": it.second, "ratio": it.ratio} for it in pairs]

        return {
            "runs": list(self.titles),
            "options": [{"name": name, "first": one, "second": other} for name, one, other in self.options],
            "figures": rows(self.figures),
            "ops": rows(self.ops),
        }


def compare(first: Path, second: Path) -> Comparison:
    """What two run folders say.

    Errors: OptionError for a folder that `weft run` has not written whole.
    """
    (one, given), (other, asked) = _read(first), _read(second)
    names = dict.fromkeys((*given, *asked))
    options = tuple(
        (name, _word(given.get(name)), _word(asked.get(name))) for name in names if given.get(name) != asked.get(name)
    )
    figures = [Pair(name, one.get(name), other.get(name)) for name in FIGURES if name in one or name in other]
    memories = dict.fromkeys((*one["peak_memory_bits"], *other["peak_memory_bits"]))
    figures += [
        Pair(f"peak of {it} [bit]", *(run["peak_memory_bits"].get(it) for run in (one, other))) for it in memories
    ]
    return Comparison(
        (f"{one['model']} on {one['chip']}", f"{other['model']} on {other['chip']}"),
        options,
        tuple(figures),
        tuple(_ops(one, other)),
    )


def _ops(one: dict[str, Any], other: dict[str, Any]) -> Iterator[Pair]:
    spans = [{row["name"]: row["end_cycle"] - row["start_cycle"] for row in run["ops"]} for run in (one, other)]
    for name in dict.fromkeys((*spans[0], *spans[1])):
        pair = Pair(name, spans[0].get(name), spans[1].get(name))
        if pair.first != pair.second:
            yield pair


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """summary.json and the options of manifest.json."""
    try:
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        return dict(summary, peak_memory_bits=summary["peak_memory_bits"], ops=summary["ops"]), manifest["options"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise OptionError(
            f"each DIR must be a run folder, with summary.json and manifest.json, not '{folder}'",
            remedy="weft run writes them; of a front, name one of its points",
        ) from error


def _word(value: Any) -> str:
    return "-" if value is None else str(value)

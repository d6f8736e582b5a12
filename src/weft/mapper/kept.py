"""Best mappings that an earlier run found, kept on disk by the content of the problem and checked when they come back.

The search is given only what the key is made of, so that nothing else can decide a result. What comes back is parsed,
must be legal, and is priced by the readable formula again; where anything does not hold, the search is run as if
nothing were there. So results are the same with and without.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Literal, TypeAlias

from weft.cache import Store, digest, place, text_of
from weft.cost.legal import broken
from weft.cost.price import price
from weft.errors import MappingError
from weft.mapper.solve import ROUNDING, Mapped, Objective, best_mapping, beyond_reach, value
from weft.model.chip import Chip
from weft.model.mapping import Problem, parse_mapping
from weft.model.schedule import Infeasible

FORMAT = 1
"""Counted up when what is kept, or how, changes."""

Aim: TypeAlias = tuple[Objective, Literal["fixed", "free"], int, int]
"""Objective, dataflow, beam and states, as `best_mapping` takes them."""


def results() -> Store | None:
    """Where mappings are kept across runs; None where the cache is off or this copy of weft cannot tell its version."""
    folder = place()
    return None if folder is None or version() is None else Store(folder / "mappings")


def recalled(problem: Problem, aim: Aim, store: Store | None) -> Mapped | Infeasible:
    """`best_mapping` of a problem, from `store` where it is there, and kept there where it is not."""
    refused = beyond_reach(problem)
    if refused is not None:
        return refused
    bare = bared(problem)
    key = digest(text_of((version(), bare, aim))) if store else ""
    found = _restored(store.get(key), bare, aim[0]) if store else None
    if found is None:
        found = best_mapping(bare, *aim)
        if store:
            store.put(key, _written(found))
    if isinstance(found, Infeasible):
        return replace(found, subject=f"{problem.op.name} on {problem.core.name}")
    return found


def bared(problem: Problem) -> Problem:
    """A problem with nothing in it that does not bear on its mapping (memories and links keep their names)."""
    op, chip, setting = problem.op, problem.chip, problem.setting
    every = [place for _, places in setting.places for place in places]
    memories = {name for place in every for name in (place.memory, *place.via)}
    links = {name for place in every for name in place.links}
    return Problem(
        replace(
            op,
            name="",
            onnx="",
            operands=tuple(replace(operand, tensor="") for operand in op.operands),
            folded=(),
            nodes=(),
        ),
        problem.widths,
        Chip(
            "",
            (replace(problem.core, name="", ops=frozenset(), note=""),),
            tuple(replace(memory, assumed="") for memory in chip.memories if memory.name in memories),
            tuple(link for link in chip.links if link.name in links),
            "",
            chip.base_clock_hz,
            static_pj_per_cycle=chip.static_pj_per_cycle,
        ),
        replace(setting, core=""),
    )


@cache
def version() -> str | None:
    """What decides a result beside the problem: this form, weft's search and formula, and what runs them.

    None where the code cannot be read: then nothing that is kept could be told from what is out of date.
    """
    code: list[str] = []
    try:
        for package in ("cost", "mapper", "model"):
            for path in sorted((Path(__file__).parent.parent / package).glob("*.py")):
                code.append(path.read_text("utf-8"))
    except OSError:
        return None
    if not code:
        return None
    from weft import __version__

    libraries = [metadata.version(name) for name in ("numpy", "numba")]
    return text_of((FORMAT, __version__, digest("\n".join(code)), *libraries))


def _written(found: Mapped | Infeasible) -> dict[str, object]:
    if isinstance(found, Infeasible):
        return {
            "reason": found.reason,
            "needs_bits": found.needs_bits,
            "has_bits": found.has_bits,
            "memory": found.memory,
            "remedy": found.remedy,
        }
    return {
        "mapping": str(found.mapping),
        "optimal": found.optimal,
        "bound": found.bound,
        "space": found.space,
        "space_size": found.space_size,
        "evaluated": found.evaluated,
    }


def _restored(entry: object, problem: Problem, objective: Objective) -> Mapped | Infeasible | None:
    """A result from what was written of it; None where it does not hold."""
    if not isinstance(entry, dict):
        return None
    if "mapping" not in entry:
        return Infeasible("", **entry)
    try:
        mapping = parse_mapping(entry.pop("mapping"))
    except MappingError:
        return None
    if broken(problem, mapping):
        return None
    found = Mapped(mapping, price(problem, mapping), objective, **entry)
    reached = value(found.price, objective)[0]
    holds = found.bound == reached if found.optimal else found.bound < reached * (1 - ROUNDING)
    return found if holds else None

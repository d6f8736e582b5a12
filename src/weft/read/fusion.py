"""Fusion files (`--fuse FILE`, docs/fuse_format.md): groups and placements as the user settles them, and as text."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from pathlib import Path

from weft.errors import Gathered, did_you_mean, nearest
from weft.model.chip import Chip
from weft.model.fusion import Fusion, Spot, Together
from weft.model.workload import Op, Workload
from weft.read.items import ItemError, Part, load
from weft.read.yaml_text import listed, quoted

FORM = "write 'groups: [{ops: [a, b], axis: OY, steps: 4}]'"


def read_fusion(path: Path, workload: Workload, chip: Chip) -> Fusion:
    """What a file settles of a network on a chip.

    Errors: ItemError for everything in it that does not hold.
    """
    file = load(path, "groups and placements")
    top = Part(file, "", ("groups", "placements"))
    file.once("")
    if not top.has("groups") and not top.has("placements"):
        raise ItemError("the file must give groups or placements, and there are none", where=f"{path}:1", remedy=FORM)
    problems = Gathered(ItemError)
    numbers = {op.name: number for number, op in enumerate(workload.ops)}
    groups: list[Together] = []
    taken: dict[str, int] = {}
    for item in top.items("groups") if top.has("groups") else ():
        with problems.go_on():
            group = _group(Part(item, "group", ("ops", "axis", "steps")), workload, numbers)
            again = next((name for name in group.ops if name in taken), None)
            if again is not None:
                raise ItemError(
                    f"an op must be in one group, and '{again}' is in that of line {taken[again]} already",
                    where=item.where("group"),
                )
            taken.update(dict.fromkeys(group.ops, item.line))
            groups.append(group)
    spots: list[Spot] = []
    given = top.get("placements") if top.has("placements") else None
    for name, item in top.parts("placements").items() if given else ():
        with problems.go_on():
            assert given is not None
            if name not in numbers:
                raise _unknown(name, workload, given.where("placements", name))
            spots.append(
                _spot(Part(item, f"placement '{name}'", ("cores", "dim", "split", "stream")), workload, name, chip)
            )
    problems.settle()
    groups.sort(key=lambda group: numbers[group.ops[0]])
    spots.sort(key=lambda spot: numbers[spot.op])
    return Fusion(tuple(groups), tuple(spots))


def _group(part: Part, workload: Workload, numbers: dict[str, int]) -> Together:
    part.item.once(part.thing)
    for item in part.items("ops"):
        if item.value not in numbers:
            raise _unknown(str(item.value), workload, item.where(part.thing))
    names = part.words("ops")
    if not names:
        raise part.error("ops", "ops must name at least one op, and there are none", FORM)
    found = sorted(numbers[name] for name in names)
    for before, after in itertools.pairwise(found):
        one, other = workload.ops[before].name, workload.ops[after].name
        if before == after:
            raise part.error("ops", f"ops must name each op once, not '{one}' twice")
        if after > before + 1:
            between = workload.ops[before + 1].name
            raise part.error(
                "ops",
                f"ops must be neighbours in the network's order, not '{one}' and '{other}' without '{between}'",
                "add what lies between, or make two groups",
            )
    last = workload.ops[found[-1]]
    axis = _dim(part, "axis", last) if part.has("axis") else None
    steps = part.whole("steps") if part.has("steps") else None
    if steps is not None and steps > 1:
        most = last.size[axis] if axis else max([1, *(last.size[dim] for dim in last.cuttable)])
        if steps > most:
            of = f"indices of {axis} that '{last.name}' has" if axis else f"indices that a dim of '{last.name}' has"
            raise part.error("steps", f"steps must be at most {most}, the {of}, not {steps}")
    return Together(tuple(workload.ops[number].name for number in found), axis, steps)


def _spot(part: Part, workload: Workload, name: str, chip: Chip) -> Spot:
    part.item.once(part.thing)
    op = next(op for op in workload.ops if op.name == name)
    cores = part.words("cores")
    known = [core.name for core in chip.cores]
    able = [core.name for core in chip.cores_for(op.kind)]
    if not cores:
        raise part.error("cores", "cores must name at least one core, and there are none")
    for core in cores:
        if core not in known:
            near = did_you_mean(core, known) or f"known: {', '.join(known)}"
            raise part.error("cores", f"cores must be those of '{chip.name}', not '{core}'", near)
        if core not in able:
            way = f"those that do: {', '.join(able)}" if able else None
            raise part.error("cores", f"cores of '{name}' must take {op.kind} ops, and '{core}' does not", way)
    if len(set(cores)) < len(cores):
        again = next(core for core in cores if cores.count(core) > 1)
        raise part.error("cores", f"cores must name each core once, not '{again}' twice")
    dim = _dim(part, "dim", op) if part.has("dim") else None
    if dim is not None and len(cores) == 1:
        raise part.error("dim", f"dim must go with several cores, not with '{cores[0]}' alone", "leave it out")
    if dim is not None and part.has("split"):
        raise part.error(
            "split", "split must go without dim, and both are given", "dim: K is split: [K/2] on two cores"
        )
    split = _split(part, op, len(cores)) if part.has("split") else ((dim, len(cores)),) if dim else ()
    return Spot(name, tuple(cores), split, part.truth("stream"))


def _split(part: Part, op: Op, cores: int) -> tuple[tuple[str, int], ...]:
    """Ways along several dims, as many parts as cores."""
    found: list[tuple[str, int]] = []
    for word in part.words("split"):
        dim, _, ways = word.partition("/")
        if not ways.isdecimal() or int(ways) < 1:
            raise part.error("split", f"split must name dims and ways such as K/2, not '{word}'")
        if dim not in op.cuttable or dim in dict(found):
            dims = ", ".join(op.cuttable)
            raise part.error(
                "split", f"split must name dims of {dims}, along which '{op.name}' may be cut, once each, not '{dim}'"
            )
        found.append((dim, int(ways)))
    parts = math.prod(ways for _, ways in found)
    if parts != cores:
        raise part.error("split", f"split must make as many parts as cores, which are {cores}, not {parts}")
    return tuple(found)


def _dim(part: Part, key: str, op: Op) -> str:
    dim = part.text(key)
    if dim not in op.cuttable:
        dims = ", ".join(op.cuttable)
        which = f"one of {dims}, along which '{op.name}' may be cut" if dims else f"left out: '{op.name}' has none"
        raise part.error(key, f"{key} must be {which}, not '{dim}'", did_you_mean(dim, list(op.cuttable)))
    return dim


def _unknown(name: str, workload: Workload, where: str) -> ItemError:
    """That no op is called so; a node that an op stands for names it."""
    names = [op.name for op in workload.ops]
    host = next((op.name for op in workload.ops if name in (*op.nodes, *op.folded)), None)
    near = nearest(name, names)
    way = f"that node is part of '{host}'" if host else f"did you mean '{near}'?" if near else "weft check lists them"
    return ItemError(f"a name must be that of an op of '{workload.name}', not '{name}'", where=where, remedy=way)


def fusion_text(fusion: Fusion, title: str = "") -> str:
    """A fusion file that settles the same."""
    lines = [f"# {title}"] if title else []
    if fusion.groups:
        lines.append("groups:")
    for group in fusion.groups:
        parts = [f"ops: {_names(group.ops)}"]
        parts += [f"axis: {quoted(group.axis)}"] if group.axis else []
        parts += [f"steps: {group.steps}"] if group.steps else []
        lines.append(f"  - {{{', '.join(parts)}}}")
    if fusion.placements:
        lines.append("placements:")
    for spot in fusion.placements:
        parts = [f"cores: {_names(spot.cores)}"]
        parts += [f"dim: {quoted(dim)}" for dim, _ in spot.split[:1] if len(spot.split) == 1]
        parts += [f"split: {_names([f'{dim}/{ways}' for dim, ways in spot.split])}"] if len(spot.split) > 1 else []
        parts += ["stream: true"] if spot.stream else []
        lines.append(f"  {quoted(spot.op)}: {{{', '.join(parts)}}}")
    return "\n".join(lines) + "\n"


def _names(names: Sequence[str]) -> str:
    return listed(quoted(name) for name in names)

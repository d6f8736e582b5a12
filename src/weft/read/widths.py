"""Widths that the user sets: a YAML file from names of ops and tensors to bits (`--precision FILE`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode

from weft.errors import Gathered, OptionError, UserError, nearest, suggestion
from weft.model.workload import Note, Slot, TensorRole, Workload
from weft.units import parse_quantity

_WORDS: dict[str, Slot] = {"inputs": "I", "weights": "W", "outputs": "O"}
_LETTERS: dict[TensorRole, Slot] = {"weight": "W", "input": "I", "intermediate": "O", "output": "O"}
_FORM = "write 'name: 4' or 'name: {weights: 4, inputs: 8}'"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the file: the names that match `pattern` get `bits` in each slot given."""

    pattern: str
    bits: tuple[tuple[Slot, int], ...]
    where: str


def read_widths(path: Path) -> tuple[Entry, ...]:
    """The entries of a file in its order; a number alone stands for inputs, weights and outputs.

    Errors: OptionError for everything in it that does not hold.
    """
    problems = Gathered(OptionError)
    entries: list[Entry] = []
    for key, value in _entries(path):
        where = f"{path}:{key.start_mark.line + 1}"
        with problems.go_on(where):
            if not isinstance(key, ScalarNode):
                raise OptionError("a key must be the name of an op or a tensor", where=where, remedy=_FORM)
            entries.append(Entry(str(key.value), tuple(_slots(value, where)), where))
    problems.settle()
    return tuple(entries)


def _entries(path: Path) -> list[tuple[Node, Node]]:
    try:
        node = YAML(typ="rt", pure=True).compose(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise OptionError(f"the file must be readable, not: {error.strerror}", where=str(path)) from error
    except UnicodeDecodeError as error:
        raise OptionError("the file must be UTF-8 text", where=str(path), remedy="save it as UTF-8") from error
    except (YAMLError, RecursionError) as error:
        mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise OptionError("the file must be well-formed YAML", where=where, remedy=_FORM) from error
    if not isinstance(node, MappingNode) or not node.value:
        raise OptionError("the file must map names to bits, and there are none", where=f"{path}:1", remedy=_FORM)
    return list(node.value)


def _slots(node: Node, where: str) -> Iterable[tuple[Slot, int]]:
    if not isinstance(node, MappingNode):
        bits = _bits(node, where)
        return [(slot, bits) for slot in _WORDS.values()]
    found = []
    for key, value in node.value:
        at = f"{where.rpartition(':')[0]}:{key.start_mark.line + 1}"
        if key.value not in _WORDS:
            raise OptionError(
                f"bits must be of inputs, weights or outputs, not '{key.value}'",
                where=at,
                remedy=suggestion(str(key.value), list(_WORDS)),
            )
        found.append((_WORDS[key.value], _bits(value, at)))
    return found


def _bits(node: Node, where: str) -> int:
    text = str(node.value) if isinstance(node, ScalarNode) else ""
    try:
        bits = parse_quantity(text, "bit")
    except UserError:
        bits = None
    if bits is None or bits.denominator != 1 or not 1 <= bits <= 64:
        raise OptionError(f"a width must be a whole number from 1 to 64, not '{text}'", where=where, remedy=_FORM)
    return int(bits)


def set_widths(workload: Workload, entries: tuple[Entry, ...], folded: Iterable[str] = ()) -> tuple[Workload, str]:
    """The workload with the widths that the entries give; of several for one tensor the last counts.

    An entry that matches ops (or nodes that they stand for) sets their weights, what else they read, what they write;
    one that matches tensors sets those, a network's input as inputs, and all that ops write as outputs. Where it
    matches both, what it says of tensors counts. Views go with what they show.

    Args:    folded: names that folding has left nothing of: an entry for one is noted, not refused.
    Returns: the workload, and what was set in words ("4-bit W of 9 tensors").
    Errors:  OptionError for entries that match nothing.
    """
    problems = Gathered(OptionError)
    notes: list[Note] = []
    letters = {tensor.name: _LETTERS[tensor.role] for tensor in workload.tensors}
    bits: dict[str, tuple[Slot, int]] = {}
    for entry in entries:
        given = dict(entry.bits)
        found: list[tuple[Slot, str]] = []
        for op in workload.ops:
            if any(fnmatchcase(name, entry.pattern) for name in (op.name, *op.nodes)):
                roots = [workload.root(item.tensor) for item in op.inputs]
                found += [("W" if letters[root] == "W" else "I", root) for root in roots]
                found.append(("O", workload.root(op.output.tensor)))
        for name in letters:
            if fnmatchcase(name, entry.pattern):
                root = workload.root(name)
                found.append((letters[root], root))
        if not found and entry.pattern in folded:
            notes.append(Note(entry.pattern, f"folded on this chip: {entry.where} sets nothing"))
        elif not found:
            names = sorted({*letters, *(op.name for op in workload.ops)})
            near = nearest(entry.pattern, names)
            problems.add(
                OptionError(
                    f"a name must be that of an op or a tensor, not '{entry.pattern}'",
                    where=entry.where,
                    remedy=f"did you mean '{near}'?" if near else "weft check lists them; 'conv*' stands for several",
                )
            )
        bits.update((name, (slot, given[slot])) for slot, name in found if slot in given)
    problems.settle()
    tensors = tuple(
        replace(tensor, bits=bits[root][1]) if (root := workload.root(tensor.name)) in bits else tensor
        for tensor in workload.tensors
    )
    return replace(workload, tensors=tensors, notes=(*workload.notes, *notes)), _words(bits)


def _words(bits: dict[str, tuple[Slot, int]]) -> str:
    groups = Counter(bits.values())
    parts = [f"{width}-bit {slot} of {count}" for (slot, width), count in sorted(groups.items())]
    return f"{', '.join(parts)} tensor{'s' * (len(bits) != 1)}" if parts else "nothing"

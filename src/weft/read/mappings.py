"""Reads mappings: weft's own text and JSON, and ZigZag's mappings in JSON, with the op that each is for.

Layouts:

- weft's text, one mapping a line: `NAME: D1:K32 D2:C32 | FX3 O@rf ...`; `#` starts a comment line.
- weft's JSON, as `weft map --json` writes it: `{"ops": [{"name": ..., "core": ..., "mapping": text}]}`.
- ZigZag's JSON: `{"layers": [{"name": ..., "dims": {dim: size}, "temporal_mapping": {operand: [[[dim, steps], ...] per
  memory]}, "spatial_mapping": text, "spatial_mapping_exact": text}]}`, loops inner to outer, innermost memory first;
  the spatial texts read `{O: [[], [(K, 32), (C, 3)], [], []], W: ..., I: ...}`, one list per array level. Of the two
  the exact one counts where it is given. What else a layer states (its energy, say) is left alone.

ZigZag's YAML is none of them: it says what lies on the array and, at most, the order of loops, not where operands rest.
"""

from __future__ import annotations

import json
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

from weft.errors import MappingError
from weft.model.mapping import Loop, Mapping, parse_mapping
from weft.model.workload import SLOTS, Slot
from weft.model.zigzag import NamedMapping, Spread, ZigzagLoops, ZigzagMapping, parse_zigzag


def read_mappings(path: str | Path) -> tuple[NamedMapping, ...]:
    """The mappings in a file, in its order; their ops are to be matched by exact name.

    Errors: MappingError, naming the file and the entry or line of the first thing that does not hold.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        what = error.strerror if isinstance(error, OSError) else "no UTF-8 text"
        raise MappingError(f"a mapping file must be one that can be read, not '{path}': {what}") from error
    if path.suffix in (".yaml", ".yml"):
        raise MappingError(
            "a mapping must say in which memory each loop of each operand lies, and ZigZag's YAML leaves that to its "
            "search",
            where=str(path),
            remedy="evaluate takes the mappings that ZigZag found, as JSON; weft import zigzag --mapping takes the "
            "array's side of the YAML",
        )
    found = _read_json(text, str(path)) if text.lstrip().startswith(("{", "[")) else _read_text(text, str(path))
    if not found:
        raise MappingError("a mapping file must hold at least one mapping, not none", where=str(path))
    seen: dict[str, str] = {}
    for named in found:
        if named.op in seen:
            raise MappingError(
                f"an op must have one mapping, and '{named.op}' has two",
                where=named.where,
                remedy=f"remove this one or that of {seen[named.op]}",
            )
        seen[named.op] = named.where
    return found


def read_zigzag_mappings(path: str | Path) -> tuple[NamedMapping, ...]:
    """The mappings in a file of ZigZag's; see `read_mappings`.

    Errors: MappingError also where one is not in ZigZag's form.
    """
    found = read_mappings(path)
    for named in found:
        if not isinstance(named.mapping, ZigzagMapping):
            raise MappingError("a mapping must be in ZigZag's form, not in weft's", where=named.where)
    return found


def _read_text(text: str, path: str) -> tuple[NamedMapping, ...]:
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        where = f"{path}:{number}"
        name, colon, mapping = line.strip().partition(": ")
        if not colon:
            raise MappingError(f"a line must read NAME: MAPPING, not '{line.strip()}'", where=where)
        found.append(NamedMapping(name.strip(), _parsed(mapping, where), where=where))
    return tuple(found)


def _parsed(text: str, where: str) -> Mapping | ZigzagMapping:
    try:
        return parse_zigzag(text) if re.match(r"\s*[IWO]:[^|]*;", text) else parse_mapping(text)
    except MappingError as error:
        raise MappingError(error.message, where=where, remedy=error.remedy) from error


def _read_json(text: str, path: str) -> tuple[NamedMapping, ...]:
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise MappingError(
            f"a mapping file must be whole JSON, and is not at column {error.colno}: {error.msg}",
            where=f"{path}:{error.lineno}",
        ) from error
    if isinstance(document, dict) and isinstance(document.get("ops"), list):
        return tuple(_weft_op(entry, path, index) for index, entry in enumerate(document["ops"]))
    layers = document.get("layers") if isinstance(document, dict) else document
    if not isinstance(layers, list):
        raise MappingError(
            "a mapping file must have a list of 'ops' (weft's) or 'layers' (ZigZag's), not neither",
            where=path,
            remedy="write one with weft map --json",
        )
    return tuple(_zigzag_layer(entry, path, index) for index, entry in enumerate(layers))


def _field(entry: Any, key: str, kind: type, where: str, what: str) -> Any:
    value = entry.get(key)
    if not isinstance(value, kind):
        given = "nothing" if value is None else json.dumps(value)[:60]
        raise MappingError(f"'{key}' must be {what}, not {given}", where=where)
    return value


def _entry(entry: Any, where: str) -> str:
    if not isinstance(entry, dict):
        raise MappingError(f"an entry must be an object, not {json.dumps(entry)[:60]}", where=where)
    return str(_field(entry, "name", str, where, "the op's name"))


def _weft_op(entry: Any, path: str, index: int) -> NamedMapping:
    where = f"{path}: ops[{index}]"
    name = _entry(entry, where)
    where = f"{where} '{name}'"
    core = entry.get("core")
    if core is not None and not isinstance(core, str):
        raise MappingError(f"'core' must be a core's name, not {json.dumps(core)[:60]}", where=where)
    text = _field(entry, "mapping", str, where, "a mapping's text")
    return NamedMapping(name, _parsed(text, where), core, _dims(entry, where), where)


def _dims(entry: dict[str, Any], where: str) -> tuple[tuple[str, int], ...]:
    dims = entry.get("dims", {})
    if not isinstance(dims, dict) or any(not _whole(size) for size in dims.values()):
        raise MappingError(f"'dims' must be an object of sizes of at least 1, not {json.dumps(dims)[:60]}", where=where)
    return tuple(dims.items())


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _zigzag_layer(entry: Any, path: str, index: int) -> NamedMapping:
    where = f"{path}: layers[{index}]"
    name = _entry(entry, where)
    where = f"{where} '{name}'"
    temporal = _field(entry, "temporal_mapping", dict, where, "an object of loops per operand")
    key = "spatial_mapping_exact" if entry.get("spatial_mapping_exact") is not None else "spatial_mapping"
    spatial = _spatial(_field(entry, key, str, where, "text such as {O: [[], [(K, 32)]], ...}"), f"{where} {key}")
    operands = []
    for slot in temporal:
        if slot not in SLOTS:
            raise MappingError(f"an operand must be I, W or O, not '{slot}'", where=where)
        if slot not in spatial:
            raise MappingError(f"'{key}' must have every operand of the loops, and has no {slot}", where=where)
        loops = _temporal(temporal[slot], f"{where} temporal_mapping {slot}")
        try:
            operands.append(ZigzagLoops(_slot(slot), loops, spatial[_slot(slot)]))
        except MappingError as error:
            raise MappingError(error.message, where=where) from error
    try:
        return NamedMapping(name, ZigzagMapping(tuple(operands)), None, _dims(entry, where), where)
    except MappingError as error:
        raise MappingError(error.message, where=where) from error


def _slot(text: str) -> Slot:
    return next(slot for slot in SLOTS if slot == text)


def _temporal(levels: Any, where: str) -> tuple[tuple[Loop, ...], ...]:
    if not isinstance(levels, list) or any(not isinstance(level, list) for level in levels):
        raise MappingError(f"loops must be one list per memory, not {json.dumps(levels)[:60]}", where=where)
    found = []
    for level in levels:
        for loop in level:
            if not (isinstance(loop, list) and len(loop) == 2 and isinstance(loop[0], str) and _whole(loop[1])):
                raise MappingError(f'a loop must read ["OX", 56], not {json.dumps(loop)[:60]}', where=where)
        found.append(tuple(Loop(dim, steps) for dim, steps in level))
    return tuple(found)


_TOKEN = re.compile(r"\s*([\[\](),:{}]|[A-Z][A-Z0-9]*|[0-9]+(?:\.[0-9]+)?(?:e[-+]?[0-9]+)?)")


def _spatial(text: str, where: str) -> dict[Slot, tuple[tuple[Spread, ...], ...]]:
    """The array levels of each operand from text such as `{O: [[], [(K, 31.25), (C, 32.0)], [], []], W: ...}`."""
    tokens: list[str] = []
    at = 0
    while at < len(text.rstrip()):
        match = _TOKEN.match(text, at)
        if match is None:
            raise MappingError(
                f"a spatial mapping must read {{O: [[], [(K, 32)]], ...}}, not '{text[at:][:30]}'", where=where
            )
        tokens.append(match.group(1))
        at = match.end()
    reader = _Tokens(tokens, where)
    found: dict[Slot, tuple[tuple[Spread, ...], ...]] = {}
    reader.take("{")
    while not reader.peek("}"):
        slot = reader.word()
        if slot not in SLOTS:
            raise MappingError(f"an operand must be I, W or O, not '{slot}'", where=where)
        reader.take(":")
        found[_slot(slot)] = tuple(tuple(level) for level in reader.levels())
        if not reader.peek("}"):
            reader.take(",")
    reader.take("}")
    return found


class _Tokens:
    """Reads a spatial text token by token."""

    def __init__(self, tokens: list[str], where: str) -> None:
        self.tokens = tokens
        self.where = where
        self.at = 0

    def peek(self, token: str) -> bool:
        return self.at < len(self.tokens) and self.tokens[self.at] == token

    def word(self) -> str:
        self.at += 1
        return self.tokens[self.at - 1] if self.at <= len(self.tokens) else "its end"

    def take(self, token: str) -> None:
        given = self.word()
        if given != token:
            quoted = given if given == "its end" else f"'{given}'"
            raise MappingError(f"a spatial mapping must have '{token}' here, not {quoted}", where=self.where)

    def levels(self) -> list[list[Spread]]:
        found: list[list[Spread]] = []
        self.take("[")
        while not self.peek("]"):
            level: list[Spread] = []
            self.take("[")
            while not self.peek("]"):
                level.append(self.spread())
                if not self.peek("]"):
                    self.take(",")
            self.take("]")
            found.append(level)
            if not self.peek("]"):
                self.take(",")
        self.take("]")
        return found

    def spread(self) -> Spread:
        self.take("(")
        dim = self.word()
        self.take(",")
        number = self.word()
        self.take(")")
        try:
            # The text is a decimal rounding of n / ceil(n / u), whose denominator is small.
            factor = Fraction(number).limit_denominator(10**6)
        except ValueError:
            factor = Fraction(0)
        if factor <= 0 or not dim.isalnum():
            raise MappingError(f"a spatial loop must read (K, 32), not ({dim}, {number})", where=self.where)
        return Spread(dim, factor)

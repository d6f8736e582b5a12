"""A YAML file as plain data in which every value remembers its file and line; cores written elsewhere are put in."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from weft.chips import DIRECTORY
from weft.errors import ChipError, together

Loc = tuple[str | int, ...]
"""The way to a value: keys and list positions from the top of the chip file."""

_THINGS = {"cores": "core", "memories": "memory", "ports": "port", "links": "link", "array": "side"}
LISTED = 8
"""Names that one line of an error gives."""
_YAML = "tag:yaml.org,2002:"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands: file as the user named it, line from 1."""

    file: Path
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Problem:
    """What does not hold of the value at `loc`, and where that shows."""

    loc: Loc
    place: Place
    error: ChipError


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file, and what was found not to hold of it.

    Args:
        data:     mappings, lists, text, numbers, booleans and None.
        places:   where each value of `data` stands, in the order of the text; `()` is the file itself.
        problems: what does not hold; `settle` raises it.
        doubtful: values that are missing only because of a problem elsewhere (their key is misspelt).
    """

    data: dict[str, Any]
    places: dict[Loc, Place]
    problems: list[Problem] = field(default_factory=list)
    doubtful: list[Loc] = field(default_factory=list)

    def place(self, loc: Loc) -> Place:
        """Where `loc` stands, or the nearest thing around it where it is missing."""
        while loc not in self.places:
            loc = loc[:-1]
        return self.places[loc]

    def refuse(
        self, loc: Loc, message: str, remedy: str | None = None, place: Place | None = None, thing: str | None = None
    ) -> None:
        """Note that the value at `loc` does not hold, and go on.

        Args:
            place: where that shows, if not at the value itself (in its second writing, say).
            thing: what it concerns, if not the named things around the value.
        """
        at = place or self.place(loc)
        where = f"{at} {subject(loc) if thing is None else thing}".rstrip()
        self.problems.append(Problem(loc, at, ChipError(message, where=where, remedy=remedy)))

    def sound(self, loc: Loc = ()) -> bool:
        """Whether no problem is known of the value at `loc`, of what it holds and of what holds it."""
        broken = [*(problem.loc for problem in self.problems), *self.doubtful]
        return not any(at[: len(loc)] == loc[: len(at)] for at in broken)

    def names(self, section: str) -> list[str] | None:
        """The names that a mapping at the top gives to its entries, be they sound or not.

        None where nobody can say which names there are: the mapping has a problem itself, or one of the names has.
        """
        entries = self.data.get(section, {})
        for loc in (*(problem.loc for problem in self.problems), *self.doubtful):
            if loc in ((), (section,)) or (loc[:1] == (section,) and loc[2:] == ("[key]",)):
                return None
        return list(entries) if isinstance(entries, dict) else None

    def settle(self) -> None:
        """Raise what was noted, file by file in the order of lines; nothing where all is sound.

        A file that several cores name with `from:` is complained of once.
        """
        files = list(dict.fromkeys(place.file for place in self.places.values()))
        found: dict[tuple[Place, Loc, str], ChipError] = {}
        for problem in self.problems:
            place, error = problem.place, problem.error
            error.order = (files.index(place.file) if place.file in files else len(files), place.line)
            inside = problem.loc[2:] if problem.loc[:1] == ("cores",) else problem.loc
            found.setdefault((place, inside, error.message), error)
        if found:
            raise together(list(found.values()))


def subject(loc: Loc) -> str:
    """The named things around a value, outermost first.

    >>> subject(("cores", "npu", "memories", "l1", "size"))
    "core 'npu' memory 'l1'"
    """
    pairs = zip(loc[::2], loc[1::2], strict=False)
    return " ".join(f"{_THINGS[str(kind)]} '{name}'" for kind, name in pairs if kind in _THINGS)


def load(path: Path) -> Document:
    """A chip file with its cores' `from:` followed.

    Errors: ChipError where the file is no YAML mapping; what does not hold inside is noted in the document.
    """
    chip = _parse(path)
    cores = chip.data.get("cores")
    if not isinstance(cores, dict):
        return chip
    followed: dict[str, Document] = {}
    files: dict[Path, Document] = {}
    for name, entry in cores.items():
        top = ("cores", name)
        own = Document(
            entry,
            {loc[2:]: place for loc, place in chip.places.items() if loc[:2] == top},
            [replace(problem, loc=problem.loc[2:]) for problem in chip.problems if problem.loc[:2] == top],
        )
        followed[name] = own
        if isinstance(entry, dict):
            try:
                followed[name] = _follow(own, path, (path,), subject(top), files)
            except ChipError as error:
                own.problems.append(Problem((), own.place(("from",)), error))
    places: dict[Loc, Place] = {}
    for loc, place in chip.places.items():
        if loc[0:1] != ("cores",) or len(loc) == 1:
            places[loc] = place
        elif len(loc) == 2:
            places |= {loc + inner: there for inner, there in followed[str(loc[1])].places.items()}
    problems = [problem for problem in chip.problems if problem.loc[:1] != ("cores",) or len(problem.loc) == 1]
    for name, core in followed.items():
        problems += [replace(problem, loc=("cores", name, *problem.loc)) for problem in core.problems]
    return Document(chip.data | {"cores": {name: core.data for name, core in followed.items()}}, places, problems)


def _follow(core: Document, path: Path, trail: tuple[Path, ...], thing: str, files: dict[Path, Document]) -> Document:
    """`core` laid over the description that its `from:` names; what it says itself counts, key by key.

    Args:
        core, path: the description and the file it stands in.    trail: the files that led here, to find circles.
        thing:      the core's name for errors.                   files: those parsed so far.
    """
    if "from" not in core.data:
        return core
    where = f"{core.place(('from',))} {thing}"
    name = core.data["from"]
    if not isinstance(name, str):
        raise ChipError(f"'from' must name a core file, not {shown(name)}", where=where, remedy="give its path")
    target = next((folder / name for folder in (path.parent, DIRECTORY) if os.path.isfile(folder / name)), None)
    if target is None:
        cores = ", ".join(sorted(f"cores/{file.name}" for file in (DIRECTORY / "cores").glob("*.yaml")))
        raise ChipError(
            f"'from' must name a file beside this one or in the library, not '{name}'",
            where=where,
            remedy=f"the library has {cores}",
        )
    if any(target.samefile(earlier) for earlier in trail):
        circle = " -> ".join(file.name for file in (*trail, target))
        raise ChipError(f"'from' must not lead in a circle, not {circle}", where=where, remedy="write one core out")
    if target not in files:
        files[target] = _parse(target)
    base = _follow(files[target], target, (*trail, target), thing, files)
    own = {key: value for key, value in core.data.items() if key != "from"}
    places = {loc: place for loc, place in base.places.items() if loc and loc[0] not in own}
    places = {(): core.places[()]} | places | {loc: place for loc, place in core.places.items() if loc != ("from",)}
    problems = [problem for problem in base.problems if problem.loc[:1] == () or problem.loc[0] not in own]
    return Document(base.data | own, places, [*problems, *core.problems])


def shown(value: object) -> str:
    """A value as an error message says it."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return f"'{value}'" if isinstance(value, str) else str(value)


def listed(names: list[str]) -> str:
    """Names as an error message says several.

    >>> listed(["a", "b", "c"])
    "'a', 'b', 'c'"
    """
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(f"'{name}'" for name in names[:LISTED]) + more


def _parse(path: Path) -> Document:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ChipError(
            "a chip file must be UTF-8 text, not other bytes", where=str(path), remedy="save it as UTF-8"
        ) from error
    except OSError as error:
        raise ChipError(f"the file must be readable, not: {error.strerror}", where=str(path)) from error
    try:
        node = YAML(typ="rt", pure=True).compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise ChipError(
            f"the file must be well-formed YAML, not this: {error.problem}",
            where=where,
            remedy="check indentation, colons, brackets and quotes just before it",
        ) from error
    except YAMLError as error:
        first = str(error).splitlines()[0]
        raise ChipError(f"the file must be well-formed YAML, not this: {first}", where=str(path)) from error
    except RecursionError as error:
        raise ChipError("the file must not nest this deeply", where=str(path), remedy="write it flatter") from error
    if not isinstance(node, MappingNode):
        given = "an empty file" if node is None else "a list" if isinstance(node, SequenceNode) else "one value"
        raise ChipError(
            f"a chip file must be a mapping of keys to values, not {given}",
            where=f"{path}:1",
            remedy="begin with 'name: ...'; docs/chip_format.md has a full example",
        )
    document = Document({}, {(): Place(path, 1)})
    _fill(document, node, ())
    return document


def _fill(document: Document, node: MappingNode, loc: Loc) -> dict[str, Any]:
    """The entries of a mapping; those of the file itself become the document's data."""
    data: dict[str, Any] = {} if loc else document.data
    for key, child in node.value:
        place = Place(document.places[()].file, key.start_mark.line + 1)
        if not isinstance(key, ScalarNode):
            document.refuse(loc, "a key must be a word, not a list or a mapping", "write 'word: value'", place)
            continue
        name = str(key.value)
        at = (*loc, name)
        if name in data:
            first = document.places[at].line
            remedy = f"it is given in line {first} already: rename or drop one"
            document.refuse(at, f"a key must stand once, not again as '{name}'", remedy, place, subject(loc))
            continue
        written = isinstance(child, ScalarNode) and child.value != ""
        document.places[at] = Place(place.file, child.start_mark.line + 1) if written else place
        data[name] = _plain(document, child, at)
    return data


def _plain(document: Document, node: Node, loc: Loc) -> Any:
    """A node's value; nothing, and a problem noted, where it is none that a chip file may have."""
    place = Place(document.places[()].file, node.start_mark.line + 1)
    if node.anchor is not None:
        document.refuse(
            loc,
            f"values must be written out, not shared by the anchor '&{node.anchor}'",
            "repeat the value, or put a whole core into a file of its own and name it with 'from:'",
            place,
        )
        return None
    kind = str(node.tag).removeprefix(_YAML)
    if isinstance(node, MappingNode) and kind == "map":
        return _fill(document, node, loc)
    if isinstance(node, SequenceNode) and kind == "seq":
        values = []
        for index, child in enumerate(node.value):
            document.places[(*loc, index)] = Place(place.file, child.start_mark.line + 1)
            values.append(_plain(document, child, (*loc, index)))
        return values
    if isinstance(node, ScalarNode) and kind in SCALARS:
        return SCALARS[kind](node.value)
    message = f"values must be text, numbers, lists or mappings, not '{_tag(node)}'"
    document.refuse(loc, message, "drop the tag", place)
    return None


def _tag(node: Node) -> str:
    return str(node.tag).replace(_YAML, "!!")


def _integer(text: str) -> int | str:
    digits = text.replace("_", "")
    try:
        return int(digits) if digits.lstrip("+-").isdigit() else int(digits, 0)
    except ValueError:
        return text


def _real(text: str) -> float | str:
    try:
        return float(text.replace("_", ""))
    except ValueError:
        return text  # .inf and .nan: refused where a number must stand


SCALARS: dict[str, Callable[[str], object]] = {
    "str": str,
    "int": _integer,
    "float": _real,
    "bool": lambda text: text.lower() == "true",
    "null": lambda text: None,
}

"""A YAML file as plain data in which every value remembers its file and line; cores written elsewhere are put in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from weft.chips import DIRECTORY
from weft.errors import ChipError

Loc = tuple[str | int, ...]
"""The way to a value: keys and list positions from the top of the chip file."""

_THINGS = {"cores": "core", "memories": "memory", "ports": "port", "links": "link", "array": "side"}
_YAML = "tag:yaml.org,2002:"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands: file as the user named it, line from 1."""

    file: Path
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file.

    Args:
        data:   mappings, lists, text, numbers, booleans and None.
        places: where each value of `data` stands, in the order of the text; `()` is the file itself.
    """

    data: dict[str, Any]
    places: dict[Loc, Place]

    def place(self, loc: Loc) -> Place:
        """Where `loc` stands, or the nearest thing around it where it is missing."""
        while loc not in self.places:
            loc = loc[:-1]
        return self.places[loc]

    def error(self, loc: Loc, message: str, remedy: str | None = None) -> ChipError:
        """A complaint about the value at `loc`."""
        thing = subject(loc)
        where = f"{self.place(loc)} {thing}" if thing else str(self.place(loc))
        return ChipError(message, where=where, remedy=remedy)


def subject(loc: Loc) -> str:
    """The named things around a value, outermost first.

    >>> subject(("cores", "npu", "memories", "l1", "size"))
    "core 'npu' memory 'l1'"
    """
    pairs = zip(loc[::2], loc[1::2], strict=False)
    return " ".join(f"{_THINGS[str(kind)]} '{name}'" for kind, name in pairs if kind in _THINGS)


def load(path: Path) -> Document:
    """A chip file with its cores' `from:` followed."""
    chip = _parse(path)
    cores = chip.data.get("cores")
    if not isinstance(cores, dict):
        return chip
    followed: dict[str, Document] = {}
    files: dict[Path, Document] = {}
    for name, entry in cores.items():
        top = ("cores", name)
        own = Document(entry, {loc[2:]: place for loc, place in chip.places.items() if loc[:2] == top})
        followed[name] = _follow(own, path, (path,), subject(top), files) if isinstance(entry, dict) else own
    places: dict[Loc, Place] = {}
    for loc, place in chip.places.items():
        if loc[0:1] != ("cores",) or len(loc) == 1:
            places[loc] = place
        elif len(loc) == 2:
            places |= {loc + inner: there for inner, there in followed[str(loc[1])].places.items()}
    return Document(chip.data | {"cores": {name: core.data for name, core in followed.items()}}, places)


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
    target = next((folder / name for folder in (path.parent, DIRECTORY) if is_file(folder / name)), None)
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
    return Document(base.data | own, places)


def is_file(path: Path) -> bool:
    """Whether `path` is a file; false for names that no file can have."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


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
    places: dict[Loc, Place] = {(): Place(path, 1)}
    data = _plain(node, path, (), places)
    assert isinstance(data, dict)
    return Document(data, places)


def _plain(node: Node, path: Path, loc: Loc, places: dict[Loc, Place]) -> Any:
    where = f"{path}:{node.start_mark.line + 1} {subject(loc)}".rstrip()
    if node.anchor is not None:
        raise ChipError(
            f"values must be written out, not shared by the anchor '&{node.anchor}'",
            where=where,
            remedy="repeat the value, or put a whole core into a file of its own and name it with 'from:'",
        )
    if isinstance(node, MappingNode):
        return _mapping(node, path, loc, places)
    if isinstance(node, SequenceNode) and str(node.tag) == _YAML + "seq":
        values = []
        for index, child in enumerate(node.value):
            places[(*loc, index)] = Place(path, child.start_mark.line + 1)
            values.append(_plain(child, path, (*loc, index), places))
        return values
    kind = str(node.tag).removeprefix(_YAML)
    if isinstance(node, ScalarNode) and kind in _SCALARS:
        return _SCALARS[kind](node.value)
    raise ChipError(
        f"values must be text, numbers, lists or mappings, not '{_tag(node)}'", where=where, remedy="drop the tag"
    )


def _mapping(node: MappingNode, path: Path, loc: Loc, places: dict[Loc, Place]) -> dict[str, Any]:
    if str(node.tag) != _YAML + "map":
        where = f"{path}:{node.start_mark.line + 1} {subject(loc)}".rstrip()
        raise ChipError(
            f"values must be text, numbers, lists or mappings, not '{_tag(node)}'", where=where, remedy="drop the tag"
        )
    data: dict[str, Any] = {}
    for key, child in node.value:
        line = key.start_mark.line + 1
        here = f"{path}:{line} {subject(loc)}".rstrip()
        if not isinstance(key, ScalarNode):
            raise ChipError("a key must be a word, not a list or a mapping", where=here, remedy="write 'word: value'")
        name = str(key.value)
        if name in data:
            first = places[(*loc, name)].line
            raise ChipError(
                f"a key must stand once, not again as '{name}'",
                where=here,
                remedy=f"it is given in line {first} already: rename or drop one",
            )
        written = isinstance(child, ScalarNode) and child.value != ""
        places[(*loc, name)] = Place(path, child.start_mark.line + 1 if written else line)
        data[name] = _plain(child, path, (*loc, name), places)
    return data


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


_SCALARS: dict[str, Callable[[str], object]] = {
    "str": str,
    "int": _integer,
    "float": _real,
    "bool": lambda text: text.lower() == "true",
    "null": lambda text: None,
}

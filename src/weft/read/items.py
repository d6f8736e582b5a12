"""A YAML file as values that know their line, and its mappings read key by key: what is asked for is checked, what
nobody knows is refused."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from weft.errors import UserError, did_you_mean, suggestion
from weft.read.chip.document import SCALARS, shown

_YAML = "tag:yaml.org,2002:"


@dataclass(frozen=True, slots=True)
class Item:
    """One value of a file.

    Args:
        value: text, a number, a boolean or None; a list of items; or a dict of items by key, the last of repeated ones.
        keys:  of a dict, the line of each key.
        again: of a dict, (key, line that counts, line that does not) for keys that stand more than once.
    """

    value: Any
    file: Path
    line: int
    keys: dict[str, int] = field(default_factory=dict)
    again: tuple[tuple[str, int, int], ...] = ()

    def where(self, thing: str = "", key: str | None = None) -> str:
        """File, line and thing, as messages give it: the line of `key` where the item has one."""
        line = self.line if key is None else self.keys.get(key, self.line)
        return f"{self.file}:{line} {thing}".rstrip()

    def once(self, thing: str) -> None:
        """Refuse a key of this mapping that stands more than once."""
        for key, line, first in self.again:
            raise ItemError(
                f"a key must stand once, not again as '{key}'",
                where=f"{self.file}:{line} {thing}".rstrip(),
                remedy=f"it is given in line {first} already: rename or drop one",
            )


class ItemError(UserError):
    """Something in a YAML file that does not hold."""


def load(path: Path, what: str) -> Item:
    """The file as items.

    Args:   what: what the file must be, for messages: "ZigZag's YAML".
    Errors: ItemError where it cannot be read or is no YAML.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        remedy = "give a network to weft run as it is" if path.suffix == ".onnx" else "save it as UTF-8"
        raise ItemError(f"the file must be {what}, not other bytes", where=str(path), remedy=remedy) from error
    except OSError as error:
        raise ItemError(f"the file must be readable, not: {error.strerror}", where=str(path)) from error
    try:
        node = YAML(typ="rt", pure=True).compose(text)
        if node is None:
            raise ItemError(f"the file must be {what}, not empty", where=str(path))
        return _item(node, path)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise ItemError(
            f"the file must be well-formed YAML, not this: {error.problem}",
            where=f"{path}:{mark.line + 1}" if mark else str(path),
            remedy="check indentation, colons, brackets and quotes just before it",
        ) from error
    except YAMLError as error:
        first = str(error).splitlines()[0]
        raise ItemError(f"the file must be well-formed YAML, not this: {first}", where=str(path)) from error
    except RecursionError as error:
        raise ItemError("the file must not nest this deeply", where=str(path), remedy="write it flatter") from error


def _item(node: Node, path: Path) -> Item:
    line = node.start_mark.line + 1
    if node.anchor is not None:
        raise ItemError(
            f"values must be written out, not shared by the anchor '&{node.anchor}'",
            where=f"{path}:{line}",
            remedy="repeat the value",
        )
    kind = str(node.tag).removeprefix(_YAML)
    if isinstance(node, MappingNode) and kind == "map":
        found: dict[str, Item] = {}
        keys: dict[str, int] = {}
        again = []
        for key, child in node.value:
            here = key.start_mark.line + 1
            if not isinstance(key, ScalarNode):
                raise ItemError("a key must be a word, not a list or a mapping", where=f"{path}:{here}")
            name = str(key.value)
            if name in keys:
                again.append((name, here, keys[name]))
            keys[name] = here
            below = _item(child, path)
            found[name] = below if isinstance(child, ScalarNode) else replace(below, line=here)
        return Item(found, path, line, keys, tuple(again))
    if isinstance(node, SequenceNode) and kind == "seq":
        return Item([_item(child, path) for child in node.value], path, line)
    if isinstance(node, ScalarNode) and kind in SCALARS:
        return Item(SCALARS[kind](node.value), path, line)
    tag = str(node.tag).replace(_YAML, "!!")
    raise ItemError(
        f"values must be text, numbers, lists or mappings, not '{tag}'", where=f"{path}:{line}", remedy="drop the tag"
    )


class Part:
    """A mapping of a file, read key by key.

    Args:
        item:  the mapping.
        thing: what it describes, for messages ("memory 'l1'").
        known: every key that it may have.
    Errors: ItemError, here for what is no mapping or has a key nobody knows, in each method for its value.
    """

    def __init__(self, item: Item, thing: str, known: Iterable[str]) -> None:
        if not isinstance(item.value, dict):
            raise ItemError(
                f"{thing or 'the file'} must be a mapping of keys to values, not {_shown(item)}", where=item.where()
            )
        self.item = item
        self.thing = thing
        names = list(known)
        for key in item.value:
            if key not in names:
                raise ItemError(
                    f"a key must be one that is known here, not '{key}'",
                    where=item.where(thing, key),
                    remedy=suggestion(key, names),
                )

    def has(self, key: str) -> bool:
        """Whether the key is given, and not as nothing."""
        return key in self.item.value and self.item.value[key].value is not None

    def error(self, key: str, message: str, remedy: str | None = None) -> ItemError:
        """A complaint about the value of a key."""
        return ItemError(message, where=self.item.where(self.thing, key), remedy=remedy)

    def get(self, key: str) -> Item:
        if not self.has(key):
            raise self.error(key, f"'{key}' must be given")
        found: Item = self.item.value[key]
        return found

    def whole(self, key: str, least: int = 1) -> int:
        value = self.get(key).value
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            what = "positive whole number" if least else "whole number of at least 0"
            raise self.error(key, f"{key} must be a {what}, not {_shown(self.get(key))}")
        return value

    def number(self, key: str) -> float:
        value = self.get(key).value
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
            raise self.error(key, f"{key} must be a number of at least 0, not {_shown(self.get(key))}")
        return float(value)

    def truth(self, key: str) -> bool:
        value = self.get(key).value if self.has(key) else False
        if not isinstance(value, bool):
            raise self.error(key, f"{key} must be true or false, not {_shown(self.get(key))}")
        return value

    def text(self, key: str, choices: Iterable[str] = ()) -> str:
        value = self.get(key).value
        words = list(choices)
        if not isinstance(value, str) or (words and value not in words):
            what = f"one of {', '.join(words)}" if words else "text"
            remedy = did_you_mean(value, words) if words and isinstance(value, str) else None
            raise self.error(key, f"{key} must be {what}, not {_shown(self.get(key))}", remedy)
        return value

    def items(self, key: str) -> list[Item]:
        value = self.get(key).value
        if not isinstance(value, list):
            raise self.error(key, f"{key} must be a list, not {_shown(self.get(key))}")
        return value

    def words(self, key: str, choices: Iterable[str] = ()) -> list[str]:
        known = list(choices)
        found = []
        for item in self.items(key):
            if not isinstance(item.value, str) or (known and item.value not in known):
                what = f"one of {', '.join(known)}" if known else "text"
                remedy = did_you_mean(item.value, known) if known and isinstance(item.value, str) else None
                raise ItemError(
                    f"each of {key} must be {what}, not {_shown(item)}", where=item.where(self.thing), remedy=remedy
                )
            found.append(item.value)
        return found

    def wholes(self, key: str, least: int = 1) -> list[int]:
        found = []
        for item in self.items(key):
            if isinstance(item.value, bool) or not isinstance(item.value, int) or item.value < least:
                raise ItemError(
                    f"each of {key} must be a whole number of at least {least}, not {_shown(item)}",
                    where=item.where(self.thing),
                )
            found.append(item.value)
        return found

    def parts(self, key: str) -> dict[str, Item]:
        value = self.get(key).value
        if not isinstance(value, dict):
            raise self.error(key, f"{key} must be a mapping of names, not {_shown(self.get(key))}")
        self.get(key).once("")
        return value

    def repeated(self) -> list[str]:
        """A remark for each key that stands twice."""
        return [
            f"{self.thing or 'the file'}: '{key}' stands twice, and line {counts} counts, not line {lost}"
            for key, counts, lost in self.item.again
        ]


def _shown(item: Item) -> str:
    return shown(item.value)

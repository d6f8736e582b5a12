"""Chips that somebody spoilt: library chips with their text or their structure changed, one to three times."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from functools import cache
from typing import Any

from ruamel.yaml import YAML

from weft.chips import library, library_path
from weft.read.chip.document import load

WEIRD: tuple[Any, ...] = (
    *(0, -1, 1, 3, 10**6, 10**12, 2**63, 10**24, 10**30, 0.1, -0.5, 1e-30, 1e30, float("nan"), float("inf")),
    *("", "0", "-3 KiB", "64 KiB", "1 parsec", "1 pJ", "1e400 pJ", "64 bit/cycle", "1 THz", "1 Hz", "abc", "all", "I"),
    *(
        None,
        True,
        False,
        [],
        {},
        [[]],
        {"a": {"b": 1}},
        ["I", "W", "O"],
        ["D1"],
        "x" * 5000,
        "ключ",
        "a\nb",
        "\x1b[31m",
    ),
)
"""What a value is changed to."""


@cache
def _texts() -> tuple[str, ...]:
    """The library as it is written, and with the cores of other files written out."""
    written = [library_path(name).read_text("utf-8") for name in library()]
    return (*written, *(_dump(load(library_path(name)).data) for name in library()))


def _dump(data: Any) -> str:
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.allow_unicode = True
    out = io.StringIO()
    yaml.dump(data, out)
    return out.getvalue()


def mutant(seed: int) -> bytes:
    """A chip file; the same for the same seed."""
    dice = random.Random(seed)
    text = dice.choice(_texts())
    if dice.random() < 0.6:
        data = YAML(typ="safe", pure=True).load(text)
        kinds = _GENTLE if dice.random() < 0.5 else _STRUCTURAL
        for _ in range(dice.randint(1, 3)):
            dice.choice(kinds)(dice, data)
        return _dump(data).encode()
    for _ in range(dice.randint(1, 3)):
        text = dice.choice(_TEXTUAL)(dice, text)
    content = text.encode()
    if dice.random() < 0.1:
        at = dice.randrange(len(content) or 1)
        content = content[:at] + bytes([dice.randrange(256)]) + content[at + 1 :]
    return content


Spot = tuple[Any, Any]
"""A mapping or list, and a key or position in it."""


def _spots(data: Any) -> Iterator[Spot]:
    """Every place of a value."""
    keys = data.keys() if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else ()
    for key in list(keys):
        yield data, key
        yield from _spots(data[key])


def _pick(dice: random.Random, data: Any, only: Any = object) -> Spot | None:
    spots = [(box, key) for box, key in _spots(data) if isinstance(box[key], only)]
    return dice.choice(spots) if spots else None


def _set(dice: random.Random, data: Any) -> None:
    if spot := _pick(dice, data):
        spot[0][spot[1]] = dice.choice(WEIRD)


def _scale(dice: random.Random, data: Any) -> None:
    """A number, of another magnitude."""
    if spot := _pick(dice, data, (int, float)):
        spot[0][spot[1]] = spot[0][spot[1]] * dice.choice([10**9, 10**3, 7, 2, 0.5, 1e-3, 1e-9, -1])


def _requantity(dice: random.Random, data: Any) -> None:
    """A quantity, of another magnitude or unit."""
    box, key = _pick(dice, data, str) or (None, None)
    words = box[key].split() if box is not None else []
    if len(words) == 2 and words[0][:1].isdigit():
        number = dice.choice([words[0], f"{words[0]}000000", "0", "1", f"0.{words[0]}", f"-{words[0]}"])
        unit = dice.choice([words[1], words[1], "KiB", "pJ", "bit", "W", "GHz", words[1][:1], f"k{words[1]}"])
        box[key] = f"{number} {unit}"


def _drop(dice: random.Random, data: Any) -> None:
    if spot := _pick(dice, data):
        del spot[0][spot[1]]


def _rename(dice: random.Random, data: Any) -> None:
    """A key, misspelt or that of something else."""
    spots = [(box, key) for box, key in _spots(data) if isinstance(box, dict)]
    if spots:
        box, key = dice.choice(spots)
        box[_misspelt(dice, str(key)) if dice.random() < 0.7 else str(dice.choice(spots)[1])] = box.pop(key)


def _respell(dice: random.Random, data: Any) -> None:
    """A word: a name, a choice, a reference."""
    if spot := _pick(dice, data, str):
        others = [box[key] for box, key in _spots(data) if isinstance(box[key], str)]
        spot[0][spot[1]] = _misspelt(dice, spot[0][spot[1]]) if dice.random() < 0.5 else dice.choice(others)


def _misspelt(dice: random.Random, word: str) -> str:
    at = dice.randrange(len(word) or 1)
    return dice.choice([word[:at] + word[at + 1 :], word[:at] + "x" + word[at:], word.upper(), word + word, f"{word}."])


def _swap(dice: random.Random, data: Any) -> None:
    one, other = _pick(dice, data), _pick(dice, data)
    if one and other:
        a, b = one[0][one[1]], other[0][other[1]]
        if not _inside(a, b) and not _inside(b, a):
            one[0][one[1]], other[0][other[1]] = b, a


def _copy(dice: random.Random, data: Any) -> None:
    """A value written again elsewhere, in place of another or beside it."""
    one, other = _pick(dice, data), _pick(dice, data)
    if one and other and not _inside(one[0][one[1]], other[0]):
        key = f"{other[1]}2" if isinstance(other[0], dict) and dice.random() < 0.5 else other[1]
        other[0][key] = one[0][one[1]]


def _inside(outer: Any, inner: Any) -> bool:
    return outer is inner or any(box[key] is inner for box, key in _spots(outer))


def _cut_links(dice: random.Random, data: Any) -> None:
    links = data.get("links") if isinstance(data, dict) else None
    if isinstance(links, dict) and links:
        for name in dice.sample(sorted(links, key=str), dice.randint(1, len(links))):
            del links[name]


def _size(dice: random.Random, data: Any) -> None:
    """A quantity, of another magnitude and still one."""
    if spots := [
        (box, key) for box, key in _spots(data) if len(words := str(box[key]).split()) == 2 and words[0][:1].isdigit()
    ]:
        box, key = dice.choice(spots)
        number, unit = box[key].split()
        box[key] = f"{dice.choice([1, 3, 8, 17, 256, 10**4, 10**7, 10**12, number + '0', number + '000'])} {unit}"


def _side(dice: random.Random, data: Any) -> None:
    """A side of an array, longer or shorter."""
    if spot := _pick(dice, data, int):
        spot[0][spot[1]] = dice.choice([1, 2, 3, 7, 64, 1000, 10**5, 10**9, 10**15])


def _drop_entry(dice: random.Random, data: Any) -> None:
    """One of several: an op kind, an operand, a port, a core, a link, an end of a link."""
    boxes = [box[key] for box, key in _spots(data) if isinstance(box[key], dict | list) and len(box[key]) > 1]
    box = dice.choice(boxes)
    del box[dice.choice(list(box) if isinstance(box, dict) else range(len(box)))]


def _choice(dice: random.Random, data: Any) -> None:
    """Another of the words that may stand there."""
    for words in dice.sample(_WORDS, len(_WORDS)):
        spots = [(box, key) for box, key in _spots(data) if box[key] in words]
        if spots:
            box, key = dice.choice(spots)
            box[key] = dice.choice(words)
            return


_WORDS = (
    ("double", "single", "pipelined"),
    ("read", "write", "read_write"),
    ("full", "half"),
    ("I", "W", "O"),
    ("output_channel", "group", "reduction_channel", "output_column", "kernel_row", "batch"),
    ("conv", "gemm", "matmul", "pool", "elementwise", "reduce", "softmax", "norm", "copy"),
)


_GENTLE = (_size, _size, _side, _drop_entry, _choice, _choice, _cut_links, _respell)

_STRUCTURAL = (_set, _set, _scale, _scale, _requantity, _requantity, _drop, _rename, _respell, _swap, _copy, _cut_links)


def _line(dice: random.Random, text: str) -> str:
    """A line left out, doubled, moved, indented or cut."""
    lines = text.split("\n")
    i, j = dice.randrange(len(lines)), dice.randrange(len(lines))
    how = dice.randrange(6)
    if how == 0:
        del lines[i]
    elif how == 1:
        lines.insert(i, lines[i])
    elif how == 2:
        lines[i], lines[j] = lines[j], lines[i]
    elif how == 3:
        lines[i] = dice.choice([" ", "\t", "  ", "- ", "# "]) + lines[i]
    elif how == 4:
        lines[i] = lines[i][1:]
    else:
        lines[i] = lines[i][: dice.randrange(len(lines[i]) + 1)]
    return "\n".join(lines)


def _char(dice: random.Random, text: str) -> str:
    at = dice.randrange(len(text) or 1)
    given = dice.choice(list(":{}[],&*!|>%@`\"'#-?\t\n\x00\x07é\ufeff\u2028 0"))
    return text[:at] + given + text[at + dice.randrange(2) :]


def _digits(dice: random.Random, text: str) -> str:
    """One number of the text, changed."""
    places = [i for i, char in enumerate(text) if char.isdigit()]
    if not places:
        return text
    at = dice.choice(places)
    return (
        text[:at] + dice.choice(["0", "9", "-1", "1e30", "99999999999", "0.5", "1_0", "0x1", "1:30"]) + text[at + 1 :]
    )


def _end(dice: random.Random, text: str) -> str:
    return text[: dice.randrange(len(text) or 1)]


_TEXTUAL = (_line, _line, _line, _char, _char, _digits, _digits, _end)

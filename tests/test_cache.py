"""Values on disk: whole or not there, never more than there is room for, never a reason to fail."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from weft import cache
from weft.cache import MOST_ON_A_SHELF, Store, digest, place, text_of

KEY = digest("a key")


@dataclass(frozen=True)
class Pair:
    one: object
    other: object


def test_what_is_kept_comes_back(tmp_path):
    value = {"text": "D1:K32 | O@é", "number": 0.1, "nothing": None, "truth": True}
    Store(tmp_path).put(KEY, value)
    assert Store(tmp_path).get(KEY) == value
    assert Store(tmp_path).get(digest("another")) is None


@pytest.mark.parametrize("spoil", [lambda b: b"", lambda b: b[:-1], lambda b: b.replace(b"1", b"2"), lambda b: b"\xff"])
def test_a_spoilt_value_is_not_there_and_may_be_kept_again(tmp_path, spoil):
    Store(tmp_path).put(KEY, [1])
    (file,) = tmp_path.rglob("*.json")
    file.write_bytes(spoil(file.read_bytes()))
    assert Store(tmp_path).get(KEY) is None
    Store(tmp_path).put(KEY, [1])
    assert Store(tmp_path).get(KEY) == [1]


def test_a_folder_that_cannot_be_made_keeps_nothing_and_says_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/nothing")):
        store = Store(folder)
        store.put(KEY, 1)
        store.put(KEY, 1)
        assert store.get(KEY) is None
        assert store.holds() == (0, 0)
        assert store.clear() == 0


def test_a_full_disk_leaves_no_unfinished_file(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache.os, "replace", full)
    store = Store(tmp_path)
    store.put(KEY, 1)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert store.get(KEY) is None


def test_a_shelf_holds_so_many_and_lets_the_oldest_go(tmp_path):
    store, shelf = Store(tmp_path), "00"
    keys = [shelf + digest(str(number))[2:] for number in range(MOST_ON_A_SHELF)]
    for number, key in enumerate(keys):
        store.put(key, number)
        os.utime(tmp_path / shelf / f"{key[2:]}.json", (number, number))
    assert store.holds()[0] == MOST_ON_A_SHELF
    store.put(shelf + KEY[2:], "new")
    assert store.holds()[0] == MOST_ON_A_SHELF
    assert store.get(keys[0]) is None
    assert store.get(keys[1]) == 1
    assert store.get(shelf + KEY[2:]) == "new"


def test_clearing_removes_values_and_what_was_left_unfinished_but_nothing_else(tmp_path):
    store = Store(tmp_path)
    store.put(KEY, 1)
    (file,) = tmp_path.rglob("*.json")
    (file.parent / "tmpabc.new").write_text("cut sho")
    (tmp_path / "mine.json").write_text("{}")
    (file.parent / "mine.txt").write_text("")
    assert store.holds() == (1, file.stat().st_size)
    assert store.clear() == 1
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["mine.json", "mine.txt"]


def test_the_folder_is_the_users_unless_weft_cache_says_otherwise(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("WEFT_CACHE")
    assert place() == Path("/home/me/.cache/weft")
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
    assert place() == Path("/home/me/.cache/weft")
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert place() == Path("/caches/weft")
    monkeypatch.setenv("WEFT_CACHE", "/elsewhere")
    assert place() == Path("/elsewhere")
    monkeypatch.setenv("WEFT_CACHE", "off")
    assert place() is None


def test_the_text_of_a_value_tells_values_apart():
    values = [None, True, False, 0, 1, 1.0, "1", "", (), (1,), ((1,),), (1, 1), frozenset({1}), Pair(1, 2), Pair(2, 1)]
    values += [("a,b",), ("a", "b"), ('a","b',), frozenset({"a", "b"}), 0.1, 0.1 + 2**-54]
    assert len({text_of(value) for value in values}) == len(values)


def test_the_text_of_a_value_is_the_same_in_every_process():
    program = (
        "from weft.cache import text_of; print(text_of((frozenset({'x', 'y', 'z', 'w'}), frozenset({(1, 'a'), (2,)}))))"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert texts == {'({"w","x","y","z"},{(1,"a"),(2)})\n'}


def test_what_is_no_plain_value_is_refused():
    with pytest.raises(TypeError, match="what is kept must follow from plain values, not list"):
        text_of(([1],))

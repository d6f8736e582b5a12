"""Mutated programs and archives: read, or refused by a ModelError; nothing else, and soon."""

from __future__ import annotations

import copy
import io
import json
import random
import zipfile
from pathlib import Path

import pytest

from weft.errors import ModelError
from weft.read.onnx import read_model
from weft.read.torch.archive import open_archive
from weft.read.torch.convert import convert
from weft.read.torch.program import parse

FILES = Path(__file__).parent.parent / "data" / "pt2"
NAMES = ("cnn", "mobile", "vit", "llama", "mixture", "volume.core")
SIZES = {"cnn": {"x_0": 2}, "llama": {"x_0": 2, "x_1": 6}}
ENTRY = "archive/models/model.json"
ODD = (
    None,
    True,
    -1,
    0,
    1,
    7,
    2**31,
    2**63,
    2**70,
    1.5,
    "",
    "x",
    "relu",
    "\ud800",
    "a\nb",
    [],
    {},
    [0],
    [-1, 3],
    {"as_int": 3},
)


def document(name):
    with zipfile.ZipFile(FILES / f"{name}.pt2") as archive:
        return json.loads(archive.read(ENTRY))


DOCUMENTS = {name: document(name) for name in NAMES}


def places(value, found):
    """Every (container, key) of a document."""
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        found.append((value, key))
        if isinstance(value[key], dict | list):
            places(value[key], found)
    return found


def mutate(program, rng):
    """One to three changes: a value replaced by an odd one or by another of the document, or taken out, or doubled."""
    for _ in range(rng.randint(1, 3)):
        every = places(program["graph_module"]["graph"] if rng.random() < 0.8 else program, [])
        if not every:
            return
        holder, key = rng.choice(every)
        how = rng.random()
        if how < 0.4:
            holder[key] = rng.choice(ODD)
        elif how < 0.75:
            other, name = rng.choice(every)
            holder[key] = copy.deepcopy(other[name])
        elif how < 0.9:
            del holder[key]
        elif isinstance(holder, list):
            holder.append(copy.deepcopy(holder[key]))


def outcome(data, name):
    """Whether bytes are read; a ModelError of lines that say where is the only other way."""
    try:
        model, _ = convert(parse(open_archive(io.BytesIO(data), "net.pt2"), SIZES.get(name, {})))
        read_model(model, name="net", where="net.pt2")
    except ModelError as error:
        said = str(error).splitlines()
    else:
        return True
    assert all(line.startswith(("net.pt2: ", "and ")) for line in said)
    return False


def mutants(seeds):
    read = 0
    for seed in seeds:
        rng = random.Random(seed)
        name = rng.choice(NAMES)
        program = copy.deepcopy(DOCUMENTS[name])
        mutate(program, rng)
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w") as archive:
            archive.writestr(ENTRY, json.dumps(program))
        try:
            read += outcome(data.getvalue(), name)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {type(error).__name__}: {error}") from error
    return read


def test_mutated_programs_are_read_or_refused_in_words():
    read = mutants(range(100))
    assert 0 < read < 100


@pytest.mark.verify
def test_many_mutated_programs_are_read_or_refused_in_words():
    read = mutants(range(100, 3000))
    assert 0 < read < 2900


def test_archives_with_changed_bytes_are_read_or_refused_in_words():
    whole = (FILES / "mobile.pt2").read_bytes()
    for seed in range(60):
        rng = random.Random(seed)
        data = bytearray(whole)
        for _ in range(rng.randint(1, 30)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        outcome(bytes(data[: rng.choice((len(data), rng.randrange(len(data))))]), "mobile")

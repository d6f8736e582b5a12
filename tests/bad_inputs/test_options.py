"""Command lines that cannot be: each gives these lines on standard error, nothing else, and exit code 2."""

from __future__ import annotations

from pathlib import Path

import pytest

from weft.chips import library
from weft.cli.main import main

RUN = "run resnet8 --chip tpu_like"
MAP = "map resnet8 --chip tpu_like"
CHIPS = ", ".join(library())

CASES = {
    # what weft has
    "an unknown command": (
        "frob",
        "a command of 'weft' must be one that it has, not 'frob'; "
        "known: check, chips, compare, doctor, evaluate, import, init, map, models, run, schema",
    ),
    "a misspelt command": ("chek x", "a command of 'weft' must be one that it has, not 'chek'; did you mean 'check'?"),
    "a misspelt command of a command": (
        "import zigzg x",
        "a command of 'weft import' must be one that it has, not 'zigzg'; did you mean 'zigzag'?",
    ),
    "an unknown option": (
        f"{RUN} --frob",
        "an option of 'weft run' must be one that it has, not '--frob'; 'weft run --help' lists them",
    ),
    "a misspelt option": (
        "run resnet8 --chp tpu_like",
        "an option of 'weft run' must be one that it has, not '--chp'; did you mean '--chip'?",
    ),
    "the beginning of an option": (
        f"{MAP} --obj energy",
        "an option of 'weft map' must be one that it has, not '--obj'; did you mean '--objective'?",
    ),
    "no model": ("run", "MODEL must be given; a zoo name (weft models), an .onnx, .pt2 or .workload.yaml file"),
    "no chip": ("run resnet8", "--chip must be given; a library name (weft chips) or a YAML file"),
    "no mapping": (
        "evaluate resnet8 --chip tpu_like",
        "--mapping must be given; mappings as weft map --json writes them, weft's text, or ZigZag's JSON",
    ),
    "nothing to check": ("check", "FILE must be given; models and chips: .onnx, .pt2 and .yaml files, or names"),
    "an option without its value": (
        "run resnet8 --chip",
        "--chip must have a value, not none; 'weft --help' shows how",
    ),
    "a value for a switch": (f"{RUN} --verbose=3", "--verbose must have no value, not one; 'weft --help' shows how"),
    "too many models": (
        "run resnet8 resnet18 --chip tpu_like",
        "'weft run' must have MODEL and no more arguments, not 'resnet18'; 'weft run --help' shows how",
    ),
    "an argument where there is none": (
        "chips frob",
        "'weft chips' must have no arguments, not 'frob'; 'weft chips --help' shows how",
    ),
    # values
    "a budget that is a word": (
        f"{RUN} --budget x",
        "--budget must be a whole number, not 'x'; whole schedules to try",
    ),
    "half a seed": (
        f"{RUN} --seed=1.5",
        "--seed must be a whole number, not '1.5'; seed of the search: same seed, same result",
    ),
    "no budget at all": (f"{RUN} --budget 0", "--budget must be at least 1, not 0; it counts whole schedules tried"),
    "a misspelt objective": (
        f"{RUN} --objective enrgy",
        "--objective must be one of latency, energy, edp, memory, pareto, not 'enrgy'; did you mean 'energy'?",
    ),
    "an objective of schedules for a mapping": (
        f"{MAP} --objective memory",
        "--objective must be one of latency, energy, edp, not 'memory'",
    ),
    "an unknown dataflow": (f"{RUN} --spatial x", "--spatial must be one of fixed, free, not 'x'"),
    "a front of streams": (
        f"{RUN} --objective pareto --frames 2",
        "--objective pareto must go with one frame, not 2; leave --frames out",
    ),
    "no frame": (f"{RUN} --frames 0", "--frames must be at least 1, not 0; it counts inputs in a row"),
    "a fusion file that is not there": (
        f"{RUN} --fuse plan.yaml",
        "--fuse must be auto, off or an existing YAML file, not 'plan.yaml'; "
        "docs/fuse_format.md has the form of the file",
    ),
    "a misspelt way to fuse": (
        f"{RUN} --fuse atuo",
        "--fuse must be auto, off or an existing YAML file, not 'atuo'; did you mean 'auto'?",
    ),
    "an unknown convention": (
        "evaluate resnet8 --chip tpu_like --mapping m.json --conventions zigzg",
        "--conventions must be one of weft, zigzag, not 'zigzg'",
    ),
    "a dim without a size": (
        f"{RUN} --dim batch",
        "--dim must be NAME=N with N at least 1, not 'batch'; for example batch=1",
    ),
    "a dim of zero": (f"{RUN} --dim n=0", "--dim must be NAME=N with N at least 1, not 'n=0'; for example batch=1"),
    "a dim of a digit that is none": (
        f"{RUN} --dim n=²",
        "--dim must be NAME=N with N at least 1, not 'n=²'; for example batch=1",
    ),
    "a dim twice": (f"{RUN} --dim n=1 --dim n=2", "--dim must give 'n' one size, not two; leave one of them out"),
    "a dim that the network does not have": (
        f"{RUN} --dim batch=2",
        "resnet8: --dim must name a symbolic dim of the model, not 'batch'; "
        "leave it out: every size of this model is fixed",
    ),
    "a core that the chip does not have": (
        f"{MAP} --core cor",
        "--core must name a core of 'tpu_like', not 'cor'; did you mean 'core0'?",
    ),
    "an op that the network does not have": (
        f"{MAP} --op convv",
        "--op must name an op of 'resnet8', not 'convv'; did you mean 'conv'?",
    ),
    # names and files
    "a misspelt network": (
        "run resnt8 --chip tpu_like",
        "a network must be a zoo name or the path of an .onnx or .pt2 file, not 'resnt8'; did you mean 'resnet8'?",
    ),
    "a misspelt chip": (
        "run resnet8 --chip tpu_lik",
        "a chip must be a library name or a YAML file that exists, not 'tpu_lik'; did you mean 'tpu_like'?",
    ),
    "a network file that is not there": (
        "run net.onnx --chip tpu_like",
        "net.onnx: the model must be an existing ONNX file, not a path where there is none; "
        "give the path of an .onnx file, or a name from `weft models`",
    ),
    "a torch export that is not there": (
        "run net.pt2 --chip tpu_like",
        "net.pt2: the model must be an existing .pt2 file, not a path where there is none; "
        "give the path of a .pt2 file",
    ),
    "a torch export whose name no file can have": (
        f"run {'n' * 300}.pt2 --chip tpu_like",
        f"{'n' * 300}.pt2: the model must be an existing .pt2 file, not a path where there is none; "
        "give the path of a .pt2 file",
    ),
    "a module that was pickled": (
        "run net.pt --chip tpu_like",
        "net.pt: a network must be an .onnx or .pt2 file, not pickled or scripted by PyTorch; "
        "export it: torch.export.save(torch.export.export(module, inputs), 'net.pt2')",
    ),
    "a network whose name no file can have": (
        f"run {'n' * 300}.onnx --chip tpu_like",
        f"{'n' * 300}.onnx: the model must be an existing ONNX file, not a path where there is none; "
        "give the path of an .onnx file, or a name from `weft models`",
    ),
    "a folder as network": (
        "run folder --chip tpu_like",
        "folder: the model must be an existing ONNX file, not a folder; "
        "give the path of an .onnx file, or a name from `weft models`",
    ),
    "a chip as network": (
        "run chip.yaml --chip tpu_like",
        "chip.yaml:1: the file must be a network in weft's text form, beginning with 'workload: NAME'; "
        "a chip goes to --chip; other tools' files are read by weft import",
    ),
    "a chip file that is not there": (
        "run resnet8 --chip none.yaml",
        f"a chip must be a YAML file that exists, not 'none.yaml'; or name a library chip: {CHIPS}",
    ),
    "a folder as chip": (
        "run resnet8 --chip folder",
        f"a chip must be a YAML file that exists, not the folder 'folder'; or name a library chip: {CHIPS}",
    ),
    "a network as chip": (
        "run resnet8 --chip net.onnx",
        "a chip must be a library name or a YAML file, not the network 'net.onnx'; "
        "networks stand before --chip: weft run MODEL --chip CHIP",
    ),
    "a library network as chip": (
        "run tpu_like --chip resnet8",
        "a chip must be a library name or a YAML file, not the network 'resnet8'; "
        "networks stand before --chip: weft run MODEL --chip CHIP",
    ),
    "a chip file without its ending": (
        "run resnet8 --chip chip",
        "a chip must be a YAML file that exists, not 'chip'; did you mean 'chip.yaml'?",
    ),
    "a misspelt chip file": (
        "run resnet8 --chip chp.yaml",
        "a chip must be a YAML file that exists, not 'chp.yaml'; did you mean 'chip.yaml'?",
    ),
    "a network file without its ending": (
        "run small --chip tpu_like",
        "a network must be a zoo name or the path of an .onnx or .pt2 file, not 'small'; did you mean 'small.onnx'?",
    ),
    "a misspelt network file": (
        "check folder/../smal.onnx",
        "folder/../smal.onnx: the model must be an existing ONNX file, not a path where there is none; "
        "did you mean 'folder/../small.onnx'?",
    ),
    "a network of TensorFlow's": (
        "check net.tflite",
        "net.tflite: a network must be an .onnx or .pt2 file, not TensorFlow's; convert it to ONNX with tf2onnx",
    ),
    "something else to check": (
        "check notes.txt",
        "what is checked must be a .yaml, .onnx or .pt2 file, a library chip or a zoo network, not 'notes.txt'; "
        "weft chips and weft models list the names",
    ),
    "a mapping file that is not there": (
        "evaluate resnet8 --chip tpu_like --mapping none.json",
        "a mapping file must be one that can be read, not 'none.json': No such file or directory",
    ),
    "a folder as mapping": (
        "evaluate resnet8 --chip tpu_like --mapping folder",
        "a mapping file must be one that can be read, not 'folder': Is a directory",
    ),
    "a text that is no mapping": (
        "evaluate resnet8 --chip tpu_like --mapping notes.txt",
        "notes.txt:1: a line must read NAME: MAPPING, not 'buy milk'",
    ),
    "JSON that breaks off": (
        "evaluate resnet8 --chip tpu_like --mapping broken.json",
        "broken.json:1: a mapping file must be whole JSON, and is not at column 10: Expecting value",
    ),
    "a mapping of no op": (
        "evaluate resnet8 --chip tpu_like --mapping other.txt",
        "other.txt:1: a mapping must be for an op of 'resnet8', not 'convv'; did you mean 'conv'?",
    ),
    "JSON into a folder": (
        f"{RUN} --json folder",
        "--json must name a file in a folder that exists, or -, not 'folder'",
    ),
    "JSON into a folder that is not there": (
        f"{RUN} --json no/such/x.json",
        "--json must name a file in a folder that exists, or -, not 'no/such/x.json'",
    ),
    "a run folder that is a file": (f"{RUN} --out notes.txt", "--out must be a folder, not the file 'notes.txt'"),
    # two at once
    "two files of which neither can be read": (
        "check notes.txt none.onnx",
        "what is checked must be a .yaml, .onnx or .pt2 file, a library chip or a zoo network, not 'notes.txt'; "
        "weft chips and weft models list the names\n"
        "none.onnx: the model must be an existing ONNX file, not a path where there is none; "
        "give the path of an .onnx file, or a name from `weft models`",
    ),
}


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("chip.yaml").write_text("name: c\n")
    Path("small.onnx").write_text("")
    Path("notes.txt").write_text("buy milk\n")
    Path("broken.json").write_text('{"ops": [')
    Path("other.txt").write_text("convv: | OX32\n")


@pytest.mark.parametrize("case", CASES)
def test_each_gives_its_lines(case, capsys):
    words, expected = CASES[case]
    assert main(words.split(" ")) == 2
    said = capsys.readouterr()
    assert said.out.strip() == ""  # between two files stands an empty line
    assert said.err == "".join(f"error: {line}\n" for line in expected.split("\n"))

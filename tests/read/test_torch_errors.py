"""What can be wrong with a `.pt2` file, each with its full message."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from weft.errors import ModelError
from weft.read import load

FILES = Path(__file__).parent.parent / "data" / "pt2"
AGAIN = "save the program again with torch.export.save"
SINGLE = "archive/models/model.json"


def refused(path, **dims):
    with pytest.raises(ModelError) as caught:
        load(str(path), dims)
    return str(caught.value).replace(f"{path}: ", "")


def document(name):
    with zipfile.ZipFile(FILES / f"{name}.pt2") as archive:
        return json.loads(archive.read(SINGLE))


def saved(tmp_path, content, entry=SINGLE):
    path = tmp_path / "net.pt2"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(entry, content if isinstance(content, bytes) else json.dumps(content))
    return path


def edited(tmp_path, name, edit):
    program = document(name)
    edit(program, program["graph_module"]["graph"])
    return saved(tmp_path, program)


def line(text):
    """Where the script that made the files has `text`, as errors say it."""
    lines = (FILES.parent / "make_pt2.py").read_text("utf-8").splitlines()
    return next(f"make_pt2.py:{number}" for number, content in enumerate(lines, 1) if text in content)


STEM = line("self.stem(x)")


def call(graph, name):
    return next(item for item in graph["nodes"] if item["name"] == name)


def argument(graph, name, key):
    return next(item for item in call(graph, name)["inputs"] if item["name"] == key)


def test_a_missing_file_and_a_folder(tmp_path):
    assert refused("absent.pt2") == (
        "the model must be an existing .pt2 file, not a path where there is none; give the path of a .pt2 file"
    )
    (tmp_path / "x.pt2").mkdir()
    assert refused(tmp_path / "x.pt2") == (
        "the model must be an existing .pt2 file, not a folder; give the path of a .pt2 file"
    )


@pytest.mark.parametrize("content", [b"", b"\x00\xff garbage", b"PK\x03\x04 and no more"])
def test_bytes_that_are_no_zip(tmp_path, content):
    path = tmp_path / "net.pt2"
    path.write_bytes(content)
    assert refused(path) == (
        "the model must be a whole zip archive with JSON of sensible depth, and reading this one fails: "
        f"File is not a zip file; {AGAIN}"
    )


def test_a_file_that_ends_early(tmp_path):
    path = tmp_path / "net.pt2"
    path.write_bytes((FILES / "cnn.pt2").read_bytes()[:-100])
    assert refused(path) == (
        "the model must be a whole zip archive with JSON of sensible depth, and reading this one fails: "
        f"File is not a zip file; {AGAIN}"
    )


def test_a_program_whose_bytes_were_changed(tmp_path):
    data = bytearray((FILES / "cnn.pt2").read_bytes())
    with zipfile.ZipFile(FILES / "cnn.pt2") as archive:
        start = archive.getinfo(SINGLE).header_offset + 200
    data[start : start + 40] = bytes(40)
    (tmp_path / "net.pt2").write_bytes(data)
    assert refused(tmp_path / "net.pt2").startswith("the model must be a whole zip archive ")


def test_an_archive_without_a_program(tmp_path):
    assert refused(saved(tmp_path, b"", "net/code/__torch__.py")) == (
        "a .pt2 file must hold a program (models/model.json), and this one holds none; "
        "save it with torch.export.save; compiled and scripted models are not read"
    )


def test_an_archive_with_two_programs(tmp_path):
    path = saved(tmp_path, b"{}", "net/models/a.json")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("net/models/b.json", b"{}")
    assert refused(path) == "a .pt2 file must hold one program, not 2; save each in a file of its own"


def test_a_program_that_is_too_large(tmp_path):
    path = saved(tmp_path, b" " * ((32 << 20) + 1))
    assert path.stat().st_size < 100_000
    assert refused(path) == (
        "the program in an archive must be at most 32 MiB, not 33554433 B; export a part of the network"
    )


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[1, 2", b'{"a": ' + b"9" * 5000 + b"}"])
def test_a_program_that_is_no_json(tmp_path, content):
    assert refused(saved(tmp_path, content)) == f"the program in an archive must be JSON; {AGAIN}"


def test_json_that_is_nested_without_end(tmp_path):
    assert refused(saved(tmp_path, b"[" * 1_000_000)).startswith("the model must be a whole zip archive")


@pytest.mark.parametrize(
    ("version", "given", "way"),
    [
        ({"major": 5, "minor": 3}, "5.3", "export it again with a newer PyTorch"),
        ({"major": 9, "minor": 0}, "9.0", "export it with an older PyTorch"),
        ("8.20", "none", "export it again with a newer PyTorch"),
        (None, "none", "export it again with a newer PyTorch"),
    ],
)
def test_a_schema_of_another_version(tmp_path, version, given, way):
    path = edited(tmp_path, "cnn", lambda program, graph: program.update(schema_version=version))
    assert refused(path) == f"the program must follow version 8 of torch.export's schema, not {given}; {way}"


@pytest.mark.parametrize(
    ("edit", "part"),
    [
        (lambda program, graph: program.pop("graph_module"), "the document"),
        (lambda program, graph: graph.pop("tensor_values"), "the document"),
        (lambda program, graph: graph.update(nodes={}), "the document"),
        (lambda program, graph: graph["tensor_values"]["relu"].update(dtype="float"), "tensor 'relu'"),
        (lambda program, graph: graph["tensor_values"]["relu"].update(sizes=[{"as_int": True}]), "tensor 'relu'"),
        (lambda program, graph: graph["nodes"][1].update(target=3), "node 1"),
        (lambda program, graph: graph["nodes"][1].update(inputs=None), "node 'batch_norm'"),
        (lambda program, graph: graph["nodes"][1]["inputs"][0].update(arg={}), "node 'batch_norm'"),
        (lambda program, graph: program["range_constraints"]["s77"].update(min_val="2"), "the range of 's77'"),
        (lambda program, graph: program["graph_module"].update(signature={}), "the signature"),
    ],
)
def test_a_program_laid_out_otherwise(tmp_path, edit, part):
    assert refused(edited(tmp_path, "cnn", edit), x_0=1) == (
        f"a program must be laid out as torch.export's schema says, and {part} is not; "
        "save it again with torch.export.save"
    )


@pytest.mark.parametrize(
    "size",
    [
        "os.system('true')",
        "Symbol('s77', positive=True) + 1",
        "Pow(Symbol('s77'), Integer(60))",
        "Pow(Pow(Integer(9000000000), Integer(16)), Integer(16))",
        "Add(" * 2000,
        "__import__('os')",
        "Mul()",
        "FloorDiv(Integer(4), Integer(0))",
    ],
)
def test_a_size_that_is_no_expression_over_symbols(tmp_path, size):
    expression = {"as_expr": {"expr_str": size, "hint": None}}
    path = edited(tmp_path, "cnn", lambda program, graph: graph["tensor_values"]["relu"].update(sizes=[expression]))
    assert refused(path, x_0=1).startswith("a program must be laid out as torch.export's schema says, and ")


def test_symbolic_dims_are_asked_for_all_at_once_by_input_and_axis():
    path = FILES / "llama.pt2"
    assert refused(path).splitlines() == [
        "every dim must have a size, and axis 0 of input 'x' has none; give --dim x_0=2, as exported, or another size",
        "every dim must have a size, and axis 1 of input 'x' has none; give --dim x_1=6, as exported, or another size",
    ]


def test_a_size_for_a_dim_that_is_not_there():
    assert refused(FILES / "cnn.pt2", batch=4).splitlines() == [
        "--dim must name a symbolic dim of the model, not 'batch'; known: x_0 (the names of torch.export.Dim are "
        "not in the file)",
        "every dim must have a size, and axis 0 of input 'x' has none; give --dim x_0=2, as exported, or another size",
    ]
    assert refused(FILES / "mobile.pt2", x_0=4) == (
        "--dim must name a symbolic dim of the model, not 'x_0'; leave it out: every size of this model is fixed"
    )


def test_a_size_outside_the_range_of_the_export():
    assert refused(FILES / "cnn.pt2", x_0=65) == (
        "dim 'x_0' must be from 1 to 64, as the program was exported, not 65; "
        "give another size, or export with a wider range"
    )


def test_a_size_that_follows_from_values(tmp_path):
    size = {"as_expr": {"expr_str": "Symbol('u0', integer=True)", "hint": None}}
    path = edited(tmp_path, "mobile", lambda program, graph: graph["tensor_values"]["mul"].update(sizes=[size]))
    assert refused(path) == (
        "a size must follow from the shapes of the inputs, and axis 0 of 'mul' does not; "
        "export the part of the network in front of it"
    )


def test_operators_that_are_not_known_come_all_at_once_with_their_first_line(tmp_path):
    def edit(program, graph):
        call(graph, "hardswish")["target"] = "torch.ops.aten.frobnicate.default"
        call(graph, "hardswish_1")["target"] = "torch.ops.aten.frobnicate.default"
        call(graph, "mean")["target"] = "torch.ops.mylib.mean.default"

    way = "export the network without it, or split it by run_decompositions() before saving"
    assert refused(edited(tmp_path, "mobile", edit)).splitlines() == [
        f"node 'hardswish' ({line('y = F.hardswish')}) and 1 more: every operator must be one that weft knows, not "
        f"aten.frobnicate.default; {way}",
        f"node 'mean' ({line('F.avg_pool2d(F.relu_')}): every operator must be one that weft knows, not "
        f"mylib.mean.default; {way}",
    ]


def test_an_lstm_before_it_is_decomposed():
    assert refused(FILES / "memory.pt2") == (
        f"node 'lstm' ({line('return self.cell(x)')}): every operator must be one that weft knows, not "
        "aten.lstm.input; export the network without it, or split it by run_decompositions() before saving"
    )


def test_a_tensor_that_is_read_after_another_view_of_it_was_written(tmp_path):
    def edit(program, graph):
        argument(graph, "mean", "self")["arg"] = {"as_tensor": {"name": "conv2d_4"}}

    assert refused(edited(tmp_path, "mobile", edit)) == (
        f"node 'add_' ({line('y += x')}): a tensor written in place must not be read through another view, and "
        "'conv2d_4' is; make it explicit by run_decompositions() before saving"
    )


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            lambda graph: argument(graph, "batch_norm", "training").update(arg={"as_bool": True}),
            f"node 'batch_norm' ({STEM}): batch normalisation must use stored statistics, not the batch's; "
            "call eval() before exporting",
        ),
        (
            lambda graph: argument(graph, "conv2d", "stride").update(arg={"as_string": "two"}),
            f"node 'conv2d' ({STEM}): argument 'stride' of aten.conv2d.default must be a list of whole "
            "numbers, not 'two'; export the network again",
        ),
        (
            lambda graph: argument(graph, "conv2d", "input").update(arg={"as_none": True}),
            f"node 'conv2d' ({STEM}): argument 'input' of aten.conv2d.default must be a tensor, not left "
            "out; export the network again",
        ),
        (
            lambda graph: argument(graph, "relu", "self").update(arg={"as_tensor": {"name": "nobody"}}),
            "every tensor must have a shape, and 'nobody' has none; save the program again with torch.export.save",
        ),
        (
            lambda graph: graph["tensor_values"]["x"].update(dtype=10),
            "tensor 'x': a tensor must hold real numbers of a type that ONNX defines, not complex64; "
            "export the part of the network without it",
        ),
        (
            lambda graph: argument(graph, "max_pool2d", "kernel_size").update(arg={"as_ints": [2**70, 1]}),
            f"node 'max_pool2d' ({STEM}): the arguments of aten.max_pool2d.default must fit its tensors, "
            "and they do not: Value out of range: 1180591620717411303424; export the network again",
        ),
        (
            lambda graph: argument(graph, "linear", "input").update(arg={"as_tensor": {"name": "linear"}}),
            "node 'linear': a network must have no cycle, and this node needs its own output; "
            "export the network again, with its recurrence unrolled",
        ),
        (
            lambda graph: argument(graph, "relu", "self").update(arg={"as_tensor": {"name": "conv2d_1"}}),
            "node 'conv2d_1': a network must have no cycle, and this node needs its own output; "
            "export the network again, with its recurrence unrolled",
        ),
    ],
)
def test_calls_that_do_not_hold(tmp_path, edit, message):
    path = edited(tmp_path, "cnn", lambda program, graph: edit(graph))
    assert refused(path, x_0=2) == message


def test_an_object_that_is_no_program():
    with pytest.raises(ModelError) as caught:
        load(3)
    assert str(caught.value) == (
        "a network must be a name, a path or a torch.export.ExportedProgram, not of type int; "
        "export a module with torch.export.export"
    )


def test_a_shape_that_its_call_does_not_make(tmp_path):
    path = edited(tmp_path, "mobile", lambda program, graph: graph["tensor_values"]["mul"]["sizes"][3].update(as_int=9))
    assert refused(path) == (
        "a tensor must have the shape that its calls make, and 'mul' is stated [1, 12, 8, 9] and follows as "
        "[1, 12, 8, 8]; save the program again with torch.export.save"
    )


@pytest.mark.parametrize("suffix", ["pt", "pth"])
def test_a_pickled_module(tmp_path, suffix):
    path = tmp_path / f"net.{suffix}"
    path.write_bytes(b"PK")
    assert refused(path) == (
        "a network must be an .onnx or .pt2 file, not pickled or scripted by PyTorch; "
        "export it: torch.export.save(torch.export.export(module, inputs), 'net.pt2')"
    )

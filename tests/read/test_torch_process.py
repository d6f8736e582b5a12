"""An ExportedProgram in process is read as its file is. Needs PyTorch (`pip install weft[torch]`); skipped without."""

from __future__ import annotations

import io
import sys
import zipfile
from pathlib import Path

import pytest

from weft.errors import ModelError
from weft.read import load, model_name
from weft.run import map_model, run

torch = pytest.importorskip("torch")
sys.path.append(str(Path(__file__).parent.parent / "data"))
make_pt2 = pytest.importorskip("make_pt2")

SIZES = {"cnn": {"x_0": 2}, "llama": {"x_0": 2, "x_1": 6}}


@pytest.fixture(scope="module")
def programs():
    return {
        name: torch.export.export(module.eval(), inputs, dynamic_shapes=shapes)
        for name, (module, inputs, shapes) in make_pt2.networks().items()
        if name in ("cnn", "vit", "llama", "half")
    }


@pytest.mark.parametrize("name", ["cnn", "vit", "llama", "half"])
@pytest.mark.parametrize("core", [False, True])
def test_a_program_in_process_is_read_as_the_committed_file(programs, name, core):
    program = programs[name].run_decompositions() if core else programs[name]
    file = make_pt2.HERE / (f"{name}.core.pt2" if core else f"{name}.pt2")
    read, kept = load(program, SIZES.get(name)), load(str(file), SIZES.get(name))
    assert [str(op) for op in read.ops] == [str(op) for op in kept.ops]
    assert read.macs == kept.macs


def test_a_saved_file_is_read_as_the_program(programs, tmp_path):
    path = tmp_path / "net.pt2"
    torch.export.save(programs["vit"], path)
    assert load(str(path)).ops == load(programs["vit"]).ops


def test_the_layout_of_older_files_is_read_alike(programs, tmp_path):
    """Before the archive had folders, the program lay at its root; PyTorch still opens such files, which is checked."""
    saved = io.BytesIO()
    torch.export.save(programs["vit"], saved)
    path, weights = tmp_path / "old.pt2", io.BytesIO()
    torch.save(programs["vit"].state_dict, weights)
    empty = io.BytesIO()
    torch.save({}, empty)
    with zipfile.ZipFile(saved) as source, zipfile.ZipFile(path, "w") as target:
        target.writestr("version", ".".join(map(str, torch._export.serde.schema.SCHEMA_VERSION)))
        target.writestr("serialized_exported_program.json", source.read("archive/models/model.json"))
        target.writestr("serialized_state_dict.json", weights.getvalue())
        target.writestr("serialized_constants.json", empty.getvalue())
        target.writestr("serialized_example_inputs.pt", empty.getvalue())
    assert [node.name for node in torch.export.load(path).graph.nodes] == [n.name for n in programs["vit"].graph.nodes]
    assert load(str(path)).ops == load(programs["vit"]).ops


def test_a_program_runs_and_maps_under_the_name_of_its_class(programs):
    assert model_name(programs["vit"]) == "Vit"
    result = run(programs["vit"], "tpu_like", budget=1)
    assert result.model == "Vit"
    assert result.proof.ok
    assert map_model(programs["vit"], "tpu_like", op="conv2d").model == "Vit"


def test_a_program_without_a_size_says_so_with_its_class(programs):
    with pytest.raises(ModelError) as caught:
        load(programs["cnn"])
    assert str(caught.value) == (
        "Cnn: every dim must have a size, and axis 0 of input 'x' has none; "
        "give --dim x_0=2, as exported, or another size"
    )

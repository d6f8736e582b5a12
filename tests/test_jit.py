"""Kernels: numba comes when the first one is called, machine code is kept, and compiling is said once."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

LITTLE = """
from weft._jit import kernel

@kernel
def twice(x):
    return 2 * x

@kernel
def four_times(x):
    return twice(twice(x))

@kernel
def factorial(x):
    return 1 if x < 2 else x * factorial(x - 1)
"""
CALL = """
import sys
from weft import _jit
import little
assert "numba" not in sys.modules
_jit.before_compiling.append(lambda: print("compiling"))
print(little.four_times(3), little.twice(5), little.factorial(4))
print("numba" in sys.modules, little.four_times.__doc__)
"""


@pytest.fixture
def python(tmp_path):
    """Runs a program in a process of its own, with nothing compiled at first."""

    def call(program, **more):
        surroundings = {key: text for key, text in os.environ.items() if not key.startswith("NUMBA_")}
        paths = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
        surroundings |= {"NUMBA_CACHE_DIR": str(tmp_path / "kernels"), "PYTHONPATH": paths} | more
        command = [sys.executable, "-c", program]
        return subprocess.run(command, env=surroundings, cwd=tmp_path, capture_output=True, text=True, check=True)

    return call


def test_compiling_is_said_once_and_again_where_the_source_is_newer(python, tmp_path):
    source = tmp_path / "little.py"
    source.write_text(LITTLE)
    values = "12 10 24\nTrue None\n"
    assert python(CALL).stdout == "compiling\n" + values
    assert python(CALL).stdout == values
    assert python(CALL, NUMBA_DISABLE_JIT="1").stdout == values
    source.write_text(LITTLE + "\n")
    os.utime(source, (2**32, 2**32))
    assert python(CALL).stdout == "compiling\n" + values


def test_a_run_whose_mappings_are_known_needs_no_numba(python, tmp_path):
    program = (
        "import sys; from weft.run import map_model; map_model('resnet8', 'tpu_like', op='conv');"
        "print('numba' in sys.modules)"
    )
    here = {"WEFT_CACHE": str(tmp_path / "cache"), "NUMBA_CACHE_DIR": os.environ.get("NUMBA_CACHE_DIR", "")}
    assert python(program, **here).stdout == "True\n"
    assert python(program, **here).stdout == "False\n"


def test_a_command_says_that_kernels_are_compiled(capsys):
    from weft import _jit
    from weft.cli.console import Progressing

    with Progressing():
        (say,) = _jit.before_compiling
        say()
    assert _jit.before_compiling == []
    assert capsys.readouterr().err == "compiling kernels, once: later runs start some ten seconds sooner\n"


def test_machine_code_goes_stale_with_the_files_of_all_kernels_that_are_part_of_it(python, tmp_path):
    part = tmp_path / "part.py"
    (tmp_path / "whole.py").write_text(
        "from weft._jit import kernel\nfrom part import step\n\n@kernel\ndef twice(x):\n    return step(step(x))\n"
    )
    call = "import whole\nprint(whole.twice(1))"
    for amount in (1, 20):
        part.write_text(f"from weft._jit import kernel\n\n@kernel\ndef step(x):\n    return x + {amount}\n")
        assert python(call).stdout == f"{1 + 2 * amount}\n"


def test_kernels_in_place_work_on_arrays_that_are_handed_to_them(python, tmp_path):
    (tmp_path / "placed.py").write_text(
        "from weft._jit import kernel_in_place\n\n@kernel_in_place\ndef add(x, by):\n"
        "    for k in range(x.size):\n        x[k] += by\n    return x.size\n"
    )
    call = "import numpy, placed\nx = numpy.arange(3)\nprint(placed.add(x, 5), x.tolist())"
    for more in ({}, {}, {"NUMBA_DISABLE_JIT": "1"}):
        assert python(call, **more).stdout == "3 [5, 6, 7]\n"

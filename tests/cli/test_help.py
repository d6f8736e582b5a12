from __future__ import annotations

import resource
import subprocess
import sys

import pytest

COMMANDS = (
    "run",
    "map",
    "evaluate",
    "check",
    "import",
    "import zigzag",
    "import stream",
    "init",
    "init chip",
    "chips",
    "models",
    "schema",
    "doctor",
)
HEAVY = {"numpy", "onnx", "onnxruntime", "ortools", "pandas", "numba", "distributed", "rich", "ruamel"}


def loaded_after(*words: str) -> set[str]:
    """Names of all modules that a command line leaves loaded."""
    script = "import sys; from weft.cli.main import main; main(sys.argv[1:]); print('LOADED', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True, check=True)
    return set(done.stdout.split("LOADED", 1)[1].split())


@pytest.mark.parametrize("words", [("--help",), ("--version",), ("run", "--help"), ("evaluate", "--help"), ()])
def test_help_loads_nothing_heavy(words):
    assert not loaded_after(*words) & HEAVY


def test_the_first_help_does_without_pydantic_too():
    # newer typers load it themselves once a command has options to parse
    assert "pydantic" not in loaded_after("--help")


def test_help_takes_at_most_0_3_cpu_seconds():
    def cpu() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "weft", "--help"], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(cpu() for _ in range(4)) <= 0.3


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_examples(weft, command):
    shown = weft(*command.split(), "--help")
    assert shown.code == 0
    assert shown.err == ""
    examples = shown.out.split("Examples:\n")[1].strip().splitlines()
    assert len(examples) >= 2
    assert all("weft " in line for line in examples)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_80_columns_but_for_examples(weft, command):
    text = weft(*command.split(), "--help").out.split("Examples:")[0]
    assert max(map(len, text.splitlines())) <= 80


def test_weft_alone_shows_help(weft):
    shown = weft()
    assert shown.code == 0
    assert all(f"\n  {command}" in shown.out for command in COMMANDS if " " not in command)


def test_version(weft):
    from weft import __version__

    assert weft("--version").out == f"weft {__version__}\n"


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_h_is_help(weft, command):
    assert weft(*command.split(), "-h").out == weft(*command.split(), "--help").out

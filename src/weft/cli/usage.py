"""A command line that cannot be understood, said as weft says every error: what must hold, what was given, the way out.

typer brings its own click along, so its exceptions are told apart by what they carry.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from weft.errors import OptionError, nearest, suggestion


def usage_error(error: Any, words: Sequence[str]) -> OptionError:
    """The complaint that stands for one of click's.

    Args:    error: a usage error.   words: the command line after `weft`.
    """
    context: Any = getattr(error, "ctx", None)
    command = context.command_path if context else "weft"
    shows = f"'{command} --help' shows how"
    said = str(error.format_message())
    option = getattr(error, "option_name", None)
    parameter = getattr(error, "param", None)
    if option and context and hasattr(error, "possibilities"):
        known = [name for item in context.command.params for name in item.opts if name[:1] == "-"]
        near = nearest(option, known) or next((name for name in known if name.startswith(option)), None)
        return OptionError(
            f"an option of '{command}' must be one that it has, not '{option}'",
            remedy=f"did you mean '{near}'?" if near else f"'{command} --help' lists them",
        )
    if option:
        needs, given = ("no value", "one") if "does not take" in said else ("a value", "none")
        return OptionError(f"{option} must have {needs}, not {given}", remedy=shows)
    if parameter is not None:
        remedy = _help(parameter) or shows
        if type(error).__name__ == "MissingParameter":
            return OptionError(f"{_called(parameter)} must be given", remedy=remedy)
        kind = "a whole number" if "integer" in said else "a number" if "float" in said else "of its kind"
        return OptionError(f"{_called(parameter)} must be {kind}, not '{_given(parameter, words)}'", remedy=remedy)
    commands = getattr(context.command, "commands", None) if context else None
    if commands and "'" in said:
        name = said.split("'")[1]
        return OptionError(
            f"a command of '{command}' must be one that it has, not '{name}'", remedy=suggestion(name, list(commands))
        )
    if context and said.endswith(")"):
        takes = " ".join(_called(item) for item in context.command.params if item.param_type_name == "argument")
        arguments = f"{takes} and no more arguments" if takes else "no arguments"
        extra = said.rpartition("(")[2].rstrip(")")
        return OptionError(f"'{command}' must have {arguments}, not '{extra}'", remedy=shows)
    return OptionError(said, remedy=shows)


def _called(parameter: Any) -> str:
    """An option by its long name, an argument by its place in the usage line."""
    if parameter.param_type_name == "argument":
        return str(parameter.metavar or parameter.name.upper())
    return str(max(parameter.opts, key=len))


def _help(parameter: Any) -> str:
    """What the help says of a parameter, as a way out."""
    text = str(getattr(parameter, "help", None) or "").rstrip(".")
    return text[:1].lower() + text[1:]


def _given(parameter: Any, words: Sequence[str]) -> str:
    for word, following in zip(words, [*words[1:], ""], strict=True):
        name, equals, value = word.partition("=")
        if name in parameter.opts:
            return value if equals else following
    return ""

"""Several problems of one input travel as one error, a line each."""

import pytest

from weft.cli.guard import guarded
from weft.errors import SHOWN, ChipError, Gathered, ModelError, UserError, suggestion, together


def test_a_problem_alone_stays_what_it_is():
    error = ChipError("size must be positive, not 0", where="a.yaml:3", remedy="give it in KiB")
    assert together([error]) is error
    assert str(error) == "a.yaml:3: size must be positive, not 0; give it in KiB"


def test_several_stand_in_the_order_of_their_places_and_else_as_found():
    late, early = ChipError("late", order=(9,)), ChipError("early", order=(2,))
    nested = together([ChipError("first", order=(1,)), ChipError("second", order=(2,))])
    assert str(together([late, early, nested])) == "first\nearly\nsecond\nlate"


def test_they_are_caught_as_the_family_they_are_of():
    assert type(together([ModelError("a"), ModelError("b")])) is ModelError


def test_many_are_cut_off_and_counted():
    lines = str(together([UserError(f"p{i}") for i in range(SHOWN + 7)])).splitlines()
    assert lines == [*(f"p{i}" for i in range(SHOWN)), "and 7 more; put these right first"]
    assert len(str(together([UserError(f"p{i}") for i in range(SHOWN)])).splitlines()) == SHOWN


def test_names_in_a_problem_cannot_break_its_line_or_the_terminal():
    assert str(UserError("not 'a\nb\tc\x1b[31m\udc80'")) == "not 'a b c?[31m?'"


def test_gathering_lets_other_families_through():
    problems = Gathered(ChipError)
    with pytest.raises(ModelError), problems.go_on():
        raise ModelError("not a chip's")
    problems.settle()


def test_the_command_line_prints_a_line_for_each_and_exits_with_2(capsys):
    def command() -> int:
        raise together([UserError("a", order=(1,)), UserError("b", order=(2,))])

    with pytest.raises(Exception) as left:  # noqa: PT011 - typer's way to leave has no public name
        guarded(command)()
    assert left.value.exit_code == 2
    assert capsys.readouterr().err == "error: a\nerror: b\n"


@pytest.mark.parametrize("name", ["x" * 1_000_000, "x " * 100_000])
def test_a_suggestion_for_an_endless_name_comes_at_once(name):
    assert suggestion(name, ["alpha", "beta"]) == "known: alpha, beta"


def test_a_name_without_end_is_shown_by_its_ends():
    assert str(UserError(f"not '{'x' * 5000}'")) == "not '" + "x" * 59 + "..." + "x" * 19 + "'"
    assert len(str(UserError("a b " * 5000))) < 2000


def test_who_reads_a_part_says_where_it_is():
    problems = Gathered(ModelError)
    with problems.go_on("net: node 'a'"):
        raise ModelError("a size must be positive")
    with problems.go_on("net: node 'b'"):
        raise ModelError("a size must be positive", where="net: input 'x'")
    assert [problem.line for problem in problems.found] == [
        "net: node 'a': a size must be positive",
        "net: input 'x': a size must be positive",
    ]

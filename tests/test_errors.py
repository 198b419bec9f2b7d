"""The error tree: one class, one exit code, one hint, and nothing that reaches a user as a traceback."""

from __future__ import annotations

import inspect

import pytest
from hypothesis import given
from hypothesis import strategies as st

from velro_gate import errors
from velro_gate.errors import Fault, ScenarioError, UsageError, VelroError, words_of

CLASSES = [
    found
    for _, found in inspect.getmembers(errors, inspect.isclass)
    if issubclass(found, VelroError) and found is not ScenarioError
]
EXIT_CODES = {1, 2, 3, 4, 5, 70, 130}
sentences = st.text(st.characters(codec="ascii", categories=("L", "N", "Zs")), min_size=1).filter(lambda text: text.strip())


@pytest.mark.parametrize("error", CLASSES)
def test_every_error_has_a_documented_exit_code_and_a_hint(error: type[VelroError]) -> None:
    assert error.exit_code in EXIT_CODES
    assert error.default_hint.endswith(".")


@pytest.mark.parametrize("error", CLASSES)
def test_every_error_says_in_its_docstring_when_it_is_raised(error: type[VelroError]) -> None:
    assert inspect.getdoc(error)


def test_only_the_root_stands_for_our_own_bugs() -> None:
    assert [error for error in CLASSES if error.exit_code == 70] == [VelroError]


@given(what=sentences, where=st.none() | sentences, why=st.none() | sentences, hint=st.none() | sentences)
def test_a_message_shows_what_first_and_what_to_do_last(
    what: str, where: str | None, why: str | None, hint: str | None
) -> None:
    lines = UsageError(what, where=where, why=why, hint=hint).lines()
    assert lines[0] == f"error: {what}"
    assert lines[-1] == f"do:    {hint or UsageError.default_hint}"
    assert len(lines) == 2 + (where is not None) + (why is not None)


def test_what_ends_nothing_is_called_something_else_and_its_reason_stays_word_for_word() -> None:
    wrong = UsageError("the page cannot be read", why="TLS error: no certificate", hint="Try again.")
    assert wrong.lines("warning") == [
        "warning: the page cannot be read",
        "why:   TLS error: no certificate",
        "do:    Try again.",
    ]


def test_an_error_printed_whole_is_its_lines() -> None:
    error = errors.UnreachableError("no answer", where="http://127.0.0.1:9", why="nothing listens there")
    assert str(error).splitlines() == error.lines()


@given(st.lists(st.builds(Fault, where=sentences, what=sentences, suggestion=st.none() | sentences), min_size=1))
def test_a_scenario_error_shows_every_fault_on_a_line_of_its_own(faults: list[Fault]) -> None:
    lines = ScenarioError("a.yaml", faults).lines()
    assert lines[1:-1] == [f"  {fault}" for fault in faults]
    assert f"{len(faults)} fault" in lines[0]


def test_one_fault_is_not_called_faults() -> None:
    assert ScenarioError("a.yaml", [Fault("a.yaml:3", "wrong")]).lines()[0] == "error: a.yaml has 1 fault"


def test_a_fault_shows_its_place_and_what_may_have_been_meant() -> None:
    assert str(Fault("a.yaml:3", "unknown key 'user'", "did you mean 'users'?")) == (
        "a.yaml:3: unknown key 'user' (did you mean 'users'?)"
    )


def test_what_goes_wrong_before_the_load_is_no_broken_measurement() -> None:
    assert issubclass(errors.MissingVariableError, UsageError)
    assert not issubclass(errors.BrokenError, UsageError)
    assert errors.BrokenError.exit_code != UsageError.exit_code


def test_an_exception_that_cannot_say_anything_has_words_all_the_same() -> None:
    class MuteError(Exception):
        def __str__(self) -> str:
            raise ValueError

    assert words_of(MuteError()) == "MuteError: it cannot be shown"
    assert words_of(KeyError("a")) == "KeyError: 'a'"
    assert words_of(RuntimeError()) == "RuntimeError"

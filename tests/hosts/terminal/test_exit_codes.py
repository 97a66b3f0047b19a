"""Every error has a word and a code."""

from __future__ import annotations

import inspect

from impasto.core import errors
from impasto.hosts.terminal.exit_codes import EXIT_CODES, INTERNAL, exit_code_of

ERRORS = [each for _, each in inspect.getmembers(errors, inspect.isclass) if issubclass(each, errors.ImpastoError)]


def made(error: type[errors.ImpastoError]) -> errors.ImpastoError:
    return errors.UnknownName("style", "x", []) if error is errors.UnknownName else error("x")


def test_no_code_stands_twice() -> None:
    numbers = [code.number for code in EXIT_CODES]
    assert len(set(numbers)) == len(numbers)


def test_every_error_ends_with_a_code_of_the_table() -> None:
    numbers = {code.number for code in EXIT_CODES}
    assert all(exit_code_of(made(error)) in numbers for error in ERRORS)


def test_no_error_but_the_root_counts_as_a_fault_of_the_program() -> None:
    assert [error for error in ERRORS if exit_code_of(made(error)) == INTERNAL] == [errors.ImpastoError]


def test_every_error_has_a_word_of_its_own() -> None:
    assert set(errors.ERRORS.values()) == set(ERRORS)
    assert all(vars(error)["code"] == word for word, error in errors.ERRORS.items())

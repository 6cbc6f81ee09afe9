"""Errors are one line, `WHERE: WHAT; HINT`, with an exit code."""

import pytest

from embedkit import errors
from embedkit.errors import EmbedkitError, MissingPackageError, UnknownNameError, UsageError


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (EmbedkitError("is broken"), "is broken"),
        (EmbedkitError("is broken", where="a.txt:3"), "a.txt:3: is broken"),
        (EmbedkitError("is broken", hint="mend it"), "is broken; mend it"),
        (EmbedkitError("is broken", where="a.txt", hint="mend it"), "a.txt: is broken; mend it"),
    ],
)
def test_renders_what_there_is_of_where_what_and_hint(error, line):
    assert str(error) == line


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r", "\u2028", "\x0b"])
def test_stays_one_line_whatever_the_parts_hold(newline):
    error = EmbedkitError(f"a{newline}b", where=f"c{newline}d", hint=f"e{newline}f")
    assert str(error) == "c d: a b; e f"


def test_only_a_wrong_request_exits_with_2():
    classes = {
        value
        for value in vars(errors).values()
        if isinstance(value, type) and value.__module__ == errors.__name__
    }
    assert EmbedkitError in classes
    assert len(classes) > 5
    for cls in classes:
        assert issubclass(cls, EmbedkitError)
        assert cls.exit_code == (2 if issubclass(cls, UsageError) else 1)


def test_the_tree_in_the_docstring_names_every_class():
    for name, value in vars(errors).items():
        if isinstance(value, type) and issubclass(value, EmbedkitError):
            assert name in errors.__doc__


def test_a_near_name_is_proposed():
    error = UnknownNameError("whitning", ["pca", "whitening"], what="transform", where="-t")
    assert str(error) == "-t: unknown transform 'whitning'; did you mean whitening?"


def test_without_a_near_name_all_are_listed_in_order():
    error = UnknownNameError("xyz", iter(["pca", "flat"]), what="kind")
    assert str(error) == "unknown kind 'xyz'; known: flat, pca"


def test_an_empty_list_of_known_names_is_said_to_be_empty():
    assert str(UnknownNameError("dim", [], what="setting")) == "unknown setting 'dim'; known: none"


def test_a_missing_package_says_how_to_get_it():
    error = MissingPackageError("matplotlib", extra="plot", needed_for="`plot`")
    assert str(error) == "`plot` needs the package matplotlib; pip install 'embedkit[plot]'"

"""A function in another process: its answer, its errors, and its death."""

import os
import signal

import pytest

from embedkit.data.isolated_call import DiedError, apart
from embedkit.errors import DataError


def added(one, other):
    print("noise")
    os.system("echo more noise; echo and more >&2")
    return one + other


def refused():
    raise DataError("is not so", where="here", hint="do it")


def broken():
    raise KeyError("x")


def killed(number):
    os.kill(os.getpid(), number)


def left():
    os._exit(3)


def test_the_answer_comes_back_and_nothing_else_is_printed(capfd):
    assert apart(added, "a", "b") == "ab"
    assert capfd.readouterr() == ("", "")


def test_errors_come_back_as_they_were():
    with pytest.raises(DataError, match=r"^here: is not so; do it$"):
        apart(refused)
    with pytest.raises(KeyError):
        apart(broken)


def test_a_death_is_an_error_of_this_process():
    with pytest.raises(DiedError, match=r"^the process ended by SIGSEGV$"):
        apart(killed, int(signal.SIGSEGV))
    with pytest.raises(DiedError, match=r"^the process ended with exit code 3$"):
        apart(left)

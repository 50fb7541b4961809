"""The library's own exceptions: what they are, what they carry, what they say."""

from __future__ import annotations

import copy
import errno
import pickle

import pytest

import reactor
from reactor import (
    BackendError,
    BusyError,
    Cause,
    ClosedError,
    ContextClosedError,
    FdSetSizeError,
    IllegalTransition,
    IncompleteReadError,
    OperationCancelled,
    QueueEmpty,
    QueueFull,
    ReactorError,
    Unsupported,
)


@pytest.mark.parametrize(
    ("error", "also"),
    [
        (IllegalTransition("m", "s", "e"), RuntimeError),
        (BusyError("b"), RuntimeError),
        (ClosedError("this stream"), OSError),
        (ContextClosedError("c"), RuntimeError),
        (BackendError("b"), ValueError),
        (FdSetSizeError(1024, 1024), ValueError),
        (IncompleteReadError(b"ab", 5), EOFError),
        (Unsupported("eventfd"), OSError),
        (QueueFull(), ReactorError),
        (QueueEmpty(), ReactorError),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_every_error_of_the_library_is_a_reactor_error_and_what_python_calls_such(error, also):
    assert isinstance(error, ReactorError)
    assert isinstance(error, also)


@pytest.mark.parametrize("cause", Cause)
def test_a_cancellation_is_no_exception_that_a_broad_except_eats(cause):
    error = OperationCancelled(cause)
    assert not isinstance(error, Exception)
    assert error.cause is cause
    assert error.cause_name == cause.value
    assert str(error) == f"operation ended by {cause.value}"
    assert not error.scoped
    assert (error.transferred, error.partial) == (0, b"")


def test_a_cancellation_without_a_word_is_a_cancel():
    assert OperationCancelled().cause is Cause.CANCEL
    assert OperationCancelled(scoped=True).scoped


def test_closed_is_ebadf_and_survives_a_pickle():
    error = ClosedError("this stream")
    assert error.errno == errno.EBADF
    for each in (error, pickle.loads(pickle.dumps(error))):
        assert type(each) is ClosedError
        assert (each.errno, each.strerror) == (errno.EBADF, "this stream is closed")


def test_unsupported_is_enosys_and_says_what():
    assert Unsupported("eventfd").errno == errno.ENOSYS
    assert "eventfd" in str(Unsupported("eventfd"))


def test_the_numbers_are_in_the_words():
    error = FdSetSizeError(1500, 1024)
    assert (error.fd, error.limit) == (1500, 1024)
    assert "descriptor 1500" in str(error)
    assert "0 to 1023" in str(error)
    short = IncompleteReadError(b"ab", 5)
    assert (short.partial, short.expected) == (b"ab", 5)
    assert "2 of 5 bytes" in str(short)


def test_an_illegal_transition_names_machine_state_and_event():
    error = IllegalTransition("operation", "PARKED", "park")
    assert (error.machine, error.state, error.event) == ("operation", "PARKED", "park")
    assert str(error) == "operation: no transition from state PARKED on event park"


def test_the_package_exports_what_it_says():
    assert reactor.__all__ == sorted(reactor.__all__, key=lambda n: (not n[0].isupper(), n))
    for name in reactor.__all__:
        assert hasattr(reactor, name)


class Worse(FdSetSizeError):
    """What a user of the library may derive."""

    def __init__(self):
        super().__init__(7, 3)
        self.more = "more"


@pytest.mark.parametrize("again", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
@pytest.mark.parametrize(
    "error",
    [
        ReactorError("r"),
        OperationCancelled(Cause.DEADLINE, scoped=True),
        IllegalTransition("m", "s", "e"),
        BusyError("b"),
        ClosedError("this stream"),
        ContextClosedError("c"),
        BackendError("b"),
        FdSetSizeError(1500, 1024),
        IncompleteReadError(b"ab", 5),
        Unsupported("eventfd"),
        QueueFull("full"),
        QueueEmpty(),
        Worse(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_every_error_can_be_copied_and_pickled_with_all_that_it_carries(error, again):
    """A worker process hands its exception to its parent so; half of one would be another failure."""
    error.add_note("seen on the way")
    error.transferred = 3
    made = again(error)
    assert type(made) is type(error)
    assert (str(made), made.args) == (str(error), error.args)
    assert vars(made) == vars(error)
    for name in ("errno", "strerror"):
        assert getattr(made, name, None) == getattr(error, name, None)

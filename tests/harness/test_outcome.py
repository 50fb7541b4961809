"""How operations end, and what a scenario may ask of that."""

from __future__ import annotations

import errno
import threading

import pytest

from harness.outcome import Op, Outcome, observe, observed
from harness.trace import Trace
from reactor import OperationCancelled
from reactor.errors import Cause

VALUE = Outcome("value", value=b"data")
CANCELLED = Outcome("cancelled", error=OperationCancelled(), cause="cancel", transferred=3)
REFUSED = Outcome("error", error=ConnectionRefusedError(errno.ECONNREFUSED, "refused"))
BAD = Outcome("error", error=ValueError("bad"))


def drive(coroutine):
    """Run a coroutine that never waits; what it returns."""
    with pytest.raises(StopIteration) as stop:
        coroutine.send(None)
    return stop.value.value


def test_words():
    assert [str(one) for one in (VALUE, CANCELLED, REFUSED, BAD)] == [
        "value b'data'",
        "cancelled by cancel",
        "ConnectionRefusedError",
        "ValueError",
    ]
    assert [one.errno for one in (VALUE, CANCELLED, REFUSED, BAD)] == [0, 0, errno.ECONNREFUSED, 0]


def test_get_gives_the_value_or_fails_with_what_it_was():
    assert VALUE.get() == b"data"
    assert Outcome("value", value=None).get() is None
    with pytest.raises(AssertionError, match="expected a value, got: cancelled by cancel"):
        CANCELLED.get()
    with pytest.raises(AssertionError, match=r"got: ValueError \(ValueError\('bad'\)\)") as caught:
        BAD.get()
    assert caught.value.__cause__ is BAD.error


def test_cancelled_checks_the_cause_when_it_is_given():
    assert CANCELLED.cancelled() is CANCELLED
    assert CANCELLED.cancelled("cancel") is CANCELLED
    with pytest.raises(AssertionError, match="expected cancelled by close, got: cancelled by canc"):
        CANCELLED.cancelled("close")
    for other in (VALUE, BAD):
        with pytest.raises(AssertionError, match="expected cancelled by anyone, got: "):
            other.cancelled()


def test_failed_takes_types_and_numbers():
    assert REFUSED.failed(errno.EINVAL, errno.ECONNREFUSED) is REFUSED
    assert REFUSED.failed(ValueError, OSError) is REFUSED
    assert BAD.failed(ValueError) is BAD
    with pytest.raises(AssertionError, match="expected EINVAL, KeyError, got: ConnectionRefused"):
        REFUSED.failed(errno.EINVAL, KeyError)
    with pytest.raises(AssertionError, match="expected 99999, got: ValueError"):
        BAD.failed(99999)
    with pytest.raises(AssertionError, match="expected OSError, got: value b'data'"):
        VALUE.failed(OSError)


def test_a_cancelled_operation_has_not_failed():
    """Not even by the type of what it raised."""
    with pytest.raises(AssertionError, match="got: cancelled by cancel"):
        CANCELLED.failed(OperationCancelled)


# -- Observing


async def returns(value):
    return value


async def raises(error):
    raise error


def test_observed_makes_an_outcome_of_every_end():
    assert drive(observed(returns(b"x"))) == Outcome("value", value=b"x")
    cancelled = OperationCancelled(Cause.CLOSE)
    cancelled.transferred = 5
    seen = drive(observed(raises(cancelled)))
    assert (seen.kind, seen.cause, seen.transferred) == ("cancelled", "close", 5)
    failed = BrokenPipeError(errno.EPIPE, "gone")
    failed.transferred = 7  # type: ignore[attr-defined]  # as the reactor does
    seen = drive(observed(raises(failed)))
    assert (seen.kind, seen.error, seen.transferred) == ("error", failed, 7)
    assert drive(observed(raises(ValueError()))).transferred == 0


def test_observed_lets_what_is_no_result_through():
    with pytest.raises(KeyboardInterrupt):
        observed(raises(KeyboardInterrupt())).send(None)


def test_observe_keeps_the_outcome_and_tells_who_waits():
    trace = Trace()
    op = Op("recv", threading.Event())
    assert not op.done
    drive(observe(op, returns, (b"x",), trace))
    assert op.done
    assert op.finished.is_set()
    assert str(op.result) == "value b'x'"
    assert [(entry["event"], entry["detail"]) for entry in trace.timeline] == [
        ("runs", ""),
        ("ends", "value b'x'"),
    ]
    assert trace.events == []  # when it ends is the scheduler's affair, and may differ


def test_observe_takes_a_call_that_raises_at_once_for_the_operations_end():
    def refuses(_):
        raise ValueError("no coroutine is made")

    op = Op("recv", threading.Event())
    drive(observe(op, refuses, (1,), Trace()))
    assert op.result is not None
    op.result.failed(ValueError)


def test_an_operation_that_is_thrown_away_has_ended_all_the_same():
    op = Op("recv", threading.Event())
    with pytest.raises(KeyboardInterrupt):
        observe(op, raises, (KeyboardInterrupt(),), Trace()).send(None)
    assert op.finished.is_set()
    assert op.result is not None
    assert str(op.result) == "RuntimeError"


def test_a_second_end_is_noticed():
    op = Op("recv", threading.Event())
    drive(observe(op, returns, (1,), Trace()))
    with pytest.raises(AssertionError, match="recv ended twice"):
        observe(op, returns, (2,), Trace()).send(None)
    assert op.result == Outcome("value", value=1)

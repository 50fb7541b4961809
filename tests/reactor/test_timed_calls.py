"""`call_at` and `call_later`: posts that are put off, in virtual time, on every backend."""

from __future__ import annotations

import contextvars
import gc
import math
import threading
import weakref
from typing import Any

import pytest

import reactor
from reactor import ContextClosedError, ReactorError
from tests.reactor.scheduling import Worker, virtual


@pytest.fixture
def context(spec, clock):
    with virtual(spec, clock) as made:
        yield made


def test_law_7_calls_come_in_the_order_of_their_deadlines_and_never_early(context, clock):
    made: list[Any] = []

    def note(name):
        made.append((name, clock.monotonic()))

    begin = context.time()
    context.call_at(begin + 3, note, "third")
    context.call_later(1, note, "first")
    context.call_at(begin + 2, note, "second")
    context.call_at(begin + 2, note, "second, given later")
    context.call_at(-math.inf, note, "past")
    assert context.run() == 5
    assert [name for name, _ in made] == [
        "past",
        "first",
        "second",
        "second, given later",
        "third",
    ]
    assert [now - begin for _, now in made] == pytest.approx([0, 1, 2, 2, 3])


def test_what_is_put_off_is_work_until_it_was_made_or_cancelled(context, clock):
    made: list[Any] = []
    context.call_later(5, made.append, "made")
    never = context.call_later(math.inf, made.append, "never")
    context.call_later(6, never.cancel)
    assert context.timer_count == 3
    begin = clock.monotonic()
    context.run()
    assert made == ["made"]
    assert clock.monotonic() - begin == pytest.approx(6)
    assert (context.timer_count, context.scheduler.signal.work) == (0, 0)


def test_a_cancelled_call_is_not_made_and_can_be_cancelled_once(context, clock):
    made: list[Any] = []
    timed = context.call_later(1, made.append, 1)
    assert "due at" in repr(timed)
    assert timed.cancel()
    assert not timed.cancel()
    assert "over" in repr(timed)
    begin = clock.monotonic()
    context.run()
    assert made == []
    assert clock.monotonic() == begin, "nobody waited for it"


def test_a_call_that_was_made_cannot_be_cancelled(context):
    timed = context.call_later(1, lambda: None)
    context.run()
    assert not timed.cancel()


def test_one_that_is_due_waits_its_turn_like_a_post_and_is_over_before(context):
    order: list[str] = []
    timed = context.call_at(context.time(), order.append, "timed")

    def first():
        context.post(order.append, "posted")
        order.append("first")

    context.post(first)
    context.run()
    assert order[0] == "first"
    assert sorted(order) == ["first", "posted", "timed"]
    assert not timed.cancel()


def test_a_call_is_made_in_the_variables_of_who_gave_it_and_in_no_task(context):
    variable = contextvars.ContextVar("variable", default="none")
    seen = []

    def look():
        seen.append(variable.get())
        with pytest.raises(ReactorError, match="inside a task"):
            reactor.current_task()

    async def main():
        variable.set("main's")
        context.call_later(1, look)

    context.spawn(main)
    context.run()
    assert seen == ["main's"]


def test_an_earlier_call_from_another_thread_shortens_the_wait(spec):
    with reactor.IoContext(spec) as context:
        done = threading.Event()
        late = context.call_later(3600, list)
        runner = Worker(context.run)
        context.post(done.set)
        done.wait()

        def end():
            late.cancel()

        context.call_later(0, end)
        runner.end()


def test_what_its_call_raises_comes_out_of_run_and_the_rest_goes_on(context):
    made: list[Any] = []

    def fail():
        raise LookupError("on purpose")

    context.call_later(1, fail)
    context.call_later(1, made.append, 1)
    with pytest.raises(LookupError, match="on purpose"):
        context.run()
    context.run()
    assert made == [1]


@pytest.mark.parametrize("give", ["call_at", "call_later"])
def test_bad_input_is_refused_and_leaves_nothing(context, give):
    call = getattr(context, give)
    with pytest.raises(ValueError, match="NaN"):
        call(math.nan, list)
    with pytest.raises(TypeError, match="something to call, got 3"):
        call(1.0, 3)
    assert (context.timer_count, context.scheduler.signal.work) == (0, 0)
    context.close()
    with pytest.raises(ContextClosedError):
        call(1.0, list)


def test_closing_drops_what_is_put_off(spec):
    class Thing:
        def method(self):
            raise AssertionError("made after all")

    thing = Thing()
    gone = weakref.ref(thing)
    context = reactor.IoContext(spec)
    timed = context.call_later(0.0, thing.method)
    context.close()
    assert not timed.cancel()
    del thing
    gc.collect()
    assert gone() is None


def test_a_hundred_thousand_cancelled_calls_leave_no_garbage(context):
    kept = [context.call_later(1 + index, list) for index in range(10)]
    for _ in range(100_000):
        assert context.call_later(30, list).cancel()
    assert context.timer_count == len(kept)
    assert context.scheduler.timers.garbage <= 64 + len(kept)

"""The verifier's steps on kqueue, which is not on every machine: a model held against another one.

One that differs in its seed and in its numbers only agrees; one that is broken is found out; and so
is one of another dialect.
"""

from __future__ import annotations

import errno
from dataclasses import replace
from typing import Any

import pytest

from harness.kernel import dialects
from harness.kernel.description import Condition
from harness.kernel.endpoint import Endpoint
from harness.kernel.pollers import kqueue as kq
from harness.kernel.pollers.kqueue import Knote, Kqueue
from harness.kernel.tcpstate import TcpState
from harness.kernel.verify.compare import Comparison
from harness.kernel.verify.grounds import Model
from harness.kernel.verify.programs import THEMES, Disagreement, verify

KQUEUES = [name for name, dialect in dialects.DIALECTS.items() if dialect.has("kqueue")]
PROGRAMS = 60
SEED = 3
#: Most that a broken model may need until it is found out.
PATIENCE = 500


@pytest.mark.parametrize("dialect", KQUEUES)
def test_the_answers_hang_on_neither_seed_nor_numbers(dialect):
    with Comparison(dialect, Model(dialect, seed=77, spare=5)) as comparison:
        verify(comparison, PROGRAMS, SEED)
        assert not {"kqueue"} - comparison.extensions


@pytest.mark.parametrize("dialect", ["linux", "posix", "illumos"])
def test_nor_do_they_elsewhere(dialect):
    with Comparison(dialect, Model(dialect, seed=77, spare=5)) as comparison:
        verify(comparison, PROGRAMS, SEED)


class Broken:
    """A model that is broken while it plays."""

    looks = 1

    def __init__(self, dialect, breakage):
        self.model = Model(dialect)
        self.breakage = breakage
        self.release, self.extensions = self.model.release, self.model.extensions

    def play(self, program, pause=0.0):
        with pytest.MonkeyPatch.context() as patch:
            self.breakage(patch)
            return self.model.play(program)

    def close(self):
        pass


def without(name):
    """The model does not know a flag."""
    return lambda patch: patch.setattr(kq, name, 0)


def keeps_the_knotes_of_a_closed_number(patch):
    patch.setattr(Kqueue, "_forget_number", lambda self, number: None)


def deletes_the_other_filter_too(patch):
    real = Kqueue._apply

    def apply(self, change):
        real(self, change)
        if change.flags & kq.EV_DELETE:
            for knote in list(self.knotes.values()):
                if knote.event.ident == change.ident:
                    self._drop(knote)

    patch.setattr(Kqueue, "_apply", apply)


def reports_the_latest_first(patch):
    def enqueue(self, knote):
        if knote not in self._active:
            self._active.appendleft(knote)

    patch.setattr(Kqueue, "enqueue", enqueue)


def goes_on_behind_a_change_that_failed(patch):
    real = Kqueue.control

    def control(self, changelist, max_events, timeout=None):
        failed = None
        for change in changelist or ():
            try:
                found = real(self, [change], max_events, timeout)
            except OSError as exc:
                failed = exc
        if failed is not None:
            raise failed
        return found if changelist else real(self, changelist, max_events, timeout)

    patch.setattr(Kqueue, "control", control)


def keeps_the_first_udata(patch):
    real = Kqueue._touch

    def touch(self, knote, change):
        before = knote.event.udata
        real(self, knote, change)
        knote.event.udata = before

    patch.setattr(Kqueue, "_touch", touch)


def triggers_when_it_adds(patch):
    real = Kqueue._add

    def add(self, change, description):
        knote = real(self, change, description)
        if change.filter == kq.FILTER_USER:
            knote.activate()
        return knote

    patch.setattr(Kqueue, "_add", add)


def counts_no_bytes(patch):
    real = Knote.look

    def look(self):
        seen = real(self)
        return replace(seen, data=min(seen.data, 1))

    patch.setattr(Knote, "look", look)


def hides_an_end_behind_data(patch):
    """EV_EOF comes with the data that is still to be read."""

    def read_condition(self):
        seen = real(self)
        return replace(seen, eof=False, fflags=0) if seen.data else seen

    real = TcpState.read_condition
    patch.setattr(TcpState, "read_condition", read_condition)


def forgets_the_errno_of_an_end(patch):
    real = TcpState.read_condition
    patch.setattr(TcpState, "read_condition", lambda self: replace(real(self), fflags=0))


def never_tells_a_writer_of_room(patch):
    patch.setattr(Endpoint, "wake_writers", lambda self: None)


def lets_a_timer_go_on_for_ever(patch):
    patch.setattr(Kqueue, "_arm", lambda self, knote, milliseconds: None)


def takes_what_is_active_for_ready(patch):
    """The filter is asked again before an event is reported."""
    real = Knote.look

    def look(self):
        seen = real(self)
        return Condition(True, seen.data, seen.eof, seen.fflags) if self.active else seen

    patch.setattr(Knote, "look", look)


#: Each with the kind of program that has to find it.
BREAKAGES = [
    (without("EV_CLEAR"), "unix", "no EV_CLEAR"),
    (without("EV_ONESHOT"), "unix", "no EV_ONESHOT"),
    (without("EV_DISPATCH"), "unix", "no EV_DISPATCH"),
    (without("EV_DISABLE"), "unix", "no EV_DISABLE"),
    (without("EV_EOF"), "tcp", "no EV_EOF"),
    (without("EV_RECEIPT"), "unix", "no EV_RECEIPT"),
    (keeps_the_knotes_of_a_closed_number, "unix", None),
    (deletes_the_other_filter_too, "unix", None),
    (reports_the_latest_first, "unix", None),
    (goes_on_behind_a_change_that_failed, "unix", None),
    (keeps_the_first_udata, "unix", None),
    (triggers_when_it_adds, "users and timers", None),
    (counts_no_bytes, "unix", None),
    (hides_an_end_behind_data, "ends", None),
    (forgets_the_errno_of_an_end, "ends", None),
    (never_tells_a_writer_of_room, "full", None),
    (lets_a_timer_go_on_for_ever, "users and timers", None),
    (takes_what_is_active_for_ready, "edges", None),
]


@pytest.mark.parametrize(
    ("breakage", "theme"),
    [item[:2] for item in BREAKAGES],
    ids=[name or breakage.__name__ for breakage, _, name in BREAKAGES],
)
def test_a_broken_kqueue_is_found_out(breakage, theme):
    broken = Broken("macos", breakage)
    with Comparison("macos", broken) as comparison, pytest.raises(Disagreement):
        verify(comparison, PATIENCE, SEED, themes=[theme], shrink=False)


@pytest.mark.parametrize(
    ("one", "other"), [("freebsd", "netbsd"), ("macos", "openbsd"), ("dragonfly", "macos")]
)
def test_one_dialect_is_told_from_another(one, other):
    with Comparison(one, Model(other)) as comparison, pytest.raises(Disagreement):
        verify(comparison, PATIENCE, SEED, shrink=False)


#: Facts of a kqueue that programs must notice when they are turned round, and the kind of program.
FACTS = {
    "keeps_action_flags": "unix",
    "udata_by_any_change": "unix",
    "second_shutdown_error": "ends",
    "reconnect_error": "connect",
    "enable_looks": "unix",
    "user_events": "users and timers",
    "accept_wakes": "accepting",
    "own_shutdown_unseen": "unix",
    "accept_aborted": "connect",
    "datagram_overhead": "datagrams",
    "pipe_write_wakes_writer": "plain",
}


#: What is wrong in those that are more than a yes or no.
WRONG = {
    "accept_aborted": "hidden",
    "datagram_overhead": 16,
    "second_shutdown_error": errno.ENOTCONN,
    "reconnect_error": 0,
}


@pytest.mark.parametrize(("fact", "theme"), FACTS.items(), ids=list(FACTS))
def test_a_fact_of_a_dialect_is_noticed(fact, theme, monkeypatch):
    """A dialect that is wrong in this one would be found out on the kernel that it is of."""
    right = dialects.DIALECTS["openbsd"]
    value = getattr(right, fact)
    wrong: Any = WRONG.get(fact, not value)
    monkeypatch.setitem(dialects.DIALECTS, "wrong", replace(right, **{fact: wrong}))
    with Comparison("openbsd", Model("wrong")) as comparison, pytest.raises(Disagreement):
        verify(comparison, PATIENCE, SEED, themes=[theme], shrink=False)


def test_every_step_on_kqueue_is_drawn():
    drawn = {call for first, then in THEMES["kqueue"].values() for call in (*first, *then)}
    assert drawn >= {
        *("kqueue", "kq_change", "kq_batch", "kq_wait", "kq_user", "kq_timer", "kq_fire"),
        *("fill", "drain", "sip"),
    }

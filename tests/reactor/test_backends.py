"""Choosing a backend: names, specifications, the environment, and what all of them have in common."""

from __future__ import annotations

import errno
import math
import os
import re
from typing import Any

import pytest

from reactor import BackendError, IoContext, PosixSystem, System, Unsupported, backends
from reactor.backends.base import Backend
from reactor.scheduler import MAX_WAIT
from tests.reactor.places import PLACES, Place, descriptors, everywhere

WITH_EPOLL = pytest.mark.skipif("epoll" not in backends.available(), reason="this is not Linux")


@pytest.fixture(autouse=True)
def _no_wish(monkeypatch):
    monkeypatch.delenv(backends.ENVIRONMENT, raising=False)


def without(*names):
    """This machine without some of what it has."""
    return type("Without", (PosixSystem,), {"refused": names})()


# -- Names


@pytest.mark.parametrize("name", backends.BACKENDS)
def test_a_class_by_its_name(name):
    kind = backends.backend_class(name)
    assert issubclass(kind, Backend)
    assert kind.name == name
    assert kind.wakers[-1] == "pipe", "the last resort, which every system has"
    assert "timeout" in kind.timers


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("epol", " (did you mean epoll?)"),
        ("kqeue", " (did you mean kqueue?)"),
        ("selct", " (did you mean select?)"),
        ("iocp", ""),
        ("", ""),
    ],
)
def test_an_unknown_name(name, hint):
    message = f"unknown backend {name!r}{hint}; allowed: epoll, kqueue, poll, select"
    with pytest.raises(BackendError, match=f"^{re.escape(message)}$"):
        backends.backend_class(name)


def test_a_backend_error_is_a_value_error():
    assert issubclass(BackendError, ValueError)


# -- Specifications


@pytest.mark.parametrize(
    ("spec", "parts"),
    [
        ("poll", ("poll", None, None)),
        ("epoll+pipe", ("epoll", "pipe", None)),
        ("epoll+timeout", ("epoll", None, "timeout")),
        ("epoll+eventfd+timerfd", ("epoll", "eventfd", "timerfd")),
        ("epoll+timerfd+eventfd", ("epoll", "eventfd", "timerfd")),
        ("kqueue+user+timer", ("kqueue", "user", "timer")),
        (" SELECT+Pipe ", ("select", "pipe", None)),
    ],
)
def test_the_parts_of_a_specification(spec, parts):
    """Taken apart on any system, whether or not it has the backend."""
    assert backends.parse(spec) == parts


@pytest.mark.parametrize(
    ("spec", "option", "allowed"),
    [
        ("epoll+kqueue", "kqueue", "eventfd, pipe, timerfd, timeout"),
        ("epoll+", "", "eventfd, pipe, timerfd, timeout"),
        ("epoll+pipe+pipe", "pipe", "eventfd, pipe, timerfd, timeout"),
        ("epoll+pipe+eventfd", "eventfd", "eventfd, pipe, timerfd, timeout"),
        ("epoll+timeout+timerfd", "timerfd", "eventfd, pipe, timerfd, timeout"),
        ("poll+timerfd", "timerfd", "eventfd, pipe, timeout"),
        ("select+user", "user", "eventfd, pipe, timeout"),
        ("kqueue+eventfd", "eventfd", "user, pipe, timeout, timer"),
    ],
)
def test_an_option_that_is_unknown_or_given_twice(spec, option, allowed):
    message = f"backend {spec!r}: {option!r} is not an option of"
    with pytest.raises(BackendError, match=re.escape(message)) as caught:
        backends.parse(spec)
    assert str(caught.value).endswith(f"or is given twice; allowed: {allowed}")


def test_an_unknown_backend_with_options():
    with pytest.raises(BackendError, match=r"unknown backend 'epol' \(did you mean epoll\?\)"):
        backends.parse("epol+pipe")


# -- Choosing


def test_the_backends_of_a_system_best_first():
    live = backends.available()
    assert live == [name for name in ("epoll", "kqueue", "poll", "select") if System().has(name)]
    assert backends.available(PosixSystem()) == [
        name for name in live if name in ("poll", "select")
    ]
    assert backends.available(without("epoll", "kqueue", "poll")) == ["select"]


def test_without_a_wish_it_is_the_best():
    with IoContext() as context:
        assert context.backend.name == backends.available()[0]
    with IoContext(system=PosixSystem()) as context:
        assert context.backend.name == backends.available(PosixSystem())[0]
    with IoContext(system=without("epoll", "kqueue", "poll")) as context:
        assert context.backend.name == "select"


def test_the_environment_chooses(monkeypatch):
    monkeypatch.setenv(backends.ENVIRONMENT, "select+pipe")
    with IoContext() as context:
        assert context.backend.spec == "select+pipe+timeout"
    with IoContext("poll+pipe") as context:
        assert context.backend.spec == "poll+pipe+timeout", "the program comes first"
    monkeypatch.setenv(backends.ENVIRONMENT, "")
    with IoContext() as context:
        assert context.backend.name == backends.available()[0]
    monkeypatch.setenv(backends.ENVIRONMENT, "selekt")
    with pytest.raises(BackendError, match=r"unknown backend 'selekt' \(did you mean select\?\)"):
        IoContext()


@everywhere
def test_the_specification_says_both_axes(where):
    name, waker, timer = backends.parse(where.spec)
    with where.context() as context:
        backend = context.backend
        has = context.system.has
        best_waker = next(
            waker for waker in backend.wakers if waker in ("pipe", "user") or has(waker)
        )
        best_timer = "timerfd" if name == "epoll" and has("timerfd") else "timeout"
        assert backend.spec == f"{name}+{waker or best_waker}+{timer or best_timer}"
        assert repr(context) == f"<IoContext {backend.spec}>"
        assert backend.kernel_timer is (backend.timer != "timeout")
    with IoContext(backend.spec, system=where.system()) as again:
        assert again.backend.spec == backend.spec
    assert repr(again) == "<IoContext closed>"


@pytest.mark.parametrize("name", ["epoll", "kqueue"])
def test_one_that_this_system_has_not(name):
    there = ", ".join(backends.available(PosixSystem()))
    message = f"backend {name} is not available on this system; there are: {there}"
    with pytest.raises(BackendError, match=f"^{re.escape(message)}$"):
        IoContext(name, system=PosixSystem())
    with pytest.raises(BackendError, match=re.escape(message)):
        IoContext(f"{name}+pipe", system=PosixSystem())


@pytest.mark.parametrize("spec", [5, ["poll"], b"poll"])
def test_what_is_no_name(spec):
    with pytest.raises(BackendError, match=re.escape(f"chosen by name, got {spec!r}")):
        IoContext(spec)


def test_one_that_is_made_by_oneself():
    system = System()
    kind = backends.backend_class("select")
    with IoContext(lambda given: kind(given, waker="pipe"), system=system) as context:
        assert context.backend.spec == "select+pipe+timeout"
        assert context.backend.system is system
    with IoContext(kind) as context:
        assert context.backend.name == "select"


@pytest.mark.parametrize("spec", ["poll+eventfd", "select+eventfd"])
def test_a_waker_that_this_system_has_not(spec):
    """Asked for, it is an error; not asked for, the next best is taken."""
    name = spec.partition("+")[0]
    if not System().has(name):
        pytest.skip(f"this system has no {name}")
    before = descriptors()
    with pytest.raises(BackendError, match=f"{name}: .*eventfd: Function not implemented"):
        IoContext(spec, system=PosixSystem())
    with IoContext(name, system=PosixSystem()) as context:
        assert context.backend.spec == f"{name}+pipe+timeout"
    assert descriptors() == before


@WITH_EPOLL
def test_a_timer_that_this_system_has_not():
    before = descriptors()
    with pytest.raises(BackendError, match=r"epoll: .*timerfd: Function not implemented"):
        IoContext("epoll+timerfd", system=without("timerfd"))
    with IoContext("epoll", system=without("timerfd", "eventfd")) as context:
        assert context.backend.spec == "epoll+pipe+timeout"
    assert descriptors() == before


def test_a_poller_that_fails_to_open_is_a_backend_error():
    """It seemed to be there, and is not after all."""

    class Hollow(System):
        def poll(self):
            raise Unsupported("poll")

    with pytest.raises(BackendError, match=r"backend poll: .*poll: Function not implemented"):
        IoContext("poll", system=Hollow())


# -- Out of descriptors


@everywhere
@pytest.mark.parametrize("call", ["epoll", "kqueue", "eventfd", "pipe", "timerfd"])
def test_out_of_descriptors_nothing_is_left_behind(where, call):
    def fails(*_args):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with where.context():
        pass
    system = where.system()
    opened = []
    kept = []  # or the collector would close a poller that was forgotten
    for name in ("epoll", "kqueue", "eventfd", "pipe", "timerfd"):
        real = getattr(system, name)

        def opening(name=name, real=real):
            opened.append(name)
            kept.append(fails() if name == call else real())
            return kept[-1]

        setattr(system, name, opening)
    before = descriptors()
    try:
        IoContext(where.spec, system=system).close()
    except OSError as exc:
        assert exc.errno == errno.EMFILE  # noqa: PT017 - one of two ends
        assert opened[-1] == call
    else:
        assert call not in opened, "the error was hidden"
    assert descriptors() == before


@everywhere
def test_a_waker_that_cannot_be_watched_is_closed(where, monkeypatch):
    kind = backends.backend_class(where.spec.partition("+")[0])

    def refuses(self, fd):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if kind.wakers[0] == "user":
        pytest.skip("its waker has no descriptor")
    monkeypatch.setattr(kind, "watch_waker", refuses)
    before = descriptors()
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        where.context()
    assert descriptors() == before


@everywhere
def test_closing_gives_everything_back(where):
    before = descriptors()
    context = where.context()
    assert descriptors() >= before
    context.close()
    context.close()
    assert context.backend.descriptors == {}
    assert descriptors() == before


# -- The kernel timer, as far as all have it in common


class Armed(Backend):
    """Remembers what its timer was set to."""

    name = "armed"
    edge_triggered = True
    timers = ("hourglass", "timeout")

    def open(self):
        self.settings = []

    def watch_waker(self, fd):
        pass

    def arm(self, seconds):
        self.settings.append(seconds)


@pytest.fixture
def armed():
    backend = Armed(System(), waker="pipe")
    assert backend.kernel_timer
    assert backend.spec == "armed+pipe+hourglass"
    yield backend
    backend.close()


def test_a_timer_is_set_only_when_the_deadline_changes(armed):
    armed.set_deadline(105.0, 100.0)
    armed.set_deadline(105.0, 101.0)
    assert armed.settings == [5.0]
    armed.set_deadline(103.0, 101.0)
    armed.set_deadline(105.0, 101.0)
    assert armed.settings == [5.0, 2.0, 4.0]
    armed.set_deadline(math.inf, 101.0)
    armed.set_deadline(math.inf, 102.0)
    assert armed.settings == [5.0, 2.0, 4.0, None]


def test_a_timer_for_the_past_is_due_at_once(armed):
    armed.set_deadline(99.0, 100.0)
    assert armed.settings == [0.0]


def test_a_timer_for_a_far_deadline_goes_off_early_and_is_set_again(armed):
    armed.set_deadline(1e18, 100.0)
    armed.timer_fired()
    armed.set_deadline(1e18, 100.0 + MAX_WAIT)
    assert armed.settings == [MAX_WAIT, MAX_WAIT]


def test_a_timer_that_went_off_is_set_again(armed):
    armed.set_deadline(105.0, 100.0)
    armed.timer_fired()
    armed.set_deadline(105.0, 104.999)
    assert armed.settings == [5.0, pytest.approx(0.001)]


def test_a_backend_says_what_it_has_not_written():
    """docs/template_backend.py: what a backend must give."""

    bare: Any = Armed(System(), waker="pipe", timer="timeout")
    for call in (
        lambda: Backend.watch_waker(bare, 0),
        lambda: bare.add(None, 0),
        lambda: bare.remove(None),
        lambda: bare.wait(0),
        lambda: Backend.arm(bare, 1),
    ):
        with pytest.raises(NotImplementedError):
            call()
    bare.interest_changed(None)  # only level-triggered ones have something to do
    bare.close()


def test_every_place_has_a_name_of_its_own():
    assert len({str(place) for place in PLACES}) == len(PLACES)
    assert str(Place("poll", "posix")) == "posix-poll"
    assert {place.spec for place in PLACES} >= set(backends.available())


@WITH_EPOLL
def test_a_waker_that_is_missing_is_named_without_an_errno_in_the_sentence():
    with pytest.raises(BackendError, match=f"^epoll: eventfd: {os.strerror(errno.ENOSYS)}$"):
        backends.make("epoll+eventfd", without("eventfd"))

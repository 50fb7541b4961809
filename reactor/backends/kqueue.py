"""kqueue(2) of the BSDs and macOS, edge-triggered.

Every descriptor gets a knote of EVFILT_READ, and one of EVFILT_WRITE as soon as something has to wait
to write, both EV_CLEAR, in a call that takes effect at once even while the leader waits; they are
never changed. What is written here about the kernels was recorded on FreeBSD 9.1 and NetBSD 7.99, or
stands in kqueue(2):

- A failing change, in a call with no room for events, raises there, and the changes after it are not
  applied. (With room, the call would return ordinary events too, which nobody would deliver. And
  EV_RECEIPT, which avoids that, hangs on OpenBSD with EVFILT_WRITE: libevent 28317a08.)
- One batch of events can hold one for a number that was closed and given away meanwhile, hence
  `Descriptor.generation` in ``udata``.
- The end of a stream is one edge, not repeated when the data before it has been read: STICKY.
- EVFILT_WRITE fires again whenever the peer makes room. That is spurious, and harmless.
- The flags of an event differ: FreeBSD gives EV_CLEAR back, NetBSD EV_ADD too. Bits are tested, never
  equality.

CPython makes the kqueue close-on-exec, rounds the timeout up to nanoseconds and goes on after EINTR
(Modules/selectmodule.c).
"""

from __future__ import annotations

import errno
import select
import sys
from collections import deque
from typing import TYPE_CHECKING, Any

from ..descriptor import READ, STICKY, WRITE
from ..errors import Unsupported
from .base import Backend

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..descriptor import Descriptor, Slot
    from ..wakers import Waker


def _constant(name: str, otherwise: int) -> int:
    """Return `select.name`; elsewhere, where only a stand-in for the kernel reads it, FreeBSD's number."""
    return int(getattr(select, name, otherwise))


FILTER_READ = _constant("KQ_FILTER_READ", -1)
FILTER_WRITE = _constant("KQ_FILTER_WRITE", -2)
FILTER_TIMER = _constant("KQ_FILTER_TIMER", -7)
EV_ADD = _constant("KQ_EV_ADD", 0x1)
EV_DELETE = _constant("KQ_EV_DELETE", 0x2)
EV_ONESHOT = _constant("KQ_EV_ONESHOT", 0x10)
EV_CLEAR = _constant("KQ_EV_CLEAR", 0x20)
EV_ERROR = _constant("KQ_EV_ERROR", 0x4000)
EV_EOF = _constant("KQ_EV_EOF", 0x8000)

#: Not exported by CPython. From the <sys/event.h> of each; older OpenBSD and NetBSD have no such
#: filter, and the number may mean another one somewhere, so `UserWaker` tries it.
USER_FILTERS = {"freebsd": -11, "darwin": -10, "dragonfly": -9, "netbsd": 8, "openbsd": -10}
FILTER_USER = _constant("KQ_FILTER_USER", USER_FILTERS.get(sys.platform.rstrip(".0123456789"), -11))
NOTE_TRIGGER = 0x01000000  # the same on all of them

#: What adding EVFILT_WRITE answers for a pipe or socket whose peer is gone: EPIPE on FreeBSD and
#: macOS, EBADF on NetBSD (libevent 5d7bfa15, mio#584).
_HALF_DEAD = (errno.EPIPE, errno.EBADF, errno.ENOENT)

_MAX_EVENTS = 256
_FILTERS = {FILTER_READ: READ, FILTER_WRITE: WRITE}


class UserWaker:
    """EVFILT_USER: a knote that another thread triggers; it has no descriptor."""

    name = "user"
    fd = -1

    def __init__(self, control: Callable[..., list[Any]], kevent: Callable[..., Any]) -> None:
        self._control = control
        # Two changes: EV_ADD together with NOTE_TRIGGER adds, and does not trigger.
        self._trigger = kevent(0, FILTER_USER, 0, NOTE_TRIGGER)
        try:
            control([kevent(0, FILTER_USER, EV_ADD | EV_CLEAR)], 0, 0)
            if self.wake() and any(event.filter == FILTER_USER for event in control(None, 1, 0)):
                return
            control([kevent(0, FILTER_USER, EV_DELETE)], 0, 0)
        except OSError:
            pass
        raise Unsupported("EVFILT_USER")

    def wake(self) -> bool:
        """Trigger the knote."""
        try:
            self._control([self._trigger], 0, 0)
        except OSError:
            return False
        return True

    def drain(self) -> None:
        """EV_CLEAR has done it."""

    def close(self) -> None:
        """Goes with the kqueue."""


class KqueueBackend(Backend):
    """The backend of the BSDs and macOS.

    The wait's own timeout is preferred to EVFILT_TIMER: it has nanoseconds and needs no call of its
    own, and the timer milliseconds (NOTE_USECONDS has three different values on five systems).
    """

    name = "kqueue"
    edge_triggered = True
    wakers = ("user", "pipe")
    timers = ("timeout", "timer")

    def open(self) -> None:
        """Make the kqueue."""
        self._kqueue: Any = self.system.kqueue()
        self._control: Callable[..., list[Any]] = self._kqueue.control
        # Descriptors that are ready for all we know, though no event says so.
        self._owed: deque[Descriptor] = deque()

    def make_waker(self, name: str) -> Waker:
        """Make the waker `name`."""
        if name == "user":
            return UserWaker(self._control, self.system.kevent)
        return super().make_waker(name)

    def watch_waker(self, fd: int) -> None:
        """Watch level-triggered: a wake-up that was not drained is reported again."""
        if fd >= 0:
            self._control([self.system.kevent(fd, FILTER_READ, EV_ADD)], 0, 0)

    def arm(self, seconds: float | None) -> None:
        """Delete the timer and add it: adding again does not change its period everywhere."""
        kevent = self.system.kevent
        self._apply_each([kevent(0, FILTER_TIMER, EV_DELETE)])  # may have fired, or never been
        if seconds is not None:
            # NetBSD refuses 0; rounded up, it is never early.
            milliseconds = max(1, -int(-seconds * 1000 // 1))
            timer = kevent(0, FILTER_TIMER, EV_ADD | EV_ONESHOT, 0, milliseconds)
            self._control([timer], 0, 0)

    def _changes(self, descriptor: Descriptor, directions: int, flags: int) -> list[Any]:
        """Build the same change for the filters of `directions`."""
        kevent, fd, generation = self.system.kevent, descriptor.fd, descriptor.generation
        return [
            kevent(fd, which, flags, 0, 0, generation)
            for which, direction in _FILTERS.items()
            if directions & direction
        ]

    def _apply_each(self, changes: list[Any]) -> None:
        """Try every change by itself, whatever becomes of the others."""
        for change in changes:
            try:
                self._control([change], 0, 0)
            except OSError:
                pass

    def add(self, descriptor: Descriptor, directions: int) -> None:
        """Add the filters that are not there yet; when one is refused, try them apart to learn which."""
        # Most of these kernels have no sign for urgent data, at which a read stops short
        # (see `Slot.exact`).
        descriptor.read.exact = False
        more = directions & ~descriptor.registered
        changes = self._changes(descriptor, more, EV_ADD | EV_CLEAR)
        try:
            self._control(changes, 0, 0)
            return
        except OSError:
            pass
        try:
            for change in changes:
                try:
                    self._control([change], 0, 0)
                except OSError as exc:
                    if change.filter != FILTER_WRITE or exc.errno not in _HALF_DEAD:
                        raise
                    # Not for the caller: the operation is to find out, as with other pollers.
                    self._owed.append(descriptor)
                    self.interrupt()
        except OSError:
            self._delete(descriptor, more)
            raise

    def remove(self, descriptor: Descriptor) -> None:
        """Delete the filters.

        ENOENT and EBADF say that the kernel has forgotten them. No other error matters either:
        closing the number, which follows, removes them, and the generation keeps late events out.
        """
        self._delete(descriptor, descriptor.registered)

    def _delete(self, descriptor: Descriptor, directions: int) -> None:
        changes = self._changes(descriptor, directions, EV_DELETE)
        try:
            self._control(changes, 0, 0)
        except OSError:
            self._apply_each(changes)  # the first may have kept the second from being tried

    def wait(self, timeout: float | None) -> list[Slot]:
        """kevent(2)."""
        get = self.descriptors.get
        owed = self._owed
        ready: list[Slot] = []
        for event in self._control(None, _MAX_EVENTS, 0 if owed else timeout):
            events = _FILTERS.get(event.filter, 0)
            descriptor = get(event.ident) if events else None
            if descriptor is not None:
                if event.udata != descriptor.generation:
                    continue  # it was meant for an earlier owner of the number
                flags = event.flags
                if flags & (EV_EOF | EV_ERROR):
                    events |= STICKY
                    # With EV_EOF `fflags` is an errno and `data` still a count of bytes: the
                    # connection is broken in both directions.
                    if event.fflags or flags & EV_ERROR:
                        events |= READ | WRITE
                ready += descriptor.slots(events)
            elif event.filter == FILTER_TIMER:
                self.timer_fired()
            elif events and event.ident == self.waker.fd:
                self.waker.drain()
        while owed:
            ready += owed.popleft().slots(READ | WRITE | STICKY)
        return ready

    def close_poller(self) -> None:
        """Close the kqueue, and with it its knotes."""
        self._kqueue.close()

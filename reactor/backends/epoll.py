"""epoll(7), edge-triggered.

Every descriptor is registered once, and modified at most once, when a send first has to wait: no
system call when interest changes, and one registration per (number, open file description), so a
second thread can register while the leader waits. EPOLLONESHOT and level triggering would cost an
``epoll_ctl`` per operation. What edge triggering asks for in return is done by `reactor.descriptor`:
readiness is remembered, and only a call that would block (or a short read) ends the belief in it.

EPOLLPRI is asked for only to learn that urgent data is about: a read stops at the mark, so a short
read then does not mean that the socket is drained.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from ..descriptor import READ, STICKY, WRITE
from .base import Backend

if TYPE_CHECKING:
    from ..descriptor import Descriptor, Slot

assert not TYPE_CHECKING or sys.platform == "linux"

import select  # noqa: E402 - after the platform is narrowed

_MAX_EVENTS = 1024
_MASK = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLPRI | select.EPOLLET
#: What is reported nearly always: data came, and nothing else.
_DATA = select.EPOLLIN


class _Translation(dict[int, int]):
    """Event masks of epoll to READ, WRITE and STICKY; each mask is worked out once."""

    def __missing__(self, mask: int) -> int:
        events = 0
        if mask & select.EPOLLIN:
            events |= READ
        if mask & select.EPOLLOUT:
            events |= WRITE
        if mask & select.EPOLLRDHUP:
            events |= READ | STICKY
        if mask & (select.EPOLLERR | select.EPOLLHUP):
            # Reported whether asked for or not, and alone for a full pipe whose reader closed.
            events |= READ | WRITE | STICKY
        if mask & select.EPOLLPRI:
            events |= STICKY
        self[mask] = events
        return events


class EpollBackend(Backend):
    """The backend of Linux."""

    name = "epoll"
    edge_triggered = True
    timers = ("timerfd", "timeout")

    _timerfd = -1

    def open(self) -> None:
        """Make the epoll object."""
        self._epoll: Any = self.system.epoll()
        self._wait = self._epoll.poll
        self._translate = _Translation()

    def open_timer(self, name: str) -> None:
        """Make a timerfd: microseconds where epoll's own timeout has milliseconds.

        Edge-triggered, so an expiry need not be read: arming it again makes a new edge.
        """
        if name == "timerfd":
            self._timerfd = self.system.timerfd()
            self._epoll.register(self._timerfd, select.EPOLLIN | select.EPOLLET)

    def arm(self, seconds: float | None) -> None:
        """Set the timerfd."""
        self.system.set_timerfd(self._timerfd, seconds)

    def watch_waker(self, fd: int) -> None:
        """Watch level-triggered: a wake-up that was not drained is reported again."""
        self._epoll.register(fd, select.EPOLLIN)

    def add(self, descriptor: Descriptor, directions: int) -> None:
        """Register, or modify: either reports what is ready already."""
        change = self._epoll.modify if descriptor.registered else self._epoll.register
        change(descriptor.fd, _MASK | select.EPOLLOUT if directions & WRITE else _MASK)

    def remove(self, descriptor: Descriptor) -> None:
        """Unregister; the description may have been closed behind our back."""
        try:
            self._epoll.unregister(descriptor.fd)
        except OSError:
            pass

    def wait(self, timeout: float | None) -> list[Slot]:
        """epoll_wait(2); CPython rounds the timeout up to milliseconds, so it is never early."""
        get = self.descriptors.get
        events = self._wait(-1 if timeout is None else timeout, _MAX_EVENTS)
        ready = [
            descriptor.read
            for fd, mask in events
            if mask == _DATA and (descriptor := get(fd)) is not None
        ]
        if len(ready) < len(events):
            for fd, mask in events:
                descriptor = get(fd)
                if descriptor is not None:
                    if mask != _DATA:
                        ready += descriptor.slots(self._translate[mask])
                elif fd == self.waker.fd:
                    self.waker.drain()
                elif fd == self._timerfd:
                    self.timer_fired()
        return ready

    def close_poller(self) -> None:
        """Close the epoll object and the timerfd."""
        self._epoll.close()
        if self._timerfd >= 0:
            self.system.close(self._timerfd)

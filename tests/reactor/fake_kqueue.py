"""A stand-in for `select.kqueue`: a small model of what real kqueues were recorded to do.

Readiness comes from the machine's own epoll, one for each filter, so that an edge of the one is not
reported as an edge of the other. On top of it stand the BSD rules that matter to the backend: knotes
belong to a descriptor number and go when it is closed, an EOF is one edge, changes fail as they do
there, EV_ADD with NOTE_TRIGGER does not trigger, and adding a timer again does not change its
period. `FakeKqueue.script` adds batches of events that no kernel can be made to produce on demand.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import socket
import struct
import sys
import termios
import threading
import time
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from reactor.backends import kqueue as kq
from reactor.system import PosixSystem

assert not TYPE_CHECKING or sys.platform == "linux"

_EDGE = {
    kq.FILTER_READ: select.EPOLLIN | select.EPOLLRDHUP,
    kq.FILTER_WRITE: select.EPOLLOUT,
}
_END = {
    kq.FILTER_READ: select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR,
    kq.FILTER_WRITE: select.EPOLLHUP | select.EPOLLERR,
}


@dataclass
class Kevent:
    """`select.kevent`."""

    ident: int
    filter: int = kq.FILTER_READ
    flags: int = kq.EV_ADD
    fflags: int = 0
    data: int = 0
    udata: int = 0


@dataclass
class Knote:
    """What the kernel remembers of a change that added something."""

    event: Kevent
    clear: bool
    due: float = 0.0
    end: tuple[int, int] = (0, 0)  # the EOF that was reported


class FakeKqueue:
    """`select.kqueue`, as far as the backend uses it.

    Attributes:
        knotes: by number and filter.
        script: batches of events that the next waits return before anything else.
        calls: every list of changes that was given, applied or not.
        after_change: called after each successful call of changes.
    """

    def __init__(self, system):
        self.system = system
        self.knotes = {}
        self.script: deque[list[Kevent]] = deque()
        self.calls = []
        self.after_change = lambda: None
        self._lock = threading.RLock()
        self._triggered = {}
        self._epolls = {which: select.epoll() for which in _EDGE}
        self._poke = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._outer = select.epoll()
        for fd in (*(epoll.fileno() for epoll in self._epolls.values()), self._poke):
            self._outer.register(fd, select.EPOLLIN)

    def close(self):
        for epoll in (*self._epolls.values(), self._outer):
            epoll.close()
        os.close(self._poke)
        self.system.kqueues.remove(self)

    def of(self, fd):
        """The filters that `fd` has knotes of."""
        return {which for ident, which in self.knotes if ident == fd and which in _EDGE}

    def forget(self, fd):
        """The number is about to be closed: its knotes go, pending events included."""
        with self._lock:
            for which in self.of(fd):
                self._drop((fd, which))

    def control(self, changes, max_events, timeout=None):
        if changes is not None:
            self.calls.append(list(changes))
        errors: list[Kevent] = []
        with self._lock:
            for change in changes or ():
                try:
                    self._apply(change)
                except OSError as exc:
                    if len(errors) >= max_events:
                        raise  # and the changes behind it are not applied
                    errors.append(replace(change, flags=kq.EV_ERROR, data=exc.errno))
        if changes:
            os.eventfd_write(self._poke, 1)  # takes effect at once
            self.after_change()
        if errors or not max_events:
            return errors
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            with self._lock:
                events = self.script.popleft() if self.script else self._collect(max_events)
                dues = [knote.due for knote in self.knotes.values() if knote.due]
            now = time.monotonic()
            if events or (deadline is not None and now >= deadline):
                return events
            if deadline is not None:
                dues.append(deadline)
            self._outer.poll(max(min(dues) - now, 0) if dues else None)
            try:
                os.eventfd_read(self._poke)
            except BlockingIOError:
                pass

    # -- Changes

    def _apply(self, change):
        key = (change.ident, change.filter)
        action = kq.EV_ADD if change.flags & kq.EV_ADD else change.flags & kq.EV_DELETE
        refused = self.system.refuse.get((change.filter, action))
        if refused:
            code = refused.pop(0)
            if code:
                raise OSError(code, os.strerror(code))
        if change.filter == kq.FILTER_USER and not self.system.user:
            raise OSError(errno.EINVAL, "no EVFILT_USER")
        if change.filter in _EDGE and not self.system.is_open(change.ident):
            raise OSError(errno.EBADF, "not open")
        if action == kq.EV_ADD:
            self._add(key, change)
        elif key not in self.knotes:
            raise OSError(errno.ENOENT, "no such knote")
        elif action == kq.EV_DELETE:
            self._drop(key)
        elif change.fflags & kq.NOTE_TRIGGER:
            self._triggered[key] = self.system.triggers_as or change.filter

    def _add(self, key, change):
        ident, which = key
        before = self.knotes.get(key)
        if which == kq.FILTER_TIMER:
            if change.data <= 0:
                raise OSError(errno.EINVAL, "a timer of no time")  # NetBSD
            if before is None:  # else the period stays
                due = time.monotonic() + change.data / 1000
                self.knotes[key] = Knote(change, clear=True, due=due)
            return
        # Whether it is EV_CLEAR is fixed by the first change.
        clear = before.clear if before else bool(change.flags & kq.EV_CLEAR)
        self.knotes[key] = Knote(change, clear)
        if which in _EDGE:
            mask = _EDGE[which] | (select.EPOLLET if clear else 0)
            epoll = self._epolls[which]
            (epoll.modify if before else epoll.register)(ident, mask)

    def _drop(self, key):
        del self.knotes[key]
        self._triggered.pop(key, None)
        if key[1] in _EDGE:
            self._epolls[key[1]].unregister(key[0])

    # -- Events

    def _collect(self, room):
        events = []
        for (ident, _), which in list(self._triggered.items())[:room]:
            events.append(Kevent(ident, which, kq.EV_CLEAR))
        self._triggered.clear()
        now = time.monotonic()
        for key, knote in list(self.knotes.items()):
            if knote.due and knote.due <= now:
                del self.knotes[key]  # one-shot
                events.append(replace(knote.event, data=1))
        for which, epoll in self._epolls.items():
            if len(events) < room:
                for fd, mask in epoll.poll(0, room - len(events)):
                    event = self._event(fd, which, mask)
                    if event is not None:
                        events.append(event)
        return events

    def _event(self, fd, which, mask):
        knote = self.knotes[fd, which]
        flags = kq.EV_CLEAR if knote.clear else 0
        if self.system.dialect == "netbsd":
            flags |= kq.EV_ADD
        data = fflags = 0
        if which == kq.FILTER_READ:
            try:
                size = fcntl.ioctl(fd, termios.FIONREAD, b"\0\0\0\0")
                data = struct.unpack("i", size)[0]
            except OSError:
                data = 1  # a listening socket
        if mask & _END[which]:
            flags |= kq.EV_EOF
            fflags = errno.ECONNRESET if mask & select.EPOLLERR else 0
            if knote.clear and knote.end == (kq.EV_EOF, fflags):
                return None  # one edge, not repeated
            knote.end = (kq.EV_EOF, fflags)
        return Kevent(fd, which, flags, fflags, data, knote.event.udata)


class BsdSocket(socket.socket):
    """A socket whose close(2) removes the knotes of its number, whatever dup(2) left open."""

    system: FakeBsd

    def close(self):
        if self.fileno() >= 0:
            self.system.forget(self.fileno())
        super().close()

    def connect(self, address):
        """With `connects_inside`, loopback connections are made, or refused, inside the call."""
        if not self.system.connects_inside:
            return super().connect(address)
        self.setblocking(True)
        try:
            super().connect(address)
        finally:
            self.setblocking(False)


class FakeBsd(PosixSystem):
    """This machine with a kqueue.

    Attributes:
        user: there is EVFILT_USER.
        dialect: whose flags events come back with, ``freebsd`` or ``netbsd``.
        connects_inside: as FreeBSD does it on loopback.
        triggers_as: the filter that a triggered EVFILT_USER shows itself as, 0 for its own.
        refuse: errnos (0: this one is fine) with which changes fail, by filter and EV_ADD or
            EV_DELETE.
    """

    name = "fake-bsd"

    def __init__(self, *, user=True, dialect="freebsd", connects_inside=False):
        self.user = user
        self.dialect = dialect
        self.connects_inside = connects_inside
        self.triggers_as = 0
        self.refuse = {}
        self.kqueues = []

    def has(self, name):
        return name == "kqueue" or super().has(name)

    def kqueue(self):
        made = FakeKqueue(self)
        self.kqueues.append(made)
        return made

    def kevent(self, *args):
        return Kevent(*args)

    def adopt(self, sock):
        made = BsdSocket(sock.family, sock.type, sock.proto, fileno=sock.detach())
        made.system = self
        return super().adopt(made)

    def close(self, fd):
        self.forget(fd)
        super().close(fd)

    def forget(self, fd):
        for made in self.kqueues:
            made.forget(fd)

"""epoll(7), as fs/eventpoll.c does it.

A change puts a registration on the ready list, unless it says to concern something that nobody
asked for. A wait takes registrations off the list and looks what holds now: nothing, and it is
dropped; else it is reported, and a level-triggered one goes back to the end of the list.
"""

from __future__ import annotations

import errno
from collections import deque
from typing import TYPE_CHECKING, Any

from ..description import ERR, HUP, IN, READABLE, Description, fail
from .handle import Handle, number_of, unready, wait, whole_milliseconds

if TYPE_CHECKING:
    from ..kernel import Kernel

EDGE = 1 << 31
ONESHOT = 1 << 30
EXCLUSIVE = 1 << 28
_PRIVATE = EDGE | ONESHOT | EXCLUSIVE | 1 << 29  # and EPOLLWAKEUP

#: What CPython's wrapper asks for when it is not told.
_MANY = 1 << 14


class Registration:
    """One pair of a number and the description that it referred to."""

    def __init__(
        self, instance: EpollInstance, fd: int, description: Description, events: int
    ) -> None:
        self.instance = instance
        self.fd = fd
        self.description = description
        self.events = events | ERR | HUP

    def ready_events(self) -> int:
        """Return what holds now of what was asked for."""
        return self.description.mask() & self.events

    def changed(self, key: int) -> None:
        """ep_poll_callback."""
        if not self.events & ~_PRIVATE:
            return  # disarmed by EPOLLONESHOT
        if key and not key & self.events:
            return
        self.instance.queue(self)

    def gone(self) -> None:
        """The description is released: eventpoll_release takes its registrations along."""
        self.instance.forget(self)


class EpollInstance(Description):
    """What an epoll descriptor refers to."""

    kind = "epoll"

    def __init__(self, kernel: Kernel) -> None:
        super().__init__(kernel)
        self.registrations: dict[tuple[int, Description], Registration] = {}
        self._ready: deque[Registration] = deque()

    def mask(self) -> int:
        """An epoll is readable itself while something is ready."""
        return IN if any(item.ready_events() for item in self._ready) else 0

    def queue(self, item: Registration) -> None:
        """Put a registration on the ready list, once."""
        if item not in self._ready:
            self._ready.append(item)
        self.wake(READABLE)

    def control(self, action: str, fd: int, events: int = 0) -> None:
        """epoll_ctl(2): ``add``, ``modify`` or ``delete``.

        Raises:
            OSError: EBADF, EPERM, EINVAL, EEXIST or ENOENT.
        """
        description = self.kernel.get(fd)
        if not description.pollable:
            raise fail(errno.EPERM)
        if description is self:
            raise fail(errno.EINVAL)
        key = fd, description
        item = self.registrations.get(key)
        if action == "add":
            if item is not None:
                raise fail(errno.EEXIST)
            item = self.registrations[key] = Registration(self, fd, description, events)
            description.watch(item)
        elif item is None:
            raise fail(errno.ENOENT)
        elif action == "modify":
            item.events = events | ERR | HUP
        else:
            self.forget(item)
            return
        if item.ready_events():
            self.queue(item)

    def forget(self, item: Registration) -> None:
        """Take a registration out."""
        del self.registrations[item.fd, item.description]
        item.description.unwatch(item)
        if item in self._ready:
            self._ready.remove(item)

    def collect(self, most: int) -> list[tuple[int, int]]:
        """ep_send_events."""
        found: list[tuple[int, int]] = []
        taken, self._ready = self._ready, deque()
        while taken and len(found) < most:
            item = taken.popleft()
            events = item.ready_events()
            if not events:
                continue
            found.append((item.fd, events))
            if item.events & ONESHOT:
                item.events &= _PRIVATE
            elif not item.events & EDGE:
                self._ready.append(item)
        self._ready.extendleft(reversed(taken))
        return found

    def asked(self) -> list[tuple[int, int]]:
        """Return the numbers that are registered, and for what."""
        return [(item.fd, item.events) for item in self.registrations.values()]

    def released(self) -> None:
        """Forget everything."""
        for item in list(self.registrations.values()):
            self.forget(item)


class Epoll(Handle):
    """`select.epoll` over the model.

    Raises:
        OSError: EMFILE.
    """

    kind = "epoll"

    def __init__(self, kernel: Kernel) -> None:
        self._instance = EpollInstance(kernel)
        super().__init__(kernel, self._instance)

    def register(self, fd: Any, eventmask: int = 0x7) -> None:
        """EPOLL_CTL_ADD."""
        self._control("add", fd, eventmask)

    def modify(self, fd: Any, eventmask: int) -> None:
        """EPOLL_CTL_MOD."""
        self._control("modify", fd, eventmask)

    def unregister(self, fd: Any) -> None:
        """EPOLL_CTL_DEL."""
        self._control("delete", fd, 0)

    def _control(self, action: str, fd: Any, events: int) -> None:
        self._open()
        number = number_of(fd)
        self._kernel.record(f"epoll_ctl {action}", number, events)
        if action == "add":
            self._kernel.enter("register")
        self._instance.control(action, number, events)

    def poll(self, timeout: float | None = None, maxevents: int = -1) -> list[tuple[int, int]]:
        """epoll_wait(2), `timeout` in seconds; CPython rounds it up to milliseconds.

        Raises:
            OverflowError: the timeout is more than an int of milliseconds.
            ValueError: the epoll is closed, or `maxevents` is not positive.
        """
        self._open()
        if maxevents == -1:
            maxevents = _MANY
        elif maxevents < 1:
            raise ValueError(f"maxevents must be greater than 0, got {maxevents}")
        seconds = whole_milliseconds(None if timeout is None else timeout * 1000)
        instance = self._instance
        found = wait(
            self._kernel,
            lambda most: instance.collect(most or maxevents),
            instance.mask,
            seconds,
            f"epoll {self._fd}",
            lambda: unready(self._kernel, instance.asked()),
            in_turn=True,
        )
        self._kernel.record("epoll_wait", seconds, found)
        return found

"""Open file descriptions: what descriptor numbers refer to, and how pollers hear of changes."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from .kernel import Kernel

#: The bits of poll(2), which are those of epoll(7) too. The model writes no POLLRDNORM and its kin.
IN, PRI, OUT, ERR, HUP, NVAL, RDHUP = 0x1, 0x2, 0x4, 0x8, 0x10, 0x20, 0x2000

#: What a wake-up of the kernel says may have changed (sock_def_readable and others in net/core/sock.c).
READABLE = IN | PRI
WRITABLE = OUT
EVERYTHING = 0


def fail(code: int) -> OSError:
    """Return the OSError subclass that CPython raises for `code`."""
    return OSError(code, os.strerror(code))


@dataclass(frozen=True)
class Condition:
    """What a kqueue filter sees of a description.

    Attributes:
        active: the filter would report it.
        data: bytes, room or connections, as the filter has it.
        eof: EV_EOF.
        fflags: an errno with EV_EOF.
    """

    active: bool
    data: int = 0
    eof: bool = False
    fflags: int = 0


class Watcher(Protocol):
    """Somebody who is told of changes: an epoll registration, a knote."""

    def changed(self, key: int) -> None:
        """Something of `key` may have changed; `EVERYTHING` when the kernel does not say what."""
        ...

    def gone(self) -> None:
        """The description is about to be released."""
        ...


class Description:
    """Base of everything that a descriptor number can refer to.

    Attributes:
        references: how many numbers refer to it; it is released with the last.
        nonblocking: O_NONBLOCK, which belongs to the description and not to the number.
        pollable: epoll takes it (it refuses regular files).
    """

    kind = "file"
    pollable = True

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.references = 0
        self.nonblocking = False
        self._watchers: dict[Watcher, None] = {}

    # -- Watching

    def watch(self, watcher: Watcher) -> None:
        """Tell `watcher` of every change from now on."""
        self._watchers[watcher] = None

    def unwatch(self, watcher: Watcher) -> None:
        """Stop telling it."""
        self._watchers.pop(watcher, None)

    def wake(self, key: int = EVERYTHING) -> None:
        """Tell the watchers, the latest first, as wait queues do."""
        for watcher in reversed(list(self._watchers)):
            watcher.changed(key)

    def leave(self) -> None:
        """The last number is closed: tell the watchers, and release."""
        for watcher in list(self._watchers):
            watcher.gone()
        self.released()

    # -- What each kind gives

    def mask(self) -> int:
        """Return the poll(2) bits that hold now."""
        return IN | OUT

    def can_read(self) -> bool:
        """Tell whether a blocking read would return."""
        return bool(self.mask() & (IN | ERR | HUP))

    def can_write(self) -> bool:
        """Tell whether a blocking write would get on."""
        return bool(self.mask() & (OUT | ERR | HUP))

    def read_condition(self) -> Condition:
        """EVFILT_READ."""
        return Condition(bool(self.mask() & IN))

    def write_condition(self) -> Condition:
        """EVFILT_WRITE."""
        return Condition(bool(self.mask() & OUT))

    def read(self, size: int) -> bytes:
        """read(2); BlockingIOError when it would block."""
        raise fail(errno.EINVAL)

    def write(self, data: bytes) -> int:
        """write(2); BlockingIOError when it would block."""
        raise fail(errno.EINVAL)

    def released(self) -> None:
        """The last number is closed."""


class RegularFile(Description):
    """A regular file: always ready for poll and select, and refused by epoll."""

    kind = "regular file"
    pollable = False

    def __init__(self, kernel: Kernel, data: bytes) -> None:
        super().__init__(kernel)
        self.data = data
        self.at = 0

    def read(self, size: int) -> bytes:
        """read(2)."""
        piece = self.data[self.at : self.at + size]
        self.at += len(piece)
        return piece

    def read_condition(self) -> Condition:
        """kqueue(2): returns when the file pointer is not at the end of file."""
        left = len(self.data) - self.at
        return Condition(left > 0, left)

"""select(2): the oldest poller, with microseconds of timeout and a limit on descriptor numbers.

Nothing is put into the exceptional set: it means urgent data, not errors (those make a descriptor
readable or writable), and a reactor that took it for an error failed receives on an urgent byte.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from ..descriptor import READ, STICKY, WRITE
from ..errors import FdSetSizeError
from ._level import LevelBackend

if TYPE_CHECKING:
    from ..descriptor import Slot

#: CPython is built against the system's FD_SETSIZE and does not say what it is; 1024 everywhere
#: that is supported (select(2)).
FD_SETSIZE = 1024


class SelectBackend(LevelBackend):
    """The most portable backend, for up to FD_SETSIZE descriptors."""

    name = "select"
    fd_limit = FD_SETSIZE

    def open(self) -> None:
        """Start with empty sets, which only the leader touches."""
        super().open()
        self._readers: set[int] = set()
        self._writers: set[int] = set()
        self._select = self.system.select

    def watch_waker(self, fd: int) -> None:
        """Watch for readability.

        Raises:
            FdSetSizeError: the process has so many descriptors that the waker's is too high.
        """
        if fd >= FD_SETSIZE:
            raise FdSetSizeError(fd, FD_SETSIZE)
        self._readers.add(fd)

    def change(self, fd: int, before: int, interest: int) -> None:
        """Move `fd` in or out of the sets."""
        for direction, members in ((READ, self._readers), (WRITE, self._writers)):
            if interest & direction:
                members.add(fd)
            elif before & direction:
                members.discard(fd)

    def wait(self, timeout: float | None) -> list[Slot]:
        """select(2)."""
        self.apply_changes()
        try:
            readable, writable, _ = self._select(self._readers, self._writers, (), timeout)
        except (OSError, ValueError) as exc:
            if isinstance(exc, OSError) and exc.errno != errno.EBADF:
                raise
            return self._gone()
        events = dict.fromkeys(readable, READ)
        for fd in writable:
            events[fd] = events.get(fd, 0) | WRITE
        if self.waker.fd in events:
            del events[self.waker.fd]
            self.waker.drain()
        return self.slots_of(events.items())

    def _gone(self) -> list[Slot]:
        """Report the descriptors closed behind our back, one of which made select fail as a whole.

        The operations that wait on them find out; the others go on.
        """
        return self.slots_of(
            (fd, READ | WRITE | STICKY)
            for fd in self._readers | self._writers
            if not self.system.is_open(fd)
        )

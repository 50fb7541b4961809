"""poll(2), which every POSIX system has.

A poll object refuses a second thread, and one that waits does not see a descriptor registered
meanwhile: the scheduler has one leader, and calls it back when interest grows.
"""

from __future__ import annotations

import select
from typing import TYPE_CHECKING, Any

from ..descriptor import READ, STICKY, WRITE
from ._level import LevelBackend

if TYPE_CHECKING:
    from ..descriptor import Slot


class PollBackend(LevelBackend):
    """The portable backend without a limit on descriptor numbers."""

    name = "poll"

    def open(self) -> None:
        """Make the poll object."""
        super().open()
        self._poll: Any = self.system.poll()

    def watch_waker(self, fd: int) -> None:
        """Watch for readability."""
        self._poll.register(fd, select.POLLIN)

    def change(self, fd: int, before: int, interest: int) -> None:
        """Register or unregister; POLLERR and POLLHUP come unasked, so no interest means out."""
        if interest:
            mask = (select.POLLIN if interest & READ else 0) | (
                select.POLLOUT if interest & WRITE else 0
            )
            self._poll.register(fd, mask)
        else:
            self._poll.unregister(fd)

    def wait(self, timeout: float | None) -> list[Slot]:
        """poll(2); CPython rounds the milliseconds up, so it is never early."""
        self.apply_changes()
        ready: list[Slot] = []
        for fd, mask in self._poll.poll(None if timeout is None else timeout * 1000):
            descriptor = self.descriptors.get(fd)
            if descriptor is not None:
                events = (READ if mask & select.POLLIN else 0) | (
                    WRITE if mask & select.POLLOUT else 0
                )
                if mask & ~(select.POLLIN | select.POLLOUT):
                    # POLLERR, POLLHUP, and POLLNVAL for a number closed behind our back: the
                    # operations that wait find out what it is.
                    events = READ | WRITE | STICKY
                ready += descriptor.slots(events)
            elif fd == self.waker.fd:
                self.waker.drain()
        return ready

"""Wakers: how another thread calls the leader back out of the kernel wait.

They are an axis of their own beside the pollers, so that every fallback can be forced and tested on
one machine (``epoll+pipe``). A waker with a descriptor is watched by the poller for readability;
kqueue's EVFILT_USER has none and lives with its poller.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from .system import System


class Waker(Protocol):
    """What a backend needs of its waker."""

    name: str
    fd: int

    def wake(self) -> bool:
        """Make the poller return, from any thread; False when that failed and must be retried."""
        ...

    def drain(self) -> None:
        """Take back what `wake` wrote; called by the leader when the poller reports `fd`."""

    def close(self) -> None:
        """Give the descriptors back."""


class FdWaker:
    """A waker over two ends of something that counts or queues bytes."""

    name = ""

    def __init__(self, system: System, read_end: int, write_end: int, token: bytes) -> None:
        self._system = system
        self._write_end = write_end
        self._token = token
        self.fd = read_end

    def wake(self) -> bool:
        """Write one token.

        EAGAIN means "full", so that the leader has something to read anyway, or is a lie of a
        failing system: reporting it as a failure lets the next wake-up try again in both cases
        (corosio ca33581 took it for success, and coalesced every later wake-up away).
        """
        while True:
            try:
                self._system.write(self._write_end, self._token)
            except InterruptedError:
                continue
            except OSError:
                return False
            return True

    def drain(self) -> None:
        """Read everything there is."""
        try:
            while len(self._system.read(self.fd, 4096)) == 4096:
                pass
        except (BlockingIOError, InterruptedError):
            pass

    def close(self) -> None:
        """Close both ends."""
        self._system.close(self.fd)
        if self._write_end != self.fd:
            self._system.close(self._write_end)


class EventfdWaker(FdWaker):
    """eventfd(2): one descriptor, a counter, never full in practice."""

    name = "eventfd"

    def __init__(self, system: System) -> None:
        fd = system.eventfd()
        super().__init__(system, fd, fd, (1).to_bytes(8, sys.byteorder))


class PipeWaker(FdWaker):
    """The self-pipe, which every POSIX system has."""

    name = "pipe"

    def __init__(self, system: System) -> None:
        read_end, write_end = system.pipe()
        super().__init__(system, read_end, write_end, b"\0")

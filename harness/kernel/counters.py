"""eventfd(2) and timerfd_create(2)."""

from __future__ import annotations

import errno
import sys
from typing import TYPE_CHECKING

from .description import ERR, IN, OUT, READABLE, WRITABLE, Description, fail

if TYPE_CHECKING:
    from .kernel import Kernel, Timer

#: A counter of eight bytes; its highest value is not a count.
_TOP = (1 << 64) - 1
_SIZE = 8


class EventFd(Description):
    """A counter that is readable while it is not zero."""

    kind = "eventfd"

    def __init__(self, kernel: Kernel, count: int = 0) -> None:
        super().__init__(kernel)
        self.count = count

    def mask(self) -> int:
        """fs/eventfd.c, eventfd_poll."""
        return (
            (IN if self.count else 0)
            | (ERR if self.count == _TOP else 0)
            | (OUT if self.count < _TOP - 1 else 0)
        )

    def read(self, size: int) -> bytes:
        """Take the whole count."""
        if size < _SIZE:
            raise fail(errno.EINVAL)
        if not self.count:
            raise fail(errno.EAGAIN)
        count, self.count = self.count, 0
        self.wake(WRITABLE)
        return count.to_bytes(_SIZE, sys.byteorder)

    def write(self, data: bytes) -> int:
        """Add to the count."""
        if len(data) < _SIZE:
            raise fail(errno.EINVAL)
        value = int.from_bytes(data[:_SIZE], sys.byteorder)
        if value == _TOP:
            raise fail(errno.EINVAL)
        if value > _TOP - 1 - self.count:
            raise fail(errno.EAGAIN)
        self.count += value
        self.wake(READABLE)
        return _SIZE


class TimerFd(Description):
    """A timer that counts how often it expired."""

    kind = "timerfd"

    def __init__(self, kernel: Kernel) -> None:
        super().__init__(kernel)
        self.ticks = 0
        self._timer: Timer | None = None

    def settime(self, nanoseconds: int) -> None:
        """Expire once in so many nanoseconds; 0 disarms. What was counted before is forgotten."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.ticks = 0
        if nanoseconds:
            self._timer = self.kernel.at(self.kernel.now + nanoseconds, self._expire)

    def _expire(self) -> None:
        self._timer = None
        self.ticks += 1
        self.wake(READABLE)

    def mask(self) -> int:
        """fs/timerfd.c, timerfd_poll."""
        return IN if self.ticks else 0

    def read(self, size: int) -> bytes:
        """Take the number of expiries."""
        if size < _SIZE:
            raise fail(errno.EINVAL)
        if not self.ticks:
            raise fail(errno.EAGAIN)
        ticks, self.ticks = self.ticks, 0
        return ticks.to_bytes(_SIZE, sys.byteorder)

    def released(self) -> None:
        """Disarm."""
        self.settime(0)

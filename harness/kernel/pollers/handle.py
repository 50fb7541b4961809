"""What CPython's poller objects have in common: their own number, and how they take arguments."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar, Self

if TYPE_CHECKING:
    from ..description import Description
    from ..kernel import Kernel

_INT_MAX = (1 << 31) - 1


class Handle:
    """A poller that has a descriptor number of its own.

    Raises:
        OSError: EMFILE.
    """

    kind: ClassVar[str]

    def __init__(self, kernel: Kernel, description: Description) -> None:
        self._kernel = kernel
        self._fd = kernel.allocate(description)

    def fileno(self) -> int:
        """Return the descriptor number."""
        self._open()
        return self._fd

    @property
    def closed(self) -> bool:
        """Whether it has been closed."""
        return self._fd < 0

    def _open(self) -> None:
        if self._fd < 0:
            raise ValueError(f"I/O operation on closed {self.kind} object")

    def close(self) -> None:
        """close(2); a second time does nothing."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            self._closing()
            self._kernel.close(fd)

    def _closing(self) -> None:
        """It is about to be closed."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def number_of(fd: Any) -> int:
    """Return the number of a descriptor that is given as one, or as something that has one."""
    return fd if isinstance(fd, int) else int(fd.fileno())


def whole_milliseconds(timeout: float | None) -> float | None:
    """Return how long a wait lasts, in seconds, that is asked for in milliseconds, and rounded up.

    Args:
        timeout: in milliseconds; None, or a negative number, for no limit, which returns None.

    Raises:
        OverflowError: it is more than an int of milliseconds.
    """
    if timeout is None or timeout < 0:
        return None
    milliseconds = math.ceil(timeout)
    if milliseconds > _INT_MAX:
        raise OverflowError("timeout is too large")
    return milliseconds / 1000

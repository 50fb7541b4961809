"""poll(2) and select(2): they remember nothing, and look at numbers and not at descriptions."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

from ..description import ERR, HUP, IN, NVAL, OUT, PRI, fail
from .handle import number_of, unready, wait, whole_milliseconds

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..kernel import Kernel

#: The size of CPython's sets on every system that is supported.
FD_SETSIZE = 1024

#: What select(2) calls readable, writable and exceptional (fs/select.c).
_SETS = (IN | HUP | ERR, OUT | ERR, PRI)


class Poll:
    """`select.poll` over the model."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._wanted: dict[int, int] = {}
        self._busy = False

    def register(self, fd: Any, eventmask: int = IN | PRI | OUT) -> None:
        """Ask for `eventmask`, or change what was asked for."""
        self._wanted[number_of(fd)] = eventmask

    def modify(self, fd: Any, eventmask: int) -> None:
        """Change what was asked for.

        Raises:
            OSError: ENOENT, it was not registered.
        """
        if number_of(fd) not in self._wanted:
            raise fail(errno.ENOENT)
        self._wanted[number_of(fd)] = eventmask

    def unregister(self, fd: Any) -> None:
        """Ask for it no more.

        Raises:
            KeyError: it was not registered.
        """
        del self._wanted[number_of(fd)]

    def _look(self, wanted: dict[int, int]) -> list[tuple[int, int]]:
        found = []
        for fd, events in wanted.items():
            if not self._kernel.is_open(fd):
                found.append((fd, NVAL))
            elif mask := self._kernel.get(fd).mask() & (events | ERR | HUP):
                found.append((fd, mask))
        return found

    def poll(self, timeout: float | None = None) -> list[tuple[int, int]]:
        """poll(2), `timeout` in milliseconds, rounded up as CPython does.

        Raises:
            OverflowError: the timeout is more than an int of milliseconds.
            RuntimeError: another thread is inside.
        """
        if self._busy:
            raise RuntimeError("concurrent poll() invocation")
        seconds = whole_milliseconds(timeout)
        # The kernel is given the list as it is now; what is registered meanwhile is not seen.
        wanted = dict(self._wanted)
        self._busy = True
        try:
            found = wait(
                self._kernel,
                lambda _: self._look(wanted),
                lambda: self._look(wanted),
                seconds,
                f"poll of {', '.join(map(str, wanted))}",
                lambda: unready(self._kernel, wanted.items()),
            )
        finally:
            self._busy = False
        self._kernel.record("poll", seconds, found)
        return found


def select(
    kernel: Kernel,
    readers: Iterable[Any],
    writers: Iterable[Any],
    exceptional: Iterable[Any],
    timeout: float | None,
) -> tuple[list[Any], list[Any], list[Any]]:
    """`select.select` over the model, `timeout` in seconds.

    Raises:
        OSError: EBADF, one of the numbers is not open; EINVAL, the timeout is too long for it.
        ValueError: a number is negative, or does not fit into the sets.
    """
    asked = [list(readers), list(writers), list(exceptional)]
    for item in (item for items in asked for item in items):
        number = number_of(item)
        if number < 0:
            raise ValueError(f"file descriptor cannot be a negative integer ({number})")
        if number >= FD_SETSIZE:
            raise ValueError("filedescriptor out of range in select()")
    if timeout is not None and timeout < 0:
        raise ValueError("timeout must be non-negative")
    limit = kernel.dialect.select_limit
    if limit and timeout is not None and timeout > limit:
        raise fail(errno.EINVAL)

    def look() -> list[tuple[Any, int]]:
        return [
            (item, which)
            for items, which in zip(asked, _SETS, strict=True)
            for item in items
            if kernel.get(number_of(item)).mask() & which
        ]

    def rumour() -> tuple[Any, int] | None:
        numbers = (
            (number_of(item), bit)
            for items, bit in zip(asked, (IN, OUT), strict=False)
            for item in items
        )
        found = unready(kernel, numbers)
        return None if found is None else (found[0], _SETS[found[1] == OUT])

    def ready() -> bool:
        # A number that is closed during the wait: Linux holds the description and reports it at
        # the end, others differ (POSIX leaves it open). Here it is told at once, as EBADF.
        numbers = {number_of(item) for items in asked for item in items}
        return not all(map(kernel.is_open, numbers)) or bool(look())

    numbers = ", ".join(str(number_of(item)) for items in asked for item in items)
    events = wait(kernel, lambda _: look(), ready, timeout, f"select of {numbers}", rumour)
    first, second, third = ([item for item, found in events if found == which] for which in _SETS)
    kernel.record(
        "select", timeout, *(list(map(number_of, found)) for found in (first, second, third))
    )
    return first, second, third

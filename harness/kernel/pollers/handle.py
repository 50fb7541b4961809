"""What CPython's poller objects have in common: their own number, and how they take arguments."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from ..description import IN, OUT
from ..endpoint import Endpoint
from ..nemesis import Late, Shuffle, Split, Spurious

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..description import Description
    from ..kernel import Kernel

E = TypeVar("E")

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


def wait(
    kernel: Kernel,
    look: Callable[[int | None], list[E]],
    ready: Callable[[], object],
    seconds: float | None,
    what: str,
    rumour: Callable[[], E | None],
    *,
    in_turn: bool = False,
) -> list[E]:
    """What the waits of all pollers have in common, and what a nemesis makes of it.

    Args:
        kernel: theirs.
        look: returns what is ready, at most so many.
        ready: tells whether there is anything.
        seconds: how long to wait; None for ever.
        what: is waited for, for people.
        rumour: returns an event of a socket that is not ready, None without one.
        in_turn: it may report fewer than there are, in any order.
    """
    by_kind: dict[type, Any] = {type(rule): rule for rule in kernel.enter("wait")}
    split = by_kind.get(Split) if in_turn else None
    found = look(1 if split else None)
    told = rumour() if Spurious in by_kind and not found else None
    if told is not None:
        kernel.strike(by_kind[Spurious])
        found.append(told)
    elif not found and seconds != 0:
        kernel.sleep(ready, seconds, what)
        late = by_kind.get(Late)
        if late is not None and kernel.nemesis is not None:
            kernel.strike(late)
            kernel.nemesis.busy += 1
            kernel.pause(late.seconds)
            kernel.nemesis.busy -= 1
        found = look(1 if split else None)
    if split is not None and found and ready():
        kernel.strike(split)
    if in_turn and Shuffle in by_kind and len(found) > 1:
        kernel.strike(by_kind[Shuffle])
        kernel.random.shuffle(found)
    kernel.point("waited")
    return found


def unready(kernel: Kernel, asked: Iterable[tuple[int, int]]) -> tuple[int, int] | None:
    """Choose a socket that is not ready, of numbers and the bits that they are asked for.

    Returns:
        The number and one of the bits, None when there is no such socket.
    """
    found = [
        (fd, bit)
        for fd, events in asked
        for bit in (IN, OUT)
        if events & bit
        and kernel.is_open(fd)
        and isinstance(description := kernel.get(fd), Endpoint)
        and not description.mask() & bit
    ]
    return kernel.random.choice(found) if found else None


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

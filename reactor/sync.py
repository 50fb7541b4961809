"""What tasks say to each other: events, queues, and the gate that keeps accepts in order."""

from __future__ import annotations

import types
from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

from .errors import Cause, OperationCancelled, ReactorError
from .local import current_context
from .waitlist import WaitList, WaitOperation

if TYPE_CHECKING:
    from collections.abc import Generator

    from .context import IoContext
    from .operation import Operation
    from .scheduler import Scheduler

T = TypeVar("T")


class Event:
    """A flag that tasks can wait for; may be set from any thread.

    Args:
        context: the context of the waiting tasks; by default the current one.
    """

    def __init__(self, *, context: IoContext | None = None) -> None:
        self._scheduler = (context or current_context()).scheduler
        self._flag = False  # guarded by the mutex
        self._waiters = WaitList(self._scheduler, "an event")

    def is_set(self) -> bool:
        """Tell whether the flag is up."""
        return self._flag

    def set(self) -> None:
        """Raise the flag: everybody who waits goes on, and nobody waits from now on."""
        with self._scheduler.mutex:
            self._flag = True
            self._waiters.wake_all()

    def clear(self) -> None:
        """Lower the flag."""
        with self._scheduler.mutex:
            self._flag = False

    async def wait(self) -> None:
        """Wait until the flag is up; who was woken by a `set` goes on even if `clear` follows."""
        await self._waiters.wait_turn(self.is_set)


class QueueFull(ReactorError):
    """`Queue.put_nowait` on a full queue."""


class QueueEmpty(ReactorError):
    """`Queue.get_nowait` on an empty queue."""


class Queue(Generic[T]):
    """A FIFO queue between tasks; the ``_nowait`` methods may be called from any thread.

    Items are handed over directly: getters are served in the order in which they came, and a
    getter that is cancelled has taken nothing.

    Args:
        maxsize: how many items wait in it before `put` waits; 0 for any number.
        context: the context of the waiting tasks; by default the current one.
    """

    def __init__(self, maxsize: int = 0, *, context: IoContext | None = None) -> None:
        if maxsize < 0:
            raise ValueError(f"maxsize must be 0 (no limit) or more, got {maxsize}")
        self._scheduler = (context or current_context()).scheduler
        self.maxsize = maxsize
        self._items: deque[T] = deque()  # guarded by the mutex, like all that follows
        self._getters = WaitList(self._scheduler, "an item of a queue")
        self._putters = WaitList(self._scheduler, "room in a queue")

    def __len__(self) -> int:
        return len(self._items)

    def put_nowait(self, item: T) -> None:
        """Put `item` in, or hand it to a waiting getter.

        Raises:
            QueueFull: there is no room.
        """
        with self._scheduler.mutex:
            if not self._put(item):
                raise QueueFull(f"the queue holds {self.maxsize} items already")

    def get_nowait(self) -> T:
        """Take the oldest item.

        Raises:
            QueueEmpty: there is none.
        """
        box: list[T] = []
        with self._scheduler.mutex:
            if not self._take(box):
                raise QueueEmpty("the queue is empty")
        return box[0]

    async def put(self, item: T) -> None:
        """Put `item` in, waiting for room."""
        await self._putters.wait_turn(lambda: self._put(item), item)

    async def get(self) -> T:
        """Take the oldest item, waiting for one."""
        box: list[T] = []
        handed: T = await self._getters.wait_turn(lambda: self._take(box))
        return box[0] if box else handed

    def _put(self, item: T) -> bool:
        if self._getters.wake_one(item):
            return True
        if self.maxsize and len(self._items) >= self.maxsize:
            return False
        self._items.append(item)
        return True

    def _take(self, box: list[T]) -> bool:
        if not self._items:
            return False
        box.append(self._items.popleft())
        putter = self._putters.first()
        if putter is not None:
            self._items.append(putter.value)
            self._putters.wake_one()
        return True


class Gate:
    """Lets one task through at a time, in FIFO order; keeps accepts on one listener in order."""

    __slots__ = ("_next", "_scheduler", "_taken", "waiters")

    def __init__(self, scheduler: Scheduler, what: str) -> None:
        self._scheduler = scheduler
        self._taken = False  # guarded by the mutex, as is the one who was let through last
        self._next: WaitOperation | None = None
        self.waiters = WaitList(scheduler, what)

    def _take(self) -> bool:
        if self._taken:
            return False
        self._taken = True
        return True

    def try_enter(self) -> bool:
        """Go through if nobody is inside."""
        with self._scheduler.mutex:
            return self._take()

    @types.coroutine
    def enter(self) -> Generator[Operation, None, WaitOperation]:
        """Wait for one's turn; returns it, for `tell`."""
        op = WaitOperation(self.waiters, self._take)
        yield op
        return op

    def tell(self, turn: WaitOperation) -> None:
        """Go on with one's turn where a cancel reaches the operation itself; again: no effect.

        Raises:
            OperationCancelled: `end` took the turn back before.
        """
        with self._scheduler.mutex:
            if self._next is turn:
                self._next = None
        if turn.cause is not Cause.READY:
            raise OperationCancelled(turn.cause)

    def leave(self) -> None:
        """Let the next one through."""
        with self._scheduler.mutex:
            self._next = self.waiters.first()
            self._taken = self.waiters.wake_one()

    def end(self, cause: Cause) -> int:
        """End every wait; also that of who was let through but has not been told. The mutex is held."""
        count = self.waiters.wake_all(cause)
        op = self._next
        if op is not None and op.cause is Cause.READY:
            op.cause = cause
            self._taken = False
            count += 1
        return count

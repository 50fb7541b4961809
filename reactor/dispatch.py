"""The one way of every socket operation: speculate, keep to the budget, park, perform.

`perform` is the only place where a system call meets readiness. Receives, sends, accepts, connects
and waits differ in the call that they hand in, and in nothing else. It is a generator-based
coroutine, returned as it is by the methods of the sockets, so an operation costs one generator
frame, no future and no callback handle.
"""

from __future__ import annotations

import errno
import os
import types
from typing import TYPE_CHECKING, Any, Final

from .descriptor import WRITE
from .errors import Cause, ClosedError, OperationCancelled
from .local import running_task
from .operation import IDLE

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from .descriptor import Slot
    from .operation import Operation

#: What tells how far an operation has come. A tuple: an ``X | Y`` would be made anew for each error.
_TELLING: Final = (OSError, OperationCancelled)


@types.coroutine
def perform(
    slot: Slot,
    attempt: Callable[[Any, int], Any],
    arg: Any,
    want: int = 0,
    whole: bool = False,  # noqa: FBT001, FBT002 - the hot path passes it by position
) -> Generator[Operation, None, Any]:
    """Run `attempt(arg, slot.flags)` when the slot is believed ready, parking for as long as it would block.

    Args:
        slot: the direction of the descriptor that the call concerns.
        attempt: the system call; raises BlockingIOError when it would block.
        arg: its argument. With `whole`, a buffer that is advanced by each result, or None when
            `attempt` keeps its own position.
        want: bytes asked for. A receive that brings fewer has drained the socket (see
            `Slot.exact`); 0 where that says nothing.
        whole: go on until `want` bytes have been moved or a call moves none.

    Returns:
        What `attempt` returned; with `whole` the number of bytes moved.

    Raises:
        OperationCancelled: cancelled, closed or past its deadline while it was pending;
            `transferred` says how much had been moved.
        ClosedError: the socket was closed before.
        BusyError: another operation is pending in this direction.
        OSError: the call failed; `transferred` is set on it.
    """
    op = slot.op
    if op.state is not IDLE:
        raise slot.descriptor.busy(slot)
    op.late = None
    done = 0
    pending = False
    slot.calling = True  # before the look at `seen`: see `Descriptor.let_go`
    try:
        while True:
            edges = slot.edges
            ready = edges != slot.seen
            if ready and not pending:
                alone = slot.scheduler.alone  # first, as a context variable is found slowly
                task = running_task.get() if alone is None else alone.task
                ready = task.credit > 0
            if ready:
                try:
                    result = attempt(arg, slot.flags)
                except BlockingIOError:
                    slot.seen = edges
                    slot.misses += 1
                else:
                    if not pending:
                        task.credit -= 1  # pyright: ignore[reportPossiblyUnboundVariable]  # looked up above
                        slot.hits += 1
                    if want and slot.exact:  # only of receives
                        size = len(result) if result.__class__ is bytes else result
                        if size < want:
                            if size:
                                slot.seen = edges
                            else:
                                slot.exact = False  # an end stays: the next receive sees it too
                    if whole:
                        if result < want and result:
                            done += result
                            want -= result
                            if arg is not None:
                                arg = memoryview(arg)[result:]
                            if op.late is not None:
                                raise OperationCancelled(op.late)
                            if not pending:
                                slot.partials += 1
                            pending = False  # each further step counts against the budget
                            continue
                        if done:
                            result += done
                    slot.calling = False
                    if slot.closed:
                        slot.descriptor.let_go()
                    return result
            if pending or done or slot.closed:  # else nobody can know of it yet
                if op.late is not None:
                    raise OperationCancelled(op.late)
                if slot.closed:
                    if pending or done:
                        raise OperationCancelled(Cause.CLOSE)
                    raise ClosedError(f"this {slot.descriptor.kind}")
            yield op
            pending = True
    except BaseException as exc:
        if slot.op is op:  # else it was vacated, and the next one may be in its call already
            slot.calling = False
            if slot.closed:
                slot.descriptor.let_go()
        # The task may keep the error, and with it this frame: see `Task.step`.
        op.task = task = None
        if isinstance(exc, _TELLING):
            exc.transferred = done  # type: ignore[union-attr]  # OSError takes attributes too
        if (
            isinstance(exc, OSError)
            and exc.errno == errno.EPROTOTYPE
            and slot.direction == WRITE
            and slot.descriptor.kind == "stream"
        ):
            # What macOS says to a send while the connection is torn down; another one would be told
            # EPIPE (libuv 3a7b95593). For a connect it means what it says: see `_connect_step`.
            broken = BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
            broken.transferred = done  # type: ignore[attr-defined]  # as above
            raise broken from exc
        raise

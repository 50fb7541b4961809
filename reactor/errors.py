"""Every exception that the library raises on its own account.

Failures of system calls stay what Python makes of them (``ConnectionResetError`` and the other
subclasses of ``OSError``); a socket operation that fails half way adds ``transferred`` to them,
the number of bytes that had already gone out or come in.
"""

from __future__ import annotations

import enum
import errno
import os


class Cause(enum.Enum):
    """Who claimed an operation, and with that decided how it ends."""

    READY = "ready"
    CANCEL = "cancel"
    CLOSE = "close"
    DEADLINE = "deadline"


#: Looked up once: finding a member of an enumeration costs more than taking a lock.
READY = Cause.READY


class _Portable:
    """Copies and pickles an exception by what it carries.

    The default calls `__init__` with `args`, which are its message and not its arguments wherever
    a class has an `__init__` of its own, also one that a user derives.
    """

    __slots__ = ()

    args: tuple[object, ...]

    def __reduce__(self) -> tuple[object, ...]:
        """Name what `_rebuild` needs."""
        return _rebuild, (type(self), self.args, vars(self))


def _rebuild(
    kind: type[BaseException], args: tuple[object, ...], fields: dict[str, object]
) -> BaseException:
    error = kind.__new__(kind)
    if isinstance(error, OSError):
        OSError.__init__(error, *args)  # sets the errno too
    else:
        BaseException.__init__(error, *args)
    error.__dict__.update(fields)
    return error


class ReactorError(_Portable, Exception):
    """Base of the errors that mean "the library was used wrongly or cannot do this here"."""


class OperationCancelled(_Portable, BaseException):
    """A pending operation was cancelled, its object was closed, or its deadline passed.

    It derives from ``BaseException``, as ``asyncio.CancelledError`` does and for the same reason:
    an ``except Exception`` around a receive must not eat a cancellation.

    Attributes:
        cause: who ended the operation (`Cause.CANCEL`, `Cause.CLOSE` or `Cause.DEADLINE`).
        transferred: bytes that went out or came in before the operation ended.
        partial: what a `StreamSocket.recv_exactly` had already taken off the socket.
    """

    transferred: int = 0
    partial: bytes = b""

    def __init__(self, cause: Cause = Cause.CANCEL, *, scoped: bool = False) -> None:
        super().__init__(f"operation ended by {cause.value}")
        self.cause = cause
        # True when a cancel scope asked for it: only then may a scope absorb it.
        self.scoped = scoped

    @property
    def cause_name(self) -> str:
        """The cause as a word: ``cancel``, ``close`` or ``deadline``."""
        return self.cause.value


class IllegalTransition(ReactorError, RuntimeError):
    """A state machine was asked for a move that its table does not have.

    Attributes:
        machine: which table.
        state: the state it was in.
        event: the event it was given.
    """

    def __init__(self, machine: str, state: str, event: str) -> None:
        super().__init__(f"{machine}: no transition from state {state} on event {event}")
        self.machine = machine
        self.state = state
        self.event = event


class BusyError(ReactorError, RuntimeError):
    """A second operation was started in a direction of a socket where one is already pending."""


class ClosedError(ReactorError, OSError):
    """An operation was started on a socket, acceptor or timer that is closed (errno EBADF)."""

    def __init__(self, what: str) -> None:
        super().__init__(errno.EBADF, f"{what} is closed")


class ContextClosedError(ReactorError, RuntimeError):
    """The `IoContext` is closed, or closing: it takes no more work."""


class BackendError(ReactorError, ValueError):
    """An unknown backend specification, or one that this system does not have."""


class FdSetSizeError(ReactorError, ValueError):
    """A descriptor number that `select` cannot hold (``FD_SETSIZE``, select(2)).

    Raised before anything is registered, so the rest of the context goes on.
    """

    def __init__(self, fd: int, limit: int) -> None:
        super().__init__(
            f"select cannot watch descriptor {fd}: FD_SETSIZE allows 0 to {limit - 1}; "
            "use the epoll, kqueue or poll backend for more descriptors"
        )
        self.fd = fd
        self.limit = limit


class IncompleteReadError(ReactorError, EOFError):
    """The stream ended before `StreamSocket.recv_exactly` had all its bytes.

    Attributes:
        partial: the bytes that did arrive.
        expected: how many had been asked for.
    """

    def __init__(self, partial: bytes, expected: int) -> None:
        super().__init__(f"stream ended after {len(partial)} of {expected} bytes")
        self.partial = partial
        self.expected = expected


class Unsupported(ReactorError, OSError):
    """The system does not have this call (errno ENOSYS): the caller takes its fallback."""

    def __init__(self, what: str) -> None:
        super().__init__(errno.ENOSYS, f"{what}: {os.strerror(errno.ENOSYS)}")

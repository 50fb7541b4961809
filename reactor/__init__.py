"""reactor: a coroutine-first I/O core with one scheduler and thin epoll, kqueue, poll and select backends.

import reactor

async def main():
    with await reactor.connect_tcp("127.0.0.1", 7) as sock:
        await sock.sendall(b"hello")
        print(await sock.recv(100))

reactor.run(main)
"""

from . import backends
from .acceptor import Acceptor
from .context import IoContext, WorkGuard, run
from .counters import Counters
from .datagram import DatagramSocket
from .dump import Dump
from .errors import (
    BackendError,
    BusyError,
    Cause,
    ClosedError,
    ContextClosedError,
    FdSetSizeError,
    IllegalTransition,
    IncompleteReadError,
    OperationCancelled,
    ReactorError,
    Unsupported,
)
from .local import current_context, current_task
from .net import bind_udp, connect_tcp, connect_udp, connect_unix, listen_tcp, listen_unix
from .scope import CancelScope, timeout, timeout_at
from .strand import Strand
from .stream import StreamSocket
from .sync import Event, Queue, QueueEmpty, QueueFull
from .system import PosixSystem, System
from .task import Task
from .taskgroup import TaskGroup
from .threads import to_thread
from .timing import TimedCall, Timer, sleep, sleep_until

__all__ = [
    "Acceptor",
    "BackendError",
    "BusyError",
    "CancelScope",
    "Cause",
    "ClosedError",
    "ContextClosedError",
    "Counters",
    "DatagramSocket",
    "Dump",
    "Event",
    "FdSetSizeError",
    "IllegalTransition",
    "IncompleteReadError",
    "IoContext",
    "OperationCancelled",
    "PosixSystem",
    "Queue",
    "QueueEmpty",
    "QueueFull",
    "ReactorError",
    "Strand",
    "StreamSocket",
    "System",
    "Task",
    "TaskGroup",
    "TimedCall",
    "Timer",
    "Unsupported",
    "WorkGuard",
    "backends",
    "bind_udp",
    "connect_tcp",
    "connect_udp",
    "connect_unix",
    "current_context",
    "current_task",
    "listen_tcp",
    "listen_unix",
    "run",
    "sleep",
    "sleep_until",
    "timeout",
    "timeout_at",
    "to_thread",
]

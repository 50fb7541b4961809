"""Which context, and which task, the calling code runs in."""

from __future__ import annotations

import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from .errors import ReactorError

if TYPE_CHECKING:
    from .context import IoContext
    from .task import Task

#: The task whose coroutine is running. A context variable rather than a thread-local: every task
#: runs in a context of its own anyway, and reading one costs half of the other.
running_task: ContextVar[Task[Any]] = ContextVar("reactor_running_task")


class _Running(threading.local):
    """Set by `Scheduler.run` for the thread that is inside it, so posted handlers see it too."""

    context: IoContext | None = None


running = _Running()


def current_context() -> IoContext:
    """Return the `IoContext` whose `run()` the calling thread is in.

    Raises:
        ReactorError: the thread runs none; pass ``context=`` to what you are making.
    """
    context = running.context
    if context is None:
        raise ReactorError("no IoContext runs in this thread: pass context=...")
    return context


def current_task() -> Task[Any]:
    """Return the task that is running.

    Raises:
        ReactorError: called from outside a task.
    """
    task = running_task.get(None)
    if task is None:
        raise ReactorError("this can only be done inside a task of an IoContext")
    return task

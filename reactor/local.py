"""Which context the calling code runs in."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from .errors import ReactorError

if TYPE_CHECKING:
    from .context import IoContext


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

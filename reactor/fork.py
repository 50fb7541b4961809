"""fork(2): in the child, the contexts of the parent are closed.

What a forked child inherits is half a context. Its threads are not there, a lock may be held by one
of them for ever, and the poller, the waker and the kernel timer are shared with the parent: a child
that unregistered a socket, read the waker or armed the timer would do it to the parent (epoll(7),
Q6; libuv 6a101e78e). So a context belongs to the process that made it. `Scheduler.disown` makes the
child's copy one that refuses work and touches nothing shared; closing it closes the child's
descriptors.
"""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .scheduler import Scheduler

_owned: weakref.WeakSet[Scheduler] = weakref.WeakSet()


def own(scheduler: Scheduler) -> None:
    """Have `scheduler` disowned in every child that is forked from now on."""
    _owned.add(scheduler)


def _disown_all() -> None:
    for scheduler in list(_owned):
        scheduler.disown()


os.register_at_fork(after_in_child=_disown_all)

"""Blocking calls on threads."""

from __future__ import annotations

from contextvars import copy_context
from typing import TYPE_CHECKING, Any, TypeVar

from .local import current_task
from .waitlist import WaitList

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


async def to_thread(function: Callable[..., T], *args: Any) -> T:
    """Run ``function(*args)`` on a thread and wait for its result.

    The function sees the context variables of the calling task. A thread cannot be stopped: when
    the wait is cancelled the function runs on to its end, unheard, and `IoContext.close` waits for
    it.

    Raises:
        BaseException: what the function raised.
    """
    scheduler = current_task().scheduler
    waiters = WaitList(scheduler, f"a thread running {getattr(function, '__name__', function)}")
    outcome: list[tuple[bool, Any]] = []
    variables = copy_context()

    def work() -> None:
        result: tuple[bool, Any]
        try:
            result = (True, variables.run(function, *args))
        except BaseException as exc:  # noqa: BLE001 - handed to the task that waits
            result = (False, exc)
        with scheduler.mutex:
            outcome.append(result)
            waiters.wake_all()

    submitted = False

    def submit_once() -> bool:
        # Called as the wait's condition, with the mutex held and only if the task's scope is not
        # cancelled: a call in a cancelled scope starts no thread.
        nonlocal submitted
        if not submitted:
            submitted = True
            scheduler.context.executor().submit(work)
        return bool(outcome)

    await waiters.wait_until(submit_once)
    succeeded, value = outcome[0]
    if succeeded:
        return value  # type: ignore[no-any-return]
    raise value

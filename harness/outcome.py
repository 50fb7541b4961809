"""Operations that a scenario started, and how they ended."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reactor import OperationCancelled

from .trace import describe

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .trace import Trace


@dataclass(frozen=True)
class Outcome:
    """How an operation ended; ``str()`` is the same on every machine.

    Attributes:
        kind: ``value``, ``cancelled`` or ``error``.
        value: what it returned.
        error: what it raised.
        transferred: bytes moved before it was cut short.
        cause: of a cancellation: ``cancel``, ``close`` or ``deadline``.
    """

    kind: str
    value: Any = None
    error: BaseException | None = None
    transferred: int = 0
    cause: str = ""

    def __str__(self) -> str:
        if self.kind == "value":
            return f"value {describe(self.value)}"
        if self.kind == "cancelled":
            return f"cancelled by {self.cause}"
        return type(self.error).__name__

    @property
    def errno(self) -> int:
        """The error number, 0 when there is none."""
        return getattr(self.error, "errno", None) or 0

    def get(self) -> Any:
        """Return the value; fail the scenario if the operation ended otherwise."""
        if self.kind != "value":
            raise AssertionError(f"expected a value, got: {self} ({self.error!r})") from self.error
        return self.value

    def cancelled(self, cause: str | None = None) -> Outcome:
        """Fail the scenario unless the operation was cancelled (by `cause`, if given)."""
        if self.kind != "cancelled" or cause not in (None, self.cause):
            raise AssertionError(f"expected cancelled by {cause or 'anyone'}, got: {self}")
        return self

    def failed(self, *kinds: type[BaseException] | int) -> Outcome:
        """Fail the scenario unless it raised one of these exception types or errno values."""
        if self.kind == "error":
            for kind in kinds:
                matches = (
                    self.errno == kind if isinstance(kind, int) else isinstance(self.error, kind)
                )
                if matches:
                    return self
        wanted = ", ".join(
            errno.errorcode.get(kind, str(kind)) if isinstance(kind, int) else kind.__name__
            for kind in kinds
        )
        raise AssertionError(f"expected {wanted}, got: {self} ({self.error!r})") from self.error


class Op:
    """A started operation.

    Attributes:
        label: its name in the trace.
        task: its task, for `Lab.cancel`.
        finished: an event of the subject, set when it has ended.
        result: how it ended, None while it goes on.
        told: the trace has it.
    """

    def __init__(self, label: str, finished: Any) -> None:
        self.label = label
        self.finished = finished
        self.task: Any = None
        self.result: Outcome | None = None
        self.told = False

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return self.result is not None


async def observed(awaitable: Awaitable[Any]) -> Outcome:
    """Await an operation in the calling task and return how it ended."""
    try:
        return Outcome("value", value=await awaitable)
    except OperationCancelled as exc:
        return Outcome("cancelled", error=exc, transferred=exc.transferred, cause=exc.cause_name)
    except Exception as exc:  # noqa: BLE001 - it is the outcome
        return Outcome("error", error=exc, transferred=getattr(exc, "transferred", 0))


async def observe(
    op: Op, function: Callable[..., Awaitable[Any]], args: tuple[Any, ...], trace: Trace
) -> None:
    """Run an operation and keep its outcome; the body of its task."""
    result = Outcome("error", error=RuntimeError("did not end"))
    trace.mark(op.label, "runs")
    try:
        result = await observed(_call(function, args))
    finally:
        if op.result is not None:
            raise AssertionError(f"{op.label} ended twice")
        op.result = result
        trace.mark(op.label, "ends", str(result))
        op.finished.set()


async def _call(function: Callable[..., Awaitable[Any]], args: tuple[Any, ...]) -> Any:
    return await function(*args)

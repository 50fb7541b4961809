"""Cancel scopes and deadlines.

Cancellation is a property of a region of code, not an event: while a scope is cancelled, every
operation started inside it ends at once with `OperationCancelled` and does no I/O. The scope that
was cancelled absorbs the exception. (The model is trio's; an edge-like cancel, delivered once, is
lost by whoever catches it, see corosio 17fa5e5.)

The tree of scopes (`GroupScope.roots`, and `parent` of one that is entered) and `cancel_called` are
guarded by the mutex of the scheduler that the owning task runs on.

A task has one timer for the deadlines of all its scopes, its *alarm*. It is set when a scope is entered,
unless it is due before that anyway, and stays where it is when the scope is left: the next timeout only
notes until when (see `MovableEntry`). So a timeout that never fires costs no timer of its own.

Entering and leaving takes no mutex either, unless there is something to do. The task that does it
changes `scope`, which is where it is, and then looks at what others may have changed: whether it is
interrupted, how long it may stay, whether the scope was cancelled or moved. Who cancels or moves a scope,
with the mutex, changes these, then looks where the task is, and again whether it is still there. So one
of the two sees the other, whatever the order. `harness/explore/programs/scopes.py` runs through all.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Self

from .errors import Cause, OperationCancelled, ReactorError
from .local import current_task, running_task
from .timerqueue import MovableEntry

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from .task import Task

_INFINITY = math.inf

_CANCEL = Cause.CANCEL  # looked up once: members of an enumeration are found slowly


class CancelScope:
    """A region of a task that can be cancelled as a whole, with an optional deadline.

    Args:
        deadline: seconds on the clock of the context (`IoContext.time`), infinity for none.
        shield: a cancelled scope outside does not reach in here.

    Attributes:
        cancel_called: the scope has been cancelled, by `cancel` or by its deadline.
        parent: the scope around it.
        until: the earliest deadline of its own and those around it in the same task, as far as they
            can still cancel anything.
    """

    # Each costs a store for every timeout: what is rarely there is not set before it is.
    __slots__ = (
        "_caught",  # True once it has absorbed an `OperationCancelled`
        "_cause",  # why it was cancelled, from then on, unless it was by `cancel` before it was entered
        "_deadline",
        "_seconds",  # how far the deadline is from where the scope is entered; None if it is known
        "_shield",
        "_task",
        "cancel_called",
        "parent",
        "until",  # from where it is entered on
    )

    until: float

    #: Whether a deadline that has cut the block is told by TimeoutError.
    _raises = False

    def __init__(self, deadline: float = math.inf, *, shield: bool = False) -> None:
        if deadline != deadline:  # noqa: PLR0124 - NaN, without a call
            raise ValueError("a deadline must be a number of seconds, not NaN")
        self._deadline = deadline
        self._seconds: float | None = None
        self._shield = shield
        self._task: Task[Any] | None = None
        self.parent: CancelScope | None = None
        self.cancel_called = False

    @classmethod
    def of_task(cls, task: Task[Any]) -> CancelScope:
        """Make the scope that a whole task runs in."""
        scope = cls()
        scope._task = task
        scope.until = _INFINITY
        return scope

    @property
    def cancelled_caught(self) -> bool:
        """Whether it has absorbed an `OperationCancelled`."""
        return getattr(self, "_caught", False)

    @property
    def deadline(self) -> float:
        """When the scope cancels itself, in seconds on the clock of the context."""
        return self._deadline

    def reschedule(self, deadline: float) -> None:
        """Move the deadline; one in the past cancels at the next operation.

        Raises:
            ValueError: not a number.
        """
        if math.isnan(deadline):
            raise ValueError("a deadline must be a number of seconds, not NaN")
        self._deadline = deadline
        task = self._task
        if task is not None:
            with task.scheduler.mutex:
                if self in scopes_of(task):  # not left yet
                    if deadline <= task.scheduler.now():
                        self._cancel(Cause.DEADLINE)
                    note_deadlines(task)

    @property
    def shield(self) -> bool:
        """Whether cancelled scopes outside are kept out."""
        return self._shield

    def cancel(self) -> None:
        """Cancel everything inside, from any thread; does nothing the second time."""
        if self._task is None:
            # No mutex is its own yet. Entering says whose it is before it looks whether it is
            # cancelled, and this the other way round, so one of the two sees the other.
            self.cancel_called = True
        task = self._task
        if task is not None:
            with task.scheduler.mutex:
                if self.cancel_called:
                    self.interrupt_inside()
                else:
                    self._cancel(Cause.CANCEL)

    def reached(self) -> bool:
        """Tell whether this scope or one around it, up to a shield, is cancelled."""
        scope: CancelScope | None = self
        closing = self._task is not None and self._task.scheduler.closing
        while scope is not None:
            if scope.cancel_called:
                return True
            if scope._shield and not closing:
                return False
            scope = scope.parent
        return closing

    def reason(self) -> Cause:
        """Return the cause of the innermost cancelled scope from here outwards."""
        scope: CancelScope | None = self
        while scope is not None:
            if scope.cancel_called:
                return scope._why()
            scope = scope.parent
        return Cause.CLOSE

    def _why(self) -> Cause:
        """Return why it was cancelled.

        Who cancels it without the mutex leaves that unsaid, lest it talk over a deadline that came first.
        """
        return getattr(self, "_cause", _CANCEL)

    def __enter__(self) -> Self:
        task = running_task.get(None) or current_task()
        if self._task is not None:
            raise ReactorError("a cancel scope can be entered only once")
        seconds = self._seconds
        if seconds is not None:
            now = task.scheduler.now()
            self._deadline = deadline = now + seconds
        else:
            deadline = self._deadline
            now = task.scheduler.now() if deadline != _INFINITY else 0.0
        outer = task.scope
        if outer is None:
            with task.scheduler.mutex:
                outer = task.own_scope()
        self.parent = outer
        until = outer.until
        if deadline < until:  # noqa: PLR1730 - a call of min() costs as much as the rest of this
            until = deadline
        self.until = until
        self._task = task
        task.scope = self
        # Only now, when the others can see it: see the top of this file.
        alarm = task.alarm
        if alarm is not None:
            alarm.wanted = until
        if (
            (until != _INFINITY if alarm is None else alarm.deadline > until)
            or outer.until < until
            or self._deadline != deadline
            or deadline <= now
            or self._shield
            or self.cancel_called
        ):
            self._settle(task, now)
        return self

    def _settle(self, task: Task[Any], now: float) -> None:
        with task.scheduler.mutex:
            if self._deadline <= now:
                self._cancel(Cause.DEADLINE)
            note_deadlines(task)
            self._refresh(task)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        task: Task[Any] = self._task  # type: ignore[assignment]  # it has been entered
        if task.scope is not self:
            raise ReactorError("cancel scopes must be left in the reverse order of entering them")
        parent: CancelScope = self.parent  # type: ignore[assignment]  # as above
        task.scope = parent
        alarm = task.alarm
        if alarm is not None:
            until = alarm.wanted = parent.until
            if parent.until < until:
                with task.scheduler.mutex:
                    note_deadlines(task)
        if self._shield or task.interrupted:
            with task.scheduler.mutex:
                self._refresh(task)
        if (
            error is None
            or not self.cancel_called
            or task.interrupted
            or not isinstance(error, OperationCancelled)
            or not error.scoped
        ):
            return False
        self._caught = True
        if self._raises and self._why() is Cause.DEADLINE:
            raise TimeoutError("the deadline of the block passed") from error
        return True

    # -- With the mutex held

    def put_below(self, parent: GroupScope) -> None:
        """Be reached by what cancels `parent`: the scope of a task that a group spawns."""
        self.parent = parent
        parent.roots[self] = None
        assert self._task is not None
        self._refresh(self._task)

    def detach(self) -> None:
        """Undo `put_below`."""
        if isinstance(self.parent, GroupScope):
            self.parent.roots.pop(self, None)

    def _roots(self) -> Iterable[CancelScope]:
        """Return the scopes of other tasks that are inside this one."""
        return ()

    def _cancel(self, cause: Cause) -> None:
        if not self.cancel_called:
            self._cause = cause  # first: the task looks at both without the mutex
            self.cancel_called = True
            self.interrupt_inside()

    def interrupt_inside(self) -> None:
        """Reach every task whose innermost scope lies in here, unshielded; the mutex is held."""
        pending: list[CancelScope] = [self]
        while pending:
            scope = pending.pop()
            task = scope._task
            if task is None:
                continue  # nobody has entered it
            inside = scopes_of(task, scope)
            for inner in reversed(inside):
                if inner is not scope and inner._shield and not task.scheduler.closing:
                    break
                pending.extend(inner._roots())
            else:
                if not inside:
                    continue  # it was left
                self._refresh(task)
                # Looked up once: a thread that steps the task takes it away without the mutex.
                operation = task.operation
                if task.interrupted and operation is not None:
                    operation.claim(inside[0].reason(), scoped=True)

    @staticmethod
    def _refresh(task: Task[Any]) -> None:
        while True:
            scope = task.scope
            assert scope is not None
            task.interrupted = scope.reached()
            if task.interrupted:
                task.credit = 0  # its next operation suspends, and learns it there
            if task.scope is scope:
                return


class GroupScope(CancelScope):
    """The scope of a task group.

    Attributes:
        roots: the scopes that the tasks of the group run in.
    """

    __slots__ = ("roots",)

    def __init__(self) -> None:
        super().__init__()
        self.roots: dict[CancelScope, None] = {}

    def _roots(self) -> Iterable[CancelScope]:
        """Return them."""
        return self.roots


def set_alarm(task: Task[Any], deadline: float) -> None:
    """Have the deadlines of `task` looked at by `deadline`, at the latest. The mutex is held."""
    timers = task.scheduler.timers
    if task.alarm is not None:
        timers.cancel(task.alarm)
    task.alarm = MovableEntry(deadline, task.ring)
    task.scheduler.arm(task.alarm)


def note_deadlines(task: Task[Any]) -> None:
    """Look anew until when each scope of `task` may go on, after a change. The mutex is held."""
    while True:
        innermost = task.scope
        until = _INFINITY
        for scope in reversed(scopes_of(task)):
            if not scope.cancel_called:
                until = min(until, scope._deadline)
            scope.until = until
        alarm = task.alarm
        if alarm is not None and alarm.deadline <= until:
            alarm.wanted = until
        elif until < _INFINITY:
            set_alarm(task, until)
        if task.scope is innermost:
            return


def cancel_what_is_due(task: Task[Any]) -> None:
    """Cancel the scopes of `task` whose deadlines have passed. The mutex is held."""
    now = task.scheduler.now()
    due = [scope for scope in scopes_of(task) if scope._deadline <= now and not scope.cancel_called]
    for scope in sorted(due, key=lambda scope: scope._deadline):
        scope._cancel(Cause.DEADLINE)
    note_deadlines(task)


def scopes_of(task: Task[Any], outermost: CancelScope | None = None) -> list[CancelScope]:
    """Return the scopes that `task` has entered and not left, the innermost first.

    Args:
        task: it. The mutex is held.
        outermost: the last one, with which it ends; if `task` is not inside it, there are none. By
            default all but that of the task itself.
    """
    scopes: list[CancelScope] = []
    scope = task.scope
    while scope is not None:
        if outermost is None and scope is task.root:
            return scopes
        scopes.append(scope)
        if scope is outermost:
            return scopes
        if scope is task.root:
            break
        scope = scope.parent
    return [] if outermost else scopes


class timeout_at(CancelScope):  # noqa: N801 - used like a function, as asyncio.timeout_at
    """``with timeout_at(deadline):`` cancels the block at `deadline` and raises TimeoutError.

    Args:
        deadline: seconds on the clock of the context; one in the past cuts the first operation.

    Raises:
        TimeoutError: at the end of the block, if the deadline ended an operation in it.
    """

    __slots__ = ()

    _raises = True


_new = object.__new__


def timeout(seconds: float | None) -> timeout_at:
    """Return a block that is cancelled after so many seconds, and then raises TimeoutError.

    As in ``with timeout(5): ...``.

    Args:
        seconds: how long, from the moment the block is entered; None for no limit.

    Raises:
        TimeoutError: at the end of the block, if the deadline ended an operation in it.
        ValueError: `seconds` is not a number.
    """
    if seconds is None:
        seconds = _INFINITY
    elif seconds != seconds:  # noqa: PLR0124 - NaN, without a call
        raise ValueError("a timeout must be a number of seconds, not NaN")
    # A function, which fills in what `CancelScope` does: making an object by its class, which calls the
    # constructor, costs twice as much.
    scope = _new(timeout_at)
    scope._seconds = seconds
    scope._deadline = _INFINITY
    scope._task = scope.parent = None
    scope._shield = scope.cancel_called = False
    return scope

"""Cancel scopes: what they reach, and when."""

from __future__ import annotations

from ..model import Edit, Mutant, program, scenario, simulated, test

AREA = "scope"

MUTANTS = (
    Mutant(
        "a-cancelled-scope-still-does-io",
        AREA,
        "cancel.pre-cancelled: corosio 5c1194c, 4a739fc, the call was made before the token was read",
        (
            Edit(
                "task.py",
                """
                if self.interrupted:
                    self.credit = 0
                    if refusals < _PATIENCE:
                """,
                """
                if self.interrupted:
                    if refusals < _PATIENCE:
                """,
            ),
            Edit(
                "task.py",
                """
                if self.interrupted:  # in this order: who interrupts says so, and then takes the budget
                    self.credit = 0
                """,
                "",
            ),
            Edit(
                "scope.py",
                "task.credit = 0  # its next operation suspends, and learns it there",
                "pass",
            ),
        ),
        (scenario("cancel.pre-cancelled"),),
    ),
    Mutant(
        "a-moved-deadline-has-no-effect",
        AREA,
        "timer.reschedule: twisted PR 1232, libevent 8c36acd0",
        (
            Edit(
                "scope.py",
                """
                if self in scopes_of(task):  # not left yet
                    if deadline <= task.scheduler.now():
                        self._cancel(Cause.DEADLINE)
                    note_deadlines(task)
                """,
                "pass",
            ),
        ),
        (scenario("timer.reschedule"),),
    ),
    Mutant(
        "a-scope-that-is-left-stays-armed",
        AREA,
        "cancel.tie-with-deadline: tornado 7bf3b143, a timer that fires for what is over",
        (
            Edit(
                "scope.py",
                """
                if alarm is not None:
                    until = alarm.wanted = parent.until
                """,
                """
                if alarm is not None:
                    until = parent.until
                """,
            ),
        ),
        (test("reactor/test_scope.py"),),
    ),
    Mutant(
        "a-scope-absorbs-what-was-meant-for-another",
        AREA,
        "cancel.tie-with-deadline: gh-86296, a cancellation from outside swallowed by wait_for",
        (
            Edit(
                "scope.py",
                """
                if (
                    error is None
                    or not self.cancel_called
                    or task.interrupted
                    or not isinstance(error, OperationCancelled)
                    or not error.scoped
                ):
                """,
                "if not self.cancel_called or not isinstance(error, OperationCancelled):",
            ),
        ),
        (test("reactor/test_scope.py"),),
    ),
    Mutant(
        "behind-a-shield-the-budget-goes-on",
        AREA,
        "cancel.pre-cancelled: found by a generated program, kqueue on freebsd",
        (
            Edit(
                "scope.py",
                """
                if self._shield or task.interrupted:
                    with task.scheduler.mutex:
                        self._refresh(task)
                """,
                "task.interrupted = parent.reached()",
            ),
        ),
        (simulated("epoll", "linux"), test("reactor/test_scope.py")),
    ),
    Mutant(
        "a-cancel-talks-over-a-deadline",
        AREA,
        "cancel.tie-with-deadline: this project's own, found by `cancel-vs-enter` of the explorer",
        (
            Edit(
                "scope.py",
                "if self._task is None:",
                """
                if self._task is None:
                    self._cause = _CANCEL
                """,
            ),
        ),
        (program("cancel-vs-enter"),),
    ),
    Mutant(
        "a-child-is-reached-before-it-has-a-scope",
        AREA,
        "cancel.task-group: found by a generated program with two threads",
        (
            Edit(
                "taskgroup.py",
                "scheduler.start(task, self._scope)",
                """
                scope = CancelScope.of_task(task)
                with scheduler.mutex:
                    scope.parent = self._scope
                    self._scope.roots[scope] = None
                    task.interrupted = scope.reached()
                task.root = task.scope = scope
                scheduler.start(task)
                """,
            ),
        ),
        (test("kernel/test_simulate.py::test_what_was_found_once_stays_away"),),
    ),
)

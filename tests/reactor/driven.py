"""Threads that go as far as a test says: the explorer's ground, driven from outside.

The explorer asks a strategy at each step who goes on. Here nobody is asked: a test lets one worker
go for a number of steps, or until it has to wait for others, and then looks at what has become of
everything. So the moves of a Hypothesis state machine are the schedule, and it shrinks with them.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from harness.explore.control import Execution
from harness.explore.ground import Ground
from harness.explore.steps import Step, Stopped, Violation
from harness.explore.strategies import Straight
from harness.explore.track import TrackedQueue
from reactor.scheduler import TURN

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.explore.control import Crew, Worker

#: Steps without a wait after which a worker is taken for one that spins.
MOST = 3_000


class Driven(Execution):
    """An execution without a strategy.

    Attributes:
        workers: the threads; one whose `finished` is true can be given something to do.
        tracking: accesses to shared state without the mutex are steps, too.
    """

    def __init__(self, crew: Crew, count: int, *, tracking: bool = False) -> None:
        super().__init__(Straight())
        self.workers = self._workers = list(crew.take(count))
        self.tracking = tracking
        self._left = 0
        self._stopped: set[Worker] = set()
        self._driver = threading.Lock()
        self._driver.acquire()
        for worker in self.workers:
            worker.execution, worker.finished, worker.locks = self, True, 0

    # -- For the test

    def give(self, worker: Worker, name: str, function: Callable[[], object]) -> None:
        """Have `worker`, which has nothing to do, call `function`; it does not begin yet."""
        assert worker.finished
        worker.name, worker.function = name, function
        worker.finished, worker.step = False, Step("", False, "begins")
        self._living += 1

    def can(self, worker: Worker) -> bool:
        """Tell whether `worker` can take its next step."""
        if worker.finished or self.over:
            return False
        enabled = worker.step.enabled
        return enabled is None or enabled()

    def go(self, worker: Worker, steps: int = 0) -> bool:
        """Let `worker` take so many steps, or with 0 all until it waits; False when it cannot."""
        if not self.can(worker):
            return False
        self._left = steps or MOST
        self._resume(worker)
        if self._left == 0 and not steps and not worker.finished:
            self.fail("endless", f"{worker.name} goes on and on: {worker.step.label}")
        return True

    def go_all(self) -> None:
        """Let everybody go until nobody can."""
        for _ in range(MOST):
            gone = [self.go(worker) for worker in self.workers]
            if not any(gone):
                return
        self.fail("endless", "the threads keep each other going")

    def end(self) -> None:
        """Make every worker unwind."""
        self.over = True
        for worker in self.workers:
            if not worker.finished:
                self._resume(worker)

    def _resume(self, worker: Worker) -> None:
        self.current = worker
        worker.baton.release()
        self._driver.acquire()
        self.current = None

    # -- For the workers

    def step(
        self, key: str, write: bool, label: str, enabled: Any = None, *_: Any, **__: Any
    ) -> None:
        """As `Execution.step`; who may not go on gives the control back."""
        me = self._stepping()
        if me is None:
            return
        me.step = Step(key, write, label, enabled)
        self._left -= 1
        if self._left > 0 and (enabled is None or enabled()):
            return
        self._driver.release()
        me.baton.acquire()
        if self.over:
            self._unwind(me)

    def _unwind(self, me: Worker) -> None:
        """Once: who catches that, as `close` does whatever a task raises, gets to its end."""
        if me in self._stopped:
            return
        try:
            super()._unwind(me)
        except Stopped:
            self._stopped.add(me)
            raise

    def access(self, thing: object, name: str, write: bool) -> None:
        """Only without a lock is an access a step: with it, no other thread could tell."""
        me = self.current
        if me is not None and self.tracking and not me.locks and not self.over:
            self.step(name, write, name)

    def released(self, key: str) -> None:
        """Nobody keeps a clock."""

    def left(self, worker: Worker, error: BaseException | None) -> None:
        """`worker` has nothing to do any more."""
        worker.finished = True
        self._living -= 1
        if error is not None and self.violation is None:
            self.violation = Violation("exception", f"{type(error).__name__}: {error}")
        self._driver.release()

    def fail(self, kind: str, detail: str) -> None:
        """Record a violation; the test looks for it after every move."""
        if self.violation is None:
            self.violation = Violation(kind, detail)
        if self.current is not None:
            self.over = True
            self._unwind(self.current)


class CountedQueue(TrackedQueue):
    """A queue of the scheduler, which writes down who took what off it."""

    def __init__(self, execution: Execution, key: str, ledger: Ledger) -> None:
        super().__init__(execution, key)
        self._ledger = ledger

    def append(self, item: Any, /) -> None:
        """As `deque.append`."""
        super().append(item)
        if item is TURN:
            self._ledger.turn = None

    def extend(self, items: Any, /) -> None:
        """As `deque.extend`."""
        super().extend(items)
        if TURN in items:  # it has put what it took before the turn that it has
            self._ledger.turn = None
            me = self._execution.current
            assert me is not None
            self._ledger.taken[me.index] -= len(items) - 1

    def popleft(self) -> Any:
        """As `deque.popleft`."""
        me, ledger = self._execution.current, self._ledger
        if me is ledger.turn and self is ledger.queues[0]:
            ledger.turn = None  # it has not put it back, and goes on without
        item = super().popleft()
        if item is TURN:
            ledger.turn = me
        elif me is not None:
            ledger.taken[me.index] += 1
        return item


class Ledger(Ground):
    """The ground, with counted queues.

    Attributes:
        taken: how many handlers each worker took, by its index.
        turn: the worker that took the reactor turn off, until it takes something else or puts it back.
    """

    def __init__(self, execution: Driven) -> None:
        super().__init__(execution)
        self.taken = dict.fromkeys((worker.index for worker in execution.workers), 0)
        self.turn: Worker | None = None

    def _make_queue(self, key: str) -> CountedQueue:
        return CountedQueue(self._execution, key, self)

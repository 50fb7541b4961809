"""Threads under control: one runs at a time, and before every step a strategy says which.

A *step* is an operation on a lock, a condition, the waker or the poller, or an access to shared
state of the reactor. A controlled thread announces its next step and waits until it is chosen; then
it performs that step and whatever private work follows, up to announcing the next one. What happens
between two announcements is therefore seen by the others as one piece.

The threads are real ones, so that the code under test finds the thread-local state that it expects;
they are kept between executions. Only the one that holds the baton runs, so nothing here is locked.
"""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any, Self

from .steps import ExploreError, Step, Stopped, Violation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

    from .steps import Strategy

#: Steps after which an execution is taken for one that never ends.
MOST_STEPS = 20_000


class Worker:
    """A controlled thread.

    Attributes:
        index: its number in the execution, from 0.
        name: for people.
        step: what it is about to do.
        finished: it has returned.
        frame: where it announced that step; `raised` what it handles there. Both only if somebody
            takes fingerprints.
    """

    def __init__(self, index: int) -> None:
        self.index = index
        self.name = f"T{index + 1}"
        self.finished = True
        self.step = _BEGIN
        self.locks = 0  # that it holds
        self.where = ""  # in the reactor, if somebody watches
        self.frame: FrameType | None = None
        self.raised: BaseException | None = None
        self.function: Callable[[], object] = lambda: None
        self.execution: Execution | None = None
        self.baton = threading.Lock()
        self.baton.acquire()
        threading.Thread(target=self._live, name=f"explore-{index + 1}", daemon=True).start()

    def _live(self) -> None:
        while True:
            self.baton.acquire()
            execution = self.execution
            if execution is None:
                return
            error: BaseException | None = None
            try:
                if not execution.over:
                    self.function()
            except Stopped:
                pass
            except BaseException as exc:  # noqa: BLE001 - it is the finding
                error = exc
            execution.left(self, error)

    def retire(self) -> None:
        """End the thread; it has no execution."""
        self.execution = None
        self.baton.release()


_BEGIN = Step("", write=False, label="begins")


class Crew:
    """The threads, kept between executions; a context manager."""

    def __init__(self) -> None:
        self._workers: list[Worker] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        while self._workers:
            self._workers.pop().retire()

    def take(self, count: int) -> list[Worker]:
        """Return `count` idle threads."""
        while len(self._workers) < count:
            self._workers.append(Worker(len(self._workers)))
        return self._workers[:count]


class Everything:
    """Holds whatever it is asked for."""

    def __contains__(self, thing: object) -> bool:
        return True


class Execution:
    """One run of a program's threads under one schedule.

    Attributes:
        now: virtual seconds; they pass only when nobody can go on.
        choices: the number of the thread that took each step, or made an access that was none.
        violation: what went wrong, if something did.
        over: no thread may take another step.
        cut: it was given up, by the strategy, or because of what was `learned`.
        merged: it was given up because everything from this state on has been seen.
        fingerprint: tells the state that it is in, None where that cannot be told.
        naked: attributes of shared state, by class and name, that are accessed without a lock.
        learned: one was added to them, so what was explored so far does not count.
    """

    def __init__(self, strategy: Strategy, naked: set[str] | None = None) -> None:
        self.naked: Any = Everything() if naked is None else naked
        self.learned = False
        self.now = 1000.0
        self.choices: list[int] = []
        self.violation: Violation | None = None
        self.over = False
        self.cut = False
        self.merged = False
        self.fingerprint: Callable[[], int | None] | None = None
        self.current: Worker | None = None
        self.on_step: Callable[[Worker, Step], None] | None = None
        self.stuck: Callable[[], Violation | None] = lambda: None
        self.next_deadline: Callable[[], float] = lambda: float("inf")
        self._strategy = strategy
        self._workers: list[Worker] = []
        self._living = 0
        self._last: Worker | None = None
        self._done = threading.Lock()
        self._ending = threading.Lock()  # guards _living: threads unwind beside each other
        self._names: dict[int, tuple[object, str]] = {}
        self._numbers: dict[str, int] = {}

    # -- For who runs it

    def run(self, crew: Crew, functions: Sequence[tuple[str, Callable[[], object]]]) -> None:
        """Run ``(name, function)`` pairs, each in a thread, until all have returned."""
        self._workers = crew.take(len(functions))
        self._living = len(functions)
        for worker, (name, function) in zip(self._workers, functions, strict=True):
            worker.name, worker.function = name, function
            worker.execution, worker.finished, worker.step = self, False, _BEGIN
            worker.locks, worker.where, worker.frame, worker.raised = 0, "", None, None
        self._done.acquire()
        if not functions:
            return
        first = self._pick(None)
        if first is None:
            self._stop()
        else:
            first.baton.release()
        self._done.acquire()
        self.current = None

    # -- For controlled threads

    def step(
        self,
        key: str,
        write: bool,  # noqa: FBT001 - hot
        label: str,
        enabled: Callable[[], bool] | None = None,
        ready: Callable[[], bool] | None = None,
        blocks: bool = False,  # noqa: FBT001, FBT002 - hot
        harmless: Callable[[], bool] | None = None,
        looks: Callable[[], Sequence[str]] | None = None,
    ) -> None:
        """Announce a step and return when it is to be done; outside of a run, at once."""
        me = self._stepping()
        if me is None:
            return
        me.step = Step(key, write, label, enabled, ready, blocks, harmless, looks)
        if self.fingerprint is not None:
            me.frame, me.raised = sys._getframe(1), sys.exc_info()[1]
        if self.on_step is not None:
            me.where = _where()  # now: once it is chosen, another thread may be on the stack
        chosen = self._pick(me)
        if chosen is None:
            self._stop(but=me)
        elif chosen is not me:
            chosen.baton.release()
            me.baton.acquire()
        # Now, while all of them run anyway: later, what they alone kept would be finalised then,
        # and its steps belong to nobody.
        me.frame = me.raised = None
        if self.over:
            raise Stopped

    def _stepping(self) -> Worker | None:
        """The thread that takes a step; None outside of a run, and for a finaliser after its end.

        Raises:
            Stopped: the run is over, and the thread has to unwind.
        """
        if self.current is None or not self.over:
            return self.current
        self._unwind(self.current)
        return None

    def _unwind(self, me: Worker) -> None:
        """Stop a thread of a run that is over; a finaliser, after its end, is let go on."""
        if self._living and threading.current_thread().name.startswith("explore-"):
            raise Stopped

    def access(self, thing: object, name: str, write: bool) -> None:  # noqa: FBT001 - hot
        """An attribute of shared state is about to be read or written.

        It is a step only if somewhere the attribute is accessed without a lock. If nowhere, the
        lock orders the accesses, and no other thread could tell the difference.
        """
        me = self.current
        if me is None:
            return
        kind = f"{type(thing).__name__}.{name}"
        if kind not in self.naked:
            if self.over:
                return
            if me.locks:
                self.choices.append(me.index)
                if self.on_step is not None:
                    me.where = _where()
                    self.on_step(me, Step("", write, self._label(thing, name, write)))
                return
            # So far it was taken for one that a lock guards: begin anew, knowing better.
            self.naked.add(kind)
            self.learned = True
            self.cut = True
            self._stop(but=me)
            raise Stopped
        self.step(f"{self.name_of(thing)}.{name}", write, self._label(thing, name, write))

    def _label(self, thing: object, name: str, write: bool) -> str:  # noqa: FBT001 - hot
        return f"{'writes' if write else 'reads'} {self.name_of(thing)}.{name}"

    def released(self, key: str) -> None:
        """The running thread gives up a lock."""
        if self.current is not None and not self.over:
            self._strategy.released(key, self.current)

    def fail(self, kind: str, detail: str) -> None:
        """Record a violation, and end the execution if it runs."""
        if self.violation is None:
            self.violation = Violation(kind, detail)
        if self.current is not None and not self.over:
            self._stop(but=self.current)
            raise Stopped

    def name_of(self, thing: object) -> str:
        """Return a name that is the same in every execution with the same steps so far."""
        known = self._names.get(id(thing))
        if known is not None:
            return known[1]
        kind = type(thing).__name__
        number = self._numbers[kind] = self._numbers.get(kind, 0) + 1
        name = f"{kind}{number}"
        self._names[id(thing)] = (thing, name)  # kept alive, or its id would name another
        return name

    def unfinished(self) -> list[Worker]:
        """Return the threads that have not returned."""
        return [worker for worker in self._workers if not worker.finished]

    # -- Inside

    def left(self, worker: Worker, error: BaseException | None) -> None:
        """`worker` has returned."""
        worker.finished = True
        if error is not None and self.violation is None:
            self.violation = Violation("exception", f"{type(error).__name__}: {error}")
        with self._ending:
            self._living -= 1
            living = self._living
        if not living:
            self.over = True
            self._done.release()
        elif not self.over:
            chosen = self._pick_or_fail(worker) if error is None else None
            if chosen is None:
                self._stop(but=worker)
            else:
                chosen.baton.release()

    def _pick_or_fail(self, me: Worker) -> Worker | None:
        """As `_pick`, for a thread that has returned, and has nobody to raise an error to."""
        try:
            return self._pick(me)
        except ExploreError as exc:
            self.violation = Violation("exception", f"ExploreError: {exc}")
            return None

    def _pick(self, me: Worker | None) -> Worker | None:
        """Choose who takes the next step, and note it; None when the execution is over."""
        while True:
            ready = [
                worker
                for worker in self._workers
                if not worker.finished and ((enabled := worker.step.enabled) is None or enabled())
            ]
            if ready:
                break
            deadline = self.next_deadline()
            if deadline == float("inf"):
                self.current = None  # who looks around takes no steps
                self.violation = self.stuck() or Violation("deadlock", self.waiting())
                self.current = me
                return None
            self.now = max(self.now, deadline)
            self._strategy.barrier()
        if len(self.choices) >= MOST_STEPS:
            self.violation = Violation("endless", f"no end after {MOST_STEPS} steps")
            return None
        chosen = self._strategy.choose(self, ready, me)
        if chosen is None:
            self.cut = True
            return None
        self.current = chosen
        self.choices.append(chosen.index)
        if self.on_step is not None:
            self.on_step(chosen, chosen.step)
        return chosen

    def _stop(self, but: Worker | None = None) -> None:
        """Make every thread unwind."""
        self.over = True
        # First who, then release: with the last of them the execution ends, and its workers may be
        # in the next one already.
        waiting = [item for item in self._workers if item is not but and not item.finished]
        for worker in waiting:
            worker.baton.release()

    def waiting(self) -> str:
        """Say what each thread waits for."""
        return "; ".join(
            f"{worker.name} waits: {worker.step.label}"
            for worker in self._workers
            if not worker.finished
        )


def _where() -> str:
    """Name the innermost function of the reactor that the calling thread is in."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if str(frame.f_globals.get("__name__")).startswith("reactor."):
            return frame.f_code.co_qualname
        frame = frame.f_back
    return ""


class Active:
    """Where tracked attributes find the execution that runs."""

    execution: Execution | None = None

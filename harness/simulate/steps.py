"""What each step of a program does: the calls of the public API, and what is noted of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reactor import (
    CancelScope,
    Cause,
    ContextClosedError,
    TaskGroup,
    Timer,
    sleep,
    sleep_until,
    timeout,
    to_thread,
)

from .peers import PeerSteps
from .sockets import SocketSteps
from .stage import MOST_TASKS
from .things import Frame

if TYPE_CHECKING:
    from collections.abc import Callable

    from .program import Step, Steps

#: Ticks of `sleep_until`, in seconds, so that deadlines can be equal.
_TICK = 0.05


class Provoked(Exception):
    """What a posted call raises because the program says so."""


class StepPlayer(SocketSteps, PeerSteps):
    """Every step that there is."""

    # -- Ending

    def _do_cancel_task(self, step: Step) -> None:
        if self.world.tasks:
            task, frame = self.world.tasks[step.a % len(self.world.tasks)]
            self.world.tell("cancel", task.name)
            frame.called = True
            task.cancel()
            frame.done = True

    def _do_cancel_scope(self, step: Step) -> None:
        if self.world.scopes:
            number = step.a % len(self.world.scopes)
            frame = self.world.scopes[number]
            self.world.tell("cancel", "scope", number)
            frame.called = True
            assert frame.scope is not None
            frame.scope.cancel()
            frame.done = True

    # -- Timers

    def _timer(self, step: Step) -> Timer:
        while len(self.timers) < 2:
            self.timers.append(Timer(context=self.context))
        return self.timers[step.a % 2]

    async def _wait_sleep(self, frame: Frame, step: Step) -> None:
        due = self.world.now() + step.a / 1000
        await self._operate(
            self.world.start("sleep", None, "", frame, due=due), sleep(step.a / 1000)
        )

    async def _wait_sleep_until(self, frame: Frame, step: Step) -> None:
        due = self.world.begin_time + step.a * _TICK
        pending = self.world.start("sleep_until", None, "", frame, due=due)
        await self._operate(pending, sleep_until(due))

    async def _wait_timer_wait(self, frame: Frame, step: Step) -> None:
        timer = self._timer(step)
        pending = self.world.start("timer_wait", timer, "", frame, due=timer.deadline)
        await self._operate(pending, timer.wait())

    def _do_timer_set(self, step: Step) -> None:
        timer = self._timer(step)
        with self.world.ending(timer, Cause.CANCEL):
            timer.expires_after(step.b / 1000)

    def _do_timer_cancel(self, step: Step) -> None:
        timer = self._timer(step)
        with self.world.ending(timer, Cause.CANCEL):
            timer.cancel()

    # -- Tasks, threads, calls

    async def _wait_join(self, frame: Frame, step: Step) -> None:
        task, target = self.world.tasks[step.a % len(self.world.tasks)]
        if any(one is target for one in frame.reaching()):
            return  # nobody can wait for himself
        pending = self.world.start("join", task, "", frame)
        await self._operate(pending, task)
        if not task.done:
            self.world.find("single-completion", f"{pending} ended before it")

    async def _wait_in_thread(self, frame: Frame, step: Step) -> None:
        done: list[bool] = []

        def work() -> None:
            self.kernel.pause(step.a / 1000)
            done.append(True)

        pending = self.world.start("in_thread", done, "", frame)
        await self._operate(pending, to_thread(work))

    def _do_spawn(self, step: Step) -> None:
        if self.programs:
            self.start_task(self.programs[step.a % len(self.programs)])

    def _do_post(self, step: Step) -> None:
        if self.posted < 4 * MOST_TASKS:
            self._post(self.posted_call, step.body)

    def _post(self, call: Callable[[int, Steps], None], steps: Steps) -> None:
        self.posted += 1
        try:
            self.context.post(call, self.posted, steps)
        except ContextClosedError:
            self.posted -= 1
            raise

    def posted_call(self, number: int, steps: Steps) -> None:
        """What `post` posts."""
        self.ran += 1
        if self.world.alone and number != self.ran:
            self.world.find("in-order", f"posted call {number} ran as number {self.ran}")
        self.world.tell("posted call", number)
        if self.closed and self.world.alone:
            self.world.find(
                "close-drops-calls", f"posted call {number} ran while the context closed"
            )
        for step in steps:
            self.plain(step)

    def _do_fail(self, step: Step) -> None:
        """Raise out of a posted call; a task goes on, since nobody may be waiting for it."""
        if self.posted < 4 * MOST_TASKS:
            self._post(self.failing_call, ())

    def failing_call(self, number: int, steps: Steps) -> None:
        """What raises."""
        self.posted_call(number, steps)
        self.provoked += 1
        raise Provoked(f"posted call {number}")

    def _do_stop(self, step: Step) -> None:
        self.world.tell("stop")
        self.context.stop()

    def _do_busy(self, step: Step) -> None:
        """Let time pass, as a handler that computes does."""
        if not self.world.alone:
            self.world.late += step.a / 1000
        self.kernel.advance(step.a / 1000)

    # -- Blocks

    async def _wait_timeout(self, frame: Frame, step: Step) -> None:
        inner = Frame(frame)
        try:
            with timeout(step.a / 1000) as scope:
                inner.deadline = scope.deadline
                self.world.look_at(scope.deadline)
                await self.steps(inner, step.body)
        except TimeoutError:
            if inner.deadline is None or self.world.now() < inner.deadline:
                self.world.find("never-early", f"a timeout of {step.a} ms passed early")

    async def _wait_scope(self, frame: Frame, step: Step) -> None:
        with CancelScope() as scope:
            inner = Frame(frame, scope)
            self.world.scopes.append(inner)
            await self.steps(inner, step.body)
        if scope.cancelled_caught and not inner.called:
            self.world.find("no-cancel-unasked", "a scope absorbed a cancellation of another")

    async def _wait_shield(self, frame: Frame, step: Step) -> None:
        with CancelScope(shield=True):
            await self.steps(Frame(frame, shield=True), step.body)

    async def _wait_group(self, frame: Frame, step: Step) -> None:
        async with TaskGroup() as group:
            for number, one in enumerate(step.body):
                try:
                    group.spawn(self.steps, Frame(frame), (one,), name=f"child {number}")
                except ContextClosedError:
                    if not self.world.closing:
                        raise

    # -- Threads outside

    def _do_pause(self, step: Step) -> None:
        """Wait, in a thread outside."""
        self.kernel.pause(step.a / 1000)

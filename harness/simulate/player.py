"""Plays one program, and says whether every law held."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from reactor import ContextClosedError, IoContext, OperationCancelled

from ..kernel import Kernel, SimulatedSystem
from ..kernel.kernel import EPOCH, RunawayError
from ..kernel.nemesis import Nemesis, Preempt
from ..kernel.threads import AbandonedError, DeadlockError
from .steps import Provoked, StepPlayer
from .world import World

if TYPE_CHECKING:
    from ..kernel.threads import VirtualThread
    from .program import Program, Steps
    from .things import Finding

#: Calls that a program may make; one that makes more spins.
LIMIT: Final = 20_000

#: Seconds that everything may take to end, once it has been told to.
_GRACE: Final = 10.0

_LINE: Final = re.compile(r"(\d+) (.*)", re.DOTALL)


@dataclass(frozen=True)
class Outcome:
    """What came of playing a program.

    Attributes:
        findings: the laws that did not hold, in the order in which that was seen.
        digest: of everything that happened; the same in every play.
        calls: how many calls were made.
        timeline: one line for each.
    """

    findings: list[Finding]
    digest: str
    calls: int
    timeline: list[str] = field(default_factory=list)

    @property
    def first(self) -> Finding | None:
        """The first finding, None without one."""
        return self.findings[0] if self.findings else None


def play(program: Program, *, timeline: bool = False) -> Outcome:
    """Play a program.

    Args:
        program: it.
        timeline: keep what happened, to be shown.
    """
    return _Play(program).run(timeline=timeline)


class _Play:
    """One program on the stage."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.kernel = Kernel(program.dialect, program.seed)
        self.kernel.limit = LIMIT
        self.kernel.baton.current()
        system = SimulatedSystem(self.kernel)
        self.context = IoContext(program.backend, system=system)
        self.alone = program.threads == 1
        self.world = World(self.kernel, self.context, alone=self.alone and not program.outside)
        self.steps = StepPlayer(self.world, system, program.tasks)
        switches = [Preempt(number) for number in program.switches if number]
        self.nemesis = Nemesis(self.kernel, [*program.faults, *switches])
        self.inside = 0
        self.ended = 0  # threads that do not go into `run` again, without the main one
        self.rounds = 0  # how often `run` was allowed again
        self.surfaced = 0
        self.outside = len(program.outside)
        self.guard = self.context.work_guard() if self.outside else None
        self.over = False
        self.giving_up = False
        self.judge: VirtualThread | None = None

    def run(self, *, timeline: bool) -> Outcome:
        """Play it to the end."""
        kernel, world = self.kernel, self.world
        kernel.on_idle = self._idle
        try:
            for steps in self.program.tasks:
                self.steps.start_task(steps)
            for number, steps in enumerate(self.program.outside):
                kernel.spawn(f"outside {number}", lambda steps=steps: self._outside(steps))  # type: ignore[misc]  # bound now
            for number in range(2, self.program.threads + 1):
                kernel.spawn(f"runner {number}", self._other_runner)
            end = kernel.after(self.program.seconds, self._call_judge)
            self._runner()
            others = self.program.threads - 1
            kernel.sleep(
                lambda: self.ended == others and not self.outside, _GRACE, "the other threads"
            )
            self.over = True
            end.cancel()
            if self.judge is not None:
                self.judge.join()
            if not world.findings:
                self._close()
        except DeadlockError as exc:
            world.find("no-deadlock", str(exc))
        except RunawayError as exc:
            kernel.limit = math.inf
            world.find("no-spin", f"{exc}: {_busiest(kernel)}")
        except AbandonedError:
            pass  # there is a finding
        except Exception as exc:  # noqa: BLE001 - that is what is looked for
            world.find("no-exception", _origin(exc))
        lines = [_readable(line) for line in kernel.trace] if timeline else []
        outcome = Outcome(list(world.findings), kernel.digest(), kernel.calls, lines)
        if world.findings:
            self._abandon()
        return outcome

    # -- Threads

    def _other_runner(self) -> None:
        try:
            self._runner()
        finally:
            self.ended += 1

    def _runner(self) -> None:
        """One thread in `run`: until there is no work left."""
        kernel, context, world = self.kernel, self.context, self.world
        while not self.giving_up:
            round_ = self.rounds
            self.inside += 1
            try:
                self._drive()
            except Provoked:
                self.surfaced += 1
                continue
            except (DeadlockError, RunawayError, AbandonedError):
                raise
            except ContextClosedError:
                if not world.closing:
                    world.find("no-exception", "out of run: the context is closed")
                return  # it came to `run` after the end
            except Exception as exc:  # noqa: BLE001 - that is what is looked for
                self.world.find("no-exception", f"out of run: {_origin(exc)}")
                return
            finally:
                self.inside -= 1
            if not context.stopped or self.giving_up:
                self._no_work()
                return
            if kernel.baton.current().name == "main":
                kernel.sleep(lambda: not self.inside or self.giving_up, None, "all to stop")
                if world.closing:
                    return
                context.restart()
                self.rounds += 1
            else:
                kernel.sleep(
                    lambda round_=round_: self.rounds > round_ or self.giving_up or world.closing,  # type: ignore[misc]  # bound now
                    None,
                    "run to be allowed again",
                )
                if world.closing:
                    return

    def _drive(self) -> None:
        context = self.context
        if self.program.drive == "run" or not self.alone:
            context.run()
            return
        while not context.stopped and not self._done():
            begin = self.world.now()
            handlers = self.steps.ran + context.counters().handlers
            if self.program.drive == "run_one":
                context.run_one(0.02)
            else:
                context.run_for(0.02)
            quick = self.world.now() - begin < 0.019
            idle = handlers == self.steps.ran + context.counters().handlers
            if quick and idle and not context.stopped and not self._done():
                self.world.find(
                    "run-waits", f"{self.program.drive} returned early, and did nothing"
                )
                return

    def _done(self) -> bool:
        steps = self.steps
        return not self.context.task_count and steps.posted == steps.ran and not self.outside

    def _no_work(self) -> None:
        """`run` has returned by itself."""
        if self.alone and not self._done() and not self.world.closing:
            tasks = self.context.task_count
            self.world.find("run-returns-last", f"run returned, and {tasks} tasks were left")

    def _outside(self, steps: Steps) -> None:
        try:
            for step in steps:
                if self.giving_up or self.world.closing:
                    break
                self.steps.plain(step)
        except ContextClosedError:
            if not self.world.closing:
                self.world.find("no-exception", "the context is closed, and nobody has closed it")
        except Exception as exc:  # noqa: BLE001 - that is what is looked for
            self.world.find("no-exception", f"outside: {_origin(exc)}")
        finally:
            self.outside -= 1
            if not self.outside and self.guard is not None:
                self.guard.release()

    def _call_judge(self) -> None:
        if self.judge is None:
            self.judge = self.kernel.spawn("judge", self._judge)

    def _judge(self) -> None:
        """End what waits for ever: it is time, or something was found."""
        kernel, world = self.kernel, self.world
        if self.over or world.findings:
            self._give_up()
            return
        world.tell("the end:", self.program.end)
        if self.program.end == "cancel":
            for task, frame in list(world.tasks):
                frame.called = True
                task.cancel()
                frame.done = True
            # What is shielded, or joins itself in a circle, waits on.
            kernel.sleep(lambda: self.over or world.findings, _GRACE, "everything to end")
        world.closing = True
        if self.program.end == "close":
            self.steps.closed = True
            self.context.close()  # while others are in `run`
        else:
            self.context.stop()
        if not kernel.sleep(lambda: self.over or world.findings, _GRACE, "run to stop"):
            world.find("stop-stops", f"run goes on: {self.context.dump()}")
        self._give_up()

    def _give_up(self) -> None:
        if self.world.findings and not self.giving_up:
            self.giving_up = True
            self.context.stop()

    # -- Looking

    def _idle(self) -> bool:
        """Every thread waits: is that right?"""
        world, steps = self.world, self.steps
        if self.nemesis.busy or world.closing or world.findings or self.giving_up:
            return False
        stopped = self.context.stopped
        running = self.inside == self.program.threads and not stopped
        world.look(running=running)
        if stopped and self.inside:
            world.find("stop-stops", f"{self.inside} threads are still in run after stop")
        if running and steps.posted != steps.ran:
            left = steps.posted - steps.ran
            world.find("no-lost-wake-up", f"{left} posted calls wait, and so does every thread")
        if self.inside and self._done() and not self.context.task_count and not stopped:
            world.find("run-returns", f"{self.inside} threads are in run, without work")
        if world.findings:
            self._call_judge()
        return bool(world.findings)

    def _close(self) -> None:
        """Close everything, and see that nothing is left."""
        world, context = self.world, self.context
        world.closing = self.steps.closed = True
        context.close()
        for what in ("task", "timer", "descriptor"):
            if count := getattr(context, f"{what}_count"):
                world.find("nothing-left", f"{count} {what}s left")
        for peer in world.peers:
            self.steps.close_peer(peer)
        numbers = self.kernel.open_numbers()
        if numbers:
            kinds = [self.kernel.get(number).kind for number in numbers]
            world.find("nothing-left", f"descriptors left: {', '.join(kinds)}")
        if self.surfaced != self.steps.provoked:
            world.find(
                "nothing-swallowed",
                f"{self.steps.provoked} posted calls raised, and run did {self.surfaced} times",
            )
        world.accounts()

    def _abandon(self) -> None:
        """Take down what a finding has left standing."""
        self.kernel.limit = math.inf
        self.kernel.on_idle = bool
        self.kernel.nemesis = None
        self.kernel.baton.end()
        for task in list(self.context.scheduler.tasks):
            try:
                task._coro.close()
            except (Exception, OperationCancelled, AbandonedError):  # noqa: BLE001 - it is in pieces
                pass


def _origin(exc: BaseException) -> str:
    """Say what was raised, and where."""
    place = exc.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = "" if place is None else f" in {place.tb_frame.f_code.co_qualname}"
    return f"{type(exc).__name__}: {exc}{where}"


def _busiest(kernel: Kernel) -> str:
    """Name the calls of which there were most lately."""
    counts: dict[str, int] = {}
    for line in list(kernel.trace)[-1000:]:
        name = " ".join(line.split()[1:3])
        counts[name] = counts.get(name, 0) + 1
    most = sorted(counts, key=lambda name: -counts[name])[:4]
    return ", ".join(f"{name} {counts[name]} times" for name in most)


def _readable(line: str) -> str:
    """Write a line of the kernel's trace with the time since it began, in seconds."""
    found = _LINE.fullmatch(line)
    assert found is not None
    return f"{int(found[1]) / 1e9 - EPOCH:12.6f} {found[2]}"

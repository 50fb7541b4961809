"""Subjects: what is tested, behind a small adapter, and the run of one scenario against one.

A scenario talks to its `Lab`, the lab to a `Subject`. The sockets, acceptors and timers that a
subject hands out have the methods of this project's own (which are those of `socket`), so an
adapter for another event loop wraps its objects to look like them.
"""

from __future__ import annotations

import dataclasses
import random
import traceback
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import reactor
from reactor import backends
from reactor.operation import PARKED
from reactor.signals import ABSENT, WAITING

from .clock import FakeClock
from .errors import ScenarioUnsupported
from .faults import FaultTable
from .lab import Lab
from .trace import Trace
from .world import make_world

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable

    from reactor.system import System

    from .scenario import Scenario
    from .world import World


#: Seconds for which a turn of several threads lets the others have the interpreter.
_BREATH = 0.0002

#: So many of them a thread may take to fall asleep.
_BREATHS = 100


class Subject(Protocol):
    """What the lab needs of an event loop."""

    name: str

    def stream(self, sock: socket.socket) -> Any:
        """Take a connected or fresh stdlib socket over as a stream of the subject."""

    def fresh_stream(self, family: int) -> Any:
        """Make an unconnected stream."""

    def datagram(self, sock: socket.socket) -> Any:
        """Take a stdlib datagram socket over, connected or not."""

    def listen(self, family: int, address: Any, backlog: int, *, reuse_port: bool) -> Any:
        """Make a listening acceptor."""

    def acceptor(self, family: int) -> Any:
        """Make an acceptor that is neither bound nor listening."""

    def timer(self) -> Any:
        """Make a timer."""

    def spawn(self, function: Callable[..., Awaitable[Any]], *args: Any, name: str) -> Any:
        """Start a task; it has `cancel()`."""

    def post(self, function: Callable[..., object], *args: Any) -> None:
        """Have a function called by the loop, from any thread."""

    def event(self) -> Any:
        """Make an event: `set()` from any thread, `await wait()`."""

    async def turn(self) -> None:
        """Let everything that can run have one turn."""

    async def sleep(self, seconds: float) -> None:
        """Wait on the subject's clock."""

    def now(self) -> float:
        """Return the subject's clock."""

    async def cancelled(self, function: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        """Await ``function(*args)`` in a scope that is cancelled already."""

    async def within(
        self, seconds: float, function: Callable[..., Awaitable[Any]], *args: Any
    ) -> Any:
        """Await ``function(*args)`` under a deadline; TimeoutError when that cuts it."""

    def asleep(self, context: Any = None, threads: int = 1) -> bool:
        """Tell whether a thread of the loop is blocked in the poller, and `threads` sleep in all.

        Args:
            context: a fresh context of `Lab` instead of the one under test.
            threads: how many.
        """

    def wakeups(self, context: Any) -> int:
        """Return how often threads were woken that slept elsewhere than in the poller."""

    def parked(self, task: Any) -> bool:
        """Tell whether a task is suspended in an operation that nobody has ended yet."""

    def quiet(self) -> bool:
        """Tell whether nothing but the calling task can run."""

    def counters(self) -> dict[str, int]:
        """Return what the subject counts; at least ``waits``."""

    def left_over(self) -> dict[str, int]:
        """Return what is still alive: tasks, timers, descriptors."""


class ReactorSubject:
    """This project's own reactor."""

    name = "reactor"

    def __init__(self, context: reactor.IoContext, world: World, threads: int = 1) -> None:
        self.context = context
        self._pause = world.pause
        self._threads = threads

    def stream(self, sock: socket.socket) -> reactor.StreamSocket:
        """Take a stdlib socket over."""
        return reactor.StreamSocket.from_socket(sock, self.context)

    def fresh_stream(self, family: int) -> reactor.StreamSocket:
        """Make an unconnected stream."""
        return reactor.StreamSocket(family, context=self.context)

    def datagram(self, sock: socket.socket) -> reactor.DatagramSocket:
        """Take a stdlib datagram socket over."""
        return reactor.DatagramSocket.from_socket(sock, self.context)

    def acceptor(self, family: int) -> reactor.Acceptor:
        """Make an acceptor that is not listening."""
        return reactor.Acceptor(family, context=self.context)

    def listen(
        self, family: int, address: Any, backlog: int, *, reuse_port: bool
    ) -> reactor.Acceptor:
        """Make a listening acceptor."""
        acceptor = self.acceptor(family)
        acceptor.bind(address, reuse_port=reuse_port)
        acceptor.listen(backlog)
        return acceptor

    def timer(self) -> reactor.Timer:
        """Make a timer."""
        return reactor.Timer(context=self.context)

    def spawn(
        self, function: Callable[..., Awaitable[Any]], *args: Any, name: str
    ) -> reactor.Task[Any]:
        """Start a task."""
        return self.context.spawn(function, *args, name=name)

    def post(self, function: Callable[..., object], *args: Any) -> None:
        """Have a function called."""
        self.context.post(function, *args)

    def event(self) -> reactor.Event:
        """Make an event."""
        return reactor.Event(context=self.context)

    async def turn(self) -> None:
        """One turn of everybody, the poller included.

        With one thread, that is what yielding does. With more, another thread may lead, and be in
        the middle of anything: a wait that began after the call has ended when the one after it
        has begun.
        """
        scheduler = self.context.scheduler
        target = scheduler.waits + 2
        await reactor.sleep(0)
        while self._threads > 1 and scheduler.waits < target:
            with scheduler.mutex:
                scheduler.interrupt_leader()
            self._pause(_BREATH)  # gives the interpreter to the other threads; not a time to wait
            await reactor.sleep(0)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await reactor.sleep(seconds)

    def now(self) -> float:
        """The context's clock."""
        return self.context.time()

    async def cancelled(self, function: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        """Run in a cancelled scope; what ends the operation is raised on, out of the scope."""
        with reactor.CancelScope() as scope:
            scope.cancel()
            try:
                return await function(*args)
            except reactor.OperationCancelled as exc:
                cut = exc
                raise
        raise cut

    async def within(
        self, seconds: float, function: Callable[..., Awaitable[Any]], *args: Any
    ) -> Any:
        """Run under a timeout."""
        with reactor.timeout(seconds):
            return await function(*args)

    def asleep(self, context: reactor.IoContext | None = None, threads: int = 1) -> bool:
        """The leader is in a wait that may block, and so many others sleep on the condition."""
        scheduler = (self.context if context is None else context).scheduler
        signal = scheduler.signal
        if threads == 1:
            return signal.leader is WAITING
        with scheduler.mutex:
            return signal.leader is WAITING and signal.idle - signal.signalled >= threads - 1

    def wakeups(self, context: reactor.IoContext) -> int:
        """Those of the condition."""
        return context.scheduler._condition.wakeups  # type: ignore[attr-defined,no-any-return]

    def parked(self, task: reactor.Task[Any]) -> bool:
        """Its operation is PARKED."""
        operation = task.operation
        return operation is not None and operation.state is PARKED

    def quiet(self) -> bool:
        """Every other task is parked, no posted call waits, and the other threads sleep.

        One that was woken for what somebody else took is given the time to fall asleep again.
        """
        scheduler = self.context.scheduler
        me = reactor.current_task()
        for _ in range(_BREATHS):
            with scheduler.mutex:
                # A copy in one step: items are taken off it without the mutex.
                if any(isinstance(item, tuple) for item in scheduler.queue.copy()) or not all(
                    task is me or self.parked(task) for task in scheduler.tasks
                ):
                    return False
                if self._working(0 if scheduler.signal.leader is ABSENT else 1) <= 1:
                    return True
            self._pause(_BREATH)
        return False

    def _working(self, waiting: int) -> int:
        """Count the threads that neither follow nor are among the `waiting` ones."""
        signal = self.context.scheduler.signal
        return signal.runners - signal.idle + signal.signalled - waiting

    def at_rest(self, waiting: int) -> bool:
        """Tell whether nothing runs, given that so many threads are inside the poller's wait."""
        scheduler = self.context.scheduler
        with scheduler.mutex:
            return not scheduler.queued() and self._working(waiting) <= 0

    def counters(self) -> dict[str, int]:
        """The context's counters."""
        return dataclasses.asdict(self.context.counters())

    def left_over(self) -> dict[str, int]:
        """What the scenario and its lab should have ended."""
        return {
            "tasks": self.context.task_count,
            "timers": self.context.timer_count,
            "descriptors": self.context.descriptor_count,
        }


@dataclass
class SubjectReport:
    """How one run of one scenario went, as seen from inside the process."""

    status: str = "ERROR"
    reason: str = ""
    variant: str | None = None
    trace: list[dict[str, Any]] = field(default_factory=list)
    timeline: list[dict[str, Any]] = field(default_factory=list)
    counters: dict[str, int] = field(default_factory=dict)
    oracles: list[dict[str, Any]] = field(default_factory=list)
    info: dict[str, Any] = field(default_factory=dict)
    digest: str = ""
    dump: str | None = None


#: The world and the context under test in this process, for the watchdog that describes a hang.
_current: list[tuple[World, reactor.IoContext]] = []


def current_dump() -> str:
    """Describe what the reactor is doing right now; callable from any thread, never blocks long."""
    if not _current:
        return "no context is running"
    world, context = _current[-1]
    return world.dump(context)


def run_scenario(
    scenario: Scenario,
    *,
    spec: str,
    system: str,
    seed: int,
    threads: int,
    sink: Callable[[dict[str, Any]], None],
    ground: str = "live",
    dialect: str = "",
) -> SubjectReport:
    """Run `scenario` against the reactor with backend `spec`, in this process.

    Args:
        scenario: what to run.
        spec: backend specification, such as ``epoll+pipe``.
        system: ``live`` or ``posix``.
        seed: of the lab's random numbers, and of a simulated kernel's choices.
        threads: how many threads run the context.
        sink: is given each trace and timeline event as it happens.
        ground: ``live`` or ``sim``.
        dialect: of the simulated kernel.

    Returns:
        The report; failures of the scenario and of the oracles are in it, never raised.
    """
    world = make_world(ground, system=system, dialect=dialect, seed=seed)
    trace = Trace(sink, world.monotonic)
    clock = FakeClock() if scenario.clock == "fake" else None
    table = FaultTable()
    made = world.system(table, clock)
    if clock is not None:  # kernel timers know nothing of virtual time
        name, waker, _ = backends.parse(spec)
        spec = "+".join(filter(None, (name, waker, "timeout")))
    report = SubjectReport(trace=trace.events, timeline=trace.timeline)
    context = reactor.IoContext(spec, system=made)
    _current.append((world, context))
    try:
        subject = ReactorSubject(context, world, threads)
        if clock is not None and threads > 1:
            clock.at_rest = subject.at_rest
        lab = Lab(
            world=world,
            subject=subject,
            trace=trace,
            table=table,
            clock=clock,
            rng=random.Random(seed),
            make_context=lambda waker: reactor.IoContext(_with(spec, waker), system=made),
            wakers=lambda: _wakers(spec, made),
            permits=scenario.permits,
            threads=threads,
        )
        with world.prepared():
            _drive(context, lab, scenario, report)
        report.variant = lab.variant
        report.info = lab.information
        report.counters = subject.counters()
        if report.status != "TIMEOUT":
            _judge(report, subject, table)
    finally:
        _close(context, report)
        _current.pop()
        _leave(world, report)
    return report


def _with(spec: str, waker: str | None) -> str:
    """Return a backend specification with another waker, if one is given."""
    name, own, timer = backends.parse(spec)
    return "+".join(part for part in (name, waker or own, timer) if part)


def _wakers(spec: str, system: System) -> list[str]:
    found = []
    for waker in backends.backend_class(backends.parse(spec)[0]).wakers:
        try:
            reactor.IoContext(_with(spec, waker), system=system).close()
        except reactor.BackendError:
            continue
        found.append(waker)
    return found


def _drive(context: reactor.IoContext, lab: Lab, scenario: Scenario, report: SubjectReport) -> None:
    async def main() -> None:
        try:
            await scenario.function(lab)
            await lab.fresh_echo()
        except lab.world.hung:
            raise
        except ScenarioUnsupported as exc:
            report.status, report.reason = "UNSUPPORTED", str(exc)
        except AssertionError as exc:
            report.status, report.reason = "FAIL", _first_line(exc)
            _explain(exc)
        except BaseException as exc:  # noqa: BLE001 - whatever it is, it is the result
            report.status = "FAIL"
            report.reason = f"{type(exc).__name__}: {_first_line(exc)}"
            _explain(exc)
        else:
            report.status = "PASS"
        finally:
            await lab.finish()
            context.stop()

    def run_quietly() -> None:
        try:
            while not context.stopped and _run_once(context, lab):
                pass
        except lab.world.hung:
            pass  # the main thread is told, too

    guard = context.work_guard()
    task = context.spawn(main, name="scenario")
    helpers = [lab.world.thread(f"run-{number}", run_quietly) for number in range(1, lab.threads)]
    try:
        while not task.done:
            if not _run_once(context, lab):
                break
    except lab.world.hung as exc:
        report.status, report.reason = "TIMEOUT", _first_line(exc)
        report.dump = lab.world.dump(context)
        return
    finally:
        for end in (guard.release, context.stop):
            try:
                end()
            except BaseException as broken:  # noqa: BLE001 - the subject's fault, not the harness's
                lab.surfaced.append(broken)
        for helper in helpers:
            helper.join()
    if not task.done:
        report.status, report.reason = "FAIL", "run() returned before the scenario had ended"
    if lab.surfaced and report.status == "PASS":
        came = lab.surfaced[0]
        report.status = "FAIL"
        report.reason = f"came out of run(): {type(came).__name__}: {_first_line(came)}"
        _explain(came)


def _run_once(context: reactor.IoContext, lab: Lab) -> bool:
    """Run until the scenario's end stops it; True when an exception came out of `run` instead."""
    try:
        context.run()
    except lab.world.hung:
        raise
    except BaseException as exc:  # noqa: BLE001 - nothing is swallowed (law 10)
        lab.surfaced.append(exc)
        return True
    return False


def _judge(report: SubjectReport, subject: ReactorSubject, table: FaultTable) -> None:
    """The oracles that look at the subject from inside."""
    table.clear()
    left = subject.left_over()
    for name, count in left.items():
        report.oracles.append(
            {
                "name": f"no-leaked-{name}",
                "ok": count == 0,
                "detail": "" if count == 0 else f"{count} left: {subject.context.dump()}",
            }
        )


def _close(context: reactor.IoContext, report: SubjectReport) -> None:
    detail = ""
    verdict = report.status, report.reason
    try:
        context.close()
    except BaseException as exc:  # noqa: BLE001 - it is a finding
        detail = f"{type(exc).__name__}: {_first_line(exc)}"
    report.status, report.reason = verdict  # closing goes on with a scenario that has not ended
    report.oracles.append({"name": "clean-close", "ok": not detail, "detail": detail})


def _leave(world: World, report: SubjectReport) -> None:
    """End the world; it must be as it was found."""
    report.digest = world.digest()
    left = world.close()
    if world.virtual:
        detail = f"{len(left)} left open: {left}" if left else ""
        report.oracles.append({"name": "no-leaked-simulated-fd", "ok": not left, "detail": detail})


def _first_line(exc: BaseException) -> str:
    text = str(exc).strip() or type(exc).__name__
    return text.splitlines()[0]


def _explain(exc: BaseException) -> None:
    traceback.print_exception(exc)

"""The lab: what a scenario is given.

A scenario provokes something with *peers* (plain sockets, driven synchronously), lets the *subject*
react, and checks what it visibly did. It never names a backend, and never sleeps to synchronise: it
awaits outcomes, joins threads, or calls `settle`, which returns when nothing can happen any more.
Nor does it call the operating system: what it needs of one it asks of the lab's *world*, which may
be a simulated kernel.

The usual shape::

    @scenario(id="cancel.pending-recv", law=4, provenance="corosio d249ac3: ...")
    async def pending_recv(lab: Lab) -> None:
        '''A parked receive that is cancelled completes once and consumes nothing.'''
        sock, peer = lab.stream_pair()
        recv = await lab.parked("recv", sock.recv, 100)
        lab.cancel(recv)
        (await lab.outcome(recv)).cancelled()
        peer.send(b"hello")
        lab.equal(await sock.recv(100), b"hello", "what a second receive gets")
"""

from __future__ import annotations

import contextlib
import json
import socket
from typing import TYPE_CHECKING, Any

from .errors import ScenarioUnsupported
from .faults import FaultTable, Rule
from .helper import LabThread
from .outcome import Op, Outcome, observe
from .peer import SAFETY, Peer
from .provoke import Canary, Idle
from .trace import describe
from .workbench import Workbench

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    import reactor

    from .clock import FakeClock
    from .subject import Subject
    from .trace import Trace
    from .world import World

#: Turns after which `settle` concludes that the subject never comes to rest.
_PATIENCE = 20_000

#: So many quiet turns in a row count as rest: each asks the poller once more.
_QUIET_TURNS = 3

#: Seconds between two looks at whether a loop is asleep.
_LOOK = 0.0002


class Lab(Workbench):
    """The bench of one scenario.

    Attributes:
        world: the operating system beside the subject: sockets, threads, time, descriptors.
        rng: seeded random numbers; the only ones that a scenario may use.
        fake: the fake clock of a scenario declared with ``clock="fake"``; else None.
        table: the fault table (see `fault`).
        threads: how many threads run the subject.
        surfaced: exceptions that came out of `run()`; a scenario that provokes one takes it out,
            what is left at the end fails the scenario.
        variant: the permitted variant that was seen, if the scenario declares some.
        information: measured values, recorded and never judged.
    """

    def __init__(
        self,
        *,
        world: World,
        subject: Subject,
        trace: Trace,
        table: FaultTable,
        clock: FakeClock | None,
        rng: random.Random,
        make_context: Callable[[str | None], reactor.IoContext],
        wakers: Callable[[], list[str]],
        permits: Mapping[str, str],
        threads: int = 1,
    ) -> None:
        super().__init__(world, subject)
        self.trace = trace
        self.table = table
        self.rng = rng
        self.threads = threads
        self.variant: str | None = None
        self.information: dict[str, Any] = {}
        self.surfaced: list[BaseException] = []
        self._clock = clock
        self._make_context = make_context
        self._wakers = wakers
        self._permits = permits
        self._ops: list[Op] = []
        self._threads: list[LabThread] = []

    # -- Operations

    def start(self, label: str, function: Callable[..., Awaitable[Any]], *args: Any) -> Op:
        """Start ``function(*args)`` as a task of its own; it runs from the next turn on.

        Args:
            label: what the trace calls it; the same on every run.
            function: an async function or method of the subject.
            args: its arguments.
        """
        op = Op(label, self.subject.event())
        self._ops.append(op)
        self.trace.event(label, "start", " ".join(describe(arg) for arg in args))
        op.task = self.subject.spawn(observe, op, function, args, self.trace, name=label)
        return op

    async def parked(self, label: str, function: Callable[..., Awaitable[Any]], *args: Any) -> Op:
        """Start an operation that cannot complete yet, and return when it is parked.

        Raises:
            AssertionError: it completed.
        """
        op = self.start(label, function, *args)
        await self.settle()
        if op.done:
            raise AssertionError(f"{label} was to park, but ended: {op.result}")
        return op

    def start_cancelled(
        self, label: str, function: Callable[..., Awaitable[Any]], *args: Any
    ) -> Op:
        """Start an operation inside a scope that is cancelled already."""
        return self.start(label, self.subject.cancelled, function, *args)

    def start_within(
        self, label: str, seconds: float, function: Callable[..., Awaitable[Any]], *args: Any
    ) -> Op:
        """Start an operation under a deadline of `seconds`; TimeoutError if that cuts it."""
        return self.start(label, self.subject.within, seconds, function, *args)

    async def settle_parked(self, op: Op) -> None:
        """`settle`, and check that the operation is still pending."""
        await self.settle()
        self.still_parked(op)

    def cancel(self, op: Op) -> None:
        """Cancel the task of an operation."""
        self.trace.event(op.label, "cancel")
        op.task.cancel()

    def cancel_silently(self, op: Op) -> None:
        """As `cancel`, but only on the timeline: for a cancel whose moment depends on scheduling."""
        self.trace.mark(op.label, "cancel")
        op.task.cancel()

    async def outcome(self, op: Op) -> Outcome:
        """Wait for the end of an operation; it is recorded in the trace here.

        An operation that never ends is found by the harness, whose report says what it waits for.
        """
        await op.finished.wait()
        assert op.result is not None
        if not op.told:
            op.told = True
            self.trace.event(op.label, "outcome", str(op.result))
        return op.result

    async def result_of(
        self, label: str, function: Callable[..., Awaitable[Any]], *args: Any
    ) -> Outcome:
        """Start an operation and wait for its end."""
        return await self.outcome(self.start(label, function, *args))

    def still_parked(self, op: Op) -> None:
        """Check that an operation has not ended (after a `settle`)."""
        self.check(not op.done, f"{op.label} was to stay parked, but ended: {op.result}")

    # -- Turns and rest

    async def turns(self, count: int = 1) -> None:
        """Let everything that can run have so many turns, the poller included."""
        for _ in range(count):
            await self.subject.turn()

    async def settle(self) -> None:
        """Return when nothing of the subject can run and the poller has nothing to report.

        Raises:
            AssertionError: that does not happen: the subject spins.
        """
        quiet = 0
        for _ in range(_PATIENCE):
            await self.subject.turn()
            quiet = quiet + 1 if self.subject.quiet() else 0
            if quiet == _QUIET_TURNS:
                return
        raise AssertionError("the subject does not come to rest: something keeps running")

    async def idle(self, seconds: float = 0.25) -> Idle:
        """Leave the subject alone and measure what it does: the spin oracle.

        Returns:
            Waits of the poller and CPU seconds meanwhile; `Idle.check` judges them.
        """
        await self.settle()
        waits = self.subject.counters()["waits"]
        cpu = self.world.cpu()
        await self.subject.sleep(seconds)
        measured = Idle(
            waits=self.subject.counters()["waits"] - waits,
            cpu=self.world.cpu() - cpu,
            seconds=seconds,
        )
        self.trace.mark("lab", "idle", str(measured))
        return measured

    async def idle_untimed(self, seconds: float = 0.25) -> Idle:
        """As `idle`, with no timer armed: a helper thread ends the rest after `seconds`."""
        await self.settle()
        waits = self.subject.counters()["waits"]
        cpu = self.world.cpu()
        await self.join(self.thread(self.world.pause, seconds))
        return Idle(
            waits=self.subject.counters()["waits"] - waits,
            cpu=self.world.cpu() - cpu,
            seconds=seconds,
        )

    def idle_of(self, context: reactor.IoContext, seconds: float = 0.25) -> Idle:
        """As `idle`, of a fresh context that helper threads run; the scenario stands still."""
        waits = context.counters().waits
        cpu = self.world.cpu()
        self.world.pause(seconds)
        return Idle(
            waits=context.counters().waits - waits,
            cpu=self.world.cpu() - cpu,
            seconds=seconds,
        )

    async def check_no_spin(self, seconds: float = 0.25) -> None:
        """Check that an idle subject neither polls nor burns CPU (law 2)."""
        (await self.idle(seconds)).check()

    # -- Other threads and posted calls

    def post(self, function: Callable[..., object], *args: Any) -> None:
        """Have a function called by the loop."""
        self.subject.post(function, *args)

    def post_alone(self, function: Callable[..., object], *args: Any) -> None:
        """As `post`, with every other thread of the subject held meanwhile.

        So whatever the function does is one event for the subject, on any number of threads.
        """
        held = self.world.semaphore()
        done = self.world.event()

        def hold() -> None:
            held.release()
            done.wait()

        def act() -> None:
            try:
                for _ in range(self.threads - 1):
                    held.acquire()
                function(*args)
            finally:
                done.set()

        for _ in range(self.threads - 1):
            self.post(hold)
        self.post(act)

    def thread(self, function: Callable[..., Any], *args: Any) -> LabThread:
        """Start a helper thread; `join` it, or let the lab do it at the end."""
        thread = LabThread(self.world, function, args, self.subject.event())
        self._threads.append(thread)
        return thread

    def when_asleep(self, function: Callable[..., Any], *args: Any, op: Op) -> LabThread:
        """Start a helper thread for ``function(*args)``, to be called while the loop is asleep.

        That is once `op` is parked and the loop is blocked in its poller.
        """

        def wait_and_call() -> Any:
            # A condition polled from outside, not a time to wait: the subject is not touched.
            while not (self.subject.parked(op.task) and self.subject.asleep()):
                self.world.pause(0.0005)
            return function(*args)

        return self.thread(wait_and_call)

    def until_asleep(self, context: reactor.IoContext | None = None, threads: int = 0) -> None:
        """Block the calling thread until every thread of a loop is asleep, one in the poller.

        Args:
            context: a fresh context that helper threads run. By default the one under test: then
                only a helper thread may call this, since the scenario itself keeps it awake.
            threads: how many threads run it; by default 1, or those of the one under test.

        Raises:
            AssertionError: that does not happen within the safety timeout.
        """
        wanted = threads or (self.threads if context is None else 1)
        give_up = self.world.monotonic() + SAFETY
        while not self.subject.asleep(context, wanted):
            if self.world.monotonic() > give_up:
                raise AssertionError("the loop does not fall asleep")
            self.world.pause(_LOOK)

    async def join(self, thread: LabThread) -> Any:
        """Wait for a helper thread without blocking the loop; returns what its function returned.

        Raises:
            BaseException: what the function raised.
        """
        await thread.finished.wait()
        thread.join()
        if thread.error is not None:
            thread.told = True
            raise thread.error
        return thread.value

    def fresh_context(self, waker: str | None = None) -> reactor.IoContext:
        """Make a second context like the one under test; the lab closes it at the end.

        For scenarios about `run`, `stop` and `close` themselves. Run it in the scenario's own
        thread, and the outer context stands still meanwhile; or in helper threads (`running`).

        Args:
            waker: one of `wakers`; by default that of the context under test.
        """
        context: reactor.IoContext = self.keep(self._make_context(waker))
        return context

    def wakers(self) -> list[str]:
        """Return the wakers that fresh contexts can have on this machine, each one tried."""
        return self._wakers()

    @contextlib.contextmanager
    def running(self, context: reactor.IoContext, threads: int = 1) -> Iterator[list[LabThread]]:
        """Inside, helper threads run a fresh context, and keep running it without work.

        They are asleep when the block begins. At its end they are stopped.

        Raises:
            AssertionError: one of them does not leave `run`.
            BaseException: what came out of a `run`.
        """
        with context.work_guard():
            runners = [self.thread(context.run) for _ in range(threads)]
            try:
                self.until_asleep(context, threads)
                yield runners
            finally:
                context.stop()
        for runner in runners:
            runner.ended()

    def wakeups(self, context: reactor.IoContext) -> int:
        """Return how often a thread of a context was woken, other than the one in the poller."""
        return self.subject.wakeups(context)

    # -- Provocations

    @property
    def clock(self) -> FakeClock:
        """The fake clock; only for scenarios declared with ``clock="fake"``."""
        if self._clock is None:
            raise AssertionError('this scenario has real time: declare it with clock="fake"')
        return self._clock

    def fault(
        self,
        call: str,
        *errors: int,
        answers: list[Callable[[Callable[[], Any]], Any]] | None = None,
        skip: int = 0,
        on: Any = None,
        repeat: int = 1,
    ) -> Rule:
        """Make the next calls of one kind fail or answer differently.

        Args:
            call: one of `harness.faults.CALLS`.
            errors: errno values, one per call.
            answers: functions of the real call, one per call, giving another answer.
            skip: let so many calls pass before.
            on: only on this socket (a subject's socket or a peer).
            repeat: how often the errors and answers are given, one after the other.

        Returns:
            The rule; `times` tells how many calls it affected.
        """
        fileno = None if on is None else on.fileno()
        return self.table.add(
            Rule(call, list(errors) * repeat, list(answers or ()) * repeat, skip, fileno)
        )

    def emfile(self) -> AbstractContextManager[None]:
        """Inside, every call that needs a new descriptor fails with EMFILE."""
        return self.world.out_of_descriptors()

    def signal_storm(self, interval: float = 0.001) -> AbstractContextManager[list[int]]:
        """Inside, the main thread's system calls are interrupted at 1 kHz (needs ``setitimer``)."""
        return self.world.signal_storm(interval)

    def canary(self, number: int) -> Canary:
        """Occupy a descriptor number that was just closed, and notice whoever touches it."""
        return self.keep(Canary(number, self.world))

    def forked(self, function: Callable[..., object], *args: Any) -> None:
        """Call a function in a forked child (needs ``fork``), which then exits, and wait for that.

        Of the threads only the calling one lives on in the child. The trace belongs to the parent.

        Raises:
            AssertionError: the function raised something in the child, or the child died or hung.
        """
        self.world.forked(function, *args)

    # -- Judging

    def check(self, condition: object, message: str) -> None:
        """Fail the scenario with `message` unless `condition` holds."""
        if not condition:
            raise AssertionError(message)

    def equal(self, seen: Any, expected: Any, what: str) -> None:
        """Fail unless `seen` equals `expected`; `what` says what was looked at."""
        if seen != expected:
            raise AssertionError(f"{what}: {describe(seen)}, expected {describe(expected)}")

    def permit(self, variant: str) -> None:
        """Record which of the scenario's declared variants was seen.

        Raises:
            AssertionError: it is not declared.
        """
        if variant not in self._permits:
            allowed = ", ".join(self._permits) or "none"
            raise AssertionError(f"variant {variant!r} is not permitted; allowed: {allowed}")
        self.variant = variant
        self.trace.event("lab", "permit", variant)

    def note(self, text: str) -> None:
        """Record a step in the trace; the same on every backend."""
        self.trace.event("lab", "note", text)

    def info(self, name: str, value: Any) -> None:
        """Record a measured value; it is never judged.

        Raises:
            AssertionError: JSON has no form for it, as for a NaN.
        """
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as exc:
            raise AssertionError(f"info {name}: {value!r} cannot be reported: {exc}") from exc
        self.information[name] = value
        self.trace.mark("lab", "info", f"{name} = {value}")

    def unsupported(self, reason: str) -> None:
        """End the scenario as UNSUPPORTED: this machine cannot provoke what it needs."""
        raise ScenarioUnsupported(reason)

    # -- The end

    async def fresh_echo(self) -> None:
        """The loop still serves: a new connection is accepted, and echoes (an oracle)."""
        self.table.clear()
        listener = self.subject.listen(socket.AF_INET, ("127.0.0.1", 0), 8, reuse_port=False)
        try:
            sock = self.world.create_connection(listener.getsockname(), SAFETY)
            with Peer(sock) as peer:
                stream = await listener.accept()
                try:
                    peer.send(b"still there?")
                    data = await stream.recv(100)
                    await stream.sendall(data)
                    self.equal(peer.drain(len(data)), b"still there?", "a fresh echo afterwards")
                finally:
                    stream.close()
        finally:
            listener.close()

    async def finish(self) -> None:
        """End what the scenario left: operations, helper threads, sockets."""
        self.table.clear()
        for op in self._ops:
            if not op.done:
                op.task.cancel()
        for thing in reversed(self._to_close):
            thing.close()
        for op in self._ops:
            await op.finished.wait()
        for thread in self._threads:
            await thread.finished.wait()
            thread.join()
            if thread.error is not None and not thread.told:
                self.surfaced.append(thread.error)

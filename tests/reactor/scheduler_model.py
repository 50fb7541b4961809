"""What the state machine of the scheduler believes: calls, tasks, sockets, timers and threads.

Everything here goes by what user code saw (it ran, it ended, a call returned) and by the order of
those moments, never by the scheduler's own books. Where a call is under way, the model does not know
on which side of it the scheduler is, and allows both.
"""

from __future__ import annotations

import contextlib
import math
import types
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import reactor
from harness.explore.control import Active, Crew
from harness.explore.pollers import BACKENDS
from reactor.operation import CLAIMED, PARKED
from tests.reactor.driven import Driven, Ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from harness.explore.control import Worker
    from harness.explore.ground import FakeSocket
    from reactor.stream import StreamSocket


class Boom(Exception):
    """Raised by handlers on purpose."""


@dataclass(eq=False, repr=False)
class Call:
    """A posted call."""

    name: str
    fails: bool = False
    gated: bool = False  # it goes on only when it is let
    then: Callable[[], object] | None = None
    begun: int = 0
    posted: int = 0  # when `post` had returned; 0 until then
    refused: bool = False
    ran: int = 0
    done: bool = False


@dataclass(eq=False, repr=False)
class Job:
    """A task, and what may still come of it."""

    name: str
    kind: str
    sock: Sock | None = None
    timer: reactor.Timer | None = None
    scope: reactor.CancelScope | None = None
    children: list[Job] = field(default_factory=list)  # of a group
    among: list[Job] = field(default_factory=list)  # of a child: all those of its group
    deadline: float = math.inf  # not before it, also while it is being moved
    moving: bool = False
    task: reactor.Task[Any] | None = None
    spawned: bool = False
    refused: bool = False
    called: int = 0  # when it began to wait
    parked: int = 0  # when it was first seen to wait
    behind: list[Job] = field(default_factory=list)  # those that were on their way to go on then
    may_cancel: bool = False
    must: str = ""
    told: bool = False  # of a cancel that came after readiness: it may complete, and not wait again
    ends: list[str] = field(default_factory=list)
    ended: int = 0

    def __repr__(self) -> str:
        return self.name

    @property
    def resuming(self) -> bool:
        """Whether its operation has been claimed, and it has not gone on yet."""
        op = None if self.task is None else self.task.operation
        return op is not None and op.state is CLAIMED

    @property
    def waiting(self) -> bool:
        """Whether it is suspended in an operation that nobody has claimed."""
        op = None if self.task is None else self.task.operation
        return op is not None and op.state is PARKED


@dataclass(eq=False, repr=False)
class Sock:
    """A socket, and what was done to it."""

    stream: StreamSocket
    fake: FakeSocket
    sent: bytes = b""  # to it, by its peer
    received: bytes = b""
    closing: bool = False
    closed: bool = False  # `close` has returned
    cancels: int = 0  # operations that `cancel` says it ended
    sends: dict[bytes, str] = field(default_factory=dict)


@dataclass(eq=False, repr=False)
class Turn:
    """A thread inside `run` or one of its relatives."""

    how: str
    deadline: float
    began: int
    taken: int  # handlers that its thread had taken before


class World:
    """One context, its threads, and the model beside it.

    Args:
        crew: whose threads to use.
        backend: one of the explorer's.
        tracking: whether accesses to shared state without the mutex are steps.
    """

    def __init__(self, crew: Crew, backend: str, *, tracking: bool) -> None:
        self.run = Driven(crew, 5, tracking=tracking)
        Active.execution = self.run
        self.ground = Ledger(self.run)
        self.context = reactor.IoContext(BACKENDS[backend], system=self.ground)
        self.scheduler = self.context.scheduler
        self.signal = self.scheduler.signal
        self.poller = self.ground.pollers[0]
        self.calls: list[Call] = []
        self.jobs: list[Job] = []
        self.socks: list[Sock] = []
        self.timers: list[reactor.Timer] = []
        self.timer_cancels = 0
        self.cancelling: Counter[object] = Counter()  # sockets and timers: calls under way
        self.guards: list[reactor.WorkGuard] = []
        self.turns: dict[Worker, Turn] = {}
        self.gated: dict[Worker, Call] = {}
        self.raised: list[str] = []  # by handlers whose failure nobody else hears of
        self.surfaced: list[str] = []  # out of `run` and `close`
        self.stopping = False
        self.closing = False
        self.now = 0  # a moment's number
        self.excused = 0  # when `run` last had a reason to return

    # -- Moments

    def tick(self) -> int:
        """Return the number of this moment."""
        self.now += 1
        if self.stopping or self.closing or not self.work():
            self.excused = self.now
        return self.now

    def work(self) -> int:
        """Return how much work there is for certain."""
        return sum(bool(call.posted) and not call.done for call in self.calls) + self.counted()

    def counted(self) -> int:
        """Return how much of it the signal state counts: all but posted calls."""
        return sum(job.spawned and not job.ends for job in self.jobs) + len(self.guards)

    def fail(self, kind: str, detail: str) -> None:
        """Something is not as it should be."""
        self.run.fail(kind, detail)

    @property
    def worker(self) -> Worker:
        """The thread that is running."""
        assert self.run.current is not None
        return self.run.current

    @contextlib.contextmanager
    def cancels(self, thing: object) -> Iterator[None]:
        """While this goes on, whoever waits for `thing`, or begins to, may be cancelled."""
        self.cancelling[thing] += 1
        for job in self.jobs:
            if not job.ends and thing in {job.sock, job.timer}:
                job.may_cancel = True
        yield
        self.cancelling[thing] -= 1

    # -- Posted calls

    def post(self, call: Call) -> None:
        """Post a call; from any thread."""
        self.calls.append(call)
        call.begun = self.tick()
        try:
            self.context.post(self._call, call)
        except reactor.ContextClosedError:
            call.refused = True
            if not self.closing:
                self.fail("wrong result", f"post of {call.name} refused by an open context")
        else:
            call.posted = self.tick()

    def _call(self, call: Call) -> None:
        call.ran += 1
        if call.ran > 1:
            self.fail("double completion", f"{call.name} ran twice")
        for other in self.calls:
            if other.posted and other.posted < call.begun and not other.ran:
                self.fail("wrong order", f"{call.name} ran before {other.name}")
        try:
            if call.gated:
                self.gated[self.worker] = call
                me = self.worker
                self.run.step("gate", True, "is held", lambda: not call.gated, None, True)
                del self.gated[me]
            if call.then is not None:
                call.then()
            if call.fails:
                self.raised.append(call.name)
                raise Boom(call.name)
        finally:
            call.done = True
            self.tick()

    # -- Tasks

    def spawn(self, job: Job, into: reactor.TaskGroup | None = None) -> None:
        """Start a task; from any thread, or in a group by its parent."""
        self.jobs.append(job)
        spawn = self.context.spawn if into is None else into.spawn
        try:
            job.task = spawn(self._task, job, name=job.name)
        except reactor.ContextClosedError:
            job.refused = True
            if not self.closing:
                self.fail("wrong result", f"{job.name} refused by an open context")
        else:
            job.spawned = True
            self.tick()

    @types.coroutine  # one that the end of an example leaves unstarted is no "never awaited"
    def _task(self, job: Job) -> Generator[Any, None, None]:
        yield from self._live(job)

    async def _live(self, job: Job) -> None:
        job.called = self.tick()
        job.may_cancel |= bool(self.cancelling[job.sock or job.timer])
        try:
            end = await getattr(self, f"_{job.kind}")(job)
        except reactor.OperationCancelled as exc:
            end = exc.cause_name
        except TimeoutError:
            end = "timeout"
        except reactor.ClosedError:
            end = "closed"
        except reactor.BusyError:
            end = "busy"
        except Boom:
            self.ended(job, "boom")
            raise
        self.ended(job, end)

    def ended(self, job: Job, end: str) -> None:
        """A task came to its end: was it allowed to, in this way?"""
        job.ends.append(end)
        job.ended = self.tick()
        late = self.run.now >= job.deadline
        allowed = {
            "ok": job.must in {"", "ok"} and (late or job.kind not in {"sleep", "timer"}),
            "cancel": job.may_cancel and job.must in {"", "cancel"},
            "close": self.closing or (job.sock is not None and job.sock.closing),
            "closed": self.closing or (job.sock is not None and job.sock.closing),
            "timeout": late and job.kind == "limited" and job.must in {"", "timeout"},
            # Both at once: the deadline ended the operation, and the cancelled task lets it pass.
            "deadline": late
            and job.kind == "limited"
            and (self.closing or (job.may_cancel and not job.must)),
            "busy": any(self._beside(job, other) for other in self.jobs),
            "boom": job.kind == "fail",
            "errors": job.kind == "group" and any("boom" in child.ends for child in job.children),
        }
        if len(job.ends) > 1 or not allowed[end]:
            self.fail("wrong result", f"{job.name} ended with {job.ends}, must be {job.must!r}")
        if job.kind == "sleep" and end == "ok" and len(self.turns) == 1:
            self._in_order(job)

    def _in_order(self, job: Job) -> None:
        """Law 7: by deadline, and among equal ones who came first; with two threads nobody could tell."""
        for other in self.jobs:
            first = other.deadline < job.deadline or (
                other.deadline == job.deadline and 0 < other.parked < job.called
            )
            if job in other.behind:
                continue  # it was due, and taken out, before the other was in the queue
            if other.kind == "sleep" and other.parked and first and not other.ends:
                self.fail("wrong order", f"{job.name} woke before {other.name}")

    @staticmethod
    def _beside(job: Job, other: Job) -> bool:
        """Tell whether `other` was pending in the same direction of the same socket.

        What was ended while it waited has left its place at once.
        """
        sending = "send" in job.kind
        same = other.sock is job.sock and ("send" in other.kind) is sending
        pending = other.called and not other.must and (not other.ends or other.ended > job.called)
        return other is not job and same and bool(pending)

    async def _recv(self, job: Job) -> str:
        assert job.sock is not None
        data = await job.sock.stream.recv(100)
        job.sock.received += data
        return "ok"

    async def _limited(self, job: Job) -> str:
        with reactor.timeout_at(job.deadline) as job.scope:
            return await self._recv(job)
        return "cancel"

    async def _scoped(self, job: Job) -> str:
        assert job.scope is not None
        with job.scope:
            return await self._recv(job)
        return "cancel"

    async def _send(self, job: Job) -> str:
        assert job.sock is not None
        data = job.name.encode()
        sent = job.sock.fake.sent
        try:
            await job.sock.stream.sendall(data)
        except (reactor.OperationCancelled, OSError) as exc:
            if sent.count(data) or getattr(exc, "transferred", 0):
                self.fail("lost byte", f"{job.name} was sent, and says {exc!r}")
            raise
        if sent.count(data) != 1:
            self.fail("lost byte", f"{job.name} was sent {sent.count(data)} times")
        return "ok"

    async def _sleep(self, job: Job) -> str:
        await reactor.sleep_until(job.deadline)
        return "ok"

    async def _timer(self, job: Job) -> str:
        assert job.timer is not None
        moving = self.cancelling[job.timer]  # by a call under way, to nobody knows when
        job.deadline = -math.inf if moving else job.timer.deadline
        await job.timer.wait()
        return "ok"

    async def _turns(self, _: Job) -> str:
        for _turn in range(3):
            await reactor.sleep(0)
        return "ok"

    async def _fail(self, job: Job) -> str:
        await reactor.sleep(0)
        for other in job.among:
            other.may_cancel = True
        if not job.among:
            self.raised.append(job.name)
        raise Boom(job.name)

    async def _group(self, job: Job) -> str:
        try:
            async with reactor.TaskGroup() as group:
                for child in job.children:
                    child.among = job.children
                    self.spawn(child, group)
        except BaseExceptionGroup as errors:
            failed = sorted(str(error) for error in errors.exceptions)
            expected = sorted(child.name for child in job.children if child.ends == ["boom"])
            if failed != expected:
                self.fail("wrong result", f"{job.name}: {failed} instead of {expected}")
            return "errors"
        finally:
            if any(child.spawned and not child.ends for child in job.children):
                self.fail("early return", f"{job.name} ended before its tasks")
        return "ok"

    # -- Threads

    def turn(self, how: str, seconds: float | None) -> None:
        """Be a thread in `run`, `run_one`, `run_for`, `poll` or `poll_one`."""
        me = self.worker
        deadline = math.inf if seconds is None else self.run.now + seconds
        turn = Turn(how, deadline, self.tick(), self.ground.taken[me.index])
        self.turns[me] = turn
        arguments = [] if seconds is None else [seconds]
        try:
            count = getattr(self.context, how)(*arguments)
        except Boom as exc:
            self.surfaced.append(str(exc))
        except reactor.ContextClosedError:
            if not self.closing:
                self.fail("wrong result", f"{how} refused by an open context")
        else:
            self._returned(turn, count, self.ground.taken[me.index] - turn.taken)
        finally:
            self.turns.pop(me, None)
            self.gated.pop(me, None)

    def _returned(self, turn: Turn, count: int, taken: int) -> None:
        self.tick()
        limit = 1 if "one" in turn.how else math.inf
        if count != taken or count > limit:
            self.fail("bad count", f"{turn.how} returned {count}, and ran {taken}")
        reason = count >= limit or self.run.now >= turn.deadline or "poll" in turn.how
        if not reason and self.excused < turn.began:
            self.fail("early return", f"{turn.how} returned {count} with work {self.work()}")

    def close(self) -> None:
        """Close the context."""
        self.closing = True
        self.tick()
        try:
            self.context.close()
        except BaseExceptionGroup as errors:
            self.surfaced += [str(error) for error in errors.exceptions]
        except Boom as exc:
            self.surfaced.append(str(exc))
        for (
            worker,
            turn,
        ) in self.turns.items():  # one that has run nothing may be about to be refused
            if self.context.closed and self.ground.taken[worker.index] > turn.taken:
                self.fail("use after close", f"a thread is still in {turn.how}")

    def leave(self) -> None:
        """Give everything back, whatever state it is in."""
        self.run.end()
        Active.execution = None
        for task in list(self.scheduler.tasks):
            task._coro.close()

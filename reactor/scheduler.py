"""The scheduler: one leader, any number of threads.

The queue holds tasks to step, posted calls, and once, or not at all, the *reactor turn*: a marker
whose owner is the leader. A thread that takes the marker off the queue asks the poller what is
ready, queues the tasks whose operations that ends, puts the marker back at the tail and goes on as
everybody else. While it is inside the kernel wait the marker is nowhere, so nobody else can lead:
law 8 holds by construction. And as handlers queued before the marker run before the next poll, and
those queued after it run after, neither I/O, timers nor posted calls starve each other. (The shape
is Boost.Asio's, whose reactor is an operation in its own queue.)

A thread that finds the queue empty while another leads becomes a follower and sleeps on the
condition. Whoever queues something asks `SignalState.wake` whom to wake: a follower, else the
leader, else nobody, because a thread that is awake will look.

A second thread brings a queue of its own, for the tasks that it has stepped last: when the poller calls
them ready they come to it again, which has their memory at hand, and not to whoever is first. (Without
the GIL two threads do more than one only so.) The first thread's are on the queue that is there anyway.
Nothing waits for a certain thread: one that has nothing to do takes from the others' queues before it
sleeps, and before it leads again after a turn that brought it nothing.

`mutex` guards all state here, in the signal state, the timer queue, the descriptors, operations,
scopes and wait lists of the context. The queues go without: their `popleft` and `append` are atomic.
A thread that finds them empty looks again under the mutex before it sleeps, after it has said that it
will; and a post, which takes no mutex, looks after it has queued its call whether somebody said so
(`SignalState.asleep`). One of the two sees the other, if each thread's accesses are seen in their
order: the GIL sees to that, and without it the lock inside every operation of a deque.
"""

from __future__ import annotations

import math
from collections import deque
from contextvars import Context
from typing import TYPE_CHECKING, Any, Final

from .descriptor import deliver
from .errors import Cause, ContextClosedError, ReactorError
from .fork import own
from .local import running
from .signals import ABSENT, WAKE_FOLLOWER, WAKE_LEADER, SignalState
from .task import Task
from .timerqueue import TimerEntry, TimerQueue

if TYPE_CHECKING:
    from collections.abc import Callable

    from .backends.base import Backend
    from .context import IoContext
    from .descriptor import Descriptor, Slot
    from .scope import GroupScope
    from .system import System

#: No wait is longer than this: poll and epoll take an int of milliseconds (24.8 days), Darwin's
#: select at most 1e8 s, and OpenBSD's kevent cuts at 24 hours without a word (kqueue(2), BUGS).
#: A wait that ends early for this reason finds nothing due and starts again.
MAX_WAIT: Final = 86_400.0

#: The reactor turn, on the queue while nobody leads.
TURN: Final = None

#: A posted call on the queue: ``variables.run(function, *args)``.
Call = tuple[Context, "Callable[..., object]", tuple[Any, ...]]


class NOTHING:
    """What no queue holds. A class, as the explorer tells these by their names."""


class Runner:
    """A thread inside `run`.

    Attributes:
        ident: of the thread.
        queue: for the tasks that it has stepped last: its own, or the scheduler's if no other runner
            has that; the scheduler's, too, once it has left. Filled under the mutex.
        task: the one that it steps, or stepped last. The thread's own.
    """

    __slots__ = ("ident", "queue", "task")

    task: Task[Any]  # from its first step on

    def __init__(self, ident: int, queue: deque[Any]) -> None:
        self.ident = ident
        self.queue = queue


class Scheduler:
    """Queues, work counting and the threads inside `run()` of one `IoContext`."""

    def __init__(self, context: IoContext, system: System, backend: Backend) -> None:
        self.context = context
        self.system = system
        self.backend = backend
        self.level = not backend.edge_triggered
        self.now: Callable[[], float] = system.monotonic
        self.mutex = system.lock()
        self._condition = system.condition(self.mutex)
        self.signal = SignalState()
        self.timers = TimerQueue()
        self.queue: deque[Any] = system.queue()
        self.queue.append(TURN)
        self._let_in(())
        self.tasks: dict[Task[Any], None] = {}
        self.descriptors: dict[Descriptor, None] = {}
        self.closing = False
        self.closed = False
        self.foreign = False  # this is a forked child's copy, not closed yet
        # Counters, all guarded by the mutex.
        self.waits = 0
        self.interrupts = 0
        self.deferrals = 0
        # By cause; not those of descriptors for readiness: see `dump.count`.
        self.claims = dict.fromkeys(Cause, 0)
        self.readied = 0  # parked operations of descriptors that became ready
        self.parks_ended = 0  # and those that were claimed for another cause
        self.timers_fired = 0
        self.handlers = 0
        self.spawned = 0
        self.retired = [0, 0, 0]  # hits, misses and partials of slots that are gone
        own(self)

    # -- Queueing, from any thread

    def push(self, item: Task[Any] | Call) -> None:
        """Queue `item` and see to it that a thread takes it. The mutex is held."""
        self.queue.append(item)
        if self.signal.asleep:
            self.wake()

    def start(self, task: Task[Any], parent: GroupScope | None = None) -> None:
        """Queue the first step of `task`; it is work until it is done.

        Args:
            task: it.
            parent: the scope whose cancel reaches it.

        Raises:
            ContextClosedError: the context takes no more work; the coroutine has been closed.
        """
        mutex = self.mutex
        mutex.acquire()  # not `with`: see `Task.step`
        try:
            if not self.closing:
                if parent is not None:
                    task.own_scope().put_below(parent)
                signal = self.signal
                signal.work += 1
                self.tasks[task] = None
                self.spawned += 1
                self.queue.append(task)
                if signal.asleep:
                    self.wake()
                return
        finally:
            mutex.release()
        task.refuse()
        raise self.refusal()

    def refusal(self) -> ContextClosedError:
        """Build the error for who gives work to a context that takes no more."""
        what = "belongs to the process that forked" if self.foreign else "is closed"
        return ContextClosedError(f"this IoContext {what}")

    def check_open(self) -> None:
        """Raise ContextClosedError unless the context takes work; it may be closed right after."""
        if self.closing:
            raise self.refusal()

    def finish_work(self) -> None:
        """Count work as done; who sleeps must look whether that was the last. The mutex is held."""
        signal = self.signal
        if signal.work > 1:
            signal.work -= 1
        else:
            signal.finish_work()
            self._wake_everybody()

    def wake(self) -> None:
        """Wake whoever has to take one more item off the queue. The mutex is held."""
        wake = self.signal.wake()
        if wake is WAKE_FOLLOWER:
            self._condition.notify()
        elif wake is WAKE_LEADER:
            self._write_waker()

    def _write_waker(self) -> None:
        # Under the mutex on purpose: `close` takes it too, so a wake-up is never written to a
        # number that belongs to somebody else by now.
        self.interrupts += 1
        if not self.backend.interrupt():
            self.signal.missed()

    def interrupt_leader(self) -> None:
        """Call the leader back, if it may be blocked. The mutex is held."""
        if self.signal.interrupt():
            self._write_waker()

    def _wake_everybody(self) -> None:
        self._condition.notify_all()
        self.interrupt_leader()

    def interest_wanted(self, descriptor: Descriptor) -> None:
        """Tell a level-triggered poller what to watch. The mutex is held.

        One that is waiting sees it only when it is called back.
        """
        self.backend.interest_changed(descriptor)
        self.interrupt_leader()

    # -- The queues of runners

    def _let_in(self, runners: tuple[Runner, ...]) -> None:
        """Have `runners` inside, and nobody else. The mutex is held."""
        common = self.queue
        self.runners = runners
        # The queues of runners beside the common one, and all.
        self.others = tuple(runner.queue for runner in runners if runner.queue is not common)
        self.queues = (common, *self.others)
        # The one that is inside, None if there are more, or none: for `perform`, without the mutex. A
        # thread that reads a runner here while it steps a task finds itself: whoever enters besides it
        # writes None before he steps anything, and whoever is named has stepped all along.
        self.alone = runners[0] if len(runners) == 1 else None

    def is_inside(self, ident: int) -> bool:
        """Tell whether thread `ident` is in `run`. The mutex is held."""
        return any(runner.ident == ident for runner in self.runners)

    def _enter(self, ident: int) -> Runner:
        """Let thread `ident` in. The mutex is held."""
        self.signal.enter()
        taken = any(runner.queue is self.queue for runner in self.runners)
        runner = Runner(ident, self.system.queue() if taken else self.queue)
        self._let_in((*self.runners, runner))
        return runner

    def _leave(self, runner: Runner) -> None:
        """Let `runner` out; what it has left is for the others. The mutex is held."""
        self.signal.leave()
        self._let_in(tuple(other for other in self.runners if other is not runner))
        runner.task = None  # type: ignore[assignment]  # which knows it, too; nobody asks any more
        own, runner.queue = runner.queue, self.queue
        if own is self.queue:
            return
        left: deque[Any] = deque()
        try:
            while True:  # its tasks go on elsewhere, in their order
                left.appendleft(own.pop())
        except IndexError:
            self.queue.extend(left)

    def hand_out(self, tasks: list[Task[Any] | None]) -> None:
        """Queue tasks that became ready, each where it was stepped last. The mutex is held."""
        if self.others:
            for task in tasks:
                task.runner.queue.append(task)  # type: ignore[union-attr]  # whose operation was parked
        else:
            self.queue.extend(tasks)

    @staticmethod
    def _take(queues: tuple[deque[Any], ...]) -> Any:
        """Take an item off one of `queues`, NOTHING if all are empty. The mutex is held."""
        for queue in queues:
            try:
                return queue.popleft()
            except IndexError:
                pass
        return NOTHING

    def queued(self) -> int:
        """How many items are on the queues."""
        count = 0
        for queue in self.queues:
            count += len(queue)
        return count

    # -- Timers and descriptors

    def add_timer(self, deadline: float, action: Callable[[], object]) -> TimerEntry:
        """Arm a timer; `action` runs in the leader with the mutex held. The mutex is held."""
        entry = TimerEntry(deadline, action)
        self.arm(entry)
        return entry

    def arm(self, entry: TimerEntry) -> None:
        """As `add_timer`, for an entry that has been made."""
        if self.signal.leader is not ABSENT and entry.deadline < self.timers.next_deadline():
            # It sleeps towards a later deadline.
            if self.backend.kernel_timer:
                self.backend.set_deadline(entry.deadline, self.now())
            else:
                self.interrupt_leader()
        self.timers.put(entry)

    def adopt(self, descriptor: Descriptor) -> None:
        """Own `descriptor` until it is closed."""
        mutex = self.mutex
        mutex.acquire()  # not `with`: see `Task.step`
        try:
            self.check_open()
            self.descriptors[descriptor] = None
        finally:
            mutex.release()

    def release(self, descriptor: Descriptor) -> None:
        """Forget `descriptor`, but not what it counted. The mutex is held."""
        self.descriptors.pop(descriptor, None)
        read, write, retired = descriptor.read, descriptor.write, self.retired
        retired[0] += read.hits + write.hits
        retired[1] += read.misses + write.misses
        retired[2] += read.partials + write.partials

    # -- Running

    def run(self, *, limit: int = -1, deadline: float = math.inf, block: bool = True) -> int:
        """Run handlers until there is no work, `stop`, `limit` of them (-1: any number), or `deadline`.

        Without `block`, return instead of waiting for anything.

        Returns:
            How many handlers this thread ran.
        """
        ident = self.system.get_ident()
        with self.mutex:
            self.check_open()
            if self.is_inside(ident):
                raise ReactorError("this thread is already inside run() of this IoContext")
            runner = self._enter(ident)
        outer, running.context = running.context, self.context
        count = 0
        counted = 0  # how many of them `handlers` has
        popleft = runner.queue.popleft
        signal = self.signal
        try:
            while not signal.stopped and count != limit:
                try:
                    item = popleft()
                except IndexError:
                    item = self._follow(runner, deadline, block=block)
                    if item is NOTHING:
                        break
                if item.__class__ is Task:
                    count += 1
                    runner.task = item
                    item.runner = runner
                    item.step()
                elif item is TURN:
                    ran, counted = count - counted, count
                    if not self._lead(ran, deadline, limit, block=block):
                        break
                else:
                    count += 1
                    variables, function, args = item
                    if args:
                        variables.run(function, *args)
                    else:  # a quarter of what it costs to unpack nothing
                        variables.run(function)
        finally:
            item = None  # see `Task.step`
            running.context = outer
            with self.mutex:
                self.handlers += count - counted
                self._leave(runner)
                if self.closing or self.signal.work == 0:
                    # `close` waits for the last one to leave, and who had nothing to do but to wait
                    # for what this thread was at has to look whether that was all.
                    self._wake_everybody()
                elif any(self.queues):
                    self.wake()  # what this thread was woken for is for another now
        return count

    def _follow(self, runner: Runner, deadline: float, *, block: bool) -> Any:
        """Take an item off any queue, asleep until there is one; NOTHING when `run` has to return."""
        if runner.queue is not self.queue:
            try:  # without the mutex, as the first thread does
                return self.queue.popleft()
            except IndexError:
                pass
        signal = self.signal
        item: Any = NOTHING
        with self.mutex:
            while not signal.stopped:
                item = self._take(self.queues)
                if item is not NOTHING or not block or self._is_done():
                    break
                timeout = None
                if deadline != math.inf:
                    timeout = deadline - self.now()
                    if timeout <= 0:
                        break
                signal.follow()
                try:
                    self._condition.wait(timeout)
                finally:
                    signal.unfollow()
        return item

    def _is_done(self) -> bool:
        """Tell whether there is nothing to do any more, for a thread that found the queue empty.

        While another one is in a handler, that may give more to do. The mutex is held.
        """
        return self.signal.work == 0 and self.signal.busy == 1

    def _lead(self, ran: int, deadline: float, limit: int, *, block: bool) -> bool:
        """Take the reactor turn; False when `run` has to return."""
        backend = self.backend
        with self.mutex:
            self.handlers += ran
            signal = self.signal
            if not ran and self.others:
                # The turn before this one brought nothing that this thread could run. Somebody else may
                # be long about something, with more on his queue.
                item = self._take(self.others)
                if item is not NOTHING:
                    self.queue.extend((item, TURN))
                    self.wake()
                    return True
            timeout: float | None = 0.0
            if not any(self.queues):
                if block and self._is_done():
                    self.queue.append(TURN)
                    return False
                if block:
                    timeout = self._wait_time(deadline)
            elif signal.asleep:
                self.wake()  # this thread is away for a moment, others need not wait for it
            if signal.stopped:
                self.queue.append(TURN)
                return False
            signal.lead(blocking=timeout != 0.0)
            if timeout != 0.0 and self.queue:
                timeout = 0.0  # from somebody who did not see that this thread is going to wait
            self.waits += 1
        ready: list[Slot] = []
        try:
            ready = backend.wait(timeout)
        finally:
            with self.mutex:
                signal.returned()
                queue = self.queue
                deliver(self, ready)
                now = 0.0
                if self.timers.near or self.timers.fresh:
                    now = self.now()
                    for action in self.timers.pop_due(now):
                        self.timers_fired += 1
                        if action.__class__ is tuple:  # of a `TimedCall`
                            queue.append(action)
                            self.finish_work()
                        else:
                            action()
                queue.append(TURN)
                if signal.idle:
                    # One item for this thread; the others, and the turn itself, for followers.
                    for _ in range(min(self.queued() - 1, signal.idle)):
                        self.wake()
        if deadline != math.inf and (now or self.now()) >= deadline:
            # `run_one` still takes what this very turn has found.
            return limit >= 0 and self.queued() > 1
        return block or self.queued() > 1

    def _wait_time(self, deadline: float) -> float | None:
        """Return how long the leader may sleep, in seconds; None for as long as it takes."""
        due = min(self.timers.next_deadline(), deadline)
        if self.backend.kernel_timer:
            self.backend.set_deadline(due, self.now())
            return None
        if due == math.inf:
            return None
        return min(max(due - self.now(), 0.0), MAX_WAIT)

    # -- Stopping and closing

    def stop(self) -> None:
        """Make every `run()` return as soon as its current handler has; any thread."""
        with self.mutex:
            self.signal.stopped = True
            self._wake_everybody()

    def restart(self) -> None:
        """Let `run()` run again after a `stop`."""
        with self.mutex:
            self.signal.stopped = self.closing  # closing stops for good

    def begin_close(self) -> bool:
        """Refuse new work, cancel every task and wait for the other threads to leave `run()`.

        Returns:
            False when the context was closed already, or is being closed by another thread.
        """
        with self.mutex:
            if self.is_inside(self.system.get_ident()):
                raise ReactorError("close() was called from inside run() of the same IoContext")
            if self.foreign:
                self.foreign = False
                return True
            if self.closing:
                return False
            self.closing = True
            self.signal.stopped = True
            self._wake_everybody()
            while self.signal.runners:
                self._condition.wait()
            for task in list(self.tasks):
                task.own_scope().interrupt_inside()
            return True

    def drain(self) -> list[BaseException]:
        """Step the cancelled tasks until they are done; posted calls are dropped unrun.

        Only the closing thread gets here. A task that goes on waiting although everything ends at
        once is thrown away in the end.

        Returns:
            What the tasks raised on their way out.
        """
        errors: list[BaseException] = []
        patience = 100 + 100 * len(self.tasks)
        outer, running.context = running.context, self.context
        try:
            while self.tasks:
                try:
                    if not patience or not self.queue:
                        next(iter(self.tasks)).abandon()
                        continue
                    item = self.queue.popleft()
                    if item.__class__ is Task and not item.done:
                        patience -= 1
                        item.step()
                except BaseException as exc:  # noqa: BLE001 - handed to who called close()
                    errors.append(exc)
        finally:
            running.context = outer
        with self.mutex:
            self.queue.clear()
            self.timers.clear()
            self.closed = True
        return errors

    def disown(self) -> None:
        """Become the copy of a forked child (see `reactor.fork`); only the forking thread is left.

        Nothing runs any more: `run` returns after the handler that forked, and in a task that goes
        on after the fork every operation ends cancelled.
        """
        if self.closed:
            return
        self.mutex = self.system.lock()  # a thread that is not here may have held the other
        self._condition = self.system.condition(self.mutex)
        self.closing = self.foreign = True
        for queue in self.queues:
            queue.clear()
        ident = self.system.get_ident()
        self._let_in(tuple(runner for runner in self.runners if runner.ident == ident))
        signal = self.signal  # the same, which the `run` of this thread holds
        signal.leader = ABSENT  # so that nobody writes to the waker
        signal.idle = signal.signalled = 0
        signal.asleep = False
        signal.runners = len(self.runners)
        signal.stopped = True
        self.timers.clear()
        for task in self.tasks:
            task.interrupted = True
            task.credit = 0
        # Kept, not dropped: the collector would run their cleanup, here and now.
        self._disowned, self.tasks = self.tasks, {}
        for descriptor in self.descriptors:
            descriptor.registered = 0
        self.context.disown()

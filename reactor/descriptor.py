"""Per-descriptor state, the same for every poller: two slots, each with its readiness and its one operation.

A descriptor is registered with the poller when an operation first parks on it, and stays so until
it is closed. Edge-triggered pollers then report changes, of writability only if a send has had to wait
for it; level-triggered ones are asked for what is parked (`Descriptor.interest`), never for more, so
unread data does not make them spin.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final

from .errors import Cause, FdSetSizeError
from .operation import IDLE, PARKED, Operation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .scheduler import Scheduler
    from .task import Task

#: Normalised events, what every backend translates its own into.
READ = 1
WRITE = 2
#: End, error or urgent data is about: a short read proves nothing any more (see `Slot.exact`).
STICKY = 4

_generations = itertools.count(1)

# The move of the hot path, looked up in the table once.
_CLAIM = PARKED.claim


class Slot:
    """One direction of a descriptor.

    Readiness is two counters. `edges` counts what the poller has reported while no operation was
    parked; `seen` is the value of `edges` that was current before the last call that found nothing, or
    0. They differ while readiness is believed. A counter instead of a flag, because the thread that
    found nothing and the leader that reports news may be two threads: a flag cleared by the one would
    wipe out the edge of the other, and with an edge-triggered poller that edge never comes again.

    `edges` is written under the mutex. `seen` is written by the thread that performs the slot's
    operation, under the mutex by who claims it while it is parked, and by close, after which nobody
    performs. Both are read without the mutex by `perform`, and by `Task.step` after it has parked.
    """

    __slots__ = (
        "calling",
        "closed",
        "descriptor",
        "direction",
        "edges",
        "exact",
        "flags",
        "hits",
        "misses",
        "op",
        "partials",
        "scheduler",
        "seen",
        "watched",
    )

    def __init__(self, descriptor: Descriptor, scheduler: Scheduler, direction: int) -> None:
        self.descriptor = descriptor
        self.scheduler = scheduler
        self.direction = direction
        # A descriptor that was never registered is believed ready: trying is how one finds out.
        self.edges = 1
        self.seen = 0
        # True while "fewer bytes than asked for" means "the kernel has no more" (of a receive): saves
        # the call that would block. Not so with AF_UNIX (a read stops at ancillary data, unix(7)), after
        # an end or error was reported (no edge follows the one that brought it), or with urgent
        # data about (a read stops at the mark, tcp(7)).
        self.exact = direction == READ
        # Second argument of the slot's calls: the flags of a send, 0 of a receive.
        self.flags = 0
        # A thread is inside one of the slot's calls, or may be unless the operation waits (see
        # `Descriptor.let_go`).
        self.calling = False
        self.closed = False  # as the descriptor is; here it is at hand for `perform`
        # The poller reports the slot's edges without being asked again, so that an operation which
        # parks has nobody to tell. Guarded by the mutex.
        self.watched = False
        self.hits = 0
        self.misses = 0
        self.partials = 0
        self.op = IoOperation(self)

    def believe(self) -> None:
        """Believe in readiness again, after an attempt that failed for another reason than the socket.

        Not of a closed one: the number may be somebody else's.
        """
        with self.scheduler.mutex:
            if not self.closed:
                self.edges += 1


class IoOperation(Operation):
    """The operation of one slot; there is one for the life of the slot, since one may be pending."""

    __slots__ = ("late", "slot")

    def __init__(self, slot: Slot) -> None:
        super().__init__()
        self.slot = slot
        # A cancel that came while there was nothing to claim, because readiness had claimed the
        # operation or its task was in the call: it holds if that does not complete the operation.
        self.late: Cause | None = None

    def park(self, task: Task[Any]) -> bool:
        """Take the slot, unless readiness arrived meanwhile; registers the descriptor at first.

        Where nothing of all that is needed, `Task.step` parks it without this.
        """
        slot = self.slot  # that of no descriptor, if it was closed on the way here
        if slot.closed or self.late is not None:
            return False
        descriptor = slot.descriptor
        if self.state is not IDLE:
            raise descriptor.busy(slot)
        if slot.edges != slot.seen:
            if task.credit > 0:
                return False
            slot.scheduler.deferrals += 1
            return self.defer(task)
        if not descriptor.registered & slot.direction:
            try:
                descriptor.register(slot.direction)
            except BaseException:
                slot.edges += 1  # nobody will report it: the next operation has to try
                raise
        self.settle(task)
        scheduler = slot.scheduler
        if scheduler.level:
            scheduler.interest_wanted(descriptor)
        return True

    def claim(self, cause: Cause, *, scoped: bool = False) -> bool:
        """As `Operation.claim`. Readiness does not come here, it is claimed by `deliver`."""
        parked = self.state is PARKED
        if not super().claim(cause, scoped=scoped):
            return False
        if parked:
            self.slot.scheduler.parks_ended += 1
        return True

    def vacate(self) -> None:
        """Free the slot: the next operation need not wait until this one's task has run.

        Claimed for readiness the slot stays taken until the operation has performed, so that no
        other one overtakes it.
        """
        self.slot.op = IoOperation(self.slot)
        self.slot.calling = False
        scheduler = self.slot.scheduler
        if scheduler.level:
            scheduler.backend.interest_changed(self.slot.descriptor)

    def cancel(self, cause: Cause) -> int:
        """End the operation if it is pending; 1 if this ended it, else 0. The mutex is held."""
        if self.claim(cause):
            return 1
        if self.late is None:
            self.late = cause
        # Again, as it may have parked meanwhile, without the mutex: see `Task.step`.
        return int(self.claim(cause))

    def describe(self) -> str:
        """Say what is waited for."""
        direction = "readable" if self.slot.direction == READ else "writable"
        return f"{self.slot.descriptor.kind} fd {self.slot.descriptor.fd} {direction}"


class Descriptor:
    """What the reactor knows of one file descriptor.

    `closed`, `registered` and the slots' operations are guarded by the scheduler's mutex.

    Attributes:
        fd: the number; meaningless once closed.
        generation: never reused, so that a poller's stale event of an earlier owner of the same
            number can be told apart (kqueue carries it in ``udata``).
        kind: for people, such as ``stream`` or ``acceptor``.
        registered: the directions that the poller knows of; 0 while it is not registered.
    """

    __slots__ = (
        "closed",
        "fd",
        "generation",
        "gone",
        "kind",
        "owner",
        "read",
        "registered",
        "scheduler",
        "sock",
        "write",
    )

    def __init__(self, scheduler: Scheduler, sock: Any, kind: str) -> None:
        self.scheduler = scheduler
        self.sock = sock
        self.fd: int = sock.fileno()
        self.kind = kind
        self.generation = next(_generations)
        self.registered = 0
        self.closed = False
        self.gone = False  # the number has been given back
        self.owner: Any = None  # what `IoContext.close` closes
        self.read = Slot(self, scheduler, READ)
        self.write = Slot(self, scheduler, WRITE)
        scheduler.adopt(self)

    @property
    def interest(self) -> int:
        """The directions in which an operation is parked (for level-triggered pollers)."""
        return (READ if self.read.op.state is PARKED else 0) | (
            WRITE if self.write.op.state is PARKED else 0
        )

    def busy(self, slot: Slot) -> Exception:
        """Build the error for a second operation in one direction."""
        from .errors import BusyError

        word = "receive" if slot.direction == READ else "send"
        return BusyError(f"another {word} is pending on this {self.kind} (fd {self.fd})")

    def register(self, direction: int) -> None:
        """Hand the descriptor to the poller; on an error nothing has changed. The mutex is held.

        An edge-triggered poller watches what it is told to from now on. For a first receive that is
        READ alone: most sockets never wait to be writable, and would have it reported along with
        everything that arrives. One that first waits to be writable is connecting as a rule, and
        receives next: both at once.
        """
        backend = self.scheduler.backend
        limit = backend.fd_limit
        if limit is not None and self.fd >= limit:
            raise FdSetSizeError(self.fd, limit)
        directions = READ | (direction if backend.edge_triggered else WRITE)
        backend.register(self, directions)
        self.registered = directions
        if backend.edge_triggered:
            self.read.watched = True
            self.write.watched = directions & WRITE != 0

    def slots(self, events: int) -> list[Slot]:
        """Return the slots that `events` are about, a mask of READ, WRITE and STICKY; the last is noted."""
        if events & STICKY:
            self.read.exact = False
        return [slot for slot in (self.read, self.write) if events & slot.direction]

    def nudge(self, events: int) -> None:
        """Have parked operations look for themselves, after something the poller may not report."""
        with self.scheduler.mutex:
            if not self.closed:
                deliver(self.scheduler, self.slots(events))
                self.scheduler.wake()

    def cancel(self) -> int:
        """End what is pending in both directions; returns how many operations. The mutex is held."""
        if self.closed:
            return 0
        return self.read.op.cancel(Cause.CANCEL) + self.write.op.cancel(Cause.CANCEL)

    def close(self, end: Callable[[Cause], object] | None = None) -> bool:
        """End what is pending, leave the poller, and give the number back.

        Leaving comes first, so that the number cannot be reused while the poller still has it.

        Args:
            end: ends what waits for the descriptor elsewhere; called with the mutex held. All in one
                step, lest a task that is told of the close starts another operation before it.

        Returns:
            False when it was closed before.
        """
        with self.scheduler.mutex:
            if self.closed:
                return False
            self.closed = True
            for slot in (self.read, self.write):
                slot.seen = slot.edges  # `perform` must not touch the number again
                slot.watched = False
                slot.closed = True
                # Last: an operation that begins says so, forgets what was said to the one before, and
                # then looks at `closed`.
                if slot.calling:
                    slot.op.cancel(Cause.CLOSE)
                else:
                    slot.op.task = None  # it need not live on for this
            if end is not None:
                end(Cause.CLOSE)
            if self.registered:
                self.scheduler.backend.deregister(self)
                self.registered = 0
                if self.scheduler.level:
                    # select(2): closing a descriptor that another thread is selecting on is
                    # unspecified, so that thread is called back first.
                    self.scheduler.interrupt_leader()
            self.scheduler.release(self)
            self.owner = None  # so that it is freed at once, if nobody else has it
            free = self._leave()
        if free:
            self._close_number()
        return True

    def let_go(self) -> None:
        """Close the file descriptor, unless a thread is inside a call on it: then that one does, after it.

        Else the call might meet another file under the same number. `perform` says that it is
        calling (and `Task.step` that the operation waits no more) before it looks whether it may
        (`Slot.seen`), and `close` says that it may not before it looks whether somebody is calling;
        so one of the two sees the other.

        A call that was under way when the descriptor was closed may have noted, after `close` did, how
        far it has seen: that is put right here too.

        Errors of close(2) are not reported: the number is gone all the same, and FreeBSD answers
        ECONNRESET when the peer has reset the connection (libuv 9051126b5).
        """
        free = False
        with self.scheduler.mutex:
            if not self.gone:
                for slot in (self.read, self.write):
                    slot.seen = slot.edges
                free = self._leave()
        if free:
            self._close_number()

    def _leave(self) -> bool:
        """Tell whether the caller is to close the number, and nobody else. The mutex is held."""
        for slot in (self.read, self.write):
            if slot.calling and slot.op.state is IDLE:
                return False
        self.gone = True
        # No slot waits or calls any more: let go of each other, for references in a circle would keep
        # it all until the collector comes by, and its visits cost a server a tenth of its time.
        self.read.op.slot = self.write.op.slot = _GONE
        self.read = self.write = _GONE
        return True

    def _close_number(self) -> None:
        try:
            self.sock.close()
        except OSError:
            pass


#: The slot of every descriptor that is gone: nothing is ever pending on it, and nothing that is still done
#: to it makes it another.
_GONE: Final = Slot(None, None, READ)  # type: ignore[arg-type]  # nobody asks whose a closed one is
_GONE.closed = True
_GONE.seen = _GONE.edges
_GONE.exact = False


def deliver(scheduler: Scheduler, ready: Sequence[Slot]) -> None:
    """Take in what the poller reported, and claim what waits for it. The mutex is held.

    It is `Operation.claim` without what readiness does not need, as the body runs once per event. The
    caller sees to it that somebody takes the tasks off the queue.

    An operation that parks without the mutex says that it is parked and then looks at `edges`; here
    it is the other way round. So one of the two sees the other. (One that is parked already needs no
    edge counted: it is what adding to a number costs that is saved.)

    Args:
        scheduler: of the context whose poller it was.
        ready: the slots that it called ready.
    """
    if not ready:
        return
    claimed: list[Task[Any] | None] = []
    push = claimed.append
    for slot in ready:
        if slot.closed:
            continue
        op = slot.op
        if op.state is not PARKED:
            slot.edges += 1
            if op.state is not PARKED:
                continue
        slot.seen = 0
        op.state = _CLAIM
        push(op.task)
    if claimed:
        scheduler.readied += len(claimed)
        scheduler.hand_out(claimed)
    if scheduler.level:
        interest_changed = scheduler.backend.interest_changed
        for slot in ready:
            if not slot.closed:
                interest_changed(slot.descriptor)

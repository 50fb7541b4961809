"""Closing: sockets, acceptors and whole contexts."""

from __future__ import annotations

from ..model import Edit, Mutant, scenario, simulated, test

AREA = "close"

MUTANTS = (
    Mutant(
        "close-does-not-leave-the-poller",
        AREA,
        "close.dup-keeps-registration: epoll(7) Q6, a duplicate keeps the registration alive",
        (Edit("backends/base.py", "self.remove(descriptor)", "pass"),),
        (scenario("close.dup-keeps-registration", "epoll"),),
    ),
    Mutant(
        "close-comes-before-leaving-the-poller",
        AREA,
        "cancel.connect-releases-fd: gh-131728, MagicStack/uvloop#738",
        (
            Edit(
                "descriptor.py",
                "self.scheduler.backend.deregister(self)",
                """
                self.sock.close()
                self.scheduler.backend.deregister(self)
                """,
            ),
        ),
        (scenario("close.dup-keeps-registration", "epoll"),),
    ),
    Mutant(
        "close-leaves-the-parked-ones",
        AREA,
        "close.pending-recv: asyncio hangs on one selector; accept.close-while-pending: libcoro#377",
        (
            Edit("descriptor.py", "slot.op.cancel(Cause.CLOSE)", "pass"),
            Edit("descriptor.py", "end(Cause.CLOSE)", "pass"),
        ),
        (scenario("accept.close-while-pending"),),
    ),
    Mutant(
        "close-forgets-who-waits-for-a-turn-to-accept",
        AREA,
        "accept.close-while-pending: libcoro PR 422, trio#3520",
        (Edit("acceptor.py", "return self._gate.end(cause) + super()._end(cause)", "return 0"),),
        (scenario("accept.close-while-pending"),),
    ),
    Mutant(
        "closing-a-context-throws-its-tasks-away",
        AREA,
        "cancel.shutdown-with-parked-ops: corosio 07fab88, 7869f62",
        (
            Edit(
                "scheduler.py",
                "errors: list[BaseException] = []",
                """
                errors: list[BaseException] = []
                for task in list(self.tasks):
                    task.abandon()
                """,
            ),
        ),
        (scenario("cancel.shutdown-with-parked-ops"),),
    ),
    Mutant(
        "closing-a-context-runs-what-was-posted",
        AREA,
        "cancel.shutdown-with-parked-ops: corosio 2068af1, code of the user ran after the end",
        (
            Edit(
                "scheduler.py",
                "errors: list[BaseException] = []",
                """
                errors: list[BaseException] = []
                for item in list(self.queue):
                    if item is not TURN and item.__class__ is not Task:
                        item()
                """,
            ),
        ),
        (scenario("cancel.shutdown-with-parked-ops"),),
    ),
    Mutant(
        "the-loop-of-an-acceptor-outlives-it",
        AREA,
        "accept.stop-race: tornado 21680e20, libevent 12cedc8a",
        (
            Edit(
                "acceptor.py",
                """
                while not self.closed:  # it may be closed by who handles a connection
                    try:
                        yield await self.accept()
                    except OperationCancelled as exc:
                        if exc.cause is not Cause.CLOSE or not self.closed:
                            raise
                """,
                """
                while True:
                    yield await self.accept()
                """,
            ),
        ),
        (scenario("accept.stop-race"),),
    ),
    Mutant(
        "a-closed-slot-is-believed-again",
        AREA,
        "close.fd-reuse-new-object: found by a generated program with two threads, a connect beside a close",
        (
            Edit(
                "descriptor.py",
                """
                if not self.closed:
                    self.edges += 1
                """,
                "self.edges += 1",
            ),
        ),
        (
            test("kernel/test_simulate.py::test_what_was_found_once_stays_away"),
            simulated("kqueue", "freebsd"),
        ),
    ),
    Mutant(
        "a-call-under-way-forgets-the-close",
        AREA,
        "close.fd-reuse-new-object: found by a generated program with two threads, a wait beside a close",
        (
            Edit(
                "descriptor.py",
                """
                    for slot in (self.read, self.write):
                        slot.seen = slot.edges
                    free = self._leave()
                """,
                "    free = self._leave()",
            ),
        ),
        (test("kernel/test_simulate.py::test_what_was_found_once_stays_away"),),
    ),
)

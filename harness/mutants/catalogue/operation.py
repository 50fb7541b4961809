"""Operations: who ends one, how often, and what is left for the next."""

from __future__ import annotations

from ..model import Edit, Mutant, scenario

AREA = "operation"

MUTANTS = (
    Mutant(
        "a-cancel-poisons-the-next-operation",
        AREA,
        "cancel.idempotent: corosio's CancelNoWaiters; a latched flag leaked into the next operation",
        (Edit("dispatch.py", "op.late = None", "pass"),),
        (scenario("cancel.idempotent"), scenario("cancel.before-wait")),
    ),
    Mutant(
        "a-claimed-operation-is-claimed-again",
        AREA,
        "cancel.batch-mate: socketry/io-event#65, tornado PR 2080, spurious resumptions",
        (
            Edit(
                "operation.py",
                "return False",
                """
                if self.state is CLAIMED and self.task is not None:
                    self.task.scheduler.push(self.task)
                    return True
                return False
                """,
            ),
        ),
        (scenario("cancel.batch-mate"),),
    ),
    Mutant(
        "a-late-cancel-is-forgotten",
        AREA,
        "cancel.inline-completion: corosio 477e92f, cancel_pending across speculative completions",
        (
            Edit(
                "descriptor.py",
                """
                if self.late is None:
                    self.late = cause
                """,
                "",
            ),
        ),
        (scenario("cancel.false-readiness"),),
    ),
    Mutant(
        "a-cancelled-receive-reads-all-the-same",
        AREA,
        "cancel.accept-keeps-connection: gh-153761, the call was made before the cancel was looked at",
        (
            Edit(
                "dispatch.py",
                "yield op",
                """
                try:
                    yield op
                except OperationCancelled:
                    if slot.direction == 1 and not slot.closed:
                        try:
                            attempt(arg, slot.flags)
                        except OSError:
                            pass
                    raise
                """,
            ),
        ),
        (scenario("cancel.inline-completion"), scenario("cancel.pending-recv")),
    ),
    Mutant(
        "a-cancelled-operation-keeps-its-slot",
        AREA,
        "cancel.retry-same-tick: gh-74250, a cancel followed at once by a retry",
        (Edit("descriptor.py", "self.slot.op = IoOperation(self.slot)", "pass"),),
        (scenario("cancel.retry-same-tick"),),
    ),
    Mutant(
        "a-cancel-ends-both-directions",
        AREA,
        "cancel.one-direction-only: hivesolutions/netius#103, libevent b77d3e78",
        (
            Edit(
                "descriptor.py",
                "self.slot.calling = False",
                """
                self.slot.calling = False
                descriptor = self.slot.descriptor
                if self.cause is Cause.CANCEL:
                    descriptor.read.op.claim(self.cause)
                    descriptor.write.op.claim(self.cause)
                """,
            ),
        ),
        (scenario("cancel.one-direction-only"),),
    ),
    Mutant(
        "a-cancel-ends-all-who-wait",
        AREA,
        "cancel.one-of-many-waiters: eventlet PR 498, the listener of another was removed",
        (
            Edit(
                "waitlist.py",
                "self._waiters.operations.pop(self, None)",
                """
                self._waiters.operations.pop(self, None)
                if self.cause is Cause.CANCEL:
                    self._waiters.wake_all(Cause.CANCEL)
                """,
            ),
        ),
        (scenario("cancel.one-of-many-waiters"),),
    ),
    Mutant(
        "progress-is-lost-on-a-cancel",
        AREA,
        "cancel.partial-send: corosio keeps bytes_transferred; asyncio.loop.sock_sendall does not say",
        (
            Edit(
                "dispatch.py",
                "_TELLING: Final = (OSError, OperationCancelled)",
                "_TELLING: Final = (OSError,)",
            ),
        ),
        (scenario("cancel.partial-send"),),
    ),
    Mutant(
        "progress-is-lost-on-an-error",
        AREA,
        "partial.failed-send: socket.sendall, 'no way to determine how much data was sent' (its manual)",
        (
            Edit(
                "dispatch.py",
                "_TELLING: Final = (OSError, OperationCancelled)",
                "_TELLING: Final = (OperationCancelled,)",
            ),
        ),
        (scenario("partial.failed-send"),),
    ),
    Mutant(
        "what-a-cancelled-recv-exactly-had-is-lost",
        AREA,
        "cancel.partial-receive: tokio's read_exact, 'not cancellation safe' (its manual)",
        (Edit("stream.py", "exc.partial = bytes(buffer[: exc.transferred])", "pass"),),
        (scenario("cancel.partial-receive"),),
    ),
    Mutant(
        "a-second-receive-waits-behind-the-first",
        AREA,
        "partial.second-waiter: eventlet#94; trio's BusyResourceError",
        (
            Edit(
                "dispatch.py",
                """
                if op.state is not IDLE:
                    raise slot.descriptor.busy(slot)
                """,
                """
                while op.state is not IDLE:
                    from .operation import Yield

                    yield Yield()
                    op = slot.op
                """,
            ),
        ),
        (scenario("partial.second-waiter"),),
    ),
)

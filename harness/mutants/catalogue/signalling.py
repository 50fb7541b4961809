"""Signalling: who is woken, who sleeps, and when `run` returns.

Each of these must die by the explorer or by a property-based test: real threads meet in the wrong
order too seldom for a scenario to be a proof.
"""

from __future__ import annotations

from ..model import Edit, Mutant, program

AREA = "signalling"

MUTANTS = (
    Mutant(
        "a-failed-wake-up-is-not-taken-back",
        AREA,
        "wake.coalescing-flag: corosio ca33581, wake_pending_ stuck true after a failed write",
        (
            Edit(
                "signals.py",
                "self.leader = self.leader.miss",
                "pass",
            ),
        ),
        (program("waker-fails-once"),),
    ),
    Mutant(
        "the-interrupt-outlives-its-wait",
        AREA,
        "wake.coalescing-flag: corosio ca33581, 'every subsequent wake is coalesced away'",
        (
            Edit(
                "signals.py",
                "(INTERRUPTED, LeaderEvent.RETURN): ABSENT,",
                """
                (INTERRUPTED, LeaderEvent.RETURN): INTERRUPTED,
                (INTERRUPTED, LeaderEvent.POLL): INTERRUPTED,
                (INTERRUPTED, LeaderEvent.WAIT): INTERRUPTED,
                """,
            ),
        ),
        (program("post-twice-from-one-thread"),),
    ),
    Mutant(
        "a-wake-up-is-always-taken-for-pending",
        AREA,
        "wake.post-from-thread: joyent/libuv#534, uv_async_send always found a wake-up pending",
        (
            Edit(
                "signals.py",
                """
                if self.leader is WAITING:
                    self.leader = WAITING.interrupt
                    self._tell()
                    return WAKE_LEADER
                """,
                "",
            ),
        ),
        (program("post-vs-sleep-edge"),),
    ),
    Mutant(
        "a-cancel-before-the-first-step-is-lost",
        AREA,
        "cancel.before-wait: corosio 17fa5e5, a cancel before the wait was silently lost",
        (
            Edit(
                "scope.py",
                "task.interrupted = scope.reached()",
                "task.interrupted = task.operation is not None and scope.reached()",
            ),
        ),
        (program("cancel-vs-cancel"),),
    ),
    Mutant(
        "a-scope-is-entered-without-a-look-whether-it-was-moved",
        AREA,
        "timer.reschedule: a deadline moved by another thread is lost; this project's own order",
        (Edit("scope.py", "or self._deadline != deadline", ""),),
        (program("reschedule-vs-enter"),),
    ),
    Mutant(
        "a-scope-is-entered-without-a-look-whether-that-around-it-was-moved",
        AREA,
        "timer.reschedule: the same, of the block outside",
        (Edit("scope.py", "or outer.until < until", ""),),
        (program("reschedule-vs-enter-inside"), program("reschedule-vs-leave")),
    ),
    Mutant(
        "a-scope-is-entered-without-a-look-whether-it-was-cancelled",
        AREA,
        "cancel.before-wait: corosio 17fa5e5, a cancel before the wait was silently lost",
        (Edit("scope.py", "or self.cancel_called\n", "\n"),),
        (program("scope-cancel-vs-resume"),),
    ),
    Mutant(
        "a-scope-is-left-without-a-look-whether-that-around-it-was-moved",
        AREA,
        "timer.reschedule: a deadline moved by another thread is lost; this project's own order",
        (Edit("scope.py", "if parent.until < until:", "if False:"),),
        (program("reschedule-vs-leave"),),
    ),
    Mutant(
        "a-cancel-does-not-look-whether-the-task-has-left",
        AREA,
        "cancel.tie-with-deadline: gh-86296, what comes behind the block is cut",
        (
            Edit(
                "scope.py",
                """
                if task.scope is scope:
                    return
                """,
                "return",
            ),
        ),
        (program("cancel-vs-leave"),),
    ),
    Mutant(
        "a-moved-deadline-does-not-look-whether-the-task-has-entered-another-block",
        AREA,
        "timer.reschedule: the block inside forgets it when it is left",
        (
            Edit(
                "scope.py",
                """
                if task.scope is innermost:
                    return
                """,
                "return",
            ),
        ),
        (program("reschedule-vs-leave"),),
    ),
    Mutant(
        "a-timer-leaves-the-queue-though-it-was-moved",
        AREA,
        "timer.reschedule: libevent 8c36acd0, an event added again while it is taken out",
        (Edit("timerqueue.py", "while entry.wanted < wanted:", "while False:"),),
        (program("alarm-vs-next-timeout-2-runners"),),
    ),
    Mutant(
        "a-timeout-trusts-a-timer-that-has-left-the-queue",
        AREA,
        "timer.reschedule: the same, seen from the other side",
        (
            Edit(
                "scope.py",
                "(until != _INFINITY if alarm is None else alarm.deadline > until)",
                "(until != _INFINITY if alarm is None else False)",
            ),
        ),
        (program("alarm-vs-next-timeout-2-runners"),),
    ),
    Mutant(
        "an-earlier-timer-does-not-shorten-the-wait",
        AREA,
        "timer.earlier-than-current-sleep: asio 83a1c6380, corosio de218ef, libevent b2192269",
        (
            Edit(
                "scheduler.py",
                "if self.signal.leader is not ABSENT and entry.deadline < self.timers.next_deadline():",
                "if self.signal.leader is ABSENT and entry.deadline < self.timers.next_deadline():",
            ),
        ),
        (program("earlier-timer-vs-wait-edge"),),
    ),
    Mutant(
        "the-leader-computes-its-timeout-too-early",
        AREA,
        "timer.earlier-than-current-sleep: corosio de218ef, blocked on a stale timer setting",
        (
            Edit(
                "scheduler.py",
                """
                backend = self.backend
                with self.mutex:
                    self.handlers += ran
                """,
                """
                backend = self.backend
                with self.mutex:
                    early = self._wait_time(deadline)
                with self.mutex:
                    self.handlers += ran
                """,
            ),
            Edit(
                "scheduler.py",
                "timeout = self._wait_time(deadline)",
                "timeout = early",
            ),
        ),
        (program("earlier-timer-vs-wait-edge"),),
    ),
    Mutant(
        "a-wait-in-progress-is-not-told-of-interest",
        AREA,
        "wake.add-interest-while-waiting: asio aa41681de, polling e0789a8, mio#1158",
        (
            Edit(
                "scheduler.py",
                """
                self.backend.interest_changed(descriptor)
                self.interrupt_leader()
                """,
                "self.backend.interest_changed(descriptor)",
            ),
        ),
        (program("interest-vs-level-wait"),),
    ),
    Mutant(
        "the-waker-is-written-without-the-mutex",
        AREA,
        "wake.send-after-close: libuv 37042a5bc (#2231), async_send raced the closing of the loop",
        (
            Edit(
                "context.py",
                """
                with scheduler.mutex:
                    scheduler.wake()
                """,
                "scheduler.wake()",
            ),
        ),
        (program("wake-up-on-its-way-vs-close"),),
    ),
    Mutant(
        "a-pending-wake-up-is-wiped-out",
        AREA,
        "wake.post-from-thread: libuv#50, the loop cleared `pending` after it had looked",
        (
            Edit(
                "context.py",
                """
                scheduler.queue.append((variables, function, args))
                if scheduler.signal.asleep:  # after the append: see `SignalState`
                    with scheduler.mutex:
                        scheduler.wake()
                """,
                """
                if scheduler.signal.asleep:
                    with scheduler.mutex:
                        scheduler.wake()
                scheduler.queue.append((variables, function, args))
                """,
            ),
        ),
        (program("post-vs-sleep-edge"),),
    ),
    Mutant(
        "the-leader-looks-at-the-queue-too-early",
        AREA,
        "wake.post-from-thread: joyent/libuv#1453, a wake-up between the poll and the look was lost",
        (
            Edit(
                "scheduler.py",
                """
                if timeout != 0.0 and self.queue:
                    timeout = 0.0  # from somebody who did not see that this thread is going to wait
                """,
                "",
            ),
        ),
        (program("post-vs-sleep-edge"),),
    ),
    Mutant(
        "the-last-work-wakes-nobody",
        AREA,
        "wake.run-returns-when-idle: libuv 03f1a6979, 1fe609ea0",
        (
            Edit(
                "scheduler.py",
                """
                signal.finish_work()
                self._wake_everybody()
                """,
                "signal.finish_work()",
            ),
        ),
        (program("guards-released-together"),),
    ),
    Mutant(
        "the-leader-is-left-asleep-when-others-are-woken",
        AREA,
        "wake.stop-from-thread: Java-WebSocket#373, a flag that was set without waking the selector",
        (
            Edit(
                "scheduler.py",
                """
                self._condition.notify_all()
                self.interrupt_leader()
                """,
                """
                self._condition.notify_all()
                if not self.signal.idle:
                    self.interrupt_leader()
                """,
            ),
        ),
        (program("stop-vs-two-runners"),),
    ),
    Mutant(
        "who-leaves-keeps-the-wake-up",
        AREA,
        "wake.post-from-thread: isocpp/CppCoreGuidelines#1616, a notification that another consumes",
        (
            Edit(
                "scheduler.py",
                """
                elif any(self.queues):
                    self.wake()  # what this thread was woken for is for another now
                """,
                "",
            ),
        ),
        (program("bounded-run-leads-and-leaves"),),
    ),
    Mutant(
        "stopping-loses-the-reactor-turn",
        AREA,
        "wake.stop-before-run: corosio c6d53a9, run() after stop() differs between backends",
        (
            Edit(
                "scheduler.py",
                """
                if signal.stopped:
                    self.queue.append(TURN)
                    return False
                """,
                """
                if signal.stopped:
                    return False
                """,
            ),
        ),
        (program("restart-after-stop"),),
    ),
    Mutant(
        "a-run-forgets-the-stop-before-it",
        AREA,
        "wake.stop-before-run: corosio c6d53a9, the stopped flag was cleared at another point",
        (
            Edit(
                "scheduler.py",
                "self.signal.enter()",
                """
                self.signal.enter()
                self.signal.stopped = False
                """,
            ),
        ),
        (program("stop-vs-sleep"),),
    ),
    Mutant(
        "two-threads-lead",
        AREA,
        "wake.mechanism-parity: a second thread in select.poll is refused; asio's task_operation is one",
        (
            Edit(
                "scheduler.py",
                "self.waits += 1",
                """
                self.waits += 1
                self.queue.append(TURN)
                """,
            ),
            Edit(
                "scheduler.py",
                """
                queue.append(TURN)
                if signal.idle:
                """,
                "if signal.idle:",
            ),
        ),
        (program("stop-vs-two-runners"),),
    ),
    Mutant(
        "the-last-handler-tells-nobody",
        AREA,
        "wake.exception-keeps-batch: corosio PR 207, exception-safe task_cleanup",
        (
            Edit(
                "scheduler.py",
                "if self.closing or self.signal.work == 0:",
                "if self.closing:",
            ),
        ),
        (program("handler-raises-with-work-queued"),),
    ),
    Mutant(
        "a-woken-follower-stays-counted-as-signalled",
        AREA,
        "wake.coalescing-flag: corosio ca33581, the same flag on the followers' side",
        (
            Edit(
                "signals.py",
                "self.signalled = min(max(self.signalled - 1, 0), self.idle)",
                "pass",
            ),
        ),
        (program("handler-posts-while-others-sleep"),),
    ),
    Mutant(
        "an-edge-during-the-call-is-wiped-out",
        AREA,
        "partial.rearm-after-false-ready: tokio-rs/tokio#6133, newer readiness cleared by an older call",
        (
            Edit(
                "dispatch.py",
                """
                except BlockingIOError:
                    slot.seen = edges
                """,
                """
                except BlockingIOError:
                    slot.seen = slot.edges
                """,
            ),
        ),
        (program("edge-during-an-empty-call-edge"),),
    ),
    Mutant(
        "an-edge-before-the-park-is-not-seen",
        AREA,
        "partial.rearm-after-false-ready: smol-rs/smol#134, an event before the waker is pushed",
        (
            Edit(
                "descriptor.py",
                """
                if slot.edges != slot.seen:
                    if task.credit > 0:
                        return False
                    slot.scheduler.deferrals += 1
                    return self.defer(task)
                """,
                "",
            ),
        ),
        (program("edge-during-an-empty-call-edge"),),
    ),
    Mutant(
        "a-task-is-put-away-after-it-has-parked",
        AREA,
        "cancel.from-other-thread: this project's own, found by `cancel-vs-yield` of the explorer",
        (
            Edit(
                "task.py",
                """
                self.operation = op
                try:
                    if op.park(self):
                        return
                """,
                """
                try:
                    if op.park(self):
                        self.operation = op
                        return
                """,
            ),
        ),
        (program("yield-between-runners"),),
    ),
    Mutant(
        "a-cancel-looks-twice-at-the-operation",
        AREA,
        "cancel.from-other-thread: this project's own, found by `cancel-vs-readiness` of the explorer",
        (
            Edit(
                "scope.py",
                """
                operation = task.operation
                if task.interrupted and operation is not None:
                    operation.claim(inside[0].reason(), scoped=True)
                """,
                """
                if task.interrupted and task.operation is not None:
                    task.operation.claim(inside[0].reason(), scoped=True)
                """,
            ),
        ),
        (program("cancel-vs-readiness-edge"),),
    ),
    Mutant(
        "a-deferred-operation-is-resumed-without-the-mutex",
        AREA,
        "cancel.inline-completion: this project's own, found by `cancel-vs-yield` of the explorer",
        (
            Edit(
                "task.py",
                """
                with self.scheduler.mutex:  # DEFERRED: it may be claimed yet, until here
                    op.state = op.state.resume
                """,
                "op.state = op.state.resume",
            ),
        ),
        (program("cancel-vs-deferred-receive"),),
    ),
    Mutant(
        "a-number-is-given-back-under-a-call",
        AREA,
        "close.fd-reuse-new-object: gh-131728, and this project's own `close-vs-call`",
        (
            Edit(
                "descriptor.py",
                """
                if slot.calling and slot.op.state is IDLE:
                    return False
                """,
                "pass",
            ),
        ),
        (program("close-vs-call-edge"),),
    ),
    Mutant(
        "a-call-is-announced-after-the-look",
        AREA,
        "close.fd-reuse-new-object: gh-131728, and this project's own `close-vs-call`",
        (
            Edit(
                "dispatch.py",
                """
                slot.calling = True  # before the look at `seen`: see `Descriptor.let_go`
                try:
                """,
                "try:",
            ),
            Edit(
                "dispatch.py",
                """
                try:
                    result = attempt(arg, slot.flags)
                """,
                """
                slot.calling = True
                try:
                    result = attempt(arg, slot.flags)
                """,
            ),
        ),
        (program("close-vs-call-edge"),),
    ),
    Mutant(
        "close-tells-before-it-has-closed",
        AREA,
        "close.pending-recv: this project's own, found by `close-vs-readiness`",
        (
            Edit(
                "socketbase.py",
                "self._descriptor.close(self._end)",
                """
            with self._context.scheduler.mutex:
                for slot in (self._descriptor.read, self._descriptor.write):
                    slot.op.cancel(Cause.CLOSE)
            self._descriptor.close(self._end)
            """,
            ),
        ),
        (program("close-vs-readiness-edge"),),
    ),
    Mutant(
        "a-stale-event-of-a-closed-descriptor-is-delivered",
        AREA,
        "close.stale-event-new-socket: Twisted test_lostFileDescriptor, an event that was on its way",
        (
            Edit(
                "descriptor.py",
                """
                if slot.closed:
                    continue
                op = slot.op
                """,
                "op = slot.op",
            ),
        ),
        (program("close-vs-readiness-edge"),),
    ),
    Mutant(
        "a-late-cancel-does-not-keep-it-from-waiting",
        AREA,
        "cancel.false-readiness: corosio 477e92f, a cancel of what readiness has claimed",
        (
            Edit(
                "dispatch.py",
                """
                if op.late is not None:
                    raise OperationCancelled(op.late)
                if slot.closed:
                """,
                "if slot.closed:",
            ),
            Edit(
                "descriptor.py",
                "if slot.closed or self.late is not None:",
                "if slot.closed:",
            ),
            Edit(
                "task.py",
                "if slot.edges == slot.seen and op.late is None and not self.interrupted:",
                "if slot.edges == slot.seen and not self.interrupted:",
            ),
        ),
        (program("cancel-vs-stolen-data"),),
    ),
    Mutant(
        "close-does-not-wait-for-the-runners",
        AREA,
        "cancel.shutdown-with-parked-ops: corosio 2068af1, use after free while others still ran",
        (
            Edit(
                "scheduler.py",
                """
                while self.signal.runners:
                    self._condition.wait()
                """,
                "",
            ),
        ),
        (program("close-vs-running-handler"),),
    ),
    Mutant(
        "the-last-runner-does-not-tell-who-closes",
        AREA,
        "cancel.shutdown-with-parked-ops: corosio 7869f62; libcoro PR 422, own shutdown not noticed",
        (
            Edit(
                "scheduler.py",
                "if self.closing or self.signal.work == 0:",
                "if self.signal.work == 0 and not self.closing:",
            ),
        ),
        (program("close-vs-run-and-post"),),
    ),
    Mutant(
        "an-event-is-looked-at-before-the-mutex",
        AREA,
        "cancel.before-wait: corosio 17fa5e5; zeek/zeek#761, between the look and the sleep",
        (
            Edit(
                "sync.py",
                "await self._waiters.wait_turn(self.is_set)",
                """
                if not self._flag:
                    await self._waiters.wait_turn(lambda: False)
                """,
            ),
        ),
        (program("event-set-vs-wait"),),
    ),
    Mutant(
        "a-cancel-takes-back-what-was-handed-over",
        AREA,
        "cancel.completion-already-queued: chriskohlhoff/asio#423",
        (
            Edit(
                "operation.py",
                "return False",
                """
                if self.state is CLAIMED and self.cause is Cause.READY:
                    self.cause = cause
                    return True
                return False
                """,
            ),
        ),
        (program("queue-put-vs-cancelled-get"),),
    ),
    Mutant(
        "a-claim-shows-before-its-cause",
        AREA,
        "cancel.from-other-thread: this project's own, found by `cancel-vs-deferred-receive`",
        (
            Edit(
                "operation.py",
                """
                self.cause = cause
                self.scoped = scoped
                self.vacate()
                assert self.task is not None
                self.task.scheduler.claims[cause] += 1
                self.state = DEFERRED.claim
                """,
                """
                self.state = DEFERRED.claim
                self.cause = cause
                self.scoped = scoped
                self.vacate()
                assert self.task is not None
                self.task.scheduler.claims[cause] += 1
                """,
            ),
        ),
        (program("cancel-vs-deferred-receive"),),
    ),
    Mutant(
        "a-park-does-not-look-again-for-readiness",
        AREA,
        "partial.false-readiness: this project's own, parking without the mutex",
        (
            Edit(
                "task.py",
                "if slot.edges == slot.seen and op.late is None and not self.interrupted:",
                "if op.late is None and not self.interrupted:",
            ),
        ),
        (program("edge-during-an-empty-call-edge"),),
    ),
    Mutant(
        "a-park-does-not-look-again-for-its-scope",
        AREA,
        "cancel.from-another-thread: this project's own, parking without the mutex",
        (
            Edit(
                "task.py",
                "if slot.edges == slot.seen and op.late is None and not self.interrupted:",
                "if slot.edges == slot.seen and op.late is None:",
            ),
        ),
        (program("park-without-mutex-scope"),),
    ),
    Mutant(
        "a-late-cancel-is-told-after-the-look",
        AREA,
        "cancel.from-another-thread: this project's own, parking without the mutex",
        (
            Edit(
                "descriptor.py",
                """
                # Again, as it may have parked meanwhile, without the mutex: see `Task.step`.
                return int(self.claim(cause))
                """,
                "return 0",
            ),
        ),
        (program("park-without-mutex-cancel"),),
    ),
    Mutant(
        "readiness-is-told-after-the-look",
        AREA,
        "partial.false-readiness: this project's own, parking without the mutex",
        (
            Edit(
                "descriptor.py",
                """
                if op.state is not PARKED:
                    slot.edges += 1
                    if op.state is not PARKED:
                        continue
                """,
                """
                if op.state is not PARKED:
                    slot.edges += 1
                    continue
                """,
            ),
        ),
        (program("edge-during-an-empty-call-edge"),),
    ),
    Mutant(
        "what-has-parked-is-taken-back-unseen",
        AREA,
        "cancel.from-another-thread: this project's own, parking without the mutex",
        (
            Edit(
                "task.py",
                """
                if op.state is not PARKED or op.task is not self:
                    return False
                """,
                "",
            ),
        ),
        (program("edge-during-an-empty-call-edge"),),
    ),
)

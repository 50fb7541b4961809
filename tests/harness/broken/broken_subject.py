"""The project's reactor with one thing broken in it, the one that $BROKEN names.

A fork server loads this as its subject, so the damage is done there and nowhere else.
"""

from __future__ import annotations

import heapq
import math
import os
import socket
import time
import types
from typing import TYPE_CHECKING, Any

import reactor
from harness.subject import ReactorSubject, current_dump, run_scenario
from reactor import (
    acceptor,
    descriptor,
    dispatch,
    gather,
    operation,
    scheduler,
    scope,
    socketbase,
    stream,
    sync,
    system,
    task,
    timerqueue,
    timing,
    waitlist,
    wakers,
)
from reactor.backends import _level, base
from reactor.descriptor import READ, STICKY, WRITE
from reactor.errors import Cause, OperationCancelled
from reactor.operation import CLAIMED, IDLE
from reactor.scheduler import TURN

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MUTANTS", "current_dump", "run_scenario"]

MUTANTS: dict[str, Callable[[], None]] = {}


def mutant(function):
    MUTANTS[function.__name__.replace("_", "-")] = function
    return function


def replace(owner: Any, name: str):
    """Put a function in the place of `owner.name`; it is given first what stood there."""
    real = getattr(owner, name, None)

    def decorate(function):
        setattr(owner, name, lambda *args, **more: function(real, *args, **more))
        return function

    return decorate


def put(owner: Any, **values: Any) -> None:
    for name, value in values.items():
        setattr(owner, name, value)


def replace_perform(*modules: Any):
    """Put a generator in the place of these modules' `perform`; it is given the real one first."""
    real = dispatch.perform

    def decorate(function):
        @types.coroutine
        def perform(slot, attempt, arg, want=0, whole=False):
            return (yield from function(real, slot, attempt, arg, want, whole))

        for module in modules:
            put(module, perform=perform)
        return function

    return decorate


def replace_wait(function):
    """Put a function in the place of every backend's `wait`; it is given scheduler and real one."""

    @replace(scheduler.Scheduler, "__init__")
    def init(real, self, context, system, backend):
        real(self, context, system, backend)
        wait = backend.wait
        backend.wait = lambda timeout: function(self, wait, timeout)

    return function


# -- Cancel


@mutant
def a_cancel_poisons_the_next_operation():
    poisoned = set()

    @replace(descriptor.IoOperation, "cancel")
    def cancel(real, self, cause):
        if self.state is IDLE:
            poisoned.add(self.slot)
        return real(self, cause)

    @replace(descriptor.IoOperation, "park")
    def park(real, self, task):
        parked = real(self, task)
        if parked and self.slot in poisoned:
            poisoned.discard(self.slot)
            self.claim(Cause.CANCEL)
        return parked


@mutant
def a_claimed_operation_is_claimed_again():
    @replace(operation.Operation, "claim")
    def claim(real, self, cause):
        if self.state is not CLAIMED:
            return real(self, cause)
        self.task.scheduler.push(self.task)
        return True


@mutant
def a_cancel_takes_back_what_was_handed_over():
    @replace(operation.Operation, "claim")
    def claim(real, self, cause):
        if self.state is not CLAIMED or self.cause is not Cause.READY:
            return real(self, cause)
        self.cause = cause
        return True


@mutant
def a_late_cancel_is_forgotten():
    @replace(descriptor.IoOperation, "cancel")
    def cancel(real, self, cause):
        return int(self.claim(cause))


@mutant
def a_cancelled_receive_reads_all_the_same():
    @replace_perform(stream, acceptor)
    def perform(real, slot, attempt, arg, want, whole):
        try:
            return (yield from real(slot, attempt, arg, want, whole))
        except OperationCancelled:
            if slot.direction == READ and not slot.descriptor.closed:
                try:
                    attempt(arg, slot.flags)
                except OSError:
                    pass
            raise


@mutant
def a_cancel_ends_both_directions():
    @replace(descriptor.IoOperation, "claim")
    def claim(real, self, cause):
        done = real(self, cause)
        if done and cause is Cause.CANCEL:
            for slot in (self.slot.descriptor.read, self.slot.descriptor.write):
                real(slot.op, cause)
        return done


@mutant
def a_cancel_ends_all_who_wait():
    @replace(waitlist.WaitOperation, "claim")
    def claim(real, self, cause):
        done = real(self, cause)
        if done and cause is Cause.CANCEL:
            self._waiters.wake_all(cause)
        return done


@mutant
def a_cancel_before_the_first_step_is_lost():
    def refresh(task):
        task.interrupted = task.operation is not None and task.scope.reached()
        if task.interrupted:
            task.credit = 0

    put(scope.CancelScope, _refresh=staticmethod(refresh))


@mutant
def a_cancelled_scope_still_does_io():
    slot: Any = task.Task.__dict__["credit"]  # what is left to a task before it must suspend
    credit = property(lambda self: 1 if self.interrupted else slot.__get__(self), slot.__set__)
    put(task.Task, credit=credit)


@mutant
def a_cancelled_operation_keeps_its_slot():
    put(descriptor.IoOperation, vacate=lambda self: None)


@mutant
def progress_is_lost_on_a_cancel():
    put(OperationCancelled, transferred=property(lambda self: 0, lambda self, value: None))


@mutant
def progress_is_lost_on_an_error():
    @replace_perform(stream)
    def perform(real, slot, attempt, arg, want, whole):
        try:
            return (yield from real(slot, attempt, arg, want, whole))
        except OSError as exc:
            put(exc, transferred=0)
            raise


@mutant
def what_a_cancelled_recv_exactly_had_is_lost():
    put(OperationCancelled, partial=property(lambda self: b"", lambda self, value: None))


# -- Close


@mutant
def close_does_not_leave_the_poller():
    put(base.Backend, deregister=lambda self, descriptor: None)


@mutant
def close_comes_before_leaving_the_poller():
    @replace(socketbase.SocketBase, "close")
    def close(real, self):
        if not self.closed:
            self._end(Cause.CLOSE)
            self._sock.close()
        real(self)


@mutant
def close_leaves_the_parked_ones():
    kept = []

    @replace(socketbase.SocketBase, "close")
    def close(real, self):
        if self.closed:
            return
        for slot in (self._descriptor.read, self._descriptor.write):
            kept.append(slot.op)
            slot.op = descriptor.IoOperation(slot)
        if self._descriptor.close():
            self._sock.close()


@mutant
def close_forgets_who_waits_for_a_turn_to_accept():
    put(acceptor.Acceptor, _end=socketbase.SocketBase._end)


@mutant
def closing_a_context_throws_its_tasks_away():
    @replace(scheduler.Scheduler, "drain")
    def drain(real, self):
        for item in list(self.tasks):
            item.abandon()
        return real(self)


@mutant
def closing_a_context_runs_what_was_posted():
    @replace(scheduler.Scheduler, "drain")
    def drain(real, self):
        for item in list(self.queue):
            if item is not TURN and item.__class__ is not task.Task:
                item()
        return real(self)


@mutant
def the_loop_of_an_acceptor_outlives_it():
    async def connections(self):
        while True:
            yield await self.accept()

    put(acceptor.Acceptor, _connections=connections)


# -- Readiness


@mutant
def a_short_read_still_counts_at_the_end():
    @replace(descriptor.Descriptor, "deliver")
    def deliver(real, self, events):
        real(self, events & ~STICKY)


@mutant
def a_short_read_counts_over_unix():
    @replace(stream.StreamSocket, "_attach")
    def attach(real, self, sock, family, context):
        real(self, sock, family, context)
        self._read.exact = True


@mutant
def every_read_is_taken_for_the_last():
    @replace_perform(stream, acceptor)
    def perform(real, slot, attempt, arg, want, whole):
        result = yield from real(slot, attempt, arg, want, whole)
        slot.seen = slot.edges
        return result


@mutant
def interest_is_never_dropped():
    real: Any = descriptor.Descriptor.__dict__["interest"]
    ever: dict[int, int] = {}

    def interest(self):
        ever[self.generation] = ever.get(self.generation, 0) | real.__get__(self)
        return ever[self.generation]

    put(descriptor.Descriptor, interest=property(interest))


@mutant
def interest_is_told_once():
    @replace(_level.LevelBackend, "interest_changed")
    def interest_changed(real, self, descriptor):
        if descriptor.fd not in self._applied:
            real(self, descriptor)


@mutant
def one_event_serves_one_direction():
    @replace(descriptor.Descriptor, "deliver")
    def deliver(real, self, events):
        real(self, events & ~WRITE if events & READ else events)


@mutant
def false_readiness_is_the_end():
    @replace_perform(stream)
    def perform(real, slot, attempt, arg, want, whole):
        misses = 0

        def once(arg, flags):
            nonlocal misses
            try:
                return attempt(arg, flags)
            except BlockingIOError:
                misses += 1
                if misses == 2 and slot.direction == READ and want and not whole:
                    return b""
                raise

        return (yield from real(slot, once, arg, want, whole))


@mutant
def the_end_comes_before_the_data():
    ended = set()

    @replace(descriptor.Descriptor, "deliver")
    def deliver(real, self, events):
        if events & STICKY:
            ended.add(self)
        real(self, events)

    @replace_perform(stream)
    def perform(real, slot, attempt, arg, want, whole):
        result = yield from real(slot, attempt, arg, want, whole)
        return b"" if slot.descriptor in ended and isinstance(result, bytes) else result


@mutant
def a_reset_is_an_end():
    @replace_perform(stream)
    def perform(real, slot, attempt, arg, want, whole):
        try:
            return (yield from real(slot, attempt, arg, want, whole))
        except ConnectionResetError:
            return b""


@mutant
def due_timers_drop_the_events():
    @replace_wait
    def wait(self, real, timeout):
        ready = real(timeout)
        return [] if self.timers.next_deadline() <= self.now() else ready


@mutant
def events_keep_the_timers_waiting():
    found: list[Any] = []

    @replace_wait
    def wait(self, real, timeout):
        found[:] = real(timeout)
        return list(found)

    @replace(timerqueue.TimerQueue, "pop_due")
    def pop_due(real, self, now):
        return [] if found else real(self, now)


@mutant
def the_queue_keeps_the_poller_waiting():
    @replace(scheduler.Scheduler, "_lead")
    def lead(real, self, finished, ran, deadline, limit, *, block):
        if not self.queue:
            return real(self, finished, ran, deadline, limit, block=block)
        with self.mutex:
            self.handlers += ran
            if finished:
                self.finish_work(finished)
            self.queue.append(TURN)
        return not self.signal.stopped


@mutant
def the_budget_never_ends():
    put(task, BUDGET=1 << 40)


# -- Wake-ups


@mutant
def nobody_is_woken():
    put(base.Backend, interrupt=lambda self: True)


@mutant
def a_failed_wake_up_counts_as_done():
    @replace(wakers.FdWaker, "wake")
    def wake(real, self):
        real(self)
        return True


@mutant
def the_waker_is_not_drained():
    put(wakers.FdWaker, drain=lambda self: None)


# -- Streams


@mutant
def a_second_receive_waits_behind_the_first():
    @replace_perform(stream, socketbase)
    def perform(real, slot, attempt, arg, want, whole):
        while slot.op.state is not IDLE:
            yield operation.Yield()
        return (yield from real(slot, attempt, arg, want, whole))


@mutant
def a_gathering_send_resumes_at_the_wrong_place():
    @replace(gather.Gather, "step")
    def step(real, self, arg, flags):
        before = list(self._views)
        sent = real(self, arg, flags)
        if self._views:
            self._views[0] = before[len(before) - len(self._views)]
        return sent


@mutant
def a_gathering_send_repeats_its_ancillary_data():
    @replace(gather.Gather, "step")
    def step(real, self, arg, flags):
        ancdata = self._ancdata
        sent = real(self, arg, flags)
        self._ancdata = ancdata
        return sent


@mutant
def a_gathering_send_takes_any_number_of_buffers():
    put(gather, IOV_MAX=1 << 20)


@mutant
def sending_nothing_asks_the_kernel():
    perform: Any = dispatch.perform
    put(stream.StreamSocket, send=lambda self, data: perform(self._write, self._send, data))


@mutant
def wait_writable_does_not_wait():
    put(socketbase.SocketBase, _check_ready=lambda self, events, flags: None)


@mutant
def a_connect_does_not_look_at_its_error():
    put(stream.StreamSocket, _connected=lambda self, address: None)


@mutant
def a_connect_to_a_full_unix_listener_waits_for_an_event():
    def step(self, connect, flags):
        if not connect.begun:
            connect.begun = True
            self._sock.connect(connect.address)
        self._connected(connect.address)

    put(stream.StreamSocket, _connect_step=step)


# -- Acceptors


@mutant
def no_error_of_accept_is_transient():
    put(acceptor, TRANSIENT=frozenset())


@mutant
def a_transient_error_ends_the_burst():
    def accept_once(self, arg, flags):
        try:
            return self._system.accept(self._sock)
        except OSError as exc:
            if exc.errno in acceptor.TRANSIENT:
                raise BlockingIOError from exc
            raise

    put(acceptor.Acceptor, _accept_once=accept_once)


@mutant
def no_error_of_accept_means_out_of_descriptors():
    put(acceptor, CAPACITY=frozenset())


@mutant
def out_of_descriptors_it_does_not_pause():
    put(acceptor, BACK_OFF=0.0)


@mutant
def a_pause_cannot_be_cancelled():
    async def rest(self, seconds):
        await timing.sleep(seconds)

    put(socketbase.SocketBase, _rest=rest)


@mutant
def the_last_to_accept_is_served_first():
    put(waitlist.WaitList, first=lambda self: next(reversed(self.operations), None))


@mutant
def several_accepts_at_once():
    put(sync.Gate, _take=lambda self: True)


@mutant
def a_cancelled_accept_keeps_its_turn():
    @replace_perform(acceptor)
    def perform(real, slot, attempt, arg, want, whole):
        try:
            return (yield from real(slot, attempt, arg, want, whole))
        except OperationCancelled:
            slot.descriptor.owner._gate = sync.Gate(slot.descriptor.scheduler, "its turn")
            slot.descriptor.owner._gate._take()
            raise


@mutant
def an_unnamed_peer_is_unknown():
    @replace(acceptor.Acceptor, "_accept_once")
    def accept_once(real, self, arg, flags):
        connection, address = real(self, arg, flags)
        return connection, address or None


@mutant
def an_accepted_socket_blocks():
    @replace(acceptor.Acceptor, "accept")
    async def accept(real, self):
        made = await real(self)
        made._sock.setblocking(True)
        return made


@mutant
def an_accepted_socket_survives_exec():
    @replace(system.System, "accept")
    def accept(real, self, sock):
        connection, address = real(self, sock)
        connection.set_inheritable(True)
        return connection, address


@mutant
def an_accepted_socket_must_take_its_options():
    @replace(system.System, "accept")
    def accept(real, self, sock):
        connection, address = real(self, sock)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return connection, address


@mutant
def an_accepted_socket_is_asked_for_its_peer():
    @replace(system.System, "accept")
    def accept(real, self, sock):
        connection, _ = real(self, sock)
        return connection, connection.getpeername()


# -- Timers


@mutant
def equal_deadlines_fire_last_first():
    @replace(timerqueue.TimerQueue, "add")
    def add(real, self, deadline, action):
        self._sequence -= 2
        return real(self, deadline, action)


@mutant
def late_timers_fire_in_reverse():
    @replace(timerqueue.TimerQueue, "pop_due")
    def pop_due(real, self, now):
        return real(self, now)[::-1]


@mutant
def timers_fire_a_millisecond_early():
    @replace(timerqueue.TimerQueue, "pop_due")
    def pop_due(real, self, now):
        return real(self, now + 0.001)


@mutant
def timeouts_are_cut_to_milliseconds():
    @replace(scheduler.Scheduler, "_wait_time")
    def wait_time(real, self, deadline):
        seconds = real(self, deadline)
        return seconds and math.floor(seconds * 1000) / 1000


@mutant
def waits_have_no_limit():
    put(scheduler, MAX_WAIT=math.inf)
    put(base, MAX_WAIT=math.inf)


@mutant
def a_deadline_in_the_past_means_for_ever():
    @replace(scheduler.Scheduler, "_wait_time")
    def wait_time(real, self, deadline):
        due = min(self.timers.next_deadline(), deadline)
        return None if due < self.now() else real(self, deadline)


@mutant
def run_for_forgets_its_bound():
    @replace(scheduler.Scheduler, "_wait_time")
    def wait_time(real, self, deadline):
        return real(self, math.inf)


@mutant
def an_earlier_deadline_does_not_shorten_the_wait():
    @replace(scheduler.Scheduler, "add_timer")
    def add_timer(real, self, deadline, action):
        return self.timers.add(deadline, action)


@mutant
def sleep_0_does_not_yield():
    real = reactor.sleep

    @types.coroutine
    def sleep(seconds):
        if seconds > 0:
            yield from real(seconds)

    async def turn(self):  # the lab goes on with its turns
        await real(0)

    put(reactor, sleep=sleep)
    put(stream, sleep=sleep)
    put(ReactorSubject, turn=turn)


@mutant
def a_due_timer_cannot_be_cancelled():
    def end(self, cause):
        with self._scheduler.mutex:
            return sum(op.claim(cause) for op in list(self._waits))

    put(timing.Timer, end=end)


@mutant
def setting_a_timer_anew_leaves_its_waits():
    def expires_at(self, deadline):
        self._deadline = deadline
        return 0

    put(timing.Timer, expires_at=expires_at)


@mutant
def a_kernel_timer_of_zero_is_armed_with_zero():
    @replace(system.System, "set_timerfd")
    def set_timerfd(real, self, fd, seconds):
        real(self, fd, seconds or None)


@mutant
def a_kernel_timer_is_never_disarmed():
    @replace(base.Backend, "set_deadline")
    def set_deadline(real, self, deadline, now):
        if deadline != math.inf:
            real(self, deadline, now)


@mutant
def a_cancelled_sleep_stays_armed():
    put(timing.TimerWait, vacate=lambda self: None)


@mutant
def a_cancelled_head_wakes_the_loop():
    def next_deadline(self):
        return self.heap[0][0] if self.heap else math.inf

    def pop_due(self, now):
        due = []
        while self.heap and self.heap[0][0] <= now:
            _, _, entry = heapq.heappop(self.heap)
            if entry.action is None:
                self._garbage -= 1
            else:
                due.append(entry.action)
                entry.action = None
        return due

    put(timerqueue.TimerQueue, next_deadline=next_deadline, pop_due=pop_due)


@mutant
def cancelled_timers_are_never_collected():
    put(timerqueue, _MIN_GARBAGE=1 << 60)


@mutant
def a_moved_deadline_has_no_effect():
    put(scope.CancelScope, reschedule=lambda self, deadline: put(self, _deadline=deadline))


@mutant
def deadlines_are_on_the_wall_clock():
    real = time.time

    @replace(scheduler.Scheduler, "__init__")
    def init(init, self, context, system, backend):
        init(self, context, system, backend)
        # The given clock, and the whole seconds by which somebody has turned the one on the wall.
        self.now = lambda: system.monotonic() + round(time.time() - real())


@mutant
def not_a_number_is_a_deadline():
    @replace(timerqueue.TimerQueue, "add")
    def add(real, self, deadline, action):
        return real(self, 0.0 if math.isnan(deadline) else deadline, action)


if os.environ.get("BROKEN"):
    MUTANTS[os.environ["BROKEN"]]()

"""The one way of every socket operation: when a system call is made, when it is not, and who decides."""

from __future__ import annotations

import errno
import os
import socket
import threading
from typing import Any

import pytest

import reactor
from harness.faults import FaultTable, Rule
from harness.peer import Peer, check_pattern, linger_zero, pattern, tiny_buffers
from reactor import BusyError, CancelScope, Cause, ClosedError, OperationCancelled
from reactor.descriptor import READ, STICKY, WRITE, deliver
from reactor.dispatch import perform
from reactor.operation import BUDGET, DEFERRED, IDLE
from tests.reactor.places import (
    arrived,
    both_kinds,
    everywhere,
    outcome,
    parked,
    receiving,
    sending,
    start,
    turns,
    wired,
)


def counters():
    return reactor.current_context().counters()


def report(sock, events):
    """What the leader does when the poller reports `events`; the operation is claimed, and not run."""
    scheduler = reactor.current_context().scheduler
    with scheduler.mutex:
        deliver(scheduler, sock._descriptor.slots(events))


# -- Speculation


@everywhere
def test_what_can_be_done_at_once_neither_parks_nor_asks_the_poller(where):
    table = FaultTable()

    async def main():
        with wired() as (sock, peer):
            peer.sendall(b"ab")
            before = counters()
            assert await sock.recv(1) == b"a"
            assert await sock.recv(1) == b"b"
            assert await sock.sendall(b"xyz") == 3
            assert await sock.send(b"!") == 1
            after = counters()
            assert after.speculative_hits - before.speculative_hits == 4
            assert after.inline_completions - before.inline_completions == 4
            assert after.speculative_misses == before.speculative_misses == 0
            assert after.parks == before.parks == 0
            assert after.waits == before.waits
            assert not sock._descriptor.registered
            assert table.calls["recv"] == table.calls["send"] == 2

    where.run(main, table)


@everywhere
def test_what_would_block_is_tried_once_and_parks(where):
    table = FaultTable()

    async def main():
        with wired() as (sock, peer):
            task = await receiving(sock)
            await turns(10)
            assert table.calls["recv"] == 1
            assert counters().speculative_misses == counters().parks == 1
            peer.sendall(b"hello")
            assert await task == b"hello"
            assert table.calls["recv"] == 2
            assert counters().inline_completions == counters().speculative_hits == 0
            assert counters().claims_ready >= 1

    where.run(main, table)


@everywhere
def test_a_spurious_report_parks_again(where):
    table = FaultTable()

    async def main():
        with wired() as (sock, peer):
            task = await receiving(sock)
            for number in range(5):
                sock._descriptor.nudge(READ)
                await turns()
                assert table.calls["recv"] == number + 2
                assert sock._descriptor.interest == READ
            peer.sendall(b"hello")
            assert await task == b"hello"

    where.run(main, table)


@everywhere
def test_a_report_between_the_call_and_the_parking_is_not_lost(where):
    """With an edge-triggered poller it never comes again."""

    async def main():
        with wired() as (sock, _peer):
            calls = []
            others: list[None] = []

            def attempt(arg, flags):
                calls.append((arg, flags))
                if len(calls) < 3:
                    report(sock, READ)
                    raise BlockingIOError
                return "done"

            reactor.current_context().post(others.append, None)
            assert await perform(sock._descriptor.read, attempt, "argument") == "done"
            assert calls == [("argument", 0)] * 3
            assert counters().parks == 0
            assert others == [], "there was no need to give up the turn"

    where.run(main)


@everywhere
def test_the_flags_of_a_send_are_handed_on(where):
    """MSG_NOSIGNAL, where the system has it, with every send and no receive."""

    async def main():
        with wired() as (sock, _peer):
            seen = []
            for slot in (sock._descriptor.read, sock._descriptor.write):
                await perform(slot, lambda _, flags: seen.append(flags), None)
            assert seen == [0, where.system().send_flags]

    where.run(main)


# -- The budget


@everywhere
def test_the_budget_is_that_of_the_task_and_not_of_who_used_the_socket_before(where):
    async def main():
        with wired() as (sock, _peer), wired() as (other, other_peer):

            async def before():
                await sock.sendall(b"x")
                await other.recv(1)

            async def after():
                for _ in range(BUDGET):
                    await sock.sendall(b"x")
                assert counters().deferrals == deferrals
                await sock.sendall(b"x")
                assert counters().deferrals == deferrals + 1

            task = await parked(other, READ, before)
            deferrals = counters().deferrals
            for _ in range(2):
                assert await start(after) is None
                deferrals = counters().deferrals
            other_peer.sendall(b"x")
            await task

    where.run(main)


@everywhere
@pytest.mark.parametrize("method", ["recv", "send", "sendall", "wait_writable"])
def test_after_the_budget_others_go_first(where, method):
    """Law 6. The operation that had to wait its turn is performed first when it comes."""

    async def busy(sock):
        done: list[None] = []
        watcher = reactor.current_context().spawn(watch, done)
        for _ in range(3 * BUDGET):
            await {
                "recv": lambda: sock.recv(1),
                "send": lambda: sock.send(b"x"),
                "sendall": lambda: sock.sendall(b"x"),
                "wait_writable": sock.wait_writable,
            }[method]()
            done.append(None)
        assert await watcher == [BUDGET, 2 * BUDGET + 1]

    async def watch(done):
        seen = []
        for _ in range(2):
            seen.append(len(done))
            await reactor.sleep(0)
        return seen

    async def main():
        with wired() as (sock, peer):
            peer.sendall(bytes(3 * BUDGET))
            await busy(sock)
            assert counters().parks == 0

    assert BUDGET == 32
    where.run(main)


@everywhere
def test_the_steps_of_a_long_send_count_too(where):
    """One sendall must not take the turn for itself because the peer is fast."""
    table = FaultTable()
    table.add(Rule("send", answers=[lambda _: 1] * 1000))

    async def main():
        with wired() as (sock, _peer):
            task = start(sock.sendall, bytes(1000))
            seen = []
            while not task.done:
                await reactor.sleep(0)
                seen.append(table.calls["send"])
            assert await task == 1000
            steps = [after - before for before, after in zip([0, *seen], seen, strict=False)]
            assert max(steps) == BUDGET + 1
            assert sum(steps) == 1000

    where.run(main, table)


@everywhere
def test_an_operation_that_waits_for_its_turn_is_pending(where):
    async def main():
        with wired() as (sock, peer):
            peer.sendall(bytes(100))

            async def busy():
                for _ in range(100):
                    await sock.recv(1)

            async def look():
                assert sock._descriptor.read.op.state is DEFERRED
                with pytest.raises(BusyError, match="another receive is pending"):
                    await sock.recv(1)
                return sock.cancel()

            task, looker = start(busy), start(look)
            assert (await task).cause is Cause.CANCEL
            assert await looker == 1
            assert len(await sock.recv(1000)) == 100 - BUDGET, "nothing is lost"

    where.run(main)


# -- Short reads


@everywhere
def test_a_short_read_saves_the_call_that_would_block(where):
    """TCP: fewer bytes than asked for means that the kernel has no more."""
    table = FaultTable()

    async def main():
        with wired("tcp") as (sock, peer):
            for number in range(1, 4):
                task = await receiving(sock)
                peer.sendall(b"hello")
                assert await task == b"hello"
                assert table.calls["recv"] == number + 1, "one call for each, and one at first"

    where.run(main, table)


@everywhere
def test_a_short_read_saves_that_call_in_an_exact_receive_too(where):
    table = FaultTable()

    async def main():
        with wired("tcp") as (sock, peer):
            task = await parked(sock, READ, sock.recv_exactly, 6)
            for data in (b"he", b"ll", b"o!"):
                peer.sendall(data)
                arrived(sock)
                await turns()
            assert await task == b"hello!"
            assert table.calls["recv_into"] == 4, "one call for each piece, and one at first"

    where.run(main, table)


@everywhere
@pytest.mark.parametrize(("method", "call"), [("recv", "recv"), ("recv_into", "recv_into")])
def test_a_read_that_is_not_short_is_followed_by_another(where, method, call):
    table = FaultTable()

    async def main():
        with wired("tcp") as (sock, peer):
            peer.sendall(b"hello!")
            arrived(sock)

            def receive():
                return sock.recv(3) if method == "recv" else sock.recv_into(bytearray(3))

            await receive()
            await receive()
            assert counters().parks == 0
            task = start(receive)
            await turns()
            assert table.calls[call] == 3
            assert counters().speculative_misses == 1
            task.cancel()
            await task

    where.run(main, table)


@everywhere
def test_a_short_read_proves_nothing_on_a_unix_socket(where):
    """unix(7): a read stops at ancillary data."""
    table = FaultTable()

    async def main():
        with wired("unix") as (sock, peer):
            assert not sock._descriptor.read.exact
            task = await receiving(sock)
            peer.sendall(b"hello")
            assert await task == b"hello"
            assert table.calls["recv"] == 2
            await receiving(sock)
            assert table.calls["recv"] == 3
            sock.cancel()

    where.run(main, table)


@everywhere
def test_ancillary_data_is_not_taken_for_the_end_of_the_data(where):
    async def main():
        with wired("unix") as (sock, peer):
            task = await receiving(sock)
            socket.send_fds(peer, [b"abc"], [0])
            socket.send_fds(peer, [b"def"], [0])
            assert await task == b"abc"
            assert await sock.recv(100) == b"def"

    where.run(main)


@everywhere
def test_a_report_during_a_short_read_is_not_lost(where):
    """It may be of what came after the read."""

    async def main():
        with wired("tcp") as (sock, _peer):
            slot = sock._descriptor.read
            answers = [b"abc", b"def"]

            def attempt(_arg, _flags):
                if len(answers) == 2:
                    report(sock, READ)
                return answers.pop(0)

            assert await perform(slot, attempt, None, 10) == b"abc"
            assert await perform(slot, attempt, None, 10) == b"def"
            assert counters().parks == 0

    where.run(main)


@everywhere
def test_after_an_end_was_reported_a_short_read_proves_nothing(where):
    """No edge follows the one that brought the end."""
    table = FaultTable()

    async def main():
        with wired("tcp") as (sock, peer):
            task = await receiving(sock, 5)
            peer.sendall(b"hello, world")
            peer.shutdown(socket.SHUT_WR)
            assert await task == b"hello"
            report(sock, READ | STICKY)
            assert not sock._descriptor.read.exact
            assert await sock.recv(100) == b", world"
            parks = counters().parks
            assert await sock.recv(100) == b""
            assert await sock.recv(100) == b""
            assert counters().parks == parks

    where.run(main, table)


@everywhere
@both_kinds
def test_data_and_its_end_in_one_report(where, kind):
    """The data is read short, and the end behind it is not waited for in vain."""

    async def main():
        with wired(kind) as (sock, peer):
            task = await receiving(sock)
            peer.sendall(b"hello")
            peer.close()
            assert await task == b"hello"
            for _ in range(3):
                assert await sock.recv(100) == b""

    where.run(main)


@everywhere
def test_an_end_stays(where):
    async def main():
        with wired("tcp") as (sock, peer):
            peer.close()
            assert await sock.recv(100) == b""
            assert not sock._descriptor.read.exact
            parks = counters().parks
            assert await sock.recv(100) == b""
            assert counters().parks == parks

    where.run(main)


@everywhere
def test_data_behind_urgent_data_is_not_left_lying(where):
    """tcp(7): a read stops at the mark."""

    async def main():
        with wired("tcp") as (sock, peer):
            task = await receiving(sock)
            peer.sendall(b"abc")
            peer.send(b"!", socket.MSG_OOB)
            peer.sendall(b"def")
            received = await task
            while len(received) < 6:
                received += await sock.recv(100)
            assert received == b"abcdef"

    where.run(main)


# -- Cancel


@everywhere
def test_a_cancel_that_comes_after_readiness_leaves_the_data_to_the_receive(where):
    """Whoever decides first, decides; the other is told that nothing was ended."""

    async def main():
        with wired() as (sock, peer):
            task = await receiving(sock)
            peer.sendall(b"hello")
            report(sock, READ)
            assert sock.cancel() == 0
            assert await task == b"hello"
            # It is not remembered for the next one.
            task = await receiving(sock)
            await turns()
            assert not task.done
            peer.sendall(b"more")
            assert await task == b"more"

    where.run(main)


@everywhere
@pytest.mark.parametrize("direction", [READ, WRITE])
def test_a_cancel_that_comes_after_spurious_readiness_holds(where, direction):
    async def main():
        with wired() as (sock, _peer):
            tiny_buffers(sock._sock, send=True)
            waiting = {READ: receiving(sock), WRITE: sending(sock, bytes(1 << 20))}
            tasks = {key: await value for key, value in waiting.items()}
            report(sock, direction)
            sock.cancel()
            other = tasks.pop(READ + WRITE - direction)
            assert (await tasks[direction]).cause is Cause.CANCEL
            await other

    where.run(main)


@everywhere
def test_a_late_cancel_of_a_sendall_that_has_to_wait_again_holds(where):
    """It was pending when it was cancelled, and must not go on for as long as the peer likes."""

    async def main():
        with wired() as (sock, peer):
            tiny_buffers(sock._sock, send=True)
            task = await sending(sock, pattern(1 << 20))
            taken = Peer(peer).drain_available()
            report(sock, WRITE)
            sock.cancel()
            error = await task
            assert isinstance(error, OperationCancelled)
            assert error.cause is Cause.CANCEL
            sock.close()
            taken += Peer(peer).drain_to_end()
            assert error.transferred == len(taken)
            check_pattern(taken)

    where.run(main)


@everywhere
def test_a_late_cancel_of_an_exact_receive_that_has_to_wait_again_holds(where):
    async def main():
        with wired() as (sock, peer):
            task = await parked(sock, READ, sock.recv_exactly, 10)
            peer.sendall(b"abc")
            report(sock, READ)
            sock.cancel()
            error = await task
            assert isinstance(error, OperationCancelled)
            assert (error.cause, error.partial) == (Cause.CANCEL, b"abc")
            assert sock._descriptor.read.op.state is IDLE

    where.run(main)


@everywhere
@pytest.mark.parametrize("moved", [0, 10])
@pytest.mark.parametrize("ending", ["cancel", "close"])
def test_an_end_that_comes_during_the_call_holds(where, ending, moved):
    """From another thread, while the task is in the system call: there is nothing to claim then."""
    table = FaultTable()

    async def main():
        with wired() as (sock, peer):
            tiny_buffers(sock._sock, send=True)

            def meanwhile(_real):
                thread = threading.Thread(target=getattr(sock, ending))
                thread.start()
                thread.join()
                if not moved:
                    raise BlockingIOError
                return moved

            task = await sending(sock, bytes(1 << 20))
            table.add(Rule("send", answers=[meanwhile]))
            sent = len(Peer(peer).drain_available())
            error = await task
            assert isinstance(error, OperationCancelled)
            assert error.cause_name == ending
            assert error.transferred == sent + moved

    where.run(main, table)


@everywhere
def test_a_cancel_during_a_first_call_that_completes_is_forgotten(where):
    table = FaultTable()

    async def main():
        with wired() as (sock, peer):

            def meanwhile(real):
                assert sock.cancel() == 0
                return real()

            table.add(Rule("recv", answers=[meanwhile]))
            peer.sendall(b"hello")
            assert await sock.recv(100) == b"hello"
            task = await receiving(sock)
            await turns()
            peer.sendall(b"more")
            assert await task == b"more"

    where.run(main, table)


@everywhere
def test_between_the_call_and_the_parking_it_can_be_ended_too(where):
    """The last look is taken under the mutex."""

    async def main():
        with wired() as (sock, _peer):
            for ending, cause in ((sock.cancel, Cause.CANCEL), (sock.close, Cause.CLOSE)):
                steps: Any = sock.recv(100)
                op = steps.send(None)  # found nothing, and is about to park
                ending()
                with reactor.current_context().scheduler.mutex:
                    assert not op.park(reactor.current_task())
                with pytest.raises(OperationCancelled) as caught:
                    steps.send(None)
                assert caught.value.cause is cause

    where.run(main)


@everywhere
def test_a_late_cancel_of_what_completes_is_forgotten(where):
    """Also by an operation of several steps that comes next."""

    async def main():
        with wired() as (sock, peer):
            task = await receiving(sock)
            peer.sendall(b"hello")
            report(sock, READ)
            sock.cancel()
            assert await task == b"hello"
            peer.sendall(b"abc")
            task = await parked(sock, READ, sock.recv_exactly, 6)
            await turns()
            peer.sendall(b"def")
            assert await task == b"abcdef"

    where.run(main)


@everywhere
def test_closing_after_readiness_is_told_as_closing(where):
    """Whether the poller was quicker than who closed makes no difference."""

    async def main():
        with wired() as (sock, peer):
            tiny_buffers(sock._sock, send=True)
            receiver, sender = await receiving(sock), await sending(sock, bytes(1 << 20))
            peer.sendall(b"hello")
            report(sock, READ | WRITE)
            sock.close()
            for task in (receiver, sender):
                error = await task
                assert isinstance(error, OperationCancelled)
                assert error.cause is Cause.CLOSE

    where.run(main)


@everywhere
def test_the_scope_of_a_receive_is_cancelled_after_readiness(where):
    async def main():
        with wired() as (sock, peer):
            task = await receiving(sock)
            peer.sendall(b"hello")
            report(sock, READ)
            task.cancel()
            assert await task == b"hello"

    where.run(main)


@everywhere
def test_a_scope_that_is_cancelled_half_way_ends_a_long_send(where):
    """There is room, and no call is made all the same."""
    table = FaultTable()

    async def main():
        with wired() as (sock, _peer), CancelScope() as scope:

            def cancel(_real):
                scope.cancel()
                return 10

            table.add(Rule("send", answers=[lambda _: 5, cancel]))
            error = await outcome(sock.sendall, pattern(1000))
        assert error.cause is Cause.CANCEL
        assert error.transferred == 15
        assert table.calls["send"] == 2

    where.run(main, table)


# -- One operation for each direction


@everywhere
def test_a_second_operation_in_one_direction_is_busy(where):
    table = FaultTable()

    async def main():
        with wired() as (sock, peer):
            tiny_buffers(sock._sock, send=True)
            receiver, sender = await receiving(sock), await sending(sock, bytes(1 << 20))
            before = sum(table.calls.values())
            number = sock.fileno()
            for operation in (
                sock.recv(1),
                sock.recv_into(bytearray(1)),
                sock.recv_exactly(1),
                sock.recvmsg_into([bytearray(1)]),
                sock.wait_readable(),
            ):
                with pytest.raises(
                    BusyError, match=rf"another receive is pending on this stream \(fd {number}\)"
                ):
                    await operation
            for operation in (
                sock.send(b"x"),
                sock.sendall(b"x"),
                sock.sendmsg([b"x"]),
                sock.wait_writable(),
            ):
                with pytest.raises(BusyError, match="another send is pending"):
                    await operation
            assert sum(table.calls.values()) == before
            assert sock._descriptor.interest == READ | WRITE
            peer.sendall(b"hello")
            assert await receiver == b"hello"
            assert await sock.send(b"") == 0
            sock.cancel()
            await sender

    where.run(main, table)


@everywhere
def test_the_other_direction_takes_an_operation(where):
    async def main():
        with wired() as (sock, peer):
            receiver = await receiving(sock)
            assert await sock.sendall(b"hello") == 5
            assert peer.recv(100) == b"hello"
            assert not receiver.done
            peer.sendall(b"answer")
            assert await receiver == b"answer"

    where.run(main)


@everywhere
def test_a_cancelled_operation_makes_room_before_its_task_has_run(where):
    async def main():
        with wired() as (sock, peer):
            first = await receiving(sock)
            sock.cancel()
            peer.sendall(b"hello")
            assert await sock.recv(100) == b"hello"
            assert (await first).cause is Cause.CANCEL

    where.run(main)


@everywhere
def test_a_ready_operation_is_not_overtaken(where):
    """Its data is its own, though its task has not run yet."""

    async def main():
        with wired() as (sock, peer):
            first = await receiving(sock)
            peer.sendall(b"hello")
            report(sock, READ)
            with pytest.raises(BusyError):
                await sock.recv(100)
            assert await first == b"hello"

    where.run(main)


# -- Errors


@everywhere
def test_an_error_says_that_nothing_was_moved(where):
    table = FaultTable()
    table.add(Rule("recv", errors=[errno.ECONNRESET]))
    table.add(Rule("send", errors=[errno.EPIPE]))

    async def main():
        with wired() as (sock, peer):
            for operation, kind in (
                (sock.recv(10), ConnectionResetError),
                (sock.sendall(b"x"), BrokenPipeError),
            ):
                with pytest.raises(kind) as caught:
                    await operation
                assert caught.value.transferred == 0  # type: ignore[attr-defined]
            peer.sendall(b"hello")
            assert await sock.recv(100) == b"hello", "an error ends one operation"

    where.run(main, table)


@everywhere
def test_each_pending_operation_gets_an_error_once(where):
    """Law 9, by a reset with both directions waiting."""

    async def main():
        with wired("tcp") as (sock, peer):
            tiny_buffers(sock._sock, send=True)
            receiver, sender = await receiving(sock), await sending(sock, bytes(10 << 20))
            linger_zero(peer)
            peer.close()
            errors = [await receiver, await sender]
            assert any(isinstance(error, ConnectionResetError) for error in errors)
            assert isinstance(errors[1], ConnectionError)
            assert await sock.recv(100) == b""

    where.run(main)


@everywhere
def test_an_operation_after_closing(where):
    async def main():
        with wired() as (sock, peer):
            peer.sendall(b"hello")
            arrived(sock)
            slot = sock._descriptor.read
            number = sock.fileno()
            sock.close()
            with pytest.raises(ClosedError) as caught:
                await perform(slot, lambda *_: os.read(number, 1), None)
            assert caught.value.transferred == 0  # type: ignore[attr-defined]

    where.run(main)


@everywhere
def test_an_attempt_that_fails_otherwise_leaves_the_slot_usable(where):
    async def main():
        with wired() as (sock, peer):
            with pytest.raises(TypeError):
                await sock.send("text")  # type: ignore[arg-type]
            with pytest.raises(ZeroDivisionError):
                await perform(sock._descriptor.read, lambda *_: 1 // 0, None)
            peer.sendall(b"hello")
            assert await sock.recv(100) == b"hello"
            assert await sock.send(b"x") == 1

    where.run(main)


@everywhere
def test_moving_a_whole_ends_with_a_call_that_moves_nothing(where):
    async def main():
        with wired() as (sock, _peer):
            answers = [3, 4, 0]
            seen = []

            def attempt(view, _flags):
                seen.append(bytes(view))
                return answers.pop(0)

            slot = sock._descriptor.write
            assert await perform(slot, attempt, b"0123456789", 10, whole=True) == 7
            assert seen == [b"0123456789", b"3456789", b"789"]
            answers = [6, 4]
            assert await perform(slot, lambda *_: answers.pop(0), None, 10, whole=True) == 10

    where.run(main)

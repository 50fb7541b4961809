"""Acceptors: who is served, what is skipped, and what happens when the process runs out of descriptors."""

from __future__ import annotations

import errno
import logging
import os
import socket
import threading

import pytest

import reactor
from harness.clock import FakeClock
from harness.faults import FaultTable, Rule
from harness.peer import linger_zero
from reactor import (
    Acceptor,
    BusyError,
    Cause,
    ClosedError,
    OperationCancelled,
    StreamSocket,
    Unsupported,
    listen_tcp,
    listen_unix,
)
from reactor.acceptor import _PATIENCE, BACK_OFF, CAPACITY, TRANSIENT
from reactor.descriptor import READ
from reactor.socketbase import display_address
from tests.reactor.places import arrived, everywhere, parked, start, turns


def dial(acceptor):
    """Connect a blocking socket; the kernel completes that before anybody accepts."""
    address = acceptor.getsockname()
    sock = socket.socket(acceptor.family)
    sock.connect(address)
    return sock


def quick(*errors):
    """A table of faults with `errors` of accept, and a clock that is turned by hand."""
    table = FaultTable()
    table.add(Rule("accept", errors=list(errors)))
    return table, FakeClock()


async def accepting(acceptor, count):
    """So many tasks that wait in accept, the first in the kernel's queue and the others behind it."""
    tasks = [start(acceptor.accept) for _ in range(count)]
    await turns()
    assert acceptor._descriptor.interest == READ
    return tasks


# -- Accepting


@everywhere
def test_accepting_over_tcp(where):
    async def main():
        with listen_tcp() as acceptor, dial(acceptor) as peer:
            with await acceptor.accept() as sock:
                assert isinstance(sock, StreamSocket)
                assert sock.context is acceptor.context
                assert sock.peer_address == peer.getsockname()
                assert sock._sock.getblocking() is False
                assert not os.get_inheritable(sock.fileno())
                peer.sendall(b"hello")
                assert await sock.recv(100) == b"hello"
            assert peer.recv(1) == b""

    where.run(main)


@everywhere
def test_accepting_over_unix(where, path):
    async def main():
        with listen_unix(path) as acceptor, dial(acceptor) as peer:
            assert acceptor.family == socket.AF_UNIX
            assert acceptor.getsockname() == path
            with await acceptor.accept() as sock:
                assert sock.peer_address == ""
                assert not sock._descriptor.read.exact
                peer.sendall(b"hello")
                assert await sock.recv(100) == b"hello"

    where.run(main)


@everywhere
def test_accept_waits_for_a_connection(where):
    async def main():
        with listen_tcp() as acceptor:
            for _ in range(3):
                task = await parked(acceptor, READ, acceptor.accept)
                with dial(acceptor) as peer, await task as sock:
                    assert sock.peer_address == peer.getsockname()

    where.run(main)


@everywhere
def test_several_accepts_are_served_in_order(where):
    async def main():
        with listen_tcp() as acceptor:
            tasks = await accepting(acceptor, 4)
            peers = [dial(acceptor) for _ in tasks]
            for task, peer in zip(tasks, peers, strict=True):
                with await task as sock, peer:
                    assert sock.getpeername() == peer.getsockname()
            assert acceptor._descriptor.interest == 0

    where.run(main)


@everywhere
def test_who_comes_later_does_not_overtake(where):
    """Between the turn being given and taken, a newcomer has to queue."""

    async def main():
        with listen_tcp() as acceptor:
            peers = [dial(acceptor) for _ in range(3)]
            order = []

            async def accept(name):
                with await acceptor.accept() as sock:
                    order.append((name, sock.peer_address))

            async def twice():
                await accept("first")
                await accept("again")

            tasks = [start(twice), start(accept, "second")]
            for task in tasks:
                await task
            assert order == [
                (name, peer.getsockname())
                for name, peer in zip(["first", "second", "again"], peers, strict=True)
            ]
            for peer in peers:
                peer.close()

    # The second task has to wait: the first one is inside when it comes.
    table = FaultTable()
    table.add(Rule("accept", errors=[errno.EAGAIN]))
    where.run(main, table)


@everywhere
def test_a_burst_is_accepted_whole(where):
    """An edge-triggered poller tells of it once."""

    async def main():
        with listen_tcp() as acceptor:
            task = await parked(acceptor, READ, acceptor.accept)
            peers = [dial(acceptor) for _ in range(50)]
            socks = [await task, *[await acceptor.accept() for _ in peers[1:]]]
            assert [sock.peer_address for sock in socks] == [peer.getsockname() for peer in peers]
            for end in (*socks, *peers):
                end.close()

    where.run(main)


@everywhere
def test_an_address_that_the_system_cannot_tell(where):
    """macOS answers nothing for a connection that was reset before it was accepted."""
    table = FaultTable()
    table.add(Rule("accept", answers=[lambda real: (real()[0], b"")]))

    async def main():
        with listen_tcp() as acceptor, dial(acceptor), await acceptor.accept() as sock:
            assert sock.peer_address is None

    where.run(main, table)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("", ""),
        (b"", ""),
        (None, ""),
        (b"\0" * 14, ""),
        ("/a/path", "/a/path"),
        (b"\0abstract", b"\0abstract"),
        (("127.0.0.1", 80), ("127.0.0.1", 80)),
    ],
)
def test_how_an_unnamed_peer_shows(address, shown):
    """mio 456cad2e: Linux says "", macOS and FreeBSD a path of zero bytes."""
    assert display_address(address) == shown


@everywhere
def test_a_connection_that_is_reset_in_the_queue(where):
    """Whether the kernel drops it or hands it over, the next one is served."""

    async def main():
        with listen_tcp() as acceptor:
            dead = dial(acceptor)
            linger_zero(dead)
            dead.close()
            with dial(acceptor) as peer:
                while True:
                    with await acceptor.accept() as sock:
                        if sock.peer_address == peer.getsockname():
                            break
                        with pytest.raises(ConnectionResetError):
                            await sock.recv(1)

    where.run(main)


# -- Iterating


@everywhere
def test_iterating_ends_when_the_acceptor_is_closed(where):
    async def main():
        served: list[object] = []

        async def serve():
            async for sock in acceptor:
                with sock:
                    served.append(sock.peer_address)
            return "ended"

        with listen_tcp() as acceptor:
            task = start(serve)
            await turns()
            peers = [dial(acceptor) for _ in range(3)]
            while len(served) < 3:
                await turns(1)
            assert served == [peer.getsockname() for peer in peers]
            assert not task.done
        assert await task == "ended"
        for peer in peers:
            peer.close()

    where.run(main)


@everywhere
def test_iterating_ends_when_the_loop_itself_closes(where):
    async def main():
        with listen_tcp() as acceptor, dial(acceptor):
            count = 0
            async for sock in acceptor:
                with sock:
                    count += 1
                    acceptor.close()
            assert count == 1
            async for _ in acceptor:
                raise AssertionError("it is closed")

    where.run(main)


@everywhere
@pytest.mark.parametrize("loops", [2, 3])
def test_all_loops_end_when_one_of_them_closes(where, loops):
    """Also the one that was just given its turn."""

    async def main():
        async def serve():
            async for sock in acceptor:
                with sock:
                    acceptor.close()
            return "ended"

        with listen_tcp() as acceptor:
            tasks = [start(serve) for _ in range(loops)]
            await turns()
            with dial(acceptor):
                assert [await task for task in tasks] == ["ended"] * loops

    where.run(main)


@everywhere
def test_a_loop_ends_when_it_is_closed_after_a_connection_was_reported(where):
    async def main():
        async def serve():
            async for sock in acceptor:
                sock.close()
            return "ended"

        with listen_tcp() as acceptor:
            task = start(serve)
            await turns()
            with dial(acceptor):
                arrived(acceptor)
                acceptor._descriptor.nudge(READ)  # as the leader does
                acceptor.close()
                assert await task == "ended"

    where.run(main)


@everywhere
def test_iterating_does_not_hide_a_cancel(where):
    async def main():
        async def serve():
            async for sock in acceptor:
                sock.close()

        with listen_tcp() as acceptor:
            task = start(serve)
            await turns()
            assert acceptor.cancel() == 1
            error = await task
            assert isinstance(error, OperationCancelled)
            assert error.cause is Cause.CANCEL

    where.run(main)


@everywhere
def test_iterating_raises_a_lasting_error(where):
    table, clock = quick(errno.ENOTSOCK)

    async def main():
        with listen_tcp() as acceptor:
            with pytest.raises(OSError, match=os.strerror(errno.ENOTSOCK)):
                async for _ in acceptor:
                    pass
            with dial(acceptor), await acceptor.accept():
                pass

    where.run(main, table, clock)


# -- Cancelling and closing


@everywhere
def test_cancel_ends_every_accept(where):
    async def main():
        with listen_tcp() as acceptor:
            assert acceptor.cancel() == 0
            tasks = await accepting(acceptor, 3)
            assert acceptor.cancel() == 3
            assert acceptor.cancel() == 0
            for task in tasks:
                assert (await task).cause is Cause.CANCEL
            with dial(acceptor) as peer, await acceptor.accept() as sock:
                assert sock.peer_address == peer.getsockname()

    where.run(main)


@everywhere
def test_close_ends_every_accept(where):
    async def main():
        with listen_tcp() as acceptor:
            tasks = await accepting(acceptor, 3)
            number = acceptor.fileno()
            assert repr(acceptor) == f"<Acceptor fd {number}>"
            acceptor.close()
            acceptor.close()
            assert repr(acceptor) == "<Acceptor closed>"
            for task in tasks:
                assert (await task).cause is Cause.CLOSE
            with pytest.raises(ClosedError, match="this acceptor is closed"):
                await acceptor.accept()
            for method in (acceptor.listen, acceptor.getsockname):
                with pytest.raises(ClosedError):
                    method()
            with pytest.raises(ClosedError):
                acceptor.bind(("127.0.0.1", 0))

    where.run(main)


@everywhere
@pytest.mark.parametrize("ending", ["cancel", "close"])
def test_who_was_given_its_turn_and_does_not_know_counts_as_waiting(where, ending):
    """It waited all the time, and would otherwise go on after everything was cancelled."""

    async def main():
        async def accept_and_end():
            with await acceptor.accept():
                if ending == "cancel":
                    return acceptor.cancel()
                return acceptor.close()

        with listen_tcp() as acceptor:
            first = start(accept_and_end)
            others = [start(acceptor.accept) for _ in range(2)]
            await turns()
            with dial(acceptor):
                counted = await first
                errors = [await task for task in others]
                assert [error.cause_name for error in errors] == [ending] * 2
            if ending == "cancel":
                assert counted == 2
                with dial(acceptor) as peer, await acceptor.accept() as sock:
                    assert sock.peer_address == peer.getsockname()

    where.run(main)


@everywhere
def test_the_next_one_takes_over_from_who_is_cancelled(where):
    async def main():
        with listen_tcp() as acceptor:
            first, second, third = await accepting(acceptor, 3)
            second.cancel()
            first.cancel()
            assert (await first).cause is (await second).cause is Cause.CANCEL
            await turns()
            assert not third.done
            fourth = start(acceptor.accept)
            await turns()
            with dial(acceptor) as peer, await third as sock:
                assert sock.peer_address == peer.getsockname()
            await turns()
            assert acceptor.cancel() == 1, "nobody is counted twice"
            assert (await fourth).cause is Cause.CANCEL
            assert acceptor.cancel() == 0

    where.run(main)


@everywhere
def test_who_is_cancelled_between_being_given_its_turn_and_taking_it(where):
    """The turn must be passed on, or nobody ever accepts again."""

    async def main():
        async def accept_and_cancel():
            with await acceptor.accept():
                second.cancel()

        with listen_tcp() as acceptor:
            first = start(accept_and_cancel)
            await turns()
            second, third = start(acceptor.accept), start(acceptor.accept)
            await turns()
            with dial(acceptor):
                await first
                assert (await second).cause is Cause.CANCEL
            with dial(acceptor) as peer, await third as sock:
                assert sock.peer_address == peer.getsockname()

    where.run(main)


@everywhere
def test_cancel_works_from_another_thread(where):
    async def main():
        with listen_tcp() as acceptor:
            tasks = await accepting(acceptor, 2)
            thread = threading.Thread(target=acceptor.cancel)
            thread.start()
            for task in tasks:
                assert (await task).cause is Cause.CANCEL
            thread.join()

    where.run(main)


@everywhere
def test_waiting_for_a_connection_without_taking_it(where):
    async def main():
        with listen_tcp() as acceptor:
            task = await parked(acceptor, READ, acceptor.wait_readable)
            with pytest.raises(BusyError, match="acceptor"):
                await acceptor.accept()
            with dial(acceptor) as peer:
                assert await task is None
                with await acceptor.accept() as sock:
                    assert sock.peer_address == peer.getsockname()

    where.run(main)


# -- Errors that are no reason to give up


def test_the_two_kinds_of_errors():
    """accept(2) names the first, trio's ACCEPT_CAPACITY_ERRNOS the second."""
    assert {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM} == CAPACITY
    assert {errno.ECONNABORTED, errno.EPROTO, errno.EPERM, errno.EHOSTUNREACH} <= TRANSIENT
    assert not TRANSIENT & CAPACITY
    assert not TRANSIENT & {errno.EINVAL, errno.EBADF, errno.ENOTSOCK, errno.EAGAIN, errno.EFAULT}


@everywhere
def test_errors_of_a_connection_are_skipped(where, caplog):
    """The listener is well: no pause, no word in the log."""
    table, clock = quick(*TRANSIENT)

    async def main():
        with listen_tcp() as acceptor, dial(acceptor) as peer:
            with await acceptor.accept() as sock:
                assert sock.peer_address == peer.getsockname()
            assert acceptor.pauses == 0
        assert table.calls["accept"] == len(TRANSIENT) + 1
        assert clock.monotonic() == 1000

    where.run(main, table, clock)
    assert not caplog.records


@everywhere
def test_a_transient_error_that_never_ends_is_raised(where):
    table, clock = quick(*[errno.ECONNABORTED] * (_PATIENCE + 3))

    async def main():
        with listen_tcp() as acceptor, dial(acceptor) as peer:
            with pytest.raises(ConnectionAbortedError):
                await acceptor.accept()
            assert table.calls["accept"] == _PATIENCE == 1000
            with await acceptor.accept() as sock:
                assert sock.peer_address == peer.getsockname()

    where.run(main, table, clock)


@everywhere
@pytest.mark.parametrize("code", sorted(CAPACITY), ids=errno.errorcode.get)
def test_out_of_descriptors_it_pauses(where, code, caplog):
    """Law 9: backs off without spinning or losing the listener, and logs once."""
    table, clock = quick(code, code, code)

    async def main():
        with listen_tcp() as acceptor, dial(acceptor) as peer:
            before = reactor.current_context().counters().waits
            with await acceptor.accept() as sock:
                assert sock.peer_address == peer.getsockname()
            assert acceptor.pauses == 3
            assert table.calls["accept"] == 4
            assert clock.monotonic() == pytest.approx(1000 + 3 * BACK_OFF)
            assert reactor.current_context().counters().waits - before <= 6
            table.add(Rule("accept", errors=[code]))
            with dial(acceptor), await acceptor.accept():
                assert acceptor.pauses == 4

    where.run(main, table, clock)
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("reactor", logging.WARNING)
    assert os.strerror(code) in record.getMessage()
    assert "0.1" in record.getMessage()


@everywhere
@pytest.mark.parametrize("ending", ["cancel", "close", "task"])
def test_the_pause_ends_as_an_operation_does(where, ending):
    table, clock = quick(errno.EMFILE)

    async def main():
        with listen_tcp() as acceptor, dial(acceptor) as peer:
            tasks = [start(acceptor.accept) for _ in range(2)]
            await turns()
            assert acceptor.pauses == 1
            if ending == "cancel":
                assert acceptor.cancel() == 2
                assert acceptor.cancel() == 0
            elif ending == "close":
                acceptor.close()
            else:
                for task in reversed(tasks):
                    task.cancel()
            errors = [await task for task in tasks]
            cause = Cause.CLOSE if ending == "close" else Cause.CANCEL
            assert [error.cause for error in errors] == [cause] * 2
            if ending != "close":
                with await acceptor.accept() as sock:
                    assert sock.peer_address == peer.getsockname()
            assert clock.monotonic() == 1000

    where.run(main, table, clock)


@everywhere
def test_a_cancel_that_came_before_the_pause_holds(where):
    """Readiness was quicker, but brought no connection."""
    table = FaultTable()

    async def main():
        with listen_tcp() as acceptor:
            task = await parked(acceptor, READ, acceptor.accept)
            with dial(acceptor):
                arrived(acceptor)
                table.add(Rule("accept", errors=[errno.EMFILE]))
                acceptor._descriptor.nudge(READ)  # as the leader does
                acceptor.cancel()
                error = await task
                assert isinstance(error, OperationCancelled)
                assert error.cause is Cause.CANCEL
                assert acceptor.pauses == 0
                (await acceptor.accept()).close()

    where.run(main, table, FakeClock())


@everywhere
def test_who_waits_behind_a_pause_keeps_its_place(where):
    table, clock = quick(errno.EMFILE)

    async def main():
        with listen_tcp() as acceptor:
            peers = [dial(acceptor) for _ in range(2)]
            tasks = [start(acceptor.accept) for _ in range(2)]
            for task, peer in zip(tasks, peers, strict=True):
                with await task as sock, peer:
                    assert sock.peer_address == peer.getsockname()

    where.run(main, table, clock)


@everywhere
def test_a_lasting_error_is_raised(where):
    table, clock = quick(errno.EBADF)

    async def main():
        with listen_tcp() as acceptor, dial(acceptor) as peer:
            tasks = [start(acceptor.accept) for _ in range(2)]
            error = await tasks[0]
            assert isinstance(error, OSError)
            assert error.errno == errno.EBADF
            with await tasks[1] as sock:
                assert sock.peer_address == peer.getsockname()

    where.run(main, table, clock)


# -- Binding and listening


@everywhere
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
def test_accepting_without_listening(where, family):
    async def main():
        with Acceptor(family) as acceptor:
            with pytest.raises(OSError) as caught:
                await acceptor.accept()
            assert caught.value.errno in (errno.EINVAL, errno.ENOTCONN)

    where.run(main)


@everywhere
def test_sharing_a_port(where):
    """By probe: where the system has no SO_REUSEPORT, that is said, and nothing is bound."""
    offered = where.system().has("reuseport")
    assert offered is (where.kind == "live" and hasattr(socket, "SO_REUSEPORT"))

    async def main():
        if not offered:
            with pytest.raises(Unsupported, match="SO_REUSEPORT") as caught:
                listen_tcp(reuse_port=True)
            assert caught.value.errno == errno.ENOSYS
            assert reactor.current_context().descriptor_count == 0
            return
        with listen_tcp(reuse_port=True) as acceptor:
            port = acceptor.getsockname()[1]
            with listen_tcp(port=port, reuse_port=True) as other:
                assert other.getsockname() == acceptor.getsockname()
            with pytest.raises(OSError, match=os.strerror(errno.EADDRINUSE)):
                listen_tcp(port=port)

    where.run(main)


@everywhere
def test_the_address_can_be_reused(where):
    async def main():
        with Acceptor() as acceptor:
            acceptor.bind(("127.0.0.1", 0))
            assert acceptor.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR) != 0
        with Acceptor() as acceptor:
            acceptor.bind(("127.0.0.1", 0), reuse_address=False)
            assert acceptor.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR) == 0

    where.run(main)


@everywhere
def test_a_unix_listener_is_bound_without_reusing(where, path):
    table = FaultTable()

    async def main():
        with listen_unix(path):
            pass
        with pytest.raises(OSError, match=os.strerror(errno.EADDRINUSE)):
            listen_unix(path)
        assert table.calls["setsockopt"] == 0

    where.run(main, table)


@everywhere
def test_the_backlog(where):
    async def main():
        with Acceptor() as acceptor:
            acceptor.bind(("127.0.0.1", 0))
            for backlog in (-1, -128):
                with pytest.raises(ValueError, match=f"backlog must be 0 or more, got {backlog}"):
                    acceptor.listen(backlog)
            acceptor.listen(0)
            with dial(acceptor), await acceptor.accept():
                pass
            acceptor.listen(5)  # again: no harm

    where.run(main)


@everywhere
def test_the_context_closes_its_acceptors(where):
    with where.context() as context:
        acceptor = listen_tcp(context=context)
        context.spawn(acceptor.accept)
        context.poll()
    assert acceptor.closed

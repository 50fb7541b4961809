"""A descriptor and its poller: when it is registered, what is watched, and that it leaves in time."""

from __future__ import annotations

import errno
import os
import socket

import pytest

import reactor
from harness.clock import FakeClock
from harness.faults import FaultTable
from harness.peer import Peer, tiny_buffers
from reactor import Cause, ClosedError, ContextClosedError, IoContext, StreamSocket
from reactor.descriptor import READ, STICKY, WRITE, Descriptor, deliver
from tests.reactor.places import (
    arrived,
    ends,
    everywhere,
    level_triggered,
    outcome,
    parked,
    receiving,
    sending,
    start,
    turns,
    wired,
)


def backend():
    return reactor.current_context().backend


def counters():
    return reactor.current_context().counters()


class Spy:
    """Records what the backend is told, and refuses what it is told to refuse."""

    def __init__(self):
        self.said = []
        self.refuse = []
        for name in ("add", "remove"):
            setattr(backend(), name, self._before(name, getattr(backend(), name)))

    def _before(self, name, real):
        def call(descriptor, *directions):
            self.said.append((name, descriptor))
            os.fstat(descriptor.fd)  # it is open, both when it comes and when it leaves
            if name == "add" and self.refuse:
                raise self.refuse.pop(0)
            real(descriptor, *directions)

        return call


# -- Registering


@everywhere
def test_it_is_registered_once_when_an_operation_first_parks(where):
    async def main():
        spy = Spy()
        with wired() as (sock, peer):
            descriptor = sock._descriptor
            peer.sendall(b"hello")
            await sock.recv(100)
            await sock.sendall(b"hello")
            assert spy.said == []
            assert not descriptor.registered
            assert descriptor.fd not in backend().descriptors
            for _ in range(10):
                task = await receiving(sock)
                peer.sendall(b"x")
                await task
            assert spy.said == [("add", descriptor)]
            said = spy.said * (2 if backend().edge_triggered else 1)
            tiny_buffers(sock._sock, send=True)
            for _ in range(3):  # a poller that reports changes has not been asked for these yet
                task = await sending(sock, bytes(1 << 20))
                sock.cancel()
                await task
            assert spy.said == said
            assert backend().descriptors[descriptor.fd] is descriptor
            assert descriptor.registered == READ | WRITE
        assert spy.said == [*said, ("remove", descriptor)]
        assert descriptor.fd not in backend().descriptors

    where.run(main)


@everywhere
def test_one_that_never_waited_is_closed_without_a_word(where):
    async def main():
        spy = Spy()
        with wired() as (sock, _peer):
            await sock.sendall(b"hello")
        assert spy.said == []

    where.run(main)


@everywhere
def test_what_is_ready_when_it_is_registered_is_reported(where):
    """Between the call that found nothing and the registration, data may have come."""

    async def main():
        with wired() as (sock, peer):
            add = backend().add

            def late(descriptor, directions):
                peer.sendall(b"hello")
                add(descriptor, directions)

            backend().add = late
            assert await sock.recv(100) == b"hello"
            assert counters().parks == 1

    where.run(main)


@everywhere
def test_a_refused_registration_changes_nothing(where):
    """The operation gets the error, the table is as it was, and the next attempt is a new one."""

    async def main():
        spy = Spy()
        with wired() as (sock, peer):
            descriptor = sock._descriptor
            spy.refuse = [OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))] * 2
            table = dict(backend().descriptors)
            error = await outcome(sock.recv, 100)
            assert isinstance(error, OSError)
            assert (error.errno, error.transferred) == (errno.ENOMEM, 0)  # type: ignore[attr-defined]
            assert backend().descriptors == table
            assert not descriptor.registered
            assert descriptor.interest == 0
            assert counters().parks == 0

            # Nor does it when the number had an owner before, whose fd was closed by hand.
            backend().descriptors[descriptor.fd] = before = object()
            with pytest.raises(OSError, match=os.strerror(errno.ENOMEM)):
                await sock.recv(100)
            assert backend().descriptors.pop(descriptor.fd) is before

            task = await receiving(sock)
            peer.sendall(b"hello")
            assert await task == b"hello"

    where.run(main)


@everywhere
def test_the_poller_does_not_know_it_before_the_table_does(where):
    """An edge that finds nobody in the table is lost."""

    async def main():
        with wired() as (sock, peer):
            add = backend().add
            seen = []

            def looking(descriptor, directions):
                seen.append(backend().descriptors.get(descriptor.fd))
                add(descriptor, directions)

            backend().add = looking
            task = await receiving(sock)
            assert seen == [sock._descriptor]
            peer.close()
            assert await task == b""

    where.run(main)


# -- What is watched


@everywhere
def test_the_interest_is_what_is_parked(where):
    async def main():
        with wired() as (sock, peer):
            tiny_buffers(sock._sock, send=True)
            descriptor = sock._descriptor
            assert descriptor.interest == 0
            receiver = await receiving(sock)
            assert descriptor.interest == READ
            sender = await sending(sock, bytes(1 << 20))
            assert descriptor.interest == READ | WRITE
            peer.sendall(b"hello")
            await receiver
            assert descriptor.interest == WRITE
            sock.cancel()
            assert descriptor.interest == 0
            await sender

    where.run(main)


@everywhere
@pytest.mark.parametrize(
    "state", ["never waited", "has waited", "is sending", "has been cancelled"]
)
def test_unread_data_does_not_make_it_spin(where, state):
    """Law 2. Virtual time passes only when a wait finds nothing, so that a spin would never end."""
    clock = FakeClock()

    async def main():
        with wired() as (sock, peer):
            task = None
            if state == "has waited":
                task = await receiving(sock, 2)
                peer.sendall(b"abc")
                assert await task == b"ab"
            elif state == "is sending":
                tiny_buffers(sock._sock, send=True)
                task = await sending(sock, bytes(1 << 20))
            elif state == "has been cancelled":
                task = await receiving(sock)
                sock.cancel()
                await task
            peer.sendall(bytes(1000))
            arrived(sock)
            before = counters().waits
            for _ in range(3):
                await reactor.sleep(10)
            assert counters().waits - before <= 8
            assert clock.monotonic() == pytest.approx(1030)
            sock.cancel()
            if task is not None:
                await task

    where.run(main, clock=clock)


@everywhere
def test_room_that_nobody_wants_does_not_make_it_spin(where):
    clock = FakeClock()

    async def main():
        with wired() as (sock, _peer):
            task = await receiving(sock)
            before = counters().waits
            for _ in range(3):
                await reactor.sleep(10)
            assert counters().waits - before <= 8
            assert not task.done
            sock.cancel()
            await task

    where.run(main, clock=clock)


@everywhere
@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_an_end_that_nobody_waits_for_does_not_make_it_spin(where, kind):
    """poll reports a hang-up unasked, as long as the descriptor is there."""
    clock = FakeClock()

    async def main():
        with wired(kind) as (sock, peer):
            task = await receiving(sock)
            peer.close()
            assert await task == b""
            await turns()
            before = counters().waits
            for _ in range(3):
                await reactor.sleep(10)
            assert counters().waits - before <= 8

    where.run(main, clock=clock)


@level_triggered
def test_an_operation_that_parks_again_at_once_costs_no_change(where):
    """A server that waits for its next request is watched all the time."""

    async def main():
        with wired("tcp") as (sock, peer):

            async def serve():
                while await sock.recv(100):
                    pass

            task = await parked(sock, READ, serve)
            await turns()
            before = counters()
            for _ in range(20):
                peer.sendall(b"request")
                arrived(sock)
                await turns()
            after = counters()
            assert after.parks - before.parks == 20
            assert after.interest_changes == before.interest_changes
            peer.close()
            await task

    where.run(main)


# -- Events


@everywhere
def test_an_event_of_one_direction_wakes_that_one(where):
    async def main():
        with wired() as (sock, peer):
            tiny_buffers(sock._sock, send=True)
            receiver, sender = await receiving(sock), await sending(sock, bytes(100_000))
            Peer(peer).drain_available()
            await turns()
            assert not receiver.done
            peer.sendall(b"hello")
            assert await receiver == b"hello"
            assert not sender.done
            sock.cancel()
            await sender

    where.run(main)


@everywhere
def test_what_sticky_means(where):
    async def main():
        with wired("tcp") as (sock, _peer):
            descriptor = sock._descriptor
            assert descriptor.read.exact
            before = (descriptor.read.edges, descriptor.write.edges)
            deliver(descriptor.scheduler, descriptor.slots(STICKY))
            assert not descriptor.read.exact
            assert (descriptor.read.edges, descriptor.write.edges) == before
            deliver(descriptor.scheduler, descriptor.slots(READ | WRITE))
            assert descriptor.read.edges == before[0] + 1
            assert descriptor.write.edges == before[1] + 1

    where.run(main)


@everywhere
def test_a_stale_event_of_a_closed_descriptor_goes_nowhere(where):
    """A batch may hold one for a descriptor that a handler before it has closed."""

    async def main():
        with wired() as (sock, _peer):
            task = await receiving(sock)
            descriptor = sock._descriptor
            wait = backend().wait

            def stale(timeout):
                backend().wait = wait
                return [*descriptor.slots(READ | WRITE), *wait(0)]

            sock.close()
            backend().wait = stale
            edges = descriptor.read.edges
            await turns()
            assert descriptor.read.edges == edges
            assert (await task).cause is Cause.CLOSE

    where.run(main)


# -- Closing


@everywhere
def test_it_has_left_the_poller_before_its_number_can_be_reused(where):
    """Law 5; the canary sits on the number, readable, and must not be seen, read or closed."""

    async def main():
        with wired() as (sock, _peer):
            spy = Spy()
            task = await receiving(sock)
            number = sock.fileno()
            sock.close()
            assert [name for name, _ in spy.said] == ["add", "remove"]
            canary, other = ends("unix")
            with canary, other:
                assert canary.fileno() == number, "the lowest number is given away first"
                other.sendall(b"unread")
                assert (await task).cause is Cause.CLOSE
                assert backend().wait(0) == []
                before = counters().waits
                await reactor.sleep(10)
                assert counters().waits - before <= 3
                sock.close()
                assert sock.cancel() == 0
                assert canary.recv(100) == b"unread"
                canary.sendall(b"alive")
                assert other.recv(100) == b"alive"

    where.run(main, clock=FakeClock())


@everywhere
def test_a_duplicate_does_not_keep_it_in_the_poller(where):
    """epoll(7): a description stays registered while any duplicate of the number is open."""
    table = FaultTable()

    async def main():
        with wired() as (old, old_peer):
            task = await receiving(old)
            number = old.fileno()
            duplicate = os.dup(number)
            try:
                old.close()
                await task
                with wired() as (new, peer):
                    assert new.fileno() == number
                    task = await receiving(new)
                    await turns()
                    calls = table.calls["recv"]
                    old_peer.sendall(b"for nobody")
                    await turns()
                    assert table.calls["recv"] == calls, "an event of the old one reached the new"
                    peer.sendall(b"hello")
                    assert await task == b"hello"
            finally:
                os.close(duplicate)

    where.run(main, table)


@everywhere
def test_the_next_owner_of_the_number_is_a_stranger(where):
    async def main():
        with wired() as (old, old_peer):
            number, generation = old.fileno(), old._descriptor.generation
            task = await receiving(old)
            old_peer.sendall(b"for the old one")
            arrived(old)
            old.close()
            assert (await task).cause is Cause.CLOSE
            left, right = ends("unix")
            with StreamSocket.from_socket(left) as new, right:
                assert new.fileno() == number
                assert new._descriptor.generation > generation
                task = await receiving(new)
                await turns()
                assert not task.done
                right.sendall(b"for the new one")
                assert await task == b"for the new one"

    where.run(main)


@everywhere
def test_closing_what_was_closed_by_hand_leaves_the_new_owner_alone(where):
    """Its number may belong to another socket by now, which must not lose its registration."""

    async def main():
        left, right = ends("unix")
        old = StreamSocket.from_socket(left)
        task = await receiving(old)
        number = old.fileno()
        old.cancel()
        await task
        old._sock.close()
        with right, wired() as (new, peer):
            assert new.fileno() == number
            task = await receiving(new)
            old.close()
            peer.sendall(b"hello")
            assert await task == b"hello"

    where.run(main)


@everywhere
def test_what_a_context_forgets_and_what_it_remembers(where):
    async def main():
        context = reactor.current_context()
        with wired() as (sock, peer):
            assert context.descriptor_count == 1
            peer.sendall(b"hello")
            await sock.recv(100)
            before = counters()
        assert context.descriptor_count == 0
        assert counters().speculative_hits == before.speculative_hits == 1

    where.run(main)


@everywhere
def test_closing_ends_what_is_pending(where):
    """The descriptor does it itself, whoever owns it."""

    async def main():
        with wired() as (sock, _peer):
            tiny_buffers(sock._sock, send=True)
            tasks = [await receiving(sock), await sending(sock, bytes(1 << 20))]
            assert sock._descriptor.close()
            assert [(await task).cause for task in tasks] == [Cause.CLOSE] * 2
            sock._sock.close()
        with wired() as (sock, peer):
            task = await receiving(sock)
            peer.sendall(b"hello")
            with reactor.current_context().scheduler.mutex:
                deliver(sock._descriptor.scheduler, sock._descriptor.slots(READ))
            assert sock._descriptor.close()
            assert (await task).cause is Cause.CLOSE, "though readiness came first"
            sock._sock.close()

    where.run(main)


@everywhere
def test_no_new_descriptors_for_a_closed_context(where):
    with where.context() as context:
        pass
    with socket.socket() as sock, pytest.raises(ContextClosedError):
        Descriptor(context.scheduler, sock, "late")


# -- Looking at it


@everywhere
def test_what_it_says_of_itself(where):
    async def main():
        with wired() as (sock, _peer):
            tiny_buffers(sock._sock, send=True)
            reading = await receiving(sock)
            writing = await sending(sock, bytes(1 << 20))
            fd = sock.fileno()
            waits = {
                task.operation.describe()
                for task in (reading, writing)
                if task.operation is not None
            }
            assert waits == {f"stream fd {fd} readable", f"stream fd {fd} writable"}
            sock.cancel()
            await reading
            await writing

    where.run(main)


@everywhere
def test_nudging_a_closed_one(where):
    table = FaultTable()

    async def main():
        with wired() as (sock, _peer):
            task = await receiving(sock)
            descriptor = sock._descriptor
            sock.close()
            descriptor.nudge(READ)
            await task
            with pytest.raises(ClosedError):
                await sock.recv(100)
            assert table.calls["recv"] == 1, "it touched the number"
            assert not descriptor.close()

    where.run(main, table)


def test_a_generation_is_never_reused():
    with IoContext() as context:
        generations = []
        for _ in range(5):
            with StreamSocket(context=context) as sock:
                generations.append(sock._descriptor.generation)
        assert len(set(generations)) == 5
        assert generations == sorted(generations)


@everywhere
def test_believing_again(where):
    """What an accept does that had to pause: the connection is still there, and no edge will say so."""
    table = FaultTable()

    async def main():
        with wired() as (sock, peer):
            task = await receiving(sock)
            sock.cancel()
            await task
            peer.sendall(b"hello")
            calls = table.calls["recv"]
            sock._descriptor.read.believe()
            task = start(sock.recv, 100)
            await turns(1)
            assert table.calls["recv"] == calls + 1
            assert await task == b"hello"

    where.run(main, table)

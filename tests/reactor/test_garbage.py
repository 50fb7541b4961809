"""What has ended is freed at once: the cyclic garbage collector finds nothing of it.

A server whose connections wait for the collector pays a tenth of its time for its visits, and the memory
of all that has come and gone between two of them.
"""

from __future__ import annotations

import gc
import socket
from collections import Counter
from contextlib import suppress
from functools import partial

import pytest

import reactor
from harness.peer import linger_zero
from reactor import (
    CancelScope,
    ClosedError,
    DatagramSocket,
    Event,
    OperationCancelled,
    Queue,
    StreamSocket,
    TaskGroup,
    Timer,
)
from reactor.descriptor import READ

from .places import everywhere, turns, wired


async def echo(sock):
    with sock:
        while data := await sock.recv(100):
            await sock.sendall(data)


async def until_the_end(kind):
    with wired(kind) as (sock, peer):
        async with TaskGroup() as group:
            group.spawn(echo, sock)
            peer.sendall(b"x")
            await turns()
            peer.shutdown(socket.SHUT_WR)


async def accepted_and_reset():
    async def serve():
        with suppress(OSError):
            await echo(await listener.accept())

    with reactor.listen_tcp() as listener:
        async with TaskGroup() as group:
            group.spawn(serve)
            with await reactor.connect_tcp(*listener.getsockname()) as sock:
                linger_zero(sock._sock)


async def refused():
    with reactor.listen_tcp() as listener:
        address = listener.getsockname()
    with pytest.raises(ConnectionRefusedError):
        await reactor.connect_tcp(*address)


async def an_acceptor_closed():
    async def serve():
        async for _ in listener:
            pass

    listener = reactor.listen_tcp()
    async with TaskGroup() as group:
        group.spawn(serve)
        await turns()
        listener.close()


async def closed_while_it_receives_and_sends():
    spawn = reactor.current_context().spawn
    with wired() as (sock, _):
        receive, send = spawn(sock.recv, 1), spawn(sock.sendall, bytes(1 << 23))
        await turns()
        sock.close()
        with pytest.raises(OperationCancelled):
            await receive
        with pytest.raises(OperationCancelled):
            await send


async def closed_between_readiness_and_receive():
    with wired() as (sock, _):
        context = reactor.current_context()
        task = context.spawn(sock.recv, 1)
        await turns()
        sock._descriptor.nudge(READ)
        assert task in context.scheduler.queue
        sock.close()
        with pytest.raises(OperationCancelled):
            await task


async def used_after_it_was_closed():
    with wired() as (sock, _):
        sock.close()
        for operation in (partial(sock.recv, 1), partial(sock.send, b"x"), sock.wait_readable):
            with pytest.raises(ClosedError, match="this stream"):
                await operation()
        assert sock.cancel() == 0


async def receives_that_are_cancelled():
    with wired() as (sock, _):
        async with TaskGroup() as group:
            group.spawn(sock.recv, 1)
            await turns()
            group.cancel()
        with pytest.raises(TimeoutError), reactor.timeout(0.001):
            await sock.recv(1)
        with CancelScope() as scope:
            scope.cancel()
            await sock.recv(1)


async def a_task_that_fails_at_once():
    async def fail():
        raise ZeroDivisionError

    with pytest.raises(ExceptionGroup):
        async with TaskGroup() as group:
            group.spawn(fail)


async def a_task_that_fails_and_is_awaited():
    async def fail():
        await reactor.sleep(0)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await reactor.current_context().spawn(fail)


async def a_task_that_is_cancelled_and_awaited():
    task = reactor.current_context().spawn(reactor.sleep, 1000)
    await turns()
    task.cancel()
    with pytest.raises(OperationCancelled):
        await task


async def waits_of_all_kinds():
    timer, event = Timer(), Event()
    queue: Queue[int] = Queue(1)
    timer.expires_after(1000)
    async with TaskGroup() as group:
        for function in (timer.wait, event.wait, queue.get):
            group.spawn(function)
        await turns()
        event.set()
        await queue.put(1)
        group.cancel()
    with pytest.raises(TimeoutError), reactor.timeout(0.001):
        await timer.wait()


async def datagrams():
    left, right = DatagramSocket.pair()
    with left, right:
        await left.send(b"x")
        assert await right.recvfrom(10) == (b"x", "")


async def a_pair():
    left, right = StreamSocket.pair()
    with left, right:
        await left.sendall(b"x")
        await right.recv_exactly(1)


def variant(name, function, *args):
    return pytest.param(lambda: function(*args), id=name)


@pytest.mark.parametrize(
    "way",
    [
        variant("tcp", until_the_end, "tcp"),
        variant("unix", until_the_end, "unix"),
        accepted_and_reset,
        refused,
        an_acceptor_closed,
        closed_while_it_receives_and_sends,
        closed_between_readiness_and_receive,
        used_after_it_was_closed,
        receives_that_are_cancelled,
        a_task_that_fails_at_once,
        a_task_that_fails_and_is_awaited,
        a_task_that_is_cancelled_and_awaited,
        waits_of_all_kinds,
        datagrams,
        a_pair,
    ],
)
@everywhere
def test_the_collector_finds_nothing(where, way):
    async def main():
        await way()  # what is made once, and kept, is there from now on
        await turns()
        gc.collect()
        gc.disable()
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            await way()
            await turns()
            gc.collect()
            return Counter(type(thing).__qualname__ for thing in gc.garbage)
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()

    assert where.run(main) == {}

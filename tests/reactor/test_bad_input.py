"""Wrong use: one clear error for each, of a type of its own, which names the value and what is allowed."""

from __future__ import annotations

import errno
import math
import os
import re
import socket
from typing import Any

import pytest

import reactor
from reactor import (
    Acceptor,
    BackendError,
    BusyError,
    CancelScope,
    ClosedError,
    ContextClosedError,
    IoContext,
    PosixSystem,
    ReactorError,
    StreamSocket,
    Timer,
    Unsupported,
    connect_tcp,
    connect_unix,
    listen_tcp,
    listen_unix,
)
from tests.reactor.places import everywhere, receiving, sending, turns, wired

NAN = math.nan


def raised(kind, message):
    return pytest.raises(kind, match=f"^{re.escape(message)}$")


# -- Contexts


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            "epol",
            "unknown backend 'epol' (did you mean epoll?); allowed: epoll, kqueue, poll, select",
        ),
        ("io_uring", "unknown backend 'io_uring'; allowed: epoll, kqueue, poll, select"),
        (
            "poll+timerfd",
            (
                "backend 'poll+timerfd': 'timerfd' is not an option of poll, or is given twice; "
                "allowed: eventfd, pipe, timeout"
            ),
        ),
        (7, "a backend is chosen by name, got 7"),
    ],
)
def test_a_backend_that_is_not_there(spec, message):
    for make in (lambda: IoContext(spec), lambda: reactor.run(turns, backend=spec)):
        with raised(BackendError, message):
            make()


@everywhere
@pytest.mark.parametrize("seconds", [-1, -0.001, NAN, -math.inf])
def test_a_time_to_run_for(where, seconds):
    with where.context() as context:
        for method in (context.run_for, context.run_one):
            with raised(ValueError, f"a time to run for is 0 seconds or more, got {seconds}"):
                method(seconds)


@everywhere
def test_a_closed_context(where):
    with where.context() as context:
        pass
    for use in (
        lambda: context.post(print),
        lambda: context.spawn(turns),
        context.run,
        context.poll,
        lambda: StreamSocket(context=context),
        lambda: Acceptor(context=context),
        lambda: listen_tcp(context=context),
    ):
        with raised(ContextClosedError, "this IoContext is closed"):
            use()


def test_no_context_at_all():
    for make in (StreamSocket, Acceptor, StreamSocket.pair, listen_tcp, Timer):
        with raised(ReactorError, "no IoContext runs in this thread: pass context=..."):
            make()


# -- Deadlines


@everywhere
def test_a_deadline_that_is_no_number(where):
    async def main():
        timer = Timer()
        deadline = "a deadline must be a number of seconds, not NaN"
        for make in (
            lambda: CancelScope(NAN),
            lambda: reactor.timeout_at(NAN),
            lambda: CancelScope().reschedule(NAN),
            lambda: timer.expires_at(NAN),
            lambda: timer.expires_after(NAN),
        ):
            with raised(ValueError, deadline):
                make()
        with raised(ValueError, "a timeout must be a number of seconds, not NaN"):
            reactor.timeout(NAN)
        for sleep in (reactor.sleep, reactor.sleep_until):
            with raised(ValueError, deadline):
                await sleep(NAN)
        assert reactor.current_context().timer_count == 0

    where.run(main)


@everywhere
def test_a_deadline_in_the_past_is_no_bad_input(where):
    async def main():
        await reactor.sleep(-1)
        await reactor.sleep_until(-math.inf)
        for seconds in (-1, 0, -math.inf):
            with pytest.raises(TimeoutError), reactor.timeout(seconds):
                await reactor.sleep(1)

    where.run(main)


# -- Sockets


@everywhere
def test_sizes(where):
    async def main():
        with wired() as (sock, _peer):
            for method in (sock.recv, sock.recv_exactly):
                for size in (-1, -(2**70)):
                    with raised(ValueError, f"cannot receive {size} bytes: a size is 0 or more"):
                        await method(size)
            no_sizes: list[Any] = ["10", None, 1.5]
            for no_size in no_sizes:
                with pytest.raises(TypeError):
                    await sock.recv(no_size)
                with pytest.raises(TypeError):
                    await sock.recv_exactly(no_size)
        with Acceptor() as acceptor, raised(ValueError, "backlog must be 0 or more, got -1"):
            acceptor.listen(-1)

    where.run(main)


@everywhere
def test_buffers(where):
    async def main():
        with wired() as (sock, peer):
            no_buffers: list[Any] = ["text", 7, None, ["list"]]
            for data in no_buffers:
                for method in (sock.send, sock.sendall):
                    with pytest.raises(TypeError):
                        await method(data)
                with pytest.raises(TypeError):
                    await sock.sendmsg([data])
            for buffer in (b"constant", "text", None):
                with pytest.raises((TypeError, BufferError)):
                    await sock.recv_into(buffer)  # type: ignore[arg-type]
            strided = memoryview(bytes(10))[::2]
            with pytest.raises(TypeError):
                await sock.send(strided)
            peer.sendall(b"still fine")
            assert await sock.recv(100) == b"still fine"

    where.run(main)


@everywhere
def test_a_second_operation(where):
    async def main():
        with wired() as (sock, _peer):
            fd = sock.fileno()
            tasks = [await receiving(sock), await sending(sock, bytes(10 << 20))]
            with raised(BusyError, f"another receive is pending on this stream (fd {fd})"):
                await sock.recv(1)
            with raised(BusyError, f"another send is pending on this stream (fd {fd})"):
                await sock.send(b"x")
            sock.cancel()
            for task in tasks:
                await task

    where.run(main)


@everywhere
def test_closed_objects(where):
    async def main():
        with wired() as (sock, _peer):
            sock.close()
            for operation in (sock.recv(1), sock.sendall(b"x"), sock.connect(("127.0.0.1", 1))):
                with raised(ClosedError, "[Errno 9] this stream is closed"):
                    await operation
        acceptor = listen_tcp()
        acceptor.close()
        with raised(ClosedError, "[Errno 9] this acceptor is closed"):
            await acceptor.accept()

    where.run(main)


@everywhere
@pytest.mark.parametrize("port", [-1, 65536, "80", None, True, 80.0])
def test_ports(where, port):
    async def main():
        with raised(ValueError, f"a port is a number from 0 to 65535, got {port!r}"):
            await connect_tcp("127.0.0.1", port)
        with raised(ValueError, f"a port is a number from 0 to 65535, got {port!r}"):
            listen_tcp(port=port)

    where.run(main)


@everywhere
def test_addresses(where, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    async def main():
        with StreamSocket() as sock, pytest.raises(TypeError):
            await sock.connect("127.0.0.1")
        with StreamSocket() as sock, pytest.raises(OverflowError):
            await sock.connect(("127.0.0.1", -1))
        with pytest.raises(TypeError):
            await connect_unix(7)  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            listen_unix(7)  # type: ignore[arg-type]
        with pytest.raises(socket.gaierror):
            listen_tcp("not a number")
        assert reactor.current_context().descriptor_count == 0

    where.run(main)


def test_a_family_that_nobody_has():
    async def main():
        for kind in (StreamSocket, Acceptor):
            with pytest.raises(OSError):
                kind(12345)
        assert reactor.current_context().descriptor_count == 0

    reactor.run(main)


def test_what_the_system_lacks_is_named():
    message = f"[Errno {errno.ENOSYS}] eventfd: {os.strerror(errno.ENOSYS)}"
    with raised(Unsupported, message):
        PosixSystem().eventfd()

"""The reactor runs on the model, with every backend and dialect, and knows nothing of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.kernel import Kernel, SimulatedSocket, SimulatedSystem
from reactor import (
    IoContext,
    OperationCancelled,
    StreamSocket,
    connect_tcp,
    listen_tcp,
    sleep,
    to_thread,
)

GROUNDS = [
    ("linux", "epoll"),
    ("linux", "epoll+pipe+timeout"),
    ("linux", "poll"),
    ("linux", "select"),
    ("posix", "poll"),
    ("posix", "select"),
    ("freebsd", "kqueue"),
    ("freebsd", "kqueue+pipe+timer"),
    ("freebsd", "poll"),
    ("netbsd", "kqueue"),
    ("openbsd", "kqueue"),
    ("openbsd", "select"),
    ("macos", "kqueue"),
    ("macos", "select"),
    ("dragonfly", "kqueue"),
]
TEN_YEARS = 10 * 365 * 86_400.0

everywhere = pytest.mark.parametrize(
    ("dialect", "backend"), GROUNDS, ids=["-".join(ground) for ground in GROUNDS]
)


@pytest.fixture
def ground(dialect, backend):
    kernel = Kernel(dialect, seed=7)
    context = IoContext(backend, system=SimulatedSystem(kernel))
    yield kernel, context
    context.close()
    assert kernel.open_numbers() == []


def run(context, function, *args):
    task = context.spawn(function, *args)
    context.run()
    return task.result()


async def echo():
    acceptor = listen_tcp()

    async def serve():
        with await acceptor.accept() as stream:
            while data := await stream.recv(100):
                await stream.sendall(data)

    with acceptor, await connect_tcp("127.0.0.1", acceptor.getsockname()[1]) as stream:
        server = acceptor.context.spawn(serve)
        await stream.sendall(b"hello")
        data = await stream.recv_exactly(5)
        stream.shutdown(1)
        end = await stream.recv(5)
        await server
    return data, end


@everywhere
def test_an_echo(ground):
    _, context = ground
    assert run(context, echo) == (b"hello", b"")


@everywhere
def test_a_cancel_ends_a_receive_and_nothing_else(ground):
    _, context = ground

    async def program():
        left, right = StreamSocket.pair()
        with left, right:
            task = context.spawn(left.recv, 5)
            await sleep(1)
            ended = left.cancel()
            with pytest.raises(OperationCancelled):
                await task
            await right.sendall(b"later")
            return ended, await left.recv_exactly(5)

    assert run(context, program) == (1, b"later")


@everywhere
def test_ten_years_pass_at_once(ground):
    kernel, context = ground
    begin = kernel.monotonic()

    async def program():
        await sleep(TEN_YEARS)

    run(context, program)
    assert TEN_YEARS <= kernel.monotonic() - begin < TEN_YEARS + 1


@everywhere
def test_more_than_the_buffers_hold_goes_through(ground):
    """Sends park for room and go on; nothing is lost or repeated."""
    kernel, context = ground
    holds = kernel.dialect.tcp_send + kernel.dialect.tcp_receive
    payload = bytes(range(251)) * (holds // 251 + 1000)

    async def program():
        acceptor = listen_tcp()
        with (
            acceptor,
            await connect_tcp("127.0.0.1", acceptor.getsockname()[1]) as client,
            await acceptor.accept() as server,
        ):
            sending = context.spawn(client.sendall, payload)
            got = await server.recv_exactly(len(payload))
            await sending
            return got == payload

    assert run(context, program)


@everywhere
def test_a_peer_in_a_thread_of_its_own(ground):
    """A plain blocking peer, which waits in virtual time."""
    kernel, context = ground

    async def program():
        acceptor = listen_tcp()
        port = acceptor.getsockname()[1]

        def peer():
            with SimulatedSocket(kernel) as sock:
                sock.connect(("127.0.0.1", port))
                sock.sendall(b"ping")
                kernel.pause(3600)
                return sock.recv(10)

        with acceptor:
            thread = context.spawn(to_thread, peer)
            with await acceptor.accept() as stream:
                assert await stream.recv_exactly(4) == b"ping"
                await stream.sendall(b"pong")
                return await thread

    assert run(context, program) == b"pong"


@everywhere
def test_several_threads_in_run(ground):
    kernel, context = ground
    ran = []

    async def step(number):
        await sleep(number)
        ran.append(number)

    for number in range(6):
        context.spawn(step, number)
    helpers = [kernel.spawn(f"helper {number}", context.run) for number in range(2)]
    context.run()
    for helper in helpers:
        helper.join()
    assert ran == list(range(6))


_PROGRAM = """
import sys
from tests.kernel.test_seam import digest
print(digest(*sys.argv[1:]))
"""


def digest(dialect, backend):
    """Run the echo on a kernel, and hash everything that was asked of it."""
    kernel = Kernel(dialect, seed=3)
    with IoContext(backend, system=SimulatedSystem(kernel)) as context:
        context.spawn(echo)
        context.run()
    return kernel.digest()


@pytest.mark.parametrize(
    ("dialect", "backend"), [("linux", "epoll"), ("freebsd", "kqueue")], ids=["epoll", "kqueue"]
)
def test_the_same_seed_makes_the_same_trace_in_another_process(dialect, backend):
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, dialect, backend],
        cwd=root,
        env={"PYTHONPATH": str(root), "PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == digest(dialect, backend)

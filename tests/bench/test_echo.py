"""The echo servers and their load: every server echoes what it should, and the load counts that."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import sys
import threading
from pathlib import Path

import pytest

from bench.process import BenchError, Load, server, serving
from bench.servers import SERVERS, TIMED
from bench.suite import Case, Missing, Subject
from bench.suites import SUITES
from bench.suites.served import C, served
from tests.bench.running import bench, report

LARGE = Case("large", {"size": 1 << 20, "connections": 1})
NAMES = [*SERVERS, *([C] if sys.platform == "linux" else [])]


def run(stack, name, tools, **more):
    """Start a server; the test is skipped where its library is not installed."""
    if name in SERVERS and (why := Subject(name, "peer", SERVERS[name].needs).missing):
        pytest.skip(why)
    try:
        return stack.enter_context(served(name, LARGE, tools, **more))[1]
    except Missing as exc:
        pytest.skip(str(exc))


def exchange(address, sent):
    """Return what comes back of `sent`, to a client whose socket takes little at a time."""
    with socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 12)
        client.settimeout(60)
        client.connect(address)

        def send():
            client.sendall(sent)
            client.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        back = bytearray()
        while data := client.recv(1 << 16):
            back += data
        sender.join()
    return back


@pytest.mark.parametrize("unix", [False, True], ids=["tcp", "unix"])
@pytest.mark.parametrize("name", NAMES)
def test_a_server_echoes_more_than_fits(name, unix, tools, tmp_path):
    """What a client does not take at once is kept, in order; and the end comes after all of it."""
    path = str(tmp_path / "s") if unix else None
    sent = os.urandom(1 << 12) * 1000
    with contextlib.ExitStack() as stack:
        port = run(stack, name, tools, path=path)
        back = exchange(path or ("127.0.0.1", port), sent)
    assert len(back) == len(sent)
    assert back == sent


@pytest.mark.skipif(not shutil.which("cc") or sys.platform != "linux", reason="limits of Linux")
@pytest.mark.parametrize("name", ["bare-epoll", C])
def test_what_a_limit_has_kept_may_go_in_several_parts(name, tools):
    """A receive of more than the system buffers: one room is not enough for what it brings."""
    sent, receive = os.urandom(1 << 12) * 4000, str(1 << 24)
    command = [str(tools.load.program("server")), receive]
    with (
        serving(name, command) if name == C else server("servers", name, "--receive", receive) as (
            _,
            port,
        )
    ):
        assert exchange(("127.0.0.1", port), sent) == sent


@pytest.mark.parametrize("name", TIMED)
def test_a_timeout_is_around_the_receive(name, tools):
    """One that does fire ends the connection, and the server goes on."""
    with contextlib.ExitStack() as stack:
        port = run(stack, name, tools, limit=0.01)
        for _ in range(2):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", port), 60))
            with contextlib.suppress(ConnectionResetError):
                assert client.recv(1) == b""


@pytest.mark.parametrize("compiler", ["cc", "no-such-compiler"])
def test_so_many_messages_are_in_flight_and_no_more(compiler, tmp_path):
    load = Load(tmp_path, compiler)
    flight, size = 16, 100
    most: list[int] = []

    def serve(listener):
        client, _ = listener.accept()
        with client, contextlib.suppress(ConnectionError):  # the load ends in the middle
            held = client.recv(flight * size, socket.MSG_WAITALL)
            while True:
                most.append(len(held))
                client.sendall(held[:size])
                held = held[size:]
                while len(held) < size:
                    if not (more := client.recv(1 << 16)):
                        return
                    held += more

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=serve, args=[listener])
        server.start()
        result = load.echo(listener.getsockname()[1], 1, size, 0.05, flight)
        server.join()
    assert most[0] == max(most) == flight * size
    assert 0 < result["operations"] <= len(most)


@pytest.mark.skipif(not shutil.which("cc") or sys.platform != "linux", reason="the load in C")
def test_what_is_no_echo_ends_the_load(tools):
    def serve(listener):
        client, _ = listener.accept()
        with client:
            client.sendall(bytes(client.recv(100, socket.MSG_WAITALL)[::-1]))
            client.recv(1)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=serve, args=[listener])
        server.start()
        with pytest.raises(BenchError, match="not an echo"):
            tools.load.echo(listener.getsockname()[1], 1, 100, 5)
        server.join()


@pytest.mark.parametrize("compiler", [None, "no compiler"])
def test_each_suite_of_echoes_is_measured(compiler, tmp_path):
    """With both loads; without a compiler the server in C is left out, and says why."""
    path = os.environ["PATH"] if compiler is None else str(Path(sys.executable).parent)
    chosen = ("reactor-poll", "reactor-poll-timeout", "asyncio-streams", C)
    there = {name for name in chosen if name != C or sys.platform == "linux"}
    done = bench(
        *("echo", "echo-timeout", "pipelined", "unix"),
        *(word for name in sorted(there) for word in ("--subject", name)),
        *("--rounds", "1", "--seconds", "0.05", "--json", str(tmp_path / "bench.json")),
        PATH=path,
    )
    assert done.returncode == 0, done.stderr
    suites = report(tmp_path / "bench.json")["suites"]
    assert [suite["name"] for suite in suites] == ["echo", "echo-timeout", "pipelined", "unix"]
    for suite in suites:
        timed = {"reactor-poll", "reactor-poll-timeout"}
        for case in suite["cases"]:
            found = {one["name"]: one for one in case["subjects"]}
            wanted = timed if suite["name"] == "echo-timeout" else there - {"reactor-poll-timeout"}
            assert set(found) == wanted
            for name, one in found.items():
                if name == C and compiler is not None:
                    assert one["missing"] == "there is no C compiler"
                    continue
                assert len(one["rates"]) == 1
                assert set(one["ratios"]) == {
                    other for other in wanted - {name} if found[other]["missing"] is None
                }


def test_the_cases_are_those_of_the_issue():
    names = [case.name for case in SUITES["echo"].cases(full=True)]
    assert len(names) == 16
    assert {"16 B, 1 connection", "1 MiB, 1000 connections"} <= set(names)
    for suite in ("echo", "echo-timeout", "pipelined", "unix"):
        quick = [case.name for case in SUITES[suite].cases(full=False)]
        assert set(quick) <= {case.name for case in SUITES[suite].cases(full=True)}

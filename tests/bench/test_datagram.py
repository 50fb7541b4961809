"""Datagrams: every server sends each back to who has sent it, and the loads count what is lost."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading

import pytest

from bench.process import BenchError
from bench.suite import Missing
from bench.suites import datagram
from bench.suites.served import C, served
from tests.bench.running import ROOT, bench, report

SMALL, LARGE = datagram.SUITE.cases(full=False)
SUBJECTS = datagram.SUITE.subjects(SMALL)


@contextlib.contextmanager
def answering(answers):
    """Serve on a UDP port, with what `answers` makes of each datagram; yields the port.

    Without an answer it is lost. The end is a datagram of nothing, which no load sends.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))

        def serve():
            while True:
                data, address = sock.recvfrom(1 << 16)
                if not data:
                    return
                for answer in answers(data):
                    sock.sendto(answer, address)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield sock.getsockname()[1]
        finally:
            sock.sendto(b"", sock.getsockname())
            thread.join()


def test_the_subjects_are_those_that_have_something_for_datagrams():
    names = {one.name for one in SUBJECTS}
    assert {"reactor-poll", "asyncio-protocol", "uvloop-protocol", "trio", "anyio"} <= names
    assert not {"asyncio-streams", "asyncio-sock"} & names
    assert [SMALL.name, LARGE.name] == ["64 B, 100 sockets", "1 KiB, 100 sockets"]
    assert datagram.SUITE.cases(full=True) == [SMALL, LARGE]


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda one: one.name)
def test_a_server_sends_each_datagram_back_to_who_has_sent_it(subject, tools):
    """Many of many at once, so that a server which asks its poller only once for all is found."""
    if subject.missing:
        pytest.skip(subject.missing)
    with contextlib.ExitStack() as stack:
        try:
            _, port = stack.enter_context(served(subject.name, LARGE, tools, datagrams=True))
        except Missing as exc:
            pytest.skip(str(exc))
        clients = [
            stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(5)
        ]
        for client in clients:
            client.settimeout(20)
            client.connect(("127.0.0.1", port))
        sent = {client: [os.urandom(1024) for _ in range(4)] for client in clients}
        for turn in range(4):
            for client in clients:
                client.send(sent[client][turn])
        for client in clients:
            assert [client.recv(2048) for _ in range(4)] == sent[client]


def test_one_that_has_nothing_for_datagrams_says_so():
    done = subprocess.run(
        [sys.executable, "-m", "bench.servers", "asyncio-streams", "--datagrams"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith("asyncio-streams has nothing for datagrams")


def test_what_is_lost_is_sent_again_and_counted(load):
    """The first of each socket are."""
    lost: list[bytes] = []

    def answers(data):
        if len(lost) < 2:
            lost.append(data)
            return []
        return [data]

    with answering(answers) as port:
        result = load.datagrams(port, 2, 64, 2)
    assert result["operations"] > 0
    assert result["lost"] >= 2


def test_a_second_echo_is_not_counted(load):
    """As of what was taken for lost, and was not."""
    received = []

    def answers(data):
        received.append(data)
        return [data, data]

    with answering(answers) as port:
        result = load.datagrams(port, 3, 100, 0.2)
    assert 0 < result["operations"] <= len(received)
    assert 0 < result["p50_us"] <= result["p99_us"]


def test_one_is_on_the_way_of_each_socket(load):
    """What is held back holds its socket back: no number comes twice before the echo is sent."""
    received = []

    def answers(data):
        received.append(data)
        return [data] if len(received) > 4 else []

    with answering(answers) as port:
        load.datagrams(port, 4, 64, 0.05)
    assert {data[:8] for data in received[:4]} == {bytes(8)}


@pytest.mark.parametrize(
    "answer", [lambda data: data[::-1], lambda data: data[:-1]], ids=["changed", "shorter"]
)
def test_what_is_no_echo_ends_the_load(load, answer):
    with (
        answering(lambda data: [answer(b"\xff" + data[1:])]) as port,
        pytest.raises(BenchError, match="not an echo"),
    ):
        load.datagrams(port, 1, 64, 5)


def test_nobody_at_the_port_ends_the_load(load):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
        gone.bind(("127.0.0.1", 0))
        port = gone.getsockname()[1]
    with pytest.raises(BenchError, match="refused"):
        load.datagrams(port, 2, 64, 5)


def test_the_suite_is_measured(tmp_path):
    """From the command to the report, which says how many were lost."""
    chosen = {"reactor-poll", "asyncio-protocol", *([C] if sys.platform == "linux" else [])}
    done = bench(
        "datagram",
        *(word for name in sorted(chosen) for word in ("--subject", name)),
        *("--rounds", "1", "--seconds", "0.05", "--json", str(tmp_path / "bench.json")),
    )
    assert done.returncode == 0, done.stderr
    data = report(tmp_path / "bench.json")
    (suite,) = data["suites"]
    assert [case["name"] for case in suite["cases"]] == [SMALL.name, LARGE.name]
    for case in suite["cases"]:
        there = [one for one in case["subjects"] if one["missing"] is None]
        assert {"reactor-poll", "asyncio-protocol"} <= {one["name"] for one in there} <= chosen
        assert all(one["rate"] > 0 and one["lost"] >= 0 for one in there)
    assert "  lost" in done.stdout

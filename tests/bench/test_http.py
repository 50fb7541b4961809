"""The HTTP servers answer, and the load counts answers that are whole."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading

import pytest

from bench.process import BenchError, server
from bench.servers import SERVERS, with_h11
from bench.suite import Subject
from bench.suites import SUITES, http as suite
from tests.bench.running import bench, report

ASK = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"


@pytest.fixture
def connect(request):
    """Connect to a server of HTTP."""
    name = request.param
    if why := Subject(name, "peer", SERVERS[name].needs).missing:
        pytest.skip(why)
    with contextlib.ExitStack() as stack:
        _, port = stack.enter_context(server("servers", name, "--http"))
        yield lambda: stack.enter_context(socket.create_connection(("127.0.0.1", port), 60))


def answer(client):
    """Read one answer, and nothing behind it."""
    said = http.client.HTTPResponse(client)
    said.begin()
    return said.status, said.read()


@pytest.mark.parametrize("connect", SERVERS, indirect=True)
def test_a_server_greets_each_request(connect):
    """One after the other, in parts, and several that have come at once; then it closes if asked to."""
    client = connect()
    for part in (ASK, ASK[:9], ASK[9:-1], ASK[-1:]):
        client.sendall(part)
        if part.endswith(ASK[-2:]) or part == ASK[-1:]:
            assert answer(client) == (200, with_h11.GREETING)
    client.sendall(ASK * 3)
    back = b""
    while back.count(with_h11.GREETING) < 3:
        back += client.recv(1 << 16)
    assert back.count(b"HTTP/1.1 200 OK\r\n") == 3
    client.sendall(ASK[:-2] + b"Connection: close\r\n\r\n")
    assert answer(client) == (200, with_h11.GREETING)
    client.shutdown(socket.SHUT_WR)  # the bare loop leaves it to the client
    assert client.recv(1) == b""


@pytest.mark.parametrize("connect", SERVERS, indirect=True)
def test_what_is_no_http_ends_the_connection_alone(connect):
    client, other = connect(), connect()
    client.sendall(b"\0what\r\n\r\n")
    with contextlib.suppress(ConnectionResetError):
        assert client.recv(1) == b""
    other.sendall(ASK)
    assert answer(other) == (200, with_h11.GREETING)


def test_after_the_last_answer_nothing_is_received():
    talk = with_h11.Conversation()
    assert with_h11.GREETING in talk.take(ASK[:-2] + b"Connection: close\r\n\r\n" + ASK)
    assert talk.over
    assert talk.receive(pytest.fail, 1) == b""  # type: ignore[arg-type]


class Answering:
    """Answers each request on one connection with the next of some parts."""

    def __init__(self, *parts):
        self._parts = parts
        self.asked = 0

    @contextlib.contextmanager
    def run(self):
        """Serve; yields the port."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            thread = threading.Thread(target=self._serve, args=[listener])
            thread.start()
            yield listener.getsockname()[1]
            thread.join()

    def _serve(self, listener):
        client, _ = listener.accept()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with client, contextlib.suppress(ConnectionError):  # the load ends in the middle
            read = client.makefile("rb")
            while True:
                while (line := read.readline()) != b"\r\n":
                    if not line:
                        return
                for part in self._parts[self.asked % len(self._parts)]:
                    client.sendall(part)
                self.asked += 1


def test_an_answer_is_counted_when_it_is_whole(load):
    """Whatever its length, and in whichever parts it comes; one request is asked at a time."""
    whole = ANSWER % 5 + b"\r\n\r\nx"
    server = Answering(
        [whole],
        [whole[i : i + 1] for i in range(len(whole))],
        [whole[:-2], whole[-2:]],
        [ANSWER % 0],
        [ANSWER % 500_000, bytes(500_000)],
        [b"HTTP/1.1 200 OK\r\nA: b\r\ncontent-LENGTH:3\r\nC: d\r\n\r\nxyz"],
    )
    with server.run() as port:
        result = load.http(port, 1, 0.5)
    assert len(server._parts) < result["operations"] <= server.asked <= result["operations"] + 1
    assert 0 < result["p50_us"] <= result["p99_us"]


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (b"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\n", "not an answer with status 200"),
        (b"HTTP/1.1 200 OK\r\n\r\n", "not an answer with status 200 and a length"),
        (bytes(5000), "not an answer with status 200"),
        ((ANSWER % 0) * 2, "not an echo|more has come back than was sent"),
    ],
    ids=["status", "length", "endless", "too many"],
)
def test_what_is_no_answer_ends_the_load(part, words, load):
    with Answering([part]).run() as port, pytest.raises(BenchError, match=words):
        load.http(port, 1, 5)


def test_the_suite_measures_every_library(tmp_path):
    done = bench(
        *("http", "--rounds", "1", "--seconds", "0.05"),
        *("--json", str(tmp_path / "bench.json")),
    )
    assert done.returncode == 0, done.stderr
    (found,) = report(tmp_path / "bench.json")["suites"]
    (case,) = found["cases"]
    assert case["name"] == "keep-alive, 100 connections"
    assert {one["name"] for one in case["subjects"]} == set(SERVERS)
    for one in case["subjects"]:
        assert (one["missing"] is None) is bool(one["rates"])


def test_without_h11_nobody_is_measured(monkeypatch):
    monkeypatch.setattr(suite, "_PROTOCOL", "no_such_module")
    (case,) = SUITES["http"].cases(full=False)
    why = {one.missing for one in SUITES["http"].subjects(case)}
    assert why == {"no_such_module is not installed"}

"""The suites that put the echo servers under a load: what the load does, and what limits it."""

from __future__ import annotations

import contextlib
import resource
import selectors
import socket
import sys
import threading

import pytest

from bench import bars
from bench.process import BenchError, descriptors, server
from bench.suite import Missing, Subject
from bench.suites import accept, idle
from tests.bench.running import bench, report


class Served:
    """An echo server in a thread, which knows what it was asked for."""

    def __init__(self):
        self.accepted = 0
        self.bytes: dict[socket.socket, int] = {}
        self.resets = 0
        self.changed = threading.Condition()

    @contextlib.contextmanager
    def run(self):
        """Serve; yields the port."""
        ours, theirs = socket.socketpair()
        with ours, theirs, socket.create_server(("127.0.0.1", 0), backlog=100) as listener:
            thread = threading.Thread(target=self._loop, args=(listener, theirs))
            thread.start()
            try:
                yield listener.getsockname()[1]
            finally:
                ours.send(b"x")
                thread.join()
                for sock in self.bytes:
                    sock.close()

    def _loop(self, listener, control):
        selector = selectors.DefaultSelector()
        for sock in (listener, control):
            selector.register(sock, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is control:
                    selector.close()
                    return
                with self.changed:
                    self._step(selector, key.fileobj, listener)
                    self.changed.notify_all()

    def _step(self, selector, sock, listener):
        if sock is listener:
            sock, _ = listener.accept()
            self.accepted += 1
            self.bytes[sock] = 0
            selector.register(sock, selectors.EVENT_READ)
            return
        try:
            data = sock.recv(4096)
            sock.sendall(data)
        except ConnectionError:
            data = b""
            self.resets += 1
        self.bytes[sock] += len(data)
        if not data:
            del self.bytes[sock]
            selector.unregister(sock)
            sock.close()

    def wait(self, done):
        """Wait until something is so."""
        with self.changed:
            assert self.changed.wait_for(lambda: done(self), 20), "it did not come to that"


def test_accept_opens_uses_and_resets(load):
    """What is counted was served, and each connection ends with a reset."""
    served = Served()
    with served.run() as port:
        result = load.accept(port, 4, 0.1)
        served.wait(lambda it: not it.bytes and it.accepted >= result["operations"])
    assert result["operations"] > 0
    assert result["operations"] <= served.accepted <= result["operations"] + 4
    # Of the last ones the reset may come before the server has seen them.
    assert result["operations"] <= served.resets + 4
    assert 0 < result["p50_us"] <= result["p99_us"]


def test_idle_connections_are_held_until_the_end(load):
    """Each has been used once, none is lost, and none is left."""
    served = Served()
    with served.run() as port:
        with load.held(port, 300):
            assert served.accepted == 300
            served.wait(lambda it: list(it.bytes.values()) == [1] * 300)
            result = load.echo(port, 3, 16, 0.05)
            assert result["operations"] > 0
            served.wait(lambda it: len(it.bytes) == 300)
            assert set(served.bytes.values()) == {1}
        served.wait(lambda it: not it.bytes)


def test_none_are_held_where_none_are_asked_for(load):
    served = Served()
    with served.run() as port, load.held(port, 0):
        assert served.accepted == 0


def test_a_load_that_cannot_hold_is_told_in_one_line(load):
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with (
        pytest.raises(BenchError, match=r"^the load that holds \d+ connections ended$"),
        load.held(port, 10),
    ):
        pass


def test_suites_measure_every_server(tmp_path):
    """Accept and idle, from the command to the report; what an idle connection takes is in it."""
    done = bench(
        *("accept", "idle", "--full", "--case", "at a time"),
        *("--case", "400 idle", "--rounds", "1", "--seconds", "0.05"),
        *("--json", str(tmp_path / "bench.json")),
    )
    assert done.returncode == 0, done.stderr
    data = report(tmp_path / "bench.json")
    found = {suite["name"]: suite["cases"] for suite in data["suites"]}
    assert [case["parameters"]["connections"] for case in found["accept"]] == [1, 10]
    (beside,) = found["idle"]
    assert beside["parameters"] == {"idle": 400, "connections": 100, "size": 1024}
    for case in (*found["accept"], beside):
        there = {one["name"]: one for one in case["subjects"] if one["missing"] is None}
        assert {"reactor-poll", "asyncio-streams"} <= set(there)
        assert all(one["rates"][0] > 1 for one in there.values())
    if sys.platform == "linux":
        # From more than a socket's number to less than a page for each socket and each task.
        memory = {one["name"]: one["bytes_per_item"] for one in beside["subjects"]}
        assert 500 < memory["reactor-poll"] < 16384


def test_bars_name_cases_that_there_are():
    quick = {
        suite.name: {case.name.partition(" (")[0] for case in suite.cases(full=False)}
        for suite in (accept.SUITE, idle.SUITE)
    }
    named = [bar for bar in bars.load() if bar.suite in quick]
    assert {bar.suite for bar in named} == set(quick)
    for bar in named:
        assert {bar.case, bar.reference_case} <= quick[bar.suite]


@pytest.fixture
def allowed(monkeypatch):
    """Let the idle suite find that a process may have so many descriptors."""

    def allow(most):
        monkeypatch.setattr(
            idle, "descriptors", lambda count: contextlib.nullcontext(min(count, most))
        )

    return allow


def test_idle_says_what_the_limit_of_descriptors_leaves(allowed):
    """A little less is the same case, and says so; the bars find it all the same."""
    allowed(20_000)
    case = idle.SUITE.cases(full=False)[-1]
    assert case.name == "20000 idle (19,776: a process may have 20,000 descriptors)"
    assert case.parameters["idle"] == 19_776
    assert bars._named([{"name": case.name}], "20000 idle", "case") == {"name": case.name}
    with pytest.raises(bars._NotMeasuredError):
        bars._named([{"name": case.name}], "2000 idle", "case")
    allowed(100_000)
    assert idle.SUITE.cases(full=False)[-1].name == "20000 idle"


@pytest.mark.parametrize(
    ("subject", "count", "most", "words"),
    [
        ("reactor-poll", 20_000, 1024, "a process may have 1,024 descriptors, and wants 20,224"),
        ("reactor-select", 1000, 100_000, "select takes 1024 descriptors at most, and 1,000 idle"),
    ],
)
def test_what_cannot_be_idle_is_left_out_with_its_reason(allowed, subject, count, most, words):
    allowed(most)
    (case,) = [it for it in idle.SUITE.cases(full=True) if it.parameters["idle"] == count]
    with contextlib.ExitStack() as stack, pytest.raises(Missing, match=words):
        idle.SUITE.start(case, Subject(subject, "reactor"), None, stack)  # type: ignore[arg-type]


def test_more_descriptors_are_for_what_is_started_inside():
    """As many as are wanted or allowed, and afterwards as few as before."""
    before = soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 600 if hard == resource.RLIM_INFINITY else min(600, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(500, wanted), hard))
    try:
        with descriptors(wanted) as count:
            assert count == wanted
            assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == wanted
            with server("servers", "reactor-poll") as (_, port), socket.socket() as client:
                client.connect(("127.0.0.1", port))
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == min(500, wanted)
        with descriptors(10) as count:
            assert count == 10
            assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == min(500, wanted)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == before

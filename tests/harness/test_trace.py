"""What a scenario leaves behind of what happened."""

from __future__ import annotations

import socket
import sys
import threading

import pytest

from harness.trace import Trace, describe


def test_an_event_goes_into_both_records_and_a_mark_into_one():
    trace = Trace()
    trace.event("recv", "start", "100")
    trace.mark("recv", "runs")
    trace.event("recv", "outcome", "value b'x'")
    assert trace.events == [
        {"seq": 0, "who": "recv", "event": "start", "detail": "100"},
        {"seq": 1, "who": "recv", "event": "outcome", "detail": "value b'x'"},
    ]
    assert [(entry["task"], entry["event"]) for entry in trace.timeline] == [
        ("recv", "start"),
        ("recv", "runs"),
        ("recv", "outcome"),
    ]
    assert {entry["thread"] for entry in trace.timeline} == {threading.current_thread().name}
    times = [entry["t"] for entry in trace.timeline]
    assert times == sorted(times)
    assert 0 <= times[0] < 10


def test_the_sink_is_given_each_entry_as_it_happens():
    seen: list[dict[str, object]] = []
    trace = Trace(seen.append)
    trace.event("a", "start")
    assert [entry["kind"] for entry in seen] == ["trace", "timeline"]
    trace.mark("b", "runs")
    assert [(entry["kind"], entry.get("who", entry.get("task"))) for entry in seen] == [
        ("trace", "a"),
        ("timeline", "a"),
        ("timeline", "b"),
    ]
    assert seen[0] == {"kind": "trace", **trace.events[0]}
    assert seen[2] == {"kind": "timeline", **trace.timeline[1]}
    assert "kind" not in trace.events[0]


@pytest.fixture
def _restless():
    """Have threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("_restless")
def test_several_threads_record_without_losing_or_repeating_a_number():
    seen: list[dict[str, object]] = []
    trace = Trace(seen.append)
    start = threading.Barrier(4)

    def record(number):
        start.wait()
        for _ in range(200):
            trace.event(f"thread {number}", "step")

    threads = [threading.Thread(target=record, args=(n,), name=f"t{n}") for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [entry["seq"] for entry in trace.events] == list(range(800))
    # Each event is beside its own place in the timeline, also for who only listens.
    assert [entry["who"] for entry in trace.events] == [entry["task"] for entry in trace.timeline]
    assert [entry["kind"] for entry in seen] == ["trace", "timeline"] * 800
    assert {entry["thread"] for entry in trace.timeline} == {"t0", "t1", "t2", "t3"}


class Thing:
    def __repr__(self):
        return f"<Thing at {id(self):x}>"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "None"),
        (True, "True"),
        (7, "7"),
        ("text", "'text'"),
        (b"", "b''"),
        (b"x" * 32, repr(b"x" * 32)),
        (b"x" * 33, "33 bytes"),
        (bytearray(b"ab"), "b'ab'"),
        (memoryview(b"ab"), "b'ab'"),
        (memoryview(bytes(80)).cast("Q"), "80 bytes"),
        ([1, b"a", None], "[1, b'a', None]"),
        ((1, [b"x" * 100]), "[1, [100 bytes]]"),
        (1.5, "float"),  # a time, more often than not
        (Thing(), "Thing"),
        (Thing, "type"),
        (describe, "function"),
        ({"port": 1234}, "dict"),
        (OSError(9, "Bad file descriptor"), "OSError"),
    ],
)
def test_values_are_described_alike_on_every_machine(value, words):
    assert describe(value) == words


def test_a_socket_shows_neither_its_number_nor_its_address():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        assert describe(sock) == "socket"

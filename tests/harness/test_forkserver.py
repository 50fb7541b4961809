"""The parts of the fork server, its child and the pool that work on data alone.

What they do with processes is in test_engine.py.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time

import pytest

from harness import forkserver, interpreter, pool
from harness.child import EXIT_BROKEN, EXIT_MUTE, Order, Reporter
from harness.forkserver import Events, Heard, Outcome, Output, classify
from harness.model import Status
from harness.pool import Pool, Setup

TOKEN = "f00d"


# -- Events


@pytest.fixture
def _small(monkeypatch):
    monkeypatch.setattr(forkserver, "EVENTS_HEAD", 3)
    monkeypatch.setattr(forkserver, "EVENTS_TAIL", 2)


@pytest.mark.usefixtures("_small")
@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 6, 20])
def test_events_keep_both_ends_and_say_what_is_missing(count):
    events = Events()
    for number in range(count):
        events.append({"seq": number, "who": "x", "event": "step", "detail": ""})
    kept = events.all()
    assert events.count == count
    shown = [entry["seq"] for entry in kept if entry["event"] == "step"]
    if count <= 5:
        assert shown == list(range(count))
        assert len(kept) == count
    else:
        assert shown == [0, 1, 2, count - 2, count - 1]
        assert kept[3] == {"seq": 2, "who": "x", "event": "cut", "detail": f"{count - 5} events"}


# -- Output


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("total", [0, 1, 9, 10, 11, 20, 21, 50])
def test_output_keeps_both_ends_however_it_comes(monkeypatch, size, total):
    monkeypatch.setattr(forkserver, "OUTPUT_HEAD", 10)
    monkeypatch.setattr(forkserver, "OUTPUT_TAIL", 10)
    data = bytes(33 + number % 90 for number in range(total))
    output = Output()
    for position in range(0, total, size):
        output.feed(data[position : position + size])
    if total <= 20:
        assert output.text() == data.decode()
    else:
        cut = f"\n[... {total - 20} bytes ...]\n"
        assert output.text() == data[:10].decode() + cut + data[-10:].decode()


def test_output_that_is_no_text_is_shown_as_far_as_it_is():
    output = Output()
    output.feed(b"a\xffb")
    assert output.text() == "a\ufffdb"


# -- What a child said


def said(*messages):
    return b"".join(f"\n{TOKEN} {json.dumps(message)}\n".encode() for message in messages)


def heard(data, size=None):
    found = Heard(TOKEN)
    for position in range(0, len(data), size or len(data) or 1):
        found.feed(data[position : position + (size or len(data))])
    found.finish()
    return found


TRACE = {"kind": "trace", "seq": 0, "who": "recv", "event": "start", "detail": "100"}
MARK = {"kind": "timeline", "t": 0.5, "task": "recv", "event": "runs", "detail": ""}
END = {"kind": "end", "status": "PASS", "reason": ""}


@pytest.mark.parametrize("size", [None, 1, 2, 7, 64])
def test_messages_are_sorted_by_kind(size):
    found = heard(said(TRACE, MARK, TRACE, END), size)
    assert [entry["event"] for entry in found.trace.all()] == ["start", "start"]
    assert [entry["event"] for entry in found.timeline.all()] == ["runs"]
    assert found.end == {"status": "PASS", "reason": ""}
    assert (found.error, found.garbage) == (None, b"")


def test_a_broken_harness_says_so():
    found = heard(said({"kind": "error", "reason": "Traceback ..."}))
    assert found.error == "Traceback ..."


@pytest.mark.parametrize(
    ("data", "garbage"),
    [
        (b"stray\n", b"stray"),
        (b"stray" + said(END), b"stray"),
        (said(END) + b"stray", b"stray"),
        (b'{"kind": "end", "status": "PASS"}\n', b'{"kind": "end", "status": "PASS"}'),
        (b"beef " + json.dumps(END).encode() + b"\n", b"beef " + json.dumps(END).encode()),
        (TOKEN.encode() + b" [1]\n", b"f00d [1]"),
        (TOKEN.encode() + b" {\n", b"f00d {"),
        (b"a\n" * 500, b"a" * 200),
        (b"b" * 500, b"b" * 200),
    ],
)
def test_what_nobody_said_is_garbage(data, garbage):
    assert heard(data).garbage == garbage


def test_a_message_cut_by_death_is_no_garbage():
    found = heard(said(TRACE) + said(END)[:-10])
    assert (found.end, found.garbage) == (None, b"")
    assert found.trace.count == 1


def test_stray_writes_do_not_spoil_the_messages_around_them():
    found = heard(said(TRACE) + b"stray" + said(END))
    assert found.end is not None
    assert found.trace.count == 1


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ([], "nothing was recorded"),
        ([TRACE], "recv start 100"),
        ([TRACE, MARK], "recv runs"),
        ([MARK, TRACE], "recv runs"),  # the timeline has everything
        ([{"kind": "timeline", "event": "wait"}], "wait"),
    ],
)
def test_the_last_that_was_seen(messages, words):
    assert heard(said(*messages)).last == words


@pytest.mark.usefixtures("_small")
def test_the_last_is_the_last_also_of_many():
    marks = [{**MARK, "detail": str(number)} for number in range(50)]
    assert heard(said(*marks)).last == "recv runs 49"


# -- How a child ended


def ended(*messages, code=0, timed_out=None, stray=b""):
    return classify(heard(said(*messages) + stray), code, timed_out)


ERROR = {"kind": "error", "reason": "it fell over"}
FAIL = {"kind": "end", "status": "FAIL", "reason": "one is not two"}


@pytest.mark.parametrize(
    ("how", "status", "reason"),
    [
        (ended(END), "PASS", ""),
        (ended(FAIL), "FAIL", "one is not two"),
        (ended({**END, "status": "UNSUPPORTED", "reason": "no"}), "UNSUPPORTED", "no"),
        (ended(ERROR), "ERROR", "it fell over"),
        (ended(ERROR, END), "ERROR", "it fell over"),
        (ended(ERROR, code=-9, timed_out=2.0), "ERROR", "it fell over"),
        (ended(code=EXIT_BROKEN), "ERROR", "the child could not begin; its output says why"),
        (ended({**END, "status": "FINE"}), "ERROR", "the child's report is malformed: 'FINE' is"),
        (ended({"kind": "end"}), "ERROR", "the child's report is malformed: 'status'"),
        (ended({"kind": "end", "status": "PASS"}), "ERROR", "malformed: 'reason'"),
        (ended(MARK, code=-9, timed_out=2.5), "TIMEOUT", "no result within 2.5 s; last: recv runs"),
        (ended(END, code=-9, timed_out=2.5), "TIMEOUT", "ended with PASS, and its process did not"),
        (ended(TRACE, code=-11), "CRASH", "killed by SIGSEGV; last: recv start 100"),
        (ended(END, code=-6), "CRASH", "killed by SIGABRT after it had ended with PASS; last: "),
        (ended(code=-250), "CRASH", "killed by signal 250; last: nothing was recorded"),
        (ended(code=0), "CRASH", "exited with code 0 without a result; last: nothing"),
        (ended(code=7), "CRASH", "exited with code 7 without a result"),
        (ended(END, code=7), "CRASH", "exited with code 7 after its result"),
        (ended(code=EXIT_MUTE), "FAIL", "belongs to the harness, or closed it"),
        (ended(code=EXIT_MUTE, stray=b"x\n"), "FAIL", "belongs to the harness: it got b'x'"),
        (ended(END, stray=b"x"), "FAIL", "belongs to the harness: it got b'x'"),
        # A child that died of something is not blamed for what it wrote on the way.
        (ended(code=-11, stray=b"x"), "CRASH", "killed by SIGSEGV"),
    ],
)
def test_every_end_of_a_child_has_a_word_and_a_reason(how, status, reason):
    assert how[0] is Status(status)
    assert reason in how[1]


# -- What the child writes


@pytest.fixture
def pipe():
    ends = os.pipe()
    yield ends
    for fd in ends:
        try:
            os.close(fd)
        except OSError:
            pass


def test_a_reporter_writes_lines_that_are_heard(pipe):
    read_end, write_end = pipe
    report = Reporter(write_end, TOKEN)
    report(TRACE)
    report({**END, "info": {"odd": object, "text": "\ud800 é\n"}})
    found = heard(os.read(read_end, 10_000))
    assert found.trace.count == 1
    assert found.end is not None
    assert found.end["info"] == {"odd": "<class 'object'>", "text": "\ud800 é\n"}
    assert not report.mute


def test_several_threads_report_whole_lines(pipe):
    read_end, write_end = pipe
    report = Reporter(write_end, TOKEN)
    found = Heard(TOKEN)

    def write():
        for _ in range(100):
            report({**TRACE, "detail": "x" * 20_000})  # more than a pipe takes in one piece

    def read():
        while data := os.read(read_end, 9999):
            found.feed(data)

    writers = [threading.Thread(target=write) for _ in range(3)]
    reader = threading.Thread(target=read)
    for thread in (*writers, reader):
        thread.start()
    for thread in writers:
        thread.join()
    os.close(write_end)
    reader.join()
    found.finish()
    assert (found.trace.count, found.garbage) == (300, b"")


def test_a_message_of_which_a_part_is_written_goes_on(pipe, monkeypatch):
    """As when a signal comes in the middle of a long one."""
    read_end, write_end = pipe
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:7]))
    Reporter(write_end, TOKEN)(TRACE)
    assert heard(os.read(read_end, 10_000)).trace.count == 1


def test_a_reporter_whose_pipe_was_closed_or_replaced_is_mute(pipe):
    _, write_end = pipe
    report = Reporter(write_end, TOKEN)
    os.close(write_end)
    assert report.mute
    report(END)  # and does not raise
    with open(os.devnull, "wb") as other:  # noqa: PTH123 - its number
        os.dup2(other.fileno(), write_end)
    assert report.mute


def test_a_signal_handler_may_report_in_the_middle_of_a_report(pipe):
    read_end, write_end = pipe
    report = Reporter(write_end, TOKEN)
    before = signal.signal(signal.SIGUSR1, lambda *_: report(MARK))
    try:
        with report._lock:
            signal.raise_signal(signal.SIGUSR1)
        report(TRACE)
    finally:
        signal.signal(signal.SIGUSR1, before)
    found = heard(os.read(read_end, 10_000))
    assert (found.trace.count, found.timeline.count) == (1, 1)


# -- The pool


def order(name, seed=1):
    return Order(
        id=f"toy.{name}",
        spec="toy",
        system="live",
        seed=seed,
        threads=1,
        timeout_s=20,
        soft_s=16,
        token=TOKEN,
    )


def test_a_pool_starts_no_more_servers_than_it_has_orders_and_keeps_them(toy):
    options = toy.options()
    made = Pool(Setup(options.scenarios_dir, options.subject), jobs=3)
    try:
        ends = []
        made.run(
            [order("passes"), order("fails")],
            lambda order, outcome: ends.append((order.id, outcome.status)),
        )
        assert sorted(ends) == [("toy.fails", "FAIL"), ("toy.passes", "PASS")]
        servers = [server._process.pid for server in made._servers]
        assert 1 <= len(servers) <= 2
        made.run([order("passes", seed) for seed in range(5)], lambda *_: None)
        assert [server._process.pid for server in made._servers][: len(servers)] == servers
        assert len(made._servers) <= 3
        assert not any(server.busy for server in made._servers)
        made.run([], lambda *_: None)
    finally:
        made.close()
    assert made._servers == []
    for pid in servers:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_one_job_is_one_after_the_other_in_the_order_given(toy):
    options = toy.options()
    made = Pool(Setup(options.scenarios_dir, options.subject), jobs=1)
    ends: list[str] = []
    try:
        made.run(
            [order(name) for name in ("fails", "passes", "prints")],
            lambda order, _: ends.append(order.id),
        )
        assert len(made._servers) == 1
    finally:
        made.close()
    assert ends == ["toy.fails", "toy.passes", "toy.prints"]


@pytest.mark.parametrize(
    ("key", "value", "word"),
    [("dev", True, "dev"), ("frozen_modules", "off", "frozen_modules=off")],
)
def test_options_of_the_interpreter_are_handed_on(key, value, word):
    assert interpreter._option(key, value) == word


class Peer(pool.ForkServer):
    """A fork server as the pool sees one, with the test at the other end of its socket.

    Attributes:
        deadline: in seconds of the test's clock.
    """

    def __init__(self, deadline):
        self.order: Order | None = order("passes")
        self.deadline = deadline
        self._child = 1
        self.closed = False
        self.socket, self.end = socket.socketpair()

    def receive(self):
        self.socket.recv(100)
        self.order = None
        return Outcome(Status.PASS)

    def close(self):
        self.closed = True
        self.socket.close()


def test_a_reply_that_has_come_is_heard_however_late_it_is(toy, monkeypatch):
    """An engine without time to read took a fork server for stuck whose answer lay there."""
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    made = Pool(Setup(toy.options().scenarios_dir, "toy_subject"), jobs=2)
    first, second = Peer(deadline=200.0), Peer(deadline=110.0)
    made._servers = [first, second]
    first.end.send(b"done")
    ends = []

    def done(order, outcome):
        nonlocal now
        ends.append(outcome.status)
        if len(ends) == 1:
            now = 150.0  # the report took long, and meanwhile
            second.end.send(b"done")

    with first.end, second.end:
        made.run([], done)
        assert ends == ["PASS", "PASS"]
        assert not second.closed
        made.close()


def test_a_fork_server_that_says_nothing_until_its_deadline_is_stuck(toy, monkeypatch):
    monkeypatch.setattr(time, "monotonic", lambda: 150.0)
    made = Pool(Setup(toy.options().scenarios_dir, "toy_subject"), jobs=1)
    silent = Peer(deadline=150.0)
    made._servers = [silent]
    ends = []
    with silent.end:
        made.run([], lambda _, outcome: ends.append((outcome.status, outcome.reason)))
    assert ends == [("ERROR", "the fork server is stuck")]
    assert silent.closed

"""The lab, on the project's own reactor in this very process: what scenarios are given."""

from __future__ import annotations

import errno
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import reactor
from harness import lab as module, oracles, subject
from harness.outcome import observed
from harness.scenario import scenario
from harness.subject import SubjectReport, current_dump, run_scenario
from reactor import backends

if TYPE_CHECKING:
    from harness.lab import Lab

BACKENDS = backends.available()


def stop():
    """Have a scenario that hangs fail."""
    subject._current[-1][1].stop()


@pytest.fixture
def run():
    """Run an async function as a scenario; its report."""

    def run_one(
        function, *, spec="poll", system="live", seed=1, threads=1, **given
    ) -> SubjectReport:
        function.__doc__ = function.__doc__ or "It holds."
        arguments: Any = {"id": "toy.x", "law": 1, "provenance": "a bug"} | given
        made = scenario(**arguments)(function).__scenario__
        before = oracles.snapshot()
        # Here no parent owns a deadline.
        watchdog = threading.Timer(60, stop)
        watchdog.start()
        try:
            report = run_scenario(
                made, spec=spec, system=system, seed=seed, threads=threads, sink=lambda _: None
            )
        finally:
            watchdog.cancel()
            watchdog.join()
        assert [oracle for oracle in oracles.judge(before) if not oracle["ok"]] == []
        return report

    return run_one


@pytest.fixture
def passes(run):
    """Run an async function as a scenario that must pass; its report."""

    def run_one(function, **given):
        report = run(function, **given)
        assert (report.status, report.reason) == ("PASS", "")
        assert all(oracle["ok"] for oracle in report.oracles), report.oracles
        return report

    return run_one


def failed(report):
    """The oracles that a report says are broken, by name."""
    return {oracle["name"]: oracle["detail"] for oracle in report.oracles if not oracle["ok"]}


# -- How a scenario ends


def test_a_pass_has_everything_that_a_report_has(passes):
    async def holds(lab):
        lab.note("a step")
        lab.info("measured", 1.5)
        lab.permit("early")

    report = passes(holds, permits={"early": "some kernels are"})
    assert report.variant == "early"
    assert report.info == {"measured": 1.5}
    assert report.counters["waits"] > 0
    assert [(entry["event"], entry["detail"]) for entry in report.trace] == [
        ("note", "a step"),
        ("permit", "early"),
    ]
    assert "measured = 1.5" in [entry["detail"] for entry in report.timeline]
    assert [oracle["name"] for oracle in report.oracles] == [
        "no-leaked-tasks",
        "no-leaked-timers",
        "no-leaked-descriptors",
        "clean-close",
    ]


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (AssertionError("one is\nnot two"), "FAIL", "one is"),
        (AssertionError(), "FAIL", "AssertionError"),
        (ValueError("bad"), "FAIL", "ValueError: bad"),
        (OSError(errno.EIO, "broken"), "FAIL", f"OSError: [Errno {errno.EIO}] broken"),
        (KeyboardInterrupt(), "FAIL", "KeyboardInterrupt: KeyboardInterrupt"),
        (reactor.OperationCancelled(), "FAIL", "OperationCancelled: operation ended by cancel"),
    ],
)
def test_what_a_scenario_raises_is_its_result(run, capsys, error, status, reason):
    async def raises(lab):
        raise error

    report = run(raises)
    assert (report.status, report.reason) == (status, reason)
    assert failed(report) == {}
    assert "in raises" in capsys.readouterr().err  # the whole of it is in the output


def test_unsupported_is_said_with_its_reason(run):
    async def cannot(lab):
        lab.unsupported("no such thing here")

    report = run(cannot)
    assert (report.status, report.reason) == ("UNSUPPORTED", "no such thing here")


def test_a_failure_still_ends_what_was_begun(run):
    async def fails(lab):
        sock, _ = lab.stream_pair()
        await lab.parked("recv", sock.recv, 1)
        lab.start("sleep", reactor.sleep, 3600)
        raise AssertionError("half way")

    report = run(fails)
    assert (report.status, report.reason) == ("FAIL", "half way")
    assert failed(report) == {}


def test_a_loop_that_no_longer_serves_fails(run, monkeypatch):
    async def deaf(self, size):
        return b"x" * 12

    async def holds(lab):
        monkeypatch.setattr(reactor.StreamSocket, "recv", deaf)

    report = run(holds)
    assert report.status == "FAIL"
    assert report.reason == "a fresh echo afterwards: b'xxxxxxxxxxxx', expected b'still there?'"


def test_faults_are_lifted_before_the_last_echo(passes):
    async def leaves_faults(lab):
        for call in ("recv", "send", "accept"):
            lab.fault(call, errno.EIO, repeat=100)

    passes(leaves_faults)


def test_what_comes_out_of_run_fails_a_pass(run, capsys):
    def bad():
        raise ZeroDivisionError("posted")

    async def posts(lab):
        lab.post(bad)
        await lab.settle()

    report = run(posts)
    assert report.status == "FAIL"
    assert report.reason == "came out of run(): ZeroDivisionError: posted"
    assert "in bad" in capsys.readouterr().err


def test_a_scenario_may_take_what_came_out_of_run(passes):
    async def posts(lab):
        def bad():
            raise ZeroDivisionError("posted")

        lab.post(bad)
        await lab.settle()
        assert isinstance(lab.surfaced.pop(), ZeroDivisionError)

    passes(posts)


def test_what_came_out_of_run_does_not_hide_the_failure(run):
    async def posts(lab):
        def bad():
            raise ZeroDivisionError("posted")

        lab.post(bad)
        await lab.settle()
        raise AssertionError("the real reason")

    assert run(posts).reason == "the real reason"


def test_a_run_that_ends_before_the_scenario_is_the_subjects_failure(run):
    """Lost count of its work: the harness is not to blame, so it must not say ERROR."""

    async def hangs(lab):
        lab.subject.context.scheduler.signal.work = 0
        sock, _ = lab.stream_pair()
        await sock.recv(1)

    report = run(hangs)
    assert report.status == "FAIL"
    assert report.reason == "run() returned before the scenario had ended"


@pytest.mark.parametrize("threads", [2, 4])
def test_several_threads_run_one_scenario(passes, threads):
    async def echoes(lab):
        left, right = lab.subject_pair()
        names = set()

        async def echo():
            while data := await right.recv(10):
                names.add(threading.current_thread().name)
                await right.sendall(data)

        lab.start("echo", echo)
        for _ in range(50):
            await left.sendall(b"ping")
            lab.equal(await left.recv_exactly(4), b"ping", "the echo")
        left.close()
        lab.info("threads", sorted(names))

    report = passes(echoes, threads=threads)
    possible = {f"run-{number}" for number in range(1, threads)}
    assert set(report.info["threads"]) <= possible | {threading.current_thread().name}


# -- Oracles of the subject


def test_what_the_subject_still_has_is_counted(run):
    async def leaks(lab):
        context = lab.subject.context
        context.spawn(reactor.sleep, 3600)
        context.spawn(reactor.sleep, 3600)
        reactor.StreamSocket(socket.AF_INET)
        await lab.turns(2)

    report = run(leaks)
    assert report.status == "PASS"  # the child makes a FAIL of it
    found = failed(report)
    assert set(found) == {"no-leaked-tasks", "no-leaked-timers", "no-leaked-descriptors"}
    assert found["no-leaked-tasks"].startswith("2 left: ")
    assert found["no-leaked-timers"].startswith("2 left: ")
    assert found["no-leaked-descriptors"].startswith("1 left: ")
    assert "a timer due in" in found["no-leaked-tasks"]  # the dump


def test_what_close_raises_is_a_finding(run):
    async def stubborn():
        try:
            await reactor.sleep(3600)
        finally:
            raise ZeroDivisionError("on the way out")

    async def leaks(lab):
        lab.subject.context.spawn(stubborn)
        await lab.turns(2)

    found = failed(run(leaks))
    assert found["clean-close"] == "ZeroDivisionError: on the way out"


# -- The dump of a hang


def test_the_dump_says_what_the_context_is_doing(passes):
    seen = []

    async def hangs(lab):
        sock, _ = lab.stream_pair()
        await lab.parked("recv", sock.recv, 1)
        seen.append(current_dump())
        with lab.subject.context.scheduler.mutex:
            seen.append(await_in_thread(current_dump))

    def await_in_thread(function):
        found = []
        thread = threading.Thread(target=lambda: found.append(function()))
        thread.start()
        thread.join()
        return found[0]

    assert current_dump() == "no context is running"
    passes(hangs)
    assert "recv" in seen[0]
    assert "readable" in seen[0]
    assert seen[1] == "the scheduler's mutex is held: a thread is stuck inside it"
    assert current_dump() == "no context is running"


# -- The same everywhere


async def much(lab: Lab) -> None:
    """It does a little of everything."""
    sock, peer = lab.stream_pair()
    listener = lab.listener()
    recv = await lab.parked("recv", sock.recv, 100)
    lab.post(peer.send, b"data")
    (await lab.outcome(recv)).get()
    cut = lab.start_within("cut", 0.001, sock.recv, 100)
    (await lab.outcome(cut)).failed(TimeoutError)
    accept = await lab.parked("accept", listener.accept)
    lab.cancel(accept)
    (await lab.outcome(accept)).cancelled("cancel")
    lab.start_cancelled("never", listener.accept)
    pre = lab.start_cancelled("pre-cancelled", sock.recv, 5)
    (await lab.outcome(pre)).cancelled("cancel")
    lab.note(f"random {lab.rng.randrange(1000)}")
    sock.close()
    (await lab.result_of("closed", sock.recv, 1)).failed(reactor.ClosedError)


def test_the_traces_of_two_backends_are_equal_and_those_of_two_seeds_are_not(passes):
    traces = [passes(much, spec=spec).trace for spec in BACKENDS]
    traces.append(passes(much, spec="poll", system="posix").trace)
    for trace in traces[1:]:
        assert trace == traces[0]
    assert len(traces[0]) > 10
    assert passes(much, seed=2).trace != traces[0]


# -- Operations


def test_starting_and_ending_are_in_the_trace_and_the_moment_is_not(passes):
    async def one(lab):
        sock, peer = lab.stream_pair()
        op = lab.start("recv", sock.recv, 100)
        assert not op.done
        peer.send(b"data")
        await lab.settle()
        assert op.done
        for _ in range(2):
            lab.equal((await lab.outcome(op)).get(), b"data", "the data")

    report = passes(one)
    assert [(entry["who"], entry["event"], entry["detail"]) for entry in report.trace] == [
        ("recv", "start", "100"),
        ("recv", "outcome", "value b'data'"),
    ]
    assert ("recv", "runs") in [(entry["task"], entry["event"]) for entry in report.timeline]
    assert ("recv", "ends") in [(entry["task"], entry["event"]) for entry in report.timeline]


def test_cancel_is_in_the_trace_unless_silent(passes):
    async def two(lab):
        for label, cancel in (("loud", lab.cancel), ("silent", lab.cancel_silently)):
            op = await lab.parked(label, reactor.sleep, 3600)
            cancel(op)
            (await lab.outcome(op)).cancelled("cancel")

    report = passes(two)
    cancels = [entry["who"] for entry in report.trace if entry["event"] == "cancel"]
    marks = [entry["task"] for entry in report.timeline if entry["event"] == "cancel"]
    assert (cancels, marks) == (["loud"], ["loud", "silent"])


def test_parked_fails_for_what_completes(run):
    async def completes(lab):
        sock, peer = lab.stream_pair()
        peer.send(b"data")
        await lab.parked("recv", sock.recv, 100)

    assert run(completes).reason == "recv was to park, but ended: value b'data'"


def test_still_parked_fails_for_what_has_ended(run):
    async def ends(lab):
        op = lab.start("nap", reactor.sleep, 0)
        await lab.settle_parked(op)

    assert run(ends).reason == "nap was to stay parked, but ended: value None"


def test_deadlines_cut_operations_short(passes):
    async def cut(lab):
        op = lab.start_within("sleep", 5.0, reactor.sleep, 3600)
        (await lab.outcome(op)).failed(TimeoutError)
        lab.equal(lab.clock.monotonic() >= 1005, True, "the deadline came")
        op = lab.start_within("nap", 5.0, reactor.sleep, 1)
        (await lab.outcome(op)).get()

    passes(cut, clock="fake")


# -- Turns and rest


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_settle_returns_when_nothing_can_run(passes, threads):
    async def rests(lab):
        order = []
        sock, peer = lab.stream_pair()

        async def chain():
            for number in range(20):
                await sock.recv(1)
                order.append(number)
                lab.post(peer.send, b"x")
            await reactor.sleep(3600)

        op = lab.start("chain", chain)
        peer.send(b"x")
        await lab.settle_parked(op)
        lab.equal(order, list(range(20)), "what ran until rest")

    passes(rests, threads=threads)


def test_settle_waits_for_posted_calls(passes):
    async def rests(lab):
        order = []

        def again(left):
            order.append(left)
            if left:
                lab.post(again, left - 1)

        lab.post(again, 10)
        await lab.settle()
        lab.equal(order, list(range(10, -1, -1)), "the posted calls")

    passes(rests)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_settle_waits_for_a_call_that_takes_its_time(passes, threads):
    """On another thread it is in no queue any more, and in no task."""

    async def rests(lab):
        ended = []

        def slow():
            threading.Event().wait(0.02)
            ended.append(True)

        for _ in range(3):
            lab.post(slow)
            await lab.settle()
            lab.equal(ended.pop(), True, "the call has ended")

    passes(rests, threads=threads)


@pytest.mark.parametrize("threads", [1, 2])
def test_settle_gives_up_on_a_subject_that_never_rests(run, monkeypatch, threads):
    monkeypatch.setattr(module, "_PATIENCE", 50)

    async def spins(lab):
        async def spin():
            while True:
                await reactor.sleep(0)

        lab.start("spin", spin)
        await lab.settle()

    report = run(spins, threads=threads)
    assert report.reason == "the subject does not come to rest: something keeps running"


@pytest.mark.parametrize("threads", [1, 2])
def test_a_turn_includes_the_poller(passes, threads):
    async def turns(lab):
        before = lab.subject.counters()["waits"]
        await lab.turns(5)
        lab.check(lab.subject.counters()["waits"] >= before + 5, "five turns are five waits")

    passes(turns, threads=threads)


def test_an_idle_subject_does_not_spin(passes):
    async def rests(lab):
        sock, _ = lab.stream_pair()
        await lab.parked("recv", sock.recv, 1)
        await lab.check_no_spin(0.06)
        for idle in (await lab.idle(0.06), await lab.idle_untimed(0.06)):
            idle.check()
            assert idle.seconds == 0.06

    passes(rests)


@pytest.mark.parametrize("spec", [name for name in BACKENDS if name in {"poll", "select"}])
def test_a_subject_that_spins_while_idle_is_noticed(run, monkeypatch, spec):
    ever: dict[Any, int] = {}
    real = reactor.descriptor.Descriptor.interest.fget  # type: ignore[attr-defined]

    def interest(self):
        ever[self] = ever.get(self, 0) | real(self)
        return 0 if self.closed else ever[self]

    monkeypatch.setattr(reactor.descriptor.Descriptor, "interest", property(interest))

    async def spins(lab):
        sock, peer = lab.stream_pair()
        recv = await lab.parked("recv", sock.recv, 1)
        peer.send(b"ab")
        (await lab.outcome(recv)).get()
        await lab.check_no_spin(0.06)

    report = run(spins, spec=spec)
    assert report.status == "FAIL"
    assert "it spins" in report.reason


# -- Threads


def test_a_helper_thread_hands_over_what_it_returned(passes):
    async def joins(lab):
        thread = lab.thread(lambda left, right: left + right, 1, 2)
        lab.equal(await lab.join(thread), 3, "the sum")
        assert not thread.is_alive()

    passes(joins)


def test_a_helper_thread_hands_over_what_it_raised(passes, run):
    def divides():
        return 1 / 0

    async def joins(lab):
        thread = lab.thread(divides)
        with pytest.raises(ZeroDivisionError):
            await lab.join(thread)

    passes(joins)

    async def forgets(lab):
        lab.thread(divides)

    report = run(forgets)
    assert report.status == "FAIL"
    assert "ZeroDivisionError" in report.reason


def test_when_asleep_calls_once_the_loop_sleeps_and_the_operation_is_parked(passes):
    async def wakes(lab):
        sock, peer = lab.stream_pair()
        states = []

        def look():
            states.append((lab.subject.asleep(), lab.subject.parked(recv.task)))
            peer.send(b"x")

        recv = lab.start("recv", sock.recv, 1)
        thread = lab.when_asleep(look, op=recv)
        (await lab.outcome(recv)).get()
        await lab.join(thread)
        lab.equal(states, [(True, True)], "what it saw")

    passes(wakes)


# -- Peers and what they are made of


@pytest.mark.parametrize("kind", ["tcp", "unix"])
@pytest.mark.parametrize("tiny", [{}, {"tiny_send": True}, {"tiny_receive": True}])
def test_stream_pairs_are_connected_and_as_narrow_as_asked(passes, kind, tiny):
    async def talks(lab):
        sock, peer = lab.stream_pair(kind, **tiny)
        await sock.sendall(b"there")
        lab.equal(peer.drain(5), b"there", "to the peer")
        peer.send(b"and back")
        lab.equal(await sock.recv(100), b"and back", "to the subject")
        send = lab.start("send", sock.sendall, bytes(40_000))
        await lab.settle()
        lab.equal(send.done, not tiny.get("tiny_send"), "40,000 bytes went out at once")
        lab.equal(peer.fill(40_000) >= 40_000, not tiny.get("tiny_receive"), "and came in")

    passes(talks)


def test_a_kind_of_socket_that_there_is_not(run):
    async def asks(lab):
        lab.listener("udp")

    assert run(asks).reason == "ValueError: kind 'udp': allowed are tcp and unix"


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_listeners_and_peers_that_connect(passes, kind):
    async def accepts(lab):
        listener = lab.listener(kind)
        peers = [
            lab.connect_peer(listener),
            lab.connect_peer(listener, non_blocking=True),
            lab.connect_peer(listener.getsockname()),
            lab.connect_peer_later(listener),
        ]
        assert not peers[1].sock.getblocking()
        peers[3].connect()
        for _ in peers:
            lab.keep(await listener.accept())
        await lab.parked("a fifth", listener.accept)

    passes(accepts)


def test_two_streams_of_the_subject_can_be_connected(passes):
    async def talks(lab):
        left, right = lab.subject_pair()
        await left.sendall(b"x")
        lab.equal(await right.recv(1), b"x", "the byte")

    passes(talks)


def test_an_aborted_peer_has_reset_its_connection(passes):
    async def accepts(lab):
        listener = lab.listener()
        lab.aborted_peer(listener)
        accept = lab.start("accept", listener.accept)
        await lab.settle()
        if accept.done:  # a kernel may also drop it
            stream = lab.keep((await lab.outcome(accept)).get())
            (await observed(stream.recv(1))).failed(ConnectionResetError)

    passes(accepts)


def test_nobody_listens_on_a_refused_address(passes):
    async def connects(lab):
        sock = lab.fresh_stream()
        connect = await lab.result_of("connect", sock.connect, lab.refused_address())
        connect.failed(ConnectionRefusedError)

    passes(connects)


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_a_connect_to_a_crowd_does_not_complete(passes, kind):
    async def connects(lab):
        crowd = lab.crowd(kind)
        sock = lab.fresh_stream(kind)
        op = lab.start("connect", sock.connect, crowd.address)
        await lab.settle()
        lab.check(not op.done or op.result.kind == "error", "it completed")

    passes(connects)


def test_an_acceptor_that_does_not_listen(passes):
    async def accepts(lab):
        acceptor = lab.unlistened()
        (await lab.result_of("accept", acceptor.accept)).failed(errno.EINVAL, errno.EOPNOTSUPP)

    passes(accepts)


def test_paths_are_fresh_and_gone_afterwards(passes):
    paths: list[str] = []

    async def binds(lab):
        paths.extend(lab.world.path() for _ in range(20))
        for path in paths:
            lab.keep(socket.socket(socket.AF_UNIX)).bind(path)

    passes(binds)
    assert len(set(paths)) == 20
    folders = {Path(path).parent for path in paths}
    assert len(folders) == 1
    assert not folders.pop().exists()


def test_a_second_context_is_of_the_same_kind_and_closed_at_the_end(passes):
    made = []

    async def runs(lab):
        context = lab.fresh_context()
        made.append(context)
        assert context.backend.spec == lab.subject.context.backend.spec
        assert context.system is lab.subject.context.system
        task = context.spawn(reactor.sleep, 0)
        context.run()
        assert task.done

    passes(runs, spec="poll+pipe")
    assert made[0].closed


def test_what_is_kept_is_closed_in_the_reverse_order(passes):
    order = []

    class Thing:
        def __init__(self, name):
            self.name = name

        def close(self):
            order.append(self.name)

    async def keeps(lab):
        for name in "abc":
            thing = Thing(name)
            assert lab.keep(thing) is thing

    passes(keeps)
    assert order == ["c", "b", "a"]


# -- Provocations


def test_faults_are_on_one_socket_a_number_of_times(passes):
    async def breaks(lab):
        sock, peer = lab.stream_pair()
        other, other_peer = lab.stream_pair()
        for one in (peer, other_peer):
            one.send(b"data")
        rule = lab.fault("recv", errno.ECONNRESET, errno.ETIMEDOUT, on=sock, repeat=2)
        lab.equal(await other.recv(4), b"data", "the other one")
        seen = [(await observed(sock.recv(4))).errno for _ in range(4)]
        lab.equal(seen, [errno.ECONNRESET, errno.ETIMEDOUT] * 2, "the errors")
        lab.equal(rule.times, 4, "times")
        lab.equal(await sock.recv(4), b"data", "after the faults")

    passes(breaks)


def test_faults_may_skip_and_answer(passes):
    async def answers(lab):
        sock, peer = lab.stream_pair()
        peer.send(b"abcdef")
        lab.fault("recv", answers=[lambda real: real().upper()], skip=1)
        seen = [await sock.recv(2) for _ in range(3)]
        lab.equal(seen, [b"ab", b"CD", b"ef"], "the pieces")

    passes(answers)


def test_out_of_descriptors(passes):
    async def opens(lab):
        with lab.emfile(), pytest.raises(OSError, match="Too many open files"):
            socket.socket()
        socket.socket().close()

    passes(opens)


def test_signals_interrupt_nothing(passes):
    async def storms(lab):
        with lab.signal_storm() as count:
            while count[0] < 3:
                await reactor.sleep(0.001)

    passes(storms)


def test_a_canary_on_a_closed_number(passes):
    async def sits(lab):
        sock, _ = lab.stream_pair()
        number = sock.fileno()
        sock.close()
        canary = lab.canary(number)
        assert canary.number == number
        canary.check()

    passes(sits)


@pytest.mark.parametrize("threads", [1, 2])
def test_virtual_time_is_only_for_who_asked_for_it(passes, run, threads):
    async def waits(lab):
        before = lab.clock.monotonic()
        await lab.subject.sleep(3600)
        lab.check(lab.clock.monotonic() >= before + 3600, "an hour has passed")
        lab.equal(lab.subject.now(), lab.clock.monotonic(), "the subject's clock")

    passes(waits, clock="fake", threads=threads)
    assert run(waits).reason == 'this scenario has real time: declare it with clock="fake"'


@pytest.mark.parametrize("spec", BACKENDS)
def test_in_virtual_time_there_are_no_kernel_timers(passes, spec):
    """Also where one was asked for: the kernel's own time goes on."""

    async def waits(lab):
        await lab.subject.sleep(3600)
        lab.equal(lab.subject.context.backend.timer, "timeout", "the timer")
        lab.equal(lab.fresh_context().backend.timer, "timeout", "that of another context")

    for timer in backends.backend_class(spec).timers:
        passes(waits, clock="fake", spec=f"{spec}+pipe+{timer}")


# -- Judging


def test_check_and_equal(run):
    async def checks(lab):
        lab.check([1], "fine")
        lab.equal(b"x", b"x", "fine")
        lab.equal(bytes(100), b"x", "the data")

    assert run(checks).reason == "the data: 100 bytes, expected b'x'"

    async def fails(lab):
        lab.check([], "it is empty")

    assert run(fails).reason == "it is empty"


def test_a_variant_must_be_declared(run):
    async def permits(lab):
        lab.permit("late")

    permitted = {"early": "some kernels are", "never": "others"}
    assert (
        run(permits, permits=permitted).reason
        == "variant 'late' is not permitted; allowed: early, never"
    )
    report = run(permits)
    assert report.reason == "variant 'late' is not permitted; allowed: none"
    assert report.variant is None


def test_random_numbers_are_the_seeds(passes):
    async def draws(lab):
        lab.info("drawn", [lab.rng.random() for _ in range(3)])

    drawn = [passes(draws, seed=seed).info["drawn"] for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


# -- The adapter


def test_the_subject_knows_whether_it_sleeps_and_what_is_parked(passes):
    async def looks(lab):
        op = await lab.parked("nap", reactor.sleep, 3600)
        assert lab.subject.parked(op.task)
        assert not lab.subject.asleep()  # we run
        assert lab.subject.quiet()
        lab.post(lambda: None)
        assert not lab.subject.quiet()
        await lab.settle()
        lab.cancel(op)
        assert not lab.subject.parked(op.task)
        assert not lab.subject.quiet()

    passes(looks)


def test_the_subject_counts_what_is_left(passes):
    async def counts(lab):
        before = lab.subject.left_over()
        op = await lab.parked("nap", reactor.sleep, 3600)
        sock = lab.fresh_stream()
        after = lab.subject.left_over()
        assert {name: after[name] - before[name] for name in after} == {
            "tasks": 1,
            "timers": 1,
            "descriptors": 1,
        }
        lab.cancel(op)
        sock.close()
        await lab.outcome(op)
        await lab.settle()
        assert lab.subject.left_over() == before

    passes(counts)


def test_a_posix_system_has_the_fallbacks(passes):
    async def looks(lab):
        assert lab.subject.context.backend.spec == "poll+pipe+timeout"

    passes(looks, system="posix")

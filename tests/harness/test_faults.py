"""The fault table, the sockets and systems in front of it, and what provokes from outside."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import signal
import socket
import threading
from typing import Any

import pytest

from harness.clock import FakeClock, FakePoll, FakePoller
from harness.faults import (
    CALLS,
    FaultSocket,
    FaultTable,
    LabSystem,
    Rule,
    alarms_counted,
    lab_system,
    signal_storm,
)
from harness.world import LiveWorld
from reactor.system import _OFFERED, SYSTEMS, PosixSystem, System


@pytest.fixture
def table():
    return FaultTable()


def real():
    return "real"


# -- The table


def test_without_rules_every_call_is_real_and_counted(table):
    assert [table.apply("recv", 5, real) for _ in range(3)] == ["real"] * 3
    table.apply("send", 5, real)
    assert set(table.calls) == set(CALLS)
    assert {call: count for call, count in table.calls.items() if count} == {"recv": 3, "send": 1}


def test_errors_are_raised_one_after_the_other_and_then_no_more(table):
    rule = table.add(Rule("recv", [errno.ECONNRESET, errno.EINTR]))
    with pytest.raises(ConnectionResetError) as caught:
        table.apply("recv", 5, real)
    assert caught.value.strerror == os.strerror(errno.ECONNRESET)
    assert table.apply("send", 5, real) == "real"  # another call
    with pytest.raises(InterruptedError):
        table.apply("recv", 5, real)
    assert rule.times == 2
    assert table.apply("recv", 5, real) == "real"
    assert rule.times == 2
    assert table.calls["recv"] == 3


def test_a_failing_call_is_not_made(table):
    table.add(Rule("recv", [errno.EIO]))
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        table.apply("recv", 5, lambda: pytest.fail("it was made"))


def test_answers_are_given_the_real_call(table):
    rule = table.add(Rule("recv", answers=[lambda call: [call(), "more"], lambda _: None]))
    assert table.apply("recv", 5, real) == ["real", "more"]
    assert table.apply("recv", 5, real) is None
    assert table.apply("recv", 5, real) == "real"
    assert rule.times == 2


def test_skipped_calls_are_real(table):
    rule = table.add(Rule("recv", [errno.EIO], skip=2))
    assert [table.apply("recv", 5, real) for _ in range(2)] == ["real", "real"]
    assert rule.times == 0
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        table.apply("recv", 5, real)
    assert rule.times == 1


def test_a_rule_may_be_about_one_descriptor(table):
    rule = table.add(Rule("recv", [errno.EIO], fileno=7))
    assert table.apply("recv", 5, real) == "real"
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        table.apply("recv", 7, real)
    assert rule.times == 1


def test_the_first_rule_that_has_something_to_say_decides(table):
    table.add(Rule("recv", [errno.EIO]))
    table.add(Rule("recv", [errno.EPIPE]))
    seen = []
    for _ in range(3):
        try:
            seen.append(table.apply("recv", 5, real))
        except OSError as exc:
            seen.append(exc.errno)
    assert seen == [errno.EIO, errno.EPIPE, "real"]


def test_clear_lifts_every_rule_and_keeps_the_counts(table):
    table.add(Rule("recv", [errno.EIO] * 5))
    table.clear()
    assert table.apply("recv", 5, real) == "real"
    assert table.calls["recv"] == 1


def test_a_call_that_has_no_faults_is_refused(table):
    with pytest.raises(ValueError, match=r"no faults for 'read'; there are: accept, connect"):
        table.add(Rule("read", [errno.EIO]))


def test_a_failing_real_call_comes_out(table):
    def broken():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        table.apply("recv", 5, broken)


def test_rules_may_be_used_up_by_several_threads(table):
    rule = table.add(Rule("recv", [errno.EIO] * 1000))
    start = threading.Barrier(4)
    failed = []

    def call():
        start.wait()
        for _ in range(500):
            try:
                table.apply("recv", 5, real)
            except OSError:
                failed.append(1)

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(failed), rule.times, table.calls["recv"]) == (1000, 1000, 2000)


# -- Sockets


@pytest.fixture
def pair(table):
    left, right = socket.socketpair()
    left.settimeout(3)
    faulty = FaultSocket.of(left, table)
    with faulty, right:
        right.settimeout(10)
        yield faulty, right


def test_a_fault_socket_takes_the_descriptor_over(table):
    left, right = socket.socketpair()
    number = left.fileno()
    left.settimeout(3)
    faulty = FaultSocket.of(left, table)
    assert (faulty.fileno(), left.fileno()) == (number, -1)
    assert (faulty.family, faulty.type, faulty.gettimeout()) == (right.family, right.type, 3)
    left.close()
    faulty.sendall(b"x")
    assert right.recv(1) == b"x"
    faulty.close()
    right.close()


def test_each_call_of_a_socket_goes_through_the_table_and_works(table):
    with socket.create_server(("127.0.0.1", 0)) as plain:
        address = plain.getsockname()
        listener = FaultSocket.of(plain, table)
        client = FaultSocket.of(socket.socket(), table)
        with listener, client:
            client.connect(address)
            accepted, _ = listener.accept()
            server = FaultSocket.of(accepted, table)
            with server:
                assert client.getpeername() == address
                client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                assert client.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
                assert client.send(b"ab") == 2
                assert client.sendmsg([b"c", b"d", b"ef"]) == 4
                assert server.recv(2) == b"ab"
                buffer = bytearray(2)
                assert server.recv_into(buffer) == 2
                assert server.recvmsg_into([bytearray(1), bytearray(1)])[0] == 2
                client.shutdown(socket.SHUT_WR)
                assert server.recv(1) == b""
    with FaultSocket.of(socket.socket(type=socket.SOCK_DGRAM), table) as server:
        server.bind(("127.0.0.1", 0))
        assert server.sendto(b"ab", server.getsockname()) == 2
        assert server.recvfrom(2) == (b"ab", server.getsockname())
    assert table.calls == {
        "accept": 1,
        "connect": 1,
        "getpeername": 1,
        "getsockopt": 1,
        "recv": 2,
        "recv_into": 1,
        "recvfrom": 1,
        "recvmsg_into": 1,
        "send": 1,
        "sendmsg": 1,
        "sendto": 1,
        "setsockopt": 1,
        "shutdown": 1,
        "wake": 0,
    }


ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "connect": (("127.0.0.1", 9),),
    "getsockopt": (socket.SOL_SOCKET, socket.SO_TYPE),
    "recv": (1,),
    "recv_into": (bytearray(1),),
    "recvfrom": (1,),
    "recvmsg_into": ([bytearray(1)],),
    "send": (b"x",),
    "sendmsg": ([b"x"],),
    "sendto": (b"x", ("127.0.0.1", 9)),
    "setsockopt": (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    "shutdown": (socket.SHUT_WR,),
}


@pytest.mark.parametrize("call", [call for call in CALLS if call != "wake"])
def test_each_call_of_a_socket_can_be_made_to_fail(pair, table, call):
    faulty, _ = pair
    rule = table.add(Rule(call, [errno.EXDEV], fileno=faulty.fileno()))
    with pytest.raises(OSError, match=os.strerror(errno.EXDEV)):
        getattr(faulty, call)(*ARGUMENTS.get(call, ()))
    assert rule.times == 1


# -- Systems


def test_a_lab_system_is_of_its_kind(table):
    live, posix = lab_system(System, table, None), lab_system(PosixSystem, table, None)
    assert isinstance(live, LabSystem)
    assert isinstance(posix, PosixSystem)
    assert not isinstance(live, PosixSystem)
    assert not posix.has("eventfd")
    assert live.has("eventfd") == System().has("eventfd")


@pytest.mark.parametrize("kind", ["live", "posix"])
def test_every_socket_of_a_lab_system_has_faults(kind, table):
    system = lab_system(SYSTEMS[kind], table, None)
    made = [system.socket(socket.AF_INET, socket.SOCK_STREAM)]
    made += system.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        made.append(system.accept(listener)[0])
        client.close()
    with contextlib.ExitStack() as stack:
        for sock in made:
            stack.enter_context(sock)
            assert isinstance(sock, FaultSocket)
            assert sock.table is table
            assert not sock.getblocking()
        again = system.adopt(made[0])
        assert again is made[0]


def test_what_only_quacks_like_a_socket_is_left_as_it_is(table):
    class Thing:
        def setblocking(self, flag):
            self.blocking = flag

    thing = Thing()
    adopted: Any = lab_system(PosixSystem, table, None).adopt(thing)  # type: ignore[arg-type]
    assert adopted is thing
    assert thing.blocking is False


def test_waking_goes_through_the_table(table):
    system = lab_system(System, table, None)
    read_end, write_end = system.pipe()
    assert system.write(write_end, b"x") == 1
    table.add(Rule("wake", [errno.EAGAIN]))
    with pytest.raises(BlockingIOError):
        system.write(write_end, b"x")
    assert table.calls["wake"] == 2
    assert system.read(read_end, 10) == b"x"
    system.close(read_end)
    system.close(write_end)


def test_the_clock_is_the_systems_without_a_fake_one(table):
    system = lab_system(System, table, None)
    assert system.monotonic is System.monotonic
    assert not isinstance(system.poll(), FakePoll)
    assert system.has("timerfd") == System().has("timerfd")
    assert system.select([], [], [], 0) == ([], [], [])


def test_with_a_fake_clock_all_is_in_its_time(table, monkeypatch):
    monkeypatch.setitem(_OFFERED, "timerfd", True)  # as from Python 3.13 on
    assert lab_system(System, table, None).has("timerfd")
    clock = FakeClock()
    system = lab_system(System, table, clock)
    assert system.monotonic() == clock.monotonic() == 1000.0
    assert isinstance(system.poll(), FakePoll)
    assert not system.has("timerfd")
    for name in ("epoll", "kqueue"):
        assert system.has(name) == System().has(name)
        if system.has(name):
            poller = getattr(system, name)()
            assert isinstance(poller, FakePoller)
            poller.close()


def test_ready_now_is_no_wait(table):
    clock = FakeClock()
    system = lab_system(System, table, clock)
    left, right = socket.socketpair()
    with left, right:
        assert not system.ready_now(left.fileno(), 1)
        assert system.ready_now(left.fileno(), 2)
        right.send(b"x")
        assert system.ready_now(left.fileno(), 1)
    assert (clock.waits, clock.monotonic()) == ([], 1000.0)


# -- Out of descriptors


def test_out_of_descriptors_and_back():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    left, right = socket.socketpair()
    with left, right:
        with LiveWorld().out_of_descriptors():
            for make in (os.pipe, socket.socket, lambda: os.dup(0)):
                with pytest.raises(OSError, match=os.strerror(errno.EMFILE)) as caught:
                    make()
                assert caught.value.errno == errno.EMFILE
            left.send(b"x")  # what is open still works
            assert right.recv(1) == b"x"
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == before
        os.close(os.dup(0))


def test_the_limit_is_lifted_after_an_error():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with pytest.raises(ZeroDivisionError), LiveWorld().out_of_descriptors():
        raise ZeroDivisionError
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == before


# -- Signals


def test_a_storm_interrupts_and_ends():
    handler = signal.getsignal(signal.SIGALRM)
    with alarms_counted(), signal_storm(0.0005) as count:
        for _ in range(3):
            seen = count[0]
            while count[0] == seen:
                signal.pause()
        assert count[0] >= 3
        assert signal.getitimer(signal.ITIMER_REAL)[1] > 0
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    assert signal.getsignal(signal.SIGALRM) == handler


def test_each_storm_counts_from_zero():
    with alarms_counted():
        with signal_storm(0.0005) as count:
            signal.pause()
            assert count[0] >= 1
        with signal_storm(1000) as count:
            assert count == [0]
            signal.raise_signal(signal.SIGALRM)
            assert count == [1]


def test_a_storm_left_by_an_error_is_over():
    handler = signal.getsignal(signal.SIGALRM)
    with pytest.raises(ZeroDivisionError), alarms_counted(), signal_storm(1000):
        raise ZeroDivisionError
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    assert signal.getsignal(signal.SIGALRM) == handler
    with alarms_counted():
        signal.setitimer(signal.ITIMER_REAL, 1000)  # as a scenario might leave it
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)

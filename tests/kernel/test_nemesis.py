"""The nemesis: each rule makes happen what it says, once, and nothing that a kernel may not do."""

from __future__ import annotations

import errno
import json
import select
import socket

import pytest

from harness.kernel import Kernel, SimulatedSocket, SimulatedSystem
from harness.kernel.description import IN
from harness.kernel.nemesis import (
    BREAKS,
    FAILURES,
    Break,
    ClockStep,
    Fail,
    Full,
    Interrupt,
    Late,
    Nemesis,
    Preempt,
    Short,
    Shuffle,
    Split,
    Spurious,
    from_data,
    to_data,
)
from harness.kernel.pollers.epoll import EDGE
from harness.kernel.pollers.kqueue import EV_ADD, EV_CLEAR, FILTER_READ
from harness.kernel.sockets import socketpair

EVERY = (
    Fail(1, "accept", "EMFILE"),
    Short(2, "recv", 3),
    Break(1, "send", "ETIMEDOUT"),
    Interrupt(1),
    Full(4),
    Spurious(1),
    Late(2, 0.5),
    Split(1),
    Shuffle(1),
    ClockStep(3, -3600.0),
    Preempt(5, "acquire"),
)


def haunted(*rules, dialect="linux", seed=0):
    kernel = Kernel(dialect, seed)
    return kernel, Nemesis(kernel, rules)


def tcp_pair(kernel):
    listener = SimulatedSocket(kernel)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    client = SimulatedSocket(kernel)
    client.connect(listener.getsockname())
    server, _ = listener.accept()
    for sock in (client, server):
        sock.setblocking(False)
    return client, server


# -- As data


@pytest.mark.parametrize("rule", EVERY, ids=lambda rule: type(rule).__name__)
def test_a_rule_survives_json(rule):
    assert from_data(json.loads(json.dumps(to_data(rule)))) == rule


@pytest.mark.parametrize(
    "data",
    [
        None,
        {},
        {"fault": "plague", "nth": 1},
        {"fault": "split"},
        {"fault": "split", "nth": True},
        {"fault": "split", "nth": "1"},
        {"fault": "split", "nth": 1, "more": 2},
        {"fault": "split", "nth": 0},
        {"fault": "late", "nth": 1, "seconds": float("nan")},
        {"fault": "short", "nth": 1, "kind": "recv", "size": 0},
        {"fault": "preempt", "nth": 1, "point": "nowhere"},
    ],
)
def test_what_is_no_rule_is_refused(data):
    with pytest.raises(ValueError):
        from_data(data)


@pytest.mark.parametrize(
    "rule",
    [
        Fail(1, "recv", "EMFILE"),
        Fail(1, "wake", "EAGAIN"),
        Short(1, "accept", 1),
        Break(1, "recv", "EPERM"),
        Break(1, "connect", "ETIMEDOUT"),
    ],
)
def test_what_no_kernel_does_is_refused(rule):
    with pytest.raises(ValueError):
        Nemesis(Kernel(), [rule])


# -- Calls


@pytest.mark.parametrize(
    ("call", "code"), [(call, code) for call, codes in FAILURES.items() for code in sorted(codes)]
)
def test_the_nth_call_of_a_kind_fails_and_has_changed_nothing(call, code):
    kernel, nemesis = haunted(Fail(2, call, code))
    system = SimulatedSystem(kernel)
    left, right = socketpair(kernel)
    for sock in (left, right):
        sock.setblocking(False)
    listener = SimulatedSocket(kernel)
    listener.listen()
    for _ in range(2):
        SimulatedSocket(kernel).connect(listener.getsockname())
    right.send(b"xx") if call != "send" else None
    epoll = system.epoll()
    calls = {
        "accept": lambda _: listener.accept(),
        "socket": lambda _: system.socket(socket.AF_INET, socket.SOCK_STREAM),
        "recv": lambda _: left.recv(1),
        "send": lambda _: left.send(b"x"),
        "register": lambda number: epoll.register((left, right)[number], IN),
    }
    calls[call](0)
    before = kernel.open_numbers()
    with pytest.raises(OSError) as caught:
        calls[call](1)
    assert caught.value.errno == getattr(errno, code)
    assert kernel.open_numbers() == before
    assert [type(rule) for rule in nemesis.struck] == [Fail]
    calls[call](1)


def test_accept_fails_only_when_there_is_something_to_accept():
    kernel, nemesis = haunted(Fail(1, "accept", "EMFILE"))
    listener = SimulatedSocket(kernel)
    listener.listen()
    listener.setblocking(False)
    with pytest.raises(BlockingIOError):
        listener.accept()
    assert nemesis.struck == []


def test_a_short_receive_of_tcp_is_followed_by_the_event_of_the_rest():
    kernel, _ = haunted(Short(1, "recv", 2))
    client, server = tcp_pair(kernel)
    epoll = SimulatedSystem(kernel).epoll()
    epoll.register(server, IN | EDGE)
    client.send(b"abcdef")
    assert epoll.poll(0)
    assert server.recv(100) == b"ab"
    assert epoll.poll(0), "or an edge-triggered reader would never learn of the rest"
    assert server.recv(100) == b"cdef"


def test_nothing_is_late_when_the_end_has_been_seen():
    kernel, nemesis = haunted(Short(1, "recv", 2))
    client, server = tcp_pair(kernel)
    client.send(b"abcdef")
    client.shutdown(socket.SHUT_WR)
    assert server.recv(100) == b"abcdef"
    assert nemesis.struck == []


def test_a_short_send_takes_less():
    kernel, _ = haunted(Short(1, "send", 2))
    left, right = socketpair(kernel)
    assert left.send(b"abcdef") == 2
    assert left.send(b"cdef") == 4
    assert right.recv(100) == b"abcdef"


@pytest.mark.parametrize("code", sorted(BREAKS))
def test_a_connection_breaks_for_both(code):
    kernel, _ = haunted(Break(1, "recv", code))
    client, server = tcp_pair(kernel)
    for sock in (client, server):
        with pytest.raises(OSError) as caught:
            sock.recv(1)
        assert caught.value.errno == getattr(errno, code)


def test_an_interrupted_connect_goes_on():
    kernel, _ = haunted(Interrupt(1))
    listener = SimulatedSocket(kernel)
    listener.listen()
    client = SimulatedSocket(kernel)
    client.setblocking(False)
    with pytest.raises(InterruptedError):
        client.connect(listener.getsockname())
    assert client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
    assert client.getpeername() == listener.getsockname()


@pytest.mark.parametrize("kind", ["eventfd", "pipe"])
def test_a_wake_up_that_finds_no_room_leaves_something_to_read(kind):
    kernel, _ = haunted(Full(1))
    system = SimulatedSystem(kernel)
    read, write = (system.eventfd(),) * 2 if kind == "eventfd" else system.pipe()
    with pytest.raises(BlockingIOError):
        system.write(write, b"\0" * 7 + b"\1")
    assert system.read(read, 8)


# -- Waits


def two_ready(kernel):
    pairs = [socketpair(kernel) for _ in range(4)]
    for left, _ in pairs[:3]:
        left.send(b"x")
    return [right for _, right in pairs]


@pytest.mark.parametrize("poller", ["epoll", "kqueue"])
def test_split_events_come_the_next_time(poller):
    kernel, _ = haunted(Split(1), dialect="freebsd" if poller == "kqueue" else "linux")
    system = SimulatedSystem(kernel)
    socks = two_ready(kernel)
    if poller == "epoll":
        epoll = system.epoll()
        for sock in socks:
            epoll.register(sock, IN | EDGE)
        seen = [len(epoll.poll(0)) for _ in range(3)]
    else:
        kqueue = system.kqueue()
        adds = [system.kevent(s.fileno(), FILTER_READ, EV_ADD | EV_CLEAR) for s in socks]
        kqueue.control(adds, 0, 0)
        seen = [len(kqueue.control(None, 10, 0)) for _ in range(3)]
    assert seen == [1, 2, 0]


def test_shuffled_events_are_the_same_in_another_order():
    orders = set()
    for seed in range(10):
        kernel, _ = haunted(Shuffle(1), seed=seed)
        epoll = SimulatedSystem(kernel).epoll()
        for sock in two_ready(kernel):
            epoll.register(sock, IN)
        orders.add(tuple(fd for fd, _ in epoll.poll(0)))
    assert len(orders) > 1
    assert len({frozenset(order) for order in orders}) == 1


@pytest.mark.parametrize("poller", ["poll", "select"])
def test_poll_and_select_report_everything_in_the_order_of_the_caller(poller):
    kernel, nemesis = haunted(Split(1), Shuffle(1))
    system = SimulatedSystem(kernel)
    socks = two_ready(kernel)
    numbers = [sock.fileno() for sock in socks]
    if poller == "poll":
        poll = system.poll()
        for number in numbers:
            poll.register(number, select.POLLIN)
        found = [fd for fd, _ in poll.poll(0)]
    else:
        found = system.select(numbers, (), (), 0)[0]
    assert found == numbers[:3]
    assert nemesis.struck == []


@pytest.mark.parametrize("poller", ["epoll", "kqueue", "poll", "select"])
def test_a_spurious_event_names_a_socket_that_is_not_ready(poller):
    kernel, nemesis = haunted(Spurious(1), dialect="freebsd" if poller == "kqueue" else "linux")
    system = SimulatedSystem(kernel)
    left, _ = socketpair(kernel)
    number = left.fileno()
    if poller == "epoll":
        epoll = system.epoll()
        epoll.register(number, IN)
        found = [fd for fd, _ in epoll.poll(10)]
    elif poller == "kqueue":
        kqueue = system.kqueue()
        kqueue.control([system.kevent(number, FILTER_READ, EV_ADD)], 0, 0)
        found = [event.ident for event in kqueue.control(None, 10, 10)]
    elif poller == "poll":
        poll = system.poll()
        poll.register(number, select.POLLIN)
        found = [fd for fd, _ in poll.poll(10_000)]
    else:
        found = system.select([number], (), (), 10)[0]
    assert found == [number]
    assert kernel.now == Kernel().now, "it did not wait"
    assert nemesis.struck == [Spurious(1)]


def test_a_late_wait_brings_what_has_happened_meanwhile():
    kernel, _ = haunted(Late(1, 2.0))
    system = SimulatedSystem(kernel)
    pairs = [socketpair(kernel) for _ in range(2)]
    epoll = system.epoll()
    for _, right in pairs:
        epoll.register(right, IN)

    def send():
        for left, _ in pairs:
            kernel.pause(1.0)
            left.send(b"x")

    begin = kernel.monotonic()
    kernel.baton.current()
    sender = kernel.spawn("sender", send)
    assert len(epoll.poll(10)) == 2
    assert kernel.monotonic() - begin == 3.0
    sender.join()


def test_a_step_of_the_wall_clock_leaves_time_alone():
    kernel, _ = haunted(ClockStep(1, -3600.0))
    before = kernel.monotonic(), kernel.wall_clock()
    SimulatedSystem(kernel).epoll().poll(1)
    assert kernel.monotonic() - before[0] == 1.0
    assert kernel.wall_clock() - before[1] == -3599.0


@pytest.mark.parametrize("point", ["any", "acquire"])
def test_a_thread_is_pre_empted_at_a_point(point):
    kernel, _ = haunted(Preempt(2, point))
    lock = SimulatedSystem(kernel).lock()
    kernel.baton.current()
    order = []
    other = kernel.spawn("other", lambda: order.append("other"))
    lock.acquire()
    order.append("first")
    if point == "acquire":
        lock.release()
        order.append("released")
        lock.acquire()
    lock.release()
    order.append("second")
    other.join()
    expected = ["first", "released", "other", "second"] if point == "acquire" else None
    assert order == (expected or ["first", "other", "second"])

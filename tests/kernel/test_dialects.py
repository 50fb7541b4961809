"""The facts of the dialects, each seen in what the model answers."""

from __future__ import annotations

import errno
import socket
from dataclasses import fields

import pytest

from harness.kernel import DIALECTS, Kernel, SimulatedSocket, SimulatedSystem
from harness.kernel.pollers import kqueue as kq
from harness.kernel.sockets import socketpair
from harness.kernel.verify.grounds import dialect_for
from reactor.errors import Unsupported

from .parts import code_of, reset, tcp_pair


@pytest.mark.parametrize(
    ("dialect", "outcome"),
    [("linux", "delivered"), ("freebsd", errno.ECONNABORTED), ("macos", errno.EAGAIN)],
)
def test_a_connection_that_is_reset_before_accept(dialect, outcome):
    kernel = Kernel(dialect)
    listener = SimulatedSocket(kernel)
    listener.bind(("127.0.0.1", 0))
    listener.listen(4)
    client = SimulatedSocket(kernel)
    client.connect(listener.getsockname())
    reset(client)
    listener.setblocking(False)
    if outcome == "delivered":
        connection, _ = listener.accept()
        assert code_of(connection.recv, 1) == errno.ECONNRESET
    else:
        assert code_of(listener.accept) == outcome


def test_macos_refuses_options_of_a_reset_socket():
    kernel = Kernel("macos")
    client, server = tcp_pair(kernel)
    reset(client)
    assert code_of(server.setsockopt, socket.IPPROTO_TCP, socket.TCP_NODELAY, 1) == errno.EINVAL


@pytest.mark.parametrize(
    ("dialect", "inherits"), [("linux", False), ("freebsd", True), ("macos", True)]
)
def test_whether_an_accepted_socket_inherits_nonblocking(dialect, inherits):
    kernel = Kernel(dialect)
    listener = SimulatedSocket(kernel)
    listener.bind(("127.0.0.1", 0))
    listener.listen(4)
    SimulatedSocket(kernel).connect(listener.getsockname())
    listener.setblocking(False)
    connection, _ = listener.accept()
    assert connection._endpoint.nonblocking is inherits


@pytest.mark.parametrize(("dialect", "code"), [("freebsd", errno.EPIPE), ("netbsd", errno.EBADF)])
def test_the_write_filter_of_a_dead_pipe_is_refused(dialect, code):
    kernel = Kernel(dialect)
    system = SimulatedSystem(kernel)
    reader, writer = system.pipe()
    system.close(reader)
    change = system.kevent(writer, kq.FILTER_WRITE, kq.EV_ADD)
    assert code_of(system.kqueue().control, [change], 0, 0) == code


def test_openbsd_cuts_a_wait_at_24_hours():
    kernel = Kernel("openbsd")
    begin = kernel.monotonic()
    assert SimulatedSystem(kernel).kqueue().control(None, 1, 1e6) == []
    assert kernel.monotonic() == begin + 86_400


def test_darwin_select_refuses_a_wait_of_more_than_three_years():
    kernel = Kernel("macos")
    assert code_of(SimulatedSystem(kernel).select, [], [], [], 1.1e8) == errno.EINVAL


@pytest.mark.parametrize("dialect", ["macos", "dragonfly"])
def test_a_wait_of_more_than_three_years_is_refused_by_kevent(dialect):
    queue = SimulatedSystem(Kernel(dialect)).kqueue()
    assert code_of(queue.control, None, 1, 1.1e8) == errno.EINVAL
    assert queue.control(None, 1, 1e8) == []


def test_macos_has_a_word_of_its_own_for_a_send_after_a_reset():
    client, server = tcp_pair(Kernel("macos"))
    reset(client)
    assert code_of(server.send, b"x") == errno.EPROTOTYPE
    assert code_of(server.send, b"x") == errno.EPIPE


@pytest.mark.parametrize(
    ("dialect", "code"), [("linux", 0), ("freebsd", errno.EINVAL), ("macos", errno.EINVAL)]
)
def test_whether_a_socket_is_as_new_after_a_connect_that_failed(dialect, code):
    kernel = Kernel(dialect)
    dead, listener, client = (SimulatedSocket(kernel) for _ in range(3))
    for sock in (dead, listener):
        sock.bind(("127.0.0.1", 0))
    listener.listen(1)
    client.setblocking(False)
    assert client.connect_ex(dead.getsockname()) in {errno.EINPROGRESS, errno.ECONNREFUSED}
    if code:
        assert client.connect_ex(listener.getsockname()) == code
        assert client.connect_ex(listener.getsockname()) == code
    else:
        client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        assert client.connect_ex(listener.getsockname()) == errno.ECONNABORTED
        assert client.connect_ex(listener.getsockname()) == errno.EINPROGRESS
        assert client.connect_ex(listener.getsockname()) == 0


@pytest.mark.parametrize("make", [tcp_pair, socketpair], ids=["tcp", "unix"])
@pytest.mark.parametrize(
    ("dialect", "code"), [("linux", 0), ("freebsd", 0), ("macos", errno.ENOTCONN)]
)
def test_whether_what_is_shut_down_can_be_shut_down_again(dialect, code, make):
    left, _right = make(Kernel(dialect))
    left.shutdown(socket.SHUT_WR)
    if code:
        assert code_of(left.shutdown, socket.SHUT_WR) == code
    else:
        left.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize(("dialect", "most"), [("linux", 65_507), ("macos", 9_216)])
def test_the_largest_datagram(dialect, most):
    kernel = Kernel(dialect)
    left, right = (SimulatedSocket(kernel, socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    left.bind(("127.0.0.1", 0))
    right.connect(left.getsockname())
    assert right.send(bytes(most)) == most
    assert code_of(right.send, bytes(most + 1)) == errno.EMSGSIZE


@pytest.mark.parametrize(
    ("dialect", "code"), [("linux", errno.EAGAIN), ("macos", errno.ECONNRESET)]
)
def test_what_a_datagram_socket_hears_of_the_end_of_the_other(dialect, code):
    left, right = socketpair(Kernel(dialect), socket.AF_UNIX, socket.SOCK_DGRAM)
    left.setblocking(False)
    right.close()
    assert code_of(left.recv, 1) == code
    assert code_of(left.recv, 1) == errno.EAGAIN


def test_a_full_datagram_peer_on_the_bsds():
    """unix.dgram-full-peer: ENOBUFS, and writable all the time."""
    kernel = Kernel("freebsd")
    left, _right = socketpair(kernel, socket.AF_UNIX, socket.SOCK_DGRAM)
    left.setblocking(False)
    for _ in range(1000):
        if left._endpoint.peer._full():  # type: ignore[attr-defined]
            break
        left.send(bytes(1000))
    assert code_of(left.send, b"x") == errno.ENOBUFS
    poller = SimulatedSystem(kernel).poll()
    poller.register(left, 4)
    assert poller.poll(0) == [(left.fileno(), 4)]


# -- Facts of kqueue


def one_change(dialect, *changes):
    """Apply changes to a socket that has data; returns the events of a kqueue."""
    kernel = Kernel(dialect)
    system = SimulatedSystem(kernel)
    left, right = socketpair(kernel)
    right.send(b"abc")
    queue = system.kqueue()
    for flags, udata in changes:
        queue.control([system.kevent(left.fileno(), kq.FILTER_READ, flags, 0, 0, udata)], 0, 0)
    return queue.control(None, 4, 0)


@pytest.mark.parametrize("dialect", ["freebsd", "netbsd", "openbsd", "macos", "dragonfly"])
def test_the_flags_of_the_kernel_are_not_for_changes(dialect):
    """EV_SYSFLAGS of <sys/event.h>: an end that was never there is not reported."""
    (event,) = one_change(dialect, (kq.EV_ADD | kq.EV_CLEAR | kq.EV_EOF | kq.EV_ERROR, 1))
    assert event.flags & ~kq.EV_ADD == kq.EV_CLEAR


@pytest.mark.parametrize(
    ("dialect", "echoed"),
    [("freebsd", 0), ("netbsd", kq.EV_ADD), ("openbsd", kq.EV_ADD), ("dragonfly", kq.EV_ADD)],
)
def test_whether_an_event_says_that_it_was_added(dialect, echoed):
    (event,) = one_change(dialect, (kq.EV_ADD | kq.EV_CLEAR, 1))
    assert event.flags == kq.EV_CLEAR | echoed


@pytest.mark.parametrize(
    ("dialect", "udata"),
    [("freebsd", 2), ("macos", 2), ("netbsd", 1), ("openbsd", 1), ("dragonfly", 1)],
)
def test_whose_udata_an_event_has(dialect, udata):
    (event,) = one_change(dialect, (kq.EV_ADD, 1), (kq.EV_ENABLE, 2))
    assert event.udata == udata
    (event,) = one_change(dialect, (kq.EV_ADD, 1), (kq.EV_ADD, 3))
    assert event.udata == 3


@pytest.mark.parametrize(
    ("dialect", "again"), [("freebsd", True), ("netbsd", False), ("dragonfly", False)]
)
def test_whether_enabling_looks_again(dialect, again):
    kernel = Kernel(dialect)
    system = SimulatedSystem(kernel)
    left, right = socketpair(kernel)
    right.send(b"abc")
    queue = system.kqueue()
    for flags in (kq.EV_ADD | kq.EV_DISPATCH, kq.EV_ENABLE):
        queue.control([system.kevent(left.fileno(), kq.FILTER_READ, flags)], 0, 0)
        found = queue.control(None, 4, 0)
    assert bool(found) is again


@pytest.mark.parametrize(
    ("dialect", "there"),
    [
        ("netbsd", False),
        ("netbsd-10", True),
        ("openbsd", False),
        ("openbsd-7.8", True),
        ("macos", True),
    ],
)
def test_where_there_are_user_events(dialect, there):
    system = SimulatedSystem(Kernel(dialect))
    change = system.kevent(1, kq.FILTER_USER, kq.EV_ADD)
    queue = system.kqueue()
    if there:
        assert queue.control([change], 0, 0) == []
    else:
        assert code_of(queue.control, [change], 0, 0) == errno.EINVAL


@pytest.mark.parametrize("dialect", ["posix", "illumos"])
def test_what_has_poll_and_select_only(dialect):
    assert not {"epoll", "kqueue", "eventfd", "timerfd"} & DIALECTS[dialect].extensions
    assert DIALECTS[dialect].has("poll")
    assert DIALECTS[dialect].has("select")


# -- Dialects


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda dialect: dialect.name)
def test_every_fact_that_differs_has_its_source(dialect):
    if dialect.based is None:
        assert all(dialect.sources.values())
        return
    base = DIALECTS[dialect.based]
    differing = {
        field.name
        for field in fields(dialect)
        if field.name not in {"name", "based", "sources", "release"}
        and getattr(dialect, field.name) != getattr(base, field.name)
    }
    assert differing == set(dialect.sources)
    assert all(dialect.sources.values())


def test_a_system_lacks_what_its_dialect_lacks():
    system = SimulatedSystem(Kernel("posix"))
    for name in ("epoll", "kqueue", "eventfd", "timerfd"):
        assert not system.has(name)
        with pytest.raises(Unsupported):
            getattr(system, name)()


def test_an_unknown_dialect_is_refused():
    with pytest.raises(ValueError, match="unknown dialect 'beos'; allowed: linux, "):
        Kernel("beos")


@pytest.mark.parametrize(
    ("system", "release", "dialect"),
    [
        ("linux", "6.18.0", "linux"),
        ("darwin", "25.0.0", "macos"),
        ("freebsd15", "15.1-RELEASE", "freebsd"),
        ("netbsd9", "9.4", "netbsd"),
        ("netbsd10", "10.1", "netbsd-10"),
        ("openbsd7", "7.7", "openbsd"),
        ("openbsd7", "7.9", "openbsd-7.8"),
        ("sunos5", "5.11", "illumos"),
        ("aix7", "2", "posix"),
    ],
)
def test_the_dialect_of_a_machine(system, release, dialect):
    assert dialect_for(system, release) == dialect


def test_closing_a_reset_connection_is_an_error_for_a_number_only():
    """CPython's `socket.close` keeps ECONNRESET to itself (bpo-30319)."""
    kernel = Kernel("freebsd")
    client, server = tcp_pair(kernel)
    reset(client)
    server.close()
    client, server = tcp_pair(kernel)
    reset(client)
    assert code_of(SimulatedSystem(kernel).close, server.detach()) == errno.ECONNRESET
    assert kernel.open_numbers() == []

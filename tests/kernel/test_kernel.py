"""The model by itself: numbers, the clock, threads, and what its sockets say."""

from __future__ import annotations

import errno
import socket
import threading
from functools import partial

import pytest

from harness.kernel import DIALECTS, DeadlockError, Kernel, SimulatedSocket, SimulatedSystem
from harness.kernel.description import RegularFile
from harness.kernel.pollers.level import FD_SETSIZE
from harness.kernel.sockets import socketpair, unlink

from .parts import code_of, tcp_pair


@pytest.fixture
def kernel():
    return Kernel()


# -- Numbers


def test_the_lowest_free_number_is_given(kernel):
    first, second, third = (SimulatedSocket(kernel) for _ in range(3))
    assert [sock.fileno() for sock in (first, second, third)] == [3, 4, 5]
    second.close()
    assert SimulatedSocket(kernel).fileno() == 4


def test_out_of_numbers_is_emfile_and_accept_keeps_the_connection(kernel):
    listener = SimulatedSocket(kernel)
    listener.bind(("127.0.0.1", 0))
    listener.listen(1)
    client = SimulatedSocket(kernel)
    client.connect(listener.getsockname())
    kernel.nofile = 5
    assert code_of(listener.accept) == errno.EMFILE
    assert code_of(socketpair, kernel) == errno.EMFILE
    kernel.nofile = 6
    connection, _ = listener.accept()
    connection.send(b"x")
    assert client.recv(1) == b"x"


def test_a_description_lives_as_long_as_its_last_number(kernel):
    left, right = socketpair(kernel)
    other = left.dup()
    left.close()
    right.send(b"still")
    assert other.recv(9) == b"still"
    other.close()
    assert right.recv(1) == b""


def test_epoll_refuses_a_regular_file_and_select_calls_it_ready(kernel):
    system = SimulatedSystem(kernel)
    fd = kernel.allocate(RegularFile(kernel, b"abc"))
    assert code_of(system.epoll().register, fd, 1) == errno.EPERM
    assert system.select([fd], [fd], [], None) == ([fd], [fd], [])
    assert system.read(fd, 9) == b"abc"


def test_select_has_no_room_for_a_high_number():
    kernel = Kernel(nofile=FD_SETSIZE + 10)
    system = SimulatedSystem(kernel)
    sock = SimulatedSocket(kernel)
    while sock.fileno() < FD_SETSIZE:
        sock = SimulatedSocket(kernel)
    with pytest.raises(ValueError, match="out of range"):
        system.select([sock.fileno()], [], [], 0)
    sock.close()
    low = SimulatedSocket(kernel)
    number = low.fileno()
    low.close()
    assert number >= FD_SETSIZE  # the first free one
    kernel.close(500)
    assert code_of(system.select, [500], [], [], 0) == errno.EBADF


# -- Time and threads


def test_time_moves_when_everybody_waits_and_only_then(kernel):
    seen = []

    def late():
        kernel.pause(3600)
        seen.append(("late", kernel.monotonic()))

    def early():
        kernel.pause(1)
        seen.append(("early", kernel.monotonic()))

    begin = kernel.monotonic()
    threads = [kernel.spawn("late", late), kernel.spawn("early", early)]
    for thread in threads:
        thread.join()
    assert seen == [("early", begin + 1), ("late", begin + 3600)]


def test_a_deadlock_says_who_waits_for_what(kernel):
    left, right = socketpair(kernel)
    right.fileno()
    thread = kernel.spawn("peer", lambda: right.recv(1))
    with pytest.raises(
        DeadlockError, match=r"main waits for recv on unix socket 3; peer waits for"
    ):
        left.recv(1)
    with pytest.raises(DeadlockError):
        thread.join()


def test_a_timeout_is_one_of_virtual_time(kernel):
    left, right = socketpair(kernel)
    left.settimeout(60)
    begin = kernel.monotonic()
    with pytest.raises(TimeoutError):
        left.recv(1)
    assert kernel.monotonic() == begin + 60
    right.close()


def test_a_blocking_send_waits_until_the_peer_reads(kernel):
    client, server = tcp_pair(kernel)
    size = 5_000_000
    got = []

    def read():
        while data := server.recv(65_536):
            got.append(len(data))

    thread = kernel.spawn("reader", read)
    client.sendall(bytes(size))
    client.close()
    thread.join()
    assert sum(got) == size


def test_what_a_thread_raises_comes_out_where_it_is_joined(kernel):
    def fails():
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        kernel.spawn("fails", fails).join()


def test_a_thread_that_the_kernel_does_not_know_is_refused(kernel):
    import threading

    kernel.baton.current()
    errors = []

    def stranger():
        try:
            socketpair(kernel)[0].recv(1)
        except RuntimeError as exc:
            errors.append(str(exc))

    thread = threading.Thread(target=stranger, name="stranger")
    thread.start()
    thread.join()
    assert errors == ["stranger is not a thread of this kernel: start it with `spawn`"]


def test_the_seed_decides_who_goes_first():
    def order(seed):
        kernel = Kernel(seed=seed)
        ran: list[int] = []
        threads = [kernel.spawn(str(n), partial(ran.append, n)) for n in range(5)]
        for thread in threads:
            thread.join()
        return ran

    assert order(1) == order(1)
    assert len({tuple(order(seed)) for seed in range(10)}) > 1


# -- Sockets


def test_a_connect_stays_pending_while_the_queue_is_full(kernel):
    listener = SimulatedSocket(kernel)
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    first, second = SimulatedSocket(kernel), SimulatedSocket(kernel)
    first.connect(listener.getsockname())
    second.setblocking(False)
    assert code_of(second.connect, listener.getsockname()) == errno.EINPROGRESS
    assert code_of(second.connect, listener.getsockname()) == errno.EALREADY
    listener.accept()
    poller = SimulatedSystem(kernel).poll()
    poller.register(second, 4)
    begin = kernel.monotonic()
    assert poller.poll(None)  # the SYN is sent again
    assert kernel.monotonic() == begin + 1


def test_a_unix_path_outlives_its_socket(kernel):
    listener = SimulatedSocket(kernel, socket.AF_UNIX)
    listener.bind("/run/x")
    listener.close()
    sock = SimulatedSocket(kernel, socket.AF_UNIX)
    assert code_of(sock.connect, "/run/x") == errno.ECONNREFUSED
    unlink(kernel, "/run/x")
    assert code_of(sock.connect, "/run/x") == errno.ENOENT


def test_a_number_from_a_least_one_on(kernel):
    sock = SimulatedSocket(kernel)
    assert [kernel.dup(sock.fileno(), 100), kernel.dup(sock.fileno(), 100)] == [100, 101]
    assert kernel.dup(sock.fileno()) == 4
    kernel.nofile = 102
    assert code_of(kernel.dup, sock.fileno(), 100) == errno.EMFILE


def test_dup2_closes_what_was_there(kernel):
    left, right = socketpair(kernel)
    other = SimulatedSocket(kernel)
    replaced = other._endpoint
    kernel.dup2(left.fileno(), left.fileno())  # does nothing
    kernel.dup2(left.fileno(), other.fileno())
    assert replaced.references == 0
    assert kernel.get(other.fileno()) is kernel.get(left.fileno())
    right.send(b"x")
    left.close()
    assert SimulatedSocket(kernel, socket.AF_UNIX, fileno=other.fileno()).recv(1) == b"x"
    assert code_of(kernel.dup2, 77, 3) == errno.EBADF


def test_more_buffers_than_iov_max_are_refused(kernel):
    left, right = socketpair(kernel)
    assert code_of(left.sendmsg, [b"x"] * 1025) == errno.EMSGSIZE
    assert left.sendmsg([b"ab", memoryview(b"cd")] * 512) == 2048
    assert right.recv(5) == b"abcda"


def test_a_call_takes_its_time():
    kernel = Kernel(call_ns=1_000)
    left, right = socketpair(kernel)
    due = []
    kernel.after(2e-6, lambda: due.append(kernel.now))
    begin = kernel.now
    left.send(b"x")
    assert (kernel.now - begin, kernel.busy_ns, due) == (1_000, 1_000, [])
    right.recv(1)
    assert (kernel.now - begin, kernel.busy_ns, due) == (2_000, 2_000, [begin + 2_000])
    kernel.pause(1)
    assert kernel.busy_ns == 2_000


def test_without_a_call_time_only_waits_take_time(kernel):
    left, _ = socketpair(kernel)
    begin = kernel.now
    left.send(b"x")
    assert (kernel.now, kernel.busy_ns) == (begin, 0)


@pytest.mark.parametrize("seed", range(5))
def test_a_thread_that_never_waits_uses_up_its_slice(seed):
    kernel = Kernel(seed=seed, slice_calls=20)
    lock = SimulatedSystem(kernel).lock()
    rounds = 0
    seen = []

    def other():
        seen.append(rounds)

    kernel.baton.current()
    kernel.spawn("other", other)
    while not seen and rounds < 10_000:
        with lock:
            rounds += 1
    assert len(seen) == 1
    assert seen[0] < 1_000


def test_a_thread_whose_time_has_come_is_not_kept_out_by_those_that_can_run():
    kernel = Kernel(call_ns=1_000, slice_calls=20)
    left, _ = socketpair(kernel)
    woken = []

    def sleeper():
        kernel.pause(1e-5)
        woken.append(kernel.now)

    kernel.spawn("sleeper", sleeper)
    for _ in range(2_000):
        left.send(b"")
    assert len(woken) == 1


def test_a_join_gives_up_in_virtual_time(kernel):
    begin = kernel.monotonic()
    thread = kernel.spawn("sleeper", lambda: kernel.pause(10))
    thread.join(3)
    assert thread.is_alive()
    assert kernel.monotonic() == begin + 3
    thread.join()
    assert not thread.is_alive()
    assert kernel.monotonic() == begin + 10


def test_a_visitor_looks_around_and_changes_nothing():
    kernel = Kernel(slice_calls=1)
    kernel.baton.current()
    thread = kernel.spawn("sleeper", lambda: kernel.pause(10))
    lock = SimulatedSystem(kernel).lock()
    kernel.pause(1)
    seen: list[object] = []

    def visit():
        with kernel.baton.visited():
            for _ in range(10):  # it has no slice to use up
                with lock:
                    seen[:] = [kernel.baton.describe()]
            seen.append(kernel.baton.current().ident)

    visitor = threading.Thread(target=visit, daemon=True)
    visitor.start()
    visitor.join(10)
    assert seen == ["main runs; sleeper waits for time to pass", 0]
    with kernel.baton.visited():
        pass
    assert kernel.baton.current().name == "main"
    thread.join()


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_there_was_no_room_for_comes_before_the_end_of_both(dialect):
    """A FIN waits behind unsent data, also of a socket that has received one (a generated program)."""
    kernel = Kernel(dialect)
    left, right = tcp_pair(kernel)
    for sock in (left, right):
        sock.setblocking(False)
    right.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    size = right.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) + 100
    assert left.send(b"x" * size) == size
    left.shutdown(socket.SHUT_WR)
    right.shutdown(socket.SHUT_WR)
    got = right.recv(size)
    got += right.recv(size)
    assert len(got) == size
    assert right.recv(size) == b""
    assert left.recv(1) == b""


@pytest.mark.parametrize("dialect", ["linux", "freebsd"])
def test_a_unix_stream_gives_room_back(dialect):
    """Linux: when a message has been read whole; the BSDs: for every byte (a generated program)."""
    kernel = Kernel(dialect)
    left, right = socketpair(kernel)
    left.setblocking(False)
    left.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2304)
    left.send(b"x" * 1000)  # one packet; what follows are others
    with pytest.raises(BlockingIOError):
        while True:
            left.send(b"x" * 1000)
    right.recv(999)
    if dialect == "linux":
        with pytest.raises(BlockingIOError):
            left.send(b"x")
        right.recv(1)
    assert left.send(b"x") == 1


def test_a_shutdown_while_a_bsd_connects_sends_its_end_after_it():
    """TF_NEEDFIN; Linux gives the connect up (a generated program)."""
    kernel = Kernel("netbsd")
    listener = SimulatedSocket(kernel)
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    first, late = SimulatedSocket(kernel), SimulatedSocket(kernel)
    first.connect(listener.getsockname())
    late.setblocking(False)
    assert late.connect_ex(listener.getsockname()) == errno.EINPROGRESS
    late.shutdown(socket.SHUT_WR)
    listener.accept()
    kernel.advance(10)
    accepted, _ = listener.accept()
    assert accepted.recv(1) == b""

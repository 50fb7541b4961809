"""The system seam: how sockets and descriptors are opened, with and without what only some systems have."""

from __future__ import annotations

import errno
import math
import os
import select
import socket
import subprocess
import sys
import threading
import time

import pytest

import reactor.system
from reactor import PosixSystem, System, Unsupported
from reactor.system import READABLE, SYSTEMS, WRITABLE
from tests.reactor.places import descriptors, ends

EXTENSIONS = [
    "epoll",
    "kqueue",
    "poll",
    "select",
    "eventfd",
    "timerfd",
    "pipe2",
    "sock_nonblock",
    "so_nosigpipe",
    "reuseport",
    "unix",
]


def without(*names):
    return type("Without", (PosixSystem,), {"refused": names})()


everysystem = pytest.mark.parametrize(
    "system",
    [System(), PosixSystem(), without("sock_nonblock"), without("pipe2")],
    ids=["live", "posix", "without SOCK_NONBLOCK", "without pipe2"],
)
needs_timerfd = pytest.mark.skipif(
    not System().has("timerfd"), reason="Python has timerfd on Linux, from 3.13"
)


# -- What there is


def test_what_this_machine_has():
    system = System()
    names = {
        "epoll": hasattr(select, "epoll"),
        "kqueue": hasattr(select, "kqueue"),
        "poll": hasattr(select, "poll"),
        "select": True,
        "eventfd": hasattr(os, "eventfd"),
        "timerfd": hasattr(os, "timerfd_create"),
        "pipe2": hasattr(os, "pipe2"),
        "sock_nonblock": hasattr(socket, "SOCK_NONBLOCK"),
        "so_nosigpipe": hasattr(socket, "SO_NOSIGPIPE"),
        "reuseport": hasattr(socket, "SO_REUSEPORT"),
        "unix": hasattr(socket, "AF_UNIX"),
    }
    assert {name: system.has(name) for name in names} == names
    assert sorted(names) == sorted(EXTENSIONS)


def test_what_posix_has():
    """POSIX.1-2008: poll, select, Unix sockets, and nothing that only some systems have."""
    system = PosixSystem()
    assert {name for name in EXTENSIONS if system.has(name)} == {
        name for name in ("poll", "select", "unix") if System().has(name)
    }
    assert set(system.refused) == set(EXTENSIONS) - {"poll", "select", "unix"}


def test_an_extension_that_nobody_knows():
    with pytest.raises(KeyError):
        System().has("io_uring")


def test_the_systems_by_name():
    assert {"live": System, "posix": PosixSystem} == SYSTEMS
    assert [SYSTEMS[name]().name for name in SYSTEMS] == ["live", "posix"]


@pytest.mark.parametrize("name", ["epoll", "kqueue", "eventfd", "timerfd"])
def test_what_is_refused_cannot_be_had(name):
    with pytest.raises(Unsupported, match=rf"{name}: {os.strerror(errno.ENOSYS)}") as caught:
        getattr(PosixSystem(), name)()
    assert caught.value.errno == errno.ENOSYS
    assert isinstance(caught.value, OSError)


@pytest.mark.parametrize("name", ["epoll", "kqueue"])
def test_a_poller_is_close_on_exec(name):
    if not System().has(name):
        pytest.skip(f"this machine has no {name}")
    poller = getattr(System(), name)()
    assert not os.get_inheritable(poller.fileno())
    poller.close()


def test_the_clock_is_monotonic_seconds():
    before = time.monotonic()
    assert before <= System().monotonic() <= time.monotonic()
    assert System().get_ident() == threading.get_ident()


def test_locks_and_conditions():
    system = System()
    lock = system.lock()
    condition = system.condition(lock)
    with lock:
        assert condition.wait(0.001) is False
        condition.notify()
        condition.notify_all()


def test_the_threads_have_a_name():
    with System().executor() as executor:
        name = executor.submit(lambda: threading.current_thread().name).result()
    assert name.startswith("reactor")


# -- Sockets


def fit(sock):
    """As the reactor needs it: it neither blocks nor reaches a child."""
    return (
        sock.getblocking() is False
        and not os.get_blocking(sock.fileno())
        and not os.get_inheritable(sock.fileno())
    )


@everysystem
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
def test_a_socket_neither_blocks_nor_is_inherited(system, family):
    with system.socket(family, socket.SOCK_STREAM) as sock:
        assert fit(sock)
        assert sock.family == family
        assert sock.type == socket.SOCK_STREAM


@everysystem
def test_the_flag_is_used_where_it_is_there(system, monkeypatch):
    """One system call less; elsewhere setblocking does it."""
    kinds = []
    real = reactor.system._QuickSocket

    def opening(family, kind, proto):
        kinds.append(kind)
        return real(family, kind, proto)

    monkeypatch.setattr(reactor.system, "_QuickSocket", opening)
    sock = system.socket(socket.AF_INET, socket.SOCK_STREAM)
    flag = getattr(socket, "SOCK_NONBLOCK", 0) if system.has("sock_nonblock") else 0
    assert kinds == [socket.SOCK_STREAM | flag]
    sock.close()


@everysystem
def test_a_pair_neither_blocks_nor_is_inherited(system):
    left, right = system.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with left, right:
        assert fit(left)
        assert fit(right)
        left.send(b"x")
        assert right.recv(1) == b"x"


@everysystem
@pytest.mark.parametrize("blocking", [True, False])
def test_what_is_accepted_does_not_depend_on_the_listener(system, blocking):
    """accept(2): Linux does not let it inherit O_NONBLOCK, the BSDs do."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        peer = socket.create_connection(listener.getsockname())
        listener.setblocking(blocking)
        sock, address = system.accept(listener)
        with sock, peer:
            assert fit(sock)
            assert address == peer.getsockname()


@everysystem
@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_a_socket_of_its_own_accepts_what_the_library_would(system, kind, tmp_path):
    """Also one that was made of it by `dup`, which calls the class as `socket.socket` is called."""
    family = socket.AF_INET if kind == "tcp" else socket.AF_UNIX
    listener = system.socket(family, socket.SOCK_STREAM)
    with listener, listener.dup() as double:
        listener.bind(("127.0.0.1", 0) if kind == "tcp" else str(tmp_path / "place"))
        listener.listen()
        for accepting in (listener, double, listener):
            with socket.socket(family) as peer:
                peer.connect(listener.getsockname())
                sock, address = accepting.accept()
                with sock:
                    assert (sock.family, sock.type) == (family, socket.SOCK_STREAM)
                    assert sock.proto == listener.proto
                    assert address == peer.getsockname()
                    peer.sendall(b"x")
                    assert sock.recv(1) == b"x"


@everysystem
def test_a_socket_that_is_taken_over_does_not_block(system):
    left, right = ends("unix")
    with left, right:
        assert system.adopt(left) is left
        assert fit(left)


class Option:
    """A socket whose options can be refused."""

    def __init__(self, code=0):
        self.code = code
        self.options = []

    def setblocking(self, flag):
        assert flag is False

    def setsockopt(self, *args):
        self.options.append(args)
        if self.code:
            raise OSError(self.code, os.strerror(self.code))


@pytest.fixture
def so_nosigpipe(monkeypatch):
    """As macOS and the BSDs have it."""
    monkeypatch.setattr(socket, "SO_NOSIGPIPE", 0x1022, raising=False)
    monkeypatch.setitem(reactor.system._OFFERED, "so_nosigpipe", True)


@pytest.mark.usefixtures("so_nosigpipe")
def test_sigpipe_is_kept_away_where_it_takes_an_option():
    sock = Option()
    assert System().adopt(sock) is sock  # type: ignore[comparison-overlap, arg-type]
    assert sock.options == [(socket.SOL_SOCKET, 0x1022, 1)]
    sock = Option()
    PosixSystem().adopt(sock)  # type: ignore[arg-type]
    assert sock.options == []


@pytest.mark.usefixtures("so_nosigpipe")
def test_a_socket_that_is_reset_already_takes_no_option():
    """macOS answers EINVAL then; the first operation will tell."""
    System().adopt(Option(errno.EINVAL))  # type: ignore[arg-type]
    with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
        System().adopt(Option(errno.EBADF))  # type: ignore[arg-type]


def test_a_send_to_nobody_is_an_error_and_no_signal():
    """In a process that has SIGPIPE as the kernel has it."""
    program = """if True:
        import signal, socket
        from reactor import StreamSocket, run
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)

        async def main():
            left, right = StreamSocket.pair()
            right.close()
            with left:
                for send in (left.send, left.sendall, lambda data: left.sendmsg([data])):
                    try:
                        await send(b"x")
                    except BrokenPipeError:
                        print("told")

        run(main)
    """
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "told\n" * 3), done.stderr


# -- Plain descriptors


@everysystem
def test_a_pipe_neither_blocks_nor_is_inherited(system):
    read_end, write_end = system.pipe()
    for fd in (read_end, write_end):
        assert not os.get_blocking(fd)
        assert not os.get_inheritable(fd)
    assert system.write(write_end, b"hello") == 5
    assert system.read(read_end, 100) == b"hello"
    with pytest.raises(BlockingIOError):
        system.read(read_end, 1)
    for fd in (read_end, write_end):
        assert system.is_open(fd)
        system.close(fd)
        assert not system.is_open(fd)


@pytest.mark.skipif(not System().has("eventfd"), reason="only on Linux and FreeBSD")
def test_an_eventfd_neither_blocks_nor_is_inherited():
    fd = System().eventfd()
    assert not os.get_blocking(fd)
    assert not os.get_inheritable(fd)
    with pytest.raises(BlockingIOError):
        os.read(fd, 8)
    os.close(fd)


@needs_timerfd
def test_a_timerfd_neither_blocks_nor_is_inherited():
    system = System()
    fd = system.timerfd()
    assert not os.get_blocking(fd)
    assert not os.get_inheritable(fd)
    system.set_timerfd(fd, 30)
    with pytest.raises(BlockingIOError):
        os.read(fd, 8)
    system.set_timerfd(fd, 0)
    assert select.select([fd], [], [], 10)[0] == [fd]
    system.set_timerfd(fd, None)
    assert select.select([fd], [], [], 0)[0] == []
    os.close(fd)


@pytest.mark.parametrize(
    ("seconds", "nanoseconds"),
    [
        (None, 0),  # disarmed
        (0, 1),  # timerfd_create(2): zero would disarm
        (0.0, 1),
        (1e-12, 1),
        (1e-9, 1),
        (1.2e-9, 2),
        (0.25, 250_000_000),
        (86_400.0, 86_400 * 10**9),
    ],
)
def test_a_timerfd_is_rounded_up(monkeypatch, seconds, nanoseconds):
    """Law 7: timers are never early."""
    seen = []
    monkeypatch.setattr(
        os, "timerfd_settime_ns", lambda fd, *, initial: seen.append((fd, initial)), raising=False
    )
    System().set_timerfd(7, seconds)
    assert seen == [(7, nanoseconds)]
    if seconds is not None:
        assert nanoseconds >= math.floor(seconds * 1e9)


# -- Ready now


ways = pytest.mark.parametrize(
    "system", [System(), PosixSystem(), without("poll")], ids=["live", "posix", "select"]
)


@ways
def test_ready_now(system):
    left, right = ends("unix")
    with left, right:
        fd = left.fileno()
        assert not system.ready_now(fd, READABLE)
        assert system.ready_now(fd, WRITABLE)
        assert system.ready_now(fd, READABLE | WRITABLE)
        right.sendall(b"hello")
        assert system.ready_now(fd, READABLE)
        assert left.recv(100) == b"hello"
        assert not system.ready_now(fd, READABLE)
        left.setblocking(False)
        try:
            while True:
                left.send(bytes(65536))
        except BlockingIOError:
            pass
        assert not system.ready_now(fd, WRITABLE)
        assert not system.ready_now(fd, READABLE | WRITABLE)
        right.sendall(b"hello")
        assert not system.ready_now(fd, WRITABLE)
        assert system.ready_now(fd, READABLE | WRITABLE)
        right.close()
        assert system.ready_now(fd, READABLE)
        assert system.ready_now(fd, WRITABLE), "the operation that follows will be told"


@ways
def test_ready_now_takes_no_time_and_keeps_nothing(system):
    left, right = ends("unix")
    with left, right:
        before = descriptors()
        begun = time.monotonic()
        for _ in range(100):
            assert not system.ready_now(left.fileno(), READABLE)
        assert time.monotonic() - begun < 5
        assert descriptors() == before


def test_selecting():
    left, right = ends("unix")
    with left, right:
        fd = left.fileno()
        assert System().select([fd], [fd], [], 0) == ([], [fd], [])
        right.sendall(b"x")
        assert System().select([fd], [], [], None) == ([fd], [], [])


def test_a_kevent_is_made_by_select(monkeypatch):
    monkeypatch.setattr(select, "kevent", lambda *args: args, raising=False)
    assert System().kevent(1, 2, 3) == (1, 2, 3)

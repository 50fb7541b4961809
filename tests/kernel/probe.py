"""Runs the kqueue probe (`records/kq_probe.py`) over the model: its provider, clock and threads.

The probe is kept as it ran on the real kernels, so that its records stay comparable. It finds what
it imports in `sys.modules`, and so it finds the model there.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import io
import json
import socket
import struct
import sys
import types
from pathlib import Path
from typing import Any
from unittest import mock

from harness.kernel import Kernel, SimulatedSocket, SimulatedSystem
from harness.kernel.pollers import kqueue as kq
from harness.kernel.sockets import socketpair

RECORDS = Path(__file__).parent / "records"


@functools.cache
def _probe():
    path = RECORDS / "kq_probe.py"
    return compile(path.read_text(encoding="utf-8"), str(path), "exec")


class ProbeSocket:
    """A socket as the probe wants it."""

    def __init__(self, sock):
        self.sock = sock
        sock.setblocking(False)
        for name in ("fileno", "send", "recv", "close", "shutdown"):
            setattr(self, name, getattr(sock, name))

    def accept(self):
        return ProbeSocket(self.sock.accept()[0])

    def linger0(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def so_error(self):
        return self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)

    def connect_nb(self, address):
        return self.sock.connect_ex(address)


class ProbePipe:
    """One end of a pipe as the probe wants it."""

    def __init__(self, system, fd):
        self.fileno = lambda: fd
        self.send = lambda data: system.write(fd, data)
        self.recv = lambda size: system.read(fd, size)
        self.close = lambda: system.close(fd)


def provider(kernel, *, tcp_for_unix, with_pipes):
    """Make the module that the probe calls its platform."""
    system = SimulatedSystem(kernel)

    def tcp():
        return SimulatedSocket(kernel, socket.AF_INET)

    def listening(backlog):
        sock = tcp()
        sock.bind(("127.0.0.1", 0))
        sock.listen(backlog)
        return sock

    def tcp_pair():
        listener = listening(1)
        client = tcp()
        client.connect(listener.getsockname())
        server, _ = listener.accept()
        listener.close()
        return ProbeSocket(client), ProbeSocket(server)

    def listener(backlog):
        sock = listening(backlog)
        return ProbeSocket(sock), sock.getsockname()

    def connect_nb(address):
        sock = ProbeSocket(tcp())
        return sock, sock.connect_nb(address)

    def udp_pair():
        left, right = (SimulatedSocket(kernel, socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        left.bind(("127.0.0.1", 0))
        right.connect(left.getsockname())
        return ProbeSocket(left), ProbeSocket(right)

    made: Any = types.ModuleType("prov_model")
    user = kernel.dialect.user_events
    made.K = types.SimpleNamespace(
        READ=kq.FILTER_READ,
        WRITE=kq.FILTER_WRITE,
        TIMER=kq.FILTER_TIMER,
        USER=kq.FILTER_USER if user else None,
        ADD=kq.EV_ADD,
        DELETE=kq.EV_DELETE,
        ENABLE=kq.EV_ENABLE,
        DISABLE=kq.EV_DISABLE,
        CLEAR=kq.EV_CLEAR,
        ONESHOT=kq.EV_ONESHOT,
        EOF=kq.EV_EOF,
        ERROR=kq.EV_ERROR,
        RECEIPT=kq.EV_RECEIPT if kernel.dialect.receipt else None,
        DISPATCH=kq.EV_DISPATCH if kernel.dialect.dispatch else None,
        TRIGGER=kq.NOTE_TRIGGER,
        FFCOPY=kq.NOTE_FFCOPY,
        BADFILTER=-100,
        flagnames=_flag_names,
    )
    made.ERR = {name: getattr(errno, name) for name in dir(errno) if name.startswith("E")}
    made.kqueue, made.kevent = system.kqueue, kq.Kevent
    made.socketpair = tcp_pair if tcp_for_unix else lambda: [*map(ProbeSocket, socketpair(kernel))]
    made.tcp_pair, made.listener, made.connect_nb = tcp_pair, listener, connect_nb
    made.tcp_socket = lambda: ProbeSocket(tcp())
    made.udp_pair = udp_pair
    made.dup, made.closefd = kernel.dup, system.close
    if with_pipes:
        made.pipe = lambda: [ProbePipe(system, fd) for fd in system.pipe()]
    return made


_FLAGS = {
    "ADD": kq.EV_ADD,
    "DELETE": kq.EV_DELETE,
    "ENABLE": kq.EV_ENABLE,
    "DISABLE": kq.EV_DISABLE,
    "ONESHOT": kq.EV_ONESHOT,
    "CLEAR": kq.EV_CLEAR,
    "RECEIPT": kq.EV_RECEIPT,
    "DISPATCH": kq.EV_DISPATCH,
    "ERROR": kq.EV_ERROR,
    "EOF": kq.EV_EOF,
}


def _flag_names(flags):
    return "|".join(name for name, bit in _FLAGS.items() if flags & bit) or "0"


def virtual_modules(kernel):
    """Make `time` and `threading` for the probe, in virtual time."""
    clock: Any = types.ModuleType("time")
    clock.sleep, clock.perf_counter = kernel.pause, kernel.monotonic

    class Thread:
        def __init__(self, target):
            self._target = target

        def start(self):
            self._thread = kernel.spawn("probe", self._target)

        def join(self, timeout=None):
            self._thread.join()

    def timer(delay, call):
        def later():
            kernel.pause(delay)
            call()

        return Thread(later)

    threads: Any = types.ModuleType("threading")
    threads.Thread, threads.Timer = Thread, timer
    return {"time": clock, "threading": threads}


def answers(dialect, case, *, tcp_for_unix, with_pipes):
    """Run one case of the probe on a kernel of its own; returns what it recorded, by step."""
    kernel = Kernel(dialect)
    modules = virtual_modules(kernel)
    modules["prov_model"] = provider(kernel, tcp_for_unix=tcp_for_unix, with_pipes=with_pipes)
    written = io.StringIO()
    with (
        mock.patch.dict(sys.modules, modules),
        mock.patch.object(sys, "argv", ["kq_probe.py", "model", case]),
        contextlib.redirect_stdout(written),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        exec(_probe(), {"__name__": "kq_probe"})  # the project's own script
    return json.loads(written.getvalue())[case]

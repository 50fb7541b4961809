"""Capabilities: what this machine can do, found out by trying, with the evidence."""

from __future__ import annotations

import os
import pty
import resource
import signal
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reactor import BackendError, IoContext
from reactor.system import SYSTEMS, System

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Capability:
    """One capability.

    Attributes:
        name: as scenarios name it in `needs`.
        available: whether it is there.
        evidence: what was tried, and what came of it.
    """

    name: str
    available: bool
    evidence: str


def probe(spec: str, system: str = "live") -> list[Capability]:
    """Try every capability for a backend on a system (``live`` or ``posix``)."""
    made = SYSTEMS[system]()
    found = [backend(spec, made)]
    found += [
        Capability(name, made.has(name), _extension(name, made))
        for name in ("epoll", "kqueue", "poll", "select", "eventfd", "timerfd", "reuseport")
    ]
    for name, attempt in _PROBES.items():
        try:
            found.append(Capability(name, available=True, evidence=attempt(made)))
        except (OSError, AttributeError, ValueError) as exc:
            found.append(Capability(name, available=False, evidence=f"{type(exc).__name__}: {exc}"))
    return found


def backend(spec: str, system: System) -> Capability:
    """Try a backend by making a context on it."""
    try:
        with IoContext(spec, system=system) as context:
            return Capability("backend", available=True, evidence=f"runs as {context.backend.spec}")
    except (BackendError, OSError) as exc:
        return Capability("backend", available=False, evidence=str(exc))


def _extension(name: str, system: System) -> str:
    if system.has(name):
        return "Python and the system have it"
    return "refused: POSIX only" if System().has(name) else "Python does not have it here"


def _tcp(system: System) -> str:
    with system.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen(1)
    return "listened on 127.0.0.1"


def _unix(_: System) -> str:
    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(Path(directory) / "s"))
    return "bound a path"


def _scm_rights(_: System) -> str:
    left, right = socket.socketpair(socket.AF_UNIX)
    with left, right:
        socket.send_fds(left, [b"x"], [0])
        _data, fds, _flags, _address = socket.recv_fds(right, 1, 1)
        os.close(fds[0])
    return "passed a descriptor over a Unix pair"


def _ipv6(system: System) -> str:
    with system.socket(socket.AF_INET6, socket.SOCK_STREAM) as sock:
        sock.bind(("::1", 0))
    return "bound ::1"


def _oob(_: System) -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _address = listener.accept()
        with client, server:
            client.send(b"!", socket.MSG_OOB)
    return "sent an urgent byte"


def _pty(_: System) -> str:
    for fd in pty.openpty():
        os.close(fd)
    return "opened a pair"


def _emfile(_: System) -> str:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return f"soft RLIMIT_NOFILE is {soft} and can be set"


def _setitimer(_: System) -> str:
    signal.getitimer(signal.ITIMER_REAL)
    return "ITIMER_REAL is there"


def _big_memory(_: System) -> str:
    """Tell whether 2 GiB of address space that is never touched can be had."""
    import mmap

    mmap.mmap(-1, (1 << 31) + 1).close()
    return "mapped 2 GiB + 1"


_PROBES: dict[str, Callable[[System], str]] = {
    "tcp": _tcp,
    "unix": _unix,
    "scm_rights": _scm_rights,
    "ipv6": _ipv6,
    "oob": _oob,
    "pty": _pty,
    "emfile": _emfile,
    "setitimer": _setitimer,
    "big_memory": _big_memory,
}

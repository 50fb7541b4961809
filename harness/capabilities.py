"""Capabilities: what a world can do, found out by trying, with the evidence."""

from __future__ import annotations

import os
import signal
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reactor import BackendError, IoContext
from reactor.system import System

from .peer import SAFETY
from .world import LiveWorld

if TYPE_CHECKING:
    from collections.abc import Callable

    from .world import World


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


def probe(spec: str, world: World | None = None) -> list[Capability]:
    """Try every capability for a backend in a world, by default the live one; it may be closed after."""
    world = LiveWorld() if world is None else world
    system = world.plain
    found = [backend(spec, system)]
    found += [
        Capability(name, system.has(name), _extension(name, world))
        for name in ("epoll", "kqueue", "poll", "select", "eventfd", "timerfd", "reuseport")
    ]
    for name, attempt in _PROBES.items():
        if name in world.lacks:
            found.append(Capability(name, available=False, evidence=world.lacks[name]))
            continue
        try:
            found.append(Capability(name, available=True, evidence=attempt(world)))
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


def _extension(name: str, world: World) -> str:
    if world.virtual:
        return f"{world.label} {'has it' if world.plain.has(name) else 'has none'}"
    if world.plain.has(name):
        return "Python and the system have it"
    return "refused: POSIX only" if System().has(name) else "Python does not have it here"


def _tcp(world: World) -> str:
    with world.create_server():
        return "listened on 127.0.0.1"


def _unix(world: World) -> str:
    with world.socket(socket.AF_UNIX) as sock:
        sock.bind(world.path())
    return "bound a path"


def _scm_rights(world: World) -> str:
    left, right = world.socketpair()
    with left, right:
        socket.send_fds(left, [b"x"], [0])
        _data, fds, _flags, _address = socket.recv_fds(right, 1, 1)
        for fd in fds:
            world.plain.close(fd)
    return "passed a descriptor over a Unix pair"


def _ipv6(world: World) -> str:
    with world.socket(socket.AF_INET6) as sock:
        sock.bind(("::1", 0))
    return "bound ::1"


def _oob(world: World) -> str:
    with world.create_server() as listener:
        client = world.create_connection(listener.getsockname(), SAFETY)
        server, _address = listener.accept()
        with client, server:
            client.send(b"!", socket.MSG_OOB)
    return "sent an urgent byte"


def _pty(world: World) -> str:
    for fd in world.terminal():
        world.plain.close(fd)
    return "opened a pair"


def _emfile(world: World) -> str:
    with world.out_of_descriptors():
        pass
    return "RLIMIT_NOFILE can be set"


def _setitimer(_: World) -> str:
    signal.getitimer(signal.ITIMER_REAL)
    return "ITIMER_REAL is there"


def _fork(_: World) -> str:
    return f"Python has os.{os.fork.__name__}"


def _exec(_: World) -> str:
    return f"Python has os.{os.execv.__name__}"


def _big_memory(_: World) -> str:
    """Tell whether 2 GiB of address space that is never touched can be had."""
    import mmap

    mmap.mmap(-1, (1 << 31) + 1).close()
    return "mapped 2 GiB + 1"


_PROBES: dict[str, Callable[[World], str]] = {
    "tcp": _tcp,
    "unix": _unix,
    "scm_rights": _scm_rights,
    "ipv6": _ipv6,
    "oob": _oob,
    "pty": _pty,
    "emfile": _emfile,
    "setitimer": _setitimer,
    "fork": _fork,
    "exec": _exec,
    "big_memory": _big_memory,
}

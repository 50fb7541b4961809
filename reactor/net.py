"""Connecting, listening and binding in one call."""

from __future__ import annotations

import contextlib
import os
import socket
from typing import TYPE_CHECKING, Any, TypeVar

from .acceptor import Acceptor
from .datagram import DatagramSocket
from .local import current_context
from .stream import StreamSocket
from .threads import to_thread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .context import IoContext
    from .socketbase import SocketBase

_S = TypeVar("_S", StreamSocket, DatagramSocket)


def _check_port(port: int) -> None:
    if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= 65535:
        raise ValueError(f"a port is a number from 0 to 65535, got {port!r}")


def _is_numeric(host: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
        except OSError:
            continue
        return True
    return False


@contextlib.contextmanager
def _closed_if_not(sock: SocketBase) -> Iterator[None]:
    """Close a new socket if what is to be done with it fails."""
    try:
        yield
    except BaseException:
        sock.close()
        raise


async def _connect(cls: type[_S], host: str, port: int) -> _S:
    _check_port(port)
    getaddrinfo = current_context().system.getaddrinfo
    query = (host, port, 0, cls._type)
    if _is_numeric(host):
        found = getaddrinfo(*query, 0, socket.AI_NUMERICHOST)
    else:
        found = await to_thread(getaddrinfo, *query)
    error: OSError | None = None
    for family, _, _, _, address in found:
        try:
            sock = cls(family)
        except OSError as exc:  # EAFNOSUPPORT: a name can have addresses that the system has not
            error = exc
            continue
        try:
            with _closed_if_not(sock):
                await sock.connect(address)
        except OSError as exc:
            error = exc
        else:
            return sock
    try:
        raise error or OSError(f"{host} has no address")
    finally:
        error = None  # see `Task.step`


def _own_address(host: str, port: int, kind: int, context: IoContext | None) -> tuple[int, Any]:
    """Return the family of a numeric address of this machine, and the address."""
    _check_port(port)
    system = (context or current_context()).system
    family, _, _, _, address = system.getaddrinfo(
        host, port, 0, kind, 0, socket.AI_NUMERICHOST | socket.AI_PASSIVE
    )[0]
    return family, address


async def connect_tcp(host: str, port: int) -> StreamSocket:
    """Connect to `host`, trying its addresses one after the other.

    A name is looked up on a thread; a numeric address is not looked up at all.

    Raises:
        OSError: no address could be connected to (the error of the last one).
        ValueError: `port` is out of range.
    """
    return await _connect(StreamSocket, host, port)


async def connect_udp(host: str, port: int) -> DatagramSocket:
    """Make a UDP socket that talks with `host` alone, at the first of its addresses that there is a way to.

    The host is looked up as by `connect_tcp`. Nothing is sent: see `DatagramSocket.connect`.

    Raises:
        OSError: there is a way to no address (the error of the last one).
        ValueError: `port` is out of range.
    """
    return await _connect(DatagramSocket, host, port)


async def connect_unix(path: str | bytes | os.PathLike[str]) -> StreamSocket:
    """Connect to the Unix socket at `path`.

    Raises:
        OSError: it is not there, or nobody listens.
    """
    stream = StreamSocket(socket.AF_UNIX)
    with _closed_if_not(stream):
        await stream.connect(os.fspath(path))
    return stream


def listen_tcp(
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    backlog: int = 128,
    reuse_port: bool = False,
    context: IoContext | None = None,
) -> Acceptor:
    """Listen on a TCP port.

    Args:
        host: a numeric address of this machine.
        port: 0 lets the system choose; `Acceptor.getsockname` tells.
        backlog: how many connections may wait to be accepted.
        reuse_port: share the port with other listeners (SO_REUSEPORT).
        context: the context it belongs to; by default the current one.

    Raises:
        OSError: the address is in use, or not one of this machine.
        Unsupported: `reuse_port` on a system without it.
        ValueError: `port` is out of range.
    """
    family, address = _own_address(host, port, socket.SOCK_STREAM, context)
    return _listen(Acceptor(family, context=context), address, backlog, reuse_port=reuse_port)


def listen_unix(
    path: str | bytes | os.PathLike[str],
    *,
    backlog: int = 128,
    context: IoContext | None = None,
) -> Acceptor:
    """Listen on a Unix socket at `path`, which must not exist; nobody but the caller removes it.

    Raises:
        OSError: the path exists (EADDRINUSE), or is too long.
    """
    address = os.fspath(path)
    acceptor = Acceptor(socket.AF_UNIX, context=context)
    return _listen(acceptor, address, backlog, reuse_port=False)


def _listen(acceptor: Acceptor, address: Any, backlog: int, *, reuse_port: bool) -> Acceptor:
    with _closed_if_not(acceptor):
        acceptor.bind(address, reuse_port=reuse_port)
        acceptor.listen(backlog)
    return acceptor


def bind_udp(
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    context: IoContext | None = None,
    reuse_port: bool = False,
) -> DatagramSocket:
    """Make a UDP socket that receives at a port.

    Args:
        host: a numeric address of this machine.
        port: 0 lets the system choose; `DatagramSocket.getsockname` tells.
        context: the context it belongs to; by default the current one.
        reuse_port: share the port with other sockets (SO_REUSEPORT).

    Raises:
        OSError: the address is in use, or not one of this machine.
        Unsupported: `reuse_port` on a system without it.
        ValueError: `port` is out of range.
    """
    family, address = _own_address(host, port, socket.SOCK_DGRAM, context)
    sock = DatagramSocket(family, context=context)
    with _closed_if_not(sock):
        sock.bind(address, reuse_port=reuse_port)
    return sock

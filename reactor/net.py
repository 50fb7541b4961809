"""Connecting and listening in one call."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any

from .acceptor import Acceptor
from .local import current_context
from .stream import StreamSocket
from .threads import to_thread

if TYPE_CHECKING:
    from .context import IoContext


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


async def connect_tcp(host: str, port: int) -> StreamSocket:
    """Connect to `host`, trying its addresses one after the other.

    A name is looked up on a thread; a numeric address is not looked up at all.

    Raises:
        OSError: no address could be connected to (the error of the last one).
        ValueError: `port` is out of range.
    """
    _check_port(port)
    getaddrinfo = current_context().system.getaddrinfo
    query = (host, port, 0, socket.SOCK_STREAM)
    if _is_numeric(host):
        found = getaddrinfo(*query, 0, socket.AI_NUMERICHOST)
    else:
        found = await to_thread(getaddrinfo, *query)
    error: OSError | None = None
    for family, _, _, _, address in found:
        try:
            stream = StreamSocket(family)
        except OSError as exc:  # EAFNOSUPPORT: a name can have addresses that the system has not
            error = exc
            continue
        try:
            await stream.connect(address)
        except OSError as exc:
            stream.close()
            error = exc
        except BaseException:
            stream.close()
            raise
        else:
            return stream
    raise error or OSError(f"{host} has no address")


async def connect_unix(path: str | bytes | os.PathLike[str]) -> StreamSocket:
    """Connect to the Unix socket at `path`.

    Raises:
        OSError: it is not there, or nobody listens.
    """
    stream = StreamSocket(socket.AF_UNIX)
    try:
        await stream.connect(os.fspath(path))
    except BaseException:
        stream.close()
        raise
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
    _check_port(port)
    system = (context or current_context()).system
    family, _, _, _, address = system.getaddrinfo(
        host, port, 0, socket.SOCK_STREAM, 0, socket.AI_NUMERICHOST | socket.AI_PASSIVE
    )[0]
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
    try:
        acceptor.bind(address, reuse_port=reuse_port)
        acceptor.listen(backlog)
    except BaseException:
        acceptor.close()
        raise
    return acceptor

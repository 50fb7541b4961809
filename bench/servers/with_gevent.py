"""The server on gevent, whose switches are inside what looks like blocking calls."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import gevent
from gevent import server, socket

if TYPE_CHECKING:
    from .settings import Settings


def serve(settings: Settings) -> None:
    """Serve with a greenlet for each connection."""
    inner = settings.listener()
    listener = socket.socket(inner.family, inner.type, fileno=inner.detach())
    server.StreamServer(listener, functools.partial(_echo, settings)).serve_forever()


def serve_datagrams(settings: Settings) -> None:
    """Serve datagrams in one greenlet; a `DatagramServer` would start one for each."""
    inner = settings.datagrams()
    sock = socket.socket(inner.family, inner.type, fileno=inner.detach())
    size, receive, send = settings.receive, sock.recvfrom, sock.sendto
    while True:
        data, address = receive(size)
        send(data, address)


def _echo(settings: Settings, client: Any, _: object) -> None:
    size, limit = settings.receive, settings.limit
    recv, send = settings.receiving(client.recv), client.sendall
    try:
        if limit is None:
            while data := recv(size):
                send(data)
            return
        while True:
            with gevent.Timeout(limit):
                data = recv(size)
            if not data:
                return
            send(data)
    except (OSError, gevent.Timeout):
        pass
    finally:
        client.close()

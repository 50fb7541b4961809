"""What the tests of datagram sockets share."""

from __future__ import annotations

import socket

import pytest

from harness.peer import SAFETY
from reactor import (
    DatagramSocket,
)

both = pytest.mark.parametrize("kind", ["udp", "unix"])


def asking(sock):
    """A blocking socket that talks with `sock` alone."""
    peer = socket.socket(sock.family, socket.SOCK_DGRAM)
    peer.settimeout(SAFETY)
    peer.connect(sock.getsockname())
    return peer


def wired(kind):
    """A socket of the running context, and its peer, a blocking one; each talks with the other."""
    if kind == "unix":
        ours, peer = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    else:
        ours, peer = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        for end in (ours, peer):
            end.bind(("127.0.0.1", 0))
        ours.connect(peer.getsockname())
        peer.connect(ours.getsockname())
    peer.settimeout(SAFETY)
    return DatagramSocket.from_socket(ours), peer


def nobody():
    """An address of this machine at which nobody receives."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()


def fill(send):
    """Send until there is no room; returns how many."""
    count = 0
    try:
        while True:
            send(b"%d" % count)
            count += 1
    except OSError as exc:
        if not isinstance(exc, BlockingIOError):
            pytest.skip(f"this system has no wait for room in a datagram's queue: {exc}")
    return count

"""Peers: the other end of the subject's sockets, plain and driven synchronously by the scenario.

They are sockets of the lab's world, which may be a simulated one.

A peer blocks, so what it does has happened when its method returns; a safety timeout turns a wait
that the subject should have ended into an error instead of a hang.
"""

from __future__ import annotations

import array
import errno
import socket
import struct
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds after which a peer that waits for the subject gives up.
SAFETY = 10.0

_PERIOD = 251  # prime, so that no power of two of bytes repeats the pattern


def pattern(size: int, offset: int = 0) -> bytes:
    """Return `size` bytes that tell their own position in a stream, starting at `offset`."""
    start = offset % _PERIOD
    block = bytes(range(_PERIOD))
    repeats = (start + size) // _PERIOD + 1
    return (block * repeats)[start : start + size]


def check_pattern(data: bytes, offset: int = 0) -> None:
    """Check that `data` is the piece of the pattern that begins at `offset`.

    Raises:
        AssertionError: a byte was lost, repeated or changed; says at which position.
    """
    expected = pattern(len(data), offset)
    if data != expected:
        index = next(i for i, (a, b) in enumerate(zip(data, expected, strict=True)) if a != b)
        raise AssertionError(
            f"byte {offset + index} of the stream is {data[index]}, expected {expected[index]}: "
            "bytes were lost or repeated"
        )


class Peer:
    """A connected socket outside the subject; of datagrams, a `send` is one."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        sock.settimeout(SAFETY)
        self.connect: Callable[[], None] = _connected_already

    # -- Sending

    def send(self, data: bytes) -> None:
        """Send all of `data`, waiting while the subject does not take it."""
        self.sock.sendall(data)

    def fill(self, limit: int = 64 << 20) -> int:
        """Send the pattern until the kernel takes no more; returns how many bytes went."""
        sent = 0
        chunk = pattern(_PERIOD * 256)
        self.sock.setblocking(False)
        try:
            while sent < limit:
                sent += self.sock.send(chunk[sent % _PERIOD :])
        except BlockingIOError:
            pass
        finally:
            self.sock.settimeout(SAFETY)
        return sent

    def send_urgent(self, byte: bytes = b"!") -> None:
        """Send one byte of urgent data."""
        self.sock.send(byte, socket.MSG_OOB)

    def send_with_descriptor(self, data: bytes, number: int) -> None:
        """Send `data` and pass a descriptor with it (SCM_RIGHTS)."""
        rights = array.array("i", [number])
        self.sock.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])

    # -- Receiving

    def drain_with_descriptors(self, size: int) -> tuple[bytes, list[int]]:
        """Receive exactly `size` bytes, and the descriptors that were passed with them."""
        data = bytearray()
        passed: list[int] = []
        while len(data) < size:
            piece, numbers, _, _ = socket.recv_fds(self.sock, min(10_000, size - len(data)), 4)
            data += piece
            passed += numbers
        return bytes(data), passed

    def receive(self, size: int = 1 << 16) -> bytes:
        """Receive once: one datagram, up to `size` bytes of it."""
        return self.sock.recv(size)

    def drain(self, size: int) -> bytes:
        """Receive exactly `size` bytes.

        Raises:
            AssertionError: the stream ended before.
        """
        data = bytearray()
        while len(data) < size:
            piece = self.sock.recv(min(size - len(data), 1 << 16))
            if not piece:
                raise AssertionError(f"the stream ended after {len(data)} of {size} bytes")
            data += piece
        return bytes(data)

    def drain_available(self, limit: int = 1 << 30) -> bytes:
        """Receive what is there now, at most `limit` bytes; never waits."""
        data = bytearray()
        self.sock.setblocking(False)
        try:
            while len(data) < limit:
                piece = self.sock.recv(min(limit - len(data), 1 << 16))
                if not piece:
                    break
                data += piece
        except BlockingIOError:
            pass
        finally:
            self.sock.settimeout(SAFETY)
        return bytes(data)

    def drain_to_end(self) -> bytes:
        """Receive until the end of the stream; a reset counts as the end."""
        data = bytearray()
        try:
            while piece := self.sock.recv(1 << 16):
                data += piece
        except ConnectionResetError:
            pass
        return bytes(data)

    # -- Ending

    def half_close(self) -> None:
        """Send FIN; the peer can still receive."""
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Close with RST (SO_LINGER with zero seconds); data not yet taken by the subject stays."""
        linger_zero(self.sock)
        self.sock.close()

    def close(self) -> None:
        """Close; a second time does nothing."""
        self.sock.close()

    def fileno(self) -> int:
        """Return the descriptor number, -1 when closed."""
        return self.sock.fileno()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _connected_already() -> None:
    raise AssertionError("this peer is connected already")


def linger_zero(sock: socket.socket) -> None:
    """Make close(2) send RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def tiny_buffers(sock: socket.socket, *, send: bool = False, receive: bool = False) -> None:
    """Shrink the kernel buffers to some KiB.

    Linux doubles what it is told, and goes no lower than 4608 bytes to send and 2304 to receive
    (socket(7)). A BSD takes any size, down to a single byte, with which a megabyte takes for ever;
    one that refuses so small a buffer is asked for a larger one.
    """
    for wanted, option in ((send, socket.SO_SNDBUF), (receive, socket.SO_RCVBUF)):
        if not wanted:
            continue
        for size in (2048, 4096):
            try:
                sock.setsockopt(socket.SOL_SOCKET, option, size)
            except OSError as exc:
                if exc.errno not in (errno.EINVAL, errno.ENOBUFS):
                    raise
            else:
                break

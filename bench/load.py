"""The load generator where there is no C compiler; the same arguments and answers as `load.c`.

Slower than what it measures, so several processes of it run beside each other.
"""

from __future__ import annotations

import contextlib
import json
import re
import selectors
import socket
import sys
import time
from dataclasses import dataclass, field
from typing import Final

#: What a receive asks for, in bytes.
_CHUNK: Final = 1 << 18

_REQUEST: Final = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: load\r\nAccept: */*\r\n\r\n"

#: Bytes of an answer before its body, at most.
_HEAD: Final = 4096
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)

#: Seconds after which a datagram is taken for lost.
_LOST: Final = 0.2

#: Bytes of the number that a datagram begins with.
_NUMBER: Final = 8


@dataclass(slots=True)
class _Connection:
    """A connection with messages in flight; how many bytes of them all it has sent and received."""

    sock: socket.socket
    began: list[float] = field(default_factory=list)
    sent: int = 0
    received: int = 0
    waiting: bool = False
    unread: bytearray = field(default_factory=bytearray)


class Load:
    """What it is doing.

    Args:
        where: port of this machine, or path of a Unix socket.
        size: of a message, in bytes.
        flight: messages at a time on each connection.
    """

    def __init__(self, where: str, size: int, flight: int) -> None:
        unix = where.startswith("/")
        self._family = socket.AF_UNIX if unix else socket.AF_INET
        self._address = where if unix else ("127.0.0.1", int(where))
        self._size, self._flight = size, flight
        self._stream = memoryview(bytes(size * flight))
        self._selector = selectors.DefaultSelector()
        self.times: list[float] = []
        self.opened = 0

    def begin(self) -> None:
        """Open a connection and send as much as may be in flight."""
        began = time.monotonic()
        sock = socket.socket(self._family)
        sock.connect(self._address)
        sock.setblocking(False)
        self.opened += 1
        one = _Connection(sock, [began] * self._flight)
        self._selector.register(sock, selectors.EVENT_READ, one)
        self.push(one)

    def end(self, one: _Connection) -> None:
        """Close a connection with a reset, which keeps no port busy."""
        self._selector.unregister(one.sock)
        one.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        one.sock.close()

    def end_all(self) -> None:
        """Close what is open."""
        for key in list(self._selector.get_map().values()):
            self.end(key.data)

    def turn(self) -> list[_Connection]:
        """Wait, send and receive; returns the connections on which a message is back."""
        back = []
        for key, events in self._selector.select(10):
            one: _Connection = key.data
            if events & selectors.EVENT_WRITE:
                self.push(one)
            if events & selectors.EVENT_READ and self._pull(one):
                back.append(one)
        return back

    def push(self, one: _Connection) -> None:
        """Send what may be in flight; a full buffer waits for room."""
        until = one.received // self._size * self._size + self._size * self._flight
        full = False
        while one.sent < until and not full:
            try:
                one.sent += one.sock.send(self._stream[: until - one.sent])
            except BlockingIOError:
                full = True
        if full != one.waiting:
            one.waiting = full
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if full else 0)
            self._selector.modify(one.sock, events, one)

    def _pull(self, one: _Connection) -> int:
        data = one.sock.recv(_CHUNK)
        if not data:
            raise ConnectionError("the server closed")
        before = one.received // self._size
        one.received += self._came(one, data)
        if one.received > one.sent:
            raise ConnectionError("more has come back than was sent")
        after = one.received // self._size
        now = time.monotonic()
        for number in range(before, after):
            self.times.append(now - one.began[number % self._flight])
            one.began[number % self._flight] = now
        return after - before

    def _came(self, one: _Connection, data: bytes) -> int:
        """Return how many bytes of messages are back with what was received."""
        return len(data)


class Http(Load):
    """Requests and their answers; an answer counts as if the request came back.

    Args:
        where: as for `Load`.
    """

    def __init__(self, where: str) -> None:
        super().__init__(where, len(_REQUEST), 1)
        self._stream = memoryview(_REQUEST)

    def _came(self, one: _Connection, data: bytes) -> int:
        """Return it of the answers that are whole."""
        one.unread += data
        ends = 0
        while (head := one.unread.find(b"\r\n\r\n", 0, _HEAD)) >= 0 or len(one.unread) >= _HEAD:
            length = _LENGTH.search(one.unread, 0, head + 2)
            if head < 0 or length is None or not one.unread.startswith(b"HTTP/1.1 200 "):
                raise ConnectionError("not an answer with status 200 and a length")
            whole = head + 4 + int(length[1])
            if len(one.unread) < whole:
                break
            del one.unread[:whole]
            ends += 1
        return ends * self._size


@dataclass(slots=True)
class _Sender:
    """A UDP socket with one datagram on the way: its number, and when it was sent first and last."""

    sock: socket.socket
    number: int
    began: float
    last: float


class Datagrams:
    """Keeps one datagram on the way of each UDP socket.

    Args:
        port: of this machine.
        sockets: how many.
        size: of a datagram, in bytes.
    """

    def __init__(self, port: int, sockets: int, size: int) -> None:
        self._rest = bytes(size - _NUMBER)
        self._selector = selectors.DefaultSelector()
        self._senders: list[_Sender] = []
        self.times: list[float] = []
        self.lost = 0
        self._looked = now = time.monotonic()
        for _ in range(sockets):
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.connect(("127.0.0.1", port))
            sock.setblocking(False)
            one = _Sender(sock, 0, now, now)
            self._senders.append(one)
            self._selector.register(sock, selectors.EVENT_READ, one)
            self._post(one, now)

    def run(self, seconds: float) -> None:
        """Go on for so long; what is lost is sent again, and counted."""
        start = now = time.monotonic()
        while now - start < seconds:
            ready = self._selector.select(_LOST / 4)
            now = time.monotonic()
            for key, _ in ready:
                one: _Sender = key.data
                if self._take(one):
                    self.times.append(now - one.began)
                    one.number += 1
                    one.began = now
                    self._post(one, now)
            if now - self._looked >= _LOST / 4:
                self._looked = now
                for one in self._senders:
                    if now - one.last > _LOST:
                        self.lost += 1
                        self._post(one, now)

    def _post(self, one: _Sender, now: float) -> None:
        one.last = now
        with contextlib.suppress(BlockingIOError):
            one.sock.send(one.number.to_bytes(_NUMBER) + self._rest)

    def _take(self, one: _Sender) -> bool:
        """Receive one; True if it is the echo that is waited for, and not one of what was sent again."""
        data = one.sock.recv(_CHUNK)
        number = int.from_bytes(data[:_NUMBER])
        if data[_NUMBER:] != self._rest or number > one.number:
            raise ConnectionError("not an echo")
        return number == one.number


def main(argv: list[str]) -> int:
    """Run ``echo WHERE CONNECTIONS SIZE SECONDS [FLIGHT]``, or another mode of `load.c`."""
    if argv[0] == "datagram":
        return _datagrams(int(argv[1]), int(argv[2]), int(argv[3]), float(argv[4]))
    mode, where, connections = argv[0], argv[1], int(argv[2])
    echo = mode == "echo"
    load = (
        Http(where)
        if mode == "http"
        else Load(where, int(argv[3]) if echo else 1, int(argv[5]) if echo and argv[5:] else 1)
    )
    total = int(argv[3]) if mode in {"churn", "hold"} else sys.maxsize
    seconds = {"echo": argv[4:5], "http": argv[3:4], "accept": argv[3:4]}.get(mode)
    limit = float(seconds[0]) if seconds else float("inf")
    start = time.monotonic()
    try:
        while load.opened < min(connections, total):
            load.begin()
        while len(load.times) < total and time.monotonic() - start < limit:
            for one in load.turn():
                if mode in {"echo", "http"}:
                    load.push(one)
                    continue
                if mode != "hold":
                    load.end(one)
                if load.opened < total:
                    load.begin()
    except OSError as exc:
        print(f"load: {exc}", file=sys.stderr)
        return 1
    _report(load.times, time.monotonic() - start, 0)
    if mode == "hold":
        sys.stdin.read()
    elif mode == "accept":
        load.end_all()
    return 0


def _datagrams(port: int, sockets: int, size: int, seconds: float) -> int:
    start = time.monotonic()
    try:
        load = Datagrams(port, sockets, size)
        load.run(seconds)
    except OSError as exc:
        print(f"load: {exc}", file=sys.stderr)
        return 1
    _report(load.times, time.monotonic() - start, load.lost)
    return 0


def _report(taken: list[float], seconds: float, lost: int) -> None:
    times = sorted(taken)
    result = {"operations": len(times), "seconds": seconds, "lost": lost}
    for name, share in (("p50_us", 0.5), ("p99_us", 0.99)):
        result[name] = int(times[int(len(times) * share)] * 1e6) if times else 0
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The load generator where there is no C compiler; the same arguments and answers as `load.c`.

Slower than what it measures, so several processes of it run beside each other.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
import time
from typing import cast


def main(argv: list[str]) -> int:
    """Run ``echo PORT CONNECTIONS SIZE SECONDS``, or ``accept``, ``churn`` or ``hold``: see `load.c`."""
    mode, port, connections = argv[0], int(argv[1]), int(argv[2])
    message = bytes(int(argv[3])) if mode == "echo" else b"x"
    total = int(argv[3]) if mode in {"churn", "hold"} else sys.maxsize
    seconds = float(argv[-1]) if mode in {"echo", "accept"} else float("inf")
    selector = selectors.DefaultSelector()
    opened = done = 0
    times = []

    def begin() -> None:
        nonlocal opened
        began = time.monotonic()
        sock = socket.create_connection(("127.0.0.1", port))
        opened += 1
        sock.sendall(message)
        selector.register(sock, selectors.EVENT_READ, [len(message), began])

    def end(sock: socket.socket) -> None:
        selector.unregister(sock)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        sock.close()

    start = time.monotonic()
    for _ in range(min(connections, total)):
        begin()
    while done < total and time.monotonic() - start < seconds:
        for key, _ in selector.select(10):
            sock = cast("socket.socket", key.fileobj)
            data = sock.recv(len(message))
            if not data:
                print("load: the server closed", file=sys.stderr)
                return 1
            key.data[0] -= len(data)
            if key.data[0]:
                continue
            done += 1
            now = time.monotonic()
            times.append(now - key.data[1])
            if mode == "echo":
                key.data[:] = len(message), now
                sock.sendall(message)
                continue
            if mode != "hold":
                end(sock)
            if opened < total:
                begin()
    times.sort()
    result = {"operations": done, "seconds": time.monotonic() - start}
    for name, share in (("p50_us", 0.5), ("p99_us", 0.99)):
        result[name] = int(times[int(len(times) * share)] * 1e6) if times else 0
    print(json.dumps(result), flush=True)
    if mode == "hold":
        sys.stdin.read()
    elif mode == "accept":
        for key in list(selector.get_map().values()):
            end(cast("socket.socket", key.fileobj))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

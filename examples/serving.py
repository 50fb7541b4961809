"""What the example servers share: their options, listening, and an end without a traceback."""

from __future__ import annotations

import argparse
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import reactor

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Handler = Callable[[reactor.StreamSocket], Awaitable[None]]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def main(description: str, handle: Handler) -> int:
    """Serve `handle(stream)` for each connection, as the command line says; returns the exit code."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--host", default="127.0.0.1", help="numeric address (%(default)s)")
    parser.add_argument("--port", type=int, default=0, help="0 lets the system choose one")
    parser.add_argument("--unix", metavar="PATH", help="listen on a Unix socket instead")
    parser.add_argument("--backend", help="such as epoll, poll, select or epoll+pipe")
    args = parser.parse_args()
    try:
        reactor.run(_serve, args, handle, backend=args.backend)
    except (OSError, ValueError, reactor.BackendError) as exc:
        print(f"{parser.prog}: {exc}", file=sys.stderr)
        return 2
    return 0


async def _serve(args: argparse.Namespace, handle: Handler) -> None:
    # Not a signal handler that cancels: it would run between any two instructions of this thread,
    # also while the reactor holds its lock. The interpreter writes the number of the signal to a
    # socket, and a task receives it like everything else.
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    signals = reactor.StreamSocket.from_socket(ours)
    before = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    handlers = {number: signal.signal(number, lambda *_: None) for number in _SIGNALS}
    try:
        if args.unix:
            acceptor = reactor.listen_unix(args.unix, backlog=1024)
        else:
            acceptor = reactor.listen_tcp(args.host, args.port, backlog=1024)
        try:
            where = args.unix or acceptor.getsockname()[1]
            print(f"{where}", flush=True)  # whoever started us reads it from there
            async with reactor.TaskGroup() as group:
                group.spawn(_cancel_at_signal, signals, group)
                async for stream in acceptor:
                    group.spawn(_serve_one, stream, handle)
        finally:
            acceptor.close()
            if args.unix:
                Path(args.unix).unlink(missing_ok=True)
    finally:
        signal.set_wakeup_fd(before)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signals.close()
        theirs.close()


async def _cancel_at_signal(signals: reactor.StreamSocket, group: reactor.TaskGroup) -> None:
    while not set(await signals.recv(64)) & set(_SIGNALS):
        pass
    group.cancel()


async def _serve_one(stream: reactor.StreamSocket, handle: Handler) -> None:
    with stream:
        try:
            await handle(stream)
        except OSError:
            pass  # this peer is gone; the others are served on

"""Several threads in one `run`: ``python -m ….inprocess.threads THREADS PAIRS SIZE``, as `worker` answers.

Both ends of every connection are tasks of the same context: one sends a message, waits until it is
back and sends the next; the other one echoes. The handlers do nothing else.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from typing import TYPE_CHECKING

from reactor import IoContext, StreamSocket

from .worker import serve

if TYPE_CHECKING:
    from .meter import Meter


class Trips:
    """Round trips over connections of one context.

    Args:
        threads: that are in its `run`.
        pairs: of connected sockets.
        size: of a message, in bytes.
    """

    def __init__(self, threads: int, pairs: int, size: int) -> None:
        self._threads = threads
        self._message = bytes(size)
        self._over = False
        # A place for each, since adding to one number from two threads would lose some.
        self._made = [0] * pairs
        self._errors: list[BaseException] = []

    def __call__(self, meter: Meter) -> None:
        """Make trips until the time of a meter is over; counts those that have come back."""
        self._over = False
        self._made = [0] * len(self._made)
        self._errors.clear()
        with IoContext() as context:
            for index in range(len(self._made)):
                asking, echoing = StreamSocket.pair(context)
                context.spawn(self._ask, asking, index)
                context.spawn(self._echo, echoing)
            context.call_later(meter.limit, self._end)
            others = [
                threading.Thread(target=self._run, args=(context,))
                for _ in range(self._threads - 1)
            ]
            meter.start()
            for thread in others:
                thread.start()
            self._run(context)
            for thread in others:
                thread.join()
            meter.stop(sum(self._made))
        if self._errors:
            raise self._errors[0]

    def _end(self) -> None:
        self._over = True

    def _run(self, context: IoContext) -> None:
        try:
            context.run()
        except Exception as exc:  # noqa: BLE001 -- a thread has nobody to raise it to
            self._errors.append(exc)
            context.stop()

    async def _ask(self, sock: StreamSocket, index: int) -> None:
        message, made = self._message, self._made
        with sock:
            while not self._over:
                await sock.sendall(message)
                left = len(message)
                while left:
                    got = len(await sock.recv(left))
                    if not got:
                        raise ConnectionError("the echo ended")
                    left -= got
                made[index] += 1

    async def _echo(self, sock: StreamSocket) -> None:
        size = len(self._message)
        with sock:
            while message := await sock.recv(size):
                await sock.sendall(message)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        serve(Trips(*map(int, sys.argv[1:])))

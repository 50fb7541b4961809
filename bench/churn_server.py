"""The server of the churn: ``python -m bench.churn_server BACKEND FD``.

Serves until the control socket `FD` ends. For each byte on it, it waits until every connection is
gone and answers with a line of JSON: what the process and the context hold.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import socket
import sys
from pathlib import Path

import reactor

from .servers import BACKLOG

_PAGE = os.sysconf("SC_PAGE_SIZE")


class Server:
    """Counts what it has served, and what it is serving."""

    def __init__(self) -> None:
        self.served = 0
        self.failed = 0
        self._live = 0
        self._idle = reactor.Event()
        self._idle.set()

    async def main(self, control: socket.socket) -> None:
        """Serve until `control` ends."""
        acceptor = reactor.listen_tcp(backlog=BACKLOG)
        print(acceptor.getsockname()[1], flush=True)
        async with reactor.TaskGroup() as group:
            group.spawn(self._report, reactor.StreamSocket.from_socket(control), group)
            async for stream in acceptor:
                self._live += 1
                self._idle.clear()
                group.spawn(self._serve, stream)
        acceptor.close()

    async def _serve(self, stream: reactor.StreamSocket) -> None:
        try:
            with stream:
                while data := await stream.recv(16):
                    await stream.sendall(data)
            self.served += 1
        except ConnectionResetError:
            self.served += 1  # every 16th connection ends so on purpose
        except OSError:
            self.failed += 1
        finally:
            self._live -= 1
            if not self._live:
                self._idle.set()

    async def _report(self, control: reactor.StreamSocket, group: reactor.TaskGroup) -> None:
        with control:
            while await control.recv(1):
                await self._idle.wait()
                await reactor.sleep(0)  # the tasks that have just ended leave the tables
                await control.sendall(json.dumps(self.holdings()).encode() + b"\n")
        group.cancel()

    def holdings(self) -> dict[str, float]:
        """Count everything that could leak."""
        gc.collect()
        context = reactor.current_context()
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return {
            "served": self.served,
            "failed": self.failed,
            "fds": len(list(Path("/dev/fd").iterdir())),
            "tasks": context.task_count,
            "timers": context.timer_count,
            "descriptors": context.descriptor_count,
            "objects": len(gc.get_objects()),
            "rss": _resident(),
            "user_s": usage.ru_utime,
            "system_s": usage.ru_stime,
        }


def _resident() -> int:
    """Return the resident memory in bytes; the highest so far where there is no /proc."""
    try:
        fields = Path("/proc/self/statm").read_text(encoding="ascii").split()
    except OSError:
        scale = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale
    return int(fields[1]) * _PAGE


async def _main(control: socket.socket) -> None:
    await Server().main(control)


if __name__ == "__main__":
    reactor.run(_main, socket.socket(fileno=int(sys.argv[2])), backend=sys.argv[1])

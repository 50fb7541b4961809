"""The engine's side of the fork servers: starts them, gives out orders, replaces those that die."""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import subprocess
import tempfile
import time
from collections import deque
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from .errors import HarnessError
from .forkserver import Outcome, kill_group
from .interpreter import command
from .lines import Lines
from .model import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from .child import Order

#: Seconds for a fork server to get ready and to start a child.
BOOT_S = 60.0

#: Seconds beyond a child's deadline until its fork server is taken for stuck.
GRACE_S = 15.0

#: So many fork servers in a row may die before they start a child until the pool gives up.
DEATHS = 3


class PoolError(HarnessError):
    """The fork servers cannot be made to work."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What every fork server loads: the folder of scenarios and the subject's module."""

    folder: Path
    subject: str


class ForkServer:
    """One fork server process, and the order that it is carrying out."""

    def __init__(self, setup: Setup) -> None:
        self.order: Order | None = None
        self.deadline = 0.0
        self._child: int | None = None
        self._lines = Lines()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the server
        # What its children put into the folder for temporary files goes with it: one that is killed
        # cleans nothing up.
        self._scratch = tempfile.TemporaryDirectory(prefix="lab-", ignore_cleanup_errors=True)
        self.socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                command(
                    "harness.forkserver", str(theirs.fileno()), str(setup.folder), setup.subject
                ),
                stdin=subprocess.DEVNULL,
                stdout=self._errors,
                stderr=self._errors,
                pass_fds=[theirs.fileno()],
                env=os.environ | {"TMPDIR": self._scratch.name},
                start_new_session=True,  # Ctrl-C at the terminal is the engine's business
            )

    @property
    def busy(self) -> bool:
        """Whether it has a child running."""
        return self._child is not None

    def send(self, order: Order) -> None:
        """Give it an order; it has none."""
        assert self.order is None
        self.order = order
        self.deadline = time.monotonic() + BOOT_S
        try:
            self.socket.sendall(json.dumps(asdict(order)).encode() + b"\n")
        except OSError:
            pass  # it is dead; receive() will find out

    def has_spoken(self) -> bool:
        """Tell whether there is something for `receive`."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.socket, selectors.EVENT_READ)
            return bool(selector.select(0))

    def receive(self) -> Outcome | None:
        """Read what it says; the outcome of the order once there is one.

        Raises:
            EOFError: it died; says of what.
            PoolError: it could not load what it must.
        """
        try:
            data = self.socket.recv(1 << 20)
        except OSError:
            data = b""
        if not data:
            raise EOFError(self._death())
        outcome = None
        for line in self._lines.feed(data):
            message: dict[str, Any] = json.loads(line)
            kind = message.pop("kind")
            if kind == "started":
                assert self.order is not None
                self._child = message["pid"]
                self.deadline = time.monotonic() + self.order.timeout_s + GRACE_S
            elif kind == "broken":
                raise PoolError(f"a fork server cannot start: {message['reason']}")
            else:
                outcome = Outcome(**message)
                self._child = self.order = None
        return outcome

    def close(self) -> None:
        """End it and whatever it runs."""
        self.socket.close()
        if self._child is not None:
            kill_group(self._child)
            self._child = None
        self._process.kill()
        self._process.wait()
        self._errors.close()
        self._scratch.cleanup()

    def _death(self) -> str:
        code = self._process.wait()
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace").strip().splitlines()
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exited with code {code}"
        return f"the fork server died ({how}){': ' + said[-1] if said else ''}"


class Pool:
    """Up to `jobs` fork servers, kept between calls of `run`."""

    def __init__(self, setup: Setup, jobs: int) -> None:
        self._setup = setup
        self._jobs = jobs
        self._servers: list[ForkServer] = []
        self._deaths = 0  # in a row, of servers that had not even started a child

    def close(self) -> None:
        """End every fork server."""
        while self._servers:
            self._servers.pop().close()

    def run(self, orders: Iterable[Order], done: Callable[[Order, Outcome], None]) -> None:
        """Carry out orders, in parallel, and give each outcome to `done` as it comes.

        Raises:
            PoolError: a fork server cannot start, or they keep dying.
        """
        waiting = deque(orders)
        while waiting or any(server.order for server in self._servers):
            self._give(waiting)
            with selectors.DefaultSelector() as selector:
                for server in self._servers:
                    selector.register(server.socket, selectors.EVENT_READ, server)
                earliest = min(server.deadline for server in self._servers if server.order)
                ready = selector.select(max(0.0, earliest - time.monotonic()))
            for key, _ in ready:
                self._hear(key.data, done)
            for server in list(self._servers):
                # It may have answered while the others were heard: an engine that is late itself
                # must not call those stuck whom it has not listened to.
                late = server.order is not None and server.deadline <= time.monotonic()
                if late and not server.has_spoken():
                    self._lose(server, "the fork server is stuck", done)

    def _give(self, waiting: deque[Order]) -> None:
        idle = [server for server in self._servers if server.order is None]
        while waiting:
            if idle:
                server = idle.pop()
            elif len(self._servers) < self._jobs:
                server = ForkServer(self._setup)
                self._servers.append(server)
            else:
                return
            server.send(waiting.popleft())

    def _hear(self, server: ForkServer, done: Callable[[Order, Outcome], None]) -> None:
        order = server.order
        try:
            outcome = server.receive()
        except EOFError as exc:
            self._lose(server, str(exc), done)
            return
        if outcome is not None:
            assert order is not None
            self._deaths = 0
            done(order, outcome)

    def _lose(
        self, server: ForkServer, reason: str, done: Callable[[Order, Outcome], None]
    ) -> None:
        """Give a fork server up; what it was carrying out is the one result that it costs."""
        order = server.order
        if not server.busy:
            self._deaths += 1
        self._servers.remove(server)
        server.close()
        if order is not None:
            done(order, Outcome(Status.ERROR, reason))
        if self._deaths >= DEATHS:
            raise PoolError(f"{self._deaths} fork servers in a row: {reason}")

"""What all steps have in common: lists of them, what they act on, and operations that are waited for."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING, Any

from reactor import (
    BusyError,
    ContextClosedError,
    IncompleteReadError,
    OperationCancelled,
    StreamSocket,
)

from .things import End, Frame, Listener, Pending

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from reactor import Timer

    from ..kernel import SimulatedSocket, SimulatedSystem
    from .program import Step, Steps
    from .world import World

#: Sizes of small buffers, in bytes; the kernel has its own idea of the least.
_SMALL = 2048
#: More sockets, listeners or tasks than these are not made.
MOST_ENDS, MOST_LISTENERS, MOST_TASKS = 12, 3, 16


class Stage:
    """Base of the steps of one program that is being played.

    Args:
        world: what it has.
        system: the simulated kernel's.
        tasks: the steps of its tasks, which some can start again.
    """

    def __init__(self, world: World, system: SimulatedSystem, tasks: tuple[Steps, ...]) -> None:
        self.world = world
        self.system = system
        self.kernel = system.kernel
        self.context = world.context
        self.programs = tasks
        self.timers: list[Timer] = []
        self.posted = self.ran = self.provoked = 0
        self.listeners = 0
        self.closed = False  # the context is being closed, and runs no posted call any more

    # -- Lists of steps

    async def task(self, frame: Frame, steps: Steps) -> None:
        """Play a task to its end."""
        try:
            await self.steps(frame, steps)
        except OperationCancelled:
            if not self.world.may(frame):
                self.world.find(
                    "no-cancel-unasked", "a task ended cancelled, and nobody cancelled it"
                )
            raise

    async def steps(self, frame: Frame, steps: Steps) -> None:
        """Play steps in a task."""
        for step in steps:
            waiting = getattr(self, f"_wait_{step.name}", None)
            try:
                if waiting is None:
                    self.plain(step)
                else:
                    await waiting(frame, step)
            except ContextClosedError:
                if not self.world.closing:
                    raise

    def plain(self, step: Step) -> None:
        """Play a step that does not wait."""
        getattr(self, f"_do_{step.name}")(step)

    def start_task(self, steps: Steps) -> None:
        """Start a task."""
        if len(self.world.tasks) < MOST_TASKS:
            frame = Frame()
            name = f"task {len(self.world.tasks)}"
            self.world.tell("spawn", name)
            task = self.context.spawn(self.task, frame, steps, name=name)
            self.world.tasks.append((task, frame))

    # -- What steps act on

    def _end(self, step: Step) -> End | None:
        ends = self.world.ends
        return ends[step.a % len(ends)] if ends else None

    def _peer(self, step: Step) -> End | None:
        """Return a peer, which does one thing after the other."""
        peers = self.world.peers
        found = peers[step.a % len(peers)] if peers else None
        return None if found is None or found.closed or found.busy else found

    def _listener(self, step: Step) -> Listener | None:
        found = self.world.listeners
        return found[step.a % len(found)] if found else None

    def _shrink(self, *sockets: Any) -> None:
        for sock in sockets:
            for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
                try:
                    sock.setsockopt(socket.SOL_SOCKET, option, _SMALL)
                except OSError:
                    pass  # a connection that is reset already (macOS)

    # -- Operations

    async def _operate(self, pending: Pending, awaitable: Awaitable[Any]) -> Any:
        """Wait for an operation, and note how it ends; None unless it has a result."""
        world = self.world
        try:
            result = await awaitable
        except OperationCancelled as exc:
            world.cancelled(pending, exc)
            if exc.scoped:
                raise
        except (OSError, BusyError, IncompleteReadError) as exc:
            world.failed(pending, exc)
        else:
            world.finish(pending, result)
            return result
        return None

    def _take_over(self, left: SimulatedSocket, right: SimulatedSocket) -> None:
        """Give one side of a pair to the reactor, and the other to a peer."""
        two = self.world.add(raw=right)
        sock = StreamSocket.from_socket(left, self.context)  # type: ignore[arg-type]  # the same interface
        one = self.world.add(sock=sock)
        one.other, two.other = two.endpoint, one.endpoint

    def _may_fail(self, call: str, error: OSError) -> None:
        """A call that no operation waits for has failed, which only a rule can bring about."""
        struck = [] if self.kernel.nemesis is None else self.kernel.nemesis.struck
        codes = {getattr(rule, "code", "") for rule in struck if rule.call == call}
        if errno.errorcode.get(error.errno or 0, "") not in codes:
            raise error

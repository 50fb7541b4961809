"""The simulated world: a kernel of `harness.kernel`, in virtual time and with virtual threads."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, ClassVar, cast

from ..faults import lab_system
from ..kernel import DeadlockError, Kernel, SimulatedSocket, SimulatedSystem
from ..kernel.sockets import socketpair
from ..kernel.threads import WORKERS
from .base import World

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from socket import socket as Socket  # noqa: N812 - `World.socket` hides the module's name

    import reactor
    from reactor.system import System

    from ..clock import FakeClock
    from ..faults import FaultTable
    from ..kernel.threads import VirtualLock
    from .threads import Thread

#: Nanoseconds that a call takes: without that a busy loop would wait for a timer for ever.
CALL_NS = 1_000

#: Calls after which a thread may have to let another go on, on average.
SLICE = 200


class SimulatedWorld(World):
    """A simulated kernel, of its own for each scenario.

    Args:
        dialect: whose rules it keeps.
        seed: decides every choice that it is free to make.

    Raises:
        ValueError: there is no such dialect.
    """

    ground = "sim"
    virtual = True
    hung = (DeadlockError,)
    lacks: ClassVar[Mapping[str, str]] = {
        "fork": "the model has one process",
        "exec": "the model executes no programs",
        "setitimer": "the model has no signals",
        "pty": "the model has no terminals",
        "scm_rights": "the model has no ancillary data",
    }

    def __init__(self, dialect: str = "linux", seed: int = 0) -> None:
        self.kernel = Kernel(dialect, seed, call_ns=CALL_NS, slice_calls=SLICE)
        self.kernel.baton.current()  # whoever makes the world is its main thread
        super().__init__(SimulatedSystem(self.kernel), f"simulated {dialect}")
        self._paths = 0

    def system(self, table: FaultTable, clock: FakeClock | None) -> System:
        """A system of this kernel."""
        return lab_system(SimulatedSystem, table, clock, self.kernel)

    def socketpair(self, kind: int = socket.SOCK_STREAM) -> tuple[Socket, Socket]:
        """Two sockets of this kernel."""
        return cast("tuple[Socket, Socket]", socketpair(self.kernel, kind=kind))

    def socket(
        self,
        family: int = socket.AF_INET,
        kind: int = socket.SOCK_STREAM,
        *,
        fileno: int | None = None,
    ) -> Socket:
        """A socket of this kernel."""
        return cast("Socket", SimulatedSocket(self.kernel, family, kind, fileno=fileno))

    def path(self) -> str:
        """The same names in every run."""
        self._paths += 1
        return f"/lab/s{self._paths}"

    def backlog_limit(self) -> int:
        """The model has none, and more than anybody asks for."""
        return 1 << 16

    def thread(self, name: str, function: Callable[[], object]) -> Thread:
        """A virtual thread."""
        return self.kernel.spawn(name, function)

    def pause(self, seconds: float) -> None:
        """Wait in virtual time."""
        self.kernel.pause(seconds)

    def cpu(self) -> float:
        """What the calls took."""
        return self.kernel.busy_ns / 1e9

    def descriptors(self) -> set[int]:
        """The kernel's, without 0, 1 and 2."""
        return set(self.kernel.open_numbers())

    def dup(self, number: int, least: int = 0) -> int:
        """As the kernel's."""
        return self.kernel.dup(number, least)

    def dup2(self, number: int, to: int) -> None:
        """As the kernel's."""
        self.kernel.dup2(number, to)

    def set_blocking(self, number: int, *, blocking: bool) -> None:
        """O_NONBLOCK of the description."""
        self.kernel.get(number).nonblocking = not blocking

    def is_blocking(self, number: int) -> bool:
        """O_NONBLOCK of the description."""
        return not self.kernel.get(number).nonblocking

    def is_inheritable(self, number: int) -> bool:
        """Nothing is: the model has no exec, and Python opens everything close-on-exec (PEP 446)."""
        self.kernel.get(number)
        return False

    def limit_descriptors(self, limit: int) -> int:
        """RLIMIT_NOFILE of this kernel."""
        before, self.kernel.nofile = self.kernel.nofile, limit
        return before

    def dump(self, context: reactor.IoContext) -> str:
        """Who waits for what, the reactor's own description, and the latest calls."""
        said = [self.kernel.baton.describe()]
        with self.kernel.baton.visited():
            if cast("VirtualLock", context.scheduler.mutex).locked():
                said.append("the scheduler's mutex is held")
            else:
                said.append(str(context.dump()))
        return "\n".join([*said, "the latest calls:", *list(self.kernel.trace)[-20:]])

    def digest(self) -> str:
        """The kernel's."""
        return self.kernel.digest()

    def close(self) -> list[int]:
        """Return what is open still; the threads end."""
        WORKERS.dismiss()
        return self.kernel.open_numbers()

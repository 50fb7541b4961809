"""A deterministic model of the part of a POSIX kernel that a reactor uses.

`Kernel` is the model, `SimulatedSystem` the seam through which `reactor` runs on it:
``IoContext(system=SimulatedSystem(Kernel("freebsd", seed=1)), backend="kqueue")``. What is modelled,
and what is not, stands in docs/kernel.md.
"""

from __future__ import annotations

from .dialects import DIALECTS, Dialect
from .kernel import Kernel
from .sockets import SimulatedSocket
from .system import SimulatedSystem
from .threads import DeadlockError

__all__ = ["DIALECTS", "DeadlockError", "Dialect", "Kernel", "SimulatedSocket", "SimulatedSystem"]

"""The backends by name, and how a specification such as ``epoll+pipe`` is read."""

from __future__ import annotations

import difflib
import importlib
import os
from typing import TYPE_CHECKING

from ..errors import BackendError, Unsupported
from ..system import System

if TYPE_CHECKING:
    from collections.abc import Callable

    from .base import Backend

#: Names to modules and classes, best first. Imported only when used: a platform's module names
#: constants that other platforms' `select` does not have.
BACKENDS: dict[str, tuple[str, str]] = {
    "epoll": ("epoll", "EpollBackend"),
    "kqueue": ("kqueue", "KqueueBackend"),
    "poll": ("poll", "PollBackend"),
    "select": ("select", "SelectBackend"),
}

#: The environment variable that chooses the backend when the program does not.
ENVIRONMENT = "REACTOR_BACKEND"


def backend_class(name: str) -> type[Backend]:
    """Return the class of the backend called `name`.

    Raises:
        BackendError: there is no such backend.
    """
    if name not in BACKENDS:
        close = difflib.get_close_matches(name, BACKENDS)
        hint = f" (did you mean {close[0]}?)" if close else ""
        raise BackendError(f"unknown backend {name!r}{hint}; allowed: {', '.join(BACKENDS)}")
    module, attribute = BACKENDS[name]
    found: type[Backend] = getattr(importlib.import_module(f".{module}", __name__), attribute)
    return found


def available(system: System | None = None) -> list[str]:
    """Return the names of the backends that `system` has, best first."""
    system = system or System()
    return [name for name in BACKENDS if system.has(name)]


def parse(spec: str) -> tuple[str, str | None, str | None]:
    """Split ``name[+waker][+timer]`` into its three parts, None for what is not given.

    Raises:
        BackendError: the name, waker or timer is not one that is known, or comes twice.
    """
    name, *options = spec.strip().lower().split("+")
    kind = backend_class(name)
    waker: str | None = None
    timer: str | None = None
    for option in options:
        if option in kind.wakers and waker is None:
            waker = option
        elif option in kind.timers and timer is None:
            timer = option
        else:
            allowed = ", ".join((*kind.wakers, *kind.timers))
            raise BackendError(
                f"backend {spec!r}: {option!r} is not an option of {name}, or is given twice; "
                f"allowed: {allowed}"
            )
    return name, waker, timer


def choose(spec: str | None, system: System) -> str:
    """Return `spec`, else what $REACTOR_BACKEND says, else the best backend that `system` has."""
    return spec or os.environ.get(ENVIRONMENT) or available(system)[0]


def make(spec: str | Callable[[System], Backend] | None, system: System) -> Backend:
    """Make the backend that `choose` chooses; a callable, such as the class of one, makes it itself.

    Raises:
        BackendError: it is unknown, or this system does not have it.
    """
    if callable(spec):
        return spec(system)
    spec = choose(spec, system)
    if not isinstance(spec, str):
        raise BackendError(f"a backend is chosen by name, got {spec!r}")
    name, waker, timer = parse(spec)
    if not system.has(name):
        raise BackendError(
            f"backend {name} is not available on this system; "
            f"there are: {', '.join(available(system))}"
        )
    try:
        return backend_class(name)(system, waker=waker, timer=timer)
    except Unsupported as exc:
        raise BackendError(f"backend {spec}: {exc}") from exc

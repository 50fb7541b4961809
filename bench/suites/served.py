"""What the suites have in common that put the echo servers under the load generator."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from ..accounts import peak_memory, usage
from ..process import descriptors, server, serving
from ..servers import SERVERS
from ..suite import Case, Measurement, Missing, Running, Subject, Suite

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager, ExitStack

    from ..suite import Tools

#: The server in C.
C: Final = "c-epoll"

#: Messages of more than this many bytes are received in parts of `_LARGE`, smaller ones of `_SMALL`.
_SMALL: Final = 4096
_LARGE: Final = 65536

#: Descriptors of a server beside its connections, with room to spare.
_OTHERS: Final = 64


class Served(Suite):
    """The servers, one process each, under one of the loads.

    Attributes:
        http: whether they answer requests, and echo nothing.
    """

    http = False

    def subjects(self, case: Case) -> list[Subject]:
        """As `Suite.subjects`."""
        python = [Subject(name, one.kind, one.needs) for name, one in SERVERS.items()]
        if sys.platform != "linux":
            return python
        limit = next(i for i, one in enumerate(python) if one.kind == "limit")
        return [*python[:limit], Subject(C, "limit"), *python[limit:]]

    def start(self, case: Case, subject: Subject, tools: Tools, stack: ExitStack) -> Running:
        """As `Suite.start`."""
        # Those of a round may come before the server has closed those of the round before.
        with descriptors(2 * int(case.parameters["connections"]) + _OTHERS):
            pid, port = stack.enter_context(served(subject.name, case, tools, http=self.http))
        return measured(pid, lambda seconds: self.load(case, tools, port, seconds))

    def load(self, case: Case, tools: Tools, where: int | str, seconds: float) -> dict[str, Any]:
        """Load the server at `where` for `seconds`; returns what the load says."""
        size, flight = int(case.parameters["size"]), int(case.parameters.get("flight", 1))
        connections = int(case.parameters["connections"])
        return tools.load.echo(where, connections, size, seconds, flight)


def served(
    name: str,
    case: Case,
    tools: Tools,
    path: str | None = None,
    limit: float | None = None,
    *,
    http: bool = False,
    datagrams: bool = False,
) -> AbstractContextManager[tuple[int, int]]:
    """Run one of the servers, as `process.serving`.

    Args:
        name: of the server.
        case: says how large the messages are.
        tools: have the server in C.
        path: of the Unix socket that it listens on; None for TCP.
        limit: timeout around each receive, in seconds.
        http: whether it answers requests, and is no echo.
        datagrams: it serves those, on a UDP port.

    Raises:
        Missing: it cannot be built here.
    """
    receive = str(_LARGE if int(case.parameters.get("size", 1)) > _SMALL else _SMALL)
    where = ["udp"] if datagrams else [] if path is None else [path]
    if name == C:
        program = tools.load.program("server")
        if program is None:
            raise Missing("there is no C compiler")
        return serving(name, [str(program), receive, *where])
    options = ["--receive", receive]
    if path is not None:
        options += ["--path", path]
    if limit is not None:
        options += ["--limit", str(limit)]
    if http:
        options.append("--http")
    if datagrams:
        options.append("--datagrams")
    return server("servers", name, *options)


def measured(
    pid: int,
    load: Callable[[float], dict[str, Any]],
    bytes_per_item: float | None = None,
    *,
    datagrams: bool = False,
) -> Running:
    """Return a server that is up, and measured under a load.

    Args:
        pid: its process.
        load: loads it for so many seconds, and returns what the load says.
        bytes_per_item: as in a `Measurement`.
        datagrams: some of which may be lost.
    """

    def measure(seconds: float) -> Measurement:
        before = usage(pid)
        result = load(seconds)
        after = usage(pid)
        made = Measurement(
            result["operations"],
            result["seconds"],
            p50_us=result["p50_us"],
            p99_us=result["p99_us"],
            peak_rss=peak_memory(pid),
            bytes_per_item=bytes_per_item,
            lost=result["lost"] if datagrams else None,
        )
        if before and after:
            made.cpu_s, made.user_s, made.system_s = after.since(before)
        return made

    return Running(measure, pid)

"""Echo: each connection sends a message, waits until it is back, and sends the next.

With a timeout around each receive, over a Unix socket, or with more messages in flight, it is a suite
of its own.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..servers import SERVERS, TIMED
from ..suite import Case, Running, Subject
from .served import Served, measured, served

if TYPE_CHECKING:
    from contextlib import ExitStack

    from ..suite import Tools

#: The sizes of a message in bytes, as people say them.
_SIZES: Final = {16: "16 B", 1024: "1 KiB", 65536: "64 KiB", 1 << 20: "1 MiB"}

#: What a subject is called that has a timeout around each receive, behind the name of the server.
_TIMED: Final = "-timeout"

#: The timeout in seconds: no message takes as long.
_LIMIT: Final = 60.0


def _case(size: int, connections: int, flight: int = 1) -> Case:
    name = f"{_SIZES[size]}, {connections} connection{'s' if connections > 1 else ''}"
    parameters: dict[str, int | str | bool] = {"size": size, "connections": connections}
    if flight > 1:
        name += f", {flight} in flight"
        parameters["flight"] = flight
    return Case(name, parameters)


class Echo(Served):
    """The echo servers under the load generator.

    Args:
        name: as `Suite.name`.
        title: as `Suite.title`.
        quick: the cases that the bars name.
        full: all of them.
    """

    what = "round trips"
    axis = "connections"

    def __init__(self, name: str, title: str, quick: list[Case], full: list[Case]) -> None:
        self.name = name
        self.title = title
        self._quick = quick
        self._full = full

    def cases(self, *, full: bool) -> list[Case]:
        """As `Suite.cases`."""
        return self._full if full else self._quick


class EchoTimeout(Echo):
    """The servers that can put a timeout around each receive with one that never fires, and ours without."""

    def subjects(self, case: Case) -> list[Subject]:
        """As `Suite.subjects`."""
        ours = [one for one in super().subjects(case) if one.kind == "reactor"]
        timed = [Subject(name + _TIMED, SERVERS[name].kind, SERVERS[name].needs) for name in TIMED]
        return [*ours, *timed]

    def start(self, case: Case, subject: Subject, tools: Tools, stack: ExitStack) -> Running:
        """As `Suite.start`."""
        name = subject.name.removesuffix(_TIMED)
        limit = None if name == subject.name else _LIMIT
        pid, port = stack.enter_context(served(name, case, tools, limit=limit))
        return measured(pid, lambda seconds: self.load(case, tools, port, seconds))


class Unix(Echo):
    """The servers on Unix sockets, each in a folder of its own."""

    def start(self, case: Case, subject: Subject, tools: Tools, stack: ExitStack) -> Running:
        """As `Suite.start`."""
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        path = str(Path(folder) / "echo")
        pid, _ = stack.enter_context(served(subject.name, case, tools, path=path))
        return measured(pid, lambda seconds: self.load(case, tools, path, seconds))


_USUAL = [_case(1024, 100)]

SUITES: Final = (
    Echo(
        "echo",
        "Echo",
        [*_USUAL, _case(1 << 20, 1), _case(1 << 20, 10)],
        [_case(size, among) for size in _SIZES for among in (1, 10, 100, 1000)],
    ),
    EchoTimeout("echo-timeout", "Echo with a timeout around each receive", _USUAL, _USUAL),
    Echo(
        "pipelined",
        "Echo with many messages on the way",
        [_case(16, 100, 16)],
        [_case(size, among, 16) for size in (16, 1024) for among in (1, 10, 100)],
    ),
    Unix(
        "unix",
        "Echo over Unix sockets",
        _USUAL,
        [_case(1024, among) for among in (1, 10, 100)],
    ),
)

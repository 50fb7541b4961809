"""Echo: each connection sends a message, waits until it is back, and sends the next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..process import cpu_seconds, peak_memory, server
from ..servers import SERVERS
from ..suite import Case, Measurement, Subject, Suite

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

    from ..suite import Tools

#: The sizes of a message in bytes, as people say them.
_SIZES = {16: "16 B", 1024: "1 KiB"}


class Echo(Suite):
    """The echo servers, one process each, under the load generator."""

    name = "echo"
    title = "Echo"
    what = "round trips"
    axis = "connections"

    def cases(self, *, full: bool) -> list[Case]:
        """As `Suite.cases`."""
        chosen = [(1024, 100)]
        if full:
            chosen = [(size, among) for size in _SIZES for among in (1, 10, 100, 1000)]
        return [
            Case(
                f"{_SIZES[size]}, {among} connection{'s' if among > 1 else ''}",
                {"size": size, "connections": among},
            )
            for size, among in chosen
        ]

    def subjects(self, case: Case) -> list[Subject]:
        """As `Suite.subjects`."""
        return [Subject(name, kind, needs) for name, (kind, needs, _) in SERVERS.items()]

    def start(
        self, case: Case, subject: Subject, tools: Tools, stack: ExitStack
    ) -> Callable[[float], Measurement]:
        """As `Suite.start`."""
        pid, port = stack.enter_context(server("servers", subject.name))
        connections, size = int(case.parameters["connections"]), int(case.parameters["size"])

        def measure(seconds: float) -> Measurement:
            before = cpu_seconds(pid)
            result = tools.load.echo(port, connections, size, seconds)
            after = cpu_seconds(pid)
            made = Measurement(
                result["operations"],
                result["seconds"],
                p50_us=result["p50_us"],
                p99_us=result["p99_us"],
                peak_rss=peak_memory(pid),
            )
            if before and after:
                made.user_s, made.system_s = after[0] - before[0], after[1] - before[1]
            return made

        return measure


SUITE = Echo()

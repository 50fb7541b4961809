"""What the suites have in common that put the echo servers under the load generator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..process import cpu_seconds, peak_memory, server
from ..servers import SERVERS
from ..suite import Case, Measurement, Subject, Suite

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

    from ..suite import Tools


class Served(Suite):
    """The echo servers, one process each, under one of the loads."""

    def subjects(self, case: Case) -> list[Subject]:
        """As `Suite.subjects`."""
        return [Subject(name, kind, needs) for name, (kind, needs, _) in SERVERS.items()]

    def start(
        self, case: Case, subject: Subject, tools: Tools, stack: ExitStack
    ) -> Callable[[float], Measurement]:
        """As `Suite.start`."""
        pid, port = stack.enter_context(server("servers", subject.name))
        return measured(pid, lambda seconds: self.load(case, tools, port, seconds))

    def load(self, case: Case, tools: Tools, port: int, seconds: float) -> dict[str, Any]:
        """Load the server at `port` of this machine for `seconds`; returns what the load says."""
        connections, size = int(case.parameters["connections"]), int(case.parameters["size"])
        return tools.load.echo(port, connections, size, seconds)


def measured(
    pid: int, load: Callable[[float], dict[str, Any]], bytes_per_item: float | None = None
) -> Callable[[float], Measurement]:
    """Return what loads a server for so many seconds, and measures it.

    Args:
        pid: its process.
        load: loads it for so many seconds, and returns what the load says.
        bytes_per_item: as in a `Measurement`.
    """

    def measure(seconds: float) -> Measurement:
        before = cpu_seconds(pid)
        result = load(seconds)
        after = cpu_seconds(pid)
        made = Measurement(
            result["operations"],
            result["seconds"],
            p50_us=result["p50_us"],
            p99_us=result["p99_us"],
            peak_rss=peak_memory(pid),
            bytes_per_item=bytes_per_item,
        )
        if before and after:
            made.user_s, made.system_s = after[0] - before[0], after[1] - before[1]
        return made

    return measure

"""Datagrams: each UDP socket sends one, waits until it is back, and sends the next.

What does not come back in a while is sent again, and counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..servers import SERVERS
from ..suite import Case, Running, Subject
from .served import C, Served, measured, served

if TYPE_CHECKING:
    from contextlib import ExitStack

    from ..suite import Tools


class Datagram(Served):
    """The servers that have something for datagrams."""

    name = "datagram"
    title = "Echo of UDP datagrams"
    what = "round trips"

    def cases(self, *, full: bool) -> list[Case]:
        """As `Suite.cases`; all of them take little time."""
        del full
        return [
            Case(f"{text}, 100 sockets", {"size": size, "sockets": 100})
            for size, text in ((64, "64 B"), (1024, "1 KiB"))
        ]

    def subjects(self, case: Case) -> list[Subject]:
        """As `Suite.subjects`."""
        return [
            one
            for one in super().subjects(case)
            if one.name == C or SERVERS[one.name].datagrams is not None
        ]

    def start(self, case: Case, subject: Subject, tools: Tools, stack: ExitStack) -> Running:
        """As `Suite.start`."""
        sockets, size = int(case.parameters["sockets"]), int(case.parameters["size"])
        pid, port = stack.enter_context(served(subject.name, case, tools, datagrams=True))
        return measured(
            pid,
            lambda seconds: tools.load.datagrams(port, sockets, size, seconds),
            datagrams=True,
        )


SUITE = Datagram()

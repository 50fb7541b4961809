"""Echo: each connection sends a message, waits until it is back, and sends the next."""

from __future__ import annotations

from ..suite import Case
from .served import Served

#: The sizes of a message in bytes, as people say them.
_SIZES = {16: "16 B", 1024: "1 KiB"}


class Echo(Served):
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


SUITE = Echo()

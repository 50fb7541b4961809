"""HTTP/1.1: each connection sends a request, waits for the answer, and sends the next."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from ..suite import Case, Subject
from .served import C, Served

if TYPE_CHECKING:
    from ..suite import Tools

#: Knows the protocol, for all of them.
_PROTOCOL: Final = "h11"


class Http(Served):
    """The same h11 code on every library: what is left of a lead when the handler does something."""

    name = "http"
    title = "HTTP/1.1 with h11"
    what = "requests"
    axis = "connections"
    http = True

    def cases(self, *, full: bool) -> list[Case]:
        """As `Suite.cases`."""
        return [
            Case(
                f"keep-alive, {among} connection{'s' if among > 1 else ''}", {"connections": among}
            )
            for among in ((1, 100, 1000) if full else (100,))
        ]

    def subjects(self, case: Case) -> list[Subject]:
        """As `Suite.subjects`; the server in C knows no HTTP."""
        there = find_spec(_PROTOCOL) is not None
        return [
            one if there else Subject(one.name, one.kind, _PROTOCOL)
            for one in super().subjects(case)
            if one.name != C
        ]

    def load(self, case: Case, tools: Tools, where: int | str, seconds: float) -> dict[str, Any]:
        """As `Served.load`."""
        return tools.load.http(where, int(case.parameters["connections"]), seconds)


SUITE = Http()

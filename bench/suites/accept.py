"""Accept: a connection is opened, used for one byte each way, and closed; then comes the next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..suite import Case
from .served import Served

if TYPE_CHECKING:
    from ..suite import Tools


class Accept(Served):
    """What a connection costs that lives for one exchange.

    The client closes with a reset, which keeps no port busy for a minute: so the run is as long as
    one likes, and every server sees the same end.
    """

    name = "accept"
    title = "Accept"
    what = "connections"
    axis = "connections"

    def cases(self, *, full: bool) -> list[Case]:
        """As `Suite.cases`."""
        named = "connect, one byte each way, close"
        cases = [Case(named, {"connections": 100})]
        if full:
            cases += [
                Case(f"{named}: {among} at a time", {"connections": among}) for among in (1, 10)
            ]
        return cases

    def load(self, case: Case, tools: Tools, where: int | str, seconds: float) -> dict[str, Any]:
        """As `Served.load`."""
        return tools.load.accept(where, int(case.parameters["connections"]), seconds)


SUITE = Accept()

"""Idle: some connections are active, and thousands more are open and say nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..accounts import memory
from ..process import descriptors, server
from ..suite import Case, Missing, Running, Subject
from .served import Served, measured

if TYPE_CHECKING:
    from contextlib import ExitStack

    from ..suite import Tools

#: What a process has open beside its connections, with room to spare.
_OTHERS: Final = 24

#: `select` takes only descriptors below this, wherever it is a set of bits (FD_SETSIZE).
_SET: Final = 1024

#: Active connections, and the size of their messages in bytes.
_ACTIVE: Final = 100
_MESSAGE: Final = 1024

#: With this share of the idle connections that it is about, a case is still that case. What it has
#: in truth stands in its name and on the axis.
_ENOUGH: Final = 0.95

#: Those of which a curve is drawn: each of ours, and who answers to the same in another way.
_PEERS: Final = ("bare-epoll", "asyncio-streams", "uvloop-streams")


class Idle(Served):
    """What an active connection costs beside idle ones."""

    name = "idle"
    title = "Idle connections beside 100 active ones"
    what = "round trips"
    axis = "idle"

    def cases(self, *, full: bool) -> list[Case]:
        """As `Suite.cases`."""
        chosen = (0, 400, 800, 1000, 5000, 10_000, 20_000) if full else (0, 20_000)
        return [self._case(count) for count in chosen]

    def _case(self, count: int) -> Case:
        name, had = f"{count} idle", count
        with descriptors(_wanted(count)) as allowed:
            less = count - (_wanted(count) - allowed)
        if _ENOUGH * count <= less < count:
            name += f" ({less:,}: a process may have {allowed:,} descriptors)"
            had = less
        return Case(name, {"idle": had, "connections": _ACTIVE, "size": _MESSAGE})

    def subjects(self, case: Case) -> list[Subject]:
        """As `Suite.subjects`."""
        return [
            one for one in super().subjects(case) if one.kind == "reactor" or one.name in _PEERS
        ]

    def start(self, case: Case, subject: Subject, tools: Tools, stack: ExitStack) -> Running:
        """As `Suite.start`."""
        idle = int(case.parameters["idle"])
        wanted = _wanted(idle)
        if subject.name == "reactor-select" and wanted > _SET:
            raise Missing(f"select takes {_SET} descriptors at most, and {idle:,} idle want more")
        with descriptors(wanted) as allowed:
            if allowed < wanted:
                raise Missing(f"a process may have {allowed:,} descriptors, and wants {wanted:,}")
            pid, port = stack.enter_context(server("servers", subject.name))
            before = memory(pid)
            stack.enter_context(tools.load.held(port, idle))
        after = memory(pid)
        each = (
            (after - before) / idle if idle and after is not None and before is not None else None
        )
        return measured(pid, lambda seconds: self.load(case, tools, port, seconds), each)


def _wanted(idle: int) -> int:
    """Return how many descriptors a server has beside so many idle connections.

    The active ones of a round may come before it has closed those of the round before.
    """
    return idle + 2 * _ACTIVE + _OTHERS


SUITE = Idle()

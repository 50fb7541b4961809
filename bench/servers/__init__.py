"""The servers that are compared: ``python -m bench.servers NAME`` prints its port and serves.

Each does what its library's own documentation shows for a fast echo, without logging; with ``--http`` it
answers requests instead, all with the same h11 code. All of them listen alike and ask a receive for the
same size, but for the protocols, whose loop chooses it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final, NamedTuple

from reactor import backends

from .settings import BACKLOG

if TYPE_CHECKING:
    from ..suite import Kind

__all__ = ["BACKLOG", "SERVERS", "TIMED", "Server"]


class Server(NamedTuple):
    """One of the servers that are written in Python.

    Attributes:
        kind: ours, a limit, or a peer.
        needs: the module without which it cannot be run; None if it needs none.
        serve: its function, as ``module:function`` of this package, and what that is told beside the
            settings.
        datagrams: the same of what serves datagrams; None if it has nothing for them.
    """

    kind: Kind
    needs: str | None
    serve: tuple[str, ...]
    datagrams: tuple[str, ...] | None = None


#: What the tables call a server -> what it is.
SERVERS: Final[dict[str, Server]] = {
    **{
        f"reactor-{name}": Server(
            "reactor", None, ("ours:serve", name), ("ours:serve_datagrams", name)
        )
        for name in backends.available()
    },
    **(
        {"bare-epoll": Server("limit", None, ("bare:serve",), ("bare:serve_datagrams",))}
        if sys.platform == "linux"
        else {}
    ),
    **{
        f"{loop}-{way}": Server(
            "peer",
            needs,
            (f"aio:{way}", loop),
            ("aio:datagrams", loop) if way == "protocol" else None,
        )
        for loop, needs in (("asyncio", None), ("uvloop", "uvloop"))
        for way in ("streams", "protocol", "sock")
    },
    "trio": Server("peer", "trio", ("with_trio:serve",), ("with_trio:serve_datagrams",)),
    "curio": Server("peer", "curio", ("with_curio:serve",), ("with_curio:serve_datagrams",)),
    "gevent": Server("peer", "gevent", ("with_gevent:serve",), ("with_gevent:serve_datagrams",)),
    "anyio": Server("peer", "anyio", ("with_anyio:serve",), ("with_anyio:serve_datagrams",)),
}

#: Those that can put a timeout around a receive; a protocol has none.
TIMED: Final = tuple(
    name for name in SERVERS if name != "bare-epoll" and not name.endswith("-protocol")
)

"""The suites, in the order in which they are run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from . import accept, datagram, echo, http, idle, loops, threads

if TYPE_CHECKING:
    from ..suite import Suite

SUITES: Final[dict[str, Suite]] = {
    suite.name: suite
    for suite in (
        *echo.SUITES,
        datagram.SUITE,
        accept.SUITE,
        http.SUITE,
        idle.SUITE,
        *loops.SUITES,
        threads.SUITE,
    )
}

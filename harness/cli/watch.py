"""How a run comes along, on standard error."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from .show import console, plain

if TYPE_CHECKING:
    from ..model import Result

#: Seconds between two lines of progress where there is no terminal to draw a bar on.
_EVERY = 5.0


class Watcher:
    """Shows on standard error how a run comes along: a bar on a terminal, else a line now and then."""

    def __init__(self, total: int) -> None:
        self._console = console(stderr=True)
        self._done = self._unexpected = 0
        self._total = total
        self._said = time.monotonic()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("scenarios", total=total)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._bar.stop()

    def __call__(self, result: Result, place: str = "") -> None:
        """Take in one more result; `place` says where it comes from, if that is not this machine."""
        self._done += 1
        self._bar.advance(self._task)
        if result.unexpected:
            self._unexpected += 1
            where = f"{place}: " if place else ""
            self._console.print(
                plain(f"{where}{result.status} {result.id}: {result.reason}"), soft_wrap=True
            )
        now = time.monotonic()
        if not self._console.is_terminal and now - self._said >= _EVERY:
            self._said = now
            self._console.print(
                f"{self._done} of {self._total} scenarios, {self._unexpected} unexpected"
            )

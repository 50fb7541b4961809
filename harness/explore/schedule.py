"""A schedule written down: as a string that replays it, and as a timeline for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .steps import ExploreError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .control import Worker
    from .steps import Step


def format_replay(name: str, choices: Sequence[int]) -> str:
    """Write a schedule down."""
    runs: list[list[int]] = []
    for choice in choices:
        if runs and runs[-1][0] == choice:
            runs[-1][1] += 1
        else:
            runs.append([choice, 1])
    return f"{name}:" + ",".join(f"{choice + 1}*{count}" for choice, count in runs)


def parse_replay(text: str) -> tuple[str, list[int]]:
    """Read what `format_replay` wrote.

    Raises:
        ExploreError: it is malformed; says where.
    """
    name, colon, rest = text.partition(":")
    if not colon:
        raise ExploreError(f"{text!r} is no replay string, such as post-vs-sleep-edge:1*12,2*3")
    choices: list[int] = []
    for part in rest.split(",") if rest else ():
        thread, star, count = part.partition("*")
        if not star or not thread.isdigit() or not count.isdigit() or not 1 <= int(thread) <= 64:
            raise ExploreError(f"replay string: {part!r} is not thread*steps, such as 2*31")
        if int(count) > 1_000_000:
            raise ExploreError(f"replay string: {part!r} has more steps than any schedule")
        choices += [int(thread) - 1] * int(count)
    return name, choices


class Watcher:
    """Writes down what each thread does, a line for each function of the reactor that it is in."""

    def __init__(self) -> None:
        self._pieces: list[tuple[str, str, list[str]]] = []

    def __call__(self, worker: Worker, step: Step) -> None:
        """Take in one step, or an access that was no choice."""
        where = worker.where
        last = self._pieces[-1] if self._pieces else None
        if last is None or last[:2] != (worker.name, where):
            last = (worker.name, where, [])
            self._pieces.append(last)
        if not last[2] or last[2][-1] != step.label:
            last[2].append(step.label)

    def lines(self) -> list[str]:
        """Return the timeline."""
        width = max((len(name) for name, _, _ in self._pieces), default=0)
        return [
            f"{name:<{width}}  {where + ': ' if where else ''}{', '.join(labels)}"
            for name, where, labels in self._pieces
        ]

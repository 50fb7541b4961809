"""Which races are explored, the law that each is an instance of, and the programs that do it.

A program stands here under its name without variants (backend, number of runners).
"""

from __future__ import annotations

from typing import NamedTuple

from .programs import PROGRAMS
from .steps import ExploreError


class Race(NamedTuple):
    """A race.

    Attributes:
        about: what meets what.
        law: its number in the contract.
        programs: names or beginnings of names.
    """

    about: str
    law: int
    programs: tuple[str, ...]


RACES = (
    Race("post, leader going to sleep", 2, ("post-vs-sleep", "post-vs-leader-and-follower")),
    Race("post, post, leader", 2, ("post-post-leader", "post-twice-from-one-thread")),
    Race("stop, sleep", 2, ("stop-vs-sleep", "stop-vs-two-runners")),
    Race("stop, post", 2, ("stop-vs-post", "post-then-stop-vs-sleep")),
    Race("restart after stop", 2, ("restart-after-stop",)),
    Race(
        "last work finishing, new work",
        2,
        ("last-work-vs-new-work", "last-work-posts-more", "guards-released-together"),
    ),
    Race("new earliest timer, wait in progress", 7, ("earlier-timer-vs-wait",)),
    Race(
        "cancel, readiness",
        4,
        ("cancel-vs-readiness", "cancel-in-scope-vs-readiness", "cancel-vs-stolen-data"),
    ),
    Race("cancel, cancel", 1, ("cancel-vs-cancel", "cancel-vs-posted-cancel")),
    Race("close, readiness in the same batch", 5, ("close-vs-readiness-in-one-batch",)),
    Race("close, readiness on its way", 5, ("close-vs-readiness",)),
    Race("close, park", 5, ("close-vs-park", "close-vs-call")),
    Race(
        "readiness, park",
        2,
        (
            "readiness-vs-park",
            "readiness-vs-who-leaves",
            "edge-during-an-empty-call",
            "first-wait-to-send",
            "park-without-mutex",
        ),
    ),
    Race(
        "two readiness events, one operation",
        1,
        ("two-edges-one-operation", "two-edges-from-one-thread"),
    ),
    Race("handler that raises, other work queued", 10, ("handler-raises-with-work-queued",)),
    Race("leader hand-over, full queue", 8, ("handler-posts-while-others-sleep",)),
    Race("interest change, level-triggered wait", 8, ("interest-vs-level-wait",)),
    Race(
        "`run_one` beside `run`",
        8,
        ("run-one-beside-run", "run-one-leads-and-leaves", "bounded-run-leads-and-leaves"),
    ),
    Race(
        "context close beside `post`",
        5,
        (
            "close-vs-post",
            "close-vs-run-and-post",
            "close-vs-spawn",
            "close-with-a-parked-receive",
            "close-vs-running-handler",
            "wake-up-on-its-way-vs-close",
        ),
    ),
    Race("failing waker, post", 2, ("waker-fails-once",)),
    Race("timer firing, its cancel", 7, ("timer-cancel-vs-fire",)),
    Race(
        "deadline moved, its block entered or left",
        7,
        ("reschedule-vs-enter", "reschedule-vs-leave", "alarm-vs-next-timeout"),
    ),
    Race("deadline, readiness and the next block", 7, ("ring-vs-next-timeout",)),
    Race(
        "cancel of a block, entering and leaving",
        4,
        ("cancel-outside-vs-leave", "cancel-vs-enter", "cancel-vs-leave"),
    ),
    Race(
        "turn of a task, cancel",
        4,
        ("cancel-vs-yield", "cancel-vs-deferred-receive", "scope-cancel-vs-resume"),
    ),
    Race("yield, other runners", 1, ("yield-between-runners",)),
    Race("end of a task, its join", 1, ("join-vs-end",)),
    Race("event set, wait", 2, ("event-set-vs-wait",)),
    Race("strand: post, end of the one before", 2, ("strand-post-vs-hand-on",)),
    Race("strand: step of a task, post", 2, ("strand-task-vs-post",)),
    Race("strand: cancel, turn", 4, ("strand-cancel-vs-turn",)),
    Race("queue put, cancelled get", 3, ("queue-put-vs-cancelled-get",)),
)


def race_of(name: str) -> Race:
    """Return the race that a program explores: the one with the longest fitting name.

    Raises:
        ExploreError: it is in no race's list.
    """
    fitting = [
        (len(begin), race)
        for race in RACES
        for begin in race.programs
        if name == begin or name.startswith(f"{begin}-")
    ]
    if not fitting:
        raise ExploreError(f"program {name} stands with no race in harness/explore/laws.py")
    return max(fitting, key=lambda item: item[0])[1]


def programs_of(race: Race) -> list[str]:
    """Return the names of the programs that explore a race."""
    return [name for name in PROGRAMS if race_of(name) is race]

"""Programs as Hypothesis draws them, and as files hold them.

Hypothesis is asked for only when programs are drawn to be shrunk: a record can be made, and checked,
without it.
"""

from __future__ import annotations

import itertools
import json
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from hypothesis.strategies import SearchStrategy

    from .compare import Comparison
    from .player import Step


@dataclass(frozen=True)
class _Poller:
    """The words for watching something: how it begins, how something is added, and all of them."""

    begin: tuple[str, ...]
    add: tuple[str, ...]
    wait: tuple[str, ...]
    change: tuple[str, ...]


#: By the extension that it takes; `None` is what every system has.
_POLLERS = {
    "epoll": _Poller(("epoll",), ("ep_add",), ("ep_wait",), ("ep_add", "ep_mod", "ep_del")),
    "kqueue": _Poller(
        ("kqueue",),
        ("kq_change",),
        ("kq_wait",),
        ("kq_change", "kq_again", "kq_again", "kq_batch"),
    ),
    None: _Poller((), (), ("poll", "select"), ()),
}

_STREAM = ("send", "send", "recv", "recv", "shutdown", "close", "peek", "error", "peer")
_FULL = ("fill", "fill", "drain", "sip", "send", "recv")

Theme = tuple[tuple[str, ...], tuple[str, ...]]


def _themes(poller: _Poller) -> dict[str, Theme]:
    begin, add, wait = poller.begin, poller.add, poller.wait
    watch = (*poller.change, *wait * 3, "close", "dup")
    return {
        "tcp": (
            ("tcp_pair", *begin, *add),
            (*watch, *_STREAM, "urgent", "recv_urgent", "linger", "tcp_pair"),
        ),
        "ends": (
            ("tcp_pair", *begin, *add, *add),
            (*wait * 4, "send", "send", "recv", "shutdown", "close", "abort", *poller.change),
        ),
        "connect": (
            ("tcp_listener", "tcp", *begin, *add),
            (
                *(*watch, *_STREAM, "tcp", "tcp_listener", "connect", "connect", "linger"),
                *("client", "client", "accept", "accept", "abort"),
            ),
        ),
        "unix": (("unix_pair", *begin, *add), (*watch, *_STREAM, "unix_pair")),
        "edges": (
            ("unix_pair", *begin, *add, *add),
            (*(*wait, "send", "recv") * 4, *poller.change, "tcp_pair"),
        ),
        "unix connect": (
            ("unix_listener", "unix", *begin, *add),
            (
                *(*watch, *_STREAM, "unix", "unix_listener", "connect", "connect"),
                *("client", "client", "accept", "accept"),
            ),
        ),
        "accepting": (
            ("tcp_listener", *begin, *add, "client", "client", *wait, "accept", *wait),
            (*wait * 2, "client", "client", "accept", "accept", "abort", "close", *poller.change),
        ),
        "datagrams": (
            ("dgram_pair", "udp_pair", *begin, *add),
            (*watch, "send", "send", "recv", "recv", "peek", "error"),
        ),
        "plain": (
            ("pipe", "eventfd", *begin, *add),
            (*watch, *("read", "write", "write") * 4, "pipe", "timerfd", "settime"),
        ),
        "full": (
            ("unix_pair", *begin, *add, "fill"),
            (*watch, *_FULL * 2, "shutdown", "tcp_pair", "dgram_pair", "abort"),
        ),
        "full pipe": (
            ("pipe", *begin, *add, "fill"),
            (*poller.change, *wait * 4, *("fill", "drain", "sip", "read", "write") * 2, "close"),
        ),
    }


#: Kinds of programs, by the poller that they use, each by the calls that it begins with and those
#: that it draws from. Programs of few calls go deeper than programs of all of them.
THEMES: dict[str | None, dict[str, Theme]] = {
    extension: _themes(poller) for extension, poller in _POLLERS.items()
}
THEMES["kqueue"]["users and timers"] = (
    ("kqueue", "kq_user", "unix_pair"),
    (*("kq_user", "kq_user", "kq_wait") * 3, "kq_timer", "kq_fire", "kq_change", "send", "recv"),
)
for _of_poller in THEMES.values():
    _of_poller["everything"] = (
        (),
        (
            *dict.fromkeys(call for first, then in _of_poller.values() for call in (*first, *then)),
            *("poll", "select", "poll", "select"),
        ),
    )

CALLS = frozenset(call for themes in THEMES.values() for call in themes["everything"][1])


def themes_for(extensions: Collection[str]) -> dict[str, Theme]:
    """Return the kinds of programs for kernels that have these extensions."""
    return THEMES[next((name for name in ("epoll", "kqueue") if name in extensions), None)]


def _drawn_from(first: tuple[str, ...], then: tuple[str, ...]) -> SearchStrategy[list[Step]]:
    """Several lists in a row: one alone is short on the average, unless it has a least length, below
    which it could not be shrunk.
    """  # noqa: D205 - one sentence
    from hypothesis import strategies as st

    number = st.integers(0, 59)
    begin = st.tuples(*[st.tuples(st.just(call), number, number, number) for call in first])
    part = st.lists(st.tuples(st.sampled_from(then), number, number, number), max_size=12)
    return st.tuples(begin, *[part] * 4).map(lambda parts: list(itertools.chain(*parts)))


def sample(count: int, seed: int, themes: Iterable[Theme]) -> Iterator[list[Step]]:
    """Draw `count` programs from `seed` without Hypothesis, which is not on every machine that can
    be recorded; they are not shrunk.
    """  # noqa: D205 - one sentence
    choose = random.Random(seed)
    known = list(themes)

    def step(call: str) -> Step:
        return call, choose.randrange(60), choose.randrange(60), choose.randrange(60)

    for _ in range(count):
        first, then = choose.choice(known)
        calls = [*first, *(choose.choice(then) for _ in range(choose.randrange(48)))]
        yield [step(call) for call in calls]


class Disagreement(AssertionError):
    """The two kernels part, and this is the shortest program that was found to show it.

    Attributes:
        program: the steps.
    """

    def __init__(self, program: list[Step], difference: object) -> None:
        super().__init__(f"{difference}")
        self.program = program


def verify(
    comparison: Comparison,
    count: int,
    seed: int,
    progress: Callable[[], object] = lambda: None,
    *,
    themes: Iterable[str] | None = None,
    shrink: bool = True,
) -> None:
    """Play `count` programs drawn from `seed` on both kernels.

    Args:
        comparison: the two kernels.
        count: how many programs are drawn.
        seed: the same seed draws the same programs.
        progress: called after each program.
        themes: names of the kinds of programs, all of `themes_for` by default.
        shrink: look for a shorter program that differs.

    Raises:
        Disagreement: one differs; it has been shrunk if that was asked for, and if it still differed
            when it was played again.
    """
    from hypothesis import HealthCheck, Phase, given, seed as with_seed, settings, strategies as st
    from hypothesis.errors import Flaky

    known = themes_for(comparison.extensions)
    latest: list[Disagreement] = []

    @with_seed(seed)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink) if shrink else (Phase.generate,),
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    @given(st.one_of(*[_drawn_from(*known[name]) for name in themes or known]))
    def play(program: list[Step]) -> None:
        difference = comparison.difference(program)
        progress()
        if difference is not None:
            latest[:] = [Disagreement(program, difference)]
            raise latest[0]

    try:
        play()
    except Flaky:
        found = latest[0]
        raise Disagreement(found.program, f"{found}\nbut not when it was played again") from None


def to_text(program: list[Step]) -> str:
    """Write a program as JSON, one step a line."""
    return "[\n" + ",\n".join(f"  {json.dumps(step)}" for step in program) + "\n]\n"


def from_text(text: str) -> list[Step]:
    """Read a program back.

    Raises:
        ValueError: it is not one.
    """
    return checked(json.loads(text))


def checked(loaded: Any) -> list[Step]:
    """Return what was read from JSON as a program.

    Raises:
        ValueError: it is not one.
    """
    if not isinstance(loaded, list):
        raise ValueError("a program is a list of steps")  # noqa: TRY004 - one kind of error for who reads a file
    program = []
    for step in loaded:
        if not (
            isinstance(step, list)
            and len(step) == 4
            and isinstance(step[0], str)
            and step[0] in CALLS
            and all(isinstance(number, int) and number >= 0 for number in step[1:])
        ):
            raise ValueError(f"not a step: {step!r}")
        program.append((step[0], step[1], step[2], step[3]))
    return program

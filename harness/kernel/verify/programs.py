"""Programs as Hypothesis draws them, and as files hold them."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, Phase, given, seed as with_seed, settings, strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .compare import Comparison
    from .player import Step

_WATCH = ("ep_add", "ep_mod", "ep_del", "ep_wait", "ep_wait", "ep_wait", "close", "dup")
_STREAM = ("send", "send", "recv", "recv", "shutdown", "close", "peek", "error", "peer")

#: Kinds of programs, each by the calls that it begins with and those that it draws from. Programs
#: of few calls go deeper than programs of all of them.
THEMES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "tcp": (
        ("tcp_pair", "epoll", "ep_add"),
        (*_WATCH, *_STREAM, "urgent", "recv_urgent", "linger", "tcp_pair"),
    ),
    "connect": (
        ("tcp_listener", "tcp", "epoll", "ep_add"),
        (*_WATCH, *_STREAM, "tcp", "tcp_listener", "connect", "connect", "accept", "linger"),
    ),
    "unix": (("unix_pair", "epoll", "ep_add"), (*_WATCH, *_STREAM, "unix_pair")),
    "edges": (
        ("unix_pair", "epoll", "ep_add", "ep_add"),
        (*("ep_wait", "send", "recv") * 4, "ep_add", "ep_mod", "tcp_pair"),
    ),
    "unix connect": (
        ("unix_listener", "unix", "epoll", "ep_add"),
        (*_WATCH, *_STREAM, "unix", "unix_listener", "connect", "connect", "accept"),
    ),
    "datagrams": (
        ("dgram_pair", "udp_pair", "epoll", "ep_add"),
        (*_WATCH, "send", "send", "recv", "recv", "peek", "error"),
    ),
    "plain": (
        ("pipe", "eventfd", "epoll", "ep_add"),
        (*_WATCH, *("read", "write", "write") * 4, "pipe", "timerfd", "settime"),
    ),
}
THEMES["everything"] = (
    (),
    (
        *dict.fromkeys(call for first, then in THEMES.values() for call in (*first, *then)),
        *("poll", "select", "poll", "select"),
    ),
)
CALLS = frozenset(THEMES["everything"][1])

_NUMBER = st.integers(0, 59)


def _drawn_from(first: tuple[str, ...], then: tuple[str, ...]) -> st.SearchStrategy[list[Step]]:
    """Several lists in a row: one alone is short on the average, unless it has a least length, below
    which it could not be shrunk.
    """  # noqa: D205 - one sentence
    begin = st.tuples(*[st.tuples(st.just(call), _NUMBER, _NUMBER, _NUMBER) for call in first])
    part = st.lists(st.tuples(st.sampled_from(then), _NUMBER, _NUMBER, _NUMBER), max_size=12)
    return st.tuples(begin, *[part] * 4).map(lambda parts: list(itertools.chain(*parts)))


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
    themes: Iterable[str] = THEMES,
    shrink: bool = True,
) -> None:
    """Play `count` programs drawn from `seed` on both kernels.

    Args:
        comparison: the two kernels.
        count: how many programs are drawn.
        seed: the same seed draws the same programs.
        progress: called after each program.
        themes: the kinds of programs, of `THEMES`.
        shrink: look for a shorter program that differs.

    Raises:
        Disagreement: one differs; it has been shrunk if that was asked for.
    """

    @with_seed(seed)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink) if shrink else (Phase.generate,),
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    @given(st.one_of(*[_drawn_from(*THEMES[theme]) for theme in themes]))
    def play(program: list[Step]) -> None:
        difference = comparison.difference(program)
        progress()
        if difference is not None:
            raise Disagreement(program, difference)

    play()


def to_text(program: list[Step]) -> str:
    """Write a program as JSON, one step a line."""
    return "[\n" + ",\n".join(f"  {json.dumps(step)}" for step in program) + "\n]\n"


def from_text(text: str) -> list[Step]:
    """Read a program back.

    Raises:
        ValueError: it is not one.
    """
    loaded: Any = json.loads(text)
    if not isinstance(loaded, list):
        raise ValueError("a program is a list of steps")  # noqa: TRY004 - one kind of error for who reads a file
    program = []
    for step in loaded:
        if not (
            isinstance(step, list)
            and len(step) == 4
            and step[0] in CALLS
            and all(isinstance(number, int) and number >= 0 for number in step[1:])
        ):
            raise ValueError(f"not a step: {step!r}")
        program.append((step[0], step[1], step[2], step[3]))
    return program

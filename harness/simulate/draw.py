"""Draws programs: from a seed, or from the `Random` that Hypothesis gives, whose choices it shrinks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..kernel import nemesis
from .program import BLOCKS, DRIVES, ENDS, Program, Step

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from .program import Steps

#: Wakers and timers that are drawn for a backend.
_AXES: Final = {
    "epoll": ("", "", "+pipe", "+timeout", "+pipe+timeout"),
    "kqueue": ("", "", "+pipe", "+timer", "+pipe+timer"),
}

_BYTES: Final = (1, 1, 2, 5, 10, 50, 100, 1_000, 3_000, 5_000, 20_000, 70_000)
_MS: Final = (0, 0, 1, 2, 5, 10, 50, 100, 300)
#: Longer than any one wait of the reactor may be; `LONG` programs go on until after it.
_FAR_MS: Final = 100_000_000
_LONG_S: Final = 200_000.0

_MOVE: Final = (
    "send",
    "sendall",
    "sendall",
    "sendmsg",
    "recv",
    "recv",
    "recv_into",
    "recv_exactly",
)
_LOOK: Final = ("wait_readable", "wait_writable")
_END: Final = ("cancel", "close", "shutdown", "cancel_task", "cancel_scope")
_ENDING: Final = {*_END, "close_listener", "cancel_listener", "peer_reset", "reopen", "stop"} - {
    "shutdown"
}
_TIME: Final = ("sleep", "sleep", "sleep_until", "timer_wait", "timer_set", "timer_cancel", "busy")
_WORK: Final = ("post", "spawn", "join", "stop", "fail", "in_thread")
_PEER: Final = ("peer_send", "peer_send", "peer_recv", "peer_shutdown", "peer_close", "peer_reset")
_OPEN: Final = ("accept", "connect", "peer_connect")

#: Kinds of programs, each by the steps that it begins with and those that it draws from. Programs of
#: few kinds of steps go deeper than programs of all of them.
THEMES: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "streams": (("pair",), (*_MOVE * 3, *_LOOK, *_END, "sleep", "reopen", "pair")),
    "peers": (("pair_peer",), (*_MOVE * 2, *_LOOK, *_PEER * 2, *_END, "sleep", "reopen")),
    "tcp": (
        ("listen", "connect", "accept"),
        (*_MOVE * 2, *_LOOK, *_OPEN, *_END, "sleep", "close_listener"),
    ),
    "tcp peers": (("listen", "peer_connect", "accept"), (*_MOVE * 2, *_PEER * 2, *_OPEN, *_END)),
    "accept": (
        ("listen",),
        (
            *_OPEN * 3,
            *("connect_nobody", "cancel_listener", "close_listener", "listen", "cancel_task"),
            *("sleep", "close", "peer_reset", "peer_close", "recv", "send"),
        ),
    ),
    "time": ((), (*_TIME * 3, *_WORK, "cancel_task", "cancel_scope")),
    "work": (("pair",), (*_WORK * 2, "sleep", "recv", "sendall", "cancel_task", "close")),
}
THEMES["everything"] = (
    ("pair", "listen"),
    tuple(dict.fromkeys(name for first, then in THEMES.values() for name in (*first, *then))),
)

#: Steps that often stand together, on one and the same socket.
_PHRASES: Final = (
    ("peer_send", "peer_shutdown"),
    ("peer_send", "peer_close"),
    ("peer_send", "peer_reset"),
    ("recv", "recv"),
    ("recv", "recv", "recv"),
    ("sendall", "shutdown"),
    ("sendall", "close"),
    ("send", "send", "wait_writable"),
    ("shutdown", "close"),
    ("wait_readable", "recv"),
)

_OUTSIDE: Final = (
    *("post", "post", "spawn", "cancel", "cancel_task", "cancel_scope", "cancel_listener"),
    *("timer_cancel", "stop", "pause", "pause"),
)
_POSTED: Final = (
    "close",
    "shutdown",
    "timer_set",
    "reopen",
    "busy",
    "spawn",
    "cancel",
    "post",
    "cancel_task",
)


def draw(rnd: Random, backend: str, dialect: str) -> Program:
    """Draw one program.

    Args:
        rnd: where the choices come from.
        backend: the poller; its waker and timer are drawn.
        dialect: of the kernel.
    """
    theme = rnd.choice(tuple(THEMES))
    first, then = THEMES[theme]
    if rnd.random() < 0.3:  # in peace, so that more is sent and received
        then = tuple(name for name in then if name not in _ENDING)
    threads = rnd.choice((1, 1, 1, 1, 2, 2, 3))
    many = threads > 1
    tasks = []
    for number in range(rnd.randint(1, 4)):
        begin = (
            tuple(_step(rnd, name) for name in first) if not number or rnd.random() < 0.2 else ()
        )
        tasks.append(begin + _steps(rnd, then, rnd.randint(1, rnd.choice((2, 8))), depth=2))
    outside: list[Steps] = []
    while rnd.random() < (0.3, 0.4)[many] and len(outside) < 2:
        names = (*_OUTSIDE, *(name for name in then if name.startswith("peer")))
        outside.append(_steps(rnd, names, rnd.randint(1, 6), depth=0))
    far = not many and theme == "time" and rnd.random() < 0.2
    if far:
        tasks[0] = (Step("sleep", _FAR_MS), *tasks[0][:2])
    return Program(
        backend=backend + rnd.choice(_AXES.get(backend, ("",))),
        dialect=dialect,
        seed=rnd.randrange(1 << 16),
        threads=threads,
        drive="run" if many or far or rnd.random() < 0.7 else rnd.choice(DRIVES),
        end=rnd.choice(ENDS),
        seconds=_LONG_S if far else 4.0,
        tasks=tuple(tasks),
        outside=tuple(outside),
        faults=_faults(rnd) if rnd.random() < 0.6 else (),
        switches=_switches(rnd) if many or outside else (),
    )


def _steps(rnd: Random, names: Sequence[str], count: int, *, depth: int) -> Steps:
    found: list[Step] = []
    phrases = [phrase for phrase in _PHRASES if set(phrase) <= set(names)]
    for _ in range(count):
        if phrases and rnd.random() < 0.15:
            number = rnd.randrange(4)
            found += (_step(rnd, name)._replace(a=number) for name in rnd.choice(phrases))
        elif depth and rnd.random() < 0.12:
            inside = _steps(rnd, names, rnd.randint(1, 3), depth=depth - 1)
            block = rnd.choice(tuple(BLOCKS))
            found.append(Step(block, rnd.choice(_MS) if block == "timeout" else 0, 0, inside))
        else:
            found.append(_step(rnd, rnd.choice(names)))
    return tuple(found)


def _step(rnd: Random, name: str) -> Step:
    """Draw the arguments of one step."""
    if name == "post":
        return Step(name, body=_steps(rnd, _POSTED, rnd.randint(0, 2), depth=0))
    if name in {"sleep", "in_thread", "busy", "pause"}:
        return Step(name, rnd.choice(_MS))
    if name == "timer_set":
        return Step(name, rnd.randrange(2), rnd.choice(_MS))
    if name == "sleep_until":
        return Step(name, rnd.randrange(6))
    if name in {"fail", "stop", "connect_nobody"}:
        return Step(name)
    if name == "listen":
        return Step(name, rnd.choice((0, 0, 1)), rnd.randrange(6))
    if name in {"pair", "pair_peer"}:
        return Step(name, rnd.choice((0, 1, 1)))
    number = rnd.randrange(4)
    if name in {"shutdown", "peer_shutdown"}:
        return Step(name, number, rnd.choice((0, 1, 1, 1, 2)))
    if name == "connect":
        return Step(name, number, rnd.choice((0, 1, 1)))
    if name.startswith(("send", "recv", "peer_send", "peer_recv")):
        return Step(name, number, rnd.choice(_BYTES))
    return Step(name, number)


def _switches(rnd: Random) -> tuple[int, ...]:
    """Draw points: few and far apart, or many in a row."""
    apart = rnd.choice((2, 5, 15, 40))
    found, at = [], 0
    for _ in range(rnd.randint(0, 40)):
        at += rnd.randint(1, 2 * apart)
        found.append(at)
    return tuple(found)


def _faults(rnd: Random) -> tuple[nemesis.Fault, ...]:
    return tuple(_fault(rnd) for _ in range(rnd.randint(1, 4)))


def _fault(rnd: Random) -> nemesis.Fault:
    nth = rnd.randint(1, rnd.choice((3, 8, 20)))
    kind = rnd.choice(
        (
            *("fail", "short", "short", "break", "interrupt", "full", "spurious", "spurious"),
            *("late", "late", "split", "shuffle", "step"),
        )
    )
    if kind == "fail":
        call = rnd.choice(tuple(nemesis.FAILURES))
        return nemesis.Fail(nth, call, rnd.choice(sorted(nemesis.FAILURES[call])))
    if kind == "short":
        return nemesis.Short(nth, rnd.choice(("recv", "send")), rnd.choice((1, 2, 7, 100, 1_000)))
    if kind == "break":
        return nemesis.Break(nth, rnd.choice(("recv", "send")), rnd.choice(sorted(nemesis.BREAKS)))
    if kind == "late":
        return nemesis.Late(nth, rnd.choice((0.000001, 0.001, 0.02, 0.5)))
    if kind == "step":
        return nemesis.ClockStep(nth, rnd.choice((-3600.0, 3600.0, 1e9)))
    simple: dict[str, type[nemesis.Fault]] = {
        "interrupt": nemesis.Interrupt,
        "full": nemesis.Full,
        "spurious": nemesis.Spurious,
        "split": nemesis.Split,
        "shuffle": nemesis.Shuffle,
    }
    return simple[kind](nth)

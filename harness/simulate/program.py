"""A program: plain data that says what tasks and threads do, what the kernel does, and who goes first.

Steps name what they act on by a number, which is taken modulo what there is at that moment. So every
list of steps is a program, whatever is left out of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from reactor import BackendError, backends

from ..kernel import DIALECTS, nemesis

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: Backend and dialect of each group of programs.
GROUPS: Final = (
    ("epoll", "linux"),
    ("poll", "linux"),
    ("poll", "posix"),
    ("select", "linux"),
    ("select", "posix"),
    ("kqueue", "freebsd"),
    ("kqueue", "netbsd"),
    ("kqueue", "openbsd"),
    ("kqueue", "macos"),
    ("kqueue", "dragonfly"),
)

#: How the main thread runs the context.
DRIVES: Final = ("run", "run_one", "run_for")
#: What becomes of tasks that still wait at the end: they are cancelled, or the context is closed.
ENDS: Final = ("cancel", "close")

#: Most threads, and most of anything that a file may ask for.
MOST_THREADS: Final = 8
_MOST: Final = 10**9

#: Steps that wait, for tasks only; with the names of their arguments.
WAITING: Final[dict[str, tuple[str, ...]]] = {
    "pair": ("small",),
    "pair_peer": ("small",),
    "connect": ("listener", "small"),
    "connect_nobody": (),
    "accept": ("listener",),
    "send": ("socket", "bytes"),
    "sendall": ("socket", "bytes"),
    "sendmsg": ("socket", "bytes"),
    "recv": ("socket", "bytes"),
    "recv_into": ("socket", "bytes"),
    "recv_exactly": ("socket", "bytes"),
    "wait_readable": ("socket",),
    "wait_writable": ("socket",),
    "sleep": ("ms",),
    "sleep_until": ("tick",),
    "timer_wait": ("timer",),
    "join": ("task",),
    "in_thread": ("ms",),
}

#: Steps with steps inside, for tasks only.
BLOCKS: Final[dict[str, tuple[str, ...]]] = {
    "timeout": ("ms",),
    "scope": (),
    "shield": (),
    "group": (),
}

#: Steps that do not wait: for tasks and posted calls.
PLAIN: Final[dict[str, tuple[str, ...]]] = {
    "listen": ("unix", "small"),
    "close": ("socket",),
    "close_listener": ("listener",),
    "reopen": ("socket",),
    "shutdown": ("socket", "how"),
    "timer_set": ("timer", "ms"),
    "busy": ("ms",),
    "fail": (),
}

#: Steps for any thread: what the contract allows there, and what a peer on another machine does.
ANYWHERE: Final[dict[str, tuple[str, ...]]] = {
    "cancel": ("socket",),
    "cancel_listener": ("listener",),
    "cancel_task": ("task",),
    "cancel_scope": ("scope",),
    "timer_cancel": ("timer",),
    "spawn": ("task",),
    "post": (),
    "stop": (),
    "peer_connect": ("listener",),
    "peer_send": ("peer", "bytes"),
    "peer_recv": ("peer", "bytes"),
    "peer_shutdown": ("peer", "how"),
    "peer_close": ("peer",),
    "peer_reset": ("peer",),
}

#: For threads outside only.
OUTSIDE: Final[dict[str, tuple[str, ...]]] = {"pause": ("ms",)}

ARGUMENTS: Final = {**WAITING, **BLOCKS, **PLAIN, **ANYWHERE, **OUTSIDE}

#: Where each kind of list of steps takes its steps from.
IN_TASK: Final = frozenset({*WAITING, *BLOCKS, *PLAIN, *ANYWHERE})
IN_POST: Final = frozenset({*PLAIN, *ANYWHERE})
IN_THREAD: Final = frozenset({*ANYWHERE, *OUTSIDE})


class ProgramError(ValueError):
    """What was read is not a program."""


class Step(NamedTuple):
    """One step.

    Attributes:
        name: one of `ARGUMENTS`.
        a, b: its arguments; 0 where it has none.
        body: the steps inside.
    """

    name: str
    a: int = 0
    b: int = 0
    body: tuple[Step, ...] = ()

    def to_data(self) -> list[Any]:
        """Return it as plain data, without what it does not have."""
        data: list[Any] = [self.name, *(self.a, self.b)[: len(ARGUMENTS[self.name])]]
        if self.name in BLOCKS or self.name == "post":
            data.append([step.to_data() for step in self.body])
        return data


Steps = tuple[Step, ...]


@dataclass(frozen=True)
class Program:
    """What is played.

    Attributes:
        backend: its specification, such as ``kqueue+pipe``.
        dialect: of the kernel.
        seed: of the kernel's choices.
        threads: in `run`.
        drive: how the main thread runs the context, one of `DRIVES`.
        end: what becomes of tasks that wait for ever, one of `ENDS`.
        seconds: of virtual time until the end comes.
        tasks: the steps of each task.
        outside: the steps of each thread that is not in `run`.
        faults: what the kernel does.
        switches: points, counted from 1, at which another thread goes first if one can.
    """

    backend: str
    dialect: str
    seed: int = 0
    threads: int = 1
    drive: str = "run"
    end: str = "cancel"
    seconds: float = 4.0
    tasks: tuple[Steps, ...] = ()
    outside: tuple[Steps, ...] = ()
    faults: tuple[nemesis.Fault, ...] = ()
    switches: tuple[int, ...] = ()

    def size(self) -> int:
        """How much there is to read: steps, faults, switches and threads."""
        steps = sum(1 for steps in (*self.tasks, *self.outside) for _ in walk(steps))
        lists = len(self.tasks) + len(self.outside)
        return steps + lists + len(self.faults) + len(self.switches) + self.threads

    def to_data(self) -> dict[str, Any]:
        """Return it as plain data, for JSON."""
        return {
            **{name: getattr(self, name) for name in _SIMPLE},
            "tasks": [[step.to_data() for step in steps] for steps in self.tasks],
            "outside": [[step.to_data() for step in steps] for steps in self.outside],
            "faults": [nemesis.to_data(fault) for fault in self.faults],
            "switches": list(self.switches),
        }


_SIMPLE: Final[dict[str, type | tuple[type, ...]]] = {
    "backend": str,
    "dialect": str,
    "seed": int,
    "threads": int,
    "drive": str,
    "end": str,
    "seconds": (int, float),
}


def walk(steps: Iterable[Step]) -> Iterator[Step]:
    """Yield every step, those inside others too."""
    for step in steps:
        yield step
        yield from walk(step.body)


def from_data(data: Any) -> Program:
    """Read a program back.

    Raises:
        ProgramError: it is none.
    """
    if not isinstance(data, dict):
        raise ProgramError("a program is an object")
    wanted = {*_SIMPLE, "tasks", "outside", "faults", "switches"}
    if data.keys() != wanted:
        raise ProgramError(
            f"a program has {', '.join(sorted(wanted))}, not {', '.join(sorted(data))}"
        )
    for name, kind in _SIMPLE.items():
        if isinstance(data[name], bool) or not isinstance(data[name], kind):
            raise ProgramError(f"{name} cannot be {data[name]!r}")
    for name in ("tasks", "outside", "faults", "switches"):
        if not isinstance(data[name], list):
            raise ProgramError(f"{name} is a list")
    made = Program(
        **{name: data[name] for name in _SIMPLE},
        tasks=tuple(_steps(steps, IN_TASK) for steps in data["tasks"]),
        outside=tuple(_steps(steps, IN_THREAD) for steps in data["outside"]),
        faults=tuple(map(nemesis.from_data, data["faults"])),
        switches=tuple(_number(number) for number in data["switches"]),
    )
    _check(made)
    return made


def _check(program: Program) -> None:
    if program.dialect not in DIALECTS:
        raise ProgramError(f"unknown dialect {program.dialect!r}")
    try:
        backends.parse(program.backend)
    except BackendError as exc:
        raise ProgramError(str(exc)) from None
    if not 1 <= program.threads <= MOST_THREADS:
        raise ProgramError(f"1 to {MOST_THREADS} threads, not {program.threads}")
    if program.drive not in DRIVES or program.end not in ENDS:
        raise ProgramError(f"no program is driven by {program.drive} and ended by {program.end}")
    if not 0 < program.seconds <= _MOST:
        raise ProgramError(f"a program does not take {program.seconds} seconds")


def _number(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST:
        raise ProgramError(f"not a number that a program may have: {value!r}")
    return value


def _steps(data: Any, allowed: frozenset[str]) -> Steps:
    if not isinstance(data, list):
        raise ProgramError("steps are a list")
    return tuple(_step(item, allowed) for item in data)


def _step(data: Any, allowed: frozenset[str]) -> Step:
    if not isinstance(data, list) or not data or data[0] not in allowed:
        raise ProgramError(f"not a step that may stand there: {data!r}")
    name = data[0]
    count = len(ARGUMENTS[name])
    block = name in BLOCKS or name == "post"
    if len(data) != 1 + count + block:
        raise ProgramError(f"a step {name} has {', '.join(ARGUMENTS[name]) or 'no arguments'}")
    a, b = (*map(_number, data[1 : 1 + count]), 0, 0)[:2]
    if not block:
        return Step(name, a, b)
    return Step(name, a, b, _steps(data[-1], IN_POST if name == "post" else allowed))


# -- For people

_AMOUNTS: Final = {"bytes": "bytes", "ms": "ms"}


def script(program: Program) -> list[str]:
    """Return the program as lines that a person reads."""
    how = f"{program.threads} in {program.drive}(), end by {program.end}"
    lines = [
        f"{program.backend} on {program.dialect}, seed {program.seed}: {how} at {program.seconds:g} s"
    ]
    for number, steps in enumerate(program.tasks):
        lines.append(f"task {number}:")
        lines += _lines(steps, "  ")
    for number, steps in enumerate(program.outside):
        lines.append(f"thread outside {number}:")
        lines += _lines(steps, "  ")
    lines += [f"fault: {fault}" for fault in program.faults]
    if program.switches:
        lines.append(f"threads change places at {', '.join(map(str, program.switches))}")
    return lines


def _lines(steps: Steps, indent: str) -> Iterator[str]:
    for step in steps:
        words = [step.name]
        for name, value in zip(ARGUMENTS[step.name], (step.a, step.b), strict=False):
            words.append(f"{value} {name}" if name in _AMOUNTS else f"{name} {value}")
        block = step.name in BLOCKS or step.name == "post"
        yield f"{indent}{' '.join(words)}{':' if block else ''}"
        yield from _lines(step.body, indent + "  ")

"""Makes a failing program short: everything that can be left out, or be less, is.

What is tried is data, so every attempt is a program. An attempt counts as the same failure when its
first finding is of the same law. Passes go over the program until none makes it smaller.
"""

from __future__ import annotations

from dataclasses import fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from .player import play
from .program import IN_POST, IN_TASK, IN_THREAD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..kernel.nemesis import Fault
    from .program import Program, Step, Steps

T = TypeVar("T")

#: A program with so few switches is also tried with all of them earlier, by less than so many points:
#: what is left out in front of a switch moves it.
_FEW, _EARLIER = 4, 16

#: Attempts at most.
BUDGET = 3_000


def shorten(
    program: Program,
    law: str,
    *,
    budget: int = BUDGET,
    progress: Callable[[Program], object] = lambda _: None,
) -> Program:
    """Return a program that breaks the same law, and from which nothing can be left out.

    Args:
        program: one that breaks it.
        law: the law.
        budget: how many programs may be played.
        progress: called with each shorter program.
    """
    left = budget
    while True:
        for smaller in _smaller(program):
            if not left:
                return program
            left -= 1
            first = play(smaller).first
            if first is not None and first.law == law:
                program = smaller
                progress(program)
                break
        else:
            return program


def _smaller(program: Program) -> Iterator[Program]:
    """Yield programs with less in them, those with much less first."""
    simple: dict[str, Any] = {
        "outside": (),
        "faults": (),
        "switches": (),
        "threads": 1,
        "drive": "run",
        "end": "cancel",
        "seconds": 4.0,
    }
    for name, value in simple.items():
        if getattr(program, name) != value:
            yield _with(program, name, value)
    if program.threads > 2:
        yield replace(program, threads=program.threads - 1)
    for name in ("tasks", "outside", "faults", "switches"):
        for fewer in _fewer(getattr(program, name)):
            yield _with(program, name, fewer)
    for name, allowed in (("tasks", IN_TASK), ("outside", IN_THREAD)):
        less = partial(_less_steps, allowed=allowed)
        for one in _one_changed(getattr(program, name), less):
            yield _with(program, name, one)
    for fault in _one_changed(program.faults, _less_fault):
        yield replace(program, faults=fault)
    if "+" in program.backend:
        yield replace(program, backend=program.backend.partition("+")[0])
    for switches in _one_changed(program.switches, _less_number):
        if len(set(switches)) == len(switches):
            yield replace(program, switches=switches)
    for seed in range(min(program.seed, 3)):
        yield replace(program, seed=seed)
    if 0 < len(program.switches) <= _FEW:
        yield from _moved(program)


def _moved(program: Program) -> Iterator[Program]:
    """Yield programs with a step or a task less, and the switches as much earlier as that may make."""
    for name in ("tasks", "outside"):
        lists: tuple[Steps, ...] = getattr(program, name)
        fewer = [*_fewer(lists), *_one_changed(lists, _fewer)]
        for one in fewer:
            for earlier in range(1, _EARLIER):
                switches = tuple(number - earlier for number in program.switches)
                if min(switches) > 0:
                    yield replace(_with(program, name, one), switches=switches)


def _with(program: Program, name: str, value: Any) -> Program:
    return replace(program, **{name: value})


def _fewer(items: tuple[T, ...]) -> Iterator[tuple[T, ...]]:
    """Yield the items without a run of them, long runs first."""
    size = len(items) // 2 or 1
    while items and size:
        for start in range(0, len(items), size):
            yield items[:start] + items[start + size :]
        size //= 2


def _one_changed(
    items: tuple[T, ...], change: Callable[[T], Iterator[T]]
) -> Iterator[tuple[T, ...]]:
    for number, item in enumerate(items):
        for other in change(item):
            yield (*items[:number], other, *items[number + 1 :])


def _less_steps(steps: Steps, allowed: frozenset[str]) -> Iterator[Steps]:
    yield from _fewer(steps)
    for number, step in enumerate(steps):
        if step.body and all(inside.name in allowed for inside in step.body):
            yield (*steps[:number], *step.body, *steps[number + 1 :])
    yield from _one_changed(steps, lambda step: _less_step(step, allowed))


def _less_step(step: Step, allowed: frozenset[str]) -> Iterator[Step]:
    for a in _less_number(step.a):
        yield step._replace(a=a)
    for b in _less_number(step.b):
        yield step._replace(b=b)
    for body in _less_steps(step.body, IN_POST if step.name == "post" else allowed):
        yield step._replace(body=body)


def _less_number(number: int) -> Iterator[int]:
    if number > 0:
        yield from dict.fromkeys((0, 1, number // 2, number - 1)) if number > 1 else (0,)


def _less_fault(fault: Fault) -> Iterator[Fault]:
    for name in (field.name for field in fields(fault)):
        value = getattr(fault, name)
        if name == "nth":
            for less in _less_number(value - 1):
                yield replace(fault, nth=less + 1)
        elif name == "size" and value > 1:
            yield replace(fault, size=1)  # type: ignore[call-arg]  # those that have a size

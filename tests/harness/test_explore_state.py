"""What tells two states of an execution apart: places that hide something, and variables that matter."""

from __future__ import annotations

import dis
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING

import pytest

from harness.explore.hidden import hides
from harness.explore.live import live

if TYPE_CHECKING:
    from collections.abc import Callable


class Thing:
    """Has an attribute that may change, one that may not, and a place to stop."""

    def __init__(self) -> None:
        self.state = 1
        self.scheduler = 2

    def stop(self, *args: object) -> int:
        return len(args)


def plain(thing: Thing) -> None:
    thing.stop()


def later_argument(thing: Thing) -> None:
    thing.stop(thing.state, thing.stop())


def later_argument_after_what_stays(thing: Thing, other: int) -> None:
    thing.stop(other, 1, thing.scheduler, thing.stop())


def right_of_a_sum(thing: Thing) -> int:
    return thing.state + thing.stop()


def left_of_a_sum(thing: Thing) -> int:
    return thing.stop() + thing.state


def in_a_loop(thing: Thing) -> None:
    for _ in range(thing.state):
        thing.stop()


def in_a_loop_over_names(thing: Thing, one: int, other: int) -> None:
    for _ in (one, other):
        thing.stop()


def over_a_comprehension(thing: Thing) -> list[int]:
    return [thing.stop() for _ in range(2)]


def past_a_return(thing: Thing) -> int:
    try:
        return thing.state
    finally:
        thing.stop()


def in_a_while(thing: Thing) -> None:
    while thing.state:
        thing.stop()


def in_a_with(thing: Thing) -> None:
    with thing:  # type: ignore[attr-defined]  # never called
        thing.stop()


def to_add_to(thing: Thing) -> None:
    thing.state += thing.stop()


def inside(function: Callable[..., object]) -> CodeType:
    """Return the innermost code of a function, that of its comprehension if it has one."""
    code = function.__code__
    return next((item for item in code.co_consts if isinstance(item, CodeType)), code)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (plain, False),
        (later_argument, True),
        (later_argument_after_what_stays, False),
        (right_of_a_sum, True),
        (left_of_a_sum, False),
        (in_a_loop, True),
        (in_a_loop_over_names, False),
        (over_a_comprehension, True),
        (past_a_return, True),
        (in_a_while, False),
        (in_a_with, False),
        (to_add_to, True),
    ],
)
def test_what_a_half_evaluated_expression_holds(function, expected):
    """At the call of `stop`, is there something that the variables do not show?"""
    code = inside(function)
    calls = [
        item.offset
        for item in dis.get_instructions(code)
        if item.opname in {"CALL", "CALL_METHOD"}
        and (place := item.positions) is not None
        and _source(place).endswith("stop()")
    ]
    assert calls
    assert any(hides(code, offset) for offset in calls) is expected


def _source(place: dis.Positions) -> str:
    assert place.lineno is not None
    line = Path(__file__).read_text(encoding="utf-8").splitlines()[place.lineno - 1]
    return line[place.col_offset : place.end_col_offset]


def variables(first: int, second: int) -> int:
    third = first
    print(second)
    return third


def test_a_variable_that_is_not_read_again_makes_no_difference():
    code = variables.__code__
    call = next(item.offset for item in dis.get_instructions(code) if item.opname == "CALL")
    assert live(code, call)[1] == ("third",)
    assert set(live(code, -1)[1]) == {"first", "second", "third"}


def handled(first: int, second: int) -> int:
    try:
        print(first)
        first = 3
    except OSError:
        return second
    return first


def test_a_variable_that_only_a_handler_reads_is_kept():
    code = handled.__code__
    call = next(item.offset for item in dis.get_instructions(code) if item.opname == "CALL")
    assert live(code, call)[1] == ("second",)

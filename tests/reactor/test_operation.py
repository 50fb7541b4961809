"""The operation: its table, and that it is claimed exactly once."""

from __future__ import annotations

import itertools
from collections import deque
from types import SimpleNamespace
from typing import Any

import pytest

from reactor import Cause, IllegalTransition
from reactor.operation import (
    CLAIMED,
    DEFERRED,
    IDLE,
    PARKED,
    STATES,
    TRANSITIONS,
    Operation,
    OperationEvent,
    OperationState,
    Yield,
)


class Place(Operation):
    """An operation with a place of its own."""

    __slots__ = ("vacated",)

    def __init__(self):
        super().__init__()
        self.vacated = 0

    def park(self, task: Any) -> bool:
        return self.settle(task)

    def vacate(self) -> None:
        self.vacated += 1


@pytest.fixture
def task():
    """As much of a task and its scheduler as an operation touches."""
    queue: deque[Any] = deque()
    scheduler = SimpleNamespace(queue=queue, push=queue.append, claims=dict.fromkeys(Cause, 0))
    return SimpleNamespace(scheduler=scheduler, interrupted=False, credit=0)


# -- The table


@pytest.mark.parametrize("event", OperationEvent, ids=lambda event: event.name)
@pytest.mark.parametrize("state", STATES, ids=repr)
def test_every_event_in_every_state_moves_as_the_table_says_or_is_refused(state, event):
    if (state, event) in TRANSITIONS:
        assert getattr(state, event.value) is TRANSITIONS[state, event]
    else:
        with pytest.raises(
            IllegalTransition,
            match=f"^operation: no transition from state {state.name} on event {event.value}$",
        ) as caught:
            getattr(state, event.value)
        assert (caught.value.machine, caught.value.state, caught.value.event) == (
            "operation",
            state.name,
            event.value,
        )


def test_the_table_is_the_machine():
    """Written out once more, so that no move comes or goes unseen."""
    assert {(str(a), b.name): str(c) for (a, b), c in TRANSITIONS.items()} == {
        ("IDLE", "PARK"): "PARKED",
        ("IDLE", "DEFER"): "DEFERRED",
        ("PARKED", "CLAIM"): "CLAIMED",
        ("DEFERRED", "CLAIM"): "CLAIMED",
        ("DEFERRED", "RESUME"): "IDLE",
        ("CLAIMED", "RESUME"): "IDLE",
    }


def test_every_event_is_a_move_that_states_declare():
    assert {event.value for event in OperationEvent} == set(OperationState.__annotations__)


def test_a_name_that_is_no_event_is_a_plain_attribute_error():
    with pytest.raises(AttributeError, match=r"^nonsense$"):
        getattr(IDLE, "nonsense")  # noqa: B009 - mypy knows that it is not there


# -- Claims


def test_a_claim_queues_the_task_once_and_frees_the_place(task):
    op = Place()
    assert op.park(task)
    assert (op.state, op.task, op.vacated) == (PARKED, task, 0)
    assert op.claim(Cause.READY)
    assert op.state is CLAIMED
    assert op.vacated == 1
    assert list(task.scheduler.queue) == [task]
    assert task.scheduler.claims == dict.fromkeys(Cause, 0) | {Cause.READY: 1}


@pytest.mark.parametrize(("first", "second"), list(itertools.product(Cause, repeat=2)))
@pytest.mark.parametrize("wait", ["settle", "defer"])
def test_law_1_the_first_claim_decides_and_every_later_one_finds_nothing(task, wait, first, second):
    op = Place()
    getattr(op, wait)(task)
    assert op.claim(first)
    assert not op.claim(second)
    assert op.cause is first
    assert op.vacated == 1
    assert sum(task.scheduler.claims.values()) == task.scheduler.claims[first] == 1
    assert list(task.scheduler.queue) == [task]


def test_an_idle_operation_cannot_be_claimed(task):
    op = Place()
    assert not op.claim(Cause.CANCEL)
    assert (op.state, op.cause, op.vacated) == (IDLE, Cause.READY, 0)


def test_a_claim_is_not_remembered_for_the_next_wait(task):
    op = Place()
    op.park(task)
    op.claim(Cause.CANCEL)
    op.state = op.state.resume
    op.park(task)
    assert (op.state, op.cause) == (PARKED, Cause.READY)


@pytest.mark.parametrize("begin", ["settle", "defer"])
def test_one_that_waits_cannot_wait_again(task, begin):
    op = Place()
    getattr(op, begin)(task)
    for again in ("settle", "defer"):
        with pytest.raises(IllegalTransition):
            getattr(op, again)(task)
    assert op.state in {PARKED, DEFERRED}


def test_a_parked_operation_resumes_only_after_its_claim(task):
    op = Place()
    op.park(task)
    with pytest.raises(IllegalTransition, match="PARKED on event resume"):
        op.state = op.state.resume


def test_a_deferred_one_is_on_the_queue_at_once_and_may_resume_unclaimed(task):
    op = Place()
    assert op.defer(task)
    assert op.state is DEFERRED
    assert list(task.scheduler.queue) == [task]
    op.state = op.state.resume
    assert op.state is IDLE


def test_a_yield_defers(task):
    op = Yield()
    assert op.park(task)
    assert op.state is DEFERRED
    assert op.describe() == "its next turn"


def test_the_base_has_no_place(task):
    op = Operation()
    with pytest.raises(NotImplementedError):
        op.park(task)
    with pytest.raises(NotImplementedError):
        op.describe()
    op.vacate()

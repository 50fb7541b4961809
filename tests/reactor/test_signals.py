"""The scheduler's signal state: the leader's table, the counts around it, and whom to wake."""

from __future__ import annotations

import json

import pytest

from reactor import IllegalTransition
from reactor.signals import (
    ABSENT,
    INTERRUPTED,
    LEADER_STATES,
    POLLING,
    TRANSITIONS,
    WAITING,
    LeaderEvent,
    LeaderState,
    SignalState,
    Wake,
)


def refused(machine, state, event):
    """Expect the error that names all three."""
    return pytest.raises(
        IllegalTransition,
        match=f"^{machine}: no transition from state {state} on event {event}$",
    )


@pytest.fixture
def signal():
    return SignalState()


# -- The table


@pytest.mark.parametrize("event", LeaderEvent, ids=lambda event: event.name)
@pytest.mark.parametrize("state", LEADER_STATES, ids=repr)
def test_every_event_in_every_state_moves_as_the_table_says_or_is_refused(state, event):
    if (state, event) in TRANSITIONS:
        assert getattr(state, event.value) is TRANSITIONS[state, event]
    else:
        with refused("leader", state.name, event.value) as caught:
            getattr(state, event.value)
        assert (caught.value.machine, caught.value.state, caught.value.event) == (
            "leader",
            state.name,
            event.value,
        )


def test_the_table_is_the_machine():
    """Written out once more, so that no move comes or goes unseen."""
    assert {(str(a), b.name): str(c) for (a, b), c in TRANSITIONS.items()} == {
        ("ABSENT", "POLL"): "POLLING",
        ("ABSENT", "WAIT"): "WAITING",
        ("WAITING", "INTERRUPT"): "INTERRUPTED",
        ("INTERRUPTED", "MISS"): "WAITING",
        ("POLLING", "RETURN"): "ABSENT",
        ("WAITING", "RETURN"): "ABSENT",
        ("INTERRUPTED", "RETURN"): "ABSENT",
    }


def test_every_event_is_a_move_that_states_declare():
    assert {event.value for event in LeaderEvent} == set(LeaderState.__annotations__)


def test_a_name_that_is_no_event_is_a_plain_attribute_error():
    with pytest.raises(AttributeError, match=r"^nonsense$") as caught:
        getattr(ABSENT, "nonsense")  # noqa: B009 - mypy knows that it is not there
    assert not isinstance(caught.value, IllegalTransition)


# -- The leader


def test_the_leader_polls_or_waits_and_returns(signal):
    signal.lead(blocking=False)
    assert signal.leader is POLLING
    signal.returned()
    assert signal.leader is ABSENT
    signal.lead(blocking=True)
    assert signal.leader is WAITING
    signal.returned()
    assert signal.leader is ABSENT


@pytest.mark.parametrize("second", [True, False])
@pytest.mark.parametrize("first", [True, False])
def test_law_8_a_second_leader_is_refused(signal, first, second):
    signal.lead(blocking=first)
    before = signal.leader
    with refused("leader", before.name, "wait" if second else "poll"):
        signal.lead(blocking=second)
    assert signal.leader is before


def test_who_does_not_lead_cannot_return(signal):
    with refused("leader", "ABSENT", "return_"):
        signal.returned()


def test_an_interrupt_is_spent_when_the_leader_returns(signal):
    signal.lead(blocking=True)
    assert signal.interrupt()
    signal.returned()
    signal.lead(blocking=True)
    assert signal.leader is WAITING
    assert signal.interrupt()


# -- Whom to wake


def test_nobody_is_woken_while_nobody_sleeps(signal):
    assert signal.wake() is Wake.NOBODY
    signal.lead(blocking=False)
    assert signal.wake() is Wake.NOBODY, "a zero-time poll is back in a moment"
    assert signal.leader is POLLING


def test_the_waiting_leader_is_woken_once(signal):
    signal.lead(blocking=True)
    assert [signal.wake() for _ in range(3)] == [Wake.LEADER, Wake.NOBODY, Wake.NOBODY]
    assert signal.leader is INTERRUPTED


def test_followers_are_woken_before_the_leader_one_for_each_item(signal):
    signal.lead(blocking=True)
    for _ in range(2):
        signal.follow()
    assert [signal.wake() for _ in range(4)] == [
        Wake.FOLLOWER,
        Wake.FOLLOWER,
        Wake.LEADER,
        Wake.NOBODY,
    ]
    assert (signal.idle, signal.signalled) == (2, 2)


def test_a_follower_that_woke_up_is_not_counted_as_signalled_any_more(signal):
    for _ in range(2):
        signal.follow()
    signal.wake()
    signal.unfollow()
    assert (signal.idle, signal.signalled) == (1, 0)
    assert signal.wake() is Wake.FOLLOWER
    signal.unfollow()
    assert (signal.idle, signal.signalled) == (0, 0)


def test_a_follower_whose_time_is_over_leaves_no_phantom_behind(signal):
    """More signalled than idle would make later items wake nobody."""
    signal.follow()
    signal.unfollow()
    assert (signal.idle, signal.signalled) == (0, 0)
    signal.follow()
    assert signal.wake() is Wake.FOLLOWER
    signal.follow()
    assert signal.wake() is Wake.FOLLOWER


@pytest.mark.parametrize("followers", [0, 2])
def test_interrupt_concerns_the_leader_whatever_the_followers_do(signal, followers):
    for _ in range(followers):
        signal.follow()
    assert not signal.interrupt()
    signal.lead(blocking=False)
    assert not signal.interrupt()
    signal.returned()
    signal.lead(blocking=True)
    assert signal.interrupt()
    assert not signal.interrupt(), "one that was written to need not be again"
    assert signal.signalled == 0


def test_a_wake_up_that_missed_is_tried_again(signal):
    signal.lead(blocking=True)
    assert signal.wake() is Wake.LEADER
    signal.missed()
    assert signal.leader is WAITING
    assert signal.wake() is Wake.LEADER
    signal.missed()
    assert signal.interrupt()


def test_only_a_write_can_miss(signal):
    signal.lead(blocking=True)
    with refused("leader", "WAITING", "miss"):
        signal.missed()


# -- The counts


@pytest.mark.parametrize(
    ("field", "raise_", "lower"),
    [
        ("idle", "follow", "unfollow"),
        ("runners", "enter", "leave"),
        ("work", "add_work", "finish_work"),
    ],
)
def test_a_count_below_zero_is_an_illegal_transition(signal, field, raise_, lower):
    with refused("signal", f"{field}=0", lower) as caught:
        getattr(signal, lower)()
    assert (caught.value.machine, caught.value.state, caught.value.event) == (
        "signal",
        f"{field}=0",
        lower,
    )
    getattr(signal, raise_)()
    getattr(signal, raise_)()
    assert getattr(signal, field) == 2
    getattr(signal, lower)()
    assert getattr(signal, field) == 1
    getattr(signal, lower)()
    with refused("signal", f"{field}=0", lower):
        getattr(signal, lower)()
    assert getattr(signal, field) == 0


def test_work_is_finished_by_as_much_as_there_is_or_not_at_all(signal):
    signal.add_work(3)
    with refused("signal", "work=3", "finish_work"):
        signal.finish_work(4)
    assert signal.work == 3
    signal.finish_work(3)
    assert signal.work == 0


def test_as_dict_has_every_field_as_plain_data(signal):
    signal.lead(blocking=True)
    signal.follow()
    signal.add_work(2)
    signal.enter()
    signal.wake()
    signal.stopped = True
    expected = {
        "leader": "WAITING",
        "idle": 1,
        "signalled": 1,
        "runners": 1,
        "work": 2,
        "stopped": True,
    }
    assert signal.as_dict() == expected
    assert json.loads(json.dumps(signal.as_dict())) == expected

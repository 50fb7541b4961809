"""The timer queue alone: order, cancel, garbage, and a model that it must agree with."""

from __future__ import annotations

import bisect
import math
import random

import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from reactor.timerqueue import _MIN_GARBAGE, TimerQueue


def nothing():
    """An action."""


@pytest.fixture
def queue():
    return TimerQueue()


def bounded(queue):
    """Cancelled entries are at most as many as live ones, or not worth a rebuild."""
    return queue.garbage <= max(_MIN_GARBAGE, len(queue))


# -- Order


def test_what_is_due_comes_out_in_the_order_of_deadlines(queue):
    deadlines = [float(n) for n in range(200)]
    random.Random(1).shuffle(deadlines)
    actions = {deadline: queue.add(deadline, lambda: None).action for deadline in deadlines}
    assert queue.pop_due(99) == [actions[deadline] for deadline in sorted(deadlines)[:100]]
    assert queue.pop_due(99) == []
    assert len(queue) == 100
    assert queue.next_deadline() == 100


def test_equal_deadlines_come_out_in_the_order_they_were_made(queue):
    """Also when entries between them are cancelled, and thrown out on the way."""
    entries = [queue.add(5.0, lambda: None) for _ in range(1000)]
    kept = [entry.action for number, entry in enumerate(entries) if number % 3 == 0]
    for number, entry in enumerate(entries):
        if number % 3:
            queue.cancel(entry)
    assert queue.held < 1000, "nothing was thrown out"
    assert queue.pop_due(5.0) == kept


def test_one_is_due_at_its_deadline_and_not_a_moment_before(queue):
    queue.add(5.0, nothing)
    assert queue.pop_due(math.nextafter(5.0, 0)) == []
    assert queue.pop_due(5.0) == [nothing]


def test_the_past_is_due(queue):
    for deadline in (-1.0, -1e18, -math.inf):
        queue.add(deadline, nothing)
    assert queue.next_deadline() == -math.inf
    assert len(queue.pop_due(0.0)) == 3


# -- Far, for ever, and not a number


def test_infinity_is_armed_but_never_due_and_never_held(queue):
    entry = queue.add(math.inf, nothing)
    assert len(queue) == 1
    assert queue.held == 0
    assert queue.next_deadline() == math.inf
    assert queue.pop_due(1e300) == []
    assert queue.cancel(entry)
    assert not queue.cancel(entry)
    assert len(queue) == 0


def test_a_far_deadline_is_a_deadline(queue):
    queue.add(1e18, nothing)
    assert queue.next_deadline() == 1e18
    assert queue.pop_due(1e17) == []
    assert queue.pop_due(1e18) == [nothing]


def test_not_a_number_is_refused_and_nothing_is_armed(queue):
    with pytest.raises(ValueError, match="NaN"):
        queue.add(math.nan, nothing)
    assert len(queue) == 0


# -- Cancel


def test_a_cancel_says_whether_it_disarmed_anything(queue):
    cancelled, fired = queue.add(1.0, nothing), queue.add(2.0, nothing)
    assert queue.cancel(cancelled)
    assert not queue.cancel(cancelled)
    assert queue.pop_due(2.0) == [nothing]
    assert not queue.cancel(fired)
    assert (len(queue), queue.garbage) == (0, 0)


def test_a_cancelled_deadline_is_not_the_next_one(queue):
    first, _ = queue.add(1.0, nothing), queue.add(2.0, nothing)
    queue.cancel(first)
    assert queue.next_deadline() == 2.0
    assert queue.garbage == 0


def test_clear_forgets_everything_and_later_cancels_find_nothing(queue):
    entries = [queue.add(deadline, nothing) for deadline in (1.0, 2.0, math.inf)]
    queue.cancel(entries[0])
    queue.clear()
    assert (len(queue), queue.garbage, queue.held) == (0, 0, 0)
    for entry in entries:
        queue.cancel(entry)
        assert (len(queue), queue.garbage) == (0, 0)


class Counted(float):
    """A deadline that counts how often the heap compares it."""

    comparisons = 0

    def __lt__(self, other):
        Counted.comparisons += 1
        return float.__lt__(self, other)


def test_cancel_is_constant_time_on_average(queue):
    """Law 7, without a stop-watch: the heap's order is left alone, and rebuilds amortise."""
    size = 20_000
    entries = [queue.add(Counted(n), nothing) for n in range(size)]
    random.Random(2).shuffle(entries)
    Counted.comparisons = 0
    for entry in entries[: size // 2]:
        queue.cancel(entry)
    assert Counted.comparisons == 0, "half of the heap is no reason for a rebuild"
    for entry in entries[size // 2 :]:
        queue.cancel(entry)
    # Rebuilds of size/2, size/4 and so on: `size` items in all, each compared about twice.
    assert 0 < Counted.comparisons <= 3 * size
    assert len(queue) == 0


def test_what_is_cancelled_before_anybody_asks_is_never_sorted(queue):
    """The timeout that never fires costs an append, whatever else is armed."""
    for n in range(20_000):
        queue.add(Counted(1000 + n % 997), nothing)
    assert queue.next_deadline() == 1000
    Counted.comparisons = 0
    for _ in range(20_000):
        queue.cancel(queue.add(Counted(500), nothing))
    assert Counted.comparisons <= 20_000, "more than one look each whether there is an end"


def test_what_is_far_is_compared_with_where_buckets_begin_only(queue):
    """Twenty buckets at most hold a million, so five comparisons find the right one."""
    size = 50_000
    for n in range(size):
        queue.add(Counted(n), nothing)
    assert len(queue.pop_due(1000)) == 1001, "what is left is laid out anew"
    for n in range(1000):
        queue.add(Counted(size / 2 + n), nothing)
    Counted.comparisons = 0
    queue.next_deadline()
    assert Counted.comparisons <= 1000 * 6


def test_buckets_go_with_what_was_in_them(queue):
    """Each lot before the others, and so in buckets of its own, which it leaves when it is cancelled."""
    queue.add(Counted(1e9), nothing)
    for lot in range(1000):
        entries = [queue.add(Counted(-300 * lot - n), nothing) for n in range(300)]
        queue.next_deadline()
        for entry in entries:
            queue.cancel(entry)
    queue.add(Counted(2e9), nothing)
    Counted.comparisons = 0
    queue.next_deadline()
    assert Counted.comparisons <= 6
    assert queue.pop_due(1e9) == [nothing]


def test_equal_deadlines_keep_their_order_across_buckets(queue):
    """More of them than are kept sorted, in several buckets when the last ones come."""
    actions = []
    for turn, lot in enumerate((3000, 1, 3000, 300, 5)):
        for _ in range(300):
            queue.add(float(turn), nothing)
        for _ in range(lot):
            actions.append(lambda: None)
            queue.add(7.0, actions[-1])
        assert len(queue.pop_due(float(turn))) == 300
        assert queue.next_deadline() == 7.0
    assert queue.pop_due(7.0) == actions


def test_garbage_is_bounded_when_timers_are_made_and_cancelled_for_ever(queue):
    """The timeout that never fires, 100,000 times over ten live ones."""
    for n in range(10):
        queue.add(1e9 + n, nothing)
    longest = 0
    for n in range(100_000):
        queue.cancel(queue.add(2e9 + n, nothing))
        longest = max(longest, queue.held)
    assert longest <= 10 + _MIN_GARBAGE + 1
    assert len(queue) == 10


def test_garbage_is_bounded_when_some_of_it_went_by_itself(queue):
    """As what was cancelled in front does when somebody asks what is next."""
    entries = [queue.add(deadline, nothing) for deadline in (2.0,) * 76 + (1.0,) * 55]
    assert queue.next_deadline() == 1.0
    for entry in entries[66:]:
        queue.cancel(entry)
    assert queue.next_deadline() == 2.0
    assert queue.garbage == 10
    for entry in entries[11:66]:
        queue.cancel(entry)
    assert bounded(queue), f"{queue.garbage} cancelled entries for {len(queue)} timers"


def test_garbage_is_bounded_when_the_live_ones_have_fired(queue):
    """What hides behind one late timer is swept when its neighbours are gone."""
    live = [queue.add(float(n), nothing) for n in range(1000)]
    late = [queue.add(1e9 + n, nothing) for n in range(1000)]
    queue.add(1e8, nothing)
    for entry in late:
        queue.cancel(entry)
    assert bounded(queue)
    assert len(queue.pop_due(1e6)) == len(live)
    assert len(queue) == 1
    assert bounded(queue), f"{queue.garbage} cancelled entries for 1 timer"


# -- Against a model

#: Few values, so that many are equal.
DEADLINES = st.sampled_from([-math.inf, -1.0, 0.0, 1.0, 1.5, 2.0, 3.0, 1e18, math.inf])

FINITE = st.floats(allow_nan=False, allow_infinity=False)


class QueueMachine(RuleBasedStateMachine):
    """The queue beside a sorted list of (deadline, number)."""

    def __init__(self):
        super().__init__()
        self.queue = TimerQueue()
        self.model: list[tuple[float, int]] = []
        self.entries: dict[int, object] = {}
        self.fired: list[object] = []

    def _add(self, deadline):
        number = len(self.entries)
        self.entries[number] = self.queue.add(deadline, lambda: self.fired.append(number))
        bisect.insort(self.model, (deadline, number))

    @rule(deadline=DEADLINES)
    def add(self, deadline):
        self._add(deadline)

    @rule(deadline=DEADLINES, count=st.integers(2, 600))
    def add_many(self, deadline, count):
        for _ in range(count):
            self._add(deadline)

    @precondition(lambda self: self.entries)
    @rule(data=st.data())
    def cancel(self, data):
        self._cancel(data.draw(st.integers(0, len(self.entries) - 1)))

    @precondition(lambda self: self.entries)
    @rule(data=st.data(), step=st.integers(1, 4))
    def cancel_many(self, data, step):
        for number in range(
            data.draw(st.integers(0, len(self.entries) - 1)), len(self.entries), step
        ):
            self._cancel(number)

    def _cancel(self, number):
        armed = [item for item in self.model if item[1] == number]
        assert self.queue.cancel(self.entries[number]) is bool(armed)  # type: ignore[arg-type]
        if armed:
            self.model.remove(armed[0])

    @rule(now=DEADLINES)
    def pop_due(self, now):
        self.fired.clear()
        for action in self.queue.pop_due(now):
            action()
        # At the end of time, too, a deadline of infinity has not come.
        due = [number for deadline, number in self.model if deadline <= now and deadline < math.inf]
        assert self.fired == due
        del self.model[: len(due)]

    @invariant()
    def agrees(self):
        assert len(self.queue) == len(self.model)
        assert bounded(self.queue)
        assert self.queue.next_deadline() == (self.model[0][0] if self.model else math.inf)
        assert len(self.queue) == len(self.model)
        assert bounded(self.queue)


TestQueueMachine = QueueMachine.TestCase
TestQueueMachine.settings = settings(deadline=None, derandomize=True, stateful_step_count=30)


@settings(deadline=None, derandomize=True)
@given(st.lists(FINITE), FINITE)
def test_any_floats_come_out_sorted_up_to_now(deadlines, now):
    queue = TimerQueue()
    actions = {}
    for deadline in deadlines:
        action = lambda: None  # noqa: E731 - a new object each time
        queue.add(deadline, action)
        actions[action] = deadline
    expected = [action for action, deadline in sorted(actions.items(), key=lambda i: i[1])]
    assert queue.pop_due(now) == [action for action in expected if actions[action] <= now]


def test_at_infinity_all_is_due_but_what_never_is(queue):
    fired = []
    queue.add(math.inf, lambda: fired.append("never"))
    queue.add(1e300, lambda: fired.append("late"))
    for action in queue.pop_due(math.inf):
        action()
    assert fired == ["late"]
    assert queue.pop_due(math.inf) == []
    assert len(queue) == 1

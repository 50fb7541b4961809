"""The explorer: it misses no outcome, repeats exactly, and finds what is broken on purpose."""

from __future__ import annotations

import argparse
import functools
import json
import multiprocessing
import signal
from collections import deque

import pytest
from hypothesis import example, given, settings, strategies as st

import reactor.scheduler
from harness.cli import main
from harness.cli.explore import _explore
from harness.errors import HarnessError
from harness.explore import explorer, programs, schedule
from harness.explore.control import Active, Crew, Execution
from harness.explore.ground import Ground
from harness.explore.laws import RACES, race_of
from harness.explore.locks import Lock
from harness.explore.programs import PROGRAMS, Program
from harness.explore.search import Exhaustive
from harness.explore.state import Fingerprint
from harness.explore.steps import ExploreError
from harness.explore.strategies import Randomly, Replaying, Straight
from harness.explore.track import TRACKED, tracking
from reactor.errors import Cause
from reactor.scope import CancelScope
from reactor.signals import WAITING, SignalState, Wake

# -- The search, against one that leaves nothing out


class Everything(Straight):
    """Depth first through every schedule there is; the yardstick of the reduction."""

    def __init__(self):
        self.complete = False
        self._path = []
        self._depth = 0

    def begin(self, threads):
        self._depth = 0

    def choose(self, execution, ready, current):
        if self._depth == len(self._path):
            self._path.append([0, len(ready)])
        chosen = ready[self._path[self._depth][0]]
        self._depth += 1
        return chosen

    def end(self):
        while self._path:
            self._path[-1][0] += 1
            if self._path[-1][0] < self._path[-1][1]:
                return
            self._path.pop()
        self.complete = True


def outcomes(threads, strategy, *, keep=True):
    """Run a toy program under every schedule of a strategy.

    Each thread is a list of ``("r", key)``, ``("w", key)``, ``("if", key, [...])``, which is done if
    that is not 0, and ``("lock", name, [...])``.

    Args:
        threads: what each does.
        strategy: which schedules are run.
        keep: values and what was read are kept as a history, else only the last of it, so that
            different ways lead to the same state.

    Returns:
        Everything that can come of it (what each thread read, and the values in the end, or a
        deadlock), and how many schedules were run.
    """
    found = set()
    count = 0
    with Crew() as crew:
        while not strategy.complete:
            execution = Execution(strategy, set())
            if isinstance(strategy, Exhaustive):
                execution.fingerprint = Fingerprint(execution).take
            values = dict.fromkeys("xyz", 0)
            read = [0 for _ in threads]
            locks = {name: Lock(execution) for name in "mn"}

            def look(index, key, execution=execution, values=values, read=read):
                execution.step(key, False, f"r {key}")
                read[index] = read[index] * 1000 * keep + values[key] + 1
                return values[key]

            def work(index, operations, execution=execution, values=values, locks=locks, look=look):
                number = 0
                while number < len(operations):  # a `for` would hide where it is
                    kind, key, *more = operations[number]
                    number += 1
                    if kind == "lock":
                        with locks[key]:
                            work(index, more[0])
                    elif kind == "if":
                        if look(index, key):
                            work(index, more[0])
                    elif kind == "r":
                        look(index, key)
                    else:
                        execution.step(key, True, f"w {key}")
                        values[key] = values[key] * 10 * keep + (index + 1 if keep else 1)

            jobs = [
                (f"t{index}", functools.partial(work, index, operations))
                for index, operations in enumerate(threads)
            ]
            strategy.begin(len(jobs))
            execution.run(crew, jobs)
            count += 1
            if not execution.cut:
                found.add(
                    execution.violation.kind
                    if execution.violation
                    else (tuple(read), tuple(values.values()))
                )
            strategy.end()
    return found, count


plain = st.tuples(st.sampled_from("rw"), st.sampled_from("xy"))
branch = st.tuples(st.just("if"), st.sampled_from("xy"), st.lists(plain, min_size=1, max_size=2))
inner = st.tuples(st.just("lock"), st.just("n"), st.lists(plain, min_size=1, max_size=1))
locked = st.tuples(
    st.just("lock"), st.sampled_from("mn"), st.lists(plain | inner, min_size=1, max_size=2)
).filter(lambda item: item[1] == "m" or all(part[0] != "lock" for part in item[2]))


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.lists(plain | locked | branch, min_size=1, max_size=3), min_size=2, max_size=3
    ).filter(lambda threads: str(threads).count("'") < 2 * 18),
    st.booleans(),
)
@example([[("w", "x"), ("w", "y")], [("r", "y"), ("r", "x")]], True)
@example([[("w", "x")], [("r", "x"), ("r", "y")], [("w", "y")]], True)
@example([[("w", "x")], [("r", "x"), ("r", "y")], [("w", "y")]], False)
@example(
    [[("lock", "m", [("w", "x")]), ("w", "y")], [("lock", "m", [("r", "x")]), ("r", "y")]], True
)
@example(
    [
        [("lock", "m", [("lock", "n", [("w", "x")])])],
        [("lock", "n", [("w", "x")]), ("lock", "m", [("w", "y")])],
    ],
    True,
)
def test_the_reduction_loses_no_outcome(threads, keep):
    """What every schedule can come to, the reduced searches come to as well, and with fewer."""
    everything, many = outcomes(threads, Everything(), keep=keep)
    for merge in (False, True):
        reduced, few = outcomes(threads, Exhaustive(merge=merge), keep=keep)
        assert reduced == everything
        assert few <= many


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.lists(plain | locked | branch, min_size=2, max_size=4), min_size=2, max_size=3
    ).filter(lambda threads: str(threads).count("'") < 2 * 22)
)
@example([[("w", "x"), ("r", "x"), ("w", "x")], [("w", "x")], [("r", "x")]])
@example(
    [
        [("w", "z"), ("lock", "m", [("w", "y")]), ("w", "y")],
        [("w", "z"), ("w", "x"), ("r", "z"), ("w", "y")],
        [("if", "y", [("w", "x")]), ("r", "z")],
    ]
)
@example(
    [
        [("w", "x"), ("lock", "m", [("r", "z")])],
        [("r", "z"), ("r", "z")],
        [("lock", "m", [("w", "y"), ("r", "x")]), ("r", "z"), ("w", "z")],
    ]
)
def test_giving_up_in_a_known_state_loses_no_outcome(threads):
    """Programs too large for every schedule: with and without it, the same comes of them."""
    apart, many = outcomes(threads, Exhaustive(merge=False), keep=False)
    merged, few = outcomes(threads, Exhaustive(), keep=False)
    assert merged == apart
    assert few <= many


def test_independent_threads_need_one_schedule():
    threads = [[("w", "x"), ("r", "x")], [("w", "y"), ("r", "y")], [("w", "z")]]
    assert outcomes(threads, Exhaustive())[1] == 1
    assert outcomes(threads, Everything())[1] > 20


def test_a_deadlock_is_found():
    threads = [
        [("lock", "m", [("lock", "n", [("w", "x")])])],
        [("lock", "n", [("lock", "m", [("w", "x")])])],
    ]
    assert "deadlock" in outcomes(threads, Exhaustive())[0]


def test_random_schedules_are_drawn_from_the_seed():
    """PCT: the same seed gives the same schedule, others give others."""
    program = programs.get("post-vs-sleep-edge")
    with tracking(), Crew() as crew:
        seen = [
            explorer.execute(program, Randomly(seed), crew).choices
            for seed in (1, 1, *range(2, 20))
        ]
    assert seen[0] == seen[1]
    assert len({tuple(choices) for choices in seen}) > 3


# -- The programs


def test_every_race_has_a_program_and_every_program_a_race():
    """Each race of the list, with two threads or more; the command says of none that it is large."""
    assert len(RACES) > 18
    for race in RACES:
        assert 1 <= race.law <= 10
        for begin in race.programs:
            assert any(name == begin or name.startswith(f"{begin}-") for name in PROGRAMS), begin
    assert all(race_of(name) in RACES for name in PROGRAMS)
    assert all(program.about for program in PROGRAMS.values())


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_has_no_violation(name):
    """The first hundreds of its schedules; `reactorlab explore` runs them all."""
    report = explorer.explore(programs.get(name), limit=150)
    assert report.violations == []
    assert report.schedules > 0


def test_the_classes_are_left_as_they_were():
    before = {owner: dict(vars(owner)) for owner in TRACKED}
    with tracking():
        assert dict(vars(SignalState)) != before[SignalState]
    assert {owner: dict(vars(owner)) for owner in TRACKED} == before
    assert Active.execution is None


# -- It is not blind: each of these was right once


def found(name, **more):
    report = explorer.explore(programs.get(name), **more)
    (finding,) = report.violations
    return finding


def test_a_wake_up_for_followers_only_is_found(monkeypatch):
    """Interrupt only if no thread follows: the leader sleeps over the post."""

    def wake(self):
        if self.leader is WAITING and self.idle:
            return Wake.NOBODY
        return original(self)

    original = SignalState.wake
    monkeypatch.setattr(SignalState, "wake", wake)
    monkeypatch.setattr(SignalState, "unfollow", lambda self: setattr(self, "idle", self.idle - 1))
    assert found("post-vs-leader-and-follower").kind == "lost wake-up"


def test_a_coalescing_flag_that_stays_up_is_found(monkeypatch):
    """corosio ca33581: after a failed write every later wake-up was coalesced away."""
    monkeypatch.setattr(SignalState, "missed", lambda self: None)
    finding = found("waker-fails-once")
    assert finding.kind == "lost wake-up"
    assert finding.switches <= 2


def test_an_unlocked_count_of_work_is_found(monkeypatch):
    """A guard that counts without the mutex tears the count apart."""

    def release(self):
        scheduler, self._scheduler = self._scheduler, None
        if scheduler is not None:
            scheduler.signal.work -= 1
            if scheduler.signal.work == 0:
                with scheduler.mutex:
                    scheduler._wake_everybody()

    monkeypatch.setattr(reactor.WorkGuard, "release", release)
    assert found("guards-released-together").kind in {"missing return", "bad count", "deadlock"}


def test_a_cancel_that_looks_twice_is_found(monkeypatch):
    """It looked at the task's operation, and again to claim it; the task had gone on between."""

    def interrupt_inside(self):
        task = self._task
        self._refresh(task)
        if task.operation is not None:
            task.operation.claim(Cause.CANCEL)

    monkeypatch.setattr(CancelScope, "interrupt_inside", interrupt_inside)
    assert found("cancel-vs-readiness-edge").kind == "exception"


def test_a_timer_notice_that_is_dropped_is_found(monkeypatch):
    """A new earliest timer does not call the leader back."""
    monkeypatch.setattr(
        reactor.scheduler.Scheduler,
        "add_timer",
        lambda self, deadline, action: self.timers.add(deadline, action),
    )
    assert found("earlier-timer-vs-wait-edge").kind == "late timer"


def test_a_level_poller_that_is_not_called_back_is_found(monkeypatch):
    monkeypatch.setattr(
        reactor.scheduler.Scheduler,
        "interest_wanted",
        lambda self, descriptor: self.backend.interest_changed(descriptor),
    )
    assert found("interest-vs-level-wait").kind == "deadlock"


def test_a_second_leader_is_found(monkeypatch):
    """The reactor turn goes back on the queue before the wait, which it then does not let block."""

    def lead(self, *, blocking):
        original(self, blocking=blocking)
        deque.append(queues[-1], None)

    original = SignalState.lead
    queues: list[deque[object]] = []
    monkeypatch.setattr(SignalState, "lead", lead)

    def setup(stage):
        programs.get("post-vs-leader-and-follower").setup(stage)
        queues.append(stage.contexts[0].scheduler.queue)

    report = explorer.explore(Program("two", "two leaders", setup), limit=2000)
    assert report.violations[0].kind in {"two leaders", "exception", "endless"}


# -- What it says


def test_a_finding_is_replayed_exactly(monkeypatch):
    """The replay string gives the same violation and the same timeline."""
    monkeypatch.setattr(SignalState, "missed", lambda self: None)
    finding = found("waker-fails-once")
    report, timeline = explorer.replay(finding.replay)
    (again,) = report.violations
    assert (again.kind, again.detail, again.replay) == (
        finding.kind,
        finding.detail,
        finding.replay,
    )
    assert timeline == finding.timeline
    assert any("writes the waker" in line for line in timeline)


def test_a_replay_that_no_longer_fits_says_so():
    with pytest.raises(ExploreError, match="does not fit"):
        explorer.replay("post-vs-sleep-edge:1*3,3*5")


@pytest.mark.parametrize(
    "text", ["post-vs-sleep-edge", "x:1*1", "post-vs-sleep-edge:1", "post-vs-sleep-edge:0*3",
             "post-vs-sleep-edge:1*9999999999", "post-vs-sleep-edge:a*b", ""],
)  # fmt: skip
def test_a_malformed_replay_string_is_one_clear_error(text):
    with pytest.raises(ExploreError):
        explorer.replay(text)


def test_choices_survive_being_written_down():
    choices = [0, 0, 1, 0, 2, 2, 2]
    text = schedule.format_replay("p", choices)
    assert text == "p:1*2,2*1,1*1,3*3"
    assert schedule.parse_replay(text) == ("p", choices)


def test_a_program_that_is_not_under_control_is_noticed():
    """A schedule that comes out otherwise the second time is an error of the explorer's."""
    flips = []

    def setup(stage):
        def work():
            flips.append(0)
            for _ in range(len(flips) % 2 + 1):
                stage.execution.step("k", True, "k")

        stage.thread("a", work)

    with pytest.raises(ExploreError, match="not in control"):
        explorer.explore(Program("loose", "", setup), limit=10)


def test_a_replay_strategy_follows_its_list():
    program = programs.get("post-vs-sleep-edge")
    with tracking(), Crew() as crew:
        first = explorer.execute(program, Straight(), crew)
        second = explorer.execute(program, Replaying(first.choices), crew)
    assert second.choices == first.choices


# -- The command


def test_the_command_prints_one_json_document(capsys):
    code = main(["explore", "post-vs-sleep-edge", "stop-vs-sleep", "--json"])
    data = json.loads(capsys.readouterr().out)
    assert code == 0
    assert [item["name"] for item in data["programs"]] == ["post-vs-sleep-edge", "stop-vs-sleep"]
    for item in data["programs"]:
        assert item["complete"]
        assert item["schedules"] > 1
        assert item["threads"] == 2
        assert item["violations"] == []


def test_the_command_shows_a_table(capsys):
    assert main(["explore", "stop-vs-sleep"]) == 0
    assert "1 programs" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (["no-such-program"], "'no-such-program'"),
        (["--replay", "nonsense"], "'nonsense'"),
        (["--limit", "0"], "--limit"),
        (["--seconds", "-1"], "--seconds"),
    ],
)
def test_a_mistake_is_one_line(capsys, args, word):
    assert main(["explore", *args]) == 2
    said = capsys.readouterr().err
    assert word in said
    assert said.count("\n") == 1


def test_a_wait_that_gives_up_takes_nobody_else_off_the_condition():
    """Two waits that have not been notified look alike, and are not the same."""
    with Crew() as crew:
        execution = Execution(Straight())
        ground = Ground(execution)
        lock = ground.lock()
        condition = ground.condition(lock)

        def wait(timeout):
            with lock:
                condition.wait(timeout)

        def wait_and_notify():
            wait(1)
            with lock:
                condition.notify_all()

        execution.run(crew, [("waits", lambda: wait(None)), ("gives up", wait_and_notify)])
    assert execution.violation is None


def test_a_state_is_the_same_whatever_was_touched_first_on_the_way():
    """Of two timer queues either may come first; only code with a lock touches them, so both are nameless."""

    def setup(stage):
        shared = stage.context()

        def arm(own):
            own.call_later(1, int)
            shared.stop()
            shared.restart()
            own.call_later(1, int)

        for name in ("one", "other"):
            stage.thread(name, functools.partial(arm, stage.context()))

    report = explorer.explore(Program("twins", "two ways to one state", setup))
    assert report.complete
    assert report.merged, "else nothing was compared"
    assert not report.violations


def test_a_program_that_cannot_be_explored_does_not_wait_for_the_others(monkeypatch):
    """The other one takes half a minute and more."""
    ended = []
    children = multiprocessing.active_children

    def watched():
        found = children()
        ended.extend(found)
        return found

    monkeypatch.setattr(multiprocessing, "active_children", watched)
    options = argparse.Namespace(jobs=2, limit=None, seconds=None, random=None)
    chosen = ["there-is-none", "readiness-vs-park-edge-2-runners"]
    with pytest.raises(HarnessError, match="there-is-none"):
        list(_explore(chosen, options))
    assert len(ended) == 2
    for process in ended:
        process.join()
    assert -signal.SIGTERM in [process.exitcode for process in ended]

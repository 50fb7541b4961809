"""Scenarios notice what they are for: a reactor with one thing broken does not pass them.

`broken_subject.py` has the mutants. Each is run against the scenarios that are named here, and must
fail every one of them; a scenario beside them still passes, so what they notice is the mutation.
"""

from __future__ import annotations

import ast
import os
from pathlib import Path

import pytest

from harness import engine
from harness.model import Status
from reactor import backends
from reactor.system import System

BROKEN = Path(__file__).parent / "broken"

#: Mutants with the backend that they show on, and the scenarios that they must fail.
KILLERS = {
    # Cancel
    "a-cancel-poisons-the-next-operation": ("poll", "cancel.before-wait", "cancel.idempotent"),
    "a-claimed-operation-is-claimed-again": ("poll", "cancel.batch-mate"),
    "a-cancelled-receive-reads-all-the-same": ("poll", "cancel.inline-completion"),
    "a-cancelled-accept-keeps-its-turn": ("poll", "cancel.armed-in-callback"),
    "a-cancelled-operation-keeps-its-slot": ("poll", "cancel.retry-same-tick"),
    "a-cancelled-scope-still-does-io": ("poll", "cancel.pre-cancelled"),
    "a-cancel-before-the-first-step-is-lost": ("poll", "cancel.before-wait"),
    "a-cancel-ends-both-directions": ("poll", "cancel.one-direction-only"),
    "a-cancel-ends-all-who-wait": ("poll", "cancel.one-of-many-waiters"),
    "progress-is-lost-on-a-cancel": ("poll", "cancel.partial-send"),
    # Close
    "close-leaves-the-parked-ones": ("poll", "accept.close-while-pending"),
    "close-forgets-who-waits-for-a-turn-to-accept": ("poll", "accept.close-while-pending"),
    "closing-a-context-throws-its-tasks-away": ("poll", "cancel.shutdown-with-parked-ops"),
    "closing-a-context-runs-what-was-posted": ("poll", "cancel.shutdown-with-parked-ops"),
    "the-loop-of-an-acceptor-outlives-it": ("poll", "accept.stop-race"),
    # Readiness
    "a-short-read-still-counts-at-the-end": ("epoll", "partial.eof-behind-data"),
    "every-read-is-taken-for-the-last": ("epoll", "partial.et-residue"),
    "one-event-serves-one-direction": ("epoll", "partial.read-write-same-event"),
    "the-end-comes-before-the-data": ("epoll", "partial.eof-behind-data"),
    "due-timers-drop-the-events": ("epoll", "timer.timeout-and-io-same-turn"),
    "interest-is-never-dropped": ("poll", "partial.no-read-without-recv"),
    "interest-is-told-once": ("poll", "partial.no-read-without-recv"),
    "a-reset-is-an-end": ("poll", "partial.reset-behind-data"),
    "the-queue-keeps-the-poller-waiting": ("poll", "timer.zero-delay-yields", "accept.fairness"),
    "the-budget-never-ends": ("poll", "cancel.inline-completion", "accept.fairness"),
    # Wake-ups
    "nobody-is-woken": ("poll", "cancel.from-other-thread"),
    "a-failed-wake-up-counts-as-done": ("poll", "wake.coalescing-flag"),
    "the-waker-is-not-drained": ("poll+pipe", "timer.kernel-timer-drained"),
    # Streams
    "a-second-receive-waits-behind-the-first": ("poll", "partial.second-waiter"),
    "a-gathering-send-resumes-at-the-wrong-place": ("poll", "partial.gather-resume"),
    "a-gathering-send-repeats-its-ancillary-data": ("poll", "partial.gather-resume"),
    "a-gathering-send-takes-any-number-of-buffers": ("poll", "partial.iov-max"),
    "sending-nothing-asks-the-kernel": ("poll", "partial.zero-byte-send"),
    "wait-writable-does-not-wait": ("poll", "partial.eof-behind-data"),
    "a-connect-to-a-full-unix-listener-waits-for-an-event": ("poll", "accept.backlog-overflow"),
    # Acceptors
    "no-error-of-accept-is-transient": ("poll", "accept.pending-network-error"),
    "a-transient-error-ends-the-burst": ("epoll", "accept.pending-network-error"),
    "no-error-of-accept-means-out-of-descriptors": ("poll", "accept.emfile-no-lost-listener"),
    "out-of-descriptors-it-does-not-pause": ("poll", "accept.emfile-backoff"),
    "a-pause-cannot-be-cancelled": ("poll", "accept.emfile-no-lost-listener"),
    "the-last-to-accept-is-served-first": ("poll", "accept.waiters-fifo"),
    "several-accepts-at-once": ("poll", "accept.waiters-fifo"),
    "an-accepted-socket-blocks": ("poll", "accept.flags-normalised"),
    "an-accepted-socket-survives-exec": ("poll", "accept.flags-normalised"),
    "an-accepted-socket-must-take-its-options": ("poll", "accept.aborted-option-einval"),
    "an-accepted-socket-is-asked-for-its-peer": ("poll", "accept.addrlen-zero"),
    "an-unnamed-peer-is-unknown": ("poll", "accept.unix-peer-address"),
    # Timers
    "equal-deadlines-fire-last-first": ("poll", "timer.same-deadline-fifo"),
    "late-timers-fire-in-reverse": ("poll", "timer.deadline-order-when-late"),
    "timers-fire-a-millisecond-early": ("poll", "timer.never-early"),
    "timeouts-are-cut-to-milliseconds": ("poll", "timer.no-spin-before-deadline"),
    "waits-have-no-limit": ("poll", "timer.capped-wait-is-silent", "timer.far-future"),
    "a-deadline-in-the-past-means-for-ever": ("poll", "timer.past-deadline"),
    "run-for-forgets-its-bound": ("poll", "timer.run-for-bound"),
    "an-earlier-deadline-does-not-shorten-the-wait": ("poll", "timer.earlier-than-current-sleep"),
    "sleep-0-does-not-yield": ("poll", "timer.zero-delay-yields"),
    "a-due-timer-cannot-be-cancelled": ("poll", "timer.cancel-in-callback"),
    "a-cancelled-sleep-stays-armed": ("poll", "timer.reschedule"),
    "cancelled-timers-are-never-collected": ("poll", "timer.mass"),
    "a-moved-deadline-has-no-effect": ("poll", "timer.reschedule"),
    "not-a-number-is-a-deadline": ("poll", "timer.past-deadline"),
    "a-kernel-timer-of-zero-is-armed-with-zero": ("epoll+timerfd", "timer.timerfd-zero"),
}

#: Mutants that no scenario notices yet, with what one would have to provoke.
UNNOTICED = {
    "a-cancel-takes-back-what-was-handed-over": "cancel who has just been given the turn to accept",
    "a-late-cancel-is-forgotten": "a cancel after readiness that turns out to be false",
    "false-readiness-is-the-end": "data stolen after its readiness was reported, not before",
    "a-short-read-counts-over-unix": "data behind ancillary data, on an edge-triggered backend",
    "progress-is-lost-on-an-error": "a sendall that fails half way",
    "what-a-cancelled-recv-exactly-had-is-lost": "a recv_exactly that is cancelled half way",
    "close-does-not-leave-the-poller": "closing a socket of which a duplicate stays open (epoll)",
    "close-comes-before-leaving-the-poller": "the same",
    "events-keep-the-timers-waiting": "an event in every single poll while a timer is due",
    "a-connect-does-not-look-at-its-error": "a connect that is refused after it was pending",
    "setting-a-timer-anew-leaves-its-waits": "expires_after while somebody waits",
    "a-cancelled-head-wakes-the-loop": "many cancelled timers: one more wait is tolerated",
    "a-kernel-timer-is-never-disarmed": "many stale deadlines: one more wait is tolerated",
    "deadlines-are-on-the-wall-clock": "a jump of the wall clock in mid-sleep",
}

#: A scenario that passes whatever of the above is broken.
BYSTANDER = "partial.zero-byte-recv"

#: For a scenario that is only slow; the others end, or hang, at once.
SLOW = {"timer.mass": 60.0}


@pytest.fixture
def run(monkeypatch):
    """Run scenarios against a mutant, or None for the unbroken reactor; the results by id."""
    monkeypatch.syspath_prepend(BROKEN)

    def run_mutant(name, spec, *ids):
        monkeypatch.setenv("BROKEN", name or "")
        options = engine.RunOptions(
            spec,
            ids=ids,
            jobs=1 if name else 2,
            seed=1,
            timeout_s=max(SLOW.get(one, 3.0 if name else 30.0) for one in ids),
            subject="broken_subject",
        )
        made = engine.run(options)
        return {result.id: result for result in made.results}

    return run_mutant


def needs(spec):
    """Skip where the machine has no such backend, or no such kernel timer."""
    name, _, rest = spec.partition("+")
    there = name in backends.available() and (rest != "timerfd" or System().has("timerfd"))
    return pytest.mark.skipif(not there, reason=f"there is no {spec} here")


@pytest.mark.parametrize(
    ("mutant", "spec", "ids"),
    [
        pytest.param(mutant, spec, ids, id=mutant, marks=needs(spec))
        for mutant, (spec, *ids) in KILLERS.items()
    ],
)
def test_a_broken_reactor_is_noticed(run, mutant, spec, ids):
    results = run(mutant, spec, *ids, BYSTANDER)
    for name in ids:
        result = results[name]
        assert result.unexpected, f"{name} passed"
        # Not an ERROR: that would be the harness's fault.
        assert result.status in {Status.FAIL, Status.TIMEOUT}, f"{name}: {result.reason}"
    assert results[BYSTANDER].status is Status.PASS, results[BYSTANDER].reason


SPECS = sorted({spec for spec, *_ in KILLERS.values()})


@pytest.mark.parametrize("spec", [pytest.param(spec, marks=needs(spec)) for spec in SPECS])
def test_unbroken_it_passes_the_same_scenarios(run, spec):
    ids = {name for of, *names in KILLERS.values() for name in names if of == spec}
    results = run(None, spec, *sorted(ids), BYSTANDER)
    failed = {name: one.reason for name, one in results.items() if one.status is not Status.PASS}
    assert failed == {}


def test_every_mutant_has_its_place():
    tree = ast.parse((BROKEN / "broken_subject.py").read_text(encoding="utf-8"))
    mutants = [
        node.name.replace("_", "-")
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
        and any(isinstance(one, ast.Name) and one.id == "mutant" for one in node.decorator_list)
    ]
    assert len(set(mutants)) == len(mutants)
    assert sorted(mutants) == sorted([*KILLERS, *UNNOTICED])


def test_the_damage_stays_in_the_fork_server():
    from reactor.task import BUDGET

    assert "BROKEN" not in os.environ
    assert BUDGET < 1000

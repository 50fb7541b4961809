"""What the reactor counts: enough to see a spin, a lost hint or a missing claim."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Counters:
    """A snapshot of what one `IoContext` has done so far.

    None of these costs anything on the path of an operation that completes at once: they are
    written under a lock that is held anyway, or derived from what the hot path keeps for itself.

    Attributes:
        waits: calls of the poller's wait.
        interrupts: waker writes.
        interest_changes: changes told to a level-triggered poller.
        speculative_hits: system calls tried without a readiness event that went through.
        speculative_misses: system calls that would have blocked.
        inline_completions: operations that completed without parking, in the step that began them.
        deferrals: socket operations that let others go first, the budget of their task being spent.
        parks: socket operations that took their place to wait.
        claims_ready: operations ended by readiness, or by the event they waited for.
        claims_cancel: operations ended by a cancel.
        claims_close: operations ended because their object was closed.
        claims_deadline: operations ended by a deadline.
        timers_fired: timer queue entries that came due.
        handlers: posted calls and task steps that ran.
        tasks_spawned: tasks that were started.
    """

    waits: int
    interrupts: int
    interest_changes: int
    speculative_hits: int
    speculative_misses: int
    inline_completions: int
    deferrals: int
    parks: int
    claims_ready: int
    claims_cancel: int
    claims_close: int
    claims_deadline: int
    timers_fired: int
    handlers: int
    tasks_spawned: int

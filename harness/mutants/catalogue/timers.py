"""Timers: when they fire, in which order, and what they leave behind."""

from __future__ import annotations

from ..model import Edit, Mutant, scenario, test

AREA = "timers"

MUTANTS = (
    Mutant(
        "equal-deadlines-fire-last-first",
        AREA,
        "timer.same-deadline-fifo: trio 0.22 reverses them, asyncio shuffles; libuv fadfeaf6e",
        (
            Edit(
                "timerqueue.py",
                "at = bisect_right(deadlines, deadline)",
                "at = bisect_right(deadlines, math.nextafter(deadline, -math.inf))",
            ),
        ),
        (scenario("timer.same-deadline-fifo"),),
    ),
    Mutant(
        "late-timers-fire-in-reverse",
        AREA,
        "timer.deadline-order-when-late: perry#6287, nodejs/node#46644",
        (Edit("timerqueue.py", "return due", "return due[::-1]"),),
        (scenario("timer.deadline-order-when-late"),),
    ),
    Mutant(
        "timers-fire-a-millisecond-early",
        AREA,
        "timer.never-early: libuv PR 168, asio cd952893a",
        (
            Edit(
                "timerqueue.py",
                "while count := bisect_right(self._deadlines, now):",
                "while count := bisect_right(self._deadlines, now + 0.001):",
            ),
        ),
        (scenario("timer.never-early"),),
    ),
    Mutant(
        "timeouts-are-cut-to-milliseconds",
        AREA,
        "timer.no-spin-before-deadline: python/asyncio#106, smol#109, asio d8dc53c14",
        (
            Edit(
                "scheduler.py",
                "return min(max(due - self.now(), 0.0), MAX_WAIT)",
                "return math.floor(min(max(due - self.now(), 0.0), MAX_WAIT) * 1000) / 1000",
            ),
        ),
        (scenario("timer.no-spin-before-deadline"),),
    ),
    Mutant(
        "waits-have-no-limit",
        AREA,
        "timer.far-future: twisted#6259, curio#377, bitcoin#12375",
        (Edit("scheduler.py", "MAX_WAIT: Final = 86_400.0", "MAX_WAIT: Final = math.inf"),),
        (scenario("timer.capped-wait-is-silent"), scenario("timer.far-future")),
    ),
    Mutant(
        "a-deadline-in-the-past-means-for-ever",
        AREA,
        "timer.past-deadline: corosio 412e747, nginx c108f04e8",
        (Edit("scheduler.py", "if due == math.inf:", "if due == math.inf or due < self.now():"),),
        (scenario("timer.past-deadline"),),
    ),
    Mutant(
        "sleep-0-does-not-yield",
        AREA,
        "timer.zero-delay-yields: corosio 388d4b7, gh-95051",
        (Edit("operation.py", "return self.defer(task)", "return False"),),
        (scenario("timer.zero-delay-yields"),),
    ),
    Mutant(
        "a-due-timer-cannot-be-cancelled",
        AREA,
        "timer.cancel-in-callback: tornado 7bf3b143, mio 9f17b70d",
        (
            Edit(
                "timing.py",
                """
                elif op.cause is Cause.READY:
                    op.cause = cause
                    count += 1
                """,
                "",
            ),
        ),
        (scenario("timer.cancel-in-callback"),),
    ),
    Mutant(
        "setting-a-timer-anew-leaves-its-waits",
        AREA,
        "timer.reschedule: twisted PR 1232; Asio's expires_after cancels what waits",
        (Edit("timing.py", "count = self.cancel()", "count = 0"),),
        (scenario("timer.set-anew"),),
    ),
    Mutant(
        "a-cancelled-sleep-stays-armed",
        AREA,
        "timer.mass: wpull#166, asyncpg#831, leaked timers",
        (Edit("timing.py", "self._scheduler.timers.cancel(self._entry)", "pass"),),
        (scenario("timer.reschedule"), scenario("timer.cancelled-head")),
    ),
    Mutant(
        "a-cancelled-head-wakes-the-loop",
        AREA,
        "timer.cancelled-head: libevent b2192269",
        (
            Edit(
                "timerqueue.py",
                """
                if entry.action is not None:
                    break
                gone += 1
                """,
                "break",
            ),
        ),
        (scenario("timer.cancelled-head"),),
    ),
    Mutant(
        "cancelled-timers-are-never-collected",
        AREA,
        "timer.mass: asyncpg#831; corosio testTimerFreeList",
        (Edit("timerqueue.py", "_MIN_GARBAGE = 64", "_MIN_GARBAGE = 1 << 60"),),
        (test("reactor/test_timerqueue.py"), scenario("timer.mass")),
    ),
    Mutant(
        "deadlines-are-on-the-wall-clock",
        AREA,
        "timer.clock-jump: tornado 88664396, a5e7ee7a, libuv 4685be236",
        (
            Edit(
                "scheduler.py",
                "self.now: Callable[[], float] = system.monotonic",
                """
                import time

                begin = time.time()
                # The given clock, and the seconds by which somebody has turned the one on the wall.
                self.now = lambda: system.monotonic() + round(time.time() - begin)
                """,
            ),
        ),
        (scenario("timer.clock-jump"),),
    ),
    Mutant(
        "not-a-number-is-a-deadline",
        AREA,
        "timer.past-deadline: gh-105331, python-trio/trio#2493, sleep(nan)",
        (
            Edit(
                "timerqueue.py",
                """
                else:
                    raise ValueError("a deadline must be a number of seconds, not NaN")
                """,
                "",
            ),
        ),
        (scenario("timer.past-deadline"),),
    ),
)

"""Backends: interest, wakers and kernel timers; those of kqueue have an area of their own."""

from __future__ import annotations

from ..model import Edit, Mutant, scenario, test

AREA = "backends"

MUTANTS = (
    Mutant(
        "who-waits-to-send-receives-no-more",
        AREA,
        "partial.read-write-same-event: EPOLL_CTL_MOD replaces what was asked for before, epoll_ctl(2)",
        (
            Edit(
                "backends/epoll.py",
                "change(descriptor.fd, _MASK | select.EPOLLOUT if directions & WRITE else _MASK)",
                """
                only = select.EPOLLET | select.EPOLLOUT
                change(descriptor.fd, only if directions & WRITE else _MASK)
                """,
            ),
        ),
        (test("reactor/test_epoll.py"),),
    ),
    Mutant(
        "interest-is-never-dropped",
        AREA,
        "partial.no-read-without-recv: tornado 41ff81b2, 20bf1653",
        (
            Edit(
                "backends/_level.py",
                "interest = 0 if descriptor is None else descriptor.interest",
                "interest = 0 if descriptor is None else descriptor.interest | self._applied.get(fd, 0)",
            ),
        ),
        (scenario("partial.no-read-without-recv"),),
    ),
    Mutant(
        "interest-is-told-once",
        AREA,
        "partial.no-read-without-recv: tornado 20bf1653, 'led us to always read'",
        (
            Edit(
                "backends/_level.py",
                '''
                """Note that the interest must be looked at before the next wait."""
                self._changed[descriptor.fd] = None
                ''',
                '''
                """Note that the interest must be looked at before the next wait."""
                if descriptor.fd not in self._applied:
                    self._changed[descriptor.fd] = None
                ''',
            ),
        ),
        (scenario("partial.no-read-without-recv"),),
    ),
    Mutant(
        "nobody-is-woken",
        AREA,
        "wake.post-from-thread: libxev#4; cancel.from-other-thread: corosio d249ac3",
        (Edit("backends/base.py", "return self.waker.wake()", "return True"),),
        (scenario("cancel.from-other-thread"),),
    ),
    Mutant(
        "a-failed-wake-up-counts-as-done",
        AREA,
        "wake.coalescing-flag: corosio ca33581, the result of the write was ignored",
        (Edit("wakers.py", "return False", "return True"),),
        (scenario("wake.coalescing-flag"),),
    ),
    Mutant(
        "the-waker-is-not-drained",
        AREA,
        "wake.no-spin-after: nng#575, corosio e56eb71",
        (
            Edit(
                "wakers.py",
                "while len(self._system.read(self.fd, 4096)) == 4096:",
                "while False:",
            ),
        ),
        (scenario("timer.kernel-timer-drained", "poll+pipe"),),
    ),
    Mutant(
        "a-kernel-timer-of-zero-is-armed-with-zero",
        AREA,
        "timer.timerfd-zero: timerfd_create(2), zero disarms",
        (
            Edit(
                "system.py",
                "nanoseconds = 0 if seconds is None else max(1, -int(-seconds * 1e9 // 1))",
                "nanoseconds = 0 if seconds is None else -int(-seconds * 1e9 // 1)",
            ),
        ),
        (scenario("timer.timerfd-zero", "epoll+timerfd"), test("reactor/test_system.py")),
    ),
    Mutant(
        "a-kernel-timer-is-never-disarmed",
        AREA,
        "timer.kernel-timer-stale: polling c20f0e7 (#250)",
        (
            Edit(
                "backends/base.py",
                "if deadline != self._deadline:",
                "if deadline not in (self._deadline, math.inf):",
            ),
        ),
        (scenario("timer.kernel-timer-stale", "epoll+timerfd"), test("reactor/test_epoll.py")),
    ),
    Mutant(
        "a-hang-up-wakes-nobody",
        AREA,
        "connect.only-err-hup: seastar#309; wait.full-pipe-reader-closed: mio, tokio, bun",
        (
            Edit(
                "backends/epoll.py",
                "events |= READ | WRITE | STICKY",
                "events |= STICKY",
            ),
        ),
        (test("reactor/test_epoll.py"),),
    ),
    Mutant(
        "one-dead-number-stops-select",
        AREA,
        "close.raw-behind-back: EBADF out of select stops the whole loop, as in asyncio",
        (
            Edit(
                "backends/select.py",
                "if isinstance(exc, OSError) and exc.errno != errno.EBADF:",
                "if isinstance(exc, OSError):",
            ),
        ),
        (test("reactor/test_level_backends.py"),),
    ),
    Mutant(
        "select-watches-any-number",
        AREA,
        "limits.registration-fails-midway: select(2), FD_SETSIZE",
        (Edit("backends/select.py", "fd_limit = FD_SETSIZE", "fd_limit = None"),),
        (test("reactor/test_level_backends.py"),),
    ),
)

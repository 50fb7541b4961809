"""The scheduler: fairness between the queue, the poller and the timers; bounds of `run`."""

from __future__ import annotations

from ..model import Edit, Mutant, program, scenario, test

AREA = "scheduler"

MUTANTS = (
    Mutant(
        "due-timers-drop-the-events",
        AREA,
        "timer.timeout-and-io-same-turn: libevent 342a0faa, 38ec0a77",
        (
            Edit(
                "scheduler.py",
                "deliver(self, ready)",
                "deliver(self, ready if self.timers.next_deadline() > self.now() else ())",
            ),
        ),
        (scenario("timer.timeout-and-io-same-turn", "epoll"),),
    ),
    Mutant(
        "events-keep-the-timers-waiting",
        AREA,
        "timer.io-flood-starvation: joyent/libuv#657, curio#106",
        (
            Edit(
                "scheduler.py",
                "if self.timers.near or self.timers.fresh:",
                "if (self.timers.near or self.timers.fresh) and not ready:",
            ),
        ),
        (scenario("timer.io-flood-starvation"),),
    ),
    Mutant(
        "the-queue-keeps-the-poller-waiting",
        AREA,
        "wake.post-flood-vs-io: libtorrent#757, libevent e3d82497",
        (
            Edit(
                "scheduler.py",
                "elif item is TURN:",
                """
                elif item is TURN and self.queue:
                    self.queue.append(TURN)
                elif item is TURN:
                """,
            ),
        ),
        (scenario("timer.zero-delay-yields"), scenario("accept.fairness")),
    ),
    Mutant(
        "run-for-forgets-its-bound",
        AREA,
        "timer.run-for-bound: corosio f34a1ba, 412e747",
        (
            Edit(
                "scheduler.py",
                "due = min(self.timers.next_deadline(), deadline)",
                "due = self.timers.next_deadline()",
            ),
        ),
        (scenario("timer.run-for-bound"),),
    ),
    Mutant(
        "a-raising-handler-takes-the-turn-with-it",
        AREA,
        "wake.exception-keeps-batch: corosio PR 207, the rest of the batch is never reported again",
        (
            Edit(
                "scheduler.py",
                """
                item.runner = runner
                item.step()
                """,
                """
                item.runner = runner
                try:
                    item.step()
                except BaseException:
                    self.queue.clear()
                    self.queue.append(TURN)
                    raise
                """,
            ),
        ),
        (scenario("wake.exception-keeps-batch"), test("reactor/test_scheduler.py")),
    ),
    Mutant(
        "a-nested-run-is-let-in",
        AREA,
        "wake.reentrant-run: corosio 2e13bb5, the inner run could not see the outer one's queue",
        (
            Edit(
                "scheduler.py",
                """
                if self.is_inside(ident):
                    raise ReactorError("this thread is already inside run() of this IoContext")
                """,
                "",
            ),
        ),
        (scenario("wake.reentrant-run"), test("reactor/test_scheduler.py")),
    ),
    Mutant(
        "a-post-goes-to-the-head-of-the-queue",
        AREA,
        "wake.self-post: libtorrent#757, posted handlers run in the order of posting",
        (
            Edit(
                "context.py",
                "scheduler.queue.append((variables, function, args))",
                "scheduler.queue.appendleft((variables, function, args))",
            ),
        ),
        (scenario("wake.self-post"), test("reactor/test_scheduler.py")),
    ),
    Mutant(
        "poll-waits",
        AREA,
        "timer.infinite: corosio 412e747, a timeout of nothing taken for no timeout",
        (
            Edit(
                "scheduler.py",
                """
                if block:
                    timeout = self._wait_time(deadline)
                """,
                "timeout = self._wait_time(deadline)",
            ),
        ),
        (test("reactor/test_scheduler.py"),),
    ),
    Mutant(
        "a-handler-under-way-is-no-work",
        AREA,
        "wake.run-does-not-return-early: corosio 9e22ae2, outstanding work was not counted in time",
        (
            Edit(
                "scheduler.py",
                "return self.signal.work == 0 and self.signal.busy == 1",
                "return self.signal.work == 0",
            ),
        ),
        (test("reactor/test_machine_scheduler.py"),),
    ),
    Mutant(
        "a-thread-that-leaves-keeps-its-tasks",
        AREA,
        "wake.exception-keeps-batch: corosio PR 207, what was ready with the one that raises is lost",
        (
            Edit(
                "scheduler.py",
                """
                except IndexError:
                    self.queue.extend(left)
                """,
                """
                except IndexError:
                    pass
                """,
            ),
        ),
        (program("readiness-vs-who-leaves"), test("reactor/test_scheduler_queues.py")),
    ),
    Mutant(
        "tasks-wait-for-a-thread-that-is-busy",
        AREA,
        "wake.thundering-herd: corosio aa81932, PR 49; too few threads for the work, the other way round",
        (Edit("scheduler.py", "if not ran and self.others:", "if False:"),),
        (test("reactor/test_scheduler_queues.py"),),
    ),
    Mutant(
        "a-follower-looks-at-one-queue-only",
        AREA,
        "wake.post-from-thread: joyent/libuv#1453, woken for what it does not look at",
        (
            Edit(
                "scheduler.py",
                "item = self._take(self.queues)",
                "item = self._take((self.queue,))",
            ),
        ),
        (test("reactor/test_scheduler_queues.py"),),
    ),
    Mutant(
        "who-came-first-counts-as-alone",
        AREA,
        "cancel.from-other-thread: this project's own, an operation that asks the task of another thread",
        (
            Edit(
                "scheduler.py",
                "self.alone = runners[0] if len(runners) == 1 else None",
                "self.alone = runners[0] if runners else None",
            ),
        ),
        (test("reactor/test_scheduler_queues.py"),),
    ),
)

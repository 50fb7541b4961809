"""What a context tells about itself: the dump, as data and as text, and the counters."""

from __future__ import annotations

import json
from dataclasses import asdict, fields

import pytest

import reactor
from reactor import (
    CancelScope,
    Counters,
    Event,
    IoContext,
    Queue,
    StreamSocket,
    TaskGroup,
    Timer,
    current_context,
    timeout,
    to_thread,
)
from reactor.sync import Gate
from tests.reactor.scheduling import (
    Signal,
    WatchedSystem,
    WatchedWait,
    Worker,
    at_rest,
    forever,
    guarded,
    live,
    turns,
    virtual,
)


@pytest.fixture
def context(spec, clock):
    with virtual(spec, clock) as made:
        yield made


def nothing():
    """A handler."""


def counted(context, since=None):
    """The counters that are not zero, or have changed since `since`."""
    now = asdict(context.counters())
    before = dict.fromkeys(now, 0) if since is None else asdict(since)
    return {name: now[name] - before[name] for name in now if now[name] != before[name]}


def plain(context):
    """The dump's data; it must survive JSON."""
    data = context.dump().data
    assert json.loads(json.dumps(data)) == data
    return data


# -- The dump


def test_the_dump_of_an_idle_context(context):
    assert plain(context) == {
        "backend": context.backend.spec,
        "signal": {
            "leader": "ABSENT",
            "idle": 0,
            "signalled": 0,
            "runners": 0,
            "work": 0,
            "stopped": False,
        },
        "queued": 1,
        "tasks": [],
        "descriptors": [],
        "timers": {"armed": 0, "garbage": 0, "next_in": "never"},
        "counters": dict.fromkeys((field.name for field in fields(Counters)), 0),
    }


def test_every_task_says_what_it_waits_for(context):
    left, _ = StreamSocket.pair(context)
    sender, _ = StreamSocket.pair(context)
    event, queue = Event(context=context), Queue[int](1, context=context)
    queue.put_nowait(0)
    empty = Queue[int](context=context)
    gate = Gate(context.scheduler, "the gate")
    assert gate.try_enter()
    timer = Timer(context=context)

    async def grouped():
        async with TaskGroup() as group:
            group.spawn(forever, name="child")

    async def join():
        await joined

    async def pass_gate():
        await gate.enter()

    joined = context.spawn(event.wait, name="event")
    context.spawn(reactor.sleep, 2.5, name="sleep")
    context.spawn(timer.wait, name="timer")
    context.spawn(lambda: left.recv(1), name="recv")
    context.spawn(lambda: sender.sendall(bytes(10_000_000)), name="send")
    context.spawn(queue.put, 1, name="put")
    context.spawn(empty.get, name="get")
    context.spawn(pass_gate, name="gate")
    context.spawn(join, name="join")
    context.spawn(grouped, name="group")
    context.poll()
    assert {task["name"]: task["waits_for"] for task in plain(context)["tasks"]} == {
        "event": "an event",
        "sleep": "a timer due in 2.500 s",
        "timer": "a timer that never fires",
        "recv": f"stream fd {left.fileno()} readable",
        "send": f"stream fd {sender.fileno()} writable",
        "put": "room in a queue",
        "get": "an item of a queue",
        "gate": "the gate",
        "join": "task event",
        "group": "the tasks of a group",
        "child": "a timer that never fires",
    }
    assert {task["state"] for task in plain(context)["tasks"]} == {"suspended"}


def test_a_task_that_waits_for_a_thread_says_so(spec):
    begun, end = Signal(), Signal()

    def function():
        begun.set()
        end.wait()

    with live(spec) as context:
        context.spawn(to_thread, function)
        context.poll()
        begun.wait()
        (task,) = plain(context)["tasks"]
        assert task["waits_for"] == "a thread running function"
        end.set()
        context.run()


def test_a_task_that_runs_or_is_about_to_waits_for_nothing(context):
    seen = []

    async def main():
        context.spawn(forever, name="new")
        seen.append(plain(context)["tasks"])
        await reactor.sleep(0)

    context.spawn(main, name="main")
    context.run_one()
    assert seen == [
        [
            {"name": "main", "state": "running or queued", "waits_for": None},
            {"name": "new", "state": "running or queued", "waits_for": None},
        ]
    ]
    assert plain(context)["tasks"][0] == {
        "name": "main",
        "state": "suspended",
        "waits_for": "its next turn",
    }


def test_every_descriptor_says_what_is_parked_and_what_is_believed(context):
    left, right = StreamSocket.pair(context)
    context.spawn(lambda: left.recv(1))
    before = plain(context)["descriptors"]
    assert [item["registered"] for item in before] == [False, False]
    context.poll()
    first, second = plain(context)["descriptors"]
    assert (first["fd"], first["kind"]) == (left.fileno(), "stream")
    assert (second["fd"], second["kind"]) == (right.fileno(), "stream")
    assert first["registered"] is True
    assert second["registered"] is False
    assert first["read"] == "parked, waiting for an edge"
    assert first["write"] == "idle, believed ready"
    assert second["read"] == second["write"] == "idle, believed ready"
    left.close()
    assert [item["fd"] for item in plain(context)["descriptors"]] == [right.fileno()]


def test_the_timers_say_how_many_and_when(context, clock):
    context.spawn(reactor.sleep, 5)
    context.spawn(reactor.sleep, 3)
    context.spawn(forever)
    cancelled = context.spawn(reactor.sleep, 4)
    context.poll()
    assert plain(context)["timers"] == {"armed": 4, "garbage": 0, "next_in": "3.000 s"}
    cancelled.cancel()
    clock.advance(1)
    assert plain(context)["timers"] == {"armed": 3, "garbage": 1, "next_in": "2.000 s"}


def test_the_queue_and_the_work_are_counted(context):
    for _ in range(3):
        context.post(nothing)
    with context.work_guard():
        data = plain(context)
        assert data["queued"] == 4, "three calls and the reactor turn"
        assert data["signal"]["work"] == 1, "the guard: calls on the queue speak for themselves"
        context.stop()
        assert plain(context)["signal"]["stopped"] is True
    context.restart()
    context.run()
    assert plain(context)["queued"] == 1


def test_the_signal_state_says_who_leads_and_who_sleeps(spec):
    with guarded(IoContext(spec, system=WatchedSystem())) as context:
        WatchedWait(context)
        with context.work_guard():
            threads = [Worker(context.run) for _ in range(3)]
            at_rest(context, 3)
            assert plain(context)["signal"] == {
                "leader": "WAITING",
                "idle": 2,
                "signalled": 0,
                "runners": 3,
                "work": 1,
                "stopped": False,
            }
            assert plain(context)["queued"] == 0, "the turn is with the leader"
        for thread in threads:
            thread.end()


def test_the_text_is_the_data_for_people(context):
    left, right = StreamSocket.pair(context)
    context.spawn(lambda: left.recv(1), name="receiver")
    context.spawn(reactor.sleep, 2, name="sleeper")
    context.poll()
    context.spawn(forever, name="new")
    counters = ", ".join(f"{name} {value}" for name, value in asdict(context.counters()).items())
    one, two = left.fileno(), right.fileno()
    idle = "idle, believed ready"
    signal = "idle 0, leader ABSENT, runners 0, signalled 0, stopped False, work 3"
    assert str(context.dump()).splitlines() == [
        f"IoContext on {context.backend.spec}: {signal}",
        "queue: 2 items",
        "timers: 1 armed, next in 2.000 s, 0 cancelled entries",
        "tasks: 3",
        f"  receiver: suspended, waits for stream fd {one} readable",
        "  sleeper: suspended, waits for a timer due in 2.000 s",
        "  new: running or queued",
        "descriptors: 2",
        f"  fd {one} stream: read parked, waiting for an edge; write {idle}",
        f"  fd {two} stream, not registered: read {idle}; write {idle}",
        f"counters: {counters}",
    ]


def test_a_dump_is_a_snapshot(context):
    context.spawn(reactor.sleep, 2)
    before = context.dump()
    text = str(before)
    context.run()
    assert str(before) == text
    assert len(before.data["tasks"]) == 1
    assert context.dump().data["tasks"] == []


# -- The counters


def test_counters_are_a_snapshot_and_plain_data(context):
    before = context.counters()
    context.post(nothing)
    context.run()
    assert before.handlers == 0
    assert context.counters().handlers == 1
    assert json.loads(json.dumps(asdict(context.counters()))) == asdict(context.counters())
    assert context.dump().data["counters"] == asdict(context.counters())


def test_handlers_are_calls_and_steps(context):
    context.post(nothing)
    context.spawn(turns, 2)
    assert context.run() == 4
    assert counted(context)["handlers"] == 4
    assert counted(context)["tasks_spawned"] == 1


def test_handlers_are_counted_while_they_run_up_to_the_last_turn(context):
    """A loop that never ends can be watched: the count is not only told at its end."""
    seen = []

    async def main():
        for _ in range(3):
            await reactor.sleep(0)
            seen.append(context.counters().handlers)

    context.spawn(main)
    context.run()
    assert seen == [1, 2, 3]


def test_tasks_spawned_are_all_tasks_wherever_they_come_from(context):
    async def main():
        async with TaskGroup() as group:
            for _ in range(3):
                group.spawn(turns)
        current_context().spawn(turns)

    context.spawn(main)
    context.run()
    assert counted(context)["tasks_spawned"] == 5


def test_waits_are_calls_of_the_poller(context, clock):
    context.spawn(reactor.sleep, 5)
    context.run()
    assert counted(context)["waits"] == len(clock.waits) > 0


def test_timers_fired_are_those_that_came_due(context):
    async def main():
        with timeout(100), timeout(200):
            await reactor.sleep(1)
            await reactor.sleep(1)
        with CancelScope(context.time() + 1):
            await forever()

    context.spawn(main)
    context.run()
    assert counted(context)["timers_fired"] == 3


def _ready(context):
    event = Event(context=context)
    return event.wait, event.set, 0


def _ready_by_queue(context):
    queue = Queue[int](context=context)
    return queue.get, lambda: queue.put_nowait(1), 0


def _ready_by_timer(context):
    return (lambda: reactor.sleep(5)), nothing, 0


def _ready_by_io(context):
    left, right = StreamSocket.pair(context)
    return (lambda: left.recv(1)), (lambda: right._sock.send(b"x")), 1


def _ready_by_join(context):
    async def join():
        await context.spawn(turns, 5)

    return join, nothing, 0


def _cancel_of_socket(context):
    left, _ = StreamSocket.pair(context)
    return (lambda: left.recv(1)), left.cancel, 1


def _cancel_of_timer(context):
    timer = Timer(context=context)
    return timer.wait, timer.cancel, 0


def _cancel_of_scope(context):
    scope = CancelScope()

    async def main():
        with scope:
            await forever()

    return main, scope.cancel, 0


def _close_of_socket(context):
    left, _ = StreamSocket.pair(context)
    return (lambda: left.recv(1)), left.close, 1


def _deadline(context):
    async def main():
        with CancelScope(context.time() + 5):
            await forever()

    return main, nothing, 0


@pytest.mark.parametrize(
    "kind",
    [
        _ready,
        _ready_by_queue,
        _ready_by_timer,
        _ready_by_io,
        _ready_by_join,
        _cancel_of_socket,
        _cancel_of_timer,
        _cancel_of_scope,
        _close_of_socket,
        _deadline,
    ],
)
def test_a_wait_is_claimed_once_by_who_ended_it(context, kind):
    """Waits of every kind are claimed; those for a socket are counted as parked too."""
    wait, end, parks = kind(context)

    async def main():
        try:
            await wait()
        except reactor.OperationCancelled:
            pass

    task = context.spawn(main)
    context.run_one()
    assert not task.done
    assert {name for name in counted(context) if "claims" in name} == set()
    end()
    context.run()
    assert task.done
    cause = kind.__name__.split("_")[1]
    claims = {name: value for name, value in counted(context).items() if "claims" in name}
    assert claims == {f"claims_{cause}": 1}
    assert context.counters().parks == parks


def test_closing_the_context_claims_by_close(spec, clock):
    with virtual(spec, clock) as context:
        left, _ = StreamSocket.pair(context)
        for wait in (forever, lambda: left.recv(1)):
            context.spawn(wait)
        context.poll()
    assert counted(context)["claims_close"] == 2


def test_what_completes_at_once_parks_nothing_and_claims_nothing(context):
    async def main():
        left, right = StreamSocket.pair()
        event, queue = Event(), Queue[int]()
        event.set()
        with left, right:
            await right.send(b"x")
            await left.recv(1)
            await event.wait()
            await queue.put(1)
            await queue.get()
            await reactor.sleep(0)

    context.spawn(main)
    context.run()
    assert set(counted(context)) == {
        "waits",
        "speculative_hits",
        "inline_completions",
        "handlers",
        "tasks_spawned",
    }
    assert counted(context)["speculative_hits"] == counted(context)["inline_completions"] == 2


def test_a_receive_that_has_to_wait_is_a_miss_and_no_hit(context):
    left, right = StreamSocket.pair(context)
    context.spawn(lambda: left.recv(1))
    context.poll()
    right._sock.send(b"x")
    context.run()
    counts = counted(context)
    assert counts["speculative_misses"] == 1
    assert "speculative_hits" not in counts
    assert "inline_completions" not in counts
    left.close()
    assert counted(context)["speculative_misses"] == 1, "what a closed one counted is kept"


def test_interrupts_are_writes_of_the_waker(spec):
    with guarded(IoContext(spec, system=WatchedSystem())) as context:
        WatchedWait(context)
        written = []
        real = context.backend.waker.wake

        def wake():
            written.append(1)
            return real()

        context.backend.waker.wake = wake
        with context.work_guard():
            thread = Worker(context.run)
            for _ in range(3):
                at_rest(context, 1)
                context.post(nothing)
        thread.end()
        assert context.counters().interrupts == len(written) >= 3


def test_an_operation_that_lets_others_go_first_is_a_deferral_and_no_hit(context):
    """So every socket operation is a hit, a deferral, or was parked."""
    count = reactor.operation.BUDGET + 5

    async def main():
        left, right = StreamSocket.pair()
        with left, right:
            for _ in range(count):
                await right.send(b"x")
            return right

    context.spawn(main)
    context.run()
    counts = counted(context)
    assert counts["deferrals"] == 1
    assert counts["inline_completions"] == counts["speculative_hits"] == count - 1
    assert "parks" not in counts

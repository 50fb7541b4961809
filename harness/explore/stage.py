"""The stage of one program: what its threads and checks have to hand."""

from __future__ import annotations

import contextlib
import functools
from collections import Counter
from typing import TYPE_CHECKING, Any

import reactor
from reactor.stream import StreamSocket

from .ground import FakeSocket, Ground
from .pollers import BACKENDS
from .steps import Violation
from .track import TrackedQueue, queued

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .control import Execution


class Stage:
    """Where a program sets itself up.

    Attributes:
        ran: how often each handler ran, by its name.
        said: what each task came to, by its name; one entry for each time it said something.
        runners: how many threads `run` starts.
    """

    def __init__(self, execution: Execution) -> None:
        self.execution = execution
        self.ground = Ground(execution)
        self.threads: list[tuple[str, Callable[[], object]]] = []
        self.checks: list[Callable[[], object]] = []
        self.contexts: list[reactor.IoContext] = []
        self.ran: Counter[str] = Counter()
        self.said: dict[str, list[str]] = {}
        self.runners = 1
        execution.stuck = self._stuck

    def context(self, backend: str = "edge") -> reactor.IoContext:
        """Make a context on one of `ground.BACKENDS`."""
        context = reactor.IoContext(BACKENDS[backend], system=self.ground)
        self.contexts.append(context)
        return context

    def thread(self, name: str, function: Callable[..., object], *args: Any) -> None:
        """Have ``function(*args)`` run in a thread of its own."""
        self.threads.append((name, functools.partial(function, *args)))

    def run(self, context: reactor.IoContext, function: Callable[[], object] | None = None) -> None:
        """Have `runners` threads run a context, or call `function`."""
        for number in range(1, self.runners + 1):
            name = "run" if self.runners == 1 else f"run-{number}"
            self.thread(name, function or context.run)

    def check(self, function: Callable[..., object], *args: Any) -> None:
        """Have ``function(*args)`` called when all threads have returned."""
        self.checks.append(functools.partial(function, *args))

    def rests(self, context: reactor.IoContext, *handlers: str) -> None:
        """Check in the end that these handlers ran once, and that the context came to rest."""
        self.check(self.once, *handlers)
        self.check(self.finished, context)

    def socket(self, context: reactor.IoContext) -> tuple[StreamSocket, FakeSocket]:
        """Return a stream of the reactor and the hands of its other end."""
        fake = self.ground.socket_pair_end()
        return StreamSocket.from_socket(fake, context), fake  # type: ignore[arg-type]  # acts like one

    def handler(self, name: str, then: Callable[[], object] | None = None) -> Callable[[], None]:
        """Return something to post, which counts its calls and then calls `then`."""

        def call() -> None:
            self.ran[name] += 1
            if then is not None:
                then()

        call.__qualname__ = name
        return call

    def last_of(self, count: int, then: Callable[[], object]) -> Callable[[], None]:
        """Return something to call `count` times, which calls `then` at the last."""
        left = [count]

        def call() -> None:
            left[0] -= 1
            if not left[0]:
                then()

        return call

    async def say(self, name: str, function: Callable[..., Awaitable[Any]], *args: Any) -> None:
        """Await ``function(*args)`` and note under `name` how it ended."""
        try:
            value = await function(*args)
        except reactor.OperationCancelled as exc:
            self._note(name, f"cancelled by {exc.cause_name}")
        except (OSError, reactor.ReactorError) as exc:
            self._note(name, type(exc).__name__)
        else:
            self._note(name, repr(value))

    def _note(self, name: str, text: str) -> None:
        self.said.setdefault(name, []).append(text)

    def leave(self) -> None:
        """End the coroutines that an execution left where they were."""
        for context in self.contexts:
            for task in list(context.scheduler.tasks):
                with contextlib.suppress(BaseException):
                    task._coro.close()

    # -- Judging

    def expect(self, condition: object, kind: str, detail: str) -> None:
        """Record a violation unless `condition` holds."""
        if not condition:
            self.execution.fail(kind, detail)

    def once(self, *names: str) -> None:
        """Check that each of these handlers ran exactly once."""
        for name in names:
            self.expect(
                self.ran[name] == 1,
                "missing completion" if not self.ran[name] else "double completion",
                f"handler {name} ran {self.ran[name]} times",
            )

    def ended(self, name: str, *allowed: str) -> str:
        """Check that task `name` said one thing, one of `allowed`; returns it."""
        said = self.said.get(name, [])
        self.expect(len(said) == 1, "missing completion", f"{name} said {said}")
        self.expect(said[:1] and said[0] in allowed, "wrong result", f"{name}: {said}")
        return said[0] if said else ""

    def finished(self, context: reactor.IoContext) -> None:
        """Check that a context has come to rest: `run` returned because there was no work."""
        scheduler = context.scheduler
        signal = scheduler.signal
        self.expect(signal.work == 0, "early return", f"run() returned with work {signal.work}")
        handlers, turns = self._queued(context)
        self.expect(not handlers, "early return", "handlers are still queued")
        self.expect(
            signal.runners == signal.idle == signal.signalled == 0,
            "bad count",
            f"at rest: {signal.as_dict()}",
        )
        self.expect(
            turns == 1,
            "bad count",
            "the reactor turn is not on the queue once",
        )

    @staticmethod
    def _queued(context: reactor.IoContext) -> tuple[list[Any], int]:
        queues = context.scheduler.queues
        assert all(isinstance(queue, TrackedQueue) for queue in queues)  # of a `Ground`
        return queued(queues)

    def _stuck(self) -> Violation | None:
        """Everybody waits for ever: is there something to do?"""
        for context in self.contexts:
            waiting = self.execution.waiting()
            if self._queued(context)[0]:
                return Violation("lost wake-up", f"handlers are queued, and {waiting}")
            if context.scheduler.signal.stopped:
                return Violation("lost wake-up", f"stopped, and {waiting}")
            if context.scheduler.signal.work == 0:
                return Violation("missing return", f"there is no work, and {waiting}")
        return None

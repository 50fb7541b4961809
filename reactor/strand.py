"""Strands: handlers that never run at the same time, though any number of threads run the context.

A strand is a queue and a turn. Whoever has the turn runs: a posted call, or one step of a task, from
one place where it waits to the next. While a task waits it has no turn, so others of the strand run
meanwhile, as with a monitor. The turn is handed on directly, first come first served, and no lock is
held by who has it; so a strand costs a thread nothing while it waits for its turn: the thread does
something else. (The idea and the name are Boost.Asio's.)

`_taken`, `_waiting` and the places in it are guarded by the scheduler's mutex.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from .context import variables_for
from .errors import Cause, OperationCancelled
from .local import current_context
from .operation import Operation
from .scope import CancelScope
from .task import Task, as_coroutine

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Generator

    from .context import IoContext
    from .scheduler import Call

T = TypeVar("T")


class _Place(Operation):
    """A task's place in the queue of a strand."""

    __slots__ = ("_strand", "granted")

    def __init__(self, strand: Strand) -> None:
        super().__init__()
        self._strand = strand
        self.granted = False

    def park(self, task: Task[Any]) -> bool:
        """Wait for the turn, unless it came before its task did."""
        return not self.granted and self.settle(task)

    def vacate(self) -> None:
        """Leave the queue."""
        self._strand._waiting.pop(self, None)

    def describe(self) -> str:
        """Say what is waited for."""
        return "its turn in a strand"


class Strand:
    """Serialises what is posted and spawned through it; make one for each state that tasks share.

    ``strand.post(call)`` and ``strand.spawn(function)`` are those of the context, except that no
    two calls, and no two steps of tasks, of one strand run at the same time; they run in the order
    in which they came to be able to. Between two steps of a task others may run: what must stay
    whole belongs between two `await`. Tasks that those tasks spawn elsewhere, in a `TaskGroup` for
    instance, do not belong to the strand.

    Args:
        context: the context it belongs to; by default the current one.
    """

    def __init__(self, *, context: IoContext | None = None) -> None:
        self._scheduler = (context or current_context()).scheduler
        self._taken = False
        # In order: places as keys, and posted calls below keys that mean nothing.
        self._waiting: dict[object, Call | None] = {}

    def post(self, function: Callable[..., object], *args: Any) -> None:
        """Have ``function(*args)`` called with the turn, as `IoContext.post`; from any thread.

        Raises:
            ContextClosedError: the context is closed.
            TypeError: `function` cannot be called.
        """
        variables = variables_for(function)
        call = variables, self._call, (function, args)
        scheduler = self._scheduler
        with scheduler.mutex:
            scheduler.check_open()
            if self._taken:
                self._waiting[object()] = call
            else:
                self._taken = True
                scheduler.push(call)

    def _call(self, function: Callable[..., object], args: tuple[Any, ...]) -> None:
        """Run a posted call, which has the turn."""
        try:
            function(*args)
        finally:
            with self._scheduler.mutex:
                self._hand_on()

    def spawn(
        self, function: Callable[..., Awaitable[T]], *args: Any, name: str | None = None
    ) -> Task[T]:
        """Start ``function(*args)`` as a task of which each step has the turn; from any thread.

        Otherwise as `IoContext.spawn`. Operations are performed with the turn, too.

        Raises:
            ContextClosedError: the context is closed.
            TypeError: `function` is not an async function.
        """
        scheduler = self._scheduler
        scheduler.check_open()
        coro = as_coroutine(function, args)
        place = self._queue_up()
        driven: Any = self._drive(coro, place)  # a generator: all that a task asks of a coroutine
        next(driven)  # from here on, closing it closes `coro`
        task: Task[T] = Task(scheduler, driven, name or function)
        scheduler.start(task)  # refused by a closed context, where nobody waits for the place
        return task

    def _queue_up(self) -> _Place:
        """Take a place in the queue; the turn, if nobody has it."""
        place = _Place(self)
        with self._scheduler.mutex:
            if self._taken:
                self._waiting[place] = None
            else:
                self._taken = place.granted = True
        return place

    def _hand_on(self) -> None:
        """Give the turn to who has waited longest. The mutex is held."""
        first = next(iter(self._waiting), None)
        if first is None:
            self._taken = False
            return
        call = self._waiting.pop(first)
        if call is not None:
            self._scheduler.push(call)
        else:
            assert isinstance(first, _Place)
            first.granted = True
            first.claim(Cause.READY)  # unless its task is on the way still

    def _drive(
        self, coro: Coroutine[Any, Any, T], place: _Place
    ) -> Generator[Operation | None, None, T]:
        """Step `coro` with the turn, and give it up wherever it waits."""
        error: BaseException | None = None
        try:
            yield None
            while True:
                if not place.granted:
                    yield from self._turn(place)
                try:
                    op = coro.send(None) if error is None else coro.throw(error)
                except StopIteration as stop:
                    return stop.value  # type: ignore[no-any-return]
                finally:
                    with self._scheduler.mutex:
                        if place.granted:
                            self._hand_on()
                error = None
                try:
                    yield op
                except (OperationCancelled, Exception) as exc:  # noqa: BLE001 - for who asked for it
                    error = exc
                place = self._queue_up()
        finally:
            coro.close()

    def _turn(self, place: _Place) -> Generator[Operation, None, None]:
        """Wait for the turn, cancelled or not: cleanup is serialised like everything else."""
        try:
            with CancelScope(shield=True):
                yield place
        except OperationCancelled:
            # The context is being closed. Then one thread alone steps the tasks, and the turn does
            # not matter any more.
            with self._scheduler.mutex:
                place.vacate()

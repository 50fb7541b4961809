"""Helper threads of a scenario."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .peer import SAFETY

if TYPE_CHECKING:
    from collections.abc import Callable

    from .world import World


class LabThread:
    """A thread of the lab's world that keeps what its function returned or raised.

    Args:
        world: where it runs, from now on.
        function: what it calls.
        args: with these.
        finished: an event of the subject, which it sets at its end.
    """

    def __init__(
        self, world: World, function: Callable[..., Any], args: tuple[Any, ...], finished: Any
    ) -> None:
        self.name = f"helper-{getattr(function, '__name__', 'call')}"
        self._function = function
        self._args = args
        self.finished = finished
        self.value: Any = None
        self.error: BaseException | None = None
        self.told = False
        thread = world.thread(self.name, self._run)
        self.join, self.is_alive = thread.join, thread.is_alive

    def _run(self) -> None:
        try:
            self.value = self._function(*self._args)
        except BaseException as exc:  # noqa: BLE001 - handed to who joins
            self.error = exc
        finally:
            self.finished.set()

    def ended(self) -> Any:
        """As `Lab.join`, blocking the calling thread.

        Raises:
            AssertionError: it does not end within the safety timeout.
            BaseException: what the function raised.
        """
        self.join(SAFETY)
        if self.is_alive():
            raise AssertionError(f"{self.name} does not end")
        if self.error is not None:
            self.told = True
            raise self.error
        return self.value

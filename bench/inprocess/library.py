"""What the measured loops ask of a library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


def nothing() -> None:
    """Do nothing."""


async def anothing() -> None:
    """Do nothing, as a task."""


class Library:
    """A library; what it has no word for is None, and then it has no such case.

    Each attribute is what its users would call, as it is: nothing is wrapped where it is measured.
    Where the same word is a call in one library and awaited in another, `awaits` has its name.
    """

    #: Names of those among `spawn`, `group` and `event_set` whose result is awaited.
    awaits: frozenset[str] = frozenset()

    #: The method of what `call_later` returns that takes the call back.
    undo = "cancel"

    post: Callable[..., object] | None = None
    post_from_thread: Callable[..., object] | None = None
    call_later: Callable[..., Any] | None = None
    spawn: Callable[..., Any] | None = None
    group: Callable[[], Any] | None = None
    pause: Callable[[], Awaitable[object]] | None = None
    timeout: Callable[[float], Any] | None = None
    event: Callable[[], Any] | None = None
    channel: Callable[[], tuple[Callable[[int], Any], Callable[[], Any]]] | None = None

    def __init__(self) -> None:
        self.open()

    def empty(self) -> Any:
        """Return the function of a task that does nothing."""
        return anothing

    def into_group(self, group: Any) -> Callable[..., Any]:
        """Return what spawns a task into an open group."""
        return group.start_soon  # type: ignore[no-any-return]

    def open(self) -> None:
        """Import it."""

    def close(self) -> None:
        """Give back what it holds."""

    def run_calls(self, first: Callable[[], object]) -> None:
        """Run the loop from a first call on, until `stop`."""
        raise NotImplementedError

    def stop(self) -> None:
        """End `run_calls`; from a call."""
        raise NotImplementedError

    def run_main(self, main: Callable[[], Any]) -> None:
        """Run an async function to its end, and the tasks that it has spawned."""
        raise NotImplementedError

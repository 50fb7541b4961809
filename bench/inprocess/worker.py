"""A library at one case, in a process of its own: ``python -m ….inprocess.worker LIBRARY CASE JSON``.

``what`` is answered with null, or with why there is nothing to measure; ``run SECONDS`` with the fields
of a `Measurement`, or with ``{"error": "what"}``. It ends with its input.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import sys
from typing import TYPE_CHECKING, Any

from . import calls, tasks, timers
from .libraries import LIBRARIES
from .meter import Meter

if TYPE_CHECKING:
    from collections.abc import Callable

    from .library import Library

#: Case -> what measures it, and what a library must have a word for.
CASES: dict[str, tuple[Callable[..., None], tuple[str, ...]]] = {
    "post": (calls.post, ("post",)),
    "post-threads": (calls.post_threads, ("post_from_thread",)),
    "ping": (calls.ping, ("post_from_thread",)),
    "spawn": (tasks.spawn, ("spawn", "pause")),
    "spawn-group": (tasks.spawn_group, ("group",)),
    "switch": (tasks.switch, ("spawn", "pause")),
    "ping-pong": (tasks.ping_pong, ("spawn", "channel")),
    "timeout": (tasks.ping_pong, ("spawn", "channel", "timeout")),
    "fan-out": (tasks.fan_out, ("spawn", "event")),
    "cancel": (timers.cancel, ("call_later", "post")),
    "fire": (timers.fire, ("call_later", "post")),
}

#: Those that draw, and so take a seed.
SEEDED = frozenset({"cancel"})


def prepare(
    name: str, case: str, parameters: dict[str, Any]
) -> tuple[Library, Callable[[Meter], None]] | str:
    """Return a library and what measures it at a case, or why there is none.

    Args:
        name: of the library.
        case: a name of `CASES`.
        parameters: what it takes by keyword.
    """
    measure, needs = CASES[case]
    try:
        library = LIBRARIES[name]()
    except ImportError as exc:
        return f"{exc.name or name} is not installed"
    lacking = [need for need in needs if getattr(library, need) is None]
    if lacking:
        library.close()
        return f"{name} has no {lacking[0].replace('_', ' ')}"
    if case == "cancel":
        parameters = {**parameters, "kept": timers.Pending()}
    return library, lambda meter: measure(library, meter, **parameters)


def run(measure: Callable[[Meter], None], seconds: float) -> dict[str, Any]:
    """Measure once; returns what is answered."""
    meter = Meter(seconds)
    gc.collect()  # nobody pays for what the round before has left
    try:
        measure(meter)
    except Exception as exc:  # noqa: BLE001 -- the run tells it, in one line, with the case
        return {"error": f"{type(exc).__name__}: {exc}".replace("\n", " ")}
    return meter.result()


def serve(measure: Callable[[Meter], None] | str) -> None:
    """Answer lines until the input ends.

    Args:
        measure: fills a meter, or why there is nothing that does.
    """
    why = measure if isinstance(measure, str) else None
    for line in sys.stdin:
        command, *words = line.split()
        answer = (
            why
            if command == "what" or isinstance(measure, str)
            else run(measure, *map(float, words))
        )
        try:
            print(json.dumps(answer), flush=True)
        except BrokenPipeError:  # who has asked was killed in between
            # The interpreter, at its end, would try once more, and say that it could not.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return


def main(name: str, case: str, parameters: str) -> None:
    """Answer lines for a library at a case."""
    found = prepare(name, case, json.loads(parameters))
    if isinstance(found, str):
        serve(found)
        return
    library, measure = found
    serve(measure)
    library.close()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main(*sys.argv[1:])

"""The engine at a place: carries out an order and says what comes of it, message by message."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from .. import engine
from ..errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Callable


def order(options: engine.RunOptions, **info: Any) -> dict[str, Any]:
    """Make an order of options: what JSON can carry, without paths, which mean nothing there.

    Args:
        options: of the run; the scenarios and the expectation file are those of the cargo.
        info: what the run is to say of itself that only the other end knows.
    """
    return {
        "options": asdict(options) | {"scenarios_dir": None, "expectations": None},
        "info": info,
    }


def run(asked: dict[str, Any], send: Callable[[dict[str, Any]], None]) -> None:
    """Carry out an order.

    Messages are ``begin`` with the run's circumstances, ``result`` for each scenario, ``end`` with
    the circumstances once more, or ``refused`` with a reason.
    """
    # JSON has lists for tuples.
    plain: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in asked["options"].items()
    }
    try:
        with engine.Session(engine.RunOptions(**plain)) as session:
            for name, value in asked["info"].items():
                setattr(session.info, name, value)
            send({"kind": "begin", "run": asdict(session.info)})
            results = session.run(
                session.choose(), lambda result: send({"kind": "result", "result": asdict(result)})
            )
            send({"kind": "end", "run": asdict(session.finish(results).info)})
    except HarnessError as exc:
        send({"kind": "refused", "reason": str(exc)})

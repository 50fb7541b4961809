"""A badge, as the JSON that shields.io asks an endpoint for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ..collection import exit_code
from . import words

if TYPE_CHECKING:
    from collections.abc import Collection

    from ..model import Run


def render(runs: Collection[Run]) -> str:
    """Return the badge of many runs (https://shields.io/badges/endpoint-badge)."""
    results = [result for run in runs for result in run.results]
    unexpected = sum(result.unexpected for result in results)
    columns = words.counted(len(runs), "column")
    if not results:
        message, colour = "nothing ran", "lightgrey"
    elif unexpected:
        message, colour = f"{unexpected} unexpected in {columns}", "red"
    elif exit_code(runs):
        message, colour = "incomplete", "red"
    else:
        message, colour = f"{columns} as expected", "brightgreen"
    made = {"schemaVersion": 1, "label": "scenarios", "message": message, "color": colour}
    return json.dumps(made, indent=1) + "\n"

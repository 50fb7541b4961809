"""Draw the state machines of `docs/states.md` from the tables that the code runs on.

python docs/make_states.py          # write docs/states.md
python docs/make_states.py --check  # exit 1 when it is out of date
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reactor import operation, signals

if TYPE_CHECKING:
    from collections.abc import Mapping

PAGE = Path(__file__).with_name("states.md")

_HEAD = """\
# State machines

Drawn by `docs/make_states.py` from the tables in the code; do not edit.
A move that is not in a table raises `IllegalTransition`,
which names the machine, the state and the event.
"""


def _diagram(table: Mapping[tuple[Any, Any], Any], first: Any) -> str:
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {first.name}"]
    lines += [
        f"    {state.name} --> {after.name}: {event.name.lower()}"
        for (state, event), after in table.items()
    ]
    return "\n".join([*lines, "```"])


def _rows(table: Mapping[tuple[Any, Any], Any]) -> str:
    lines = ["| state | event | next state |", "|---|---|---|"]
    lines += [
        f"| {state.name} | {event.name.lower()} | {after.name} |"
        for (state, event), after in table.items()
    ]
    return "\n".join(lines)


def page() -> str:
    """Return the whole page."""
    parts = [_HEAD]
    for title, text, table, first in (
        (
            "An operation",
            """One pending thing with one waiting task.
Only the claim decides the result, and it happens once:
by readiness, by cancel, by close or by a deadline.""",
            operation.TRANSITIONS,
            operation.IDLE,
        ),
        (
            "The leader",
            "The one thread that may be inside the kernel wait, as the others see it.",
            signals.TRANSITIONS,
            signals.ABSENT,
        ),
    ):
        parts += [f"## {title}\n", f"{text}\n", f"{_diagram(table, first)}\n", f"{_rows(table)}\n"]
    return "\n".join(parts)


def main() -> int:
    """Write the page, or compare it; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only say whether it is up to date")
    if not parser.parse_args().check:
        PAGE.write_text(page(), encoding="utf-8")
        return 0
    if PAGE.read_text(encoding="utf-8") == page():
        return 0
    sys.stderr.write(f"{PAGE.name} is out of date: run python docs/make_states.py\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())

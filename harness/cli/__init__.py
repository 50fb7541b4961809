"""The `reactorlab` command: one module for each verb, and what they share.

What a verb prints for people goes through rich, which respects ``NO_COLOR`` and pipes; with
``--json`` standard output holds one JSON document and nothing else. A mistake of the user is one
line on standard error and exit code 2.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from typing import TYPE_CHECKING

from ..errors import HarnessError
from ..model import BROKEN

if TYPE_CHECKING:
    from collections.abc import Sequence

#: What the extra `harness` brings; checked before anything of it is imported.
_EXTRA = ("jinja2", "rich")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: its arguments; by default the process's.

    Returns:
        The exit code: 0 as expected, 1 an unexpected result, 2 a usage or harness error,
        3 nothing matched.
    """
    missing = [name for name in _EXTRA if importlib.util.find_spec(name) is None]
    if missing:
        names = ", ".join(missing)
        print(f"reactorlab: {names} not found: pip install 'reactorlab[harness]'", file=sys.stderr)
        return BROKEN
    from . import parser

    options = parser.parse(argv)
    try:
        code: int = options.verb(options)
        sys.stdout.flush()
    except HarnessError as exc:
        from ..report import words  # a message may hold what a file holds

        print(f"reactorlab: {words.one_line(exc)}", file=sys.stderr)
        return BROKEN
    except BrokenPipeError:
        # Whoever read our output has gone (`reactorlab list | head`). Python would complain once
        # more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN
    except KeyboardInterrupt:
        print("reactorlab: interrupted", file=sys.stderr)
        return BROKEN
    return code

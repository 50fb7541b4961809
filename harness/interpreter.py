"""How this interpreter is started again, for a process of the harness's own."""

from __future__ import annotations

import json
import sys

# The import path is the caller's: under pytest it has more than the interpreter starts with.
_BOOT = (
    "import importlib, json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "importlib.import_module(sys.argv[2]).main(*sys.argv[3:])"
)


def command(module: str, *args: str) -> list[str]:
    """Return the command line that calls a module's ``main(*args)`` in a process like this one."""
    return [
        sys.executable,
        *(f"-W{option}" for option in sys.warnoptions),
        *(f"-X{_option(key, value)}" for key, value in sys._xoptions.items()),
        "-c",
        _BOOT,
        json.dumps(sys.path),
        module,
        *args,
    ]


def _option(key: str, value: str | bool) -> str:  # noqa: FBT001 - as sys._xoptions holds them
    return key if value is True else f"{key}={value}"

"""JSON files that came from elsewhere: read with one clear error, written whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from .errors import HarnessError
from .files import put

if TYPE_CHECKING:
    from collections.abc import Callable


def read(path: Path | str, error: Callable[[str], HarnessError] = HarnessError) -> Any:
    """Read a JSON document.

    Args:
        path: of the file.
        error: makes the exception of a message.

    Raises:
        HarnessError: what `error` made; the message names the file, and the line and column if it is
            the text that is wrong.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"), parse_constant=_no_number)
    except OSError as exc:
        raise error(f"{path}: {exc.strerror}") from exc
    except RecursionError as exc:
        raise error(f"{path}: not JSON that can be read: it is nested too deeply") from exc
    except ValueError as exc:  # bad JSON, bad UTF-8, a number without end, a NUL in the path
        raise error(f"{path}: not JSON: {exc}") from exc


def _no_number(text: str) -> NoReturn:
    """NaN and its kin are Python's, not JSON's, and nothing can be compared with them."""
    raise ValueError(f"{text} is not a number of JSON")


def write(path: Path, data: Any, *, indent: int | None = None) -> Path:
    """Write a JSON document, in a form that depends on nothing but the data; returns its path.

    Raises:
        OSError: it cannot be written; what stood there still stands.
    """
    separators = (",", ":") if indent is None else None
    text = json.dumps(data, indent=indent, separators=separators, allow_nan=False) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    return put(path, text.encode())

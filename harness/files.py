"""Files that are there whole or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def put(path: Path, data: bytes) -> Path:
    """Write a file beside its place, then move it there; returns its path.

    Raises:
        OSError: it cannot be written; what stood at `path` still stands.
    """
    partial = path.with_name(path.name + ".part")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path

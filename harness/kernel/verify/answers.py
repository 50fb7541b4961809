"""How answers are written down: in words that are the same on every system, and that JSON can hold.

Numbers of errnos and of poll(2)'s bits differ between systems, and a record made on one is held
against the model on another.
"""

from __future__ import annotations

import errno
import hashlib
from typing import Any

from ..description import ERR, HUP, IN, NVAL, OUT, PRI, RDHUP

_BITS = {"IN": IN, "PRI": PRI, "OUT": OUT, "ERR": ERR, "HUP": HUP, "NVAL": NVAL, "RDHUP": RDHUP}

#: One number with two names on Linux, two numbers on the BSDs (errno(3)).
_ALIASES = {"ENOTSUP": "EOPNOTSUPP", "EWOULDBLOCK": "EAGAIN"}

#: Bytes up to this many are written out, more by their number and a hash.
_SHORT = 16


def errno_name(code: int | None) -> str:
    """Return the name of an errno."""
    name = errno.errorcode.get(code or 0, f"errno {code}")
    return _ALIASES.get(name, name)


def names_of(value: int, names: dict[str, int]) -> str:
    """Write bits as their names, and what has none in hexadecimal; ``0`` for no bits."""
    words = [name for name, bit in names.items() if value & bit]
    for bit in names.values():
        value &= ~bit
    return "|".join(words + ([hex(value)] if value else [])) or "0"


def mask_name(mask: int) -> str:
    """Write what poll(2) or epoll(7) says."""
    return names_of(mask, _BITS)


def plain(answer: Any) -> Any:
    """Return an answer as JSON can hold it."""
    if isinstance(answer, bytes):
        if len(answer) <= _SHORT:
            return answer.hex(" ") or "no bytes"
        return f"{len(answer)} bytes {hashlib.blake2b(answer, digest_size=6).hexdigest()}"
    if isinstance(answer, list | tuple):
        return [plain(item) for item in answer]
    return answer

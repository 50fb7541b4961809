"""Lines out of a stream of bytes that comes in pieces."""

from __future__ import annotations


class Lines:
    """Collects bytes and gives the lines that are complete."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def feed(self, data: bytes) -> list[bytes]:
        """Take a piece; return the lines that it completes, without their ends."""
        first, *others = data.split(b"\n")
        self._pieces.append(first)
        if not others:
            return []
        complete = [b"".join(self._pieces), *others[:-1]]
        self._pieces = [others[-1]]
        return complete

    @property
    def rest(self) -> bytes:
        """What came after the last line end."""
        return b"".join(self._pieces)

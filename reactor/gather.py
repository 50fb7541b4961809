"""Gathering sends: any number of buffers, any size, resumed inside the right one."""

from __future__ import annotations

import os
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable, Sequence

#: Linux refuses more buffers in one call with EMSGSIZE, macOS with EINVAL (sendmsg(2)).
IOV_MAX = max(16, os.sysconf("SC_IOV_MAX") if "SC_IOV_MAX" in os.sysconf_names else 1024)

#: Bytes in one call: macOS answers EINVAL above INT_MAX instead of sending a part (erlang/otp#6248).
MAX_SEND = 1 << 30


class Gather:
    """The position of a gathering send, across as many system calls as it takes.

    Args:
        sock: the socket.
        buffers: what to send; empty ones are skipped.
        ancdata: ancillary data, sent once, with the first bytes.
    """

    __slots__ = ("_ancdata", "_sendmsg", "_views", "size")

    def __init__(
        self,
        sock: socket.socket,
        buffers: Sequence[bytes | bytearray | memoryview],
        ancdata: Iterable[tuple[int, int, bytes]],
    ) -> None:
        views = (memoryview(buffer).cast("B") for buffer in buffers)
        self._views = deque(view for view in views if view.nbytes)
        self.size = sum(view.nbytes for view in self._views)
        self._ancdata = list(ancdata)
        self._sendmsg = sock.sendmsg

    def step(self, _: object, flags: int) -> int:
        """Send once and move on; returns how many bytes went out.

        Raises:
            BlockingIOError: it would block, and nothing was sent.
            OSError: it failed.
        """
        views = self._views
        batch = []
        room = MAX_SEND
        for index, view in enumerate(views):
            if index == IOV_MAX or not room:
                break
            batch.append(view[:room])
            room -= batch[-1].nbytes
        sent = self._sendmsg(batch, self._ancdata, flags)
        self._ancdata = []
        left = sent
        while left:
            if views[0].nbytes <= left:
                left -= views.popleft().nbytes
            else:
                views[0] = views[0][left:]
                left = 0
        return sent

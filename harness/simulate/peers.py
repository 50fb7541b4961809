"""Steps of peers, which are on another machine: plain sockets that do one thing after the other."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

from ..kernel.sockets import SimulatedSocket
from .stage import MOST_ENDS, Stage
from .things import pattern

if TYPE_CHECKING:
    from .program import Step
    from .things import End


class PeerSteps(Stage):
    """What peers do."""

    def _do_peer_connect(self, step: Step) -> None:
        listener = self._listener(step)
        if listener is None or len(self.world.peers) >= MOST_ENDS or listener.closed:
            return
        raw = SimulatedSocket(self.kernel, listener.endpoint.family)
        raw.settimeout(0)
        peer = self.world.add(raw=raw)
        self.world.tell("connect", peer)
        raw.connect_ex(listener.address)
        peer.other = self.world.other_side(peer.endpoint)

    def _do_peer_send(self, step: Step) -> None:
        peer = self._peer(step)
        if peer is None or peer.raw is None:
            return
        endpoint = peer.endpoint
        data = pattern(self.world.salt(endpoint), endpoint.bytes_sent, step.b)
        peer.busy = True
        try:
            peer.raw.send(data)
        except OSError:
            pass  # it is full, or the connection has ended
        finally:
            peer.busy = False

    def _do_peer_recv(self, step: Step) -> None:
        peer = self._peer(step)
        if peer is None or peer.raw is None:
            return
        start = peer.endpoint.bytes_received
        peer.busy = True
        try:
            data = peer.raw.recv(step.b)
        except OSError:
            return
        finally:
            peer.busy = False
        other = peer.other
        if other is not None and data != pattern(self.world.salt(other), start, len(data)):
            self.world.find("bytes-in-order", f"{peer} got other bytes than were sent")

    def _do_peer_shutdown(self, step: Step) -> None:
        peer = self._peer(step)
        if peer is not None and peer.raw is not None:
            try:
                peer.raw.shutdown(step.b % 3)
            except OSError:
                pass  # the connection has ended

    def _do_peer_close(self, step: Step) -> None:
        peer = self._peer(step)
        if peer is not None and peer.raw is not None:
            self.close_peer(peer)

    def _do_peer_reset(self, step: Step) -> None:
        peer = self._peer(step)
        if peer is None or peer.raw is None:
            return
        linger = struct.pack("ii", 1, 0)
        try:
            peer.raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        except OSError:
            pass  # it has been reset itself
        self.close_peer(peer)

    def close_peer(self, peer: End) -> None:
        """Close a peer's socket, unless it is."""
        peer.closed = True
        assert peer.raw is not None
        try:
            peer.raw.close()
        except OSError:
            pass  # ECONNRESET (FreeBSD); the number is gone all the same

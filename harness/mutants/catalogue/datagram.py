"""Datagrams: the hints of streams that do not hold for them."""

from __future__ import annotations

from ..model import Edit, Mutant, scenario, test

AREA = "datagram"

MUTANTS = (
    Mutant(
        "a-short-datagram-is-taken-for-the-last",
        AREA,
        "datagram.burst: libuv 33b192c84, one event for many and only the first was taken",
        (
            Edit(
                "datagram.py",
                "return perform(self._read, self._recv, max_bytes)",
                "return perform(self._read, self._recv, max_bytes, max_bytes)",
            ),
        ),
        (scenario("datagram.burst", "epoll"),),
    ),
    Mutant(
        "a-full-queue-elsewhere-is-polled-for",
        AREA,
        "unix.dgram-full-peer: corosio a509f65, one's own socket is writable and there is no room",
        (Edit("datagram.py", "raise QueueFullError from exc", "raise"),),
        (test("reactor/test_datagram.py::test_a_send_to_a_full_queue_pauses[poll]"),),
    ),
)

"""Family *connect*: a connect says how it went, once it is known."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from harness.scenario import scenario

if TYPE_CHECKING:
    from harness.lab import Lab


@scenario(
    id="connect.refused-not-success",
    law=9,
    provenance="corosio PR 202, golang/go#14548, asio 300ba8188: writable taken for connected",
)
async def refused_not_success(lab: Lab) -> None:
    """A connect that fails is not taken for one that succeeded, whenever the system says so."""
    sock = lab.fresh_stream()
    connect = await lab.result_of("connect", sock.connect, lab.refused_address())
    connect.failed(ConnectionRefusedError)
    fake = lab.fresh_stream()
    lab.fault("getsockopt", answers=[lambda _: errno.ECONNREFUSED], on=fake)
    crowd = lab.crowd()
    late = await lab.parked("late", fake.connect, crowd.address)
    await lab.join(lab.thread(crowd.accept_all))
    accepter = lab.thread(crowd.accept_all)
    (await lab.outcome(late)).failed(ConnectionRefusedError)
    await lab.join(accepter)

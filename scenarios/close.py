"""Family *close*: what is closed is gone from the poller, and its number belongs to the next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.scenario import scenario

if TYPE_CHECKING:
    from harness.lab import Lab


@scenario(
    id="close.dup-keeps-registration",
    law=5,
    provenance="epoll(7) Q6; curio#313, uvloop#61, libevent 9531763a: reported while a duplicate is open",
)
async def dup_keeps_registration(lab: Lab) -> None:
    """A closed socket whose description lives on in a duplicate is not reported any more."""
    ours, theirs = lab.raw_pair()
    lab.keep(ours.dup())
    sock, peer = lab.take(ours), lab.peer(theirs)
    recv = await lab.parked("recv", sock.recv, 10)
    sock.close()
    (await lab.outcome(recv)).cancelled("close")
    await lab.settle()
    before = lab.subject.counters()["waits"]

    def send() -> None:
        for _ in range(20):
            peer.send(b"x")
            lab.world.pause(0.005)

    await lab.join(lab.thread(send))
    waits = lab.subject.counters()["waits"] - before
    lab.check(waits <= 5, f"{waits} waits for events of a closed socket")

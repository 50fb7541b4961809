"""Family *datagram*: datagrams are whole, an empty one is no end, and a short one is not the last."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from harness.scenario import scenario

if TYPE_CHECKING:
    from harness.lab import Lab

#: More than one turn's budget of receives, and less than a socket's buffer holds.
_BURST = 50


@scenario(
    id="datagram.empty",
    law=3,
    needs=("unix",),
    provenance="corosio 5bafe1c; gh-113812, uvloop#594, libkqueue#39: an empty one was taken for the end",
)
async def empty(lab: Lab) -> None:
    """An empty datagram is received as one, and is neither an end nor the last."""
    for kind in ("udp", "unix"):
        sock, peer = lab.datagram_pair(kind)
        first = await lab.parked(f"{kind}-first", sock.recv, 100)
        for data in (b"", b"a", b"", b"b"):
            peer.sock.send(data)
        lab.equal((await lab.outcome(first)).get(), b"", "the empty one")
        got = [await sock.recv(100) for _ in range(3)]
        lab.equal(got, [b"a", b"", b"b"], "what came after it")
        for data in (b"", b"c"):
            lab.equal(await sock.send(data), len(data), "what a send says")
            lab.equal(peer.receive(), data, "what the peer receives")


@scenario(
    id="datagram.truncation",
    law=3,
    needs=("unix",),
    provenance="recv(2), mio#881, rust#55794: what does not fit is discarded; the next is whole",
)
async def truncation(lab: Lab) -> None:
    """Of a datagram that is larger than was asked for, the rest is gone, and the next one is whole."""
    for kind in ("udp", "unix"):
        sock, peer = lab.datagram_pair(kind)
        peer.send(bytes(100))
        peer.send(b"next")
        lab.equal(await sock.recv(10), bytes(10), "the part that fits")
        lab.equal((await sock.recvfrom(10))[0], b"next", "the datagram after it")


@scenario(
    id="datagram.receive-cancel",
    law=4,
    provenance="corosio d249ac3: a stop flag was set, and the operation stayed in the poller",
)
async def receive_cancel(lab: Lab) -> None:
    """A parked receive that is cancelled has taken no datagram, and the next has it with its sender."""
    sock = lab.datagram()
    peer = lab.datagram_peer(sock)
    receive = await lab.parked("receive", sock.recvfrom, 100)
    lab.post(lab.cancel, receive)
    (await lab.outcome(receive)).cancelled("cancel")
    peer.send(b"kept")
    data, sender = await sock.recvfrom(100)
    lab.equal(data, b"kept", "what the next receive gets")
    lab.check(sender == peer.sock.getsockname(), "the address is not that of the sender")
    again = await lab.parked("again", sock.recvfrom, 100)
    lab.equal(sock.cancel(), 1, "operations that cancelling the socket ended")
    (await lab.outcome(again)).cancelled("cancel")


@scenario(
    id="datagram.order",
    law=3,
    provenance="libuv d9cd7d437: datagrams of one batch were handed out backwards",
)
async def order(lab: Lab) -> None:
    """Datagrams come in the order in which they were sent, each once and with its own sender."""
    sock = lab.datagram()
    peers = [lab.datagram_peer(sock) for _ in range(2)]
    for number in range(_BURST):
        peers[number % 2].send(b"%d" % number)
    for number in range(_BURST):
        data, sender = await sock.recvfrom(100)
        lab.equal(data, b"%d" % number, "the next datagram")
        lab.check(sender == peers[number % 2].sock.getsockname(), f"{number} is of another sender")
    for number, peer in enumerate(peers):
        await sock.sendto(b"back %d" % number, peer.sock.getsockname())
    for number, peer in enumerate(peers):
        lab.equal(peer.receive(), b"back %d" % number, "what a sender gets back")


@scenario(
    id="datagram.burst",
    law=2,
    provenance="libuv 33b192c84: one event for many, and only the first was taken",
)
async def burst(lab: Lab) -> None:
    """Of several datagrams that one event stands for each is received, again and again."""
    sock, peer = lab.datagram_pair()
    for count in (_BURST, 1, 3):
        first = await lab.parked(f"first-of-{count}", sock.recv, 1000)
        for number in range(count):
            peer.send(b"%d" % number)
        lab.equal((await lab.outcome(first)).get(), b"0", "the first")
        for number in range(1, count):
            got = (await lab.result_of(f"{number}-of-{count}", sock.recv, 1000)).get()
            lab.equal(got, b"%d" % number, "the next")
    rest = await lab.parked("rest", sock.recv, 1000)
    await lab.check_no_spin()
    lab.still_parked(rest)


@scenario(
    id="datagram.refused",
    law=9,
    provenance="udp(7), uvloop#109, bun#28690: the answer of a closed port killed the receiver",
    permits={
        "receive": "the pending receive is told",
        "send": "the send that comes after is told",
    },
)
async def refused(lab: Lab) -> None:
    """That nobody receives at a port is told once, and the socket goes on."""
    sock = lab.datagram()
    address = lab.unheard_address()
    await sock.connect(address)
    receive = await lab.parked("receive", sock.recv, 100)
    lab.equal(await sock.send(b"anybody?"), 8, "what the first send says")
    await lab.settle()
    if receive.done:
        (await lab.outcome(receive)).failed(ConnectionRefusedError)
        lab.permit("receive")
        receive = await lab.parked("receive-again", sock.recv, 100)
    else:
        second = await lab.result_of("second", sock.send, b"anybody?")
        second.failed(ConnectionRefusedError)
        lab.permit("send")
    await lab.check_no_spin()
    lab.still_parked(receive)
    heard = lab.datagram(address)
    lab.equal(await sock.send(b"and now?"), 8, "what a send says later")
    data, sender = await heard.recvfrom(100)
    lab.equal(data, b"and now?", "what arrives later")
    await heard.sendto(b"here", sender)
    lab.equal((await lab.outcome(receive)).get(), b"here", "what the receive gets")


@scenario(
    id="datagram.too-big",
    law=9,
    provenance="udp(7), bun#35922: EMSGSIZE, from 9217 bytes on macOS and from 65508 elsewhere",
)
async def too_big(lab: Lab) -> None:
    """A datagram that is too large is an error of that send, which has sent nothing."""
    sock, peer = lab.datagram_pair()
    ended = await lab.result_of("send", sock.send, bytes(65508))
    ended.failed(errno.EMSGSIZE)
    lab.equal(ended.transferred, 0, "bytes that went out")
    lab.equal(await sock.send(b"less"), 4, "what the next send says")
    lab.equal(peer.receive(), b"less", "what arrives")


@scenario(
    id="datagram.no-room",
    law=2,
    needs=("unix",),
    provenance="corosio a509f65, io-mux#7: Linux waits (EAGAIN), macOS and the BSDs refuse (ENOBUFS)",
    permits={
        "waits": "the system tells when there is room (Linux)",
        "refuses": "it does not, so that a send fails with ENOBUFS (macOS, the BSDs)",
    },
)
async def no_room(lab: Lab) -> None:
    """A send for which there is no room waits without spinning, or fails; it is not lost or repeated."""
    sock, peer = lab.datagram_pair("unix", tiny_send=True)
    sent: list[bytes] = []
    enough = False

    async def fill() -> None:
        while not enough:
            data = b"%d" % len(sent)
            await sock.send(data)
            sent.append(data)

    filling = lab.start("fill", fill)
    await lab.settle()
    if filling.done:
        (await lab.outcome(filling)).failed(errno.ENOBUFS)
        lab.permit("refuses")
    else:
        lab.permit("waits")
        await lab.check_no_spin()
        lab.still_parked(filling)
    enough = True
    arriving = sent.copy()  # what waits goes out meanwhile
    lab.equal([peer.receive() for _ in arriving], arriving, "what arrives")
    if lab.variant == "waits":
        (await lab.outcome(filling)).get()
        lab.equal(peer.receive(), sent[-1], "what had waited")
    lab.equal(await sock.send(b"last"), 4, "what a send says afterwards")
    lab.equal(peer.receive(), b"last", "what arrives at the end")


@scenario(
    id="datagram.close",
    law=5,
    provenance="libuv a7c44d674: closed while readable, with a receive and sends pending",
)
async def close(lab: Lab) -> None:
    """Closing ends the parked receive; what had arrived unread reaches nobody."""
    sock, peer = lab.datagram_pair()
    receive = await lab.parked("receive", sock.recvfrom, 100)
    number = sock.fileno()

    def both() -> None:
        peer.send(b"unread")
        sock.close()

    lab.post_alone(both)
    (await lab.outcome(receive)).cancelled("close")
    canary = lab.canary(number)
    await lab.settle()
    canary.check()
    (await lab.result_of("later", sock.recv, 100)).failed(errno.EBADF)
    (await lab.result_of("later-send", sock.send, b"x")).failed(errno.EBADF)

"""The workbench: what the lab makes for a scenario, of the subject and around it."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, TypeVar

from .peer import SAFETY, Peer, linger_zero, tiny_buffers
from .provoke import Crowd, NumberSocket

if TYPE_CHECKING:
    from .subject import Subject
    from .world import World

_Kept = TypeVar("_Kept")


class Workbench:
    """Makes streams, listeners, timers and peers, and closes them at the end.

    Args:
        world: whose sockets they are.
        subject: whose streams, acceptors and timers they are.
    """

    def __init__(self, world: World, subject: Subject) -> None:
        self.world = world
        self.subject = subject
        self._to_close: list[Any] = []

    def stream_pair(
        self, kind: str = "tcp", *, tiny_send: bool = False, tiny_receive: bool = False
    ) -> tuple[Any, Peer]:
        """Connect a stream of the subject with a peer.

        Args:
            kind: ``tcp`` or ``unix``.
            tiny_send: make the way from the subject to the peer as narrow as the kernel allows.
            tiny_receive: the same for the way from the peer to the subject.
        """
        ours, theirs = self.raw_pair(kind, tiny_send=tiny_send, tiny_receive=tiny_receive)
        return self.take(ours), self.peer(theirs)

    def subject_pair(self, kind: str = "tcp") -> tuple[Any, Any]:
        """Connect two streams of the subject with each other."""
        left, right = self.raw_pair(kind)
        return self.take(left), self.take(right)

    def raw_pair(
        self, kind: str = "tcp", *, tiny_send: bool = False, tiny_receive: bool = False
    ) -> tuple[socket.socket, socket.socket]:
        """Return two connected blocking sockets; the first is meant for the subject."""
        if kind == "unix":
            ours, theirs = self.world.socketpair()
            tiny_buffers(ours, send=tiny_send, receive=tiny_receive)
            tiny_buffers(theirs, send=tiny_receive, receive=tiny_send)
            return ours, theirs
        listener = self.world.create_server()
        # The window is negotiated from the buffer that a socket has when it connects.
        tiny_buffers(listener, send=tiny_receive, receive=tiny_send)
        ours = self.world.socket()
        tiny_buffers(ours, send=tiny_send, receive=tiny_receive)
        ours.connect(listener.getsockname())
        theirs, _ = listener.accept()
        listener.close()
        tiny_buffers(theirs, send=tiny_receive, receive=tiny_send)
        for sock in (ours, theirs):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return ours, theirs

    def take(self, sock: socket.socket) -> Any:
        """Give a socket of the world to the subject as a stream; the lab closes it at the end."""
        return self.keep(self.subject.stream(sock))

    def fresh_stream(self, kind: str = "tcp") -> Any:
        """Make an unconnected stream of the subject."""
        return self.keep(self.subject.fresh_stream(_family(kind)))

    def listener(
        self, kind: str = "tcp", *, backlog: int = 128, reuse_port: bool = False, port: int = 0
    ) -> Any:
        """Make a listening acceptor of the subject on a private address."""
        address: Any = ("127.0.0.1", port) if kind == "tcp" else self.world.path()
        return self.keep(
            self.subject.listen(_family(kind), address, backlog, reuse_port=reuse_port)
        )

    def unlistened(self, kind: str = "tcp") -> Any:
        """Make an acceptor that is neither bound nor listening."""
        return self.keep(self.subject.acceptor(_family(kind)))

    def datagram(self, address: Any = ("127.0.0.1", 0)) -> Any:
        """Make a UDP socket of the subject, bound to `address`; port 0 lets the system choose."""
        sock = self.world.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(address)
        return self.keep(self.subject.datagram(sock))

    def datagram_peer(self, sock: Any) -> Peer:
        """Make a peer that sends its datagrams to `sock`, and receives nobody else's."""
        peer = self.peer(self.world.socket(socket.AF_INET, socket.SOCK_DGRAM))
        peer.sock.connect(sock.getsockname())
        return peer

    def datagram_pair(self, kind: str = "udp", *, tiny_send: bool = False) -> tuple[Any, Peer]:
        """Connect a datagram socket of the subject and a peer with each other.

        Args:
            kind: ``udp`` or ``unix``.
            tiny_send: make the subject's room to send as small as the kernel allows.
        """
        if kind == "unix":
            ours, theirs = self.world.socketpair(socket.SOCK_DGRAM)
        else:
            ours, theirs = (self.world.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
            for sock in (ours, theirs):
                sock.bind(("127.0.0.1", 0))
            ours.connect(theirs.getsockname())
            theirs.connect(ours.getsockname())
        tiny_buffers(ours, send=tiny_send)
        return self.keep(self.subject.datagram(ours)), self.peer(theirs)

    def unheard_address(self) -> tuple[str, int]:
        """Return a loopback address at which nobody receives datagrams."""
        with self.world.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0))
            address: tuple[str, int] = sock.getsockname()
        return address

    def timer(self) -> Any:
        """Make a timer of the subject."""
        return self.subject.timer()

    def connect_peer(self, listener: Any, *, non_blocking: bool = False) -> Peer:
        """Connect a peer to a listener; the kernel completes that before anybody accepts.

        Args:
            listener: an acceptor of the subject, or an address.
            non_blocking: return at once, with the connect maybe still in progress.
        """
        address = listener.getsockname() if hasattr(listener, "getsockname") else listener
        sock = self._socket_for(address)
        if non_blocking:
            sock.setblocking(False)
            sock.connect_ex(address)
            peer = self.peer(sock)
            sock.setblocking(False)
            return peer
        sock.settimeout(SAFETY)
        sock.connect(address)
        return self.peer(sock)

    def connect_peer_later(self, listener: Any) -> Peer:
        """Make a peer whose `connect` is called later, when there may be no descriptors left."""
        address = listener.getsockname()
        peer = self.peer(self._socket_for(address))
        peer.connect = lambda: peer.sock.connect(address)
        return peer

    def _socket_for(self, address: Any) -> socket.socket:
        return self.world.socket(socket.AF_INET if isinstance(address, tuple) else socket.AF_UNIX)

    def aborted_peer(self, listener: Any) -> None:
        """Connect to a listener and reset the connection, before anybody has accepted it."""
        sock = self.world.create_connection(listener.getsockname()[:2], SAFETY)
        linger_zero(sock)
        sock.close()

    def peer(self, sock: socket.socket) -> Peer:
        """Make a peer of a socket of the world; the lab closes it at the end."""
        return self.keep(Peer(sock))

    def crowd(self, kind: str = "tcp") -> Crowd:
        """Return a listener outside the subject that never accepts and is full: connects hang."""
        return self.keep(Crowd(_family(kind), self.world))

    def refused_address(self) -> tuple[str, int]:
        """Return a loopback address on which nobody listens."""
        with self.world.create_server() as sock:
            address: tuple[str, int] = sock.getsockname()
        return address

    def duplicate(self, owner: Any) -> socket.socket:
        """Return a second blocking socket on the description of one; the lab closes it at the end.

        Args:
            owner: a socket or acceptor, of the subject or not.
        """
        return self.keep(self.world.socket(fileno=self.world.dup(owner.fileno())))

    def borrowed(self, owner: Any) -> Any:
        """Return a socket's number as a socket that does not close it, for a second context."""
        return NumberSocket(owner.fileno(), self.world, closes=False)

    def terminal(self) -> tuple[Any, int]:
        """Open a terminal in raw mode (needs ``pty``).

        Returns:
            One end as a stream of the subject; and the number of the other, which the scenario
            closes.
        """
        master, slave = self.world.terminal()
        return self.take(NumberSocket(master, self.world, closes=True)), slave  # type: ignore[arg-type]  # quacks like a socket

    def keep(self, thing: _Kept) -> _Kept:
        """Have `thing.close()` called at the end of the scenario."""
        self._to_close.append(thing)
        return thing


def _family(kind: str) -> int:
    if kind not in ("tcp", "unix"):
        raise ValueError(f"kind {kind!r}: allowed are tcp and unix")
    return socket.AF_INET if kind == "tcp" else socket.AF_UNIX

"""Plays a program of raw calls over a `System`, live or simulated, and writes down every answer.

A program is a list of steps, each the name of a call and three numbers; what the numbers mean is
decided when the step is played, from what there is at that moment, so that every list is a program
and shrinking one leaves a program. Descriptor numbers are written as the how-manieth distinct
number they are: both kernels give out the lowest free one, so these agree.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence

    from reactor.system import System

Step = tuple[str, int, int, int]

IN, PRI, OUT, RDHUP = 0x1, 0x2, 0x4, 0x2000
#: What a registration may ask for.
MASKS = (IN | OUT | PRI | RDHUP, IN, OUT, IN | RDHUP, IN | PRI, 0)
EDGE, ONESHOT = 1 << 31, 1 << 30
MODES = (0, EDGE, EDGE, ONESHOT, EDGE | ONESHOT)
SIZES = (1, 2, 5, 100, 1000, 4096)
#: Nobody needs more of one kind, and a long table makes for dull programs.
MOST = 10

#: The steps that make a descriptor.
_MAKERS = frozenset(
    {"tcp", "tcp_pair", "tcp_listener", "unix", "unix_pair", "unix_listener", "dgram_pair"}
    | {"udp_pair", "accept", "pipe", "eventfd", "timerfd", "dup"}
)

#: What is sent: a piece of it from a place that moves on, so that a lost byte shows.
_PATTERN = bytes(range(251)) * 290

_LINGER = struct.pack("ii", 1, 0)


@dataclass(eq=False)
class Handle:
    """One descriptor of a program."""

    kind: str  # tcp, tcp-listener, unix, unix-listener, dgram, udp, pipe-read, pipe-write, ...
    fd: int
    sock: Any = None
    address: Any = None


class Player:
    """The state of one program on one kernel.

    Args:
        system: where the calls go.
        make_path: gives a fresh path for a Unix socket.
        between: called after each step, such as to give a live kernel a moment.
        without: extensions (see `System.has`) that are not to be used, for the other kernel's sake.
    """

    def __init__(
        self,
        system: System,
        make_path: Callable[[], str],
        between: Callable[[], None] = lambda: None,
        without: Container[str] = (),
    ) -> None:
        self._system = system
        self._without = without
        self._make_path = make_path
        self._between = between
        self._numbers: dict[int, int] = {}
        self._open: list[Handle] = []
        self._pollers: list[Any] = []
        self._addresses: list[Any] = []
        self._sent = 0
        # Bound and not listening: who connects is refused, and nobody else gets the port.
        self._dead = system.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._dead.bind(("127.0.0.1", 0))

    def _has(self, name: str) -> bool:
        return name not in self._without and self._system.has(name)

    def play(self, program: Sequence[Step]) -> list[Any]:
        """Play every step; returns for each what it answered, and what poll(2) sees after it."""
        answers = []
        try:
            for name, *numbers in program:
                answers.append((self._step(name, numbers), self._look()))
        finally:
            self._end()
        return answers

    def _step(self, name: str, numbers: list[int]) -> Any:
        crowded = name in _MAKERS and len(self._open) >= MOST
        try:
            answer = None if crowded else getattr(self, f"do_{name}")(*numbers)
        except OSError as exc:
            answer = f"{type(exc).__name__} {exc.errno}"
        self._between()
        return answer

    def _look(self) -> list[tuple[int, int]]:
        """What holds of every descriptor."""
        poller = self._system.poll()
        for handle in self._open:
            poller.register(handle.fd, IN | OUT | PRI | RDHUP)
        return sorted((self._number(fd), mask) for fd, mask in poller.poll(0))

    def _end(self) -> None:
        for handle in list(self._open):
            self._close(handle)
        for poller in self._pollers:
            poller.close()
        self._dead.close()

    # -- Descriptors

    def _number(self, fd: int) -> int:
        return self._numbers.setdefault(fd, len(self._numbers))

    def _add(self, kind: str, item: Any, address: Any = None) -> int:
        handle = (
            Handle(kind, item, None, address)
            if isinstance(item, int)
            else Handle(kind, item.fileno(), item, address)
        )
        self._open.append(handle)
        return self._number(handle.fd)

    def _close(self, handle: Handle) -> None:
        self._open.remove(handle)
        if handle.sock is None:
            self._system.close(handle.fd)
        else:
            handle.sock.close()

    def _pick(self, number: int, *kinds: str) -> Handle | None:
        found = [item for item in self._open if not kinds or item.kind in kinds]
        return found[number % len(found)] if found else None

    def _socket(self, number: int) -> Any:
        found = [item for item in self._open if item.sock is not None]
        return found[number % len(found)].sock if found else None

    # -- Sockets

    def do_tcp(self, *_: int) -> Any:
        """A new TCP socket."""
        return self._add("tcp", self._system.socket(socket.AF_INET, socket.SOCK_STREAM))

    def do_tcp_pair(self, *_: int) -> Any:
        """Two TCP sockets, connected."""
        listener = self._system.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        client = self._system.socket(socket.AF_INET, socket.SOCK_STREAM)
        answer = client.connect_ex(listener.getsockname())
        server, _address = self._system.accept(listener)
        listener.close()
        return answer, self._add("tcp", client), self._add("tcp", server)

    def do_tcp_listener(self, backlog: int, *_: int) -> Any:
        """A listening TCP socket."""
        sock = self._system.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.bind(("127.0.0.1", 0))
        sock.listen(backlog % 3)
        self._addresses.append((socket.AF_INET, sock.getsockname()))
        return self._add("tcp", sock)

    def do_unix(self, *_: int) -> Any:
        """A new Unix stream socket."""
        return self._add("unix", self._system.socket(socket.AF_UNIX, socket.SOCK_STREAM))

    def do_unix_pair(self, *_: int) -> Any:
        """Two Unix stream sockets, connected."""
        pair = self._system.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        return [self._add("unix", sock) for sock in pair]

    def do_unix_listener(self, backlog: int, *_: int) -> Any:
        """A listening Unix socket."""
        sock = self._system.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        path = self._make_path()
        sock.bind(path)
        sock.listen(backlog % 3)
        self._addresses.append((socket.AF_UNIX, path))
        return self._add("unix", sock)

    def do_dgram_pair(self, *_: int) -> Any:
        """Two Unix datagram sockets, connected."""
        pair = self._system.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        return [self._add("dgram", sock) for sock in pair]

    def do_udp_pair(self, *_: int) -> Any:
        """Two UDP sockets, the second connected to the first."""
        left, right = (self._system.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        left.bind(("127.0.0.1", 0))
        right.connect(left.getsockname())
        return self._add("udp", left), self._add("udp", right)

    def do_connect(self, which: int, where: int, *_: int) -> Any:
        """Connect to a listener, alive or gone, or to a port where nobody listens."""
        handle = self._pick(which, "tcp", "unix")
        if handle is None:
            return None
        family = handle.sock.family
        known = [address for kind, address in self._addresses if kind == family]
        if family == socket.AF_INET:
            known.append(self._dead.getsockname())
        return handle.sock.connect(known[where % len(known)]) if known else None

    def do_accept(self, which: int, *_: int) -> Any:
        """Accept."""
        handle = self._pick(which, "tcp", "unix")
        if handle is None:
            return None
        return self._add(handle.kind, self._system.accept(handle.sock)[0])

    def do_send(self, which: int, size: int, *_: int) -> Any:
        """Send bytes, no two sends the same."""
        sock = self._socket(which)
        return None if sock is None else sock.send(self._payload(SIZES[size % 5]), self._flags)

    @property
    def _flags(self) -> int:
        return self._system.send_flags

    def _payload(self, size: int) -> bytes:
        self._sent += 1
        begin = self._sent * 7 % 251
        return _PATTERN[begin : begin + size]

    def do_urgent(self, which: int, *_: int) -> Any:
        """Send one urgent byte."""
        handle = self._pick(which, "tcp")
        if handle is None:
            return None
        return handle.sock.send(self._payload(1), self._flags | socket.MSG_OOB)

    def do_recv(self, which: int, size: int, *_: int) -> Any:
        """Receive."""
        sock = self._socket(which)
        return None if sock is None else sock.recv(SIZES[size % 6])

    def do_peek(self, which: int, size: int, *_: int) -> Any:
        """Receive and leave it there."""
        sock = self._socket(which)
        return None if sock is None else sock.recv(SIZES[size % 6], socket.MSG_PEEK)

    def do_recv_urgent(self, which: int, *_: int) -> Any:
        """Receive the urgent byte."""
        handle = self._pick(which, "tcp")
        return None if handle is None else handle.sock.recv(1, socket.MSG_OOB)

    def do_shutdown(self, which: int, how: int, *_: int) -> Any:
        """Shut down a direction, or both."""
        handle = self._pick(which, "tcp", "unix")
        return None if handle is None else handle.sock.shutdown(how % 3)

    def do_linger(self, which: int, *_: int) -> Any:
        """Have close send RST."""
        handle = self._pick(which, "tcp")
        if handle is not None:
            handle.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)

    def do_error(self, which: int, *_: int) -> Any:
        """SO_ERROR."""
        sock = self._socket(which)
        return None if sock is None else sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)

    def do_peer(self, which: int, *_: int) -> Any:
        """Whether there is a peer's address."""
        handle = self._pick(which, "tcp", "unix")
        return None if handle is None else handle.sock.getpeername() is None

    # -- Plain descriptors

    def do_pipe(self, *_: int) -> Any:
        """A pipe."""
        read_end, write_end = self._system.pipe()
        return self._add("pipe", read_end), self._add("pipe", write_end)

    def do_eventfd(self, *_: int) -> Any:
        """An eventfd, where there are any."""
        if not self._has("eventfd"):
            return None
        return self._add("eventfd", self._system.eventfd())

    def do_timerfd(self, *_: int) -> Any:
        """A timerfd, where there are any."""
        if not self._has("timerfd"):
            return None
        return self._add("timerfd", self._system.timerfd())

    def do_settime(self, which: int, when: int, *_: int) -> Any:
        """Arm a timerfd: for now (and wait until it is), for later than the program, or not at all."""
        handle = self._pick(which, "timerfd")
        if handle is None:
            return None
        self._system.set_timerfd(handle.fd, (1e-9, 3600.0, None)[when % 3])
        if when % 3 == 0:
            poller = self._system.poll()
            poller.register(handle.fd, IN)
            return len(poller.poll(10_000))
        return None

    def do_read(self, which: int, size: int, *_: int) -> Any:
        """read(2)."""
        handle = self._pick(which, "pipe", "eventfd", "timerfd")
        return (
            None if handle is None else self._system.read(handle.fd, (8, 1, 4096, 5000)[size % 4])
        )

    def do_write(self, which: int, size: int, *_: int) -> Any:
        """write(2): numbers to eventfds, bytes to pipes, up to more than one holds."""
        handle = self._pick(which, "pipe", "eventfd")
        if handle is None:
            return None
        if handle.kind == "eventfd":
            value = (1, 0, 3, (1 << 64) - 2, (1 << 64) - 1)[size % 5]
            return self._system.write(handle.fd, struct.pack("=Q", value))
        return self._system.write(handle.fd, self._payload((1, 100, 4096, 5000, 70_000)[size % 5]))

    def do_close(self, which: int, *_: int) -> Any:
        """Close."""
        handle = self._pick(which)
        return None if handle is None else self._close(handle)

    def do_dup(self, which: int, *_: int) -> Any:
        """Give a socket a second number."""
        handle = self._pick(which, "tcp", "unix", "udp", "dgram")
        if handle is None:
            return None
        return self._add(handle.kind, handle.sock.dup())

    # -- Pollers

    def do_epoll(self, *_: int) -> Any:
        """An epoll, where there are any."""
        if len(self._pollers) < 2 and self._has("epoll"):
            self._pollers.append(self._system.epoll())
            return self._number(self._pollers[-1].fileno())
        return None

    def _target(self, number: int) -> int:
        """A number that was used some time, open or not; pollers are not asked about each other."""
        mine = {poller.fileno() for poller in self._pollers} | {self._dead.fileno()}
        known = [fd for fd in self._numbers if fd not in mine]
        return known[number % len(known)] if known else 0

    def do_ep_add(self, poller: int, target: int, how: int) -> Any:
        """EPOLL_CTL_ADD."""
        return self._control("register", poller, target, how)

    def do_ep_mod(self, poller: int, target: int, how: int) -> Any:
        """EPOLL_CTL_MOD."""
        return self._control("modify", poller, target, how)

    def _control(self, name: str, poller: int, target: int, how: int) -> Any:
        fd = self._target(target)
        if not self._pollers or not fd:
            return None
        mask = MASKS[how % 6] | MODES[how // 6 % 5]
        return getattr(self._pollers[poller % len(self._pollers)], name)(fd, mask)

    def do_ep_del(self, poller: int, target: int, *_: int) -> Any:
        """EPOLL_CTL_DEL."""
        fd = self._target(target)
        if not self._pollers or not fd:
            return None
        return self._pollers[poller % len(self._pollers)].unregister(fd)

    def do_ep_wait(self, poller: int, most: int, *_: int) -> Any:
        """epoll_wait(2) for no time; the order of the events counts."""
        if not self._pollers:
            return None
        found = self._pollers[poller % len(self._pollers)].poll(0, (64, 1, 2)[most % 3])
        return [(self._number(fd), mask) for fd, mask in found]

    def do_poll(self, which: int, how: int, *_: int) -> Any:
        """poll(2) for part of what can be asked, also of a closed number."""
        fd = self._target(which)
        if not fd:
            return None
        poller = self._system.poll()
        poller.register(fd, MASKS[how % 6])
        return [mask for _, mask in poller.poll(0)]

    def do_select(self, which: int, *_: int) -> Any:
        """select(2), with a closed number now and then."""
        fds = [handle.fd for handle in self._open]
        if which % 5 == 0 and (fd := self._target(which)):
            fds.append(fd)
        found = self._system.select(fds, fds, fds, 0)
        return [[self._number(fd) for fd in part] for part in found]

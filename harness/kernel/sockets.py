"""`socket.socket` over the model: the same calls, arguments and exceptions, in virtual time."""

from __future__ import annotations

import errno
import os
import socket
import struct
import zlib
from typing import TYPE_CHECKING, Any

from .datagram import DatagramSocket
from .description import fail
from .endpoint import Endpoint
from .local import UnixSocket, join
from .nemesis import Interrupt, Short
from .tcp import TcpSocket

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from .kernel import Kernel
    from .nemesis import Fault

    Rules = Sequence[Fault]

#: Bits of the socket type that are not its type (socket(2)); elsewhere they do not exist.
_TYPE_FLAGS = getattr(socket, "SOCK_NONBLOCK", 0) | getattr(socket, "SOCK_CLOEXEC", 0)
_NONBLOCK = getattr(socket, "SOCK_NONBLOCK", 0)


#: Bytes that one call takes at most: more than the buffers of any stream hold.
_MOST = 8 << 20


#: Buffers that one call takes at most: IOV_MAX of Linux, macOS and the BSDs.
_IOV_MAX = 1024

#: So many bytes are written into the trace as they are.
_TOLD = 16

#: Calls that a nemesis knows by the name of another.
_KINDS = {"recvfrom": "recv", "recv_into": "recv", "recvmsg_into": "recv", "sendto": "send"}


def new_endpoint(kernel: Kernel, family: int, kind: int) -> Endpoint:
    """Make the description of a new socket.

    Raises:
        OSError: EPROTONOSUPPORT, the model has no such sockets.
    """
    if kind == socket.SOCK_STREAM:
        return UnixSocket(kernel) if family == socket.AF_UNIX else TcpSocket(kernel, family)
    if kind == socket.SOCK_DGRAM:
        return DatagramSocket(kernel, family)
    raise fail(errno.EPROTONOSUPPORT)


class SimulatedSocket:
    """One socket of a simulated kernel.

    Made as `socket.socket` is, with the kernel before the rest. A blocking call waits in virtual
    time, and a timeout is one of virtual time.
    """

    def __init__(
        self,
        kernel: Kernel,
        family: int = socket.AF_INET,
        type: int = socket.SOCK_STREAM,  # noqa: A002 - as in `socket`
        proto: int = 0,
        *,
        fileno: int | None = None,
    ) -> None:
        self._kernel = kernel
        kind = type & ~_TYPE_FLAGS
        if fileno is None:
            kernel.check_room()
            fileno = kernel.allocate(new_endpoint(kernel, family, kind))
        endpoint = kernel.get(fileno)
        assert isinstance(endpoint, Endpoint)
        self._fd = fileno
        self.family = endpoint.family
        self.type = kind
        self.proto = proto
        self._timeout: float | None = 0.0 if type & _NONBLOCK else socket.getdefaulttimeout()
        endpoint.nonblocking = endpoint.nonblocking or bool(type & _NONBLOCK)

    # -- The number

    def fileno(self) -> int:
        """Return the descriptor number, -1 when closed."""
        return self._fd

    def close(self) -> None:
        """close(2); that the peer has reset the connection is no error (CPython, bpo-30319)."""
        if self._fd < 0:
            return
        fd, self._fd = self._fd, -1
        self._kernel.record("close", fd)
        self._kernel.close(fd)

    def detach(self) -> int:
        """Give the number to somebody else."""
        fd, self._fd = self._fd, -1
        return fd

    def dup(self) -> SimulatedSocket:
        """dup(2)."""
        number = self._kernel.dup(self._number())
        made = SimulatedSocket(self._kernel, self.family, self.type, self.proto, fileno=number)
        made.settimeout(self._timeout)
        return made

    def _number(self) -> int:
        if self._fd < 0:
            raise fail(errno.EBADF)
        return self._fd

    @property
    def _endpoint(self) -> Endpoint:
        """What the number refers to now: it may have been closed, and given away, by hand."""
        endpoint = self._kernel.get(self._number())
        if not isinstance(endpoint, Endpoint):
            raise fail(errno.ENOTSOCK)
        return endpoint

    def __enter__(self) -> SimulatedSocket:  # noqa: PYI034 - Self would not say more
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<SimulatedSocket fd={self._fd}>"

    # -- Blocking

    def setblocking(self, flag: bool) -> None:  # noqa: FBT001 - as in `socket`
        """As `socket.socket.setblocking`."""
        self.settimeout(None if flag else 0.0)

    def settimeout(self, value: float | None) -> None:
        """As `socket.socket.settimeout`, in seconds of virtual time.

        Raises:
            ValueError: it is negative.
        """
        if value is not None and value < 0:
            raise ValueError("Timeout value out of range")
        self._number()
        self._timeout = value
        self._endpoint.nonblocking = value is not None

    def gettimeout(self) -> float | None:
        """Return the timeout in seconds, None for a blocking socket."""
        return self._timeout

    def getblocking(self) -> bool:
        """Tell whether calls wait."""
        return self._timeout != 0

    def _call(self, name: str, attempt: Callable[[Rules], Any], ready: Callable[[], object]) -> Any:
        """Make a call, again and again when it blocks and may."""
        kernel, fd = self._kernel, self._number()
        deadline = None if not self._timeout else kernel.monotonic() + self._timeout
        while True:
            try:
                result = attempt(kernel.enter(_KINDS.get(name, name), self._endpoint))
            except OSError as exc:
                kernel.record(name, fd, exc.errno)
                would_block = exc.errno in {errno.EAGAIN, errno.EINPROGRESS}
                if not would_block and exc.errno is not None:
                    self._endpoint.failures.append((name, exc.errno))
                if not would_block or self._timeout == 0:
                    raise
                # CPython waits with poll(2) and its timeout, and asks again.
                left = None if deadline is None else max(deadline - kernel.monotonic(), 0.0)
                if not kernel.sleep(ready, left, f"{name} on {self._endpoint.kind} {fd}"):
                    raise TimeoutError("timed out") from None
            else:
                kernel.record(name, fd, _short(result))
                return result

    # -- Connections

    def bind(self, address: Any, /) -> None:
        """bind(2)."""
        self._number()
        self._endpoint.bind(address)
        self._kernel.record("bind", self._fd, self._endpoint.own_address())

    def listen(self, backlog: int = 128, /) -> None:
        """listen(2)."""
        self._number()
        self._endpoint.listen(backlog)

    def accept(self) -> tuple[SimulatedSocket, Any]:
        """accept(2)."""

        def attempt(_: Rules) -> int:
            self._kernel.check_room()
            return self._kernel.allocate(self._endpoint.accept())

        number = self._call("accept", attempt, self._endpoint.accept_ready)
        made = SimulatedSocket(self._kernel, self.family, self.type, self.proto, fileno=number)
        made._timeout = 0.0 if made._endpoint.nonblocking else socket.getdefaulttimeout()
        address = made._endpoint.peer_name
        if address is None and self.family == socket.AF_UNIX:
            address = ""
        return made, address

    def connect(self, address: Any, /) -> None:
        """connect(2)."""
        endpoint = self._endpoint
        begun = False

        def attempt(rules: Rules) -> None:
            nonlocal begun
            if begun:
                if endpoint.connecting():
                    raise fail(errno.EINPROGRESS)
                if code := endpoint.take_error():
                    raise fail(code)
                return
            try:
                endpoint.connect(address)
            except BlockingIOError as exc:
                begun = exc.errno == errno.EINPROGRESS
                if begun and self._timeout != 0 and not endpoint.connecting():
                    attempt(rules)
                    return
                if begun and self._timeout == 0:
                    for rule in rules:
                        if isinstance(rule, Interrupt):
                            self._kernel.strike(rule)
                            raise fail(errno.EINTR) from None
                raise

        self._call("connect", attempt, lambda: not endpoint.connecting())

    def connect_ex(self, address: Any, /) -> int:
        """connect(2), the errno as result."""
        try:
            self.connect(address)
        except TimeoutError:
            return errno.EAGAIN
        except OSError as exc:
            if exc.errno is None:
                raise
            return exc.errno
        return 0

    def shutdown(self, how: int, /) -> None:
        """shutdown(2)."""
        self._kernel.record("shutdown", self._number(), how)
        self._endpoint.shutdown(how)

    def getsockname(self) -> Any:
        """getsockname(2)."""
        self._number()
        return self._endpoint.own_address()

    def getpeername(self) -> Any:
        """getpeername(2)."""
        self._number()
        return self._endpoint.peer_address()

    # -- Data

    def send(self, data: Any, flags: int = 0, /) -> int:
        """send(2)."""
        return self._send("send", bytes(memoryview(data).cast("B")[:_MOST]), flags, None)

    def _send(self, name: str, data: bytes, flags: int, address: Any) -> int:
        endpoint = self._endpoint

        def attempt(rules: Rules) -> int:
            return endpoint.send(self._cut(rules, data), flags, address)

        sent: int = self._call(name, attempt, endpoint.can_write)
        endpoint.bytes_sent += sent
        return sent

    def _cut(self, rules: Rules, data: bytes) -> bytes:
        """Return what a send takes of `data`: all, unless a rule says less; a datagram goes whole."""
        for rule in rules:
            stream = self.type == socket.SOCK_STREAM
            if isinstance(rule, Short) and stream and len(data) > rule.size:
                self._kernel.strike(rule)
                return data[: rule.size]
        return data

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        """Send all of it."""
        rest = memoryview(bytes(data))
        while rest:
            rest = rest[self.send(rest, flags) :]

    def sendto(self, data: Any, *args: Any) -> int:
        """sendto(2): ``(data, address)`` or ``(data, flags, address)``."""
        flags, address = (0, *args) if len(args) == 1 else args
        return self._send("sendto", bytes(data), flags, address)

    def sendmsg(
        self,
        buffers: Iterable[Any],
        ancdata: Iterable[Any] = (),
        flags: int = 0,
        address: Any = None,
        /,
    ) -> int:
        """sendmsg(2), without ancillary data.

        Raises:
            OSError: EOPNOTSUPP, there is ancillary data; EMSGSIZE, there are too many buffers.
        """
        if list(ancdata):
            raise fail(errno.EOPNOTSUPP)
        views = [memoryview(buffer).cast("B") for buffer in buffers]
        if len(views) > _IOV_MAX:
            raise fail(errno.EMSGSIZE)
        data = bytearray()
        for view in views:
            data += view[: _MOST - len(data)]
        return self.send(data, flags)

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """recv(2)."""
        data: bytes = self._receive("recv", size, flags)[0]
        return data

    def recvfrom(self, size: int, flags: int = 0, /) -> tuple[bytes, Any]:
        """recvfrom(2)."""
        return self._receive("recvfrom", size, flags)

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0, /) -> int:
        """recv(2) into a buffer."""
        view = memoryview(buffer).cast("B")
        data = self._receive("recv_into", nbytes or view.nbytes, flags)[0]
        view[: len(data)] = data
        return len(data)

    def recvmsg_into(
        self, buffers: Sequence[Any], ancbufsize: int = 0, flags: int = 0, /
    ) -> tuple[int, list[Any], int, Any]:
        """recvmsg(2) into buffers; there is never ancillary data."""
        views = [memoryview(buffer).cast("B") for buffer in buffers]
        data, sender = self._receive("recvmsg_into", sum(view.nbytes for view in views), flags)
        rest = data
        for view in views:
            view[: len(rest[: view.nbytes])] = rest[: view.nbytes]
            rest = rest[view.nbytes :]
        return len(data), [], 0, sender

    def _receive(self, name: str, size: int, flags: int) -> tuple[bytes, Any]:
        if size < 0:
            raise ValueError(f"negative buffersize in {name}")
        endpoint = self._endpoint

        def attempt(rules: Rules) -> tuple[bytes, Any]:
            for rule in rules:
                stream = self.type == socket.SOCK_STREAM and not flags
                if isinstance(rule, Short) and stream and size > rule.size:
                    found = endpoint.receive(rule.size, flags)
                    self._kernel.strike(rule)
                    if isinstance(endpoint, TcpSocket):
                        endpoint.wake_readers()  # the rest arrives
                    return found
            return endpoint.receive(size, flags)

        found: tuple[bytes, Any] = self._call(name, attempt, endpoint.can_read)
        if not flags & socket.MSG_PEEK:
            endpoint.bytes_received += len(found[0])
        return found

    # -- Options

    def getsockopt(self, level: int, option: int, buflen: int = 0, /) -> Any:
        """getsockopt(2)."""
        self._number()
        value = self._endpoint.getsockopt(level, option)
        return struct.pack("i", value)[:buflen] if buflen else value

    def setsockopt(self, level: int, option: int, value: int | bytes, /) -> None:
        """setsockopt(2)."""
        self._number()
        self._endpoint.setsockopt(level, option, value)


def socketpair(
    kernel: Kernel, family: int = socket.AF_UNIX, kind: int = socket.SOCK_STREAM
) -> tuple[SimulatedSocket, SimulatedSocket]:
    """socketpair(2): Unix stream or datagram sockets.

    Raises:
        OSError: EOPNOTSUPP, another family; EMFILE, and then none is open.
    """
    if family != socket.AF_UNIX:
        raise fail(errno.EOPNOTSUPP)
    kernel.check_room(2)
    left, right = (SimulatedSocket(kernel, family, kind) for _ in range(2))
    ends = left._endpoint, right._endpoint
    if isinstance(ends[0], UnixSocket) and isinstance(ends[1], UnixSocket):
        join(ends[0], ends[1])
    elif isinstance(ends[0], DatagramSocket) and isinstance(ends[1], DatagramSocket):
        ends[0].peer, ends[1].peer = ends[1], ends[0]
    return left, right


def unlink(kernel: Kernel, path: str | os.PathLike[str]) -> None:
    """Remove the path of a Unix socket.

    Raises:
        OSError: ENOENT, it is not there.
    """
    name = os.fspath(path)
    if name not in kernel.paths:
        raise fail(errno.ENOENT)
    kernel.paths.remove(name)
    kernel.names.pop((socket.AF_UNIX, name), None)


def _short(result: Any) -> Any:
    """Write a result into the trace: a few bytes as they are, a pair without what cannot be compared."""
    value = result[0] if isinstance(result, tuple) else result
    if isinstance(value, bytes) and len(value) > _TOLD:
        return f"{len(value)} bytes, crc32 {zlib.crc32(value):08x}"
    return value

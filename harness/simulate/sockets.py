"""Steps on the sockets of the reactor."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING, Any

from reactor import Acceptor, Cause, StreamSocket

from ..kernel.sockets import socketpair
from .stage import MOST_ENDS, MOST_LISTENERS, Stage
from .things import End, Frame, Listener, Pending, pattern

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .program import Step


class SocketSteps(Stage):
    """Sending and receiving, opening and closing."""

    async def _move(
        self, frame: Frame, step: Step, side: str, call: Callable[[Any, Pending], Awaitable[Any]]
    ) -> None:
        end = self._end(step)
        if end is None or end.sock is None:
            return
        # Two at a time in one direction is a mistake, which is told where there is an order.
        if not self.world.alone and self.world.among(end, side):
            return
        pending = self.world.start(step.name, end, side, frame, size=step.b)
        await self._operate(pending, call(end.sock, pending))

    def _data(self, pending: Pending) -> bytes:
        return pattern(self.world.salt(pending.target.endpoint), pending.start, pending.size)

    async def _wait_send(self, frame: Frame, step: Step) -> None:
        await self._move(frame, step, "write", lambda s, p: s.send(self._data(p)))

    async def _wait_sendall(self, frame: Frame, step: Step) -> None:
        await self._move(frame, step, "write", lambda s, p: s.sendall(self._data(p)))

    async def _wait_sendmsg(self, frame: Frame, step: Step) -> None:
        def parts(data: bytes) -> list[bytes]:
            third = len(data) // 3
            return [data[:third], b"", data[third : 2 * third], data[2 * third :]]

        await self._move(frame, step, "write", lambda s, p: s.sendmsg(parts(self._data(p))))

    async def _wait_recv(self, frame: Frame, step: Step) -> None:
        await self._move(frame, step, "read", lambda s, p: s.recv(p.size))

    async def _wait_recv_into(self, frame: Frame, step: Step) -> None:
        async def call(sock: StreamSocket, size: int) -> bytes:
            buffer = bytearray(size)
            return bytes(buffer[: await sock.recv_into(buffer)])

        await self._move(frame, step, "read", lambda s, p: call(s, p.size))

    async def _wait_recv_exactly(self, frame: Frame, step: Step) -> None:
        await self._move(frame, step, "read", lambda s, p: s.recv_exactly(p.size))

    async def _wait_wait_readable(self, frame: Frame, step: Step) -> None:
        await self._move(frame, step, "read", lambda s, _: s.wait_readable())

    async def _wait_wait_writable(self, frame: Frame, step: Step) -> None:
        await self._move(frame, step, "write", lambda s, _: s.wait_writable())

    # -- Opening

    async def _wait_pair(self, frame: Frame, step: Step) -> None:
        if len(self.world.ends) < MOST_ENDS:
            left, right = StreamSocket.pair()
            if step.a % 2:
                self._shrink(left, right)
            one, two = (self.world.add(sock=sock) for sock in (left, right))
            one.other, two.other = two.endpoint, one.endpoint

    async def _wait_pair_peer(self, frame: Frame, step: Step) -> None:
        if len(self.world.ends) < MOST_ENDS:
            left, right = socketpair(self.kernel)
            right.settimeout(0)
            if step.a % 2:
                self._shrink(left, right)
            self._take_over(left, right)

    def _do_listen(self, step: Step) -> None:
        """Open a listener; out of descriptors there is none."""
        world = self.world
        if self.listeners >= MOST_LISTENERS:
            return
        path = f"/tmp/listener-{self.listeners}"  # noqa: S108 - a name in the simulated kernel
        self.listeners += 1
        unix = bool(step.a % 2)
        try:
            acceptor = Acceptor(socket.AF_UNIX if unix else socket.AF_INET, context=self.context)
        except OSError as exc:
            self._may_fail("socket", exc)
            return
        if step.b % 2:
            self._shrink(acceptor)
        acceptor.bind(path if unix else ("127.0.0.1", 0))
        acceptor.listen((1, 128)[step.b % 3 != 0])
        inner: Any = acceptor._sock
        world.listeners.append(
            Listener(len(world.listeners), acceptor, inner._endpoint, acceptor.getsockname())
        )

    async def _connect(self, frame: Frame, family: int, address: Any, *, small: bool) -> None:
        world = self.world
        if len(world.ends) >= MOST_ENDS:
            return
        try:
            sock = StreamSocket(family)
        except OSError as exc:
            self._may_fail("socket", exc)
            return
        if small:
            self._shrink(sock)
        end = world.add(sock=sock)
        pending = world.start("connect", end, "write", frame)
        await self._operate(pending, sock.connect(address))
        end.other = world.other_side(end.endpoint)

    async def _wait_connect(self, frame: Frame, step: Step) -> None:
        listener = self._listener(step)
        if listener is not None:
            family = listener.endpoint.family
            await self._connect(frame, family, listener.address, small=bool(step.b % 2))

    async def _wait_connect_nobody(self, frame: Frame, step: Step) -> None:
        await self._connect(frame, socket.AF_INET, ("127.0.0.1", 9), small=False)

    async def _wait_accept(self, frame: Frame, step: Step) -> None:
        listener = self._listener(step)
        world = self.world
        if listener is None or len(world.ends) >= MOST_ENDS:
            return
        pending = world.start("accept", listener, "read", frame)
        sock = await self._operate(pending, listener.acceptor.accept())
        if sock is not None:
            end = world.add(sock=sock)
            end.other = world.other_side(end.endpoint)

    # -- Closing and ending

    def _do_close(self, step: Step) -> None:
        end = self._end(step)
        if end is not None and end.sock is not None:
            self._close(end, end.sock)

    def _close(self, thing: End | Listener, sock: StreamSocket | Acceptor) -> None:
        self.world.tell("close", thing)
        number = sock.fileno()
        thing.closed = True
        with self.world.ending(thing, Cause.CLOSE):
            sock.close()
        if self.world.alone and number >= 0 and self.kernel.is_open(number):
            self.world.find(
                "close-gives-back", f"{thing} is closed, and its number {number} is not"
            )

    def _do_close_listener(self, step: Step) -> None:
        listener = self._listener(step)
        if listener is not None:
            self._close(listener, listener.acceptor)

    def _do_reopen(self, step: Step) -> None:
        """Close a socket, and open another on its number."""
        end = self._end(step)
        if end is None or end.sock is None or len(self.world.ends) >= MOST_ENDS:
            return
        self._close(end, end.sock)
        left, right = socketpair(self.kernel)
        right.settimeout(0)
        self._take_over(left, right)

    def _do_shutdown(self, step: Step) -> None:
        end = self._end(step)
        how = step.b % 3
        if end is None or end.sock is None or end.closed:
            return
        self.world.tell("shutdown", end, how)
        if how != socket.SHUT_WR:
            end.deaf = True
        try:
            end.sock.shutdown(how)
        except OSError as exc:
            if exc.errno != errno.ENOTCONN:
                raise

    def _do_cancel(self, step: Step) -> None:
        end = self._end(step)
        if end is not None and end.sock is not None:
            self.world.tell("cancel", end)
            with self.world.ending(end, Cause.CANCEL):
                end.sock.cancel()

    def _do_cancel_listener(self, step: Step) -> None:
        listener = self._listener(step)
        if listener is not None:
            self.world.tell("cancel", listener)
            with self.world.ending(listener, Cause.CANCEL):
                listener.acceptor.cancel()

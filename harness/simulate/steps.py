"""What each step of a program does: the calls of the public API, and what is noted of them."""

from __future__ import annotations

import errno
import socket
import struct
from typing import TYPE_CHECKING, Any

from reactor import (
    Acceptor,
    BusyError,
    CancelScope,
    Cause,
    ContextClosedError,
    IncompleteReadError,
    OperationCancelled,
    StreamSocket,
    TaskGroup,
    Timer,
    sleep,
    sleep_until,
    timeout,
    to_thread,
)

from ..kernel.sockets import SimulatedSocket, socketpair
from .world import End, Frame, Listener, Pending, World, pattern

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ..kernel import SimulatedSystem
    from .program import Step, Steps

#: Sizes of small buffers, in bytes; the kernel has its own idea of the least.
_SMALL = 2048
#: More sockets, listeners or tasks than these are not made.
_MOST_ENDS, _MOST_LISTENERS, _MOST_TASKS = 12, 3, 16
#: Ticks of `sleep_until`, in seconds, so that deadlines can be equal.
_TICK = 0.05


class Provoked(Exception):
    """What a posted call raises because the program says so."""


class StepPlayer:
    """The steps of one program that is being played.

    Args:
        world: what it has.
        system: the simulated kernel's.
        tasks: the steps of its tasks, which some can start again.
    """

    def __init__(self, world: World, system: SimulatedSystem, tasks: tuple[Steps, ...]) -> None:
        self.world = world
        self.system = system
        self.kernel = system.kernel
        self.context = world.context
        self.programs = tasks
        self.timers: list[Timer] = []
        self.posted = self.ran = self.provoked = 0
        self.listeners = 0
        self.closed = False  # the context is being closed, and runs no posted call any more

    # -- Lists of steps

    async def task(self, frame: Frame, steps: Steps) -> None:
        """Play a task to its end."""
        try:
            await self.steps(frame, steps)
        except OperationCancelled:
            if not self.world.may(frame):
                self.world.find(
                    "no-cancel-unasked", "a task ended cancelled, and nobody cancelled it"
                )
            raise

    async def steps(self, frame: Frame, steps: Steps) -> None:
        """Play steps in a task."""
        for step in steps:
            waiting = getattr(self, f"_wait_{step.name}", None)
            try:
                if waiting is None:
                    self.plain(step)
                else:
                    await waiting(frame, step)
            except ContextClosedError:
                if not self.world.closing:
                    raise

    def plain(self, step: Step) -> None:
        """Play a step that does not wait."""
        getattr(self, f"_do_{step.name}")(step)

    def start_task(self, steps: Steps) -> None:
        """Start a task."""
        if len(self.world.tasks) < _MOST_TASKS:
            frame = Frame()
            name = f"task {len(self.world.tasks)}"
            self.world.tell("spawn", name)
            task = self.context.spawn(self.task, frame, steps, name=name)
            self.world.tasks.append((task, frame))

    # -- What steps act on

    def _end(self, step: Step) -> End | None:
        ends = self.world.ends
        return ends[step.a % len(ends)] if ends else None

    def _peer(self, step: Step) -> End | None:
        """Return a peer, which does one thing after the other."""
        peers = self.world.peers
        found = peers[step.a % len(peers)] if peers else None
        return None if found is None or found.closed or found.busy else found

    def _listener(self, step: Step) -> Listener | None:
        found = self.world.listeners
        return found[step.a % len(found)] if found else None

    def _timer(self, step: Step) -> Timer:
        while len(self.timers) < 2:
            self.timers.append(Timer(context=self.context))
        return self.timers[step.a % 2]

    def _shrink(self, *sockets: Any) -> None:
        for sock in sockets:
            for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
                try:
                    sock.setsockopt(socket.SOL_SOCKET, option, _SMALL)
                except OSError:
                    pass  # a connection that is reset already (macOS)

    # -- Operations

    async def _operate(self, pending: Pending, awaitable: Awaitable[Any]) -> Any:
        """Wait for an operation, and note how it ends; None unless it has a result."""
        world = self.world
        try:
            result = await awaitable
        except OperationCancelled as exc:
            world.cancelled(pending, exc)
            if exc.scoped:
                raise
        except (OSError, BusyError, IncompleteReadError) as exc:
            world.failed(pending, exc)
        else:
            world.finish(pending, result)
            return result
        return None

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
        if len(self.world.ends) < _MOST_ENDS:
            left, right = StreamSocket.pair()
            if step.a % 2:
                self._shrink(left, right)
            one, two = (self.world.add(sock=sock) for sock in (left, right))
            one.other, two.other = two.endpoint, one.endpoint

    async def _wait_pair_peer(self, frame: Frame, step: Step) -> None:
        if len(self.world.ends) < _MOST_ENDS:
            left, right = socketpair(self.kernel)
            right.settimeout(0)
            if step.a % 2:
                self._shrink(left, right)
            self._take_over(left, right)

    def _take_over(self, left: SimulatedSocket, right: SimulatedSocket) -> None:
        """Give one side of a pair to the reactor, and the other to a peer."""
        two = self.world.add(raw=right)
        sock = StreamSocket.from_socket(left, self.context)  # type: ignore[arg-type]  # the same interface
        one = self.world.add(sock=sock)
        one.other, two.other = two.endpoint, one.endpoint

    def _do_listen(self, step: Step) -> None:
        """Open a listener; out of descriptors there is none."""
        world = self.world
        if self.listeners >= _MOST_LISTENERS:
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

    def _may_fail(self, call: str, error: OSError) -> None:
        """A call that no operation waits for has failed, which only a rule can bring about."""
        struck = [] if self.kernel.nemesis is None else self.kernel.nemesis.struck
        codes = {getattr(rule, "code", "") for rule in struck if rule.call == call}
        if errno.errorcode.get(error.errno or 0, "") not in codes:
            raise error

    async def _connect(self, frame: Frame, family: int, address: Any, *, small: bool) -> None:
        world = self.world
        if len(world.ends) >= _MOST_ENDS:
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
        if listener is None or len(world.ends) >= _MOST_ENDS:
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
        if end is None or end.sock is None or len(self.world.ends) >= _MOST_ENDS:
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

    def _do_cancel_task(self, step: Step) -> None:
        if self.world.tasks:
            task, frame = self.world.tasks[step.a % len(self.world.tasks)]
            self.world.tell("cancel", task.name)
            frame.called = True
            task.cancel()
            frame.done = True

    def _do_cancel_scope(self, step: Step) -> None:
        if self.world.scopes:
            number = step.a % len(self.world.scopes)
            frame = self.world.scopes[number]
            self.world.tell("cancel", "scope", number)
            frame.called = True
            assert frame.scope is not None
            frame.scope.cancel()
            frame.done = True

    # -- Timers

    async def _wait_sleep(self, frame: Frame, step: Step) -> None:
        due = self.world.now() + step.a / 1000
        await self._operate(
            self.world.start("sleep", None, "", frame, due=due), sleep(step.a / 1000)
        )

    async def _wait_sleep_until(self, frame: Frame, step: Step) -> None:
        due = self.world.begin_time + step.a * _TICK
        pending = self.world.start("sleep_until", None, "", frame, due=due)
        await self._operate(pending, sleep_until(due))

    async def _wait_timer_wait(self, frame: Frame, step: Step) -> None:
        timer = self._timer(step)
        pending = self.world.start("timer_wait", timer, "", frame, due=timer.deadline)
        await self._operate(pending, timer.wait())

    def _do_timer_set(self, step: Step) -> None:
        timer = self._timer(step)
        with self.world.ending(timer, Cause.CANCEL):
            timer.expires_after(step.b / 1000)

    def _do_timer_cancel(self, step: Step) -> None:
        timer = self._timer(step)
        with self.world.ending(timer, Cause.CANCEL):
            timer.cancel()

    # -- Tasks, threads, calls

    async def _wait_join(self, frame: Frame, step: Step) -> None:
        task, target = self.world.tasks[step.a % len(self.world.tasks)]
        if any(one is target for one in frame.reaching()):
            return  # nobody can wait for himself
        pending = self.world.start("join", task, "", frame)
        await self._operate(pending, task)
        if not task.done:
            self.world.find("single-completion", f"{pending} ended before it")

    async def _wait_in_thread(self, frame: Frame, step: Step) -> None:
        done: list[bool] = []

        def work() -> None:
            self.kernel.pause(step.a / 1000)
            done.append(True)

        pending = self.world.start("in_thread", done, "", frame)
        await self._operate(pending, to_thread(work))

    def _do_spawn(self, step: Step) -> None:
        if self.programs:
            self.start_task(self.programs[step.a % len(self.programs)])

    def _do_post(self, step: Step) -> None:
        if self.posted < 4 * _MOST_TASKS:
            self._post(self.posted_call, step.body)

    def _post(self, call: Callable[[int, Steps], None], steps: Steps) -> None:
        self.posted += 1
        try:
            self.context.post(call, self.posted, steps)
        except ContextClosedError:
            self.posted -= 1
            raise

    def posted_call(self, number: int, steps: Steps) -> None:
        """What `post` posts."""
        self.ran += 1
        if self.world.alone and number != self.ran:
            self.world.find("in-order", f"posted call {number} ran as number {self.ran}")
        self.world.tell("posted call", number)
        if self.closed and self.world.alone:
            self.world.find(
                "close-drops-calls", f"posted call {number} ran while the context closed"
            )
        for step in steps:
            self.plain(step)

    def _do_fail(self, step: Step) -> None:
        """Raise out of a posted call; a task goes on, since nobody may be waiting for it."""
        if self.posted < 4 * _MOST_TASKS:
            self._post(self.failing_call, ())

    def failing_call(self, number: int, steps: Steps) -> None:
        """What raises."""
        self.posted_call(number, steps)
        self.provoked += 1
        raise Provoked(f"posted call {number}")

    def _do_stop(self, step: Step) -> None:
        self.world.tell("stop")
        self.context.stop()

    def _do_busy(self, step: Step) -> None:
        """Let time pass, as a handler that computes does."""
        if not self.world.alone:
            self.world.late += step.a / 1000
        self.kernel.advance(step.a / 1000)

    # -- Blocks

    async def _wait_timeout(self, frame: Frame, step: Step) -> None:
        inner = Frame(frame)
        try:
            with timeout(step.a / 1000) as scope:
                inner.deadline = scope.deadline
                self.world.look_at(scope.deadline)
                await self.steps(inner, step.body)
        except TimeoutError:
            if inner.deadline is None or self.world.now() < inner.deadline:
                self.world.find("never-early", f"a timeout of {step.a} ms passed early")

    async def _wait_scope(self, frame: Frame, step: Step) -> None:
        with CancelScope() as scope:
            inner = Frame(frame, scope)
            self.world.scopes.append(inner)
            await self.steps(inner, step.body)
        if scope.cancelled_caught and not inner.called:
            self.world.find("no-cancel-unasked", "a scope absorbed a cancellation of another")

    async def _wait_shield(self, frame: Frame, step: Step) -> None:
        with CancelScope(shield=True):
            await self.steps(Frame(frame, shield=True), step.body)

    async def _wait_group(self, frame: Frame, step: Step) -> None:
        async with TaskGroup() as group:
            for number, one in enumerate(step.body):
                try:
                    group.spawn(self.steps, Frame(frame), (one,), name=f"child {number}")
                except ContextClosedError:
                    if not self.world.closing:
                        raise

    # -- Peers, and threads outside

    def _do_peer_connect(self, step: Step) -> None:
        listener = self._listener(step)
        if listener is None or len(self.world.peers) >= _MOST_ENDS or listener.closed:
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

    def _do_pause(self, step: Step) -> None:
        """Wait, in a thread outside."""
        self.kernel.pause(step.a / 1000)

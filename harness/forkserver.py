"""The fork server: a small, warm process of one thread from which every scenario is forked.

One per job. It has everything imported and loaded, takes one order after the other over a socket,
and is each child's parent: it owns the deadline, drains the child's pipes, kills its process group
and says what came of it. It ends when the socket does, and takes a running child with it.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import tempfile
import time
import traceback
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import IO, TYPE_CHECKING, Any, cast

from . import child
from .lines import Lines
from .model import Status
from .scenario import load

if TYPE_CHECKING:
    from collections.abc import Callable

    from .scenario import Catalogue

#: Bytes of output kept from the beginning and from the end.
OUTPUT_HEAD = OUTPUT_TAIL = 32 << 10

#: Events kept from the beginning and from the end of each record.
EVENTS_HEAD, EVENTS_TAIL = 4000, 1000

_CHUNK = 64 << 10


class Events:
    """The beginning and the end of a record of events."""

    def __init__(self) -> None:
        self.head: list[dict[str, Any]] = []
        self.tail: deque[dict[str, Any]] = deque(maxlen=EVENTS_TAIL)
        self.count = 0

    def append(self, event: dict[str, Any]) -> None:
        """Add an event at the end."""
        self.count += 1
        (self.head if len(self.head) < EVENTS_HEAD else self.tail).append(event)

    def all(self) -> list[dict[str, Any]]:
        """Return what is kept, with an event that says how much is missing."""
        missing = self.count - len(self.head) - len(self.tail)
        if not missing:
            return [*self.head, *self.tail]
        cut = {**self.head[-1], "event": "cut", "detail": f"{missing} events"}
        return [*self.head, cut, *self.tail]


@dataclass
class Outcome:
    """What came of one order; what the fork server says to the engine."""

    status: str
    reason: str = ""
    duration_s: float = 0.0
    variant: str | None = None
    digest: str = ""
    counters: dict[str, int] = field(default_factory=dict)
    info: dict[str, Any] = field(default_factory=dict)
    oracles: list[dict[str, Any]] = field(default_factory=list)
    trace: list[dict[str, Any]] = field(default_factory=list)
    timeline: list[dict[str, Any]] = field(default_factory=list)
    dump: str | None = None
    stacks: str | None = None
    output: str = ""


class Output:
    """What a child wrote to standard output and error: the beginning and the end."""

    def __init__(self) -> None:
        self._head = b""
        self._tail = b""
        self._count = 0

    def feed(self, data: bytes) -> None:
        """Take what was read from the pipe."""
        self._count += len(data)
        room = OUTPUT_HEAD - len(self._head)
        self._head += data[:room]
        self._tail = (self._tail + data[room:])[-OUTPUT_TAIL:]

    def text(self) -> str:
        """Return it as text, with a line where something is missing."""
        missing = self._count - len(self._head) - len(self._tail)
        cut = f"\n[... {missing} bytes ...]\n" if missing else ""
        return f"{_decode(self._head)}{cut}{_decode(self._tail)}"


def _decode(data: bytes) -> str:
    return data.decode(errors="replace")


class Heard:
    """What a child said, sorted as it comes."""

    def __init__(self, token: str) -> None:
        self._token = token.encode() + b" "
        self._lines = Lines()
        self.trace = Events()
        self.timeline = Events()
        self.end: dict[str, Any] | None = None
        self.error: str | None = None
        self.garbage = b""

    def feed(self, data: bytes) -> None:
        """Take what was read from the pipe."""
        for line in self._lines.feed(data):
            self._line(line)

    def finish(self) -> None:
        """Take what stands after the last line end: a stray write, or a message cut by death."""
        rest = self._lines.rest
        if rest and not rest.startswith(self._token):
            self.garbage += rest[:200]

    def _line(self, line: bytes) -> None:
        if not line:
            return
        message: Any = None
        if line.startswith(self._token):
            with contextlib.suppress(ValueError):
                message = json.loads(line[len(self._token) :])
        if not isinstance(message, dict):
            self.garbage = (self.garbage + line)[:200]
            return
        kind = message.pop("kind", None)
        if kind == "trace":
            self.trace.append(message)
        elif kind == "timeline":
            self.timeline.append(message)
        elif kind == "end":
            self.end = message
        else:
            self.error = str(message.get("reason", message))

    @property
    def last(self) -> str:
        """The last thing that was seen, in words."""
        for record in (self.timeline, self.trace):
            if record.count:
                event = (record.tail or record.head)[-1]
                who = event.get("task") or event.get("who") or ""
                words = (who, event.get("event", ""), event.get("detail", ""))
                return " ".join(str(word) for word in words if word)
        return "nothing was recorded"


def classify(heard: Heard, exit_code: int, timed_out: float | None) -> tuple[Status, str]:
    """Say how a child ended.

    Args:
        heard: what it said.
        exit_code: as `os.waitstatus_to_exitcode`; negative for a signal.
        timed_out: the deadline in seconds, if it was killed at it.
    """
    if heard.error is not None:
        return Status.ERROR, heard.error
    if exit_code == child.EXIT_BROKEN:
        return Status.ERROR, "the child could not begin; its output says why"
    if timed_out is not None:
        if heard.end is None:
            return Status.TIMEOUT, f"no result within {timed_out:g} s; last: {heard.last}"
        return Status.TIMEOUT, f"it ended with {heard.end['status']}, and its process did not"
    if exit_code == child.EXIT_MUTE or (heard.end is not None and heard.garbage):
        what = f": it got {heard.garbage!r}" if heard.garbage else ", or closed it"
        return Status.FAIL, f"something wrote to a descriptor that belongs to the harness{what}"
    if exit_code < 0:
        after = f" after it had ended with {heard.end['status']}" if heard.end else ""
        return Status.CRASH, f"killed by {_signal(-exit_code)}{after}; last: {heard.last}"
    if heard.end is None or exit_code:
        what = "without a result" if heard.end is None else "after its result"
        return Status.CRASH, f"exited with code {exit_code} {what}; last: {heard.last}"
    try:
        return Status(heard.end["status"]), str(heard.end["reason"])
    except (ValueError, KeyError) as exc:
        return Status.ERROR, f"the child's report is malformed: {exc}"


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


class Server:
    """Takes orders over `control` and forks a child for each."""

    def __init__(
        self, control: socket.socket, catalogue: Catalogue, subject: child.SubjectModule
    ) -> None:
        self._control = control
        self._catalogue = catalogue
        self._subject = subject
        self._lines = Lines()
        # Readable when a child ended; works where there is no pidfd.
        self._wake, wake = socket.socketpair()
        self._wake.setblocking(False)
        wake.setblocking(False)
        self._wake_writer = wake
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)

    def serve(self) -> None:
        """Take orders until the engine closes the socket."""
        while data := self._control.recv(_CHUNK):
            for line in self._lines.feed(data):
                order = child.Order(**json.loads(line))
                try:
                    outcome = self._carry_out(order)
                except OSError as exc:
                    outcome = Outcome(Status.ERROR, f"cannot start a scenario: {exc}")
                self.say({"kind": "outcome", **asdict(outcome)})

    def say(self, message: dict[str, Any]) -> None:
        """Send the engine one message."""
        self._control.sendall(json.dumps(message).encode() + b"\n")

    def _carry_out(self, order: child.Order) -> Outcome:
        scenario = self._catalogue.get(order.id)
        with contextlib.ExitStack() as stack:
            stacks = stack.enter_context(tempfile.TemporaryFile())
            dump = stack.enter_context(tempfile.TemporaryFile())
            result, result_writer = os.pipe()
            stack.callback(os.close, result)
            output, output_writer = os.pipe()
            stack.callback(os.close, output)
            begin = time.monotonic()
            pid = os.fork()
            if pid == 0:
                # The engine sees the fork server's death by the end of the control socket.
                for end in (self._control, self._wake, self._wake_writer):
                    end.close()
                os.close(result)
                os.close(output)
                channels = child.Channels(
                    result_writer, output_writer, stacks.fileno(), dump.fileno()
                )
                child.main(scenario, order, self._subject, channels)
            os.close(result_writer)
            os.close(output_writer)
            with contextlib.suppress(OSError):  # it did so itself, or is gone
                os.setpgid(pid, pid)
            heard, kept = Heard(order.token), Output()
            try:
                self.say({"kind": "started", "pid": pid})
                code, timed_out = self._attend(
                    pid, begin + order.timeout_s, {result: heard.feed, output: kept.feed}
                )
            except BaseException:
                # The engine may be gone by now. Nobody else would end the child.
                self._kill(pid)
                raise
            heard.finish()
            status, reason = classify(heard, code, order.timeout_s if timed_out else None)
            end_message = heard.end or {}
            return Outcome(
                status=status,
                reason=reason,
                duration_s=end_message.get("duration_s", time.monotonic() - begin),
                variant=end_message.get("variant"),
                counters=end_message.get("counters", {}),
                info=end_message.get("info", {}),
                oracles=end_message.get("oracles", []),
                digest=end_message.get("digest", ""),
                trace=heard.trace.all(),
                timeline=heard.timeline.all(),
                dump=_contents(dump) or end_message.get("dump"),
                stacks=_contents(stacks),
                output=kept.text(),
            )

    def _attend(
        self, pid: int, deadline: float, takers: dict[int, Callable[[bytes], None]]
    ) -> tuple[int, bool]:
        """Drain a child's pipes until it ends or is killed; its exit code, and whether it was."""
        code = None
        timed_out = False
        # Not epoll or kqueue: the child would inherit one more descriptor.
        with getattr(selectors, "PollSelector", selectors.SelectSelector)() as selector:
            for fd in (*takers, self._wake.fileno(), self._control.fileno()):
                selector.register(fd, selectors.EVENT_READ)
            while code is None:
                left = deadline - time.monotonic()
                if left <= 0:
                    timed_out = True
                    code = self._kill(pid)
                    break
                for key, _ in selector.select(left):
                    if key.fd in takers:
                        data = os.read(key.fd, _CHUNK)
                        takers[key.fd](data)
                        if not data:
                            selector.unregister(key.fd)
                    elif key.fd == self._wake.fileno():
                        self._wake.recv(_CHUNK)
                    elif self._control.recv(1, socket.MSG_PEEK):
                        selector.unregister(key.fd)  # the next order, early
                    else:
                        raise SystemExit("the engine is gone")
                reaped, status = os.waitpid(pid, os.WNOHANG)
                if reaped:
                    code = os.waitstatus_to_exitcode(status)
        kill_group(pid)  # what the scenario started and left
        for fd, take in takers.items():
            _drain(fd, take)
        return code, timed_out

    @staticmethod
    def _kill(pid: int) -> int:
        kill_group(pid)
        with contextlib.suppress(ProcessLookupError):  # it may have left its group
            os.kill(pid, signal.SIGKILL)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def kill_group(pid: int) -> None:
    """Kill a child's process group, if it is still there."""
    # PermissionError is how macOS says that only zombies are left in it.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _drain(fd: int, take: Callable[[bytes], None]) -> None:
    """Read what is left in the pipe of a dead child."""
    os.set_blocking(fd, False)
    for _ in range(256):  # an escaped grandchild may write for ever
        try:
            data = os.read(fd, _CHUNK)
        except BlockingIOError:
            return
        if not data:
            return
        take(data)


def _contents(file: IO[bytes]) -> str | None:
    """Return what the child wrote into a file that it shares, None if nothing."""
    file.seek(0)
    return file.read().decode(errors="replace") or None


def main(control_fd: str, folder: str, subject: str) -> None:
    """Be a fork server.

    Args:
        control_fd: number of a connected stream socket to the engine.
        folder: of the scenarios.
        subject: name of the module that runs them.
    """
    control = socket.socket(fileno=int(control_fd))
    control.set_inheritable(False)
    try:
        module = cast("child.SubjectModule", importlib.import_module(subject))
        server = Server(control, load(folder), module)
    except Exception as exc:  # noqa: BLE001 - told to the engine, which ends the run with it
        reason = f"{type(exc).__name__}: {exc}"
        control.sendall(json.dumps({"kind": "broken", "reason": reason}).encode() + b"\n")
        traceback.print_exc()
        return
    # What is loaded by now stays out of the children's collections, and in shared pages.
    gc.collect()
    gc.freeze()
    server.serve()

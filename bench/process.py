"""Servers and load generators as processes."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from harness.errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_HERE = Path(__file__).resolve().parent

#: In a wheel the benchmarks are a part of the laboratory: `harness._bench`.
PACKAGE: Final = str(__package__)

#: Connections that are opened at a time where many are held, less than a server's backlog.
_OPENING: Final = 256

#: Seconds that a server gets to say where it listens, and to end.
PATIENCE = 20.0


class BenchError(HarnessError):
    """The measurement cannot be done; said to the user in one line."""


def module(name: str, *args: object, interpreter: Sequence[str] = (sys.executable,)) -> list[str]:
    """Return the command that runs a module of this package."""
    return [*interpreter, "-m", f"{PACKAGE}.{name}", *map(str, args)]


def _popen(command: list[str], **more: Any) -> subprocess.Popen[str]:
    """Start a process that an interrupt at the terminal does not reach: its parent ends it."""
    there = os.environ.get("PYTHONPATH")
    root = str(_HERE.parents[PACKAGE.count(".")])
    path = os.pathsep.join([root, there] if there else [root])
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.Popen(command, text=True, env=environment, process_group=0, **more)


def server(
    name: str, *args: str, pass_fds: Sequence[int] = ()
) -> contextlib.AbstractContextManager[tuple[int, int]]:
    """Run a module of this package as `serving`."""
    return serving(" ".join((name, *args)), module(name, *args), pass_fds=pass_fds)


@contextlib.contextmanager
def serving(
    name: str, command: list[str], pass_fds: Sequence[int] = ()
) -> Iterator[tuple[int, int]]:
    """Run a server; yields its process id and the port that it prints, and ends it.

    Its standard input is a pipe that ends with this process, whatever ends that.

    Args:
        name: what it is called when it fails.
        command: that runs it.
        pass_fds: descriptors that it has too.
    """
    process = _popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=pass_fds)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise BenchError(f"{name} ended before it listened")
        yield process.pid, int(line)
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for end in (process.stdin, process.stdout):
            assert end is not None
            end.close()


class Child:
    """A process that says lines of JSON, and ends with its input.

    Args:
        name: what it is called when it fails.
        command: that it runs.
    """

    def __init__(self, name: str, command: list[str]) -> None:
        self._name = name
        self._process = _popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def answer(self, when: str = "") -> Any:
        """Return what the next line says.

        Raises:
            BenchError: it ended, `when`.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise BenchError(f"{self._name} ended{when}")
        return json.loads(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


class Worker(Child):
    """A process that measures itself when it is asked to.

    Args:
        name: module of this package that it runs.
        args: for it.
        interpreter: command of the Python that runs it.
    """

    def __init__(
        self, name: str, *args: object, interpreter: Sequence[str] = (sys.executable,)
    ) -> None:
        command = module(name, *args, interpreter=interpreter)
        super().__init__(" ".join(map(str, (name, *args))), command)

    def ask(self, *words: object) -> Any:
        """Send a line; returns what the line of JSON says that it answers.

        Raises:
            BenchError: it ended.
        """
        stdin = self._process.stdin
        assert stdin is not None
        text = " ".join(map(str, words))
        with contextlib.suppress(BrokenPipeError):  # of one that has ended; it has no answer either
            stdin.write(text + "\n")
            stdin.flush()
        return self.answer(f" at {text!r}")


class Load:
    """The load generator: the C program where there is a compiler, else processes of Python.

    Args:
        folder: where the program is built.
        compiler: name of the C compiler, such as ``cc``.
    """

    def __init__(self, folder: Path, compiler: str = "cc") -> None:
        self._folder = folder
        self._compiler = shutil.which(compiler) if sys.platform == "linux" else None
        program = self.program("load")
        self.kind = "python" if program is None else "c"
        self._commands = [module("load")] * 2 if program is None else [[str(program)]]

    def program(self, name: str) -> Path | None:
        """Return the program of this package in C, built when it is first asked for.

        Returns:
            None where it cannot be built: there is no compiler, or no epoll.

        Raises:
            BenchError: the compiler did not take it.
        """
        program = self._folder / name
        if self._compiler is None or program.exists():
            return None if self._compiler is None else program
        built = subprocess.run(
            [self._compiler, "-O2", "-o", str(program), str(_HERE / f"{name}.c")],
            capture_output=True,
            text=True,
            check=False,
        )
        if built.returncode:
            raise BenchError(f"{self._compiler} could not build {name}.c: {built.stderr}")
        return program

    def echo(
        self, where: int | str, connections: int, size: int, seconds: float, flight: int = 1
    ) -> dict[str, Any]:
        """Keep messages in flight on each connection.

        Args:
            where: port of this machine, or path of a Unix socket.
            connections: how many.
            size: of a message, in bytes.
            seconds: for which.
            flight: messages at a time on each connection.
        """
        jobs: list[list[object]] = [
            ["echo", where, share, size, seconds, flight]
            for share in _split(connections, len(self._commands))
            if share
        ]
        return self._run(jobs, seconds + 30)

    def http(self, where: int | str, connections: int, seconds: float) -> dict[str, Any]:
        """Keep a request in flight on each connection, for `seconds`."""
        shares = _split(connections, len(self._commands))
        jobs: list[list[object]] = [["http", where, share, seconds] for share in shares if share]
        return self._run(jobs, seconds + 30)

    def datagrams(self, port: int, sockets: int, size: int, seconds: float) -> dict[str, Any]:
        """Keep one datagram on the way of each socket; what is lost is sent again, and counted.

        Args:
            port: of this machine.
            sockets: how many.
            size: of a datagram, in bytes; 8 or more.
            seconds: for which.
        """
        shares = _split(sockets, len(self._commands))
        return self._run(
            [["datagram", port, share, size, seconds] for share in shares], seconds + 30
        )

    def accept(self, where: int | str, connections: int, seconds: float) -> dict[str, Any]:
        """Open, use for a byte each way and reset, `connections` at a time, for `seconds`."""
        shares = _split(connections, len(self._commands))
        return self._run([["accept", where, share, seconds] for share in shares], seconds + 30)

    @contextlib.contextmanager
    def held(self, port: int, count: int) -> Iterator[None]:
        """Keep `count` connections open, each of which has been used once, and is idle from then on."""
        with contextlib.ExitStack() as stack:
            shares = _split(count, len(self._commands))
            holding = [
                stack.enter_context(
                    Child(
                        f"the load that holds {share} connections",
                        [*command, "hold", str(port), str(min(share, _OPENING)), str(share)],
                    )
                )
                for command, share in zip(self._commands, shares, strict=True)
                if share
            ]
            for one in holding:
                one.answer()
            yield

    def churn(self, port: int, connections: int, count: int, limit: float) -> dict[str, Any]:
        """Open, use and close `count` connections, `connections` at a time, within `limit` s."""
        among = len(self._commands)
        shares = zip(_split(connections, among), _split(count, among), strict=True)
        return self._run([["churn", port, at, number] for at, number in shares], limit)

    def _run(self, jobs: list[list[object]], limit: float) -> dict[str, Any]:
        running = [
            _popen([*command, *map(str, job)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            for command, job in zip(self._commands, jobs, strict=False)
        ]
        results = []
        try:
            for process in running:
                try:
                    out, err = process.communicate(timeout=limit)
                except subprocess.TimeoutExpired:
                    raise BenchError(f"the load did not end within {limit:.0f} s") from None
                if process.returncode:
                    raise BenchError(err.strip() or f"the load ended with {process.returncode}")
                results.append(json.loads(out))
        finally:
            for process in running:
                process.kill()
                process.communicate()
        total = dict(results[0])
        for key in ("operations", "lost"):
            total[key] = sum(result[key] for result in results)
        for key in ("seconds", "p50_us", "p99_us"):
            total[key] = max(result[key] for result in results)
        return total


def _split(total: int, among: int) -> list[int]:
    return [total // among + (index < total % among) for index in range(among)]


@contextlib.contextmanager
def descriptors(count: int) -> Iterator[int]:
    """Let processes that are started inside have `count` descriptors each; yields how many they may.

    That is less where the system does not allow it.
    """
    before = soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < count:
        wider = hard if hard == resource.RLIM_INFINITY else max(hard, count)
        for most in (wider, hard):  # only root may raise the hard limit
            allowed = count if most == resource.RLIM_INFINITY else min(count, most)
            with contextlib.suppress(ValueError, OSError):
                resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, most))
                break
    try:
        now = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        yield count if now == resource.RLIM_INFINITY else min(count, now)
    finally:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, before)

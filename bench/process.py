"""Servers and load generators as processes."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_HERE = Path(__file__).parent
_TICK = os.sysconf("SC_CLK_TCK")

#: Seconds that a server gets to say where it listens, and to end.
PATIENCE = 20.0


def progress(text: str) -> None:
    """Show how far the run is, where somebody watches."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


class BenchError(Exception):
    """The measurement cannot be done; said to the user in one line."""


@contextlib.contextmanager
def server(module: str, *args: str, pass_fds: Sequence[int] = ()) -> Iterator[tuple[int, int]]:
    """Run ``python -m module args``; yields its process id and its port, and ends it."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, *args],
        stdout=subprocess.PIPE,
        cwd=_HERE.parent,
        pass_fds=pass_fds,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise BenchError(f"{module} {' '.join(args)} ended before it listened")
        yield process.pid, int(line)
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdout is not None
        process.stdout.close()


class Load:
    """The load generator: the C program where there is a compiler, else processes of Python.

    Args:
        folder: where the program is built.
        compiler: name of the C compiler, such as ``cc``.
    """

    def __init__(self, folder: Path, compiler: str = "cc") -> None:
        found = shutil.which(compiler) if sys.platform == "linux" else None
        if found is None:
            self.kind = "python"
            self._commands = [[sys.executable, "-m", "bench.load"]] * 2
            return
        self.kind = "c"
        program = folder / "load"
        built = subprocess.run(
            [found, "-O2", "-o", str(program), str(_HERE / "load.c")],
            capture_output=True,
            text=True,
            check=False,
        )
        if built.returncode:
            raise BenchError(f"{compiler} could not build the load generator: {built.stderr}")
        self._commands = [[str(program)]]

    def echo(self, port: int, connections: int, size: int, seconds: float) -> dict[str, Any]:
        """Keep a message of `size` bytes in flight on each connection for `seconds`."""
        shares = _split(connections, len(self._commands))
        return self._run([["echo", port, share, size, seconds] for share in shares], seconds + 30)

    def churn(self, port: int, connections: int, count: int, limit: float) -> dict[str, Any]:
        """Open, use and close `count` connections, `connections` at a time, within `limit` s."""
        among = len(self._commands)
        shares = zip(_split(connections, among), _split(count, among), strict=True)
        return self._run([["churn", port, at, number] for at, number in shares], limit)

    def _run(self, jobs: list[list[object]], limit: float) -> dict[str, Any]:
        running = [
            subprocess.Popen(
                [*command, *map(str, job)],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=_HERE.parent,
                text=True,
            )
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
                if process.poll() is None:
                    process.kill()
                    process.communicate()
        total = dict(results[0])
        total["operations"] = sum(result["operations"] for result in results)
        for key in ("seconds", "p50_us", "p99_us"):
            total[key] = max(result[key] for result in results)
        return total


def _split(total: int, among: int) -> list[int]:
    return [total // among + (index < total % among) for index in range(among)]


def cpu_seconds(pid: int) -> tuple[float, float] | None:
    """Return the user and system time of a process so far; None where there is no /proc."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return int(fields[11]) / _TICK, int(fields[12]) / _TICK

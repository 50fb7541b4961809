"""What is killed ends nothing itself: what it has started ends with it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bench.servers import SERVERS
from bench.suite import Subject
from bench.suites.served import C

ROOT = Path(__file__).resolve().parents[2]

#: Seconds after which what has not ended does not end.
PATIENCE = 20

#: Starts a server, as the suites do; the interpreter is killed while it is up.
SERVER = """
import pathlib, sys
from bench.process import Load
from bench.suite import Case, Tools
from bench.suites.served import served
tools = Tools(Load(pathlib.Path(sys.argv[2])), 1)
with served(sys.argv[1], Case(""), tools) as (pid, _):
    print(pid, flush=True)
    sys.stdin.read()
"""

#: Likewise what measures itself, while it does so.
WORKER = """
from bench.process import Worker
with Worker("inprocess.worker", "reactor", "post", "{}") as worker:
    worker.ask("what")
    worker._process.stdin.write("run 0.05\\n")
    worker._process.stdin.flush()
    print(worker._process.pid, flush=True)
    worker.answer()
    worker.answer()
"""


def killed(script, *args):
    """Kill an interpreter that runs a script; returns what was said until everybody has gone.

    Each of them has the pipe of the errors: it ends with the last one.
    """
    with subprocess.Popen(
        [sys.executable, "-c", script, *map(str, args)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        process.kill()
        try:
            return process.communicate(timeout=PATIENCE)[1]
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            raise AssertionError(f"process {pid} has outlived who has started it") from None


@pytest.mark.parametrize("name", [*SERVERS, *([C] if sys.platform == "linux" else [])])
def test_no_server_outlives_who_has_started_it(name, tmp_path):
    if name in SERVERS and (why := Subject(name, "peer", SERVERS[name].needs).missing):
        pytest.skip(why)
    if name == C and not shutil.which("cc"):
        pytest.skip("there is no C compiler")
    assert killed(SERVER, name, tmp_path) == b""


def test_a_worker_ends_when_there_is_nobody_to_answer():
    assert killed(WORKER) == b""


@pytest.mark.parametrize("platform", [sys.platform, "another"])
@pytest.mark.parametrize("first", [True, False])
def test_a_process_ends_with_its_input(platform, first):
    """By a signal where the system has one, else by a thread; also when it has ended before."""
    script = (
        "import signal, sys\n"
        "from bench.servers import lifeline\n"
        "sys.platform = sys.argv[1]\n"
        "if sys.argv[2:]: sys.stdin.read()\n"
        "lifeline.end_with_input()\n"
        "print(flush=True)\n"
        "while True: signal.pause()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, platform, *(["first"] if first else [])],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        if not first:
            process.stdout.readline()
        process.stdin.close()
        assert process.wait(PATIENCE) == -signal.SIGTERM


@pytest.mark.parametrize("platform", [sys.platform, "another"])
def test_what_is_no_pipe_ends_nothing(platform):
    script = (
        "import sys\n"
        "from bench.servers import lifeline\n"
        "sys.platform = sys.argv[1]\n"
        "lifeline.end_with_input()\n"
    )
    command = [sys.executable, "-c", script, platform]
    assert subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, check=False).returncode == 0

"""The process between us and one place: execnet on one side, lines of JSON on the other.

execnet waits without a deadline where a place does not answer, and keeps threads. So each place has
such a process, which can be killed. It ends when its standard input does.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

import execnet

from . import far

#: No question at the terminal, where nobody would see it, and no endless wait.
_SSH = "-o BatchMode=yes -o ConnectTimeout=20"

#: Seconds that a place's own process has to end by itself.
_LEAVE_S = 2.0


def main(spec: str, cargo: str) -> None:
    """Run at a place what the first line of standard input orders; print what it says.

    Args:
        spec: execnet's specification of the place.
        cargo: path of the archive to send.
    """
    order = sys.stdin.readline()
    threading.Thread(target=_end_with_input, daemon=True).start()
    found = execnet.XSpec(spec)
    if found.ssh is not None:
        found.ssh = f"{_SSH} {found.ssh}"
        found.python = found.python or "python3"  # few machines have a `python` these days
    group = execnet.Group()
    # At the place the engine has the main thread, where signals arrive.
    group.set_execmodel("thread", "main_thread_only")
    try:
        channel = group.makegateway(found).remote_exec(far)
        channel.send(order)
        channel.send(Path(cargo).read_bytes())
        while True:
            _say(channel.receive())
    except EOFError:
        pass  # it is done, or gone: what it said last tells which
    except (execnet.HostNotFound, BrokenPipeError):
        # A process that ends before it has read all of the greeting breaks the pipe to it; one that
        # ends after that is what execnet calls a host not found.
        _say(json.dumps({"kind": "lost", "reason": "it cannot be reached"}))
    except FileNotFoundError as exc:  # no ssh, or no such interpreter
        reason = f"it cannot be reached: there is no {exc.filename} here"
        _say(json.dumps({"kind": "lost", "reason": reason}))
    except (OSError, AssertionError, execnet.RemoteError) as exc:
        lines = str(exc).strip().splitlines() or [type(exc).__name__]
        _say(json.dumps({"kind": "lost", "reason": lines[-1]}))
    finally:
        group.terminate(_LEAVE_S)


def _say(line: Any) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _end_with_input() -> None:
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])

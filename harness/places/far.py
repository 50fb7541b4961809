"""What runs first at a place: it unpacks the cargo and hands over to the engine in it.

execnet sends this file's text there, so it stands alone, and says so itself where the interpreter is
too old for the rest.
"""

from __future__ import annotations

import io
import json
import shutil
import sys
import tempfile
import threading
import traceback
import zipfile
from typing import Any

#: The oldest Python that the cargo runs on.
OLDEST = (3, 11)

#: Seconds between two signs of life.
EVERY = 1.0


def main(channel: Any) -> None:
    """Take the order and the cargo from the channel, and put messages into it until all is done."""
    lock = threading.Lock()

    def send(message: dict[str, Any]) -> None:
        text = json.dumps(message)
        with lock:
            channel.send(text)

    order = json.loads(channel.receive())
    cargo = channel.receive()
    if sys.version_info[:2] < OLDEST:
        there, oldest = (".".join(map(str, found[:2])) for found in (sys.version_info, OLDEST))
        send({"kind": "refused", "reason": f"Python {there} is too old; it takes {oldest}"})
        return
    over = threading.Event()

    def live() -> None:
        try:
            while not over.wait(EVERY):
                send({"kind": "alive"})
        except OSError:
            pass  # nobody listens any more; execnet ends the rest

    signs = threading.Thread(target=live, daemon=True)
    signs.start()
    folder = tempfile.mkdtemp(prefix="lab-")
    try:
        with zipfile.ZipFile(io.BytesIO(cargo)) as archive:
            archive.extractall(folder)
        sys.path.insert(0, folder)
        from harness.places import worker

        worker.run(order, send)
    except Exception as exc:  # noqa: BLE001 - told to whoever asked; the traceback goes to stderr
        traceback.print_exc()
        send({"kind": "lost", "reason": f"{type(exc).__name__}: {exc}"})
    finally:
        over.set()
        signs.join()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__channelexec__":
    main(globals()["channel"])

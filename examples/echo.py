"""Echo server: ``python -m examples.echo --port 7000 --backend epoll``.

Prints the port and sends back what it receives, on any number of connections, until SIGINT or
SIGTERM.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from .serving import main

if TYPE_CHECKING:
    from reactor import StreamSocket


async def echo(stream: StreamSocket) -> None:
    """Send everything back until the peer ends."""
    while data := await stream.recv(65536):
        await stream.sendall(data)


if __name__ == "__main__":
    sys.exit(main("Send back what is received.", echo))

"""What tests of the model build from."""

from __future__ import annotations

import pytest

from harness.kernel import SimulatedSocket
from harness.peer import linger_zero


def tcp_pair(kernel):
    """Two connected sockets: the client's and the server's."""
    listener = SimulatedSocket(kernel)
    listener.bind(("127.0.0.1", 0))
    listener.listen(4)
    client = SimulatedSocket(kernel)
    client.connect(listener.getsockname())
    server, _ = listener.accept()
    listener.close()
    return client, server


def reset(sock):
    """Close with RST."""
    linger_zero(sock)
    sock.close()


def code_of(call, *args):
    """The errno that ``call(*args)`` fails with."""
    with pytest.raises(OSError) as caught:
        call(*args)
    return caught.value.errno

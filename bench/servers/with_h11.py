"""HTTP/1.1 of the servers: h11 knows the protocol and does no I/O, and each library does nothing but that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import h11

if TYPE_CHECKING:
    from collections.abc import Callable

#: What every request is answered with.
GREETING: Final = b"Hello from the other end.\n"


class Conversation:
    """The requests of a connection, each of which is greeted.

    Attributes:
        over: whether nothing more is received after the answers that there are.
    """

    def __init__(self) -> None:
        self._http = h11.Connection(h11.SERVER)
        self.over = False

    def take(self, data: bytes) -> bytes:
        """Return the answers to requests that are whole with what was received; b"" if none is.

        Raises:
            ConnectionAbortedError: that is no HTTP. It is an `OSError`, as everything is that ends a
                connection.
        """
        http = self._http
        answers = []
        try:
            http.receive_data(data)
            while (event := http.next_event()) is not h11.NEED_DATA:
                if type(event) is not h11.EndOfMessage:
                    continue  # the request itself, or a part of its body
                answers += self._answer()
                if http.our_state is not h11.DONE:
                    self.over = True
                    break
                http.start_next_cycle()
        except h11.RemoteProtocolError as exc:
            raise ConnectionAbortedError(str(exc)) from exc
        return b"".join(answers)

    def _answer(self) -> list[bytes]:
        headers = [
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Length", str(len(GREETING))),
        ]
        head = h11.Response(status_code=200, headers=headers, reason="OK")
        send = self._http.send
        events = (head, h11.Data(data=GREETING), h11.EndOfMessage())
        return [data for event in events if (data := send(event))]

    def receive(self, recv: Callable[[int], bytes], size: int) -> bytes:
        """Return answers, as if they had been received: so an echo server is one of HTTP.

        Args:
            recv: receives; what it raises when there is nothing yet goes through.
            size: that it is asked for, in bytes.
        """
        while not self.over and (data := recv(size)):
            if answers := self.take(data):
                return answers
        return b""

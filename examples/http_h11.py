"""A small HTTP/1.1 server on h11: ``python -m examples.http_h11 --port 8000``.

h11 knows the protocol and does no I/O; the reactor does the I/O and knows no protocol.

    GET or HEAD /    a greeting, with Content-Length
    GET /chunked     ten lines as ten chunks
    POST /echo       the body, up to 1 MiB

Connections are kept alive. At SIGINT or SIGTERM idle ones are closed, and a request that has
arrived is still answered.
"""

from __future__ import annotations

import sys
from http import HTTPStatus
from socket import SHUT_WR
from typing import TYPE_CHECKING, Any

import h11

from reactor import CancelScope, OperationCancelled, timeout

from .serving import main

if TYPE_CHECKING:
    from reactor import StreamSocket

#: Largest body that is taken, in bytes.
MAX_BODY = 1 << 20

#: Seconds that a keep-alive connection may wait for its next request.
IDLE = 60.0

#: Seconds for the rest of a request and its answer; so long a shutdown takes at most.
BUSY = 10.0

#: What a connection is drained of after an answer that the peer may not have waited for, in bytes.
MAX_DRAIN = 4 << 20

GREETING = b"Hello from the reactor.\n"

_TEXT = ("Content-Type", "text/plain; charset=utf-8")
_ROUTES = {"/": "GET, HEAD", "/chunked": "GET, HEAD", "/echo": "POST"}


class _Refused(Exception):
    """The request is answered with an error status, and nothing more."""

    def __init__(self, status: int, text: str, *headers: tuple[str, str]) -> None:
        super().__init__(text)
        self.status = status
        self.headers = headers


async def _next_event(stream: StreamSocket, http: h11.Connection) -> Any:
    """Return the next event of the peer, reading as much as that takes."""
    while (event := http.next_event()) is h11.NEED_DATA:
        if http.they_are_waiting_for_100_continue:
            go = h11.InformationalResponse(status_code=100, headers=[], reason="Continue")
            await stream.sendall(http.send(go) or b"")
        http.receive_data(await stream.recv(65536))
    return event


def _head(status: int, *headers: tuple[str, str]) -> h11.Response:
    return h11.Response(status_code=status, headers=list(headers), reason=HTTPStatus(status).phrase)


async def _answer(
    stream: StreamSocket,
    http: h11.Connection,
    status: int,
    body: bytes,
    *headers: tuple[str, str],
    to: h11.Request | None,
) -> None:
    events: list[Any] = [_head(status, *headers, ("Content-Length", str(len(body))))]
    if to is None or to.method != b"HEAD":
        events.append(h11.Data(data=body))
    events.append(h11.EndOfMessage())
    await stream.sendall(b"".join(http.send(event) or b"" for event in events))  # one segment


async def _answer_chunked(stream: StreamSocket, http: h11.Connection) -> None:
    await stream.sendall(http.send(_head(200, _TEXT)) or b"")
    for number in range(10):
        data = http.send(h11.Data(data=b"line %d\n" % number))
        if data:  # none for HEAD
            await stream.sendall(data)
    end = http.send(h11.EndOfMessage())
    if end:
        await stream.sendall(end)


async def _respond(stream: StreamSocket, http: h11.Connection, request: h11.Request) -> None:
    """Read the rest of `request` and answer it."""
    path = request.target.partition(b"?")[0].decode("latin-1")
    allowed = _ROUTES.get(path)
    if allowed is None:
        raise _Refused(404, "no such page")
    if request.method.decode("ascii") not in allowed.split(", "):
        raise _Refused(405, f"use {allowed}", ("Allow", allowed))
    body = bytearray()
    while isinstance(event := await _next_event(stream, http), h11.Data):
        body += event.data
        if len(body) > MAX_BODY:
            raise _Refused(413, f"a body may have {MAX_BODY} bytes")
    if path == "/chunked":
        await _answer_chunked(stream, http)
    elif path == "/echo":
        kinds = [value for name, value in request.headers if name == b"content-type"]
        kind = kinds[0].decode("latin-1") if kinds else "application/octet-stream"
        await _answer(stream, http, 200, bytes(body), ("Content-Type", kind), to=request)
    else:
        await _answer(stream, http, 200, GREETING, _TEXT, to=request)


async def _refuse(
    stream: StreamSocket, http: h11.Connection, request: h11.Request | None, refused: _Refused
) -> None:
    """Answer with an error and close in such a way that the peer gets to read it."""
    if http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
        return  # the answer is on its way already
    close = ("Connection", "close")
    text = f"{refused}\n".encode()
    await _answer(stream, http, refused.status, text, _TEXT, close, *refused.headers, to=request)
    # Closing with data unread would reset the connection, and the answer with it (RFC 9112, 9.6).
    stream.shutdown(SHUT_WR)
    drained = 0
    while drained < MAX_DRAIN and (data := await stream.recv(65536)):
        drained += len(data)


async def handle(stream: StreamSocket) -> None:
    """Serve the requests of one connection, one after the other."""
    http = h11.Connection(h11.SERVER)
    while True:
        try:
            with timeout(IDLE):
                first = await _next_event(stream, http)
            if not isinstance(first, h11.Request):
                return
            with CancelScope(shield=True), timeout(BUSY):
                try:
                    await _respond(stream, http, first)
                except _Refused as refused:
                    await _refuse(stream, http, first, refused)
                    return
        except h11.RemoteProtocolError as exc:
            with timeout(BUSY):
                await _refuse(stream, http, None, _Refused(exc.error_status_hint, str(exc)))
            return
        except (TimeoutError, OperationCancelled):
            return
        if http.our_state is not h11.DONE or http.their_state is not h11.DONE:
            return
        http.start_next_cycle()


if __name__ == "__main__":
    sys.exit(main("A small HTTP/1.1 server.", handle))

"""The bare loop: one edge-triggered epoll and nothing else, what Python can do at most.

It has no tasks, no timers and no cancel. What a socket does not take at once it keeps, and receives no
more on that connection until it is gone. After a last answer of HTTP it waits for the client to close.
"""

from __future__ import annotations

import contextlib
import select
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket

    from .settings import Settings


def serve_datagrams(settings: Settings) -> None:
    """Serve datagrams until somebody ends the process; what there is no room for is lost."""
    if sys.platform != "linux":
        raise SystemExit("epoll is Linux's")
    sock = settings.datagrams()
    poller = select.epoll()
    poller.register(sock, select.EPOLLIN | select.EPOLLET)
    size, poll, receive, send = settings.receive, poller.poll, sock.recvfrom, sock.sendto
    while True:
        poll()
        with contextlib.suppress(BlockingIOError):
            while True:
                data, address = receive(size)
                send(data, address)


def serve(settings: Settings) -> None:
    """Serve until somebody ends the process."""
    if sys.platform != "linux":
        raise SystemExit("epoll is Linux's")
    readable = select.EPOLLIN
    receiving = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET
    sending = select.EPOLLOUT | select.EPOLLET
    listener = settings.listener()
    poller = select.epoll()
    poller.register(listener, select.EPOLLIN)
    accepting, size = listener.fileno(), settings.receive
    connections = {}
    unsent: dict[int, memoryview] = {}
    poll = poller.poll

    def accept() -> None:
        sock, _ = listener.accept()
        sock.setblocking(False)
        poller.register(sock, receiving)
        connections[sock.fileno()] = (sock, settings.receiving(sock.recv), sock.send)

    def go_on(sock: socket.socket, left: memoryview) -> bool:
        """Send and receive until one of both would wait; False when the connection has ended."""
        fd = sock.fileno()
        recv = connections[fd][1]
        waited = fd in unsent
        left = unsent.pop(fd, left)
        while True:
            try:
                while left:
                    left = left[sock.send(left) :]
            except BlockingIOError:
                unsent[fd] = left
                poller.modify(fd, sending)
                return True
            try:
                data = recv(size)
            except BlockingIOError:
                if waited:
                    poller.modify(fd, receiving)
                return True
            if not data:
                return False
            left = memoryview(data)

    while True:
        for fd, events in poll(-1, 1024):
            if fd == accepting:
                accept()
                continue
            sock, recv, send = connections[fd]
            data = b""
            try:
                if events == readable:
                    try:
                        data = recv(size)
                        sent = send(data)
                        if 0 < sent == len(data) < size:  # short: there is no more
                            continue
                        data = data[sent:]
                    except BlockingIOError:
                        pass
                if go_on(sock, memoryview(data)):
                    continue
            except OSError:
                pass
            del connections[fd]
            unsent.pop(fd, None)
            sock.close()

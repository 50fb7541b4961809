"""Connecting and listening in one call."""

from __future__ import annotations

import errno
import os
import re
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

import reactor
from harness.clock import FakeClock
from harness.faults import FaultTable
from harness.provoke import Crowd
from harness.world import LiveWorld
from reactor import (
    IoContext,
    OperationCancelled,
    ReactorError,
    connect_tcp,
    connect_unix,
    listen_tcp,
    listen_unix,
)
from reactor.descriptor import WRITE
from tests.reactor.places import everywhere, outcome, start, turns


@pytest.fixture
def unheard():
    """A port on which nobody listens, held by a socket that is bound and no more."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


def has_ipv6():
    if not socket.has_ipv6:
        return False
    with socket.socket(socket.AF_INET6) as sock:
        try:
            sock.bind(("::1", 0))
        except OSError:
            return False
    return True


ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")


def naming(where, *found, lacks=None, clock=None, error=None):
    """The system of `where`, on which every name has the addresses `found`."""
    system = where.system(FaultTable(), clock)
    system.lookups = lookups = []
    real = system.socket

    def getaddrinfo(host, port, family=0, kind=0, proto=0, flags=0):
        lookups.append((host, port, kind, flags, threading.get_ident()))
        if error is not None:
            raise error
        return [
            (socket.AF_INET6 if len(address) == 4 else socket.AF_INET, kind, 6, "", address)
            for address in found
        ]

    def open_socket(family, kind, proto=0):
        if family == lacks:
            raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))
        return real(family, kind, proto)

    system.getaddrinfo = getaddrinfo
    system.socket = open_socket
    return system


def open_sockets():
    return reactor.current_context().descriptor_count


# -- Connecting over TCP


@everywhere
def test_connecting_to_a_number(where):
    """Not looked up: no thread, and no question to anybody."""

    async def main():
        with listen_tcp() as acceptor, await connect_tcp(*acceptor.getsockname()) as sock:
            assert sock.getpeername() == acceptor.getsockname()
            assert reactor.current_context()._executor is None

    where.run(main)


@everywhere
def test_a_number_is_asked_for_as_one(where):
    system = naming(where, ("127.0.0.1", 9))

    async def main():
        await outcome(connect_tcp, "127.0.0.1", 9)
        ((host, port, kind, flags, thread),) = system.lookups
        assert (host, port, kind) == ("127.0.0.1", 9, socket.SOCK_STREAM)
        assert flags & socket.AI_NUMERICHOST
        assert thread == threading.get_ident()

    where.run(main, system=system)


@everywhere
def test_connecting_to_a_name(where):
    """localhost, looked up on a thread: the addresses that have no listener are passed over."""

    async def main():
        with (
            listen_tcp() as acceptor,
            await connect_tcp("localhost", acceptor.getsockname()[1]) as sock,
        ):
            assert sock.getpeername() == acceptor.getsockname()
            assert reactor.current_context()._executor is not None

    where.run(main)


@everywhere
def test_a_name_is_looked_up_on_a_thread(where):
    async def main():
        context = reactor.current_context()
        with listen_tcp() as acceptor:
            address = acceptor.getsockname()
            system = naming(where, address)
            context.system.getaddrinfo = system.getaddrinfo
            with await connect_tcp("some.where.invalid", address[1]) as sock:
                assert sock.getpeername() == address
        ((host, port, kind, _, thread),) = system.lookups
        assert (host, port, kind) == ("some.where.invalid", address[1], socket.SOCK_STREAM)
        assert thread != threading.get_ident()

    where.run(main)


@everywhere
def test_addresses_are_tried_one_after_the_other(where, unheard):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        system = naming(
            where, ("127.0.0.1", unheard), ("127.0.0.1", unheard), listener.getsockname()
        )

        async def main():
            with await connect_tcp("some.where.invalid", 1) as sock:
                assert sock.getpeername() == listener.getsockname()
                assert open_sockets() == 1
            assert system.table.calls["connect"] == 3

        where.run(main, system=system)


@everywhere
def test_the_first_address_that_answers_is_taken(where):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        system = naming(where, listener.getsockname(), ("192.0.2.1", 1))

        async def main():
            (await connect_tcp("some.where.invalid", 1)).close()
            assert system.table.calls["connect"] == 1

        where.run(main, system=system)


@everywhere
def test_a_family_that_the_system_has_not_is_passed_over(where):
    """A name can have IPv6 addresses although the kernel has no IPv6."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        system = naming(where, ("::1", port, 0, 0), ("127.0.0.1", port), lacks=socket.AF_INET6)

        async def main():
            with await connect_tcp("some.where.invalid", port) as sock:
                assert sock.family == socket.AF_INET

        where.run(main, system=system)

        async def alone():
            with pytest.raises(OSError, match=os.strerror(errno.EAFNOSUPPORT)):
                await connect_tcp("some.where.invalid", port)

        where.run(alone, system=naming(where, ("::1", port, 0, 0), lacks=socket.AF_INET6))


@everywhere
def test_the_error_is_that_of_the_last_address(where, unheard):
    missing, silent = ("::1", 9, 0, 0), ("127.0.0.1", unheard)

    async def main():
        system: Any = reactor.current_context().system
        error = await outcome(connect_tcp, "some.where.invalid", 1)
        assert isinstance(error, OSError)
        assert open_sockets() == 0
        assert system.table.calls["connect"] == 1
        return error.errno

    for found, code in (
        ((missing, silent), errno.ECONNREFUSED),
        ((silent, missing), errno.EAFNOSUPPORT),
    ):
        assert where.run(main, system=naming(where, *found, lacks=socket.AF_INET6)) == code


@everywhere
def test_a_name_without_an_address(where):
    async def main():
        with pytest.raises(OSError, match=r"some\.where\.invalid has no address"):
            await connect_tcp("some.where.invalid", 1)

    where.run(main, system=naming(where))


@everywhere
def test_a_name_that_nobody_knows(where):
    unknown = socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def main():
        with pytest.raises(socket.gaierror, match="not known"):
            await connect_tcp("some.where.invalid", 1)

    where.run(main, system=naming(where, error=unknown))


@everywhere
def test_a_connect_that_is_cancelled_leaves_nothing_open(where):
    crowd = Crowd(socket.AF_INET, LiveWorld())

    async def main():
        task = start(connect_tcp, *crowd.address)
        await turns()
        (descriptor,) = reactor.current_context().scheduler.descriptors
        assert descriptor.interest == WRITE
        task.cancel()
        assert isinstance(await task, OperationCancelled)
        assert open_sockets() == 0

    where.run(main)
    crowd.close()


@everywhere
def test_connecting_within_a_timeout(where):
    crowd = Crowd(socket.AF_INET, LiveWorld())

    async def main():
        with pytest.raises(TimeoutError), reactor.timeout(3):
            await connect_tcp(*crowd.address)
        assert open_sockets() == 0

    where.run(main, clock=FakeClock())
    crowd.close()


# -- Listening over TCP


@everywhere
def test_listening_on_a_port_that_the_system_chooses(where):
    async def main():
        with listen_tcp() as acceptor:
            host, port = acceptor.getsockname()
            assert host == "127.0.0.1"
            assert port > 0
        with listen_tcp("0.0.0.0") as acceptor:
            assert acceptor.getsockname()[0] == "0.0.0.0"

    where.run(main)


@everywhere
def test_a_port_that_is_in_use(where):
    async def main():
        with listen_tcp() as acceptor:
            with pytest.raises(OSError, match=os.strerror(errno.EADDRINUSE)) as caught:
                listen_tcp(port=acceptor.getsockname()[1])
            assert caught.value.errno == errno.EADDRINUSE
            assert open_sockets() == 1

    where.run(main)


@everywhere
def test_an_address_of_another_machine(where):
    async def main():
        with pytest.raises(OSError) as caught:
            listen_tcp("192.0.2.1")
        assert caught.value.errno == errno.EADDRNOTAVAIL
        with pytest.raises(socket.gaierror):
            listen_tcp("localhost")  # names are not looked up
        with pytest.raises(ValueError, match="backlog"):
            listen_tcp(backlog=-1)
        assert open_sockets() == 0

    where.run(main)


@everywhere
def test_listening_for_a_context_that_does_not_run_yet(where, path):
    with where.context() as context:
        acceptor, other = listen_tcp(context=context), listen_unix(path, context=context)
        assert acceptor.context is other.context is context
    assert acceptor.closed
    assert other.closed


def test_outside_of_a_context():
    for function in (listen_tcp, lambda: listen_unix("unused")):
        with pytest.raises(ReactorError, match="pass context="):
            function()
    assert not Path("unused").exists()


@ipv6
@everywhere
def test_ipv6(where):
    async def main():
        with (
            listen_tcp("::1") as acceptor,
            await connect_tcp("::1", acceptor.getsockname()[1]) as sock,
            await acceptor.accept() as other,
        ):
            assert acceptor.family == sock.family == other.family == socket.AF_INET6
            assert other.peer_address == sock.getsockname()
            await sock.sendall(b"hello")
            assert await other.recv(100) == b"hello"

    where.run(main)


@everywhere
@pytest.mark.parametrize("port", [-1, 65536, 1 << 40, "80", 80.0, None, True, b"80"])
def test_what_is_no_port(where, port):
    """Said before anything is opened or looked up."""
    system = naming(where)

    async def main():
        message = re.escape(f"a port is a number from 0 to 65535, got {port!r}")
        with pytest.raises(ValueError, match=message):
            await connect_tcp("some.where.invalid", port)
        with pytest.raises(ValueError, match=message):
            listen_tcp(port=port)
        assert system.lookups == []

    where.run(main, system=system)


@everywhere
@pytest.mark.parametrize("port", [0, 1, 65535])
def test_the_first_and_the_last_port(where, port):
    system = naming(where)

    async def main():
        with pytest.raises(OSError, match="has no address"):
            await connect_tcp("some.where.invalid", port)
        assert [lookup[1] for lookup in system.lookups] == [port]

    where.run(main, system=system)


# -- Unix sockets


@everywhere
@pytest.mark.parametrize("kind", [str, os.fsencode, Path])
def test_paths(where, path, kind):
    async def main():
        with (
            listen_unix(kind(path)) as acceptor,
            await connect_unix(kind(path)) as sock,
            await acceptor.accept() as other,
        ):
            await sock.sendall(b"hello")
            assert await other.recv(100) == b"hello"
        assert Path(path).is_socket(), "nobody but the caller removes it"

    where.run(main)


@everywhere
def test_a_path_that_exists(where, path):
    async def main():
        Path(path).touch()
        with pytest.raises(OSError) as caught:
            listen_unix(path)
        assert caught.value.errno == errno.EADDRINUSE
        assert open_sockets() == 0

    where.run(main)


@everywhere
def test_a_path_of_another_type_of_socket_is_told_as_it_is(where, path):
    """EPROTOTYPE of connect(2), which is not that of macOS's sends."""

    async def main():
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
            other.bind(path)
            with pytest.raises(OSError) as caught:
                await connect_unix(path)
            assert caught.value.errno == errno.EPROTOTYPE

    where.run(main)


@everywhere
def test_a_path_that_is_too_long(where, path):
    async def main():
        with pytest.raises(OSError, match="too long"):
            listen_unix("x" * 200)
        with pytest.raises(OSError, match="too long"):
            await connect_unix("x" * 200)
        assert open_sockets() == 0

    where.run(main)


@everywhere
def test_a_path_where_nobody_listens(where, path):
    async def main():
        with pytest.raises(FileNotFoundError):
            await connect_unix(path)
        listen_unix(path).close()
        with pytest.raises(ConnectionRefusedError):
            await connect_unix(path)
        assert open_sockets() == 0

    where.run(main)


def test_the_context_must_be_open(path):
    context = IoContext()
    context.close()
    for listen in (lambda: listen_tcp(context=context), lambda: listen_unix(path, context=context)):
        with pytest.raises(ReactorError, match="closed"):
            listen()

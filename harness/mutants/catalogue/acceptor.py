"""Acceptors: errors of accept, order among those who wait, and what an accepted socket is."""

from __future__ import annotations

from ..model import Edit, Mutant, scenario, test

AREA = "acceptor"

MUTANTS = (
    Mutant(
        "no-error-of-accept-is-transient",
        AREA,
        "accept.pending-network-error: accept(2); asio retries only two of them",
        (Edit("acceptor.py", "if exc.errno not in TRANSIENT:", "if exc.errno:"),),
        (scenario("accept.pending-network-error"),),
    ),
    Mutant(
        "a-transient-error-ends-the-burst",
        AREA,
        "accept.aborted-then-good: gh-127529, `return` instead of `continue`",
        (Edit("acceptor.py", "last = exc", "raise BlockingIOError from exc"),),
        (scenario("accept.pending-network-error", "epoll"),),
    ),
    Mutant(
        "no-error-of-accept-means-out-of-descriptors",
        AREA,
        "accept.emfile-no-lost-listener: libuv d185607a8, nginx 0e3b423dc",
        (Edit("acceptor.py", "if exc.errno not in CAPACITY or self.closed:", "if exc.errno:"),),
        (scenario("accept.emfile-no-lost-listener"),),
    ),
    Mutant(
        "out-of-descriptors-it-does-not-pause",
        AREA,
        "accept.emfile-backoff: joyent/libuv#690, gh-151615",
        (Edit("acceptor.py", "BACK_OFF = 0.1", "BACK_OFF = 0.0"),),
        (scenario("accept.emfile-backoff"),),
    ),
    Mutant(
        "after-a-pause-it-waits-for-news",
        AREA,
        "accept.emfile-no-lost-listener: libuv d185607a8, 'server permanently stop accepting'",
        (
            Edit(
                "acceptor.py",
                "self._read.believe()  # the connection is still in the queue, and no edge will say so",
                "self._read.seen = self._read.edges",
            ),
        ),
        (scenario("accept.emfile-no-lost-listener", "epoll"),),
    ),
    Mutant(
        "a-pause-cannot-be-cancelled",
        AREA,
        "cancel.pending-recv: corosio d249ac3, 'only set a cancelled flag'",
        (
            Edit(
                "socketbase.py",
                "return 0 if self._pause is None else self._pause.end(cause)",
                "return 0",
            ),
        ),
        (scenario("accept.emfile-no-lost-listener"),),
    ),
    Mutant(
        "an-accept-that-finds-nothing-fails",
        AREA,
        "accept.stolen-connection: select(2) BUGS, accept(2) NOTES",
        (
            Edit(
                "dispatch.py",
                "slot.misses += 1",
                """
                slot.misses += 1
                if pending and slot.descriptor.kind == "acceptor":
                    raise ConnectionAbortedError from None
                """,
            ),
        ),
        (scenario("accept.stolen-connection"),),
    ),
    Mutant(
        "the-last-to-accept-is-served-first",
        AREA,
        "accept.waiters-fifo: as trio 0.22 wakes equal deadlines, last first",
        (
            Edit(
                "waitlist.py",
                "return next(iter(self.operations), None)",
                "return next(reversed(self.operations), None)",
            ),
        ),
        (scenario("accept.waiters-fifo"),),
    ),
    Mutant(
        "several-accepts-at-once",
        AREA,
        "accept.waiters-fifo: eventlet#94, simultaneous reads of one descriptor",
        (Edit("sync.py", "self._taken = True", "pass"),),
        (scenario("accept.waiters-fifo"),),
    ),
    Mutant(
        "a-cancelled-accept-keeps-its-turn",
        AREA,
        "cancel.armed-in-callback: zoxy-io/zoxy#209, an accept after a cancelled one never completes",
        (
            Edit(
                "acceptor.py",
                """
                finally:
                    if turn is None or turn.cause is Cause.READY:  # else the turn is another's
                        gate.leave()
                """,
                """
                except OperationCancelled:
                    raise
                except BaseException:
                    gate.leave()
                    raise
                else:
                    gate.leave()
                """,
            ),
        ),
        (scenario("cancel.armed-in-callback"), scenario("cancel.accept-keeps-connection")),
    ),
    Mutant(
        "an-unnamed-peer-is-unknown",
        AREA,
        "accept.unix-peer-address: mio 456cad2e, 9f1e9ffd",
        (
            Edit(
                "acceptor.py",
                "return connection, display_address(address)",
                "return connection, address or None",
            ),
        ),
        (scenario("accept.unix-peer-address"),),
    ),
    Mutant(
        "an-accepted-socket-blocks",
        AREA,
        "accept.flags-normalised: accept(2), what the new socket inherits differs",
        (
            Edit(
                "acceptor.py",
                "stream.peer_address = address",
                """
                stream.peer_address = address
                connection.setblocking(True)
                """,
            ),
        ),
        (scenario("accept.flags-normalised"),),
    ),
    Mutant(
        "an-accepted-socket-survives-exec",
        AREA,
        "accept.flags-normalised: accept(2); tornado 8637a738",
        (
            Edit(
                "system.py",
                "connection, address = sock.accept()",
                """
                connection, address = sock.accept()
                connection.set_inheritable(True)
                """,
            ),
        ),
        (scenario("accept.flags-normalised"),),
    ),
    Mutant(
        "an-accepted-socket-must-take-its-options",
        AREA,
        "accept.aborted-option-einval: capnproto PR 2365, AntelopeIO/leap#1318, envoy#1381",
        (
            Edit(
                "system.py",
                "return self.adopt(connection), address",
                """
                adopted = self.adopt(connection)
                adopted.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                return adopted, address
                """,
            ),
        ),
        (scenario("accept.aborted-option-einval"),),
    ),
    Mutant(
        "an-accepted-socket-is-asked-for-its-peer",
        AREA,
        "accept.addrlen-zero: libevent ecfc720a",
        (
            Edit(
                "system.py",
                "return self.adopt(connection), address",
                """
                adopted = self.adopt(connection)
                return adopted, adopted.getpeername()
                """,
            ),
        ),
        (scenario("accept.addrlen-zero"),),
    ),
    Mutant(
        "who-has-the-turn-is-told-before-the-call",
        AREA,
        "accept.close-while-pending: a close in between was told as an error; a generated program",
        (
            Edit(
                "acceptor.py",
                "turn = await gate.enter()",
                "turn = await gate.enter()\ngate.tell(turn)",
            ),
        ),
        (test("kernel/test_simulate.py::test_what_was_found_once_stays_away"),),
    ),
)

"""Streams: sending, gathering, connecting."""

from __future__ import annotations

from ..model import Edit, Mutant, scenario, simulated

AREA = "stream"

MUTANTS = (
    Mutant(
        "a-gathering-send-resumes-at-the-wrong-place",
        AREA,
        "partial.gather-resume: libuv c560cf931, partial writes of several buffers",
        (Edit("gather.py", "views[0] = views[0][left:]", "pass"),),
        (scenario("partial.gather-resume"),),
    ),
    Mutant(
        "a-gathering-send-repeats-its-ancillary-data",
        AREA,
        "partial.gather-resume: libuv c560cf931, 'don't send handle twice on partial write'",
        (Edit("gather.py", "self._ancdata = []", "pass"),),
        (scenario("partial.gather-resume"),),
    ),
    Mutant(
        "a-gathering-send-takes-any-number-of-buffers",
        AREA,
        "partial.iov-max: joyent/libuv#770",
        (Edit("gather.py", "if index == IOV_MAX or not room:", "if not room:"),),
        (scenario("partial.iov-max"),),
    ),
    Mutant(
        "sending-nothing-asks-the-kernel",
        AREA,
        "partial.zero-byte-send: libuv 6140507ba, it never completed",
        (
            Edit(
                "stream.py",
                """
                if not len(data):
                    return self._count_nothing()
                """,
                "",
            ),
        ),
        (scenario("partial.zero-byte-send"),),
    ),
    Mutant(
        "a-sendall-forgets-the-rest",
        AREA,
        "partial.send-all-tiny: corosio 5c87bce, small buffers; mitchellh/libxev#125 drops writes",
        (
            Edit(
                "stream.py",
                "return perform(self._write, self._send, data, size, True)",
                "return perform(self._write, self._send, data)",
            ),
        ),
        (scenario("partial.send-all-tiny"),),
    ),
    Mutant(
        "a-connect-does-not-look-at-its-error",
        AREA,
        "connect.refused-not-success: asio 300ba8188, golang/go#14548, tornado fb8736cd",
        (
            Edit(
                "stream.py",
                """
                if code:
                    raise OSError(code, os.strerror(code), str(address))
                """,
                "",
            ),
        ),
        (scenario("connect.refused-not-success"),),
    ),
    Mutant(
        "a-connect-to-a-full-unix-listener-waits-for-an-event",
        AREA,
        "connect.unix-eagain: mio#1560, tokio#3879, CPython PR 134688",
        (Edit("stream.py", "raise QueueFullError from exc", "raise"),),
        (scenario("accept.backlog-overflow"),),
    ),
    Mutant(
        "an-own-shutdown-lets-a-send-sleep",
        AREA,
        "half.own-shutdown-rd-wakes-recv: libcoro PR 422; the other direction by a generated program",
        (
            Edit(
                "stream.py",
                "ended = (0 if how == socket.SHUT_WR else READ) | (0 if how == socket.SHUT_RD else WRITE)",
                "ended = 0 if how == socket.SHUT_WR else READ",
            ),
        ),
        (simulated("kqueue", "macos"),),
    ),
)

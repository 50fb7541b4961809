"""Descriptors: what readiness means, and whom it reaches."""

from __future__ import annotations

from ..model import Edit, Mutant, program, scenario, test

AREA = "descriptor"

MUTANTS = (
    Mutant(
        "a-short-read-still-counts-at-the-end",
        AREA,
        "partial.exact-fill-then-eof: nginx a4eddea71, the end rides on the last event",
        (
            Edit(
                "descriptor.py",
                """
                if events & STICKY:
                    self.read.exact = False
                """,
                "",
            ),
        ),
        (scenario("partial.eof-behind-data", "epoll"),),
    ),
    Mutant(
        "a-send-that-waits-is-not-watched",
        AREA,
        "partial.send-backpressure: this project's own, one direction is registered at first",
        (
            Edit(
                "descriptor.py",
                "if not descriptor.registered & slot.direction:",
                "if not descriptor.registered:",
            ),
        ),
        (program("first-wait-to-send-edge"), test("reactor/test_descriptor.py")),
    ),
    Mutant(
        "a-short-read-counts-over-unix",
        AREA,
        "partial.unix-ancillary-boundary: unix(7), a read stops at ancillary data",
        (Edit("stream.py", "self._read.exact = False  # see `Slot.exact`", "pass"),),
        (scenario("partial.unix-ancillary-boundary", "epoll"),),
    ),
    Mutant(
        "every-read-is-taken-for-the-last",
        AREA,
        "partial.et-residue: epoll(7), 'will probably hang despite the available data'",
        (Edit("dispatch.py", "if size < want:", "if True:"),),
        (scenario("partial.et-residue", "epoll"),),
    ),
    Mutant(
        "one-event-serves-one-direction",
        AREA,
        "partial.read-write-same-event: ziglang/zig#5278, tornado 15ceda22",
        (
            Edit(
                "descriptor.py",
                "return [slot for slot in (self.read, self.write) if events & slot.direction]",
                "return [slot for slot in (self.read, self.write) if events & slot.direction][:1]",
            ),
        ),
        (scenario("partial.read-write-same-event", "epoll"),),
    ),
    Mutant(
        "false-readiness-is-the-end",
        AREA,
        "partial.rearm-after-false-ready: asio a50b53864, 484af78b2, a7e9d1e5e",
        (
            Edit(
                "dispatch.py",
                "slot.misses += 1",
                """
                slot.misses += 1
                if pending and want and not whole and slot.direction == 1:
                    slot.calling = False
                    return b""
                """,
            ),
        ),
        (scenario("partial.rearm-after-false-ready"),),
    ),
    Mutant(
        "the-end-comes-before-the-data",
        AREA,
        "partial.eof-behind-data: netius#79, nanomsg/nng#687, varnish#4138",
        (
            Edit("descriptor.py", "self.read.exact = False", "self.read.exact = None"),
            Edit(
                "dispatch.py",
                "return result",
                'return b"" if slot.exact is None and result.__class__ is bytes else result',
            ),
        ),
        (scenario("partial.eof-behind-data", "epoll"),),
    ),
    Mutant(
        "a-reset-is-an-end",
        AREA,
        "partial.reset-behind-data: bun#39600, 'before, that error was folded into eof'",
        (
            Edit(
                "dispatch.py",
                "except BaseException as exc:",
                """
                except ConnectionResetError:
                    slot.calling = False
                    return b""
                except BaseException as exc:
                """,
            ),
        ),
        (scenario("partial.reset-behind-data"),),
    ),
    Mutant(
        "wait-writable-does-not-wait",
        AREA,
        "connect.refused-not-success: golang/go#14548, swift-nio#572, a stale writability believed",
        (Edit("socketbase.py", "raise BlockingIOError", "return"),),
        (scenario("partial.eof-behind-data"), scenario("partial.writability-threshold")),
    ),
    Mutant(
        "the-budget-never-ends",
        AREA,
        "accept.fairness: tornado f16aa39c, libuv 6c692ad1c",
        (Edit("operation.py", "BUDGET = 32", "BUDGET = 1 << 40"),),
        (scenario("accept.fairness"), scenario("cancel.inline-completion")),
    ),
)

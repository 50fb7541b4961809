"""The model and the live kernel agree on random programs of raw calls, and a broken model does not."""

from __future__ import annotations

import errno
import json
from dataclasses import replace

import pytest

from harness.kernel import dialects
from harness.kernel.counters import EventFd
from harness.kernel.datagram import DatagramSocket
from harness.kernel.description import ERR, HUP, IN, NVAL, OUT
from harness.kernel.kernel import Kernel
from harness.kernel.local import UnixSocket
from harness.kernel.pipe import PipeReader, _Slot, _Slots
from harness.kernel.pollers.epoll import ONESHOT, EpollInstance, Registration
from harness.kernel.pollers.level import Poll
from harness.kernel.tcp import TcpSocket
from harness.kernel.tcpstate import State
from harness.kernel.verify.__main__ import main
from harness.kernel.verify.compare import Comparison, Difference
from harness.kernel.verify.grounds import Model, native_dialect
from harness.kernel.verify.programs import Disagreement, from_text, to_text, verify

PROGRAMS = 150
SEED = 4
#: Most a broken model may need until it is found out.
PATIENCE = 600

linux_only = pytest.mark.skipif(
    native_dialect() != "linux", reason="only the Linux dialect has been held to its kernel so far"
)


@linux_only
def test_model_and_kernel_agree():
    with Comparison() as comparison:
        verify(comparison, PROGRAMS, SEED)


#: Shrunk programs that the model got wrong once.
ONCE_WRONG = {
    "an epoll is told that a datagram has left": [
        *[("udp_pair", 0, 0, 0), ("epoll", 0, 0, 0), ("ep_add", 0, 1, 6), ("ep_wait", 0, 0, 0)],
        *[("send", 1, 0, 0), ("ep_wait", 0, 0, 0)],
    ],
    "an urgent byte is gone with its connection": [
        *[
            ("tcp_pair", 0, 0, 0),
            ("shutdown", 0, 2, 0),
            ("urgent", 1, 0, 0),
            ("recv_urgent", 0, 0, 0),
        ],
    ],
    "the end of a datagram peer is no event": [
        *[("dgram_pair", 0, 0, 0), ("udp_pair", 0, 0, 0), ("epoll", 0, 0, 0), ("ep_add", 0, 0, 6)],
        *[("ep_wait", 0, 0, 0), ("close", 1, 0, 0), ("ep_wait", 0, 0, 0)],
    ],
    "a refused datagram gives its room back": [
        *[("dgram_pair", 0, 0, 0), ("udp_pair", 0, 0, 0), ("epoll", 0, 0, 0), ("ep_add", 0, 0, 6)],
        *[("ep_wait", 0, 0, 0), ("close", 1, 0, 0), ("send", 0, 0, 0), ("ep_wait", 0, 0, 0)],
    ],
    "and one that is for nobody": [
        *[("dgram_pair", 0, 0, 0), ("udp_pair", 0, 0, 0), ("epoll", 0, 0, 0), ("ep_add", 0, 1, 6)],
        *[("close", 0, 0, 0), ("send", 0, 0, 0), ("ep_wait", 0, 0, 0), ("send", 0, 0, 0)],
        ("ep_wait", 0, 0, 0),
    ],
    "a write that finds a pipe full is an event for its reader": [
        *[("pipe", 0, 0, 0), ("epoll", 0, 0, 0), ("ep_add", 0, 0, 6), ("write", 1, 4, 0)],
        *[("ep_wait", 0, 0, 0), ("write", 1, 0, 0), ("ep_wait", 0, 0, 0)],
    ],
    "a shutdown before the connect sends no end after it": [
        *[("tcp_listener", 0, 0, 0), ("tcp", 0, 0, 0), ("epoll", 0, 0, 0), ("ep_add", 0, 0, 0)],
        *[("shutdown", 1, 1, 0), ("connect", 1, 0, 0), ("accept", 0, 0, 0)],
    ],
    "a datagram pair has no limit of ten": [
        *[("dgram_pair", 0, 0, 0), ("fill", 0, 0, 0), ("sip", 0, 0, 0), ("sip", 0, 3, 0)],
    ],
    "a Unix socket's room comes back with the packet": [
        *[("unix_pair", 0, 0, 0), ("fill", 1, 0, 0), ("recv", 0, 0, 0), ("send", 1, 0, 0)],
        *[("recv", 0, 5, 0), ("send", 1, 0, 0)],
    ],
    "a reset leaves what was received, and that is little": [
        *[("tcp_pair", 0, 0, 0), ("fill", 0, 0, 0), ("abort", 0, 0, 0), ("sip", 0, 0, 0)],
    ],
    "a FIN waits behind data, whatever the other side ends": [
        *[("tcp_pair", 0, 0, 0), ("fill", 0, 0, 0), ("close", 0, 0, 0), ("shutdown", 0, 1, 0)],
        ("drain", 0, 0, 0),
    ],
    "SO_LINGER 0 also cuts off a FIN that waits behind data": [
        *[("tcp_pair", 0, 0, 0), ("fill", 0, 0, 0), ("shutdown", 1, 1, 0), ("shutdown", 0, 1, 0)],
        ("abort", 0, 0, 0),
    ],
    "who is accepted has the listener's SO_LINGER": [
        *[("tcp_listener", 0, 0, 0), ("tcp", 0, 0, 0), ("linger", 0, 0, 0), ("connect", 1, 0, 0)],
        *[("accept", 0, 0, 0), ("close", 2, 0, 0)],
    ],
    "a connect that tells of a failure is an event": [
        *[("tcp_listener", 0, 0, 0), ("tcp", 0, 0, 0), ("epoll", 0, 0, 0), ("ep_add", 0, 1, 36)],
        *[("connect", 1, 1, 0), ("ep_wait", 0, 0, 0), ("connect", 1, 0, 0), ("ep_wait", 0, 0, 0)],
    ],
    "but what it had not read gives its room back": [
        *[("dgram_pair", 0, 0, 0), ("udp_pair", 0, 0, 0), ("epoll", 0, 0, 0), ("ep_add", 0, 0, 6)],
        *[("ep_wait", 0, 0, 0), ("dup", 0, 0, 0), ("send", 0, 0, 0), ("close", 0, 0, 0)],
        *[("close", 0, 0, 0), ("ep_wait", 0, 0, 0)],
    ],
}


@linux_only
@pytest.mark.parametrize("program", ONCE_WRONG.values(), ids=list(ONCE_WRONG))
def test_what_was_wrong_once(program):
    with Comparison() as comparison:
        assert comparison.difference(program) is None


# -- Ten and more ways to break the model


def lets_oneshot_fire_again(monkeypatch):
    real = EpollInstance.collect

    def collect(self, most):
        found = real(self, most)
        for item in self.registrations.values():
            if item.events & ONESHOT:
                item.events |= IN | OUT
        return found

    monkeypatch.setattr(EpollInstance, "collect", collect)


def takes_edges_for_levels(monkeypatch):
    monkeypatch.setattr("harness.kernel.pollers.epoll.EDGE", 0)


def hears_only_what_was_asked(monkeypatch):
    """ERR and HUP come unasked."""
    monkeypatch.setattr(
        Registration,
        "ready_events",
        lambda self: self.description.mask() & (self.events & ~(ERR | HUP)),
    )


def forgets_a_registration_with_its_number(monkeypatch):
    """As if epoll kept numbers, as kqueue does, and not descriptions."""
    real = Kernel.close

    def close(self, number):
        description = self.get(number)
        for watcher in list(description._watchers):
            if isinstance(watcher, Registration) and watcher.fd == number:
                watcher.gone()
        real(self, number)

    monkeypatch.setattr(Kernel, "close", close)


def closes_with_fin_on_unread_input(monkeypatch):
    changed = replace(dialects.LINUX, unread_close_resets=False)
    monkeypatch.setitem(dialects.DIALECTS, "linux", changed)


def calls_every_reset_a_reset(monkeypatch):
    """After FIN it is EPIPE."""
    real = TcpSocket._reset
    monkeypatch.setattr(
        TcpSocket,
        "_reset",
        lambda self, code: real(self, errno.ECONNRESET if code == errno.EPIPE else code),
    )


def keeps_so_error(monkeypatch):
    monkeypatch.setattr(TcpSocket, "take_error", lambda self: self.error)


def closes_a_unix_peer_softly(monkeypatch):
    """Unread input at the end of the one is a reset for the other."""
    real = UnixSocket._gone
    monkeypatch.setattr(UnixSocket, "_gone", lambda self, *, unread: real(self, unread=False))


def never_tells_a_unix_writer_of_room(monkeypatch):
    monkeypatch.setattr(UnixSocket, "wake_writers", lambda self: None)


def hides_the_end_of_a_pipe(monkeypatch):
    real = PipeReader.mask
    monkeypatch.setattr(PipeReader, "mask", lambda self: real(self) & ~HUP)


def never_fills_the_last_page(monkeypatch):
    def put(self, data):
        taken = 0
        while taken < len(data) and not self.full:
            piece = data[taken : taken + 4096]
            self._slots.append(_Slot(0, piece))
            taken += len(piece)
        return taken

    monkeypatch.setattr(_Slots, "put", put)


def hands_out_the_highest_number(monkeypatch):
    def allocate(self, description):
        number = max(self._table) + 1
        self._table[number] = description
        description.references += 1
        return number

    monkeypatch.setattr(Kernel, "allocate", allocate)


def overflows_an_eventfd(monkeypatch):
    monkeypatch.setattr(EventFd, "mask", lambda self: OUT | (IN if self.count else 0))


def calls_a_closed_number_fine(monkeypatch):
    real = Poll._look

    def look(self, wanted):
        return [(fd, mask) for fd, mask in real(self, wanted) if mask != NVAL]

    monkeypatch.setattr(Poll, "_look", look)


def merges_datagrams(monkeypatch):
    def receive(self, size, flags=0):
        data = b"".join(item for item, _ in self.queue)
        if not data:
            return real(self, size, flags)
        self.queue.clear()
        return data[:size], None

    real = DatagramSocket.receive
    monkeypatch.setattr(DatagramSocket, "receive", receive)


def counts_the_bytes_of_a_unix_socket_only(monkeypatch):
    monkeypatch.setattr(
        "harness.kernel.local.stream_packet", lambda rest, room: (min(rest, room), min(rest, room))
    )


def calls_any_room_writable(monkeypatch):
    monkeypatch.setattr(UnixSocket, "_has_room", lambda self: self._room() > 0)


def limits_a_datagram_pair_by_its_queue(monkeypatch):
    """net.unix.max_dgram_qlen is not for two that are connected to each other."""
    monkeypatch.setattr(
        DatagramSocket,
        "_has_room",
        lambda self: self.peer is None or len(self.peer.queue) <= 10,
    )


def never_tells_of_a_drained_pipe(monkeypatch):
    monkeypatch.setattr("harness.kernel.pipe.WRITABLE", IN)


def sends_fin_before_the_data(monkeypatch):
    real = TcpSocket._pump

    def pump(self):
        real(self)
        if self.unsent and self.state in {State.FIN_WAIT, State.LAST_ACK} and self.peer is not None:
            self.unsent.clear()
            real(self)

    monkeypatch.setattr(TcpSocket, "_pump", pump)


#: Each with the kind of program that has to find it.
MUTANTS = {
    lets_oneshot_fire_again: "edges",
    takes_edges_for_levels: "edges",
    hears_only_what_was_asked: "tcp",
    forgets_a_registration_with_its_number: "unix",
    closes_with_fin_on_unread_input: "tcp",
    calls_every_reset_a_reset: "tcp",
    keeps_so_error: "connect",
    closes_a_unix_peer_softly: "unix",
    never_tells_a_unix_writer_of_room: "edges",
    hides_the_end_of_a_pipe: "plain",
    never_fills_the_last_page: "plain",
    hands_out_the_highest_number: "plain",
    overflows_an_eventfd: "plain",
    calls_a_closed_number_fine: "everything",
    merges_datagrams: "datagrams",
    counts_the_bytes_of_a_unix_socket_only: "full",
    calls_any_room_writable: "full",
    limits_a_datagram_pair_by_its_queue: "full",
    never_tells_of_a_drained_pipe: "full pipe",
    sends_fin_before_the_data: "full",
}


@linux_only
@pytest.mark.parametrize(
    ("mutant", "theme"), MUTANTS.items(), ids=[mutant.__name__ for mutant in MUTANTS]
)
def test_a_broken_model_is_found_out(mutant, theme, monkeypatch):
    mutant(monkeypatch)
    with Comparison() as comparison, pytest.raises(Disagreement):
        verify(comparison, PATIENCE, SEED, themes=[theme], shrink=False)


def test_a_difference_that_does_not_come_again_is_told_as_that():
    class Once(Comparison):
        told = False

        def difference(self, program):
            if self.told or len(program) < 5:
                return None
            self.told = True
            return Difference(0, program[0], "one", "another")

    with (
        Once("linux", Model("linux")) as comparison,
        pytest.raises(Disagreement, match="not when it was played again"),
    ):
        verify(comparison, 50, SEED)


# -- The command


@linux_only
def test_the_command_tells_what_it_did(capsys):
    assert main(["--programs", "3", "--seed", "9", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["programs"], told["seed"], told["difference"]) == (3, 9, None)


@linux_only
def test_a_program_is_replayed(monkeypatch, tmp_path, capsys):
    file = tmp_path / "program.json"
    with monkeypatch.context() as broken:
        hides_the_end_of_a_pipe(broken)
        file.write_text(to_text([("pipe", 0, 0, 0), ("close", 1, 0, 0)]), encoding="utf-8")
        assert main(["--replay", str(file)]) == 1
    assert main(["--replay", str(file)]) == 0
    assert "live:" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        ["--programs", "0"],
        ["--seed", "-1"],
        ["--replay", "nowhere.json"],
        ["--against", "nowhere.json"],
        ["--dialect", "beos"],
        ["--itself", "--record", "somewhere.json"],
        ["--programs", "1", "--itself", "--replay", "pyproject.toml"],
    ],
    ids=" ".join,
)
def test_a_bad_command_line_is_one_line_and_code_2(words, capsys):
    assert main(words) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_program_is_read_back_as_written():
    program = [("pipe", 1, 2, 3), ("close", 0, 0, 0)]
    assert from_text(to_text(program)) == program


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "[[1]]",
        '[["no-such-call", 0, 0, 0]]',
        '[[["poll"], 0, 0, 0]]',
        '[["poll", 0, 0, -1]]',
        "]",
    ],
)
def test_what_is_no_program_is_refused(text):
    with pytest.raises(ValueError):
        from_text(text)

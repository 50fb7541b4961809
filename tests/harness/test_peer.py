"""Peers, and the pattern that tells whether a byte was lost."""

from __future__ import annotations

import select
import socket
import threading

import pytest

from harness import peer as module
from harness.peer import Peer, check_pattern, linger_zero, pattern, tiny_buffers


def tcp_pair():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        theirs, _ = listener.accept()
    return ours, theirs


@pytest.fixture
def pair():
    """A plain socket, in the subject's place, and a peer."""
    ours, theirs = tcp_pair()
    ours.settimeout(10)
    with ours, Peer(theirs) as peer:
        yield ours, peer


# -- The pattern


def test_a_piece_of_the_pattern_is_a_piece_of_the_whole():
    whole = pattern(3000)
    assert len(whole) == 3000
    for offset in (0, 1, 250, 251, 252, 500, 2000):
        for size in (0, 1, 250, 251, 252, 900):
            assert pattern(size, offset) == whole[offset : offset + size]


@pytest.mark.parametrize("shift", [1, 2, 4, 256, 1024, 4096, 65_536])
def test_a_shift_by_a_power_of_two_is_seen(shift):
    assert pattern(100, shift) != pattern(100)


def test_check_pattern_names_the_position():
    data = pattern(1000, 500)
    check_pattern(data, 500)
    check_pattern(b"", 77)
    lost = data[:100] + data[101:]
    with pytest.raises(AssertionError, match=r"^byte 600 of the stream is 99, expected 98: bytes"):
        check_pattern(lost, 500)
    repeated = data[:101] + data[100:]
    with pytest.raises(AssertionError, match="byte 601 of the stream"):
        check_pattern(repeated, 500)
    with pytest.raises(AssertionError, match="byte 0 of the stream"):
        check_pattern(data)


# -- Sending and receiving


def test_a_peer_sends_everything_even_if_it_must_wait(pair):
    ours, peer = pair
    data = pattern(4_000_000)
    got = bytearray()

    def receive():
        while len(got) < len(data):
            got.extend(ours.recv(1 << 16))

    thread = threading.Thread(target=receive)
    thread.start()
    peer.send(data)
    thread.join()
    check_pattern(bytes(got))


def test_fill_sends_the_pattern_until_there_is_no_room(pair):
    ours, peer = pair
    sent = peer.fill()
    assert 0 < sent < 64 << 20
    got = bytearray()
    while len(got) < sent:
        got += ours.recv(1 << 16)
    check_pattern(bytes(got))
    assert peer.sock.gettimeout() == module.SAFETY


class Sipping:
    """A socket that takes a little at a time, and then no more."""

    def __init__(self, *sizes):
        self.sizes = list(sizes)
        self.taken = b""

    def settimeout(self, seconds):
        pass

    def setblocking(self, flag):
        pass

    def send(self, data):
        if not self.sizes:
            raise BlockingIOError
        piece = data[: self.sizes.pop(0)]
        self.taken += piece
        return len(piece)


def test_fill_goes_on_with_the_pattern_where_it_was():
    sock = Sipping(1, 1000, 251, 10_000, 3)
    assert Peer(sock).fill() == 11_255  # type: ignore[arg-type]  # quacks like one
    check_pattern(sock.taken)


def test_fill_stops_soon_after_its_limit(pair):
    _, peer = pair
    assert 1000 <= peer.fill(1000) < 1000 + (1 << 16)


def test_drain_takes_exactly_what_is_asked_for(pair):
    ours, peer = pair
    ours.sendall(b"0123456789")
    assert peer.drain(4) == b"0123"
    assert peer.drain(0) == b""
    assert peer.drain(6) == b"456789"
    ours.sendall(b"abc")
    ours.shutdown(socket.SHUT_WR)
    with pytest.raises(AssertionError, match="the stream ended after 3 of 4 bytes"):
        peer.drain(4)


def test_drain_available_never_waits(pair):
    ours, peer = pair
    assert peer.drain_available() == b""
    ours.sendall(b"0123456789")
    assert select.select([peer], [], [], 10)[0]
    assert peer.drain_available(4) == b"0123"
    assert peer.drain_available() == b"456789"
    assert peer.drain_available() == b""
    assert peer.sock.gettimeout() == module.SAFETY
    ours.close()
    assert select.select([peer], [], [], 10)[0]
    assert peer.drain_available() == b""


def test_drain_to_end_takes_a_reset_for_the_end():
    for reset in (False, True):
        ours, theirs = tcp_pair()
        with ours, Peer(theirs) as peer:
            ours.sendall(b"last words")
            if reset:
                assert peer.drain(10) == b"last words"
                linger_zero(ours)
            ours.close()
            assert peer.drain_to_end() == (b"" if reset else b"last words")


def test_a_peer_that_waits_for_ever_is_an_error_and_no_hang(monkeypatch):
    monkeypatch.setattr(module, "SAFETY", 0.02)
    ours, theirs = tcp_pair()
    with ours, Peer(theirs) as peer, pytest.raises(TimeoutError):
        peer.drain(1)


def test_urgent_data_is_sent_out_of_band(pair):
    ours, peer = pair
    peer.send(b"ab")
    peer.send_urgent()
    assert select.select([], [], [ours], 10)[2] == [ours]
    assert ours.recv(1, socket.MSG_OOB) == b"!"
    assert ours.recv(10) == b"ab"


# -- Ending


def test_a_half_closed_peer_still_receives(pair):
    ours, peer = pair
    peer.half_close()
    assert ours.recv(10) == b""
    ours.sendall(b"reply")
    assert peer.drain(5) == b"reply"


def test_reset_is_seen_as_one(pair):
    ours, peer = pair
    peer.reset()
    with pytest.raises(ConnectionResetError):
        ours.recv(10)
    assert peer.fileno() == -1


def test_close_twice_and_leave(pair):
    ours, peer = pair
    assert peer.fileno() >= 0
    with peer as same:
        assert same is peer
    assert peer.fileno() == -1
    peer.close()
    assert ours.recv(10) == b""


def test_connect_is_only_for_a_peer_that_was_made_for_later(pair):
    _, peer = pair
    with pytest.raises(AssertionError, match="connected already"):
        peer.connect()


# -- Buffers


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
def test_tiny_buffers_are_small_and_only_those_asked_for(family):
    with socket.socket(family) as plain, socket.socket(family) as tiny:
        options = (socket.SO_SNDBUF, socket.SO_RCVBUF)
        before = [plain.getsockopt(socket.SOL_SOCKET, option) for option in options]
        tiny_buffers(tiny)
        assert [tiny.getsockopt(socket.SOL_SOCKET, option) for option in options] == before
        tiny_buffers(tiny, send=True)
        send, receive = (tiny.getsockopt(socket.SOL_SOCKET, option) for option in options)
        assert send <= 8192 < before[0]
        assert receive == before[1]
        tiny_buffers(tiny, receive=True)
        assert tiny.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) <= 8192 < before[1]


class Picky:
    """A socket whose kernel refuses buffers below some size."""

    def __init__(self, smallest, error):
        self.smallest = smallest
        self.error = error
        self.sizes: list[int] = []

    def setsockopt(self, level, option, size):
        if size < self.smallest:
            raise OSError(self.error, "too small")
        self.sizes.append(size)


def test_where_the_smallest_buffer_is_refused_larger_ones_are_tried():
    import errno

    picky = Picky(3000, errno.ENOBUFS)
    tiny_buffers(picky, send=True)  # type: ignore[arg-type]  # quacks like one
    assert picky.sizes == [4096]
    with pytest.raises(OSError, match="too small"):
        tiny_buffers(Picky(3000, errno.EBADF), send=True)  # type: ignore[arg-type]

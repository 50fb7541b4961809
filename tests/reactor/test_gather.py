"""Gathering sends: what goes into each system call, for whatever the kernel takes of it."""

from __future__ import annotations

import array

import pytest
from hypothesis import given, settings, strategies as st

from harness.peer import pattern
from reactor import gather
from reactor.gather import IOV_MAX, Gather


class Kernel:
    """Takes as many bytes of each call as it is told; None: all."""

    def __init__(self, takes=()):
        self.takes = list(takes)
        self.calls = []
        self.received = b""

    def sendmsg(self, buffers, ancdata, flags):
        joined = b"".join(buffers)
        self.calls.append(([len(buffer) for buffer in buffers], list(ancdata), flags))
        take = self.takes.pop(0) if self.takes else None
        if isinstance(take, Exception):
            raise take
        taken = joined if take is None else joined[:take]
        self.received += taken
        return len(taken)


def made(kernel, buffers, ancdata=()):
    return Gather(kernel, buffers, ancdata)


def test_everything_in_one_call():
    kernel = Kernel()
    step = made(kernel, [b"one", bytearray(b"two"), memoryview(b"three")])
    assert step.size == 11
    assert step.step(None, 7) == 11
    assert kernel.calls == [([3, 3, 5], [], 7)]
    assert kernel.received == b"onetwothree"


def test_empty_buffers_are_left_out():
    kernel = Kernel()
    step = made(kernel, [b"", b"a", bytearray(), memoryview(b""), b"b"])
    assert step.size == 2
    step.step(None, 0)
    assert kernel.calls[0][0] == [1, 1]
    assert made(kernel, []).size == made(kernel, [b"", b""]).size == 0


def test_a_size_is_in_bytes():
    numbers = array.array("I", [1, 2, 3])
    kernel = Kernel([5])
    step = made(kernel, [memoryview(numbers)])
    assert step.size == 12
    assert step.step(None, 0) == 5
    step.step(None, 0)
    assert kernel.received == numbers.tobytes()


def test_it_goes_on_inside_a_buffer():
    kernel = Kernel([2, 1, 3, 0, 1])
    step = made(kernel, [b"abc", b"defg", b"h"])
    assert [step.step(None, 0) for _ in range(5)] == [2, 1, 3, 0, 1]
    assert [call[0] for call in kernel.calls] == [[3, 4, 1], [1, 4, 1], [4, 1], [1, 1], [1, 1]]
    step.step(None, 0)
    assert kernel.received == b"abcdefgh"


def test_no_more_buffers_than_the_system_takes(monkeypatch):
    monkeypatch.setattr(gather, "IOV_MAX", 3)
    kernel = Kernel()
    step = made(kernel, [bytes([byte]) for byte in b"abcdefgh"])
    assert [step.step(None, 0) for _ in range(3)] == [3, 3, 2]
    assert kernel.received == b"abcdefgh"


def test_the_limit_of_this_system():
    assert IOV_MAX >= 16
    kernel = Kernel()
    made(kernel, [b"x"] * (IOV_MAX + 1)).step(None, 0)
    assert len(kernel.calls[0][0]) == IOV_MAX


def test_no_more_bytes_than_one_call_takes(monkeypatch):
    """erlang/otp#6248: macOS answers EINVAL above INT_MAX instead of sending a part."""
    monkeypatch.setattr(gather, "MAX_SEND", 5)
    kernel = Kernel()
    step = made(kernel, [b"abc", b"defghijk", b"l"])
    assert [step.step(None, 0) for _ in range(3)] == [5, 5, 2]
    assert [call[0] for call in kernel.calls] == [[3, 2], [5], [1, 1]]
    assert kernel.received == b"abcdefghijkl"


def test_ancillary_data_goes_with_the_first_bytes():
    ancdata = [(1, 2, b"rights")]
    kernel = Kernel([BlockingIOError(), 1])
    step = made(kernel, [b"abc"], iter(ancdata))
    with pytest.raises(BlockingIOError):
        step.step(None, 0)
    step.step(None, 0)
    step.step(None, 0)
    assert [call[1] for call in kernel.calls] == [ancdata, ancdata, []]
    assert kernel.received == b"abc"


def test_what_is_not_bytes_is_refused_at_once():
    with pytest.raises(TypeError):
        made(Kernel(), ["text"])


@settings(deadline=None, derandomize=True)
@given(
    sizes=st.lists(st.integers(0, 20), max_size=12),
    takes=st.lists(st.integers(0, 25), max_size=12),
)
def test_no_byte_is_lost_or_repeated(sizes, takes):
    """Law 3, for any buffers and any partial sends."""
    data = pattern(sum(sizes))
    buffers, position = [], 0
    for size in sizes:
        buffers.append(data[position : position + size])
        position += size
    kernel = Kernel(takes)
    step = made(kernel, buffers)
    assert step.size == len(data)
    sent = 0
    while sent < step.size:
        sent += step.step(None, 0)
        assert kernel.received == data[:sent]
    assert sent == len(data)

"""What Linux charges a Unix socket for what it sends: the bytes, and each packet's bookkeeping.

How much fits into a full buffer, and when it counts as writable again, follow from that. Held
against Linux 6.18, to the byte, by `python -m harness.kernel.verify`.
"""

from __future__ import annotations

#: `struct sk_buff`; and `struct skb_shared_info`, which lies behind the data in a block of a power
#: of two (include/linux/skbuff.h, SKB_TRUESIZE).
_HEAD, _TAIL, _LEAST_BLOCK = 256, 320, 512
PAGE = 4096
#: The most that lies in one page with its bookkeeping: SKB_MAX_HEAD(0).
_LINEAR = PAGE - _TAIL
#: The most that a stream's packet has in pages of its own: UNIX_SKB_FRAGS_SZ.
_PAGED = 32_768


def true_size(linear: int, paged: int = 0) -> int:
    """Return what a packet is charged, in bytes.

    Args:
        linear: its bytes in one block.
        paged: its bytes in whole pages.
    """
    return _HEAD + max(_LEAST_BLOCK, 1 << (linear + _TAIL - 1).bit_length()) + _whole(paged)


def stream_packet(rest: int, send_buffer: int) -> tuple[int, int]:
    """Return the size of a stream's next packet, and what it is charged (unix_stream_sendmsg).

    Args:
        rest: bytes that are still to be sent.
        send_buffer: SO_SNDBUF, in bytes; a packet is at most half of it.
    """
    size = min(rest, (send_buffer >> 1) - 64, _LINEAR + _PAGED)
    paged = min(size, _whole(max(0, size - _LINEAR)))
    return size, true_size(size - paged, paged)


def _whole(size: int) -> int:
    return -(-size // PAGE) * PAGE

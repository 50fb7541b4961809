"""Dialects: what differs between kernels, as data, each fact with where it is known from.

A dialect differs from the one it is `based` on in the facts that its `sources` name, and in no
other; a test holds it to that. `recorded` means the answers of real kernel code in
`tests/kernel/records`; a name like ``accept.aborted-connection`` is a scenario whose provenance tells more.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Dialect:
    """The rules of one kernel.

    Attributes:
        name: what it is chosen by.
        based: the dialect that it takes everything else from.
        sources: where each fact that differs from `based` is known from.
        release: of one that is for newer systems than `based`: the first release that it is for.
        extensions: what `reactor.system.System.has` answers yes to, beyond POSIX.
        bsd: sockets, poll and errors follow the BSD code and not Linux's.
        tcp_send, tcp_receive: capacity of a TCP socket's buffers, in bytes.
        unix_send: capacity of one direction of a Unix socket, in bytes; Linux counts each packet's
            bookkeeping too (`harness.kernel.packets`).
        send_low_water: BSD: a socket is writable from so many bytes of room on.
        pipe_pages: a pipe is slots of a page each, as Linux has it; else bytes.
        pipe_capacity: its size, in bytes.
        pipe_write_wakes_writer: a write activates the pipe's own WRITE knote.
        unread_close_resets: close(2) with unread input sends RST instead of FIN.
        connect_inside: a non-blocking TCP connect may come to its end inside the call.
        accept_inherits_nonblock: O_NONBLOCK comes from the listener.
        accept_aborted: what accept says of a connection that was reset in the queue: ``delivered``
            (a socket that fails later), ``error`` (ECONNABORTED), or ``hidden`` (as if never there).
        setsockopt_on_reset: errno of setsockopt on a socket that the peer has reset, 0 for none.
        send_on_reset: errno of the first send after the peer has reset the connection, 0 for EPIPE.
        reconnect_error: errno of another connect after one has failed; 0, and the socket is as new.
        second_shutdown_error: errno of shutting down what is shut down already, 0 for none.
        datagram_peer_gone_error: what a Unix datagram socket is told, once, when the other of its
            pair is closed; 0 for nothing.
        udp_most: the largest UDP datagram that is sent, in bytes.
        reset_error_on_close: close(2) tells ECONNRESET when the peer has reset the connection.
        unix_full_queue_error: errno of a connect to a Unix listener with a full queue.
        syn_retransmit: seconds after which a connect that met a full queue is tried again.
        datagram_overhead: what EVFILT_READ counts for each datagram beyond its bytes: its sender's
            address.
        datagram_full_error: errno of a send to a full datagram socket.
        ack_delay: BSD: seconds until data is acknowledged, which activates the sender's WRITE knote
            whatever the room was; data or FIN the other way acknowledges at once.
        closing_acks_at_once: no delay once the receiver has sent FIN.
        accept_wakes: each accept activates READ again while connections remain.
        user_events: there is EVFILT_USER.
        dispatch: there is EV_DISPATCH.
        receipt: there is EV_RECEIPT.
        keeps_action_flags: events come back with EV_ADD and EV_ENABLE, as they were added.
        udata_by_any_change: every change of a knote brings its udata; else only EV_ADD does.
        enable_looks: EV_ENABLE looks again whether the condition holds.
        timer_zero_refused: EVFILT_TIMER with no time is EINVAL, and with less it never expires.
        timer_re_add: adding a timer again changes its period.
        dead_pipe_error: errno of adding EVFILT_WRITE to a pipe whose reader is gone, 0 for none.
        kevent_cap: longest wait of kevent, in seconds, a longer one is cut; 0 for none.
        kevent_limit: longest wait that kevent takes, in seconds, a longer one is EINVAL; 0 for none.
        select_limit: the same of select.
        own_shutdown_unseen: shutdown of one's own socket activates no knote.
    """

    name: str
    based: str | None = None
    sources: Mapping[str, str] = field(default_factory=dict)
    release: str = ""
    extensions: frozenset[str] = frozenset(
        {"epoll", "eventfd", "timerfd", "pipe2", "sock_nonblock", "reuseport"}
    )
    bsd: bool = False
    tcp_send: int = 3_812_352
    tcp_receive: int = 98_304
    unix_send: int = 212_992
    send_low_water: int = 1
    pipe_pages: bool = True
    pipe_capacity: int = 65_536
    unread_close_resets: bool = True
    connect_inside: bool = False
    accept_inherits_nonblock: bool = False
    accept_aborted: str = "delivered"
    setsockopt_on_reset: int = 0
    send_on_reset: int = 0
    reconnect_error: int = 0
    second_shutdown_error: int = 0
    datagram_peer_gone_error: int = 0
    udp_most: int = 65_507
    reset_error_on_close: bool = False
    unix_full_queue_error: int = errno.EAGAIN
    syn_retransmit: float = 1.0
    datagram_overhead: int = 0
    datagram_full_error: int = errno.EAGAIN
    ack_delay: float = 0.0
    closing_acks_at_once: bool = False
    pipe_write_wakes_writer: bool = False
    accept_wakes: bool = False
    user_events: bool = False
    dispatch: bool = False
    receipt: bool = False
    keeps_action_flags: bool = False
    udata_by_any_change: bool = False
    enable_looks: bool = True
    timer_zero_refused: bool = False
    timer_re_add: bool = False
    dead_pipe_error: int = 0
    kevent_cap: float = 0.0
    kevent_limit: float = 0.0
    select_limit: float = 0.0
    own_shutdown_unseen: bool = False

    def has(self, name: str) -> bool:
        """Tell whether it offers `name`; poll, select and Unix sockets are everywhere."""
        return name in {"poll", "select", "unix"} or name in self.extensions


def _variant(name: str, base: Dialect, **facts: tuple[Any, str]) -> Dialect:
    """Make a dialect that differs from `base` in `facts`: each a value and its source."""
    return replace(
        base,
        name=name,
        based=base.name,
        sources={fact: source for fact, (_, source) in facts.items()},
        **{fact: value for fact, (value, _) in facts.items()},
    )


_BSD = frozenset({"kqueue", "reuseport"})

LINUX = Dialect(
    "linux",
    sources={
        "extensions": "epoll(7), eventfd(2), timerfd_create(2), pipe(2), socket(2), socket(7)",
        "tcp_send": "measured on Linux 6.18: 3910656 bytes until EAGAIN on loopback, both ends together",
        "tcp_receive": "tcp(7), tcp_rmem, a part of 131072; measured on Linux 6.18: 70 to 113 KB",
        "unix_send": "socket(7), net.core.wmem_default; measured: 180224 bytes by 4096 until EAGAIN",
        "udp_most": "udp(7): 65535 bytes less both headers over IPv4",
        "pipe_pages": "pipe(7); fs/pipe.c",
        "syn_retransmit": "tcp(7), RFC 6298: the first retransmission after one second",
        "unread_close_resets": "net/ipv4/tcp.c, __tcp_close; RFC 2525 2.17",
        "accept_aborted": "accept.aborted-connection, seen on Linux 6.18",
    },
)

POSIX = _variant(
    "posix",
    LINUX,
    extensions=(
        frozenset(),
        "POSIX.1-2008 has none of them; reactor.system.PosixSystem refuses the same",
    ),
)

ILLUMOS = _variant(
    "illumos",
    POSIX,
    extensions=(
        frozenset({"pipe2", "sock_nonblock"}),
        "pipe2(2), socket(3SOCKET) of illumos; event ports have no backend here",
    ),
    unread_close_resets=(False, "not known: taken to end with FIN, as RFC 9293 has it"),
)

FREEBSD = _variant(
    "freebsd",
    LINUX,
    extensions=(
        _BSD | {"pipe2", "sock_nonblock", "so_nosigpipe"},
        "kqueue(2), pipe2(2), socket(2)",
    ),
    bsd=(True, "sys/kern/uipc_socket.c"),
    tcp_send=(43_008, "recorded: tcp.wr_edge initial"),
    tcp_receive=(65_536, "recorded: tcp.wr_full filled_bytes less the send buffer"),
    unix_send=(8_192, "unix(4): net.local.stream.sendspace"),
    send_low_water=(
        2_048,
        "setsockopt(2), SO_SNDLOWAT: 2048; recorded: tcp.wr_full peer drained 100",
    ),
    pipe_pages=(False, "sys/kern/sys_pipe.c: a circular buffer of bytes"),
    pipe_capacity=(16_384, "sys/sys/pipe.h, PIPE_SIZE"),
    unread_close_resets=(False, "recorded: tcp_rst after own send"),
    connect_inside=(
        True,
        "recorded: connect_ok, connect_refused; 0, ECONNREFUSED and EINPROGRESS seen",
    ),
    accept_inherits_nonblock=(
        True,
        "accept(2), BSD: the new socket inherits the file status flags",
    ),
    accept_aborted=("error", "accept(2): ECONNABORTED; accept.aborted-connection"),
    reset_error_on_close=(True, "close(2): ECONNRESET; libuv 9051126b5"),
    reconnect_error=(
        errno.EINVAL,
        "connect.reuse-after-failure; sys/netinet/tcp_usrreq.c, INP_DROPPED",
    ),
    udata_by_any_change=(True, "sys/kern/kern_event.c, kqueue_register: whatever the flags"),
    unix_full_queue_error=(
        errno.ECONNREFUSED,
        "unix(4), uipc_connect: sonewconn fails with ECONNREFUSED",
    ),
    datagram_full_error=(errno.ENOBUFS, "unix.dgram-full-peer"),
    ack_delay=(0.12, "recorded: later than 110 ms (tcp.half_close), sooner than 160 (tcp.wr_edge)"),
    user_events=(True, "kqueue(2); recorded: user_basic"),
    dispatch=(True, "kqueue(2); recorded: dispatch"),
    receipt=(True, "kqueue(2); recorded: errors"),
    dead_pipe_error=(errno.EPIPE, "close.register-dead-pipe: mio#584, libevent 5d7bfa15"),
)

NETBSD = _variant(
    "netbsd",
    FREEBSD,
    extensions=(_BSD | {"pipe2", "sock_nonblock"}, "pipe2(2), socket(2)"),
    tcp_send=(32_768, "recorded: tcp.wr_edge initial"),
    tcp_receive=(49_152, "recorded: tcp.wr_full filled_bytes less the send buffer"),
    unix_send=(4_096, "recorded: unix.wr_edge initial"),
    connect_inside=(False, "recorded: connect_ok, connect_refused"),
    reset_error_on_close=(False, "close(2) of NetBSD knows only EBADF and EINTR"),
    ack_delay=(0.2, "tcp(4), delack_ticks; recorded: tcp.wr_edge, later than 160 ms"),
    closing_acks_at_once=(True, "recorded: tcp.half_close after"),
    pipe_write_wakes_writer=(True, "recorded: pipes 5 written"),
    accept_wakes=(True, "recorded: listening edge 1 accepted"),
    udata_by_any_change=(False, "sys/kern/kern_event.c, kqueue_register: with EV_ADD"),
    datagram_overhead=(16, "recorded: udp: a datagram of 5 bytes is R:21"),
    user_events=(False, "recorded: user_basic; NetBSD 10 has it (sys/event.h)"),
    keeps_action_flags=(True, "recorded: flags_reported"),
    enable_looks=(False, "recorded: dispatch 3"),
    timer_zero_refused=(True, "recorded: timer data=0, data=-1"),
    dead_pipe_error=(errno.EBADF, "close.register-dead-pipe: libevent 5d7bfa15"),
)

NETBSD_10 = replace(
    _variant("netbsd-10", NETBSD, user_events=(True, "kqueue(2) of NetBSD 10: EVFILT_USER")),
    release="10",
)

OPENBSD = _variant(
    "openbsd",
    FREEBSD,
    extensions=(_BSD | {"pipe2", "sock_nonblock"}, "pipe2(2), socket(2)"),
    connect_inside=(False, "assumed: loopback packets go through the network thread there"),
    reset_error_on_close=(False, "close(2) of OpenBSD knows only EBADF and EINTR"),
    user_events=(False, "wake.mechanism-parity: no EVFILT_USER before OpenBSD 7.8"),
    keeps_action_flags=(True, "sys/kern/kern_event.c, kqueue_register: kn_kevent is the change"),
    udata_by_any_change=(False, "sys/kern/kern_event.c, kqueue_register: with EV_ADD"),
    kevent_cap=(86_400.0, "kqueue(2), BUGS: the timeout is limited to 24 hours"),
    dead_pipe_error=(0, "sys/kern/sys_pipe.c, pipe_kqfilter: the knote goes to this side"),
)

OPENBSD_7_8 = replace(
    _variant(
        "openbsd-7.8", OPENBSD, user_events=(True, "wake.mechanism-parity: from OpenBSD 7.8 on")
    ),
    release="7.8",
)

MACOS = _variant(
    "macos",
    FREEBSD,
    extensions=(
        _BSD | {"so_nosigpipe"},
        "kqueue(2), setsockopt(2) of macOS; no pipe2, no SOCK_NONBLOCK",
    ),
    tcp_send=(
        146_988,
        "net.inet.tcp.sendspace 131072 rounded up to whole segments of the loopback",
    ),
    tcp_receive=(408_300, "net.inet.tcp.recvspace 131072 and its automatic growth"),
    connect_inside=(False, "connect.refused-uniform: both happen; the later one is taken"),
    accept_aborted=("hidden", "accept.aborted-connection: the listener is simply not readable"),
    setsockopt_on_reset=(errno.EINVAL, "error.setsockopt-on-dead: envoy#1381, libuv f5e4d85cd"),
    reset_error_on_close=(False, "close(2) of macOS knows only EBADF, EINTR and EIO"),
    send_on_reset=(
        errno.EPROTOTYPE,
        "error.eprototype: a send while the connection is torn down; libuv 3a7b95593",
    ),
    second_shutdown_error=(errno.ENOTCONN, "half.double-shutdown: trio, _highlevel_socket.py"),
    datagram_peer_gone_error=(errno.ECONNRESET, "unix.dgram-peer-closed: elfuse#262"),
    udp_most=(9_216, "udp.too-big: net.inet.udp.maxdgram; bun#35922"),
    timer_re_add=(True, "kqueue(2) of macOS: re-adding overrides the parameters of the event"),
    kevent_limit=(1e8, "timer.far-future: bitcoin#12375; bsd/kern/kern_time.c, itimerfix"),
    select_limit=(1e8, "timer.far-future: Darwin's select refuses more than 1e8 seconds"),
    own_shutdown_unseen=(True, "half.own-shutdown-rd-wakes-recv: libcoro PR 422"),
)

DRAGONFLY = _variant(
    "dragonfly",
    FREEBSD,
    connect_inside=(False, "assumed: its protocol threads answer after the call"),
    pipe_capacity=(32_768, "sys/kern/sys_pipe.c, PIPE_SIZE"),
    keeps_action_flags=(True, "sys/kern/kern_event.c, kqueue_register: kn_kevent is the change"),
    udata_by_any_change=(False, "sys/kern/kern_event.c, kqueue_register: with EV_ADD"),
    enable_looks=(False, "sys/kern/kern_event.c, kqueue_register: only what was active before"),
    kevent_limit=(1e8, "sys/kern/kern_event.c, kqueue_scan: itimerfix"),
)

DIALECTS: dict[str, Dialect] = {
    dialect.name: dialect
    for dialect in (
        *(LINUX, FREEBSD, NETBSD, NETBSD_10, OPENBSD, OPENBSD_7_8, MACOS, DRAGONFLY),
        *(POSIX, ILLUMOS),
    )
}

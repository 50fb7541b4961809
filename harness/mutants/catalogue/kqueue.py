"""The kqueue backend: its registrations, events, timers and wakers.

They die on the simulated kernel, so on any machine: `tests/kernel/test_reactor_kqueue*.py` run the
backend under the rules of every system that has kqueue.
"""

from __future__ import annotations

from ..model import Edit, Killer, Mutant, test

AREA = "kqueue"

_BACKEND = "backends/kqueue.py"
_BY_SCRIPT = "reactor/test_kqueue.py"


def _on_model(name: str, file: str = "test_reactor_kqueue") -> tuple[Killer, ...]:
    """Name the test on the model that is expected to notice."""
    return (test(f"kernel/{file}.py::{name}"),)


def _in_time(name: str) -> tuple[Killer, ...]:
    """As `_on_model`, of the tests of timers and wakers."""
    return _on_model(name, "test_reactor_kqueue_time")


MUTANTS = (
    Mutant(
        "a-stale-event-reaches-the-new-owner",
        AREA,
        "close.fd-reuse-new-object: stale kevents of a reused number; Twisted skips the case",
        (
            Edit(
                _BACKEND,
                "if event.udata != descriptor.generation:",
                "if False:",
            ),
        ),
        _on_model("test_an_event_that_was_on_its_way_is_not_the_new_owner_s"),
    ),
    Mutant(
        "an-end-with-an-error-serves-one-filter",
        AREA,
        "partial.reset-behind-data: kqueue(2), EV_EOF with fflags; twisted's kqreactor",
        (
            Edit(
                _BACKEND,
                "events |= READ | WRITE",
                "pass",
            ),
        ),
        (test(_BY_SCRIPT),),
    ),
    Mutant(
        "an-end-with-an-errno-is-passed-over",
        AREA,
        "error.kqueue-data-vs-fflags: libevent df6f99e5, bun#11364; fflags taken for a change that failed",
        (
            Edit(
                _BACKEND,
                """
                if event.fflags or flags & EV_ERROR:
                    events |= READ | WRITE
                """,
                """
                if event.fflags or flags & EV_ERROR:
                    continue
                """,
            ),
        ),
        _on_model("test_a_reset_ends_a_receive_and_a_send_that_wait"),
    ),
    Mutant(
        "an-end-hides-the-data-before-it",
        AREA,
        "partial.eof-behind-data: netius#79, nanomsg/nng#687, payload lost since EV_EOF is handled first",
        (
            Edit(
                _BACKEND,
                """
                if flags & (EV_EOF | EV_ERROR):
                    events |= STICKY
                """,
                """
                if flags & (EV_EOF | EV_ERROR):
                    events |= STICKY
                    if events & READ and not event.fflags:
                        descriptor.sock.shutdown(0)
                """,
            ),
        ),
        _on_model("test_what_came_before_an_end_is_read_before_it"),
    ),
    Mutant(
        "one-end-deletes-both-filters",
        AREA,
        "half.peer-shutdown-keeps-writing: netius#103, unsub_read removed the write interest too",
        (
            Edit(
                _BACKEND,
                """
                if flags & (EV_EOF | EV_ERROR):
                    events |= STICKY
                """,
                """
                if flags & (EV_EOF | EV_ERROR):
                    events |= STICKY
                    self._apply_each(self._changes(descriptor, EV_DELETE))
                """,
            ),
        ),
        _on_model("test_a_peer_that_ends_lets_the_rest_be_sent"),
    ),
    Mutant(
        "descriptors-are-watched-by-level",
        AREA,
        "partial.no-read-without-recv: EV_CLEAR forgotten; tornado 41ff81b2, kazoo#805",
        (
            Edit(
                _BACKEND,
                "changes = self._changes(descriptor, more, EV_ADD | EV_CLEAR)",
                "changes = self._changes(descriptor, more, EV_ADD)",
            ),
        ),
        _on_model("test_unread_data_and_room_do_not_make_the_leader_spin"),
    ),
    Mutant(
        "udata-is-that-of-the-first-owner",
        AREA,
        "close.fd-reuse-new-object: libcoro#377, Twisted's test_lostFileDescriptor",
        (
            Edit(
                _BACKEND,
                "kevent, fd, generation = self.system.kevent, descriptor.fd, descriptor.generation",
                """
                kevent, fd = self.system.kevent, descriptor.fd
                generation = self.__dict__.setdefault(fd, descriptor.generation)
                """,
            ),
        ),
        _on_model("test_the_next_owner_of_a_number_gets_its_own_events"),
    ),
    Mutant(
        "a-refused-registration-is-no-error",
        AREA,
        "close.raw-behind-back: errors of EV_ADD thrown away; kqueue(2), ENOMEM",
        (
            Edit(
                _BACKEND,
                """
                except OSError:
                    self._delete(descriptor, more)
                    raise
                """,
                """
                except OSError:
                    self._delete(descriptor, more)
                """,
            ),
        ),
        _on_model("test_a_registration_that_is_refused_is_told"),
    ),
    Mutant(
        "an-error-of-a-delete-is-raised",
        AREA,
        "close.kqueue-delete-errors: trio#3503, libevent 6fd73944, libuv uv__kqueue_delete",
        (
            Edit(
                _BACKEND,
                """
                except OSError:
                    self._apply_each(changes)  # the first may have kept the second from being tried
                """,
                """
                except OSError:
                    self._apply_each(changes)
                    raise
                """,
            ),
        ),
        _on_model("test_a_number_that_was_closed_by_hand_can_be_closed"),
    ),
    Mutant(
        "a-read-that-stops-at-urgent-data-has-drained",
        AREA,
        "wait.oob: tcp(7), a read stops at the mark; EV_OOBAND is macOS's only",
        (
            Edit(
                _BACKEND,
                "descriptor.read.exact = False",
                "pass",
            ),
        ),
        _on_model("test_a_read_that_stops_at_an_urgent_byte_is_not_the_last"),
    ),
    Mutant(
        "a-wait-is-cut-to-milliseconds",
        AREA,
        "timer.no-spin-before-deadline: gh-75967, nginx c108f04e8, a short timeout becomes none",
        (
            Edit(
                _BACKEND,
                "for event in self._control(None, _MAX_EVENTS, 0 if owed else timeout):",
                """
                cut = timeout and timeout * 1000 // 1 / 1000
                for event in self._control(None, _MAX_EVENTS, 0 if owed else cut):
                """,
            ),
        ),
        _in_time("test_a_wait_is_neither_early_nor_many"),
    ),
    Mutant(
        "a-kernel-timer-is-rounded-down",
        AREA,
        "timer.never-early: corosio 412e747; gh-75967; NetBSD refuses what becomes 0",
        (
            Edit(
                _BACKEND,
                "milliseconds = max(1, -int(-seconds * 1000 // 1))",
                "milliseconds = int(seconds * 1000)",
            ),
        ),
        _in_time("test_a_kernel_timer_is_neither_early_nor_many"),
    ),
    Mutant(
        "a-timer-is-added-again",
        AREA,
        "timer.reschedule: libkqueue's gate table, re-adding does not reschedule",
        (
            Edit(
                _BACKEND,
                "self._apply_each([kevent(0, FILTER_TIMER, EV_DELETE)])  # may have fired, or never been",
                """
                if seconds is None:
                    self._apply_each([kevent(0, FILTER_TIMER, EV_DELETE)])
                """,
            ),
        ),
        _in_time("test_a_kernel_timer_moves_to_an_earlier_deadline"),
    ),
    Mutant(
        "a-timer-goes-on",
        AREA,
        "timer.kernel-timer-drained: corosio e56eb71; EV_ONESHOT forgotten",
        (
            Edit(
                _BACKEND,
                "timer = kevent(0, FILTER_TIMER, EV_ADD | EV_ONESHOT, 0, milliseconds)",
                "timer = kevent(0, FILTER_TIMER, EV_ADD, 0, milliseconds)",
            ),
        ),
        _in_time("test_a_kernel_timer_goes_off_once"),
    ),
    Mutant(
        "the-user-event-is-not-cleared",
        AREA,
        "wake.no-spin-after: nng#575, five million kevents; EVFILT_USER without EV_CLEAR",
        (
            Edit(
                _BACKEND,
                "control([kevent(0, FILTER_USER, EV_ADD | EV_CLEAR)], 0, 0)",
                "control([kevent(0, FILTER_USER, EV_ADD)], 0, 0)",
            ),
        ),
        _in_time("test_another_thread_wakes_the_leader_once"),
    ),
    Mutant(
        "a-missing-user-filter-is-taken-for-one",
        AREA,
        "wake.mechanism-parity: nng#1232, io-event#72, no EVFILT_USER on older NetBSD and OpenBSD",
        (
            Edit(
                _BACKEND,
                """
                except OSError:
                    pass
                raise Unsupported("EVFILT_USER")
                """,
                """
                except OSError:
                    return
                raise Unsupported("EVFILT_USER")
                """,
            ),
        ),
        _in_time("test_another_thread_wakes_the_leader_once"),
    ),
    Mutant(
        "an-interrupted-wake-up-is-given-up",
        AREA,
        "partial.eintr: corosio PR 207, tornado 61f7d104, EINTR of the self-pipe taken for done",
        (
            Edit(
                "wakers.py",
                """
                except InterruptedError:
                    continue
                """,
                """
                except InterruptedError:
                    return True
                """,
            ),
        ),
        _in_time("test_a_wake_up_that_a_signal_interrupts_is_made_again"),
    ),
)

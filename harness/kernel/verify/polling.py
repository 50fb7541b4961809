"""Steps on epoll, poll and select."""

from __future__ import annotations

from typing import Any

from ..description import IN, OUT, PRI, RDHUP
from ..pollers.epoll import EDGE, ONESHOT
from .answers import mask_name
from .bench import Bench

#: What a registration may ask for.
MASKS = (IN | OUT | PRI | RDHUP, IN, OUT, IN | RDHUP, IN | PRI, 0)
MODES = (0, EDGE, EDGE, ONESHOT, EDGE | ONESHOT)


class PollerSteps(Bench):
    """Each a call of a poller, with three numbers to choose from what there is."""

    @property
    def _asked(self) -> int:
        """What poll(2) is asked for; POLLRDHUP is Linux's (poll(2)), as epoll is."""
        return IN | OUT | PRI | (RDHUP if self._has("epoll") else 0)

    def _look(self) -> list[tuple[int, str]]:
        """What holds of every descriptor."""
        poller = self._system.poll()
        for handle in self._open:
            poller.register(handle.fd, self._asked)
        return [
            (n, mask_name(m)) for n, m in sorted((self._number(f), m) for f, m in poller.poll(0))
        ]

    def do_epoll(self, *_: int) -> Any:
        """An epoll, where there are any."""
        if len(self._pollers) < 2 and self._has("epoll"):
            self._pollers.append(self._system.epoll())
            return self._number(self._pollers[-1].fileno())
        return None

    def do_ep_add(self, poller: int, target: int, how: int) -> Any:
        """EPOLL_CTL_ADD."""
        return self._control("register", poller, target, how)

    def do_ep_mod(self, poller: int, target: int, how: int) -> Any:
        """EPOLL_CTL_MOD."""
        return self._control("modify", poller, target, how)

    def _control(self, name: str, poller: int, target: int, how: int) -> Any:
        fd = self._target(target)
        if not self._pollers or not fd:
            return None
        mask = MASKS[how % 6] | MODES[how // 6 % 5]
        return getattr(self._pollers[poller % len(self._pollers)], name)(fd, mask)

    def do_ep_del(self, poller: int, target: int, *_: int) -> Any:
        """EPOLL_CTL_DEL."""
        fd = self._target(target)
        if not self._pollers or not fd:
            return None
        return self._pollers[poller % len(self._pollers)].unregister(fd)

    def do_ep_wait(self, poller: int, most: int, *_: int) -> Any:
        """epoll_wait(2) for no time; the order of the events counts."""
        if not self._pollers:
            return None
        found = self._pollers[poller % len(self._pollers)].poll(0, (64, 1, 2)[most % 3])
        return [(self._number(fd), mask_name(mask)) for fd, mask in found]

    def do_poll(self, which: int, how: int, *_: int) -> Any:
        """poll(2) for part of what can be asked, also of a closed number."""
        fd = self._target(which)
        if not fd:
            return None
        poller = self._system.poll()
        poller.register(fd, MASKS[how % 6] & self._asked)
        return [mask_name(mask) for _, mask in poller.poll(0)]

    def do_select(self, which: int, *_: int) -> Any:
        """select(2), with a closed number now and then."""
        fds = [handle.fd for handle in self._open]
        if which % 5 == 0 and (fd := self._target(which)):
            fds.append(fd)
        found = self._system.select(fds, fds, fds, 0)
        return [[self._number(fd) for fd in part] for part in found]

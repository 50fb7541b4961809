"""State machines as tables: what the operation's and the leader's have in common."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, ClassVar, NoReturn, TypeVar

from .errors import IllegalTransition

if TYPE_CHECKING:
    from collections.abc import Mapping


class State:
    """A state of a machine; its attribute named after an event is the state that leads to.

    The attributes are filled from the table by `wire`, so the hot path moves by one attribute load
    and the table stays the only place where the machine is written down. A subclass declares them,
    for who reads it and for type checkers.

    Attributes:
        machine: what `IllegalTransition` calls it.
        events: whose values are the names of the attributes.
    """

    machine: ClassVar[str]
    events: ClassVar[type[enum.Enum]]

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name

    if not TYPE_CHECKING:

        def __getattr__(self, event: str) -> NoReturn:
            """Only reached for an event that the table does not have for this state."""
            if event in self.events._value2member_map_:
                raise IllegalTransition(self.machine, self.name, event)
            raise AttributeError(event)


_S = TypeVar("_S", bound=State)
_E = TypeVar("_E", bound=enum.Enum)


def wire(table: Mapping[tuple[_S, _E], _S]) -> None:
    """Give each state of `table` an attribute for each event that it has there."""
    for (state, event), after in table.items():
        setattr(state, event.value, after)

"""State machines as tables: what the operation's and the leader's have in common."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, ClassVar, NoReturn, TypeVar

from .errors import IllegalTransition

if TYPE_CHECKING:
    from collections.abc import Mapping


class State(type):
    """A state of a machine; its attribute named after an event is the state that leads to.

    The attributes are filled from the table by `wire`, so the hot path moves by one attribute load
    and the table stays the only place where the machine is written down. A subclass declares them,
    for who reads it and for type checkers.

    A state is a class, of which there are no instances: every step of every thread touches a few, and
    without the GIL threads that count references to the same object wait for each other. Those to
    classes are not counted there once a second thread has started (CPython 3.13,
    `Python/gc_free_threading.c`).

    Attributes:
        name: of the state.
        machine: what `IllegalTransition` calls it.
        events: whose values are the names of the attributes.
    """

    machine: ClassVar[str]
    events: ClassVar[type[enum.Enum]]

    name: str

    def __new__(cls: type[_S], name: str) -> _S:
        """Make the state that is called so."""
        return type.__new__(cls, name, (), {"name": name})

    def __init__(cls, name: str) -> None:
        super().__init__(name, (), {})

    def __repr__(cls) -> str:
        return cls.name

    if not TYPE_CHECKING:

        def __getattr__(cls, event: str) -> NoReturn:
            """Only reached for an event that the table does not have for this state."""
            if event in cls.events._value2member_map_:
                raise IllegalTransition(cls.machine, cls.name, event)
            raise AttributeError(event)


_S = TypeVar("_S", bound=State)
_E = TypeVar("_E", bound=enum.Enum)


def wire(table: Mapping[tuple[_S, _E], _S]) -> None:
    """Give each state of `table` an attribute for each event that it has there."""
    for (state, event), after in table.items():
        setattr(state, event.value, after)

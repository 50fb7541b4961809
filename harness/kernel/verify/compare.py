"""One program on both kernels: where do they part, and is that declared?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import permits
from .grounds import Live, Model, native_dialect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .grounds import Ground
    from .permits import Permit
    from .player import Step

#: Seconds after each step in each look at a live kernel.
_PAUSES = (0.0, 0.003, 0.006, 0.012)


@dataclass(frozen=True)
class Difference:
    """Where the two kernels part.

    Attributes:
        index: the step's place in the program.
        step: the step itself.
        live, model: the answer and what poll(2) saw afterwards, on either.
    """

    index: int
    step: Step
    live: Any
    model: Any

    def __str__(self) -> str:
        name, *numbers = self.step
        return (
            f"step {self.index}, {name}{tuple(numbers)}:\n"
            f"  live:  {self.live}\n  model: {self.model}"
        )


class Comparison:
    """Plays programs on a model and on the kernel that it is held against.

    Args:
        dialect: the model's; by default that of this machine.
        against: the other kernel, by default that of this machine; closed with this.
        model: instead of a plain one.

    Attributes:
        looked_again: how many programs agreed only when the live kernel was given time.
        permitted: for each permit of this dialect and kernel, how many programs needed it.
    """

    def __init__(
        self,
        dialect: str | None = None,
        against: Ground | None = None,
        model: Ground | None = None,
    ) -> None:
        self.dialect = dialect or native_dialect()
        self.against = Live() if against is None else against
        self._model = model or Model(self.dialect, self.against.extensions)
        self._permits = [
            permit
            for permit in permits.load()
            if permit.concerns(self.dialect, self.against.release)
        ]
        self.looked_again = 0
        self.permitted = {permit.name: 0 for permit in self._permits}

    def close(self) -> None:
        """Close the kernel that the model is held against."""
        self.against.close()

    def __enter__(self) -> Comparison:  # noqa: PYI034 - Self would not say more
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def extensions(self) -> set[str]:
        """What both have."""
        return set(self.against.extensions) & set(self._model.extensions)

    def difference(self, program: Sequence[Step]) -> Difference | None:
        """Return the first undeclared difference that stays when a live kernel is given time."""
        return self.settled(program)[1]

    def settled(self, program: Sequence[Step]) -> tuple[list[Any], Difference | None]:
        """Return what the other kernel answered when it was given time, and the first difference."""
        model = self._model.play(program)
        live: list[Any] = []
        found: Difference | None = None
        for look, pause in enumerate(_PAUSES[: self.against.looks]):
            live = self.against.play(program, pause)
            found = _first(program, live, model)
            permit = None if found is None else self._permit(found, live, model)
            if permit is not None:
                self.permitted[permit.name] += 1
                found = None
            if found is None:
                self.looked_again += bool(look)
                break
        return live, found

    def _permit(self, found: Difference, live: list[Any], model: list[Any]) -> Permit | None:
        until = found.index + 1
        history = [*live[:until], *model[:until]]
        return next(
            (
                permit
                for permit in self._permits
                if permit.allows(found.step[0], found.live, found.model, history)
            ),
            None,
        )


def _first(program: Sequence[Step], live: list[Any], model: list[Any]) -> Difference | None:
    for index, (step, one, other) in enumerate(zip(program, live, model, strict=True)):
        if one != other:
            return Difference(index, step, one, other)
    return None

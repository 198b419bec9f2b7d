"""What the metrics of a scenario take from the responses of one phase: a time and a number each."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from velro_gate.model.run import ObservedValues


class ValueLog:
    """Columns of numbers, one pair for each metric; a response costs nothing where no metric looks at it.

    names: of the metrics, in the order of their indices.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(names)
        self._at = [array("d") for _ in self._names]
        self._value = [array("d") for _ in self._names]

    def put(self, metric: int, at: float, value: float) -> None:
        """Keep one number. at: when its request fell due."""
        self._at[metric].append(at)
        self._value[metric].append(value)

    def found(self, origin: float) -> tuple[ObservedValues, ...]:
        """All of them; origin: subtracted from all times."""
        return tuple(
            ObservedValues(name=name, at=tuple(each - origin for each in at), value=tuple(value))
            for name, at, value in zip(self._names, self._at, self._value, strict=True)
            if at
        )

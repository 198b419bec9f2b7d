"""The first failed response of each step and kind, so that a failure can be seen and not only counted.

A kind is a step, an outcome, a status and a reason. There are few of them; should a service think of many reasons, those beyond
the first few are counted together. Counting one costs a look-up, and an example is made of the first one only.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cache

from velro_gate.model.masking import mask
from velro_gate.model.run import FirstFailure
from velro_gate.model.samples import Outcome

MOST_SEEN = 500
"""Characters of a response that are shown, once secrets are masked."""

MOST_REASONS = 4
"""Kinds of one step, outcome and status."""

OTHER = "other reasons"


@cache
def expectation(statuses: frozenset[int]) -> str:
    """The statuses that a step expects: ``expected 200``, ``expected 200 or 404``, ``expected 200 to 399``."""
    listed = sorted(statuses)
    if len(listed) > 2 and listed[-1] - listed[0] == len(listed) - 1:
        return f"expected {listed[0]} to {listed[-1]}"
    return f"expected {' or '.join(map(str, listed))}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureDetail:
    """What is shown of one failed response, see ``FirstFailure``."""

    request: str
    came: str = ""
    seen: str = ""
    hidden: Sequence[str] = ()
    """Values to mask."""


class FailureLog:
    """Counts failures by kind and keeps the first of each.

    Args:
        names: of the steps, by index.
        hidden: values that must not be shown.
    """

    def __init__(self, names: Sequence[str], hidden: Sequence[str] = ()) -> None:
        self._names = names
        self._hidden = tuple(hidden)
        self._counts: dict[tuple[int, int, int, str], int] = {}
        self._kinds: dict[tuple[int, int, int], int] = {}
        self._shown: dict[tuple[int, int, int, str], tuple[float, FailureDetail]] = {}

    def note(self, step: int, outcome: Outcome, status: int, reason: str, at: float, show: Callable[[], FailureDetail]) -> None:
        """Count one. show: makes the example; called for the first of its kind only."""
        key = (step, int(outcome), status, reason)
        if key in self._counts:
            self._counts[key] += 1
            return
        alike = key[:3]
        self._kinds[alike] = number = self._kinds.get(alike, 0) + 1
        # A reason may hold what the service says, which can be different each time.
        if number > MOST_REASONS:
            key = (*alike, OTHER)
            if key in self._counts:
                self._counts[key] += 1
                return
        self._counts[key] = 1
        self._shown[key] = (at, show())

    def by_status(self, statuses: Collection[int]) -> dict[int, int]:
        """How many requests failed with each of these statuses."""
        counts = dict.fromkeys(statuses, 0)
        for (_, _, status, _), count in self._counts.items():
            if status in counts:
                counts[status] += count
        return counts

    def found(self, origin: float) -> tuple[FirstFailure, ...]:
        """Every kind, the commonest first. origin: the run's start on the clock of the recorded times."""
        made = []
        for key, count in sorted(self._counts.items(), key=lambda item: -item[1]):
            step, outcome, status, reason = key
            at, shown = self._shown[key]
            hidden = (*self._hidden, *shown.hidden)
            made.append(
                FirstFailure(
                    step=self._names[step] if step < len(self._names) else f"step {step}",
                    outcome=Outcome(outcome).name,
                    status=status,
                    count=count,
                    at=max(at - origin, 0.0),
                    request=mask(shown.request, hidden),
                    reason=mask(reason, hidden),
                    came=mask(shown.came, hidden)[:MOST_SEEN],
                    seen=mask(shown.seen, hidden)[:MOST_SEEN],
                )
            )
        return tuple(made)

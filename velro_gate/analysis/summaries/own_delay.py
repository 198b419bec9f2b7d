"""How much of each response time may be the generator's own delay, and which failures may be its doing.

Three delays are ours. A request was sent late. Its response came while the generator stood still, and was read only afterwards.
Or what had fallen due meanwhile went out all at once, and kept the service busy for as long again. A request that waited for an
earlier one of its own user waited for that one's delay as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from velro_gate.arrays import Floats
from velro_gate.model.run import Stall
from velro_gate.model.samples import Outcome, Samples

_ROUNDING = 1e-3
"""Seconds by which a response may be dated after the end of the stall in which it came: the turn of the loop that read it."""

_SHORTEST = 1e-3
"""Seconds: where requests that were not sent are counted, none is taken to be served faster, and no shorter delay counts."""

_NO_BURST = 0.020
"""Seconds up to which a stall holds up so few requests that the service does not notice when they come at once."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OwnDelay:
    """Columns of the samples' length."""

    response: Floats
    """Seconds of the response time that may be the generator's own, at most all of it."""
    service: Floats
    """The same of the service time."""
    touched: npt.NDArray[np.bool_]
    """Which requests were under way in a stall or right after."""
    doubtful: npt.NDArray[np.bool_]
    """Those of them that failed."""
    unsent: int
    """The most requests that may never have been sent because of it, their users still waiting when the load ended."""

    def where(self, mask: npt.NDArray[np.bool_]) -> OwnDelay:
        """Of the samples for which ``mask`` holds."""
        return replace(
            self,
            response=self.response[mask],
            service=self.service[mask],
            touched=self.touched[mask],
            doubtful=self.doubtful[mask],
        )


def own_delay(samples: Samples, stalls: Sequence[Stall], *, until: float, steps: int) -> OwnDelay:
    """What the generator may have caused.

    Args:
        samples: the ramp's too, since what a stall delayed there may hold up its user's later requests.
        stalls: in their order, none overlapping another, on the samples' clock.
        until: when the last requests fell due, in seconds of the run. Only a user still busy then may have left some unsent.
        steps: number of the journey's steps; a request of a later one is a login, which holds up the request that needs it.
    """
    starts = np.array([stall.start for stall in stalls])
    ends = np.array([stall.end for stall in stalls])
    recovered = np.array([recovered_after(stall) for stall in stalls])
    service = np.minimum(_late_reading(samples, starts, ends) + _overlap(samples, ends, recovered), samples.service_time)
    own = samples.lateness + service
    queues = _queues(samples, own, steps)
    response: Floats = np.clip(own + _inherited(samples, queues), 0.0, samples.response_time)
    touched = _touched(samples, starts, recovered)
    failed = ~samples.ok & (samples.outcome != Outcome.CANCELLED)
    return OwnDelay(
        response=response,
        service=service,
        touched=touched,
        doubtful=failed & touched,
        unsent=_unsent(samples, own, queues, until),
    )


def recovered_after(stall: Stall) -> float:
    """When what a stall held up was over, in seconds of the run: a burst keeps the service busy for as long again."""
    return 2.0 * stall.end - stall.start if stall.end - stall.start > _NO_BURST else stall.end


def _late_reading(samples: Samples, starts: Floats, ends: Floats) -> Floats:
    """What was read at the end of a stall may have come at its start."""
    if not len(starts):
        return np.zeros(len(samples))
    last = np.searchsorted(starts, samples.done, side="left") - 1
    inside = (last >= 0) & (samples.done <= ends[np.maximum(last, 0)] + _ROUNDING)
    came = np.maximum(samples.sent, starts[np.maximum(last, 0)])
    found: Floats = np.where(inside, samples.done - came, 0.0)
    return np.maximum(found, 0.0)


def _overlap(samples: Samples, begins: Floats, ends: Floats) -> Floats:
    """For how long each request was under way within these stretches; what two of them have in common counts once."""
    if not len(begins):
        return np.zeros(len(samples))
    begins = np.maximum(begins, np.concatenate([[-np.inf], np.maximum.accumulate(ends)[:-1]]))
    lengths = np.maximum(ends - begins, 0.0)
    # Between the points the covered time rises by 1 a second inside a stretch, and not at all outside.
    points = np.column_stack([begins, begins + lengths]).ravel()
    covered = np.cumsum(np.column_stack([np.zeros(len(lengths)), lengths]).ravel())
    found: Floats = np.interp(samples.done, points, covered) - np.interp(samples.sent, points, covered)
    return found


def _touched(samples: Samples, starts: Floats, recovered: Floats) -> npt.NDArray[np.bool_]:
    if not len(starts):
        return np.zeros(len(samples), np.bool_)
    latest = np.maximum.accumulate(recovered)
    last = np.searchsorted(starts, samples.done + _ROUNDING, side="right") - 1
    found: npt.NDArray[np.bool_] = (last >= 0) & (samples.sent <= latest[np.maximum(last, 0)])
    return found


def _unsent(samples: Samples, own: Floats, queues: _Queues, until: float) -> int:
    """A user whose queue was put back by D seconds would have begun at most D / (its shortest service time) more requests."""
    busy = samples.done >= until
    if not bool(busy.any()):
        return 0
    changes = queues.user[1:] != queues.user[:-1]
    first, is_last = np.flatnonzero(np.append(True, changes)), np.append(changes, True)
    shortest = np.minimum.reduceat(samples.service_time[queues.order], first)
    put_back = (queues.before + own[queues.order])[is_last]
    waits = busy[queues.order][is_last] & (put_back > _SHORTEST)
    return int(np.ceil(put_back[waits] / np.maximum(shortest[waits], _SHORTEST)).sum())


def _inherited(samples: Samples, queues: _Queues) -> Floats:
    """What a queued request waited for because of the delays of those before it in its user's queue: their sum at the most."""
    found = np.empty(len(samples))
    found[queues.order] = np.minimum(np.maximum(samples.queued[queues.order], 0.0), queues.before)
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Queues:
    """The requests user by user, each user's as they were sent."""

    order: npt.NDArray[np.intp]
    user: npt.NDArray[np.uint32]
    before: Floats
    """The delays, in seconds, of those since the user's queue was last empty."""


def _queues(samples: Samples, own: Floats, steps: int) -> _Queues:
    order = np.lexsort((samples.sent, samples.user))
    user = samples.user[order]
    begins = np.ones(len(order), np.bool_)
    # A login is sent when the request that needs it has been waiting already, and so continues its queue.
    waits = (samples.queued > 0.0) | (samples.step >= steps)
    begins[1:] = (user[1:] != user[:-1]) | ~waits[order][1:]
    first = np.maximum.accumulate(np.where(begins, np.arange(len(order)), 0))
    before = np.cumsum(own[order]) - own[order]
    return _Queues(order, user, np.maximum(before - before[first], 0.0))

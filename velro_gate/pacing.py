"""From a phase to due times. Pure: time is an argument or a result, never a clock.

A whole phase is planned before it starts, as three columns sorted by due time: when, which user, which step. The plan is a
function of (seed, phase, steps) alone, so every shard can compute it and keep its own users: the multiset of requests is the
same for any number of shards.

Users are phase-shifted evenly, so that no two users of an evenly paced phase fall due at the same instant and a ramp brings
no thundering herd. Each begins at a stationary point of its walk over the steps: its first journey is drawn with a probability
proportional to its length, and it begins at any of its steps alike (the inspection paradox of renewal theory; Cox, Renewal
Theory, 1962, 5.4). So at every moment a step's share of the arrivals is its share of all steps, and users do not move in step.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from velro_gate.model.run import Shard
from velro_gate.model.scenario import ClosedArrivals, NoAuth, OpenArrivals, Phase, Scenario, Step

StepOrder = tuple[tuple[int, ...], ...]
"""For each step the steps that a user must have taken once before it, in their order."""

_PLACEHOLDER = re.compile(r"\$\{([^{}]*)\}")
_BEGINS_A_SESSION = frozenset({"POST", "PUT"})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Schedule:
    """The arrivals of one phase, sorted by due time."""

    due: npt.NDArray[np.float64]
    """Seconds since the phase's start."""
    user: npt.NDArray[np.uint32]
    """Index of the user of each arrival."""
    step: npt.NDArray[np.uint16]
    """Index of the step of each arrival."""

    def __post_init__(self) -> None:
        if not len(self.due) == len(self.user) == len(self.step):
            raise ValueError("the columns of a schedule must have one length")

    def __len__(self) -> int:
        return len(self.due)

    def slice(self, shard: Shard) -> Schedule:
        """The arrivals of the users of one shard."""
        if shard.count == 1:
            return self
        mine = self.user % shard.count == shard.index
        return Schedule(due=self.due[mine], user=self.user[mine], step=self.step[mine])


def generator(seed: int, *names: str) -> np.random.Generator:
    """A random generator that depends on the seed and the names only, on every machine alike."""
    words = hashlib.sha256("\x1f".join([str(seed), *names]).encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(words[:16], "little")))


def cumulative_arrivals(elapsed: float, phase: Phase) -> float:
    """Mean number of arrivals due within ``elapsed`` seconds of the phase's start: the integral of the rate profile.

    The rate rises linearly from 0 to the offered rate during the ramp and stays there until the phase's planned end.

    Raises:
        ValueError: the phase is a closed loop.
    """
    rate = phase.arrival_rate
    if rate is None:
        raise ValueError(f"phase {phase.name} is a closed loop: its arrivals depend on the responses")
    t = min(max(elapsed, 0.0), phase.ramp + phase.duration)
    if t < phase.ramp:
        return rate * t * t / (2.0 * phase.ramp)
    return rate * (t - phase.ramp / 2.0)


def connect_time(user: int, phase: Phase) -> float:
    """Seconds since the phase's start at which a user connects: spread over the first nine tenths of the ramp."""
    return 0.9 * phase.ramp * user / phase.users


def needs_of(scenario: Scenario) -> StepOrder:
    """What each step of a scenario needs: the steps that capture what it names.

    Where users keep cookies and the scenario says nothing of authentication, a certain first step that sends data (a POST or
    PUT) is taken to begin a session, and all others need it.
    """
    steps = scenario.steps
    session = (
        scenario.cookies
        and isinstance(scenario.auth, NoAuth)
        and len(steps) > 1
        and steps[0].probability == 1.0
        and steps[0].method in _BEGINS_A_SESSION
    )
    found: list[tuple[int, ...]] = []
    for index, step in enumerate(steps):
        named = {name for text in _texts(step) for name in _PLACEHOLDER.findall(text)}
        own = {i for i, before in enumerate(steps[:index]) if any(capture.name in named for capture in before.captures)}
        own |= {0} if session and index else set()
        found.append(tuple(sorted(own.union(*(found[i] for i in own)))))
    return tuple(found)


def _texts(step: Step) -> Iterator[str]:
    yield step.path
    yield from (text for pair in (*step.headers, *step.query) for text in pair)
    if step.body is not None:
        yield step.body.template


def _in_need_of(planned: Sequence[int], needs: StepOrder) -> list[int]:
    """The rest of a first journey, each step that lacks another one replaced by what it lacks."""
    taken: set[int] = set()
    sent = []
    for step in planned:
        missing = next((other for other in needs[step] if other not in taken), step)
        taken.add(missing)
        sent.append(missing)
    return sent


def open_schedule(phase: Phase, steps: Sequence[Step], seed: int, needs: StepOrder = ()) -> Schedule:
    """Every arrival of an open phase, ramp included, over all users.

    Poisson spacing draws a homogeneous process and maps it through the inverse of the cumulative profile (time rescaling),
    so ramp and plateau are exact; even spacing puts arrival i at the inverse of i + 1/2. Arrivals go to the users in turn, in
    a drawn order, so every user carries the same load; during the ramp only to users that have begun to connect.

    needs: see ``needs_of``; empty: no step needs another one.

    Raises:
        ValueError: the phase is a closed loop.
    """
    arrivals = phase.arrivals
    if not isinstance(arrivals, OpenArrivals):
        raise ValueError(f"phase {phase.name} is a closed loop: it has no schedule in advance")
    total = cumulative_arrivals(phase.ramp + phase.duration, phase)
    random = generator(seed, "arrivals", phase.name)
    if arrivals.spacing == "even":
        position = np.arange(int(total + 0.5), dtype=np.float64) + 0.5
    else:
        count = int(random.poisson(total))
        position = np.sort(random.uniform(0.0, total, count))
    due = _inverse_profile(position, phase, arrivals.rate)
    user = _users_in_turn(due, phase, random)
    return Schedule(due=due, user=user, step=_steps_of(user, phase, steps, seed, needs))


def _inverse_profile(position: npt.NDArray[np.float64], phase: Phase, rate: float) -> npt.NDArray[np.float64]:
    ramp_arrivals = rate * phase.ramp / 2.0
    in_ramp = position < ramp_arrivals
    due = position / rate + phase.ramp / 2.0
    due[in_ramp] = np.sqrt(2.0 * phase.ramp * position[in_ramp] / rate)
    return np.minimum(due, np.nextafter(phase.ramp + phase.duration, 0.0))


def _users_in_turn(due: npt.NDArray[np.float64], phase: Phase, random: np.random.Generator) -> npt.NDArray[np.uint32]:
    """Round after round over all users; during the ramp over those that have connected by then."""
    user = np.empty(len(due), np.uint32)
    ready = connected_by(due, phase)
    steady = int(np.searchsorted(ready, phase.users))
    # While users are still joining, turn by turn over the joined ones: index modulo their number.
    user[:steady] = np.arange(steady) % np.maximum(ready[:steady], 1)
    rest = len(due) - steady
    rounds = -(-rest // phase.users)
    if rounds:
        turn = random.permutation(phase.users).astype(np.uint32)
        user[steady:] = np.tile(turn, rounds)[:rest]
    return user


def connected_by(due: npt.NDArray[np.float64], phase: Phase) -> npt.NDArray[np.int64]:
    """How many users have begun to connect by each of these times (seconds since the phase's start), at least one."""
    if phase.ramp == 0.0:
        return np.full(len(due), phase.users, np.int64)
    joined = np.floor(due / (0.9 * phase.ramp) * phase.users).astype(np.int64) + 1
    return np.minimum(joined, phase.users)


def _steps_of(
    user: npt.NDArray[np.uint32], phase: Phase, steps: Sequence[Step], seed: int, needs: StepOrder
) -> npt.NDArray[np.uint16]:
    """Which step each arrival is: every user walks through journeys of its own, one step an arrival, in order.

    Each journey takes step s with its own probability, independently; an empty journey is drawn again. A user's walk
    depends on (seed, phase, user, position in the walk) only.
    """
    order = np.argsort(user, kind="stable")
    counts = np.bincount(user, minlength=phase.users)
    walks = generator(seed, "journeys", phase.name)
    walk = _walk(int(counts.sum()), counts, steps, walks, needs)
    result = np.empty(len(user), np.uint16)
    result[order] = walk
    return result


def _walk(
    total: int, counts: npt.NDArray[np.int64], steps: Sequence[Step], random: np.random.Generator, needs: StepOrder
) -> npt.NDArray[np.uint16]:
    """Concatenated walks: counts[u] steps for user u, each walk starting at a stationary point of a journey."""
    probability = np.array([step.probability for step in steps])
    if int(counts.max(initial=0)) == 0:
        return np.empty(0, np.uint16)
    # Each user begins in the middle of a journey, as it would be met at a random instant: if all began at the first step, the
    # mix of steps would swing through the phase.
    taken, skipped = _first_journeys(len(counts), probability, random)
    walked = -skipped
    going = np.arange(len(counts))
    rows: list[npt.NDArray[np.uint32]] = []
    columns: list[npt.NDArray[np.uint16]] = []
    places: list[npt.NDArray[np.int64]] = []
    while len(going):
        lengths = taken.sum(axis=1)
        # One round: the next journey of every user that has not walked far enough, all users at once.
        row, column = np.nonzero(taken)
        within = np.arange(len(row)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        if not rows and any(needs):
            column = _with_needs(row, column, within >= skipped[row], skipped, needs)
        rows.append(going[row].astype(np.uint32))
        columns.append(column.astype(np.uint16))
        places.append(walked[going[row]] + within)
        walked[going] += lengths
        going = np.flatnonzero(walked < counts)
        taken = random.random((len(going), len(steps))) < probability
    row_all, column_all, place_all = np.concatenate(rows), np.concatenate(columns), np.concatenate(places)
    # Negative places are the skipped beginnings of first journeys; those beyond the count are the rest of last ones.
    keep = (place_all >= 0) & (place_all < counts[row_all])
    starts = np.cumsum(counts) - counts
    walk = np.empty(total, np.uint16)
    walk[(starts[row_all] + place_all)[keep]] = column_all[keep]
    return walk


def _first_journeys(
    users: int, probability: npt.NDArray[np.float64], random: np.random.Generator
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
    """For each user a journey as it is met at a random moment, and how many of its steps lie behind it then.

    The step that is under way is s with p_s / sum p; given that, the others are in the journey with their own probabilities. So
    a journey is met in proportion to its length, at any of its steps alike.
    """
    count = len(probability)
    begins = random.choice(count, users, p=probability / probability.sum())
    taken = random.random((users, count)) < probability
    taken[np.arange(users), begins] = True
    behind = (taken & (np.arange(count) < begins[:, None])).sum(axis=1)
    return taken, behind


def _with_needs(
    row: npt.NDArray[np.int64],
    column: npt.NDArray[np.int64],
    kept: npt.NDArray[np.bool_],
    skipped: npt.NDArray[np.int64],
    needs: StepOrder,
) -> npt.NDArray[np.int64]:
    """The first journeys' steps, those that lack another one replaced, of users that do not begin at the beginning."""
    column = column.copy()
    bounds = np.searchsorted(row, np.arange(len(skipped) + 1))
    for user in np.flatnonzero(skipped).tolist():
        mine = np.arange(bounds[user], bounds[user + 1])
        mine = mine[kept[mine]]
        column[mine] = _in_need_of(column[mine].tolist(), needs)
    return column


def closed_journey(
    phase: Phase, arrivals: ClosedArrivals, steps: Sequence[Step], seed: int, user: int, needs: StepOrder = ()
) -> Iterator[tuple[float, int]]:
    """The endless walk of one user of a closed loop: (seconds to think before the request, step index).

    A function of (seed, phase, user) alone. The first pause is drawn uniformly, and the walk begins at a stationary point, so
    that users do not move in step. needs: see ``needs_of``.
    """
    draw = random.Random(f"{seed}/closed/{phase.name}/{user}")
    mean, drawn = arrivals.think_time, arrivals.think_time > 0.0 and not arrivals.constant
    first = True
    for index in _closed_steps(steps, draw, needs):
        think = draw.expovariate(1.0) * mean if drawn else mean
        yield (draw.random() * mean if first else think), index
        first = False


def _closed_steps(steps: Sequence[Step], draw: random.Random, needs: StepOrder) -> Iterator[int]:
    # See _first_journeys.
    begins = draw.choices(range(len(steps)), [step.probability for step in steps])[0]
    rest = [i for i in range(begins, len(steps)) if i == begins or draw.random() < steps[i].probability]
    yield from _in_need_of(rest, needs) if begins and any(needs) else rest
    while True:
        for index, step in enumerate(steps):
            if step.probability >= 1.0 or draw.random() < step.probability:
                yield index

"""What a plan will take: requests, time, descriptors, memory, CPU. Pure; printed by the dry run, judged by feasibility."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from velro_gate.model.scenario import ClosedArrivals, Phase, Scenario

DESCRIPTOR_MARGIN = 64
"""Files open in addition to the users' connections: libraries, results, the monitor's connections, the loop's own."""

BASE_MEMORY = 150 * 2**20
"""Resident bytes of the whole program without users; a shard that only sends takes a third of it."""

USER_MEMORY = {"http": 5_000, "https": 36_000}
"""Resident bytes of one connected user; over TLS nearly all of it is OpenSSL's state and buffers.

Plain: 56 MB with 1,000 users, 78 MB with 10,000, so 2,500 bytes, doubled for cookies, captures and bodies.
"""

KERNEL_MEMORY = 4_100
"""Bytes the kernel holds for one end of an idle connection: 9,000 loopback connections, fall of MemAvailable / 18,000 ends."""

ARRIVAL_MEMORY = 90
"""Peak bytes for one planned arrival while a phase is scheduled: growth of the peak resident size over 0.7 million arrivals."""

IDLE_SHARE = 0.05
"""Share of a core that the loop, the sweeper and the accounting take at any rate."""

SATURATED_COST = {"http": 16e-6, "https": 25e-6}
"""Core-seconds for one request when the loop always finds work."""

WAKING_COST = {"http": 140e-6, "https": 230e-6}
"""Core-seconds more for one request that finds the loop asleep: wake, one turn for the timer and one for the response, sleep.

These three against the engine itself, on one core of a 2-core server, nginx on the other (``python -m benchmarks.costs``, 1,000
users): measured 6, 17, 49 and 89 % of the core at 200, 1,000, 5,000 and 20,000 requests/s, forecast 8, 18, 49 and 83 %; over
TLS measured 8, 21, 59 and 95 %, forecast 10, 25, 61 and 91 %.
"""

SHARD_SHARE, MOST_SHARDS = 0.5, 64
"""The forecast share of a core up to which a shard is loaded before another one is started; how many there may be."""

JOURNEY_COST = 350e-6
"""Core-seconds more for one request that a journey written in Python makes; most of it is httpx's. Measured: 0.3 to 0.6 ms in
all on a busy 2-core server, with 20 to 4,000 users.
"""

JOURNEY_MEMORY = 20_000
"""Resident bytes more of a user that makes such journeys: 8,500 measured with 4,000 users, doubled for what it keeps."""

HANDSHAKE_COST = {"http": 0.1e-3, "https": 1.0e-3}
"""Core-seconds to connect one user."""

_ASSUMED_ANSWER = 0.01
"""Seconds of a response, assumed for a closed loop without a pause, whose rate depends on nothing else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseForecast:
    """What one phase is expected to take."""

    name: str
    users: int
    seconds: float
    rate: float
    """Requests per second at full load."""
    requests: float
    """Mean number, ramp included; an upper bound in a closed loop."""
    journeys: float
    """Mean number, ramp included; an upper bound in a closed loop."""
    descriptors: int
    memory: int
    cpu_share: float
    """``descriptors``, ``memory`` (in bytes) and ``cpu_share`` (of one core): of all shards together."""
    answer_within: float | None
    """The mean response time in seconds at which all users are always waiting; None in a closed loop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """A whole plan: sums of requests, journeys and seconds, peaks of the rest."""

    phases: tuple[PhaseForecast, ...]
    requests: float
    journeys: float
    seconds: float
    descriptors: int
    memory: int
    cpu_share: float


def forecast(phases: Sequence[Phase], *, scenario: Scenario, shards: int = 1) -> Forecast:
    """What a plan is expected to take."""
    parts = tuple(forecast_phase(phase, scenario=scenario, shards=shards) for phase in phases)
    return Forecast(
        phases=parts,
        requests=sum(part.requests for part in parts),
        journeys=sum(part.journeys for part in parts),
        seconds=sum(part.seconds for part in parts),
        descriptors=max((part.descriptors for part in parts), default=0),
        memory=max((part.memory for part in parts), default=0),
        cpu_share=max((part.cpu_share for part in parts), default=0.0),
    )


def descriptors_needed(phases: Sequence[Phase], *, shards: int = 1) -> int:
    """Open files that the busiest phase needs in one process."""
    return max((-(-phase.users // shards) + DESCRIPTOR_MARGIN for phase in phases), default=DESCRIPTOR_MARGIN)


def shards_needed(phases: Sequence[Phase], *, scenario: Scenario, cores: float, service_is_local: bool) -> int:
    """How many processes a plan is best sent by: the fewest that are forecast to take half a core each.

    At most as many as there are whole cores, without one that a service on this machine needs, and at least one. So a small
    plan stays in one process, where nothing has to be put together.
    """
    most = min(max(int(cores) - (1 if service_is_local else 0), 1), MOST_SHARDS)
    few = (n for n in range(1, most) if forecast(phases, scenario=scenario, shards=n).cpu_share <= SHARD_SHARE * n)
    return next(few, most)


def cpu_share(rate: float, scheme: str, more: float = 0.0) -> float:
    """Cores that sending ``rate`` requests per second takes.

    A request costs ``c`` when the loop is busy anyway, and ``w`` more when it has to be woken, which happens in the share of
    time in which the loop sleeps: s = b + r (c + w (1 - s)), so s = (b + r (c + w)) / (1 + r w). Full at r = (1 - b) / c.
    more: core-seconds that each request costs beyond c.
    """
    waking = WAKING_COST[scheme]
    return (IDLE_SHARE + rate * (SATURATED_COST[scheme] + more + waking)) / (1.0 + rate * waking)


def forecast_phase(phase: Phase, *, scenario: Scenario, shards: int = 1) -> PhaseForecast:
    """What one phase is expected to take."""
    scheme = _scheme(scenario)
    in_python = scenario.journey is not None
    rate = _rate(phase, scenario.requests_per_journey if in_python else 1.0)
    requests = rate * (phase.ramp / 2.0 + phase.duration)
    handshakes = phase.users * HANDSHAKE_COST[scheme] / max(0.9 * phase.ramp, 1.0)
    sending = shards * cpu_share(rate / shards, scheme, JOURNEY_COST if in_python else 0.0)
    user = USER_MEMORY[scheme] + KERNEL_MEMORY + (JOURNEY_MEMORY if in_python else 0)
    return PhaseForecast(
        name=phase.name,
        users=phase.users,
        seconds=phase.ramp + phase.duration,
        rate=rate,
        requests=requests,
        journeys=requests / scenario.requests_per_journey,
        descriptors=phase.users + shards * DESCRIPTOR_MARGIN,
        memory=round(shards * BASE_MEMORY + phase.users * user + requests * ARRIVAL_MEMORY),
        # While users connect, the rate is on the average half way up: whichever is more, the ramp or the full load.
        cpu_share=max(sending, handshakes + sending / 2.0),
        answer_within=phase.users / rate if phase.offered_rate is not None else None,
    )


def _rate(phase: Phase, requests: float) -> float:
    """Requests per second: offered, or in a closed loop what the users send when every response comes at once or nearly so.

    requests: how many follow from one arrival.
    """
    if isinstance(phase.arrivals, ClosedArrivals):
        pause = phase.arrivals.think_time + (_ASSUMED_ANSWER * requests if phase.arrivals.think_time == 0.0 else 0.0)
        return requests * phase.users / pause
    return requests * phase.arrivals.rate


def _scheme(scenario: Scenario) -> str:
    return "https" if urlsplit(scenario.target.url).scheme == "https" else "http"

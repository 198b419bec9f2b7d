"""How often a leak is reported, and how often one that is not there, on simulated series of a service's memory and descriptors.

A service that warms up for up to a minute, collects its garbage in a sawtooth, and wanders; on top of that, or not, a leak of
20 KB a request or of one descriptor in 100 requests.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from velro_gate.analysis.summaries.growth import relative_growth
from velro_gate.arrays import Floats
from velro_gate.evaluation.bounds import figure_of
from velro_gate.evaluation.results import Aim, Figure
from velro_gate.model.metrics import LEAKS

MIB = 2.0**20
LEAKED_BYTES = 20_000.0
LEAKED_DESCRIPTORS = 0.01
FOUND, FALSE = 0.99, 0.01
"""Shares to reach: of leaks that are found, and of services without one that are said to leak."""

_LENGTHS = (120.0, 180.0, 300.0, 600.0)
_NAIVE = "more by 5 % at the end than at the beginning"


def leak_figures(count: int, seed: int) -> Iterator[Figure]:
    """Of memory and of descriptors: ``count`` services that leak, and as many that do not."""
    for name, made, metric in (
        ("memory", memory, "rss_growth_share"),
        ("descriptors", descriptors, "descriptor_growth_share"),
    ):
        for leaking in (True, False):
            random = np.random.Generator(np.random.PCG64([seed, len(name), leaking]))
            found = naive = 0
            for _ in range(count):
                seconds = float(random.choice(_LENGTHS))
                at = np.arange(0.0, seconds)
                value = made(random, at, leaking=leaking)
                found += is_leak(at, value, seconds, metric)
                naive += bool(value[-10:].mean() > 1.05 * value[:10].mean())
            aim, target = (Aim.AT_LEAST, FOUND) if leaking else (Aim.AT_MOST, FALSE)
            title = f"leak of {name}" if leaking else f"no leak of {name}"
            yield figure_of(title, "reported", found, count, aim, target, naive={_NAIVE: naive / count})


def is_leak(at: Floats, value: Floats, seconds: float, metric: str) -> bool:
    """Whether a run reports a leak. at: seconds, rising, (n,); value: readings, (n,). seconds: of the measured stretch."""
    found = relative_growth(at, value, begin=0.0, end=seconds)
    return found is not None and found.low > LEAKS[metric]


def memory(random: np.random.Generator, at: Floats, *, leaking: bool) -> Floats:
    """Resident bytes, a reading at each time; rates from 20 to 900 requests a second."""
    base = random.uniform(80.0, 300.0) * MIB
    warm = random.uniform(0.05, 0.4) * -np.exp(-(at + 10.0) / random.uniform(5.0, 25.0))
    collected = random.uniform(0.0, 0.06) * ((at / random.uniform(3.0, 25.0)) % 1.0)
    rate = np.exp(random.uniform(np.log(20.0), np.log(900.0))) if leaking else 0.0
    value: Floats = base * (1.0 + warm + collected + _wander(random, len(at), 0.01)) + rate * LEAKED_BYTES * at
    return value


def descriptors(random: np.random.Generator, at: Floats, *, leaking: bool) -> Floats:
    """Open files at each time, (n,). Most are the connections of 200 to 8,000 users, who keep them and ask about once in ten
    seconds.
    """
    users = np.exp(random.uniform(np.log(200.0), np.log(8_000.0)))
    leaked = users * random.uniform(0.08, 0.3) * LEAKED_DESCRIPTORS * at if leaking else 0.0
    value: Floats = np.round(20.0 + users * (1.0 + _wander(random, len(at), 0.0005)) + leaked)
    return value


def _wander(random: np.random.Generator, length: int, sd: float) -> Floats:
    """An AR(1) with a memory of twenty readings."""
    rho = 0.95
    shocks = random.normal(0.0, sd * np.sqrt(1.0 - rho * rho), length)
    series = np.empty(length)
    series[0] = random.normal(0.0, sd)
    for i in range(1, length):
        series[i] = rho * series[i - 1] + shocks[i]
    return series

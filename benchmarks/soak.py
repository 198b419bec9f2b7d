"""A long steady load: does the generator's memory grow, does it leave descriptors open? ``python -m benchmarks.soak``.

``velro-gate run`` itself, with everything that watches and keeps, against ``benchmarks.truth``; looked at from outside. Ten
minutes; ``--minutes 30`` for the long one. ``--kind`` meets a service whose every response is of one unkind sort instead
(``benchmarks.hostile``; ``tls-`` before it: over TLS): memory may grow by a megabyte a minute beyond what a successful
response costs.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import plans
from benchmarks.generator import line
from benchmarks.hostile import ANSWERS, hostile
from benchmarks.processes import FailedError, Started, carry_out, module, our_environment, started, two_cores
from benchmarks.table import Figure, Page, Table, at_most, figures_table, options
from benchmarks.truth import Delays, truth
from velro_gate.store.records import read_record

GROWTH, SETTLED = 0.05, 120.0
MEGABYTES_A_MINUTE = 1.0
RAMP, EDGE, LOOK_EVERY = 10.0, 15.0, 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The generator from outside. at: seconds since the first look; resident: bytes."""

    at: float
    resident: int
    descriptors: int


def around(looks: Sequence[Look], at: float) -> Look:
    """The medians of the looks within EDGE seconds of a moment.

    Raises:
        ValueError: there is none.
    """
    near = [look for look in looks if abs(look.at - at) <= EDGE]
    if not near:
        raise ValueError(f"nobody looked around second {at:.0f}")
    return Look(
        at=at,
        resident=int(statistics.median(look.resident for look in near)),
        descriptors=int(statistics.median(look.descriptors for look in near)),
    )


def figures(looks: Sequence[Look], settled: float, last: float) -> list[Figure]:
    """Growth of memory and of open descriptors from a moment to the last one."""
    before, after = around(looks, settled), around(looks, last)
    most = max(look.resident for look in looks if settled <= look.at <= last)
    since = f"since second {settled:.0f}"
    return [
        at_most(
            f"memory {since}: growth until the end", (after.resident / before.resident - 1) * 100, GROWTH * 100, "{:+.2f} %"
        ),
        at_most(f"memory {since}: growth at the most", (most / before.resident - 1) * 100, GROWTH * 100, "{:+.2f} %"),
        at_most(f"descriptors {since}: more at the end", after.descriptors - before.descriptors, 0, "{:,.0f}"),
    ]


def growth_a_minute(looks: Sequence[Look], settled: float) -> float:
    """Megabytes by which memory grows in a minute: the median slope between looks that lie half the stretch apart."""
    rest = [look for look in looks if look.at >= settled]
    half = len(rest) // 2
    slopes = [(b.resident - a.resident) / (b.at - a.at) for a, b in zip(rest, rest[half:], strict=False) if b.at > a.at]
    return statistics.median(slopes) * 60.0 / 1e6 if slopes else 0.0


def main() -> None:
    """Run the load, look at the generator, print what it grew by."""
    arguments = options(__doc__)
    arguments.add_argument("--minutes", type=float, default=10.0)
    arguments.add_argument("--users", type=int, default=1_200)
    arguments.add_argument("--rate", type=float, default=1_000.0)
    kinds = [f"{prefix}{kind}" for prefix in ("", "tls-") for kind in ANSWERS]
    arguments.add_argument("--kind", choices=kinds, help="what every response is like; without it a good one")
    wanted = arguments.parse_args()
    page = Page(markdown=wanted.markdown)
    seconds = wanted.minutes * 60.0
    method = "HEAD" if wanted.kind in ("head", "tls-head") else "GET"
    plan = plans.Wanted(users=wanted.users, seconds=seconds, ramp=RAMP, rate=wanted.rate, method=method)
    core, own = two_cores()
    with (
        tempfile.TemporaryDirectory(prefix="velro-soak-") as place,
        _service(wanted.kind, core) as url,
    ):
        folder = Path(place)
        scenario = plans.write_scenario(folder, plan)
        command = module("velro_gate", "run", scenario, "--profile", "pr", "--output", folder / "results")
        environment = {**our_environment(), "VELRO_API_URL": url}
        with started(command, core=own, env=environment) as running:
            looks = _look(running, RAMP + seconds)
            running.require_success(120.0)
        record = read_record(next((folder / "results").iterdir()))
    page.say(line(record.phases[0]))
    settled = RAMP + min(SETTLED, 0.2 * seconds)
    found = figures(looks, settled, looks[-1].at)
    if wanted.kind is not None:
        found.append(at_most("memory: growth a minute", growth_a_minute(looks, settled), MEGABYTES_A_MINUTE, "{:+.2f} MB"))
    what = "" if wanted.kind is None else f", {wanted.kind}"
    page.show(figures_table(f"Soak: {wanted.minutes:g} min at {wanted.rate:,.0f} requests/s{what}", found))
    page.show(_over_time(looks))


@contextmanager
def _service(kind: str | None, core: int | None) -> Iterator[str]:
    if kind is None:
        with truth(Delays(kind="constant", parameters=(0.005,)), core=core, keep=False) as server:
            yield server.url
    else:
        with hostile(kind.removeprefix("tls-"), tls=kind.startswith("tls-"), core=core) as url:
            yield url


def _look(running: Started, seconds: float) -> list[Look]:
    """Look at the generator until shortly before its load ends."""
    began, looks = time.monotonic(), []
    while (at := time.monotonic() - began) < seconds:
        if running.process.poll() is not None:
            raise FailedError(f"the load ended after {at:.0f} s: {running.complaints()}")
        meter = running.meter
        looks.append(Look(at=at, resident=meter.resident(), descriptors=meter.descriptors()))
        time.sleep(LOOK_EVERY)
    return looks


def _over_time(looks: Sequence[Look]) -> Table:
    step = max(1, len(looks) // 12)
    return Table(
        title="Over time",
        columns=("second", "memory", "descriptors"),
        rows=tuple((f"{look.at:.0f}", f"{look.resident / 1e6:.1f} MB", f"{look.descriptors:,}") for look in looks[::step]),
    )


if __name__ == "__main__":
    carry_out(main)

"""Our figures compared with a server that knows the truth. ``python -m benchmarks.accuracy``.

Every case runs the engine in one process on one core and ``benchmarks.truth`` in another on another, with a user number in each
request, so that each of our samples is paired with the server's own entry for it.

The stopped server. Requests fall due evenly at rate r over a measured stretch of T seconds, and each is answered after d. From
S to R = S + W the server is stopped (SIGSTOP). What fell due before S - d is answered after d. What fell due in (S - d, S) was
read and is answered at R. What falls due from S on waits in the socket; the server takes it up in order from R on, c a second
(it is configured to take no more), and responds d later; so the one due at t is answered at R + d + (t - S) r / c. With u = t
- S and p = r / c it takes W + d - u (1 - p) from its due time, until that has come down to d, W / (1 - p) seconds after S. So
the share of all that took longer than x, for d < x < W, is ((W + d - x) / (1 - p) + d) / T. Solved for x, the quantile of rank
1 - q is

    x = W + d - (q T - d) (1 - p)

r, c, d and T are the plan's, W is from the signals. No user has two requests due within W + d, or one would wait for the other.

c = 2 r, because the quantile has to be known better than it is held to: for 3 s in 60 s, dx/dp = q T - d = 2.9 s at rank .95.
A server that works its backlog off as fast as it can does so at no constant rate, and p uncertain by .02 moves x = .44 s by
60 ms; here p is given, and x = 1.61 s.
"""

from __future__ import annotations

import argparse
import json
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks import plans
from benchmarks.processes import FailedError, Started, carry_out, module, started, two_cores
from benchmarks.table import Figure, Page, Table, at_most, equal, figures_table, options
from benchmarks.truth import Delays, Log, truth
from velro_gate.model.samples import Samples
from velro_gate.pacing import needs_of, open_schedule
from velro_gate.store.records import read_samples

RANKS = (0.5, 0.75, 0.9, 0.95, 0.99)
CONSTANT = (0.001, 0.005, 0.020, 0.075, 0.200)
CONSTANT_ERRORS = ((0.5, 0.001), (0.95, 0.002), (0.99, 0.005))
SHAPES = ("lognormal:0.02,0.6,0.8", "bimodal:0.005,0.12,0.1")
STOP_SHARE, STOP_DELAY, STOP_BACKLOG_SHARE = 3.0 / 60.0, 0.075, 0.5
STOP_ERROR = 0.05
LATENESS = 0.005
RAMP = 2.0
CASES = ("constant", "shapes", "stop", "conservation")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One run: what we say of ourselves, our samples, and what the server logged. start, until: the measured stretch."""

    name: str
    figures: dict[str, Any]
    samples: Samples
    log: Log
    planned: int

    @property
    def measured(self) -> Samples:
        """Our successful responses of the measured stretch."""
        samples, figures = self.samples, self.figures
        inside = (samples.due >= figures["measured_from"]) & (samples.due < figures["measured_until"])
        return samples.where(inside & samples.ok)


def stopped_quantile(rank: float, *, delay: float, stop: float, period: float, backlog_share: float) -> float:
    """The response time of this rank in seconds; see the module. backlog_share: p = r / c.

    Raises:
        ValueError: so large a share was not held up.
    """
    found = stop + delay - ((1.0 - rank) * period - delay) * (1.0 - backlog_share)
    if not delay <= found <= stop + delay:
        raise ValueError(f"rank {rank} does not lie among the requests that the stop held up")
    return found


def paired(samples: Samples, log: Log) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Row numbers of our samples and of the server's log, request by request: the n-th of a user is its n-th on either side.

    Raises:
        ValueError: the two sides do not hold equally many requests of each user.
    """
    ours, theirs = np.lexsort((samples.sent, samples.user)), np.lexsort((log.arrived, log.user))
    if len(ours) != len(theirs) or bool((samples.user[ours] != log.user[theirs]).any()):
        raise ValueError("our samples and the server's log do not hold the same requests")
    return ours, theirs


def seen_lateness(case: Case) -> npt.NDArray[np.float64]:
    """Seconds from due to arrival as the server saw it, in the measured stretch, without waits behind the own user."""
    ours, theirs = paired(case.samples, case.log)
    due = case.samples.due[ours]
    measured = (due >= case.figures["measured_from"]) & (due < case.figures["measured_until"])
    late = case.log.arrived[theirs] - (due + case.samples.queued[ours] + case.figures["clock"])
    found: npt.NDArray[np.float64] = late[measured]
    return found


def logged_response(case: Case) -> npt.NDArray[np.float64]:
    """Seconds from due to answered by the server's log, request by request, of those due in the measured stretch."""
    ours, theirs = paired(case.samples, case.log)
    due = case.samples.due[ours]
    measured = (due >= case.figures["measured_from"]) & (due < case.figures["measured_until"])
    found: npt.NDArray[np.float64] = (case.log.answered[theirs] - (due + case.figures["clock"]))[measured]
    return found


def main() -> None:
    """Run the cases, print each figure next to its target."""
    arguments = options(__doc__)
    arguments.add_argument("--seconds", type=float, default=20.0, help="measured seconds of a case")
    arguments.add_argument("--stop-seconds", type=float, default=60.0, help="of the case with the stopped server")
    arguments.add_argument("--rate", type=float, default=1_000.0)
    arguments.add_argument("--only", nargs="+", choices=CASES, default=CASES)
    wanted = arguments.parse_args()
    page = Page(markdown=wanted.markdown)
    cases: list[Case] = []
    if "constant" in wanted.only:
        found = list(_constant(wanted, cases))
        page.show(figures_table("Constant delays: error of our response time", found))
    if "shapes" in wanted.only:
        for delay in SHAPES:
            page.show(figures_table(f"{delay} (seconds): ours against the server's log", _shape(wanted, delay, cases)))
    if "stop" in wanted.only:
        page.show(_stopped(wanted))
    if cases:
        page.show(figures_table("Pacing, as the server saw it", [each(case) for case in cases for each in (_count, _lateness)]))
    if "conservation" in wanted.only:
        cases += _hard_cases(wanted)
    if cases:
        page.show(figures_table("Conservation", [_books(case) for case in cases]))


def _constant(wanted: argparse.Namespace, cases: list[Case]) -> Iterator[Figure]:
    for delay in CONSTANT:
        case = _run(wanted, Delays(kind="constant", parameters=(delay,)))
        cases.append(case)
        times = case.measured.response_time
        for rank, limit in CONSTANT_ERRORS:
            error = abs(float(np.quantile(times, rank)) - delay)
            yield at_most(f"{delay * 1e3:g} ms: p{rank * 100:g}", error * 1e3, limit * 1e3, "{:.2f} ms")


def _shape(wanted: argparse.Namespace, delay: str, cases: list[Case]) -> list[Figure]:
    case = _run(wanted, Delays.parse(delay))
    cases.append(case)
    clock, figures = case.figures["clock"], case.figures
    log = case.log.within(clock + figures["measured_from"], clock + figures["measured_until"])
    return [_against_log(rank, case.measured.response_time, log.service_time) for rank in RANKS]


def _against_log(rank: float, ours: npt.NDArray[np.float64], theirs: npt.NDArray[np.float64]) -> Figure:
    said, true = float(np.quantile(ours, rank)), float(np.nanquantile(theirs, rank))
    allowed, error = max(0.001, 0.02 * true), abs(said - true)
    return Figure(
        name=f"p{rank * 100:g} against the log",
        target=f"{true * 1e3:.2f} ms +- {allowed * 1e3:.2f} ms",
        measured=f"{said * 1e3:.2f} ms (error {error * 1e3:.2f} ms)",
        reached=error <= allowed,
    )


def _stopped(wanted: argparse.Namespace) -> Table:
    """The server is stopped for a twentieth of the measured stretch: 3 s of 60."""
    seconds = wanted.stop_seconds
    stop = seconds * STOP_SHARE
    signals: list[float] = []

    def meanwhile(server: Started) -> None:
        time.sleep(1.0 + RAMP + 0.4 * seconds)
        for number, pause in ((signal.SIGSTOP, stop), (signal.SIGCONT, 0.0)):
            server.process.send_signal(number)
            signals.append(time.monotonic())
            time.sleep(pause)

    users = int(wanted.rate * (stop + 2.0))
    delays = Delays(kind="constant", parameters=(STOP_DELAY,))
    capacity = wanted.rate / STOP_BACKLOG_SHARE
    case = _run(wanted, delays, seconds=seconds, users=users, even=True, meanwhile=meanwhile, capacity=capacity)
    began, resumed = signals
    clock, figures = case.figures["clock"], case.figures
    worked_off = resumed + stop * STOP_BACKLOG_SHARE / (1.0 - STOP_BACKLOG_SHARE)
    if not clock + figures["measured_from"] < began - STOP_DELAY < worked_off < clock + figures["measured_until"]:
        raise FailedError("the stop did not fall into the measured stretch: the run started too slowly")
    logged = logged_response(case)
    times = case.measured.response_time
    found = []
    for rank in (0.95, 0.99):
        analytic = stopped_quantile(
            rank, delay=STOP_DELAY, stop=resumed - began, period=seconds, backlog_share=STOP_BACKLOG_SHARE
        )
        said = float(np.quantile(times, rank))
        found.append(
            Figure(
                name=f"response p{rank * 100:g}",
                target=f"{analytic * 1e3:.1f} ms +- {STOP_ERROR:.0%}",
                measured=f"{said * 1e3:.1f} ms ({said / analytic - 1.0:+.2%})",
                reached=abs(said / analytic - 1.0) <= STOP_ERROR,
            )
        )
        found.append(_against_log(rank, times, logged))
    note = f"Stopped for {resumed - began:.4f} s; the backlog was worked off at {capacity:,.0f} answers/s."
    return figures_table(f"Server stopped for {stop:g} s in {seconds:g} s", [*found, _count(case), _books(case)], [note])


def _count(case: Case) -> Figure:
    return equal(f"{case.name}: requests that arrived, of those planned", len(case.log), case.planned)


def _lateness(case: Case) -> Figure:
    late = float(np.quantile(seen_lateness(case), 0.99))
    return at_most(f"{case.name}: lateness p99", late * 1e3, LATENESS * 1e3, "{:.2f} ms")


def _hard_cases(wanted: argparse.Namespace) -> list[Case]:
    """Timeouts and an interruption: the counts have to balance there too."""
    slow = Delays(kind="bimodal", parameters=(0.005, 0.4, 0.1))
    hanging = Delays(kind="constant", parameters=(1.5,))
    seconds = min(wanted.seconds, 10.0)
    return [
        _run(wanted, slow, seconds=seconds, more=("--timeout", 0.1), name="timeouts"),
        _run(wanted, hanging, users=int(3 * wanted.rate), more=("--stop-after", RAMP + 2.0), name="interrupted"),
    ]


def _books(case: Case) -> Figure:
    said, counted = case.figures, len(case.log)
    parts = said["ok"] + said["failed"] + said["cancelled"]
    return Figure(
        name=f"{case.name}: sent = ok + failed + cancelled = the server's count",
        target="equal",
        measured=f"{said['sent']:,} = {said['ok']:,} + {said['failed']:,} + {said['cancelled']:,} = {counted:,}",
        reached=said["sent"] == parts == counted,
    )


def _run(
    wanted: argparse.Namespace,
    delays: Delays,
    *,
    seconds: float | None = None,
    users: int | None = None,
    even: bool = False,
    more: Sequence[object] = (),
    meanwhile: Callable[[Started], None] | None = None,
    name: str = "",
    capacity: float | None = None,
) -> Case:
    """One run of the engine against one truth server. meanwhile: called with the server while the load runs."""
    seconds = wanted.seconds if seconds is None else seconds
    users = max(50, int(wanted.rate)) if users is None else users
    core, own = two_cores()
    with tempfile.TemporaryDirectory() as folder, truth(delays, core=core, capacity=capacity) as server:
        kept = Path(folder) / "samples.npz"
        arguments = ["--url", server.url + "/${user.index}", "--users", users, "--rate", wanted.rate, "--seconds", seconds]
        arguments += ["--ramp", RAMP, "--keep", kept, *(["--even"] if even else []), *more]
        with started(module("benchmarks.saturate", *arguments), core=own) as engine:
            if meanwhile is not None:
                meanwhile(server.started)
            figures = json.loads(engine.require_success(seconds + RAMP + 60.0))
        plan = plans.Wanted(users=users, seconds=seconds, ramp=RAMP, rate=wanted.rate, even=even, path="/${user.index}")
        setup = plans.setup(Path(folder), server.url, plan)
        schedule = open_schedule(setup.phases[0], setup.scenario.steps, setup.scenario.seed, needs_of(setup.scenario))
        return Case(
            name=name or str(delays),
            figures=figures,
            samples=read_samples(kept)[plans.PHASE],
            log=server.finish(),
            planned=len(schedule),
        )


if __name__ == "__main__":
    carry_out(main)

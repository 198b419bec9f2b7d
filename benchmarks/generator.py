"""10,000 users at 1,100 requests/s against the sandbox: what the generator costs. ``python -m benchmarks.generator``."""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
from pathlib import Path

from benchmarks import machine
from benchmarks.world import quiet_effects
from velro_gate import units
from velro_gate.gate.measure.results import make_results
from velro_gate.gate.measure.run import run
from velro_gate.gate.measure.setup import RunOptions, Setup, prepare
from velro_gate.gate.measure.shipped import shipped_scenario
from velro_gate.model.record import PhaseSummary
from velro_gate.model.scenario import OpenArrivals, Phase
from velro_gate.sandbox.process import running_sandbox
from velro_gate.sandbox.settings import Settings


def main() -> None:
    """Run one phase and print the generator's cost and its own error."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--users", type=int, default=10_000)
    options.add_argument("--rate", type=float, default=1_100.0)
    options.add_argument("--seconds", type=float, default=60.0)
    wanted = options.parse_args()
    phase = Phase(name="load", users=wanted.users, ramp=20.0, duration=wanted.seconds, arrivals=OpenArrivals(rate=wanted.rate))
    print(machine.describe())
    print(machine.noise())
    with running_sandbox(Settings(port=0)) as sandbox:
        environ = {"VELRO_API_URL": sandbox.url, "SUPABASE_SERVICE_KEY": sandbox.key}
        setup = _only(prepare(RunOptions(scenario=shipped_scenario("velro-prd"), profile="full"), environ), phase)
        with tempfile.TemporaryDirectory() as folder:
            record = run(setup, make_results(Path(folder), "generator"), quiet_effects(environ))
        counted = sandbox.counts()["total"]
    print(line(record.phases[0]))
    print(f"counts: sent {record.phases[0].delivered_total:,}, the service counted {counted:,}")
    print("target at 10,000 users and 1,100/s: at most 40 % of a core, at most 300 MB, equal counts")


def _only(setup: Setup, phase: Phase) -> Setup:
    return dataclasses.replace(setup, plan=dataclasses.replace(setup.plan, phases=(phase,)))


def line(phase: PhaseSummary) -> str:
    """One phase's figures on a line."""
    everything = phase.steps[0]

    def shown(metric: str) -> str:
        found = everything.measurements.get(metric)
        return units.format_seconds(found.value if found else None)

    health = phase.health
    return (
        f"{phase.name}: {phase.users:,} users, {everything.counts.ok / phase.measured_seconds:,.0f} requests/s, "
        f"p50 {shown('p50')}, p95 {shown('p95')}, p99 {shown('p99')}, lateness p99 {shown('lateness_p99')}, "
        f"errors {everything.counts.failed + everything.counts.blocked}, missed {everything.counts.missed}, "
        f"generator {units.format_share(health.cpu_share)} of a core, {units.format_bytes(health.rss_peak)}, "
        f"loop lag at most {units.format_seconds(health.loop_lag_max)}, steal {units.format_share(health.steal_share)}"
    )


if __name__ == "__main__":
    main()

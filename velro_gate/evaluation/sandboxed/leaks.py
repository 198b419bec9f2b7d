"""Leaks of the embedded sandbox, injected by its control endpoint, in real runs of two minutes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from velro_gate.evaluation.bounds import figure_of
from velro_gate.evaluation.results import Aim, Figure
from velro_gate.gate.judge.verdict import reach_verdict
from velro_gate.gate.measure.effects import Effects
from velro_gate.gate.measure.results import make_results
from velro_gate.gate.measure.run import run
from velro_gate.gate.measure.setup import RunOptions, Setup, prepare
from velro_gate.gate.measure.shipped import shipped_scenario
from velro_gate.gate.sandboxed.effects import SCENARIO
from velro_gate.model.facts.findings import Leak
from velro_gate.model.metrics import LONG_STRETCH
from velro_gate.model.scenario import OpenArrivals
from velro_gate.sandbox.process import running_sandbox
from velro_gate.sandbox.settings import Settings

RATE = 100.0
"""Requests a second."""
INJECTED: Mapping[str, Mapping[str, float]] = {
    "rss_growth_share": {"bytes": 20_000},
    "descriptor_growth_share": {"descriptors": 0.01},
}
"""What is ordered, by the metric that has to show it; nothing else may be reported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxLeaks:
    """Runs of the sandbox with leaks of known sizes."""

    folder: Path
    """Where the runs are kept; those that are there are not made again."""
    count: int
    """How many runs of each kind."""


def sandbox_leak_figures(asked: SandboxLeaks, world: Effects) -> Iterator[Figure]:
    """Measure each kind of leak and no leak, ``count`` times each; then how often each was reported, and nothing else.

    Raises:
        UnreachableError: the sandbox does not start.
    """
    for metric, order in (*INJECTED.items(), ("", {})):
        hits = 0
        for number in range(1, asked.count + 1):
            world.say(f"run {number} of {asked.count}: {', '.join(order) or 'no'} leak")
            reported = _reported(asked, number, order, world)
            hits += reported == {metric} if metric else bool(reported)
        aim, target = (Aim.AT_LEAST, 1.0) if metric else (Aim.AT_MOST, 0.0)
        what = "reported, and nothing else" if metric else "reported"
        yield figure_of(f"sandbox, leak of {metric}" if metric else "sandbox, no leak", what, hits, asked.count, aim, target)


def _reported(asked: SandboxLeaks, number: int, order: Mapping[str, float], world: Effects) -> set[str]:
    """The metrics of which a leak is reported in a run of two minutes."""
    with running_sandbox(Settings(port=0, seed=number)) as sandbox:
        environ = {"VELRO_API_URL": sandbox.url, "SUPABASE_SERVICE_KEY": sandbox.key}
        kept = {name: value for name, value in world.environ.items() if name not in ("REDIS_URL", "DATABASE_URL")}
        setup = _for_leaks(prepare(RunOptions(scenario=shipped_scenario(SCENARIO)), {**kept, **environ}))
        sandbox.control({"leak": order})
        record = run(setup, make_results(asked.folder, f"leaks-{'-'.join(order) or 'none'}-{number:03}"), world)
    findings = reach_verdict(record, asked.folder / "no-baselines").findings
    return {finding.facts.metric for finding in findings if isinstance(finding.facts, Leak)}


def _for_leaks(setup: Setup) -> Setup:
    """The plan's first phase for two minutes at a low rate, without requirements."""
    phase = replace(setup.plan.phases[0], users=50, duration=LONG_STRETCH, arrivals=OpenArrivals(rate=RATE), requirements=())
    return replace(setup, plan=replace(setup.plan, phases=(phase,)))

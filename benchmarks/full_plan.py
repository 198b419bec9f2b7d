"""The whole velro-prd plan against the sandbox, with both counts compared at the end. ``python -m benchmarks.full_plan``."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks import machine
from benchmarks.generator import line
from benchmarks.world import quiet_effects
from velro_gate.gate.judge.verdict import reach_verdict, write_reports
from velro_gate.gate.measure.results import make_results
from velro_gate.gate.measure.run import run
from velro_gate.gate.measure.setup import RunOptions, prepare
from velro_gate.gate.measure.shipped import shipped_scenario
from velro_gate.report.sentences.findings import words
from velro_gate.sandbox.process import running_sandbox
from velro_gate.sandbox.settings import Settings


def main() -> None:
    """Run every phase of a profile, print each one's figures, the verdict, and both sides' counts."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--profile", default="full")
    options.add_argument("--output", type=Path, default=Path("velro-results"))
    wanted = options.parse_args()
    print(machine.describe())
    print(machine.noise(), flush=True)
    with running_sandbox(Settings(port=0)) as sandbox:
        environ = {"VELRO_API_URL": sandbox.url, "SUPABASE_SERVICE_KEY": sandbox.key}
        setup = prepare(RunOptions(scenario=shipped_scenario("velro-prd"), profile=wanted.profile), environ)
        results = make_results(wanted.output, f"full-plan-{wanted.profile}")
        record = run(setup, results, quiet_effects(environ))
        counted = sandbox.counts()["total"]
    verdict = reach_verdict(record, None)
    write_reports(record, verdict, results)
    for phase in record.phases:
        print(line(phase))
    sent = sum(phase.delivered_total for phase in record.phases)
    print(f"counts: delivered {sent:,}, the service counted {counted:,}, difference {sent - counted:,}")
    print(f"verdict: {verdict.level.word}; files in {results.folder}")
    for finding in verdict.findings:
        print(f"  {finding.level.word}: {words(finding).sentence}")


if __name__ == "__main__":
    main()

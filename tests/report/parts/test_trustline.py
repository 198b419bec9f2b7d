"""The line that says why to believe the figures, and the table that says how each phase ended, know of shards."""

from __future__ import annotations

import dataclasses
from datetime import date, timedelta

import pytest
import trio

from tests.report.examples import EXAMPLES
from tests.report.golden import shown
from tests.report.records import PRD
from velro_gate.analysis.verdict.trust.limits import doubtful
from velro_gate.model.facts.doubts import Steal
from velro_gate.model.facts.unused import UnusedRuns, WhyUnused
from velro_gate.model.metric.own import MetricOrigin, OwnMetric, OwnUnit, OwnValue
from velro_gate.model.record import Estimate, RunnerSelftest
from velro_gate.model.run import WorkerRun
from velro_gate.model.scenario import ALL_STEPS, Target
from velro_gate.monitor import sources_for, watch
from velro_gate.report.formats.comment import markdown
from velro_gate.report.formats.console import terminal
from velro_gate.report.formats.page import html
from velro_gate.report.parts.trustline import smallest_seen, trust_facts


def test_the_generators_cpu_is_that_of_the_busiest_shard_where_there_are_several() -> None:
    run, verdict = EXAMPLES["pass"]()
    alone = dict(trust_facts(run, verdict))["generator CPU"]
    assert "shard" not in alone
    several = dict(trust_facts(dataclasses.replace(run, shards=3), verdict))["generator CPU"]
    assert several == f"{alone} (the busiest of 3 shards)"


def test_a_run_by_a_cluster_says_how_far_apart_its_workers_began() -> None:
    run, verdict = EXAMPLES["pass"]()
    assert "cluster" not in dict(trust_facts(run, verdict))
    health = run.phases[0].health
    workers = tuple(
        WorkerRun(name=f"worker {number} of 2", health=health, late=late, uncertainty=0.001, drift=0.0)
        for number, late in ((1, -0.001), (2, 0.002))
    )
    phases = (*run.phases[:-1], dataclasses.replace(run.phases[-1], workers=workers))
    facts = dict(trust_facts(dataclasses.replace(run, shards=2, phases=phases), verdict))
    assert facts["cluster"] == "2 workers, start skew up to 5.00 ms"
    searched = dict(trust_facts(dataclasses.replace(run, shards=1, phases=phases), verdict))
    assert searched["cluster"] == facts["cluster"], "the record of a search for the capacity counts no shards"


def test_the_line_never_shows_less_than_a_finding_next_to_it_says_of_a_block_of_the_duet() -> None:
    run, verdict = EXAMPLES["pass"]()
    worse = doubtful(Steal(phase=PRD, share=0.068), 0.068, 0.02)
    assert dict(trust_facts(run, dataclasses.replace(verdict, trust=(worse,))))["CPU steal"] == "6.8 %"


def test_a_phase_in_which_a_shard_was_lost_says_what_became_of_it() -> None:
    run, verdict = EXAMPLES["pass"]()
    lost = dataclasses.replace(run.phases[-1], shards_lost=("shard 2 of 2 was killed by SIGKILL",))
    text = html(dataclasses.replace(run, phases=(*run.phases[:-1], lost)), verdict)
    assert "given up: shard 2 of 2 was killed by SIGKILL" in text


def quoted(days_before: int, **changed: object) -> str | None:
    """What a run says of a selftest that was made so many days before it."""
    run, verdict = EXAMPLES["pass"]()
    day = date.fromisoformat(run.started_at[:10]) - timedelta(days=days_before)
    made = RunnerSelftest(measured_at=f"{day}T10:00:00Z", p95_noise=0.019, p95_seen=0.06, blind=False)
    run = dataclasses.replace(run, selftest=dataclasses.replace(made, **changed))  # type: ignore[arg-type]
    return dict(trust_facts(run, verdict)).get("this runner")


def test_a_selftest_of_the_runner_is_quoted_until_it_is_stale() -> None:
    run, verdict = EXAMPLES["pass"]()
    assert "this runner" not in dict(trust_facts(run, verdict))
    assert (quoted(0) or "").startswith("p95 noise 1.9 %, a duet sees +6.0 % (selftest of 20")
    assert "p95 noise" in (quoted(30) or "")
    assert "stale (31 days old): make a new one with 'velro-gate selftest'" in (quoted(31) or "")


def test_a_runner_that_was_blind_is_called_blind() -> None:
    assert "cannot see +20 %" in (quoted(1, blind=True) or "")


def test_the_quote_stands_in_every_report_for_people() -> None:
    run, verdict = EXAMPLES["pass"]()
    made = RunnerSelftest(measured_at=run.started_at, p95_noise=0.019, p95_seen=None, blind=False)
    run = dataclasses.replace(run, selftest=made)
    for text in (markdown(run, verdict), html(run, verdict)):
        assert "p95 noise 1.9 %" in text


def notes_of(target: Target) -> tuple[str, ...]:
    """What the monitor itself notes of sources that nobody serves."""
    notes: list[str] = []

    async def main() -> None:
        with trio.fail_after(60.0):
            async with trio.open_nursery() as nursery:
                sources = sources_for(target, service_is_local=False)[1:]

                def note(words: str) -> None:
                    notes.append(words)
                    if len(notes) == len(sources):
                        nursery.cancel_scope.cancel()

                await watch(sources, every=2.0, now=trio.current_time, emit=lambda _: None, note=note)

    trio.run(main)
    return tuple(notes)


@pytest.mark.real
def test_sources_that_could_not_be_reached_stand_in_the_trust_line_of_every_report_with_the_reason() -> None:
    nobody = "127.0.0.1:1"
    target = Target(
        url=f"http://{nobody}",
        metrics_path="/metrics",
        watch=(("redis", f"redis://{nobody}/0"), ("postgres", f"postgresql://a:b@{nobody}/c")),
    )
    run, verdict = EXAMPLES["pass"]()
    run = dataclasses.replace(run, notes=notes_of(target))
    said = dict(trust_facts(run, verdict))["not watched"]
    assert sorted(part.split(" (")[0] for part in said.split("), ")) == ["database", "metrics page", "redis"]
    assert "a:b" not in said
    for text in (markdown(run, verdict), html(run, verdict), shown(terminal(run, verdict), width=500)):
        assert "not watched" in text
        assert "redis (" in text


def test_a_run_whose_sources_all_answered_has_nothing_that_was_not_watched() -> None:
    run, verdict = EXAMPLES["pass"]()
    assert "not watched" not in dict(trust_facts(run, verdict))


def test_stored_runs_that_were_skipped_are_counted_one_by_one_also_where_a_sentence_is_about_several() -> None:
    run, verdict = EXAMPLES["pass"]()
    skipped = (
        UnusedRuns(why=WhyUnused.ENVIRONMENT, runs=5, detail="kernel"),
        UnusedRuns(why=WhyUnused.QUARANTINED),
        UnusedRuns(why=WhyUnused.UNREADABLE, detail="a.json is not used: no record"),
    )
    verdict = dataclasses.replace(verdict, baselines_used=0, baselines_skipped=skipped)
    assert dict(trust_facts(run, verdict))["baselines"] == "none used, 7 skipped"


def test_a_smallest_worsening_of_one_figure_alone_is_named() -> None:
    _, verdict = EXAMPLES["pass"]()
    rows = [row for row in verdict.comparisons if row.phase == PRD and row.step == "all" and row.metric in ("p95", "p50")]
    rows.sort(key=lambda row: row.metric, reverse=True)
    known = [dataclasses.replace(row, mde=mde) for row, mde in zip(rows, (0.94, None), strict=True)]
    assert smallest_seen(known) == "94 % (p95)"
    assert smallest_seen([dataclasses.replace(row, mde=0.1) for row in rows]) == "10 %"
    # Two pairs of a duet: a figure of ten digits would say that something was measured.
    assert smallest_seen([dataclasses.replace(row, mde=mde) for row, mde in zip(rows, (3e7, 4e7), strict=True)]) == (
        "more than 200 %"
    )


def test_an_own_metric_without_a_figure_is_not_watched_in_the_phases_that_lack_it() -> None:
    run, verdict = EXAMPLES["pass"]()
    metric = OwnMetric(
        name="queue", origin=MetricOrigin.PROMETHEUS, value=OwnValue.MAX, unit=OwnUnit.COUNT, what="queue_lenght"
    )
    run = dataclasses.replace(run, plan=dataclasses.replace(run.plan, metrics=(metric,)))
    assert dict(trust_facts(run, verdict))["not watched"] == "queue (no value in any phase)"
    first, *others = run.phases
    whole = first.step(ALL_STEPS)
    assert whole is not None
    measured = dataclasses.replace(whole, measurements={**whole.measurements, metric.metric: Estimate.exact(3.0, n=12)})
    steps = tuple(measured if step.step == ALL_STEPS else step for step in first.steps)
    run = dataclasses.replace(run, phases=(dataclasses.replace(first, steps=steps), *others))
    said = dict(trust_facts(run, verdict)).get("not watched", "")
    assert first.name not in said
    assert all(phase.name in said for phase in others[:3])

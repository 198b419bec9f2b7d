"""Every finding's words: the one place that joins the kinds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from velro_gate.model.facts import experiments as experiment_facts
from velro_gate.model.facts import findings as facts_of
from velro_gate.model.facts.doubts import Interrupted
from velro_gate.model.facts.findings import FindingFacts
from velro_gate.model.facts.reasons import BuildStopped
from velro_gate.model.verdict import Finding, TrustFinding
from velro_gate.report.sentences import baselines, reasons
from velro_gate.report.sentences.kinds import comparisons, experiments, failures, requirements, trust
from velro_gate.report.text.words import Words


def words(found: Finding | TrustFinding) -> Words:
    """What is the matter, and what to do about it."""
    return facts_words(found.facts)


def facts_words(facts: FindingFacts) -> Words:
    """The same, of the facts alone."""
    return SENTENCES[type(facts)](facts)


def _run_incomplete(facts: facts_of.RunIncomplete) -> Words:
    said = trust.trust_words(Interrupted()).sentence if facts.interrupted else "the run did not carry out its whole plan"
    return Words(sentence=said, advice="Run it again to its end; what was measured so far is kept.")


def _no_phases(_: facts_of.NoPhases) -> Words:
    return Words(sentence="the record holds no phase, so nothing was measured", advice="Run it again.")


def _duet_interrupted(_: facts_of.DuetInterrupted) -> Words:
    return Words(
        sentence="the duet was interrupted",
        advice="Run it again to its end; the pairs that were measured so far are kept.",
    )


def _build_stopped(facts: BuildStopped) -> Words:
    return Words(
        sentence=reasons.build_stopped(facts),
        advice=f"See the {facts.side} build's own log for the moment at which it stopped, and fix the cause.",
    )


SENTENCES: Mapping[type, Callable[[Any], Words]] = {
    **trust.SENTENCES,
    facts_of.RunIncomplete: _run_incomplete,
    facts_of.NoPhases: _no_phases,
    facts_of.DuetInterrupted: _duet_interrupted,
    BuildStopped: _build_stopped,
    facts_of.RequestsFailed: failures.requests_failed,
    facts_of.PhaseEnded: failures.phase_ended,
    facts_of.RequirementNotMet: requirements.requirement_words,
    facts_of.RequirementsMet: requirements.met_words,
    facts_of.Leak: requirements.leak_words,
    experiment_facts.ExperimentFailed: experiments.experiment_failed,
    experiment_facts.ExpectationNotMet: experiments.expectation_words,
    experiment_facts.ExpectationsMet: experiments.expectations_met,
    facts_of.WaiverExpired: comparisons.waiver_expired,
    facts_of.WaiverUnmatched: comparisons.waiver_unmatched,
    facts_of.MainWorse: baselines.main_worse,
    facts_of.BehindRelease: baselines.behind_release,
    facts_of.NoBaseline: baselines.no_baseline,
    facts_of.BaselineRequired: baselines.baseline_required,
    facts_of.RowDecided: comparisons.row_decided,
    facts_of.RowsOpen: comparisons.rows_open,
    facts_of.TooFewBaselines: comparisons.too_few_baselines,
    facts_of.RowsNotCompared: comparisons.rows_not_compared,
    facts_of.NoLatencyCompared: comparisons.no_latency_compared,
    facts_of.AdvisoryWorse: comparisons.advisory_worse,
    facts_of.AdvisoryNotCompared: comparisons.advisory_not_compared,
    facts_of.NoRegression: comparisons.no_regression,
}

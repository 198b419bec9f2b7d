"""Experiments and what was expected of them, worded."""

from __future__ import annotations

from velro_gate import units
from velro_gate.model.facts.experiments import ExpectationNotMet, ExpectationsMet, ExperimentFailed
from velro_gate.model.record import Estimate
from velro_gate.model.resilience.experiment import Expectation, Expected
from velro_gate.model.scenario import ALL_STEPS
from velro_gate.model.verdict import ExpectationResult, RequirementStatus
from velro_gate.report.text.words import Words

_SUBJECTS = {
    Expected.ERRORS: "errors during the experiment",
    Expected.P95: "p95 during the experiment",
    Expected.DEGRADED: "answers of a declared kind during the experiment",
    Expected.BREAKER: "time until the circuit breaker opens",
    Expected.RECOVERY: "recovery after the fault",
    Expected.RETRIES: "requests at the dependency",
    Expected.STALE: "stale reads after the invalidation",
    Expected.CONSISTENCY: "time until the last stale read",
    Expected.LOAD: "load on the dependency",
    Expected.HIT_RATE: "time until the hit rate is back",
    Expected.LOST: "acknowledged writes that were lost",
    Expected.FAILOVER: "time until others have taken over",
}
_ADVICE = {
    Expected.ERRORS: "Degrade instead of failing: answer from another layer, or declare the allowed answers under 'degraded'.",
    Expected.P95: "Give calls to this dependency a short timeout, and stop calling it while it fails (circuit breaker).",
    Expected.DEGRADED: "See under 'How requests ended' which other answers there were, and handle the dependency's failure.",
    Expected.BREAKER: "Let the circuit breaker open after fewer failures, or count timeouts as failures.",
    Expected.RECOVERY: "Let the breaker try again sooner, and drop connections that broke during the fault from the pool.",
    Expected.RETRIES: "Limit retries by a budget, and let them back off at random intervals.",
    Expected.STALE: "Invalidate every cache layer, of every process, before the write is acknowledged.",
    Expected.CONSISTENCY: "Invalidate the layers nearest to the user as well, or give their entries a shorter lifetime.",
    Expected.LOAD: "Let one request fill a cold key while the others wait for it, and invalidate keys rather than whole tags.",
    Expected.HIT_RATE: "Fill what is read most right after the invalidation, and see whether anything is cached at all.",
    Expected.FAILOVER: "Check replicas more often, take one out after fewer failures, and let clients try another one.",
    Expected.LOST: "Acknowledge a write only once it is stored durably, and refuse it (503) while that is impossible.",
}
_AT_ONCE = {
    Expected.RECOVERY: "at once",
    Expected.FAILOVER: "at once",
    Expected.HIT_RATE: "at once",
    Expected.CONSISTENCY: "no stale read",
}
"""What a time of nothing is called: it is seen in windows of a second, or there was nothing to wait for."""
_MARGINAL = "Run again, or let the fault last longer: the limit lies inside the interval of this measurement."
_NOT_MEASURED = "Let the experiment be carried out and last long enough; what was not measured is never met."


def expectation_subject(wanted: Expectation) -> str:
    """What is expected of, in plain words."""
    return _SUBJECTS[wanted.kind] + ("" if wanted.step == ALL_STEPS else f" of {wanted.step}")


def expectation_value(kind: Expected, value: float) -> str:
    """A value of such a figure with its unit."""
    match kind:
        case Expected.ERRORS | Expected.DEGRADED | Expected.STALE:
            return units.format_share(value)
        case Expected.LOST:
            return units.format_whole(value)
        case Expected.RETRIES | Expected.LOAD:
            return f"{units.format_number(value, digits=3)} times as many"
        case _:
            return units.format_seconds(value)


def expectation_limit(wanted: Expectation) -> str:
    """The limit with its sign."""
    return f"{'≥' if wanted.kind.at_least else '≤'} {units.trim_zeros(expectation_value(wanted.kind, wanted.limit))}"


def expectation_figure(result: ExpectationResult) -> str:
    """The measured figure with its interval, or that there is none."""
    found, kind = result.estimate, result.expectation.kind
    if found is None:
        return units.MISSING
    if result.unfinished:
        return f"more than {expectation_value(kind, found.value)}{_seen_by(result)}"
    if kind is Expected.LOST:
        if not found.n:
            return "0: no write was acknowledged"
        return f"{expectation_value(kind, found.value)} of {units.format_count(found.n)}"
    if found.high == 0.0 and kind in _AT_ONCE:
        return _AT_ONCE[kind]
    return expectation_value(kind, found.value) + _interval(kind, found) + _seen_by(result)


def _seen_by(result: ExpectationResult) -> str:
    """Which users saw a stale value."""
    if result.users is None or not result.users[0]:
        return ""
    return f", seen by {result.users[0]} of {result.users[1]} users"


def _interval(kind: Expected, found: Estimate) -> str:
    if found.low == found.high:
        return ""
    return f" ({units.join_range(expectation_value(kind, found.low), expectation_value(kind, found.high))})"


def experiment_name(experiment: str, repeat: int) -> str:
    """An experiment, with its number where it is a repetition."""
    return experiment if repeat == 1 else f"{experiment} (repetition {repeat})"


def expectation_sentence(result: ExpectationResult) -> str:
    """One expectation against what was measured, without its phase."""
    wanted = result.expectation
    about = f"{experiment_name(result.experiment, result.repeat)}: {expectation_subject(wanted)}"
    limit = units.trim_zeros(expectation_value(wanted.kind, wanted.limit))
    if result.status is RequirementStatus.NOT_MEASURED:
        until = f" (it lasts {expectation_figure(result)})" if result.unfinished else ""
        return f"{about} not measured{until}"
    if result.estimate is None:
        return f"{about} has no figure: no request succeeded"
    if result.unfinished:
        watched = expectation_value(wanted.kind, result.estimate.value)
        return f"{about}: {_never(result, watched)}, the limit is {limit}"
    outside = "below" if wanted.kind.at_least else "above"
    place = "inside" if result.met else outside
    tail = "; its interval includes it" if result.status is RequirementStatus.MARGINAL else ""
    return f"{about} {expectation_figure(result)}, {place} the limit of {limit}{tail}"


def _never(result: ExpectationResult, watched: str) -> str:
    """What had not happened by the end. watched: for how long it was waited for."""
    match result.expectation.kind:
        case Expected.BREAKER:
            return f"it did not open within {watched}"
        case Expected.CONSISTENCY:
            return f"reads were still stale after {watched}{_seen_by(result)}"
        case Expected.HIT_RATE:
            return f"it did not come back within {watched}"
        case Expected.FAILOVER:
            return f"traffic did not move within {watched}"
        case _:
            return f"the service did not recover within {watched}"


def experiment_failed(facts: ExperimentFailed) -> Words:
    """An experiment that was not carried out."""
    why = facts.why or "the run has no record of it"
    return Words(
        sentence=f"the experiment {experiment_name(facts.experiment, facts.repeat)} was not carried out: {why}",
        advice="Fix the cause and run again: nothing is known of how the service behaves in this experiment.",
    )


def expectation_words(facts: ExpectationNotMet) -> Words:
    """Something expected that is not simply met."""
    result = facts.result
    advice = {RequirementStatus.MARGINAL: _MARGINAL, RequirementStatus.NOT_MEASURED: _NOT_MEASURED}
    return Words(sentence=expectation_sentence(result), advice=advice.get(result.status, _ADVICE[result.expectation.kind]))


def expectations_met(facts: ExpectationsMet) -> Words:
    """How many expectations are met."""
    if facts.of == 1:
        return Words(sentence="the one expectation of an experiment is met")
    share = f"all {facts.met}" if facts.met == facts.of else f"{facts.met} of {facts.of}"
    return Words(sentence=f"{share} expectations of experiments are met")

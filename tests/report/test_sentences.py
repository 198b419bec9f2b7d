"""Sentences say nothing that their own figures contradict: walked over made-up figures of every kind."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.analysis.phases import phase
from tests.analysis.runs import run, summary
from velro_gate.analysis.stored.explanation import Moved, explain, shape_of, stayed
from velro_gate.analysis.verdict.findings import requirement_findings
from velro_gate.analysis.verdict.requirements import check_requirements
from velro_gate.model.facts.bottlenecks import Bottleneck, LockWaits, PoolExhausted
from velro_gate.model.facts.doubts import CountersFell, FewResponses, FigureName, MonitorGaps, TooFewUsers, Worded
from velro_gate.model.facts.explanations import NewWithBuild
from velro_gate.model.facts.findings import Causes, Failing, RequestsFailed
from velro_gate.model.facts.reasons import Again, RunsAgain, TooFewResponses
from velro_gate.model.facts.regression import QuantileMove, ShiftShape
from velro_gate.model.scenario import Comparator, Requirement
from velro_gate.model.verdict import Change, Comparison, Level
from velro_gate.report.parts import view
from velro_gate.report.parts.rows import requirement_row
from velro_gate.report.parts.wording import moved as moved_words
from velro_gate.report.sentences.bottlenecks import bottleneck_words
from velro_gate.report.sentences.explanations import explanation_sentence
from velro_gate.report.sentences.findings import words
from velro_gate.report.sentences.kinds.failures import requests_failed
from velro_gate.report.sentences.kinds.trust import trust_words
from velro_gate.report.sentences.reasons import reason_words
from velro_gate.report.text.phrase import plain

CHANGES = st.floats(-0.5, 3.0)


@st.composite
def quantiles(draw: st.DrawFn) -> list[QuantileMove]:
    found = []
    for metric in draw(st.sampled_from([("p50",), ("p50", "p90"), ("p50", "p90", "p95"), ("p50", "p90", "p95", "p99")])):
        change, reach = draw(CHANGES), draw(st.floats(0.001, 2.0))
        sure = change - reach > 0.0 and change >= 0.05 and draw(st.booleans())
        seconds = change * draw(st.floats(0.001, 0.1))
        found.append(
            QuantileMove(metric=metric, change=change, low=change - reach, high=change + reach, seconds=seconds, moved=sure)
        )
    return found


@given(quantiles(), st.floats(0.001, 0.1))
def test_where_a_change_is_said_to_be_the_rest_certainly_did_not_move_as_far(found: list[QuantileMove], median: float) -> None:
    worse = Comparison(
        phase="steady", step="login", metric="p50", verdict=Change.REGRESSION, primary=True, level=Level.FAIL, p=0.001
    )
    moved = {"login": Moved(step="login", quantiles=tuple(found), median=median)}
    one = explain([worse], ("login",), moved, origin=lambda _: NewWithBuild(), companions=lambda *_: ())
    said = explanation_sentence(one)
    certainly = [one for one in found if one.moved]
    if "not in the tail" in said:
        assert found[-1].high < min(one.change for one in certainly)
    if "only in the tail" in said or "of its requests by about" in said:
        assert any(one.high < min(two.change for two in certainly) for one in found if not one.moved)
        assert found[-1].moved or any(one.moved for one in found[1:])
    if "by about the same percentage" in said:
        assert max(one.change for one in found) <= 1.5 * min(one.change for one in found)
    if "no single quantile is certain" in said:
        assert not certainly
    for label in re.findall(r"certain at (.*?) \(", said):
        assert label.split(" and ") == [one.metric for one in certainly]


def test_quantiles_that_moved_alike_are_no_change_in_the_middle_because_only_one_is_sure() -> None:
    sure = QuantileMove(metric="p50", change=0.30, low=0.27, high=0.34, seconds=0.009, moved=True)
    unsure = [QuantileMove(metric=m, change=0.30, low=-0.02, high=0.7, seconds=0.01, moved=False) for m in ("p90", "p95")]
    assert shape_of([sure, *unsure], 0.03) is ShiftShape.SAME_SHARE
    still = [QuantileMove(metric=m, change=0.01, low=-0.02, high=0.03, seconds=0.0, moved=False) for m in ("p90", "p95")]
    assert shape_of([sure, *still], 0.03) is ShiftShape.MIDDLE
    assert stayed(still[0], [sure])


@given(st.lists(st.sampled_from([0.5, 1.1, 2.0]), min_size=1, max_size=12))
def test_there_is_one_count_of_the_requirements_that_are_met(targets: list[float]) -> None:
    """Of a p95 with an interval to either side: far inside its limit, just inside it, outside."""
    record = run(summary())
    value = record.phases[0].measurement("p95")
    assert value is not None
    wanted = tuple(
        Requirement(metric="p95", comparator=Comparator.BELOW, target=value.value * (1.005 if target == 1.1 else target))
        for target in targets
    )
    results = check_requirements([phase(*wanted)], record)
    met = sum(result.met for result in results)
    counted = view.requirement_count(list(results))
    assert counted.startswith(f"{met} of {len(results)} met")
    said = [words(found).sentence for found in requirement_findings(results) if found.subject == "requirements"]
    if not met:
        assert not said
    elif len(results) == 1:
        assert said[0].startswith("the one requirement is met")
    else:
        assert said[0].startswith(f"all {met} " if met == len(results) else f"{met} of {len(results)} ")
    assert ("marginally" in counted) == any("marginally" in each for each in said)


@given(
    change=CHANGES,
    mde=st.none() | st.floats(0.01, 2.0),
    verdict=st.sampled_from([Change.SUSPICIOUS, Change.INCONCLUSIVE, Change.REGRESSION]),
    primary=st.booleans(),
    reason=st.sampled_from(["", "a worsening of 20 % cannot be ruled out"]),
)
def test_a_headline_never_calls_too_small_to_see_what_lies_above_the_smallest_visible_change(
    change: float, mde: float | None, verdict: Change, primary: bool, reason: str
) -> None:
    row = Comparison(
        phase="steady",
        step="all",
        metric="p95",
        verdict=verdict,
        primary=primary,
        level=Level.INCONCLUSIVE if verdict is not Change.REGRESSION else Level.FAIL,
        baseline=0.1,
        current=0.1 * (1.0 + change),
        change=change,
        change_low=change - 0.1,
        change_high=change + 0.1,
        worse=change,
        p=0.01,
        p_adjusted=0.04,
        mde=mde,
        k=10,
        reasons=(Worded(code="x", sentence=reason),) if reason else (),
    )
    said = plain(moved_words(row))
    assert ("could only have detected" in said) <= (mde is not None and abs(change) < mde)
    assert "too noisy" not in said


@pytest.mark.parametrize(("worse", "runs"), [(3, 3), (2, 3), (2, 2)])
def test_further_runs_that_are_worse_by_the_margin_are_not_said_not_to_look_worse(worse: int, runs: int) -> None:
    said = reason_words(RunsAgain(worse=worse, runs=runs, margin=0.05, found=Again.NOT_REPEATED))
    assert "not look worse" not in said
    assert "within the noise between runs" in said
    assert "do not look worse" in reason_words(RunsAgain(worse=1, runs=3, margin=0.05, found=Again.NOT_REPEATED))


def test_one_of_anything_is_in_the_singular() -> None:
    p95 = FigureName(step="list", metric="p95")
    few_users = TooFewUsers(phase="steady", users=1, needed=0.4, offered=2.0, response=1.0, service=0.1, blocked=1)
    doubts = (
        few_users,
        FewResponses(phase="steady", figure=p95, answers=1, beyond=0.05),
        MonitorGaps(phase="steady", source="redis", readings=1, most=20),
        CountersFell(phase="steady", source="service", series="hits_total", falls=1),
    )
    causes = (PoolExhausted(size=4.0, share=0.9, waiting=1.0), LockWaits(waiting=1.0, longest=None))
    (met,) = check_requirements([phase(Requirement(metric="p95", comparator=Comparator.BELOW, target=9.0))], run(summary()))
    failed = RequestsFailed(phase="steady", sent=1, succeeded=0, rate=1.0, most=0.5, causes=Causes(), failing=Failing.OTHERWISE)
    said = [part for one in doubts for part in (trust_words(one).sentence, trust_words(one).advice)]
    said += [
        bottleneck_words(Bottleneck(start=0.0, end=1.0, strength=1.0, series=("a/b",), facts=one)).sentence for one in causes
    ]
    said += [requests_failed(failed).sentence, view.folded_words([requirement_row(met)])]
    said += [reason_words(RunsAgain(worse=1, runs=2, margin=0.05, found=found)) for found in Again if found is not Again.BETTER]
    said.append(reason_words(TooFewResponses(metric="p95", answers=1, needed=600)))
    for sentence in said:
        assert not re.search(r"(?<![\d.,])1 (?:[a-z]+ )?(?!is\b|was\b)[a-z]+s\b(?! of)", sentence.replace("of its", "")), (
            sentence
        )
        assert "the 1 " not in sentence
        assert "all 1 " not in sentence

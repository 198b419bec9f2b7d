"""What held a run back stands in every report, and its remedy before all other advice."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.analysis.runs import baselines, run, summary
from tests.report.golden import shown
from velro_gate.analysis.verdict.judge import judge
from velro_gate.model.facts import bottlenecks as causes
from velro_gate.model.facts.bottlenecks import Bottleneck, BottleneckFacts
from velro_gate.model.scenario import Comparator, Requirement
from velro_gate.model.verdict import Level
from velro_gate.report.formats.comment import markdown
from velro_gate.report.formats.console import terminal
from velro_gate.report.formats.document import verdict_json
from velro_gate.report.formats.page import html
from velro_gate.report.parts.view import build
from velro_gate.report.sentences.bottlenecks import bottleneck_words
from velro_gate.store.codec import decode_record, encode_record


def bottleneck(facts: BottleneckFacts) -> Bottleneck:
    return Bottleneck(start=4.0, end=8.0, strength=0.9, series=("requests/done",), facts=facts)


EVERY = (
    (causes.PoolExhausted(size=20.0, share=0.8, waiting=34.0), "all 20 connections in use in 80.0 % of the readings"),
    (causes.ServiceCpu(share=0.98), "its busiest process used 98.0 % of a core from 4.0 to 8.0 s"),
    (causes.RunnerCpu(share=0.99, others=(("cc1plus", 0.9),)), "cc1plus 90.0 % of a core"),
    (causes.RunnerCpu(share=0.7, steal=0.2), "its host took 20.0 % of it"),
    (causes.MemoryGrowth(rate=2.0**27, low=2.0**26, share=0.5), "128 MiB"),
    (causes.CacheMisses(share=0.3, slower=4.0, explained=0.9), "30.0 % of the look-ups missed, each 4.0 times as slow"),
    (causes.StepTail(step="list", p50=0.01, p95=0.2, share=0.9), "list has a tail of its own: p95 200 ms"),
    (causes.LockWaits(waiting=3.0, longest=1.5), "3 database sessions waited for locks"),
    (causes.SlowQuery(longest=0.8, statement="select from orders"), "'select from orders' takes most of the time"),
    (causes.ErrorBurst(kind="503", count=412, of=1020, step="list"), "503 from 4.0 to 8.0 s: 412 of 1,020 requests"),
    (causes.ErrorBurst(kind="TIMEOUT", count=12, of=100), "timeouts from 4.0 to 8.0 s"),
    (causes.ServiceStall(seconds=4.0, waiting=812), "no answer from 4.0 to 8.0 s"),
    (causes.Saturation(offered=150.0, answered=121.0, before=8.0, after=240.0), "does not keep up with 150/s"),
    (causes.Saturation(offered=150.0, answered=121.0, before=300.0, after=300.0), "and 300 requests were always in flight"),
    (causes.GeneratorLimit(cpu=0.97, late=0.2, missed=40, stalled=1.0), "the generator is at its own limit: 97.0 %"),
    (
        causes.GeneratorLimit(cpu=0.096, late=0.006, stalled=0.45),
        "held up, using only 9.6 % of a core: requests up to 6.00 ms late",
    ),
    (causes.NoisyNeighbour(process="python", share=0.48), "python 48.0 % of a core"),
    (causes.DependencyDown(source="redis", seconds=4.0), "Redis did not answer the monitor from 4.0 to 8.0 s"),
    (causes.ErrorBurst(kind="503", count=12, of=12, elsewhere=7), "12 of 12 requests in that time; 7 more at other times"),
    (causes.ErrorBurst(kind="201", count=12, of=100), "unexpected 201 from 4.0 to 8.0 s"),
)


@pytest.mark.parametrize(("facts", "words"), EVERY, ids=lambda value: getattr(value, "code", None))
def test_each_cause_is_one_sentence_with_its_figures_and_a_remedy(facts: BottleneckFacts, words: str) -> None:
    said = bottleneck_words(bottleneck(facts))
    assert words in said.sentence
    assert not said.sentence.endswith(".")
    assert said.advice.endswith(".")


def test_bottlenecks_stand_in_every_report_and_their_remedies_before_other_advice() -> None:
    stall, errors = bottleneck(EVERY[11][0]), bottleneck(EVERY[9][0])
    slow = run(replace(summary(), bottlenecks=(stall, errors)))
    verdict = judge(slow, ())
    for text in (
        shown(terminal(slow, verdict)),
        markdown(slow, verdict),
        html(slow, verdict),
        verdict_json(slow, verdict),
    ):
        assert "no answer from 4.0 to 8.0 s" in text.lower()
        assert "503 from 4.0 to 8.0 s" in text
    steps = build(slow, verdict).next_steps
    assert [step.advice for step in steps[:2]] == [bottleneck_words(stall).advice, bottleneck_words(errors).advice]
    assert "no answer" in steps[0].reasons[0].sentence.lower()


def test_a_run_that_passes_has_nothing_to_do_and_its_remedies_stand_with_their_causes() -> None:
    tail = bottleneck(EVERY[6][0])
    held = run(replace(summary(), bottlenecks=(tail,)))
    verdict = judge(held, baselines(5, sd=0.01))
    assert verdict.level is Level.PASS
    for text in (shown(terminal(held, verdict)), markdown(held, verdict)):
        assert "no action needed" in text
        assert "Nothing to do." in text
        assert "Find what some requests of list do that others do not" in " ".join(text.split())


def test_a_run_that_fails_is_not_advised_to_look_at_the_machine_first() -> None:
    neighbour, tail = bottleneck(EVERY[2][0]), bottleneck(EVERY[6][0])
    slow = run(replace(summary(times=2.0), bottlenecks=(neighbour, tail)))
    verdict = judge(slow, baselines(5, sd=0.01))
    assert verdict.level is Level.FAIL
    advice = [step.advice for step in build(slow, verdict).next_steps]
    assert advice[0] == bottleneck_words(tail).advice
    assert advice[-1] == bottleneck_words(neighbour).advice
    assert len(advice) > 2


def test_a_run_without_bottlenecks_says_nothing_of_them() -> None:
    plain = run(summary())
    verdict = judge(plain, ())
    assert "ottleneck" not in markdown(plain, verdict)
    assert "ottleneck" not in shown(terminal(plain, verdict))
    assert build(plain, verdict).bottlenecks == []


def test_bottlenecks_are_kept_with_a_record_and_left_out_of_a_baseline() -> None:
    slow = run(replace(summary(), bottlenecks=tuple(bottleneck(facts) for facts, _ in EVERY)))
    assert decode_record(encode_record(slow)) == slow
    assert decode_record(encode_record(slow, compact=True)).phases[0].bottlenecks == ()


def test_a_run_that_fails_for_its_errors_alone_is_advised_to_look_at_them_before_what_makes_requests_slow() -> None:
    tail = bottleneck(EVERY[6][0])
    failing = run(replace(summary(failed=300), bottlenecks=(tail,)))
    verdict = judge(failing, baselines(5, sd=0.01))
    assert verdict.level is Level.FAIL
    advice = [step.advice for step in build(failing, verdict).next_steps]
    assert advice[-1] == bottleneck_words(tail).advice
    assert len(advice) > 1


def test_a_run_that_is_broken_for_a_missing_figure_is_advised_first_how_to_measure_it() -> None:
    tail = bottleneck(EVERY[6][0])
    wanted = Requirement(metric="p95", comparator=Comparator.BELOW, target=1.0)
    plan = tuple(replace(phase, requirements=(wanted,)) for phase in run(summary()).plan.phases)
    unmeasured = run(replace(summary(without=("p95",)), bottlenecks=(tail,)), plan=plan)
    verdict = judge(unmeasured, ())
    assert verdict.level is Level.BROKEN
    first, second, *_ = build(unmeasured, verdict).next_steps
    assert first.advice.startswith("Let the run measure it")
    assert "not measured" in first.reasons[0].sentence
    assert second.advice == bottleneck_words(tail).advice

"""What the log says of a verdict: reasons, bottlenecks and remedies, a line each."""

from __future__ import annotations

import logging
from dataclasses import replace

from tests.analysis.runs import run, summary
from tests.report.examples import EXAMPLES
from velro_gate.analysis.verdict.judge import judge
from velro_gate.gate.judge.logged import verdict_entries
from velro_gate.model.facts.bottlenecks import Bottleneck, PoolExhausted, SlowQuery


def test_a_failed_verdict_is_an_error_with_each_reason_and_what_to_do() -> None:
    (level, first), *rest = verdict_entries(*EXAMPLES["fail-both"]())
    assert (level, first[:15]) == (logging.ERROR, "verdict: fail: ")
    assert all(". To do: " in line for _, line in rest)
    assert rest


def test_a_verdict_that_passes_is_one_line() -> None:
    ((level, line),) = verdict_entries(*EXAMPLES["pass"]())
    assert (level, line[:15]) == (logging.INFO, "verdict: pass: ")


def test_a_bottleneck_is_logged_with_its_remedy() -> None:
    one = Bottleneck(start=4.0, end=8.0, strength=0.9, series=("a",), facts=PoolExhausted(size=20.0, share=0.8))
    record = run(replace(summary(), bottlenecks=(one,)))
    lines = [line for _, line in verdict_entries(record, judge(record, ()))]
    assert any(
        "bottleneck: The database pool was exhausted" in line and "Increase the connection pool" in line for line in lines
    )


def test_no_entry_has_more_than_one_line() -> None:
    hostile = Bottleneck(start=4.0, end=8.0, strength=0.9, series=("a",), facts=SlowQuery(longest=1.0, statement="select\n1"))
    record = run(replace(summary(), bottlenecks=(hostile,)))
    assert all("\n" not in line for _, line in verdict_entries(record, judge(record, ())))

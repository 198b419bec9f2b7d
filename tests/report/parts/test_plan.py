"""The dry run's table: every phase, the sums, and the sentences about this machine."""

from __future__ import annotations

import dataclasses

from tests.report.golden import shown
from velro_gate.report.parts.dry_run.plan import PlanRow, plan_view

WARM_UP = PlanRow(phase="warm_up_baseline", users=500, ramp=30.0, duration=120.0, offered=110.0, requests=14_850.0)
PRD = PlanRow(phase="prd_compliance_validation", users=10_000, ramp=60.0, duration=600.0, offered=1_100.0, requests=693_000.0)
SENTENCES = ["About 12,300 descriptors are needed; 65,536 are allowed.", "Nothing has been sent."]


def test_each_phase_has_a_row_and_the_table_ends_with_the_sums() -> None:
    lines = [line.split() for line in shown(plan_view([WARM_UP, PRD], SENTENCES)).splitlines()]
    assert ["warm_up_baseline", "500", "30", "s", "2", "min", "110/s", "14,850"] in lines
    assert ["prd_compliance_validation", "10,000", "1", "min", "10", "min", "1,100/s", "693,000"] in lines
    assert ["all,", "13", "min", "30", "s", "at", "most", "10,000", "1", "min", "30", "s", "12", "min", "707,850"] in lines
    assert lines[-2:] == [sentence.split() for sentence in SENTENCES]


def test_a_closed_loop_has_no_rate_and_no_count_known_before() -> None:
    loop = PlanRow(phase="loop", users=10, ramp=0.0, duration=60.0, offered=None, requests=None)
    text = shown(plan_view([loop, WARM_UP]))
    assert "closed loop" in text
    assert text.count("depends on the responses") == 2


def test_one_phase_needs_no_sums() -> None:
    assert "at most" not in shown(plan_view([WARM_UP]))


def test_an_empty_plan_is_still_a_table() -> None:
    assert "Phase Users Ramp Measured Offered Requests" in " ".join(shown(plan_view([])).split())


def test_text_from_outside_stays_on_its_line() -> None:
    text = shown(plan_view([dataclasses.replace(WARM_UP, phase="a\nb\x1b")], ["x\ny"]))
    assert "a b" in text
    assert "x y" in text
    assert "\x1b" not in text

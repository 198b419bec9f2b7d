"""The dry run's table: every phase, the sums, and the sentences about this machine."""

from __future__ import annotations

from tests.report.golden import shown
from velro_gate import report

ROWS: list[report.PlanRow] = [
    ("warm_up_baseline", 500, 30.0, 120.0, 110.0, 14_850.0),
    ("prd_compliance_validation", 10_000, 60.0, 600.0, 1_100.0, 693_000.0),
]
SENTENCES = ["About 12,300 descriptors are needed; 65,536 are allowed.", "Nothing has been sent."]


def test_the_text_is_aligned_and_ends_with_the_sums() -> None:
    assert report.plan_text(ROWS, SENTENCES) == (
        "Phase                               Users        Ramp  Measured  Offered  Requests\n"
        "warm_up_baseline                      500        30 s     2 min    110/s    14,850\n"
        "prd_compliance_validation          10,000       1 min    10 min  1,100/s   693,000\n"
        "all, 13 min 30 s           at most 10,000  1 min 30 s    12 min            707,850\n"
        "\n"
        "About 12,300 descriptors are needed; 65,536 are allowed.\n"
        "Nothing has been sent.\n"
    )


def test_the_view_shows_the_same_figures() -> None:
    text = shown(report.plan_view(ROWS, SENTENCES))
    for figure in ("warm_up_baseline", "10,000", "1,100/s", "707,850", "13 min 30 s", *SENTENCES):
        assert figure in text


def test_a_closed_loop_has_no_rate_and_no_count_known_before() -> None:
    text = report.plan_text([("loop", 10, 0.0, 60.0, None, None), ROWS[0]])
    assert "closed loop" in text
    assert text.count("depends on the responses") == 2


def test_one_phase_needs_no_sums() -> None:
    assert len(report.plan_text(ROWS[:1]).splitlines()) == 2
    assert "at most" not in shown(report.plan_view(ROWS[:1]))


def test_an_empty_plan_is_still_a_table() -> None:
    assert report.plan_text([]) == "Phase  Users  Ramp  Measured  Offered  Requests\n"


def test_text_from_outside_stays_on_its_line() -> None:
    text = report.plan_text([("a\nb\x1b", 1, 0.0, 1.0, 1.0, 1.0)], ["x\ny"])
    assert "a b" in text
    assert "x y" in text
    assert "\x1b" not in text

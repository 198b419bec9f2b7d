"""The nightly workflow under act: first the runner itself, then the service."""

from __future__ import annotations

from tests.act.host import Host

NIGHT = {"schedule": "17 3 * * *", "repository": {"full_name": "acme/shop", "default_branch": "main"}}


def tonight(here: Host, minutes: int) -> str:
    """The log of a night whose selftest may take so long."""
    file = here.repository / ".github/workflows/perf-nightly.yml"
    mode = "          mode: selftest\n"
    text = file.read_text(encoding="utf-8")
    assert mode in text
    file.write_text(text.replace(mode, f"{mode}          selftest-minutes: {minutes}\n"), encoding="utf-8")
    here.scenario()
    return here.run("schedule", "perf-nightly", NIGHT)


def test_a_night_has_the_stand_in_that_the_selftest_measures_and_says_how_long_one_takes_at_least(here: Host) -> None:
    log = tonight(here, 1)
    assert "requirements/sandbox.txt" in log, log
    assert "a selftest in 1 min would measure 1 cycles of blocks" in log, log
    assert "Allow at least 5 minutes with --minutes (in a workflow: selftest-minutes)" in log
    assert here.lights == []


def test_a_night_without_a_selftest_measures_the_service_and_leaves_its_reports(here: Host) -> None:
    log = tonight(here, 0)
    assert "mode selftest" in log
    assert "verdict: no-baseline" in log, log
    assert {"record.json", "verdict.json", "report.html"} <= here.uploads("velro-reports"), log
    assert here.lights == []
    assert here.api.state.comments == []

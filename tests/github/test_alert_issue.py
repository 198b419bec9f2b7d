"""The alert issue: opened once, kept up to date, closed by itself; whoever else writes there."""

from __future__ import annotations

import pytest

from tests.github.issues import AUTHOR, Issues
from velro_gate.errors import PublishError
from velro_gate.github.channels.alert_issue import IssueOutcome, IssueResult, raise_alert, resolve_alert

MARKER = "<!-- velro-gate-alert:shop/pr -->"
BODY = f"{MARKER}\nworse\n"


def raised(there: Issues, body: str = BODY) -> IssueResult:
    with there.client() as api:
        return raise_alert(api, marker=MARKER, title="Performance of main", body=body, author=AUTHOR)


def resolved(there: Issues) -> IssueResult:
    with there.client() as api:
        return resolve_alert(api, marker=MARKER, body=f"{MARKER}\nresolved\n", author=AUTHOR)


def test_the_first_alert_opens_an_issue_and_later_ones_change_it() -> None:
    there = Issues()
    assert raised(there).outcome is IssueOutcome.OPENED
    assert raised(there, BODY + "more\n").outcome is IssueOutcome.UPDATED
    assert raised(there, BODY + "more\n").outcome is IssueOutcome.UNCHANGED
    assert [one["body"] for one in there.open] == [BODY + "more\n"]


def test_it_is_closed_when_all_is_well_and_opened_again_by_the_next_alert() -> None:
    there = Issues()
    raised(there)
    assert resolved(there).outcome is IssueOutcome.CLOSED
    assert there.open == []
    assert there.issues[0]["state_reason"] == "completed"
    assert resolved(there).outcome is IssueOutcome.NONE
    assert raised(there).outcome is IssueOutcome.OPENED
    assert len(there.issues) == 2


def test_what_only_looks_like_ours_is_left_alone() -> None:
    there = Issues()
    there.add(BODY, author="mallory")
    there.add(f"> quoted\n{BODY}")
    there.add(f"{MARKER} and more\n")
    there.add(BODY, pull_request={"url": "x"})
    there.add(BODY, user=None)
    assert resolved(there).outcome is IssueOutcome.NONE
    assert raised(there).outcome is IssueOutcome.OPENED
    assert len(there.open) == 6


def test_of_two_that_were_opened_at_once_the_oldest_stays() -> None:
    there = Issues()
    first, second = there.add(BODY), there.add(BODY)
    raised(there, BODY + "new\n")
    assert [one["number"] for one in there.open] == [first["number"]]
    assert second["state_reason"] == "not_planned"


def test_a_creation_whose_answer_was_lost_is_not_repeated() -> None:
    there = Issues(lost=1)
    assert raised(there).outcome is IssueOutcome.OPENED
    assert len(there.issues) == 1


def test_a_token_that_may_not_write_issues_is_shown_which_permission_is_missing() -> None:
    with pytest.raises(PublishError) as refused:
        raised(Issues(refuse=403))
    assert "issues: read" in str(refused.value)


def test_a_body_that_could_not_be_found_again_is_refused() -> None:
    with pytest.raises(ValueError, match="begins with its marker"):
        raised(Issues(), "no marker\n")

"""A failed answer can be seen: in the comment and in the HTML, harmless wherever it is shown."""

from __future__ import annotations

import dataclasses

from tests.report.examples import EXAMPLES
from velro_gate.model.record import RunRecord
from velro_gate.model.run import FirstFailure
from velro_gate.report.formats.comment import markdown
from velro_gate.report.formats.page import html
from velro_gate.report.parts.measured import failure_rows

FIRST = FirstFailure(
    step="list",
    outcome="STATUS",
    status=503,
    count=61_133,
    at=1.0,
    request="GET http://127.0.0.1:8400/list?limit=20",
    reason="expected 200",
    seen='{"error": "<script>alert(1)</script> | @everyone"}',
)
CHECK = dataclasses.replace(
    FIRST, outcome="CHECK", status=200, count=2, reason='$.status must be "ready"', came='"starting"', seen="{}"
)


def with_failures(*failures: FirstFailure) -> RunRecord:
    made, _ = EXAMPLES["pass"]()
    first, *rest = made.phases
    return dataclasses.replace(made, phases=(dataclasses.replace(first, failures=failures), *rest))


def test_what_failed_is_named_by_its_status_or_by_its_check_and_what_that_found() -> None:
    rows = failure_rows(with_failures(FIRST, CHECK))
    assert [row.what for row in rows] == [
        "list: 61,133 x 503 Service Unavailable, expected 200",
        'list: 2 x failed check: $.status must be "ready", found "starting"',
    ]


def test_the_first_failed_answer_stands_harmless_in_comment_and_page() -> None:
    record = with_failures(FIRST)
    whole, verdict = EXAMPLES["pass"]()
    comment, page = markdown(record, verdict), html(record, verdict)
    for text in (comment, page):
        assert "61,133 x 503 Service Unavailable, expected 200" in text
        assert "limit=20" in text
        assert "<script>alert" not in text
    assert "@everyone" not in comment
    assert "What came" not in markdown(whole, verdict)

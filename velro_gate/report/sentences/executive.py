"""What an executive summary says of the trend."""

from __future__ import annotations

from velro_gate.model.verdict import Change, Comparison
from velro_gate.report.text import figures
from velro_gate.report.text.words import subject

_FOUND = {
    Change.REGRESSION: "a regression",
    Change.SUSPICIOUS: "not confirmed, not refuted",
    Change.INCONCLUSIVE: "not shown to be unchanged",
    Change.UNCHANGED: "unchanged",
    Change.IMPROVEMENT: "an improvement",
}


def compared_words(row: Comparison) -> str:
    """``p95 of all requests in steady: 64.9 ms, before 63.1 ms (+2.9 %, unchanged), compared with 10 accepted runs.``"""
    before = "the base build, in pairs of blocks" if row.pairs else f"{row.k} accepted run{'' if row.k == 1 else 's'}"
    return (
        f"{subject(row.metric, row.step)} in {row.phase}: {figures.figure(row.metric, row.current)}, before "
        f"{figures.figure(row.metric, row.baseline)} ({figures.change(row)}, {_FOUND[row.verdict]}), compared with {before}."
    )


def nothing_compared() -> str:
    """There is no trend."""
    return "There is no accepted run to compare with, so there is no trend."

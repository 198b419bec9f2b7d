"""The pull request's comment: GitHub markdown, never longer than GitHub takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from types import MappingProxyType
from typing import Any

from velro_gate import units
from velro_gate.analysis.compliance.assess import assess
from velro_gate.model.record import Plan, RunRecord
from velro_gate.model.verdict import Verdict
from velro_gate.report.parts.compliance import compliance_line
from velro_gate.report.parts.rows import RequirementRow, rows_by_phase
from velro_gate.report.parts.trend import MOST, Trend, blocks, comment_trend
from velro_gate.report.parts.view import View, build, folded_words
from velro_gate.report.parts.waiver_rows import waiver_rows
from velro_gate.report.text.escape import markdown_link, markdown_text, marker_key
from velro_gate.report.text.phrase import Phrase
from velro_gate.report.text.templating import by_package, refuse, rendered

TEMPLATE = "verdict.md.j2"
LIMIT = 60_000
"""Characters; GitHub refuses a comment of more than 65,536."""

DETAILS = ("waivers", "trend", "method", "phases", "failures", "comparisons", "findings", "answers", "steps")
"""What is folded away at the end, from the most to the least worth keeping: dropped from the right."""

_CHANGED = 15
"""Rows of changed figures; the report has all of them."""
_LISTED = 6
"""Explanations, trust rows and next steps."""
_NO_LINKS: Mapping[str, str] = MappingProxyType({})


def markdown(
    record: RunRecord,
    verdict: Verdict,
    *,
    links: Mapping[str, str] = _NO_LINKS,
    history: Sequence[RunRecord] = (),
    about: Sequence[str] = (),
) -> str:
    """The comment. links: label -> http address, shown in this order under what to do next.

    history: the accepted runs before this one, oldest first, for the trends. about: more for the footer, such as commits.

    At most ``LIMIT`` characters: details are dropped first, then the rows of met requirements, then rows of the long tables,
    each time with a line that says so; the verdict and the requirements that are not met stay.
    """
    view = build(record, verdict)
    extras = _Extras(
        links=" · ".join(markdown_link(label, url) for label, url in links.items()),
        trend=comment_trend(record, verdict, history),
        blocks=blocks(verdict, history),
        runs=min(len(history), MOST),
        waivers=waiver_rows(record, verdict),
        compliance=compliance_line(assess(record, verdict)),
        about=" · ".join(map(markdown_text, about)),
    )
    text = ""
    # Rendered and measured, since escaping and folding make the length of a text unpredictable; all but the largest plans fit
    # at once.
    layouts = _layouts(view)
    for layout in layouts:
        text = _render(view, layout, extras)
        if len(text) <= LIMIT:
            break
    else:
        refuse(
            TEMPLATE,
            f"it makes a comment of {units.format_whole(len(text))} characters, and {units.format_whole(LIMIT)} are the most",
        )
        text = _render(view, layouts[-1], extras, by_package)
    # A later run finds its comment by this line, whatever a template of one's own leaves out.
    marker = marker_of(record.plan)
    return text if text.startswith(f"{marker}\n") else f"{marker}\n{text}"


def marker_of(plan: Plan, label: str = "") -> str:
    """The first line of the comment, by which a later run finds it again.

    label: of the runner, where several measure the same plan.
    """
    return marker_named(plan.scenario, plan.profile, label)


def marker_named(*names: str) -> str:
    """The same from names, for where there is no plan: a scenario that cannot be read. Empty names are left out."""
    return f"<!-- velro-gate:{marker_key(*filter(None, names))} -->"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Extras:
    """What is not of the view itself, ready to print."""

    links: str
    trend: Trend | None
    blocks: Mapping[tuple[str, Phrase], str]
    """Of required figures, by phase and subject, over ``runs``."""
    runs: int
    waivers: tuple[str, ...]
    compliance: str
    """Score and classes in one line; empty for a broken measurement."""
    about: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """How much of a view is shown."""

    show: tuple[str, ...] = DETAILS
    folded: bool = True
    rows: int | None = None
    text: int | None = None


def _layouts(view: View) -> list[_Layout]:
    """From everything to the least that is still a verdict, in the order in which things are given up."""
    kept = [_Layout(show=DETAILS[:count]) for count in range(len(DETAILS), -1, -1)]
    bare = replace(kept[-1], folded=False)
    longest = max(len(view.prominent), 1)
    # Halving ends after log2 renderings, where taking away row by row would render a large plan thousands of times.
    counts = [longest >> halvings for halvings in range(longest.bit_length())]
    return [*kept, bare, *(replace(bare, rows=count, text=500) for count in counts), replace(bare, rows=1, text=100)]


def _render(view: View, layout: _Layout, extras: _Extras, make: Callable[[str, Mapping[str, Any]], str] = rendered) -> str:
    # By identity and in the view's own order: only which rows are kept depends on how bad they are.
    worst_first = sorted(view.prominent, key=lambda row: row.level == "pass")
    kept = {id(row) for row in worst_first[: layout.rows]}
    prominent = [row for row in view.prominent if id(row) in kept]
    changed = view.changed[: min(_CHANGED, layout.rows or _CHANGED)]
    shown = _shortened(view, layout.text) if layout.text else view
    listed = min(_LISTED, layout.rows or _LISTED)
    values = {
        "view": shown,
        "key": marker_key(view.scenario, view.profile),
        "show": layout.show,
        "prominent": prominent,
        "folded": view.folded if layout.folded else [],
        "folded_title": folded_words(view.folded),
        "left_out": _left_out(view, layout, prominent),
        "changed": rows_by_phase(changed),
        "changed_left_out": _more(len(view.changed) - len(changed), "row that changed", "rows that changed"),
        "explanations": shown.explanations[:listed],
        "trust": shown.trust[:listed],
        "bottlenecks": shown.bottlenecks[:listed],
        "next_steps": shown.next_steps[:listed],
        "extras": extras,
        "dropped": _dropped(layout),
        "compliance": extras.compliance,
    }
    return _tidy(make(TEMPLATE, values))


def _left_out(view: View, layout: _Layout, prominent: Sequence[RequirementRow]) -> str:
    hidden = len(view.prominent) - len(prominent) + (0 if layout.folded else len(view.folded))
    return _more(hidden, "requirement", "requirements")


def _more(count: int, one: str, many: str) -> str:
    return f"{count} more {one if count == 1 else many}: see report.csv in the results." if count > 0 else ""


def _dropped(layout: _Layout) -> str:
    missing = len(DETAILS) - len(layout.show)
    return "Some details are left out here for their length: see report.html in the results." if missing else ""


def _shortened(view: View, length: int) -> View:
    """The same view with long sentences cut, for a comment that nothing else makes short enough."""

    def cut(words: str) -> str:
        """A text of at most this length, and a mark where more was there."""
        return words if len(words) <= length else f"{words[:length]}…"

    return replace(
        view,
        sentence=tuple(replace(piece, text=cut(piece.text)) for piece in view.sentence),
        explanations=[cut(words) for words in view.explanations],
        trust=[replace(row, sentence=cut(row.sentence)) for row in view.trust],
        bottlenecks=[replace(row, sentence=cut(row.sentence)) for row in view.bottlenecks],
        next_steps=[
            replace(row, advice=cut(row.advice), reasons=tuple(replace(one, sentence=cut(one.sentence)) for one in row.reasons))
            for row in view.next_steps
        ],
    )


def _tidy(text: str) -> str:
    """No more than one empty line in a row: templates are written for their reader, this is for the comment's."""
    lines: list[str] = []
    for blank, group in groupby(text.strip().split("\n"), key=lambda line: not line.strip()):
        lines.extend([""] if blank else (line.rstrip() for line in group))
    return "\n".join(lines) + "\n"

"""The verdict in a terminal: words and colour, no signs that a log would garble."""

from __future__ import annotations

import io
from collections.abc import Sequence

from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from velro_gate import units
from velro_gate.model.record import RunRecord
from velro_gate.model.verdict import Change, Verdict
from velro_gate.report.parts.rows import OPEN, ComparisonRow, RequirementRow, rows_by_phase
from velro_gate.report.parts.view import BottleneckRow, NextStep, TrustRow, View, build, folded_words
from velro_gate.report.text.escape import visible
from velro_gate.report.text.figures import footnote
from velro_gate.report.text.phrase import Phrase
from velro_gate.report.text.templating import groupby_phase

COLOURS = {
    "pass": "green",
    "warn": "yellow",
    "no-baseline": "cyan",
    "inconclusive": "magenta",
    "fail": "red",
    "broken": "red",
    OPEN: "dim",
}
_WIDE = 10_000
"""Columns of a text that is kept: whoever shows it folds lines at a width of its own."""
_LISTED = 6
"""Entries of a list: more than a reader takes in at the end of a run; the report has all of them."""
_CHANGED = 15
"""Rows of changed figures, likewise."""
_INDENT = (0, 0, 0, 2)
"""Rows above, columns to the right, rows below, columns to the left, as rich counts them."""


def terminal(record: RunRecord, verdict: Verdict) -> RenderableType:
    """What 'velro-gate gate' prints at its end: the sentence, the requirements, what changed, trust, what to do."""
    view = build(record, verdict)
    parts: list[RenderableType] = [_head(view), Text("")]
    if view.scaled:
        parts += [_text(view.scaled), Text("")]
    parts += [*_requirements(view), *_expectations(view), *_comparisons(view), *_trust(view), *_bottlenecks(view)]
    parts += [*_next(view), _foot(view)]
    return Group(*parts)


def terminal_text(record: RunRecord, verdict: Verdict) -> str:
    """The same as plain text without colours, no line folded; ends in a newline."""
    kept = io.StringIO()
    Console(file=kept, width=_WIDE, force_terminal=False, color_system=None, highlight=False).print(terminal(record, verdict))
    return "\n".join(line.rstrip() for line in kept.getvalue().rstrip("\n").split("\n")) + "\n"


def _head(view: View) -> RenderableType:
    title = Text.assemble(("velro-gate: ", "bold"), (view.title, f"bold {COLOURS[view.level]}"))
    return Group(title, _text(view.sentence))


def _text(phrase: Phrase) -> Text:
    styles = {"name": "bold cyan", "strong": "bold", "text": ""}
    return Text.assemble(*((piece.text, styles[piece.style]) for piece in phrase))


def _expectations(view: View) -> list[RenderableType]:
    if not view.expectations:
        return []
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for head, justify in (("Experiment", "left"), ("Limit", "right"), ("Value (95 % interval)", "right"), ("Status", "left")):
        table.add_column(head, justify=justify)  # type: ignore[arg-type]
    for row in view.expectations:
        name = visible(f"{row.phase}, {row.experiment}: {row.subject}")
        table.add_row(Text(name), row.limit, row.value, Text(row.status, style=COLOURS[row.level]))
    return [_title("Experiments", view.expectation_count), table, Text("")]


def _requirements(view: View) -> list[RenderableType]:
    parts: list[RenderableType] = [_title("Requirements", view.requirement_count)]
    if view.prominent:
        parts.append(_requirement_table(view.prominent))
        if note := footnote(view.prominent):
            parts.append(Padding(Text(note, style="dim"), _INDENT))
    if view.folded:
        parts.append(Text(f"  and {folded_words(view.folded)}", style="dim"))
    return [*parts, Text("")]


def _requirement_table(rows: Sequence[RequirementRow]) -> Table:
    table = _table("Requirement", "Limit", "Value (95 % interval)", "Headroom", "Status", right=(1, 3))
    for group in groupby_phase(rows):
        table.add_row(Text(visible(group.phase), style="bold cyan"))
        for row in group.rows:
            status = Text(row.status, style=COLOURS[row.level])
            table.add_row(Padding(_text(row.subject), _INDENT), row.limit, row.value, row.headroom, status)
    return table


def _comparisons(view: View) -> list[RenderableType]:
    parts: list[RenderableType] = [_title(view.compared, view.comparison_count)]
    if view.settled:
        parts.append(Padding(Text(visible(view.settled)), _INDENT))
    shown = view.changed[:_CHANGED]
    if shown:
        parts.append(_comparison_table(view, rows_by_phase(shown)))
    if len(view.changed) > len(shown):
        parts.append(Text(f"  and {units.format_counted(len(view.changed) - len(shown), 'more row')}", style="dim"))
    parts += [Padding(Text(visible(words)), _INDENT) for words in view.explanations[:_LISTED]]
    return [*parts, Text("")]


def _comparison_table(view: View, rows: Sequence[ComparisonRow]) -> Table:
    # The title says of what: every letter here is one less for the names in a narrow terminal.
    before, now = view.before.removesuffix(" build"), view.now.removesuffix(" build")
    table = _table("Figure", before, now, "Change (95 % interval)", "Finding", right=(1, 2))
    for group in groupby_phase(rows):
        table.add_row(Text(visible(group.phase), style="bold cyan"))
        for row in group.rows:
            style = "green" if row.finding == "improvement" else COLOURS[row.tone]
            more = f", {row.confirmation}" if row.confirmation else ""
            why = f": {visible(row.note)}" if row.finding == Change.NOT_COMPARED.value and row.note else ""
            finding = Text.assemble((row.finding + more, style), why, "" if row.primary else (" advisory", "dim"))
            table.add_row(Padding(_text(row.subject), _INDENT), row.baseline, row.current, row.change, finding)
    return table


def _table(*heads: str, right: tuple[int, ...]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    for index, head in enumerate(heads):
        # Texts fold and share what room there is; single figures do not. Else a narrow terminal would lose the first column.
        table.add_column(head, justify="right" if index in right else "left", overflow="fold", no_wrap=index in right)
    return table


def _title(head: str, count: str) -> Text:
    return Text.assemble((f"{head}: ", "bold"), count)


def _trust(view: View) -> list[RenderableType]:
    facts = Text.assemble(("Trust: ", "bold"), "; ".join(f"{label} {visible(words)}" for label, words in view.trust_facts))
    return [facts, *(_trust_line(row) for row in view.trust[:_LISTED]), Text("")]


def _trust_line(row: TrustRow) -> RenderableType:
    colour = "red" if row.word == "broken" else "yellow"
    where = f" in {visible(row.phase)}" if row.phase else ""
    return Padding(Text.assemble((row.word, colour), f"{where}: {visible(row.sentence)}"), (0, 0, 0, 2))


def _bottlenecks(view: View) -> list[RenderableType]:
    if not view.bottlenecks:
        return []
    rows = view.bottlenecks[:_LISTED]
    return [
        Text("Bottlenecks, the likeliest cause first (seconds of the measured stretch)", style="bold"),
        *(Padding(Text(visible(_cause(view, row))), _INDENT) for row in rows),
        Text(""),
    ]


def _cause(view: View, row: BottleneckRow) -> str:
    """A cause, with its remedy unless 'What to do next' begins with that."""
    said = f"in {row.phase}: {row.sentence}" if row.phase else row.sentence
    return f"{said} {row.advice}" if all(row.advice != step.advice for step in view.next_steps) else said


def _next(view: View) -> list[RenderableType]:
    return [Text("What to do next", style="bold"), *map(_step, view.next_steps[:_LISTED]), Text("")]


def _step(row: NextStep) -> RenderableType:
    reasons = [visible(reason.sentence) for reason in row.reasons] + ([row.more] if row.more else [])
    below = (Padding(Text(words, style="dim"), _INDENT) for words in reasons)
    hanging = Table.grid(padding=(0, 1, 0, 0))
    hanging.add_row("  -", Group(Text(visible(row.advice)), *below))
    return hanging


def _foot(view: View) -> Text:
    foot = view.footer
    words = f"run {foot.run} · {foot.revision} · config {foot.digest} · environment {foot.environment} · {foot.tool}"
    return Text(visible(words), style="dim")

"""A selftest in words: what this runner's noise is, what can be seen on it, how to lower it."""

from __future__ import annotations

from collections.abc import Iterator

from velro_gate import units
from velro_gate.model.metrics import METRICS
from velro_gate.model.scenario import ALL_STEPS
from velro_gate.model.selftest import MUST_SEE, FigureNoise, Selftest
from velro_gate.report.sentences.selftest import advice_words
from velro_gate.report.text.escape import markdown_text

SELFTEST_HEADINGS = ("figure", "noise of a block", "of a pair", "a duet sees", "stored baselines see")


def selftest_title(made: Selftest) -> str:
    """What the table is about."""
    return f"This runner, {made.cycles} cycles of blocks of {units.format_duration(made.block_seconds)}"


def selftest_rows(made: Selftest) -> list[tuple[str, ...]]:
    """The table's cells, as ``SELFTEST_HEADINGS`` names them."""
    return [_cells(row) for row in made.rows]


def _cells(row: FigureNoise) -> tuple[str, ...]:
    label = METRICS[row.metric].label
    return (
        label if row.step == ALL_STEPS else f"{row.step} {label}",
        units.format_share(row.block),
        units.format_share(row.pair),
        units.format_change(row.duet),
        units.format_change(row.stored),
    )


def selftest_sentences(made: Selftest) -> list[str]:
    """What the table means, what was injected and found, and what to do."""
    lines = [
        f"a duet: {made.duet_pairs} pairs of blocks of {units.format_duration(made.duet_seconds)}, about "
        f"{units.format_whole(made.duet_minutes)} minutes here; stored baselines: {made.stored_runs} of them and a run of "
        f"{units.format_duration(made.stored_seconds)}, if days differ no more than these minutes did",
        f"the unchanged service against itself: {made.unchanged}" + _alarm(made),
    ]
    for percent, found in made.found.items():
        said = "found" if found else "NOT found"
        lines.append(f"injected +{percent} %: {said}")
    if made.quote.blind:
        lines.append(blindness())
    return lines + [f"to lower the noise: {advice_words(advice)}" for advice in made.advice]


def blindness() -> str:
    """What is said of a runner that did not find what has to be found."""
    return f"this runner cannot see +{MUST_SEE} %: a gate on it would be blind"


def selftest_markdown(made: Selftest) -> str:
    """The same for a job's summary."""
    return "\n".join(_markdown(made)) + "\n"


def _markdown(made: Selftest) -> Iterator[str]:
    verdict = "❌ blind, please read" if made.quote.blind else "✅ it sees what it has to, no action needed"
    yield f"### velro-gate: selftest of the runner: {verdict}"
    yield ""
    yield f"{selftest_title(made)}:"
    yield ""
    yield f"| {' | '.join(SELFTEST_HEADINGS)} |"
    yield f"|:--|{'--:|' * (len(SELFTEST_HEADINGS) - 1)}"
    for cells in selftest_rows(made):
        yield f"| {' | '.join(map(markdown_text, cells))} |"
    yield ""
    for line in selftest_sentences(made):
        yield f"- {markdown_text(line)}"


def _alarm(made: Selftest) -> str:
    return " (a false alarm: one in a hundred is to be expected)" if made.unchanged == "fail" else ""

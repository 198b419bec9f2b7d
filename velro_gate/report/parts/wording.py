"""The sentence a reviewer reads: the verdict, the worst effect with its interval, the limit."""

from __future__ import annotations

from collections.abc import Sequence

from velro_gate import units
from velro_gate.analysis.verdict.failures import causes
from velro_gate.model.metrics import METRICS, MetricKind
from velro_gate.model.record import RunRecord
from velro_gate.model.scenario import Comparator
from velro_gate.model.verdict import Change, Comparison, Finding, Level, RequirementResult, RequirementStatus, Trust, Verdict
from velro_gate.report.parts.rows import sortable_worsening, tightest
from velro_gate.report.sentences.baselines import noteworthy, short_remedy, unused_words
from velro_gate.report.sentences.findings import words
from velro_gate.report.sentences.kinds.failures import causes_words
from velro_gate.report.sentences.reasons import confirmation_counted, row_reason
from velro_gate.report.text import figures
from velro_gate.report.text.phrase import Phrase, name, plain, strong, text

TITLES = {
    Level.PASS: "pass",
    Level.WARN: "pass with warnings",
    Level.NO_BASELINE: "no baseline yet",
    Level.INCONCLUSIVE: "inconclusive",
    Level.FAIL: "fail",
    Level.BROKEN: "broken measurement",
}

_UPPER = (Comparator.BELOW, Comparator.AT_MOST)


def action(verdict: Verdict) -> str:
    """Whether a person has to do something: 'please read' or 'no action needed'.

    Anything above a pass asks for something, a missing baseline too: that one is recorded.
    """
    quiet = all(finding.level is Level.PASS for finding in verdict.findings)
    return "no action needed" if quiet and verdict.findings else "please read"


def headline(record: RunRecord, verdict: Verdict) -> str:
    """The headline as one line of plain text, for a commit status or a log."""
    return plain(sentence(record, verdict))


def sentence(record: RunRecord, verdict: Verdict) -> Phrase:
    """The verdict's reason in one or two short sentences.

    Effects come before missed limits, because the change is what this pull request did; a critical limit comes before both.
    """
    match verdict.level:
        case Level.PASS:
            return (*_requirements_met(verdict), *_largest_change(verdict))
        case Level.NO_BASELINE:
            return (strong(_no_baseline(verdict)), text(" "), *_looks_worse(verdict), *_requirements_met(verdict))
        case Level.BROKEN:
            return _broken(verdict)
    return _open(verdict) if verdict.is_open else _worst(record, verdict)


def _missed_at_most(widest: Comparison) -> str:
    """``no regression found; could have missed up to 12 %``: an open verdict in short, by the row of which most could have
    been missed."""
    most = widest.mde or 0.0
    return f"no regression found; could have missed {'' if most > figures.COARSE else 'up to '}{figures.detectable_words(most)}"


def _widest(verdict: Verdict) -> Comparison | None:
    """The open row of which the most could have been missed; None where no row says how much."""
    known = [row for row in _left_open(verdict) if row.mde is not None]
    return max(known, key=lambda row: row.mde or 0.0, default=None)


def _left_open(verdict: Verdict) -> list[Comparison]:
    return [row for row in verdict.comparisons if row.primary and row.level is Level.INCONCLUSIVE]


def _open(verdict: Verdict) -> Phrase:
    """Nothing looked worse, but not everything is shown to be unchanged: how much could have been missed, and how to see it."""
    widest = _widest(verdict)
    if widest is None:
        return _first_finding(verdict)
    count, family = len(_left_open(verdict)), sum(row.primary for row in verdict.comparisons)
    advice = next((said for each in verdict.findings if each.level is Level.INCONCLUSIVE and (said := words(each).advice)), "")
    return (
        *_capital((strong(_missed_at_most(widest)),)),
        text(" of "),
        *figures.subject_phrase(widest.metric, widest.step),
        text(" in "),
        name(widest.phase),
        text(f"; {count} of {family} comparisons {_is(count)} open. {advice}".rstrip()),
    )


def _looks_worse(verdict: Verdict) -> Phrase:
    """What looks worse though too few runs are stored to decide; empty where nothing does."""
    rows = [row for row in verdict.comparisons if row.primary and row.verdict is Change.SUSPICIOUS and not row.waived]
    return (*moved(max(rows, key=sortable_worsening)), text(" ")) if rows else ()


def _no_baseline(verdict: Verdict) -> str:
    unused = noteworthy(verdict.baselines_skipped) if unused_baselines(verdict) else None
    match verdict.baselines_used:
        case 0 if unused is not None:
            return f"{spoken(unused_words(unused))} {short_remedy(unused)}"
        case 0:
            return "There is no baseline to compare with yet."
        case 1:
            return "One baseline is too few to show whether anything changed."
    return f"{verdict.baselines_used} baselines are too few to show whether anything changed."


def unused_baselines(verdict: Verdict) -> str:
    """Why stored baselines that exist were not used, where none was; empty otherwise, and where they are of other profiles."""
    if verdict.baselines_used or verdict.duet is not None:
        return ""
    unused = noteworthy(verdict.baselines_skipped)
    return "" if unused is None else unused_words(unused)


def title(verdict: Verdict) -> str:
    """The verdict in a few words and what it asks of the reader."""
    if verdict.is_open and (widest := _widest(verdict)) is not None:
        return _missed_at_most(widest)
    head = (
        f"{TITLES[verdict.level]}, suspicious"
        if verdict.level is Level.INCONCLUSIVE and verdict.is_suspicious
        else TITLES[verdict.level]
    )
    if verdict.level is Level.NO_BASELINE and (verdict.baselines_used or unused_baselines(verdict)):
        head = "too few baselines yet" if verdict.baselines_used else "stored baselines were not used"
    return f"{head}, {action(verdict)}"


def spoken(said: str) -> str:
    """A finding's words as a sentence: a capital first letter, unless it opens with a name or a figure, and a full stop."""
    opening = said.split(" ", 1)[0]
    plain_word = opening.isalpha() or opening.rstrip(",:;").isalpha()
    return _stop(said[:1].upper() + said[1:] if plain_word else said)


def _worst(record: RunRecord, verdict: Verdict) -> Phrase:
    ended = _ended_by_service(record, verdict)
    if ended is not None:
        return _capital((strong(spoken(words(ended).sentence)),))
    limits = sorted((r for r in verdict.requirements if r.level is verdict.level), key=_severity)
    effects = sorted(
        (c for c in verdict.comparisons if c.level is verdict.level and c.verdict is not Change.NOT_COMPARED),
        key=lambda row: (not row.blocks, not row.primary, -sortable_worsening(row)),
    )
    more = _also(limits[1:], effects[1:], verdict.level)
    parts = [missed(limits[0], _kinds(limits[0], record))] if limits else []
    parts += [moved(effects[0])] if effects else []
    if not parts:
        return _first_finding(verdict)
    # What became worse first, since the change has caused it; but a critical level leads whatever else there is.
    if len(parts) == 2 and limits[0].status is not RequirementStatus.CRITICAL:
        parts.reverse()
    return (*parts[0], *((text(" "), *parts[1]) if len(parts) == 2 else ()), *more)


def _ended_by_service(record: RunRecord, verdict: Verdict) -> Finding | None:
    """What the service did that ended the run, where it did: every other failure follows from it."""
    if verdict.level is not Level.FAIL:
        return None
    ended = {phase.name for phase in record.phases if phase.ended_by_service}
    return next((each for each in verdict.findings if each.level is Level.FAIL and each.subject in ended), None)


def _kinds(result: RequirementResult, record: RunRecord) -> str:
    """As what the requests failed, for an error rate: ``218 x 503``."""
    phase = record.phase(result.phase)
    if phase is None or not result.requirement.definition.of_counts:
        return ""
    return causes_words(causes(phase, phase.step(result.requirement.step))).strip(" ()")


def _severity(result: RequirementResult) -> tuple[bool, bool, float]:
    """Critical first, then what has a figure, then by how far outside."""
    return (result.status is not RequirementStatus.CRITICAL, result.estimate is None, result.headroom or 0.0)


def moved(row: Comparison) -> Phrase:
    """One change: what moved where, by how much, with its interval, and from which change on it counts."""
    rose = (row.current or 0.0) > (row.baseline or 0.0) if row.change is None else row.change > 0.0
    certain = row.verdict in (Change.REGRESSION, Change.IMPROVEMENT)
    spread = figures.change_interval(row)
    return (
        *_capital(figures.subject_phrase(row.metric, row.step)),
        text(" "),
        strong(_verb(row, rose=rose, certain=certain)),
        text(" in "),
        name(row.phase),
        text(f" (95 % interval {spread})" if spread else ""),
        text(f", from {figures.figure(row.metric, row.baseline)} to {figures.figure(row.metric, row.current)}"),
        text(_bar(row, certain=certain)),
    )


def _verb(row: Comparison, *, rose: bool, certain: bool) -> str:
    """``rose 31 %``, ``fell by 1.2 points``, or ``looks 8.3 % higher`` for what may be noise."""
    if certain:
        return f"{'rose' if rose else 'fell'} {_magnitude(row)}".rstrip()
    size = _magnitude(row).removeprefix("by ")
    return f"looks {size} {'higher' if rose else 'lower'}".replace("  ", " ")


def _magnitude(row: Comparison) -> str:
    if METRICS[row.metric].kind is MetricKind.SHARE:
        moved_by = figures.change(row)
        return "" if moved_by == figures.MISSING else f"by {moved_by.lstrip('+-')}"
    return "" if row.change is None else units.format_magnitude(row.change)


def _bar(row: Comparison, *, certain: bool) -> str:
    """What the change is compared with, in the words of that metric's scale."""
    if row.confirmation is not None and not certain:
        return f"; {confirmation_counted(row.confirmation)}."
    reason = row_reason(row)
    if row.verdict is Change.SUSPICIOUS and reason:
        return f"; not confirmed: {reason}."
    if reason and not certain:
        return f"; {reason}."
    if row.verdict is Change.SUSPICIOUS and not row.primary:
        return "; for information: this figure cannot fail the run."
    if not certain:
        # Only a change below the MDE may be called too small for this run to detect.
        hidden = row.mde is not None and row.change is not None and abs(row.change) < row.mde
        seen = f": this run could only have detected {figures.detectable_or_more(row.mde)}" if row.mde and hidden else ""
        return f"; neither shown to have changed nor to be unchanged{seen}."
    sure = "" if row.confirmation is None else f"; {confirmation_counted(row.confirmation)}"
    if row.primary and row.waived:
        return f"{sure}; a waiver covers it."
    # The margin of an error rate is a difference of shares, not a relative change.
    if row.verdict is Change.IMPROVEMENT or METRICS[row.metric].kind is MetricKind.SHARE or row.margin is None:
        return f"{sure}."
    return f"{sure}; above the {units.trim_zeros(units.format_magnitude(row.margin))} margin."


def missed(result: RequirementResult, kinds: str = "") -> Phrase:
    """One requirement that is not cleanly met: where, the value with its interval, the limit, and kinds of failures."""
    wanted = result.requirement
    about, place = figures.subject_phrase(wanted.metric, wanted.step), (text(" in "), name(result.phase))
    if result.estimate is None and result.status is RequirementStatus.NOT_MEASURED:
        return (
            strong("No figure"),
            text(" for "),
            *about,
            *place,
            text(f": {figures.MISSING}, limit {figures.limit(wanted)}."),
        )
    if result.estimate is None:
        limit = text(f"; limit {figures.limit(wanted)}.")
        return (strong("All requests failed"), *place, text(", so there is no figure for "), *about, limit)
    spread = figures.interval(wanted.metric, result.estimate)
    value = figures.estimate(wanted.metric, result.estimate)
    return (
        *_capital((*about, *place)),
        text(" is "),
        strong(value),
        text(f" (95 % interval {spread})" if spread else ""),
        text(f", {_against(result)}{': ' if kinds else ''}{kinds}."),
    )


def _against(result: RequirementResult) -> str:
    wanted = result.requirement
    if result.status is RequirementStatus.CRITICAL:
        side = "over" if wanted.comparator in _UPPER else "under"
        return f"{side} even the critical level of {figures.critical(wanted)} (limit {figures.limit(wanted)})"
    if result.status is RequirementStatus.MARGINAL:
        reach = "but its interval reaches beyond it" if result.met else "though its interval reaches inside"
        return f"{'inside' if result.met else 'outside'} its limit of {figures.limit(wanted)}, {reach}"
    return f"{'outside' if not result.met else 'inside'} its limit of {figures.limit(wanted)}"


def _also(limits: Sequence[RequirementResult], effects: Sequence[Comparison], level: Level) -> Phrase:
    # What is merely open did not look worse, and may even look better.
    noun = "other comparison" if level is Level.INCONCLUSIVE else "other change"
    counts = (_count(len(effects), noun), _count(len(limits), "other requirement"))
    more = " and ".join(filter(None, counts))
    one = len(limits) + len(effects) == 1
    verbs = {Level.FAIL: ("fails too", "fail too"), Level.WARN: ("warns too", "warn too")}
    verb = verbs.get(level, ("is open", "are open"))[0 if one else 1]
    return (text(f" {more} {verb}."),) if more else ()


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' if number != 1 else ''}" if number else ""


def _requirements_met(verdict: Verdict) -> Phrase:
    total = len(verdict.requirements)
    if not total and verdict.expectations:
        return (*_expectations_met(verdict), text(" The plan has no other requirements."))
    if not total:
        return (text("The plan has no requirements."),)
    met = sum(result.met for result in verdict.requirements)
    count = f"All {total} requirements are met" if met == total else f"{met} of {total} requirements are met"
    between = "; the tightest: "
    if total == 1 and met == 1:
        count, between = "The one requirement is met", ": "
    marginal = sum(result.met and result.status is RequirementStatus.MARGINAL for result in verdict.requirements)
    if marginal:
        count += ", marginally" if total == 1 else f", {marginal} of them marginally"
    least = tightest(verdict.requirements)
    if least.headroom is None:
        return (strong(count), text("."))
    wanted = least.requirement
    return (
        strong(count),
        text(between),
        *figures.subject_phrase(wanted.metric, wanted.step),
        text(" in "),
        name(least.phase),
        text(f", {figures.with_interval(wanted.metric, least.estimate)}, limit {figures.limit(wanted)}."),
    )


def _expectations_met(verdict: Verdict) -> Phrase:
    total, met = len(verdict.expectations), sum(result.met for result in verdict.expectations)
    if total == 1 and met == 1:
        return (strong("What is expected of the experiment is met"), text("."))
    count = f"All {total}" if met == total else f"{met} of {total}"
    return (strong(f"{count} expectations of experiments are met"), text("."))


def _largest_change(verdict: Verdict) -> Phrase:
    compared = [row for row in verdict.comparisons if row.verdict is not Change.NOT_COMPARED]
    if not compared:
        return (text(" Nothing was compared."),)
    rows = [row for row in compared if row.change is not None and row.primary]
    rows = rows or [row for row in compared if row.change is not None]
    better = sorted((row for row in compared if row.verdict is Change.IMPROVEMENT), key=sortable_worsening)
    if better:
        return (text(" "), *moved(better[0]), text(f" No regression in {_count(len(compared), 'compared figure')}."))
    opening = f" No regression in {_count(len(compared), 'compared figure')}"
    if not rows:
        return (text(f"{opening}."),)
    worst = max(rows, key=sortable_worsening)
    return (
        text(f"{opening}; the largest change for the worse: "),
        *figures.subject_phrase(worst.metric, worst.step),
        text(" in "),
        name(worst.phase),
        text(f", {figures.change(worst)}"),
        text(f" (95 % interval {spread})." if (spread := figures.change_interval(worst)) else "."),
    )


def _broken(verdict: Verdict) -> Phrase:
    reasons = [words(found).sentence for found in verdict.trust if found.trust is Trust.BROKEN]
    reasons = reasons or [words(found).sentence for found in verdict.findings if found.level is Level.BROKEN]
    opening = strong("The measurement cannot be trusted, so nothing is judged.")
    if not reasons:
        return (opening, text(" Nothing was found out about this run."))
    more = _count(len(reasons) - 1, "more reason")
    return (opening, text(f" {spoken(reasons[0])}"), *((text(f" There {_is(len(reasons) - 1)} {more}."),) if more else ()))


def _first_finding(verdict: Verdict) -> Phrase:
    found = [finding for finding in verdict.findings if finding.level is verdict.level]
    more = _count(len(found) - 1, "more finding")
    return (text(spoken(words(found[0]).sentence)), text(f" There {_is(len(found) - 1)} {more} of this kind." if more else ""))


def _capital(phrase: Phrase) -> Phrase:
    """The phrase with a capital first letter, but for names of percentiles, which stay as they are written."""
    first, *rest = phrase
    if first.style == "name" or (first.text[:1] == "p" and first.text[1:2].isdigit()):
        return phrase
    return (type(first)(first.text[:1].upper() + first.text[1:], first.style), *rest)


def _is(number: int) -> str:
    return "is" if number == 1 else "are"


def _stop(said: str) -> str:
    return said if said.endswith((".", "!", "?")) else f"{said}."

"""The history of main on standard output: run by run, with what changed."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from rich.table import Table

from velro_gate import units
from velro_gate.analysis.summaries.frames import figures_frame
from velro_gate.analysis.verdict.drift_findings import behind, place
from velro_gate.cli.asked import stored_name
from velro_gate.cli.options import HistoryFormat
from velro_gate.cli.output import put, show
from velro_gate.errors import UsageError
from velro_gate.gate.judge.history import History, HistoryEntry
from velro_gate.gate.judge.trend import main_history
from velro_gate.model.metrics import METRICS
from velro_gate.model.record import RunRecord
from velro_gate.model.scenario import ALL_STEPS
from velro_gate.report.sentences.baselines import main_change, nothing_stored, outlook_sentence, release_change, run_of_main
from velro_gate.report.text.csv_text import frame_csv
from velro_gate.report.text.figures import figure


def print_history(root: Path, metric: str, step: str, scenario: Path | None, format: HistoryFormat) -> int:
    """Main's history, plan by plan: one figure run by run, with epochs, change points, quarantined and pinned runs.

    scenario: only of its runs; None: of all.
    """
    if metric not in METRICS:
        raise UsageError(f"there is no metric {metric!r}", hint=f"Choose one of: {', '.join(METRICS)}.")
    found = main_history(root, metric, step, stored_name(scenario))
    if format is HistoryFormat.CSV:
        put(frame_csv(figures_frame(line.run for history in found for line in history.lines)).removesuffix("\n"))
        return 0
    if format is HistoryFormat.JSON:
        put(json.dumps([_document(history) for history in found], indent=2, ensure_ascii=False))
        return 0
    if not found:
        put(nothing_stored(str(root), None if scenario is None else str(scenario)))
    for history in found:
        show(_table(history, metric, step))
        for sentence in _sentences(history):
            put(sentence)
    return 0


def _table(history: History, metric: str, step: str) -> Table:
    what = METRICS[metric].label + (" of all steps" if step == ALL_STEPS else f" of {step}")
    table = Table(title=f"{history.scenario}, profile {history.profile}, on {history.runner}: {what}", title_justify="left")
    for heading in ("recorded", "revision", *history.phases, ""):
        table.add_column(heading, justify="right" if heading in history.phases else "left", overflow="fold")
    for line in history.lines:
        values = [figure(metric, line.values.get(phase)) if phase in line.values else "" for phase in history.phases]
        table.add_row(line.run.started_at, line.run.revision.sha[:7] or "unknown", *values, "; ".join(_notes(line)))
    return table


def _notes(line: HistoryEntry) -> list[str]:
    said = [f"pinned: {line.release}"] if line.release is not None else []
    said += [f"quarantined, not used: {line.run.quarantined}"] if line.run.quarantined else []
    said += [f"epoch: accepted in {level.phase}" for level in line.epochs]
    return said + [
        f"change point: {units.format_change(point.change)} in {point.phase}"
        + ("" if point.accepted else ", better" if not point.worse else ", not accepted")
        for point in line.points
    ]


def _named(run: RunRecord) -> str:
    return run_of_main(run.started_at[:10], run.revision.sha)


def _sentences(history: History) -> list[str]:
    said = [f"{len(history.lines)} runs, {sum(bool(line.run.quarantined) for line in history.lines)} of them quarantined."]
    if history.too_short:
        said.append("Ten accepted runs or more are needed to look for change points.")
    said += [f"Changed: {main_change(place(point))}." for point in history.points if point.worse and not point.accepted]
    said += [f"Forecast: {outlook_sentence(one)}." for one in history.outlooks]
    if history.release is None:
        said.append("No release is pinned ('velro-gate baseline pin FILE' pins one).")
    else:
        said.append(f"Pinned release: {history.release.name}, {_named(history.release.record)}.")
        said += [f"Worse than the pinned release: {release_change(behind(drift))}." for drift in history.drifts]
    return said


def _document(history: History) -> dict[str, object]:
    return {
        "scenario": history.scenario,
        "profile": history.profile,
        "digest": history.digest,
        "environment": history.environment,
        "release": None if history.release is None else history.release.name,
        "runs": [
            {
                "id": line.run.id,
                "started_at": line.run.started_at,
                "revision": line.run.revision.sha,
                "values": dict(line.values),
                "quarantined": line.run.quarantined or None,
                "release": line.release,
                "epochs": [level.phase for level in line.epochs],
            }
            for line in history.lines
        ],
        "change_points": [
            {
                "phase": point.phase,
                "step": point.step,
                "metric": point.metric,
                "run": point.run.id,
                "change": point.change,
                "worse": point.worse,
                "accepted": point.accepted,
            }
            for point in history.points
        ],
        "forecast": [asdict(one) for one in history.outlooks],
        "drift": [
            {
                "phase": drift.phase,
                "step": drift.step,
                "metric": drift.metric,
                "release": drift.release,
                "now": drift.now,
                "change": drift.change,
                "p": drift.p,
            }
            for drift in history.drifts
        ],
    }

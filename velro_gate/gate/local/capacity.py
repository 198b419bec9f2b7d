"""Judging a search for the capacity: by the plan's own load, and by the searches that were accepted before."""

from __future__ import annotations

from pathlib import Path

from velro_gate.gate.judge.verdict import judge_kept, write_reports
from velro_gate.gate.measure.results import Results
from velro_gate.model.record import RunRecord
from velro_gate.model.verdict import Verdict
from velro_gate.store.records import RECORD


def judge_capacity(results: Results, baselines: Path, waivers: Path) -> tuple[RunRecord, Verdict] | None:
    """The record of the search in this folder and its verdict, whose reports are written there; None where there is no record.

    Raises:
        UsageError: the waivers cannot be read or are invalid. OutputError, StorageError: a report cannot be written.
    """
    if not (results.folder / RECORD).exists():
        return None
    record, verdict = judge_kept(results.folder, baselines, waivers=waivers)
    write_reports(record, verdict, results)
    return record, verdict

"""The search for the capacity, judged by the plan's own load and by the searches that were accepted before; and the scalability
law of a kept run.
"""

from __future__ import annotations

from pathlib import Path

from velro_gate.analysis.capacity.scalability import LEAST_POINTS, fit_scalability
from velro_gate.analysis.capacity.scoring import points_of
from velro_gate.errors import RecordError
from velro_gate.gate.judge.check_waivers import check_waivers
from velro_gate.gate.judge.verdict import judge_kept, write_reports
from velro_gate.gate.measure.capacity.search import CapacityOptions, find_capacity
from velro_gate.gate.measure.effects import World
from velro_gate.gate.measure.results import Results, make_results, run_id
from velro_gate.gate.measure.setup import RunOptions, prepare
from velro_gate.model.capacity import CapacityResult, Scalability
from velro_gate.model.record import RunRecord
from velro_gate.model.verdict import Verdict
from velro_gate.store.records import RECORD, read_facts


def search_capacity(
    wanted: RunOptions, options: CapacityOptions, output: Path, world: World, *, baselines: Path, waivers: Path
) -> tuple[CapacityResult, Results, tuple[RunRecord, Verdict] | None]:
    """Search, and judge what was found; without a verdict where the search left no record.

    Raises:
        UsageError: options or waivers are invalid. UnreachableError, InfeasibleError, BrokenError: nothing can be measured.
        OutputError, StorageError: a file cannot be written.
    """
    setup = prepare(wanted, world.environ)
    check_waivers(waivers, setup.scenario)
    with world.open() as effects:
        results = make_results(output, run_id(effects.utc_now(), setup.plan.scenario, "capacity"))
        found = find_capacity(setup, options, results, effects)
    return found, results, judge_capacity(results, baselines, waivers)


def kept_law(folder: Path) -> Scalability:
    """The scalability law fitted to the phases of a kept run.

    Raises:
        RecordError: there is no such run, or its phases are too few or too alike.
    """
    facts = read_facts(folder)
    law = None if facts is None else fit_scalability(points_of(facts.phases))
    if law is None:
        raise RecordError(
            "no scalability law can be fitted to this run",
            where=str(folder),
            why=f"it takes {LEAST_POINTS} phases or more, each with another number of requests at a time",
            hint="Name the results folder of a run of the full plan, or search: 'velro-gate capacity SCENARIO'.",
        )
    return law


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

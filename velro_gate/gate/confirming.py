"""From a run to its verdict, with suspicious phases run again in between, so that one odd run fails nothing.

The verdict that holds until then is written before anything is run again: whatever happens meanwhile, it is not lost.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from velro_gate import units
from velro_gate.analysis.confirmation import FURTHER_RUNS, Repeats, needed_repeats, seconds_again
from velro_gate.errors import VelroError
from velro_gate.gate.effects import Effects
from velro_gate.gate.judgement import reach_verdict, write_reports
from velro_gate.gate.measure import run
from velro_gate.gate.null_run import Calibration
from velro_gate.gate.results import Results, make_results, run_id
from velro_gate.gate.setup import Setup
from velro_gate.model.further import Further
from velro_gate.model.record import RunRecord
from velro_gate.model.scenario import Phase
from velro_gate.model.verdict import Level, Verdict
from velro_gate.store.further import REPEATS, write_missing

RunAgain = Callable[[Repeats], Further]
"""What measures suspicious phases again. ``phases_again`` runs the candidate alone; what can start the base build, too, may
measure both side by side instead."""

INTERRUPTED = "running it again was interrupted"
PENDING = "it was to be run again, but the gate was ended before that was done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirming:
    """How to confirm a suspicion. seconds: the most that it may take; None: no bound."""

    again: RunAgain
    seconds: float | None = None


def gated(
    record: RunRecord,
    results: Results,
    *,
    baselines: Path,
    waivers: Path | None,
    confirming: Confirming | None,
    say: Callable[[str], None],
) -> tuple[Verdict, Further | None]:
    """Judge a fresh run, confirm what is suspicious, and write the reports; the further runs, if any were needed.

    confirming: None: the run is judged alone, so that one odd run can fail it.

    Raises:
        UsageError: the baselines or the waivers cannot be read. OutputError, StorageError: a file cannot be written.
    """
    judged = partial(reach_verdict, record, baselines, waivers=waivers)
    verdict = judged()
    needed = None if confirming is None else _needed(record, verdict, confirming.seconds)
    if confirming is None or needed is None:
        write_reports(record, verdict, results)
        return verdict, None
    late = {name: _no_time(_planned(record, name), confirming.seconds) for name in needed.left_out}
    further = Further(missing={**dict.fromkeys(needed.phases, PENDING), **late})

    def settle() -> Verdict:
        write_missing(results.folder, further.missing)
        found = judged(further=further)
        write_reports(record, found, results)
        return found

    verdict = settle()
    for name, why in late.items():
        say(f"suspicious, not run again: phase {name}: {why}")
    if needed.phases:
        say(
            f"suspicious: {_listed(needed.phases)}. Running {'it' if len(needed.phases) == 1 else 'them'} {needed.runs} times "
            f"again to confirm it: about {units.format_duration(needed.seconds)}"
        )
        made = confirming.again(needed)
        further = dataclasses.replace(made, missing={**made.missing, **late})
        verdict = settle()
    return verdict, further


def phases_again(
    needed: Repeats, *, setup: Setup, results: Results, effects: Effects, calibration: Calibration | None
) -> Further:
    """Run these phases of the plan as often as needed, each time in a results folder of its own beside the run.

    A run that is interrupted, or for which there is no healthy service, is the last one; what there is stays.
    """
    chosen = tuple(phase for phase in setup.phases if phase.name in needed.phases)
    profile = f"{setup.plan.profile.partition(':')[0]}:{'+'.join(needed.phases)}"
    smaller = dataclasses.replace(setup, plan=dataclasses.replace(setup.plan, phases=chosen, profile=profile))
    made: list[RunRecord] = []
    for number in range(1, needed.runs + 1):
        effects.say(f"confirmation run {number} of {needed.runs}")
        try:
            folder = make_results(results.folder / REPEATS, run_id(effects.utc_now(), setup.plan.scenario, profile))
            record = run(smaller, folder, effects, calibration)
        except VelroError as error:
            # The first run has been measured, and its verdict must come whatever became of the service since.
            effects.say(f"it could not be run again: {error.what}")
            return Further(runs=tuple(made), missing=dict.fromkeys(needed.phases, f"it could not be run again: {error.what}"))
        made.append(record)
        if record.interrupted:
            return Further(runs=tuple(made), missing=dict.fromkeys(needed.phases, INTERRUPTED))
    return Further(runs=tuple(made))


def was_interrupted(further: Further | None) -> bool:
    """Whether somebody ended the confirmation."""
    return further is not None and any(again.interrupted for again in further.runs)


def _needed(record: RunRecord, verdict: Verdict, seconds: float | None) -> Repeats | None:
    """What to run again; None when nothing is, since nothing is suspicious or the run itself cannot be trusted."""
    if record.interrupted or verdict.level is Level.BROKEN:
        return None
    needed = needed_repeats(verdict.comparisons, record.plan.phases, limit=seconds)
    return needed if needed.phases or needed.left_out else None


def _planned(record: RunRecord, name: str) -> Phase:
    return next(phase for phase in record.plan.phases if phase.name == name)


def _no_time(phase: Phase, limit: float | None) -> str:
    takes, allowed = units.format_duration(seconds_again(phase)), units.format_duration(limit or 0.0)
    return f"there was no time to run it {FURTHER_RUNS} times again (about {takes}; --max-minutes allows {allowed} in all)"


def _listed(phases: tuple[str, ...]) -> str:
    return f"phase {phases[0]}" if len(phases) == 1 else f"phases {', '.join(phases)}"

"""From a run to its verdict, with suspicious phases measured again in between, so that one odd run fails nothing.

The verdict that holds until then is written before anything is run again: whatever happens meanwhile, it is not lost.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from velro_gate import units
from velro_gate.analysis.confirmation import FURTHER_RUNS, Repeats, needed_repeats, seconds_again
from velro_gate.errors import VelroError
from velro_gate.gate.effects import Effects
from velro_gate.gate.judgement import reach_duet_verdict, reach_verdict, write_reports
from velro_gate.gate.measure import run
from velro_gate.gate.no_duet import NoDuetError
from velro_gate.gate.null_run import Calibration
from velro_gate.gate.results import Results, make_results, run_id
from velro_gate.gate.setup import Setup
from velro_gate.model.duet import DuetRecord
from velro_gate.model.further import Further
from velro_gate.model.record import RunRecord
from velro_gate.model.scenario import Phase
from velro_gate.model.verdict import Level, Verdict
from velro_gate.store.further import REPEATS, write_missing

RunAgain = Callable[[Repeats], Further]
"""What measures suspicious phases again: ``phases_again`` the candidate alone, ``phases_side_by_side`` both builds, where the
base build can be had.
"""

MeasureBeside = Callable[[Setup, Results], tuple[RunRecord, DuetRecord]]
"""Measures a plan's duet of the candidate and the build that it starts from, or raises NoDuetError."""

INTERRUPTED = "measuring it again was interrupted"
PENDING = "it was to be measured again, but the gate was ended before that was done"


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
        say(f"suspicious: {_listed(needed.phases)}")
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
    smaller = _only(setup, needed.phases)
    effects.say(
        f"running {_them(needed)} {needed.runs} times again to confirm it: about {units.format_duration(needed.seconds)}"
    )
    made: list[RunRecord] = []
    for number in range(1, needed.runs + 1):
        effects.say(f"confirmation run {number} of {needed.runs}")
        try:
            folder = make_results(
                results.folder / REPEATS, run_id(effects.utc_now(), setup.plan.scenario, smaller.plan.profile)
            )
            record = run(smaller, folder, effects, calibration)
        except VelroError as error:
            # The first run has been measured, and its verdict must come whatever became of the service since.
            effects.say(f"it could not be run again: {error.what}")
            return Further(runs=tuple(made), missing=dict.fromkeys(needed.phases, f"it could not be run again: {error.what}"))
        made.append(record)
        if record.interrupted:
            return Further(runs=tuple(made), missing=dict.fromkeys(needed.phases, INTERRUPTED))
    return Further(runs=tuple(made))


def phases_side_by_side(
    needed: Repeats, *, setup: Setup, results: Results, effects: Effects, measure: MeasureBeside, otherwise: RunAgain
) -> Further:
    """Measure these phases of both builds in a duet, in a results folder of its own beside the run.

    otherwise: what is done where there can be no duet.
    """
    smaller = _only(setup, needed.phases)
    effects.say(f"measuring {_them(needed)} side by side with the build that this one starts from, to confirm it")
    folder = make_results(
        results.folder / REPEATS, run_id(effects.utc_now(), setup.plan.scenario, f"{smaller.plan.profile}-duet")
    )
    try:
        record, kept = measure(smaller, folder)
    except NoDuetError as error:
        effects.say(f"no duet: {error.reason}\ndo:    {error.advice}")
        return otherwise(needed)
    except VelroError as error:
        # As above: the verdict on the run must come.
        said = f"it could not be measured side by side: {error.what}"
        effects.say(said)
        return Further(missing=dict.fromkeys(needed.phases, said))
    write_reports(record, reach_duet_verdict(record, kept), folder)
    return Further(duet=kept, missing=dict.fromkeys(needed.phases, INTERRUPTED) if record.interrupted else {})


def was_interrupted(further: Further | None) -> bool:
    """Whether somebody ended the confirmation."""
    return further is not None and INTERRUPTED in further.missing.values()


def _needed(record: RunRecord, verdict: Verdict, seconds: float | None) -> Repeats | None:
    """What to run again; None when nothing is, since nothing is suspicious or the run itself cannot be trusted."""
    if record.interrupted or verdict.level is Level.BROKEN:
        return None
    needed = needed_repeats(verdict.comparisons, record.plan.phases, limit=seconds)
    return needed if needed.phases or needed.left_out else None


def _only(setup: Setup, names: Sequence[str]) -> Setup:
    """The setup with these phases of its plan alone."""
    chosen = tuple(phase for phase in setup.phases if phase.name in names)
    profile = f"{setup.plan.profile.partition(':')[0]}:{'+'.join(names)}"
    return dataclasses.replace(setup, plan=dataclasses.replace(setup.plan, phases=chosen, profile=profile))


def _them(needed: Repeats) -> str:
    return "it" if len(needed.phases) == 1 else "them"


def _planned(record: RunRecord, name: str) -> Phase:
    return next(phase for phase in record.plan.phases if phase.name == name)


def _no_time(phase: Phase, limit: float | None) -> str:
    takes, allowed = units.format_duration(seconds_again(phase)), units.format_duration(limit or 0.0)
    return f"there was no time to run it {FURTHER_RUNS} times again (about {takes}; --max-minutes allows {allowed} in all)"


def _listed(phases: tuple[str, ...]) -> str:
    return f"phase {phases[0]}" if len(phases) == 1 else f"phases {', '.join(phases)}"

"""From a run to its verdict: what the screen leaves open is measured again in between, side by side where that is possible.

With a base build, each phase with a primary figure that looks worse, is open or has no baseline goes to a duet, which decides
it. Without one, suspicious phases are run twice more. The verdict that holds until then is written before anything is measured
again: whatever happens meanwhile, it is not lost.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from velro_gate import units
from velro_gate.analysis.rows.shifts import FURTHER_RUNS
from velro_gate.analysis.stored.confirmation import Repeats, needed_repeats, seconds_again
from velro_gate.analysis.stored.undecided import undecided_phases
from velro_gate.errors import BrokenError, VelroError
from velro_gate.gate.builds.no_duet import NoDuetError
from velro_gate.gate.judge.verdict import reach_duet_verdict, reach_verdict, write_reports
from velro_gate.gate.measure.effects import Effects
from velro_gate.gate.measure.null_run import Calibration
from velro_gate.gate.measure.results import Results, make_results, run_id
from velro_gate.gate.measure.run import run
from velro_gate.gate.measure.setup import Setup
from velro_gate.model.duet import DuetRecord
from velro_gate.model.further import Further
from velro_gate.model.record import RunRecord
from velro_gate.model.scenario import Phase
from velro_gate.model.verdict import Level, Verdict
from velro_gate.store.baselines import load_baselines
from velro_gate.store.further import REPEATS, write_missing

RunAgain = Callable[[Repeats], Further]
"""Runs suspicious phases of this build again, alone: ``phases_again``."""

MeasureSideBySide = Callable[[tuple[str, ...]], Further]
"""Measures these phases of both builds in a duet, or raises NoDuetError: ``phases_side_by_side``."""

MeasureBeside = Callable[[Setup, Results], tuple[RunRecord, DuetRecord]]
"""Measures a plan's duet of the candidate and the build that it starts from, or raises NoDuetError."""

INTERRUPTED = "measuring it again was interrupted"
PENDING = "it was to be measured again, but the gate was ended before that was done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirming:
    """How to settle what the screen leaves open."""

    again: RunAgain
    side_by_side: MeasureSideBySide | None = None
    """The base build, if there is one; None: only suspicions are measured again."""
    seconds: float | None = None
    """Time limit in seconds for running phases again; None: no limit."""
    second_job: bool = False
    """Whether this is another job than the one that made the run."""


@dataclass(slots=True, kw_only=True)
class _Judging:
    """A run on its way to its verdict."""

    record: RunRecord
    results: Results
    baselines: Path
    waivers: Path | None

    def verdict(self, further: Further | None = None) -> Verdict:
        """The run's verdict so far."""
        return reach_verdict(self.record, self.baselines, waivers=self.waivers, further=further)

    def settle(self, further: Further | None) -> Verdict:
        """The same, kept in files."""
        if further is not None:
            write_missing(self.results.folder, further)
        found = self.verdict(further)
        stored = load_baselines(self.baselines, plan=self.record.plan, environment=self.record.environment)
        write_reports(self.record, found, self.results, stored)
        return found


def gated(
    record: RunRecord,
    results: Results,
    *,
    baselines: Path,
    waivers: Path | None,
    confirming: Confirming | None,
    say: Callable[[str], None],
) -> tuple[Verdict, Further | None]:
    """Judge a fresh run, measure again what the screen leaves open, and write the reports; what was measured further, if any.

    confirming: None: the run is judged alone.

    Raises:
        UsageError: the baselines or the waivers cannot be read. OutputError, StorageError: a file cannot be written.
    """
    judging = _Judging(record=record, results=results, baselines=baselines, waivers=waivers)
    verdict = judging.verdict()
    if confirming is None or record.interrupted or verdict.level is Level.BROKEN:
        return judging.settle(None), None
    missed = None
    undecided = undecided_phases(verdict.comparisons, record.plan.phases)
    if confirming.side_by_side is not None and undecided:
        say(f"suspicious, open or without baselines: {_listed(undecided)}; the base build decides")
        judging.settle(Further(missing=dict.fromkeys(undecided, PENDING)))
        try:
            further = confirming.side_by_side(undecided)
        except NoDuetError as error:
            say(f"no duet, using stored baselines: {error.reason}\ndo:    {error.advice}")
            missed = error
        else:
            return judging.settle(further), further
    return _again(judging, verdict, confirming, missed, say)


def _again(
    judging: _Judging, verdict: Verdict, confirming: Confirming, missed: NoDuetError | None, say: Callable[[str], None]
) -> tuple[Verdict, Further | None]:
    """What is suspicious is run twice more. missed: why there is no duet though there was to be one."""
    planned, seconds = judging.record.plan.phases, confirming.seconds
    needed = needed_repeats(verdict.comparisons, planned, limit=seconds)
    late = {name: _no_time(_planned(judging.record, name), seconds) for name in needed.left_out}
    if not needed.phases and not late and missed is None:
        return judging.settle(None), None

    def said(further: Further, missing: Mapping[str, str]) -> Further:
        """The further runs, with what could not be measured again and why."""
        found = dataclasses.replace(further, missing={**missing, **late}, second_job=confirming.second_job)
        return found if missed is None else dataclasses.replace(found, no_duet=missed.reason, advice=missed.advice)

    further = said(Further(), dict.fromkeys(needed.phases, PENDING))
    settled = judging.settle(further)
    for name, why in late.items():
        say(f"suspicious, not run again: phase {name}: {why}")
    if needed.phases:
        say(f"suspicious: {_listed(needed.phases)}")
        made = confirming.again(needed)
        further = said(made, made.missing)
        settled = judging.settle(further)
    return settled, further


def phases_again(
    needed: Repeats, *, setup: Setup, results: Results, effects: Effects, calibration: Calibration | None
) -> Further:
    """Run these phases of the plan as often as needed, each time in a results folder of its own inside the run's.

    A run that is interrupted, or for which there is no healthy service, is the last one; what there is stays.
    """
    smaller = _only(setup, needed.phases)
    effects.say(
        f"running {_them(needed.phases)} {needed.runs} times again to confirm it: about {units.format_duration(needed.seconds)}"
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
    names: tuple[str, ...], *, setup: Setup, results: Results, effects: Effects, measure: MeasureBeside
) -> Further:
    """Measure these phases of both builds in a duet, in a results folder of its own inside the run's.

    Raises:
        NoDuetError: there can be no duet.
    """
    smaller = _only(setup, names)
    effects.say(f"measuring {_them(names)} side by side with the base build")
    folder = make_results(
        results.folder / REPEATS, run_id(effects.utc_now(), setup.plan.scenario, f"{smaller.plan.profile}-duet")
    )
    try:
        record, kept = measure(smaller, folder)
    except VelroError as error:
        # As above: the verdict on the run must come. A head build that fails here must not pass for that.
        said = f"it could not be measured side by side: {error.what}"
        effects.say(said)
        broken = isinstance(error, BrokenError)
        return Further(missing=dict.fromkeys(names, said), no_duet=error.what, advice=error.hint, broken=broken)
    write_reports(record, reach_duet_verdict(record, kept), folder)
    return Further(duet=kept, missing=dict.fromkeys(names, INTERRUPTED) if record.interrupted else {})


def was_interrupted(further: Further | None) -> bool:
    """Whether somebody ended the confirmation."""
    return further is not None and INTERRUPTED in further.missing.values()


def _only(setup: Setup, names: Sequence[str]) -> Setup:
    """The setup with these phases of its plan alone."""
    chosen = tuple(phase for phase in setup.phases if phase.name in names)
    profile = f"{setup.plan.profile.partition(':')[0]}:{'+'.join(names)}"
    return dataclasses.replace(setup, plan=dataclasses.replace(setup.plan, phases=chosen, profile=profile))


def _them(names: Sequence[str]) -> str:
    return "it" if len(names) == 1 else "them"


def _planned(record: RunRecord, name: str) -> Phase:
    return next(phase for phase in record.plan.phases if phase.name == name)


def _no_time(phase: Phase, limit: float | None) -> str:
    takes, allowed = units.format_duration(seconds_again(phase)), units.format_duration(limit or 0.0)
    return f"there was no time to run it {FURTHER_RUNS} times again (about {takes}; --max-minutes allows {allowed} in all)"


def _listed(phases: tuple[str, ...]) -> str:
    return f"phase {phases[0]}" if len(phases) == 1 else f"phases {', '.join(phases)}"

"""What a job on GitHub measures: the service that is there, one that it starts itself, or two builds side by side."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from velro_gate.analysis.stored.confirmation import Repeats
from velro_gate.errors import InterruptedRunError, MissingVariableError
from velro_gate.gate.action.inputs import Inputs
from velro_gate.gate.action.second_job import elsewhere, take_up
from velro_gate.gate.builds.build import ANYWHERE, BuildRunner
from velro_gate.gate.builds.no_duet import no_duet_without_a_base
from velro_gate.gate.builds.service_user import ServiceUser
from velro_gate.gate.duet.duration import say_forecast
from velro_gate.gate.duet.pilot import DuetOptions, fresh_seed
from velro_gate.gate.duet.pull_request import Base, measure_change
from velro_gate.gate.judge.check_waivers import check_waivers
from velro_gate.gate.judge.confirm import Confirming, gated, phases_again, phases_side_by_side, was_interrupted
from velro_gate.gate.measure.effects import Effects, World
from velro_gate.gate.measure.null_run import Calibration
from velro_gate.gate.measure.results import Results, make_results, refuse_links, run_id
from velro_gate.gate.measure.run import run
from velro_gate.gate.measure.setup import RunOptions, Setup, number_of_shards, prepare
from velro_gate.gate.measure.shipped import shipped_scenario
from velro_gate.model.duet import DuetRecord
from velro_gate.model.further import Further
from velro_gate.model.record import RunRecord
from velro_gate.model.selftest import Selftest
from velro_gate.model.verdict import Verdict


def asked_by(inputs: Inputs, url: str | None) -> RunOptions:
    """What a job's inputs ask for; the scenario that comes with velro-gate where they name none.

    Raises:
        UsageError: the number of shards is invalid.
    """
    return RunOptions(
        scenario=inputs.scenario or shipped_scenario("velro-prd"),
        profile=inputs.profile,
        phases=inputs.phases,
        url=url,
        shards=number_of_shards(inputs.shards),
        block_inconclusive=inputs.block_inconclusive,
    )


@dataclass(slots=True, kw_only=True)
class JobMeasurements:
    """One job's ways to measure; what they share, such as a finished build, stays with it."""

    inputs: Inputs
    gating: bool
    base: Base
    scratch: Path
    world: World
    workspace: Path
    before: Results | None = None
    """The results of a duet that was not possible."""
    built: Path | None = None
    user: ServiceUser | None = None
    _builder: BuildRunner = field(init=False)

    def __post_init__(self) -> None:
        inputs = self.inputs
        self._builder = BuildRunner(
            workspace=self.workspace,
            build=inputs.build_command,
            start=inputs.start_command,
            health_path=inputs.health_path,
            seconds=inputs.build_minutes * 60.0,
            environ=self.world.environ,
            scratch=self.scratch,
            built=self.built,
            user=self.user,
        )

    def measure(self, baselines: Path, confirm: bool) -> tuple[RunRecord, Verdict, Results]:
        """The load on one build, and its verdict; an interrupted run comes back marked as such.

        confirm: run suspicious phases again, for no longer than the input allows.

        Raises:
            InterruptedRunError: running them again was interrupted; what there is has been kept and judged.
        """
        inputs = self.inputs
        setup = self._setup(anywhere=self._starts)
        check_waivers(inputs.waivers, setup.scenario)
        with self.world.open() as effects:
            results = make_results(inputs.output, run_id(effects.utc_now(), setup.plan.scenario, setup.plan.profile))
            self._keep_what_the_base_said(results)
            with ExitStack() as service:
                served = self._served(setup, results, service)
                record = run(served, results, effects, self._calibration)
                confirming = self._confirming(setup, served, service, results, effects) if confirm else None
                verdict, further = gated(
                    record, results, baselines=baselines, waivers=inputs.waivers, confirming=confirming, say=effects.say
                )
        if was_interrupted(further):
            raise InterruptedRunError(
                "the run was interrupted while suspicious phases were run again", where=str(results.folder)
            )
        return record, verdict, results

    def confirm(self, baselines: Path, first: RunRecord) -> tuple[RunRecord, Verdict, Results]:
        """What looked worse in the run of an earlier job, run twice more on this machine; its verdict by all runs.

        Raises:
            InterruptedRunError: it was interrupted; what there is has been kept and judged.
        """
        inputs = self.inputs
        setup = self._setup(anywhere=self._starts)
        check_waivers(inputs.waivers, setup.scenario)
        with self.world.open() as effects, ExitStack() as service:
            results = take_up(first, inputs.output)

            def again(needed: Repeats) -> Further:
                """Run phases again, the service being served once more."""
                served = self._served(setup, results, service)
                return phases_again(needed, setup=served, results=results, effects=effects, calibration=self._calibration)

            confirming = Confirming(again=again, seconds=inputs.max_minutes * 60.0, second_job=True)
            verdict, further = gated(
                first, results, baselines=baselines, waivers=inputs.waivers, confirming=confirming, say=effects.say
            )
        if was_interrupted(further):
            raise InterruptedRunError(
                "the run was interrupted while suspicious phases were run again", where=str(results.folder)
            )
        return first, verdict, results

    def measure_change(self) -> tuple[RunRecord, DuetRecord, Results]:
        """The proposed build side by side with its base build; for what it raises, see there."""
        inputs = self.inputs
        setup = self._setup(anywhere=True)
        check_waivers(inputs.waivers, setup.scenario)
        with self.world.open() as effects:
            name = run_id(effects.utc_now(), setup.plan.scenario, f"{setup.plan.profile}-duet")
            self.before = results = make_results(inputs.output, name)
            try:
                record, kept = self._side_by_side(setup, results, effects=effects)
            finally:
                self.built = self._builder.built
        return record, kept, results

    def selftest(self) -> tuple[Selftest, Results]:
        """Look at this runner by the embedded sandbox, for as long as the input allows; kept where later runs look for it.

        For what it raises, see ``gate.selftest.selftest``.
        """
        # Only here: no other job has any use for it.
        from velro_gate.gate.sandboxed.selftest import BLOCK, WARM_UP, SelftestOptions, selftest
        from velro_gate.store.selftests import selftest_folder

        inputs = self.inputs
        # A scenario that cannot work is refused now, not after ten minutes.
        self._setup(anywhere=self._starts)
        wanted = SelftestOptions(
            minutes=float(inputs.selftest_minutes),
            warm_up=WARM_UP,
            seconds=BLOCK,
            output=inputs.output,
            kept=selftest_folder(self.world.environ),
        )
        with self.world.open() as effects:
            return selftest(wanted, effects)

    @property
    def _starts(self) -> bool:
        """Whether this job starts the service itself."""
        return bool(self.inputs.start_command) and self.inputs.url is None

    def _served(self, setup: Setup, results: Results, service: ExitStack) -> Setup:
        """The setup against the service, which is started where this job does that, and runs until ``service`` is closed."""
        if self._starts:
            return service.enter_context(self._builder.serving(setup, results))
        return replace(setup, user=self._builder.other_user())

    def _confirming(self, setup: Setup, served: Setup, service: ExitStack, results: Results, effects: Effects) -> Confirming:
        """How what the screen leaves open is measured again: side by side with the change's base build where this job can
        start it, else alone. service: what serves the head build, until it is closed.
        """
        alone = partial(phases_again, results=results, effects=effects, calibration=self._calibration)
        seconds = self.inputs.max_minutes * 60.0
        later = self.inputs.second_job
        # Where a duet was tried before, there can be none.
        if not self._starts or not self.gating or self.before is not None:
            return Confirming(again=elsewhere if later else partial(alone, setup=served), seconds=seconds)

        def side_by_side(names: tuple[str, ...]) -> Further:
            # The cores belong to the builds of the duet.
            """Measure these phases in a duet."""
            service.close()
            measure = partial(self._side_by_side, effects=effects)
            return phases_side_by_side(names, setup=setup, results=results, effects=effects, measure=measure)

        def started_again(needed: Repeats) -> Further:
            """Run phases again with the service freshly started."""
            return alone(needed, setup=self._served(setup, results, service))

        return Confirming(again=elsewhere if later else started_again, side_by_side=side_by_side, seconds=seconds)

    def _side_by_side(self, setup: Setup, results: Results, *, effects: Effects) -> tuple[RunRecord, DuetRecord]:
        """The proposed build side by side with its base build; for what it raises, see there."""
        inputs = self.inputs
        options = DuetOptions(
            seed=fresh_seed(),
            pairs=inputs.pairs,
            block=inputs.block_seconds,
            warm_up=inputs.warm_up_seconds,
            most_seconds=inputs.max_minutes * 60.0,
        )
        with no_duet_without_a_base():
            say_forecast(setup.phases, options, effects.say)
        return measure_change(self.base, self._builder, setup, options, results, effects, self._calibration)

    def _keep_what_the_base_said(self, results: Results) -> None:
        """After a duet that was not possible: a reader looks into the results of the run that replaces it."""
        if self.before is not None:
            for log in ("build-base.log", "base.log"):
                if (said := self.before.folder / log).exists():
                    results.write(log, said.read_text("utf-8", "replace"))

    @property
    def _calibration(self) -> Calibration | None:
        return Calibration() if self.inputs.calibration else None

    def _setup(self, *, anywhere: bool) -> Setup:
        inputs = self.inputs
        refuse_links(inputs.output, self.workspace)
        wanted = asked_by(inputs, None if anywhere else inputs.url)
        try:
            return prepare(wanted, self.world.environ)
        except MissingVariableError:
            if not anywhere:
                raise
            # The file takes its address, and with it the protocol, from the environment alone.
            return prepare(wanted, {**ANYWHERE, **self.world.environ})

"""Noise between runs that was measured somewhere else than in a plan's own accepted runs.

With fewer than five baselines their own spread says little, and an assumed noise fits quiet machines only: on hosted runners it
fails unchanged builds. What was measured on this runner is better than either.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from velro_gate.analysis.rows.noise import NoiseElsewhere, is_long, noise_of, on_scale
from velro_gate.model.facts.reasons import NoiseOfProfile, NoiseOfSelftest
from velro_gate.model.metrics import Metric, Scale
from velro_gate.model.record import RunnerSelftest, RunRecord
from velro_gate.model.scenario import Policy

SELFTEST_DF = 15
"""Degrees of freedom of a selftest's noise: it has 16 unchanged blocks or more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseSources:
    """Other sources of the noise of a run's figures."""

    selftest: RunnerSelftest | None = None
    """The selftest of the runner, as the run's record quotes it."""
    others: Sequence[RunRecord] = ()
    """Accepted runs of the same scenario in the same environment under other profiles, oldest first."""

    def noise(self, phase: str, step: str, metric: Metric, policy: Policy) -> NoiseElsewhere | None:
        """The noise of one figure; None where it is unknown. Runs of another profile go before the selftest."""
        return self._of_another_profile(phase, step, metric, policy) or self._of_selftest(metric)

    def _of_another_profile(self, phase: str, step: str, metric: Metric, policy: Policy) -> NoiseElsewhere | None:
        """That of the profile with the longest history of the phase of this name, 16 runs or more of one plan."""
        histories: dict[tuple[str, str], list[float]] = defaultdict(list)
        for run in self.others:
            held = run.phase(phase)
            found = held.measurement(metric.name, step) if held is not None else None
            y = None if found is None else on_scale(found, metric)
            if y is not None:
                # By plan: under another load the level is another one, and its runs would count as noise.
                histories[run.plan.profile, run.plan.digest].append(y)
        long = {key: values for key, values in histories.items() if is_long(len(values))}
        if not long:
            return None
        (profile, _), values = max(long.items(), key=lambda item: len(item[1]))
        noise = noise_of(values, metric, policy)
        return NoiseElsewhere(sd=noise.sd, df=noise.df, source=NoiseOfProfile(runs=len(values), profile=profile), known=True)

    def _of_selftest(self, metric: Metric) -> NoiseElsewhere | None:
        """What its blocks varied by in p95, and no less than is assumed, since runs are further apart than its blocks."""
        measured = self.selftest.p95_noise if self.selftest is not None else None
        if self.selftest is None or measured is None or metric.prior_sd is None or metric.scale is Scale.LINEAR:
            return None
        source = NoiseOfSelftest(day=self.selftest.measured_at[:10])
        return NoiseElsewhere(sd=max(measured, metric.prior_sd), df=SELFTEST_DF, source=source, known=False)


NOWHERE = NoiseSources()

"""ProfileSpec -> phases: spelled out, or made from another profile by picking, overriding and scaling.

A requirement on throughput or on users held scales with the rate and the users of its phase, and remembers the figure that it
was scaled from. Latencies, shares and everything else stay as they are: an abbreviated run asks for the same quality. Only what
needs two minutes, a leak, is not asked of a phase that was made shorter.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from velro_gate import units
from velro_gate.model.metrics import LONG_STRETCH, Needs, Scaling
from velro_gate.model.resilience.experiment import Experiment
from velro_gate.model.scenario import Arrivals, ClosedArrivals, OpenArrivals, Phase, Requirement
from velro_gate.scenario.experiments import ReadExperiments, no_experiments
from velro_gate.scenario.limits import Key, requirements_from
from velro_gate.scenario.syntax.faults import Faults, did_you_mean
from velro_gate.scenario.syntax.shape import CountScale, PhaseSpec, ProfileSpec, RateScale, ScaleSpec, TimeScale

DEFAULT_RAMP = 10.0
"""Seconds; a phase that says nothing still connects its users gently."""

_Resolved = dict[str, Phase | None]
"""Phases by name, in order; None where a phase has faults of its own."""


@dataclass(slots=True, kw_only=True)
class Profiles:
    """Resolves the profiles of one file."""

    specs: Mapping[str, ProfileSpec]
    lines: Mapping[str, int]
    """The line of each profile."""
    written: Mapping[str, Collection[str]]
    """Names of phases by profile as they stand in the file, readable or not, so that a reference to an unreadable one is not
    called unknown.
    """
    everywhere: Mapping[Key, Requirement]
    """The requirements of every phase."""
    steps: Collection[str]
    own: Mapping[str, str]
    faults: Faults
    journeys: bool
    """Whether journeys written in Python fall due."""
    experiments: ReadExperiments
    """Reads those of a phase."""
    _done: dict[str, _Resolved]
    _open: list[str]

    def resolve(self) -> dict[str, tuple[Phase, ...]]:
        """Every profile's phases; those with faults are left out."""
        resolved = {name: self._profile(name) for name in self.specs}
        return {name: tuple(phase for phase in phases.values() if phase) for name, phases in resolved.items()}

    def _profile(self, name: str) -> _Resolved:
        if name not in self._done:
            self._open.append(name)
            spec = self.specs[name]
            self._done[name] = self._spelled_out(name, spec) if spec.base is None else self._derived(name, spec, spec.base)
            self._open.pop()
        return self._done[name]

    def _spelled_out(self, name: str, spec: ProfileSpec) -> _Resolved:
        if spec.scale is not None:
            self.faults.add(spec.line("scale"), "'scale' belongs to a profile made 'from' another")
        if not spec.phases:
            if not self.written.get(name):
                self.faults.add(
                    self.lines[name], f"profile {name!r} has no phases", "list its phases, or name a profile under 'from'"
                )
            return {}
        phases: _Resolved = {}
        for phase in spec.phases:
            self._refuse_twice(phase, phases, self.lines[name])
            phases[phase.name] = self._phase(phase, self.lines[name])
        return phases

    def _phase(self, spec: PhaseSpec, line: int) -> Phase | None:
        line = spec.line() if spec.has_lines else line
        own = requirements_from(spec, spec.requirements, "phase", self.steps, self.faults, self.own)
        lacking = [key for key in ("users", "duration") if getattr(spec, key) is None]
        if spec.rate is None and spec.think_time is None:
            lacking.append("rate (or think_time)")
        if lacking:
            self.faults.add(
                line, f"phase {spec.name!r} lacks {', '.join(lacking)}", "only a profile with 'from' may leave them out"
            )
        if self._has_two_paces(spec) or lacking or spec.users is None or spec.duration is None:
            return None
        return self._sound(
            Phase(
                name=spec.name,
                users=spec.users,
                ramp=DEFAULT_RAMP if spec.ramp is None else spec.ramp,
                duration=spec.duration,
                arrivals=_arrivals(spec, None, None, journeys=self.journeys),
                requirements=_joined(own, _measurable(self.everywhere, spec.duration)),
            ),
            line,
            self.experiments(spec, self.faults),
        )

    def _has_two_paces(self, spec: PhaseSpec) -> bool:
        if spec.rate is not None and spec.think_time is not None:
            self.faults.add(
                spec.line("think_time"), f"phase {spec.name!r} has both a rate and a think_time", "keep one of them"
            )
            return True
        return False

    def _refuse_twice(self, phase: PhaseSpec, phases: Mapping[str, object], line: int) -> None:
        if phase.name in phases:
            at = phase.line("name") if phase.has_lines else line
            self.faults.add(at, f"the phase {phase.name!r} is given twice in one profile", "give each phase a name of its own")

    def _derived(self, name: str, spec: ProfileSpec, base: str) -> _Resolved:
        # Profiles that are being resolved at the moment, so one that is met again is made from itself.
        if base in self._open:
            way = " -> ".join([*self._open[self._open.index(base) :], base])
            self.faults.add(spec.line("from"), f"the profile is made from itself: {way}")
            return {}
        if base not in self.specs:
            if base not in self.written:
                self.faults.add(
                    spec.line("from"), f"there is no profile {base!r}", did_you_mean(base, set(self.written) - {name})
                )
            return {}
        originals = self._profile(base)
        # A profile that lists no phases takes all of its original's; one that lists some picks these, in its own order.
        picks = spec.phases if spec.phases is not None else [None] * len(originals)
        names = [pick.name for pick in spec.phases] if spec.phases is not None else list(originals)
        phases: _Resolved = {}
        for index, (phase_name, pick) in enumerate(zip(names, picks, strict=True)):
            line = spec.line("phases", index) if pick is not None else self.lines[name]
            if pick is not None:
                self._refuse_twice(pick, phases, line)
            phases[phase_name] = self._pick(phase_name, pick, base, spec.scale, line)
        return phases

    def _pick(self, name: str, pick: PhaseSpec | None, base: str, scale: ScaleSpec | None, line: int) -> Phase | None:
        originals = self._done[base]
        if name not in originals:
            if name not in self.written.get(base, ()):
                hint = did_you_mean(name, originals)
                self.faults.add(line, f"profile {base!r} has no phase {name!r}", hint)
            return None
        original, spec = originals[name], pick or PhaseSpec.model_validate({"name": name})
        own = requirements_from(spec, spec.requirements, "phase", self.steps, self.faults, self.own)
        if self._has_two_paces(spec) or original is None:
            return None
        made = self._made_from(original, spec, scale or ScaleSpec.model_validate({}), own, line)
        experiments = original.experiments if spec.experiments is None else self.experiments(spec, self.faults)
        return self._sound(made, line, experiments)

    def _made_from(
        self, original: Phase, spec: PhaseSpec, scale: ScaleSpec, own: Mapping[Key, Requirement], line: int
    ) -> Phase:
        phase = replace(
            original,
            experiments=(),  # they fit into the original's duration; whether into this one is seen later
            users=spec.users if spec.users is not None else max(1, round(_scaled(original.users, scale.users))),
            ramp=spec.ramp if spec.ramp is not None else _scaled(original.ramp, scale.ramp),
            duration=spec.duration if spec.duration is not None else _scaled(original.duration, scale.duration),
            arrivals=_arrivals(spec, original.arrivals, scale.rate, journeys=self.journeys),
        )
        rate_factor = _rate_factor(original, phase)
        inherited: dict[Key, Requirement] = {}
        for requirement in original.requirements:
            key = requirement.step, requirement.metric
            if requirement.definition.scaling is Scaling.RATE and rate_factor is None and key not in own:
                what = f"phase {phase.name!r} changes between rate and think_time, so its {requirement.metric} cannot be scaled"
                self.faults.add(line, what, "set it again under the phase's requirements")
            # Users held scale with the users; a throughput with the rate, or in a closed loop with users and pace.
            factor = phase.users / original.users if requirement.definition.scaling is Scaling.USERS else rate_factor or 1.0
            scales = requirement.definition.scaling is not Scaling.NONE
            inherited[key] = _scaled_requirement(requirement, factor) if scales else requirement
        return replace(phase, requirements=_joined(own, _measurable(inherited, phase.duration)))

    def _sound(self, phase: Phase, line: int, experiments: tuple[Experiment, ...]) -> Phase:
        """The phase with its experiments. Adds a fault for every requirement that the phase's own load puts out of reach, and
        for experiments that do not fit.
        """
        fitting = tuple(each for each in experiments if each.ends + each.room <= phase.duration)
        for each in experiments:
            if each not in fitting:
                end, whole = units.format_duration(each.ends + each.room), units.format_duration(phase.duration)
                what = (
                    f"the experiment {each.name!r} of phase {phase.name!r} with its recovery ends after {end}, "
                    f"the phase after {whole}"
                )
                self.faults.add(line, what, "begin it earlier, or make the phase longer")
        phase = replace(phase, experiments=fitting)
        for requirement in phase.requirements:
            rate = phase.offered_rate
            if requirement.definition.scaling is Scaling.RATE and rate is not None and requirement.target > rate * (1.0 + 1e-9):
                asked, offered = units.format_rate(requirement.target), units.format_rate(rate)
                what = f"phase {phase.name!r} requires {requirement.metric} {asked} and offers {offered}: it can never be met"
                self.faults.add(line, what, "offer about 10 % more than is required")
            if requirement.definition.scaling is Scaling.USERS and requirement.target > phase.users:
                asked, held = units.format_count(requirement.target), units.format_count(phase.users)
                self.faults.add(line, f"phase {phase.name!r} requires {asked} users held and has {held}: it can never be met")
            if Needs.LONG_STRETCH in requirement.definition.needs and phase.duration < LONG_STRETCH:
                least, lasts = units.format_duration(LONG_STRETCH), units.format_duration(phase.duration)
                what = f"phase {phase.name!r} lasts {lasts}, and {requirement.metric} is measured over {least} or more"
                self.faults.add(line, what, "make the phase longer, or remove the limit")
            if Needs.OFFERED_RATE in requirement.definition.needs and rate is None:
                hint = "a journey's requests follow from its responses" if self.journeys else "give it a 'rate'"
                what = f"phase {phase.name!r} has no offered rate, so {requirement.metric} has no meaning"
                self.faults.add(line, what, hint)
        return phase


def profiles_of(
    *,
    specs: Mapping[str, ProfileSpec],
    lines: Mapping[str, int],
    written: Mapping[str, Collection[str]],
    everywhere: Mapping[Key, Requirement],
    steps: Collection[str],
    own: Mapping[str, str],
    faults: Faults,
    journeys: bool = False,
    experiments: ReadExperiments = no_experiments,
) -> dict[str, tuple[Phase, ...]]:
    """The phases of every profile; see Profiles for the arguments. What is wrong is added to the faults."""
    return Profiles(
        specs=specs,
        lines=lines,
        written=written,
        everywhere=everywhere,
        steps=steps,
        own=own,
        faults=faults,
        journeys=journeys,
        experiments=experiments,
        _done={},
        _open=[],
    ).resolve()


def _joined(own: Mapping[Key, Requirement], other: Mapping[Key, Requirement]) -> tuple[Requirement, ...]:
    """The phase's own requirements first; they replace what is said elsewhere about the same step and metric."""
    return (*own.values(), *(requirement for key, requirement in other.items() if key not in own))


def _measurable(requirements: Mapping[Key, Requirement], duration: float) -> dict[Key, Requirement]:
    """Those from elsewhere that a phase of this length can answer: an abbreviated one shows no leak."""
    long = duration >= LONG_STRETCH
    return {key: each for key, each in requirements.items() if long or Needs.LONG_STRETCH not in each.definition.needs}


def _scaled(value: float, scale: CountScale | RateScale | TimeScale) -> float:
    scaled = value * scale.factor
    if scale.least is not None:
        scaled = max(scaled, scale.least)
    if scale.most is not None:
        scaled = min(scaled, scale.most)
    return round(scaled, 6)


def _arrivals(spec: PhaseSpec, original: Arrivals | None, scale: RateScale | None, *, journeys: bool) -> Arrivals:
    """The phase's pace: its own, else the original's, scaled. Spacing 'even' makes think times constant."""
    even = spec.spacing == "even" if spec.spacing is not None else _is_even(original)
    if spec.rate is not None:
        return OpenArrivals(rate=spec.rate, spacing="even" if even else "poisson", journeys=journeys)
    if spec.think_time is not None:
        return ClosedArrivals(think_time=spec.think_time, constant=even)
    if isinstance(original, OpenArrivals):
        rate = _scaled(original.rate, scale) if scale is not None else original.rate
        return OpenArrivals(rate=rate, spacing="even" if even else "poisson", journeys=journeys)
    assert original is not None
    return replace(original, constant=even)


def _is_even(arrivals: Arrivals | None) -> bool:
    match arrivals:
        case OpenArrivals(spacing=spacing):
            return spacing == "even"
        case ClosedArrivals(constant=constant):
            return constant
        case None:
            return False


def _rate_factor(original: Phase, phase: Phase) -> float | None:
    """By how much the phase's rate differs from the original's; None between an open and a closed loop."""
    match original.arrivals, phase.arrivals:
        case OpenArrivals(rate=before), OpenArrivals(rate=after):
            return after / before
        case ClosedArrivals(think_time=before), ClosedArrivals(think_time=after):
            # Without a pause the response time alone sets the pace, of which nothing is known here.
            pace = before / after if before and after else 1.0
            return phase.users / original.users * pace
        case _:
            return None


def _scaled_requirement(requirement: Requirement, factor: float) -> Requirement:
    if factor == 1.0:
        return requirement
    whole = requirement.definition.scaling is Scaling.USERS

    def scaled(value: float) -> float:
        """Users are whole and rounded down, since not even part of one more can be connected; other limits keep six digits."""
        return float(math.floor(value * factor + 1e-9)) if whole else round(value * factor, 6)

    return replace(
        requirement,
        target=scaled(requirement.target),
        critical=None if requirement.critical is None else scaled(requirement.critical),
        scaled_from=requirement.target if requirement.scaled_from is None else requirement.scaled_from,
    )

"""Every situation that a reader of the reports meets: a run, what it is compared with, and what the judge says of it.

Nothing here is a verdict. Each example is made of records (``tests.report.records``, ``tests.report.duets``), stored as the
program stores them, and judged by the program: ``reach_verdict`` reads baselines, quarantine, pins and waivers from files.
"""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from tests.report.duets import judged, kept
from tests.report.records import PRD, SHAPES, Shape, accepted, books, health, measured, on_main, record, tally
from velro_gate.analysis.stored.confirmation import needed_repeats
from velro_gate.gate.action.second_job import elsewhere
from velro_gate.gate.judge.verdict import reach_verdict
from velro_gate.model.further import Further
from velro_gate.model.record import Estimate, PhaseSummary, RunnerSelftest, RunRecord, StepSummary
from velro_gate.model.run import FirstFailure
from velro_gate.model.verdict import Verdict
from velro_gate.store.baselines import add_baseline, quarantine
from velro_gate.store.pins import pin_baseline

Made = tuple[RunRecord, Verdict]


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A run, the verdict on it, and the accepted runs that it was compared with."""

    run: RunRecord
    verdict: Verdict
    baselines: tuple[RunRecord, ...] = ()

    @property
    def made(self) -> Made:
        """What a renderer takes."""
        return self.run, self.verdict


STRESS = "stress_test"
STEP = "authorization_check"
SMALL = partial(record, phases=(PRD, STRESS), steps=("authentication_check", STEP, "generation_list", "generation_create"))
"""A run of two phases and four steps: small enough to read every line that a report says of it."""


def decided(
    run: RunRecord,
    baselines: Sequence[RunRecord] = (),
    *,
    further: Further | None = None,
    waivers: str = "",
    quarantined: RunRecord | None = None,
    pinned: bool = False,
) -> Example:
    """A run and the verdict on it, by baselines that lie in files.

    waivers: the text of the file; empty: there is none. quarantined: a stored run that is no baseline. pinned: whether the
    oldest baseline is held as a release.
    """
    # Messages name the files, so their paths must be the same each time.
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        root, agreed = Path("baselines"), Path("velro-waivers.yaml")
        files = [add_baseline(root, one) for one in baselines]
        if pinned:
            pin_baseline(files[0], "v1.4.0")
        if quarantined is not None:
            quarantine(root, quarantined, "p95 rose by 31 % and nobody has agreed to that")
        agreed.write_text(waivers, encoding="utf-8")
        verdict = reach_verdict(run, root, waivers=agreed if waivers else None, further=further)
    return Example(run=run, verdict=verdict, baselines=tuple(baselines))


@cache
def main(count: int = 10, noise: float = 0.012) -> tuple[RunRecord, ...]:
    """Runs of main, oldest first."""
    return accepted(count, SMALL(), noise=noise)


def phase_changed(run: RunRecord, name: str, **changed: Any) -> RunRecord:
    """The run with one phase that differs."""
    return dataclasses.replace(
        run,
        phases=tuple(dataclasses.replace(one, **changed) if one.name == name else one for one in run.phases),
    )


def again(first: Example, runs: Sequence[RunRecord]) -> Further:
    """Of further runs, the phases that the first verdict asks for, as a gate runs them."""
    run, verdict = first.made
    names = needed_repeats(verdict.comparisons, run.plan.phases).phases
    assert names, "nothing is suspicious"
    planned = dataclasses.replace(
        run.plan,
        phases=tuple(one for one in run.plan.phases if one.name in names),
        profile=f"{run.plan.profile}:{'+'.join(names)}",
    )
    return Further(
        runs=tuple(
            dataclasses.replace(
                one,
                id=f"20261123T13{number}000Z-velro-prd-full",
                plan=planned,
                phases=tuple(part for part in one.phases if part.name in names),
            )
            for number, one in enumerate(runs)
        )
    )


@cache
def passing() -> Example:
    """All well."""
    return decided(measured(SMALL(), 2), main())


@cache
def improved() -> Example:
    """All well, and one step faster."""
    return decided(measured(SMALL(slower={"generation_list": 0.75}), 2), main())


@cache
def warning() -> Example:
    """A marginal requirement, a tail that is told for information, and a generator that was short of CPU."""
    usual = SMALL(load=1.52)
    run = measured(SMALL(load=1.52, reshape=slower_tail), 2)
    return decided(phase_changed(run, STRESS, health=health(cpu_share=0.76)), accepted(10, usual, noise=0.02))


def slower_tail(one: PhaseSummary) -> PhaseSummary:
    """Makes p99 of one phase worse and nothing else."""
    if one.name != STRESS:
        return one
    return dataclasses.replace(
        one, steps=tuple(dataclasses.replace(of, measurements=_tail(of.measurements)) for of in one.steps)
    )


def _tail(found: Mapping[str, Estimate]) -> dict[str, Estimate]:
    p99 = found["p99"]
    worse = dataclasses.replace(p99, value=p99.value * 1.06, low=p99.low * 1.06, high=p99.high * 1.06)
    return {**found, "p99": worse}


@cache
def drifted() -> Example:
    """Nothing that this change did: main itself became slower, and is slower than the release that is pinned."""
    history = accepted(22, lambda index: SMALL(load=1.0 if index < 12 else 1.12))
    selftest = RunnerSelftest(measured_at="2026-11-22T02:00:00Z", p95_noise=0.019, p95_seen=0.06, blind=False)
    return decided(dataclasses.replace(measured(SMALL(load=1.12), 2), selftest=selftest), history, pinned=True)


@cache
def waived() -> Example:
    """A regression that reviewers have agreed to, and one beside it that is more than what is agreed."""
    run = measured(SMALL(slower={STEP: 1.31}), 2)
    rows = "".join(
        f"- {{phase: {phase}, step: {step}, metric: {metric}, ceiling: 40 %, expires: 2026-12-31, issue: acme/shop#81, "
        "reason: the new check is worth it}\n"
        for phase in (PRD, STRESS)
        for step, metric in ((STEP, "p95"), ("all", "p95"), ("all", "p50"))
    )
    return decided(run, main(), waivers=rows)


@cache
def first_run() -> Example:
    """No baseline at all."""
    return decided(measured(SMALL(), 2))


@cache
def no_baseline() -> Example:
    """The first run on this machine, on a scaled profile: what is stored was measured on another one."""
    run = SMALL(profile="pr")
    other = dataclasses.replace(run, environment=dataclasses.replace(run.environment, cores=8))
    return decided(measured(run, 2), accepted(3, other))


@cache
def few_baselines() -> Example:
    """Too few baselines to tell; one step looks worse all the same."""
    return decided(measured(SMALL(slower={STEP: 1.31}), 2), main(3))


@cache
def still_open() -> Example:
    """Nothing looks worse, but the runner varies too much to show that nothing is."""
    return decided(measured(SMALL(), 3, noise=0.03), main(10, 0.05))


@cache
def alone() -> Example:
    """Slower perhaps, and nothing is to be measured again."""
    return decided(measured(SMALL(slower={STEP: 1.11}), 2), main(10, 0.03))


@cache
def suspicious() -> Example:
    """Slower perhaps; a second job is to measure again."""
    run, verdict = alone().made
    needed = needed_repeats(verdict.comparisons, run.plan.phases)
    return decided(run, main(10, 0.03), further=elsewhere(needed))


@cache
def regressed() -> Example:
    """One step is slower; every requirement is met."""
    broken_before = on_main(measured(SMALL(slower={STEP: 1.3}), 9), days_before=11)
    return decided(measured(SMALL(slower={STEP: 1.31}), 2), main(), quarantined=broken_before)


@cache
def missed() -> Example:
    """Nothing changed, but limits are missed."""
    return decided(measured(SMALL(load=1.62), 2), accepted(10, SMALL(load=1.62)))


@cache
def regressed_and_missed() -> Example:
    """One step is five times as slow: a critical limit and others are missed, and some answers failed."""
    answers = FirstFailure(
        step="generation_create",
        outcome="STATUS",
        status=503,
        count=61,
        at=12.4,
        request="POST http://127.0.0.1:8000/api/generations",
        reason="expected 201",
        seen='{"error": "no worker is free"}',
    )
    run = measured(SMALL(slower={STEP: 6.0}), 2)
    return decided(phase_changed(run, STRESS, failures=(answers,)), main())


@cache
def failing() -> Example:
    """More requests fail, and the answers are faster for it, which is no improvement."""
    return decided(measured(SMALL(load=0.8, error_rate=0.006), 2), main())


@cache
def confirmed() -> Example:
    """A regression that two further runs have confirmed."""
    slow = SMALL(slower={STEP: 1.31})
    run = measured(slow, 2)
    further = again(decided(run, main()), [measured(slow, seed) for seed in (3, 4)])
    return decided(run, main(), further=further)


@cache
def not_confirmed() -> Example:
    """Suspicions that two further runs have cleared, or have left open."""
    run = measured(SMALL(slower={STEP: 1.22, "authentication_check": 1.2, "generation_list": 1.25}), 2)
    first = decided(run, main(10, 0.03))
    less = SMALL(slower={STEP: 1.03, "authentication_check": 1.05, "generation_list": 1.07})
    return decided(run, main(10, 0.03), further=again(first, [measured(less, seed, noise=0.02) for seed in (9, 10)]))


@cache
def repeated() -> Example:
    """A suspicion that two further runs repeat, but not by enough to be certain."""
    slow = SMALL(slower={STEP: 1.1})
    first = decided(measured(slow, 2), main(10, 0.03))
    return decided(first.run, first.baselines, further=again(first, [measured(slow, seed) for seed in (3, 4)]))


@cache
def confirmed_next_to() -> Example:
    """A regression that a duet with the base build has confirmed, and a suspicion that it has cleared."""
    run = measured(SMALL(phases=(PRD,), slower={STEP: 1.31, "generation_list": 1.14}), 2)
    pairs = kept(pairs=10, sd=0.012, load=1.9, slower={STEP: 1.31}, shape=in_blocks(PRD), steps=run.plan.steps)
    return decided(run, accepted(10, SMALL(phases=(PRD,))), further=Further(duet=pairs))


def in_blocks(name: str) -> Shape:
    """A phase in blocks of 15 s."""
    found = next(shape for shape in SHAPES if shape[0] == name)
    return (*found[:5], 15.0)


@cache
def instead_of_a_duet() -> Example:
    """A stored comparison, because the base build could not be made."""
    reason = "the base build's build-command ended with exit code 9 (serve.c:12: no such file)"
    return decided(measured(SMALL(), 2), main(), further=Further(no_duet=reason, advice="Try the command by hand."))


@cache
def broken() -> Example:
    """A shard was lost in the first phase, the generator was late, and the database was not watched."""
    run = SMALL(connections=None, only=1)
    (first,) = run.phases
    lost = dataclasses.replace(
        first, shards_lost=("shard 2 of 2 was killed by SIGKILL",), interrupted=True, measured_seconds=212.0
    )
    notes = ("postgres is not watched: no DATABASE_URL is given", "No null run was made.")
    run = dataclasses.replace(run, phases=(lost,), notes=notes, generator_noise=None, shards=2)
    return decided(run, main())


@cache
def gone() -> Example:
    """The service stopped responding in the second phase."""
    run = measured(SMALL(), 2)
    return decided(phase_changed(run, STRESS, service_gone="connection refused", measured_seconds=41.0), main())


@cache
def unanswered() -> Example:
    """Not one request of the second phase was answered as it should be."""
    return decided(measured(SMALL(reshape=nothing_answered), 2), main())


def nothing_answered(one: PhaseSummary) -> PhaseSummary:
    """Makes every request of one phase fail: then there are no response times, only requests that were due."""
    if one.name != STRESS:
        return one
    return dataclasses.replace(one, steps=tuple(map(_all_failed, one.steps)))


def _all_failed(of: StepSummary) -> StepSummary:
    counts = books(of.counts.due, 1.0)
    nothing = {name: Estimate.exact(0.0, n=30) for name in ("throughput", "achieved_share", "sustained_throughput")}
    kept = {name: nothing.get(name, found) for name, found in of.measurements.items() if name in (*nothing, *_WITHOUT_ANSWERS)}
    found = {**kept, "error_rate": Estimate.exact(1.0, n=counts.due)}
    return dataclasses.replace(of, counts=counts, measurements=found, cache={}, **tally(counts))  # type: ignore[arg-type]


_WITHOUT_ANSWERS = ("users_held", "lateness_p99", "rss", "database_connections")


def next_to(**how: Any) -> Callable[[], Example]:
    """Two builds in a duet of one phase; how: see ``duets.judged``."""

    @cache
    def duet() -> Example:
        run, verdict = judged(**how)
        return Example(run=run, verdict=verdict)

    return duet


SITUATIONS: dict[str, Callable[[], Example]] = {
    "pass": passing,
    "pass-improved": improved,
    "pass-no-duet": instead_of_a_duet,
    "warn": warning,
    "warn-drift": drifted,
    "warn-waived": waived,
    "no-baseline": no_baseline,
    "no-baseline-first": first_run,
    "no-baseline-few": few_baselines,
    "inconclusive": still_open,
    "inconclusive-alone": alone,
    "inconclusive-suspicious": suspicious,
    "inconclusive-not-confirmed": not_confirmed,
    "inconclusive-repeated": repeated,
    "fail-regression": regressed,
    "fail-confirmed": confirmed,
    "fail-confirmed-beside": confirmed_next_to,
    "fail-missed": missed,
    "fail-both": regressed_and_missed,
    "fail-errors": failing,
    "fail-gone": gone,
    "fail-unanswered": unanswered,
    "broken": broken,
    "duet-pass": next_to(),
    "duet-fail": next_to(slower={STEP: 1.2}),
    "duet-inconclusive": next_to(sd=0.09, head=1.05, pairs=16),
    "duet-broken": next_to(control=1.12, head=1.11),
}
"""Every situation a reader meets, by the name of its golden files; a name begins with the level that the judge gives it."""

EXAMPLES: dict[str, Callable[[], Made]] = {name: partial(lambda make: make().made, make) for name, make in SITUATIONS.items()}
"""The same as what a renderer takes."""

"""What a dry run asks of the real services: health, each step by the engine itself, and every source of readings."""

from __future__ import annotations

import dataclasses
import statistics
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import trio

from velro_gate import units
from velro_gate.engine.client.preflight import preflight
from velro_gate.engine.load.failures import expectation
from velro_gate.engine.run import Load, run_load
from velro_gate.errors import BrokenError, UnreachableError, VelroError
from velro_gate.gate.measure.run import run_trio
from velro_gate.gate.measure.setup import Setup, page_route
from velro_gate.model.masking import mask
from velro_gate.model.metric.own import BOUND, MetricOrigin, OwnMetric, OwnValue
from velro_gate.model.readings import WATCHED
from velro_gate.model.samples import Outcome, Samples
from velro_gate.model.scenario import LoginAuth, OpenArrivals, Phase, Scenario, Step, Target
from velro_gate.monitor import ReadingSource, SourceError, sources_for
from velro_gate.monitor.sources.own import own_sources
from velro_gate.monitor.sources.prometheus import PrometheusText
from velro_gate.report.text.figures import figure

RATE = 10.0
"""Requests a second: polite, and quick enough for a person who waits."""
_SECONDS = 10.0
"""How long a single request may take."""
_NAMED = {source.name: source.label for source in WATCHED.values() if source.key != "prometheus"}
_IN_WORDS = {
    Outcome.CHECK: "a check on its body failed",
    Outcome.CAPTURE: "a value to capture was missing from it",
    Outcome.PROTOCOL: "the response is not HTTP",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Replies:
    """What was requested and how the services responded, in sentences."""

    sentences: tuple[str, ...]
    refusal: VelroError | None = None
    """Why a run would measure nothing; None when it would."""
    silent: tuple[str, ...] = ()
    """Sources that could not be read."""


def ask_services(setup: Setup, *, wait_seconds: float = 0.0) -> Replies:
    """Try the services once and report the responses. Sends a health request and one user's requests up to the last step.

    Raises:
        UsageError: a placeholder has no value, or a certificate file cannot be used.
    """
    return run_trio(partial(_ask, setup, wait_seconds))


async def _ask(setup: Setup, wait_seconds: float) -> Replies:
    tried = {name: await _tried(source) for name, source in _sources(setup)}
    watched = {name: fault for name, (fault, _) in tried.items()}
    # A page of metrics that nobody asked for may be missing: its path is a guess.
    silent = tuple(f"{name} ({fault})" for name, fault in watched.items() if fault and name in _NAMED.values())
    sources = [f"{name}: {fault or 'answers'}." for name, fault in watched.items()]
    try:
        health = await preflight(setup.scenario.target, wait_seconds=wait_seconds)
    except UnreachableError as error:
        return Replies(sentences=tuple(sources), refusal=error, silent=silent)
    rows, values = await _each_step(setup.scenario, setup.secrets)
    wrong = [name for name, _, good in rows if not good]
    refusal = None
    if wrong:
        refusal = BrokenError(
            f"{len(wrong)} of {len(rows)} steps were not answered as the scenario expects",
            where=setup.scenario.target.url,
            why="; ".join(f"{name}: {what}" for name, what, good in rows if not good),
            hint="Check the key and the paths; a status that is right belongs under the step's 'expect'. 'curl -i' on the URL "
            "shows a complete response.",
        )
    steps = [f"Step {name}: {what}." for name, what, _ in rows]
    # After the steps: many services show a metric from its first value on.
    sources += await _lacking(setup)
    sources += [*await _own_metrics(setup.scenario), *_of_responses(setup.scenario.metrics, values)]
    return Replies(sentences=(f"Health: {health}.", *steps, *sources), refusal=refusal, silent=silent)


def _sources(setup: Setup) -> Iterator[tuple[str, ReadingSource]]:
    """What is read over the network, by the names that people know."""
    target = setup.scenario.target
    for source in sources_for(target, service_is_local=setup.service_is_local, route=page_route(target)):
        if isinstance(source, PrometheusText):
            yield f"Metrics page {shown_page(target)}", source
        elif source.name in _NAMED and (source.key != "processes" or "process" in dict(target.watch)):
            yield _NAMED[source.name], source


def shown_page(target: Target) -> str | None:
    """Its metrics page as people are shown it: its path on the service, or its URL elsewhere without a password."""
    elsewhere = dict(target.watch).get("prometheus")
    return target.metrics_path if elsewhere is None else mask(elsewhere, ())


async def _own_metrics(scenario: Scenario) -> list[str]:
    """Which of the scenario's own metrics its pages and collectors show now: a misspelled name shows before the load."""
    shown: set[str] = set()
    said = []
    for source in own_sources(scenario.metrics, scenario.target, page_route(scenario.target)):
        try:
            with trio.fail_after(_SECONDS):
                shown.update(name.partition(BOUND)[0] for name in await source.read())
        except SourceError as error:
            said.append(f"Own metrics: {f'{error.of} ' if error.of else ''}{error}.")
        except trio.TooSlowError:
            said.append("Own metrics: their collector does not answer in time.")
        finally:
            # Whatever it was doing has timed out, so its goodbye may as well.
            with trio.move_on_after(1.0, shield=True):
                await source.aclose()
    for metric in scenario.metrics:
        if metric.origin in (MetricOrigin.PROMETHEUS, MetricOrigin.COLLECTOR):
            found = "shown" if metric.name in shown else f"not shown yet, check {metric.what} and its labels"
            said.append(f"Own metric {metric.name}: {found}.")
    return said


def _of_responses(metrics: Sequence[OwnMetric], values: Mapping[str, Sequence[float]]) -> list[str]:
    """What each metric of headers and bodies found in the good responses to the trial requests. values: by metric."""
    said = []
    for metric in metrics:
        if not metric.origin.of_responses:
            continue
        kind = "header" if metric.origin is MetricOrigin.HEADER else "number or text at"
        whose = f"of {metric.steps[0]}" if metric.steps else "of any step"
        found = values.get(metric.name, ())
        if not found:
            said.append(f"Own metric {metric.name}: not found, no good response {whose} has the {kind} {metric.what}.")
        elif metric.value is OwnValue.SHARE:
            of = f"{int(sum(found))} of {units.format_counted(len(found), 'response')}"
            said.append(f"Own metric {metric.name}: {of} {'has' if sum(found) == 1 else 'have'} {metric.equals!r}.")
        else:
            low, high = (_shown(metric, edge) for edge in (min(found), max(found)))
            span = low if low == high else f"{low} to {high}"
            said.append(f"Own metric {metric.name}: {span} in {units.format_counted(len(found), 'response')}.")
    return said


def _shown(metric: OwnMetric, value: float) -> str:
    """One value as it came, in base units; what a rate is made of is no rate itself."""
    value *= metric.factor
    return units.format_number(value) if metric.value is OwnValue.RATE else figure(metric.metric, value)


async def _lacking(setup: Setup) -> list[str]:
    """Families that the scenario names and its metrics page does not show: a misspelled one shows before the load."""
    target = setup.scenario.target
    if not target.named_families:
        return []
    pages = [source for _, source in _sources(setup) if isinstance(source, PrometheusText)]
    return families_not_shown(target, {series for page in pages for series in (await _tried(page))[1]})


def families_not_shown(target: Target, shown: Container[str]) -> list[str]:
    """The same from the series that the page shows."""
    return [
        f"Series {series}: not shown yet, check {family} and its labels."
        for series, family in target.named_families
        if series not in shown
    ]


async def _tried(source: ReadingSource) -> tuple[str | None, frozenset[str]]:
    """Why a source cannot be read, None when it can be; and the names of what was read."""
    try:
        with trio.fail_after(_SECONDS):
            return None, frozenset(await source.read())
    except trio.TooSlowError:
        return "does not answer in time", frozenset()
    except SourceError as error:
        return str(error), frozenset()
    except OSError as error:
        return error.strerror or type(error).__name__, frozenset()
    finally:
        with trio.move_on_after(1.0, shield=True):
            await source.aclose()


async def _each_step(
    scenario: Scenario, secrets: Mapping[str, str]
) -> tuple[list[tuple[str, str, bool]], dict[str, list[float]]]:
    """Each step with what came, and whether that is what it expects; and what own metrics found in the responses.

    The engine itself asks, as one user on two walks.
    """
    certain = tuple(dataclasses.replace(step, probability=1.0) for step in scenario.steps)
    journeys = scenario.journey is not None
    # The first walk begins in the middle of a journey, so only with two of them every step is met.
    count = 1 if journeys else 2 * len(certain)
    arrivals = OpenArrivals(rate=RATE, spacing="even", journeys=journeys)
    phase = Phase(name="once", users=1, ramp=0.0, duration=count / RATE, arrivals=arrivals)
    parts: list[Samples] = []
    load = Load(scenario=dataclasses.replace(scenario, steps=certain), phases=(phase,), secrets=secrets)
    result = await run_load(load, origin=trio.current_time(), sink=lambda _, samples: parts.append(samples))
    samples = Samples.concatenate(parts)
    asked = {step.name: step for step in certain}
    if isinstance(scenario.auth, LoginAuth):
        asked[f"{scenario.auth.step.name} (login)"] = scenario.auth.step
    found = [(name, *_came(samples.where(samples.step == at), step)) for at, (name, step) in enumerate(asked.items())]
    gone = next((ran.service_gone for ran in result.phases if ran.service_gone is not None), None)
    values: dict[str, list[float]] = {}
    for seen in (each for ran in result.phases for each in ran.values):
        values.setdefault(seen.name, []).extend(seen.value)
    return [(name, what if gone is None or good else gone, good) for name, what, good in found], values


def _came(samples: Samples, step: Step) -> tuple[str, bool]:
    """What one step was answered, and whether at least one answer was good."""
    good = samples.where(samples.ok)
    if len(good):
        return f"{_status(good)} in {units.format_seconds(statistics.median(good.service_time.tolist()))}", True
    if not len(samples):
        return "was not reached, since what it needs of an earlier response never came", False
    outcome = Outcome(Counter(samples.outcome.tolist()).most_common(1)[0][0])
    if outcome is Outcome.STATUS:
        return f"answered {_status(samples)}, {expectation(step.expect_status)}", False
    return _IN_WORDS.get(outcome, outcome.name.lower()), False


def _status(samples: Samples) -> str:
    return ", ".join(str(status) for status in sorted(set(samples.status.tolist())))

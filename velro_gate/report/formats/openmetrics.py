"""A run as OpenMetrics text, for Prometheus and what reads its format: verdict, score, requirements, figures, counts.

Every family is a gauge. The older text format does not know the types info and state set, and names the family of a counter in
another way; a text of gauges alone is valid in both formats, to parsers of OpenMetrics and to ``promtool check metrics``. No
figure counts on from one run to the next anyway.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime

from prometheus_client import CollectorRegistry
from prometheus_client import generate_latest as generate_classic
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from velro_gate.analysis.compliance.assess import assess
from velro_gate.model.metric.broken import is_of_experiment
from velro_gate.model.metric.own import is_own
from velro_gate.model.metrics import METRICS, MetricKind
from velro_gate.model.record import PhaseSummary, RunRecord
from velro_gate.model.verdict import Level, RequirementResult, Verdict
from velro_gate.report.text.escape import visible

PREFIX = "velro_gate"
"""Of every family, so that they are found together and collide with none of the service's."""
JOB = "velro-gate"
"""The job under which a Pushgateway keeps runs."""
CLASSIC_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""What a Pushgateway is sent."""
_UNITS = {
    MetricKind.SECONDS: "seconds",
    MetricKind.PER_SECOND: "per_second",
    MetricKind.SHARE: "ratio",
    MetricKind.COUNT: "",
    MetricKind.BYTES: "bytes",
    MetricKind.BYTES_PER_MINUTE: "bytes_per_minute",
    MetricKind.SHARE_PER_MINUTE: "ratio_per_minute",
}


def openmetrics(record: RunRecord, verdict: Verdict | None) -> str:
    """The whole text, ending in ``# EOF``. Samples are labelled with scenario and profile; what was not measured is absent.

    verdict: None: nobody has judged the run, so verdict, score and requirements are absent.
    """
    # A registry of this text's own: the library's global one holds figures of this process.
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Run(record, verdict))
    text: bytes = generate_latest(registry)  # type: ignore[no-untyped-call]
    return text.decode("utf-8")


class _Run(Collector):
    """One run, as the library collects it."""

    def __init__(self, record: RunRecord, verdict: Verdict | None) -> None:
        self._record, self._verdict = record, verdict
        self._plan = [visible(record.plan.scenario), visible(record.plan.profile)]

    def describe(self) -> Iterable[Metric]:
        """Nothing in advance: it is collected once."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Every family, in a fixed order."""
        yield self._info()
        yield self._gauge("run_started_timestamp", "seconds", "When the run began.", [((), self._started())], ())
        if self._verdict is not None:
            yield from self._judged(self._verdict)
        yield from self._figures()
        yield from self._counts()

    def _started(self) -> float:
        return datetime.fromisoformat(self._record.started_at).timestamp()

    def _info(self) -> Metric:
        revision = self._record.revision
        labels = {
            "id": self._record.id,
            "revision": revision.sha,
            "branch": revision.branch,
            "runner": self._record.environment.runner,
            "tool": self._record.tool,
        }
        return self._gauge("run_info", "", "The run that these figures are of.", [(tuple(labels.values()), 1.0)], labels)

    def _judged(self, verdict: Verdict) -> Iterator[Metric]:
        levels = [((level.word,), float(level is verdict.level)) for level in Level]
        yield self._gauge("verdict", "", "1 for the level of the verdict on the run.", levels, [f"{PREFIX}_verdict"])
        score = assess(self._record, verdict).score
        if score is not None:
            yield self._gauge("compliance_score", "ratio", "Compliance score (docs/compliance.md).", [((), score)], ())
        yield from self._requirements(verdict.requirements)

    def _requirements(self, results: Sequence[RequirementResult]) -> Iterator[Metric]:
        labels = ("phase", "step", "metric")
        # A figure may have several limits; the worst of them counts.
        met: dict[tuple[str, ...], bool] = {}
        for one in results:
            key = (one.phase, one.requirement.step, one.requirement.metric)
            met[key] = met.get(key, True) and one.met
        if met:
            rows = [(key, float(value)) for key, value in met.items()]
            yield self._gauge("requirement_met", "", "1 where a required figure meets its target.", rows, labels)

    def _figures(self) -> Iterator[Metric]:
        for metric in METRICS:
            if rows := list(self._rows(metric)):
                label = METRICS[metric].label[0].upper() + METRICS[metric].label[1:]
                yield self._gauge(metric, _UNITS[METRICS[metric].kind], f"{label}.", rows, ("phase", "step"))
        yield from self._named_by_the_scenario("own_metric", "Figures that the scenario defines itself.", is_own)
        yield from self._named_by_the_scenario("experiment_figure", "Figures of what is broken on purpose.", is_of_experiment)

    def _rows(self, metric: str) -> Iterator[tuple[tuple[str, ...], float]]:
        for phase in self._record.phases:
            for step in phase.steps:
                if (found := step.measurements.get(metric)) is not None:
                    yield (phase.name, step.step), found.value

    def _named_by_the_scenario(self, family: str, said: str, among: Callable[[str], bool]) -> Iterator[Metric]:
        """Figures whose names the scenario chose: in a label, since promtool objects to a family called ``wait_ms``."""
        measured = {name for phase in self._record.phases for step in phase.steps for name in step.measurements}
        units: dict[str, list[tuple[tuple[str, ...], float]]] = {}
        for metric in sorted(filter(among, measured)):
            rows = units.setdefault(_UNITS[METRICS[metric].kind], [])
            rows += [((*place, metric), value) for place, value in self._rows(metric)]
        for unit, rows in units.items():
            yield self._gauge(family, unit, said, rows, ("phase", "step", "metric"))

    def _counts(self) -> Iterator[Metric]:
        rows = [((phase, step, outcome), float(count)) for phase, step, outcome, count in _outcomes(self._record.phases)]
        if rows:
            said = "Requests of the measured stretch, by how they ended."
            yield self._gauge("requests", "", said, rows, ("phase", "step", "outcome"))

    def _gauge(
        self, name: str, unit: str, said: str, rows: Iterable[tuple[tuple[str, ...], float]], labels: Iterable[str]
    ) -> Metric:
        # OpenMetrics requires that a family with a unit ends in it.
        full = f"{PREFIX}_{name}_{unit}" if unit and not name.endswith(f"_{unit}") else f"{PREFIX}_{name}"
        family = GaugeMetricFamily(full, said, labels=["scenario", "profile", *labels], unit=unit)
        for key, value in rows:
            family.add_metric([*self._plan, *map(visible, key)], value)
        return family


def _outcomes(phases: Iterable[PhaseSummary]) -> Iterator[tuple[str, str, str, int]]:
    for phase in phases:
        for step in phase.steps:
            for outcome, count in step.outcomes.items():
                yield phase.name, step.step, outcome.lower(), count


class _Families(Collector):
    """Families that exist already."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def describe(self) -> Iterable[Metric]:
        """Nothing in advance: they are collected once."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """All of them."""
        yield from self._families


def classic(openmetrics: str) -> str:
    """OpenMetrics text in the older text format: the same samples under the same names.

    Raises:
        ValueError: it is not OpenMetrics.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Families(text_string_to_metric_families(openmetrics)))  # type: ignore[no-untyped-call]
    text: bytes = generate_classic(registry)
    return text.decode("utf-8")


def group_path(scenario: str, profile: str) -> str:
    """Where a Pushgateway keeps the newest run of a scenario and profile: a push replaces the one before."""
    return f"/metrics/job/{JOB}/{_label('scenario', scenario)}/{_label('profile', profile)}"


def _label(name: str, value: str) -> str:
    """A label of the group. In base64, since a value may hold a slash or be empty."""
    return f"{name}@base64/{urlsafe_b64encode(value.encode()).decode().rstrip('=') or '='}"

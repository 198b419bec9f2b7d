"""The registry: each metric carries its direction, kind and scale, so no caller decides them again."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from velro_gate.model.metrics import (
    FAILING_QUANTILES,
    LATENCY_QUANTILES,
    LATENESS,
    MEDIAN,
    METRICS,
    TAIL,
    Direction,
    Metric,
    MetricKind,
    Scale,
)
from velro_gate.model.record import GeneratorNoise

ALL = list(METRICS.values())
ROOT = Path(__file__).resolve().parents[2]

# They compute figures, show columns of them, make data up, or say what a file may hold: they have to name it.
NAMING = (
    "analysis/compliance", "analysis/summaries", "cli", "evaluation", "gate/judge/trend.py", "model/metrics.py", "report",
    "scenario/syntax",
)  # fmt: skip
"""Where metrics are listed by name: formats and pages, which show a choice of them."""


@pytest.mark.parametrize("metric", ALL, ids=lambda metric: metric.name)
def test_a_metric_is_found_under_its_own_name(metric: Metric) -> None:
    assert METRICS[metric.name] is metric
    assert metric.label


@pytest.mark.parametrize("metric", ALL, ids=lambda metric: metric.name)
def test_worse_has_the_sign_against_the_good_direction(metric: Metric) -> None:
    assert metric.worse_sign == (1 if metric.direction is Direction.LOWER else -1)


@pytest.mark.parametrize("metric", ALL, ids=lambda metric: metric.name)
def test_every_latency_quantile_is_a_time_that_should_be_low(metric: Metric) -> None:
    if metric.quantile is not None:
        assert 0.0 < metric.quantile < 1.0
        assert (metric.kind, metric.direction, metric.scale) == (MetricKind.SECONDS, Direction.LOWER, Scale.LOG)


@pytest.mark.parametrize("metric", ALL, ids=lambda metric: metric.name)
def test_an_assumed_noise_is_positive(metric: Metric) -> None:
    assert metric.prior_sd is None or metric.prior_sd > 0.0


def test_shares_that_can_be_full_are_compared_where_full_has_room() -> None:
    assert METRICS["hit_rate"].scale is Scale.LOGIT
    assert METRICS["error_rate"].scale is Scale.LINEAR


def test_the_quantiles_kept_for_every_step_agree_with_the_registry() -> None:
    assert {name: METRICS[name].quantile for name in LATENCY_QUANTILES} == dict(LATENCY_QUANTILES)


def test_a_tail_is_assumed_noisier_than_the_middle() -> None:
    priors = [METRICS[name].prior_sd for name in ("p50", "p90", "p95", "p99", "p999")]
    assert priors == sorted(priors, key=lambda prior: prior or 0.0)


def test_the_registry_cannot_be_changed_by_a_caller() -> None:
    with pytest.raises(TypeError):
        METRICS["p50"] = METRICS["p95"]  # type: ignore[index]


def test_the_names_that_stand_for_a_choice_are_the_registrys_own() -> None:
    assert (MEDIAN, TAIL, LATENESS, FAILING_QUANTILES) == ("p50", "p95", "lateness_p99", ("p50", "p95"))
    assert METRICS[MEDIAN].quantile == 0.5


@pytest.mark.parametrize("metric", ALL, ids=lambda metric: metric.name)
def test_the_generator_alone_has_a_figure_for_the_response_times_that_a_null_run_has(metric: Metric) -> None:
    noise = GeneratorNoise(p50=1.0, p95=2.0, p99=3.0, lateness_p99=0.1, rate=1.0, users=1, seconds=1.0, requests=1)
    assert noise.of(metric.name) == {"p50": 1.0, "p95": 2.0, "p95_all": 2.0, "p99": 3.0}.get(metric.name)


def is_name(node: ast.AST) -> bool:
    """Whether it is the name of a metric as a literal."""
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in METRICS


def compared_names(tree: ast.AST) -> Iterator[int]:
    """Lines that compare something with a metric's name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and any(map(is_name, (node.left, *node.comparators))):
            yield node.lineno


def listed_names(tree: ast.AST) -> Iterator[int]:
    """Lines that list names of metrics, where a field of the registry should choose them."""
    for node in ast.walk(tree):
        listed: list[ast.expr | None] = []
        if isinstance(node, ast.Tuple | ast.List | ast.Set):
            listed += node.elts
        elif isinstance(node, ast.Dict):
            listed += node.keys
        if sum(is_name(each) for each in listed if each is not None) > 1:
            yield min(each.lineno for each in listed if each is not None)


def found_by(look: Callable[[ast.AST], Iterator[int]], *, but: tuple[str, ...]) -> list[str]:
    """What is found in the package, without these folders and files."""
    folder = ROOT / "velro_gate"
    return [
        f"{path.relative_to(folder)}:{line}"
        for path in sorted(folder.rglob("*.py"))
        if not path.relative_to(folder).as_posix().startswith(but)
        for line in look(ast.parse(path.read_text(encoding="utf-8")))
    ]


@pytest.mark.slow
def test_nothing_is_decided_by_comparing_the_name_of_a_metric() -> None:
    # Formats of other people's files have names of their own, and rules of compliance are about metrics by name.
    but = ("adoption", "analysis/compliance", "analysis/summaries", "evaluation/recorded/series_files.py", "model/metrics.py")
    assert found_by(compared_names, but=but) == []


@pytest.mark.slow
def test_which_metrics_are_meant_is_read_from_the_registry() -> None:
    assert found_by(listed_names, but=NAMING) == []


@pytest.mark.parametrize("code", ['x == "p95"', '"p95" != x', 'x in ("p50", "p95")'])
def test_a_comparison_with_a_name_is_found(code: str) -> None:
    assert list(compared_names(ast.parse(code))) or list(listed_names(ast.parse(code)))


@pytest.mark.parametrize("code", ['x = ("p50", "p95")', 'x = {"p50": 1, "p95": 2}', 'x = ["p50", *y, "p95"]'])
def test_a_list_of_names_is_found(code: str) -> None:
    assert list(listed_names(ast.parse(code)))

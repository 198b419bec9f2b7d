"""docs/troubleshooting.md shows what the program says of each problem: here each one is made, and recognised."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import trio

from tests.analysis.bottlenecks.observing import SECONDS, changed, failed, found, quiet
from tests.analysis.phases import health
from tests.analysis.runs import planned, run, summary
from tests.engine.machine.plans import phase as plan
from tests.engine.machine.plans import scenario
from velro_gate.analysis.verdict.judge import judge
from velro_gate.cli.exhausted import exhausted
from velro_gate.cli.options import Format
from velro_gate.cli.printing import print_verdict
from velro_gate.engine.client.preflight import preflight
from velro_gate.engine.machine.feasibility import MachineLimits, require_feasible
from velro_gate.errors import UnreachableError, VelroError
from velro_gate.model.facts.bottlenecks import Bottleneck
from velro_gate.model.record import Counts
from velro_gate.model.samples import CACHE_MISS, Outcome
from velro_gate.model.scenario import BearerAuth, Comparator, Requirement, Target
from velro_gate.report.sentences.bottlenecks import bottleneck_words
from velro_gate.report.sentences.findings import words
from velro_gate.scenario.credentials import secrets

PAGE = (Path(__file__).parents[1] / "docs/troubleshooting.md").read_text("utf-8")
_ROWS = [row for row in re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", PAGE, re.MULTILINE) if set(row[0]) - {"-"}]
ROWS = {symptom: (said, remedy) for symptom, said, remedy in _ROWS if symptom != "symptom"}
"""By symptom: what the program says, with ``…`` for figures and names, and the remedy that it gives."""

Said = tuple[str, str]
N = int(SECONDS)
BELOW, AT_LEAST = Comparator.BELOW, Comparator.AT_LEAST


def missed(metric: str, comparator: Comparator, target: float, value: float) -> Said:
    """A requirement that a run does not meet."""
    wanted = Requirement(metric=metric, comparator=comparator, target=target)
    (steady,) = planned()
    record = run(summary(changed={metric: value}), plan=(replace(steady, requirements=(wanted,)),))
    (one,) = [each for each in judge(record, ()).findings if each.code == "requirement-missed"]
    return words(one).sentence, words(one).advice


def cause(code: str, one: tuple[Bottleneck, ...]) -> Said:
    """A bottleneck that the rules find."""
    (named,) = [each for each in one if each.code == code]
    return bottleneck_words(named).sentence, bottleneck_words(named).advice


def error(known: VelroError | None) -> Said:
    assert known is not None
    return known.what, known.hint


def slow_statement() -> Said:
    return cause("slow-query", found(None, {("database", "longest_query"): [0.8] * N}))


def misses() -> Said:
    rows = quiet()
    missing = np.random.default_rng(3).random(len(rows)) < 0.3
    return cause("cache-misses", found(changed(rows, missing, 0.030, cache=CACHE_MISS)))


def pool() -> Said:
    used = {("service", "database_pool_size"): [10.0] * N, ("service", "database_pool_in_use"): [10.0] * N}
    return cause("pool-exhausted", found(None, used | {("service", "database_pool_waiting"): [7.0] * N}))


def busy() -> Said:
    return cause("cpu-bound-service", found(None, {("service", "cpu_busiest"): [0.97] * N}))


def burst(status: int = 503) -> Said:
    rows = quiet()
    return cause("errors", found(failed(rows, (rows.due > 5.0) & (rows.due < 9.0), status)))


def everything_failed(outcome: Outcome, statuses: dict[int, int]) -> Said:
    """A phase in which all requests ended in one way."""
    made = summary(failed=6000)
    counts = Counts(due=6000, sent=6000, ok=0, failed=6000, cancelled=0, blocked=0, missed=0)
    steps = tuple(replace(one, counts=counts, outcomes={outcome.name: 6000}, statuses=statuses) for one in made.steps)
    (one,) = [each for each in judge(run(replace(made, steps=steps)), ()).findings if each.code == "requests-failed"]
    return words(one).sentence, words(one).advice


def refused_before_the_load() -> Said:
    async def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no") from ConnectionRefusedError(errno.ECONNREFUSED, "refused")

    target = Target(url="http://127.0.0.1:8000", health_path="/health")
    with pytest.raises(UnreachableError) as caught:
        trio.run(lambda: preflight(target, transport=httpx.MockTransport(refuse)))
    return error(caught.value)


def no_key() -> Said:
    with pytest.raises(VelroError) as caught:
        secrets(replace(scenario(), auth=BearerAuth(variable="SUPABASE_SERVICE_KEY")), {})
    return error(caught.value)


def small_machine(descriptors: int, memory: int) -> Said:
    """A plan of 10,000 users for a machine with so few descriptors, or so little memory."""
    machine = MachineLimits(
        descriptors_reachable=descriptors,
        ports=28_232,
        memory=memory,
        cores=4.0,
        listen_backlog=4096,
    )
    with pytest.raises(VelroError) as caught:
        require_feasible([plan(10_000)], scenario=scenario(), machine=machine, service_is_local=False)
    return error(caught.value)


def phase_says(**ended: Any) -> Said:
    """A phase that ended early."""
    made = judge(run(replace(summary(), measured_seconds=30.0, **ended)), ())
    (one, *_) = (*made.trust, *made.findings) if "shards_lost" in ended else made.findings
    return words(one).sentence, words(one).advice


def failed_run(capsys: pytest.CaptureFixture[str]) -> Said:
    """What a failed gate prints at its end."""
    (steady,) = planned()
    wanted = Requirement(metric="p95", comparator=BELOW, target=0.001)
    record = run(plan=(replace(steady, requirements=(wanted,)),))
    assert print_verdict(record, judge(record, ()), Path("velro-results/RUN"), Format.TEXT) == 1
    said, _, remedy = capsys.readouterr().out.splitlines()[-1].partition(" 'velro-gate")
    return said, f"'velro-gate{remedy}"


def doubt(code: str, **figures: int) -> Said:
    """What the generator's own health shows during the load."""
    made = judge(run(replace(summary(), health=health(**figures))), ())
    (one,) = [each for each in made.trust if each.code == code]
    return words(one).sentence, words(one).advice


PROBLEMS: dict[str, Callable[[], Said]] = {
    "High response times": lambda: missed("p95", BELOW, 0.075, 0.120),
    "High response times: slow queries": slow_statement,
    "Low throughput": lambda: missed("throughput", AT_LEAST, 100.0, 60.0),
    "Low throughput: connection pool": pool,
    "Low throughput: CPU": busy,
    "Poor cache performance": lambda: missed("hit_rate", AT_LEAST, 0.95, 0.60),
    "Poor cache performance: slow misses": misses,
    "High error rates": lambda: missed("error_rate", BELOW, 0.01, 0.04),
    "High error rates: one kind of failure": burst,
    "High error rates: a success that was not expected": lambda: burst(201),
    "Connection refused, before the load": refused_before_the_load,
    "Connection refused, during the load": lambda: everything_failed(Outcome.REFUSED, {}),
    "The service stops during the load": lambda: phase_says(service_gone="connection refused"),
    "Service key not set": no_key,
    "Service key refused": lambda: everything_failed(Outcome.STATUS, {401: 6000}),
    "Too few file descriptors, before the load": lambda: small_machine(1024, 2**36),
    "Too few file descriptors, during the load": lambda: doubt("descriptors", descriptors_free=0),
    "Too few file descriptors, in any command": lambda: error(exhausted(OSError(errno.EMFILE, os.strerror(errno.EMFILE)))),
    "Too little memory, before the load": lambda: small_machine(100_000, 2**20),
    "Too little memory, during the load": lambda: doubt("memory", memory_free=2**24),
    "Too little memory: a process is killed": lambda: phase_says(shards_lost=("shard 2 of 2 was killed by SIGKILL",)),
    "Too little memory, in any command": lambda: error(exhausted(MemoryError())),
}


def as_on_the_page(symptom: str, found: Said) -> None:
    for shown, meant in zip(found, ROWS[symptom], strict=True):
        pattern = ".+?".join(map(re.escape, meant.split("…")))
        assert re.fullmatch(pattern, shown), f"the program says {shown!r}, the page {meant!r}"


@pytest.mark.parametrize("symptom", PROBLEMS)
def test_a_problem_is_recognised_and_answered_as_the_page_says(symptom: str) -> None:
    as_on_the_page(symptom, PROBLEMS[symptom]())


def test_a_failed_test_names_its_log_and_the_dry_run(capsys: pytest.CaptureFixture[str]) -> None:
    as_on_the_page("A test fails", failed_run(capsys))


def test_the_page_lists_these_problems_and_no_other() -> None:
    assert list(ROWS) == [*PROBLEMS, "A test fails"]

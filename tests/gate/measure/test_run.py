"""Running a load for real and keeping what a later judgement needs."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from tests.engine.shards.test_run import children
from tests.gate.world import Spectator, tiny_setup
from tests.service import service
from velro_gate.errors import InfeasibleError, StorageError, UnreachableError
from velro_gate.gate.judge.verdict import reach_verdict, reread, write_reports
from velro_gate.gate.measure.results import make_results
from velro_gate.gate.measure.run import _first_known, never_shown, run
from velro_gate.model.readings import PageFamily
from velro_gate.model.run import Progress, Reading
from velro_gate.model.scenario import Target
from velro_gate.model.verdict import Level
from velro_gate.store.records import read_facts, read_record, read_samples


def test_a_run_leaves_a_record_whose_books_agree_with_the_services_own_count(tmp_path: Path) -> None:
    watching = Spectator()
    with service() as running:
        setup = tiny_setup(tmp_path, running.url)
        results = make_results(tmp_path / "out", "run")
        record = run(setup, results, watching.effects)
        counted = running.requests
    (phase,) = record.phases
    samples = read_samples(results.samples)["short"]
    assert phase.delivered_total == counted == len(samples)
    assert record.complete
    assert watching.seen
    assert read_record(results.folder) == record


def test_a_kept_record_summarises_to_the_same_figures_again(tmp_path: Path) -> None:
    with service() as running:
        results = make_results(tmp_path / "out", "run")
        record = run(tiny_setup(tmp_path, running.url), results, Spectator().effects)
    assert reread(results.folder).phases == record.phases
    assert reread(results.folder / "record.json").phases == record.phases


def test_two_shards_leave_the_record_that_one_process_leaves(tmp_path: Path) -> None:
    records = []
    for shards in (1, 2):
        with service() as running:
            results = make_results(tmp_path / "out", "run")
            setup = tiny_setup(tmp_path, running.url, shards)
            record = run(setup, results, Spectator().effects)
            assert record.phases[0].delivered_total == running.requests == len(read_samples(results.samples)["short"])
        assert (record.complete, record.shards) == (True, shards)
        assert reread(results.folder) == record
        records.append(record)
    alone, together = records
    assert alone.plan == together.plan
    assert [step.counts for step in alone.phases[0].steps] == [step.counts for step in together.phases[0].steps]


def test_a_killed_shard_breaks_the_verdict_and_the_record_holds_what_the_others_measured(tmp_path: Path) -> None:
    watching = Spectator()

    def kill(progress: Progress) -> None:
        if progress.elapsed > 1.0:
            children()[0].kill()

    with service() as running:
        results = make_results(tmp_path / "out", "run")
        setup = tiny_setup(tmp_path, running.url, 2, duration="60 s")
        record = run(setup, results, dataclasses.replace(watching.effects, observe=kill))
    verdict = reach_verdict(record, None)
    assert verdict.level is Level.BROKEN
    assert "shard-lost" in {finding.code for finding in verdict.trust}
    assert not {"arrivals-missed", "interrupted"} & {finding.code for finding in verdict.trust}
    assert (record.complete, record.interrupted) == (False, False)
    assert len(read_samples(results.samples)["short"]) > 10
    assert reread(results.folder) == record
    write_reports(record, verdict, results)
    assert "shard 1 of 2 was killed by SIGKILL" in (results.folder / "verdict.md").read_text(encoding="utf-8")
    assert "shard 1 of 2 was killed by SIGKILL" in results.log.read_text(encoding="utf-8")


def test_a_run_that_finds_no_service_names_its_log_which_holds_the_error_and_its_remedy(tmp_path: Path) -> None:
    results = make_results(tmp_path / "out", "run")
    setup = dataclasses.replace(tiny_setup(tmp_path, "http://127.0.0.1:1"), start_seconds=0.0)
    with pytest.raises(UnreachableError) as caught:
        run(setup, results, Spectator().effects)
    assert f"log:   {results.log}" in caught.value.lines()
    log = results.log.read_text(encoding="utf-8")
    assert "the service refused the connection" in log
    assert "curl -i http://127.0.0.1:1/" in log


def test_the_log_holds_the_first_failure_of_each_kind(tmp_path: Path) -> None:
    with service("errors") as running:
        results = make_results(tmp_path / "out", "run")
        run(tiny_setup(tmp_path, running.url, duration="2 s"), results, Spectator().effects)
    (line,) = [line for line in results.log.read_text(encoding="utf-8").splitlines() if "the first: " in line]
    assert "500 Internal Server Error" in line
    assert f"GET {running.url}/" in line


def test_the_runner_is_watched_while_the_load_runs(tmp_path: Path) -> None:
    with service() as running:
        results = make_results(tmp_path / "out", "run")
        run(tiny_setup(tmp_path, running.url, duration="5 s"), results, Spectator().effects)
    facts = read_facts(results.folder)
    assert facts is not None
    assert {"runner"} <= {reading.source for reading in facts.readings}


def test_a_family_that_a_page_never_showed_is_noted_unless_the_page_could_not_be_read_at_all() -> None:
    named = (PageFamily(series="database_pool_size", family="shop_sise"),)
    target = Target(url="http://s.test", metrics_path="/metrics", families=named, connections_metric="shop_connections")
    up, down = (Reading(at=1.0, source="monitor", name="metrics_up", value=value) for value in (1.0, 0.0))
    connections = Reading(at=1.0, source="service", name="database_connections", value=3.0)
    assert never_shown(target, [up, connections]) == [
        "database_pool_size is not watched: the metrics page never showed shop_sise"
    ]
    assert never_shown(target, [down]) == []


def test_without_baselines_the_verdict_says_so_and_every_report_is_written(tmp_path: Path) -> None:
    with service() as running:
        results = make_results(tmp_path / "out", "run")
        record = run(tiny_setup(tmp_path, running.url), results, Spectator().effects)
    verdict = reach_verdict(record, tmp_path / "none")
    write_reports(record, verdict, results)
    assert verdict.level in (Level.NO_BASELINE, Level.BROKEN)
    assert {"verdict.json", "verdict.md", "report.csv", "report.html"} <= {path.name for path in results.folder.iterdir()}


def test_an_infeasible_plan_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    with service() as running:
        setup = tiny_setup(tmp_path, running.url, users=50_000_000, rate="2000/s")
        with pytest.raises(InfeasibleError, match="50,000,000 users"):
            run(setup, make_results(tmp_path / "out", "run"), Spectator().effects)
        assert running.requests == 0


def test_of_a_group_of_errors_the_one_that_a_user_understands_is_raised() -> None:
    known = StorageError("full")
    group = BaseExceptionGroup("outer", [ValueError("other"), ExceptionGroup("inner", [known])])
    assert _first_known(group) is known


def test_of_a_group_without_one_of_ours_something_is_raised_all_the_same() -> None:
    other = ValueError("other")
    assert _first_known(BaseExceptionGroup("outer", [other])) is other

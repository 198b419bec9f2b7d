"""Baselines: immutable files, compared only with their like, and every file that is not used is told why."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.analysis.phases import counts
from tests.analysis.runs import ENVIRONMENT, planned, run, summary
from velro_gate.errors import BaselineError, OutputError, UsageError
from velro_gate.model.metrics import METRICS
from velro_gate.model.record import POOL, Estimate, PhaseSummary, ResourceSummary, RunRecord, StepSummary, fingerprint
from velro_gate.model.scenario import Comparator, Phase, Requirement
from velro_gate.report.sentences.baselines import unused_words
from velro_gate.store.baselines import (
    Baselines,
    add_baseline,
    find_baselines,
    list_baselines,
    load_baselines,
    prune_baselines,
    remove_baseline,
    require_folder,
)
from velro_gate.store.pins import pin_baseline, unpin_baseline
from velro_gate.store.records import read_record


def load(root: Path, like: RunRecord | None = None) -> Baselines:
    wanted = like or run()
    return load_baselines(root, plan=wanted.plan, environment=wanted.environment)


def unused(found: Baselines) -> tuple[str, ...]:
    return tuple(map(unused_words, found.skipped))


def of_plan(record: RunRecord, **changed: Any) -> RunRecord:
    return replace(record, plan=replace(record.plan, **changed))


class TestAdding:
    def test_the_place_says_scenario_environment_time_and_revision(self, tmp_path: Path) -> None:
        path = add_baseline(tmp_path, run(number=7))
        assert path == tmp_path / "shop" / fingerprint(ENVIRONMENT) / "20250101T000700Z-0000000.json"

    def test_without_a_revision_the_id_names_the_file(self, tmp_path: Path) -> None:
        record = replace(run(number=7), revision=replace(run().revision, sha=""))
        assert add_baseline(tmp_path, record).name == "20250101T000700Z-run-7.json"

    def test_names_from_outside_cannot_leave_the_folder(self, tmp_path: Path) -> None:
        odd = replace(of_plan(run(), scenario="../../etc"), started_at="../x", revision=replace(run().revision, sha="/a.b/c"))
        path = add_baseline(tmp_path / "root", odd)
        assert path.resolve().is_relative_to(tmp_path / "root" / "etc")
        listing = list_baselines(tmp_path / "root")
        assert (listing.found, ["it is no time" in each for each in listing.skipped]) == ((), [True])

    def test_a_run_is_stored_once(self, tmp_path: Path) -> None:
        path = add_baseline(tmp_path, run())
        before = path.read_bytes()
        with pytest.raises(BaselineError, match="is a baseline already"):
            add_baseline(tmp_path, run())
        assert path.read_bytes() == before

    def test_two_runs_of_one_build_in_one_second_are_both_kept(self, tmp_path: Path) -> None:
        first, second = add_baseline(tmp_path, run()), add_baseline(tmp_path, replace(run(), id="other"))
        assert first != second
        assert len(load(tmp_path).accepted) == 2
        with pytest.raises(BaselineError):
            add_baseline(tmp_path, replace(run(), id="other"))

    def test_a_damaged_file_of_that_name_is_not_replaced(self, tmp_path: Path) -> None:
        path = add_baseline(tmp_path, run())
        path.write_text("{")
        assert add_baseline(tmp_path, run()) != path
        assert path.read_text() == "{"

    def test_concurrent_merges_lose_nothing(self, tmp_path: Path) -> None:
        records = [replace(run(number=i // 4), id=f"merge-{i}") for i in range(16)]
        threads = [threading.Thread(target=add_baseline, args=(tmp_path, record)) for record in records]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert {record.id for record in load(tmp_path).accepted} == {record.id for record in records}

    @pytest.mark.parametrize(
        "unfit",
        [
            replace(run(), interrupted=True),
            run(replace(summary(), interrupted=True)),
            run(replace(summary(), service_gone="refused")),
            run(summary(), plan=planned("steady", "storm")),
            replace(run(), phases=()),
        ],
    )
    def test_a_run_that_is_not_whole_is_refused(self, tmp_path: Path, unfit: RunRecord) -> None:
        with pytest.raises(BaselineError) as caught:
            add_baseline(tmp_path, unfit)
        assert caught.value.why
        assert "run it again" in caught.value.hint
        assert not list(tmp_path.iterdir())

    def test_the_missing_phase_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(BaselineError, match="incomplete: storm"):
            add_baseline(tmp_path, run(summary(), plan=planned("steady", "storm")))

    def test_a_figure_that_is_none_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(BaselineError, match="not a finite number"):
            add_baseline(tmp_path, run(replace(summary(), ramp=float("inf"))))

    def test_a_place_that_cannot_be_written_is_an_output_error(self, tmp_path: Path) -> None:
        (tmp_path / "shop").write_text("in the way")
        with pytest.raises(OutputError):
            add_baseline(tmp_path, run())


def full_run() -> RunRecord:
    """Six phases of seven rows with every metric that can be measured, in figures of full length: as large as one gets."""
    whole_phase_only = {"users_held", "database_connections", "cpu_per_1000", "rss", "sustained_throughput", "peak_throughput"}
    steps = (
        "authentication_check",
        "authorization_check",
        "generation_list",
        "model_access",
        "generation_create",
        "media_url_access",
    )
    names = (
        "warm_up_baseline",
        "intermediate_scaling",
        "large_scale_validation",
        "prd_compliance_validation",
        "stress_test",
        "endurance_test",
    )

    def step(name: str, i: int) -> StepSummary:
        figures = {
            metric: Estimate(
                value=0.0123456789012 * i,
                low=0.01134567890123 * i,
                high=0.01334567890123 * i,
                n=123_456 * i,
                detail="block 1.2 s",
            )
            for i, metric in enumerate(METRICS, start=1)
            if name == "all" or metric not in whole_phase_only
        }
        return StepSummary(
            step=name,
            counts=counts(ok=1_234_567 + i, failed=12_345),
            measurements=figures,
            statuses={200: 1_234_567, 500: 6789, 503: 987, 429: 65},
            outcomes={"OK": 1_234_567, "STATUS": 6789, "TIMEOUT": 1234},
            cache={"miss": 12_345, "memory": 1_000_000, "redis": 222_222, "database": 1234},
            received=1_234_567_890,
        )

    def resource(source: str, name: str) -> ResourceSummary:
        return ResourceSummary(
            source=source, name=name, least=0.1234567890123, median=0.2345678901234, most=0.3456789012345, n=900
        )

    phases: tuple[PhaseSummary, ...] = tuple(
        replace(
            summary(name),
            steps=tuple(step(each, i) for i, each in enumerate(("all", *steps))),
            resources=tuple(
                resource(source, name) for source in ("service", "runner", "redis") for name in ("cpu", "rss", "connections")
            ),
        )
        for name in names
    )
    limits = tuple(
        Requirement(metric=metric, comparator=Comparator.BELOW, target=0.075, critical=0.1) for metric in ("p95", "p99", "p50")
    )
    plan: tuple[Phase, ...] = tuple(replace(phase, requirements=limits * 2) for phase in planned(*names))
    record = run(*phases, plan=plan)
    return replace(record, plan=replace(record.plan, steps=steps))


def test_a_baseline_of_the_full_plan_stays_small(tmp_path: Path) -> None:
    path = add_baseline(tmp_path, full_run())
    assert path.stat().st_size <= 96 * 1024
    assert [phase.name for phase in read_record(path).phases] == [phase.name for phase in full_run().phases]


class TestLoading:
    def test_nothing_stored_is_nothing_loaded(self, tmp_path: Path) -> None:
        assert load(tmp_path / "missing") == Baselines()

    def test_comparable_runs_come_oldest_first(self, tmp_path: Path) -> None:
        for number in (5, 1, 3):
            add_baseline(tmp_path, run(number=number))
        found = load(tmp_path)
        assert [record.id for record in found.accepted] == ["run-1", "run-3", "run-5"]
        assert found.skipped == ()

    def test_figures_come_back_as_they_were(self, tmp_path: Path) -> None:
        add_baseline(tmp_path, run())
        assert load(tmp_path).accepted == (run(),)

    def test_another_environment_is_reported_with_what_differs(self, tmp_path: Path) -> None:
        for number in range(3):
            add_baseline(tmp_path, replace(run(number=number), environment=replace(ENVIRONMENT, kernel="6.1", cores=4)))
        found = load(tmp_path)
        assert found.accepted == ()
        assert unused(found) == ("3 baselines not used: of another environment (cores was 4, is 2; kernel was 6.1, is 6.8)",)

    def test_an_extra_field_of_the_environment_counts_too(self, tmp_path: Path) -> None:
        add_baseline(tmp_path, replace(run(), environment=replace(ENVIRONMENT, extra={"redis": "7.2"})))
        assert unused(load(tmp_path)) == ("1 baseline not used: of another environment (redis was 7.2, is not given)",)

    def test_a_few_bytes_of_memory_make_no_other_environment(self, tmp_path: Path) -> None:
        add_baseline(tmp_path, replace(run(), environment=replace(ENVIRONMENT, memory=ENVIRONMENT.memory - 4096)))
        assert len(load(tmp_path).accepted) == 1

    @pytest.mark.parametrize(
        ("changed", "why"),
        [
            ({"digest": "e" * 64}, "of another version of the plan (digest eeeeeee, now ddddddd)"),
            ({"profile": "full"}, "of another profile (full)"),
            ({"scenario": "shop!"}, "of another scenario (shop!)"),
        ],
    )
    def test_another_plan_is_reported(self, tmp_path: Path, changed: dict[str, str], why: str) -> None:
        add_baseline(tmp_path, of_plan(run(), **changed))
        assert unused(load(tmp_path)) == (f"1 baseline not used: {why}",)

    def test_other_scenarios_are_not_looked_at(self, tmp_path: Path) -> None:
        add_baseline(tmp_path, of_plan(run(), scenario="other"))
        assert load(tmp_path) == Baselines()

    @pytest.mark.parametrize(
        ("content", "why"),
        [
            (b"{", "it is not JSON"),
            (b"", "it is not JSON"),
            (b"\xff\xfe", "it is not a text file"),
            (b'{"schema": 2}', "it was written by a newer velro-gate"),
            (b'{"schema": 0}', "it was written by an older velro-gate"),
            (b'{"schema": 1}', "it is not a whole run record"),
        ],
    )
    def test_a_file_that_cannot_be_read_is_reported_and_the_others_are_used(
        self, tmp_path: Path, content: bytes, why: str
    ) -> None:
        folder = add_baseline(tmp_path, run()).parent
        (folder / "odd.json").write_bytes(content)
        found = load(tmp_path)
        assert len(found.accepted) == 1
        (sentence,) = unused(found)
        assert sentence.startswith(f"shop/{fingerprint(ENVIRONMENT)}/odd.json is not used: {why}")

    def test_an_interrupted_run_that_someone_put_there_is_not_used(self, tmp_path: Path) -> None:
        path = add_baseline(tmp_path, run())
        text = path.read_text().replace('"id":', '"interrupted":true,"id":')
        path.write_text(text)
        assert unused(load(tmp_path)) == ("1 baseline not used: interrupted or incomplete",)

    def test_leftovers_of_a_crash_and_other_files_are_none_of_our_business(self, tmp_path: Path) -> None:
        folder = add_baseline(tmp_path, run()).parent
        (folder / ".20250101T000000Z-0000000.json.x1.tmp").write_text("{")
        (folder / "README.md").write_text("hello")
        found = load(tmp_path)
        assert (len(found.accepted), found.skipped) == (1, ())

    def test_a_file_in_the_place_of_the_folder_is_nothing_stored(self, tmp_path: Path) -> None:
        (tmp_path / "shop").write_text("here")
        assert load(tmp_path) == Baselines()


class TestListingAndPruning:
    def test_all_scenarios_are_listed_oldest_first(self, tmp_path: Path) -> None:
        paths = [add_baseline(tmp_path, of_plan(run(number=i), scenario=name)) for name in ("a", "b") for i in (2, 1)]
        listed = list_baselines(tmp_path)
        assert [path for path, _ in listed.found] == [paths[1], paths[0], paths[3], paths[2]]
        assert [record.id for _, record in listed.found] == ["run-1", "run-2"] * 2

    def test_what_is_none_is_listed_with_its_reason(self, tmp_path: Path) -> None:
        (tmp_path / "notes.json").write_text("[]")
        assert list_baselines(tmp_path).skipped == ("notes.json is not used: it is not a run record: it names no schema",)

    def test_an_empty_place_has_an_empty_list(self, tmp_path: Path) -> None:
        assert list_baselines(tmp_path / "none").found == ()

    def test_a_file_in_the_place_of_the_root_is_refused_by_whoever_reads_it(self, tmp_path: Path) -> None:
        (tmp_path / "root").write_text("here")
        for read in (list_baselines, load, lambda root: prune_baselines(root, 1), require_folder):
            with pytest.raises(BaselineError) as caught:
                read(tmp_path / "root")
            assert (caught.value.where, caught.value.why) == (str(tmp_path / "root"), "it is a file, not a folder")

    def test_a_pipe_and_a_dangling_link_are_reported_and_keep_nobody_waiting(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe.json")
        (tmp_path / "link.json").symlink_to("nowhere.json")
        assert list_baselines(tmp_path).skipped == (
            "link.json is not used: the file does not exist",
            "pipe.json is not used: it is not a regular file",
        )

    def test_a_link_that_leads_back_lists_no_file_twice_and_prunes_nothing(self, tmp_path: Path) -> None:
        path = add_baseline(tmp_path, run())
        (path.parent / "again").symlink_to(tmp_path, target_is_directory=True)
        assert [found for found, _ in list_baselines(tmp_path).found] == [path]
        assert prune_baselines(tmp_path, 1) == ()
        assert path.exists()

    def test_the_newest_are_kept(self, tmp_path: Path) -> None:
        paths = [add_baseline(tmp_path, run(number=i)) for i in range(6)]
        assert prune_baselines(tmp_path, 2) == tuple(paths[:4])
        assert [record.id for record in load(tmp_path).accepted] == ["run-4", "run-5"]

    def test_each_group_that_is_compared_keeps_its_own(self, tmp_path: Path) -> None:
        for i in range(3):
            add_baseline(tmp_path, run(number=i))
            add_baseline(tmp_path, replace(of_plan(run(number=i), profile="full"), id=f"full-{i}"))
            add_baseline(tmp_path, replace(run(number=i), environment=replace(ENVIRONMENT, cores=8)))
        assert len(prune_baselines(tmp_path, 1)) == 6
        assert len(list_baselines(tmp_path).found) == 3

    def test_enough_room_removes_nothing(self, tmp_path: Path) -> None:
        add_baseline(tmp_path, run())
        assert prune_baselines(tmp_path, 30) == ()

    def test_damaged_files_stay_for_a_person_to_look_at(self, tmp_path: Path) -> None:
        path = add_baseline(tmp_path, run())
        (path.parent / "odd.json").write_text("{")
        prune_baselines(tmp_path, 1)
        assert (path.parent / "odd.json").exists()

    @pytest.mark.parametrize("keep", [0, -1])
    def test_to_keep_none_is_refused(self, tmp_path: Path, keep: int) -> None:
        path = add_baseline(tmp_path, run())
        with pytest.raises(UsageError):
            prune_baselines(tmp_path, keep)
        assert path.exists()


def test_stored_runs_that_exist_and_are_not_used_are_reported_with_what_became_of_the_plan(tmp_path: Path) -> None:
    before = run()
    add_baseline(tmp_path, before)
    plan = replace(before.plan, digest="0" * 64, steps=("renamed",))
    (said,) = unused(load_baselines(tmp_path, plan=plan, environment=before.environment))
    assert said.startswith("1 baseline not used: of another version of the plan (step ")
    assert "is gone; step renamed is new" in said


def test_machines_of_a_pool_are_compared_whatever_their_kernels_and_so_is_what_was_stored_before_it_was_one(
    tmp_path: Path,
) -> None:
    before = run()
    add_baseline(tmp_path, before)
    there = before.environment
    pool = replace(there, kernel="another", extra={**there.extra, POOL: there.runner})
    assert len(load_baselines(tmp_path, plan=before.plan, environment=pool).accepted) == 1
    other = replace(pool, cpu_model="another")
    assert load_baselines(tmp_path, plan=before.plan, environment=other).accepted == ()
    assert load_baselines(tmp_path, plan=before.plan, environment=replace(there, kernel="another")).accepted == ()


def test_the_usual_folder_is_that_of_the_scenarios_repository_from_wherever_one_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / "repo" / "perf"
    (tmp_path / "repo" / ".git").mkdir(parents=True)
    deep.mkdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    usual = Path("baselines")
    assert find_baselines(usual, deep / "scenario.yaml") == tmp_path / "repo" / "baselines"
    assert find_baselines(Path("mine"), deep / "scenario.yaml") == Path("mine")
    (elsewhere / "baselines").mkdir()
    assert find_baselines(usual, deep / "scenario.yaml") == usual


def test_a_stored_run_can_be_removed_unless_it_is_pinned(tmp_path: Path) -> None:
    path = add_baseline(tmp_path, run())
    pin_baseline(path, "v1")
    with pytest.raises(BaselineError, match="pinned"):
        remove_baseline(path)
    unpin_baseline(path)
    assert remove_baseline(path) == read_record(add_baseline(tmp_path, run()))
    with pytest.raises(BaselineError, match="no such baseline"):
        remove_baseline(tmp_path / "none.json")

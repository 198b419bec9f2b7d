"""``velro-gate evaluate`` as its users call it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.analysis.banks import bank
from tests.analysis.runs import baselines, run, summary
from tests.cli.command import tiny_scenario, velro_gate
from tests.series import write_all, write_benchmarks
from velro_gate.cli.evaluate.figures import print_figures
from velro_gate.cli.options import FigureFormat
from velro_gate.evaluation.bounds import amount_of
from velro_gate.evaluation.results import Aim
from velro_gate.gate.measure.setup import RunOptions, prepare
from velro_gate.gate.measure.shipped import shipped_scenario
from velro_gate.monitor.environment import environment
from velro_gate.store.bank import append_block, resume_bank
from velro_gate.store.baselines import add_baseline


def test_synthetic_prints_each_figure_next_to_the_naive_rules(tmp_path: Path) -> None:
    ended = velro_gate("evaluate", "synthetic", "--only", "duet", "--count", "20", cwd=tmp_path)
    assert "figures are reached" in ended.out
    assert "previous run + 10" in ended.out
    assert ended.code in (0, 1)


def test_synthetic_as_json_is_the_same_for_the_same_seed(tmp_path: Path) -> None:
    arguments = ("evaluate", "synthetic", "--only", "duet", "--count", "20", "--seed", "3", "--format", "json")
    one, other = (velro_gate(*arguments, cwd=tmp_path) for _ in range(2))
    assert one.out == other.out
    figures = json.loads(one.out)
    assert all(set(figure) >= {"experiment", "rate", "low", "high", "target", "naive"} for figure in figures)
    assert one.code == (1 if any(figure["reached"] is False for figure in figures) else 0)


def test_as_markdown_each_experiment_is_named_once_above_its_figures(tmp_path: Path) -> None:
    ended = velro_gate("evaluate", "synthetic", "--only", "duet", "--count", "20", "--format", "markdown", cwd=tmp_path)
    heading, rule, *rows = ended.out.splitlines()
    assert heading.startswith("| experiment | counted | rate | 95 % interval | target | result |")
    assert set(rule) == {"|", "-"}
    assert {row.count("|") for row in rows} == {heading.count("|")}
    assert rows[0].startswith("| duet A/A, pair sd 2%, AR(1) 0.5 | false fails ")
    assert rows[1].startswith("| | inconclusive ")


def test_the_amount_of_a_single_job_has_no_interval_in_text_nor_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    single = amount_of("capacity", "one search takes", np.array([1.98]), "min", Aim.AT_MOST, 10.0)
    for form in FigureFormat:
        print_figures([single], form)
        shown = capsys.readouterr().out
        assert "inf" not in shown.lower()
        assert "not measured" in shown or json.loads(shown)[0]["low"] is None


def test_an_unknown_experiment_is_named_with_those_there_are(tmp_path: Path) -> None:
    ended = velro_gate("evaluate", "synthetic", "--only", "duett", cwd=tmp_path)
    assert ended.code == 2
    assert "duett" in ended.err
    assert "together, duet, stored" in ended.err


def test_replay_judges_the_series_that_are_there(tmp_path: Path) -> None:
    write_benchmarks(tmp_path / "data")
    ended = velro_gate("evaluate", "replay", "data", "--format", "json", cwd=tmp_path)
    assert ended.code == 0
    figures = json.loads(ended.out)
    assert figures[0]["experiment"] == "gha_bench, further runs of later jobs"
    assert figures[0]["hits"] == 0


def test_replay_of_all_series_reaches_its_figures(tmp_path: Path) -> None:
    write_all(tmp_path)
    ended = velro_gate("evaluate", "replay", ".", cwd=tmp_path)
    assert ended.code == 0
    # False fails of seven ways to replay, blocked runs of three, four kinds of few baselines, the labelled jumps.
    assert "15 of 15 figures are reached" in ended.out


def test_a_step_in_a_series_without_changes_is_a_missed_figure(tmp_path: Path) -> None:
    write_benchmarks(tmp_path, runs=40, factors=dict.fromkeys(range(25, 40), 1.5))
    ended = velro_gate("evaluate", "replay", ".", cwd=tmp_path)
    assert ended.code == 1
    assert "MISSED" in ended.out


def test_replay_of_a_folder_without_series_says_what_it_should_hold(tmp_path: Path) -> None:
    ended = velro_gate("evaluate", "replay", ".", cwd=tmp_path)
    assert ended.code == 2
    assert "series, job, time, arm, figure, kind, value" in ended.err
    assert velro_gate("evaluate", "replay", "nowhere", cwd=tmp_path).code == 2


def test_curves_are_drawn_and_their_points_printed(tmp_path: Path) -> None:
    ended = velro_gate("evaluate", "curves", "--svg", "c.svg", "--count", "20", "--format", "json", cwd=tmp_path)
    assert ended.code == 0
    assert (tmp_path / "c.svg").read_text().startswith("<svg")
    assert {"noise", "worse", "rates"} == set(json.loads(ended.out)[0])


def stored(folder: Path) -> None:
    for record in [*baselines(12, sd=0.01), run(summary(times=1.15), number=50)]:
        add_baseline(folder / "baselines", record)


def test_a_backtest_says_which_verdicts_would_flip(tmp_path: Path) -> None:
    stored(tmp_path)
    ended = velro_gate("evaluate", "backtest", ".", "--margin", "30%", "--unchanged-below", "40%", cwd=tmp_path)
    assert ended.code == 0
    assert "1 from fail to pass" in ended.out
    assert "verdicts would flip" in ended.out
    reported = json.loads(
        velro_gate("evaluate", "backtest", ".", "--margin", "0.3", "--unchanged-below", "0.4", "-f", "json", cwd=tmp_path).out
    )
    assert reported["policy"] == {"margin": 0.3, "unchanged_below": 0.4}
    assert reported["flips"] == sum(run["flips"] for run in reported["runs"]) >= 1
    assert reported["runs"][-1]["before"] == "fail"
    flips = {(row["metric"], row["step"]): (row["before"], row["after"]) for row in reported["runs"][-1]["rows"]}
    assert flips["p95", "all"] == ("regression", "unchanged")


def test_a_backtest_takes_the_policy_of_a_scenario_file(tmp_path: Path) -> None:
    stored(tmp_path)
    scenario = tiny_scenario(tmp_path)
    scenario.write_text(scenario.read_text() + "policy: {margin: 30 %, unchanged_below: 40 %}\n")
    ended = velro_gate("evaluate", "backtest", ".", "--policy", "tiny.yaml", "-f", "json", cwd=tmp_path)
    assert ended.code == 0
    assert json.loads(ended.out)["policy"]["margin"] == 0.3


def test_a_backtest_without_a_change_without_runs_or_with_nonsense_is_refused(tmp_path: Path) -> None:
    ended = velro_gate("evaluate", "backtest", ".", cwd=tmp_path)
    assert (ended.code, "nothing is changed" in ended.err) == (2, True)
    ended = velro_gate("evaluate", "backtest", ".", "--margin", "3%", cwd=tmp_path)
    assert (ended.code, "holds no run" in ended.err) == (2, True)
    assert velro_gate("evaluate", "backtest", ".", "--margin", "wide", cwd=tmp_path).code == 2
    stored(tmp_path)
    ended = velro_gate("evaluate", "backtest", ".", "--margin", "90%", cwd=tmp_path)
    assert (ended.code, "no policy" in ended.err) == (2, True)


def test_a_selftest_too_short_to_find_anything_is_refused(tmp_path: Path) -> None:
    ended = velro_gate("selftest", "--minutes", "1", cwd=tmp_path)
    assert ended.code == 2
    assert "--minutes" in ended.err


def test_jobs_are_drawn_from_a_bank_that_is_there(tmp_path: Path) -> None:
    """Nothing is measured: the bank is as full as was asked for."""
    plan = prepare(RunOptions(scenario=shipped_scenario("demo")), {}, need_secrets=False).plan
    made = bank(16, sd=0.005)
    head = replace(made.head, plan=plan, environment=environment(None))
    resume_bank(tmp_path / "bank.jsonl", head)
    for block in made.blocks:
        append_block(tmp_path / "bank.jsonl", block)
    arguments = ("evaluate", "end-to-end", "--bank", "bank.jsonl", "--cycles", "16", "--jobs", "20")
    ended = velro_gate(*arguments, "--format", "json", cwd=tmp_path)
    assert ended.code == 0
    assert "every step: p50 +9.8 %, p95 +9.8 %" in ended.err
    figures = {(figure["experiment"], figure["what"]): figure for figure in json.loads(ended.out)}
    assert figures["end to end A/A, bank of 16 cycles", "false fails"]["hits"] == 0
    assert figures["end to end, service +20 % slower", "found"]["hits"] == 20
    assert figures["end to end, service +10 % slower", "found"]["forecast"] > 0.9
    text = velro_gate(*arguments, cwd=tmp_path)
    assert "forecast:" in text.out
    assert "figures are reached" in text.out


def test_a_bank_of_another_kind_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    made = bank(1)
    resume_bank(tmp_path / "bank.jsonl", made.head)
    ended = velro_gate("evaluate", "end-to-end", "--bank", "bank.jsonl", "--cycles", "1", cwd=tmp_path)
    assert ended.code == 2
    assert "another plan" in ended.err

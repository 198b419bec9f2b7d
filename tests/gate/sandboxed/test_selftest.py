"""The selftest as a use case: what it measures, keeps and refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.analysis.banks import bank
from tests.gate.world import HERE, Spectator
from velro_gate.cli.commands.selftest import print_selftest
from velro_gate.cli.options import Format
from velro_gate.errors import BrokenError, UsageError
from velro_gate.gate.measure.effects import Effects
from velro_gate.gate.measure.results import Results
from velro_gate.gate.measure.setup import Setup
from velro_gate.gate.sandboxed.bank import BankOptions
from velro_gate.gate.sandboxed.selftest import Fill, SelftestOptions, selftest
from velro_gate.model.bank import Bank
from velro_gate.report.printed.selftest import selftest_markdown, selftest_sentences
from velro_gate.store.selftests import known_selftest


def asked(folder: Path, *, minutes: float = 10.0) -> SelftestOptions:
    return SelftestOptions(minutes=minutes, warm_up=1.0, seconds=5.0, output=folder / "results", kept=folder / "kept")


def filling(made: Bank, seen: list[BankOptions] | None = None) -> Fill:
    def fill(setup: Setup, path: Path, wanted: BankOptions, results: Results, effects: Effects) -> Bank:
        if seen is not None:
            seen.append(wanted)
        return replace(made, head=replace(made.head, environment=effects.environment()))

    return fill


def test_it_is_kept_in_the_results_and_where_the_gate_looks_for_it(tmp_path: Path) -> None:
    made, results = selftest(asked(tmp_path), Spectator().effects, fill=filling(bank(16)))
    assert known_selftest(tmp_path / "kept", HERE) == made
    assert (results.folder / "selftest.json").exists()


def test_it_asks_for_the_cycles_that_fit_and_for_no_more_time_than_it_was_given(tmp_path: Path) -> None:
    seen: list[BankOptions] = []
    selftest(asked(tmp_path, minutes=10.0), Spectator().effects, fill=filling(bank(16), seen))
    (wanted,) = seen
    assert wanted.until == 600.0
    assert wanted.cycles == int(600.0 / (4 * 9.0))


def test_a_time_in_which_nothing_could_be_found_is_refused_with_what_it_takes(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as raised:
        asked(tmp_path, minutes=2.0)
    assert "at least 5 minutes" in raised.value.hint


def test_one_that_was_cut_short_is_broken_and_kept_nowhere(tmp_path: Path) -> None:
    with pytest.raises(BrokenError, match="3 cycles"):
        selftest(asked(tmp_path), Spectator().effects, fill=filling(bank(3)))
    assert known_selftest(tmp_path / "kept", HERE) is None


@pytest.mark.parametrize(("sd", "code"), [(0.01, 0), (0.4, 4)])
def test_a_runner_that_does_not_see_20_percent_has_exit_code_4(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], sd: float, code: int
) -> None:
    made, results = selftest(asked(tmp_path), Spectator().effects, fill=filling(bank(16, sd=sd)))
    assert print_selftest(made, results.folder, Format.TEXT) == code
    said = capsys.readouterr().out
    assert ("cannot see +20 %" in said) is (code == 4)
    assert "to lower the noise" in said
    assert print_selftest(made, results.folder, Format.JSON) == code


def test_in_a_summary_one_glance_says_whether_the_runner_sees_enough(tmp_path: Path) -> None:
    made, _ = selftest(asked(tmp_path), Spectator().effects, fill=filling(bank(16)))
    first, *rest = selftest_markdown(made).splitlines()
    assert first == "### velro-gate: selftest of the runner: ✅ it sees what it has to, no action needed"
    table = [line for line in rest if line.startswith("|")]
    assert len(table) == 2 + len(made.rows)
    assert {line.count("|") for line in table} == {6}


def test_a_false_alarm_of_the_unchanged_service_is_called_one(tmp_path: Path) -> None:
    made, _ = selftest(asked(tmp_path), Spectator().effects, fill=filling(bank(16)))
    assert "false alarm" in " ".join(selftest_sentences(replace(made, unchanged="fail")))
    assert "false alarm" not in " ".join(selftest_sentences(replace(made, unchanged="pass")))

"""Confirmation as users see it: a service that is ten times as slow as its baselines."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.command import command, environment, tiny_scenario, velro_gate
from tests.gate.judge.test_confirm import faster
from tests.service import service
from velro_gate.model.record import RunRecord
from velro_gate.store.baselines import add_baseline
from velro_gate.store.records import read_record

TAKES = 0.06
"""Seconds of an answer: ten times its baseline by more than the lateness of a generator on a busy machine could explain."""


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> RunRecord:
    """A run of the service that all tests gate. Its port is no part of what is compared."""
    folder = tmp_path_factory.mktemp("measured")
    with service(takes=TAKES) as running:
        options = ("--url", running.url, "--no-calibration", "--output", "measured")
        ended = velro_gate("run", tiny_scenario(folder, users=100, rate="150/s"), *options, cwd=folder)
    assert ended.code == 0, ended.err
    (place,) = (folder / "measured").iterdir()
    return read_record(place)


def slowed(folder: Path, measured: RunRecord) -> Path:
    """A scenario whose baselines were ten times as fast as the service was when it was measured."""
    for number in range(1, 7):
        add_baseline(folder / "baselines", faster(measured, number))
    return tiny_scenario(folder, users=100, rate="150/s")


def verdict_of(folder: Path) -> dict[str, object]:
    (found,) = folder.glob("velro-results/*/verdict.json")
    return json.loads(found.read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def test_a_gate_says_what_it_runs_again_and_fails_when_that_confirms_it(tmp_path: Path, measured: RunRecord) -> None:
    with service(takes=TAKES) as running:
        scenario = slowed(tmp_path, measured)
        ended = velro_gate("gate", scenario, "--url", running.url, "--no-calibration", cwd=tmp_path)
    assert ended.code == 1, ended.err
    assert "suspicious: phase short" in ended.err
    assert "running it 2 times again to confirm it: about 15 s" in ended.err
    assert "confirmation run 2 of 2" in ended.err
    assert "regression, confirmed 3 of 3" in " ".join(ended.out.split())
    again = velro_gate("judge", ended.folder, "--format", "json", cwd=tmp_path)
    assert again.code == 1
    kept = verdict_of(tmp_path)
    assert json.loads(again.out)["comparisons"] == kept["comparisons"]
    assert json.loads(again.out)["explanations"] == kept["explanations"] != []


def test_a_base_build_that_is_not_available_is_reported_and_the_build_is_run_again_alone(
    tmp_path: Path, measured: RunRecord
) -> None:
    with service(takes=TAKES) as running:
        scenario = slowed(tmp_path, measured)
        ended = velro_gate(
            "gate",
            scenario,
            "--url",
            running.url,
            "--no-calibration",
            "--base-command",
            "echo no library; exit 3",
            cwd=tmp_path,
        )
    assert ended.code == 1, ended.err
    reported = " ".join(ended.err.split())
    assert "no duet, using stored baselines: the base build's command ended with exit code 3" in reported
    assert "confirmation run 2 of 2" in reported


def test_a_kept_run_is_confirmed_later_once_and_only_by_its_own_plan(tmp_path: Path, measured: RunRecord) -> None:
    with service(takes=TAKES) as running:
        scenario = slowed(tmp_path, measured)
        to = ("--url", running.url, "--no-calibration")
        ended = velro_gate("gate", scenario, *to, "--no-confirm", cwd=tmp_path)
        confirmed = velro_gate("confirm", ended.folder, scenario, *to, cwd=tmp_path)
    assert confirmed.code == 1, confirmed.err
    assert "confirmation run 2 of 2" in confirmed.err
    assert "regression, confirmed 3 of 3" in " ".join(confirmed.out.split())
    assert "measured again before" in velro_gate("confirm", ended.folder, scenario, *to, cwd=tmp_path).err
    other = velro_gate("confirm", ended.folder, tiny_scenario(tmp_path, users=7), *to, cwd=tmp_path)
    assert (other.code, "of another plan" in other.err) == (2, True)


@pytest.mark.parametrize("more", [("--no-confirm", "--base-url", "http://127.0.0.1:9"), ("--base-directory", ".")])
def test_a_base_build_that_is_of_no_use_is_refused_before_anything_is_sent(tmp_path: Path, more: tuple[str, ...]) -> None:
    ended = velro_gate("gate", tiny_scenario(tmp_path), "--url", "http://127.0.0.1:9", *more, cwd=tmp_path)
    assert ended.code == 2
    assert "base build" in ended.err


@pytest.mark.parametrize(
    ("option", "code", "words"),
    [(("--max-minutes", "0"), 3, "no time to run it 2 times again"), (("--no-confirm",), 1, "look at what this change does")],
)
def test_no_time_is_inconclusive_and_no_confirmation_judges_the_run_alone(
    tmp_path: Path, measured: RunRecord, option: tuple[str, ...], code: int, words: str
) -> None:
    with service(takes=TAKES) as running:
        scenario = slowed(tmp_path, measured)
        ended = velro_gate("gate", scenario, "--url", running.url, "--no-calibration", *option, cwd=tmp_path)
    assert ended.code == code, ended.err
    assert words.lower() in " ".join(ended.out.split()).lower()
    assert "confirmation run" not in ended.err
    assert velro_gate("judge", ended.folder, cwd=tmp_path).code == code


def test_ctrl_c_while_it_is_run_again_keeps_everything_and_a_verdict_that_says_so(tmp_path: Path, measured: RunRecord) -> None:
    with service(takes=TAKES) as running:
        scenario = slowed(tmp_path, measured)
        child = subprocess.Popen(
            command("gate", scenario, "--url", running.url, "--no-calibration"),
            cwd=tmp_path,
            env=environment(),
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert child.stderr is not None
        next(line for line in iter(child.stderr.readline, "") if line.startswith("confirmation run 1"))
        running.awaited = running.requests + 1
        assert running.reached.wait(30)
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=30)
    assert child.returncode == 130, err
    assert "interrupted while suspicious phases were run again" in err
    assert out == ""
    verdict = verdict_of(tmp_path)
    assert verdict["verdict"] == "inconclusive"
    assert "measuring it again was interrupted" in json.dumps(verdict["comparisons"])
    (again,) = tmp_path.glob("velro-results/*/repeats/*/record.json")
    assert json.loads(again.read_text(encoding="utf-8"))["interrupted"] is True
    (marked,) = tmp_path.glob("velro-results/*/confirmation.json")
    assert "interrupted" in marked.read_text(encoding="utf-8")

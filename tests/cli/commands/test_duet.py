"""The duet command as its users run it: what it refuses, and what is left when it is interrupted or killed."""

from __future__ import annotations

import re
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.cli.command import Ended, command, environment, tiny_scenario, velro_gate
from tests.gate.programs import service as program
from velro_gate.gate.judge.verdict import reread
from velro_gate.store.duets import read_duet

SHORT = ("--no-pilot", "--block", 2, "--warm-up", 0.5, "--no-calibration", "--shards", 1, "--seed", 3)


def options(folder: Path, *more: object) -> tuple[object, ...]:
    """A duet of two equal builds that tell their process ids."""
    line = f"echo process $$ >>{folder}/processes; {program(folder, 1.0)}"
    scenario = tiny_scenario(folder, users=60, rate="100/s")
    return ("duet", scenario, "--base-command", line, "--head-command", line, *SHORT, *more)


def interrupted(folder: Path, when: str, number: signal.Signals) -> Ended:
    """The command, ended by a signal once it has said ``when``."""
    with subprocess.Popen(
        command(*options(folder)),
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as running:
        assert running.stderr is not None
        assert running.stdout is not None
        said = ""
        for line in running.stderr:
            said += line
            if when in line:
                break
        running.send_signal(number)
        rest = running.stderr.read()
        out = running.stdout.read()
    return Ended(code=running.returncode, out=out, err=said + rest)


def started(folder: Path) -> list[int]:
    """The ids of every process that a build's command has told."""
    return [int(pid) for pid in re.findall(r"^process (\d+)$", (folder / "processes").read_text("utf-8"), re.MULTILINE)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_duet_keeps_its_whole_pairs_and_leaves_no_process(tmp_path: Path, number: signal.Signals) -> None:
    ended = interrupted(tmp_path, "pair 1 of 6: p95", number)
    assert ended.code == 130
    assert "error: the run was interrupted" in ended.err
    (folder,) = (tmp_path / "velro-results").iterdir()
    kept = read_duet(folder)
    assert kept is not None
    # On a busy machine the signal may come after the second pair, too.
    assert len(kept.duet.pairs) == ended.err.count(" of 6: p95") < 6
    assert reread(folder).interrupted
    assert '"verdict": "broken"' in (folder / "verdict.json").read_text("utf-8")
    assert started(tmp_path)
    assert not any(psutil.pid_exists(pid) for pid in started(tmp_path))


def test_a_duet_that_is_killed_leaves_no_process(tmp_path: Path) -> None:
    ended = interrupted(tmp_path, "measuring", signal.SIGKILL)
    assert ended.code == -signal.SIGKILL
    (pid,) = started(tmp_path)[-1:]
    # The warden is no child of ours; it ends the command within its grace.
    _, left = psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], timeout=15)
    assert not left


def test_a_kept_duet_is_judged_again_offline_and_printed_in_every_format(tmp_path: Path) -> None:
    interrupted(tmp_path, "pair 1 of 6: p95", signal.SIGINT)
    (folder,) = (tmp_path / "velro-results").iterdir()
    again = velro_gate("judge", folder, cwd=tmp_path)
    assert again.code == 4
    assert "Head and base side by side" in again.out
    assert "order drawn by seed 3" in " ".join(again.out.split())
    assert "#### Head and base side by side" in velro_gate("report", folder, "--as", "markdown", cwd=tmp_path).out
    refused = velro_gate("baseline", "add", folder, cwd=tmp_path)
    assert refused.code == 2
    assert "a duet cannot become a baseline" in refused.err


def test_a_start_that_fails_says_which_build_why_and_where(tmp_path: Path) -> None:
    scenario = tiny_scenario(tmp_path)
    line = "echo no module named shop; exit 1"
    ended = velro_gate("duet", scenario, "--base-command", line, "--head-command", line, "--no-calibration", cwd=tmp_path)
    assert ended.code == 4
    assert "error: the base build's command ended with exit code 1 before it answered /health" in ended.err
    assert "why:   no module named shop" in ended.err
    assert "base.log" in ended.err


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((), "the base build is not named"),
        (("--base-url", "http://127.0.0.1:1"), "the head build is not named"),
        (("--base-url", "http://127.0.0.1:1", "--base-command", "true"), "the base build is named twice"),
        (("--base-command", "true", "--head-command", "true", "--head-directory", "missing"), "no directory to run in"),
        (("--base-url", "http://127.0.0.1:1", "--base-directory", "."), "--base-directory has no effect with --base-url"),
        (("--base-url", "nowhere", "--head-url", "http://127.0.0.1:1"), "--base-url"),
        (
            ("--base-command", "true", "--head-command", "true", "--pairs", "3"),
            "3 pairs of blocks are too few to show any change",
        ),
    ],
)
def test_what_cannot_be_is_refused_before_anything_starts(tmp_path: Path, given: tuple[str, ...], said: str) -> None:
    ended = velro_gate("duet", tiny_scenario(tmp_path), *given, cwd=tmp_path)
    assert ended.code == 2
    assert said in ended.err
    assert not (tmp_path / "velro-results").exists()


def test_a_duet_that_would_take_too_long_is_refused_with_its_time(tmp_path: Path) -> None:
    ended = velro_gate(*options(tmp_path, "--max-minutes", 1), cwd=tmp_path)
    assert ended.code == 4
    assert "10 pairs of blocks would take 1 min" in ended.err

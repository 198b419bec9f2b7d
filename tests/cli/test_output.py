"""The exit code is the verdict's whatever becomes of the output, and no secret is ever printed or kept."""

from __future__ import annotations

import errno
import io
import os
import pty
import subprocess
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from rich.rule import Rule

from tests.analysis.runs import planned, run, summary
from tests.cli.command import command, environment, tiny_scenario, velro_gate
from tests.report.examples import EXAMPLES
from tests.report.golden import shown
from velro_gate.cli.entry import _guarded
from velro_gate.cli.measured import phase_table
from velro_gate.cli.output import Lasting, people, show, talk
from velro_gate.hardening import ignore_unreadable_cookies
from velro_gate.model.scenario import Comparator, Requirement
from velro_gate.store.codec import encode_record

IMPOSSIBLE = Requirement(metric="p95", comparator=Comparator.BELOW, target=0.01)


@pytest.fixture
def failed(tmp_path: Path) -> Path:
    """The record of a run whose requirement was missed: its verdict is 'fail', exit code 1."""
    plan = tuple(replace(phase, requirements=(IMPOSSIBLE,)) for phase in planned("steady"))
    path = tmp_path / "record.json"
    path.write_text(encode_record(run(summary(), plan=plan)), encoding="utf-8")
    return path


@pytest.mark.parametrize("filling", range(70, 84))
@pytest.mark.hostile("markup and commands")
def test_in_a_job_on_github_no_line_of_the_talk_is_a_command_even_where_it_is_wrapped(
    filling: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    people().print(f"{'x' * filling} ::add-mask::pass ##[group]y", markup=False)
    print("::error::made by a service", file=talk())
    said = capsys.readouterr().err
    assert "add-mask" in said
    assert not [line for line in said.splitlines() if line.lstrip().startswith("::") or "##[" in line]


def test_elsewhere_the_talk_stays_as_it_is(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    print("::error::x", file=talk())
    assert capsys.readouterr().err == "::error::x\n"


def test_a_reader_that_has_gone_does_not_turn_a_failure_green_nor_a_pass_red(failed: Path) -> None:
    for words, code in ((("judge", failed), 1), (("judge", failed, "--format", "json"), 1), (("schema",), 0)):
        reading, writing = os.pipe()
        os.close(reading)
        ended = subprocess.run(command(*words), env=environment(), stdout=writing, stderr=subprocess.PIPE, check=False)
        os.close(writing)
        assert (ended.returncode, ended.stderr) == (code, b""), words


def test_a_closed_output_loses_the_text_and_nothing_else(failed: Path) -> None:
    for words in (("judge", failed), ("judge", failed, "--format", "json")):
        ended = subprocess.run(
            command(*words), env=environment(), stderr=subprocess.PIPE, check=False, preexec_fn=lambda: os.close(1)
        )
        assert (ended.returncode, ended.stderr) == (1, b"")


def test_a_full_disk_under_the_output_is_reported_and_is_never_green(failed: Path) -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        ended = subprocess.run(
            command("judge", failed), env=environment(), stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert ended.returncode == 4
    assert "the output cannot be written" in ended.stderr
    assert "No space left" in ended.stderr


def test_without_an_encoding_for_them_the_signs_still_come_out_whole_in_a_file(failed: Path) -> None:
    for words in (("judge", failed, "--as", "markdown"), ("judge", failed)):
        ended = subprocess.run(
            command(*words), env=environment({"PYTHONIOENCODING": "ascii"}), capture_output=True, check=False
        )
        assert ended.stderr == b""
        assert not ended.stdout.isascii()
        ended.stdout.decode("utf-8")


@pytest.mark.parametrize("columns", [60, 80])
def test_in_a_narrow_terminal_every_row_still_has_its_name(failed: Path, columns: int) -> None:
    ours, theirs = pty.openpty()
    settings = environment({"COLUMNS": str(columns), "TERM": "xterm", "NO_COLOR": "1"})
    with subprocess.Popen(command("judge", failed), env=settings, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        text = _all_of(ours)
    os.close(ours)
    assert process.returncode == 1
    row = next(line for line in text.splitlines() if "< 10" in line and "missed" in line)
    assert row.lstrip().startswith("p95 of all"), text
    assert "\x1b[3" not in text, "NO_COLOR"


def _all_of(terminal: int) -> str:
    parts = []
    while True:
        try:
            part = os.read(terminal, 65_536)
        except OSError:
            # Linux reports the end of a terminal's other side as an error.
            break
        if not part:
            break
        parts.append(part)
    return b"".join(parts).decode("utf-8", "replace")


class Gone(io.StringIO):
    """A stream whose reader has left."""

    def write(self, _: str) -> int:
        raise BrokenPipeError


def test_talk_to_people_falls_silent_when_they_have_gone() -> None:
    for stream in (Gone(), None):
        talk = Lasting(stream)
        for _ in range(2):
            print("progress", file=talk)
            talk.flush()
        assert not talk.isatty()


def test_talk_reaches_those_who_listen() -> None:
    heard = io.StringIO()
    print("progress", file=Lasting(heard))
    assert heard.getvalue() == "progress\n"


def test_a_password_in_the_url_is_refused_and_not_printed(tmp_path: Path) -> None:
    for words in (("check",), ("check", "--format", "json"), ("gate",)):
        ended = velro_gate(*words, tiny_scenario(tmp_path), "--url", "http://velro:hunter2@127.0.0.1:1", cwd=tmp_path)
        assert ended.code == 2
        assert "hunter2" not in ended.out + ended.err


def broken(text: str) -> Callable[[], object]:
    def fail() -> object:
        raise RuntimeError(text)

    return fail


def test_a_fault_of_our_own_keeps_its_details_in_a_file_without_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHOP_TOKEN", "hunter2-and-more")
    assert _guarded(broken("asked with hunter2-and-more at postgresql://me:pass-word@db")) == 70
    said = capsys.readouterr().err
    (file,) = tmp_path.glob("velro-gate-crash-*.txt")
    kept = file.read_text(encoding="utf-8")
    assert file.name in said
    assert "Traceback" in kept
    assert "Traceback" not in said
    assert "RuntimeError: asked with *** at postgresql://me:***@db" in kept
    assert "hunter2" not in said + kept
    assert "pass-word" not in said + kept


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "out of memory"),
        (ExceptionGroup("tasks", [RuntimeError(), OSError(errno.EMFILE, "too many")]), "this process may open no more files"),
        (OSError(errno.ENFILE, "too many"), "this machine may open no more files"),
    ],
)
def test_a_machine_that_ran_out_of_something_is_broken_and_no_fault_of_our_own(
    error: Exception, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> object:
        raise RuntimeError("in the end") from error

    assert _guarded(fail) == 4
    assert said in capsys.readouterr().err


def test_piped_output_is_not_folded(capsys: pytest.CaptureFixture[str]) -> None:
    show("word " * 200, Rule("title"))
    lines = capsys.readouterr().out.splitlines()
    assert [len(line) for line in lines] == [len("word " * 200) - 1, 80]
    people().print("word " * 200)
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_cookie_that_the_standard_library_cannot_read_prints_no_traceback() -> None:
    sent = httpx.Response(
        200, headers={"Set-Cookie": "a=b; Max-Age=" + "9" * 309}, request=httpx.Request("GET", "http://shop.test/")
    )
    kept = httpx.Cookies()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ignore_unreadable_cookies()
        kept.extract_cookies(sent)
    assert len(kept) == 0


@pytest.mark.parametrize("columns", [60, 80])
def test_the_table_of_a_run_keeps_names_and_figures_in_a_narrow_terminal(columns: int) -> None:
    text = shown(phase_table(EXAMPLES["pass"]()[0]), width=columns)
    lines = text.splitlines()
    assert max(map(len, lines)) <= columns
    if columns == 80:
        assert sum(" ms " in line for line in lines) == len(EXAMPLES["pass"]()[0].phases)
    assert all(phase.name[:4] in text for phase in EXAMPLES["pass"]()[0].phases)

"""What is decided for a repository: given, asked, or taken from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.github.git_server import git
from velro_gate.errors import UsageError
from velro_gate.gate.onboarding import init
from velro_gate.gate.onboarding.init import choose, questions

ACTION = f"acme/velro-gate@{'1' * 40}"


def test_what_is_given_is_not_asked_for(tmp_path: Path) -> None:
    asked = []

    def ask(text: str, default: str | None) -> str:
        asked.append(text)
        return default or ""

    choices = choose(tmp_path, {"action": ACTION, "store": "push"}, {}, ask)
    assert (choices.action, choices.store) == (ACTION, "push")
    assert len(asked) == len(questions(tmp_path)) - 2


def test_an_answer_stands_over_the_default(tmp_path: Path) -> None:
    choices = choose(
        tmp_path, {"action": ACTION}, {}, lambda text, default: " perf, fast " if "Labels" in text else default or ""
    )
    assert choices.labels == ("perf", "fast")


def test_nobody_is_asked_where_defaults_do(tmp_path: Path) -> None:
    choices = choose(tmp_path, {"action": ACTION}, {}, None)
    assert choices.labels == ("self-hosted", "linux", "perf")
    assert choices.main == "main"


def test_what_has_no_default_has_to_be_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(init, "PACKAGE", tmp_path)
    with pytest.raises(UsageError, match="--action"):
        choose(tmp_path, {}, {}, None)


def test_a_token_comes_from_the_secret_of_its_name_unless_said_otherwise(tmp_path: Path) -> None:
    given = {"action": ACTION, "bearer": "TOKEN"}
    assert choose(tmp_path, given, {}, None).variables == {"TOKEN": "secrets.TOKEN"}
    assert choose(tmp_path, given, {"TOKEN": "secrets.OTHER"}, None).variables == {"TOKEN": "secrets.OTHER"}


@pytest.mark.parametrize(
    "remote", ["https://github.example/acme/gate.git", "git@github.example:acme/gate.git", "ssh://git@github.example/acme/gate"]
)
def test_a_checkout_of_the_action_is_named_by_its_own_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, remote: str
) -> None:
    git("init", "--quiet", str(tmp_path))
    git("commit", "--quiet", "--allow-empty", "--message", "x", cwd=tmp_path)
    git("remote", "add", "origin", remote, cwd=tmp_path)
    monkeypatch.setattr(init, "PACKAGE", tmp_path.resolve())
    action = next(question for question in questions(tmp_path) if question.field == "action")
    assert action.default == f"acme/gate@{git('rev-parse', 'HEAD', cwd=tmp_path)}"


def test_a_copy_that_others_cannot_reach_is_no_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git("init", "--quiet", str(tmp_path))
    git("commit", "--quiet", "--allow-empty", "--message", "x", cwd=tmp_path)
    git("remote", "add", "origin", str(tmp_path / "acme" / "gate"), cwd=tmp_path)
    monkeypatch.setattr(init, "PACKAGE", tmp_path.resolve())
    assert questions(tmp_path)[0].default is None
